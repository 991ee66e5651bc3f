"""Q of `multivariate_t` for any correlations, in polar coordinates around each Z_i = x.

In the direction w of the r - 1 dimensions left, the others stay below x up to the radius x / h_i(w),
h_i(w) = max_j +-b_j'w / (1 -+ c_ij), so that

    Q(x) = sum_i mean over w of P(chi_{r-1} < x / h_i(w)),

an exact sum of two terms for rank 2, Gauss-Legendre quadrature over a circle cut where the nearest face changes for rank 3, and a
randomly shifted net of directions beyond, which gives its own error. Correlations may be singular.

Deak (1980) Numer. Math. 35; Genz & Bretz (2009) Computation of Multivariate Normal and t Probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import gammainc, ndtri

from .maximum import NODES, WEIGHTS, Array, Maximum

SHIFTS, DIRECTIONS = 8, 2**15
"""Of the net: shifts, each of so many directions."""
_MANY = 60
"""Comparisons beyond which half as many do, for time."""
_GROUPS = 8192
_SEED = 20_240_229


def polar(vectors: Array) -> Maximum:
    """max |Z_i| of Z_i = v_i'z, for unit vectors (m, r) no two of which are parallel."""
    m, rank = vectors.shape
    faces = [_faces(vectors, i) for i in range(m)]
    if rank == 2:
        slopes = np.concatenate([[f.max(initial=0.0), (-f).max(initial=0.0)] for f in faces])
        return Maximum(_radial(slopes, np.full(len(slopes), 0.5), 1), m)
    if rank == 3:
        found = [_circle(f) for f in faces]
        slopes, weights = (np.concatenate(each) for each in zip(*found, strict=True))
        return Maximum(_radial(slopes, weights, 2), m)
    return _by_net(faces, m, rank)


def _faces(vectors: Array, i: int) -> Array:
    """The vectors v with h_i(w) = max v'w, in coordinates of what is orthogonal to vector i: (2 (m - 1), r - 1)."""
    own = vectors[i]
    basis = np.linalg.svd(own[None, :])[2][1:]
    others = np.delete(vectors, i, axis=0)
    c = others @ own
    b = others @ basis.T
    return np.concatenate([b / (1.0 - c)[:, None], -b / (1.0 + c)[:, None]])


def _radial(slopes: Array, weights: Array, dimension: int) -> Callable[[Array], Array]:
    """x -> sum of weights P(chi_dimension < x / slope)."""
    open_ = slopes <= 0.0
    always = float(weights[open_].sum())
    slope, weight = slopes[~open_], weights[~open_]

    def inner(x: Array) -> Array:
        out = np.empty_like(x)
        for start in range(0, len(x), 64):
            part = slice(start, start + 64)
            out[part] = gammainc(0.5 * dimension, 0.5 * (x[part, None] / slope) ** 2) @ weight
        return out + always

    return inner


def _circle(faces: Array) -> tuple[Array, Array]:
    """h at Gauss points of a circle cut where the face that is met first changes, and their weights (sum 1)."""
    angle = np.arctan2(faces[:, 1], faces[:, 0])
    size = np.hypot(faces[:, 0], faces[:, 1])
    cuts = _hull_normals(faces)
    spans = np.diff(np.concatenate([cuts, [cuts[0] + 2.0 * np.pi]]))
    slopes, weights = [], []
    for start, span in zip(cuts, spans, strict=True):
        if span <= 1e-14:
            continue
        parts = int(np.ceil(span / (np.pi / 8.0)))
        half = span / parts / 2.0
        for part in range(parts):
            psi = start + half * (2 * part + 1 + NODES)
            slopes.append((size * np.cos(psi[:, None] - angle)).max(axis=1))
            weights.append(half * WEIGHTS / (2.0 * np.pi))
    return np.concatenate(slopes), np.concatenate(weights)


def _hull_normals(points: Array) -> Array:
    """Angles at which another corner of the convex hull becomes the farthest: those of the normals of its edges, sorted."""
    order = np.lexsort((points[:, 1], points[:, 0]))
    scale = np.abs(points).max()

    def chain(indices: Any) -> list[int]:
        out: list[int] = []
        for i in indices:
            while len(out) > 1:
                a, b, p = points[out[-2]], points[out[-1]], points[i]
                if (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 1e-14 * scale**2:
                    break
                out.pop()
            out.append(int(i))
        return out[:-1]

    corners = points[chain(order) + chain(order[::-1])]
    edge = np.roll(corners, -1, axis=0) - corners
    return np.sort(np.arctan2(-edge[:, 0], edge[:, 1]))


def _by_net(faces: list[Array], m: int, rank: int) -> Maximum:
    """Q and its standard error by a Sobol net of directions, shifted at random (with a fixed seed) a few times."""
    from scipy.stats import qmc

    d = rank - 1
    count = DIRECTIONS if m <= _MANY else DIRECTIONS // 2
    net = qmc.Sobol(d, scramble=False).random(count)
    rng = np.random.default_rng(_SEED)
    each = []
    for _ in range(SHIFTS):
        u = (net + rng.random(d)) % 1.0
        normal = ndtri(np.clip(u, 1e-15, 1.0 - 1e-15))
        w = normal / np.linalg.norm(normal, axis=1)[:, None]
        pooled = np.concatenate([(w @ f.T).max(axis=1) for f in faces])
        each.append(_radial(*_grouped(pooled, 1.0 / count), d))

    @lru_cache(maxsize=4)
    def table(key: bytes) -> Array:
        x = np.frombuffer(key)
        return np.array([inner(x) for inner in each])

    def mean(x: Array) -> Array:
        return table(np.ascontiguousarray(x).tobytes()).mean(axis=0)

    def spread(x: Array) -> Array:
        values = table(np.ascontiguousarray(x).tobytes())
        return values.std(axis=0, ddof=1) / np.sqrt(SHIFTS)

    return Maximum(mean, m, spread)


def _grouped(values: Array, weight: float) -> tuple[Array, Array]:
    """Means of neighbours and their weights: the sums of a smooth function of many values from few."""
    values = np.sort(values)
    groups = max(1, len(values) // _GROUPS)
    starts = np.arange(0, len(values), groups)
    count = np.diff(np.concatenate([starts, [len(values)]]))
    return np.add.reduceat(values, starts) / count, weight * count
