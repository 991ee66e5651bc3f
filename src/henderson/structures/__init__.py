"""Covariance structures, one a file, behind the contract of `base.Structure`."""

from __future__ import annotations

from .base import Structure, psd_cholesky
from .diagonal import Diagonal
from .identity import Identity
from .unstructured import Unstructured

__all__ = ["Diagonal", "Identity", "Structure", "Unstructured", "make", "psd_cholesky"]

_BY_NAME: dict[str, type] = {"us": Unstructured, "diag": Diagonal, "id": Identity}


def make(name: str, m: int) -> Structure:
    """The structure `name` for m effects; one effect has one variance whatever the structure is called."""
    return Unstructured(1) if m == 1 else _BY_NAME[name](m)
