"""Where the rows of a fit are, for variograms and autocorrelations: the coordinates and groups of its residual, or columns named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, ModelError
from .columns import column_beside

Array = np.ndarray
KINDS = ("pearson", "normalized", "response")


class Places(NamedTuple):
    """The rows used by a fit, in their order."""

    names: tuple[str, ...]
    coordinates: tuple[Array, ...]
    groups: Array
    own: bool
    """Whether these are the coordinates of the fitted correlation, so that its curve can stand beside."""


def places(fit: Any, coordinates: str | Sequence[str] | None, groups: str | None, data: Any) -> Places:
    """Coordinates and groups of the rows.

    Raises
    ------
    ModelError : none given, and none in the fit; an unknown column.
    DataError : a coordinate that is not a number.
    """
    layout = _layout(fit)
    if coordinates is None and groups is None and layout is not None:
        factors = layout.factors
        return Places(
            tuple(name for f in factors for name in f.names),
            tuple(c for f in factors for c in f.coordinates),
            layout.groups,
            True,
        )
    names = (
        () if coordinates is None else (coordinates,) if isinstance(coordinates, str) else tuple(coordinates)
    )
    found = tuple(_numbers(fit, name, data) for name in names)
    codes = np.zeros(fit.nobs, dtype=np.int64)
    if groups is not None:
        column = column_beside(fit, groups, data, "groups")
        codes = np.unique(column.values, return_inverse=True)[1].astype(np.int64)
    own = layout is not None and names == tuple(n for f in layout.factors for n in f.names)
    return Places(names, found, codes, own)


def _layout(fit: Any) -> Any:
    structure = structure_of(fit)
    return None if structure is None else structure.layout


def structure_of(fit: Any) -> Any:
    """The correlation structure of a generalised fit, or None."""
    residual = fit.solution.residual
    covariance = None if residual is None else getattr(residual, "covariance", None)
    return None if covariance is None else covariance.structure


def model_correlation(fit: Any, *lags: Array) -> Array | None:
    """The fitted correlation at lags, or None where it is no function of them."""
    structure, residual = structure_of(fit), fit.solution.residual
    if structure is None:
        return None
    t = residual.t[residual.covariance.slices[0]]
    found: Array | None = structure.correlation_at(t, *lags)
    return found


def residuals_of(fit: Any, kind: str, asked: str) -> Array:
    """Residuals of the rows used.

    Raises
    ------
    ModelError : another kind.
    """
    if kind not in KINDS:
        raise ModelError(f"{asked}: kind is one of {', '.join(map(repr, KINDS))}, not {kind!r}.")
    values: Array = fit.residuals_as(kind)
    rows = fit.design.rows
    return values if rows is None else values[rows]


def _numbers(fit: Any, name: str, data: Any) -> Array:
    column = column_beside(fit, name, data, "coordinates")
    if column.kind != "numeric":
        raise DataError(f"coordinates: column '{name}' holds labels where numbers are needed.")
    return np.asarray(column.values, dtype=np.float64)
