"""Residuals over leverage, with Cook's distance as contours: which rows hold the fit where it is?"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...inference.influence import cutoffs, measures
from ...inference.whitened import Whitened, row_numbers, whitened
from .marks import name_rows, quiet, require_linear, whitened_note
from .page import BLUE, INK, RED, SOFT, Page, cloud, dress, short

CONTOURS = (0.5, 1.0)


def draw(fit: Any) -> Page:
    """Standardised residuals over leverage."""
    require_linear(fit, "leverage")
    page = Page(7.2, 4.6)
    axes = page.subplots()
    rows = whitened(fit)
    panel(axes, fit, rows)
    full = int(np.sum(rows.leverage == 1.0))
    note = f" {full} rows of leverage 1 are not drawn." if full > 1 else ""
    note = " One row of leverage 1 is not drawn." if full == 1 else note
    page.heading(
        "Leverage",
        short(fit.formula),
        f"Red: Cook's distance {CONTOURS[0]:g} and {CONTOURS[1]:g}. Dotted: 3 times the mean leverage.{note}{whitened_note(fit)}",
    )
    return page


def panel(axes: Any, fit: Any, rows: Whitened) -> None:
    """The figure in one panel."""
    table = measures(rows)
    x, y = rows.leverage, table["standardized"]
    seen = np.isfinite(y) & (x < 1.0)
    if not seen.any():
        quiet(axes, "No row has a standardised residual.")
        return
    bound = max(3.2, 1.15 * float(np.abs(y[seen]).max()))
    cut = cutoffs(rows.n, rows.rank)["leverage"]
    low, high = float(x[seen].min()), float(x[seen].max())
    pad = 0.06 * (high - low) or 0.1 * high
    right = min(1.0, max(high + pad, min(cut * 1.1, 2.0 * high)))
    axes.axhline(0.0, color=INK, linewidth=0.8)
    if np.ptp(x[seen]) < 1e-8:
        _same(axes, fit, float(x[seen].mean()), y)
    else:
        cloud(axes, x[seen], y[seen])
        axes.axvline(cut, color=SOFT, linewidth=0.9, linestyle=":")
        _contours(axes, rows.rank, right, bound)
        axes.set_xlim(max(0.0, low - pad), right)
        dress(axes, "leverage", "standardised residual")
    axes.set_ylim(-bound, bound)
    if np.ptp(x[seen]) >= 1e-8:
        name_rows(axes, x, y, row_numbers(fit), np.where(seen, table["cooks_distance"], np.nan))


def _same(axes: Any, fit: Any, leverage: float, y: np.ndarray) -> None:
    """All rows have one leverage, a balanced design: residuals in the order of the rows say more."""
    rows = row_numbers(fit)
    axes.scatter(rows, y, s=14, color=BLUE, alpha=0.65, linewidths=0)
    dress(axes, f"row (every leverage is {leverage:.3g})", "standardised residual")
    name_rows(axes, rows.astype(float), y, rows, np.abs(y))


def _contours(axes: Any, rank: int, right: float, bound: float) -> None:
    h = np.linspace(1e-4, min(right, 0.9999), 400)
    for level, style in zip(CONTOURS, ("--", "-"), strict=True):
        size = np.sqrt(level * rank * (1.0 - h) / h)
        for sign in (1.0, -1.0):
            axes.plot(h, sign * size, color=RED, linewidth=1.0, linestyle=style)
        inside = np.flatnonzero(size < 0.97 * bound)
        if len(inside):
            at = inside[-1]
            axes.annotate(
                f"{level:g}",
                (h[at], size[at]),
                xytext=(-3, -3),
                textcoords="offset points",
                fontsize=7.5,
                color=RED,
                ha="right",
                va="top",
            )
