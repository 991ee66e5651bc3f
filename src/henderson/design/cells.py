"""The factors that the columns of X are made of, and the combination of levels ("cell") that each row has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from henderson.design.combination import listed
from henderson.design.contrasts import coding
from henderson.design.values import Labels
from henderson.formula.expression import Call, Name, strip

if TYPE_CHECKING:
    from henderson.design.record import Design

MOST_CELLS = 5_000_000
"""Combinations of levels up to which those without rows are looked for."""


@dataclass(frozen=True)
class Factor:
    """A categorical factor of the formula: the column of the table it comes from, and its levels."""

    column: str
    labels: Labels

    def level(self, code: int) -> str:
        """ "site S2"."""
        return f"{self.column} {self.labels.levels[code]}"

    def several(self, codes: np.ndarray) -> str:
        """ "block 1, 2 and 5"."""
        return f"{self.column} {listed([str(self.labels.levels[i]) for i in codes])}"


@dataclass(frozen=True)
class Product:
    """Columns of X that are products of the columns of some factors: their place, and each factor with its coding."""

    factors: tuple[tuple[str, bool], ...]
    first: int
    sizes: tuple[int, ...]

    @property
    def columns(self) -> slice:
        return slice(self.first, self.first + int(np.prod(self.sizes, dtype=np.int64)))


class Layout:
    """How the columns of a design's X are made up.

    Attributes
    ----------
    terms : factors of each fixed term, () the intercept.
    categorical : factor name -> `Factor`.
    products : in the order of the columns.
    """

    def __init__(self, design: Design):
        formula = design.formula
        self.terms = formula.terms
        self.values = design.columns.values
        self.width = design.p
        self.categorical: dict[str, Factor] = {}
        for name, value in self.values.items():
            if isinstance(value, Labels):
                node = formula.factors[name]
                column = strip(node.args[0]) if isinstance(node, Call) else node
                self.categorical[name] = Factor(column.name if isinstance(column, Name) else name, value)
        products, at = [], 0
        for term in design.columns.structure:
            for scoped in term:
                products.append(Product(scoped, at, tuple(self._size(*each) for each in scoped)))
                at = products[-1].columns.stop
        self.products = tuple(products)

    def _size(self, name: str, reduced: bool) -> int:
        value = self.values[name]
        if isinstance(value, Labels):
            return len(coding(name, value.levels, value.contrast, reduced)[1])
        return 1 if value.names is None else len(value.names)

    def is_categorical(self, term: int) -> bool:
        """Whether a term has factors, and all of them are categorical."""
        names = self.terms[term]
        return bool(names) and all(name in self.categorical for name in names)

    def shown(self, term: int) -> str:
        """A term by the columns of the table: "block", "site:variety", "poly(x, 2)"."""
        names = [self.categorical[n].column if n in self.categorical else n for n in self.terms[term]]
        return ":".join(names) or "the intercept"

    def shape(self, factors: Sequence[str]) -> tuple[int, ...]:
        """Number of levels of each factor."""
        return tuple(len(self.categorical[name].labels.levels) for name in factors)

    def cells(self, factors: Sequence[str]) -> np.ndarray:
        """The cell of each row, (n,) numbers into `shape(factors)` in C order."""
        codes = tuple(np.asarray(self.categorical[name].labels.codes, dtype=np.int64) for name in factors)
        return np.ravel_multi_index(codes, self.shape(factors))

    def numbers(self, factors: Sequence[str]) -> np.ndarray:
        """The products (n, k) of the numeric ones of some factors."""
        out: np.ndarray | None = None
        for name in factors:
            value = self.values[name]
            if not isinstance(value, Labels):
                columns = value.values.reshape(len(value.values), -1)
                out = (
                    columns if out is None else (out[:, :, None] * columns[:, None, :]).reshape(len(out), -1)
                )
        assert out is not None
        return out

    def row(self, codes: Mapping[str, int]) -> np.ndarray:
        """Row of X (p,) of the cell mean of the given levels; columns with any other factor, or a number, are 0."""
        out = np.zeros(self.width)
        for product in self.products:
            if not {name for name, _ in product.factors} <= set(codes):
                continue
            value = np.ones(())
            for name, reduced in product.factors:
                value = np.multiply.outer(value, self._coded(name, reduced, codes[name]))
            out[product.columns] = value.ravel(order="F")
        return out

    def _coded(self, name: str, reduced: bool, code: int) -> np.ndarray:
        labels = self.categorical[name].labels
        matrix, _ = coding(name, labels.levels, labels.contrast, reduced)
        if isinstance(matrix, np.ndarray):
            return matrix[code]
        line = np.eye(len(labels.levels))[code]
        return line if matrix is None else np.delete(line, matrix)


@dataclass(frozen=True)
class EmptyCell:
    """A combination of levels without rows: factor name -> code."""

    codes: dict[str, int]

    def said(self, layout: Layout) -> str:
        """ "site S2 with variety G07"."""
        return " with ".join(layout.categorical[name].level(code) for name, code in self.codes.items())

    def coefficient(self, layout: Layout) -> str:
        """ "site[S2]:variety[G07]"."""
        records = [(layout.categorical[name], code) for name, code in self.codes.items()]
        return ":".join(f"{factor.column}[{factor.labels.levels[code]}]" for factor, code in records)


def empty_cells(layout: Layout, factors: Sequence[str]) -> list[EmptyCell]:
    """Combinations of levels of two or more of the factors that no row has; of those within each other the smallest."""
    shape = layout.shape(factors)
    if len(factors) < 2 or np.prod(shape, dtype=np.float64) > MOST_CELLS:
        return []
    count = np.bincount(layout.cells(factors), minlength=int(np.prod(shape))).reshape(shape)
    out: list[EmptyCell] = []
    known = np.zeros(shape, dtype=bool)
    for size in range(2, len(factors) + 1):
        for axes in combinations(range(len(factors)), size):
            others = tuple(a for a in range(len(factors)) if a not in axes)
            empty = count.sum(axis=others, keepdims=True) == 0
            new = empty & ~known.all(axis=others, keepdims=True)
            out += [EmptyCell({factors[a]: int(index[a]) for a in axes}) for index in np.argwhere(new)]
            known |= empty
    return out
