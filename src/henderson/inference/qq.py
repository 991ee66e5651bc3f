"""Where the sorted residuals of a model with normal errors lie: point by point, and all together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaincinv, ndtri

from .whitened import Whitened

MANY = 5_000
"""Rows up to which whole residual vectors are simulated."""
_CELLS = 4_000_000
_PLACES = 400


@dataclass(frozen=True)
class Bands:
    """Places of the sorted residuals that are drawn, with their bands.

    Attributes
    ----------
    place : 0-based ranks (k,); quantile : their normal quantiles.
    low, high : hold `level` of the residuals at each place.
    low_all, high_all : hold all places at once in `level` of all data sets.
    """

    place: np.ndarray
    quantile: np.ndarray
    low: np.ndarray
    high: np.ndarray
    low_all: np.ndarray
    high_all: np.ndarray


def bands(rows: Whitened, level: float = 0.95, simulations: int = 2_000, seed: int = 1) -> Bands:
    """Bands for the standardised residuals of a linear model, under normal errors.

    Up to 5,000 rows, normal errors are drawn and projected as the model projects them, so that the bands know its
    leverages and its estimated mean and variance (Atkinson 1981). Beyond, sorted uniforms are drawn at 400 ranks and
    estimation, which narrows the bands, is left out. The simultaneous band has the same probability of being left at
    each rank (Aldor-Noiman et al. 2013), which is chosen so that `level` of the simulated data sets stay inside.

    Parameters
    ----------
    rows : those of leverage 1 have no place in the plot.
    seed : of the simulation; the same seed gives the same band.
    """
    seen = rows.leverage < 1.0
    n = int(seen.sum())
    rng = np.random.default_rng(seed)
    place = _places(n)
    quantile = ndtri((place + 0.625) / (n + 0.25))
    if n <= MANY and rows.df > 0:
        drawn = _simulate(rows, max(200, min(simulations, _CELLS // n)), rng)
        low, high, low_all, high_all = _from_draws(drawn, level)
    else:
        low, high = (ndtri(betaincinv(place + 1, n - place, p)) for p in (0.5 - level / 2, 0.5 + level / 2))
        tail = _local_level(place, n, level, simulations, rng)
        low_all = ndtri(betaincinv(place + 1, n - place, tail))
        high_all = ndtri(betaincinv(place + 1, n - place, 1.0 - tail))
    return Bands(place, quantile, low, high, low_all, high_all)


def _places(n: int) -> np.ndarray:
    """All ranks, or those that show the whole where there are many: dense at both ends."""
    if n <= MANY:
        return np.arange(n)
    ends = np.unique(np.geomspace(1, n / 2, _PLACES // 2).astype(int)) - 1
    return np.unique(np.concatenate([ends, n - 1 - ends, np.linspace(0, n - 1, _PLACES // 2).astype(int)]))


def _simulate(rows: Whitened, count: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted standardised residuals (n, count) of normal errors in this model."""
    e = rng.standard_normal((rows.n, count))
    e -= rows.basis @ (rows.basis.T @ e)
    e /= np.sqrt(np.einsum("ij,ij->j", e, e) / rows.df)
    seen = rows.leverage < 1.0
    e = e[seen] / np.sqrt(rows.unleveraged[seen])[:, None]
    e.sort(axis=0)
    return e


def _from_draws(drawn: np.ndarray, level: float) -> tuple[np.ndarray, ...]:
    count = drawn.shape[1]
    ranks = drawn.argsort(axis=1).argsort(axis=1)
    farthest = np.minimum(ranks, count - 1 - ranks).min(axis=0)
    # The depth that a share `level` of the data sets keep at every rank.
    depth = int(np.floor(np.quantile(farthest, 1.0 - level)))
    each = np.sort(drawn, axis=1)
    low, high = np.quantile(each, (0.5 - level / 2, 0.5 + level / 2), axis=1)
    return low, high, each[:, depth], each[:, count - 1 - depth]


def _local_level(place: np.ndarray, n: int, level: float, count: int, rng: np.random.Generator) -> float:
    """The tail probability at each rank with which the band holds all of `place` in `level` of the draws.

    Sorted uniforms at given ranks are partial sums of gamma variables over their total.
    """
    gaps = np.diff(place + 1, prepend=0)
    sums = np.cumsum(rng.gamma(gaps, size=(count, len(place))), axis=1)
    uniform = sums / (sums[:, -1] + rng.gamma(n - place[-1], size=count))[:, None]
    tail = betainc(place + 1, n - place, uniform)
    return float(np.quantile(np.minimum(tail, 1.0 - tail).min(axis=1), 1.0 - level))
