"""What the fit owes to each row: residuals in their own units, leverage, and what leaving the row out would change. For gls the
rows are those of the whitened model: leaving one out is not the deletion of an observation with its correlated neighbours kept.

Nothing is fitted again. With Q R = X* the whitened columns, e* the whitened residuals, h_i = |q_i|^2 and
s2 = RSS / (n - r), leaving out row i changes (Belsley, Kuh & Welsch 1980, ch. 2; Cook & Weisberg 1982, ch. 3)

    b - b(i)  = R^-1 q_i e_i / (1 - h_i),           s(i)^2 = (RSS - e_i^2 / (1 - h_i)) / (n - r - 1)
    standardized r_i = e_i / (s sqrt(1 - h_i)),     studentized t_i = e_i / (s(i) sqrt(1 - h_i))
    Cook's D_i = r_i^2 h_i / (r (1 - h_i)),         DFFITS_i = t_i sqrt(h_i / (1 - h_i))
    DFBETAS_ij = (b - b(i))_j / (s(i) sqrt((X*'X*)^-1_jj)),     COVRATIO_i = (s(i)^2 / s^2)^r / (1 - h_i)

and a set G of rows, with A = Q_G'Q_G and c = (I - A)^-1 Q_G'e_G,

    b - b(G) = R^-1 c,      RSS - RSS(G) = e_G'e_G + (Q_G'e_G)'c,       det(X(G)'X(G)) / det(X'X) = det(I - A).

These are the definitions of R's influence.measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from ..errors import ModelError
from .columns import groups_of
from .whitened import BLOCK, LeastSquares, Whitened, row_numbers, used, whitened

_SINGULAR = 1e-10
"""Smallest eigenvalue of I - A below which a coefficient cannot be estimated without the group."""


def influence(
    fit: LeastSquares,
    by: str | Sequence[str] | None = None,
    data: Any = None,
    dfbetas: bool = True,
) -> dict[str, Any]:
    """Influence of every row on the fit, or of every group of rows.

    For `hd.gls` the measures are those of the whitened model at the estimated covariance (see `inference.whitened`): a
    row stands for what its observation adds to those it is correlated with. Groups that are independent of each other
    are left out exactly, with the covariance kept.

    See `Checks.influence`.
    """
    if by is None and data is not None:
        raise ModelError("influence: data= has the columns of by=, which is not given.")
    rows = whitened(fit)
    names = [fit.columns.names[j] for j in fit.columns.kept]
    if by is not None:
        return _by_group(fit, rows, names, by, data, dfbetas)
    table = measures(rows)
    fitted = used(fit, fit.fitted)
    assert fit.design.y is not None
    out: dict[str, Any] = {"row": row_numbers(fit), "fitted": fitted, "residual": fit.design.y - fitted}
    out |= {name: table[name] for name in ("standardized", "studentized", "leverage")}
    out |= {name: table[name] for name in ("cooks_distance", "dffits", "covratio")}
    if dfbetas:
        out |= {f"dfbetas[{name}]": column for name, column in zip(names, deletion(rows).T, strict=True)}
    out["beyond"] = beyond(out, cutoffs(rows.n, rows.rank))
    return out


def cutoffs(n: int, rank: int) -> dict[str, float]:
    """Bounds beyond which R's influence.measures marks a row: |DFBETAS| > 1, |DFFITS| > 3 sqrt(r / (n - r)),
    |1 - COVRATIO| > 3 r / (n - r), Cook's distance above the median of F(r, n - r), leverage > 3 r / n.
    """
    from scipy.special import fdtri

    left = max(n - rank, 1)
    median = float(fdtri(rank, left, 0.5)) if rank else np.inf
    return {
        "dfbetas": 1.0,
        "dffits": 3.0 * float(np.sqrt(rank / left)),
        "covratio": 3.0 * rank / left,
        "cooks_distance": median,
        "leverage": 3.0 * rank / n,
    }


def measures(rows: Whitened) -> dict[str, np.ndarray]:
    """The measures of each row that are one number, (n,) each."""
    e, h, left, df = rows.residuals, rows.leverage, rows.unleveraged, rows.df
    with np.errstate(invalid="ignore", divide="ignore"):
        without = sigma_without(rows)
        standardized = e / np.sqrt(rows.variance * left)
        studentized = e / (without * np.sqrt(left))
        return {
            "standardized": standardized,
            "studentized": studentized if df > 1 else np.full(rows.n, np.nan),
            "leverage": h,
            "cooks_distance": standardized**2 * h / (left * max(rows.rank, 1)),
            "dffits": studentized * np.sqrt(h / left),
            "covratio": (without**2 / rows.variance) ** rows.rank / left,
        }


def sigma_without(rows: Whitened) -> np.ndarray:
    """s(i) of the fit without each row, (n,); NaN where there is none."""
    if rows.df < 2:
        return np.full(rows.n, np.nan)
    rss = rows.rss - rows.residuals**2 / rows.unleveraged
    return np.sqrt(np.maximum(rss, 0.0) / (rows.df - 1.0))


def deletion(rows: Whitened, scaled: bool = True) -> np.ndarray:
    """b - b(i) (n, rank) for each row i left out; DFBETAS when `scaled`. Columns lie together in memory."""
    n, rank = rows.basis.shape
    out = np.empty((n, rank), order="F")
    if not rank:
        return out
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = rows.residuals / rows.unleveraged
        if scaled:
            factor = factor / sigma_without(rows)
        for start in range(0, n, BLOCK):
            part = slice(start, start + BLOCK)
            out[part] = (solve_triangular(rows.root, rows.basis[part].T) * factor[part]).T
        if scaled:
            out /= standard_units(rows)
    return out


def standard_units(rows: Whitened) -> np.ndarray:
    """sqrt of the diagonal of (X*'X*)^-1, (rank,)."""
    inverse = solve_triangular(rows.root, np.eye(rows.rank))
    return np.sqrt(np.einsum("ij,ij->i", inverse, inverse))


def beyond(columns: dict[str, Any], bounds: dict[str, float]) -> list[str]:
    """For each line, the measures beyond their bound, separated by commas."""
    marks: dict[str, np.ndarray] = {}
    with np.errstate(invalid="ignore"):
        for name, values in columns.items():
            kind = name.split("[")[0]
            if kind not in bounds:
                continue
            size = np.abs(1.0 - values) if kind == "covratio" else np.abs(values)
            marks[name] = size > bounds[kind]
    if "leverage" in columns:
        marks["leverage"] |= columns["leverage"] == 1.0
    out = [""] * len(next(iter(marks.values()), ()))
    for name, far in marks.items():
        for i in np.flatnonzero(far):
            out[i] += f", {name}" if out[i] else name
    return out


def press(fit: LeastSquares) -> dict[str, Any]:
    """How well the fit predicts rows it has not seen: each row from the fit without it (Allen 1974).

    See `Checks.press`.
    """
    rows = whitened(fit)
    assert fit.design.y is not None
    errors = (fit.design.y - used(fit, fit.fitted)) / rows.unleveraged
    white = rows.residuals / rows.unleveraged
    one = fit.whiten(np.ones((rows.n, 1)))[:, 0]
    about = rows.response
    constant = np.linalg.norm(rows.project(one)) <= 1e-8 * np.linalg.norm(one)
    if constant:
        about = about - one * (one @ about) / (one @ one)
    total = float(about @ about)
    if fit.generalised:
        errors = white
    predicted = 1.0 - float(white @ white) / total if total > 0 else np.nan
    return {"press": [float(errors @ errors)], "predicted_r_squared": [predicted]}


def _by_group(
    fit: LeastSquares, rows: Whitened, names: list[str], by: Any, data: Any, dfbetas: bool
) -> dict[str, Any]:
    codes, labels = groups_of(fit, by, data)
    if len(labels) < 2:
        raise ModelError(f"influence: by={by!r} has one group; without it nothing is left to fit.")
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(labels)))
    rank, variance = rows.rank, rows.variance
    change = np.full((len(labels), rank), np.nan)
    sizes = np.diff(ends, prepend=0)
    removed, log_det = np.full(len(labels), np.nan), np.full(len(labels), np.nan)
    cooks = np.full(len(labels), np.nan)
    for g, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        mine = order[end - size : end]
        q, e = rows.basis[mine], rows.residuals[mine]
        values, vectors = np.linalg.eigh(np.eye(rank) - q.T @ q)
        if rank and values[0] < _SINGULAR:
            continue
        projected = q.T @ e
        c = vectors @ ((vectors.T @ projected) / values)
        change[g] = solve_triangular(rows.root, c) if rank else c
        removed[g] = e @ e + projected @ c
        log_det[g] = np.log(values).sum()
        cooks[g] = c @ c / (max(rank, 1) * variance)
    df = rows.df - sizes.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        without = np.where(df > 0, np.maximum(rows.rss - removed, 0.0) / df, np.nan)
        covratio = np.exp(rank * np.log(without / variance) - log_det)
    out: dict[str, Any] = {"group": labels, "rows": sizes, "cooks_distance": cooks, "covratio": covratio}
    if dfbetas:
        scaled = change / (np.sqrt(without)[:, None] * standard_units(rows))
        out |= {f"dfbetas[{name}]": column for name, column in zip(names, scaled.T, strict=True)}
    bounds = cutoffs(rows.n, rank)
    out["beyond"] = beyond(out, {name: bounds[name] for name in ("dfbetas", "cooks_distance")})
    return out
