"""Tree -> `Formula`: which part is the response, which terms are fixed, which are random."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from henderson.errors import FormulaError
from henderson.formula.expand import Expansion
from henderson.formula.expression import (
    Bar,
    Call,
    Chain,
    Group,
    Name,
    Node,
    Number,
    Span,
    find_bar,
    render,
    strip,
)
from henderson.formula.functions import SMOOTHS, arithmetic_names, check_arithmetic
from henderson.formula.levels import expand_levels, expand_sum, is_sum
from henderson.formula.parser import parse_one_side, parse_two_sides
from henderson.formula.structures import (
    VARIANCES,
    check_right,
    column_arguments,
    is_call,
    left_options,
    no_options,
    smooth_options,
)
from henderson.formula.terms import Formula, RandomTerm, Term, VarianceTerm
from henderson.formula.tokens import one_line

FITTED_VALUES = "fitted"
"""In a variance function: the fitted values, not a column."""
RESERVED = {"units", "trait"}
"""Names that `residual=` and formulas of several traits give a meaning of their own."""


def parse(text: str, *, response: bool = True) -> Formula:
    """Read `response ~ fixed terms + random terms`.

    Nothing is evaluated: the result is a record of names, numbers and documented functions. With `response=False`, for
    designs that have no response yet, "~ terms" will do, and a left side is read but not asked of any table.

    Raises
    ------
    FormulaError : with the place in the text.
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula is a text such as 'y ~ x + (1 | g)', not {type(text).__name__}.")
    return _parse(text, response)


@lru_cache(maxsize=256)
def _parse(text: str, response: bool = True) -> Formula:
    text = one_line(text)
    left, right = parse_two_sides(text)
    names: dict[str, Span] = {}
    if left is not None:
        _read_names(_response_names(left, text), names)
    if not response:
        left, names = Number(0.0, "0", (0, 1)), {}
    if left is None:
        raise FormulaError(
            "the formula has no response.", text, (0, 1), "Write the response on the left of '~'."
        )
    reader = _Reader(text)
    reader.read(right)
    of_responses = set(names)
    columns = reader.columns()
    _read_names(columns, names)
    if isinstance(strip(left), Call) and strip(left).name == "cbind":  # type: ignore[union-attr]
        for reserved in RESERVED - of_responses:
            names.pop(reserved, None)
    return Formula(
        text=text,
        response=strip(left),
        fixed=reader.fixed_text(),
        terms=reader.terms(),
        factors=dict(
            sorted({**reader.expansion.factors, **reader.smooths}.items(), key=lambda item: item[1].span)
        ),
        offsets=tuple(reader.offsets),
        random=tuple(reader.random),
        names=names,
        right=frozenset(name.name for name in columns),
    )


def parse_residual(text: str) -> tuple[RandomTerm, ...]:
    """Read a `residual=` string: random terms joined by `+`, for example "ar1(0 + time | subject)".

    Raises
    ------
    FormulaError : with the place in the text.
    """
    return tuple(_residual_reader(one_line(text)).random)


def parse_residual_names(text: str) -> tuple[tuple[RandomTerm, ...], dict[str, Node], dict[str, Span]]:
    """`parse_residual`, with the effects left of the bars by name, and every column named with its place."""
    reader = _residual_reader(text)
    names: dict[str, Span] = {}
    _read_names(reader.columns(), names)
    return tuple(reader.random), dict(reader.expansion.factors), names


def _residual_reader(text: str) -> _Reader:
    node = parse_one_side(text)
    reader = _Reader(text)
    reader.read(node)
    if reader.fixed or reader.offsets or not reader.random:
        span = reader.fixed[0][1].span if reader.fixed else node.span
        hint = "As in ar1(0 + time | subject)"
        if "(" in text[slice(*span)]:
            hint += f"; correlations among rows by their columns stand on the right of a bar, (1 | {text[slice(*span)]})"
        raise FormulaError("a residual is a random term.", text, span, f"{hint}.")
    return reader


def parse_variance(text: str) -> tuple[VarianceTerm, ...]:
    """Read a `variance=` string: variance functions joined by `*`, for example "power(x)".

    Raises
    ------
    FormulaError : with the place in the text.
    """
    text = one_line(text)
    node = strip(parse_one_side(text))
    parts = node.operands if isinstance(node, Chain) and node.operators <= {"*", ":"} else [node]
    return tuple(_variance_term(part, text) for part in map(strip, parts))


