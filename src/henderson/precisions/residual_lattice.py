"""Products of Markov processes over a lattice, ar1(row):ar1(col): every cell of the grid, those without a plot filled in.

    K = K_1 (x) K_2 (x) ...,     Q = Q_1 (x) Q_2 (x) ...,     log|K| a sum over the chains

Each Q_d has three diagonals, so that Q has nine entries in a row of two factors, and is exactly sparse where the inverse of the plots'
own covariance is not. A plot that is missing is a level of K without a record: `places` says where the records are, and the
mixed-model equations integrate the others out (Gilmour, Cullis & Verbyla 1997, JABES 2, 269-293).
"""

from __future__ import annotations

import numpy as np

from ..residuals.axes import Chain
from ..residuals.lattice import Lattice
from .base import At
from .residual_base import OfStructure
from .residual_blocks import likely_starts
from .residual_markov import tridiagonal

Array = np.ndarray


class Grid(OfStructure):
    """A product of chains over all cells of a lattice. K is in the order of the cells, or where every cell has one row and no
    more in the order of the design.
    """

    structure: Lattice

    def __init__(self, structure: Lattice):
        super().__init__(structure, structure.n_cells)
        self.has_variances = False
        chains = structure.axes.chains
        links = [_Links(chain) for chain in chains]
        rows, cols, classes = _entries(links, structure.n_cells)
        keys, which = np.unique(classes, return_inverse=True)
        digits = keys
        self.entry_of: list[Array] = []
        for link in reversed(links):
            digits, own = np.divmod(digits, link.n_values)
            self.entry_of.insert(0, own)
        self.links = links
        complete = not structure.missing.size and not structure.shared
        order = structure.axes.order
        self.level_of_cell = None if not complete else order
        if not complete:
            self.places = np.empty(structure._n_rows, dtype=np.int64)
            self.places[order] = structure.cell
        self.pattern(rows, cols, which, len(keys), self.level_of_cell)

    def distinct(self, t: Array, slopes: bool = False) -> At:
        steps = self.structure.steps(t)
        log_det, log_det_slopes = self.structure.log_det_field(steps)
        found = [
            tridiagonal(step.a, step.v, step.slope, link.before, link.behind)
            for step, link in zip(steps, self.links, strict=True)
        ]
        entries = [values[at] for (values, _), at in zip(found, self.entry_of, strict=True)]
        values = np.prod(entries, axis=0)
        if not slopes:
            return At(values, log_det)
        rates = []
        for k, ((_, rate), at) in enumerate(zip(found, self.entry_of, strict=True)):
            rates.append(np.prod([rate[at], *(e for j, e in enumerate(entries) if j != k)], axis=0))
        return At(values, log_det, np.stack(rates), log_det_slopes)

    def times(self, t: Array, v: Array) -> Array:
        """K v, a tridiagonal solve along each coordinate in turn."""
        from scipy.linalg import solveh_banded

        axes = self.structure.axes
        x = np.array(v if self.level_of_cell is None else v[self.level_of_cell], dtype=np.float64)
        for k, (step, chain) in enumerate(zip(self.structure.steps(t), axes.chains, strict=True)):
            share = step.a**2 / step.v
            for lines, code in zip(axes.lines(x, k), chain.codes, strict=True):
                band = np.zeros((2, len(lines)))
                band[1] = 1.0
                band[1, 1:] += share[code]
                band[1, :-1] += share[code]
                band[0, 1:] = (-step.a / step.v)[code]
                solved = solveh_banded(band, lines.reshape(len(lines), -1), check_finite=False)
                lines[...] = solved.reshape(lines.shape)
        if self.level_of_cell is None:
            return x
        out = np.empty_like(x)
        out[self.level_of_cell] = x
        return out

    def diagonal(self, t: Array) -> Array:
        return np.ones(self.n)

    def starts(self) -> list[Array]:
        return [np.clip(t, self.lower, self.upper) for t in likely_starts(self.structure.product)]

    def starts_from(self, residual: Array) -> list[Array]:
        return self.starts()


class _Links:
    """A chain's precision by its distinct numbers: of the diagonal one for each pair of gaps before and behind a cell, then one
    for each gap."""

    def __init__(self, chain: Chain):
        self.chain = chain
        none = len(chain.gaps)
        before = np.where(chain.gap_of < 0, none, chain.gap_of)
        behind = np.where(chain.after < 0, none, chain.after)
        kinds, self.diagonal = np.unique(before * (none + 1) + behind, return_inverse=True)
        self.before, self.behind = np.divmod(kinds, none + 1)
        self.first_off, self.n_values = len(kinds), len(kinds) + none
        self.next = np.full(len(chain.before), -1)
        inside = np.flatnonzero(chain.before >= 0)
        self.next[chain.before[inside]] = inside


def _entries(links: list[_Links], cells: int) -> tuple[Array, Array, Array]:
    """Entries of Q, each pair of cells once, and the number of each among the products of the chains' numbers."""
    out = []
    for offset in _offsets(len(links)):
        row = col = np.arange(cells)
        which = np.zeros(cells, dtype=np.int64)
        for step, link in zip(offset, links, strict=True):
            if step == 0:
                own, there = link.diagonal[col], col
            else:
                there = (link.chain.before if step < 0 else link.next)[col]
                gap = (link.chain.gap_of if step < 0 else link.chain.after)[col]
                own = link.first_off + gap
            ok = there >= 0
            row, col, which = row[ok], there[ok], which[ok] * link.n_values + own[ok]
        out.append((row, col, which))
    rows, cols, classes = (np.concatenate(part) for part in zip(*out, strict=True))
    return rows, cols, classes


def _offsets(dimensions: int) -> list[tuple[int, ...]]:
    """Half of the neighbours of a cell, itself first: the first step that is not 0 goes back."""
    steps = np.stack(np.meshgrid(*([[0, -1, 1]] * dimensions), indexing="ij"), axis=-1)
    every = [tuple(map(int, each)) for each in steps.reshape(-1, dimensions)]
    return [each for each in every if next((s for s in each if s), -1) < 0]
