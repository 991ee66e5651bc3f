"""Fisher's F: tail probabilities and quantiles; of chi-squared over its degrees of freedom where those of the denominator are
infinite."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import chdtrc, chdtri, fdtrc, fdtri


def tail(statistic: Any, df1: Any, df2: Any) -> np.ndarray:
    """P(F > statistic), of the shape that the three broadcast to."""
    finite = np.isfinite(df2)
    return np.where(finite, fdtrc(df1, np.where(finite, df2, 1.0), statistic), chdtrc(df1, df1 * statistic))


def quantile(level: float, df1: Any, df2: Any) -> np.ndarray:
    """The F with P(F <= it) = level."""
    finite = np.isfinite(df2)
    return np.where(finite, fdtri(df1, np.where(finite, df2, 1.0), level), chdtri(df1, 1.0 - level) / df1)
