"""The loops over a pedigree, one animal after another: compiled for large pedigrees, run as they are on small
ones.

Parents are positions in the same order as the animals, -1 where unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SMALL = 2_000
"""Animals up to which nothing is compiled."""

_compiled: dict[str, Callable[..., Any]] = {}


def loop(function: Callable[..., Any], n: int) -> Callable[..., Any]:
    """The function itself for a small n, compiled otherwise."""
    if n <= SMALL:
        return function
    name = function.__name__
    if name not in _compiled:
        from ..sparse.compiled import plain

        _compiled[name] = plain(function)
    return _compiled[name]


def generations(first, second):
    """Generation of each animal, 0 for those without parents, else one more than the later parent's; and -1.

    In place of the -1 comes an animal that is its own ancestor, if there is one; the generations mean nothing
    then.
    """
    n = first.size
    generation = np.full(n, -1, np.int32)
    stack = np.empty(n, np.int32)
    for start in range(n):
        if generation[start] >= 0:
            continue
        top = 0
        stack[0] = start
        generation[start] = -2
        while top >= 0:
            i = stack[top]
            s = first[i]
            d = second[i]
            p = -1
            if s >= 0 and generation[s] < 0:
                p = s
            elif d >= 0 and generation[d] < 0:
                p = d
            if p >= 0:
                if generation[p] == -2:
                    return generation, p
                generation[p] = -2
                top += 1
                stack[top] = p
                continue
            g = 0
            if s >= 0:
                g = generation[s] + 1
            if d >= 0 and generation[d] + 1 > g:
                g = generation[d] + 1
            generation[i] = g
            top -= 1
    return generation, -1


def descend(first, second, w1, w2, x):
    """x <- T x, x (n, r): each animal gets its parents' shares added. Parents come before their offspring."""
    n, r = x.shape
    for i in range(n):
        s = first[i]
        if s >= 0:
            for k in range(r):
                x[i, k] += w1 * x[s, k]
        d = second[i]
        if d >= 0:
            for k in range(r):
                x[i, k] += w2 * x[d, k]


def ascend(first, second, w1, w2, x):
    """x <- T'x, x (n, r): each animal hands its shares to its parents."""
    n, r = x.shape
    for i in range(n - 1, -1, -1):
        s = first[i]
        if s >= 0:
            for k in range(r):
                x[s, k] += w1 * x[i, k]
        d = second[i]
        if d >= 0:
            for k in range(r):
                x[d, k] += w2 * x[i, k]
