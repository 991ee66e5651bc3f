"""What `hd.lmm` returns: estimates under the user's names. Numbers come from `mixed.solution`, names from `labels`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError
from ..frame import give_back
from ..inference.satterthwaite import degrees_of_freedom
from ..inference.student import quantile, two_sided_p
from ..mixed.solution import Solution
from ..mixed.verdict import Status
from .labels import Labels

if TYPE_CHECKING:
    from ..design import Design
    from ..mixed.standardise import Standardised


class MixedFit:
    """A fitted linear mixed model.

    Tables are data frames in the caller's own library. Properties are facts, computed when first asked for; methods are
    work. `fit.status` says in one verdict whether the estimates can be used.
    """

    def __init__(
        self,
        labels: Labels,
        solution: Solution,
        status: Status,
        spec: Mapping[str, Any],
        library: Any,
        design: Design | None = None,
        model: Standardised | None = None,
    ):
        self.labels = labels
        self.solution = solution
        self.status = status
        self.spec = spec
        self.library = library
        self._design = design
        self.model = model

    # -- facts -------------------------------------------------------------------------------------------------------

    @property
    def formula(self) -> str:
        """The model as the user wrote it."""
        return self.labels.formula

    @property
    def reml(self) -> bool:
        """Whether the variances maximise the restricted likelihood (True) or the likelihood (False)."""
        return self.solution.problem.reml

    @property
    def nobs(self) -> int:
        """Rows used."""
        return self.solution.coordinates.n

    @property
    def npar(self) -> int:
        """Estimated parameters: fixed coefficients, variances and covariances, the residual variance (as R's logLik counts)."""
        problem = self.solution.problem
        variances = problem.n_parameters - problem.estimates_scale
        return self.solution.coordinates.rank + variances + (problem.log_s2 is None)

    @property
    def df_residual(self) -> int:
        """nobs - npar, as R's df.residual counts for a mixed model."""
        return self.nobs - self.npar

    @property
    def deviance(self) -> float:
        """-2 log likelihood; under REML the REML criterion."""
        return self.solution.deviance

    @property
    def loglik(self) -> float:
        """The (restricted) log likelihood at the estimates."""
        return -0.5 * self.deviance

    @property
    def aic(self) -> float:
        """deviance + 2 npar."""
        return self.deviance + 2.0 * self.npar

    @property
    def bic(self) -> float:
        """deviance + log(nobs) npar."""
        return self.deviance + float(np.log(self.nobs)) * self.npar

    @property
    def sigma(self) -> float:
        """Residual standard deviation."""
        return float(np.sqrt(self.solution.scale2))

    @property
    def theta(self) -> np.ndarray:
        """Relative covariance parameters as lme4 defines them: for each term the lower Cholesky factor of Sigma / sigma^2,
        by columns (for `diag` and `||` its diagonal alone)."""
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
    def coefficients(self) -> np.ndarray:
        """BLUE of the fixed effects, in the order of `fixed_effects`."""
        return self.solution.beta

    @property
    def vcov(self) -> np.ndarray:
        """Covariance matrix of the fixed effects, in the order of `fixed_effects`."""
        return self.solution.vcov

    @property
    def n_dropped(self) -> int:
        """Rows left out because a column the model uses was missing there."""
        return 0 if self._design is None else self._design.n_dropped

    @property
    def iterations(self) -> int:
        """Newton steps taken."""
        return self.status.iterations

    # -- tables ------------------------------------------------------------------------------------------------------

    @cached_property
    def fixed_effects(self):
        """term, estimate, std_error, df (Satterthwaite), statistic, p_value, conf_low, conf_high (95 %)."""
        return give_back(self.fixed_effects_columns(), self.library)

    def fixed_effects_columns(self, level: float = 0.95) -> dict[str, Any]:
        """`fixed_effects` as plain columns, with intervals of the given level."""
        beta = self.solution.beta
        std_error = np.sqrt(np.diag(self.vcov))
        df = self.satterthwaite_df(np.eye(len(beta)))
        statistic = beta / std_error
        half = quantile(level, df) * std_error
        return {
            "term": list(self.labels.fixed),
            "estimate": beta,
            "std_error": std_error,
            "df": df,
            "statistic": statistic,
            "p_value": two_sided_p(statistic, df),
            "conf_low": beta - half,
            "conf_high": beta + half,
        }

    def satterthwaite_df(self, rows: np.ndarray) -> np.ndarray:
        """Degrees of freedom of linear combinations of the fixed effects, rows (k, p) -> (k,)."""
        if not self.solution.coordinates.rank:
            return np.zeros(0)
        information = self.solution.information
        return degrees_of_freedom(rows, self.vcov, information.vcov_slopes, information.covariance)

    @cached_property
    def variance_components(self):
        """group, term, estimate, std_error, bound: variances and covariances, Residual last.

        `bound` is "P" (inside its range), "B" (on the boundary; no standard error) or "F" (held by the user), as ASReml
        marks them.
        """
        return give_back(self.variance_components_columns(), self.library)

    def variance_components_columns(self) -> dict[str, list]:
        """`variance_components` as plain columns."""
        information = self.solution.information
        covariance = information.covariance
        out: dict[str, list] = {"group": [], "term": [], "estimate": [], "std_error": [], "bound": []}

        def add(group: str, term: str, estimate: float, slope: np.ndarray, bound: str) -> None:
            error = float(np.sqrt(max(slope @ covariance @ slope, 0.0))) if bound == "P" else float("nan")
            for key, value in zip(out, (group, term, float(estimate), error, bound), strict=True):
                out[key].append(value)

        terms = zip(
            self.labels.terms,
            self.solution.covariances,
            information.component_slopes,
            self.solution.problem.held,
            strict=True,
        )
        for term, sigma, slopes, held in terms:
            for name, i, j in term.parameters:
                at_edge = sigma[i, i] == 0.0 or sigma[j, j] == 0.0
                bound = "F" if held is not None else "B" if at_edge else "P"
                add(term.group, name, sigma[i, j], slopes[:, i, j], bound)
        slope = np.zeros(len(covariance))
        slope[-1] = self.solution.scale2
        add("Residual", "Residual", self.solution.scale2, slope, "P" if self.solution.problem.log_s2 is None else "F")
        return out

    @cached_property
    def random_effects(self):
        """group, level, term, estimate (BLUP), std_error (square root of PEV), reliability (1 - PEV / variance)."""
        return give_back(self.random_effects_columns(), self.library)

    def random_effects_columns(self, conditional: bool = False) -> dict[str, Any]:
        """`random_effects` as plain columns; `conditional=True` takes beta as known, as lme4's condVar does."""
        variances = self.solution.conditional_variance if conditional else self.solution.prediction_error
        out: dict[str, list] = {k: [] for k in ("group", "level", "term", "estimate", "std_error", "reliability")}
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

    # -- rows --------------------------------------------------------------------------------------------------------

    @property
    def design(self) -> Design:
        """The rows of the fit; a loaded fit has none."""
        if self._design is None:
            raise ModelError(
                "This fit was loaded from a file, which holds no rows: fitted values, residuals and refits need the data. "
                "Use fit.predict(data), or fit the model again."
            )
        return self._design