def _variance_term(part: Node, text: str) -> VarianceTerm:
    if not isinstance(part, Call) or part.name not in VARIANCES:
        raise FormulaError(
            f"'{render(part)}' is not a variance function.",
            text,
            part.span,
            f"There are {', '.join(VARIANCES)}.",
        )
    no_options(part, text)
    bar = strip(part.args[0]) if len(part.args) == 1 else None
    strata: tuple[Name, ...] = ()
    if isinstance(bar, Bar) and not bar.double and part.name != "ident":
        strata = _product_of_names(bar.levels, text)
        part = replace(part, args=(bar.effects,))
    if part.name == "ident" and len(part.args) == 1:
        columns = _product_of_names(part.args[0], text)
    else:
        columns = column_arguments(part, VARIANCES[part.name], VARIANCES[part.name], text)
    fitted = columns[0].name == FITTED_VALUES and not columns[0].quoted and part.name != "ident"
    return VarianceTerm(
        part.name,
        () if fitted else tuple(c.name for c in columns),
        text[slice(*part.span)],
        part.span,
        strata=tuple(c.name for c in strata),
        fitted=fitted,
        places=tuple((c.name, c.span) for c in (*(() if fitted else columns), *strata)),
    )


def _product_of_names(node: Node, text: str) -> tuple[Name, ...]:
    bare = strip(node)
    parts = bare.operands if isinstance(bare, Chain) and bare.operators <= {":"} else [bare]
    names = [strip(part) for part in parts]
    for name in names:
        if not isinstance(name, Name):
            raise FormulaError(
                f"'{render(name)}' is not the name of a column.", text, name.span, "As in ident(sex:age)."
            )
    return tuple(names)  # type: ignore[arg-type]


def _read_names(found: list[Name], names: dict[str, Span]) -> None:
    for name in found:
        names.setdefault(name.name, name.span)


def _response_names(left: Node, text: str) -> list[Name]:
    bar = find_bar(left)
    if bar is not None:
        raise FormulaError("a random term stands on the right of '~'.", text, bar.span)
    bare = strip(left)
    if isinstance(bare, Call) and bare.name == "cbind":
        no_options(bare, text)
        if len(bare.args) < 2:
            raise FormulaError("cbind takes two responses or more.", text, bare.span)
        parts: tuple[Node, ...] = bare.args
    else:
        parts = (bare,)
    found: list[Name] = []
    for part in parts:
        check_arithmetic(part, text)
        here = arithmetic_names(part)
        if not here:
            raise FormulaError("the response names no column.", text, part.span)
        found += here
    return found


