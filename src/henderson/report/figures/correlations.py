"""Correlations among the effects of a term (environments, traits) as a heat map, like beside like."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ModelError
from ...inference.genetic import correlation_matrix, group_named, sigma_of
from .page import INK, SIZE, SOFT, Page, short

ORDERS = ("cluster", "given")
_WRITTEN = 16
"""Effects up to which every number is written in its cell."""


def draw(fit: Any, term: str | None = None, order: str = "cluster") -> Page:
    """The matrix of `fit.genetic_correlations`, in the order of a clustering by average linkage of 1 - r, or as given.

    Raises
    ------
    ModelError : no such term or order; a term of one effect.
    """
    if order not in ORDERS:
        raise ModelError(f"correlations: order is 'cluster' or 'given', not {order!r}.")
    group = group_named(fit, term, "correlations", several=True)
    if group.m < 2:
        raise ModelError(f"correlations: {group.text} has one effect: there is nothing to be correlated.")
    matrix = correlation_matrix(sigma_of(fit, group)[0])
    places = arranged(matrix) if order == "cluster" else np.arange(group.m)
    shown = matrix[np.ix_(places, places)]
    names = [_short(group.effects[i]) for i in places]
    side = float(np.clip(0.42 * group.m + 2.2, 4.6, 11.0))
    page = Page(side + 0.8, side + 0.4)
    axes = page.subplots()
    drawn = axes.imshow(
        np.ma.masked_invalid(shown), cmap="RdBu_r", vmin=-1.0, vmax=1.0, interpolation="nearest"
    )
    size = float(np.clip(120.0 / group.m, 4.0, SIZE - 1))
    axes.set_xticks(range(group.m), names, rotation=90, fontsize=size)
    axes.set_yticks(range(group.m), names, fontsize=size)
    axes.tick_params(colors=INK, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if group.m <= _WRITTEN:
        for i in range(group.m):
            for j in range(group.m):
                if i != j and np.isfinite(shown[i, j]):
                    dark = abs(shown[i, j]) > 0.65
                    axes.text(
                        j,
                        i,
                        f"{shown[i, j]:.2f}",
                        ha="center",
                        va="center",
                        fontsize=7,
                        color="white" if dark else INK,
                    )
    bar = page.colorbar(drawn, ax=axes, pad=0.02, aspect=35, shrink=0.8)
    bar.ax.tick_params(labelsize=SIZE - 2, color=SOFT)
    bar.outline.set_visible(False)  # type: ignore[operator]
    how = " Order: clusters of like effects." if order == "cluster" and group.m > 2 else ""
    empty = " White: a variance estimated as 0." if np.isnan(matrix).any() else ""
    page.heading("Correlations of the effects", short(group.text), f"Of {short(fit.formula)}.{how}{empty}")
    return page


def arranged(matrix: np.ndarray) -> np.ndarray:
    """The order of the leaves of a clustering by 1 - r (average linkage, leaves turned so that neighbours are alike); effects
    without a variance last."""
    live = np.flatnonzero(np.isfinite(np.diag(matrix)))
    rest = np.setdiff1d(np.arange(len(matrix)), live)
    if len(live) < 3:
        return np.append(live, rest)
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    apart = 1.0 - matrix[np.ix_(live, live)]
    np.fill_diagonal(apart, 0.0)
    tree = linkage(
        squareform(np.maximum(0.5 * (apart + apart.T), 0.0), checks=False), "average", optimal_ordering=True
    )
    return np.append(live[leaves_list(tree)], rest)


def _short(effect: str) -> str:
    """The level alone of an effect such as env[A]."""
    return effect[effect.index("[") + 1 : -1] if effect.endswith("]") and "[" in effect else effect
