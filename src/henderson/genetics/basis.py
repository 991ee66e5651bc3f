"""The columns of W in K = W W': which markers, at what frequencies, over what divisors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .coding import Coding
from .ids import match
from .markers import Markers

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class MarkerBasis:
    """What a relationship was made from, and what makes the same columns for other individuals.

    Attributes
    ----------
    coding : how a dosage enters.
    ploidy : of the markers.
    names : (s,) the markers kept.
    frequencies : (s,) of their counted alleles.
    divisor : (s,) W = z / divisor, with z of `coding`.
    counts : left out and filled in: "monomorphic", "rare", "gaps" (markers), "imputed" (genotypes).
    """

    coding: Coding
    ploidy: int
    names: Array
    frequencies: Array
    divisor: Array
    counts: dict[str, int]

    @property
    def s(self) -> int:
        return len(self.names)

    def columns(self, markers: Markers) -> Array:
        """W of any individuals, (markers.n, s); missing genotypes count as the mean (0).

        Raises
        ------
        DataError : a marker that they lack, or another ploidy.
        """
        if markers.ploidy != self.ploidy:
            raise DataError(
                f"markers: the ploidy is {markers.ploidy}, and {self.ploidy} where the relationship was made."
            )
        source = match(markers.names, self.names, "these markers", "the relationship's markers")
        out = np.empty((markers.n, self.s), order="F")
        order = np.argsort(source, kind="stable")
        at = source[order]
        for start, stop, x in markers.blocks():
            mine = order[np.searchsorted(at, start) : np.searchsorted(at, stop)]
            if len(mine):
                z = (
                    self.coding.columns(x[:, source[mine] - start], self.frequencies[mine], self.ploidy)
                    / self.divisor[mine]
                )
                out[:, mine] = np.nan_to_num(z, copy=False, nan=0.0)
        return out

    def said(self) -> str:
        """ "1279 markers (12 monomorphic left out, 40 genotypes imputed)"."""
        parts = [
            f"{count} {text}"
            for key, text in (
                ("monomorphic", "monomorphic left out"),
                ("rare", "rare ones left out"),
                ("gaps", "with too many gaps left out"),
                ("imputed", "genotypes imputed"),
            )
            if (count := self.counts[key])
        ]
        return f"{self.s} marker{'s' * (self.s != 1)}" + (f" ({', '.join(parts)})" if parts else "")
