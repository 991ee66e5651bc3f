"""The columns of a pedigree as codes of one list of ids."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..frame.column import Column, Label
from ..frame.factorize import codes_and_values
from .ids import id_text

IntArray = NDArray[np.int32]


def common_codes(columns: Sequence[Column], unknown: Sequence[str]) -> tuple[list[IntArray], NDArray]:
    """Codes (n,) of each column into the ids, -1 where missing or one of `unknown`, and the ids.

    The ids are numbers where every column holds numbers, else text: `texts` makes text of both.

    Raises
    ------
    DataError : decimal numbers that are no ids.
    """
    for column in columns:
        _require_ids(column)
    if all(c.kind == "numeric" and c.labels is None for c in columns):
        return _of_numbers(columns, unknown)
    factors = [column.factor for column in columns]
    levels = [_level_texts(factor.levels) for factor in factors]
    place = dict.fromkeys(chain.from_iterable(levels))
    for text in [*unknown, *(filter(str.isspace, list(place)) if "" in unknown else ())]:
        place.pop(text, None)
    code = dict(zip(place, range(len(place)), strict=True))
    out = []
    for factor, own in zip(factors, levels, strict=True):
        of_level = np.fromiter(map(code.get, own, repeat(-1)), np.int32, len(own))
        out.append(np.append(of_level, np.int32(-1))[factor.values])
    ids = np.empty(len(place), dtype=object)
    ids[:] = list(place)
    return out, ids


def _require_ids(column: Column) -> None:
    """Refuse infinite numbers, and decimal ones so large that several whole numbers are read as one."""
    if column.kind != "numeric" or column.labels is not None or column.raw.dtype.kind != "f":
        return
    bad = np.flatnonzero(np.abs(column.raw) >= 2.0**53)
    if not len(bad):
        return
    value = column.raw[bad[0]]
    where = f"pedigree: column '{column.name}' has {value:.17g} in row {bad[0]} (the first row is 0)"
    if np.isinf(value):
        raise DataError(f"{where}: it is nobody's id.")
    raise DataError(
        f"{where}, a decimal number (a missing value makes decimals of a column of whole numbers) too large to be exact: ids "
        "that differ in their last digits are the same number. Read the columns as text, such as pandas.read_csv(path, dtype=str)."
    )


def _level_texts(levels: tuple[Label, ...]) -> Sequence[str]:
    return [level if isinstance(level, str) else id_text(level) for level in levels]


def _of_numbers(columns: Sequence[Column], unknown: Sequence[str]) -> tuple[list[IntArray], NDArray]:
    codes, numbers = codes_and_values(np.concatenate([c.raw for c in columns]))
    if numbers.dtype.kind == "f" and np.array_equal(numbers, np.floor(numbers)) and _fits(numbers):
        numbers = numbers.astype(np.int64)
    absent = np.zeros(numbers.size + 1, np.bool_)
    for text in unknown:
        try:
            number = float(text)
        except ValueError:
            continue
        if id_text(number) == text:
            absent[:-1] |= numbers == number
    codes[absent[codes]] = -1
    ends = np.cumsum([len(c) for c in columns])[:-1]
    return np.split(codes, ends), numbers


def _fits(numbers: NDArray) -> bool:
    return numbers.size == 0 or float(np.abs(numbers).max()) < 2.0**53


def texts(labels: NDArray) -> NDArray[np.object_]:
    """Ids as text, (n,) object."""
    if labels.dtype == object:
        return labels
    out = np.empty(labels.size, dtype=object)
    out[:] = list(map(str if labels.dtype.kind in "iu" else id_text, labels.tolist()))
    return out
