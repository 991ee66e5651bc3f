"""Random terms with any structure on either side of the bar: levels, rows and coordinates, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from henderson.design.record import RandomBlock

if TYPE_CHECKING:
    import scipy.sparse as sp

    from henderson.genetics.relationship import Relationship


@dataclass(frozen=True, eq=False)
class LevelFactor:
    """One factor of the right side of a bar: how its levels are correlated.

    Attributes
    ----------
    kind : "id", "vm", "ar1", "ou", "exp", "gau", "mat", "sph", "car", "spl" ...
    names : its columns.
    levels : its labels, in order.
    coordinates : (levels, d) numbers of the levels, for the structures that measure; None otherwise.
    relationship : of "vm".
    options : constants given with it, such as {"nu": 1.5}.
    """

    kind: str
    names: tuple[str, ...]
    levels: tuple[Any, ...]
    coordinates: np.ndarray | None = None
    relationship: Relationship | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StructuredTerm:
    """One random term: Z, the structure of the effects within a level, and the correlation among levels.

    Attributes
    ----------
    block : names, levels (all of K's, those without records too: the product of the factors' levels, last fastest), codes and
        values, as `RandomBlock` has them.
    z : (n, q m) CSR: column (level, effect) is level * m + effect.
    options : of the structure left of the bar, such as {"k": 2}.
    coordinates : (m, d) numbers of the effects, for structures that measure along the effects (ou, exp ...); None otherwise.
    factors : of the right side. All of kind "id": independent levels.
    """

    block: RandomBlock
    z: sp.csr_matrix
    options: Mapping[str, Any]
    coordinates: np.ndarray | None
    factors: tuple[LevelFactor, ...]
