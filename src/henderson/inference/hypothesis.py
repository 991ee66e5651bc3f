"""Linear combinations of the coefficients: estimates, intervals, one test of several, and whether they can be estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..design.aliasing import why_not
from ..errors import ModelError
from .combinations import Combinations, read_combinations
from .multiplicity import Family, adjusted_p, critical_values, limits_method, method_named, require_suitable
from .protocol import LinearEstimates, rows_or_none
from .student import require_level
from .wald import each_df, require_df, wald


def contrast(
    fit: LinearEstimates,
    L: Any,
    level: float = 0.95,
    df: str | float | None = None,
    names: Sequence[str] | None = None,
    rhs: Any = None,
    adjust: str | None = None,
) -> dict[str, Any]:
    """Estimate and test each of several combinations of the coefficients. See `Questions.contrast`."""
    require_level(level, "contrast")
    require_df(df)
    method = method_named(adjust)
    wanted = compared_with(read_combinations(L, fit.columns, names), rhs)
    rows = kept_rows(fit, wanted)
    whole = rows @ fit.vcov_root
    family = Family(len(rows), None, False, whole @ whole.T)
    require_suitable(method, [family])
    estimate, std_error = rows @ fit.coefficients, _std_errors(fit, rows, whole)
    each = each_df(fit, rows, df)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (estimate - wanted.rhs) / std_error
    half = critical_values(level, each, limits_method(method), family) * std_error
    return {
        "contrast": list(wanted.names),
        "estimate": estimate,
        "std_error": std_error,
        "df": each,
        **({"null": wanted.rhs} if wanted.rhs.any() else {}),
        "statistic": statistic,
        "p_value": adjusted_p(statistic, each, method, family),
        "conf_low": estimate - half,
        "conf_high": estimate + half,
    }


def _std_errors(fit: LinearEstimates, rows: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Of each row, from the root of Var(b), which keeps more digits; of a sandwich of two clusterings, which may have no root,
    from the matrix itself: NaN where it gives a negative variance."""
    size = np.linalg.norm(whole, axis=1)
    variance = np.einsum("ij,jk,ik->i", rows, fit.vcov, rows)
    scale = np.einsum("ij,jk,ik->i", np.abs(rows), np.abs(fit.vcov), np.abs(rows))
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(size**2 - variance) > 1e-8 * scale, np.sqrt(variance), size)


def joint_test(
    fit: LinearEstimates, L: Any, df: str | float | None = None, rhs: Any = None
) -> dict[str, Any]:
    """One F test of all the combinations together (see `contrast` for L, df and rhs; `wald` for the test).

    See `Questions.test`.
    """
    wanted = compared_with(read_combinations(L, fit.columns), rhs)
    found = wald(fit, kept_rows(fit, wanted), wanted.rhs, df)
    if found.singular:
        raise ModelError(
            f"the covariance of the coefficients is singular along these {found.df} combinations, so they are not tested "
            "together. A sandwich has no more independent directions than there are clusters less one: test fewer at a time."
        )
    return {
        "df": [found.df],
        "den_df": [found.den_df],
        "statistic": [found.statistic],
        "p_value": [found.p_value],
    }


def compared_with(wanted: Combinations, rhs: Any) -> Combinations:
    """The combinations with right sides that were given apart.

    Raises
    ------
    ModelError : right sides that are not one number or one for each; texts that have their own.
    """
    if rhs is None:
        return wanted
    try:
        values = np.asarray(rhs, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.full((0,), np.nan)
    if values.shape not in ((), (len(wanted.rows),)) or not np.isfinite(values).all():
        raise ModelError(
            f"rhs is one finite number, or {len(wanted.rows)}, one for each combination, not {rhs!r}."
        )
    if wanted.rhs.any():
        raise ModelError("the right sides are in the texts already: leave rhs out.")
    return replace(wanted, rhs=np.broadcast_to(values, len(wanted.rows)).copy())


def estimable(fit: LinearEstimates, L: Any) -> dict[str, Any]:
    """Whether each combination can be estimated, and why not. See `Questions.estimable`."""
    wanted = read_combinations(L, fit.columns)
    good = fit.columns.estimable(wanted.rows)
    design = rows_or_none(fit)
    reasons = [
        "" if ok else why_not(fit.columns, design, row) for ok, row in zip(good, wanted.rows, strict=True)
    ]
    return {"combination": list(wanted.names), "estimable": good, "reason": reasons}


def kept_rows(fit: LinearEstimates, wanted: Combinations) -> np.ndarray:
    """The combinations over the kept coefficients, (k, rank).

    Raises
    ------
    ModelError : one that is not estimable, with the reason.
    """
    for name, row, good in zip(wanted.names, wanted.rows, fit.columns.estimable(wanted.rows), strict=True):
        if not good:
            raise ModelError(f"'{name}' is not estimable: {why_not(fit.columns, rows_or_none(fit), row)}")
    return wanted.rows[:, fit.columns.kept]
