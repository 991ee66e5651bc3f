"""Tails of max |t_i|: the distribution that a family of comparisons is judged by.

Z_1 ... Z_m are standard normal, t_i = Z_i / s with s^2 ~ chi^2_df / df common to all. The density of M = max |Z_i| is

    f(x) = 2 phi(x) Q(x),      Q(x) = sum_i P(all other |Z_j| < x  given  Z_i = x),     0 <= Q <= m,

and, with G the distribution function of s,

    P(max |t_i| > c) = int_0^inf f(x) G(x / c) dx.

Every factor is positive and smooth, so small tails keep their relative accuracy. Q is Bonferroni's sum with what it counts
twice taken off. It is had, for whatever correlations,

- exactly for pairwise differences of independent means of equal variance (Tukey's studentised range);
- by one integral where Z_j = l_j U + independent noise (Dunnett's comparisons with a control);
- otherwise in polar coordinates around each Z_i = x (`polar`).

Sources: Tukey (1953); Dunnett (1955) JASA 50; Hochberg & Tamhane (1987) Multiple Comparison Procedures, appendix 2.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from .maximum import Array, Maximum
from .polar import polar

_PARALLEL = 1e-9
_RANK = 1e-9
_STEP, _REACH = 0.1, 8.5


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
    return polar(vectors)


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
