"""Linear combinations of the coefficients: estimates, intervals, one test of several, and whether they can be estimated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..design import Design
from ..design.aliasing import why_not
from ..errors import ModelError
from .combinations import Combinations, read_combinations
from .protocol import LinearEstimates
from .student import quantile, require_level, two_sided_p
from .wald import wald


def contrast(
    fit: LinearEstimates,
    L: Any,
    level: float = 0.95,
    df: str | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Estimate and test each of several combinations of the coefficients.

    Parameters
    ----------
    L : an array (k, p) over the columns of X; a text such as "x1 - 2*x2 = 3" or several; {name: text, array or {column: weight}}.
        Multiplicity is for `fit.emmeans(...)`; these tests are one at a time.
    level : of the intervals.
    df : denominator degrees of freedom, one of `protocol.DF_METHODS`; None takes the fit's own.
    names : of the combinations.

    Returns
    -------
    contrast, estimate, std_error, df, statistic, p_value, conf_low, conf_high; with a right side other than 0, null too.

    Raises
    ------
    ModelError : an unknown name (the closest is named); a combination that is not estimable, with the reason.
    """
    require_level(level, "contrast")
    wanted = read_combinations(L, fit.columns, names)
    rows = kept_rows(fit, wanted)
    estimate = rows @ fit.coefficients
    std_error = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", rows, fit.vcov, rows), 0.0))
    each = fit.denominator_df(rows, df)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (estimate - wanted.rhs) / std_error
    half = quantile(level, each) * std_error
    return {
        "contrast": list(wanted.names),
        "estimate": estimate,
        "std_error": std_error,
        "df": each,
        **({"null": wanted.rhs} if wanted.rhs.any() else {}),
        "statistic": statistic,
        "p_value": two_sided_p(statistic, each),
        "conf_low": estimate - half,
        "conf_high": estimate + half,
    }


def joint_test(fit: LinearEstimates, L: Any, df: str | None = None) -> dict[str, Any]:
    """One F test of all the combinations together (see `contrast` for L; `wald` for the test).

    Returns
    -------
    df, den_df, statistic, p_value: one row.
    """
    wanted = read_combinations(L, fit.columns)
    found = wald(fit, kept_rows(fit, wanted), wanted.rhs, df)
    return {
        "df": [found.df],
        "den_df": [found.den_df],
        "statistic": [found.statistic],
        "p_value": [found.p_value],
    }


def estimable(fit: LinearEstimates, L: Any) -> dict[str, Any]:
    """Whether each combination can be estimated, and why not.

    Returns
    -------
    combination, estimable, reason ("" where it can).
    """
    wanted = read_combinations(L, fit.columns)
    good = fit.columns.estimable(wanted.rows)
    rows_of = rows_or_none(fit)
    reasons = [
        "" if ok else why_not(fit.columns, rows_of, row) for ok, row in zip(good, wanted.rows, strict=True)
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


def rows_or_none(fit: LinearEstimates) -> Design | None:
    """The rows of the fit, for reasons in the names of levels; None where it holds none."""
    try:
        return fit.design
    except ModelError:
        return None
