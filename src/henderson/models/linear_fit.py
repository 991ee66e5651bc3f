"""What `hd.lm` and `hd.gls` return: estimates under the user's names. Numbers come from `linear.solution`, names from
`labels`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import formula as formulas
from ..design.estimability import ColumnSpace
from ..errors import ModelError, NotAvailableError
from ..frame import give_back
from ..inference.new_variances import Spoken
from ..inference.predict import fitted_rows, linear_predictor, predict, spread
from ..inference.student import require_level
from ..inference.wald import wald
from ..inference.whitened import whitened
from ..linear.solution import LinearSolution
from ..mixed.verdict import Status
from .arguments import response_again
from .checks import Checks
from .fit import Fit
from .labels import Labels
from .saved import Saved, input_notes

if TYPE_CHECKING:
    from ..design import Design
    from ..frame import Frame
    from ..report.figures import Plots

RESIDUALS = ("response", "pearson", "standardized", "studentized", "normalized")


class LinearFit(Fit, Checks):
    """A fitted linear model: `hd.lm` (OLS, WLS) or `hd.gls`.

    Tables are data frames in the caller's own library. Properties are facts, computed when first asked for; methods are
    work.
    """

    def __init__(
        self,
        labels: Labels,
        solution: LinearSolution,
        space: ColumnSpace,
        library: str,
        design: Design | None = None,
        frame: Frame | None = None,
        status: Status | None = None,
        saved: Saved | None = None,
        notes: tuple[str, ...] = (),
        spoken: Spoken | None = None,
    ):
        self.labels = labels
        self.solution = solution
        self.columns = space
        self.library = library
        self.frame = frame
        self.status = status or Status("converged", 0.0, 0, ())
        self._design = design
        self._saved = saved
        self._notes = notes
        self.spoken = spoken

    # -- facts -------------------------------------------------------------------------------------------

    @property
    def generalised(self) -> bool:
        """Whether the covariance of the residuals has parameters (gls)."""
        return self.solution.residual is not None

    @property
    def model_notes(self) -> tuple[str, ...]:
        """What the formula does not say: weights, an offset given apart, another covariance of the coefficients."""
        if self._saved is not None:
            return self._saved.notes
        spoken = () if self.spoken is None else self.spoken.notes
        return (*spoken, *input_notes(self.design, self.spec), *self._notes)

    @property
    def reml(self) -> bool:
        """Whether the variance parameters maximise the restricted likelihood (gls by REML)."""
        return self.solution.reml

    @property
    def npar(self) -> int:
        """Estimated parameters: coefficients, parameters of the covariance, the residual variance."""
        residual = self.solution.residual
        extra = 0 if residual is None else residual.n_parameters
        return self.solution.coordinates.rank + extra + (not self.solution.scale_known)

    @property
    def df_residual(self) -> int:
        """nobs - rank of X."""
        return self.solution.df_residual

    @property
    def bic(self) -> float:
        """deviance + log(n) npar; under REML n is nobs - rank, as R's nlme counts."""
        n = self.nobs - (self.solution.coordinates.rank if self.reml else 0)
        return self.deviance + float(np.log(n)) * self.npar

    @property
    def rss(self) -> float:
        """Residual sum of squares, (y - Xb)'V^-1(y - Xb)."""
        return self.solution.rss

    @property
    def intercept(self) -> bool:
        """Whether the constant is among the columns of the model."""
        return () in formulas.parse(self.formula).terms

    @property
    def r_squared(self) -> float:
        """1 - RSS / sum of squares of y about its mean (about 0 without an intercept). For gls: NaN, it has none."""
        if self.generalised or not self.solution.total > 0:
            return float("nan")
        return 1.0 - self.rss / self.solution.total

    @property
    def adj_r_squared(self) -> float:
        """R^2 with both mean squares: 1 - (1 - R^2) (n - intercept) / df_residual."""
        df = self.nobs - self.intercept
        return 1.0 - (1.0 - self.r_squared) * df / self.df_residual if self.df_residual > 0 else float("nan")

    @cached_property
    def f_statistic(self) -> tuple[float, int, float]:
        """F of all coefficients but the intercept, its numerator and denominator degrees of freedom; a Wald test with the
        fit's own `vcov`."""
        rows = self.solution.root[int(self.intercept) :]
        if not len(rows) or not self.df_residual > 0 or not self.solution.scale2 > 0:
            return float("nan"), len(rows), float(self.df_residual)
        if self.has_sums_of_squares:
            value = (self.solution.total - self.rss) / len(rows) / self.solution.scale2
            return value, len(rows), float(self.df_residual)
        found = wald(self, rows)
        return found.statistic, found.df, found.den_df

    @property
    def theta(self) -> np.ndarray:
        """Parameters of the covariance of the residuals, without the residual variance; () for lm."""
        if self.solution.residual is None:
            return np.zeros(0)
        rows = self.variance_components_columns()
        return np.array(
            [v for name, v in zip(rows["term"], rows["estimate"], strict=True) if name != "Residual"]
        )

    @property
    def aliases(self) -> np.ndarray:
        """(rank, dropped): each dropped column of X as a combination of the kept ones."""
        return self.columns.aliases

    @property
    def sequential_root(self) -> np.ndarray:
        """R (rank, rank) upper triangular, R'R = X'V^-1X."""
        return self.solution.root

    @property
    def has_sums_of_squares(self) -> bool:
        """Whether tests of terms are ratios of mean squares: least squares with its own covariance."""
        return not self.generalised and self.solution.robust is None

    @property
    def vcov_root(self) -> np.ndarray:
        """C (rank, rank) with C C' = vcov."""
        return self.solution.vcov_root

    @property
    def df_method(self) -> str:
        """Denominator degrees of freedom by default: "residual" for lm; "satterthwaite" for gls."""
        return "satterthwaite" if self.generalised else "residual"

    def denominator_df(self, rows: np.ndarray, method: str | None = None) -> np.ndarray:
        """Degrees of freedom (k,) of t tests of combinations `rows` (k, rank) of the coefficients."""
        method = method or self.df_method
        rows = np.atleast_2d(rows)
        if method == "inf" or (self.solution.scale_known and self.solution.robust is None):
            return np.full(len(rows), np.inf)
        if self.solution.robust_df is not None:
            return np.full(len(rows), self.solution.robust_df)
        if method == "residual" or not self.generalised:
            if method not in ("residual", "satterthwaite", "kenward-roger"):
                raise _unknown_df(method)
            return np.full(len(rows), float(self.df_residual))
        if method == "satterthwaite":
            from ..inference.satterthwaite import degrees_of_freedom

            residual = self.solution.residual
            assert residual is not None
            return degrees_of_freedom(rows, self.vcov, residual.vcov_slopes, residual.parameter_covariance)
        raise _unknown_df(method)

    # -- tables ------------------------------------------------------------------------------------------

    def variance_components_columns(self) -> dict[str, list]:
        """`variance_components` as plain columns."""
        residual = self.solution.residual
        if residual is not None:
            rows = residual.components()
        else:
            error = self.solution.scale2 * np.sqrt(2.0 / self.df_residual) if self.df_residual else np.nan
            rows = {
                "term": ["Residual"],
                "estimate": [self.solution.scale2],
                "std_error": [float(error)],
                "bound": ["P"],
            }
        return {"group": ["Residual"] * len(rows["term"]), **rows}

    def with_vcov(self, vcov: str, data: Any = None) -> LinearFit:
        """The same estimates with a sandwich covariance of the coefficients, which every test and interval then uses.

        vcov : "HC0" to "HC4", "cluster(g)", "cluster(g, h)" (see `inference.sandwich`).
        data : the table of the fit, where the model does not have the clustering column.
        """
        from ..inference.sandwich import read_vcov, sandwich

        wanted = read_vcov(vcov)
        robust, df = sandwich(self, wanted, data)
        return LinearFit(
            self.labels,
            replace(self.solution, robust=robust, robust_df=df),
            self.columns,
            self.library,
            self.design,
            self.frame,
            self.status,
            notes=(f"covariance of the coefficients: {wanted.text}",),
            spoken=self.spoken,
        )

    # -- rows --------------------------------------------------------------------------------------------

    @cached_property
    def _fitted(self) -> np.ndarray:
        return linear_predictor(self.solution, fitted_rows(self), random_effects=False)  # type: ignore[arg-type]

    @property
    def leverage(self) -> np.ndarray:
        """Hat values: d fitted_i / d y_i, for each row of the data, in its order; NaN where a row was left out."""
        return spread(self._leverage, self.design.rows, self.design.n_read)

    @cached_property
    def _leverage(self) -> np.ndarray:
        return whitened(self).leverage

    def whiten(self, columns: np.ndarray) -> np.ndarray:
        """W columns (n, k) of the rows used: those that ordinary least squares may be applied to."""
        residual, weights = self.solution.residual, self.design.weights
        if residual is not None:
            return residual.whiten(columns)
        return columns if weights is None else columns * np.sqrt(weights)[:, None]

    def residuals_as(self, kind: str = "response") -> np.ndarray:
        """Residuals of each row of the data, in its order; NaN where a row was left out.

        kind : "response", y - fitted; "pearson", over the standard deviation of the error; "normalized", whitened by
            the estimated covariance, over sigma (the same as "pearson" where errors are independent);
            "standardized", internally studentised, e / (sigma sqrt(1 - h)) of the whitened errors; "studentized",
            externally studentised, with the sigma of the fit without the row.
        """
        if kind not in RESIDUALS:
            raise ModelError(f"residuals_as: kind is one of {', '.join(map(repr, RESIDUALS))}, not {kind!r}.")
        return spread(self._residuals(kind), self.design.rows, self.design.n_read)

    def _residuals(self, kind: str) -> np.ndarray:
        assert self.design.y is not None
        raw = self.design.y - self._fitted
        if kind == "response":
            return raw
        if kind == "pearson" and self.solution.residual is not None:
            return raw / (self.sigma * self.solution.residual.standard_deviations)
        white = self.whiten(raw[:, None])[:, 0]
        if kind in ("pearson", "normalized"):
            return white / self.sigma
        left = np.where(self._leverage < 1.0, 1.0 - self._leverage, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            standard = white / (self.sigma * np.sqrt(left))
        if kind == "standardized":
            return standard
        df = self.df_residual
        with np.errstate(invalid="ignore", divide="ignore"):
            return standard * np.sqrt((df - 1.0) / (df - standard**2))

    # -- work --------------------------------------------------------------------------------------------

    def predict(
        self,
        data: Any = None,
        se: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        offset: Any = None,
        weights: Any = None,
    ) -> Any:
        """Predicted means X b + offset, their standard errors, and intervals.

        Parameters
        ----------
        data : a table with the columns of the model; None for the rows of the fit.
        se : give standard errors of the mean too.
        interval : "confidence" for the mean, "prediction" for one new, independent record (its residual variance is
            added, over its weight).
        level : of the interval; its quantiles are those of t.
        offset, weights : for new rows, where the model was fitted with arrays of them.

        Returns
        -------
        An array, one value a row of `data`, NaN where a column is missing; with se or interval a table: estimate,
        std_error, conf_low, conf_high.
        """
        return predict(
            self,  # type: ignore[arg-type]
            data,
            random_effects=False,
            se=se,
            interval=interval,
            level=level,
            offset=offset,
            weights=weights,
        )

    def error_variances(self, data: Any, fitted: np.ndarray) -> np.ndarray | float:
        """Variance of the error of a new record at each row of a table (None: of the rows used), before its own weight.

        fitted : (n,) predicted means of those rows.
        """
        residual = self.solution.residual
        if residual is None:
            return self.solution.scale2
        if data is None:
            weights = 1.0 if self.design.weights is None else self.design.weights
            return self.solution.scale2 * residual.standard_deviations**2 * weights
        from ..inference.new_variances import new_variances

        assert self.spoken is not None
        return new_variances(
            self.spoken, self.variance_components_columns(), self.solution.scale2, data, fitted
        )

    def simulate(self, n: int | None = None, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Responses drawn from the fitted model, for each row of the data; NaN where a row was left out.

        n : how many; None gives one response as (rows,), a number an array (rows, n).
        seed : a number or a NumPy generator.
        """
        from ..inference.simulate import simulate

        if self.generalised:
            raise NotAvailableError(
                "simulate: responses with correlated errors are not drawn yet in this version."
            )
        return simulate(self, n, seed)  # type: ignore[arg-type]

    def refit(self, response: Any) -> LinearFit:
        """The same model for another response (ordinary and weighted least squares): one number for each row of the fit, or
        of the data."""
        from .lm import refit

        return refit(self, response_again(self, response))

    # -- reports -----------------------------------------------------------------------------------------

    @cached_property
    def residual_quantiles(self) -> np.ndarray | None:
        """Least, first quartile, median, third quartile and greatest residual (gls: normalised); None where no rows are
        held."""
        if self._saved is not None:
            return self._saved.residual_quantiles
        return np.quantile(
            self._residuals("normalized" if self.generalised else "response"), [0, 0.25, 0.5, 0.75, 1]
        )

    def summary(self, correlation: bool | None = None) -> str:
        """The fit as text, in the layout of R's lm (and of nlme for gls). `correlation=True` prints the correlations of the
        coefficients."""
        from ..report.linear_summary import summary

        return summary(self, bool(correlation))

    def tidy(self, effects: str = "fixed", level: float = 0.95) -> Any:
        """broom's table of "fixed" effects, or "ran_pars": the parameters of the residuals' covariance."""
        from ..report.tables import tidy_linear

        require_level(level, "tidy")
        return give_back(tidy_linear(self, effects, level), self.library)

    def glance(self) -> Any:
        """One row: r_squared, adj_r_squared, sigma, statistic, p_value, df, loglik, aic, bic, deviance, df_residual, nobs ..."""
        from ..report.tables import glance_linear

        return give_back(glance_linear(self), self.library)

    def augment(self) -> Any:
        """The rows of the fit with response and covariates, and fitted, resid, hat, cooksd, std_resid."""
        from ..report.tables import augment_linear

        return give_back(augment_linear(self), self.library)

    @property
    def plot(self) -> Plots:
        """Figures of the fit."""
        from ..report.figures import Plots

        return Plots(self)

    def __repr__(self) -> str:
        return f"<LinearFit {self.formula} | {self.nobs} rows, sigma {self.sigma:.6g}; print(fit.summary()) for more>"


def _unknown_df(method: str) -> ModelError:
    return ModelError(f"df= is 'satterthwaite', 'residual' or 'inf' for this fit, not {method!r}.")
