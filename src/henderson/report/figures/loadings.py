"""The factors of an fa or rr term: loadings of the environments (with the scores of the levels around them), and what they explain."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...inference.genetic import Factors, factors_of
from .correlations import _short
from .page import BLUE, FAINT, INK, RED, SIZE, SOFT, Page, dress, short


def draw(fit: Any, term: str | None = None, rotation: str = "principal") -> Page:
    """A biplot of the first two factors (bars, where there is one), beside the per cent of variance that each effect's factors explain."""
    found = factors_of(fit, term, rotation)
    m = len(found.loadings)
    page = Page(10.4, float(np.clip(0.26 * m + 2.6, 4.8, 11.0)))
    left, right = page.subplots(1, 2, width_ratios=(1.5, 1.0))
    if found.loadings.shape[1] > 1:
        _biplot(left, found)
    else:
        _bars(left, found)
    _explained(right, found)
    how = "as estimated" if rotation == "none" else f"{rotation} rotation"
    said = "Grey: scores of the levels, on a scale of their own. " if found.loadings.shape[1] > 1 else ""
    page.heading(
        "Factors",
        short(found.group.text),
        f"Loadings, {how}. {said}The factors explain {found.by_factor.sum():.1f} % of the variance of all effects.",
    )
    return page


def _biplot(axes: Any, found: Factors) -> None:
    points, scores = found.loadings[:, :2], found.scores[:, :2]
    reach = float(np.abs(points).max()) or 1.0
    widest = float(np.abs(scores).max(initial=0.0)) or 1.0
    axes.scatter(*(0.9 * reach / widest * scores).T, s=10, color=FAINT, linewidths=0, zorder=2)
    for (x, y), effect in zip(points, found.group.effects, strict=True):
        axes.annotate(
            "", (x, y), (0.0, 0.0), arrowprops={"arrowstyle": "->", "color": BLUE, "linewidth": 1.1}, zorder=3
        )
        axes.annotate(
            _short(effect),
            (x, y),
            xytext=(3 if x >= 0 else -3, 3),
            textcoords="offset points",
            ha="left" if x >= 0 else "right",
            fontsize=SIZE - 1.5,
            color=INK,
        )
    axes.scatter(*points.T, s=14, color=BLUE, linewidths=0, zorder=4)
    for line in (axes.axhline, axes.axvline):
        line(0.0, color=SOFT, linewidth=0.8)
    axes.margins(0.12)
    share = found.by_factor
    dress(axes, f"factor 1 ({share[0]:.1f} %)", f"factor 2 ({share[1]:.1f} %)", "Loadings")


def _bars(axes: Any, found: Factors) -> None:
    order = np.argsort(found.loadings[:, 0], kind="stable")
    axes.barh(np.arange(len(order)), found.loadings[order, 0], color=BLUE, height=0.7)
    axes.set_yticks(
        np.arange(len(order)), [_short(found.group.effects[i]) for i in order], fontsize=SIZE - 1.5
    )
    axes.axvline(0.0, color=INK, linewidth=0.8)
    dress(axes, f"factor 1 ({found.by_factor[0]:.1f} %)", "", "Loadings")
    axes.grid(False, axis="y")


def _explained(axes: Any, found: Factors) -> None:
    percent = np.nan_to_num(found.percent)
    order = np.argsort(percent, kind="stable")
    at = np.arange(len(order))
    axes.barh(at, percent[order], color=BLUE, height=0.7)
    axes.barh(at, 100.0 - percent[order], left=percent[order], color=FAINT, height=0.7)
    axes.axvline(float(found.by_factor.sum()), color=RED, linewidth=1.2)
    axes.set_yticks(at, [_short(found.group.effects[i]) for i in order], fontsize=SIZE - 1.5)
    axes.set_xlim(0.0, 100.0)
    dress(axes, "% of variance (red: of all effects)", "", "Explained by the factors")
    axes.grid(False, axis="y")
