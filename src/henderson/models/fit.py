"""What every fit has in common: the facts that come out of its solution and its rows under the user's names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError
from ..frame import give_back
from ..inference.predict import spread
from ..inference.student import quantile, require_level, two_sided_p
from .labels import Labels
from .questions import Questions
from .saved import Saved

if TYPE_CHECKING:
    from ..design import Design


class Fit(Questions):
    """A fitted model with linear coefficients. `LinearFit` (lm, gls) and `MixedFit` (lmm) say what is their own."""

    labels: Labels
    solution: Any
    library: str
    _design: Design | None
    _saved: Saved | None

    @property
    def npar(self) -> int:
        """Estimated parameters."""
        raise NotImplementedError

    @property
    def _fitted(self) -> np.ndarray:
        """X b^ + Z u^ (+ offset) of the rows used, (n,)."""
        raise NotImplementedError

    def denominator_df(self, rows: np.ndarray, method: str | None = None) -> np.ndarray:
        """Degrees of freedom (k,) of t tests of combinations `rows` (k, rank) of the coefficients."""
        raise NotImplementedError

    def variance_components_columns(self) -> dict[str, list]:
        """`variance_components` as plain columns."""
        raise NotImplementedError

    def residuals_as(self, kind: str = "response") -> np.ndarray:
        """Residuals of a kind, for each row of the data, in its order; NaN where a row was left out."""
        raise NotImplementedError

    def summary(self, correlation: bool | None = None) -> str:
        """The fit as text."""
        raise NotImplementedError

    # -- facts -------------------------------------------------------------------------------------------

    @property
    def design(self) -> Design:
        """The rows of the fit; a loaded fit has none, nor has one whose rows stayed in their file."""
        if self._design is None:
            assert self._saved is not None
            raise self._saved.no_rows()
        return self._design

    @cached_property
    def spec(self) -> Mapping[str, Any]:
        """What makes the columns of the model again from a new table; JSON holds it."""
        return self.design.spec if self._saved is None else self._saved.spec

    @property
    def formula(self) -> str:
        """The model as the user wrote it."""
        return self.labels.formula

    @property
    def nobs(self) -> int:
        """Rows used."""
        return self.solution.coordinates.n

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
    def sigma(self) -> float:
        """Residual standard deviation."""
        return float(np.sqrt(self.solution.scale2))

    @property
    def coefficients(self) -> np.ndarray:
        """BLUE of the fixed effects, in the order of `fixed_effects`."""
        return self.solution.beta

    @property
    def vcov(self) -> np.ndarray:
        """Covariance matrix of the coefficients, in the order of `fixed_effects`."""
        return self.solution.vcov

    @property
    def dropped(self) -> tuple[str, ...]:
        """Fixed columns left out because they are linear combinations of those before them."""
        return self.labels.dropped

    @property
    def n_dropped(self) -> int:
        """Rows left out because a column the model uses was missing there."""
        return self.design.n_dropped if self._saved is None else self._saved.n_dropped

    @property
    def rows_note(self) -> str:
        """How many rows were left out and which columns were missing there; "" when none."""
        return self.design.dropped if self._saved is None else self._saved.rows_note

    # -- tables ------------------------------------------------------------------------------------------

    @cached_property
    def fixed_effects(self):
        """term, estimate, std_error, df, statistic, p_value, conf_low, conf_high (95 %)."""
        return give_back(self.fixed_effects_columns(), self.library)

    def fixed_effects_columns(self, level: float = 0.95) -> dict[str, Any]:
        """`fixed_effects` as plain columns, with intervals of the given level."""
        require_level(level, "fixed_effects")
        beta = self.coefficients
        variance = np.diag(self.vcov)
        # a sandwich of two clusterings may have a negative one: no standard error then
        std_error = np.sqrt(np.where(variance >= 0.0, variance, np.nan))
        df = self.denominator_df(np.eye(len(beta)))
        with np.errstate(divide="ignore", invalid="ignore"):
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

    @cached_property
    def variance_components(self):
        """group, term, estimate, std_error, bound: variances and covariances of random effects, parameters of the
        residuals' covariance on their natural scale, the residual variance last.

        `bound` is "P" (a variance inside its range), "U" (a covariance, correlation, loading or range inside its own), "B" (on
        the boundary, or at a bound of the user's; no standard error), "F" (held by the user) or "C" (tied to another), as
        ASReml marks them.
        """
        return give_back(self.variance_components_columns(), self.library)

    # -- rows --------------------------------------------------------------------------------------------

    @property
    def fitted(self) -> np.ndarray:
        """X b^ + Z u^ (+ offset) for each row of the data, in its order; NaN where a row was left out."""
        return spread(self._fitted, self.design.rows, self.design.n_read)

    @property
    def residuals(self) -> np.ndarray:
        """Response minus fitted, for each row of the data, in its order; NaN where a row was left out."""
        return self.residuals_as("response")

    # -- work and reports --------------------------------------------------------------------------------

    def save(self, path: Any) -> None:
        """Write the fit to a zip of JSON and .npy arrays (see `models.archive`). It holds no rows of the data."""
        from .archive import save

        save(self, path)  # type: ignore[arg-type]

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise ModelError(
            "a fit is not pickled (nor copied): fit.save(path) writes it, and henderson.load(path) reads it, "
            "in another process too."
        )

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"
