"""What the pages of `fit.explain()` have in common: titles, sections, names of columns."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from .matrices import COLUMNS, shown

_WIDTH = 105


def response(fit: Any) -> np.ndarray:
    y = fit.design.y
    assert y is not None
    return y if fit.design.offset is None else y - fit.design.offset


def abridged(places: np.ndarray, count: int) -> np.ndarray | None:
    return None if len(places) == count else places


def title(fit: Any, size: str) -> list[str]:
    return [f"{fit.formula}", size + (f"; {fit.rows_note}" if fit.rows_note else "")]


def offset(fit: Any) -> list[str]:
    return [] if fit.design.offset is None else ["y is the response less its offset."]


def section(title: str) -> list[str]:
    return ["", title, "-" * len(title)]


def legend(what: str, names: Any, count: int | None = None) -> list[str]:
    """The names of columns; those that are not shown, of `count`, stand as dots where the columns do."""
    names = list(names)
    count = len(names) if count is None else count
    places = shown(count, COLUMNS)
    if count > len(places):
        names = names if len(names) == len(places) else [names[j] for j in places]
        gap = int(np.flatnonzero(np.diff(places) > 1)[0]) + 1
        names.insert(gap, "...")
    return textwrap.wrap(
        f"{what}: {', '.join(names)}", _WIDTH, subsequent_indent="    ", break_long_words=False
    )


def wrapped(sentences: list[str]) -> list[str]:
    return [
        line for sentence in sentences for line in textwrap.wrap(sentence, _WIDTH, break_long_words=False)
    ]
