"""Pedigrees and relationship matrices: what `vm(animal, A)` looks up.

    A        = T D T'            numerator relationships of a pedigree (pedigree.py); u = T m, var(m) = D s2
    A^-1     = (I - P)' D^-1 (I - P)      sparse, by Henderson's rules (ainverse.py); P has the parents' halves
    G        = Z Z' / k          genomic relationships of markers
    H^-1     = A^-1 + [0 0; 0 G^-1 - A22^-1]      single step

A `Relationship` (relationship.py) is what leaves the room: K or K^-1 with the ids of its rows. Names are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from henderson.genetics.blending import bend, blend
    from henderson.genetics.grm import dominance, grm
    from henderson.genetics.pedigree import Pedigree
    from henderson.genetics.plink import read_plink
    from henderson.genetics.relationship import Relationship
    from henderson.genetics.single_step import single_step

_LAZY = {
    "Pedigree": "pedigree",
    "Relationship": "relationship",
    "bend": "blending",
    "blend": "blending",
    "dominance": "grm",
    "grm": "grm",
    "read_plink": "plink",
    "single_step": "single_step",
}

__all__ = [
    "Pedigree",
    "Relationship",
    "bend",
    "blend",
    "dominance",
    "grm",
    "read_plink",
    "single_step",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"henderson.genetics has no attribute '{name}'; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"henderson.genetics.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
