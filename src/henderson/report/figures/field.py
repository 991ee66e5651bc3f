"""A field trial as it lies on the ground: response, spatial trend, residual, plot by plot."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...inference.field import FieldGrid, contribution, grid_of, spatial_terms
from .page import INK, SIZE, SOFT, Page, short

_TRIALS = 6
"""Trials that are drawn."""
_TICKS = 12


def draw(
    fit: Any,
    row: str | None = None,
    col: str | None = None,
    by: str | None = None,
    kind: str = "response",
    data: Any = None,
) -> Page:
    """A panel each for the response, the trend (the fitted values, where no term is a function of the place), and the residuals; a
    row of them for each trial."""
    grid = grid_of(fit, row, col, by, data)
    trend = spatial_terms(fit, grid)
    residual = _used(fit, fit.residuals_as(kind))
    middle = contribution(fit, trend) if trend else _used(fit, fit.fitted)
    named = "spatial trend" if trend else "fitted"
    panels = [
        (f"response: {fit.design.response}", np.asarray(fit.design.y), False),
        (named, middle, bool(trend)),
        ("residual" if kind == "response" else f"{kind} residual", residual, True),
    ]
    count = min(len(grid.labels), _TRIALS)
    aspect = grid.shape[0] / max(grid.shape[1], 1)
    page = Page(11.0, count * float(np.clip(3.2 * aspect, 2.4, 6.5)) + 0.9)
    axes = page.subplots(count, 3, squeeze=False)
    for g in range(count):
        for at, (title, values, centred) in zip(axes[g], panels, strict=True):
            label = f"{grid.labels[g]}: {title}" if len(grid.labels) > 1 else title
            _panel(page, at, grid, grid.spread(values, g), label, centred, values)
    texts = " + ".join(dict.fromkeys(fit.labels.terms[k].text for k in trend))
    more = len(grid.labels) - count
    page.heading(
        "The field",
        short(fit.formula),
        (f"Spatial trend: BLUPs of {short(texts)}. " if trend else "")
        + "White: no plot."
        + (f" {more} more trials are not drawn." if more > 0 else ""),
    )
    return page


def _used(fit: Any, values: np.ndarray) -> np.ndarray:
    return values if fit.design.rows is None else values[fit.design.rows]


def _panel(
    page: Page, axes: Any, grid: FieldGrid, values: np.ndarray, title: str, centred: bool, every: np.ndarray
) -> None:
    size = max(float(np.nanmax(np.abs(every))), 1e-300)
    limits = (-size, size) if centred else (float(np.nanmin(every)), float(np.nanmax(every)))
    drawn = axes.imshow(
        np.ma.masked_invalid(values),
        cmap="RdBu_r" if centred else "viridis",
        vmin=limits[0],
        vmax=limits[1],
        aspect="auto",
        interpolation="nearest",
    )
    axes.set_title(title, fontsize=SIZE, color=INK, loc="left", fontweight="bold")
    axes.set_xlabel(grid.col, fontsize=SIZE, color=INK)
    axes.set_ylabel(grid.row, fontsize=SIZE, color=INK)
    for axis, levels in ((axes.xaxis, grid.cols), (axes.yaxis, grid.rows)):
        step = max(1, -(-len(levels) // _TICKS))
        at = np.arange(0, len(levels), step)
        axis.set_ticks(at, [f"{levels[i]:g}" if levels.dtype.kind == "f" else str(levels[i]) for i in at])
    axes.tick_params(colors=INK, labelsize=SIZE - 2, length=2, color=SOFT)
    for side in axes.spines.values():
        side.set_visible(False)
    bar = page.colorbar(drawn, ax=axes, pad=0.02, aspect=25)
    bar.ax.tick_params(labelsize=SIZE - 2, color=SOFT)
    bar.outline.set_visible(False)  # type: ignore[operator]
