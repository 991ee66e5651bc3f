"""Autocorrelations of the residuals by lag: what the model has to explain, and what it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...inference.acf import acf
from .leverage import require_linear
from .marks import sides
from .page import BLUE, GRID, INK, RED, Page, dress, short


def draw(
    fit: Any,
    time: str | None = None,
    groups: str | None = None,
    kind: str | None = None,
    level: float = 0.95,
    **options: Any,
) -> Page:
    """A bar for each lag; of a gls fit Pearson residuals with the model's curve, and whitened ones beside them."""
    require_linear(fit, "acf")
    kinds = sides(fit, kind)
    tables = [acf(fit, time, groups, kind=each, level=level, **options) for each in kinds]
    page = Page(6.6 if len(kinds) == 1 else 9.6, 4.2)
    panels = page.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    for axes, each, table in zip(panels, kinds, tables, strict=True):
        _panel(axes, table)
        dress(axes, "lag", "autocorrelation" if axes is panels[0] else "", f"{each.capitalize()} residuals")
        axes.grid(False, axis="x")
    low = min(_lowest(table) for table in tables)
    panels[0].set_ylim(min(-0.1, 1.1 * low), 1.08)
    said = " Red: by the fitted correlation." if any("model" in table for table in tables) else ""
    white = " Normalized ones should show nothing." if len(kinds) > 1 else ""
    page.heading(
        "Autocorrelation of the residuals",
        short(fit.formula),
        f"Grey: where {100 * level:g} % of independent residuals lie, lag by lag.{said}{white}",
    )
    return page


def _panel(axes: Any, table: dict[str, Any]) -> None:
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
