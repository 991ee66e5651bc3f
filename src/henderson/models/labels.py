"""Names of coefficients, groups, effects and levels: the one record by which names come back beside the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TermLabels:
    """One random term."""

    group: str
    effects: tuple[str, ...]
    levels: Sequence
    structure: str
    text: str

    @property
    def parameters(self) -> list[tuple[str, int, int]]:
        """Name and (row, column) of each reported entry of Sigma: variances first, then covariances if there are any."""
        m = len(self.effects)
        out = [(effect, i, i) for i, effect in enumerate(self.effects)]
        if self.structure == "us":
            out += [(f"cov({self.effects[j]}, {self.effects[i]})", i, j) for i in range(m) for j in range(i)]
        return out


@dataclass(frozen=True)
class Labels:
    """All names of a model."""

    formula: str
    response: str
    fixed: tuple[str, ...]
    """Kept columns of X."""
    dropped: tuple[str, ...]
    """Columns of X that are linear combinations of those before them."""
    terms: tuple[TermLabels, ...]


def labels_of(
    formula: str,
    response: str,
    names: Sequence[str],
    kept: Iterable[int],
    dropped: Iterable[int],
    terms: tuple[TermLabels, ...] = (),
) -> Labels:
    """The names of a model whose X has columns `names`, of which some are kept."""
    return Labels(formula, response, tuple(names[j] for j in kept), tuple(names[j] for j in dropped), terms)
