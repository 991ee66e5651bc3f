"""Any table -> `Frame`, and tables back in the caller's own library. The caller's table is only looked at."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from henderson.errors import DataError, FormulaError, closest
from henderson.frame.column import Column, Frame
from henderson.frame.convert import convert
from henderson.frame.files import check_file, file_kind, read_columns, read_header, read_small_columns

Span = tuple[int, int]

_MADE_WITH = {lib: lib for lib in ("polars", "pyarrow", "modin", "cudf")} | {"duckdb": "pyarrow"}
"""Libraries that tables are given back in besides pandas, and the module that makes them."""


def read(data: Any, names: Iterable[str] | Mapping[str, Span | None], text: str | None = None) -> Frame:
    """Read the named columns of a table.

    Parameters
    ----------
    data : pandas, polars (also lazy) or pyarrow table, anything else narwhals knows (DuckDB ...), dict of
        arrays or lists, numpy structured array, or path to a CSV or Parquet file.
        In a dict every column is taken by position, a Series too: its index is not looked at.
        Whole numbers that float64 does not hold exactly are told apart as levels of a factor, and rounded
        where the model calculates with them.
        A column whose name is an integer is named by its digits.
    names : columns wanted; a mapping may give the place of each in `text`, so that an error can point at it.
    text : the formula the names come from.

    Raises
    ------
    FormulaError : a column that is not there (the closest is named).
    DataError : no rows, a name that occurs twice, a file that is not there or cannot be read, columns of
        unequal length, or a column that is neither numbers nor labels.
    """
    wanted = list(names)
    places: Mapping[str, Span | None] = names if isinstance(names, Mapping) else {}
    if isinstance(data, (str, Path)):
        path = Path(data).expanduser()
        check_file(path)
        kind = file_kind(path)
        header = read_header(path, kind)
        _check_names(wanted, header, places, text)
        small = read_small_columns(path, kind, wanted)
        if small:
            return Frame(small, len(next(iter(small.values()))), "pandas")
        table = read_columns(path, kind, wanted or header[:1])
        return _typed(_columns_of(table, wanted), "pandas", _length(table))
    if isinstance(data, Mapping):
        keys = _keys(wanted, data)
        _check_names(wanted, _with_digits(data, keys), places, text)
        columns = {name: data[keys.get(name, name)] for name in wanted}
        return _typed(columns, "pandas", _mapping_length(data, wanted))
    if isinstance(data, np.ndarray) and data.dtype.names:
        _check_names(wanted, list(data.dtype.names), places, text)
        return _typed({name: data[name] for name in wanted}, "pandas", len(data))
    table, library = _open(data)
    there = _names_of(table)
    keys = _keys(wanted, there)
    _check_names(wanted, _with_digits(there, keys), places, text)
    columns = _columns_of(table, wanted, keys)
    return _typed(columns, library, 0 if columns else _length(table))


def check_columns(path: Path, names: Mapping[str, Span | None], text: str | None = None) -> tuple[str, ...]:
    """The names, once each is known to be a column of the file.

    Raises
    ------
    FormulaError, DataError : as `read`.
    """
    check_file(path)
    header = read_header(path, file_kind(path))
    _check_names(list(names), header, names, text)
    return tuple(names) or tuple(header[:1])


def _mapping_length(data: Mapping[str, Any], wanted: list[str]) -> int:
    first = next(iter(data.values()), ())
    return 0 if wanted or not hasattr(first, "__len__") else len(first)


def _length(table: Any) -> int:
    """Rows of a table of which no column is wanted."""
    import narwhals as nw

    if isinstance(table, nw.LazyFrame):
        return int(table.select(nw.len()).collect().item())
    return len(table)


def _open(data: Any) -> tuple[Any, str]:
    """A table whose columns can be taken one by one, and its library."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return data, "pandas"
    import narwhals as nw

    try:
        frame = nw.from_native(data)
    except TypeError:
        raise DataError(
            "a table is wanted (pandas, polars, pyarrow, DuckDB ..., a dict of arrays, or a path to a file),"
            f" not {type(data).__name__}."
        ) from None
    except ValueError as error:
        raise DataError(f"the table cannot be read: {error}") from None
    library = str(frame.implementation.name).lower()
    return frame, library


def _names_of(table: Any) -> list[Any]:
    if hasattr(table, "collect_schema"):
        try:
            return list(table.collect_schema().names())
        except Exception as error:
            raise DataError(f"the columns of the table cannot be read: {error}") from None
    return list(table.columns)


