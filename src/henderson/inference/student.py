"""Student's t: tail probabilities and quantiles, normal where the degrees of freedom are infinite."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from ..errors import ModelError


def require_level(level: Any, asked: str) -> None:
    """Refuse a level of an interval that is not between 0 and 1.

    Raises
    ------
    ModelError : names what was `asked`, such as "predict".
    """
    if not isinstance(level, (int, float, np.number)) or not 0.0 < level < 1.0:
        raise ModelError(f"{asked}: level is between 0 and 1, such as 0.95, not {level!r}.")


def two_sided_p(statistic: np.ndarray, df: np.ndarray) -> np.ndarray:
    """P(|t| >= |statistic|)."""
    below = -np.abs(statistic)
    finite = np.isfinite(df)
    return 2.0 * np.where(finite, stdtr(np.where(finite, df, 1.0), below), ndtr(below))


def quantile(level: float, df: np.ndarray) -> np.ndarray:
    """The t with P(|t| <= it) = level."""
    upper = 0.5 * (1.0 + level)
    finite = np.isfinite(df)
    return np.where(finite, stdtrit(np.where(finite, df, 1.0), upper), ndtri(upper))
