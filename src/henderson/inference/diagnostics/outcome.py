"""What every test of a model's assumptions gives back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.05
"""p-value below which the sentence of a test says that the assumption fails."""


@dataclass(frozen=True)
class Outcome:
    """One test: its name with the statistic's letter, degrees of freedom (NaN where there are none; `df2` those of an
    F's denominator), p-value, and what it says.
    """

    test: str
    statistic: float
    df: float
    df2: float
    p_value: float
    says: str


def not_computed(test: str, why: str) -> Outcome:
    """The line of a test that these rows do not allow."""
    return Outcome(test, np.nan, np.nan, np.nan, np.nan, f"not computed: {why}")


def verdict(p_value: float, fails: str, holds: str) -> str:
    """What a p-value says; small ones speak against the assumption."""
    if np.isnan(p_value):
        return "not defined for these residuals"
    shown = "p < 1e-4" if p_value < 1e-4 else f"p = {p_value:.2g}"
    return f"{fails} ({shown})" if p_value < LEVEL else f"{holds} ({shown})"


def table(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Columns test, statistic, df, df2, p_value, says."""
    lines = list(outcomes)
    columns: dict[str, Any] = {"test": [line.test for line in lines]}
    for name in ("statistic", "df", "df2", "p_value"):
        columns[name] = np.array([getattr(line, name) for line in lines], dtype=np.float64)
    columns["says"] = [line.says for line in lines]
    return columns
