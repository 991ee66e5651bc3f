"""Arguments that several verbs take, checked alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelError, NotAvailableError


def require_reml(reml: Any) -> bool:
    """`reml=`.

    Raises
    ------
    ModelError : neither True nor False.
    """
    if not isinstance(reml, bool | np.bool_):
        raise ModelError(f"reml= is True (restricted likelihood) or False (likelihood), not {reml!r}.")
    return bool(reml)


def response_again(fit: Any, response: Any) -> np.ndarray:
    """Another response for `fit.refit`: (nobs,), one number for each row of the fit, out of those or out of the rows of the data.

    Raises
    ------
    ModelError : no numbers, as many as there are neither of these rows, or some that are not finite; a fit without rows.
    """
    design = fit.design
    try:
        values = np.asarray(response, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError("refit: the response is an array of numbers.") from None
    if design.rows is not None and values.shape == (design.n_read,):
        values = values[design.rows]
    if values.shape != (fit.nobs,) or not np.isfinite(values).all():
        raise ModelError(
            f"refit needs {fit.nobs} finite numbers, one for each row of the fit"
            + (f" ({fit.n_dropped} rows with missing values were left out of it)" if fit.n_dropped else "")
            + f"; it was given an array of shape {values.shape}"
            + (" with NaN or infinite values." if values.shape == (fit.nobs,) else ".")
        )
    return values


def refuse_relationships(relationships: Any) -> None:
    """`relationships=`, until it is built.

    Raises
    ------
    NotAvailableError : it is given.
    """
    if relationships is not None:
        raise NotAvailableError(
            "relationships= is part of the grammar, but not available yet in this version."
        )
