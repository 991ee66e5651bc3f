"""The right side of a bar: `a/b` expands, `a:b` is a product, `a + b` ties groupings into one term, calls say how levels are
correlated.
"""

from __future__ import annotations

from henderson.errors import FormulaError
from henderson.formula.expression import Call, Chain, Name, Node, render, strip
from henderson.formula.structures import check_right

MAX_FACTORS = 8

Levels = tuple[tuple[Name | Call, ...], str]
"""Factors of one grouping, and its name."""


def expand_levels(node: Node, text: str) -> list[Levels]:
    """Groupings of the right side, innermost first: `a/b` -> [(b, a) "b:a", (a) "a"]; `a/b/c` has "c:(b:a)"
    in front.

    Raises
    ------
    FormulaError : something that is neither a name, a call of `structures.RIGHT`, a product nor a nesting.
    """
    bare = strip(node)
    if isinstance(bare, Chain) and bare.operators & {"*", "+", "-"}:
        raise FormulaError(
            f"'{render(bare)}' is not a grouping.",
            text,
            bare.span,
            "To tie the effects of several groupings of the same levels, name the structure: us(1 | a + b).\n"
            "Otherwise write one random term for each grouping: (1 | a) + (1 | b).",
        )
    if isinstance(bare, Chain) and "/" in bare.operators:
        nested: list[Levels] = []
        for operand in bare.operands:
            (factors, name) = _product(operand, text)
            if nested:
                outer, outer_name = nested[0]
                name = f"{name}:({outer_name})" if len(outer) > 1 else f"{name}:{outer_name}"
                factors = factors + outer
            nested.insert(0, (_limited(factors, bare, text), name))
        return nested
    return [_product(bare, text)]


def is_sum(node: Node) -> bool:
    """Whether the right side is a sum of groupings, a + b."""
    bare = strip(node)
    return isinstance(bare, Chain) and bare.operators == {"+"}


def expand_sum(node: Node, text: str) -> tuple[tuple[Name | Call, ...], str]:
    """The groupings of a sum: columns that share their levels, or vm(...) of one relationship; and the sum's name.

    Raises
    ------
    FormulaError : a member that is something else, two relationships, a column named twice.
    """
    bare = strip(node)
    assert isinstance(bare, Chain)
    members: list[Name | Call] = []
    for operand in bare.operands:
        factors, _ = _product(operand, text)
        if len(factors) > 1:
            raise FormulaError(
                f"'{render(strip(operand))}' cannot be in a sum of groupings.",
                text,
                operand.span,
                "A sum is of columns, us(1 | a + b), or of one relationship, us(1 | vm(animal, A) + vm(dam, A)).",
            )
        members.append(factors[0])
    for member in members[1:]:
        if _shared(member) != _shared(members[0]):
            raise FormulaError(
                f"'{render(members[0])}' and '{render(member)}' do not have the same levels.",
                text,
                member.span,
                "A sum is of columns, us(1 | a + b), or of one relationship, us(1 | vm(animal, A) + vm(dam, A)).",
            )
    for member in members:
        if not isinstance(member, Name) and member.name != "vm":
            raise FormulaError(
                f"'{render(member)}' cannot be in a sum of groupings.",
                text,
                member.span,
                "A sum is of columns, us(1 | a + b), or of one relationship, us(1 | vm(animal, A) + vm(dam, A)).",
            )
    if len(set(members)) < len(members):
        raise FormulaError(f"'{render(bare)}' names a grouping twice.", text, bare.span)
    return tuple(members), render(bare)


def _shared(member: Name | Call) -> str | None:
    """What says that two members have the same levels: the relationship of vm, nothing for columns."""
    return render(member.args[1]) if isinstance(member, Call) and member.name == "vm" else None


def _product(node: Node, text: str) -> Levels:
    bare = strip(node)
    if isinstance(bare, Name):
        return (bare,), render(bare)
    if isinstance(bare, Call):
        check_right(bare, text)
        return (bare,), render(bare)
    if isinstance(bare, Chain) and bare.operators <= {":", "%in%"}:
        parts = [_product(operand, text) for operand in bare.operands]
        factors = tuple(factor for part, _ in parts for factor in part)
        return _limited(factors, bare, text), ":".join(name for _, name in parts)
    raise FormulaError(
        f"'{render(bare)}' is not a grouping.",
        text,
        bare.span,
        "On the right of the bar stand columns, joined by ':' or '/'.",
    )


def _limited(factors: tuple[Name | Call, ...], node: Node, text: str) -> tuple[Name | Call, ...]:
    if len(factors) > MAX_FACTORS:
        raise FormulaError(f"a grouping has at most {MAX_FACTORS} factors.", text, node.span)
    if len(set(factors)) < len(factors):
        raise FormulaError(f"'{render(node)}' names a column twice.", text, node.span)
    return factors
