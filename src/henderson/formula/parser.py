"""Tokens -> tree, by recursive descent.

Precedence, tightest first, as in R: `^` `**`, unary minus, `:` and `%in%`, `*` `/`, `+` `-`, then `|` `||`.
A bar is read only between parentheses or as the first argument of a call; what may stand where is checked
afterwards, by the files that give a meaning to the tree (`assemble`, `functions`, `expand`).
"""

from __future__ import annotations

import math

from henderson.errors import FormulaError
from henderson.formula.expression import (
    Bar,
    Call,
    Chain,
    Flag,
    Group,
    Name,
    Negate,
    Node,
    Number,
    Power,
    Span,
    Text,
)
from henderson.formula.tokens import Token, tokenize

MAX_DEPTH = 40
"""Parentheses within parentheses a formula may have."""

_FLAGS = {"TRUE": True, "True": True, "FALSE": False, "False": False}
_PYTHON_WORDS = frozenset(
    [
        "lambda",
        "for",
        "in",
        "if",
        "else",
        "import",
        "from",
        "as",
        "class",
        "def",
        "return",
        "yield",
        "await",
        "async",
        "not",
        "and",
        "or",
        "is",
        "with",
        "while",
        "try",
        "except",
        "raise",
        "assert",
        "del",
        "global",
        "nonlocal",
        "pass",
        "break",
        "continue",
        "None",
    ]
)


class Parser:
    """One pass over the tokens of `text` (one line)."""

    def __init__(self, text: str):
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.depth = 0
        self.in_call = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def error(self, message: str, span: Span, hint: str | None = None) -> FormulaError:
        return FormulaError(message, self.text, span, hint)

    def take(self, *texts: str) -> Token | None:
        """The next token when it is one of these operators, else None."""
        token = self.tokens[self.at]
        if token.kind == "op" and token.text in texts:
            self.at += 1
            return token
        return None

    def expect(self, text: str, opened: Token) -> Token:
        token = self.take(text)
        if token is None:
            if self.token.kind == "end":
                raise self.error("this parenthesis is not closed.", (opened.start, opened.end))
            raise self.unexpected()
        return token

    def unexpected(self) -> FormulaError:
        token = self.token
        if token.kind == "end":
            return self.error(
                "the formula stops where something should follow.", (token.start, token.start + 1)
            )
        if token.text in ("|", "||"):
            return self.error(
                "a random term stands between parentheses.",
                (token.start, token.end),
                "Write (effects | group).",
            )
        if token.kind in ("name", "number", "quoted", "string"):
            return self.error(
                f"'{token.text}' follows what precedes it without an operator.",
                (token.start, token.end),
                "A name with blanks in it is written between back quotes: `my column`.",
            )
        return self.error(f"'{token.text}' cannot stand here.", (token.start, token.end))

    def enter(self, token: Token) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FormulaError(
                f"the formula is nested more than {MAX_DEPTH} deep (character {token.start + 1})."
            )

    def sum(self) -> Node:
        return self.chain(self.product, "+", "-")

    def product(self) -> Node:
        return self.chain(self.interaction, "*", "/")

    def interaction(self) -> Node:
        return self.chain(self.unary, ":", "%in%")

    def chain(self, operand, *operators: str) -> Node:
        first = operand()
        rest: list[tuple[str, Node]] = []
        while (token := self.take(*operators)) is not None:
            rest.append((token.text, operand()))
        if not rest:
            return first
        return Chain(first, tuple(rest), (first.span[0], rest[-1][1].span[1]))

    def unary(self) -> Node:
        start, negative, signs = self.token.start, False, 0
        while (token := self.take("-", "+")) is not None:
            negative ^= token.text == "-"
            signs += 1
            if signs > MAX_DEPTH:
                raise self.error("too many signs in a row.", (token.start, token.end))
        node = self.power()
        return Negate(node, (start, node.span[1])) if negative else node

    def power(self) -> Node:
        base = self.atom()
        token = self.take("^", "**")
        if token is None:
            return base
        self.enter(token)
        exponent = self.unary()
        self.depth -= 1
        return Power(base, exponent, token.text, (base.span[0], exponent.span[1]))

    def atom(self) -> Node:
        token = self.token
        if token.kind == "number":
            self.at += 1
            value = float(token.text)
            if not math.isfinite(value):
                raise self.error("this number is too large.", (token.start, token.end))
            return Number(value, token.text, (token.start, token.end))
        if token.kind == "quoted":
            self.at += 1
            name = token.text[1:-1]
            if not name.strip():
                raise self.error("there is no name between these back quotes.", (token.start, token.end))
            return Name(name, (token.start, token.end), quoted=True)
        if token.kind == "string":
            if not self.in_call:
                raise self.error(
                    "a string cannot stand here.",
                    (token.start, token.end),
                    "A column is named without quotes, or between back quotes: `my column`.",
                )
            self.at += 1
            return Text(token.text[1:-1], (token.start, token.end))
        if token.kind == "name":
            return self.name_or_call()
        if token.kind == "op" and token.text == "(":
            self.at += 1
            self.enter(token)
            if self.token.text == ")" and self.token.kind == "op":
                raise self.error("there is nothing between these parentheses.", (token.start, self.token.end))
            inner = self.maybe_bar()
            closed = self.expect(")", token)
            self.depth -= 1
            return Group(inner, (token.start, closed.end))
        raise self.unexpected()

    def maybe_bar(self) -> Node:
        left = self.sum()
        token = self.take("|", "||")
        if token is None:
            return left
        right = self.sum()
        again = self.take("|", "||")
        if again is not None:
            raise self.error("a random term has one bar.", (again.start, again.end))
        return Bar(left, right, token.text == "||", (left.span[0], right.span[1]))

    def name_or_call(self) -> Node:
        token = self.token
        self.at += 1
        span = (token.start, token.end)
        opened = self.take("(")
        if opened is None:
            if token.text in _FLAGS and self.in_call:
                return Flag(_FLAGS[token.text], span)
            if not token.text.strip("."):
                raise self.error("'.' is not expanded to all columns: name the columns.", span)
            if token.text in _PYTHON_WORDS and self.token.kind not in ("op", "end"):
                raise self.error(
                    f"'{token.text}' is a word of Python: a formula is data, not code.",
                    span,
                    f"If a column has this name, write it between back quotes: `{token.text}`.",
                )
            return Name(token.text, span)
        self.enter(opened)
        self.in_call += 1
        args: list[Node] = []
        keywords: list[tuple[str, Node]] = []
        while True:
            self.argument(args, keywords)
            if self.take(",") is None:
                break
        closed = self.expect(")", opened)
        self.in_call -= 1
        self.depth -= 1
        return Call(token.text, tuple(args), tuple(keywords), (token.start, closed.end), span)

    def argument(self, args: list[Node], keywords: list[tuple[str, Node]]) -> None:
        token, following = self.token, self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        if token.kind == "op" and token.text == ")":
            if args or keywords:
                raise self.unexpected()
            return
        if token.kind == "name" and following.kind == "op" and following.text == "=":
            self.at += 2
            if any(key == token.text for key, _ in keywords):
                raise self.error(f"'{token.text}' is given twice.", (token.start, token.end))
            keywords.append((token.text, self.sum()))
            return
        node = self.maybe_bar()
        if keywords:
            raise self.error("an argument without a name follows one with a name.", node.span)
        args.append(node)


