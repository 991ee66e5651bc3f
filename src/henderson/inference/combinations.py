"""What a user writes for linear combinations of the coefficients, read into rows over the columns of X.

An array (k, p); a text "x1 - 2*x2 = 3" or several; {column: weight}; a mapping from a name to a text, an array, or a mapping. A text
is read by the small parser below: numbers, names of coefficients, + - * / and parentheses, = or ==, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..design.estimability import ColumnSpace
from ..errors import ModelError, closest

_NUMBER = re.compile(r"[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[^\s+*/()=`-]+")


@dataclass(frozen=True)
class Combinations:
    """k combinations of the p coefficients and what each is compared with."""

    names: tuple[str, ...]
    rows: np.ndarray
    rhs: np.ndarray


def read_combinations(given: Any, space: ColumnSpace, names: Sequence[str] | None = None) -> Combinations:
    """See the head of this file.

    Raises
    ------
    ModelError : a name that is no coefficient (the closest is named), an array of another width, a text that is no linear
        combination.
    """
    if isinstance(given, str):
        found = [_from_text(given, space)]
        labels = [given.strip()]
    elif isinstance(given, Mapping):
        if not given:
            raise ModelError("no combination is given.")
        if all(isinstance(value, int | float | np.number) for value in given.values()):
            given = {written_row(_one(given, space, "the combination")[0], space): given}
        found = [_one(value, space, str(name)) for name, value in given.items()]
        labels = [str(name) for name in given]
    elif isinstance(given, Sequence) and given and all(isinstance(each, str) for each in given):
        found = [_from_text(each, space) for each in given]
        labels = [each.strip() for each in given]
    else:
        rows = _array(given, space)
        found = [(row, 0.0) for row in rows]
        labels = [written_row(row, space) for row in rows]
    for label, (row, rhs) in zip(labels, found, strict=True):
        if not (np.isfinite(row).all() and np.isfinite(rhs)):
            raise ModelError(f"'{label}' has a number that is not finite.")
    if names is not None:
        if isinstance(names, str):
            raise ModelError(f"names: a list of {len(found)} names is wanted, not {names!r}.")
        if len(names) != len(found):
            raise ModelError(f"names: {len(found)} are needed, one for each combination, not {len(names)}.")
        labels = [str(name) for name in names]
    return Combinations(
        tuple(labels), np.array([row for row, _ in found]), np.array([rhs for _, rhs in found])
    )


def written_row(row: np.ndarray, space: ColumnSpace) -> str:
    """A row as text: "x1 - 2 x2"."""
    parts = []
    for weight, name in zip(row, space.names, strict=True):
        if weight:
            size = "" if abs(weight) == 1 else f"{abs(weight):.4g} "
            parts.append(f"{'-' if weight < 0 else '+'} {size}{name}")
    text = " ".join(parts) or "0"
    return text.removeprefix("+ ")


def _one(value: Any, space: ColumnSpace, name: str) -> tuple[np.ndarray, float]:
    if isinstance(value, str):
        return _from_text(value, space)
    if isinstance(value, Mapping):
        row = np.zeros(len(space.names))
        for column, weight in value.items():
            if str(column) not in space.names:
                raise _unknown(str(column), space)
            try:
                row[space.names.index(str(column))] = float(weight)
            except (TypeError, ValueError):
                raise ModelError(f"'{name}': the weight of '{column}' is a number, not {weight!r}.") from None
        return row, 0.0
    rows = _array(value, space)
    if len(rows) != 1:
        raise ModelError(
            f"'{name}' is one combination, a row of {len(space.names)} numbers, not {len(rows)}."
        )
    return rows[0], 0.0


def _array(given: Any, space: ColumnSpace) -> np.ndarray:
    try:
        rows = np.atleast_2d(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError):
        raise ModelError(
            "combinations are an array of numbers, a text such as 'x1 - x2 = 0', or {name: {column: weight}}, "
            f"not {type(given).__name__}."
        ) from None
    if rows.ndim == 2 and rows.shape[1] == space.rank != len(space.names):
        wide = np.zeros((len(rows), len(space.names)))
        wide[:, space.kept] = rows
        rows = wide
    if rows.ndim != 2 or rows.shape[1] != len(space.names) or not np.isfinite(rows).all():
        raise ModelError(
            f"a combination has {len(space.names)} finite numbers, one for each of {', '.join(space.names[:6])}"
            f"{' ...' if len(space.names) > 6 else ''}; it was given an array of shape {rows.shape}."
        )
    return rows


def _unknown(name: str, space: ColumnSpace) -> ModelError:
    near = closest(name, space.names)
    hint = f"The closest is '{near}'." if near else f"There are {', '.join(space.names[:12])}."
    return ModelError(f"no coefficient is called '{name}'. {hint}")


def _from_text(text: str, space: ColumnSpace) -> tuple[np.ndarray, float]:
    left, *right = _split(text, space)
    if len(right) > 1:
        raise ModelError(f"'{text}' has more than one '='.")
    with np.errstate(over="ignore", invalid="ignore"):
        row, constant = _Reader(left, text, space).whole()
        if right:
            other, more = _Reader(right[0], text, space).whole()
            row, constant = row - other, constant - more
    if not row.any():
        raise ModelError(f"'{text}' names no coefficient.")
    return row, -constant


def _split(text: str, space: ColumnSpace) -> list[list[str | int | float]]:
    """Tokens of each side of '=': a number as float, a coefficient as its place (int), a sign as text."""
    sides: list[list[str | int | float]] = [[]]
    by_length = sorted(range(len(space.names)), key=lambda j: -len(space.names[j]))
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        if text[at] == "`":
            end = text.find("`", at + 1)
            name = text[at + 1 : end if end > 0 else None]
            if name not in space.names:
                raise _unknown(name, space)
            sides[-1].append(space.names.index(name))
            at += len(name) + 2
            continue
        here = next((j for j in by_length if _stands(text, at, space.names[j])), None)
        if here is not None:
            sides[-1].append(here)
            at += len(space.names[here])
        elif (number := _NUMBER.match(text, at)) is not None:
            sides[-1].append(_finite(number[0], text))
            at = number.end()
        elif text[at] == "=":
            sides.append([])
            at += 2 if text.startswith("==", at) else 1
        elif text[at] in "+-*/()":
            sides[-1].append(text[at])
            at += 1
        else:
            word = _WORD.match(text, at)
            raise _unknown(word[0] if word else text[at], space)
    return sides


def _finite(number: str, text: str) -> float:
    value = float(number)
    if not np.isfinite(value):
        raise ModelError(f"'{text}' has a number that is not finite: {number}.")
    return value


def _stands(text: str, at: int, name: str) -> bool:
    """Whether the name stands here whole: "x1" is not in "x12"."""
    if not text.startswith(name, at):
        return False
    after = text[at + len(name) : at + len(name) + 1]
    return not (after and (after.isalnum() or after in "_[:") and (name[-1].isalnum() or name[-1] in "_]"))


class _Reader:
    """sum = product (+|- product)*, product = factor (*|/ factor)*, factor = number | coefficient | (sum) | - factor."""

    def __init__(self, tokens: list[str | int | float], text: str, space: ColumnSpace):
        self.tokens, self.text, self.p, self.at = tokens, text, len(space.names), 0

    def whole(self) -> tuple[np.ndarray, float]:
        value = self.sum()
        if self.at < len(self.tokens):
            raise self.wrong()
        return value

    def wrong(self) -> ModelError:
        return ModelError(
            f"'{self.text}' is not a linear combination of coefficients, such as 'x1 - 2*x2 = 0'."
        )

    def next(self) -> str | int | float | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def sum(self) -> tuple[np.ndarray, float]:
        row, constant = self.product()
        while self.next() in ("+", "-"):
            sign = 1.0 if self.tokens[self.at] == "+" else -1.0
            self.at += 1
            other, more = self.product()
            row, constant = row + sign * other, constant + sign * more
        return row, constant

    def product(self) -> tuple[np.ndarray, float]:
        row, constant = self.factor()
        while self.next() in ("*", "/"):
            times = self.tokens[self.at] == "*"
            self.at += 1
            other, more = self.factor()
            if times and row.any() and not other.any():
                row, constant = row * more, constant * more
            elif times and not row.any():
                row, constant = constant * other, constant * more
            elif not times and not other.any() and more:
                row, constant = row / more, constant / more
            else:
                raise self.wrong()
        return row, constant

    def factor(self) -> tuple[np.ndarray, float]:
        token = self.next()
        self.at += 1
        if isinstance(token, float):
            return np.zeros(self.p), token
        if isinstance(token, int):
            row = np.zeros(self.p)
            row[token] = 1.0
            return row, 0.0
        if token == "-":
            row, constant = self.factor()
            return -row, -constant
        if token == "+":
            return self.factor()
        if token == "(":
            value = self.sum()
            if self.next() == ")":
                self.at += 1
                return value
        raise self.wrong()
