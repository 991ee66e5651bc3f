"""A formula and a table without a response -> `Design`, with factors coded to [-1, 1] where that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import design as designs
from .. import formula as formulas
from .. import frame as frames
from ..design import Design
from ..errors import DataError, FormulaError, ModelError, closest
from ..formula import Formula
from ..frame import Column, Frame

_NO_RESPONSE = "`no response`"


@dataclass(frozen=True, eq=False)
class Reading:
    """A model's columns on a table.

    Attributes
    ----------
    text : the formula as the user wrote it.
    frame : the columns read, coded.
    design : X and the random blocks; its y is a column of zeros.
    ranges : column -> (low, high) that became (-1, 1).
    nuisance : columns of X (first ones) that belong to fixed blocks and the intercept they take over.
    """

    text: str
    frame: Frame
    design: Design
    ranges: Mapping[str, tuple[float, float]]
    nuisance: int
    blocks: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The coefficients that the criteria are about."""
        return self.design.x_names[self.nuisance :]


def read_design(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    coding: Any = None,
    blocks: str | None = None,
) -> Reading:
    """Read a formula, one-sided or with a response that is not looked at, on a table.

    Parameters
    ----------
    weights, contrasts : as in `hd.lm`.
    coding : None; column -> (low, high) that becomes (-1, 1); or "range", the range of every numeric column.
    blocks : a column whose levels are fixed blocks; it is put first in the model.
    """
    parsed = parse(formula, blocks, data)
    names = designs.needed(parsed, weights)
    frame = frames.read(data, names, parsed.text)
    ranges = ranges_of(coding, parsed, frame)
    return build(formula, parsed, coded(frame, ranges), ranges, weights, contrasts, blocks)


def build(
    text: str,
    parsed: Formula,
    frame: Frame,
    ranges: Mapping[str, tuple[float, float]],
    weights: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    blocks: str | None = None,
) -> Reading:
    """The model's columns on a frame that is read and coded already."""
    design = designs.build(parsed, frame, weights=weights, contrasts=contrasts)
    if not design.p:
        raise ModelError(f"'{text}' has no fixed coefficients: there is nothing to design for.")
    make = design.make_spec
    design = replace(design, make_spec=lambda: {**make(), "formula": two_sided(parsed.text)})
    nuisance = 0
    if blocks is not None:
        nuisance = int(np.count_nonzero(design.assign <= (1 if parsed.intercept else 0)))
        if nuisance == design.p:
            raise ModelError(
                f"'{text}' has nothing but the blocks '{blocks}': there is nothing to design for."
            )
    return Reading(text, frame, design, ranges, nuisance, blocks)


def parse(formula: str, blocks: str | None = None, data: Any = None) -> Formula:
    """The formula without a response, the blocks' column put first.

    Raises
    ------
    FormulaError, NotAvailableError.
    """
    parsed = formulas.parse(formula, response=False)
    formulas.require_available(parsed)
    if blocks is None:
        return parsed
    if not isinstance(blocks, str):
        raise ModelError(f"blocks is the name of a column, not {blocks!r}.")
    column = frames.read(data, [blocks])[blocks]
    if any(blocks in term for term in parsed.terms):
        raise ModelError(f"blocks: '{blocks}' is in the formula already; leave it out of one of the two.")
    quoted = f"`{blocks}`"
    term = quoted if column.kind == "factor" else f"C({quoted})"
    side = parsed.text[parsed.text.index("~") + 1 :].strip()
    return formulas.parse(f"~ {term} + {side}", response=False)


def two_sided(text: str) -> str:
    """The formula with something on its left, as a recorded design must have it."""
    left, right = text.split("~", 1)
    return f"{left.strip() or _NO_RESPONSE} ~ {right.strip()}"


