"""The semivariogram of the residuals, with the fitted model's curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...inference.variogram import variogram
from .leverage import require_linear
from .marks import sides
from .page import BLUE, RED, SOFT, Page, dress, short


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
    require_linear(fit, "variogram")
    kinds = sides(fit, kind)
    tables = [variogram(fit, coordinates, groups, kind=each, **options) for each in kinds]
    page = Page(6.6 if len(kinds) == 1 else 9.6, 4.2)
    panels = page.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    for axes, each, table in zip(panels, kinds, tables, strict=True):
        _panel(axes, table, each != "response")
        dress(axes, "distance", "semivariance" if axes is panels[0] else "", f"{each.capitalize()} residuals")
    top = max(float(table["semivariance"].max(initial=0.0)) for table in tables)
    panels[0].set_ylim(0.0, 1.12 * max(top, 0.0 if kinds == ("response",) else 1.0) or 1.0)
    said = " Red: by the fitted correlation." if any("model" in table for table in tables) else ""
    white = " Normalized ones should lie about 1." if len(kinds) > 1 else ""
    page.heading(
        "Semivariogram of the residuals",
        short(fit.formula),
        f"Points: mean of half the squared differences in each class of distances, larger for more pairs.{said}{white}",
    )
    return page


def _panel(axes: Any, table: dict[str, Any], scaled: bool) -> None:
    distance, value, pairs = table["distance"], table["semivariance"], table["n_pairs"]
    most = max(int(pairs.max(initial=1)), 1)
    axes.scatter(
        distance, value, s=12.0 + 48.0 * pairs / most, color=BLUE, alpha=0.75, linewidths=0, zorder=3
    )
    if scaled:
        axes.axhline(1.0, color=SOFT, linewidth=0.9, linestyle=":")
    if "model" in table:
        order = np.argsort(distance)
        axes.plot(distance[order], table["model"][order], color=RED, linewidth=1.6)
    axes.set_xlim(0.0, 1.04 * float(distance.max(initial=1.0)) or 1.0)
