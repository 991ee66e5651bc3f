"""Tables of a larger experiment, and responses drawn for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..design import Design
from ..errors import ModelError
from ..frame import Column, Frame
from ..structures import psd_cholesky
from .reading import hint


def grouping_columns(design: Design) -> list[str]:
    """Columns that the levels of random terms are made of."""
    return list(dict.fromkeys(name for block in design.blocks for name in block.factors))


def fresh_columns(given: Any, design: Design, effects: Sequence[str]) -> list[str]:
    """The grouping columns that get new levels in every replicate.

    Raises
    ------
    ModelError : a column that is no grouping, or that the fixed part reads too.
    """
    known = grouping_columns(design)
    if given is None:
        return [name for name in known if name not in effects]
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        if name not in known:
            raise ModelError(f"fresh: '{name}' groups no random term." + hint(name, known))
        if name in effects:
            raise ModelError(f"fresh: '{name}' is in the fixed part too: it cannot get new levels.")
    return names


def replicated(frame: Frame, times: int, fresh: Iterable[str]) -> Frame:
    """The rows `times` times over; the columns in `fresh` get other levels each time."""
    if times == 1:
        return frame
    fresh = set(fresh)
    columns = {}
    for name, column in frame.columns.items():
        if name not in fresh:
            raw = np.tile(column.raw, times)
            columns[name] = Column(name, column.kind, raw, column.levels, column.ordered, column.text)
            continue
        factor = column.factor
        count = len(factor.levels)
        codes = np.concatenate(
            [np.where(factor.values < 0, -1, factor.values + k * count) for k in range(times)]
        ).astype(np.int32)
        levels = tuple(f"{level}.{k + 1}" for k in range(times) for level in factor.levels)
        columns[name] = Column(name, "factor", codes, levels)
    return Frame(columns, frame.nrow * times, frame.library)


def as_table(frame: Frame, rows: np.ndarray | None, response: np.ndarray) -> tuple[Any, str]:
    """The rows used as a pandas table with a response, and the name of its column."""
    import pandas as pd

    out = {}
    for name, column in frame.columns.items():
        values = column.values if rows is None else column.values[rows]
        if column.kind == "numeric":
            out[name] = values
        else:
            out[name] = pd.Categorical.from_codes(values, list(column.levels), ordered=column.ordered)
    name = "response"
    while name in out:
        name += "_"
    out[name] = response
    return pd.DataFrame(out), name


def drawn(
    rng: np.random.Generator, design: Design, mean: np.ndarray, sigmas: list[np.ndarray], residual: float
) -> np.ndarray:
    """One response (n,): mean + Zu + e."""
    spread = np.sqrt(residual if design.weights is None else residual / design.weights)
    y = mean + spread * rng.standard_normal(len(mean))
    for block, sigma in zip(design.blocks, sigmas, strict=True):
        effects = rng.standard_normal((block.q, block.m)) @ psd_cholesky(sigma).T
        rows = effects[block.codes]
        y += rows[:, 0] if block.values is None else np.einsum("ij,ij->i", rows, block.values)
    return y
