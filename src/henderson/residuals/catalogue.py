"""Which file builds which structure. Each has `build(layout: Layout) -> Structure`; it is imported when it is needed."""

from __future__ import annotations

from importlib import import_module

from .base import Layout, Structure

_BUILDERS = {
    "ar1": "serial",
    "ou": "serial",
    "arma": "arma",
    "cs": "exchangeable",
    **dict.fromkeys(("us", "cor", "toep", "toeph", "csh", "ar1h", "diag", "ante1"), "positions"),
    **dict.fromkeys(("exp", "gau", "sph", "mat", "ratio", "lin"), "spatial"),
    "product": "grid",
}
"""Structure -> module of this folder. "product" is a term of several factors, such as ar1(row):ar1(col)."""

NUGGET = ("ar1", "ou", "arma", "exp", "gau", "sph", "mat", "ratio", "lin", "product")
"""Structures that `+ (1 | units)` may stand beside."""


def build(layout: Layout) -> Structure:
    """The structure of a residual term.

    Raises
    ------
    DataError, ModelError : rows or options that the structure cannot have.
    """
    name = layout.factors[0].structure if len(layout.factors) == 1 else "product"
    module = import_module(f".{_BUILDERS[name]}", __package__)
    structure: Structure = module.build(layout)
    return structure
