"""Which file builds which structure. Each has `build(layout: Layout) -> Structure`; it is imported when it is needed.

`known.build(V, layout) -> Structure` is for `V=`: no coordinates, no parameters; layout.factors is (), layout.text "V=".
"""

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
    module = import_module(f".{_module(layout, name)}", __package__)
    structure: Structure = module.build(layout)
    return structure


def _module(layout: Layout, name: str) -> str:
    if name == "exp" and len(layout.factors[0].names) == 1:
        return "serial"  # the same process as ou, with its precision of three diagonals
    return _BUILDERS[name]
