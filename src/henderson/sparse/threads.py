"""How many threads SciPy's BLAS uses, found and set at run time.

SciPy's wheels carry an OpenBLAS of their own. On small matrices its threads only spin, so the kernels of
this room ask for one thread there and for more on large fronts. Where the library is another one (MKL,
Accelerate, a distribution's BLAS), no symbol is found and setting the number does nothing: the kernels still
run, with that library's own choice.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import glob
import os
import sys
from collections.abc import Iterator

_PREFIXES = ("scipy_", "")
_SUFFIXES = ("", "64_", "_64")


def _candidates() -> list[str]:
    """Paths of shared libraries that may be SciPy's OpenBLAS, the most likely first."""
    import scipy

    package = os.path.dirname(os.path.abspath(scipy.__file__))
    folders = [
        os.path.join(os.path.dirname(package), "scipy.libs"),
        os.path.join(package, ".dylibs"),
        package,
    ]
    found: list[str] = []
    for folder in folders:
        found += sorted(glob.glob(os.path.join(folder, "*openblas*")))
    return found


@functools.cache
def _openblas() -> tuple[int, int]:
    """Addresses of `set_num_threads` and `get_num_threads`; zeros where there is no OpenBLAS to ask."""
    import scipy.linalg  # noqa: F401  the library must be the copy that is already loaded

    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for prefix in _PREFIXES:
            for suffix in _SUFFIXES:
                try:
                    setter = getattr(library, f"{prefix}openblas_set_num_threads{suffix}")
                    getter = getattr(library, f"{prefix}openblas_get_num_threads{suffix}")
                except AttributeError:
                    continue
                address = ctypes.cast(setter, ctypes.c_void_p).value or 0
                return address, ctypes.cast(getter, ctypes.c_void_p).value or 0
    return 0, 0


def setter_address() -> int:
    """Address of a C function `f(int)` that sets the number of threads, or does nothing (`abs`)."""
    address, _ = _openblas()
    if address:
        return address
    library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(library.abs, ctypes.c_void_p).value or 0


def get_blas_threads() -> int:
    """Number of threads SciPy's OpenBLAS would use now; 0 when it cannot be told."""
    _, address = _openblas()
    if not address:
        return 0
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(address)())


def set_blas_threads(count: int) -> None:
    """Let SciPy's OpenBLAS use `count` threads from now on; nothing happens where it cannot be told."""
    address, _ = _openblas()
    if address and count > 0:
        ctypes.CFUNCTYPE(None, ctypes.c_int)(address)(int(count))


@contextlib.contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Run a block with `count` BLAS threads and put the caller's number back afterwards."""
    before = get_blas_threads()
    set_blas_threads(count)
    try:
        yield
    finally:
        set_blas_threads(before)
