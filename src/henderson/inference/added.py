"""Added-variable plots: the response and one column of X, each without what the other columns explain.

With Q R = X* and t = R^-T e_j, column j less its projection on the others is Q t / t't, and the response less its
projection on the others is e* + b_j times that: the line through both has slope b_j and the residuals of the fit
(Cook & Weisberg 1982, section 2.3). No regression is run again.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from .whitened import Whitened


def added_variable(rows: Whitened, coefficients: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y (n,) of the plot of the j-th kept column."""
    unit = np.zeros(rows.rank)
    unit[j] = 1.0
    t = solve_triangular(rows.root, unit, trans="T")
    x = rows.basis @ (t / (t @ t))
    return x, rows.residuals + coefficients[j] * x