class _Reader:
    """Sorts the additive items of a right side into fixed terms, offsets and random terms."""

    def __init__(self, text: str):
        self.text = text
        self.expansion = Expansion(text)
        self.fixed: list[tuple[str, Node]] = []
        self.offsets: list[Node] = []
        self.random: list[RandomTerm] = []
        self.smooths: dict[str, Call] = {}
        self.section_names: list[Name] = []

    def read(self, node: Node) -> None:
        for sign, item in _items("+", node):
            self.item(sign, item)

    def item(self, sign: str, node: Node) -> None:
        bar = find_bar(node)
        bare = strip(node)
        if bar is None and isinstance(bare, Chain) and is_call(bare.first, "at"):
            raise FormulaError(
                "only a random term stands behind at(column):.",
                self.text,
                node.span,
                "Write at(column):(effects | group).",
            )
        if bar is None and not is_call(bare, "offset", *SMOOTHS):
            self.fixed.append((sign, node))
            return
        if sign == "-":
            raise FormulaError("this can be added to a formula, not taken away.", self.text, node.span)
        if bar is not None:
            self.random_term(node, bar)
        elif is_call(bare, "offset"):
            self.offset(bare)  # type: ignore[arg-type]
        else:
            self.smooth(bare)  # type: ignore[arg-type]

    def offset(self, call: Call) -> None:
        no_options(call, self.text)
        if len(call.args) != 1:
            raise FormulaError("offset takes one expression.", self.text, call.span)
        check_arithmetic(call.args[0], self.text)
        self.offsets.append(call.args[0])

    def smooth(self, call: Call) -> None:
        options = smooth_options(call, self.text)
        column_arguments(call, SMOOTHS[call.name], SMOOTHS[call.name], self.text)
        written = self.text[slice(*call.span)]
        name = render(call)
        if name in self.smooths:
            raise FormulaError(f"{name} is in the formula twice.", self.text, call.span)
        self.smooths[name] = call
        self.random.append(RandomTerm(call.name, "", (), (call,), name, written, call.span, options))

    def random_term(self, node: Node, bar: Bar) -> None:
        sections, core = self.sections(node)
        structure, options = "us", {}
        named = isinstance(core, Call)
        if isinstance(core, Call):
            options = left_options(core, self.text)
            structure = core.name
            core = core.args[0]
        core = strip(core)
        if core is not bar:
            raise FormulaError(
                "a random term can only be added to a formula.",
                self.text,
                node.span,
                "Write ... + (effects | group).",
            )
        if bar.double:
            if structure not in ("us", "diag"):
                raise FormulaError(
                    "'||' and a structure are two answers to one question.", self.text, bar.span
                )
            structure = "diag"
        inner = find_bar(bar.effects) or find_bar(bar.levels)
        if inner is not None:
            raise FormulaError("a random term cannot stand inside another.", self.text, inner.span)
        terms = self.expansion.additive(list(_items("+", bar.effects)))
        if not terms:
            raise FormulaError("no effect stands on the left of the bar.", self.text, bar.effects.span)
        members: tuple[Name | Call, ...] = ()
        if named and is_sum(bar.levels):
            members, group = expand_sum(bar.levels, self.text)
            groups = [(members[:1], group)]
        else:
            groups = expand_levels(bar.levels, self.text)
        for factors, group in groups:
            term = RandomTerm(
                structure=structure,
                effects=self.text[slice(*bar.effects.span)],
                effect_terms=terms,
                levels=factors,
                group=group,
                text=self.text[slice(*node.span)],
                span=node.span,
                options=options,
                at=sections,
                nested=len(groups) > 1,
                members=members,
            )
            self.random.append(term)

    def sections(self, node: Node) -> tuple[tuple[str, ...], Node]:
        """`at(env):term` -> (("env",), term)."""
        if not (isinstance(node, Chain) and node.operators == {":"}):
            return (), node
        *fronts, core = node.operands
        sections = []
        for front in fronts:
            if not is_call(front, "at"):
                raise FormulaError(
                    "only at(column): may stand in front of a random term.",
                    self.text,
                    front.span,
                    "Write ... + (effects | group).",
                )
            assert isinstance(front, Call)
            no_options(front, self.text)
            sections.append(column_arguments(front, 1, 1, self.text)[0])
        self.section_names += sections
        return tuple(s.name for s in sections), core

    def terms(self) -> tuple[Term, ...]:
        """The fixed terms; a penalised spline's polynomials are one, after the other main effects."""
        return tuple(
            sorted([*self.expansion.additive(self.fixed), *((name,) for name in self.smooths)], key=len)
        )

    def columns(self) -> list[Name]:
        """Every column the right side reads, with its place."""
        found = [name for node in self.expansion_factors() for name in arithmetic_names(node)]
        for offset in self.offsets:
            found += arithmetic_names(offset)
        for term in self.random:
            for level in term.members or term.levels:
                if isinstance(level, Name):
                    found.append(level)
                elif level.name in SMOOTHS:
                    found += column_arguments(level, 1, 2, self.text)
                else:
                    found += check_right(level, self.text)
        found += self.section_names
        return sorted(found, key=lambda name: name.span)

    def expansion_factors(self) -> list[Node]:
        # Fixed terms are expanded here once so that their factors are known; the terms themselves are asked
        # for later.
        self.expansion.additive(self.fixed)
        return list(self.expansion.factors.values())

    def fixed_text(self) -> str:
        parts = [f"{sign} {self.text[slice(*node.span)]}" for sign, node in self.fixed]
        return " ".join(parts).removeprefix("+ ") or "1"


def _takes_away(chain: Chain) -> bool:
    """Whether a term other than the intercept is taken away: a + (a - a) is a, while x + (z - 1) is x + z - 1."""
    return any(op == "-" and not isinstance(operand, Number) for op, operand in chain.rest)


def _items(sign: str, node: Node) -> list[tuple[str, Node]]:
    """A sum as (sign, item) pairs; parentheses around a sum that is added are opened."""
    if isinstance(node, Group) and sign == "+":
        inner = strip(node)
        if isinstance(inner, Chain) and inner.operators <= {"+", "-"} and not _takes_away(inner):
            return _items(sign, inner)
        return [(sign, node)]
    if isinstance(node, Chain) and node.operators <= {"+", "-"}:
        items = _items("+", node.first)
        for op, operand in node.rest:
            items += _items(op, operand) if op == "+" else [(op, operand)]
        return items
    return [(sign, node)]
