"""`hd.compare`: models of the same rows side by side, and tests of each against the next."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import ModelError, closest
from ..frame import give_back
from ..inference.nesting import Nesting, nesting, residual_parameters, same_fixed_part
from ..inference.protocol import rows_or_none
from .linear_fit import LinearFit
from .mixed_fit import MixedFit

_TESTS = ("F", "lr")
_WORSE = 1e-6
"""Deviance by which a larger model may be worse than one within it before it is said."""


def compare(*fits: LinearFit | MixedFit, test: str | None = None, names: Sequence[str] | None = None) -> Any:
    """Likelihoods and information criteria of models, and a test of each against the next larger one.

    Parameters
    ----------
    fits : two or more fits (`hd.lm`, `hd.gls`, `hd.lmm`) of the same response on the same rows. They are put in the order of
        their number of parameters.
    test : "F" compares residual sums of squares (least squares only), the residual variance being that of the largest model; "lr"
        likelihoods. None takes F for least squares and lr otherwise.
    names : of the models, in the order of `fits`; None writes their formulas (and, where two are the same, the parameters of the
        residuals' covariance).

    Returns
    -------
    A row for each model: model, npar, loglik, deviance, aic, bic, test, df, statistic, p_value; for F df_residual, rss and sum_sq
    besides, and where something must be said a column note. The test in a row is that of the row above within it. Where the one
    above is no special case of it there is none, and the criteria alone compare them.

    A variance at 0 is at the edge of its range. Where the larger model has one variance more, with whatever else, the statistic is
    an equal mixture of chi-squared with df - 1 and df degrees of freedom (Self & Liang 1987; Stram & Lee 1994); where it has several
    more, p_value is that of df, an upper bound.

    Raises
    ------
    ModelError : fits of different rows or responses; restricted likelihoods of models whose fixed parts differ, or beside
        likelihoods; a sandwich covariance, which has no likelihood.
    """
    _require_fits(fits)
    labels = _labels(fits, names)
    _require_same_rows(fits, labels)
    chosen = _test(fits, test)
    if chosen == "lr":
        _require_comparable(fits, labels)
    order = sorted(range(len(fits)), key=lambda i: fits[i].npar)
    ordered = [fits[i] for i in order]
    found = [_blank()]
    for small, large in pairwise(ordered):
        found.append(_f_test(small, large, ordered[-1]) if chosen == "F" else _likelihood_ratio(small, large))
    out: dict[str, Any] = {"model": [labels[i] for i in order]}
    for name in ("npar", "loglik", "deviance", "aic", "bic"):
        out[name] = [getattr(fit, name) for fit in ordered]
    if chosen == "F":
        out |= {"df_residual": [f.df_residual for f in ordered], "rss": [f.rss for f in ordered]}  # type: ignore[union-attr]
        out["sum_sq"] = [row["sum_sq"] for row in found]
    for name in ("test", "df", "statistic", "p_value"):
        out[name] = [row[name] for row in found]
    if any(row["note"] for row in found):
        out["note"] = [row["note"] for row in found]
    return give_back(out, fits[0].library)


# -- what can be compared ------------------------------------------------------------------------------------


def _require_fits(fits: Sequence[Any]) -> None:
    for place, fit in enumerate(fits, 1):
        if not isinstance(fit, LinearFit | MixedFit):
            raise ModelError(f"compare: argument {place} is no fit of a model, but {type(fit).__name__}.")
    if len(fits) < 2:
        raise ModelError("compare: two or more fits are wanted.")


def _labels(fits: Sequence[Any], names: Sequence[str] | None) -> list[str]:
    if names is None:
        formulas = [fit.formula for fit in fits]
        return [
            f"{formula} [{', '.join(sorted(residual_parameters(fit)))}]"
            if formulas.count(formula) > 1 and residual_parameters(fit)
            else formula
            for formula, fit in zip(formulas, fits, strict=True)
        ]
    if isinstance(names, str) or len(names) != len(fits):
        raise ModelError(f"compare: names are {len(fits)} texts, one for each model.")
    return [str(name) for name in names]


def _require_same_rows(fits: Sequence[Any], labels: list[str]) -> None:
    first = fits[0]
    for fit, label in zip(fits[1:], labels[1:], strict=True):
        if fit.nobs != first.nobs:
            said = "; ".join(f.rows_note for f in (first, fit) if f.rows_note)
            raise ModelError(
                f"compare: '{labels[0]}' was fitted to {first.nobs} rows and '{label}' to {fit.nobs}, so their likelihoods are "
                f"of different data{f' ({said})' if said else ''}. Fit both to the rows that are complete for all columns."
            )
        one, two = rows_or_none(first), rows_or_none(fit)
        same_text = first.labels.response == fit.labels.response
        if one is None or two is None:
            same = same_text
        else:
            assert one.y is not None and two.y is not None
            same = np.array_equal(one.y, two.y)
        if not same:
            other = "" if same_text else f": '{first.labels.response}' and '{fit.labels.response}'"
            raise ModelError(
                f"compare: '{labels[0]}' and '{label}' have different responses{other}. Likelihoods are compared for the same "
                "numbers in the same rows."
            )


def _test(fits: Sequence[Any], test: str | None) -> str:
    if test is not None and test not in _TESTS:
        near = closest(str(test), _TESTS)
        raise ModelError(
            f"compare: test is 'F' or 'lr', not {test!r}." + (f" The closest is {near!r}." if near else "")
        )
    for fit in fits:
        if getattr(fit, "solution", None) is not None and getattr(fit.solution, "robust", None) is not None:
            raise ModelError(
                f"compare: '{fit.formula}' has a sandwich covariance, which neither likelihoods nor sums of squares know of. "
                "Test the coefficients themselves: fit.test([...]) or fit.anova()."
            )
    least_squares = all(isinstance(fit, LinearFit) and not fit.generalised for fit in fits)
    if test == "F" and not least_squares:
        raise ModelError(
            "compare: test='F' compares sums of squares of hd.lm; for other models there is test='lr'."
        )
    return test or ("F" if least_squares else "lr")


def _require_comparable(fits: Sequence[Any], labels: list[str]) -> None:
    restricted = [fit.reml for fit in fits]
    if not any(restricted):
        return
    if not all(restricted):
        by = labels[restricted.index(True)], labels[restricted.index(False)]
        raise ModelError(
            f"compare: '{by[0]}' was fitted by REML and '{by[1]}' by ML: these likelihoods are not of the same thing. "
            "Fit all with reml=False" + _without_random(fits)
        )
    for fit, label in zip(fits[1:], labels[1:], strict=True):
        if not same_fixed_part(fits[0], fit):
            raise ModelError(
                f"compare: restricted likelihoods of models with different fixed parts are not of the same data ('{labels[0]}' "
                f"and '{label}'). Fit both with reml=False to compare them."
            )


def _without_random(fits: Sequence[Any]) -> str:
    if any(isinstance(fit, LinearFit) and not fit.generalised for fit in fits):
        return ". (hd.gls(formula, data) gives the restricted likelihood of a model without random terms.)"
    return "."


# -- tests ---------------------------------------------------------------------------------------------------


def _blank(note: str = "") -> dict[str, Any]:
    nan = float("nan")
    return {"test": "", "df": nan, "sum_sq": nan, "statistic": nan, "p_value": nan, "note": note}


def _f_test(small: Any, large: Any, largest: Any) -> dict[str, Any]:
    from scipy.special import fdtrc

    within, df = nesting(small, large), small.df_residual - large.df_residual
    if within.why_not or df <= 0:
        return _blank(_no_test(within, df))
    squares = small.rss - large.rss
    with np.errstate(divide="ignore", invalid="ignore"):
        f = float(np.float64(squares / df) / largest.sigma**2)
    p = float(fdtrc(df, largest.df_residual, f)) if np.isfinite(f) and f >= 0 else float("nan")
    return {"test": "F", "df": float(df), "sum_sq": squares, "statistic": f, "p_value": p, "note": ""}


def _likelihood_ratio(small: Any, large: Any) -> dict[str, Any]:
    within, df = nesting(small, large), large.npar - small.npar
    if within.why_not or df <= 0:
        return _blank(_no_test(within, df))
    gain = small.deviance - large.deviance
    notes = []
    if gain < -_WORSE:
        notes.append(f"the larger model has the larger deviance, by {-gain:.3g}: see its status")
    statistic = max(gain, 0.0)
    p = chi2_tail(statistic, df)
    if within.variances == 1:
        p = 0.5 * (p + chi2_tail(statistic, df - 1))
        notes.append(f"one variance is tested at 0: an equal mixture of chi-squared of {df - 1} and {df} df")
    elif within.variances > 1:
        notes.append(f"{within.variances} variances are tested at 0: the p-value is an upper bound")
    if within.unsure:
        notes.append(f"not checked: {within.unsure}")
    return {
        "test": "lr",
        "df": float(df),
        "sum_sq": float("nan"),
        "statistic": statistic,
        "p_value": p,
        "note": "; ".join(notes),
    }


def chi2_tail(statistic: float, df: int) -> float:
    """P(chi-squared of df >= statistic); with 0 degrees of freedom it is 0."""
    from scipy.special import chdtrc

    if df == 0:
        return 1.0 if statistic <= 0.0 else 0.0
    return float(chdtrc(df, statistic))


def _no_test(within: Nesting, df: float) -> str:
    if within.why_not:
        return f"no test: {within.why_not}"
    return "no test: it has as many parameters as the model above"
