"""Figures of a fit, drawn with Matplotlib's objects alone: no window, no global state, no backend to choose.

Each is a `Page`, a Matplotlib Figure: `page.savefig("fit.png")` writes it, a notebook shows it. `page` has
the looks they share; then one file for each figure.
"""

from __future__ import annotations

from typing import Any

from .page import Page

__all__ = ["Page", "Plots"]


class Plots:
    """`fit.plot`: the figures of one fit."""

    def __init__(self, fit: Any):
        self._fit = fit

    def fit(self) -> Page:
        """The data and what was fitted to them: a panel for each level of a grouping with its line or
        points where one covariate and few levels allow it, otherwise observed against fitted values."""
        from .fitted import draw

        return draw(self._fit)

    def residuals(self) -> Page:
        """Residuals against fitted values, with their running mean and standard deviation."""
        from .residuals import draw

        return draw(self._fit)

    def qq(self) -> Page:
        """Normal quantile plots of the residuals and of each random effect, with pointwise 95 % bands."""
        from .quantiles import draw

        return draw(self._fit)

    def random_effects(self) -> Page:
        """BLUPs in order with 95 % intervals (from PEV), a panel for each random effect."""
        from .caterpillar import draw

        return draw(self._fit)
