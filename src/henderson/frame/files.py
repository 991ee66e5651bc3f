"""CSV and Parquet files: only the columns asked for are read."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

from henderson.errors import DataError
from henderson.frame.column import Column
from henderson.frame.fields import UNCHECKED, check_fields, open_bytes
from henderson.frame.small import read_small

_TEXT = {".csv", ".tsv", ".txt"}
_COMPRESSED = {".gz", ".bz2", ".xz", ".zip", ".zst"}
_PARQUET = {".parquet", ".pq"}

MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "NULL", "null"]
"""Fields of a CSV that are no value. "None" is not among them: it is a level of real factors."""
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):[/\\]+")
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?", re.ASCII)
_POINT = re.compile(r"[+-]?[0-9]+([eE][+-]?[0-9]+)?", re.ASCII)


def file_kind(path: Path) -> str:
    """ "csv" or "parquet", by the end of the name.

    Raises
    ------
    DataError : another ending.
    """
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in _PARQUET:
        return "parquet"
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes = suffixes[:-1]
    if suffixes and suffixes[-1] in _TEXT:
        return "csv"
    raise DataError(
        f"'{path}' is neither CSV (.csv, .tsv, .txt, also .gz ...) nor Parquet (.parquet) by its name."
    )


def check_file(path: Path) -> None:
    """Refuse a path that is not a file, naming a close one in the same folder."""
    if address := _ADDRESS.match(str(path)):
        raise DataError(
            f"'{_ADDRESS.sub(f'{address[1]}://', str(path), count=1)}' is an address, and only files on this"
            " machine are read.\nDownload it first, or give the table that your own library reads from it."
        )
    if path.is_dir():
        raise DataError(f"'{path}' is a folder, not a file.")
    if path.is_file():
        return
    from henderson.errors import closest

    near = closest(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else None
    raise DataError(f"there is no file '{path}'." + (f"\nThe closest there is '{near}'." if near else ""))


def read_header(path: Path, kind: str) -> list[str]:
    """Names of the columns of a file, in order."""
    try:
        if kind == "parquet":
            return list(_parquet_names(path))
        return _csv_header(path)[0]
    except DataError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from None


def read_small_columns(path: Path, kind: str, names: list[str]) -> dict[str, Column] | None:
    """The named columns of a small plain CSV, read without pandas; None where it is for `read_columns`."""
    if kind != "csv" or path.suffix.lower() not in _TEXT:
        return None
    return read_small(path, _csv_header(path)[1], names, MISSING)


def read_columns(path: Path, kind: str, names: list[str]) -> Any:
    """The named columns as a pandas DataFrame.

    Raises
    ------
    DataError : the file cannot be read.
    """
    import pandas as pd

    try:
        if kind == "parquet":
            return _read_parquet(path, names)
        header, separator = _csv_header(path)
        check_fields(path, separator, len(header))
        options: dict[str, Any] = {
            "sep": separator,
            "low_memory": False,
            "encoding": "utf-8-sig",
            "skipinitialspace": True,
            "keep_default_na": False,
            "na_values": MISSING,
            "index_col": False,
            **exact_numbers(pd),
        }
        table = pd.read_csv(path, usecols=names, **options)
        if separator != ",":
            _refuse_decimal_commas(path, table, separator)
        rounded = [name for name in names if _perhaps_whole(table[name])]
        if rounded:
            fields = pd.read_csv(path, usecols=rounded, dtype=str, **options)
            for name in rounded:
                table[name] = _whole_numbers(fields[name], table[name])
        return table
    except DataError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from None


def _perhaps_whole(column: Any) -> bool:
    """Whether pandas may have rounded whole numbers, or left them as text, which it does beyond 64 bits."""
    if column.dtype == "float64":
        return bool((column.abs() >= 2.0**53).any())
    if column.dtype.kind in "iufb":
        return False
    return any(isinstance(v, str) and len(v) > 15 and _WHOLE.fullmatch(v) for v in column.unique())


def _whole_numbers(fields: Any, numbers: Any) -> Any:
    """The fields as Python's integers where all are whole numbers; else the column as pandas read it."""
    missing = fields.isna()
    if not all(_WHOLE.fullmatch(field.strip()) for field in fields[~missing]):
        return numbers
    whole = fields.astype(object)
    whole[missing] = None
    whole[~missing] = [int(field) for field in fields[~missing]]
    return whole


def _refuse_decimal_commas(path: Path, table: Any, separator: str) -> None:
    """Refuse a column of numbers that were written with a comma where a point is read."""
    for name in table.columns:
        if table[name].dtype.kind in "iufb":
            continue
        fields = [field for field in table[name].dropna().unique() if isinstance(field, str)]
        comma = next((field for field in fields if _COMMA.fullmatch(field)), None)
        if comma and all(_COMMA.fullmatch(field) or _POINT.fullmatch(field) for field in fields):
            raise DataError(
                f"column '{name}' of '{path}' has numbers with a decimal comma, such as {comma}.\n"
                f"Write them with a point, or give the table: pandas.read_csv(file, sep={separator!r},"
                " decimal=',')."
            )


def exact_numbers(pd: Any) -> dict[str, Any]:
    """What makes pandas' read_csv give the nearest float to each number; pandas 3 does by itself."""
    return {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, UnicodeDecodeError):
        return DataError(f"'{path}' cannot be read: it is not UTF-8 text. Save the file as UTF-8.")
    return DataError(f"'{path}' cannot be read: {str(error).strip() or type(error).__name__}")


def _csv_header(path: Path) -> tuple[list[str], str]:
    if path.suffix.lower() == UNCHECKED:
        import pandas as pd

        table = pd.read_csv(path, nrows=1, header=None, dtype=str, encoding="utf-8-sig")
        return ["" if v != v else str(v) for v in table.iloc[0]], ","
    with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as file:
        line = file.readline()
        if "\0" in line:
            raise DataError(f"'{path}' cannot be read: it is UTF-16, or no text. Save the file as UTF-8.")
        if not line.strip():
            raise DataError(f"'{path}' has no header line: the file is empty.")
        separator = "\t" if path.suffixes and ".tsv" in [s.lower() for s in path.suffixes] else ","
        if separator not in line:
            separator = next((s for s in (";", "\t") if s in line), ",")
        file.seek(0)
        names = next(csv.reader(file, delimiter=separator, skipinitialspace=True))
    return names, separator


def _parquet_names(path: Path) -> list[str]:
    library = _parquet_library()
    if library == "pyarrow":
        import pyarrow.parquet as pq

        return list(pq.read_schema(path).names)
    import polars as pl

    return list(pl.read_parquet_schema(path))


def _read_parquet(path: Path, names: list[str]) -> Any:
    if _parquet_library() == "pyarrow":
        import pyarrow.parquet as pq

        return pq.read_table(path, columns=names)
    import polars as pl

    return pl.read_parquet(path, columns=names)


def _parquet_library() -> str:
    from importlib.util import find_spec

    for library in ("pyarrow", "polars"):
        if find_spec(library) is not None:
            return library
    raise DataError("reading Parquet needs pyarrow or polars: pip install 'henderson[arrow]'.")
