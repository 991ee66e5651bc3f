"""Formula text -> tokens: a kind, the user's characters, and their place. Nothing is evaluated."""

from __future__ import annotations

import re
from typing import NamedTuple

from henderson.errors import FormulaError

MAX_LENGTH = 50_000
"""Characters a formula may have (2,000 columns named one by one fit)."""

_PATTERN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<name>(?:[^\W\d]|\.(?!\d))[\w.]*)
  | (?P<quoted>`[^`]*`)
  | (?P<string>"[^"\\]*"|'[^'\\]*')
  | (?P<op>\|\||\*\*|%in%|[~+\-*/:^|(),=])
    """,
    re.VERBOSE,
)

_REFUSED = {
    "[": "subscripts are not part of a formula: put the values you want in a column of their own",
    "{": "blocks of code are not part of a formula: compute the column in the data first",
    "@": "'@' has no meaning in a formula",
    "$": "name the column alone, without the table before a '$'",
    ";": "a formula is one expression: ';' has no meaning in it",
    "<": "comparisons are not part of a formula: compute the column in the data first",
    ">": "comparisons are not part of a formula: compute the column in the data first",
    "!": "'!' has no meaning in a formula: compute the column in the data first",
    "&": "'&' has no meaning in a formula: compute the column in the data first",
    "%": "the only operator with percent signs is %in%",
    "`": "this back quote is not closed",
    '"': "this string is not closed (strings hold no backslash)",
    "'": "this string is not closed (strings hold no backslash)",
    "\\": "a backslash has no meaning in a formula",
}


class Token(NamedTuple):
    """One token: its kind (number, name, quoted, string, op, end), its characters and its half-open span."""

    kind: str
    text: str
    start: int
    end: int


def one_line(text: str) -> str:
    """The text with every white-space character made a blank, so that spans can be shown under it."""
    return re.sub(r"\s", " ", text)


def tokenize(text: str) -> list[Token]:
    """Split `text` (already `one_line`) into tokens; the last one is of kind "end".

    Raises
    ------
    FormulaError : the text is too long, or holds a character that no formula has.
    """
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"the formula has {len(text):,} characters; {MAX_LENGTH:,} is the limit.")
    tokens: list[Token] = []
    position, end = 0, len(text)
    match = _PATTERN.match
    while position < end:
        found = match(text, position)
        if found is None:
            character = text[position]
            why = _REFUSED.get(character, "this character has no meaning in a formula")
            raise FormulaError(f"unexpected {character!r}: {why}.", text, (position, position + 1))
        kind = found.lastgroup or ""
        stop = found.end()
        if kind != "space":
            if kind in ("name", "quoted") and tokens and tokens[-1].kind == "number":
                previous = tokens[-1]
                if previous.end == position:
                    raise FormulaError(
                        f"'{text[previous.start : stop]}' is neither a number nor a name.",
                        text,
                        (previous.start, stop),
                        "A name that starts with a digit is written between back quotes.",
                    )
            tokens.append(Token(kind, found.group(), position, stop))
        position = stop
    tokens.append(Token("end", "", end, end))
    return tokens
