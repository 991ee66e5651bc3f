"""Added-variable plots: what each column of X adds to all the others, and which rows it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ModelError, closest
from ...inference.added import added_variable
from ...inference.whitened import row_numbers, whitened
from .marks import name_rows, require_linear
from .page import RED, Page, cloud, dress, grid_shape, short

PANELS = 12


def draw(fit: Any, terms: str | Sequence[str] | None = None) -> Page:
    """A panel for each coefficient asked for; all but the intercept where none is."""
    require_linear(fit, "added_variable")
    names = [fit.columns.names[j] for j in fit.columns.kept]
    wanted = _wanted(names, terms)
    more = len(wanted) - PANELS
    wanted = wanted[:PANELS]
    rows = whitened(fit)
    height, width = grid_shape(len(wanted), 1.4)
    page = Page(max(3.1 * width + 0.4, 5.0), max(2.8 * height + 0.9, 4.4))
    panels = page.subplots(height, width, squeeze=False)
    for axes, j in zip(panels.flat, wanted, strict=False):
        x, y = added_variable(rows, fit.coefficients, j)
        cloud(axes, x, y)
        ends = np.array([x.min(), x.max()])
        axes.plot(ends, fit.coefficients[j] * ends, color=RED, linewidth=1.5)
        dress(axes, f"{short(names[j], 30)} | others", f"{short(fit.design.response, 24)} | others")
        name_rows(axes, x, y, row_numbers(fit), np.abs(x * rows.residuals), 2)
    for axes in list(panels.flat)[len(wanted) :]:
        axes.set_visible(False)
    note = f" {more} more are not drawn." if more > 0 else ""
    page.heading(
        "Added-variable plots",
        short(fit.formula),
        f"What the other columns leave of the response and of each column. The slope of the line is the coefficient.{note}",
    )
    return page


def _wanted(names: list[str], terms: str | Sequence[str] | None) -> list[int]:
    if terms is None:
        return [j for j, name in enumerate(names) if name != "(Intercept)"] or list(range(len(names)))
    out = []
    for term in [terms] if isinstance(terms, str) else terms:
        if term not in names:
            near = closest(term, names)
            hint = f"The closest is '{near}'." if near else f"There are {', '.join(names)}."
            raise ModelError(f"added_variable: the fit has no coefficient {term!r}. {hint}")
        out.append(names.index(term))
    return out
