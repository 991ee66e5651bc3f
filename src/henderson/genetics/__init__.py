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
    from henderson.genetics.conditioning import bend, blend, tune
    from henderson.genetics.dominant import dominance
    from henderson.genetics.genomic import grm
    from henderson.genetics.h_inverse import single_step
    from henderson.genetics.markers import Markers
    from henderson.genetics.pedigree import Pedigree
    from henderson.genetics.plink import read_plink
    from henderson.genetics.relationship import Relationship
    from henderson.genetics.snp_blup import genomic_values, marker_effects

_LAZY = {
    "Markers": "markers",
    "Pedigree": "pedigree",
    "Relationship": "relationship",
    "bend": "conditioning",
    "blend": "conditioning",
    "dominance": "dominant",
    "genomic_values": "snp_blup",
    "grm": "genomic",
    "marker_effects": "snp_blup",
    "read_plink": "plink",
    "single_step": "h_inverse",
    "tune": "conditioning",
}

__all__ = [
    "Markers",
    "Pedigree",
    "Relationship",
    "bend",
    "blend",
    "dominance",
    "genomic_values",
    "grm",
    "marker_effects",
    "read_plink",
    "single_step",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"henderson.genetics has no attribute '{name}'; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"henderson.genetics.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
