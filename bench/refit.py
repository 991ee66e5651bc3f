"""The small end: sleepstudy from formula to fit, a refit with another response, and a whole new process.

python bench/refit.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

FORMULA = "Reaction ~ Days + (Days | Subject)"
PROCESS = f"import henderson as hd; print(hd.lmm({FORMULA!r}, hd.datasets.load('sleepstudy')).summary())"


def median_ms(call: Callable[[], object], times: int) -> str:
    """Median and least time of a call, in milliseconds."""
    for _ in range(5):
        call()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - start))
    return f"{statistics.median(taken):.3f} ms (least {min(taken):.3f})"


def main() -> None:
    whole = []
    for _ in range(6):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", PROCESS], check=True, stdout=subprocess.DEVNULL)
        whole.append(time.perf_counter() - start)
    import numpy as np

    import henderson as hd

    sleep = hd.datasets.load("sleepstudy")
    fit = hd.lmm(FORMULA, sleep)
    y = np.asarray(sleep["Reaction"], dtype=float)
    rng = np.random.default_rng(1)
    others = [y + rng.normal(scale=20.0, size=len(y)) for _ in range(50)]
    turn = iter(range(10**9))
    print(f"formula to fit                       {median_ms(lambda: hd.lmm(FORMULA, sleep), 100)}")
    print(
        f"formula to fit, fixed effects table  {median_ms(lambda: hd.lmm(FORMULA, sleep).fixed_effects, 100)}"
    )
    print(
        f"refit(another y)                     {median_ms(lambda: fit.refit(others[next(turn) % 50]), 300)}"
    )
    print(f"refit(y)                             {median_ms(lambda: fit.refit(y), 300)}")
    print(
        f"whole process, import to summary     {statistics.median(whole[1:]):.3f} s (least {min(whole):.3f})"
    )
    asked = subprocess.run(
        [sys.executable, "-c", f"{PROCESS}; import sys; print('numba' in sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    print(f"numba imported by that process       {asked.stdout.split()[-1]}")


if __name__ == "__main__":
    main()
