"""Linear functions of the coefficients with the labels that tell them apart: marginal means, slopes and their contrasts are
rows l of l'b in families, one family for each combination of the columns `by`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError


@dataclass(frozen=True, eq=False)
class Functions:
    """k linear functions of the p coefficients and what they are of.

    Attributes
    ----------
    rows : (k, p); offset : (k,). labels : column of the table -> k values.
    names : the columns that tell the functions of a family apart; by : those that tell families apart.
    empty : (k,) whether there is nothing to weigh by.
    """

    rows: np.ndarray
    offset: np.ndarray
    labels: dict[str, list[Any]]
    names: tuple[str, ...]
    by: tuple[str, ...]
    empty: np.ndarray

    def families(self, by: Sequence[str]) -> list[np.ndarray]:
        """Places of the functions of each combination of the columns `by`, in the order they come."""
        keys: dict[tuple[Any, ...], list[int]] = {}
        for i in range(len(self.rows)):
            keys.setdefault(tuple(self.labels[name][i] for name in by), []).append(i)
        return [np.array(places) for places in keys.values()]


def crossed(functions: Functions, places: np.ndarray, names: tuple[str, ...]) -> dict[str, list[Any]]:
    """Levels of each variable in a family that has all of their combinations, the first fastest.

    Raises
    ------
    ModelError : it does not.
    """
    levels = {name: list(dict.fromkeys(functions.labels[name][i] for i in places)) for name in names}
    wanted: list[tuple[Any, ...]] = [()]
    for name in names[::-1]:
        wanted = [(value, *rest) for rest in wanted for value in levels[name]]
    there = [tuple(functions.labels[name][i] for name in names) for i in places]
    if there != wanted:
        raise ModelError(
            f"these estimates are not all combinations of {', '.join(names)}, so their interactions are not defined."
        )
    return levels


def cleaned(rows: np.ndarray, weights: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Contrasts whose columns cancel to rounding are 0 there: their null space is then judged on their own size."""
    size = np.abs(weights) @ np.abs(np.nan_to_num(means))
    return np.where(np.abs(rows) <= 1e-13 * size, 0.0, rows)
