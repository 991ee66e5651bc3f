"""Autocorrelations of the residuals by lag: what the model has to explain, and what it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...inference.acf import acf
from .dependence import kinds_of, note, side_by_side
from .page import BLUE, GRID, INK, RED, Page, short


def draw(
    fit: Any,
    time: str | None = None,
    groups: str | None = None,
    kind: str | None = None,
    level: float = 0.95,
    **options: Any,
) -> Page:
    """A bar for each lag; of a gls fit Pearson residuals with the model's curve, and whitened ones beside them."""
    kinds = kinds_of(fit, kind, "acf")
    tables = [acf(fit, time, groups, kind=each, level=level, **options) for each in kinds]
    page, panels = side_by_side(kinds, tables, ("lag", "autocorrelation"), _panel)
    for axes in panels:
        axes.grid(False, axis="x")
    low = min(_lowest(table) for table in tables)
    panels[0].set_ylim(min(-0.1, 1.1 * low), 1.08)
    page.heading(
        "Autocorrelation of the residuals",
        short(fit.formula),
        f"Grey: where {100 * level:g} % of independent residuals lie, lag by lag."
        + note(kinds, tables, "show nothing"),
    )
    return page


def _panel(axes: Any, table: dict[str, Any], kind: str) -> None:
    lag, value, bound = table["lag"], table["acf"], table["bound"]
    seen = np.isfinite(bound)
    axes.fill_between(
        lag[seen], -bound[seen], bound[seen], color=GRID, linewidth=0, step="mid" if seen.sum() > 2 else None
    )
    axes.vlines(lag, 0.0, value, color=BLUE, linewidth=2.4 if len(lag) < 40 else 1.2)
    axes.axhline(0.0, color=INK, linewidth=0.8)
    if "model" in table:
        axes.plot(lag, table["model"], color=RED, linewidth=1.3, marker="o", markersize=3.5)


def _lowest(table: dict[str, Any]) -> float:
    parts = [table["acf"], -table["bound"], table.get("model", table["acf"])]
    return float(np.nanmin(np.concatenate(parts)))
