"""How the Python programs of bench/genetics.py are timed, in a process of their own.

JOB.json (first argument) names the folder of the data. They are read before the clock starts; then the
import, what makes the relationship (A-inverse from the pedigree, G from the markers), and the fit with
standard errors and, where the program has them, prediction error variances of all effects are timed, each
apart. The last line printed is the result as JSON.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


class Data:
    """What bench/genetics_data.py wrote, read when it is asked for and kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about = json.loads((folder / "about.json").read_text())
        self.records = pd.read_csv(folder / "records.csv")
        self.pedigree = self._pedigree()
        self.ids = self._ids()

    def _pedigree(self) -> pd.DataFrame | None:
        path = self.folder / "pedigree.csv"
        return pd.read_csv(path, keep_default_na=False) if path.exists() else None

    def _ids(self) -> list[str] | None:
        path = self.folder / "ids.txt"
        return path.read_text().split() if path.exists() else None

    def relationship(self) -> np.ndarray:
        """K (q, q) of the individuals in `ids`."""
        return np.fromfile(self.folder / "k.bin").reshape(len(self.ids), -1)

    def markers(self) -> np.ndarray:
        """Allele counts (individuals, markers), uint8."""
        return np.fromfile(self.folder / "markers.bin", dtype=np.uint8).reshape(len(self.ids), -1)


def job() -> dict[str, Any]:
    return json.loads(Path(sys.argv[1]).read_text())


def peak_from_here() -> None:
    """The peak of the resident size is that of the work, not of reading the data (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> dict[str, float]:
    """{"peak_mb": the most that was resident}; empty where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return {}
    return {"peak_mb": next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))}


def run(
    load: Callable[[], Any],
    given: Callable[[Data], Any],
    relate: Callable[[Any, Data, Any], Any],
    fit: Callable[[Any, Data, Any], dict[str, Any]],
) -> None:
    """Time one program.

    Args:
        load: imports the program.
        given: data to what the program is given besides the records (a matrix), read outside the clock.
        relate: (program, data, given) to a relationship.
        fit: (program, data, relationship) to {"components": {name: number}, ...}, or {"failed": why}.
    """
    todo = job()
    warnings.simplefilter("ignore")
    data = Data(Path(todo["folder"]))
    matrix = given(data)
    peak_from_here()
    start = time.perf_counter()
    program = load()
    result: dict[str, Any] = {"import_s": time.perf_counter() - start}
    totals: list[float] = []
    while not totals or (len(totals) <= todo["repeats"] and sum(totals) + max(totals) < todo["budget_s"]):
        start = time.perf_counter()
        relation = relate(program, data, matrix)
        between = time.perf_counter()
        found = fit(program, data, relation)
        end = time.perf_counter()
        if "failed" in found:
            result = found
            break
        totals.append(end - start)
        if len(totals) == 1:
            result |= {
                "relationship_s": between - start,
                "fit_s": end - between,
                "first_s": end - start,
                **found,
            }
    if len(totals) > 1:
        result["warm_s"] = statistics.median(totals[1:])
    print(json.dumps({**result, **peak()}))
