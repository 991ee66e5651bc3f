"""The tree of a formula. A tree is data: it is read, counted and rendered, and never handed to an
interpreter.

Runs of operators of one precedence are one flat `Chain`, so that a sum of 2,000 columns is as deep as a sum
of two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

Span = tuple[int, int]

_PLAIN = re.compile(r"(?:[^\W\d]|\.(?!\d))[\w. ]*")
"""Words: a name that no other tree is written as. Quotes around `body weight` would tell nothing apart."""
_MEANT = {"pi", "TRUE", "True", "FALSE", "False"}
"""Names that mean something else without their quotes."""


@dataclass(frozen=True, slots=True)
class Name:
    """A column (or, inside a call, the constant pi)."""

    name: str
    span: Span = field(compare=False)
    quoted: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Number:
    """A number, with the characters it was written in."""

    value: float
    text: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted string: only as an argument, for example the reference level of a contrast."""

    value: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Flag:
    """TRUE/True or FALSE/False as an argument."""

    value: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`name(arguments, keyword=value)`."""

    name: str
    args: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...]
    span: Span = field(compare=False)
    name_span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """`first op second op third ...` with operators of one precedence, read from the left."""

    first: Node
    rest: tuple[tuple[str, Node], ...]
    span: Span = field(compare=False)

    @property
    def operators(self) -> set[str]:
        """The operators that occur in this chain."""
        return {op for op, _ in self.rest}

    @property
    def operands(self) -> list[Node]:
        """All operands, left to right."""
        return [self.first, *(node for _, node in self.rest)]


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus."""

    operand: Node
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Power:
    """`base ^ exponent` (or `**`)."""

    base: Node
    exponent: Node
    op: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Group:
    """What stands between parentheses."""

    inner: Node
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Bar:
    """`effects | levels`, or `effects || levels`."""

    effects: Node
    levels: Node
    double: bool
    span: Span = field(compare=False)


Node = Name | Number | Text | Flag | Call | Chain | Negate | Power | Group | Bar


def strip(node: Node) -> Node:
    """The node without the parentheses around it."""
    while isinstance(node, Group):
        node = node.inner
    return node


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below this one."""
    if isinstance(node, Call):
        return (*node.args, *(value for _, value in node.keywords))
    if isinstance(node, Chain):
        return tuple(node.operands)
    if isinstance(node, Negate):
        return (node.operand,)
    if isinstance(node, Power):
        return (node.base, node.exponent)
    if isinstance(node, Group):
        return (node.inner,)
    if isinstance(node, Bar):
        return (node.effects, node.levels)
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, left to right."""
    yield node
    for child in children(node):
        yield from walk(child)


def find_bar(node: Node) -> Bar | None:
    """The first random-term bar in the node, if there is one."""
    for each in walk(node):
        if isinstance(each, Bar):
            return each
    return None


def render(node: Node) -> str:
    """The node as text with canonical blanks: the name a factor of the model goes by.

    Different trees have different texts: a column called `log(x)` keeps its back quotes, log(x) has none.
    """
    if isinstance(node, Name):
        plain = _PLAIN.fullmatch(node.name) and not (node.quoted and node.name in _MEANT)
        return node.name if plain else f"`{node.name}`"
    if isinstance(node, Number):
        return node.text
    if isinstance(node, Text):
        return f'"{node.value}"' if '"' not in node.value else f"'{node.value}'"
    if isinstance(node, Flag):
        return "TRUE" if node.value else "FALSE"
    if isinstance(node, Call):
        arguments = [render(a) for a in node.args] + [f"{k}={render(v)}" for k, v in node.keywords]
        return f"{node.name}({', '.join(arguments)})"
    if isinstance(node, Chain):
        parts = [render(node.first)]
        for op, operand in node.rest:
            parts.append(op if op in ":/" else f" {op} ")
            parts.append(render(operand))
        return "".join(parts)
    if isinstance(node, Negate):
        return "-" + render(node.operand)
    if isinstance(node, Power):
        return f"{render(node.base)}{node.op}{render(node.exponent)}"
    if isinstance(node, Group):
        return f"({render(node.inner)})"
    return f"{render(node.effects)} {'||' if node.double else '|'} {render(node.levels)}"
