"""Small plain CSV files without pandas: a quarter of a second of a new process is loading it.

Only what cannot be read in two ways is read here: rows of equal length, columns that are all numbers or
all words. Everything else (truth values, numbers among words, infinities, blanks around values ...) is
left to pandas, and where both read a file they give the same columns.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from henderson.frame.column import Column

LIMIT = 256 * 1024
"""Bytes up to which a file is small."""
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DIGITS = 15
"""Up to which a whole number is an int64 and a float64 alike."""
_AMBIGUOUS = re.compile(
    r"[+-]?[0-9.].*|[+-]?inf(inity)?|[+-]?nan|true|false", re.ASCII | re.IGNORECASE | re.DOTALL
)


def read_small(
    path: Path, separator: str, names: Sequence[str], missing: Sequence[str]
) -> dict[str, Column] | None:
    """The named columns of a small plain CSV, or None where pandas is to decide.

    Parameters
    ----------
    names : in the header once each.
    missing : fields that are no value.
    """
    if path.stat().st_size > LIMIT:
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig")
        lines = [
            row
            for row in csv.reader(
                io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
            )
            if row
        ]
    except (UnicodeDecodeError, csv.Error):
        return None
    header, rows = lines[0], lines[1:]
    if not rows or "\0" in text or any(len(row) != len(header) for row in rows):
        return None
    empty = frozenset(missing)
    out = {}
    for name in names:
        at = header.index(name)
        column = _column(name, [row[at] for row in rows], empty)
        if column is None:
            return None
        out[name] = column
    return out


def _column(name: str, cells: list[str], empty: frozenset[str]) -> Column | None:
    there = [cell for cell in cells if cell not in empty]
    if not there or any(cell != cell.strip() for cell in there):
        return None
    if all(_NUMBER.fullmatch(cell) for cell in there):
        whole = [cell for cell in there if _WHOLE.fullmatch(cell)]
        if max(map(len, whole), default=0) > _DIGITS:
            return None
        if len(whole) == len(cells):
            return Column(name, "numeric", np.array([int(cell) for cell in cells], dtype=np.int64))
        numbers = [np.nan if cell in empty else float(cell) for cell in cells]
        values = np.array(numbers, dtype=np.float64)
        return None if np.isinf(values).any() else Column(name, "numeric", values)
    if any(_AMBIGUOUS.fullmatch(cell) for cell in there):
        return None
    levels = tuple(sorted(set(there)))
    place = {level: i for i, level in enumerate(levels)}
    codes = np.array([place.get(cell, -1) for cell in cells], dtype=np.int32)
    return Column(name, "factor", codes, levels, text=True)
