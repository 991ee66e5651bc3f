"""One caller's column, of any library -> `Column`. Numbers are not copied when they are numbers already."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.errors import DataError
from henderson.frame.column import Column, Label
from henderson.frame.factorize import factorize_labels, factorize_numbers, plain_labels, reorder

_DATES = "holds dates or times"
_DATES_HINT = "Make a number of it (days since a start), or text when it is a label."


def convert(name: str, values: Any) -> Column:
    """Column from a numpy array, list, pandas Series, polars Series, or pyarrow (Chunked)Array.

    Raises
    ------
    DataError : a column that is neither numbers nor labels.
    """
    try:
        return _convert(name, values)
    except DataError:
        raise
    except Exception as error:  # a library's own refusal of one of its types
        raise _refuse(name, f"cannot be read: {error}") from error


def _convert(name: str, values: Any) -> Column:
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(
        values, (pandas.Series, pandas.Index, pandas.api.extensions.ExtensionArray)
    ):
        return _from_pandas(name, pandas.Series(values) if not isinstance(values, pandas.Series) else values)
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(values, polars.Series):
        return _from_polars(name, values)
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(values, (pyarrow.Array, pyarrow.ChunkedArray)):
        return _from_arrow(name, values)
    return _from_array(name, values)


def _refuse(name: str, what: str, hint: str | None = None) -> DataError:
    return DataError(f"column '{name}' {what}." + (f"\n{hint}" if hint else ""))


def _booleans(name: str, values: NDArray[np.bool_], missing: NDArray[np.bool_] | None = None) -> Column:
    codes = values.astype(np.int32)
    if missing is not None:
        codes[missing] = -1
    return Column(name, "factor", codes, (False, True))


def _whole_numbers(name: str, values: NDArray, missing: NDArray[np.bool_]) -> Column:
    """A column of integers, whatever stands where they are missing."""
    if not missing.any():
        return Column(name, "numeric", values)
    numbers = np.where(missing, np.nan, values.astype(np.float64))
    there = values[~missing]
    if _are_exact(numbers):
        return Column(name, "numeric", numbers)
    codes = np.full(values.size, -1, np.int32)
    codes[~missing], levels = factorize_numbers(there)
    return Column(name, "numeric", numbers, labels=(codes, levels))


def _are_exact(numbers: NDArray[np.float64]) -> bool:
    """Whether each integer has a float64 of its own: all are below 2**53 in size."""
    with np.errstate(invalid="ignore"):
        return not (np.abs(numbers) >= 2.0**53).any()


def _from_array(name: str, values: Any) -> Column:
    if isinstance(values, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(values)
        if values.dtype.kind == "b":
            return _booleans(name, np.asarray(values.data), masked)
        if values.dtype.kind in "iu":
            return _whole_numbers(name, np.asarray(values.data), masked)
        if values.dtype.kind == "f":
            return Column(
                name, "numeric", np.where(masked, np.nan, np.asarray(values.data, dtype=np.float64))
            )
        objects = np.asarray(values.data).astype(object)
        objects[masked] = None
        values = objects
    if not isinstance(values, np.ndarray):
        if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
            raise _refuse(name, f"is one value ({type(values).__name__}), not a value for each row")
        values = _array_of_sequence(name, values)
    if values.ndim != 1:
        raise _refuse(
            name,
            f"has {values.ndim} dimensions, not one"
            if values.ndim
            else "is one value, not a value for each row",
        )
    kind = values.dtype.kind
    if kind == "f" and values.dtype.itemsize > 8:
        return Column(name, "numeric", values.astype(np.float64))
    if kind in "iuf":
        return Column(name, "numeric", values)
    if kind == "b":
        return _booleans(name, values)
    if kind in "Mm":
        raise _refuse(name, _DATES, _DATES_HINT)
    if kind == "c":
        raise _refuse(name, "holds complex numbers")
    if kind == "U" or (kind == "T"):
        values = values.astype(object)
    elif kind != "O":
        raise _refuse(name, f"holds {values.dtype}, which is neither a number nor a label")
    return _from_objects(name, values)


def _array_of_sequence(name: str, values: Any) -> NDArray:
    """A list as an array; strings among numbers stay strings among numbers, to be refused by name."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise _refuse(name, "holds lists or sequences of unequal length") from None
    rounded = array.dtype == np.float64 and array.ndim == 1 and not _are_exact(array)
    if array.dtype.kind in "USV" or rounded or (array.dtype.kind == "f" and array.size != len(values)):
        objects = np.empty(len(values), dtype=object)
        objects[:] = list(values)
        return objects
    return array


