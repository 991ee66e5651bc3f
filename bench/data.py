"""The benchmark's data sets: classics from the package, the large ones simulated from fixed seeds.

``python bench/data.py DIR [NAME ...]`` writes NAME.parquet (for Python programs) and NAME.csv (for R).
Grouping columns are text categories ("a17"), so every program gets them in the form its data frames use for
factors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class BenchSet:
    """One data set and the model fitted to it.

    Attributes:
        formula: as lme4 and henderson read it.
        make: gives the data frame.
        large: counts towards "the larger ones" of the report.
        factors: columns every program must take as factors.
    """

    formula: str
    make: Callable[[], pd.DataFrame]
    factors: tuple[str, ...]
    large: bool = True


def _classic(name: str) -> Callable[[], pd.DataFrame]:
    def load() -> pd.DataFrame:
        import henderson as hd

        return pd.DataFrame(hd.datasets.load(name))

    return load


def _category(codes: np.ndarray, prefix: str) -> pd.Categorical:
    used, codes = np.unique(codes, return_inverse=True)
    return pd.Categorical.from_codes(codes, [f"{prefix}{k}" for k in used])


def _slopes(groups: int, rows: int, seed: int) -> pd.DataFrame:
    """Random intercept (sd 1) and slope (sd 0.5, correlation 0.3), residual sd 1."""
    rng = np.random.default_rng(seed)
    g = np.sort(rng.integers(0, groups, rows))
    x = rng.normal(size=rows)
    u = rng.multivariate_normal([0.0, 0.0], [[1.0, 0.15], [0.15, 0.25]], size=groups)
    y = 2.0 + 0.5 * x + u[g, 0] + u[g, 1] * x + rng.normal(size=rows)
    return pd.DataFrame({"y": y, "x": x, "g": _category(g, "g")})


def _six_by_six() -> pd.DataFrame:
    """200 workers x 6 machines x 3 runs; the machines' worker effects have a full 6 x 6 covariance."""
    rng = np.random.default_rng(6)
    worker, machine = (a.ravel() for a in np.meshgrid(range(200), range(6), indexing="ij"))
    worker, machine = np.repeat(worker, 3), np.repeat(machine, 3)
    half = np.tril(rng.normal(scale=0.4, size=(6, 6))) + np.diag(np.linspace(0.6, 1.6, 6))
    u = rng.normal(size=(200, 6)) @ half.T
    y = 50.0 + np.arange(6)[machine] + u[worker, machine] + rng.normal(size=worker.size)
    return pd.DataFrame({"y": y, "machine": _category(machine, "m"), "worker": _category(worker, "w")})


def _nested() -> pd.DataFrame:
    """200,000 rows in random order, 2,000 levels of a, the same ten labels of b in each."""
    rng = np.random.default_rng(7)
    a, b = rng.permutation(np.repeat(np.arange(2000), 100)), rng.integers(0, 10, 200_000)
    x = rng.normal(size=a.size)
    ab = rng.normal(scale=0.7, size=(2000, 10))
    y = 1.0 + 0.3 * x + rng.normal(size=2000)[a] + ab[a, b] + rng.normal(size=a.size)
    return pd.DataFrame({"y": y, "x": x, "a": _category(a, "a"), "b": _category(b, "b")})


def _crossed() -> pd.DataFrame:
    """1e6 rows, 20,000 x 5,000 levels met at random: the factor of the equations fills in."""
    rng = np.random.default_rng(8)
    rows = 1_000_000
    a, b = rng.integers(0, 20_000, rows), rng.integers(0, 5_000, rows)
    x = rng.normal(size=rows)
    y = (
        1.0
        + 0.5 * x
        + rng.normal(size=20_000)[a]
        + rng.normal(scale=0.7, size=5_000)[b]
        + rng.normal(size=rows)
    )
    return pd.DataFrame({"y": y, "x": x, "a": _category(a, "a"), "b": _category(b, "b")})


SETS: dict[str, BenchSet] = {
    "sleepstudy": BenchSet(
        "Reaction ~ Days + (Days | Subject)", _classic("sleepstudy"), ("Subject",), large=False
    ),
    "machines": BenchSet(
        "score ~ Machine + (Machine | Worker)", _classic("Machines"), ("Machine", "Worker"), large=False
    ),
    "six": BenchSet("y ~ machine + (0 + machine | worker)", _six_by_six, ("machine", "worker")),
    "insteval2": BenchSet("y ~ service + (1 | s) + (1 | d)", _classic("InstEval"), ("s", "d", "service")),
    "insteval3": BenchSet(
        "y ~ 1 + (1 | s) + (1 | d) + (1 | dept:service)", _classic("InstEval"), ("s", "d", "dept", "service")
    ),
    "slopes20k": BenchSet("y ~ x + (x | g)", lambda: _slopes(20_000, 200_000, 4), ("g",)),
    "slopes50k": BenchSet("y ~ x + (x | g)", lambda: _slopes(50_000, 1_000_000, 5), ("g",)),
    "nested": BenchSet("y ~ x + (1 | a/b)", _nested, ("a", "b")),
    "crossed": BenchSet("y ~ x + (1 | a) + (1 | b)", _crossed, ("a", "b")),
}


def write(name: str, folder: Path) -> None:
    """Write one set where it is not there yet."""
    parquet, csv = folder / f"{name}.parquet", folder / f"{name}.csv"
    if parquet.exists() and csv.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    frame = SETS[name].make()
    for column in SETS[name].factors:
        if str(frame[column].dtype) != "category":
            frame[column] = frame[column].astype(str).astype("category")
    frame.to_csv(csv, index=False)
    frame.to_parquet(parquet, index=False)


if __name__ == "__main__":
    if sys.argv[1] == "--list":  # run.py stays small: it imports neither NumPy nor pandas
        print(json.dumps({name: [one.formula, one.factors] for name, one in SETS.items()}))
        raise SystemExit
    for chosen in sys.argv[2:] or SETS:
        write(chosen, Path(sys.argv[1]))
