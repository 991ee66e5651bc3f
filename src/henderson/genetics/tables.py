"""Square tables with ids, and pedigrees among tables: from any library or a CSV."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..frame.files import MISSING, check_file, exact_numbers, file_kind, read_columns, read_header
from .ids import id_array, read_ids, refuse_repeats

ANIMAL = ("animal", "id", "ind", "individual", "name", "geno", "genotype")
SIRE = ("sire", "father", "male", "male_parent", "pollen")
DAM = ("dam", "mother", "female", "female_parent", "seed")
_FEW = 12
"""A pedigree is a table of few columns."""


def is_table(value: Any) -> bool:
    """Whether it is a table: a mapping of columns, or a frame of a library that is loaded."""
    if isinstance(value, Mapping):
        return True
    return any(hasattr(value, name) for name in ("collect_schema", "column_names", "columns"))


def read_file(path: str | Path) -> Any:
    """A CSV or Parquet file as a pandas DataFrame; a first column without a name is kept.

    Raises
    ------
    DataError : no such file, or it cannot be read.
    """
    place = Path(path).expanduser()
    check_file(place)
    kind = file_kind(place)
    header = read_header(place, kind)
    if kind == "parquet" or (len(header) <= _FEW and _roles(header) is not None):
        return read_columns(place, kind, header)
    return _read_wide(place, header)


def _read_wide(path: Path, header: list[str]) -> Any:
    """A square table: all columns by place, since the first may have no name."""
    import pandas as pd

    from ..frame.files import _csv_header

    separator = _csv_header(path)[1]
    try:
        table = pd.read_csv(
            path,
            sep=separator,
            header=None,
            skiprows=1,
            encoding="utf-8-sig",
            skipinitialspace=True,
            keep_default_na=False,
            na_values={k: MISSING for k in range(1, len(header) + 1)},
            low_memory=False,
            **exact_numbers(pd),
        )
    except ValueError as error:
        raise DataError(f"'{path}' cannot be read: {error}") from None
    if table.shape[1] == len(header) + 1:
        header = ["", *header]
    if table.shape[1] != len(header):
        raise DataError(
            f"'{path}' has {len(header)} names in its header and {table.shape[1]} fields in a row."
        )
    table.columns = pd.Index(header, dtype=object)
    return table


def columns_of(table: Any) -> tuple[list[Any], list[Any]]:
    """Names and columns (arrays) of a table, in order."""
    if isinstance(table, Mapping):
        return list(table), [np.asarray(column) for column in table.values()]
    if _is_pandas(table):
        return list(table.columns), [table.iloc[:, k].to_numpy() for k in range(table.shape[1])]
    import narwhals as nw

    try:
        frame = nw.from_native(table)
    except TypeError:
        raise DataError(
            f"a table is wanted (pandas, polars, pyarrow ...), not {type(table).__name__}."
        ) from None
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    return list(frame.columns), [frame.get_column(name).to_numpy() for name in frame.columns]


def index_of(table: Any) -> Any | None:
    """The index of a pandas table, None where it only counts the rows."""
    if not _is_pandas(table):
        return None
    import pandas as pd

    index = table.index
    counts = isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1
    return None if counts else index


def _is_pandas(table: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(table, pandas.DataFrame)


def _roles(names: list[Any]) -> tuple[str, str, str] | None:
    """The columns of a pedigree among the names (animal, sire, dam), or None."""
    folded = {str(name).casefold(): str(name) for name in names}
    found = [next((folded[w] for w in words if w in folded), None) for words in (ANIMAL, SIRE, DAM)]
    return (found[0], found[1], found[2]) if all(found) else None  # type: ignore[return-value]


def pedigree_columns(table: Any) -> tuple[str, str, str] | None:
    """The names of its animal, sire and dam columns, or None where the table is no pedigree."""
    if isinstance(table, Mapping):
        names = list(table)
    elif hasattr(table, "collect_schema"):
        names = list(table.collect_schema().names())
    else:
        names = list(getattr(table, "column_names", None) or table.columns)
    return _roles(names) if len(names) <= _FEW else None


def pedigree(table: Any, columns: tuple[str, str, str]) -> Any:
    """The `Pedigree` of a table with these columns."""
    from .pedigree import Pedigree

    animal, sire, dam = columns
    return Pedigree(table, animal=animal, sire=sire, dam=dam)


def square(table: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Matrix (q, q) and ids (q,) of a square table.

    Ids of the rows: the index of a pandas table, or a first column before q others. Without them the names of the columns are
    taken: rows in another order than the columns could not make a symmetric positive definite matrix.

    Raises
    ------
    DataError : not square, no ids, ids twice, ids of rows and columns that differ, something that is no number.
    """
    names, columns = columns_of(table)
    n = len(columns[0]) if columns else 0
    labels = index_of(table)
    if labels is None and len(names) == n + 1:
        labels, names, columns = columns[0], names[1:], columns[1:]
    if len(names) != n or n == 0:
        raise DataError(_not_square(n, names, name))
    if labels is None and _only_counts(table):
        raise DataError(
            f"{name}: a {n} x {n} table without ids. Name its columns and its index by the individuals, or give (K, ids)."
        )
    col_ids = id_array(names)
    refuse_repeats(col_ids, name)
    ids = read_ids(labels, n, name) if labels is not None else col_ids
    order = _columns_in_order(ids, col_ids, name)
    matrix = np.empty((n, n))
    for k, c in enumerate(order):
        matrix[:, k] = _as_numbers(columns[c], names[c], name)
    return matrix, ids


def _only_counts(table: Any) -> bool:
    """Whether the columns of a pandas table only count."""
    if not _is_pandas(table):
        return False
    import pandas as pd

    return isinstance(table.columns, pd.RangeIndex)


def _columns_in_order(ids: np.ndarray, col_ids: np.ndarray, name: str) -> np.ndarray:
    place = {label: k for k, label in enumerate(col_ids)}
    absent = [label for label in ids if label not in place]
    if absent:
        known = set(ids)
        others = [label for label in col_ids if label not in known]
        raise DataError(
            f"{name}: the ids of rows and columns differ: row '{absent[0]}' has no column and column '{others[0]}' has no row"
            + (f" ({len(absent)} rows in all)" if len(absent) > 1 else "")
            + "."
            + (
                " R writes an X before a column name that begins with a digit: data.frame(K, check.names = FALSE) does not."
                if others[0] == f"X{absent[0]}"
                else ""
            )
        )
    return np.array([place[label] for label in ids])


def _as_numbers(column: Any, label: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name}: column '{label}' holds something that is not a number.") from None


def _not_square(n: int, names: list[Any], name: str) -> str:
    said = f"{name}: a table of {n} rows and {len(names)} columns is not a square matrix with ids"
    shown = ", ".join(f"'{label}'" for label in names[:4]) + (" ..." if len(names) > 4 else "")
    said += f" (its columns are {shown})."
    if len(names) == 3:
        return said + (
            " A pedigree has columns called animal, sire and dam; three columns row, column, value make a sparse matrix: "
            "(scipy.sparse.coo_matrix((value, (row, column))), ids)."
        )
    return said + " Genotypes go through hd.genetics.Markers(table)."
