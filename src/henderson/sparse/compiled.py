"""How this package compiles: one decorator, so that every kernel has the same arithmetic and is cached on disk."""

from __future__ import annotations

from typing import Any

from numba import njit

kernel: Any = njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    # Sums may be reordered and multiply-adds fused; NaN and infinity keep their meaning.
    fastmath={"contract", "reassoc", "nsz", "arcp"},
)
