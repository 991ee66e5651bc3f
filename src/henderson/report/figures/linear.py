"""The data and the fit of a linear model: its line, curve or means where one or two columns explain, otherwise observed
against fitted values.
"""

from __future__ import annotations

from typing import Any

from .effect import page_of
from .marks import COLOURS
from .page import Page, short

_LEVELS = 30


def drawn(fit: Any) -> Page | None:
    """The figure, or None where the model has too many columns for one."""
    columns = _columns(fit)
    if columns is None:
        return None
    from ...inference.effects import effect

    variable, by = columns
    page = page_of(fit, effect(fit, variable, by))
    page.heading(short(fit.formula), "Points: observed. Line and band: fitted mean and its 95 % interval.")
    return page


def _columns(fit: Any) -> tuple[str, str] | None:
    """The column along the figure and the factor of its lines, where the model has no others."""
    from ...inference.columns import factor_names, numeric_names

    if fit.frame is None or fit.design.offset is not None:
        return None
    factors, numbers = factor_names(fit), numeric_names(fit)
    sizes = {name: len(fit.spec["columns"][name]["levels"]) for name in factors}
    if len(numbers) == 1 and len(factors) <= 1 and all(n <= len(COLOURS) for n in sizes.values()):
        return numbers[0], factors[0] if factors else ""
    if not numbers and 1 <= len(factors) <= 2 and max(sizes.values()) <= _LEVELS:
        along, lines = factors[0], factors[1] if len(factors) == 2 else ""
        if lines and sizes[lines] > sizes[along]:
            along, lines = lines, along
        return (along, lines) if not lines or sizes[lines] <= len(COLOURS) else None
    return None
