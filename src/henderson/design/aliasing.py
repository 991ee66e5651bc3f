"""The null space of X in words: why columns have no coefficient, and why a combination cannot be estimated.

Each dropped column is a combination of the kept ones (`ColumnSpace.aliases`). The columns are gathered by term and by
what the combination consists of, and each group gets one sentence: cells without rows, factors that cannot be told
apart, a covariate that does not vary within levels, a column that is a sum or a multiple of others. Where the rows are at
hand the sentence names levels; where they are not, columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from henderson.design.cells import EmptyCell, Layout, empty_cells
from henderson.design.columns import INTERCEPT
from henderson.design.combination import NEAR, cleaned, listed, number, written
from henderson.design.estimability import TOLERANCE, ColumnSpace

if TYPE_CHECKING:
    from henderson.design.record import Design

_LONGEST = 6
"""Terms of an equation that are still read with profit."""
_SHOWN = 6


@dataclass(frozen=True)
class Reason:
    """One sentence, and the dropped columns of X (their places in `ColumnSpace.dropped`) that it explains."""

    directions: tuple[int, ...]
    sentence: str
    cells: tuple[EmptyCell, ...] = ()


def describe(space: ColumnSpace, design: Design) -> list[str]:
    """Why columns of X have no coefficient: a sentence for each group of them, none where all have one.

    Parameters
    ----------
    space : the columns of the fit; design : its rows.
    """
    sentences = [reason.sentence for reason in reasons(space, design)]
    n, p = design.n, len(space.names)
    if p > n:
        sentences.insert(
            0, f"X has {p} columns and {n} rows: no more than {n} coefficients can be estimated."
        )
    return sentences


def reasons(space: ColumnSpace, design: Design) -> list[Reason]:
    """The sentences of `describe`, each with the dropped columns it explains."""
    if not len(space.dropped):
        return []
    return _Describer(space, design).reasons


def why_not(space: ColumnSpace, design: Design | None, row: np.ndarray) -> str:
    """Why a combination of the p coefficients cannot be estimated; "" where it can.

    Parameters
    ----------
    row : (p,), over all columns of X.
    design : the rows of the fit; None where there are none (a fit that was loaded): columns are named alone.
    """
    row = np.asarray(row, dtype=np.float64)
    moved = np.flatnonzero(space.excess(row[None, :])[0] > TOLERANCE)
    if not len(moved):
        return ""
    if design is None:
        return _direction(space, row, moved)
    found = [r for r in reasons(space, design) if set(r.directions) & set(moved.tolist())]
    said = []
    for reason in found:
        needed = _needed_cells(space, design, reason, row)
        said.append(_no_rows(Layout(design), needed) + "." if needed else reason.sentence)
    sentences = list(dict.fromkeys(said))
    return "\n".join(sentences) if sentences else _direction(space, row, moved)


def _needed_cells(space: ColumnSpace, design: Design, reason: Reason, row: np.ndarray) -> list[EmptyCell]:
    """Those empty cells whose unknown mean the combination contains."""
    if not reason.cells:
        return []
    layout = Layout(design)
    null = space.null_space[:, list(reason.directions)]
    moves = np.array([layout.row(cell.codes) for cell in reason.cells]) @ null
    share, *_ = np.linalg.lstsq(moves.T, row @ null, rcond=None)
    size = np.abs(share).max(initial=0.0)
    if np.abs(moves.T @ share - row @ null).max() > 1e-6 * max(np.abs(row @ null).max(), 1e-300):
        return []
    return [c for c, s in zip(reason.cells, share, strict=True) if abs(s) > NEAR * size]


def _direction(space: ColumnSpace, row: np.ndarray, moved: np.ndarray) -> str:
    """One direction of the null space that the combination moves along, in the names of the columns."""
    null = space.null_space[:, moved]
    support = (np.abs(null) > NEAR).sum(axis=0)
    k = int(np.argmin(support))
    direction = cleaned(null[:, k])
    places = np.flatnonzero(direction)
    if len(places) > _LONGEST:
        names = [space.names[j] for j in places]
        return (
            f"it depends on {space.names[space.dropped[moved[k]]]}, which has no coefficient of its own:"
            f" a combination of {listed(names)} is 0 in every row."
        )
    steps = [
        f"{number(abs(direction[j]))} {'to' if direction[j] > 0 else 'from'} {space.names[j]}" for j in places
    ]
    adds = [s for s, j in zip(steps, places, strict=True) if direction[j] > 0]
    takes = [s for s, j in zip(steps, places, strict=True) if direction[j] < 0]
    change = f"adding {listed(adds)}" + (f" and taking {listed(takes)}" if takes else "")
    return (
        f"{change} changes no fitted value, but changes this combination by "
        f"{number(float(cleaned(np.array([row @ null[:, k]]))[0]))}."
    )


def _equation(space: ColumnSpace, k: int) -> str:
    """ "x2 is 2 * x1 in every row: it has no coefficient of its own." """
    name = space.names[space.dropped[k]]
    alias = cleaned(space.aliases[:, k])
    names = [space.names[j] for j in space.kept]
    used = np.flatnonzero(alias)
    if not len(used):
        return f"{name} is 0 in every row: it has no coefficient."
    if list(used) == [i for i in used if names[i] == INTERCEPT]:
        return f"{name} is {number(alias[used[0]])} in every row: it cannot be told from the intercept."
    others = [i for i in used if names[i] != INTERCEPT]
    if len(others) < len(used) and len(others) > 1 and np.all(alias[others] == -1.0):
        total = alias[next(i for i in used if i not in others)]
        summed = [*(names[i] for i in others), name]
        added = " + ".join(summed) if len(summed) <= _LONGEST else f"the sum of {listed(summed)}"
        return (
            f"{added} is {number(total)} in every row: with the intercept in the model, {name} has no coefficient"
            " of its own."
        )
    if len(used) > _LONGEST:
        return f"{name} is a combination of {listed([names[i] for i in used])}: it has no coefficient of its own."
    return f"{name} is {written(names, alias)} in every row: it has no coefficient of its own."


class _Describer:
    """Gathers the dropped columns by term and by the terms of their combination, and says why."""

    def __init__(self, space: ColumnSpace, design: Design):
        self.space, self.layout = space, Layout(design)
        self.design = design
        self.term_of = design.assign
        self.alias = np.array([cleaned(column) for column in space.aliases.T]).reshape(-1, space.rank)

    @cached_property
    def reasons(self) -> list[Reason]:
        groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for k, j in enumerate(self.space.dropped):
            groups.setdefault((int(self.term_of[j]), self._outside(k)), []).append(k)
        out: list[Reason] = []
        for (term, outside), directions in groups.items():
            out += self._reasons(term, outside, directions)
        return out

    def _outside(self, k: int) -> tuple[int, ...]:
        """Terms of the combination other than the term itself, its margins and the intercept."""
        own = set(self.layout.terms[self.term_of[self.space.dropped[k]]])
        used = self.term_of[self.space.kept[np.flatnonzero(self.alias[k])]]
        return tuple(int(t) for t in np.unique(used) if not set(self.layout.terms[t]) <= own)

    def _reasons(self, term: int, outside: tuple[int, ...], directions: list[int]) -> list[Reason]:
        factors = self.layout.terms[term]
        groups = [name for name in factors if name in self.layout.categorical]
        if not outside and len(groups) == len(factors) > 1:
            cells = empty_cells(self.layout, factors)
            if cells:
                return [self._cells(cells, directions)]
        said = None
        if not outside and 0 < len(groups) < len(factors):
            return self._slopes(term, groups, directions)
        if len(outside) == 1:
            said = self._confounded(term, outside[0], directions)
        if said is not None:
            return [Reason(tuple(directions), said)]
        if len(outside) > 1 and len(directions) > 1:
            others = listed([self.layout.shown(t) for t in outside])
            columns = listed([self.space.names[self.space.dropped[k]] for k in directions])
            return [
                Reason(
                    tuple(directions),
                    f"{self.layout.shown(term)} cannot be told from {others} together: {columns} are"
                    " combinations of their columns and have no coefficients.",
                )
            ]
        return [Reason((k,), _equation(self.space, k)) for k in directions]

    # -- cells without rows ------------------------------------------------------------------------------

    def _cells(self, cells: list[EmptyCell], directions: list[int]) -> Reason:
        names = [cell.coefficient(self.layout) for cell in cells]
        so = f", so {listed(names, _SHOWN)} cannot be estimated."
        return Reason(tuple(directions), _no_rows(self.layout, cells) + so, tuple(cells))

    # -- slopes by level ---------------------------------------------------------------------------------

    def _slopes(self, term: int, groups: list[str], directions: list[int]) -> list[Reason]:
        """A product of numbers and factors whose combination stays within its margins."""
        numbers = ":".join(name for name in self.layout.terms[term] if name not in groups)
        cells = self.layout.cells(groups)
        empty = empty_cells(self.layout, groups)
        values = self.layout.numbers(self.layout.terms[term])
        said = []
        shape = self.layout.shape(groups)
        order = np.argsort(cells, kind="stable")
        found, first = np.unique(cells[order], return_index=True)
        for cell, rows in zip(found, np.split(order, first[1:]), strict=True):
            distinct = np.unique(values[rows], axis=0)
            if len(distinct) > values.shape[1]:
                continue
            codes = np.unravel_index(int(cell), shape)
            where = " with ".join(
                self.layout.categorical[g].level(int(c)) for g, c in zip(groups, codes, strict=True)
            )
            if values.shape[1] == 1:
                said.append(f"{numbers} is {number(distinct[0, 0])} in every row of {where}")
            else:
                said.append(f"{numbers} has {len(distinct)} different values in the rows of {where}")
        if empty:
            said.insert(0, _no_rows(self.layout, empty))
        if not said:
            return [Reason((k,), _equation(self.space, k)) for k in directions]
        so = f", so the slope{'s' if len(said) > 1 else ''} of {numbers} there cannot be estimated."
        return [Reason(tuple(directions), listed(said, _SHOWN) + so)]

    # -- one term against another ------------------------------------------------------------------------

    def _confounded(self, term: int, other: int, directions: list[int]) -> str | None:
        one, two = self.layout.is_categorical(term), self.layout.is_categorical(other)
        if one and two and len(self.layout.terms[term]) == len(self.layout.terms[other]) == 1:
            return self._two_factors(term, other, directions)
        if two:
            return self._within_levels(term, other, directions)
        if one and len(self.layout.terms[term]) == 1:
            return self._number_of_level(other, term)
        return None

    def _two_factors(self, term: int, other: int, directions: list[int]) -> str | None:
        a, b = self.layout.terms[other][0], self.layout.terms[term][0]
        left, right = self.layout.categorical[a], self.layout.categorical[b]
        parts = connected(self.layout.cells((a,)), self.layout.cells((b,)))
        if len(parts) < 2:
            return None
        head = f"{left.column} and {right.column} are confounded: "
        if all(len(rows) == 1 and len(cols) == 1 for rows, cols in parts):
            pairs = [f"{left.level(r[0])} is {right.level(c[0])}" for r, c in parts]
            return head + f"they divide the rows in the same way ({listed(pairs, 4)})."
        if all(len(cols) == 1 for _, cols in parts):
            said = [f"every row of {left.several(rows)} has {right.level(c[0])}" for rows, c in parts]
            return head + f"{listed(said, 4)}; what {right.column} does cannot be told from {left.column}."
        if all(len(rows) == 1 for rows, _ in parts):
            said = [f"every row of {right.several(cols)} has {left.level(r[0])}" for r, cols in parts]
            lost = f"{len(directions)} of the {len(right.labels.levels)} levels of {right.column} have no coefficient"
            return (
                head + f"{listed(said, 4)}; {lost if len(directions) > 1 else lost.replace('have', 'has')}."
            )
        said = [f"{left.several(rows)} with {right.several(cols)}" for rows, cols in parts]
        return head + (
            f"the rows fall into {len(parts)} groups that share no level ({listed(said, 4)}); differences of "
            f"{right.column} between the groups cannot be told from differences of {left.column}."
        )

    def _within_levels(self, term: int, other: int, directions: list[int]) -> str | None:
        """A term that, beside its margins, has one value in each level of a factor."""
        shown, group = self.layout.shown(term), self.layout.shown(other)
        if len(self.layout.terms[term]) == 1 and not self.layout.is_categorical(term):
            return (
                f"{shown} has one value in each level of {group}: it cannot be told from the differences among the"
                f" levels of {group}."
            )
        head = f"{shown} is confounded with {group}: "
        cells = self.layout.cells(self.layout.terms[other])
        tail = f"it cannot be told from the differences among the levels of {group}."
        if len(directions) > 1:
            return head + tail
        columns = [
            i for i in np.flatnonzero(self.alias[directions[0]]) if self.term_of[self.space.kept[i]] == other
        ]
        value = self.design.X[:, self.space.kept[columns]] @ self.alias[directions[0], columns]
        distinct = np.unique(np.round(value, 8))
        if len(distinct) != 2:
            return head + f"beside its margins it has one value in each level of {group}, so {tail}"
        sides = [
            self._levels(self.layout.terms[other], np.unique(cells[np.abs(value - v) < 1e-6]))
            for v in distinct[::-1]
        ]
        sides.sort(key=lambda side: side[0])
        sides_said = [side[1] for side in sides]
        return head + (
            f"beside its margins it is the difference between {sides_said[0]} and {sides_said[1]},"
            f" so it cannot be told from {group}."
        )

    def _levels(self, factors: tuple[str, ...], cells: np.ndarray) -> tuple[int, str]:
        """The first of some cells, and all of them in words: "block 1, 4 and 6"."""
        records = [self.layout.categorical[f] for f in factors]
        codes = np.array(np.unravel_index(cells, self.layout.shape(factors))).T
        texts = [
            ":".join(str(r.labels.levels[c]) for r, c in zip(records, each, strict=True)) for each in codes
        ]
        return int(cells[0]), f"{':'.join(r.column for r in records)} {listed(texts, 12)}"

    def _number_of_level(self, numeric: int, factor: int) -> str | None:
        """A number that is constant within the levels of a factor that comes after it."""
        name = self.layout.terms[factor][0]
        record = self.layout.categorical[name]
        cells = self.layout.cells((name,))
        columns = self.design.X[:, self.term_of == numeric]
        if columns.shape[1] != 1 or self.layout.terms[numeric] == ():
            return None
        first = np.zeros(len(record.labels.levels))
        first[cells] = columns[:, 0]
        if np.abs(first[cells] - columns[:, 0]).max() > NEAR * np.abs(columns).max():
            return None
        shown = self.layout.shown(numeric)
        said = [f"{first[i]:.6g} for {record.level(i)}" for i in np.unique(cells)]
        return (
            f"{shown} has one value in each level of {record.column} ({listed(said, 4)}): its slope cannot be told"
            f" from the differences among the levels of {record.column}."
        )


def _no_rows(layout: Layout, cells: list[EmptyCell]) -> str:
    return f"no row has {listed([cell.said(layout) for cell in cells], _SHOWN, 'or')}"


def connected(left: np.ndarray, right: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Levels of two factors (codes (n,) of the rows), gathered by what some row connects."""
    from scipy.sparse import bmat, coo_matrix
    from scipy.sparse.csgraph import connected_components

    sizes = int(left.max()) + 1, int(right.max()) + 1
    joined = coo_matrix((np.ones(len(left)), (left, right)), shape=sizes)
    count, label = connected_components(bmat([[None, joined], [joined.T, None]]), directed=False)
    one, two = np.split(label, [sizes[0]])
    return [(np.flatnonzero(one == k), np.flatnonzero(two == k)) for k in range(count)]
