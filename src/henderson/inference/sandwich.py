"""Sandwich covariances of the coefficients: right where errors have unequal variances, or are correlated within clusters.

    Var(b) = (X'X)^-1 M (X'X)^-1,     M = sum_i w_i e_i^2 x_i x_i'           (HC0 - HC4)
                                      M = sum_g (X_g'e_g)(X_g'e_g)'          (clusters)

on the whitened rows (weights, or the estimated covariance of a generalised fit, are in them). White (1980); MacKinnon &
White (1985); Cribari-Neto (2004) HC4; Liang & Zeger (1986); Cameron, Gelbach & Miller (2011) for two clusterings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from ..errors import ModelError, closest
from ..frame.factorize import codes_and_values
from .columns import column_beside
from .whitened import LeastSquares, Whitened, whitened

KINDS = ("HC0", "HC1", "HC2", "HC3", "HC4")
_CLUSTER = re.compile(r"\s*cluster\s*\((.*)\)\s*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Wanted:
    """`vcov=` read: a kind, and the columns of the clusters (none for unequal variances alone)."""

    kind: str
    clusters: tuple[str, ...]
    text: str


def read_vcov(text: Any) -> Wanted:
    """ "HC0" to "HC4"; "cluster(g)", "cluster(g, h)", "cluster(g, HC0)".

    Raises
    ------
    ModelError : something else (the closest is named).
    """
    if isinstance(text, str):
        if text.upper() in KINDS:
            return Wanted(text.upper(), (), text.upper())
        match = _CLUSTER.fullmatch(text)
        if match:
            names = [part.strip().strip("`") for part in match[1].split(",")]
            kind = names.pop().upper() if len(names) > 1 and names[-1].upper() in ("HC0", "HC1") else "HC1"
            if names and all(names) and len(set(names)) == len(names) <= 2:
                return Wanted(kind, tuple(names), f"cluster({', '.join(names)})")
    near = closest(str(text).upper(), KINDS)
    raise ModelError(
        f'vcov is "HC0", "HC1", "HC2", "HC3", "HC4" or "cluster(column)", of one or two columns, not {text!r}.'
        + (f" The closest is '{near}'." if near else "")
    )


def sandwich(fit: LeastSquares, wanted: Wanted, data: Any = None) -> tuple[np.ndarray, float | None]:
    """The covariance (rank, rank) of the kept coefficients, and the degrees of freedom that go with it (None: the residuals').

    Clusters: R's sandwich::vcovCL, with the factors G / (G - 1) and, for HC1, (n - 1) / (n - rank). A t test then has G - 1
    degrees of freedom, G the number of clusters (the smaller of two).

    Parameters
    ----------
    data : the table of the fit, where a clustering column is not in the model.

    Raises
    ------
    ModelError : one cluster; a row of leverage 1 for HC2 to HC4; no rows.
    """
    rows = whitened(fit)
    if rows.df <= 0:
        raise ModelError(
            f"vcov={wanted.text!r}: there are no residual degrees of freedom ({rows.n} rows, rank {rows.rank})."
        )
    if wanted.clusters:
        meat, df = _clusters(fit, rows, wanted, data)
    else:
        squares = rows.residuals**2 * _factors(rows, wanted.kind)
        meat, df = (rows.basis * squares[:, None]).T @ rows.basis, None
    half = solve_triangular(rows.root, meat)
    out = solve_triangular(rows.root, half.T)
    return 0.5 * (out + out.T), df


def _factors(rows: Whitened, kind: str) -> np.ndarray | float:
    if kind == "HC0":
        return 1.0
    if kind == "HC1":
        return rows.n / rows.df
    left = 1.0 - rows.leverage
    if not np.all(left > 0.0):
        at = int(np.argmax(left <= 0.0))
        raise ModelError(
            f"vcov='{kind}': row {at} of those used has leverage 1 (it is fitted exactly), so its error cannot be judged. "
            'Use "HC1", or leave the row out.'
        )
    power = {"HC2": 1.0, "HC3": 2.0}.get(kind)
    return left ** (-power if power else -np.minimum(4.0, rows.n * rows.leverage / rows.rank))


def _clusters(fit: LeastSquares, rows: Whitened, wanted: Wanted, data: Any) -> tuple[np.ndarray, float]:
    codes = [column_beside(fit, name, data, "vcov").factor.values for name in wanted.clusters]
    scores = rows.basis * rows.residuals[:, None]
    total, counts = np.zeros((rows.rank, rows.rank)), []
    for size in range(1, len(codes) + 1):
        for chosen in combinations(range(len(codes)), size):
            merged = codes[chosen[0]].astype(np.int64)
            for k in chosen[1:]:
                merged = merged * (int(codes[k].max()) + 1) + codes[k]
            group, values = codes_and_values(merged)
            count = len(values)
            if count < 2:
                raise ModelError(
                    f"vcov={wanted.text!r}: '{wanted.clusters[chosen[0]]}' has one cluster; two or more are needed."
                )
            sums = np.zeros((count, rows.rank))
            np.add.at(sums, group, scores)
            factor = count / (count - 1) * ((rows.n - 1) / rows.df if wanted.kind == "HC1" else 1.0)
            total += (-1.0) ** (size + 1) * factor * (sums.T @ sums)
            if size == 1:
                counts.append(count)
    return total, float(min(counts) - 1)
