"""Terms and values -> the columns of a model matrix, written one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from henderson.design.contrasts import coding
from henderson.design.values import Labels, Numbers, Value
from henderson.design.structure import Scoped
from henderson.errors import ModelError
from henderson.memory import machine_memory

Array = NDArray[np.float64]
INTERCEPT = "(Intercept)"


class _Part:
    """One factor of one product: its column names, and its columns on request."""

    def __init__(self, name: str, value: Value, reduced: bool):
        self.value = value
        if isinstance(value, Numbers):
            self.names = (
                (name,) if value.names is None else tuple(f"{name}[{field}]" for field in value.names)
            )
            return
        self.matrix, self.names = coding(name, value.levels, value.contrast, reduced)

    def column(self, j: int) -> Array | NDArray[np.bool_]:
        value = self.value
        if isinstance(value, Numbers):
            return value.values if value.names is None else value.values[:, j]
        assert isinstance(value, Labels)
        if self.matrix is None:
            return value.codes == j
        if isinstance(self.matrix, int):
            return value.codes == (j if j < self.matrix else j + 1)
        return self.matrix[:, j][value.codes]


def _products(sizes: list[int]) -> Iterator[tuple[int, ...]]:
    """Index tuples with the first index running fastest, as R orders the columns of an interaction."""
    if not sizes:
        yield ()
        return
    for rest in _products(sizes[1:]):
        for first in range(sizes[0]):
            yield (first, *rest)


def model_matrix(
    nrow: int, structure: tuple[tuple[Scoped, ...], ...], values: dict[str, Value], order: str = "F"
) -> tuple[Array, tuple[str, ...], NDArray[np.intp]]:
    """The matrix of the given terms.

    Parameters
    ----------
    structure : from `structure.scope`.
    values : factor name -> value.
    order : "F" or "C".

    Returns
    -------
    matrix (n, p) float64, names (p), and the number of the term each column belongs to (p,).

    Raises
    ------
    ModelError : more columns than this machine's memory holds.
    """
    products: list[tuple[int, list[_Part], tuple[int, ...]]] = []
    names: list[str] = []
    limit = machine_memory() // 2 // (8 * max(1, nrow))
    for number, term in enumerate(structure):
        for scoped in term:
            parts = [_Part(name, values[name], reduced) for name, reduced in scoped]
            count = int(np.prod([len(part.names) for part in parts], dtype=np.float64))
            if len(names) + count > limit:
                written = ":".join(name for name, _ in max(term, key=len))
                raise ModelError(
                    f"the term '{written}' has {count:,} columns on {nrow:,} rows: too many for memory.\n"
                    "A factor with many levels is better a random term: (1 | factor)."
                )
            for index in _products([len(part.names) for part in parts]):
                names.append(
                    ":".join(part.names[j] for part, j in zip(parts, index, strict=True)) or INTERCEPT
                )
                products.append((number, parts, index))
    matrix = np.empty((nrow, len(names)), order=order)  # type: ignore[call-overload]
    for column, (_, parts, index) in enumerate(products):
        if not parts:
            matrix[:, column] = 1.0
            continue
        out = matrix[:, column]
        out[:] = parts[0].column(index[0])
        for part, j in zip(parts[1:], index[1:], strict=True):
            out *= part.column(j)
    return matrix, tuple(names), np.array([number for number, _, _ in products], dtype=np.intp)
