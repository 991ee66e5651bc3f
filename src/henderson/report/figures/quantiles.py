"""Normal quantile plots: are the residuals and the random effects as normal as the model takes them to be?"""

from __future__ import annotations

from typing import Any

import numpy as np

from .marks import is_linear, name_rows, whitened_note
from .page import BLUE, FAINT, GRID, INK, MANY, RED, Page, dress, grid_shape, short

PANELS = 9


def draw(fit: Any, level: float = 0.95) -> Page:
    """Of a linear fit its standardised residuals, with both bands; of a mixed one residuals and random effects."""
    return _linear(fit, level) if is_linear(fit) else _mixed(fit)


def _linear(fit: Any, level: float) -> Page:
    page = Page(6.2, 5.4)
    axes = page.subplots()
    outside = linear_panel(axes, fit, level)
    said = "No residual is outside it." if not outside else f"{outside} outside it."
    page.heading(
        "Normal quantile plot of the residuals",
        short(fit.formula),
        f"Dark grey: where {100 * level:g} % of the values of a model with normal errors lie, point by point. Light grey: where"
        f" all of them lie together in {100 * level:g} % of data sets. {said}{whitened_note(fit)}",
    )
    return page


def linear_panel(axes: Any, fit: Any, level: float = 0.95) -> int:
    """Standardised residuals of a linear fit in their bands; how many drawn lie outside the simultaneous one."""
    from ...inference.influence import measures
    from ...inference.qq import bands
    from ...inference.student import require_level
    from ...inference.whitened import row_numbers, whitened

    require_level(level, "qq")
    rows = whitened(fit)
    values = measures(rows)["standardized"]
    order = np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]
    if len(order) < 3:
        return 0
    band = bands(rows, level)
    x, y = band.quantile, values[order][band.place]
    axes.fill_between(x, band.low_all, band.high_all, color=GRID, linewidth=0, zorder=1)
    axes.fill_between(x, band.low, band.high, color=FAINT, alpha=0.7, linewidth=0, zorder=1)
    axes.plot(x, x, color=RED, linewidth=1.2, zorder=2)
    axes.scatter(x, y, s=12 if len(order) < 500 else 6, color=BLUE, alpha=0.8, linewidths=0, zorder=3)
    dress(axes, "normal quantile", "standardised residual")
    if len(x) == len(order):
        name_rows(axes, x, y, row_numbers(fit)[order], np.abs(y))
    return int(np.sum((y < band.low_all) | (y > band.high_all)))


def _mixed(fit: Any) -> Page:
    """Residuals and, over their own standard deviations, the BLUPs of each effect."""
    samples = [("Residuals", _finite(fit.residuals_as("pearson")))]
    solution = fit.solution
    priors = getattr(solution, "prior_diagonals", None) or [np.ones(len(u)) for u in solution.u]
    for term, u, pev, sigma, prior in zip(
        fit.labels.terms, solution.u, solution.prediction_error, solution.covariances, priors, strict=True
    ):
        for i, effect in enumerate(term.effects):
            # Var(u^) = Var(u) - PEV: a BLUP is shrunk, the more the less is known of its level.
            spread = np.sqrt(np.maximum(prior * sigma[i, i] - pev[:, i, i], 0.0))
            known = spread > 1e-8 * np.sqrt(sigma[i, i]) if sigma[i, i] > 0 else np.zeros(len(u), dtype=bool)
            if known.sum() > 2:
                samples.append((f"{effect} | {term.group}", u[known, i] / spread[known]))
    more = len(samples) - PANELS
    samples = samples[:PANELS]
    rows, columns = grid_shape(len(samples), 1.8)
    page = Page(max(3.4 * columns, 4.4), max(3.3 * rows, 3.9) + 0.5)
    panels = page.subplots(rows, columns, squeeze=False)
    for axes, (name, values) in zip(panels.flat, samples, strict=False):
        panel(axes, values)
        dress(axes, "normal quantile", "", f"{name} ({len(values)})")
    for axes in list(panels.flat)[len(samples) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("value / its standard deviation", fontsize=9, color=INK)
    note = f" {more} more effects are not drawn." if more > 0 else ""
    page.heading(
        "Normal quantile plots",
        short(fit.formula),
        f"Grey: where 95 % of normal values lie, point by point.{note}",
    )
    return page


def panel(axes: Any, values: np.ndarray) -> None:
    """Values in the pointwise 95 % band of normal ones."""
    from scipy.special import betaincinv, ndtri

    values = np.sort(values)
    n = len(values)
    at = np.arange(1, n + 1) if n <= MANY else np.unique(np.geomspace(1, n / 2, 400).astype(int))
    if n > MANY:
        at = np.unique(np.concatenate([at, n + 1 - at, np.linspace(1, n, 400).astype(int)]))
    quantile = ndtri((at - 0.375) / (n + 0.25))
    low, high = (ndtri(betaincinv(at, n + 1 - at, p)) for p in (0.025, 0.975))
    axes.fill_between(quantile, low, high, color=GRID, linewidth=0, zorder=1)
    axes.plot(quantile, quantile, color=RED, linewidth=1.2, zorder=2)
    axes.scatter(
        quantile, values[at - 1], s=12 if n < 500 else 6, color=BLUE, alpha=0.8, linewidths=0, zorder=3
    )


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]
