"""Residuals against fitted values: is the spread the same everywhere, is there a bend left?"""

from __future__ import annotations

from typing import Any

import numpy as np

from .page import INK, RED, SOFT, Page, cloud, dress, short


def draw(fit: Any) -> Page:
    """Pearson residuals over fitted values, with their running mean and standard deviation."""
    fitted, residual = fit.fitted, fit.residuals_as("pearson")
    seen = np.isfinite(fitted)
    fitted, residual = fitted[seen], residual[seen]
    page = Page(7.2, 4.6)
    axes = page.subplots()
    cloud(axes, fitted, residual)
    axes.axhline(0.0, color=INK, linewidth=0.8)
    middle, mean, spread = _running(fitted, residual)
    if len(middle) > 1:
        axes.plot(middle, mean, color=RED, linewidth=1.8, label="running mean")
        axes.plot(
            middle, mean - spread, color=RED, linewidth=1.0, linestyle="--", label="± standard deviation"
        )
        axes.plot(middle, mean + spread, color=RED, linewidth=1.0, linestyle="--")
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left", ncols=2)
    for level in (-2.0, 2.0):
        axes.axhline(level, color=SOFT, linewidth=0.7, linestyle=":")
    bound = max(3.2, 1.15 * float(np.abs(residual).max(initial=0.0)))
    axes.set_ylim(-bound, bound)
    dress(axes, f"fitted {fit.labels.response}", "residual / its standard deviation")
    beyond = int(np.sum(np.abs(residual) > 2.0))
    share = 100.0 * beyond / max(len(residual), 1)
    page.heading(
        "Residuals against fitted values",
        short(fit.formula),
        f"{beyond} of {len(residual)} beyond 2 standard deviations: {share:.1f} %, where 4.6 % are expected.",
    )
    return page


def _running(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle of x, mean and standard deviation of y in windows of equal numbers of neighbours that overlap
    by half.
    """
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    width = max(15, len(x) // (5 if len(x) < 1000 else 12))
    if len(x) < 2 * width:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    starts = np.unique(np.linspace(0, len(x) - width, 2 * (len(x) // width) - 1).astype(int))
    parts = [slice(s, s + width) for s in starts]
    middle = np.array([np.median(x[part]) for part in parts])
    return middle, np.array([y[part].mean() for part in parts]), np.array([y[part].std() for part in parts])
