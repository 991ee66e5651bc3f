"""Which solver a model gets: dense for small ones, sparse for the rest."""

from __future__ import annotations

from .crossproducts import CrossProducts
from .dense import DenseSystem
from .system import System

DENSE_LIMIT = 600
"""Equations up to which LAPACK on one dense matrix beats loading the compiled kernels."""


def build_system(products: CrossProducts) -> System:
    """The system for these cross-products."""
    if products.q + products.p + 1 <= DENSE_LIMIT:
        return DenseSystem(products)
    from ..sparse.announce import announce_compilation
    from ..sparse.leading import eliminate
    from .bordered import BorderedSystem

    announce_compilation(eliminate)
    return BorderedSystem(products)
