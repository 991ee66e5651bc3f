"""All cores on compiled kernels that release the interpreter's lock: a call is cut into ranges, one thread each."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

SERIAL_WORK = 2e5
"""Inner steps below which starting a second thread costs more than it saves."""


@functools.cache
def thread_count() -> int:
    """Threads to use: HENDERSON_NUM_THREADS, else OMP_NUM_THREADS, else the processors this process may run on."""
    for name in ("HENDERSON_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            return int(value)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_count(), thread_name_prefix="henderson")


# A forked child inherits the pool but not its threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def run_ranges(call: Callable[[int, int], Any], cuts: list[int], work: float) -> list[Any]:
    """call(lo, hi) over the consecutive ranges of `cuts`; as one call where the work (inner steps) is small."""
    if work < SERIAL_WORK or len(cuts) == 2:
        return [call(cuts[0], cuts[-1])]
    futures = [_pool().submit(call, lo, hi) for lo, hi in pairwise(cuts[1:])]
    first = call(cuts[0], cuts[1])
    return [first, *(f.result() for f in futures)]
