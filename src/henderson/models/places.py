"""The places of a residual's correlated part, beside a nugget: what each level is called, and which one a row of a table is in.

A field is a random term that the formula does not have (`precisions.residual.Field`): its levels are found by the columns of the
residual, here, for rows of the fit and for new ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..formula.residual import UNITS, Residual
from ..precisions.residual import Field
from ..precisions.residual_lattice import Grid

if TYPE_CHECKING:
    import scipy.sparse as sp

    from ..frame import Column, Frame

Key = tuple[str | float, ...]


@dataclass(frozen=True, eq=False)
class Places:
    """The levels of one field.

    Attributes
    ----------
    columns : those that say a place, groups first; section : columns of at(...) and the label of each.
    keys : (q,) what those columns hold at each level.
    """

    columns: tuple[str, ...]
    section: tuple[tuple[str, str], ...]
    keys: tuple[Key, ...]

    @property
    def names(self) -> list[str]:
        """Of every column that is needed."""
        return [*self.columns, *(name for name, _ in self.section)]

    @property
    def levels(self) -> list[str]:
        """Labels, such as "3:7" of row 3 and column 7."""
        return [":".join(map(_said, key)) for key in self.keys]

    def among(self, frame: Frame, rows: np.ndarray | None, n: int) -> FieldTerm:
        """The field on the n rows of a table (`rows` of it, or None for all)."""
        import scipy.sparse as sp

        code = {key: k for k, key in enumerate(self.keys)}
        found = np.array([code.get(key, -1) for key in _keys(frame, self.columns, rows, n)], dtype=np.int64)
        inside = self._inside(frame, rows, n)
        seen = np.flatnonzero(inside & (found >= 0))
        z = sp.csr_matrix((np.ones(len(seen)), (seen, found[seen])), shape=(n, len(self.keys)))
        new = (inside & (found < 0)).astype(np.float64)[:, None]
        return FieldTerm(z, _Size(len(self.keys), 1), np.zeros(n), (new,) if new.any() else ())

    def nowhere(self, frame: Frame | None, rows: np.ndarray | None, n: int) -> FieldTerm:
        """The field on rows without a place, in the sections that `frame` says (None: not known)."""
        import scipy.sparse as sp

        absent = np.full(n, np.nan) if frame is None else self._inside(frame, rows, n).astype(np.float64)
        return FieldTerm(sp.csr_matrix((n, len(self.keys))), _Size(len(self.keys), 1), absent)

    def _inside(self, frame: Frame, rows: np.ndarray | None, n: int) -> np.ndarray:
        """(n,) whether each row is in the section."""
        inside = np.ones(n, dtype=bool)
        for name, label in self.section:
            inside &= np.array([_said(v) == label for v in _values(frame[name], rows)], dtype=bool)
        return inside


@dataclass(frozen=True)
class _Size:
    q: int
    m: int


@dataclass(frozen=True, eq=False)
class FieldTerm:
    """A field on rows, with the names of `design.structured.StructuredTerm`.

    z : (n, q) CSR; absent : (n,) 1 for rows whose place is not said; unseen : ones (n, 1) at places that the model never saw.
    """

    z: sp.csr_matrix
    block: _Size
    absent: np.ndarray
    unseen: tuple[np.ndarray, ...] = ()
    undefined: tuple[str, ...] = ()


def places_of(field: Field, residual: Residual, frame: Frame, rows: np.ndarray | None, n: int) -> Places:
    """The levels of a field of the residual, as the rows of the fit have them."""
    columns = tuple(
        name
        for name in (*residual.groups, *(c.name for f in residual.factors for c in f.columns))
        if name != UNITS or name in frame
    )
    keys: list[Key] = [()] * field.precision.n
    for level, key in zip(field.places, _keys(frame, columns, rows, n), strict=True):
        if level >= 0 and not keys[level]:
            keys[level] = key
    inside = np.flatnonzero(field.places >= 0)
    if isinstance(field.precision, Grid) and field.precision.level_of_cell is None:
        used = inside if rows is None else rows[inside]
        _fill(keys, field.precision, residual, frame, used)
    first = inside[:1] if rows is None else rows[inside[:1]]
    section = tuple((name, _said(next(_keys(frame, (name,), first, 1))[0])) for name in residual.at)
    return Places(columns, section, tuple(keys))


def _fill(keys: list[Key], grid: Grid, residual: Residual, frame: Frame, rows: np.ndarray) -> None:
    """The keys of cells without a record: the numbering of cells is that of `residuals.axes`."""
    from ..design.grouping import used_labels

    axes = grid.structure.axes
    count = len(axes.inner)
    labels: list[Sequence[Any] | None] = []
    for factor in residual.factors:
        column = frame[factor.columns[0].name]
        labels.append(used_labels(column, rows).levels if column.kind == "factor" else None)
    start = 0
    for g, shape in enumerate(axes.shapes):
        box = shape[axes.inner]
        end = start + int(box.prod())
        group = next(key[:-count] for key in keys[start:end] if key)
        for cell in range(start, end):
            if keys[cell]:
                continue
            codes = dict(zip(axes.inner, np.unravel_index(cell - start, box), strict=True))
            at: list[str | float] = []
            for k in range(count):
                coordinate = axes.levels[g][k][int(codes[k])]
                named = labels[k]
                at.append(float(coordinate) if named is None else str(named[int(coordinate)]))
            keys[cell] = (*group, *at)
        start = end


def _keys(frame: Frame, columns: Sequence[str], rows: np.ndarray | None, n: int):
    """What the columns hold in each of n rows: labels as text, numbers as numbers."""
    if not columns:
        # Every row is a place of its own, that no other row is in.
        return iter([(float(i),) for i in range(n)])
    return zip(*(_values(frame[name], rows) for name in columns), strict=True)


def _values(column: Column, rows: np.ndarray | None) -> list[str | float]:
    values = column.values if rows is None else column.values[rows]
    if column.kind != "factor":
        return [float(v) for v in values]
    labels = [*(str(level) for level in column.levels), ""]
    return [labels[code] for code in values]


def _said(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.12g}"


def to_plain(places: Places) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "columns": list(places.columns),
        "section": [list(each) for each in places.section],
        "keys": [list(key) for key in places.keys],
    }


def from_plain(plain: Mapping[str, Any]) -> Places:
    """The places again."""
    return Places(
        tuple(str(name) for name in plain["columns"]),
        tuple((str(name), str(label)) for name, label in plain["section"]),
        tuple(tuple(v if isinstance(v, str) else float(v) for v in key) for key in plain["keys"]),
    )
