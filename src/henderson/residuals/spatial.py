"""Correlations over coordinates, and products of correlations, as dense matrices for each group: exp, gau, sph, ratio, lin, mat.

    C = (1 - nugget) F + nugget I,     F_ij = f(d_ij / range)

with the derivatives dA = -(C^-1 M)' dC (C^-1 M) and d log|C| = tr(C^-1 dC) by every coordinate; groups in which rows have the same
places share one factorisation. The criterion of `sph` and `lin` has kinks where the range is a distance, and that of any range may
have several optima: there are several starts, ranked by the likelihood of the least-squares residuals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelError
from . import batched
from .base import CrossProducts, Factor, Layout, Structure
from .distance import Pairs, pairs, require_numbers
from .distance_kernels import ENDING, Distance, MaternNu
from .kernels import Kernel, Lags
from .near_one import NEAR_ONE
from .product import Product
from .product_structure import ProductStructure

Array = np.ndarray
_FOLLOWED = 6
"""Local minima of a scan that are climbed where the criterion bends."""
_KINKS = 60
"""Kinks nearest to where steps ended that are tried."""


def build(layout: Layout) -> Structure:
    """exp, gau, sph, ratio, lin or mat over the coordinates of one factor.

    Raises
    ------
    DataError : a coordinate that is text; two rows in one place without a nugget.
    ModelError : no distance, or too few to tell the parameters apart; too many rows for a dense matrix.
    """
    factor = layout.factors[0]
    require_coordinates(layout, factor)
    require_numbers(layout, factor)
    found = pairs(layout, [factor])
    kernel = distance_kernel(factor, found.summaries[0], layout.text)
    return DenseProduct(layout, found, Product([kernel], layout.nugget, layout.text), factor.structure)


def require_coordinates(layout: Layout, factor: Factor) -> None:
    """Refuse a correlation over space without coordinates."""
    if not factor.names:
        raise ModelError(
            f"{layout.text}: {factor.structure} needs coordinates: write (1 | {factor.structure}(x, y)), or "
            f"{factor.structure}(0 + x + y | field) for independent fields."
        )


def distance_kernel(factor: Factor, lags: Lags, text: str, suffix: str = "") -> Kernel:
    """The correlation of one factor over distances."""
    if factor.structure != "mat":
        return Distance(factor.structure, lags, text, suffix)
    nu: Any = factor.options.get("nu")
    if nu is None:
        return MaternNu(lags, text, suffix)
    if not 0 < nu <= 100:
        raise ModelError(f"{text}: nu is between 0 and 100, not {nu:g}; beyond that write gau.")
    return Distance("mat", lags, text, suffix, float(nu))


class DenseProduct(ProductStructure):
    """C of a `Product` of correlations, a dense matrix for each shape of group."""

    def __init__(self, layout: Layout, found: Pairs, product: Product, name: str):
        super().__init__(layout, product, name)
        self.order, self.pairs = found.order, found
        if any(getattr(k, "structure", "") in ENDING for k in product.kernels):
            self.followed = _FOLLOWED
        self._require_told_apart()

    def _require_told_apart(self) -> None:
        distinct = len(np.unique(np.stack([lag[:1000] for lag in self.pairs.lags]), axis=1).T)
        if self.pairs.lags[0].size <= 1000 and distinct < len(self.parameters):
            names = " and ".join(p.name for p in self.parameters)
            raise ModelError(
                f"{self.text}: {names} cannot be told apart: rows are {distinct} distance{'s' * (distinct != 1)} apart only. "
                + ("Leave out (1 | units)." if self.product.nugget else "Give nu, as in mat(x, nu=1.5).")
            )

    def _bends(self) -> Array:
        """t of the range of `lin` at which it is a distance between rows, (u,), ascending."""
        kernels = self.product.kernels
        if len(kernels) > 1 or not isinstance(kernels[0], Distance) or kernels[0].structure != "lin":
            return np.zeros(0)
        span = kernels[0].span
        return np.array([span.t(float(d)) for d in np.unique(self.pairs.lags[0])[::-1] if d > 0])

    def kinks(self, t: Array) -> list[tuple[int, float]]:
        bends = self._bends()
        nearest = np.argsort(np.abs(bends - t[0]), kind="stable")[:_KINKS]
        return [(0, float(bends[i])) for i in nearest]

    def edges(self, t: Array) -> list[tuple[int, str]]:
        out = super().edges(t)
        if t[0] in self._bends() and all(j for j, _ in out):
            d = float(self.product.natural(t)[0])
            said = (
                f"the range of {self.text} is estimated at a kink of the likelihood, {d:.6g}, a distance between rows at which "
                "its slope jumps: there is no curvature to make a standard error of"
            )
            out = [(0, said), *out]
        return out

    def restricted(self, layout: Layout) -> Structure:
        return DenseProduct(
            layout,
            pairs(layout, layout.factors),
            self.product,
            self.name,
        )

    def whiten(self, t: Array, m: Array) -> tuple[Array, float]:
        values = self.product.at(t, self.pairs.lags, False)[0]
        return batched.whiten(self.pairs, values, self._gaps(t), m)

    def cross_products(self, t: Array, m: Array, slopes: bool) -> CrossProducts:
        values, derivatives = self.product.at(t, self.pairs.lags, slopes)
        return batched.cross_products(self.pairs, values, self._gaps(t), derivatives, m)

    def _gaps(self, t: Array) -> Array | None:
        """1 - C of the pairs where all of it is small, so that its digits are needed."""
        farthest = self.product.gap(t, [np.array([lags.max()]) for lags in self.pairs.lags])
        return self.product.gap(t, self.pairs.lags) if farthest[0] < NEAR_ONE else None