def parse_two_sides(text: str) -> tuple[Node | None, Node]:
    """The tree left and right of `~` (None left when nothing stands there).

    Raises
    ------
    FormulaError : no `~`, more than one, nothing on the right, or a syntax error.
    """
    parser = Parser(text)
    left: Node | None = None
    if not (parser.token.kind == "op" and parser.token.text == "~"):
        if parser.token.kind == "end":
            raise FormulaError(
                "the formula is empty.", hint="Write response ~ fixed terms + (effects | group)."
            )
        left = parser.sum()
    tilde = parser.take("~")
    if tilde is None:
        if parser.token.kind == "end":
            raise FormulaError(
                "the formula has no '~'.",
                text,
                (0, len(text)),
                "Write response ~ fixed terms + (effects | group).",
            )
        raise parser.unexpected()
    if parser.token.kind == "end":
        raise FormulaError(
            "nothing stands on the right of '~'.", text, (tilde.start, tilde.end), "Write 1 for a mean alone."
        )
    right = parser.sum()
    _finish(parser)
    return left, right


def parse_one_side(text: str) -> Node:
    """The tree of a text without `~`: a `residual=` or `variance=` string."""
    parser = Parser(text)
    if parser.token.kind == "end":
        raise FormulaError("the text is empty.")
    node = parser.sum()
    _finish(parser)
    return node


def _finish(parser: Parser) -> None:
    token = parser.token
    if token.kind == "end":
        return
    if token.kind == "op" and token.text == "~":
        raise parser.error("a formula has one '~'.", (token.start, token.end))
    if token.kind == "op" and token.text == ")":
        raise parser.error("this parenthesis closes nothing.", (token.start, token.end))
    raise parser.unexpected()
