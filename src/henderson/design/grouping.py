"""Grouping columns -> levels and codes; products keep the combinations that occur."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from henderson.design.record import ProductLabels
from henderson.design.values import Labels
from henderson.errors import ModelError
from henderson.frame import Column, Label
from henderson.frame.factorize import codes_and_values


@dataclass(frozen=True)
class Grouping:
    """Levels of one random term (see `RandomBlock` for the fields)."""

    codes: NDArray[np.int32]
    levels: Sequence[Label]
    parts: tuple[tuple[Label, ...], ...]
    combinations: NDArray[np.int32] | None
    unknown: tuple[Label | None, ...] = ()


def used_labels(column: Column, rows: NDArray[np.intp] | None) -> Labels:
    """A column as a factor on the rows used, without the levels that do not occur there."""
    factor = column.factor
    codes = factor.values if rows is None else factor.values[rows]
    count = (
        np.bincount(codes, minlength=len(factor.levels)) if codes.size else np.zeros(len(factor.levels), int)
    )
    if count.all():
        levels = factor.levels
    else:
        kept = np.flatnonzero(count)
        place = np.full(len(factor.levels), -1, np.int32)
        place[kept] = np.arange(kept.size, dtype=np.int32)
        codes = place[codes]
        levels = tuple(factor.levels[i] for i in kept)
    return Labels(codes.astype(np.int32, copy=False), levels)


def group(names: Sequence[str], labels: Sequence[Labels], text: str) -> Grouping:
    """Levels of the product of the named factors, the last factor running fastest, as R orders them.

    Raises
    ------
    ModelError : one level only.
    """
    parts = tuple(each.levels for each in labels)
    if len(labels) == 1:
        grouping = Grouping(labels[0].codes.astype(np.int32, copy=False), parts[0], parts, None)
    else:
        codes, combinations = combine(labels)
        grouping = Grouping(codes, ProductLabels(parts, combinations), parts, combinations)
    if len(grouping.levels) < 2:
        raise ModelError(
            f"{text}: '{':'.join(names)}' has one level only ({grouping.levels[0]}) in the rows used.\n"
            "The variance among levels needs two levels or more: leave the term out."
        )
    return grouping


def combine(labels: Sequence[Labels]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Codes (n,) of the combinations that occur, and these (q, factors) in order.

    One factor after the other: the number of all combinations may be more than an int64 holds.
    """
    codes = labels[0].codes.astype(np.int32, copy=False)
    combinations = np.arange(len(labels[0].levels), dtype=np.int32)[:, None]
    for each in labels[1:]:
        count = len(each.levels)
        codes, keys = codes_and_values(codes.astype(np.int64) * count + each.codes)
        before, last = np.divmod(keys, count)
        combinations = np.column_stack([combinations[before], last.astype(np.int32)])
    return codes, combinations


def _match_combinations(
    coded: Sequence[NDArray[np.int32]], sizes: Sequence[int], combinations: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Codes (n,) of rows into the known combinations, which are in order; -1 for another."""
    codes, known = coded[0].astype(np.int64), combinations[:, 0].astype(np.int64)
    bad = codes < 0
    for each, count, column in zip(coded[1:], sizes[1:], combinations.T[1:], strict=True):
        keys, known = np.unique(known * count + column, return_inverse=True)
        wanted = codes * count + each
        codes = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
        bad |= (each < 0) | (keys[codes] != wanted)
    return np.where(bad, -1, codes).astype(np.int32)


def regroup(
    columns: Sequence[Column],
    parts: Sequence[tuple[Label, ...]],
    combinations: NDArray[np.int32] | None,
    rows: NDArray[np.intp] | None,
) -> tuple[NDArray[np.int32], tuple[Label | None, ...]]:
    """Codes of new rows into the levels of a fitted term, -1 for an unknown one; the labels of those."""
    coded = [match_levels(column, levels) for column, levels in zip(columns, parts, strict=True)]
    if rows is not None:
        coded = [codes[rows] for codes in coded]
    if combinations is None:
        codes = coded[0]
    else:
        codes = _match_combinations(coded, [len(p) for p in parts], combinations)
    return codes, unknown_labels(columns, codes, rows)


def match_levels(column: Column, levels: Sequence[Label]) -> NDArray[np.int32]:
    """Codes of a new column into known levels, matched by label; -1 where the label is unknown or missing."""
    factor = column.factor
    known = dict(zip(map(str, levels), range(len(levels)), strict=True))
    place = np.full(len(factor.levels) + 1, -1, dtype=np.int32)
    found = map(known.get, map(str, factor.levels), repeat(-1))
    place[:-1] = np.fromiter(found, np.int32, len(factor.levels))
    return place[factor.values]


def unknown_labels(
    columns: Sequence[Column], codes: NDArray[np.int32], rows: NDArray[np.intp] | None
) -> tuple[Label | None, ...]:
    """Labels of the rows whose code is -1, each once; None stands for a missing value."""
    at = np.flatnonzero(codes < 0)
    if at.size == 0:
        return ()
    if rows is not None:
        at = rows[at]
    factors = [column.factor for column in columns]
    seen = np.unique(np.column_stack([factor.values[at] for factor in factors]), axis=0)
    found: dict[Label | None, None] = {}
    for each in seen.tolist():
        if min(each) < 0:
            found[None] = None
            continue
        labels = [factor.levels[code] for factor, code in zip(factors, each, strict=True)]
        found[labels[0] if len(labels) == 1 else ":".join(str(label) for label in labels)] = None
    return tuple(found)
