"""Says so when kernels are about to be compiled, which takes a while and happens once per installation."""

from __future__ import annotations

import os
import sys
from typing import Any

_said = False


def announce_compilation(kernel: Any) -> None:
    """Print one line on stderr, once in a process, if `kernel` (a compiled function of this room) has nothing in Numba's cache yet.

    Numba keeps what it compiled beside the source, or in NUMBA_CACHE_DIR; where it cannot say, nothing is printed.
    """
    global _said
    if _said:
        return
    try:
        cache = kernel._cache
        index = os.path.join(cache.cache_path, cache._impl.filename_base)
        folder, base = os.path.split(index)
        known = os.path.isdir(folder) and any(
            name.startswith(base) and name.endswith(".nbi") for name in os.listdir(folder)
        )
    except (AttributeError, OSError):
        return
    if not known:
        _said = True
        print(
            "henderson: compiling its kernels for this machine; this takes about a minute, once per installation.",
            file=sys.stderr,
            flush=True,
        )