def rows_of(reading: Reading, table: Any, what: str) -> np.ndarray:
    """X (k, p) of the rows of another table: the same columns, levels and coding. Fixed blocks stand at their average.

    Raises
    ------
    FormulaError, DataError : a column that is missing (`what` says of which table), a level the design does not have.
    """
    spec = reading.design.spec
    names = [n for n in designs.needed_again(spec, random=False) if n != reading.blocks]
    try:
        frame = frames.read(table, names)
    except FormulaError as error:
        raise FormulaError(f"{what}: {error}") from None
    return rows_of_frame(reading, coded(frame, reading.ranges), what)


def rows_of_frame(reading: Reading, frame: Frame, what: str) -> np.ndarray:
    """As `rows_of`, for a frame that is coded already."""
    if reading.blocks is not None:
        record = reading.frame[reading.blocks].factor
        first = Column(reading.blocks, "factor", np.zeros(frame.nrow, dtype=np.int32), record.levels)
        if reading.frame[reading.blocks].kind == "numeric":
            first = Column(reading.blocks, "numeric", np.full(frame.nrow, float(record.levels[0])))
        frame = Frame({**frame.columns, reading.blocks: first}, frame.nrow, frame.library)
    again = designs.rebuild(reading.design.spec, frame, random=False)
    if again.n_dropped:
        raise DataError(f"{what}: {again.dropped}.")
    X = np.array(again.X)
    if reading.nuisance:
        X[:, : reading.nuisance] = reading.design.X[:, : reading.nuisance].mean(axis=0)
    return X


def effect_columns(parsed: Formula) -> list[str]:
    """The columns that the fixed part reads."""
    used = [name for term in parsed.terms for name in term]
    from ..formula.functions import arithmetic_names

    nodes = [parsed.factors[name] for name in dict.fromkeys(used)]
    return list(dict.fromkeys(n.name for node in nodes for n in arithmetic_names(node)))


def coded(frame: Frame, ranges: Mapping[str, tuple[float, float]]) -> Frame:
    """The frame with the named numeric columns mapped linearly, (low, high) to (-1, 1)."""
    if not ranges:
        return frame
    columns = dict(frame.columns)
    for name, (low, high) in ranges.items():
        if name in columns:
            middle, half = 0.5 * (low + high), 0.5 * (high - low)
            columns[name] = Column(name, "numeric", (columns[name].values - middle) / half)
    return Frame(columns, frame.nrow, frame.library)


def ranges_of(coding: Any, parsed: Formula, frame: Frame) -> dict[str, tuple[float, float]]:
    """`coding=` checked: column -> (low, high).

    Raises
    ------
    ModelError : a column that is not a number of the model, or ends that are no range.
    """
    if coding is None:
        return {}
    numeric = [n for n in effect_columns(parsed) if frame[n].kind == "numeric"]
    if coding == "range":
        out = {}
        for name in numeric:
            values = frame[name].values
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            if low < high:
                out[name] = (low, high)
        return out
    if not isinstance(coding, Mapping):
        raise ModelError(
            f'coding is "range", or a mapping such as {{"temperature": (20, 60)}}, not {coding!r}.'
        )
    return {name: _range(name, ends, numeric) for name, ends in coding.items()}


def _range(name: str, ends: Any, numeric: Iterable[str]) -> tuple[float, float]:
    if name not in numeric:
        raise ModelError(f"coding: '{name}' is no numeric column of the model." + hint(name, numeric))
    try:
        low, high = (float(v) for v in ends)
    except (TypeError, ValueError):
        raise ModelError(f"coding: '{name}' needs its low and its high value, not {ends!r}.") from None
    if not (np.isfinite([low, high]).all() and low < high):
        raise ModelError(f"coding: the low value of '{name}' must be below its high one, not {ends!r}.")
    return low, high


def hint(name: Any, known: Iterable[str]) -> str:
    """ " The closest is 'x'." or the list of what there is."""
    known = list(known)
    like = closest(name, known)
    if like:
        return f" The closest is '{like}'."
    shown = ", ".join(repr(str(k)) for k in known[:12]) + (" ..." if len(known) > 12 else "")
    return f" There are {shown}." if known else ""
