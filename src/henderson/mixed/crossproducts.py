"""A = [Z X y]' [Z X y], formed once: after it no iteration touches the rows (docs/theory.md section 2).

Held by blocks: for each term its levels' own m x m blocks; for each pair of terms the blocks of the pairs of levels that
meet in some row; for each term its products with [X y]; and [X y]'[X y]. Blocks add up over any partition of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .standardise import Standardised, Term


@dataclass(frozen=True)
class Pair:
    """Z_k' Z_l for terms k < l: block i couples level rows[i] of term k with level cols[i] of term l."""

    k: int
    l: int
    rows: np.ndarray
    cols: np.ndarray
    blocks: np.ndarray
    """(number of blocks, m_k, m_l); sorted by row, then column."""


@dataclass(frozen=True)
class CrossProducts:
    """The augmented cross-product matrix in blocks. Order of variables: terms, then X, then y."""

    sizes: tuple[tuple[int, int], ...]
    """(q_k, m_k) of each term."""
    own: tuple[np.ndarray, ...]
    """Z_k'Z_k: (q_k, m_k, m_k)."""
    pairs: tuple[Pair, ...]
    border: tuple[np.ndarray, ...]
    """Z_k'[X y]: (q_k, m_k, p + 1)."""
    corner: np.ndarray
    """[X y]'[X y]: (p + 1, p + 1)."""
    n: int

    @property
    def p(self) -> int:
        return self.corner.shape[0] - 1

    @property
    def q(self) -> int:
        """Number of random effects, all terms."""
        return sum(q * m for q, m in self.sizes)

    @property
    def offsets(self) -> np.ndarray:
        """First equation of each term, and after them of X."""
        return np.concatenate([[0], np.cumsum([q * m for q, m in self.sizes])]).astype(np.int64)


COMPILED_ROWS = 50_000
"""Rows times random effects' columns from which the compiled sums are worth loading."""


def cross_products(model: Standardised) -> CrossProducts:
    """Form A from the rows, in one pass for each term and each pair of terms."""
    terms = model.terms
    xy = np.column_stack([model.q, model.y])
    sums = _compiled_sums if len(xy) >= COMPILED_ROWS else _sums
    pair = _compiled_pair if len(xy) >= COMPILED_ROWS else _pair
    found = [sums(t, xy) for t in terms]
    pairs = tuple(pair(k, l, terms[k], terms[l]) for k in range(len(terms)) for l in range(k + 1, len(terms)))
    p = model.coordinates.rank
    corner = np.zeros((p + 1, p + 1))
    # q is orthonormal and y orthogonal to it, by construction and to the last bit it is worth.
    corner[:p, :p], corner[p, p] = np.eye(p), model.y @ model.y
    return CrossProducts(
        tuple((t.q, t.m) for t in terms),
        tuple(own for own, _ in found),
        pairs,
        tuple(border for _, border in found),
        corner,
        len(xy),
    )


def border_sums(term: Term, columns: np.ndarray) -> np.ndarray:
    """Z' columns, as (q, m, k), for columns (n, k)."""
    k = columns.shape[1]
    out = np.empty((term.q, term.m, k))
    for a in range(term.m):
        for c in range(k):
            weight = columns[:, c] if term.values is None else columns[:, c] * term.values[:, a]
            out[:, a, c] = np.bincount(term.codes, weights=weight, minlength=term.q)
    return out


def _sums(term: Term, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    own = np.empty((term.q, term.m, term.m))
    if term.values is None:
        own[:, 0, 0] = np.bincount(term.codes, minlength=term.q)
        return own, border_sums(term, columns)
    for a in range(term.m):
        for b in range(a + 1):
            product = term.values[:, a] * term.values[:, b]
            own[:, a, b] = own[:, b, a] = np.bincount(term.codes, weights=product, minlength=term.q)
    return own, border_sums(term, columns)


def _compiled_sums(term: Term, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from ..sparse import blocks

    own = np.zeros((term.q, term.m, term.m))
    border = np.zeros((term.q, term.m, columns.shape[1]))
    if term.values is None:
        blocks.level_counts(term.codes, columns, own, border)
    else:
        blocks.level_sums(term.codes, term.values, columns, own, border)
    return own, border


def _pair(k: int, l: int, left: Term, right: Term) -> Pair:
    key = left.codes.astype(np.int64) * right.q + right.codes
    present, index = np.unique(key, return_inverse=True)
    sums = np.empty((len(present), left.m, right.m))
    for a in range(left.m):
        for b in range(right.m):
            weight = _product(left.values, a, right.values, b)
            sums[:, a, b] = np.bincount(index, weights=weight, minlength=len(present))
    return Pair(k, l, present // right.q, present % right.q, sums)


def _compiled_pair(k: int, l: int, left: Term, right: Term) -> Pair:
    from ..sparse import blocks

    pointer, row = blocks.rows_by_level(left.codes, left.q)
    rows, cols, cell = blocks.pair_cells(pointer, row, right.codes, right.q)
    sums = np.zeros((len(rows), left.m, right.m))
    if left.values is None and right.values is None:
        blocks.pair_counts(cell, sums)
    else:
        blocks.pair_sums(cell, _columns(left), _columns(right), sums)
    return Pair(k, l, rows, cols, sums)


def _columns(term: Term) -> np.ndarray:
    return np.ones((len(term.codes), 1)) if term.values is None else term.values


def _product(left: np.ndarray | None, a: int, right: np.ndarray | None, b: int) -> np.ndarray | None:
    if left is None:
        return None if right is None else right[:, b]
    return left[:, a] if right is None else left[:, a] * right[:, b]
