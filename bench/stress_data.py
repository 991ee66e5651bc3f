"""300 random small models for bench/stress.py: every shape that makes an optimiser stop early.

Rows 60 to 600, group sizes from even to very skewed, variances from zero to 1e4 times the residual one,
random vectors of one to three effects (some nearly collinear or of rank one), nested and crossed, REML and
ML. Model k depends on its number only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

COUNT = 300
SHAPES = ("one", "vector2", "vector3", "nested", "crossed", "vector_crossed", "factor", "two_vectors")


@dataclass(frozen=True)
class StressModel:
    """One model and its rows. `formula` is read the same way by henderson, lme4 and glmm."""

    number: int
    shape: str
    formula: str
    reml: bool
    frame: pd.DataFrame
    note: str


def _groups(rng: np.random.Generator, rows: int, levels: int) -> np.ndarray:
    """Codes of `levels` groups, even or skewed in size, each used at least once."""
    share = rng.dirichlet(np.full(levels, rng.choice([0.3, 1.0, 50.0])))
    codes = rng.choice(levels, size=rows, p=share)
    codes[rng.choice(rows, levels, replace=False)] = np.arange(levels)
    return codes


def _covariance(rng: np.random.Generator, m: int) -> tuple[np.ndarray, str]:
    """A covariance over a residual variance of 1: zero, tiny, ordinary, huge, mixed or of low rank."""
    kind = str(rng.choice(["zero", "tiny", "ordinary", "ordinary", "huge", "low rank", "mixed"]))
    if kind == "zero":
        return np.zeros((m, m)), kind
    scale = {"tiny": 0.05, "ordinary": 1.0, "huge": 100.0, "low rank": 1.5, "mixed": 1.0}[kind]
    half = rng.normal(size=(m, m)) * scale
    if kind == "low rank":
        half[:, 1:] = 0.0
    if kind == "mixed":
        half *= np.array([30.0, 1.0, 0.02])[:m, None]
    return half @ half.T / m, kind


def _effects(rng: np.random.Generator, codes: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, str]:
    covariance, kind = _covariance(rng, design.shape[1])
    u = rng.multivariate_normal(np.zeros(len(covariance)), covariance, size=codes.max() + 1, method="eigh")
    return np.einsum("ij,ij->i", design, u[codes]), kind


def model(number: int) -> StressModel:
    """Model `number` of 0 ... COUNT - 1."""
    rng = np.random.default_rng([20261, number])
    shape = SHAPES[number % len(SHAPES)]
    rows = int(rng.integers(60, 601))
    g = _groups(rng, rows, int(rng.integers(5, max(6, rows // 8))))
    h = _groups(rng, rows, int(rng.integers(4, 21)))
    x, z = rng.normal(size=(2, rows))
    x += rng.choice([0.0, 5.0])  # an uncentred slope correlates with the intercept
    f = rng.integers(0, 3, rows)
    one = np.ones(rows)
    y = 3.0 + 0.7 * x - 0.4 * z + rng.normal(size=rows)
    random, notes = [], []

    def add(text: str, codes: np.ndarray, *columns: np.ndarray) -> None:
        nonlocal y
        part, kind = _effects(rng, codes, np.column_stack(columns))
        y = y + part
        random.append(text)
        notes.append(kind)

    fixed = "x + z"
    if shape == "one":
        add("(1 | g)", g, one)
    elif shape == "vector2":
        add("(x | g)", g, one, x)
    elif shape == "vector3":
        add("(x + z | g)", g, one, x, z)
    elif shape == "nested":
        add("(1 | g/h)", g, one)
        part, kind = _effects(rng, np.unique(g * 100 + h, return_inverse=True)[1], one[:, None])
        y, _ = y + part, notes.append(kind)
    elif shape == "crossed":
        add("(1 | g)", g, one)
        add("(1 | h)", h, one)
    elif shape == "vector_crossed":
        add("(x | g)", g, one, x)
        add("(1 | h)", h, one)
    elif shape == "factor":
        fixed = "x + f"
        add("(f | g)", g, one, f == 1, f == 2)
    else:
        add("(x | g)", g, one, x)
        add("(z | h)", h, one, z)
    frame = pd.DataFrame({"y": y, "x": x, "z": z, "f": f, "g": g, "h": h})
    for column in "fgh":
        frame[column] = frame[column].map(lambda v, c=column: f"{c}{v:03d}")
    reml = bool(number // len(SHAPES) % 2 == 0)
    return StressModel(number, shape, f"y ~ {fixed} + {' + '.join(random)}", reml, frame, ", ".join(notes))
