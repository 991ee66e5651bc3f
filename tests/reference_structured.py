"""All cases of `structured_cases`, one after another: ours against theirs.

    python tests/reference_structured.py [--components] [name ...]      (a name may be the beginning of several)

For each: seconds, our log-likelihood, the best of the programs', ours less theirs, the twin's at our parameters, and a verdict:
"equal" (within the case's tolerance), "better", "WORSE", "refused" (with henderson's words).
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import structured_cases as cases


def ours(name: str) -> dict[str, float]:
    """Our parameters by the case's names; what is not found is left out."""
    table = cases.fit(name).variance_components_columns()
    found = {
        (g, t): float(v) for g, t, v in zip(table["group"], table["term"], table["estimate"], strict=True)
    }
    out = {}
    for par, (group, term) in cases.CASES[name].par.items():
        value = found.get((group, term))
        if value is not None:
            out[par] = value
    return out


def compare(name: str, components: bool) -> str:
    """One case, one line (and its components)."""
    case, witness = cases.CASES[name], cases.witness(name)
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = cases.fit(name)
    except Exception as error:  # any refusal or fault is what we want to see
        return f"{name:34} refused    {type(error).__name__}: {' '.join(str(error).split())[:230]}"
    seconds = time.perf_counter() - began
    par = ours(name)
    lost = sorted(set(case.par) - set(par))
    best = cases.best(name)
    difference = fit.loglik - best if best is not None else float("nan")
    twin = "-"
    if not lost and case.dense is not None:
        twin = f"{fit.loglik + cases.criterion_of(name, par) / 2:.1e}"
    verdict = "no number" if best is None else "equal"
    if difference < -case.criterion:
        verdict = "WORSE"
    elif difference > 10 * case.criterion:
        verdict = "better"
    status = fit.status
    line = (
        f"{name:34} {verdict:9} {fit.loglik:16.6f} {difference:+.2e}  twin {twin:>8}  {seconds:6.2f} s  "
        f"{getattr(fit, 'iterations', '')} {'' if status.converged else 'NOT CONVERGED: ' + str(status)}"
    )
    if lost:
        table = fit.variance_components_columns()
        have = list(zip(table["group"], table["term"], strict=True))
        line += f"\n{'':34} not found: {[case.par[k] for k in lost][:6]}; there are {have[:12]}"
    if components:
        theirs = witness.get("par", {})
        for key in case.par:
            line += f"\n{'':34} {key:16} {par.get(key, np.nan):16.8g} {theirs.get(key, np.nan):16.8g}"
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--components", action="store_true")
    asked = parser.parse_args()
    for name, case in cases.CASES.items():
        if asked.names and not any(name.startswith(n) for n in asked.names):
            continue
        if case.cannot:
            print(f"{name:34} not ours   {case.cannot}", flush=True)
        elif (why := cases.missing(name)) is not None:
            print(f"{name:34} no rows    {why}", flush=True)
        else:
            print(compare(name, asked.components), flush=True)


if __name__ == "__main__":
    main()
