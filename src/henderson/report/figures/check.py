"""One page to look at before a fit is believed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...inference.whitened import row_numbers, used
from . import cooks, leverage, quantiles, residuals, scale_location
from .fitted import observed_panel
from .marks import is_linear, name_rows, standardized, whitened_note
from .page import INK, RED, SIZE, SOFT, Page, dress, short


def draw(fit: Any) -> Page:
    """Of a linear fit: residuals, quantiles, scale, leverage, Cook's distance and the tests; of a mixed one: residuals,
    quantiles, scale, observed against fitted.
    """
    return _linear(fit) if is_linear(fit) else _mixed(fit)


def _linear(fit: Any) -> Page:
    from ...inference.whitened import whitened

    page = Page(11.0, 7.0)
    grid = page.subplots(2, 3)
    rows = whitened(fit)
    _residuals(grid[0, 0], fit)
    quantiles.linear_panel(grid[0, 1], fit)
    grid[0, 1].set_title("Normal quantiles", **_TITLE)
    scale_location.panel(grid[0, 2], fit)
    grid[0, 2].set_title("Scale-location", **_TITLE)
    leverage.panel(grid[1, 0], fit, rows)
    grid[1, 0].set_title("Leverage, with Cook's distance 0.5 and 1", **_TITLE)
    cooks.panel(grid[1, 1], fit, rows)
    grid[1, 1].set_title("Cook's distance", **_TITLE)
    _tests(grid[1, 2], fit)
    grid[1, 2].set_title("Tests", **_TITLE)
    page.heading(
        "Check of the model",
        short(fit.formula, 150),
        f"{rows.n:,} rows, {rows.rank} coefficients. Red: running mean, dashed with the standard deviation. Numbers beside"
        f" points are rows of the table, the first is 0.{whitened_note(fit)}",
    )
    return page


def _mixed(fit: Any) -> Page:
    page = Page(8.6, 7.2)
    grid = page.subplots(2, 2)
    _residuals(grid[0, 0], fit)
    values = standardized(fit)
    quantiles.panel(grid[0, 1], values[np.isfinite(values)])
    dress(grid[0, 1], "normal quantile", "residual / its standard deviation", "Normal quantiles")
    scale_location.panel(grid[1, 0], fit)
    grid[1, 0].set_title("Scale-location", **_TITLE)
    observed_panel(grid[1, 1], fit)
    grid[1, 1].set_title("Observed against fitted", **_TITLE)
    page.heading(
        "Check of the model",
        short(fit.formula, 120),
        f"{fit.nobs:,} rows. Red: running mean, dashed with the standard deviation. Numbers beside points are rows of the table,"
        " the first is 0. fit.plot.qq() has the random effects too.",
    )
    return page


_TITLE: dict[str, Any] = {"fontsize": SIZE, "color": INK, "loc": "left", "fontweight": "bold"}


def _residuals(axes: Any, fit: Any) -> None:
    x, e = used(fit, fit.fitted), standardized(fit)
    residuals.panel(axes, x, e, legend=False)
    dress(axes, f"fitted {fit.design.response}", "standardised residual", "Residuals")
    name_rows(axes, x, e, row_numbers(fit), np.abs(e))


def _tests(axes: Any, fit: Any) -> None:
    """The tests in words, those that fail in red."""
    import textwrap

    from ...inference.diagnostics import diagnostics
    from ...inference.diagnostics.outcome import LEVEL

    table = diagnostics(fit)
    axes.set_axis_off()
    lines: list[tuple[str, float, str, bool]] = []
    for name, p, says in zip(table["test"], table["p_value"], table["says"], strict=True):
        lines.append((short(name, 62), 7.0, SOFT, False))
        wrapped = textwrap.wrap(says, 56)
        lines += [(line, 8.0, RED if p < LEVEL else INK, p < LEVEL) for line in wrapped]
        lines.append(("", 0.0, INK, False))
    # A blank takes 0.4 of a line.
    step = min(0.06, 1.0 / sum(1.0 if line[0] else 0.4 for line in lines))
    at = 0.98
    for text, size, colour, bold in lines:
        if text:
            weight = "bold" if bold else "normal"
            axes.text(
                0.0,
                at,
                text,
                fontsize=size,
                color=colour,
                fontweight=weight,
                va="top",
                transform=axes.transAxes,
            )
        at -= step if text else 0.4 * step
