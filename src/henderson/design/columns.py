"""Terms and values -> the columns of a model matrix, written one by one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from henderson.design.contrasts import coding
from henderson.design.structure import Scoped
from henderson.design.values import Labels, Numbers, Value
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

    def column(self, j: int, rows: slice) -> Array | NDArray[np.bool_]:
        value = self.value
        if isinstance(value, Numbers):
            return value.values[rows] if value.names is None else value.values[rows, j]
        assert isinstance(value, Labels)
        codes = value.codes[rows]
        if self.matrix is None:
            return codes == j
        if isinstance(self.matrix, int):
            return codes == (j if j < self.matrix else j + 1)
        return self.matrix[:, j][codes]


def _products(sizes: list[int]) -> Iterator[tuple[int, ...]]:
    """Index tuples with the first index running fastest, as R orders the columns of an interaction."""
    if not sizes:
        yield ()
        return
    for rest in _products(sizes[1:]):
        for first in range(sizes[0]):
            yield (first, *rest)


class ModelColumns:
    """The matrix of the given terms, made when it is asked for: whole, or the rows of a slice.

    Parameters
    ----------
    structure : from `structure.scope`.
    values : factor name -> value.

    Attributes
    ----------
    names : of the p columns; assign (p,), the number of the term each column belongs to.

    Raises
    ------
    ModelError : more columns than this machine's memory holds.
    """

    def __init__(self, nrow: int, structure: tuple[tuple[Scoped, ...], ...], values: dict[str, Value]):
        self.nrow, self.structure, self.values = nrow, structure, values
        self._products: list[tuple[list[_Part], tuple[int, ...]]] = []
        names: list[str] = []
        numbers: list[int] = []
        limit = machine_memory() // 2 // (8 * max(1, nrow))
        for number, term in enumerate(structure):
            for scoped in term:
                parts = [_Part(name, values[name], reduced) for name, reduced in scoped]
                sizes = [len(part.names) for part in parts]
                count = int(np.prod(sizes, dtype=np.float64))
                if len(names) + count > limit:
                    written = ":".join(name for name, _ in max(term, key=len))
                    raise ModelError(
                        f"the term '{written}' has {count:,} columns on {nrow:,} rows: too many for memory.\n"
                        "A factor with many levels is better a random term: (1 | factor)."
                    )
                for index in _products(sizes):
                    names.append(
                        ":".join(part.names[j] for part, j in zip(parts, index, strict=True)) or INTERCEPT
                    )
                    numbers.append(number)
                    self._products.append((parts, index))
        self.names = tuple(names)
        self.assign = np.array(numbers, dtype=np.intp)

    @property
    def intercept(self) -> int | None:
        """The column that is 1 in every row by name, if there is one."""
        return next((j for j, (parts, _) in enumerate(self._products) if not parts), None)

    def fill(self, out: Array, rows: slice) -> None:
        """Write the rows of a slice into `out` (rows, p)."""
        for column, (parts, index) in enumerate(self._products):
            here = out[:, column]
            if not parts:
                here[:] = 1.0
                continue
            here[:] = parts[0].column(index[0], rows)
            for part, j in zip(parts[1:], index[1:], strict=True):
                here *= part.column(j, rows)

    @cached_property
    def whole(self) -> Array:
        """All rows in Fortran order, made once."""
        return self.matrix()

    def matrix(self, order: str = "F") -> Array:
        """All rows, (n, p) float64, in order "F" or "C"."""
        out = np.empty((self.nrow, len(self.names)), order=order)  # type: ignore[call-overload]
        self.fill(out, slice(None))
        return out
