"""The semivariogram of the residuals, with the fitted model's curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...inference.variogram import variogram
from .dependence import kinds_of, note, side_by_side
from .page import BLUE, RED, SOFT, Page, short


def draw(
    fit: Any,
    coordinates: str | Sequence[str] | None = None,
    groups: str | None = None,
    kind: str | None = None,
    **options: Any,
) -> Page:
    """A point for each class of distances, its size by the number of pairs; of a gls fit Pearson residuals with the
    model's curve, and whitened ones beside them.
    """
    kinds = kinds_of(fit, kind, "variogram")
    tables = [variogram(fit, coordinates, groups, kind=each, **options) for each in kinds]
    page, panels = side_by_side(kinds, tables, ("distance", "semivariance"), _panel)
    top = max(float(table["semivariance"].max(initial=0.0)) for table in tables)
    panels[0].set_ylim(0.0, 1.12 * max(top, 0.0 if kinds == ("response",) else 1.0) or 1.0)
    page.heading(
        "Semivariogram of the residuals",
        short(fit.formula),
        "Points: mean of half the squared differences in each class of distances, larger for more pairs."
        + note(kinds, tables, "lie about 1"),
    )
    return page


def _panel(axes: Any, table: dict[str, Any], kind: str) -> None:
    distance, value, pairs = table["distance"], table["semivariance"], table["n_pairs"]
    most = max(int(pairs.max(initial=1)), 1)
    axes.scatter(
        distance, value, s=12.0 + 48.0 * pairs / most, color=BLUE, alpha=0.75, linewidths=0, zorder=3
    )
    if kind != "response":
        axes.axhline(1.0, color=SOFT, linewidth=0.9, linestyle=":")
    if "model" in table:
        order = np.argsort(distance)
        axes.plot(distance[order], table["model"][order], color=RED, linewidth=1.6)
    axes.set_xlim(0.0, 1.04 * float(distance.max(initial=1.0)) or 1.0)
