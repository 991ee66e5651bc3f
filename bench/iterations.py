"""Newton steps henderson takes on every reference model, and how far its criterion is from the best reported.

python bench/iterations.py
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import reference_cases as cases


def main() -> None:
    print("| model | rows | parameters | iterations | criterion | above best | predicted decrease | time |")
    print("|---|---|---|---|---|---|---|---|")
    most, skipped = 0, []
    for name in cases.names():
        if cases.missing(name):
            skipped.append(name)
            continue
        cases.frame(name)
        start = time.perf_counter()
        try:
            fit = cases.fit(name)
        except Exception as error:
            print(f"| {name} | {type(error).__name__}: {str(error)[:80]!r} | | | | | | |")
            continue
        seconds = time.perf_counter() - start
        above = fit.deviance - min(cases.best_reported(name).values())
        most = max(most, fit.iterations)
        print(
            f"| {name} | {fit.nobs} | {len(fit.theta)} | {fit.iterations} | {fit.deviance:.6f} | "
            f"{above:+.1e} | {fit.status.predicted_decrease:.1e} | {seconds * 1e3:.1f} ms |"
        )
    print(f"\nMost iterations: {most}." + (f" Data not here: {', '.join(skipped)}." if skipped else ""))


if __name__ == "__main__":
    main()
