"""The empirical semivariogram of residuals, and the fitted model's curve beside it.

    g(d) = mean of (r_i - r_j)^2 / 2 over pairs of one group about d apart

by classes of distance; robust: g(d) = (mean of |r_i - r_j|^(1/2))^4 / (2 (0.457 + 0.494 / N)), N pairs (Cressie & Hawkins 1980).
The definitions are those of Pinheiro & Bates (2000), sections 5.2-5.4, except that the pairs at the shortest distance belong to
the first class.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import ModelError
from .places import model_correlation, places, residuals_of

Array = np.ndarray
_MOST_PAIRS = 50_000_000
_TREE = 1500
"""Rows of a group from which on pairs within a distance are found by a tree."""


def variogram(
    fit: Any,
    coordinates: str | Sequence[str] | None = None,
    groups: str | None = None,
    *,
    data: Any = None,
    kind: str = "pearson",
    bins: int | Sequence[float] = 20,
    by: str = "quantiles",
    max_distance: float | None = None,
    robust: bool = False,
) -> dict[str, Any]:
    """Semivariances of residuals by distance, as plain columns. See `Checks.variogram`."""
    where = places(fit, coordinates, groups, data)
    if not where.coordinates:
        raise ModelError(
            "variogram: this fit has no coordinates in residual=: name them, coordinates=['x', 'y']."
        )
    _check(bins, by, max_distance)
    r = residuals_of(fit, kind, "variogram")
    distance, half = _pairs(np.column_stack(where.coordinates), where.groups, r, max_distance, robust)
    out = _by_class(distance, half, _bounds(distance, bins, by), robust)
    if where.own and kind == "pearson":
        curve = model_correlation(fit, out["distance"])
        if curve is not None:
            out["model"] = 1.0 - curve
    return out


def _check(bins: Any, by: str, max_distance: float | None) -> None:
    if by not in ("quantiles", "width"):
        raise ModelError(f"variogram: by is 'quantiles' or 'width', not {by!r}.")
    if isinstance(bins, int | np.integer):
        if bins < 1:
            raise ModelError(f"variogram: bins is at least 1, not {bins}.")
    elif not _ascending(bins):
        raise ModelError("variogram: bins is a number of classes, or their bounds in ascending order.")
    if max_distance is not None and not (
        isinstance(max_distance, (int, float, np.number)) and max_distance > 0
    ):
        raise ModelError(f"variogram: max_distance is positive, not {max_distance!r}.")


def _ascending(bounds: Any) -> bool:
    try:
        values = np.asarray(bounds, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return values.ndim == 1 and len(values) > 1 and bool((np.diff(values) > 0).all())


def _pairs(
    points: Array, groups: Array, r: Array, max_distance: float | None, robust: bool
) -> tuple[Array, Array]:
    """Distances of the pairs, and (r_i - r_j)^2 / 2, or the root of |r_i - r_j|."""
    order = np.argsort(groups, kind="stable")
    bounds = np.append(np.flatnonzero(np.diff(groups[order], prepend=-1)), len(r))
    sizes = np.diff(bounds)
    if max_distance is None and float((sizes * (sizes - 1.0) / 2.0).sum()) > _MOST_PAIRS:
        raise ModelError(
            f"variogram: there are {(sizes * (sizes - 1.0) / 2.0).sum():.0f} pairs. Give max_distance=, or groups=."
        )
    distances, halves = [np.zeros(0)], [np.zeros(0)]
    for a, b in pairwise(bounds):
        rows = order[a:b]
        d, i, j = _near(points[rows], max_distance)
        gap = np.abs(r[rows][i] - r[rows][j])
        distances.append(d)
        halves.append(np.sqrt(gap) if robust else 0.5 * gap * gap)
    distance, half = np.concatenate(distances), np.concatenate(halves)
    if not distance.size:
        raise ModelError(
            "variogram: no two rows of one group"
            + ("" if max_distance is None else f" are within {max_distance:g} of one another")
            + "."
        )
    return distance, half


def _near(points: Array, max_distance: float | None) -> tuple[Array, Array, Array]:
    """Distances and numbers of the pairs i < j."""
    from scipy.spatial import cKDTree
    from scipy.spatial.distance import pdist

    n = len(points)
    if max_distance is not None and n > _TREE:
        tree = cKDTree(points)
        count = (int(tree.count_neighbors(tree, max_distance)) - n) // 2
        if count > _MOST_PAIRS:
            raise ModelError(
                f"variogram: {count} pairs are within max_distance={max_distance:g}: give a shorter one."
            )
        i, j = tree.query_pairs(max_distance, output_type="ndarray").T
        return np.sqrt(((points[i] - points[j]) ** 2).sum(axis=1)), i, j
    i, j = np.triu_indices(n, 1)
    d = pdist(points) if n > 1 else np.zeros(0)
    if max_distance is None:
        return d, i, j
    near = d <= max_distance
    return d[near], i[near], j[near]


def _bounds(distance: Array, bins: int | Sequence[float], by: str) -> Array:
    if not isinstance(bins, int | np.integer):
        return np.asarray(bins, dtype=np.float64)
    if by == "quantiles":
        return np.unique(np.quantile(distance, np.linspace(0.0, 1.0, int(bins) + 1)))
    low, high = float(distance.min()), float(distance.max())
    return np.linspace(low, high, int(bins) + 1) if high > low else np.array([low])


def _by_class(distance: Array, half: Array, bounds: Array, robust: bool) -> dict[str, Any]:
    """Classes (bounds[k], bounds[k + 1]], the first with its lower bound."""
    kept = (distance >= bounds[0]) & (distance <= bounds[-1])
    distance, half = distance[kept], half[kept]
    which = np.maximum(np.searchsorted(bounds, distance, side="left") - 1, 0)
    order = np.argsort(which, kind="stable")
    first = np.flatnonzero(np.diff(which[order], prepend=-1))
    count = np.diff(np.append(first, which.size))
    mean = np.add.reduceat(half[order], first) / count if first.size else np.zeros(0)
    if robust:
        mean = mean**4 / (0.457 + 0.494 / count) / 2.0
    middle = [float(np.median(part)) for part in np.split(distance[order], first[1:])] if first.size else []
    return {"distance": np.array(middle), "semivariance": mean, "n_pairs": count}
