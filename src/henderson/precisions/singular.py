"""Relationships without an inverse, as a genomic one that was centred: K = L L' enters by its root, u = L b with b independent.

Beside other grouping columns, as in vm(gen, G):env, K is a Kronecker product and so is its root.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError, NotAvailableError
from ..memory import machine_memory
from .known import SingularRelationship, build, root_of

if TYPE_CHECKING:
    from ..design.structured import LevelFactor

Array = np.ndarray
_SHARE = 0.2
"""Of the machine's memory that the root of a product may take."""


def lift_of(factors: Sequence[LevelFactor]) -> Array:
    """(levels, r): L with L L' = K, the Kronecker product over the factors of a term of which one or more are singular.

    Raises
    ------
    NotAvailableError : beside a singular relationship a correlation among levels, whose parameters a root would have to follow.
    ModelError : a matrix that is no covariance (see `known.root_of`); a root beyond the memory.
    """
    roots = [_root(factor) for factor in factors]
    _require_memory(factors, roots)
    out = np.ones((1, 1))
    for factor, root in zip(factors, roots, strict=True):
        out = np.kron(out, np.eye(len(factor.levels)) if root is None else root)
    return out


def _root(factor: LevelFactor) -> Array | None:
    """None for independent levels."""
    if factor.kind == "id":
        return None
    text = f"{factor.kind}({', '.join(factor.names)})"
    if factor.kind != "vm":
        raise NotAvailableError(
            f"{text} beside a relationship that is singular: make the relationship positive definite first, as "
            "hd.genetics.blend(K, weight=0.01) does, or put one of the two left of the bar."
        )
    try:
        known = build(factor)
    except SingularRelationship as singular:
        return root_of(singular.relationship).l
    return np.linalg.cholesky(known.times(np.zeros(0), np.eye(known.n)))


def _require_memory(factors: Sequence[LevelFactor], roots: Sequence[Array | None]) -> None:
    shapes = [
        (len(f.levels), len(f.levels)) if r is None else r.shape for f, r in zip(factors, roots, strict=True)
    ]
    rows, columns = (float(np.prod([shape[side] for shape in shapes])) for side in (0, 1))
    needed, there = 8.0 * rows * columns, machine_memory()
    if len(factors) > 1 and needed > _SHARE * there:
        raise ModelError(
            f"{':'.join(n for f in factors for n in f.names)}: a relationship that is singular makes a root of {rows:.0f} x {columns:.0f} "
            f"numbers, {needed / 2**30:.0f} GiB (this machine has {there / 2**30:.0f}). Blend it, K + 0.01 I, so that it has an inverse, "
            "or put the other factor left of the bar."
        )
