"""What is asked of a search or of a power, read and refused: names, counts, blocks and their variance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError, closest
from ..models.covariance_input import RESIDUAL


def one_of(what: str, given: Any, known: Sequence[str]) -> str:
    """The known name that was given, whatever its case."""
    for name in known:
        if isinstance(given, str) and given.casefold() == name.casefold():
            return name
    raise ModelError(
        f"{what} is one of {', '.join(map(repr, known))}, not {given!r}." + closest_of(given, known)
    )


def whole_number(what: str, given: Any, least: int) -> int:
    """A count that was given."""
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < least:
        raise ModelError(f"{what} is a whole number, {least} or more, not {given!r}.")
    return int(given)


def closest_of(given: Any, known: Sequence[str]) -> str:
    """ " The closest is 'x'.", or nothing."""
    near = closest(given, known)
    return f" The closest is '{near}'." if near else ""


def seed_of(seed: Any) -> int:
    """The seed, or one that is drawn, so that a search can be made again."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return whole_number("seed", seed, 0)


def counts_of(replicates: Any) -> list[int]:
    """Numbers of replicates: one, or a list of them."""
    several = isinstance(replicates, Sequence | np.ndarray) and not isinstance(replicates, str)
    if several and not len(replicates):
        raise ModelError(f"replicates is a whole number, 1 or more, or a list of them, not {replicates!r}.")
    return [whole_number("replicates", count, 1) for count in (replicates if several else [replicates])]


@dataclass(frozen=True)
class Blocks:
    """The blocks of a search.

    Attributes
    ----------
    sizes : of the blocks; () where there are none.
    name : of their column.
    ratio : Var(block) / Var(e); None for fixed blocks. residual : Var(e).
    """

    sizes: tuple[int, ...]
    name: str
    ratio: float | None
    residual: float

    @property
    def lost(self) -> int:
        """Degrees of freedom that their differences take."""
        return max(len(self.sizes) - 1, 0) if self.ratio is None else 0

    def of_runs(self, n: int) -> np.ndarray:
        """Number of the block (n,) of each run, from 0."""
        return np.repeat(np.arange(max(len(self.sizes), 1)), self.sizes or (n,))


def read_blocks(n: Any, blocks: Any, theta: Any) -> tuple[Blocks, int]:
    """The blocks, and how many runs there are.

    Raises
    ------
    ModelError : neither n nor sizes, or sizes that do not add up; variances that do not belong to the blocks.
    """
    name, ratio, residual = _random_blocks(theta, blocks)
    sizes, n = _sizes(n, blocks)
    return Blocks(sizes, name, ratio, residual), n


def _sizes(n: Any, blocks: Any) -> tuple[tuple[int, ...], int]:
    if blocks is None:
        if n is None:
            raise ModelError("n, the number of runs, is needed.")
        return (), whole_number("n", n, 1)
    if not isinstance(blocks, Sequence | np.ndarray) or isinstance(blocks, str) or not len(blocks):
        raise ModelError(f"blocks is a list of sizes, such as [4, 4, 4], not {blocks!r}.")
    sizes = tuple(whole_number("a block's size", size, 1) for size in blocks)
    if n is not None and sum(sizes) != whole_number("n", n, 1):
        raise ModelError(
            f"blocks of {', '.join(map(str, sizes))} have {sum(sizes)} runs together, but n is {n}."
        )
    return sizes, sum(sizes)


def _random_blocks(theta: Any, blocks: Any) -> tuple[str, float | None, float]:
    """Name of the blocks' column, Var(block) / Var(e) (None for fixed blocks), Var(e)."""
    if theta is None:
        return "Block", None, 1.0
    if not isinstance(theta, Mapping):
        raise ModelError(f'theta is a mapping such as {{"Block": 0.5, "Residual": 1.0}}, not {theta!r}.')
    names = [key for key in theta if key != RESIDUAL]
    if len(names) != 1 or blocks is None:
        raise ModelError(
            'theta of a search is the variance of its random blocks: give blocks= their sizes and theta={"Block": 0.5, '
            '"Residual": 1.0}.'
        )
    values = []
    for key, wanted in ((names[0], "a number that is not negative"), (RESIDUAL, "a positive number")):
        value = theta.get(key, 1.0)
        good = isinstance(value, (int, float, np.number)) and 0 <= value < np.inf
        if not good or (key == RESIDUAL and value == 0):
            raise ModelError(f"theta: the variance of '{key}' is {wanted}, not {value!r}.")
        values.append(float(value))
    return str(names[0]), values[0] / values[1], values[1]