def _from_objects(name: str, values: NDArray) -> Column:
    """A column of Python objects: all numbers, all text, or all booleans, with missing values among them."""
    import pandas as pd

    missing = pd.isna(values)
    if missing.ndim != 1:
        raise _refuse(name, "holds lists or tables")
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal", "empty"):
        numbers = _as_floats(name, values, missing)
        labels = None if kind == "floating" or _are_exact(numbers) else _labels_of_numbers(values, missing)
        return Column(name, "numeric", numbers, labels=labels)
    if kind == "boolean":
        return _booleans(name, np.where(missing, False, values).astype(np.bool_), missing)
    if kind == "string":
        codes, levels = factorize_labels(values)
        return Column(name, "factor", codes, levels, text=True)
    if kind in ("datetime64", "datetime", "date", "timedelta64", "timedelta", "time", "period", "interval"):
        raise _refuse(name, _DATES if kind != "interval" else "holds intervals", _DATES_HINT)
    kinds: dict[str, int] = {}
    for row in np.flatnonzero(~missing):
        kinds.setdefault(type(values[row]).__name__, int(row))
    if len(kinds) == 1:
        raise _refuse(name, f"holds a {next(iter(kinds))} in each row, not a number or a label")
    seen = ", ".join(f"{k} (row {row})" for k, row in list(kinds.items())[:3])
    raise _refuse(name, f"holds values of several kinds: {seen}", "Make them all numbers or all text.")


def _as_floats(name: str, values: NDArray, missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    numbers = np.full(len(values), np.nan)
    try:
        numbers[~missing] = values[~missing].astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise _refuse(name, "holds a number that does not fit a float64") from None
    return numbers


def _labels_of_numbers(
    values: NDArray, missing: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], tuple[Label, ...]]:
    """Codes and levels of Python's numbers, which are compared exactly however large."""
    there = [int(v) if math.isfinite(v) and v == int(v) else float(v) for v in values[~missing]]
    levels = sorted(set(there))
    place = {level: i for i, level in enumerate(levels)}
    codes = np.full(len(values), -1, np.int32)
    codes[~missing] = [place[v] for v in there]
    return codes, tuple(levels)


def _from_pandas(name: str, series: Any) -> Column:
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return _from_array(name, series.to_numpy())
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories(name, series.cat.codes.to_numpy(), series.cat.categories, bool(dtype.ordered))
    if isinstance(dtype, pd.SparseDtype):
        return _from_array(name, series.sparse.to_dense().to_numpy())
    if isinstance(dtype, pd.ArrowDtype):
        return _from_arrow(name, series.array.__arrow_array__())
    types = pd.api.types
    if types.is_bool_dtype(dtype):
        missing = series.isna().to_numpy()
        return _booleans(name, series.fillna(False).to_numpy(dtype=np.bool_), missing)
    if types.is_numeric_dtype(dtype):
        if types.is_integer_dtype(dtype):
            whole = np.uint64 if str(dtype).lower()[0] == "u" else np.int64
            return _whole_numbers(name, series.to_numpy(dtype=whole, na_value=0), series.isna().to_numpy())
        return Column(name, "numeric", series.to_numpy(dtype=np.float64, na_value=np.nan))
    if types.is_string_dtype(dtype):
        codes, levels = factorize_labels(series)
        return Column(name, "factor", codes, levels, text=True)
    if (
        types.is_datetime64_any_dtype(dtype)
        or types.is_timedelta64_dtype(dtype)
        or any(word in str(dtype) for word in ("date", "time", "duration", "period"))
    ):
        raise _refuse(name, _DATES, _DATES_HINT)
    raise _refuse(name, f"holds {dtype}, which is neither a number nor a label")


def _categories(name: str, codes: NDArray, categories: Any, ordered: bool) -> Column:
    labels = plain_labels(categories)
    return Column(name, "factor", codes.astype(np.int32, copy=False), labels, ordered, text=False)


