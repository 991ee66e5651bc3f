"""Values of coefficients by name: what is supposed to be true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ModelError
from .reading import hint


def coefficient_values(given: Any, names: Sequence[str], argument: str) -> np.ndarray:
    """Values (p,) of the coefficients by name; those not named are 0. An array of p numbers is taken as it is.

    Raises
    ------
    ModelError : a coefficient that is not there (the closest is named), or what is no finite number.
    """
    if not isinstance(given, Mapping):
        values = _numbers(given, f"{argument}: the values")
        if values.shape != (len(names),):
            raise ModelError(
                f"{argument}: a mapping of coefficients to their values, or {len(names)} numbers, one for each of "
                f"{', '.join(names[:8])}{' ...' if len(names) > 8 else ''}."
            )
        return values
    values = np.zeros(len(names))
    for name, value in given.items():
        if name not in names:
            raise ModelError(f"{argument}: no coefficient is called '{name}'." + hint(name, names))
        number = _numbers(value, f"{argument}: the value of '{name}'")
        if number.ndim:
            raise ModelError(f"{argument}: the value of '{name}' is one number, not {value!r}.")
        values[list(names).index(name)] = float(number)
    return values


def _numbers(given: Any, what: str) -> np.ndarray:
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if not np.isfinite(values).all():
        raise ModelError(f"{what} must be finite numbers, not {given!r}.")
    return values
