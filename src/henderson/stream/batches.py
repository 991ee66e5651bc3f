"""A Parquet file as a sequence of small frames."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from henderson.errors import DataError, ModelError
from henderson.frame import Frame, read
from henderson.frame.files import check_file, file_kind

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?B)?\s*", re.IGNORECASE)


def bytes_of(limit: Any) -> int:
    """`memory_limit=` as bytes: a number, or text such as "200 MB".

    Raises
    ------
    ModelError : neither.
    """
    if isinstance(limit, str) and (match := _SIZE.fullmatch(limit)):
        size = float(match[1]) * _UNITS[(match[2] or "").upper()]
    elif isinstance(limit, (int, float)) and not isinstance(limit, bool):
        size = float(limit)
    else:
        raise ModelError(f'memory_limit is a number of bytes or a text such as "200 MB", not {limit!r}.')
    if not size >= 10**6:
        raise ModelError(f"memory_limit={limit!r} is too small to read anything with: give 1 MB or more.")
    return int(size)


def size_in_memory(path: Path, names: Sequence[str]) -> int:
    """Bytes the named columns of a Parquet file take as numbers."""
    return 8 * _file(path).metadata.num_rows * (len(names) + 1)


def _file(path: Path) -> Any:
    check_file(path)
    if file_kind(path) != "parquet":
        raise DataError(
            f"'{path}' is not a Parquet file: only those are read a few rows at a time.\n"
            "Convert it, for example with pyarrow.csv.open_csv and pyarrow.parquet.ParquetWriter, or leave out memory_limit."
        )
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(
            "reading a Parquet file in parts needs pyarrow: pip install 'henderson[arrow]'."
        ) from None
    try:
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20)
    except Exception as error:
        raise DataError(f"'{path}' cannot be read: {error}") from None


@dataclass(frozen=True)
class Batches:
    """The named columns of a Parquet file, `rows` rows at a time. Every iteration reads the file again."""

    path: Path
    names: tuple[str, ...]
    rows: int

    def __iter__(self) -> Iterator[Frame]:
        import pyarrow as pa

        file = _file(self.path)
        try:
            for batch in file.iter_batches(self.rows, columns=list(self.names), use_threads=True):
                if batch.num_rows:
                    yield read(pa.Table.from_batches([batch]), self.names)
        finally:
            file.close()

    def dictionaries(self) -> set[str]:
        """Columns whose levels have an order of their own in the file."""
        import pyarrow as pa

        schema = _file(self.path).schema_arrow
        return {name for name in self.names if pa.types.is_dictionary(schema.field(name).type)}

    @property
    def total(self) -> int:
        """Rows of the file."""
        return int(_file(self.path).metadata.num_rows)
