"""How this package compiles: two decorators, so that every kernel is compiled alike and kept on disk.

`plain` keeps the order of every sum as written; `kernel` lets the compiler reorder sums and fuse multiply-adds, which many
small blocks need to be fast. NaN and infinity keep their meaning in both.
"""

from __future__ import annotations

from typing import Any

from numba import njit


def _compiled(function: Any, **options: Any) -> Any:
    try:
        return njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        # Numba found no folder it may write to: compile for this process alone.
        return njit(nogil=True, **options)(function)


def plain(function: Any) -> Any:
    """Compile; arithmetic as written."""
    return _compiled(function)


def kernel(function: Any) -> Any:
    """Compile; sums may be reordered, a division by zero is infinite as in NumPy."""
    return _compiled(function, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
