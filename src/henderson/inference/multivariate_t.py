"""Tails of max |t_i|: the distribution that a family of comparisons is judged by.

Z_1 ... Z_m are standard normal, t_i = Z_i / s with s^2 ~ chi^2_df / df common to all. The density of M = max |Z_i| is

    f(x) = 2 phi(x) Q(x),      Q(x) = sum_i P(all other |Z_j| < x  given  Z_i = x),     0 <= Q <= m,

and, with G the distribution function of s,

    P(max |t_i| > c) = int_0^inf f(x) G(x / c) dx.

Every factor is positive and smooth, so small tails keep their relative accuracy. Q is Bonferroni's sum with what it counts
twice taken off. It is had, for whatever correlations,

- exactly for pairwise differences of independent means of equal variance (Tukey's studentised range);
- by one integral where Z_j = l_j U + independent noise (Dunnett's comparisons with a control);
- otherwise in polar coordinates around each Z_i = x: in the direction w of the r - 1 dimensions left, the others stay below x
  up to the radius x / h_i(w), h_i(w) = max_j +-b_j'w / (1 -+ c_ij), so that

    Q(x) = sum_i mean over w of P(chi_{r-1} < x / h_i(w)),

  an exact sum of two terms for rank 2, Gauss-Legendre quadrature over a circle cut where the nearest face changes for rank 3,
  and a randomly shifted net of directions beyond, which gives its own error. Correlations may be singular.

Sources: Tukey (1953); Dunnett (1955) JASA 50; Hochberg & Tamhane (1987) Multiple Comparison Procedures, appendix 2; Genz & Bretz
(2009) Computation of Multivariate Normal and t Probabilities; Deak (1980) Numer. Math. 35 for polar coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import gammainc, log_ndtr, ndtr, ndtri, stdtr, stdtrit

Array = np.ndarray

_ORDER = 16
_WIDTH = 0.5
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(_ORDER)
_FARTHEST = 39.0
"""x beyond which phi(x) is 0 in float64."""
_PARALLEL = 1e-9
_RANK = 1e-9
_STEP, _REACH = 0.1, 8.5
SHIFTS, DIRECTIONS = 8, 2**15
"""Of the net: shifts, each of so many directions."""
_MANY = 60
"""Comparisons beyond which half as many do, for time."""
_GROUPS = 8192
_SEED = 20_240_229


class Maximum:
    """max |Z_i| over a standard deviation.

    Parameters
    ----------
    inner : x (k,) -> Q(x) (k,).
    size : m, the number of comparisons Bonferroni's bound counts.
    spread : x -> standard error of Q(x) where Q is an estimate; None where it is exact.
    """

    def __init__(
        self,
        inner: Callable[[Array], Array],
        size: float,
        spread: Callable[[Array], Array] | None = None,
    ):
        self.size = size
        self._inner = _Interpolated(inner)
        self._spread = None if spread is None else _Interpolated(spread)

    def tail(self, c: Any, df: Any) -> Array:
        """P(max |t_i| > c), of the shape that c and df broadcast to; NaN where either is."""
        return _each(lambda a, b: _integral(self._inner, a, b), c, df)

    def tail_error(self, c: Any, df: Any) -> Array:
        """Standard error of `tail`; 0 where it is exact."""
        spread = self._spread
        if spread is None:
            return np.zeros(np.broadcast_shapes(np.shape(c), np.shape(df)))
        return _each(lambda a, b: _integral(spread, a, b), c, df)

    def quantile(self, level: float, df: Any) -> Array:
        """The c with P(max |t_i| <= c) = level."""
        return _each(lambda a, b: self._quantile(a, b), level, df)

    def _quantile(self, level: float, df: float) -> float:
        from scipy.optimize import brentq

        alpha = 1.0 - level
        low, high = _t_upper(alpha, df), _t_upper(alpha / max(self.size, 1.0), df)
        if not high > low * (1.0 + 1e-12):
            return low

        def excess(c: float) -> float:
            return float(np.log(_integral(self._inner, c, df) / alpha))

        while excess(high) > 0.0:
            high *= 1.01
        while excess(low) < 0.0:
            low *= 0.99
        return float(brentq(excess, low, high, xtol=1e-13, rtol=1e-13))


def studentized_range(k: float) -> Maximum:
    """All differences of k independent means of one variance, over their standard error: the studentised range over
    sqrt(2). k need not be whole.

    With w the range, f(w) = k (k - 1) int phi(z) phi(z - w) (Phi(z) - Phi(z - w))^(k - 2) dz, taken about its centre.
    """
    return _range(float(k))


@lru_cache(maxsize=32)
def _range(k: float) -> Maximum:
    y = np.arange(0.0, 6.4, 0.04)
    weight = np.exp(-(y**2)) * 0.04
    weight[0] *= 0.5

    def inner(x: Array) -> Array:
        half = x[:, None] / np.sqrt(2.0)
        inside = ndtr(half - y) - ndtr(-half - y)
        return k * (k - 1.0) / np.sqrt(np.pi) * (inside ** (k - 2.0)) @ weight

    return Maximum(inner, k * (k - 1.0) / 2.0)


def correlated(correlation: Array) -> Maximum:
    """Any correlation matrix (m, m), singular ones too."""
    vectors = _distinct(_vectors(np.asarray(correlation, dtype=np.float64)))
    m, rank = vectors.shape
    if m == 1:
        return Maximum(np.ones_like, 1.0)
    if rank > 3:
        gram = vectors @ vectors.T
        groups = _groups_of_range(gram)
        if groups:
            return studentized_range(groups)
        loadings = _one_factor(gram)
        if loadings is not None:
            return one_factor(loadings)
    return _polar(vectors)


def one_factor(loadings: Array) -> Maximum:
    """Correlations l_i l_j between i and j, |l_i| < 1."""
    value, count = np.unique(np.abs(np.asarray(loadings, dtype=np.float64)), return_counts=True)
    noise = np.sqrt(1.0 - value**2)
    ratio = np.min(noise[:, None] / np.maximum(value * noise[:, None].T, 1e-3))
    step = max(min(_STEP * 2, 0.25 * ratio), 0.01)
    v = np.arange(-_REACH, _REACH + step / 2, step)
    weight = np.exp(-0.5 * v**2) * step / np.sqrt(2.0 * np.pi)

    def inner(x: Array) -> Array:
        total = np.zeros_like(x)
        for i in range(len(value)):
            u = value[i] * x[:, None] + noise[i] * v
            others = np.ones_like(u)
            for j in range(len(value)):
                below = ndtr((x[:, None] - value[j] * u) / noise[j]) - ndtr(
                    (-x[:, None] - value[j] * u) / noise[j]
                )
                others *= below ** (count[j] - (i == j))
            total += count[i] * (others @ weight)
        return total

    return Maximum(inner, float(count.sum()))


# -- the integral over x -------------------------------------------------------------------------------------


class _Interpolated:
    """A smooth function of x >= 0, known by its values at the Gauss points of panels, made as far as it is asked for."""

    def __init__(self, function: Callable[[Array], Array]):
        self.function = function
        near = _WIDTH * 2.0 ** -np.arange(10.0, -1.0, -1.0)
        self.edges = np.concatenate([[0.0], near])
        self.values = self._at(self.edges)
        points = np.polynomial.legendre.legvander(_NODES, _ORDER - 1)
        # Discrete orthogonality at the Gauss points: values -> Legendre coefficients.
        self._to_legendre = (points * _WEIGHTS[:, None]) * (np.arange(_ORDER) + 0.5)
        self.coefficients = self.values @ self._to_legendre

    def _at(self, edges: Array) -> Array:
        half = np.diff(edges)[:, None] / 2.0
        x = edges[:-1, None] + half * (1.0 + _NODES)
        return self.function(x.ravel()).reshape(x.shape)

    def __call__(self, x: Array) -> Array:
        last = float(x.max(initial=0.0))
        if last > self.edges[-1]:
            count = int(np.ceil((last - self.edges[-1]) / _WIDTH)) + 2
            more = self.edges[-1] + _WIDTH * np.arange(count + 1)
            self.edges = np.concatenate([self.edges, more[1:]])
            self.coefficients = np.concatenate([self.coefficients, self._at(more) @ self._to_legendre])
        panel = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.edges) - 2)
        low, high = self.edges[panel], self.edges[panel + 1]
        z = (2.0 * x - low - high) / (high - low)
        basis = np.polynomial.legendre.legvander(z, _ORDER - 1)
        return np.maximum(np.einsum("ij,ij->i", basis, self.coefficients[panel]), 0.0)


def _integral(inner: Callable[[Array], Array], c: float, df: float) -> float:
    if np.isnan(c) or np.isnan(df):
        return np.nan
    if c <= 0.0:
        return 1.0
    infinite = np.isinf(df)
    if infinite and c >= _FARTHEST:
        return 0.0
    single = float(2.0 * log_ndtr(-c)) if infinite else float(np.log(max(stdtr(df, -c), 1e-300)))
    far = min(np.sqrt(2.0 * (42.0 - single)), _FARTHEST)
    edges = _edges(c, df, far)
    half = np.diff(edges)[:, None] / 2.0
    x = edges[:-1, None] + half * (1.0 + _NODES)
    flat = x.ravel()
    values = np.exp(-0.5 * flat**2) * inner(flat)
    if not infinite:
        values *= gammainc(0.5 * df, 0.5 * df * (flat / c) ** 2)
    total = np.sqrt(2.0 / np.pi) * float(np.sum(values.reshape(x.shape) * half * _WEIGHTS))
    return min(total, 1.0)


def _edges(c: float, df: float, far: float) -> Array:
    """Panels of [0, far]: as wide as the normal density allows, narrower where G(x / c) rises."""
    if np.isinf(df):
        return np.arange(c, max(far, c + 2.0) + _WIDTH, _WIDTH)
    near = _WIDTH * 2.0 ** -np.arange(10.0, 0.0, -1.0)
    wide = np.concatenate([[0.0], near, np.arange(_WIDTH, far + _WIDTH, _WIDTH)])
    sd = 1.0 / np.sqrt(2.0 * df)
    if c * sd > 2.0 * _WIDTH:
        return wide
    peak = 0.5 * np.log(df / (df + c * c))
    steps = np.arange(np.floor(peak / sd) - 14.0, 15.0)
    fine = (
        c * np.exp(sd * steps) if len(steps) < 400 else c * np.exp(np.linspace(sd * steps[0], sd * 14.0, 400))
    )
    return np.unique(np.concatenate([wide, fine[fine < wide[-1]]]))


def _t_upper(alpha: float, df: float) -> float:
    return float(-ndtri(alpha / 2.0)) if np.isinf(df) else float(-stdtrit(df, alpha / 2.0))


def _each(function: Callable[[float, float], float], first: Any, second: Any) -> Array:
    """A function of two numbers at arrays of them, each different pair once."""
    a, b = np.broadcast_arrays(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    known: dict[tuple[float, float], float] = {}
    out = np.empty(a.shape)
    for index in np.ndindex(a.shape):
        key = (float(a[index]), float(b[index]))
        if key not in known:
            known[key] = function(*key)
        out[index] = known[key]
    return out


# -- the geometry of correlations ----------------------------------------------------------------------------


def _vectors(correlation: Array) -> Array:
    """Unit vectors (m, r) whose products are the correlations."""
    value, basis = np.linalg.eigh((correlation + correlation.T) / 2.0)
    large = value > _RANK * value[-1]
    vectors = basis[:, large] * np.sqrt(value[large])
    return vectors / np.linalg.norm(vectors, axis=1)[:, None]


def _distinct(vectors: Array) -> Array:
    """One of each set of parallel vectors."""
    kept: list[int] = []
    for i in range(len(vectors)):
        if not kept or np.abs(vectors[kept] @ vectors[i]).max() < 1.0 - _PARALLEL:
            kept.append(i)
    return vectors[kept]


def _groups_of_range(gram: Array) -> int:
    """k where these are the pairwise differences of k independent means of one variance (in order), else 0."""
    m = len(gram)
    k = (1 + round(np.sqrt(1 + 8 * m))) // 2
    if k * (k - 1) // 2 != m:
        return 0
    i, j = np.triu_indices(k, 1)
    contrast = np.zeros((m, k))
    contrast[np.arange(m), i], contrast[np.arange(m), j] = 1.0, -1.0
    return (
        k
        if np.abs(np.abs(gram) - np.abs(contrast @ contrast.T) / 2.0).max() < 1e-9 and _signs(gram, contrast)
        else 0
    )


def _signs(gram: Array, contrast: Array) -> bool:
    """Whether signs of the rows make gram the products of the contrasts."""
    wanted = contrast @ contrast.T / 2.0
    sign = np.where(gram[0] * wanted[0] < 0, -1.0, 1.0)
    for i in range(1, len(gram)):
        if abs(wanted[0, i]) < 0.25:
            shared = np.flatnonzero((np.abs(wanted[0]) > 0.25) & (np.abs(wanted[i]) > 0.25))[0]
            sign[i] = sign[shared] * np.sign(gram[shared, i] * wanted[shared, i])
    return bool(np.abs(gram - sign[:, None] * wanted * sign).max() < 1e-9)


def _one_factor(gram: Array) -> Array | None:
    """Loadings l with gram = l l' off the diagonal, or None."""
    m = len(gram)
    off = gram - np.eye(m)
    if np.abs(off).max() < 1e-12:
        return np.zeros(m)
    if m < 3 or (np.abs(off + np.eye(m)) < 1e-6).any():
        return None
    squared = np.array(
        [
            off[i, j] * off[i, k] / off[j, k]
            for i, (j, k) in ((i, [n for n in range(m) if n != i][:2]) for i in range(m))
        ]
    )
    if (squared <= 0.0).any() or (squared >= 1.0 - 1e-6).any():
        return None
    loadings = np.sqrt(squared) * np.concatenate([[1.0], np.sign(off[0, 1:])])
    made = np.outer(loadings, loadings)
    np.fill_diagonal(made, 0.0)
    return loadings if np.abs(made - off).max() < 1e-9 else None


def _polar(vectors: Array) -> Maximum:
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
            psi = start + half * (2 * part + 1 + _NODES)
            slopes.append((size * np.cos(psi[:, None] - angle)).max(axis=1))
            weights.append(half * _WEIGHTS / (2.0 * np.pi))
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
