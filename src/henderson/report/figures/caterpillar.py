"""The caterpillar plot: every level's BLUP in order, with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ModelError
from .page import BLUE, FAINT, INK, SOFT, Page, dress, short

LABELLED = 60
"""Levels up to which each has its name at the axis."""
DRAWN = 10_000
"""Levels up to which each is drawn; of more, as many at even steps of their order."""
PANELS = 12
_Z = 1.959963984540054


def draw(fit: Any) -> Page:
    """A panel for each effect of each term. Levels of one term are in the order of its first effect in
    every panel.

    Raises
    ------
    ModelError : a fit without random effects.
    """
    if not fit.labels.terms:
        raise ModelError(
            f"random_effects: {fit.formula} has no random effects; hd.lmm fits them, as (1 | group) in the formula."
        )
    panels = []
    for term, u, pev in zip(fit.labels.terms, fit.solution.u, fit.solution.prediction_error, strict=True):
        order = np.argsort(u[:, 0], kind="stable")
        if len(order) > DRAWN:
            order = order[np.linspace(0, len(order) - 1, DRAWN).astype(np.int64)]
        names = [str(v) for v in term.levels] if len(u) <= LABELLED else None
        for i, effect in enumerate(term.effects):
            error = np.sqrt(np.maximum(pev[:, i, i], 0.0))
            labels = [names[j] for j in order] if names else None
            panels.append((f"{effect} | {term.group}", u[order, i], error[order], labels, i == 0, len(u)))
    more = len(panels) - PANELS
    panels = panels[:PANELS]
    tallest = max(len(values) if len(values) <= LABELLED else 34 for _, values, *_ in panels)
    rows = -(-len(panels) // 4)
    columns = -(-len(panels) // rows)
    page = Page(max(3.0 * columns + 0.6, 4.6), rows * min(max(2.6, 0.17 * tallest + 0.8), 10.0) + 0.7)
    grid = page.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, *panel)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    note = f" {more} more effects are not drawn." if more > 0 else ""
    page.heading("Random effects", short(fit.formula), f"BLUP and 95 % interval (from PEV).{note}")
    return page


def _panel(
    axes: Any,
    name: str,
    values: np.ndarray,
    error: np.ndarray,
    labels: list[str] | None,
    first: bool,
    count: int,
) -> None:
    at = np.arange(len(values))
    few = len(values) <= LABELLED
    color, width, size = (SOFT, 1.2, 16) if few else (FAINT, 0.5, 2.5)
    axes.hlines(at, values - _Z * error, values + _Z * error, color=color, linewidth=width)
    axes.scatter(values, at, s=size, color=BLUE, linewidths=0, zorder=3)
    axes.axvline(0.0, color=INK, linewidth=0.8)
    dress(axes, "", "", name)
    axes.grid(False, axis="y")
    axes.set_ylim(-0.8, len(values) - 0.2)
    if labels:
        axes.set_yticks(at, labels if first else [""] * len(at), fontsize=7.5)
        axes.tick_params(axis="y", length=0 if not first else 2)
    else:
        axes.set_yticks([])
        said = f"{count:,} levels" + ("" if count == len(values) else f", {len(values):,} drawn")
        axes.set_ylabel(said if first else "", fontsize=9, color=INK)