def _from_polars(name: str, series: Any) -> Column:
    import polars as pl

    dtype = series.dtype
    if dtype.is_decimal() or dtype in _wide_polars():
        numbers = series.cast(pl.Float64).to_numpy()
        if _are_exact(numbers):
            return Column(name, "numeric", numbers)
        return _from_objects(name, np.array(series.to_list(), dtype=object))
    if dtype.is_integer():
        return _whole_numbers(name, series.fill_null(0).to_numpy(), series.is_null().to_numpy())
    if dtype.is_numeric():
        return Column(
            name, "numeric", (series.cast(pl.Float64) if series.null_count() else series).to_numpy()
        )
    if dtype == pl.Boolean:
        return _booleans(name, series.fill_null(False).to_numpy(), series.is_null().to_numpy())
    if dtype == pl.Null:
        return Column(name, "numeric", np.full(len(series), np.nan))
    if dtype == pl.Enum:
        categories = dtype.categories.to_list()
        return _categories(name, _physical(series), categories, False)
    if dtype in (pl.String, pl.Categorical):
        # A Categorical of polars has no order of its own (its categories are shared by the whole process):
        # levels are sorted.
        levels = sorted(series.unique().drop_nulls().cast(pl.String).to_list())
        codes = _physical(series.cast(pl.String).cast(pl.Enum(levels)))
        return Column(name, "factor", codes, tuple(levels), text=dtype == pl.String)
    if dtype.is_temporal():
        raise _refuse(name, _DATES, _DATES_HINT)
    if dtype == pl.Object:
        return _from_objects(name, np.array(series.to_list(), dtype=object))
    raise _refuse(name, f"holds {dtype}, which is neither a number nor a label")


def _wide_polars() -> list[Any]:
    """The integers of this polars that numpy does not have."""
    import polars as pl

    return [getattr(pl, kind) for kind in ("Int128", "UInt128") if hasattr(pl, kind)]


def _physical(series: Any) -> NDArray[np.int32]:
    import polars as pl

    return series.to_physical().cast(pl.Int32).fill_null(-1).to_numpy()


def _from_arrow(name: str, values: Any) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, types = values.type, pa.types
    if types.is_decimal(kind):
        numbers = np.asarray(pc.fill_null(values.cast(pa.float64()), float("nan")))
        if _are_exact(numbers):
            return Column(name, "numeric", numbers)
        return _from_objects(name, np.array(values.to_pylist(), dtype=object))
    if types.is_integer(kind) and values.null_count:
        return _whole_numbers(name, np.asarray(pc.fill_null(values, 0)), np.asarray(values.is_null()))
    if types.is_integer(kind) or types.is_floating(kind):
        if values.null_count:
            values = pc.fill_null(values.cast(pa.float64()), float("nan"))
        return Column(
            name,
            "numeric",
            np.asarray(
                values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy()
            ),
        )
    if types.is_boolean(kind):
        missing = np.asarray(values.is_null())
        return _booleans(name, np.asarray(pc.fill_null(values, False)), missing)
    if types.is_null(kind):
        return Column(name, "numeric", np.full(len(values), np.nan))
    if types.is_dictionary(kind):
        values = values.unify_dictionaries() if isinstance(values, pa.ChunkedArray) else values
        codes, labels = _arrow_codes(values)
        return _categories(name, codes, labels, bool(kind.ordered))
    if types.is_string(kind) or types.is_large_string(kind) or str(kind) == "string_view":
        if str(kind) == "string_view":
            values = values.cast(pa.large_string())
        codes, labels = _arrow_codes(values.dictionary_encode())
        order = np.array(sorted(range(len(labels)), key=labels.__getitem__), dtype=np.intp)
        return Column(name, "factor", reorder(codes, order), tuple(labels[i] for i in order), text=True)
    if types.is_temporal(kind):
        raise _refuse(name, _DATES, _DATES_HINT)
    raise _refuse(name, f"holds {kind}, which is neither a number nor a label")


def _arrow_codes(values: Any) -> tuple[NDArray[np.int32], list[Any]]:
    """Codes (-1 missing) and labels of a dictionary array whose chunks share one dictionary."""
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        if values.num_chunks == 0:
            return np.zeros(0, np.int32), []
        values = values.unify_dictionaries()
        chunks = values.chunks
    else:
        chunks = [values]
    codes = [c.indices.cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False) for c in chunks]
    return np.concatenate(codes).astype(np.int32, copy=False), chunks[0].dictionary.to_pylist()
