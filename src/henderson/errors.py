"""Errors that say what is wrong with the user's own names and numbers, where, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HendersonError(Exception):
    """Base of every error the package raises on purpose."""


class FormulaError(HendersonError, ValueError):
    """A formula that cannot be read, or names something that is not there.

    Parameters
    ----------
    message : what is wrong and what to write instead.
    text, span : the user's formula and the half-open character range to point at.
    hint : a closing sentence, for example the closest column.
    """

    def __init__(
        self,
        message: str,
        text: str | None = None,
        span: tuple[int, int] | None = None,
        hint: str | None = None,
    ):
        lines = [message]
        if text is not None:
            lines.append("    " + text)
            if span is not None:
                lines.append("    " + " " * span[0] + "^" * max(1, span[1] - span[0]))
        if hint:
            lines.append(hint)
        super().__init__("\n".join(lines))
        self.text, self.span = text, span


class DataError(HendersonError, ValueError):
    """A table, a column or a value that cannot be used as it is."""


class ModelError(HendersonError, ValueError):
    """A model that these data cannot carry, or that is asked for something it does not define."""


class NotAvailableError(HendersonError, NotImplementedError):
    """Part of the documented grammar that this version reads but does not fit yet."""


def closest(name: object, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None where nothing is like it."""
    known, name = list(known), str(name)
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if found:
        return found[0]
    folded = {k.casefold(): k for k in known}
    return folded.get(name.casefold())
