"""Figures of a fit, drawn with Matplotlib's objects alone: no window, no global state, no backend to choose.

Each is a `Page`, a Matplotlib Figure: `page.savefig("fit.png")` writes it, a notebook shows it. `page` has
the looks they share; then one file for each figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .page import Page

__all__ = ["Page", "Plots"]


class Plots:
    """`fit.plot`: the figures of one fit."""

    def __init__(self, fit: Any):
        self._fit = fit

    def fit(self) -> Page:
        """The data and what was fitted to them: a panel for each level of a grouping with its line or
        points where one covariate and few levels allow it; for a linear fit its line, curve or means where one or two
        columns explain; otherwise observed against fitted values."""
        from .fitted import draw

        return draw(self._fit)

    def check(self) -> Page:
        """One page of all: residuals, normal quantiles, scale-location, and for a linear fit leverage, Cook's
        distance and the tests in words."""
        from .check import draw

        return draw(self._fit)

    def residuals(self, against: Any = "fitted", kind: str = "pearson", data: Any = None) -> Page:
        """Residuals against fitted values or anything else, with their running mean and standard deviation.

        against : "fitted", "y" (the response), "order" (of the rows), a column of the model, a column of `data` (the
            table of the fit), or an array with a number for each of its rows.
        kind : as in `fit.residuals_as`.
        """
        from .residuals import draw

        return draw(self._fit, against, kind, data)

    def qq(self, level: float = 0.95) -> Page:
        """Normal quantile plot: of a linear fit's standardised residuals, with a band for each and a band for all
        together (simulated from the model); of a mixed fit's residuals and each random effect, with pointwise 95 %
        bands."""
        from .quantiles import draw

        return draw(self._fit, level)

    def scale_location(self) -> Page:
        """sqrt |standardised residual| against fitted values: is the variance the same everywhere?"""
        from .scale_location import draw

        return draw(self._fit)

    def leverage(self) -> Page:
        """Standardised residuals against leverage, with contours of Cook's distance (linear fits)."""
        from .leverage import draw

        return draw(self._fit)

    def cooks(self) -> Page:
        """Cook's distance of every row, in the order of the table (linear fits)."""
        from .cooks import draw

        return draw(self._fit)

    def effect(self, variable: str, by: str | None = None, level: float = 0.95, partial: bool = True) -> Page:
        """The fitted mean along a column, other numbers at their mean and other factors in the mix of the rows, with
        partial residuals.

        by : a column with a line for each level; None takes the factor that `variable` interacts with, "" none.
        partial : draw the partial residuals.
        """
        from .effect import draw

        return draw(self._fit, variable, by, level, partial)

    def added_variable(self, terms: str | Sequence[str] | None = None) -> Page:
        """What each coefficient adds to all the others: response and column, both without the other columns (linear
        fits)."""
        from .added import draw

        return draw(self._fit, terms)

    def box_cox(self, lambdas: Any = None, level: float = 0.95) -> Page:
        """Profile likelihood of a power of the response, and its interval (hd.lm)."""
        from .box_cox import draw

        return draw(self._fit, lambdas, level)

    def acf(
        self, time: str | None = None, groups: str | None = None, kind: str | None = None, **options: Any
    ) -> Page:
        """Autocorrelations of the residuals of a linear fit, with those of the fitted correlation; for gls the whitened
        residuals beside them. Arguments are those of `fit.acf` (data, max_lag, level)."""
        from .correlogram import draw

        return draw(self._fit, time, groups, kind, **options)

    def variogram(
        self,
        coordinates: str | Sequence[str] | None = None,
        groups: str | None = None,
        kind: str | None = None,
        **options: Any,
    ) -> Page:
        """Semivariogram of the residuals. Of a linear fit: by distance, with the curve of the fitted correlation, for gls the
        whitened residuals beside it; arguments are those of `fit.variogram` (data, bins, by, max_distance, robust). Of a mixed fit:
        over the field, by rows and columns apart; `coordinates` are the two columns (those of residual= or of a spatial term where
        not given), `groups` a column of trials, and data= and max_lags= may be given."""
        if not hasattr(self._fit, "leverage"):
            from .lag_surface import draw as surface

            row, col = _two(coordinates)
            return surface(self._fit, row, col, groups, "pearson" if kind is None else kind, **options)
        from .variogram import draw

        return draw(self._fit, coordinates, groups, kind, **options)

    def field(
        self,
        row: str | None = None,
        col: str | None = None,
        by: str | None = None,
        kind: str = "response",
        data: Any = None,
    ) -> Page:
        """A field trial plot by plot: response, spatial trend (fitted values where no random term is a function of the place) and
        residuals.

        row, col : columns of the grid; None takes those of residual= or of a spatial term. by : a column of trials.
        kind : of the residuals, as in `fit.residuals_as`. data : the table of the fit, where the columns are not in the model.
        """
        from .field import draw

        return draw(self._fit, row, col, by, kind, data)

    def correlations(self, term: str | None = None, order: str = "cluster") -> Page:
        """Heat map of the correlations among the effects of a random term (genetic correlations of environments or traits).

        order : "cluster", like beside like, or "given".
        """
        from .correlations import draw

        return draw(self._fit, term, order)

    def loadings(self, term: str | None = None, rotation: str = "principal") -> Page:
        """Loadings and scores of an fa or rr term as a biplot, and the per cent of variance that the factors explain.

        rotation : "principal", "varimax" or "none".
        """
        from .loadings import draw

        return draw(self._fit, term, rotation)

    def random_effects(self) -> Page:
        """BLUPs in order with 95 % intervals (from PEV), a panel for each random effect."""
        from .caterpillar import draw

        return draw(self._fit)


def _two(coordinates: Any) -> tuple[str | None, str | None]:
    """Row and column of a field.

    Raises
    ------
    ModelError : not two names.
    """
    if coordinates is None:
        return None, None
    if isinstance(coordinates, str) or len(tuple(coordinates)) != 2:
        from ...errors import ModelError

        raise ModelError("variogram: of a mixed fit coordinates= are two columns, as in ('row', 'col').")
    row, col = coordinates
    return row, col
