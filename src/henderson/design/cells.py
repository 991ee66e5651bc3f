"""Which factors the columns of X are made of, and the combination of levels ("cell") of each row, read back from X.

A design keeps X and the record of how it was made, not the columns of the table. The columns that belong to a set of
factors and their margins tell the cells of these factors apart; so does their product with one random vector, for rows
and for cells alike, and rows are matched to cells by that number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from henderson.design.contrasts import coding
from henderson.design.spec import read_structure
from henderson.formula import Formula, parse
from henderson.formula.expression import Call, Name, strip
from henderson.formula.functions import FUNCTIONS, constants_of
from henderson.frame import Label

MOST_CELLS = 2_000_000


@dataclass(frozen=True)
class Factor:
    """A categorical factor of the formula: the column of the table it comes from, its levels and contrasts."""

    column: str
    levels: tuple[Label, ...]
    contrast: tuple[str, Any]

    def level(self, code: int) -> str:
        """ "site S2"."""
        return f"{self.column} {self.levels[code]}"


@dataclass(frozen=True)
class Product:
    """Columns of X that are products of the columns of some factors: their place, and each factor with its coding."""

    term: int
    factors: tuple[tuple[str, bool], ...]
    first: int
    sizes: tuple[int, ...]

    @property
    def columns(self) -> slice:
        return slice(self.first, self.first + int(np.prod(self.sizes, dtype=np.int64)))


class Layout:
    """How the columns of X are made up.

    Parameters
    ----------
    spec : `Design.spec`.

    Attributes
    ----------
    terms : factors of each fixed term, () the intercept.
    categorical : factor name -> `Factor`.
    products : in the order of the columns; empty where the record does not add up to the columns.
    """

    def __init__(self, spec: Mapping[str, Any]):
        formula = parse(spec["formula"])
        self.terms = formula.terms
        self.names = tuple(spec["x_names"])
        self.categorical = _categorical(spec, formula)
        self.products: tuple[Product, ...] = ()
        at, products = 0, []
        for number, term in enumerate(read_structure(spec["structure"])):
            for scoped in term:
                sizes = tuple(self._size(name, reduced) for name, reduced in scoped)
                products.append(Product(number, scoped, at, sizes))
                at += int(np.prod(sizes, dtype=np.int64))
        if at == len(self.names):
            self.products = tuple(products)

    def _size(self, name: str, reduced: bool) -> int:
        if name in self.categorical:
            return len(self.categorical[name].levels) - reduced
        pattern = re.compile(re.escape(name) + r"\[([^\]]*)\]")
        fields = {found for column in self.names for found in pattern.findall(column)}
        return max(1, len(fields))

    def is_categorical(self, term: int) -> bool:
        """Whether a term has factors, and all of them are categorical."""
        names = self.terms[term]
        return bool(names) and all(name in self.categorical for name in names)

    def shown(self, term: int) -> str:
        """A term by the columns of the table: "block", "site:variety", "poly(x, 2)"."""
        names = [self.categorical[n].column if n in self.categorical else n for n in self.terms[term]]
        return ":".join(names) or "the intercept"

    def shape(self, factors: Sequence[str]) -> tuple[int, ...]:
        return tuple(len(self.categorical[name].levels) for name in factors)

    def cells(self, X: np.ndarray, factors: Sequence[str]) -> np.ndarray | None:
        """The cell of each row, (n,) numbers into `shape(factors)` in C order; None where X does not tell them apart."""
        shape = self.shape(factors)
        there = [p for p in self.products if p.factors and {name for name, _ in p.factors} <= set(factors)]
        if not there or np.prod(shape, dtype=np.float64) > MOST_CELLS:
            return None
        rng = np.random.default_rng(20)
        of_cells, of_rows = np.zeros(shape), np.zeros(len(X))
        for product in there:
            weights = rng.uniform(1.0, 2.0, product.sizes)
            of_rows += X[:, product.columns] @ weights.ravel(order="F")
            of_cells += self._spread(product, weights, factors)
        return _matched(of_cells.ravel(), of_rows)

    def _spread(self, product: Product, weights: np.ndarray, factors: Sequence[str]) -> np.ndarray:
        """sum over columns of (coding of each cell) * weights, with one axis for each of `factors`."""
        for axis, (name, reduced) in enumerate(product.factors):
            matrix = self.coding(name, reduced)
            if matrix is not None:
                weights = np.moveaxis(np.tensordot(matrix, weights, axes=(1, axis)), 0, axis)
        names = [name for name, _ in product.factors]
        order = [names.index(name) for name in factors if name in names]
        shape = [len(self.categorical[name].levels) if name in names else 1 for name in factors]
        return weights.transpose(order).reshape(shape)

    def coding(self, name: str, reduced: bool) -> np.ndarray | None:
        """Rows of the coding of each level, (levels, columns), or None for indicators of all levels."""
        factor = self.categorical[name]
        matrix, _ = coding(name, factor.levels, factor.contrast, reduced)
        if matrix is None:
            return None
        eye = np.eye(len(factor.levels))
        return np.delete(eye, matrix, axis=1) if isinstance(matrix, int) else matrix

    def row(self, codes: Mapping[str, int]) -> np.ndarray:
        """Row of X (p,) of the cell mean of the given levels; columns with any other factor, or a number, are 0."""
        out = np.zeros(len(self.names))
        for product in self.products:
            names = [name for name, _ in product.factors]
            if not set(names) <= set(codes):
                continue
            value = np.ones(())
            for name, reduced in product.factors:
                matrix = self.coding(name, reduced)
                line = np.eye(len(self.categorical[name].levels)) if matrix is None else matrix
                value = np.multiply.outer(value, line[codes[name]])
            out[product.columns] = value.ravel(order="F")
        return out


@dataclass(frozen=True)
class EmptyCell:
    """A combination of levels without rows: factor name -> code."""

    codes: dict[str, int]

    def said(self, layout: Layout) -> str:
        """ "site S2 with variety G07"."""
        return " with ".join(layout.categorical[name].level(code) for name, code in self.codes.items())

    def coefficient(self, layout: Layout) -> str:
        """ "site[S2]:variety[G07]"."""
        return ":".join(
            f"{layout.categorical[name].column}[{layout.categorical[name].levels[code]}]"
            for name, code in self.codes.items()
        )


def empty_cells(layout: Layout, X: np.ndarray, factors: Sequence[str]) -> list[EmptyCell]:
    """Combinations of levels of two or more of the factors that no row has; of those within each other the smallest."""
    cells = layout.cells(X, factors)
    if cells is None or len(factors) < 2:
        return []
    shape = layout.shape(factors)
    count = np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)
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


def _matched(of_cells: np.ndarray, of_rows: np.ndarray) -> np.ndarray | None:
    order = np.argsort(of_cells)
    values = of_cells[order]
    gap = 1e-9 * max(1.0, np.abs(values).max())
    if len(values) > 1 and np.diff(values).min() <= 2 * gap:
        return None
    at = np.clip(np.searchsorted(values, of_rows - gap), 0, len(values) - 1)
    if (np.abs(values[at] - of_rows) > gap).any():
        return None
    return order[at]


def _categorical(spec: Mapping[str, Any], formula: Formula) -> dict[str, Factor]:
    out = {}
    for name in dict.fromkeys(name for term in formula.terms for name in term):
        node = formula.factors[name]
        if isinstance(node, Name):
            record = spec["columns"][node.name]
            if record["kind"] == "factor":
                out[name] = Factor(node.name, tuple(record["levels"]), tuple(record["contrast"]))
        elif isinstance(node, Call) and FUNCTIONS[node.name].factor:
            column = strip(node.args[0])
            assert isinstance(column, Name)
            record = spec["columns"][column.name]
            contrast = constants_of(node, formula.text).get("contrasts", record["contrast"])
            out[name] = Factor(column.name, tuple(record["levels"]), tuple(contrast))  # type: ignore[arg-type]
    return out
