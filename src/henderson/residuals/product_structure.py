"""What structures made of a `Product` of correlations share: parameters, starts, edges."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import numpy as np

from ..errors import HendersonError, ModelError
from .base import Layout, NotPositiveDefinite, Structure
from .product import Product

Array = np.ndarray
_RANKED_ROWS = 600
"""Rows up to which starts are ranked by all of them; beyond, by so many neighbouring rows."""
_FOLLOWED = 3
_COARSE, _FINE, _SCAN = 7, 30, 6000
"""Ranges in a scan, at least and at most, and ranges times rows."""
_APART = 0.4
"""Difference of a coordinate that makes two starts two."""


class ProductStructure(Structure):
    """C of a `Product`; subclasses hold its rows and do its algebra."""

    def __init__(self, layout: Layout, product: Product, name: str):
        self._n_rows, self._layout = layout.n, layout
        self.name, self.text, self.product = name, layout.text, product
        self.parameters = product.parameters
        self.lower, self.upper, self.separable = product.lower, product.upper, product.separable
        self.scanned = layout.n <= _RANKED_ROWS
        self.shares = (len(product.lower) - 1,) if product.nugget else ()

    @abstractmethod
    def restricted(self, layout: Layout) -> Structure:
        """The same product, in the same coordinates, for some of the rows."""

    def natural(self, t: Array) -> Array:
        return self.product.natural(t)

    def coordinates(self, natural: Array) -> Array:
        return self.product.coordinates(natural)

    def edges(self, t: Array) -> list[tuple[int, str]]:
        return self.product.edges(t)

    def correlation_at(self, t: Array, *lags: Array) -> Array | None:
        """At lags of each factor; 1 at 0, and for lags > 0 with the nugget taken off."""
        if len(lags) != len(self.product.kernels):
            return None
        found = [np.abs(np.asarray(lag, dtype=np.float64)) for lag in lags]
        values, _ = self.product.at(t, found, False)
        return np.where(np.max(found, axis=0) == 0, 1.0, values)

    def starts(self, residual: Array) -> list[Array]:
        """A grid of ranges and nuggets; of many rows the best three by the likelihood of the least-squares residuals of some."""
        if self.scanned:
            return [np.clip(t, self.lower, self.upper) for t in self.product.starts(self._count())]
        structure, own = self._few_rows(residual)
        scored = []
        for start in self.product.starts(_COARSE):
            t = np.clip(start, self.lower, self.upper)
            try:
                found = structure.cross_products(t, own[:, None], False)
            except NotPositiveDefinite:
                continue
            scored.append((found.log_det + len(own) * float(np.log(found.products[0, 0])), t))
        if not scored:
            raise ModelError(
                f"{self.text}: {self.name} is no positive definite correlation of these rows at any range tried. Where rows are too "
                "close together for so smooth a field, allow for a nugget: add (1 | units)."
            )
        scored.sort(key=lambda pair: pair[0])
        chosen: list[Array] = []
        for _, t in scored:
            if all(self._differ(t, other) for other in chosen):
                chosen.append(t)
        return chosen[:_FOLLOWED]

    def _count(self) -> int:
        """Ranges of a scan: fewer where an evaluation costs more, and in products, whose ranges multiply."""
        if len(self.product.kernels) > 1:
            return _COARSE
        return int(np.clip(_SCAN // self._n_rows, _COARSE, _FINE))

    def _differ(self, t: Array, other: Array) -> bool:
        r = len(t) - self.product.nugget
        return bool(np.abs(t[:r] - other[:r]).max() > _APART)

    def _few_rows(self, residual: Array) -> tuple[Structure, Array]:
        """A structure of neighbouring rows, to rank starts by, and their residuals in its order."""
        layout = self._layout
        if layout.n <= _RANKED_ROWS:
            return self, residual
        by_design = np.empty(layout.n)
        by_design[slice(None) if self.order is None else self.order] = residual
        rows = np.sort(_neighbours(layout))
        labels, groups = np.unique(layout.groups[rows], return_inverse=True)
        part = replace(
            layout,
            n=len(rows),
            factors=tuple(
                replace(f, coordinates=tuple(c[rows] for c in f.coordinates)) for f in layout.factors
            ),
            groups=groups,
            group_labels=[layout.group_labels[int(g)] for g in labels],
            rows=rows if layout.rows is None else layout.rows[rows],
        )
        try:
            structure = self.restricted(part)
        except HendersonError:
            return self, residual
        own = by_design[rows]
        return structure, own if structure.order is None else own[structure.order]


def _neighbours(layout: Layout) -> Array:
    """Whole groups, the largest first, or of the largest group the rows next to its middle."""
    sizes = np.bincount(layout.groups)
    largest = int(np.argmax(sizes))
    if sizes[largest] <= _RANKED_ROWS:
        first = np.argsort(-sizes, kind="stable")
        taken = first[np.cumsum(sizes[first]) <= _RANKED_ROWS]
        return np.flatnonzero(np.isin(layout.groups, taken))
    rows = np.flatnonzero(layout.groups == largest)
    points = np.column_stack([c[rows] for f in layout.factors for c in f.coordinates])
    scale = np.ptp(points, axis=0)
    away = np.abs((points - np.median(points, axis=0)) / np.where(scale > 0, scale, 1.0)).max(axis=1)
    return rows[np.argsort(away, kind="stable")[:_RANKED_ROWS]]
