"""Sparse symmetric systems: ordering, symbolic analysis, Cholesky factor, selected inverse, solves.

    symbolic = analyze(n, rows, cols, tail=1)          once per model
    place = symbolic.positions(rows, cols)             once per model
    panels = np.zeros(symbolic.stored); panels[place] = values
    bad = factor(symbolic, panels)                     -1, or the column whose pivot is not positive
    selected_inverse(symbolic, panels, out, drop=1)    inverse of the leading block, on the pattern of L
    x = solve(symbolic, panels, rhs, drop=1)

Importing this package imports neither Numba nor SciPy: its functions fetch what they need when they are
first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import backward, diagonal, factor, forward, selected_inverse, solve
    from .symbolic import Symbolic, analyze

__all__ = [
    "Symbolic",
    "analyze",
    "backward",
    "diagonal",
    "factor",
    "forward",
    "selected_inverse",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = ".symbolic" if name in ("Symbolic", "analyze") else ".api"
    value = getattr(importlib.import_module(room, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
