"""Marker genotypes of individuals, read in blocks of markers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, closest
from . import tables
from .ids import id_array, read_ids, refuse_repeats

if TYPE_CHECKING:
    from .relationship import Relationship

Array = np.ndarray
Read = Callable[[int, int], Array]
CODINGS = ("012", "-101")
BLOCK_BYTES = 2**26
"""Memory of one block of dosages in float64."""
_ABSENT = -128


class Markers:
    """Dosages of s markers in n individuals: how many copies of the counted allele each one carries, 0 to `ploidy`.

    It may be given where a relationship is wanted (`relationships={"G": Markers(...)}`): VanRaden's G, see `grm`.

    Parameters
    ----------
    table : a table with one row for each individual and one column for each marker (pandas, polars, pyarrow, a path to a CSV),
        its ids in the index or in the column named by `ids`; or an array (n, s) with `ids`. Fractions (imputed dosages) are taken.
    ids : the name of the column with the ids, or a list of n ids. Left out: the index of a pandas table, or else its first column
        where that is text or is called id, animal ...
    names : of the s markers, for an array; "m1", "m2" ... otherwise.
    ploidy : copies of each chromosome.
    coding : "012", dosages 0 ... ploidy; "-101", dosages less half the ploidy (-1, 0, 1 in a diploid), as sommer and rrBLUP have.
    missing : number, or numbers, that stand for a missing genotype (such as -9), besides NaN and null.

    Attributes
    ----------
    ids : (n,) object array of str.
    names : (s,) object array of str.

    Raises
    ------
    DataError : no ids, ids or names that occur twice, something that is no number. Values outside 0 ... ploidy are found when
        the dosages are used.
    """

    def __init__(
        self,
        table: Any,
        ids: str | Iterable[Any] | None = None,
        *,
        names: Iterable[Any] | None = None,
        ploidy: int = 2,
        coding: str = "012",
        missing: float | Iterable[float] | None = None,
    ):
        values, known, found = _read_table(table, ids)
        if names is not None:
            found = id_array(names)
            if len(found) != values.shape[1]:
                raise DataError(f"markers: there are {values.shape[1]} columns and {len(found)} names.")
        gaps = (
            []
            if missing is None
            else [float(v) for v in np.atleast_1d(np.asarray(missing, dtype=np.float64))]
        )
        if values.dtype == np.int8 and not isinstance(table, np.ndarray):
            gaps.append(float(_ABSENT))
        self._set(known, found, lambda start, stop: values[:, start:stop], ploidy, coding, tuple(gaps))

    @classmethod
    def from_reader(
        cls,
        read: Read,
        ids: Iterable[Any],
        names: Iterable[Any],
        *,
        ploidy: int = 2,
        missing: tuple[float, ...] = (),
    ) -> Markers:
        """Markers that stay where they are: `read(start, stop)` gives the dosages (n, stop - start) of those markers."""
        made = cls.__new__(cls)
        given = list(ids)
        made._set(read_ids(given, len(given), "markers"), id_array(names), read, ploidy, "012", missing)
        return made

    def _set(
        self, ids: Array, names: Array, read: Read, ploidy: int, coding: str, missing: tuple[float, ...]
    ) -> None:
        if coding not in CODINGS:
            near = closest(coding, CODINGS)
            raise DataError(
                f"coding is '012' (dosages) or '-101' (dosages less half the ploidy), not {coding!r}."
                + (f" Is '{near}' meant?" if near else "")
            )
        if isinstance(ploidy, bool) or not isinstance(ploidy, (int, np.integer)) or ploidy < 1:
            raise DataError(f"ploidy is a whole number such as 2 or 4, not {ploidy!r}.")
        if len(names) == 0 or len(ids) == 0:
            raise DataError(f"markers: the table has {len(ids)} individuals and {len(names)} markers.")
        if len(set(names)) < len(names):
            refuse_repeats(names, "markers", "marker", "columns")
        self.ids, self.names = ids, names
        self.ploidy, self.coding = int(ploidy), coding
        self._read, self._missing = read, missing

    @property
    def n(self) -> int:
        """Individuals."""
        return len(self.ids)

    @property
    def s(self) -> int:
        """Markers."""
        return len(self.names)

    def __repr__(self) -> str:
        return f"Markers({self.n} individuals, {self.s} markers, ploidy {self.ploidy})"

    def block(self, start: int, stop: int) -> Array:
        """Dosages (n, stop - start) of some markers, float64, NaN where missing; a new array.

        Raises
        ------
        DataError : a value outside 0 ... ploidy; says whose, at which marker, and what may be meant.
        """
        raw = self._read(start, stop)
        values = np.array(raw, dtype=np.float64)
        for code in self._missing:
            values[raw == code] = np.nan
        if self.coding == "-101":
            values += self.ploidy / 2
        # NaN compares false.
        bad = (values < 0) | (values > self.ploidy)
        if bad.any():
            i, j = np.argwhere(bad)[0]
            raise DataError(self._out_of_range(float(raw[i, j]), int(i), start + int(j), raw))
        return values

    def blocks(self) -> Iterator[tuple[int, int, Array]]:
        """(start, stop, dosages) of all markers, in blocks of about `BLOCK_BYTES`."""
        width = max(1, BLOCK_BYTES // (8 * self.n))
        for start in range(0, self.s, width):
            stop = min(start + width, self.s)
            yield start, stop, self.block(start, stop)

    def _out_of_range(self, value: float, i: int, j: int, raw: Array) -> str:
        shown = int(value) if value.is_integer() else value
        low, high = (0, self.ploidy) if self.coding == "012" else (-self.ploidy / 2, self.ploidy / 2)
        said = (
            f"marker '{self.names[j]}' of '{self.ids[i]}' is {shown}: with coding='{self.coding}' and ploidy={self.ploidy} a genotype "
            f"lies between {low:g} and {high:g}."
        )
        seen = np.unique(raw[~np.isnan(raw)] if raw.dtype.kind == "f" else raw)
        half = self.ploidy / 2
        if value == -1 and self.coding == "012":
            both = (
                "If -1, 0 and 1 are the genotypes, write coding='-101'; if -1 is a missing one, missing=-1."
            )
            return f"{said} {both}"
        if value < low - half or (value < 0 and self.coding == "012" and seen[0] < -half):
            return f"{said} If {shown} is a missing genotype, write missing={shown}."
        if self.coding == "-101" and seen[0] >= 0:
            return f"{said} These look like dosages: coding='012'."
        return f"{said} Is the ploidy right?"

    @cached_property
    def relationship(self) -> Relationship:
        """VanRaden's G (method 1) of all markers that are not monomorphic."""
        from .genomic import grm

        return grm(self)


