"""How much do the columns of X say the same thing? Variance inflation, and condition indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ModelError
from ..whitened import LeastSquares, whitened

_INTERCEPT = "(Intercept)"


def vif(fit: LeastSquares) -> dict[str, Any]:
    """Generalised variance inflation of each term (Fox & Monette 1992), as R's car::vif.

    With C the correlation matrix of the coefficients without the intercept, det(C_tt) det(C_oo) / det(C) for the columns
    t of a term and o of the others: how much larger the joint confidence region of the term is than with columns
    uncorrelated with the others. For one column it is 1 / (1 - R^2) of that column on the others. Terms are taken as
    written: in a model with x and x:g, those of x say little. Without an intercept the columns are not centred.

    See `Checks.vif`.
    """
    design, kept = fit.design, fit.columns.kept
    terms = [t for t, name in enumerate(design.terms) if name != _INTERCEPT and np.any(design.assign == t)]
    if len(terms) < 2:
        raise ModelError(
            f"vif: {fit.formula} has {len(terms)} term besides the intercept; columns inflate each other only where"
            " there are two."
        )
    aliased = {
        int(design.assign[j])
        for j in np.flatnonzero(np.abs(fit.columns.null_space).max(axis=1, initial=0) > 1e-7)
    }
    is_intercept = np.array([design.terms[t] == _INTERCEPT for t in design.assign[kept]], dtype=bool)
    inverse = np.linalg.inv(whitened(fit).root) if len(kept) else np.zeros((0, 0))
    rows = inverse[~is_intercept]
    rows = rows / np.linalg.norm(rows, axis=1)[:, None]
    mine = design.assign[kept][~is_intercept]
    whole = _log_volume(rows)
    out = np.array(
        [
            np.inf
            if t in aliased
            else np.exp(_log_volume(rows[mine == t]) + _log_volume(rows[mine != t]) - whole)
            for t in terms
        ]
    )
    df = np.array([int(np.sum(design.assign == t)) for t in terms])
    return {
        "term": [design.terms[t] for t in terms],
        "df": df,
        "gvif": out,
        "gvif_scaled": out ** (1.0 / (2.0 * df)),
    }


def _log_volume(rows: np.ndarray) -> float:
    """log det(rows rows'), by the singular values of the rows."""
    if not len(rows):
        return 0.0
    return 2.0 * float(np.sum(np.log(np.linalg.svd(rows, compute_uv=False)[: len(rows)])))


def condition_indices(fit: LeastSquares) -> dict[str, Any]:
    """Condition indices of X with its columns scaled to length 1, and the share that each near-dependency has in the
    variance of each coefficient (Belsley, Kuh & Welsch 1980, ch. 3).

    With the scaled X = U D V', index_k = d_1 / d_k and the share of k in the variance of b_j is
    (v_jk / d_k)^2 / sum_k (v_jk / d_k)^2. An index above 30 with two shares above 0.5 is a dependency that harms. The
    columns are those with a coefficient, the intercept among them, not centred; weighted where the fit is.

    See `Checks.condition_indices`.
    """
    root = whitened(fit).root
    names = [fit.columns.names[j] for j in fit.columns.kept]
    if not names:
        raise ModelError("condition_indices: the model has no coefficient.")
    _, d, vt = np.linalg.svd(root / np.linalg.norm(root, axis=0))
    parts = (vt / d[:, None]) ** 2
    shares = parts / parts.sum(axis=0)
    out: dict[str, Any] = {"index": d[0] / d}
    return out | {f"proportion[{name}]": shares[:, j] for j, name in enumerate(names)}
