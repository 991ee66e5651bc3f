"""Names and calls of a formula -> numbers, bases or factors. A tree is walked; no text is ever run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.design.transforms import transform
from henderson.errors import DataError, FormulaError
from henderson.formula.expression import Call, Chain, Group, Name, Negate, Node, Number, Power, render, strip
from henderson.formula.functions import CONSTANTS, FUNCTIONS, SMOOTHS, arithmetic_names, constants_of
from henderson.frame import Label

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Numbers:
    """A numeric factor of a term: (n,) without names, or a basis (n, k) with the names of its columns."""

    values: Array
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Labels:
    """A categorical factor of a term: codes (n,) into levels, and its contrasts (name, reference level)."""

    codes: NDArray[np.integer]
    levels: tuple[Label, ...]
    contrast: tuple[str, Any] = ("treatment", None)


Value = Numbers | Labels


class Evaluator:
    """Values of the factors of one formula on n complete rows.

    Parameters
    ----------
    text : the formula, for errors.
    numbers : column -> (n,) float64, without missing values.
    labels : column -> `Labels`, unused levels already dropped.
    as_labels : gives a numeric column as `Labels` (for C(x)).
    state : what the transforms remember, by call; filled or used.
    rows : row numbers of the n rows in the caller's table, or None.
    """

    def __init__(
        self,
        text: str,
        nrow: int,
        numbers: Mapping[str, Array],
        labels: Mapping[str, Labels],
        as_labels,
        state: dict[str, dict[str, Any]],
        rows: NDArray[np.intp] | None,
    ):
        self.text, self.nrow, self.rows = text, nrow, rows
        self.numbers, self.labels, self.as_labels = numbers, labels, as_labels
        self.state = state
        self.known: dict[str, Value] = {}
        self.as_levels: dict[str, Labels] = {}
        self.smooths: dict[str, Any] = {}

    def factor(self, name: str, node: Node) -> Value:
        """The value of one factor of the formula, evaluated once."""
        value = self.known.get(name)
        if value is None:
            value = self.known[name] = self._factor(node)
        return value

    def _factor(self, node: Node) -> Value:
        if isinstance(node, Name):
            if node.name in self.labels:
                return self.labels[node.name]
            return Numbers(self._column(node, inside=False))
        assert isinstance(node, Call)
        if node.name in SMOOTHS:
            return smooth_polynomials(self, node)
        if FUNCTIONS[node.name].factor:
            column = strip(node.args[0])
            assert isinstance(column, Name)
            labels = self.labels.get(column.name) or self.as_levels.get(column.name)
            if labels is None:
                labels = self.as_levels[column.name] = self.as_labels(column.name)
            contrast = constants_of(node, self.text).get("contrasts", labels.contrast)
            return Labels(labels.codes, labels.levels, contrast)  # type: ignore[arg-type]
        return self._finite(node, self.call(node))

    def numeric(self, node: Node) -> Array:
        """An arithmetic expression as (n,) numbers: a response or an offset.

        Raises
        ------
        DataError : text where a number is needed, or a value that is not finite.
        """
        values = self._finite(node, self.arithmetic(node, inside=isinstance(node, Call))).values
        if values.ndim > 1:
            raise DataError(
                f"'{render(node)}' has {values.shape[1]} columns where one number for each row is needed."
            )
        return values

    def call(self, node: Call) -> Numbers:
        constants = constants_of(node, self.text)
        argument = self.arithmetic(node.args[0], inside=True)
        if argument.values.ndim > 1:
            raise FormulaError(
                f"{node.name} takes one number for each row, not the columns of a basis.",
                self.text,
                node.args[0].span,
            )
        label = render(node)
        state = self.state.get(label, {})
        with np.errstate(all="ignore"):
            values, names = transform(node.name, argument.values, constants, state, label)
        if state:
            self.state[label] = state
        return Numbers(values, names)

    def arithmetic(self, node: Node, inside: bool) -> Numbers:
        """Value of a tree that `check_arithmetic` let through. `inside` a call, pi is a number."""
        if isinstance(node, Name):
            return Numbers(self._column(node, inside))
        if isinstance(node, Number):
            return Numbers(np.full(self.nrow, node.value))
        if isinstance(node, Group):
            return self.arithmetic(node.inner, inside)
        if isinstance(node, Call):
            return self.call(node)
        with np.errstate(all="ignore"):
            if isinstance(node, Negate):
                return Numbers(-self._single(node.operand, inside))
            if isinstance(node, Power):
                return Numbers(self._single(node.base, inside) ** self._single(node.exponent, inside))
            assert isinstance(node, Chain)
            total = self._single(node.first, inside).copy()
            for op, operand in node.rest:
                value = self._single(operand, inside)
                if op == "+":
                    total += value
                elif op == "-":
                    total -= value
                elif op == "*":
                    total *= value
                else:
                    total /= value
            return Numbers(total)

    def _single(self, node: Node, inside: bool) -> Array:
        value = self.arithmetic(node, inside).values
        if value.ndim > 1:
            raise FormulaError("there is no arithmetic on the columns of a basis.", self.text, node.span)
        return value

    def _column(self, node: Name, inside: bool) -> Array:
        if inside and node.name in CONSTANTS and not node.quoted:
            return np.full(self.nrow, np.pi)
        if node.name in self.numbers:
            return self.numbers[node.name]
        labels = self.labels.get(node.name)
        if labels is None:
            raise DataError(f"column '{node.name}' holds labels where the model had numbers.")
        if set(labels.levels) <= {False, True} and all(isinstance(v, bool) for v in labels.levels):
            return np.array([float(v) for v in labels.levels])[labels.codes]
        shown = ", ".join(repr(str(v)) for v in labels.levels[:3])
        raise DataError(
            f"column '{node.name}' holds text ({shown}{' ...' if len(labels.levels) > 3 else ''})"
            f" where a number is needed in '{self.text}'.{_culprit(labels, self.rows)}"
        )

    def _finite(self, node: Node, value: Numbers) -> Numbers:
        if np.isfinite(value.values.sum()) or np.isfinite(value.values).all():
            return value
        bad = ~np.isfinite(value.values)
        at = int(np.flatnonzero(bad.any(axis=1) if bad.ndim > 1 else bad)[0])
        row = at if self.rows is None else int(self.rows[at])
        with_values = ", ".join(
            f"{n.name} = {self.numbers[n.name][at]:g}"
            for n in arithmetic_names(node)
            if n.name in self.numbers
        )
        raise DataError(
            f"{render(node)} is not a finite number in row {row} (the first row is 0): {with_values}."
        )


def smooth_polynomials(evaluator: Evaluator, call: Call) -> Numbers:
    """The fixed columns of a penalised spline."""
    from henderson.design.structured_splines import basis

    found = basis(call, evaluator)
    return Numbers(np.ascontiguousarray(found.fixed), tuple(found.fixed_names))


def _culprit(labels: Labels, rows: NDArray[np.intp] | None) -> str:
    """For a column that is numbers but for a few texts: the first of those."""
    odd = [i for i, label in enumerate(labels.levels) if not is_number(label)]
    if not odd or len(odd) == len(labels.levels):
        return ""
    at = int(np.flatnonzero(np.isin(labels.codes, odd))[0])
    row = at if rows is None else int(rows[at])
    label = labels.levels[int(labels.codes[at])]
    return f"\nThe first that is not a number is '{label}', in row {row} (the first row is 0)."


def is_number(label: Label) -> bool:
    """Whether a label reads as a number."""
    if not isinstance(label, str):
        return True
    try:
        float(label)
    except ValueError:
        return False
    return True
