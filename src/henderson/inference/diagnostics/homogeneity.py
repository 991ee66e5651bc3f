"""Do groups have the same variance? Levene's test about means or medians (Brown & Forsythe), and Bartlett's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import chdtrc, fdtrc

from ...errors import ModelError
from ..columns import factor_names, groups_of
from ..whitened import LeastSquares, whitened
from .outcome import Outcome, verdict

CENTERS = ("median", "mean")


def levene(
    fit: LeastSquares, by: str | Sequence[str] | None = None, center: str = "median", data: Any = None
) -> Outcome:
    """Levene's test that the errors of all groups have one variance: F of a one-way analysis of |e - centre|.

    About the mean it is Levene's (1960), about the median Brown and Forsythe's (1974), as R's car::leveneTest. In a
    model of factors alone a residual differs from the response by a constant of its group, so that either gives the
    same.

    See `Checks.levene`.
    """
    if center not in CENTERS:
        raise ModelError(f'levene: center is "median" or "mean", not {center!r}.')
    names, groups = _groups(fit, by, data, "levene")
    middle = np.median if center == "median" else np.mean
    values = [np.abs(e - middle(e)) for e in groups]
    sizes = np.array([len(v) for v in values])
    n, k = int(sizes.sum()), len(groups)
    if n <= k:
        raise ModelError(
            f"levene: each of the {k} groups of {names} has one row; nothing is left to compare."
        )
    means = np.array([v.mean() for v in values])
    grand = float(sizes @ means) / n
    between = float(sizes @ (means - grand) ** 2) / (k - 1)
    within = sum(float(np.sum((v - m) ** 2)) for v, m in zip(values, means, strict=True)) / (n - k)
    statistic = between / within if within > 0 else np.nan
    p = float(fdtrc(k - 1, n - k, statistic))
    title = "Levene (Brown-Forsythe, about medians)" if center == "median" else "Levene (about means)"
    return Outcome(f"{title}, by {names} (F)", statistic, k - 1.0, float(n - k), p, _says(p, names))


def bartlett(fit: LeastSquares, by: str | Sequence[str] | None = None, data: Any = None) -> Outcome:
    """Bartlett's (1937) test that the errors of all groups have one variance; it leans on normal errors.

    See `Checks.bartlett`.
    """
    names, groups = _groups(fit, by, data, "bartlett")
    df = np.array([len(e) - 1.0 for e in groups])
    if df.min() < 1.0:
        raise ModelError(
            f"bartlett: {int(np.sum(df < 1))} of the {len(groups)} groups of {names} have one row, so no variance."
        )
    variances = np.array([np.var(e, ddof=1) for e in groups])
    total, k = float(df.sum()), len(groups)
    pooled = float(df @ variances) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = total * np.log(pooled) - float(df @ np.log(variances))
    statistic /= 1.0 + (float(np.sum(1.0 / df)) - 1.0 / total) / (3.0 * (k - 1))
    p = float(chdtrc(k - 1, statistic))
    return Outcome(f"Bartlett, by {names} (K2)", float(statistic), k - 1.0, np.nan, p, _says(p, names))


def _says(p: float, names: str) -> str:
    return verdict(
        p,
        f"the groups of {names} differ in variance",
        f"no sign that the groups of {names} differ in variance",
    )


def _groups(fit: LeastSquares, by: Any, data: Any, asked: str) -> tuple[str, list[np.ndarray]]:
    """The names, and the (whitened) residuals of each observed combination."""
    names: str | Sequence[str] = factor_names(fit) if by is None else by
    if not names:
        raise ModelError(
            f"{asked}: the test compares groups, and {fit.formula} has no factor.\n"
            "Give by= the column of the groups (with data= the table, if the model does not have it); against a"
            " number, breusch_pagan() tests the variance."
        )
    codes, labels = groups_of(fit, names, data)
    said = names if isinstance(names, str) else ":".join(names)
    if len(labels) < 2:
        raise ModelError(f"{asked}: {said} has one group, two are needed.")
    e = whitened(fit).residuals
    order = np.argsort(codes, kind="stable")
    return said, np.split(e[order], np.cumsum(np.bincount(codes))[:-1])
