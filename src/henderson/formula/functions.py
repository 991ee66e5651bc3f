"""The functions a formula may call, and the check that a call is one of them, rightly made.

A call `f(expression, constants...)` has one expression of columns and otherwise only constants. The
functions themselves are in `design.transforms`; here are their names and signatures, so that a formula is
judged before any data are seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from henderson.errors import FormulaError, closest
from henderson.formula.expression import (
    Call,
    Chain,
    Flag,
    Group,
    Name,
    Negate,
    Node,
    Number,
    Power,
    Text,
    render,
    strip,
)

CONSTANTS = {"pi"}
"""Names that are numbers inside a call (between back quotes they are columns)."""

SMOOTHS: dict[str, int] = {"spl": 1, "spl2d": 2}
"""Penalised splines -> columns they take. They stand alone: their polynomials are a fixed term, their wiggles random ones."""

MAX_CONSTANT = 1000
"""Largest degree, number of knots ... a formula may ask for."""


@dataclass(frozen=True)
class Signature:
    """Constants a function takes after its expression, by name and in order, and what kind each may be.

    Kinds: "count" (a whole number), "number", "flag", "numbers" (a number or c(...)), "word" (a
    string), "contrast", "level" (number or string).
    """

    constants: tuple[tuple[str, str], ...] = ()
    factor: bool = False


ELEMENTWISE = (
    "log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs", "sin", "cos", "tan",
)  # fmt: skip

FUNCTIONS: dict[str, Signature] = {
    **{name: Signature() for name in ELEMENTWISE},
    "I": Signature(),
    "poly": Signature((("degree", "count"), ("raw", "flag"))),
    "bs": Signature(
        (
            ("df", "count"),
            ("knots", "numbers"),
            ("degree", "count"),
            ("include_intercept", "flag"),
            ("lower_bound", "number"),
            ("upper_bound", "number"),
        )
    ),
    "ns": Signature(
        (
            ("df", "count"),
            ("knots", "numbers"),
            ("include_intercept", "flag"),
            ("lower_bound", "number"),
            ("upper_bound", "number"),
        )
    ),
    "cr": Signature(
        (("df", "count"), ("knots", "numbers"), ("lower_bound", "number"), ("upper_bound", "number"))
    ),
    "cc": Signature(
        (("df", "count"), ("knots", "numbers"), ("lower_bound", "number"), ("upper_bound", "number"))
    ),
    "leg": Signature(
        (
            ("degree", "count"),
            ("include_intercept", "flag"),
            ("lower_bound", "number"),
            ("upper_bound", "number"),
        )
    ),
    "scale": Signature((("center", "flag"), ("scale", "flag"))),
    "center": Signature(),
    "C": Signature((("contrasts", "contrast"),), factor=True),
    "factor": Signature(factor=True),
}

CONTRASTS: dict[str, str] = {
    "Treatment": "treatment", "treatment": "treatment", "contr.treatment": "treatment",
    "Sum": "sum", "sum": "sum", "contr.sum": "sum",
    "Helmert": "helmert", "helmert": "helmert", "contr.helmert": "helmert",
    "Poly": "poly", "poly": "poly", "contr.poly": "poly",
    "SAS": "sas", "sas": "sas", "contr.SAS": "sas",
    "Diff": "diff", "diff": "diff",
}  # fmt: skip
"""Spellings of the contrasts -> our name of each."""


def contrast_of(node: Node, text: str) -> tuple[str, str | float | None]:
    """`Treatment("b")`, `Sum`, `contr.sum`, `"Sum"` -> (our name, reference level or None).

    Raises
    ------
    FormulaError : not a contrast we know.
    """
    node = strip(node)
    reference: str | float | None = None
    if isinstance(node, Call):
        name, span = node.name, node.name_span
        given = [*(("reference", a) for a in node.args), *node.keywords]
        kind = CONTRASTS.get(name)
        if kind is not None and given:
            if kind != "treatment" or len(given) > 1 or given[0][0] not in ("reference", "base"):
                raise FormulaError(
                    f"{name} takes {'one level' if kind == 'treatment' else 'nothing'} in its parentheses.",
                    text,
                    node.span,
                )
            value = strip(given[0][1])
            if isinstance(value, (Text, Number)):
                reference = value.value
            elif isinstance(value, Flag):
                reference = str(value.value)
            else:
                raise FormulaError(
                    'a reference level is a string or a number: Treatment("b").', text, value.span
                )
    elif isinstance(node, Name):
        name, span = node.name, node.span
    elif isinstance(node, Text):
        name, span = node.value, node.span
    else:
        raise FormulaError("a contrast has a name: Treatment, Sum, Helmert, Poly.", text, node.span)
    if name not in CONTRASTS:
        near = closest(name, CONTRASTS)
        raise FormulaError(
            f"there are no contrasts called '{name}'.",
            text,
            span,
            f"The closest is '{near}'." if near else "There are Treatment, Sum, Helmert, Poly, SAS and Diff.",
        )
    return CONTRASTS[name], reference


def constant_of(node: Node, kind: str, text: str) -> float | int | bool | str | tuple[float, ...]:
    """The value of a constant argument of the given kind (see `Signature`)."""
    where = node.span
    node = strip(node)
    if kind == "flag":
        if isinstance(node, Flag):
            return node.value
        raise FormulaError("TRUE or FALSE is wanted here.", text, where)
    if kind == "numbers" and isinstance(node, Call) and node.name == "c" and not node.keywords:
        return tuple(float(constant_of(a, "number", text)) for a in node.args)  # type: ignore[arg-type]
    if kind == "word":
        if isinstance(node, Text):
            return node.value
        raise FormulaError("a word between quotes is wanted here.", text, where)
    sign = 1.0
    if isinstance(node, Negate):
        sign, node = -1.0, strip(node.operand)
    if not isinstance(node, Number):
        raise FormulaError("a number is wanted here: only the first argument may name columns.", text, where)
    value = sign * node.value
    if kind == "count":
        if value != int(value) or not 0 <= value <= MAX_CONSTANT:
            raise FormulaError(f"a whole number between 0 and {MAX_CONSTANT} is wanted here.", text, where)
        return int(value)
    return (value,) if kind == "numbers" else value


def constants_of(call: Call, text: str) -> dict[str, object]:
    """The constants of a checked call by name: `poly(x, 2, raw=TRUE)` -> {"degree": 2, "raw": True}."""
    signature = FUNCTIONS[call.name]
    values: dict[str, object] = {}
    given: list[tuple[str | None, Node]] = [*((None, a) for a in call.args[1:]), *call.keywords]
    if len(call.args) - 1 > len(signature.constants):
        raise FormulaError(
            f"{call.name} takes {_counted(len(signature.constants))} after its first.",
            text,
            call.span,
        )
    kinds = dict(signature.constants)
    for position, (key, node) in enumerate(given):
        name = signature.constants[position][0] if key is None else key
        if name not in kinds:
            near = closest(name, kinds)
            raise FormulaError(
                f"{call.name} has no argument '{name}'.",
                text,
                node.span,
                f"The closest is '{near}'." if near else (f"It has {', '.join(kinds)}." if kinds else None),
            )
        if name in values:
            raise FormulaError(f"'{name}' is given twice.", text, node.span)
        if kinds[name] == "contrast":
            values[name] = contrast_of(node, text)
        else:
            values[name] = constant_of(node, kinds[name], text)
    return values


def _counted(n: int) -> str:
    return "no argument" if n == 0 else "one argument" if n == 1 else f"{n} arguments"


def check_call(call: Call, text: str) -> None:
    """Refuse a call that is not one of the documented functions, rightly made.

    Raises
    ------
    FormulaError : unknown function (the closest is named), wrong arguments, or anything in them that is not
        arithmetic.
    """
    if call.name in SMOOTHS:
        raise FormulaError(
            "a penalised spline stands alone: it can be added to a formula, and is in no product and in no function.",
            text,
            call.span,
            "bs(x, df=5) and ns(x, df=5) are fixed terms, and may be in products.",
        )
    if call.name not in FUNCTIONS:
        raise unknown_function(call, text, FUNCTIONS)
    if not call.args:
        raise FormulaError(f"{call.name}() has nothing between its parentheses.", text, call.span)
    constants_of(call, text)
    first = strip(call.args[0])
    if FUNCTIONS[call.name].factor:
        if not isinstance(first, Name):
            raise FormulaError(f"{call.name} takes the name of a column.", text, first.span)
        return
    check_arithmetic(call.args[0], text)


def unknown_function(call: Call, text: str, known) -> FormulaError:
    """The error for a call of a function that is not among `known`."""
    near = closest(call.name, known)
    return FormulaError(
        f"'{call.name}' is not a function that may be called here.",
        text,
        call.name_span,
        f"The closest is '{near}'." if near else f"There are {', '.join(sorted(known))}.",
    )


_SYMBOLS = {
    "%in%": "'%in%' is not arithmetic.",
    ":": "':' is not arithmetic: an interaction stands outside of a call.",
}


def check_arithmetic(node: Node, text: str) -> None:
    """Refuse what is not arithmetic on columns, numbers, pi and documented functions.

    Raises
    ------
    FormulaError : pointing at the first thing that is something else.
    """
    if isinstance(node, (Name, Number)):
        return
    if isinstance(node, Call):
        if node.name in FUNCTIONS and FUNCTIONS[node.name].factor:
            raise FormulaError(f"{node.name} gives a factor, which is not arithmetic.", text, node.span)
        check_call(node, text)
    elif isinstance(node, Chain):
        for op, operand in node.rest:
            if op in _SYMBOLS:
                raise FormulaError(_SYMBOLS[op], text, (node.span[0], operand.span[1]))
        for operand in node.operands:
            check_arithmetic(operand, text)
    elif isinstance(node, Negate):
        check_arithmetic(node.operand, text)
    elif isinstance(node, Power):
        check_arithmetic(node.base, text)
        check_arithmetic(node.exponent, text)
    elif isinstance(node, Group):
        check_arithmetic(node.inner, text)
    else:
        raise FormulaError(f"'{render(node)}' is not arithmetic.", text, node.span)


def makes_factor(node: Node) -> bool:
    """Whether the node is a call that makes a factor of a column, C(f)."""
    return isinstance(node, Call) and node.name in FUNCTIONS and FUNCTIONS[node.name].factor


def arithmetic_names(node: Node) -> list[Name]:
    """The columns an arithmetic expression or a checked call reads, left to right."""
    if isinstance(node, Name):
        return [node]
    if isinstance(node, Call) and node.name in SMOOTHS:
        return [n for argument in node.args for n in arithmetic_names(strip(argument))]
    if isinstance(node, Call):
        return [n for n in arithmetic_names(node.args[0]) if n.quoted or n.name not in CONSTANTS]
    if isinstance(node, Chain):
        return [n for operand in node.operands for n in arithmetic_names(operand)]
    if isinstance(node, Negate):
        return arithmetic_names(node.operand)
    if isinstance(node, Power):
        return arithmetic_names(node.base) + arithmetic_names(node.exponent)
    if isinstance(node, Group):
        return arithmetic_names(node.inner)
    return []
