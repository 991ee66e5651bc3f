"""Correct digits on NIST's StRD linear regression sets: henderson, numpy lstsq, statsmodels, R lm.

    python bench/nist.py

Prints, for each set and program, the log relative error (15 at most) of the worst coefficient and of the worst standard
error, and of R-squared and F. "float64" is exact arithmetic on the columns rounded to float64, powers of x included: what
a program that is given those columns can reach, but for luck. Data and certified values are those of the tests
(tests/reference/nist). R's lm is called with tol = 1e-12: by default it drops a column of Filip. Peers are installed and
found as bench/run.py does it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from run import HERE, peers

sys.path.insert(0, str(HERE.parent / "tests"))
import nist_strd as strd

import henderson as hd

SHOWN = {"coefficients": "coefficients", "standard_errors": "std errors", "r_squared": "R^2", "f": "F"}


def henderson(name: str) -> dict[str, Any]:
    fit = hd.lm(strd.sets()[name]["formula"], pd.DataFrame(strd.columns(name)))
    table = fit.fixed_effects_columns()
    return {
        "coefficients": table["estimate"],
        "standard_errors": table["std_error"],
        "r_squared": fit.r_squared,
        "f": fit.f_statistic[0],
    }


def lstsq(name: str) -> dict[str, Any]:
    data = {column: np.array(values) for column, values in strd.columns(name).items()}
    x = [data[column] ** power for column, power in strd.powers(name)]
    x = np.column_stack([np.ones(len(data["y"])), *x] if strd.intercept(name) else x)
    return {"coefficients": np.linalg.lstsq(x, data["y"], rcond=None)[0]}


def float64(name: str) -> dict[str, Any]:
    return strd.derived(name, float64=True)


def elsewhere() -> dict[str, dict[str, Any]]:
    """program -> set -> statistics, of those that run in a process of their own."""
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sets, given = Path(folder, "sets.json"), Path(folder, "data.json")
        sets.write_text(json.dumps({name: s["formula"] for name, s in strd.sets().items()}))
        given.write_text(json.dumps({name: strd.columns(name) for name in strd.sets()}))
        script = HERE / "programs" / "linear_nist"
        found |= _run([str(peers()), f"{script}.py", str(sets), str(given)])
        r = shutil.which("Rscript")
        found["R lm"] = _run([r, f"{script}.R", str(sets), str(given)]) if r else {}
    return found


def _run(argv: list[str]) -> dict[str, Any]:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        print(f"{argv[1]}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return {}
    return json.loads(done.stdout)


def cell(name: str, found: dict[str, Any] | None, statistic: str) -> str:
    if not found or statistic not in found or not strd.certified(name, statistic):
        return ""
    return f"{strd.worst(name, statistic, found[statistic]):.1f}"


def main() -> None:
    programs = {
        "henderson": {n: henderson(n) for n in strd.sets()},
        "numpy lstsq": {n: lstsq(n) for n in strd.sets()},
    }
    programs |= elsewhere()
    programs |= {"float64": {n: float64(n) for n in strd.sets()}}
    for statistic, title in SHOWN.items():
        shown = [p for p in programs if any(statistic in found for found in programs[p].values())]
        print(f"\n| {title} | " + " | ".join(shown) + " |\n" + "|---" * (len(shown) + 1) + "|")
        for name in strd.sets():
            print(
                f"| {name} | "
                + " | ".join(cell(name, programs[p].get(name), statistic) for p in shown)
                + " |"
            )


if __name__ == "__main__":
    main()