def _keys(wanted: Iterable[str], there: Iterable[Any]) -> dict[str, Any]:
    """Wanted columns whose name in the table is a number (as in pandas.DataFrame(array)), with that number."""
    known = list(there)
    numbers = {str(name): name for name in known if isinstance(name, Integral)}
    if not numbers:
        return {}
    return {name: numbers[name] for name in wanted if name not in known and name in numbers}


def _with_digits(there: Iterable[Any], keys: Mapping[str, Any]) -> list[Any]:
    """The names of a table, those in `keys` as text."""
    return [str(name) if str(name) in keys else name for name in there]


def _columns_of(table: Any, wanted: list[str], keys: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The wanted columns as native Series or arrays; a lazy table is collected with those columns alone."""
    import narwhals as nw

    if isinstance(table, nw.LazyFrame):
        table = table.select(wanted).collect()
    if isinstance(table, nw.DataFrame):
        return {name: table.get_column(name).to_native() for name in wanted}
    return {name: table[(keys or {}).get(name, name)] for name in wanted}


def _check_names(
    wanted: Sequence[str], there: Sequence[Any], places: Mapping[str, Span | None], text: str | None
) -> None:
    known = set(there)
    for name in wanted:
        if name not in known:
            near = closest(name, [n for n in there if isinstance(n, str)])
            hint = f"The closest column is '{near}'." if near else _listing(there)
            place = places.get(name)
            if text is not None and place is not None:
                raise FormulaError(f"no column is called '{name}'.", text, place, hint)
            raise FormulaError(f"no column is called '{name}'.", hint=hint)
    if len(known) < len(there):
        for name in wanted:
            if list(there).count(name) > 1:
                raise DataError(f"{list(there).count(name)} columns are called '{name}': rename all but one.")


def _listing(there: Sequence[Any]) -> str:
    shown = ", ".join(f"'{n}'" for n in list(there)[:12])
    return f"There are {shown}{' ...' if len(there) > 12 else ''}." if there else "The table has no columns."


def _typed(columns: dict[str, Any], library: str, nrow: int) -> Frame:
    """`nrow` is what counts where no column is wanted."""
    typed: dict[str, Column] = {name: convert(name, values) for name, values in columns.items()}
    lengths = {name: len(column) for name, column in typed.items()}
    if len(set(lengths.values())) > 1:
        (first, n), (other, m) = next(
            (a, b) for a in lengths.items() for b in lengths.items() if a[1] != b[1]
        )
        raise DataError(f"column '{first}' has {n} values and column '{other}' has {m}.")
    nrow = next(iter(lengths.values()), nrow)
    if nrow == 0:
        raise DataError("the table has no rows.")
    return Frame(typed, nrow, library)


def give_back(columns: Mapping[str, Any], library: str = "pandas") -> Any:
    """A table of the given columns (name -> sequence) in the caller's library (`Frame.library`).

    Raises
    ------
    DataError : the library is not installed.
    """
    try:
        return _table(columns, library)
    except ImportError as error:
        raise DataError(
            f"tables of this model are given back in {library}, which cannot be imported here: {error}."
        ) from None


def library_here(library: str) -> str:
    """The library, or "pandas" where it is not installed: for what came from another machine."""
    from importlib.util import find_spec

    return library if library in _MADE_WITH and find_spec(_MADE_WITH[library]) else "pandas"


def _table(columns: Mapping[str, Any], library: str) -> Any:
    if library == "polars":
        import polars as pl

        return pl.DataFrame({name: _plain_column(values) for name, values in columns.items()})
    if library in ("pyarrow", "duckdb"):
        import pyarrow as pa

        return pa.table({name: _plain_column(values) for name, values in columns.items()})
    if library in ("modin", "cudf"):
        import narwhals as nw

        backend: Any = library
        return nw.from_dict(dict(columns), backend=backend).to_native()
    import pandas as pd

    return pd.DataFrame({name: _plain_column(values) for name, values in columns.items()})


def _plain_column(values: Any) -> Any:
    """Labels as a list, all text where some are (levels of several groupings in one column); arrays as they are."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values
    labels = list(values)
    kinds = {type(v) for v in labels if v is not None}
    if len(kinds) > 1 and str in kinds:
        return [None if v is None else str(v) for v in labels]
    return labels
