"""How the Python programs of bench/linear.py are timed: like clock.py, with the memory used beyond the data.

The data are NAME.bin, float64 columns one after the other, so that R reads the same bytes. Reading them is not timed,
and the peak of the resident size is set back after it (Linux).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def job() -> dict[str, Any]:
    """What is to be fitted."""
    return json.loads(Path(sys.argv[1]).read_text())


def columns(job: dict[str, Any]) -> np.ndarray:
    """The data (n, columns), Fortran order."""
    return np.fromfile(job["bin"]).reshape(len(job["columns"]), -1).T


def frame(job: dict[str, Any]) -> Any:
    """The data as a pandas data frame."""
    import pandas as pd

    data = pd.DataFrame(columns(job), columns=job["columns"])
    for name in job.get("labels", ()):
        data[name] = data[name].astype("int64").astype(str)
    return data


def resident(field: str = "VmRSS") -> float:
    """MB of memory held now (VmRSS) or at most (VmHWM); 0 where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def run(
    load: Callable[[], Any],
    fit: Callable[[Any, Any], dict[str, Any]],
    data: Callable[[], Any],
    few: Callable[[Any], Any],
) -> None:
    """Time the start of a program and repeated fits; print the result as JSON.

    Args:
        load: imports the program.
        fit: (program, data) to what is kept of the fit: "estimate" and "std_error" of the columns, and more; or
            {"failed": why}.
        data: makes the data, outside the clock.
        few: some rows of them, for a fit that brings in what the program imports only when it fits.
    """
    todo = job()
    warnings.simplefilter("ignore")
    rows = data()
    start = time.perf_counter()
    program = load()
    found = fit(program, few(rows))
    begin = time.perf_counter()
    if "failed" in found:
        print(json.dumps(found))
        return
    before = resident()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        before = 0.0
    found = fit(program, rows)
    longest = time.perf_counter() - begin
    result = {"start_s": begin - start, "first_s": longest, **found}
    if before:
        result |= {"beyond_mb": resident("VmHWM") - before, "peak_mb": resident("VmHWM")}
    warm: list[float] = []
    left = todo["budget_s"]
    while len(warm) < todo["repeats"] and left > longest:
        begin = time.perf_counter()
        fit(program, rows)
        warm.append(time.perf_counter() - begin)
        left -= warm[-1]
        longest = max(warm)
    print(json.dumps({**result, "warm_s": statistics.median(warm) if warm else None}))


def head(todo: dict[str, Any]) -> int:
    """Rows that are enough for a first small fit."""
    return max(3 * len(todo["columns"]), 200)


def kept(estimate: Any, std_error: Any, **more: float) -> dict[str, Any]:
    """What is kept of a fit."""
    lists = {"estimate": np.asarray(estimate, dtype=float), "std_error": np.asarray(std_error, dtype=float)}
    return {**{k: v.tolist() for k, v in lists.items()}, **more}