def as_markers(given: Any, ids: Any = None, **how: Any) -> Markers:
    """`given` itself where it is `Markers` already, or what `Markers(given, ids, **how)` makes of it."""
    if isinstance(given, Markers):
        if ids is not None:
            raise DataError("ids= belongs to a table or an array; these Markers have ids of their own.")
        return given
    return Markers(given, ids, **how)


def _read_table(table: Any, ids: Any) -> tuple[Array, Array, Array]:
    """Values (n, s), ids, names."""
    if isinstance(table, (str, Path)):
        table = tables.read_file(table)
    if tables.is_table(table):
        return _from_columns(table, ids)
    if hasattr(table, "tocoo"):
        table = table.toarray()
    values = np.asarray(table)
    if values.ndim != 2 or values.dtype.kind not in "iufb":
        raise DataError(
            f"markers: a table or a two-dimensional array of numbers is wanted, individuals in rows, not {type(table).__name__}"
            + (f" of {values.dtype} with {values.ndim} dimensions." if isinstance(table, np.ndarray) else ".")
        )
    if ids is None or isinstance(ids, str):
        raise DataError(
            f"markers: an array of {values.shape[0]} rows without ids. Give Markers(array, ids) with an id for each row."
        )
    if values.dtype.kind == "b":
        values = values.astype(np.int8)
    return values, read_ids(ids, values.shape[0], "markers"), _counted(values.shape[1])


def _counted(s: int) -> Array:
    return id_array(f"m{k + 1}" for k in range(s))


def _from_columns(table: Any, ids: Any) -> tuple[Array, Array, Array]:
    names, columns = tables.columns_of(table)
    n = len(columns[0]) if columns else 0
    labels = None if isinstance(ids, str) else ids
    if isinstance(ids, str):
        if ids not in names:
            near = closest(ids, [str(name) for name in names])
            raise DataError(
                f"markers: no column is called '{ids}'." + (f" The closest is '{near}'." if near else "")
            )
        at = names.index(ids)
        labels, names, columns = columns[at], names[:at] + names[at + 1 :], columns[:at] + columns[at + 1 :]
    if labels is None:
        labels = tables.index_of(table)
    if labels is None and columns and _is_id_column(names[0], columns[0]):
        labels, names, columns = columns[0], names[1:], columns[1:]
    if labels is None:
        raise DataError(
            "markers: a table without ids. Say ids='column', or make the ids the index of the table, or give a list of ids."
        )
    return _stacked(columns, names, n), read_ids(labels, n, "markers"), id_array(names)


def _is_id_column(name: Any, column: Array) -> bool:
    return column.dtype.kind not in "iufb" or str(name).casefold() in ("", *tables.ANIMAL)


def _stacked(columns: list[Array], names: list[Any], n: int) -> Array:
    """(n, s): int8 where all values are small whole numbers (missing: -128), float64 otherwise."""
    out = np.empty((n, len(columns)), np.int8, order="F")
    for k, column in enumerate(columns):
        try:
            values = np.asarray(column, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(
                f"markers: column '{names[k]}' holds something that is not a number. Genotypes are dosages (0, 1, 2) of one allele; "
                "a column of ids is named by ids=."
            ) from None
        absent = np.isnan(values)
        whole = np.where(absent, _ABSENT, values)
        if (
            out.dtype == np.int8
            and not ((np.abs(whole) <= 128) & (whole == np.rint(whole)) & (whole < 128)).all()
        ):
            out = _as_float(out)
        out[:, k] = whole if out.dtype == np.int8 else values
    return out


def _as_float(whole: Array) -> Array:
    values = whole.astype(np.float64)
    values[whole == _ABSENT] = np.nan
    return values
