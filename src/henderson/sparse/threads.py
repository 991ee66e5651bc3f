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
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

_PREFIXES = ("scipy_", "")
_SUFFIXES = ("", "64_", "_64")


def _candidates(package: str) -> list[str]:
    """Paths of shared libraries that may be the OpenBLAS of `package` ("scipy" or "numpy")."""
    folder = os.path.dirname(os.path.abspath(importlib.import_module(package).__file__ or ""))
    places = [
        os.path.join(os.path.dirname(folder), package + ".libs"),
        os.path.join(folder, ".dylibs"),
        folder,
    ]
    found: list[str] = []
    for place in places:
        found += sorted(glob.glob(os.path.join(place, "*openblas*")))
    return found


@functools.cache
def _openblas(package: str = "scipy") -> tuple[int, int]:
    """Addresses of `set_num_threads` and `get_num_threads`; zeros where there is no OpenBLAS to ask."""
    # The library must be the copy that is already loaded.
    importlib.import_module(package + ".linalg")
    for path in _candidates(package):
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


@functools.cache
def _calls(package: str) -> tuple[Callable[[int], None], Callable[[], int]]:
    """Set and get the number of threads of a package's OpenBLAS; calls that do nothing where it cannot be told."""
    setter, getter = _openblas(package)
    if not setter:
        return (lambda count: None), (lambda: 0)
    return ctypes.CFUNCTYPE(None, ctypes.c_int)(setter), ctypes.CFUNCTYPE(ctypes.c_int)(getter)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run a block with one thread in NumPy's and in SciPy's BLAS: matrices of a few hundred rows only lose by more.

    On a busy machine they lose a hundredfold: OpenBLAS's threads wait for one another by spinning.
    """
    _single.enter()
    try:
        yield
    finally:
        _single.leave()


class _Single:
    """One BLAS thread while anybody asks for it: the number is the process's, so the first one in saves it and the last
    one out puts it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._before: list[tuple[Callable[[int], None], int]] = []

    def enter(self) -> None:
        with self._lock:
            if self._depth == 0:
                calls = [_calls(package) for package in ("numpy", "scipy")]
                self._before = [(set_threads, get_threads()) for set_threads, get_threads in calls]
                for set_threads, _ in self._before:
                    set_threads(1)
            self._depth += 1

    def leave(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                for set_threads, count in self._before:
                    if count > 0:
                        set_threads(count)


_single = _Single()


def setter_address() -> int:
    """Address of a C function `f(int)` that sets the number of threads, or does nothing (`abs`)."""
    address, _ = _openblas()
    if address:
        return address
    library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(library.abs, ctypes.c_void_p).value or 0


def get_blas_threads() -> int:
    """Number of threads SciPy's OpenBLAS would use now; 0 when it cannot be told."""
    return int(_calls("scipy")[1]())


def set_blas_threads(count: int) -> None:
    """Let SciPy's OpenBLAS use `count` threads from now on; nothing happens where it cannot be told."""
    if count > 0:
        _calls("scipy")[0](int(count))


@contextlib.contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Run a block with `count` BLAS threads and put the caller's number back afterwards."""
    before = get_blas_threads()
    set_blas_threads(count)
    try:
        yield
    finally:
        set_blas_threads(before)
