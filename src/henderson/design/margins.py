"""The columns of a model as functions of levels: means over levels, and differences from the first level.

A column of X is a product of functions of the levels of factors and of numbers. On a factor of k levels a function v is told by
its mean and its k - 1 differences v_i - v_1, and a product of factors by the products of these. So the coefficients b say, for
every set of factors and numbers, how the model's mean differs between levels of that set when all other factors are averaged
with equal weights and numbers outside the set are 0:

    M_s b,    s a set of names, M_s (d_s, p),    d_s = product of (k - 1) over its factors and of the columns of its numbers.

Nothing here depends on the rows, nor on how the user codes the factors.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from henderson.design.columns import ModelColumns
from henderson.design.contrasts import coding
from henderson.design.values import Labels, Numbers, Value

Blocks = dict[frozenset[str], np.ndarray]


class _Piece(NamedTuple):
    """One factor of a product: its columns where it varies, and where it is averaged (None where that is nothing)."""

    name: str
    varies: np.ndarray
    averaged: np.ndarray | None


def margins(columns: ModelColumns) -> Blocks:
    """M_s (d_s, p) of every set s that some column of X has a part in."""
    products = [
        [(name, columns.values[name], reduced) for name, reduced in s] for t in columns.structure for s in t
    ]
    return _blocks([[_piece(*part) for part in each] for each in products])


def margins_of_levels(terms: tuple[tuple[str, ...], ...], columns: ModelColumns) -> tuple[Blocks, np.ndarray]:
    """The same of the columns with one indicator for every level of every factor (more than can have coefficients), and the
    number of the term that each belongs to."""
    pieces = [[_piece(name, columns.values[name], False) for name in term] for term in terms]
    sizes = [int(np.prod([p.varies.shape[1] for p in each], dtype=np.int64)) for each in pieces]
    return _blocks(pieces), np.repeat(np.arange(len(terms)), sizes)


def _piece(name: str, value: Value, reduced: bool) -> _Piece:
    if isinstance(value, Numbers):
        return _Piece(name, np.eye(1 if value.names is None else len(value.names)), None)
    coded = coding_matrix(name, value, reduced)
    mean = _zapped(coded.mean(axis=0, keepdims=True))
    return _Piece(name, _zapped(coded[1:] - coded[0]), mean if mean.any() else None)


def coding_matrix(name: str, labels: Labels, reduced: bool) -> np.ndarray:
    """(levels, columns): the value of each column of a factor at each level."""
    matrix, _ = coding(name, labels.levels, labels.contrast, reduced)
    every = np.eye(len(labels.levels))
    if matrix is None:
        return every
    return np.delete(every, matrix, axis=1) if isinstance(matrix, int) else matrix


def _zapped(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) < 1e-14 * np.abs(values).max(initial=1.0), 0.0, values)


def _blocks(products: list[list[_Piece]]) -> Blocks:
    widths = [int(np.prod([p.varies.shape[1] for p in each], dtype=np.int64)) for each in products]
    total, at = sum(widths), 0
    out: Blocks = {}
    for pieces, width in zip(products, widths, strict=True):
        for varying in product(*((True,) if p.averaged is None else (True, False) for p in pieces)):
            chosen = [p.varies if v else p.averaged for p, v in zip(pieces, varying, strict=True)]
            names = [p.name for p, v in zip(pieces, varying, strict=True) if v]
            block = _product(chosen, [p.name for p in pieces])
            key = frozenset(names)
            out.setdefault(key, np.zeros((len(block), total)))[:, at : at + width] += block
        at += width
    return out


def _product(matrices: list, names: list[str]) -> np.ndarray:
    """Kronecker product, columns with the first factor running fastest, rows in the order of the names."""
    block = np.ones((1, 1))
    for matrix in matrices:
        block = np.kron(matrix, block)
    sizes = [len(matrix) for matrix in matrices][::-1]
    order = sorted(range(len(names)), key=lambda j: names[::-1][j])
    return block.reshape(*sizes, -1).transpose(*order, len(sizes)).reshape(len(block), -1)
