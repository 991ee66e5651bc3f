"""What a reference grid wants to know of the rows used: where covariates lie, and how often levels meet.

For each numeric column of the fixed part: mean, least and greatest (rounded inwards), and its values where it has no more
than two. For each
factor: counts of its levels. For the factors together (and numeric columns of two values): the cells that occur, with the sum
of the weights of their rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.design.factors import names_of, nodes_of
from henderson.design.values import Evaluator, Labels
from henderson.formula import Formula
from henderson.formula.expression import Name

Array = NDArray[np.float64]
MOST_CELLS = 20_000
"""Cells beyond which their frequencies are not kept."""
_DENSE = 1_000_000


def summaries(
    formula: Formula,
    evaluator: Evaluator,
    weights: Array | None,
    offset: Array | None,
    given_offset: Array | None,
) -> Callable[[dict[str, dict[str, Any]]], dict[str, Any]]:
    """What completes a record when it is asked for.

    Columns that X holds anyway are looked at then; those that only enter a function (poly, log ...) now, so that they need not
    be kept.

    Parameters
    ----------
    weights : (n,) or None. offset : (n,) in all, or None; given_offset : of `offset=` alone.

    Returns
    -------
    A function of the records of the columns: it adds to them, and returns the keys "cells", "offset_mean" and "given_offset_mean".
    """
    used = names_of(nodes_of(formula, False, False))
    bare = {node.name for node in formula.factors.values() if isinstance(node, Name)}
    labels: dict[str, Labels] = {}
    kept: dict[str, Array] = {}
    known: dict[str, dict[str, Any]] = {}
    for name in used:
        made = evaluator.labels.get(name) or evaluator.as_levels.get(name)
        if made is not None:
            labels[name] = made
        elif name in bare:
            kept[name] = evaluator.numbers[name]
        else:
            known[name] = _of_numbers(evaluator.numbers[name])
    means = {
        "offset_mean": None if offset is None else float(np.mean(offset)),
        "given_offset_mean": None if given_offset is None else float(np.mean(given_offset)),
    }

    def complete(columns: dict[str, dict[str, Any]]) -> dict[str, Any]:
        for name, found in known.items():
            columns[name] |= found
        for name, values in kept.items():
            columns[name] |= _of_numbers(values)
        for name, each in labels.items():
            columns[name]["counts"] = np.bincount(each.codes, minlength=len(each.levels)).tolist()
        codes: dict[str, tuple[Any, int]] = {
            name: (each.codes, len(each.levels)) for name, each in labels.items()
        }
        for name, values in kept.items():
            if "values" in columns[name]:
                two = columns[name]["values"]
                codes[name] = np.searchsorted(two, values), len(two)
        return {"cells": _cells(codes, weights), **means}

    return complete


def _of_numbers(values: Array) -> dict[str, Any]:
    least, greatest = float(np.min(values)), float(np.max(values))
    record: dict[str, Any] = {"mean": float(np.mean(values)), **range_of(least, greatest)}
    if np.all((values == least) | (values == greatest)):
        record["values"] = [least] if least == greatest else [least, greatest]
    return record


def _cells(columns: dict[str, tuple[Any, int]], weights: Array | None) -> dict[str, Any] | None:
    """Columns, their codes in each cell that occurs, and the weight of the cell; None for more than `MOST_CELLS`.

    columns : name -> codes (n,) and how many there are.
    """
    if not columns:
        return {"factors": [], "codes": [], "weights": []}
    sizes = [size for _, size in columns.values()]
    if np.prod(sizes, dtype=np.float64) > 2.0**62:
        return None
    flat = np.ravel_multi_index(tuple(codes.astype(np.int64) for codes, _ in columns.values()), sizes)
    if np.prod(sizes) <= _DENSE:
        there = np.flatnonzero(np.bincount(flat))
    else:
        there = np.unique(flat)
    if len(there) > MOST_CELLS:
        return None
    where = np.searchsorted(there, flat)
    total = np.bincount(where, weights=weights, minlength=len(there)).astype(np.float64)
    codes = np.stack(np.unravel_index(there, sizes), axis=1)
    return {"factors": list(columns), "codes": codes.tolist(), "weights": total.tolist()}


def range_of(least: float, greatest: float) -> dict[str, float]:
    """The range of a covariate, to three digits and within the data: a record holds no single row's number."""
    width = greatest - least
    if not width > 0:
        return {"least": least, "greatest": greatest}
    unit = 10.0 ** (np.floor(np.log10(width)) - 2)
    return {"least": float(np.ceil(least / unit) * unit), "greatest": float(np.floor(greatest / unit) * unit)}
