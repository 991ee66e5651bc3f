"""One pass over a file: what the columns of a model cannot be made without having seen all of it.

Levels of factors, what `poly`, `scale`, `ns` ... remember, means of covariates, and which rows are complete. What comes out is
a design of a few rows that stand for all: `design.rebuild` makes the columns of any part of the file from its record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from henderson import design as designs
from henderson.design import Design
from henderson.design.factors import names_of
from henderson.design.rows import complete_rows, missing_in
from henderson.design.summaries import range_of
from henderson.errors import DataError, ModelError
from henderson.formula import Formula
from henderson.formula.expression import Call, Name, Node, walk
from henderson.formula.functions import ELEMENTWISE, FUNCTIONS
from henderson.frame import Column, Frame, Label
from henderson.frame.convert import convert
from henderson.stream.batches import Batches

_FIRST = 64
"""Rows kept as they are, to stand for the others where only the kind of a column counts."""


@dataclass
class _Seen:
    """What is known of one column so far."""

    kind: str
    ordered: bool
    text: bool
    counts: dict[Label, int] = field(default_factory=dict)
    missing: int = 0
    total: float = 0.0
    least: float = np.inf
    greatest: float = -np.inf
    few: set[float] | None = field(default_factory=set)
    """The different numbers, while there are no more than two."""
    first: list[float] = field(default_factory=list)
    whole: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class Scan:
    """What one pass found."""

    design: Design
    """Of a few rows that stand for all; its `spec` is that of the whole file."""
    n: int
    """Complete rows."""
    n_read: int
    dropped: str


def scan(
    formula: Formula,
    batches: Batches,
    limit: int,
    *,
    weights: str | None,
    offset: str | None,
    contrasts: Mapping[str, Any] | None,
    tick: Callable[[int], None] = lambda rows: None,
) -> Scan:
    """Go through the file once.

    Parameters
    ----------
    limit : bytes that may be used: functions such as `poly` need their column whole.
    tick : called with the number of rows of each batch.

    Raises
    ------
    ModelError : a column that is needed whole is larger than the limit.
    DataError : as `design.build`, and a column that is numbers in one part of the file and labels in another.
    """
    names = list(designs.needed(formula, None, offset))
    whole = _needed_whole(formula)
    as_factors = _made_factors(formula)
    if 8 * batches.total * (len(whole) + 2) > limit and whole:
        raise ModelError(
            f"{', '.join(sorted(whole))}: poly, scale, center and splines need the whole column, {batches.total:,} numbers, "
            f"which is more than the memory limit ({limit / 1e6:,.0f} MB) allows. Make the columns in the file, or raise the limit."
        )
    seen: dict[str, _Seen] = {}
    n = n_read = 0
    for frame in batches:
        rows, _ = complete_rows(frame, names, none_allowed=True)
        for name in names:
            _look(seen, frame[name], rows, name in whole, name in as_factors)
        n_read += frame.nrow
        n += frame.nrow if rows is None else rows.size
        tick(frame.nrow)
    said = [f"{name} ({each.missing})" for name, each in seen.items() if each.missing]
    if n == 0:
        raise DataError(f"no row is complete: there are missing values in {', '.join(said)}.")
    dropped = f"{n_read - n} of {n_read} rows left out: missing values in {', '.join(said)}" if said else ""
    standing = _standing(seen, batches.dictionaries(), as_factors)
    state = _states(formula, seen, whole)
    design = designs.build(formula, standing, offset=offset, contrasts=contrasts, state=state)
    design.spec["weights"] = weights
    _correct_means(design.spec, seen, n)
    given = None if offset is None else seen[offset].total / n
    design.spec["given_offset_mean"] = given
    # That of an offset in the formula is known once the rows have been gone through (`rows`).
    design.spec["offset_mean"] = None if formula.offsets else given
    # How often levels meet is not counted.
    design.spec["cells"] = None
    return Scan(design, n, n_read, dropped)


def _look(seen: dict[str, _Seen], column: Column, rows: Any, whole: bool, as_factor: bool) -> None:
    known = seen.setdefault(column.name, _Seen(column.kind, column.ordered, column.text))
    if known.kind != column.kind:
        raise DataError(
            f"column '{column.name}' holds numbers in one part of the file and labels in another: make it one of them."
        )
    missing = missing_in(column)
    known.missing += 0 if missing is None else int(missing.sum())
    if column.kind == "factor" or as_factor:
        factor = column.factor
        codes = factor.values if rows is None else factor.values[rows]
        for level, count in zip(factor.levels, np.bincount(codes, minlength=len(factor.levels)), strict=True):
            known.counts[level] = known.counts.get(level, 0) + int(count)
    if column.kind == "numeric":
        values = column.values if rows is None else column.values[rows]
        known.total += float(values.sum())
        if values.size:
            known.least = min(known.least, float(values.min()))
            known.greatest = max(known.greatest, float(values.max()))
        if known.few is not None:
            few = known.few | set(np.unique(values).tolist())
            known.few = few if len(few) <= 2 else None
        if len(known.first) < _FIRST:
            known.first += values[:_FIRST].tolist()
        if whole:
            known.whole.append(np.array(values))


def _standing(seen: dict[str, _Seen], ordered: set[str], as_factors: set[str]) -> Frame:
    """A few rows in which every level occurs."""
    used = {
        name: [level for level, count in each.counts.items() if count]
        for name, each in seen.items()
        if each.counts
    }
    nrow = max([2, *(len(each.first) for each in seen.values()), *map(len, used.values())])
    columns = {}
    for name, each in seen.items():
        if each.kind == "factor":
            levels = tuple(used[name]) if name in ordered else convert(name, used[name]).factor.levels
            codes = np.resize(np.arange(len(levels), dtype=np.int32), nrow)
            columns[name] = Column(name, "factor", codes, levels, each.ordered, each.text)
        else:
            values = np.array(used[name] if name in as_factors else each.first, dtype=np.float64)
            columns[name] = Column(name, "numeric", np.resize(values, nrow))
    return Frame(columns, nrow, "pandas")


def _stateful(formula: Formula) -> list[Node]:
    """The response, offsets and factors of fixed terms that hold a call which remembers something of all rows."""
    nodes = [formula.response, *formula.offsets, *formula.factors.values()]
    return [node for node in nodes if any(map(_remembers, walk(node)))]


def _remembers(node: Node) -> bool:
    return isinstance(node, Call) and node.name not in (*ELEMENTWISE, "I") and not FUNCTIONS[node.name].factor


def _needed_whole(formula: Formula) -> set[str]:
    return set(names_of(_stateful(formula)))


def _made_factors(formula: Formula) -> set[str]:
    calls = [
        node for node in formula.factors.values() if isinstance(node, Call) and FUNCTIONS[node.name].factor
    ]
    return {node.args[0].name for node in calls if isinstance(node.args[0], Name)}


def _states(formula: Formula, seen: dict[str, _Seen], whole: set[str]) -> dict[str, dict[str, Any]]:
    from henderson.design.values import Evaluator

    numbers = {name: np.concatenate(seen[name].whole) for name in whole if seen[name].kind == "numeric"}
    n = len(next(iter(numbers.values()), ()))
    state: dict[str, dict[str, Any]] = {}
    evaluator = Evaluator(formula.text, n, numbers, {}, None, state, None)
    for node in _stateful(formula):
        evaluator.arithmetic(node, inside=isinstance(node, Call))
    return state


def _correct_means(spec: Mapping[str, Any], seen: dict[str, _Seen], n: int) -> None:
    """The record of the standing rows has means and counts of its own; put those of the file in their place."""
    for name, record in spec["columns"].items():
        each = seen.get(name)
        if each is None:
            continue
        if "mean" in record:
            record |= {"mean": each.total / n, **range_of(each.least, each.greatest)}
            record.pop("values", None)
            if each.few is not None:
                record["values"] = sorted(each.few)
        if "counts" in record and record.get("levels"):
            record["counts"] = [each.counts[level] for level in record["levels"]]
