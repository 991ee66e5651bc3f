"""Values -> codes and sorted levels, without sorting the n rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.frame.column import Label


def factorize_numbers(raw: NDArray) -> tuple[NDArray[np.int32], tuple[Label, ...]]:
    """Codes (n,) and the different numbers in increasing order; NaN is missing (-1).

    Whole numbers come back as int ("308", not "308.0").
    """
    codes, values = codes_and_values(raw)
    return codes, number_labels(values)


def codes_and_values(raw: NDArray) -> tuple[NDArray[np.int32], NDArray]:
    """Codes (n,) int32 and the different numbers, increasing; NaN is missing (-1).

    Whole numbers within a narrow range go through a table, a few numbers through a sort, the rest through a
    hash.
    """
    if raw.size == 0:
        return np.zeros(0, np.int32), raw
    if raw.dtype.kind in "iu":
        low, high = int(raw.min()), int(raw.max())
        if high - low < max(4 * raw.size, 65_536) and high < 2**62:
            return _by_table(raw, low, high)
        return _by_hash(raw)
    raw = raw.astype(np.float64, copy=False)
    if raw.size <= 10_000:
        return _by_sort(raw)
    whole = _as_whole(raw)
    return _by_hash(raw) if whole is None else whole


def _as_whole(raw: NDArray) -> tuple[NDArray[np.int32], NDArray] | None:
    """Floats that are whole numbers (as integers with missing values among them are), by way of integers."""
    missing = np.isnan(raw)
    filled = np.where(missing, raw[np.argmin(missing)], raw)
    if missing.all() or not (np.abs(filled).max() < 2**53 and np.array_equal(filled, np.floor(filled))):
        return None
    codes, values = codes_and_values(filled.astype(np.int64))
    codes[missing] = -1
    return codes, values


def _by_table(raw: NDArray, low: int, high: int) -> tuple[NDArray[np.int32], NDArray]:
    if low == 0:
        shifted = raw
    elif high - low <= np.iinfo(raw.dtype).max:
        shifted = raw - raw.dtype.type(low)
    else:
        shifted = raw.astype(np.int64) - low
    seen = np.zeros(high - low + 1, np.bool_)
    seen[shifted] = True
    values = np.flatnonzero(seen)
    table = np.empty(high - low + 1, np.int32)
    table[values] = np.arange(values.size, dtype=np.int32)
    return table[shifted], values + low


def _by_sort(raw: NDArray) -> tuple[NDArray[np.int32], NDArray]:
    values, inverse = np.unique(raw, return_inverse=True)
    codes = inverse.astype(np.int32)
    present = int(np.count_nonzero(~np.isnan(values)))
    codes[codes >= present] = -1
    return codes, values[:present]


def _by_hash(raw: NDArray) -> tuple[NDArray[np.int32], NDArray]:
    import pandas as pd

    codes, values = pd.factorize(raw)
    order = np.argsort(values, kind="stable")
    return reorder(codes, order), np.asarray(values)[order]


def number_labels(values: NDArray) -> tuple[Label, ...]:
    """Numbers as labels: whole ones as int."""
    if values.dtype.kind in "iu":
        return tuple(values.tolist())
    return tuple(plain(v) for v in values.tolist())


def reorder(codes: NDArray, order: NDArray) -> NDArray[np.int32]:
    """Codes after the levels were put into `order`; -1 stays -1."""
    place = np.empty(order.size + 1, np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    place[-1] = -1
    return place[codes]


def factorize_labels(values: Any) -> tuple[NDArray[np.int32], tuple[Label, ...]]:
    """Codes and sorted levels of text (anything pandas.factorize takes); None and NaN are missing."""
    import pandas as pd

    codes, levels = pd.factorize(values)
    labels = plain_labels(levels)
    order = np.array(sorted(range(len(labels)), key=labels.__getitem__), dtype=np.intp)
    return reorder(np.asarray(codes), order), tuple(labels[i] for i in order)


def plain_labels(values: Any) -> tuple[Label, ...]:
    """Labels as plain Python values; a whole index of text or integers in one call, for there may be very many."""
    labels = values.tolist() if hasattr(values, "tolist") else list(values)
    if set(map(type, labels)) <= {str, int}:
        return tuple(labels)
    return tuple(plain(v) for v in labels)


def plain(value: Any) -> Label:
    """A label as a plain Python str, int, float or bool."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return str(value)
