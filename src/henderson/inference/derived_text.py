"""The text of `fit.derive` -> trees. Nothing is evaluated here, and nothing is ever handed to an interpreter.

    text        := statement (";" statement)*
    statement   := [name "="] expression
    expression  := product (("+" | "-") product)*          product := unary (("*" | "/") unary)*
    unary       := ("-" | "+") unary | power               power   := atom [("^" | "**") unary]
    atom        := number | name | "(" expression ")" | (sqrt | log | exp) "(" expression ")"
                 | (var | cov | cor) "(" effect ["," effect] ")"

A name is written as `variance_components` shows it: a group (`animal`, `rep:block`, `vm(animal, A)`, `Residual`), or "group: term"
(`env: specific env1`). What is shown there needs no quotes, whatever characters it has; quotes of any kind (` ' ") are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from ..errors import FormulaError, closest

FUNCTIONS = ("sqrt", "log", "exp")
HELPERS = {"var": 1, "cov": 2, "cor": 2}
"""Functions of effects, and how many they take."""
MAX_LENGTH, _DEEPEST = 10_000, 100
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[^\W\d][\w.]*")
_QUOTED = re.compile(r"`([^`]*)`|'([^']*)'|\"([^\"]*)\"")
_ASSIGNED = re.compile(r"\s*(?:`([^`]*)`|'([^']*)'|\"([^\"]*)\"|([^\W\d][\w.]*))\s*=(?!=)")
Span = tuple[int, int]


class Number(NamedTuple):
    """A number."""

    value: float


class Reference(NamedTuple):
    """A name, with blanks as `plain` leaves them."""

    name: str
    span: Span


class Helper(NamedTuple):
    """var, cov or cor of effects."""

    name: str
    arguments: tuple[Reference, ...]
    span: Span


class Applied(NamedTuple):
    """A function or an operator of trees."""

    name: str
    """"+", "-", "*", "/", "^", "neg", "sqrt", "log", "exp"."""
    arguments: tuple[Tree, ...]
    text: str


Tree = Number | Reference | Helper | Applied


class Statement(NamedTuple):
    """`name = tree`; where no name was given the text of the expression is the name."""

    name: str
    tree: Tree
    text: str
    """All that was written, for the places in it."""
    span: Span
    """Of the name."""


def plain(name: str) -> str:
    """A name with one blank after each comma and colon that a blank may follow, and none elsewhere but between words."""
    parts = re.findall(r"[\w.]+|[^\w\s]", name)
    out = ""
    for before, part in zip(["", *parts], parts, strict=False):
        words = re.fullmatch(r"[\w.]+", part) and re.fullmatch(r"[\w.]+", before)
        out += (" " if words else "") + part
    return out


def read(text: str, known: Iterable[str]) -> list[Statement]:
    """Statements of a text.

    Parameters
    ----------
    known : names as they are shown, of which those that are more than one word need no quotes.

    Raises
    ------
    FormulaError : with the place in the text.
    """
    if not isinstance(text, str):
        raise FormulaError(
            f"derive: an expression is a text such as 'h2 = animal / (animal + Residual)', not {type(text).__name__}."
        )
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"derive: the text has {len(text):,} characters; {MAX_LENGTH:,} is the limit.")
    text = re.sub(r"\s", " ", text)
    reader = _Reader(text, known)
    out = []
    while True:
        while reader.peek() == ";":
            reader.at += 1
        if not reader.peek():
            break
        out.append(reader.statement())
    if not out:
        raise FormulaError("derive: there is no expression, such as 'h2 = animal / (animal + Residual)'.")
    return out


def _literal(name: str) -> str:
    """What matches a name, blanks anywhere between its parts."""
    parts = re.findall(r"[\w.]+|[^\w\s]", name)
    out = re.escape(parts[0])
    for before, part in pairwise(parts):
        words = re.fullmatch(r"[\w.]+", part) and re.fullmatch(r"[\w.]+", before)
        out += (r"\s+" if words else r"\s*") + re.escape(part)
    return out + (r"(?![\w.])" if re.fullmatch(r"[\w.]+", parts[-1]) else "")


class _Reader:
    """Recursive descent over one text."""

    def __init__(self, text: str, known: Iterable[str]):
        self.text, self.at, self.depth = text, 0, 0
        self.known = sorted(set(known), key=lambda n: (-len(plain(n)), n))
        literal = [n for n in self.known if _WORD.match(n) and not _WORD.fullmatch(n)]
        self.literals = [(re.compile(_literal(n)), n) for n in literal]

    # -- characters ----------------------------------------------------------------------------------------

    def peek(self) -> str:
        """The next character that is not blank; "" at the end."""
        while self.at < len(self.text) and self.text[self.at] == " ":
            self.at += 1
        return self.text[self.at] if self.at < len(self.text) else ""

    def take(self, *operators: str) -> str | None:
        self.peek()
        for operator in operators:
            if self.text.startswith(operator, self.at):
                if operator == "*" and self.text.startswith("**", self.at):
                    continue
                self.at += len(operator)
                return operator
        return None

    def error(self, message: str, span: Span | None = None, hint: str | None = None) -> FormulaError:
        span = span or (self.at, self.at + 1)
        return FormulaError(f"derive: {message}", self.text, span, hint)

    # -- grammar -------------------------------------------------------------------------------------------

    def statement(self) -> Statement:
        self.peek()
        begin = self.at
        found = _ASSIGNED.match(self.text, self.at)
        name, span = "", (begin, begin + 1)
        if found:
            which = next(g for g in (1, 2, 3, 4) if found.group(g) is not None)
            name, span = found.group(which).strip(), found.span(which)
            if not name:
                raise self.error("this name is empty.", found.span())
            self.at = found.end()
        start = self.at
        tree = self.expression()
        shown = self.text[start : self.at].strip()
        if self.peek() not in ("", ";"):
            raise self.unexpected()
        if not found:
            name, span = shown, (begin, self.at)
        return Statement(name, tree, self.text, span)

    def unexpected(self) -> FormulaError:
        character = self.peek()
        if not character:
            return self.error("the expression ends too early: a name, a number or '(' is missing here.")
        if character == "=":
            return self.error("'=' stands once in an expression, after the name it is given.")
        if character in ":[]":
            return self.error(
                f"'{character}' has no meaning here.",
                None,
                "A name with such characters is written between quotes.",
            )
        return self.error(f"'{character}' has no meaning here.")

    def expression(self) -> Tree:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error(f"parentheses are nested more than {_DEEPEST} deep.")
        start = self.at
        tree = self.product()
        while operator := self.take("+", "-"):
            tree = self.applied(operator, (tree, self.product()), start)
        self.depth -= 1
        return tree

    def product(self) -> Tree:
        start = self.at
        tree = self.unary()
        while operator := self.take("*", "/"):
            tree = self.applied(operator, (tree, self.unary()), start)
        return tree

    def unary(self) -> Tree:
        start, negative = self.at, False
        while sign := self.take("-", "+"):
            negative ^= sign == "-"
        tree = self.power()
        return self.applied("neg", (tree,), start) if negative else tree

    def power(self) -> Tree:
        start = self.at
        tree = self.atom()
        if self.take("^", "**"):
            self.depth += 1
            if self.depth > _DEEPEST:
                raise self.error(f"powers are nested more than {_DEEPEST} deep.")
            tree = self.applied("^", (tree, self.unary()), start)
            self.depth -= 1
        return tree

    def applied(self, name: str, arguments: tuple[Tree, ...], start: int) -> Applied:
        return Applied(name, arguments, self.text[start : self.at].strip())

    def atom(self) -> Tree:
        character = self.peek()
        if character == "(":
            self.at += 1
            tree = self.expression()
            self.close()
            return tree
        number = _NUMBER.match(self.text, self.at)
        if number:
            self.at = number.end()
            word = _WORD.match(self.text, self.at)
            if word:
                raise self.error(
                    f"'{number.group()}{word.group()}' is neither a number nor a name.",
                    (number.start(), word.end()),
                )
            if float(number.group()) == float("inf"):
                raise self.error(f"{number.group()} is too large a number.", number.span())
            return Number(float(number.group()))
        if character in "`'\"" and character:
            return self.quoted()
        if not _WORD.match(self.text, self.at):
            raise self.unexpected()
        return self.named()

    def close(self) -> None:
        if not self.take(")"):
            raise self.error(
                "a ')' is missing here."
                if not self.peek()
                else f"'{self.peek()}' has no meaning here: ')' or an operator is expected."
            )

    def quoted(self) -> Reference:
        found = _QUOTED.match(self.text, self.at)
        if not found:
            raise self.error("this quote is not closed.")
        self.at = found.end()
        return Reference(next(g for g in found.groups() if g is not None).strip(), found.span())

    def named(self) -> Tree:
        start = self.at
        for pattern, name in self.literals:
            found = pattern.match(self.text, self.at)
            if found:
                self.at = found.end()
                return Reference(name, found.span())
        word = _WORD.match(self.text, self.at)
        assert word is not None
        self.at = word.end()
        name = word.group()
        if self.peek() == "(" and name in FUNCTIONS:
            self.at += 1
            tree = self.expression()
            self.close()
            return self.applied(name, (tree,), start)
        if self.peek() == "(" and name in HELPERS:
            return self.helper(name, start)
        if self.peek() in ("(", ":", "["):
            raise self.unknown(start)
        return Reference(name, word.span())

    def helper(self, name: str, start: int) -> Helper:
        self.at += 1
        arguments: list[Reference] = []
        begin, depth = self.at, 0
        while self.at < len(self.text):
            character = self.text[self.at]
            if character in "`'\"":
                found = _QUOTED.match(self.text, self.at)
                if not found:
                    raise self.error("this quote is not closed.")
                self.at = found.end()
                continue
            if not depth and character in ",)":
                arguments.append(self.argument(begin))
                begin = self.at + 1
            if not depth and character == ")":
                break
            depth += (character in "([") - (character in ")]")
            self.at += 1
        else:
            raise self.error("a ')' is missing here.")
        self.at += 1
        if len(arguments) != HELPERS[name]:
            said = "one effect" if HELPERS[name] == 1 else "two effects"
            raise self.error(f"{name}(...) takes {said}, not {len(arguments)}.", (start, self.at))
        return Helper(name, tuple(arguments), (start, self.at))

    def argument(self, begin: int) -> Reference:
        written = self.text[begin : self.at]
        name = written.strip()
        found = _QUOTED.fullmatch(name)
        if found:
            name = next(g for g in found.groups() if g is not None).strip()
        if not name:
            raise self.error("an effect is missing here.")
        lead = len(written) - len(written.lstrip())
        return Reference(name, (begin + lead, begin + len(written.rstrip())))

    def unknown(self, start: int) -> FormulaError:
        """Of a run that begins like a name of several parts and is none."""
        depth, at = 0, start
        while at < len(self.text):
            character = self.text[at]
            if not depth and (character in "+*/^;)=" or self.text.startswith(" -", at)):
                break
            depth += (character in "([") - (character in ")]")
            at += 1
        name = self.text[start:at].strip()
        return unknown(name, self.known, self.text, (start, start + len(name)))


def unknown(name: str, known: Iterable[str], text: str, span: Span) -> FormulaError:
    """No such component; the closest one is named, or all are where nothing is like it."""
    shown = list(dict.fromkeys(known))
    near = closest(plain(name), [plain(n) for n in shown])
    if near is not None:
        near = next(n for n in shown if plain(n) == near)
        hint = f"The closest is '{near}'."
    else:
        first = ", ".join(f"'{n}'" for n in shown[:12])
        hint = f"There are {first}" + (f" and {len(shown) - 12} more." if len(shown) > 12 else ".")
    return FormulaError(f"derive: no variance component is called '{name}'.", text, span, hint)
