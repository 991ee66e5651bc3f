"""Levels, effects and coefficients of the rows -> Z as CSR, without a loop over rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from henderson.errors import ModelError

if TYPE_CHECKING:
    import scipy.sparse as sp

Codes = NDArray[np.int32]
_MOST = np.iinfo(np.int32).max
"""Columns of Z that 32-bit indices tell apart."""


def make_z(
    levels: Sequence[Codes],
    q: int,
    m: int,
    effects: Codes | None,
    values: NDArray[np.float64] | None,
    label: str,
) -> sp.csr_matrix:
    """Z (n, q m), column level * m + effect, sorted, without explicit zeros.

    Parameters
    ----------
    levels : for each grouping of the term (one, but for sums) the levels (n, memberships) of the rows, -1 for none.
    m : effects within a level, of all groupings together; those of a grouping follow one another.
    effects : (n,) the effect of each row within its grouping, -1 for none; or None, and
    values : (n, m / groupings) its coefficients; None, too, for a single effect of coefficient 1.
    label : for errors.

    Raises
    ------
    ModelError : more columns than can be told apart.
    """
    import scipy.sparse as sp

    if q * m > _MOST:
        raise ModelError(f"{label} has {q:,} levels of {m:,} effects: more than {_MOST:,} random effects.")
    n, own = len(levels[0]), m // len(levels)
    columns: list[Codes] = []
    data: list[NDArray[np.float64] | None] = []
    there: list[NDArray[np.bool_]] = []
    for j, memberships in enumerate(levels):
        for codes in memberships.T:
            first = codes * np.int32(m) + np.int32(j * own)
            if values is None:
                columns.append(first if effects is None else first + effects)
                data.append(None)
                there.append(codes >= 0 if effects is None else (codes >= 0) & (effects >= 0))
                continue
            for a in range(own):
                columns.append(first + np.int32(a))
                data.append(values[:, a])
                there.append((codes >= 0) & (values[:, a] != 0))
    if len(columns) == 1:
        return _one_slot(columns[0], data[0], there[0], q * m)
    ones = np.ones(n)
    present = np.column_stack(there)
    pointers = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(present.sum(axis=1), out=pointers[1:])
    z = sp.csr_matrix(
        (
            np.column_stack([ones if d is None else d for d in data])[present],
            np.column_stack(columns)[present],
            pointers,
        ),
        shape=(n, q * m),
    )
    z.sum_duplicates()
    return z


def _one_slot(
    columns: Codes, data: NDArray[np.float64] | None, there: NDArray[np.bool_], width: int
) -> sp.csr_matrix:
    import scipy.sparse as sp

    n = len(columns)
    if there.all():
        pointers = np.arange(n + 1, dtype=np.int32)
        values = np.ones(n) if data is None else np.array(data)
        return sp.csr_matrix((values, columns, pointers), shape=(n, width))
    pointers = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(there, out=pointers[1:])
    values = np.ones(int(pointers[-1])) if data is None else data[there]
    return sp.csr_matrix((values, columns[there], pointers), shape=(n, width))
