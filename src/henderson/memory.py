"""How much memory the machine has, so that what cannot fit is refused before it starts to swap."""

from __future__ import annotations

import os

_UNKNOWN = 2**34


def machine_memory() -> int:
    """Bytes of physical memory; 16 GiB where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN
