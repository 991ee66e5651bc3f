"""Cook's distance of every row, in the order of the table."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...inference.influence import cutoffs, measures
from ...inference.whitened import Whitened, row_numbers, whitened
from .marks import name_rows, require_linear, whitened_note
from .page import BLUE, MANY, SOFT, Page, dress, short


def draw(fit: Any) -> Page:
    """A line for each row."""
    require_linear(fit, "cooks")
    page = Page(7.2, 4.0)
    axes = page.subplots()
    panel(axes, fit, whitened(fit))
    page.heading(
        "Cook's distance",
        short(fit.formula),
        "How far all coefficients move together when the row is left out. Dotted: the median of F(rank, n - rank)."
        + whitened_note(fit),
    )
    return page


def panel(axes: Any, fit: Any, rows: Whitened) -> None:
    """The figure in one panel."""
    distance, numbers = measures(rows)["cooks_distance"], row_numbers(fit)
    top = float(np.nanmax(distance, initial=0.0))
    if len(distance) <= MANY:
        axes.vlines(numbers, 0.0, distance, color=BLUE, linewidth=1.2 if len(distance) < 200 else 0.6)
    else:
        axes.plot(numbers, distance, ",", color=BLUE)
    cut = cutoffs(rows.n, rows.rank)["cooks_distance"]
    if cut < 3.0 * top:
        axes.axhline(cut, color=SOFT, linewidth=0.9, linestyle=":")
    axes.set_ylim(0.0, 1.15 * max(top, cut if cut < 3.0 * top else 0.0) or 1.0)
    dress(axes, "row", "Cook's distance")
    name_rows(axes, numbers.astype(float), distance, numbers, distance)
