"""The semivariogram over a grid: by displacement along rows and columns, the usual check of an AR1 x AR1 model of a field trial.

Source: Gilmour, Cullis & Verbyla (1997) JABES 2, 269-293.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelError
from .places import model_correlation, places, residuals_of

Array = np.ndarray


def displacement_variogram(
    fit: Any,
    coordinates: tuple[str, str] | None = None,
    groups: str | None = None,
    *,
    data: Any = None,
    kind: str = "pearson",
    max_lags: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Mean of (r_i - r_j)^2 / 2 over pairs of plots so many rows and columns apart, as plain columns.

    Parameters
    ----------
    coordinates, groups, data, kind : as in `variogram`; two coordinates, of which the places in ascending order count.
    max_lags : most rows and columns apart; two thirds of the grid by default.

    Returns
    -------
    One column for each coordinate with the lag in steps, semivariance, n_pairs, and model where the fitted correlation is one of
    both coordinates by steps.

    Raises
    ------
    ModelError : not two coordinates; two plots in one place.
    """
    where = places(fit, coordinates, groups, data)
    if len(where.coordinates) != 2:
        raise ModelError(
            f"displacement_variogram: two coordinates are needed, such as row and col; there are {len(where.coordinates)}."
        )
    r = residuals_of(fit, kind, "displacement_variogram")
    codes = [np.unique(c, return_inverse=True) for c in where.coordinates]
    shape = tuple(len(levels) for levels, _ in codes)
    fields = [_field(codes[0][1], codes[1][1], r, where.groups == g, shape) for g in np.unique(where.groups)]
    most = max_lags or tuple(max(1, (2 * size) // 3) for size in shape)
    rows, cols, mean, count = by_displacement(fields, most)
    out: dict[str, Any] = {
        where.names[0]: np.array(rows),
        where.names[1]: np.array(cols),
        "semivariance": np.array(mean),
        "n_pairs": np.array(count),
    }
    even = all(np.ptp(np.diff(levels)) <= 1e-9 * np.ptp(levels) for levels, _ in codes if len(levels) > 2)
    if where.own and kind == "pearson" and even:
        steps = [float(levels[1] - levels[0]) if len(levels) > 1 else 1.0 for levels, _ in codes]
        curve = model_correlation(fit, np.array(rows) * steps[0], np.array(cols) * steps[1])
        if curve is not None:
            out["model"] = 1.0 - curve
    return out


def by_displacement(
    fields: list[Array], most: tuple[int, ...]
) -> tuple[list[int], list[int], list[float], list[int]]:
    """Rows apart, columns apart, semivariance and number of pairs, for displacements up to `most`, over fields of one shape with
    NaN where there is no plot."""
    shape = fields[0].shape
    rows, cols, mean, count = [], [], [], []
    for i in range(min(most[0], shape[0] - 1) + 1):
        for j in range(min(most[1], shape[1] - 1) + 1):
            total, n = _at_lag(fields, i, j)
            if n and (i or j):
                rows.append(i)
                cols.append(j)
                mean.append(total / n)
                count.append(n)
    return rows, cols, mean, count


def _field(i: Array, j: Array, r: Array, here: Array, shape: tuple[int, ...]) -> Array:
    field = np.full(shape, np.nan)
    i, j = i[here], j[here]
    if len(np.unique(i * shape[1] + j)) < len(i):
        raise ModelError("displacement_variogram: two plots of one group are in one place; name the groups.")
    field[i, j] = r[here]
    return field


def _at_lag(fields: list[Array], i: int, j: int) -> tuple[float, int]:
    """Sum of half squares over pairs i rows and j columns apart, both ways along the diagonal, and their number."""
    total, n = 0.0, 0
    for field in fields:
        low, high = field[: field.shape[0] - i], field[i:]
        width = field.shape[1] - j
        both = [(low[:, :width], high[:, j:])] + ([(low[:, j:], high[:, :width])] if i and j else [])
        for a, b in both:
            half = 0.5 * (a - b) ** 2
            good = np.isfinite(half)
            total += float(half[good].sum())
            n += int(good.sum())
    return total, n
