"""What `hd.lmm` returns: estimates under the user's names. Numbers come from `mixed.solution`, names from
`labels`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..design.estimability import ColumnSpace
from ..errors import ModelError, NotAvailableError
from ..frame import give_back
from ..inference.predict import fitted_rows, linear_predictor, mean_variance, predict, spread
from ..inference.satterthwaite import degrees_of_freedom
from ..inference.student import require_level
from ..linear.collinear import combinations
from ..mixed.solution import Solution
from ..mixed.verdict import Status, singular_pairs
from .arguments import response_again
from .derived import Derived
from .fit import Fit
from .labels import Labels
from .saved import Saved, input_notes

if TYPE_CHECKING:
    from ..design import Design
    from ..frame import Frame
    from ..mixed.standardise import Standardised
    from ..mixed.structured.plan import Plan
    from ..report.figures import Plots

_NO_LEVERAGE_LEFT = 1e-10
"""1 - leverage below which it is rounding alone."""
RESIDUALS = ("response", "pearson", "standardized", "marginal")


class MixedFit(Derived, Fit):
    """A fitted linear mixed model.

    Tables are data frames in the caller's own library. Properties are facts, computed when first asked
    for; methods are work. `fit.status` says in one verdict whether the estimates can be used.
    """

    solution: Solution

    def __init__(
        self,
        labels: Labels,
        solution: Any,
        status: Status | Callable[[], Status],
        library: str,
        design: Design | None = None,
        model: Standardised | None = None,
        frame: Frame | None = None,
        saved: Saved | None = None,
    ):
        self.labels = labels
        self.solution = solution
        self._status = status
        self.library = library
        self.model = model
        self.frame = frame
        self._design = design
        self._saved = saved

    # -- facts -------------------------------------------------------------------------------------------

    @cached_property
    def status(self) -> Status:
        """One verdict: converged, boundary or not converged, with what is left to gain and what to do."""
        return self._status() if callable(self._status) else self._status

    @property
    def reml(self) -> bool:
        """Whether the variances maximise the restricted likelihood (True) or the likelihood (False)."""
        return self.solution.problem.reml

    @property
    def npar(self) -> int:
        """Estimated parameters: fixed coefficients, variances and covariances, the residual variance (as
        R's logLik counts).
        """
        problem = self.solution.problem
        variances = problem.n_parameters - problem.estimates_scale
        return self.solution.coordinates.rank + variances + (problem.log_s2 is None)

    @property
    def df_residual(self) -> int:
        """nobs - npar, as R's df.residual counts for a mixed model."""
        return self.nobs - self.npar

    @property
    def bic(self) -> float:
        """deviance + log(nobs) npar."""
        return self.deviance + float(np.log(self.nobs)) * self.npar

    @property
    def theta(self) -> np.ndarray:
        """Relative covariance parameters as lme4 defines them: for each term the lower Cholesky factor of
        Sigma / sigma^2, by columns (for `diag` and `||` its diagonal alone)."""
        from ..structures import psd_cholesky

        parts = []
        for term, covariance in zip(self.labels.terms, self.solution.covariances, strict=True):
            factor = psd_cholesky(covariance / self.solution.scale2)
            if term.structure == "us":
                columns, rows = np.triu_indices(len(factor))
                parts.append(factor[rows, columns])
            else:
                parts.append(np.diag(factor))
        return np.concatenate(parts)

    @property
    def groups(self) -> dict[str, int]:
        """Number of levels of each grouping."""
        return {term.group: len(term.levels) for term in self.labels.terms}

    @property
    def model_notes(self) -> tuple[str, ...]:
        """What the formula does not say: weights, an offset given apart, covariances held by the user."""
        if self._saved is not None:
            return self._saved.notes
        notes = input_notes(self.design, self.spec)
        held = [
            term.text
            for term, t in zip(self.labels.terms, self.solution.problem.held, strict=True)
            if t is not None
        ]
        if self.solution.problem.log_s2 is not None:
            held.append("Residual")
        if held:
            notes.append(f"held by the user: {', '.join(held)}")
        return tuple(notes)

    @property
    def iterations(self) -> int:
        """Newton steps taken."""
        return self.status.iterations

    # -- tables ------------------------------------------------------------------------------------------

    @property
    def information_kind(self) -> str:
        """Whether degrees of freedom and standard errors of variances come from the "observed" information or, in models
        whose equations are costly to factorise, from the "average" one (docs/theory.md).
        """
        return self.solution.information.kind

    @property
    def covariances(self) -> dict[str, np.ndarray]:
        """Covariance matrix of each random term's effects (m, m), by the term's text; no standard errors, so it is quick."""
        return {
            term.text: sigma for term, sigma in zip(self.labels.terms, self.solution.covariances, strict=True)
        }

    def satterthwaite_df(self, rows: np.ndarray) -> np.ndarray:
        """Degrees of freedom of linear combinations of the fixed effects, rows (k, p) -> (k,)."""
        rank = self.solution.coordinates.rank
        try:
            rows = np.asarray(rows, dtype=np.float64)
        except (TypeError, ValueError):
            raise ModelError("satterthwaite_df: the rows are an array of numbers.") from None
        if rows.ndim != 2 or rows.shape[1] != rank:
            raise ModelError(
                f"satterthwaite_df: rows of {rank} numbers are needed, one for each fixed effect, "
                f"not shape {rows.shape}."
            )
        if not rank:
            return np.full(len(rows), np.inf)
        information = self.solution.information
        return degrees_of_freedom(rows, self.vcov, information.vcov_slopes, information.covariance)

    @cached_property
    def columns(self) -> ColumnSpace:
        """The columns of X: names, which have a coefficient, and the null space."""
        coordinates = self.solution.coordinates
        return ColumnSpace(tuple(self.spec["x_names"]), coordinates.kept, coordinates.dropped, self.aliases)

    @property
    def sequential_root(self) -> np.ndarray:
        """R (rank, rank) upper triangular with R'R = X'X, rows weighted: the hypotheses of type I, as lmerTest takes them."""
        r = self.solution.coordinates.r
        return r * np.where(np.diagonal(r) < 0, -1.0, 1.0)[:, None]

    @cached_property
    def vcov_root(self) -> np.ndarray:
        """C (rank, rank) with C C' = vcov."""
        from ..structures import psd_cholesky

        size = np.sqrt(np.diagonal(self.vcov))
        return size[:, None] * psd_cholesky(self.vcov / np.outer(size, size))

    @property
    def df_method(self) -> str:
        """Denominator degrees of freedom by default."""
        return "satterthwaite"

    def denominator_df(self, rows: np.ndarray, method: str | None = None) -> np.ndarray:
        """Degrees of freedom (k,) of t tests of combinations `rows` (k, rank) of the fixed effects."""
        method = method or self.df_method
        if method == "satterthwaite":
            return self.satterthwaite_df(rows)
        if method == "inf":
            return np.full(len(rows), np.inf)
        if method == "residual":
            return np.full(len(rows), float(self.nobs - self.solution.coordinates.rank))
        if method == "kenward-roger":
            raise NotAvailableError("Kenward-Roger degrees of freedom are not available yet in this version.")
        raise ModelError(f"df= is 'satterthwaite', 'residual' or 'inf', not {method!r}.")

    def variance_components_columns(self) -> dict[str, list]:
        """`variance_components` as plain columns."""
        information = self.solution.information
        covariance = information.covariance
        out: dict[str, list] = {"group": [], "term": [], "estimate": [], "std_error": [], "bound": []}

        def add(group: str, term: str, estimate: float, slope: np.ndarray, bound: str) -> None:
            error = float(np.sqrt(max(slope @ covariance @ slope, 0.0))) if bound in "PU" else float("nan")
            for key, value in zip(out, (group, term, float(estimate), error, bound), strict=True):
                out[key].append(value)

        terms = zip(
            self.labels.terms,
            self.solution.covariances,
            self.solution.point.factors,
            information.component_slopes,
            self.solution.problem.held,
            strict=True,
        )
        for term, sigma, factor, slopes, held in terms:
            singular = singular_pairs(sigma, factor @ factor.T)
            for name, i, j in term.parameters:
                at_edge = sigma[i, i] == 0.0 or sigma[j, j] == 0.0 or bool(singular[i, j])
                bound = "F" if held is not None else "B" if at_edge else "P" if i == j else "U"
                add(term.group, name, sigma[i, j], slopes[:, i, j], bound)
        slope = np.zeros(len(covariance))
        slope[-1] = self.solution.scale2
        add(
            "Residual",
            "Residual",
            self.solution.scale2,
            slope,
            "P" if self.solution.problem.log_s2 is None else "F",
        )
        return out

    @cached_property
    def random_effects(self):
        """group, level, term, estimate (BLUP), std_error (square root of PEV), reliability (1 - PEV /
        variance).
        """
        return give_back(self.random_effects_columns(), self.library)

    def random_effects_columns(self, conditional: bool = False) -> dict[str, Any]:
        """`random_effects` as plain columns; `conditional=True` takes beta as known, as lme4's condVar
        does.
        """
        variances = self.solution.conditional_variance if conditional else self.solution.prediction_error
        out: dict[str, list] = {
            k: [] for k in ("group", "level", "term", "estimate", "std_error", "reliability")
        }
        for term, u, pev, sigma in zip(
            self.labels.terms, self.solution.u, variances, self.solution.covariances, strict=True
        ):
            q, m = u.shape
            error = np.diagonal(pev, axis1=1, axis2=2)
            prior = np.diag(sigma)
            reliability = np.full((q, m), np.nan)
            reliability[:, prior > 0] = 1.0 - error[:, prior > 0] / prior[prior > 0]
            out["group"].append(np.full(q * m, term.group, dtype=object))
            out["level"].append(np.repeat(np.asarray([str(v) for v in term.levels], dtype=object), m))
            out["term"].append(np.tile(np.asarray(term.effects, dtype=object), q))
            out["estimate"].append(u.ravel())
            out["std_error"].append(np.sqrt(np.maximum(error, 0.0)).ravel())
            out["reliability"].append(reliability.ravel())
        return {k: np.concatenate(v) if v else np.zeros(0) for k, v in out.items()}

    # -- rows --------------------------------------------------------------------------------------------

    @cached_property
    def _fitted(self) -> np.ndarray:
        return linear_predictor(self.solution, fitted_rows(self), random_effects=True)

    def residuals_as(self, kind: str = "response") -> np.ndarray:
        """Residuals of each row of the data, in its order; NaN where a row was left out.

        kind : "response", y - fitted; "pearson", the same over its standard deviation sigma / sqrt(weight);
            "standardized", over the standard deviation that it has itself, sigma sqrt((1 - leverage) /
            weight), NaN where the leverage is 1 (a row that is fitted exactly, whatever its response);
            "marginal", y - X beta^ (- offset), without the random effects.
        """
        design = self.design
        if kind not in RESIDUALS:
            raise ModelError(f"residuals_as: kind is one of {', '.join(map(repr, RESIDUALS))}, not {kind!r}.")
        if kind == "marginal":
            values = design.y - linear_predictor(self.solution, fitted_rows(self), random_effects=False)
        else:
            values = design.y - self._fitted
        if kind in ("pearson", "standardized"):
            values = values / self.sigma
            if design.weights is not None:
                values = values * np.sqrt(design.weights)
        if kind == "standardized":
            left = 1.0 - self._leverage
            values = values / np.sqrt(np.where(left > _NO_LEVERAGE_LEFT, left, np.nan))
        return spread(values, design.rows, design.n_read)

    @cached_property
    def _leverage(self) -> np.ndarray:
        """d fitted_i / d y_i: the precision of a row times the variance of its prediction, (n,)."""
        rows = fitted_rows(self)
        return rows.weights * mean_variance(self, rows) / self.solution.scale2

    @cached_property
    def residual_quantiles(self) -> np.ndarray:
        """Least, first quartile, median, third quartile and greatest of the Pearson residuals."""
        if self._saved is not None:
            assert self._saved.residual_quantiles is not None
            return self._saved.residual_quantiles
        values = self.residuals_as("pearson")
        rows = self.design.rows
        return np.quantile(values if rows is None else values[rows], [0.0, 0.25, 0.5, 0.75, 1.0])

    @cached_property
    def aliases(self) -> np.ndarray:
        """(rank, dropped): each dropped column of X as a combination of the kept ones."""
        if self._saved is not None:
            return self._saved.aliases
        coordinates, design, model = self.solution.coordinates, self.design, self.model
        x = design.X[:, coordinates.dropped]
        if model is None or not x.shape[1]:
            return np.zeros((coordinates.rank, x.shape[1]))
        if model.root_weights is not None:
            x = x * model.root_weights[:, None]
        return combinations(coordinates.r, model.q.T @ x)

    # -- work --------------------------------------------------------------------------------------------

    def predict(
        self,
        data: Any = None,
        random_effects: bool = True,
        se: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        new_levels: str = "error",
        offset: Any = None,
        weights: Any = None,
    ) -> Any:
        """Predicted means: X beta^ + Z u^ + offset.

        Parameters
        ----------
        data : a table with the columns of the model (the response need not be there); None for the rows of
            the fit.
        random_effects : False predicts by the fixed effects alone (the population), and needs no grouping
            columns.
        se : give standard errors too: those of the joint variance of beta^ and u^ - u, so that what is
            uncertain in both and their covariance are in them. The variance components are taken as known.
        interval : "confidence" for the mean, "prediction" for one new record: the residual variance is
            added (over its weight; that of the row's section and variance functions where residuals have
            them), and with random_effects=False the variance of the random effects of a level nobody has seen.
        level : of the interval. Its quantiles are those of the normal distribution, but for a confidence
            interval with random_effects=False: those of t with Satterthwaite's degrees of freedom.
        new_levels : what to do with levels that the fit has not seen (or that are missing). "error" names
            them; "population" predicts them by the fixed effects and adds their variance to the standard
            errors.
        offset : for each row of `data`, where the model was fitted with offset= as an array.
        weights : precision weights of the new records, column or array, for prediction intervals (refused
            elsewhere, where they would change nothing); by default the column the model was fitted with, or
            1. A model that was fitted with an array of weights needs them here too.

        Returns
        -------
        An array, one value a row of `data`, NaN where a column is missing; with se or interval a table in
        the caller's library: estimate, std_error (of the mean), and with interval conf_low, conf_high.

        The correlated part of a residual beside a nugget, (1 | ar1(row):ar1(col)) + (1 | units), is predicted
        at the places of the fit. At other places it is 0 and its variance is in std_error; where `data` does
        not have the columns that say a place, it is in the prediction of a new record alone.

        Raises
        ------
        DataError : new levels; FormulaError : a missing column; ModelError : a row that is not estimable,
            where fixed columns were dropped; an argument that would change nothing.
        """
        return predict(
            self,
            data,
            random_effects=random_effects,
            se=se,
            interval=interval,
            level=level,
            new_levels=new_levels,
            offset=offset,
            weights=weights,
        )

    def simulate(
        self, n: int | None = None, seed: int | np.random.Generator | None = None, random_effects: str = "new"
    ) -> np.ndarray:
        """Responses drawn from the fitted model, for each row of the data; NaN where a row was left out.

        Parameters
        ----------
        n : how many; None gives one response as (rows,), a number an array (rows, n).
        seed : a number or a NumPy generator.
        random_effects : "new" draws them from their distribution, "fitted" takes the BLUPs as they are.
        """
        from ..inference.simulate import simulate

        return simulate(self, n, seed, random_effects)

    def refit(self, response: Any) -> MixedFit:
        """The same model for another response: one number for each row of the fit, or of the data (rows
        that were left out are left out again). Starts from this fit's estimates."""
        from .lmm import refit

        return refit(self, response_again(self, response))

    # -- reports -----------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Which solver the fit took, and the sizes of its equations and their factor, operations and memory. `hd.plan` says the same
        before a fit."""
        from .plan import plan_of_fit

        return plan_of_fit(self)

    def summary(self, correlation: bool | None = None) -> str:
        """The fit as text, in the layout of R's lme4 and lmerTest. `correlation=True` prints the
        correlations of the fixed effects however many there are, False never."""
        from ..report.summary import summary

        return summary(self, correlation)

    def tidy(self, effects: str = "fixed", level: float = 0.95) -> Any:
        """broom's table of "fixed" effects, "ran_pars" (standard deviations and correlations) or
        "ran_vals" (BLUPs).
        """
        from ..report.tables import tidy

        require_level(level, "tidy")
        return give_back(tidy(self, effects, level), self.library)

    def glance(self) -> Any:
        """One row: nobs, npar, sigma, loglik, deviance, aic, bic, df_residual, method, verdict."""
        from ..report.tables import glance

        return give_back(glance(self), self.library)

    def augment(self) -> Any:
        """The rows of the fit with their response, covariates and groups, and fitted, resid, fixed,
        scaled_resid.
        """
        from ..report.tables import augment

        return give_back(augment(self), self.library)

    @property
    def plot(self) -> Plots:
        """Figures: fit.plot.fit(), .residuals(), .qq(), .random_effects()."""
        from ..report.figures import Plots

        return Plots(self)

    def __repr__(self) -> str:
        how = "REML" if self.reml else "ML"
        return (
            f"<MixedFit {self.formula} | {how}, {self.nobs} rows, deviance {self.deviance:.4f}, "
            f"{self.status.verdict}; print(fit.summary()) for more>"
        )
