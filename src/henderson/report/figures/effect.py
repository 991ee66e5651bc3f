"""Effect plots: the fitted mean along one column, with partial residuals around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .marks import COLOURS
from .page import INK, MANY, Page, dress, short

if TYPE_CHECKING:
    from ...inference.effects import Effect

_MOST = len(COLOURS)
"""Lines in one panel."""


def draw(fit: Any, variable: str, by: str | None = None, level: float = 0.95, partial: bool = True) -> Page:
    """The mean along `variable`, a line for each level of `by`."""
    from ...inference.effects import effect

    shown = effect(fit, variable, by, level)
    page = page_of(fit, shown, partial)
    said = "Points: partial residuals. " if partial else ""
    held = f"Held: {shown.held}." if shown.held else ""
    more = len(shown.lines) - _MOST
    dropped = f" {more} more levels of {shown.by} are not drawn." if more > 0 else ""
    missing = " Where there is no line the mean is not estimable." if np.isnan(shown.estimate).any() else ""
    page.heading(
        f"Effect of {variable}" + (f" by {shown.by}" if shown.by else ""),
        short(fit.formula),
        f"{said}Line and band: mean and {100 * level:g} % interval. {held}{dropped}{missing}",
    )
    return page


def page_of(fit: Any, shown: Effect, points: bool = True) -> Page:
    """A page with `panel`, as wide as its levels need."""
    wide = 7.2 if shown.levels is None else min(max(5.6, 0.75 * len(shown.levels) + 2.0), 13.0)
    page = Page(wide, 4.8)
    axes = page.subplots()
    panel(axes, shown, points)
    dress(axes, shown.variable, fit.design.response)
    return page


def panel(axes: Any, shown: Effect, points: bool = True) -> None:
    """Lines with bands, or means with bars for a factor, over the partial residuals."""
    count = min(len(shown.lines), _MOST)
    for i in range(count):
        colour = COLOURS[i]
        mine = shown.line == i
        label = shown.lines[i] if shown.by else None
        if shown.levels is None:
            if points:
                _points(axes, shown.x[mine], shown.partial[mine], colour, len(shown.x))
            line = COLOURS[1] if not shown.by else colour
            at = np.ones(len(shown.at), dtype=bool)
            if mine.any():
                # A line stays where its level was seen.
                at = (shown.at >= shown.x[mine].min()) & (shown.at <= shown.x[mine].max())
            low, high = shown.low[i][at], shown.high[i][at]
            axes.fill_between(shown.at[at], low, high, color=line, alpha=0.18, linewidth=0)
            axes.plot(shown.at[at], shown.estimate[i][at], color=line, linewidth=1.8, label=label)
        else:
            shift = 0.0 if count == 1 else 0.36 * (i / (count - 1) - 0.5)
            if points:
                jitter = np.random.default_rng(i + 1).uniform(-0.05, 0.05, int(mine.sum()))
                _points(axes, shown.x[mine] + shift + jitter, shown.partial[mine], colour, len(shown.x))
            bar = COLOURS[1] if not shown.by else colour
            axes.errorbar(
                shown.at + shift,
                shown.estimate[i],
                shown.high[i] - shown.estimate[i],
                fmt="o",
                color=bar,
                markersize=5,
                markerfacecolor="white",
                elinewidth=2.0,
                markeredgewidth=1.4,
                zorder=4,
                label=label,
            )
            if count > 1:
                axes.plot(shown.at + shift, shown.estimate[i], color=bar, linewidth=0.8, alpha=0.7)
    if shown.levels is not None:
        names = [short(str(v), 16) for v in shown.levels]
        crowded = sum(len(n) for n in names) > 80
        axes.set_xticks(range(len(names)), names, rotation=90 if crowded else 0)
        axes.set_xlim(-0.6, len(names) - 0.4)
    if shown.by:
        axes.legend(
            title=shown.by,
            title_fontsize=8,
            frameon=False,
            fontsize=8,
            labelcolor=INK,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
        )


def _points(axes: Any, x: np.ndarray, y: np.ndarray, colour: str, total: int) -> None:
    size, alpha = (20, 0.55) if total < 300 else (9, 0.45) if total < 1500 else (3, 0.3)
    rasterized = total > MANY
    axes.scatter(x, y, s=size, color=colour, alpha=alpha, linewidths=0, rasterized=rasterized)
