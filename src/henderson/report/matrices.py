"""Matrices as text: brackets, aligned columns, several side by side; the middle of large ones is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

ROWS, COLUMNS = 14, 10
"""Rows and columns up to which a matrix is shown whole."""
_FIRST, _LAST = 6, 3
_DIGITS = 4
_RANGE = 1e-3
"""Smallest entry over largest down to which one number of decimals serves a whole matrix."""
_NOTHING = 1e-11
"""Share of a matrix's largest entry that is rounding."""


def shown(count: int, most: int) -> np.ndarray:
    """The numbers of the rows (columns) that are shown: all, or the first and the last few."""
    if count <= most:
        return np.arange(count)
    return np.concatenate([np.arange(_FIRST), np.arange(count - _LAST, count)])


@dataclass(frozen=True)
class Matrix:
    """A matrix with its symbol, and what stands to the right of its rows.

    `entries` are those shown; rows and columns say which of `shape` they are (None: all).
    """

    symbol: str
    entries: np.ndarray
    labels: Sequence[str] = ()
    rows: np.ndarray | None = field(default=None)
    columns: np.ndarray | None = field(default=None)

    def lines(self) -> list[str]:
        """The symbol, and a line for each row."""
        body = texts(self.entries)
        body = [_gaps(line, self.columns, "...") for line in body]
        if self.rows is not None:
            body = _gaps(body, self.rows, [".." for _ in body[0]])  # type: ignore[arg-type]
        labels = list(self.labels)
        if labels and self.rows is not None:
            labels = _gaps(labels, self.rows, "")
        widths = [max(map(len, column)) for column in zip(*body, strict=True)] if body and body[0] else []
        lines = ["[ " + " ".join(t.rjust(w) for t, w in zip(row, widths, strict=True)) + " ]" for row in body]
        width = max(map(len, lines), default=0)
        head = self.symbol.center(width).rstrip()
        if labels:
            lines = [f"{line} {label}".rstrip() for line, label in zip(lines, labels, strict=True)]
        return [head, *lines]


def matrix(symbol: str, values: np.ndarray, labels: Sequence[str] = ()) -> Matrix:
    """A matrix (n, k) or vector (n,), abridged where it is large."""
    values = values.reshape(len(values), -1)
    rows, columns = shown(values.shape[0], ROWS), shown(values.shape[1], COLUMNS)
    named = [labels[i] for i in rows] if len(labels) else ()
    return Matrix(symbol, values[np.ix_(rows, columns)], named, _or_none(rows), _or_none(columns))


def _or_none(places: np.ndarray) -> np.ndarray | None:
    return None if not len(places) or places[-1] == len(places) - 1 else places


def _gaps(items: list, places: np.ndarray | None, mark: object) -> list:
    """The items with a mark where numbers are left out."""
    if places is None:
        return list(items)
    at = int(np.flatnonzero(np.diff(places) > 1)[0]) + 1
    return [*items[:at], mark, *items[at:]]


def side_by_side(*parts: Matrix | str) -> list[str]:
    """Matrices in a line, with texts such as "=" and "+" at half height between them."""
    blocks = [part.lines() if isinstance(part, Matrix) else part for part in parts]
    height = max(len(block) for block in blocks if isinstance(block, list))
    columns = []
    for block in blocks:
        if isinstance(block, str):
            lines = [""] * height
            lines[(height + 1) // 2 if height > 1 else 0] = block
        else:
            lines = block + [""] * (height - len(block))
        width = max(map(len, lines))
        columns.append([line.ljust(width) for line in lines])
    return [" ".join(row).rstrip() for row in zip(*columns, strict=True)]


def texts(entries: np.ndarray) -> list[list[str]]:
    """Every entry as text: a column with the same number of decimals, and all columns of a symmetric matrix."""
    size = np.abs(entries).max(initial=0.0)
    entries = np.where(np.abs(entries) <= _NOTHING * size, 0.0, entries)
    decimals = [_decimals(column) for column in entries.T]
    if len(entries) == entries.shape[1] and np.abs(entries - entries.T).max(initial=0.0) <= 1e-9 * size:
        together = _decimals(entries.ravel())
        smallest = np.abs(entries[entries != 0]).min(initial=np.inf)
        decimals = [together] * len(decimals) if smallest > _RANGE * size else decimals
    columns = [_column(column, each) for column, each in zip(entries.T, decimals, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in entries]


def _decimals(values: np.ndarray) -> int | None:
    """Decimals with which the values keep their first digits, the largest no more than seven; None: an exponent is better."""
    largest = np.abs(values).max(initial=0.0)
    if not largest:
        return 0
    if not 1e-5 <= largest < 1e8:
        return None
    wanted = 0
    for value in values[values != 0]:
        digits, _, power = f"{abs(value):.{_DIGITS - 1}e}".partition("e")
        wanted = max(wanted, len(digits.rstrip("0").replace(".", "")) - 1 - int(power))
    return min(wanted, max(0, 6 - int(np.floor(np.log10(largest)))))


def _column(values: np.ndarray, decimals: int | None) -> list[str]:
    if decimals is None:
        return [f"{value:.{_DIGITS - 1}e}" if value else "0" for value in values]
    texts_of = [f"{value + 0.0:.{decimals}f}" for value in values]
    return [text.lstrip("-") if float(text) == 0.0 else text for text in texts_of]


def number(value: float, digits: int = 6) -> str:
    """One number in a line of text."""
    return f"{value:.{digits}g}"
