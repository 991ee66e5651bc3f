"""Values -> codes and sorted levels, without sorting the n rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.frame.column import Label


def factorize_numbers(raw: NDArray) -> tuple[NDArray[np.integer], tuple[Label, ...]]:
    """Codes (n,) int32 and the different numbers in increasing order; NaN is missing (-1).

    Whole numbers come back as int ("308", not "308.0").
    """
    if raw.size == 0:
        return np.zeros(0, np.int32), ()
    if raw.dtype.kind in "iu":
        low, high = int(raw.min()), int(raw.max())
        if high - low < max(4 * raw.size, 65_536) and high < 2**62:
            return _by_table(raw, low, high)
        return _by_hash(raw)
    raw = raw.astype(np.float64, copy=False)
    if raw.size <= 10_000:
        return _by_sort(raw)
    return _by_hash(raw)


def _by_table(raw: NDArray, low: int, high: int) -> tuple[NDArray[np.integer], tuple[Label, ...]]:
    shifted = raw if low == 0 else raw - raw.dtype.type(low) if _shift_fits(raw.dtype, low, high) else raw.astype(np.int64) - low
    seen = np.zeros(high - low + 1, np.bool_)
    seen[shifted] = True
    levels = np.flatnonzero(seen)
    table = np.empty(high - low + 1, np.int32)
    table[levels] = np.arange(levels.size, dtype=np.int32)
    return table[shifted], tuple((levels + low).tolist())


def _shift_fits(dtype: np.dtype, low: int, high: int) -> bool:
    info = np.iinfo(dtype)
    return info.min <= low <= info.max and high - low <= info.max


def _by_sort(raw: NDArray) -> tuple[NDArray[np.integer], tuple[Label, ...]]:
    levels, codes = np.unique(raw, return_inverse=True)
    codes = codes.astype(np.int32)
    present = int(np.count_nonzero(~np.isnan(levels)))
    codes[codes >= present] = -1
    return codes, _number_labels(levels[:present])


def _by_hash(raw: NDArray) -> tuple[NDArray[np.integer], tuple[Label, ...]]:
    import pandas as pd

    codes, levels = pd.factorize(raw)
    order = np.argsort(levels, kind="stable")
    return _reorder(codes, order), _number_labels(np.asarray(levels)[order])


def _number_labels(levels: NDArray) -> tuple[Label, ...]:
    if levels.dtype.kind in "iu":
        return tuple(levels.tolist())
    if np.all(levels == np.floor(levels)) and np.all(np.abs(levels) < 2**53):
        return tuple(levels.astype(np.int64).tolist())
    return tuple(int(v) if v == int(v) else v for v in levels.tolist() if np.isfinite(v)) if np.all(
        np.isfinite(levels)
    ) else tuple(levels.tolist())


def _reorder(codes: NDArray, order: NDArray) -> NDArray[np.int32]:
    """Codes after the levels were put into `order`; -1 stays -1."""
    place = np.empty(order.size + 1, np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    place[-1] = -1
    return place[codes]


def factorize_labels(values: Any) -> tuple[NDArray[np.int32], tuple[Label, ...]]:
    """Codes and sorted levels of text or mixed labels (anything pandas.factorize takes); None and NaN are missing."""
    import pandas as pd

    codes, levels = pd.factorize(values)
    labels = [plain(v) for v in levels]
    order = np.array(sorted(range(len(labels)), key=labels.__getitem__), dtype=np.intp)
    return _reorder(np.asarray(codes), order), tuple(labels[i] for i in order)


def plain(value: Any) -> Label:
    """A label as a plain Python str, int, float or bool."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return str(value)
