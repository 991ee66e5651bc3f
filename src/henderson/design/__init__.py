"""Columns -> y, X, random blocks and their names.

`build` is the way in and `rebuild` the way in again with new data; `record` has what leaves the room. Between
them: `rows` (which rows are used), `factors` and `evaluate` (values of names and calls), `transforms`,
`structure`, `contrasts` and `columns` (model matrices of terms), `grouping` (levels), `spec` (what is kept).

The room's name is also the user's door to the design of experiments: `hd.design.evaluate`, `hd.design.search` and
`hd.design.power` are handed out by name from `henderson.optimal`, which is loaded when one of them is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from henderson.design.build import build, needed
from henderson.design.rebuild import needed_again, rebuild
from henderson.design.record import Design, ProductLabels, RandomBlock

if TYPE_CHECKING:
    from henderson.optimal import evaluate, power, search

_DOOR = ("evaluate", "power", "search")

__all__ = [
    "Design",
    "ProductLabels",
    "RandomBlock",
    "build",
    "evaluate",
    "needed",
    "needed_again",
    "power",
    "rebuild",
    "search",
]


def __getattr__(name: str) -> Any:
    if name not in _DOOR:
        raise AttributeError(f"henderson.design has no attribute '{name}'; it has {', '.join(_DOOR)}")
    value = getattr(importlib.import_module("henderson.optimal"), name)
    globals()[name] = value
    return value
