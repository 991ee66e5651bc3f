"""Which file builds which structure. Each has `build(layout: Layout) -> Structure`; it is imported when it is needed.

`known.build(V, layout) -> Structure` is for `V=`: no coordinates, no parameters; layout.factors is (), layout.text "V=".
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import ModelError, NotAvailableError
from ..formula.residual import UNITS, Residual
from ..frame import Frame
from .base import Layout, Structure
from .independent import Independent
from .layout import layout_of, product_codes
from .order import COUNTED, require_order

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

_MEASURED = ("ou", "exp", "gau", "sph", "mat", "ratio", "lin")
NUGGET = ("ar1", "ou", "arma", "exp", "gau", "sph", "mat", "ratio", "lin", "product")
"""Structures that `+ (1 | units)` may stand beside."""


def build(residual: Residual, frame: Frame, rows: np.ndarray | None, n: int) -> Structure:
    """The structure of a residual term, on the n rows used.

    Raises
    ------
    DataError, ModelError : rows or options that the structure cannot have.
    NotAvailableError : part of the grammar that this version does not fit.
    """
    require_known(residual)
    if not residual.at:
        return _of_rows(residual, frame, rows, n)
    from .sections import Sections

    parts, labels = sections_of(residual, frame, rows, n)
    inner = [_of_rows(residual, frame, part if rows is None else rows[part], len(part)) for part in parts]
    return Sections(":".join(residual.at), labels, parts, inner, residual.text)


def require_known(residual: Residual) -> None:
    """Refuse names that are no structures of residuals."""
    for factor in residual.factors:
        identity = factor.structure == "id" and len(residual.factors) > 1
        if factor.structure == "vm":
            raise NotAvailableError(
                f"{residual.term}: a known covariance of the residuals, up to a factor, is given to hd.gls as V=; "
                "hd.lmm takes it by its levels."
            )
        if factor.structure not in _BUILDERS and not identity:
            raise NotAvailableError(
                f"{residual.term}: the structure {factor.structure} is not one of residuals in this version. "
                f"There are {', '.join(name for name in _BUILDERS if name != 'product')}."
            )


def sections_of(
    residual: Residual, frame: Frame, rows: np.ndarray | None, n: int
) -> tuple[list[np.ndarray], Sequence[Any]]:
    """The rows of the design in each section of at(...), and the sections' labels."""
    codes, labels = product_codes(residual.at, frame, rows, n)
    if len(labels) < 2:
        raise ModelError(
            f"{residual.text}: {':'.join(residual.at)} has one level only ({labels[0]}) in the rows used: leave at(...) out."
        )
    return [np.flatnonzero(codes == k) for k in range(len(labels))], labels


def _of_rows(residual: Residual, frame: Frame, rows: np.ndarray | None, n: int) -> Structure:
    return build_layout(layout_of(residual, frame, rows, n)) if residual.factors else Independent(n)


def build_layout(layout: Layout) -> Structure:
    """The structure of a layout."""
    name = require_layout(layout)
    module = import_module(f".{_module(layout, name)}", __package__)
    structure: Structure = module.build(layout)
    structure.layout = layout
    return structure


def require_layout(layout: Layout) -> str:
    """Refuse what a structure cannot have: a nugget, labels for distances, units of one row. The structure's name."""
    name = layout.factors[0].structure if len(layout.factors) == 1 else "product"
    if layout.nugget and name not in NUGGET:
        raise ModelError(
            f"{layout.text}: {name} cannot have a nugget, (1 | units), beside it: "
            + (
                "cs with one is cs again."
                if name == "cs"
                else f"the structures that can are {', '.join(n for n in NUGGET if n != 'product')} and products."
            )
        )
    for factor in layout.factors:
        if factor.structure in _MEASURED or factor.structure in COUNTED:
            require_order(layout, factor)
    alone = layout.group_name == UNITS and name != "diag" and len(np.unique(layout.groups)) == layout.n
    if alone:
        raise ModelError(
            f"{layout.text}: every unit has one row, so that no two residuals are correlated. Right of the bar stands what groups "
            f"the rows, as in {name}(0 + time | subject); diag(0 + env | units) is a variance for each level of env."
        )
    return name


def _module(layout: Layout, name: str) -> str:
    if name == "exp" and len(layout.factors[0].names) == 1:
        return "serial"  # the same process as ou, with its precision of three diagonals
    return _BUILDERS[name]
