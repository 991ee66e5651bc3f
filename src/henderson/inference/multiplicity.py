"""P-values and limits of a family of comparisons: the chance that any of them errs is held, not that of each.

| method | what it is right for |
|---|---|
| tukey | all pairwise differences (studentised range; exact for independent means of one variance, else conservative: Hayter 1984) |
| mvt | any family: exact from the correlations of its estimates |
| dunnett | comparisons with a control: exact from the correlations |
| dunnettx | the same without the correlations: a mixture of tukey and sidak that is close where they are near 1/2 (R's emmeans) |
| scheffe | every contrast there is (Scheffe 1953) |
| sidak | independent statistics; conservative for two-sided t (Sidak 1967) |
| bonferroni, holm, hochberg, hommel | any dependence (the last two: not any negative one) |
| fdr (bh), by | the share of false ones among those found (Benjamini & Hochberg 1995; Benjamini & Yekutieli 2001) |

Limits: tukey, mvt, dunnett, dunnettx, scheffe and sidak have their own; bonferroni stands in for the step-wise ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import ModelError, closest
from . import fisher
from .maximum import Maximum
from .multivariate_t import correlated, studentized_range
from .student import quantile, two_sided_p

METHODS = (
    "none", "tukey", "mvt", "dunnett", "dunnettx", "scheffe", "sidak", "bonferroni", "holm", "hochberg", "hommel", "fdr", "by",
)  # fmt: skip
_SAME = {
    "bh": "fdr",
    "benjamini-hochberg": "fdr",
    "benjamini-yekutieli": "by",
    "šidák": "sidak",
    None: "none",
}


@dataclass(frozen=True, eq=False)
class Family:
    """Comparisons judged together: those of them that can be estimated.

    Attributes
    ----------
    count : how many.
    means : how many means, where they are all the pairwise differences of them; else None.
    control : whether they are comparisons with a control.
    covariance : (count, count) of their estimates.
    """

    count: int
    means: int | None
    control: bool
    covariance: np.ndarray

    @cached_property
    def rank(self) -> int:
        """Dimensions of the space the comparisons span."""
        value = np.linalg.eigvalsh(self.correlation)
        return int(np.sum(value > 1e-9 * value[-1])) if len(value) else 0

    @cached_property
    def correlation(self) -> np.ndarray:
        """(count, count)."""
        sd = np.sqrt(np.diag(self.covariance))
        sd = np.where(sd > 0, sd, 1.0)
        out = self.covariance / np.outer(sd, sd)
        np.fill_diagonal(out, 1.0)
        return out

    @cached_property
    def maximum(self) -> Maximum:
        """max |t| of the family."""
        return correlated(self.correlation)


def method_named(method: Any, asked: str = "adjust") -> str:
    """A method of adjustment by its name.

    Raises
    ------
    ModelError : there is none of that name (the closest is given).
    """
    name = method.casefold() if isinstance(method, str) else method
    name = _SAME.get(name, name) if name is None or isinstance(name, str) else name
    if name in METHODS:
        return name
    near = closest(str(method), METHODS)
    hint = f"The closest is {near!r}." if near else f"There are {', '.join(map(repr, METHODS))}."
    raise ModelError(f"{asked}={method!r} is no method of adjustment. {hint}")


def require_suitable(method: str, families: Sequence[Family], asked: str = "adjust") -> None:
    """Refuse tukey for what are not all pairwise differences, dunnett for what are not comparisons with a control.

    Raises
    ------
    ModelError : names the method that is right.
    """
    for family in families:
        if family.count < 2:
            continue
        if method == "tukey" and family.means is None:
            raise ModelError(
                f"{asked}='tukey' is for all pairwise differences of one set of means. For other contrasts 'mvt' is exact."
            )
        if method in ("dunnett", "dunnettx") and not family.control:
            raise ModelError(
                f"{asked}={method!r} is for comparisons with a control. For other contrasts 'mvt' is exact."
            )


def adjusted_p(statistic: np.ndarray, df: np.ndarray, method: str, family: Family) -> np.ndarray:
    """Adjusted two-sided p-values (count,) of the t statistics of a family."""
    size = np.abs(statistic)
    single = two_sided_p(statistic, df)
    m = family.count
    if method == "scheffe":
        return fisher.tail(size**2 / max(family.rank, 1), family.rank, df)
    if m < 2 or method == "none":
        return single
    if method == "tukey":
        return studentized_range(float(family.means or 2)).tail(size, df)
    if method in ("mvt", "dunnett"):
        return family.maximum.tail(size, df)
    if method == "dunnettx":
        return _dunnettx(size, df, m)
    if method == "sidak":
        return _sidak(single, m)
    return _stepwise(single, method)


def critical_values(level: float, df: np.ndarray, method: str, family: Family) -> np.ndarray:
    """How many standard errors (count,) the simultaneous limits of a family are from its estimates."""
    m = family.count
    if method == "scheffe":
        return np.sqrt(family.rank * fisher.quantile(level, family.rank, df))
    if m < 2 or method == "none":
        return quantile(level, df)
    if method == "tukey":
        return studentized_range(float(family.means or 2)).quantile(level, df)
    if method in ("mvt", "dunnett"):
        return family.maximum.quantile(level, df)
    if method == "dunnettx":
        return _dunnettx_quantile(level, df, m)
    if method == "sidak":
        return quantile(level ** (1.0 / m), df)
    return quantile(1.0 - (1.0 - level) / m, df)


def limits_method(method: str) -> str:
    """The method the limits are made by: bonferroni for those that only adjust p-values."""
    return "bonferroni" if method in ("holm", "hochberg", "hommel", "fdr", "by") else method


def sampling_error(statistic: np.ndarray, df: np.ndarray, method: str, family: Family) -> float:
    """Standard error of the adjusted p-values where they were estimated (mvt of many dimensions); else 0."""
    if method not in ("mvt", "dunnett") or family.count < 2:
        return 0.0
    error = family.maximum.tail_error(np.abs(statistic), df)
    return float(np.nanmax(error, initial=0.0))


# -- distributions -------------------------------------------------------------------------------------------


def _sidak(single: np.ndarray, m: int) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return -np.expm1(m * np.log1p(-single))


def _equivalent_means(m: int) -> float:
    """k with k (k - 1) / 2 = m."""
    return 0.5 * (1.0 + float(np.sqrt(1.0 + 8.0 * m)))


def _dunnettx(size: np.ndarray, df: np.ndarray, m: int) -> np.ndarray:
    share = (m - 1.0) / m
    tukey = studentized_range(_equivalent_means(m)).tail(size, df)
    return share * tukey + (1.0 - share) * _sidak(two_sided_p(size, df), m)


def _dunnettx_quantile(level: float, df: np.ndarray, m: int) -> np.ndarray:
    from scipy.optimize import brentq

    def one(nu: float) -> float:
        def excess(c: float) -> float:
            return float(np.log(_dunnettx(np.array([c]), np.array([nu]), m)[0] / (1.0 - level)))

        low, high = (
            quantile(level, np.array([nu]))[0],
            quantile(1.0 - (1.0 - level) / (2 * m), np.array([nu]))[0],
        )
        return float(brentq(excess, low, high, xtol=1e-13, rtol=1e-13))

    known = {float(nu): one(float(nu)) for nu in np.unique(df)}
    return np.array([known[float(nu)] for nu in df])


# -- step-wise methods ---------------------------------------------------------------------------------------


def _stepwise(p: np.ndarray, method: str) -> np.ndarray:
    m = len(p)
    order = np.argsort(p, kind="stable")
    ranked, rank = p[order], np.arange(1, m + 1)
    if method == "bonferroni":
        return np.minimum(m * p, 1.0)
    if method == "holm":
        stepped = np.maximum.accumulate((m + 1 - rank) * ranked)
    elif method == "hochberg":
        stepped = np.minimum.accumulate(((m + 1 - rank) * ranked)[::-1])[::-1]
    elif method == "hommel":
        stepped = _hommel(ranked)
    else:
        harmonic = np.sum(1.0 / rank) if method == "by" else 1.0
        stepped = np.minimum.accumulate((harmonic * m / rank * ranked)[::-1])[::-1]
    out = np.empty(m)
    out[order] = np.minimum(stepped, 1.0)
    return out


def _hommel(p: np.ndarray) -> np.ndarray:
    """Closed testing with Simes' test in every set (Hommel 1988): sorted p-values -> adjusted ones.

    The set of j hypotheses that is the hardest to reject with p_i in it is p_i and the j - 1 largest others.
    """
    m = len(p)
    out = p.copy()
    for j in range(2, m + 1):
        rank = np.arange(1, j + 1)
        largest = np.min(j * p[m - j :] / rank)
        behind = np.min(j * p[m - j + 1 :] / rank[1:])
        inside = np.arange(m) >= m - j
        out = np.maximum(out, np.where(inside, largest, np.minimum(j * p, behind)))
    return out
