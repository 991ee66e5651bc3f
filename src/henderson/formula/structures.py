"""Names that may stand left and right of a bar, and what each takes. The meaning is in `structures/`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from henderson.errors import FormulaError, closest
from henderson.formula.expression import Call, Name, Node, render, strip
from henderson.formula.functions import constant_of

LEFT: dict[str, dict[str, str]] = {
    **{
        name: {}
        for name in (
            "us",
            "cor",
            "diag",
            "id",
            "cs",
            "csh",
            "ar1",
            "ar1h",
            "toep",
            "toeph",
            "ante1",
            "ou",
            "exp",
            "gau",
            "sph",
            "ratio",
            "lin",
        )
    },
    "arma": {"p": "count", "q": "count"},
    "mat": {"nu": "number"},
    "fa": {"k": "count"},
    "rr": {"k": "count"},
}
"""Structure of the effects within one level -> its options and their kinds (see `functions.Signature`)."""

NEEDED = {"fa": "k", "rr": "k"}

RIGHT: dict[str, tuple[int, int, dict[str, str]]] = {
    "id": (1, 1, {}),
    "ar1": (1, 1, {}),
    "ou": (1, 1, {}),
    "exp": (1, 3, {}),
    "gau": (1, 3, {}),
    "sph": (1, 3, {}),
    "ratio": (1, 3, {}),
    "lin": (1, 3, {}),
    "arma": (1, 1, {"p": "count", "q": "count"}),
    "mat": (1, 3, {"nu": "number"}),
    "vm": (2, 2, {}),
    "car": (2, 2, {}),
    "leroux": (2, 2, {}),
    "mm": (2, 8, {}),
}
"""Correlation among levels -> least and most names, options. The second name in vm, car and leroux is given in relationships=."""

KNOWN = ("vm", "car", "leroux")
"""Correlations that are looked up in relationships=, by the second name."""

SMOOTH_OPTIONS = {
    "spl": {"nseg": "count", "degree": "count", "order": "count", "kind": "word"},
    "spl2d": {"nseg": "numbers", "degree": "count", "order": "count", "kind": "word"},
}
"""Segments between knots (for a plane one number or two), degree of the B-splines, order of the penalised differences, and
"pspline" or "cubic", "psanova" or "anisotropic"."""
VARIANCES: dict[str, int] = {"ident": 1, "power": 1, "exp": 1, "const_power": 1}


def left_options(call: Call, text: str) -> dict[str, Any]:
    """The options of a structure call, checked.

    Raises
    ------
    FormulaError : unknown structure (the closest is named), unknown or missing option.
    """
    if call.name not in LEFT:
        near = closest(call.name, LEFT)
        raise FormulaError(
            f"there is no covariance structure called '{call.name}'.",
            text,
            call.name_span,
            f"The closest is '{near}'." if near else f"There are {', '.join(LEFT)}.",
        )
    if len(call.args) != 1:
        raise FormulaError(
            f"{call.name}(effects | levels) takes its options by name.",
            text,
            call.span,
            f"As in {call.name}(x | g, k=2).",
        )
    options = _options(call, LEFT[call.name], text)
    needed = NEEDED.get(call.name)
    if needed is not None and options.get(needed, 0) < 1:
        raise FormulaError(
            f"{call.name} needs its number of factors.",
            text,
            call.span,
            f"Write {call.name}(... | ..., {needed}=1).",
        )
    return options


def _options(call: Call, kinds: dict[str, str], text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, node in call.keywords:
        if key not in kinds:
            near = closest(key, kinds)
            known = f"It has {', '.join(kinds)}." if kinds else "It has none."
            raise FormulaError(
                f"{call.name} has no option '{key}'.",
                text,
                node.span,
                f"The closest is '{near}'." if near else known,
            )
        options[key] = constant_of(node, kinds[key], text)
    return options


def column_arguments(call: Call, least: int, most: int, text: str) -> tuple[Name, ...]:
    """The arguments of a call that takes between `least` and `most` column names."""
    if not least <= len(call.args) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise FormulaError(
            f"{call.name} takes {wanted} name{'s' * (most > 1)}, not {len(call.args)}.", text, call.span
        )
    names = []
    for argument in call.args:
        bare = strip(argument)
        if not isinstance(bare, Name):
            raise FormulaError(
                f"{call.name} takes names of columns, not '{render(bare)}'.", text, argument.span
            )
        names.append(bare)
    return tuple(names)


def check_right(call: Call, text: str) -> tuple[Name, ...]:
    """Check a call on the right of the bar; the columns it reads.

    Raises
    ------
    FormulaError : unknown structure (the closest is named) or wrong arguments.
    """
    if call.name not in RIGHT:
        if call.name in ("factor", "C", "as.factor"):
            raise FormulaError(
                f"{call.name} is not needed here.",
                text,
                call.name_span,
                "Any column is taken as a factor on the right of the bar.",
            )
        near = closest(call.name, RIGHT)
        raise FormulaError(
            f"there is no correlation among levels called '{call.name}'.",
            text,
            call.name_span,
            f"The closest is '{near}'." if near else f"There are {', '.join(RIGHT)}.",
        )
    least, most, _ = RIGHT[call.name]
    right_options(call, text)
    inner = strip(call.args[0]) if call.args else None
    if call.name == "vm" and isinstance(inner, Call) and inner.name == "mm":
        members = check_right(inner, text)
        column_arguments(replace(call, args=(members[0], *call.args[1:])), least, most, text)
        return members
    names = column_arguments(call, least, most, text)
    if call.name == "mm" and len(set(names)) < len(names):
        raise FormulaError(f"'{render(call)}' names a column twice.", text, call.span)
    return names[:1] if call.name in KNOWN else names


def smooth_options(call: Call, text: str) -> dict[str, Any]:
    """The options of a penalised spline, checked."""
    return _options(call, SMOOTH_OPTIONS[call.name], text)


def right_options(call: Call, text: str) -> dict[str, Any]:
    """The options of a correlation among levels, checked."""
    return _options(call, RIGHT[call.name][2], text)


def no_options(call: Call, text: str) -> None:
    """Refuse keyword arguments."""
    _options(call, {}, text)


def is_call(node: Node, *names: str) -> bool:
    """Whether the node is a call of one of these."""
    return isinstance(node, Call) and node.name in names
