"""Rows of a CSV with more fields than its header: read by position, they would say what they do not mean."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, cast

from henderson.errors import DataError

_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
UNCHECKED = ".zst"
"""Compression that only pandas reads."""


def open_bytes(path: Path) -> BinaryIO:
    """A text file, compressed or not, as its bytes. Not for `UNCHECKED`."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        archive = zipfile.ZipFile(path)
        return cast(BinaryIO, archive.open(archive.namelist()[0]))
    return cast(BinaryIO, _OPENERS.get(suffix, open)(path, "rb"))


def check_fields(path: Path, separator: str, count: int) -> None:
    """Refuse a CSV in which a row has more fields than the `count` of the header.

    Lines are split at quotes only where there is a quote or a line too long.

    Raises
    ------
    DataError : the first such row, by its line in the file (the first is 1).
    """
    if path.suffix.lower() == UNCHECKED:
        return
    mark = separator.encode()
    with open_bytes(path) as file:
        if not any(line.count(mark) >= count or b'"' in line for line in file):
            return
    first, every, ends = (0, 0), True, True
    with io.TextIOWrapper(open_bytes(path), "utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=separator, skipinitialspace=True)
        next(rows)
        for row in rows:
            if not row:
                continue
            if len(row) > count and not first[0]:
                first = (rows.line_num, len(row))
            every = every and len(row) == count + 1
            ends = ends and not row[-1]
            if first[0] and not every:
                break
    if first[0]:
        raise DataError(_message(path, first, count, separator, every, ends))


def _message(path: Path, first: tuple[int, int], count: int, separator: str, every: bool, ends: bool) -> str:
    line, fields = first
    said = f"line {line} of '{path}' has {fields} fields and the header has {count}"
    if every and ends:
        return (
            f"{said}: every line but the header ends in '{separator}'.\nTake it away, or end the header so."
        )
    if every:
        return (
            f"{said}, and so has every other line: the first column looks like row names without a name.\n"
            "Write the file anew without them (in R: write.csv(d, file, row.names = FALSE)), or give the first"
            " column a name in the header."
        )
    return f"{said}.\nCorrect the line; a field that holds '{separator}' is to stand in double quotes."
