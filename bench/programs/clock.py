"""How every Python program is timed: the same steps, in a process of its own.

Reads JOB.json (first argument), loads the data frame (not timed), then times the import and the first fit
together, then repeated fits in the warm process until the budget is spent. The last line printed is the
result as JSON. Peak memory is taken by the parent.
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

import pandas as pd


def run(
    load: Callable[[], Any],
    fit: Callable[[Any, pd.DataFrame, dict], Any],
    criterion: Callable[[Any], float],
    extra: Callable[[Any], dict] = lambda fitted: {},
) -> None:
    """Time ``fit(load(), frame, job)``.

    Args:
        load: imports the program.
        fit: data frame to fitted model.
        criterion: -2 log-likelihood of a fitted model (the restricted one under REML).
        extra: anything else worth keeping of the last fit.
    """
    job = json.loads(Path(sys.argv[1]).read_text())
    frame = pd.read_parquet(job["parquet"])
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    program = load()
    imported = time.perf_counter()
    fitted = fit(program, frame, job)
    end = time.perf_counter()
    warm: list[float] = []
    cpu: list[float] = []
    left = job["budget_s"]
    longest = end - imported
    while len(warm) < job["repeats"] and (left > longest or (not warm and longest < job["one_warm_below_s"])):
        before, used = time.perf_counter(), time.process_time()
        fitted = fit(program, frame, job)
        warm.append(time.perf_counter() - before)
        cpu.append(time.process_time() - used)
        left -= warm[-1]
        longest = max(warm)
    result = {
        "import_s": imported - start,
        "first_s": end - start,
        "warm_s": statistics.median(warm) if warm else None,
        "warm_cpu_s": statistics.median(cpu) if cpu else None,
        "warm_runs": len(warm),
        "criterion": float(criterion(fitted)),
        **extra(fitted),
    }
    print(json.dumps(result))
