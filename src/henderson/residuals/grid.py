"""Products of correlations: (1 | ar1(row):ar1(col)), ou(x):ou(y), exp(x, y):ar1(year) ...

Where every factor is a Markov process (ar1, ou, exp of one coordinate) and rows fill a good part of the lattice of distinct
coordinates, the precision of the lattice is sparse (`lattice`). Otherwise the covariance is dense (`spatial`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import ModelError, NotAvailableError
from .axes import Axes, axes
from .base import Factor, Layout, Structure
from .decays import AR1, OU
from .distance import Pairs, pairs, require_numbers
from .kernels import Kernel, Lags
from .lattice import Lattice
from .order import require_whole
from .product import Product
from .spatial import DenseProduct, distance_kernel, require_coordinates

_MARKOV = ("ar1", "ou", "exp")
_FACTORS = ("ar1", "ou", "exp", "gau", "sph", "ratio", "lin", "mat", "id")
_SPARSE = 4
"""Cells of the lattice for each row beyond which it is too empty to pay, if a dense matrix is possible, and"""
_DENSE_ROWS = 4000
"""rows up to which one is."""


def build(layout: Layout, sparse: float = _SPARSE, dense_rows: int = _DENSE_ROWS) -> Structure:
    """The structure of a product. The lattice is taken where it has up to `sparse` cells for each row, or more than `dense_rows`
    rows.

    Raises
    ------
    DataError : two rows of one group in one place without a nugget; ar1 of what is no whole number.
    ModelError : coordinates that leave nothing to estimate.
    NotAvailableError : a factor that products do not have.
    """
    layout = _without_identities(layout)
    factors = layout.factors
    if len(factors) == 1:
        from .catalogue import build_layout

        return build_layout(layout)
    for factor in factors:
        _check(layout, factor)
    if all(_is_markov(factor) for factor in factors):
        found = axes(layout)
        cells, rows = found.cells, layout.n
        if cells <= max(sparse * rows, 1000) or rows > dense_rows:
            return lattice(layout, found)
    return dense_product(layout)


def lattice(layout: Layout, found: Axes) -> Lattice:
    """The structure by sparse precision."""
    kernels = [_kernel(layout, f, lags) for f, lags in zip(layout.factors, found.summaries, strict=True)]
    least = 1e-10 if layout.nugget else 0.0
    return Lattice(layout, found, Product(kernels, layout.nugget, layout.text, least), _name(layout))


def dense_product(layout: Layout) -> DenseProduct:
    """The structure by dense covariances."""
    found: Pairs = pairs(layout, layout.factors)
    kernels = [_kernel(layout, f, lags) for f, lags in zip(layout.factors, found.summaries, strict=True)]
    return DenseProduct(layout, found, Product(kernels, layout.nugget, layout.text), _name(layout))


def _name(layout: Layout) -> str:
    return ":".join(f"{f.structure}({', '.join(f.names)})" for f in layout.factors)


def _without_identities(layout: Layout) -> Layout:
    """id(x) in a product makes rows of different x independent: groups say the same."""
    groups, name, labels = layout.groups, layout.group_name, list(layout.group_labels)
    rest = tuple(f for f in layout.factors if f.structure != "id")
    if not rest:
        raise ModelError(
            f"{layout.text}: independent rows need no residual=; at least one factor is a correlation."
        )
    for factor in layout.factors:
        if factor.structure == "id":
            values, codes = np.unique(factor.coordinates[0], return_inverse=True)
            keys, groups = np.unique(groups * len(values) + codes, return_inverse=True)
            levels = factor.levels[0]
            said = [f"{v:g}" if levels is None else str(levels[int(v)]) for v in values]
            labels = [
                f"{labels[k // len(values)]}:{said[k % len(values)]}" if name else said[k % len(values)]
                for k in keys
            ]
            name = f"{name}:{factor.names[0]}" if name else factor.names[0]
    return replace(layout, factors=rest, groups=groups, group_name=name, group_labels=labels)


def _check(layout: Layout, factor: Factor) -> None:
    if factor.structure not in _FACTORS:
        raise NotAvailableError(
            f"{layout.text}: {factor.structure} in a product is not available in this version. Products are made of "
            f"{', '.join(_FACTORS)}."
        )
    require_coordinates(layout, factor)
    if factor.structure == "ar1":
        require_whole(layout, factor, f"ou takes any numbers: write ou({factor.names[0]}).")
    else:
        require_numbers(layout, factor)


def _is_markov(factor: Factor) -> bool:
    return factor.structure in _MARKOV and len(factor.names) == 1


def _kernel(layout: Layout, factor: Factor, lags: Lags) -> Kernel:
    suffix = f"({', '.join(factor.names)})"
    if factor.structure == "ar1":
        even = bool(lags.step % 2 == 0)
        return AR1(lags, layout.text, suffix, even)
    if _is_markov(factor):
        return OU(lags, layout.text, suffix, "range" if factor.structure == "exp" else "phi")
    return distance_kernel(factor, lags, layout.text, suffix)
