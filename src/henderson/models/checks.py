"""Questions about the assumptions of a linear fit, handed over to `inference`: `LinearFit` inherits them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..frame import give_back

if TYPE_CHECKING:
    from ..inference.diagnostics.box_cox import BoxCox


class Checks:
    """Influence, tests of the assumptions, collinearity, the power of the response."""

    library: str

    def influence(self, by: str | Sequence[str] | None = None, data: Any = None, dfbetas: bool = True) -> Any:
        """Residuals, leverage, Cook's distance, DFFITS, COVRATIO and DFBETAS of every row, or of every group of rows
        left out together. See `inference.influence.influence` for arguments, columns and sources.
        """
        from ..inference.influence import influence

        return give_back(influence(self, by, data, dfbetas), self.library)  # type: ignore[arg-type]

    def press(self) -> Any:
        """PRESS and the R^2 of rows predicted without themselves. See `inference.influence.press`."""
        from ..inference.influence import press

        return give_back(press(self), self.library)  # type: ignore[arg-type]

    def diagnostics(self) -> Any:
        """Tests of normality, equal variance, independence and outliers: test, statistic, df, df2, p_value, says. See
        `inference.diagnostics`.
        """
        from ..inference.diagnostics import diagnostics

        return give_back(diagnostics(self), self.library)  # type: ignore[arg-type]

    def normality(self, method: str | None = None) -> Any:
        """Shapiro-Wilk or Anderson-Darling. See `inference.diagnostics.normality`."""
        from ..inference.diagnostics import normality

        return self._outcome(normality(self, method))  # type: ignore[arg-type]

    def breusch_pagan(self, against: Any = None, studentize: bool = True, data: Any = None) -> Any:
        """Whether the variance changes with some columns. See `inference.diagnostics.heteroscedasticity`."""
        from ..inference.diagnostics import breusch_pagan

        return self._outcome(breusch_pagan(self, against, studentize, data))  # type: ignore[arg-type]

    def durbin_watson(self, alternative: str = "greater", exact: bool | None = None) -> Any:
        """Autocorrelation in the order of the rows. See `inference.diagnostics.autocorrelation`."""
        from ..inference.diagnostics import durbin_watson

        return self._outcome(durbin_watson(self, alternative, exact))  # type: ignore[arg-type]

    def levene(self, by: str | Sequence[str] | None = None, center: str = "median", data: Any = None) -> Any:
        """Equal variances of groups, Levene or Brown-Forsythe. See `inference.diagnostics.homogeneity`."""
        from ..inference.diagnostics import levene

        return self._outcome(levene(self, by, center, data))  # type: ignore[arg-type]

    def bartlett(self, by: str | Sequence[str] | None = None, data: Any = None) -> Any:
        """Equal variances of groups of normal errors. See `inference.diagnostics.homogeneity`."""
        from ..inference.diagnostics import bartlett

        return self._outcome(bartlett(self, by, data))  # type: ignore[arg-type]

    def outlier_test(self, cutoff: float = 0.05, most: int = 10) -> Any:
        """Rows with the largest studentised residuals, by Bonferroni. See `inference.diagnostics.outliers`."""
        from ..inference.diagnostics.outliers import outlier_test

        return give_back(outlier_test(self, cutoff, most), self.library)  # type: ignore[arg-type]

    def vif(self) -> Any:
        """Generalised variance inflation of each term. See `inference.diagnostics.collinearity`."""
        from ..inference.diagnostics.collinearity import vif

        return give_back(vif(self), self.library)  # type: ignore[arg-type]

    def condition_indices(self) -> Any:
        """Condition indices and variance proportions. See `inference.diagnostics.collinearity`."""
        from ..inference.diagnostics.collinearity import condition_indices

        return give_back(condition_indices(self), self.library)  # type: ignore[arg-type]

    def box_cox(self, lambdas: Any = None, level: float = 0.95) -> BoxCox:
        """The power of the response that fits best, and its interval. See `inference.diagnostics.box_cox`."""
        from ..inference.diagnostics.box_cox import box_cox

        return box_cox(self, lambdas, level)  # type: ignore[arg-type]

    def acf(self, time: str | None = None, groups: str | None = None, **options: Any) -> Any:
        """Autocorrelations of the residuals by lag. See `inference.acf.acf`."""
        from ..inference.acf import acf

        return give_back(acf(self, time, groups, **options), self.library)

    def variogram(
        self, coordinates: str | Sequence[str] | None = None, groups: str | None = None, **options: Any
    ) -> Any:
        """Semivariances of the residuals by distance. See `inference.variogram.variogram`."""
        from ..inference.variogram import variogram

        return give_back(variogram(self, coordinates, groups, **options), self.library)

    def _outcome(self, outcome: Any) -> Any:
        from ..inference.diagnostics import table

        return give_back(table([outcome]), self.library)
