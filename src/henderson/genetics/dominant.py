"""Dominance relationships from marker genotypes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import DataError
from .coding import DOMINANCE
from .genomic import GenomicRelationship, coding_of, read_markers, read_rules, relationship_of


def dominance(
    markers: Any,
    method: str = "vitezica",
    *,
    ids: str | Iterable[Any] | None = None,
    ploidy: int = 2,
    coding: str = "012",
    missing: float | Iterable[float] | None = None,
    frequencies: Any = None,
    min_maf: float = 0.0,
    max_missing: float = 1.0,
) -> GenomicRelationship:
    """The dominance relationship matrix D of n individuals from s markers.

        vitezica   D = W W' / sum (2 p q)^2,   w = -2 q^2, 2 p q, -2 p^2 for 2, 1, 0 copies: dominance deviations, orthogonal to
                   the breeding values under Hardy-Weinberg proportions; with more than two copies the digenic effects
        su         D = W W' / sum 2 p q (1 - 2 p q),   w = 1 - 2 p q for a heterozygote, -2 p q otherwise: the dominant
                   genotypic effects

    Parameters
    ----------
    As `grm`. A missing genotype counts as 0, what is expected under Hardy-Weinberg proportions.

    Raises
    ------
    DataError : as `grm`, and genotypes that are no whole numbers.

    Source: Vitezica, Varona & Legarra (2013), Genetics 195: 1223-1230; Endelman et al. (2018), Genetics 209: 77-87; Su et al.
    (2012), PLoS ONE 7: e45293.
    """
    how = coding_of(method, DOMINANCE, "dominance")
    given = read_markers(markers, ids, ploidy, coding, missing)
    if given.ploidy == 1:
        raise DataError("dominance: haploids (ploidy=1) have no dominance.")
    return relationship_of(given, how, read_rules(given, frequencies, min_maf, max_missing))
