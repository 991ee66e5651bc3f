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
        left out together. For `hd.lm`, exactly what leaving the row out would change. For `hd.gls`, the measures of the whitened
        model with the covariance kept as estimated: a row of it is an observation given those it is correlated with, and leaving
        it out is not the deletion of the observation while its correlated neighbours stay. Groups that are independent of
        all other rows are left out exactly.

        Parameters
        ----------
        by : columns whose combinations are the groups to leave out together; None for each row.
        data : the table, where `by` is no column of the model.
        dfbetas : give the DFBETAS, one column a coefficient.

        Returns
        -------
        Without `by`, a line for each row used: row (its number in the table, from 0), fitted, residual, standardized,
        studentized, leverage, cooks_distance, dffits, covratio, dfbetas[term] ..., beyond: the measures that are beyond
        the cutoffs of R's influence.measures, "" where none is. A row of leverage 1 has NaN: without it a coefficient cannot be estimated.

        With `by`: group, rows, cooks_distance, covratio, dfbetas[term] ..., beyond; NaN where a coefficient cannot be
        estimated without the group.

        Raises
        ------
        ModelError : a column `by` that the model does not have (the closest is named).
        """
        from ..inference.influence import influence

        return give_back(influence(self, by, data, dfbetas), self.library)  # type: ignore[arg-type]

    def press(self) -> Any:
        """PRESS and the R^2 of rows predicted without themselves.

        Returns
        -------
        One line: press, the sum of (e_i / (1 - h_i))^2 in the units of the response; predicted_r_squared, 1 - the same sum
        over the total sum of squares, both weighted where the fit is (about the mean with an intercept, about 0 without).
        NaN where a row has leverage 1.
        """
        from ..inference.influence import press

        return give_back(press(self), self.library)  # type: ignore[arg-type]

    def diagnostics(self) -> Any:
        """Tests of normality, equal variance, independence and outliers; with factors, of equal variance of their
        groups too.

        Returns
        -------
        test, statistic, df, df2, p_value, says: a line for each test. One that the rows do not allow says why.

        Raises
        ------
        ModelError : a fit without its rows (a saved one).
        """
        from ..inference.diagnostics import diagnostics

        return give_back(diagnostics(self), self.library)  # type: ignore[arg-type]

    def normality(self, method: str | None = None) -> Any:
        """Whether the (whitened) residuals are normal.

        Parameters
        ----------
        method : "shapiro-wilk" (Shapiro & Wilk 1965; p-value by Royston 1995) or "anderson-darling" (mean and variance
            estimated; p-value by D'Agostino & Stephens 1986, table 4.9); None takes the first up to 5,000 rows.

        Returns
        -------
        One line: test, statistic, df, df2, p_value, says.

        Raises
        ------
        ModelError : an unknown method, fewer than 3 rows (8 for Anderson-Darling), or residuals that are all 0.
        """
        from ..inference.diagnostics import normality

        return self._outcome(normality(self, method))  # type: ignore[arg-type]

    def breusch_pagan(self, against: Any = None, studentize: bool = True, data: Any = None) -> Any:
        """Whether the variance changes with some columns: a score test (Breusch & Pagan 1979; Koenker 1981).

        Parameters
        ----------
        against : None for the columns of the model, "fitted" for the fitted values, or the name of a numeric column.
        studentize : Koenker's statistic, which does not lean on normal errors.
        data : the table, where `against` is no column of the model.

        Returns
        -------
        One line: test, statistic, df, df2, p_value, says.

        Raises
        ------
        ModelError : nothing to regress on, an exact fit, or a column that is not there (the closest is named).
        """
        from ..inference.diagnostics import breusch_pagan

        return self._outcome(breusch_pagan(self, against, studentize, data))  # type: ignore[arg-type]

    def durbin_watson(self, alternative: str = "greater", exact: bool | None = None) -> Any:
        """Autocorrelation in the order of the rows (Durbin & Watson 1950, 1971).

        Parameters
        ----------
        alternative : "greater", autocorrelation above 0 (d small); "less"; "two-sided".
        exact : the exact distribution, whose work grows as n^3, or the normal; None is exact up to 500 rows.

        Returns
        -------
        One line: test, statistic, df, df2, p_value, says.

        Raises
        ------
        ModelError : an unknown alternative, an exact fit, or no degrees of freedom.
        """
        from ..inference.diagnostics import durbin_watson

        return self._outcome(durbin_watson(self, alternative, exact))  # type: ignore[arg-type]

    def levene(self, by: str | Sequence[str] | None = None, center: str = "median", data: Any = None) -> Any:
        """Whether groups have one variance (Levene 1960, about the mean; Brown & Forsythe 1974, about the median).

        Parameters
        ----------
        by : columns whose combinations are the groups; None takes all factors of the model.
        center : "median" or "mean".
        data : the table, where `by` is no column of the model.

        Returns
        -------
        One line: test, statistic, df, df2, p_value, says.

        Raises
        ------
        ModelError : a model without factors, one group, or an unknown centre.
        """
        from ..inference.diagnostics import levene

        return self._outcome(levene(self, by, center, data))  # type: ignore[arg-type]

    def bartlett(self, by: str | Sequence[str] | None = None, data: Any = None) -> Any:
        """Whether groups of normal errors have one variance (Bartlett 1937).

        Parameters
        ----------
        by, data : as for `levene`.

        Returns
        -------
        One line: test, statistic, df, df2, p_value, says.

        Raises
        ------
        ModelError : a model without factors, one group, or a group of one row.
        """
        from ..inference.diagnostics import bartlett

        return self._outcome(bartlett(self, by, data))  # type: ignore[arg-type]

    def outlier_test(self, cutoff: float = 0.05, most: int = 10) -> Any:
        """Rows with the largest studentised residuals, by Bonferroni.

        Parameters
        ----------
        cutoff : corrected p-value up to which rows are listed; the largest is listed in any case.
        most : lines at most.

        Returns
        -------
        row (from 0), studentized, p_value, p_bonferroni (at most 1), largest first.

        Raises
        ------
        ModelError : fewer than 2 residual degrees of freedom, or an exact fit.
        """
        from ..inference.diagnostics.outliers import outlier_test

        return give_back(outlier_test(self, cutoff, most), self.library)  # type: ignore[arg-type]

    def vif(self) -> Any:
        """Generalised variance inflation of each term (Fox & Monette 1992).

        Returns
        -------
        term, df, gvif, gvif_scaled = gvif^(1 / (2 df)) (the root of VIF for one column); inf for a term of which a column
        was dropped as a combination of others, or that takes part in that combination.

        Raises
        ------
        ModelError : fewer than two terms besides the intercept.
        """
        from ..inference.diagnostics.collinearity import vif

        return give_back(vif(self), self.library)  # type: ignore[arg-type]

    def condition_indices(self) -> Any:
        """Condition indices of X, and the share that each near-dependency has in the variance of each coefficient (Belsley, Kuh &
        Welsch 1980, ch. 3).

        Returns
        -------
        index, and proportion[term] for each coefficient: a line for each singular value, largest first.
        """
        from ..inference.diagnostics.collinearity import condition_indices

        return give_back(condition_indices(self), self.library)  # type: ignore[arg-type]

    def box_cox(self, lambdas: Any = None, level: float = 0.95) -> BoxCox:
        """The power of the response that fits best, and its interval (Box & Cox 1964).

        Parameters
        ----------
        lambdas : powers of the profile; None for 101 of them around the interval.
        level : of the interval.

        Returns
        -------
        BoxCox: lambda_, conf_low, conf_high, loglik, the profile (lambdas, logliks), and `simple`, the simplest power in the interval.

        Raises
        ------
        DataError : a response that is not positive (a shift is suggested).
        ModelError : gls, or a model with an offset: its mean is not X b alone; an exact fit.
        """
        from ..inference.diagnostics.box_cox import box_cox

        return box_cox(self, lambdas, level)  # type: ignore[arg-type]

    def acf(
        self,
        time: str | None = None,
        groups: str | None = None,
        *,
        data: Any = None,
        kind: str = "pearson",
        max_lag: int | None = None,
        level: float = 0.95,
    ) -> Any:
        """Autocorrelations of the residuals by lag.

        Parameters
        ----------
        time, groups : columns of the time in whole steps (gaps allowed) and of the groups; those of residual= where neither is
            given. Without a time, rows of a group are one step apart in the order in which they stand.
        data : the table of the fit, where the columns are not in the model.
        kind : "pearson", "normalized" (whitened: about 0 at all lags where the model is right) or "response".
        max_lag : the longest lag; the smaller of the longest series less one and 10 log10 of it, by default.
        level : of the bounds.

        Returns
        -------
        lag (0 first), acf, n_pairs, bound (an autocorrelation of independent residuals lies within +- bound with probability
        `level`: the normal quantile over the root of n_pairs; NaN at lag 0), and model (the fitted correlation at that lag; only for
        Pearson residuals over the time of the fitted correlation).

        Raises
        ------
        ModelError : several coordinates; arguments out of range.
        DataError : times that are not whole numbers, or occur twice in a group.
        """
        from ..inference.acf import acf

        return give_back(
            acf(self, time, groups, data=data, kind=kind, max_lag=max_lag, level=level), self.library
        )

    def displacement_variogram(
        self,
        coordinates: tuple[str, str] | None = None,
        groups: str | None = None,
        *,
        data: Any = None,
        kind: str = "pearson",
        max_lags: tuple[int, int] | None = None,
    ) -> Any:
        """Semivariances of the residuals over a grid, by displacement along rows and columns: the usual check of a field
        trial with ar1(row):ar1(col) (Gilmour, Cullis & Verbyla 1997).

        Parameters
        ----------
        coordinates : the two columns of the grid, and groups : of separate grids; those of residual= where neither is given.
        data : the table of the fit, where the columns are not in the model.
        kind : residuals, as in `variogram`.
        max_lags : most rows and columns apart; two thirds of the grid by default.

        Returns
        -------
        One column for each coordinate with the lag in steps, semivariance, n_pairs, and model, the fitted semivariance,
        where the fitted correlation is one of both coordinates by steps.

        Raises
        ------
        ModelError : not two coordinates; two plots in one place.
        """
        from ..inference.displacement import displacement_variogram

        return give_back(
            displacement_variogram(self, coordinates, groups, data=data, kind=kind, max_lags=max_lags),
            self.library,
        )

    def variogram(
        self,
        coordinates: str | Sequence[str] | None = None,
        groups: str | None = None,
        *,
        data: Any = None,
        kind: str = "pearson",
        bins: int | Sequence[float] = 20,
        by: str = "quantiles",
        max_distance: float | None = None,
        robust: bool = False,
    ) -> Any:
        """Semivariances of the residuals by distance.

        Parameters
        ----------
        coordinates, groups : columns of one to three coordinates, and of groups between which pairs are not formed; those of
            residual= where neither is given.
        data : the table of the fit, where the columns are not in the model.
        kind : "pearson" residuals (over their standard deviation), comparable with the model's curve; "normalized" (whitened by the
            fitted covariance), which have a flat variogram at 1 where the model is right; "response".
        bins : number of classes, or their bounds, ascending.
        by : "quantiles" of the distances (about as many pairs in each class) or "width" (classes of one width).
        max_distance : pairs farther apart are left out.
        robust : the robust estimate in place of the mean.

        Returns
        -------
        distance (median of the class), semivariance, n_pairs, model (1 - the fitted correlation at that distance; only for
        Pearson residuals over the coordinates of the fitted correlation). Classes without a pair are left out.

        Raises
        ------
        ModelError : no coordinates; arguments out of range; more pairs than memory allows.
        DataError : a coordinate that is not a number.
        """
        from ..inference.variogram import variogram

        found = variogram(
            self,
            coordinates,
            groups,
            data=data,
            kind=kind,
            bins=bins,
            by=by,
            max_distance=max_distance,
            robust=robust,
        )
        return give_back(found, self.library)

    def _outcome(self, outcome: Any) -> Any:
        from ..inference.diagnostics import table

        return give_back(table([outcome]), self.library)
