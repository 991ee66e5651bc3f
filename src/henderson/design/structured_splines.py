"""Penalised splines in a design: `precisions.splines` gives their columns, fixed ones for X and random ones as terms of their own.

A spline's random columns have independent coefficients of one variance (or a precision of their own), so that each set is a
term with a level for each column and one effect. Every row belongs to all of them: `block` has the first column alone, `z` all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from henderson.design.record import RandomBlock
from henderson.design.structured import LevelFactor, StructuredTerm
from henderson.errors import DataError, ModelError
from henderson.formula import Formula
from henderson.formula.expression import Call, Name, render, strip
from henderson.formula.structures import smooth_options

if TYPE_CHECKING:
    from henderson.design.values import Evaluator
    from henderson.precisions.splines import SplineBasis


@dataclass(frozen=True)
class SmoothRecord:
    """One random part of a spline, in the record of a design; knots are in the state of the design."""

    index: int
    part: int
    group: str
    text: str
    effect: str


def basis(call: Call, evaluator: Evaluator) -> SplineBasis:
    """The columns of spl(...) or spl2d(...), as they were the first time.

    Raises
    ------
    DataError, ModelError : labels where numbers are needed, options out of their range, a value beyond the range of the fit.
    """
    from henderson.precisions.splines import basis_of

    name = render(call)
    if name not in evaluator.smooths:
        columns = [strip(argument) for argument in call.args]
        x = [evaluator.numeric(column) for column in columns]
        state = evaluator.state.get(name)
        if state is None:
            found = _made(call, x, [c.name for c in columns if isinstance(c, Name)], evaluator.text)
            evaluator.state[name] = _plain(found.spec)
        else:
            try:
                found = basis_of(state, *x)
            except DataError as error:
                raise DataError(f"{name}: {error}") from None
        evaluator.smooths[name] = found
    return evaluator.smooths[name]


def _made(call: Call, x: Sequence[np.ndarray], names: Sequence[str], text: str) -> SplineBasis:
    from henderson.precisions.splines import spline_1d, spline_2d

    options = smooth_options(call, text)
    if call.name == "spl":
        return spline_1d(x[0], name=names[0], **options)
    if "nseg" in options:
        counts = options["nseg"]
        whole = [int(count) for count in counts]
        if len(counts) > 2 or any(count != given for count, given in zip(whole, counts, strict=True)):
            raise ModelError(f"{render(call)}: nseg is one whole number, or two: c(10, 12).")
        options["nseg"] = whole[0] if len(whole) == 1 else whole
    return spline_2d(x[0], x[1], names=(names[0], names[1]), **options)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def learn_smooth(index: int, formula: Formula, evaluator: Evaluator) -> list[SmoothRecord]:
    """The random parts of a spline."""
    term = formula.random[index]
    parts = basis(_call(formula, index), evaluator).random
    return [
        SmoothRecord(
            index,
            j,
            term.group,
            term.text if len(parts) == 1 else f"{term.text}: {part.name}",
            part.name,
        )
        for j, part in enumerate(parts)
    ]


def make_smooth(record: SmoothRecord, formula: Formula, evaluator: Evaluator) -> StructuredTerm:
    """One random part of a spline on the rows of the evaluator."""
    import scipy.sparse as sp

    part = basis(_call(formula, record.index), evaluator).random[record.part]
    n, k = part.z.shape
    z = sp.csr_matrix(part.z)
    levels = tuple(range(1, k + 1))
    block = RandomBlock(
        group=record.group,
        effects=(record.effect,),
        levels=levels,
        codes=np.zeros(n, dtype=np.int32),
        values=np.ascontiguousarray(part.z[:, :1]),
        structure="us",
        text=record.text,
        factors=(),
        parts=(levels,),
    )
    names = tuple(strip(a).name for a in _call(formula, record.index).args)  # type: ignore[union-attr]
    if part.precision is None:
        factor = LevelFactor("id", names, levels)
    else:
        factor = LevelFactor("spl", names, levels, options={"precision": part.precision})
    return StructuredTerm(block, z, {}, None, (factor,))


def _call(formula: Formula, index: int) -> Call:
    (call,) = formula.random[index].levels
    assert isinstance(call, Call)
    return call
