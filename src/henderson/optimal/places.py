"""Where a search may put its runs: a list of candidates, or factors with levels and ranges; and tables of what it found."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import frame as frames
from ..errors import DataError, FormulaError, ModelError
from ..formula import Formula
from ..frame import Column, Frame
from .coordinate import Factor
from .reading import effect_columns

_MOST = 20_000
_SAMPLE = 4_000
_INNER = 5


def read_candidates(parsed: Formula, table: Any, what: str) -> Frame:
    """The columns of the fixed part.

    Raises
    ------
    FormulaError, DataError : a column that is missing, or values that are.
    """
    names: dict[str, Any] = {name: parsed.names.get(name) for name in effect_columns(parsed)}
    try:
        return frames.read(table, names, parsed.text)
    except FormulaError as error:
        raise FormulaError(f"{what}: {error}") from None
    except DataError as error:
        raise DataError(f"{what}: {error}") from None


def read_factors(parsed: Formula, given: Any) -> list[Factor]:
    """The factors of a coordinate exchange: (low, high) is a range, a list is levels; of a table, its columns' values."""
    names = effect_columns(parsed)
    if not isinstance(given, Mapping):
        frame = read_candidates(parsed, given, "candidates")
        return [_levels(frame[name]) for name in names]
    out = []
    for name in names:
        if name not in given:
            from .reading import hint

            raise FormulaError(f"candidates: nothing is said of '{name}'." + hint(name, list(given)))
        value = given[name]
        if (
            isinstance(value, tuple)
            and len(value) == 2
            and not any(isinstance(v, (str, bool)) for v in value)
        ):
            out.append(_range(name, value))
        elif hasattr(value, "__len__") and not len(value):
            raise ModelError(f"candidates: '{name}' has no levels.")
        else:
            column = frames.read({name: list(value) if isinstance(value, tuple) else value}, [name])[name]
            out.append(_levels(column))
    return out


def _range(name: str, value: tuple) -> Factor:
    ends = np.array(value, dtype=np.float64)
    if not (np.isfinite(ends).all() and ends[0] < ends[1]):
        raise ModelError(
            f"candidates: the range of '{name}' is (low, high) with low below high, not {value!r}."
        )
    return Factor(name, ends, None, True)


def _levels(column: Column) -> Factor:
    if column.kind == "numeric":
        values = column.values
        if not np.isfinite(values).all():
            raise DataError(f"candidates: column '{column.name}' has values that are missing or infinite.")
        return Factor(column.name, np.unique(values), None, False)
    if np.any(column.values < 0):
        raise DataError(f"candidates: column '{column.name}' has missing values.")
    return Factor(column.name, np.arange(len(column.levels), dtype=np.float64), column.levels, False)


def grid_of(factors: Sequence[Factor], rng: np.random.Generator) -> np.ndarray:
    """Points (k, factors) that stand for the whole space: all combinations, or a sample of them where they are many."""
    each = [np.linspace(f.values[0], f.values[1], _INNER) if f.continuous else f.values for f in factors]
    if np.prod([float(len(v)) for v in each]) <= _MOST:
        return np.array(list(itertools.product(*each)))
    drawn = np.column_stack([rng.choice(v, _SAMPLE) for v in each])
    for j, values in enumerate(each):
        drawn[: len(values), j] = values
    return drawn


def frame_of(points: np.ndarray, factors: Sequence[Factor], library: str) -> Frame:
    """Points (k, factors) as columns."""
    columns = {}
    for j, factor in enumerate(factors):
        if factor.labels is None:
            columns[factor.name] = Column(factor.name, "numeric", np.ascontiguousarray(points[:, j]))
        else:
            codes = np.rint(points[:, j]).astype(np.int32)
            columns[factor.name] = Column(factor.name, "factor", codes, factor.labels)
    return Frame(columns, len(points), library)


def values_of(column: Column, rows: np.ndarray) -> np.ndarray:
    """The caller's values of some rows."""
    if column.kind == "numeric":
        return column.raw[rows]
    return np.array(column.levels, dtype=object)[column.values[rows]]


def take_rows(table: Any, rows: np.ndarray) -> Any | None:
    """Rows of the caller's own table with all its columns; None where it is no data frame in memory."""
    import narwhals as nw

    try:
        frame = nw.from_native(table, eager_only=True)
    except TypeError:
        return None
    taken = frame[rows.tolist(), :]
    native = taken.to_native()
    return native.reset_index(drop=True) if hasattr(native, "reset_index") else native


def with_block(table: Any, name: str, block: np.ndarray) -> Any:
    """The table with a first column that numbers the blocks."""
    import narwhals as nw

    frame = nw.from_native(table, eager_only=True)
    made = nw.new_series(name, block.tolist(), backend=frame.implementation)
    return frame.select(made, nw.all()).to_native()
