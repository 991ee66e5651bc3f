"""The compact letter display: means that share a letter do not differ.

Piepho (2004) J. Computational and Graphical Statistics 13, 456-466.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError

if TYPE_CHECKING:
    from .estimates import MarginalMeans


def letters_of(means: MarginalMeans, alpha: float, adjust: str | None) -> list[str]:
    """Of each mean, "" where it cannot be estimated.

    Raises
    ------
    ModelError : alpha is not between 0 and 1.
    """
    if not isinstance(alpha, (int, float, np.number)) or not 0.0 < alpha < 1.0:
        raise ModelError(f"letters: alpha is between 0 and 1, such as 0.05, not {alpha!r}.")
    letters = [""] * len(means)
    pairs = means.pairs(adjust)
    p = dict(zip(pairs.members, pairs.columns["p_value"], strict=True))
    for order in means.ascending():
        different = [(i, j) for i, j in combinations(order, 2) if p[(min(i, j), max(i, j))] < alpha]
        for k, together in enumerate(sets_of_equals(order, different)):
            for i in together:
                letters[i] += chr(ord("a") + k) if k < 26 else f"({k + 1})"
    return letters


def sets_of_equals(order: list[int], different: list[tuple[int, int]]) -> list[list[int]]:
    """The sets of members no two of which are different, none within another; by their first member in `order`."""
    sets = [frozenset(order)]
    for i, j in different:
        split: list[frozenset[int]] = []
        for each in sets:
            split += [each - {i}, each - {j}] if i in each and j in each else [each]
        unique = list(dict.fromkeys(split))
        sets = [s for s in unique if s and not any(s < other for other in unique)]
    rank = {member: place for place, member in enumerate(order)}
    return sorted(([m for m in order if m in s] for s in sets), key=lambda s: [rank[m] for m in s])
