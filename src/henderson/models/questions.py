"""The questions every fit answers through `inference`, written once: `LinearFit` and `MixedFit` inherit them.

Each method hands the fit itself over as an `inference.protocol.LinearEstimates` and gives the table back in the caller's
library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..frame import give_back

if TYPE_CHECKING:
    from ..inference.contrasts import Contrasts
    from ..inference.estimates import MarginalMeans, MarginalSlopes
    from ..report.explain import Explanation


class Questions:
    """Tests, contrasts, marginal means and slopes of a fit with linear coefficients."""

    library: str

    def anova(self, type: int | str = 2, df: str | float | None = None, intercept: bool = False) -> Any:
        """F tests of the fixed terms.

        Parameters
        ----------
        type : 1, each term given those before it; 2, given every term that does not contain it; 3, with all cells counting alike,
            however many rows they have (where cells have none, SAS's type III). Without an intercept the first factor's means are
            tested to be 0. The hypotheses are those of the model's X, whatever `vcov`: with a robust one, type 2 tests of main
            effects beside interactions differ from those of R's car, which takes the hypothesis too from the robust covariance.
        df : denominator degrees of freedom: "satterthwaite", "residual", "inf" or a number; None takes the fit's own.
        intercept : whether to test the intercept too (types 1 and 3).

        Returns
        -------
        term, df, den_df, statistic (F), p_value. Least squares with the usual covariance have sum_sq and mean_sq after df, and a
        line Residuals. A term with nothing left to test has df 0 and NaN. Where something must be said of a term (part of it is
        not estimable; cells without rows) there is a column note.

        Raises
        ------
        ModelError : another type, or a method for df that the fit does not have.

        References
        ----------
        Goodnight (1978) SAS Technical Report R-101; Searle (1987) Linear Models for Unbalanced Data, ch. 12; Fox (2016) Applied
        Regression Analysis, ch. 8.
        """
        from ..inference.anova import anova

        return give_back(anova(self, type, df, intercept), self.library)  # type: ignore[arg-type]

    def contrast(
        self,
        L: Any,
        level: float = 0.95,
        df: str | float | None = None,
        names: Sequence[str] | None = None,
        rhs: Any = None,
        adjust: str | None = None,
    ) -> Any:
        """Estimates, tests and intervals of linear combinations of the coefficients.

        Parameters
        ----------
        L : a text such as "x1 - 2*x2 = 3", or several; {column: weight}; {name: text, array or {column: weight}}; an array (k, p)
            over the columns of X, or (k, rank) over those that have a coefficient.
        level : of the intervals.
        df : as in `anova`.
        names : of the combinations.
        rhs : what they are compared with, one number or k; 0 where it is not given, here or in a text.
        adjust : for the k tests as a family: "bonferroni", "holm", "sidak", "mvt" (exact), "scheffe", "fdr" ... (those
            of `pairs`); None takes them one at a time.

        Returns
        -------
        contrast, estimate, std_error, df, statistic, p_value, conf_low, conf_high; with a right side other than 0, null too (after
        df).

        Raises
        ------
        ModelError : an unknown name (the closest is named); a combination that is not estimable, with the reason.
        """
        from ..inference.hypothesis import contrast

        return give_back(contrast(self, L, level, df, names, rhs, adjust), self.library)  # type: ignore[arg-type]

    def test(self, L: Any, df: str | float | None = None, rhs: Any = None) -> Any:
        """One F test of several linear hypotheses together.

        Parameters
        ----------
        L, rhs : the hypotheses L b = rhs, as in `contrast`. df : as in `anova`.

        Returns
        -------
        df, den_df, statistic, p_value: one row. Combinations that follow from the others are not counted in df.

        Raises
        ------
        ModelError : as `contrast`; right sides that contradict each other; a sandwich covariance of fewer clusters than would be
            needed.
        """
        from ..inference.hypothesis import joint_test

        return give_back(joint_test(self, L, df, rhs), self.library)  # type: ignore[arg-type]

    def estimable(self, L: Any) -> Any:
        """Whether combinations of the coefficients can be estimated, and why not.

        Parameters
        ----------
        L : as in `contrast`.

        Returns
        -------
        combination, estimable, reason ("" where it can).

        Raises
        ------
        ModelError : an unknown name (the closest is named).
        """
        from ..inference.hypothesis import estimable

        return give_back(estimable(self, L), self.library)  # type: ignore[arg-type]

    def confint(self, level: float = 0.95, method: str = "wald") -> Any:
        """Intervals of the coefficients: estimate +- quantile of t times its standard error.

        Parameters
        ----------
        level : such as 0.95. method : "wald".

        Returns
        -------
        term, estimate, conf_low, conf_high.

        Raises
        ------
        ModelError : another method or level. NotAvailableError : "profile" and "bootstrap", which are not there yet.
        """
        from ..inference.confint import confint

        return give_back(confint(self, level, method), self.library)  # type: ignore[arg-type]

    def emmeans(
        self,
        specs: str | Sequence[str],
        *,
        by: str | Sequence[str] | None = None,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        level: float = 0.95,
        df: Any = None,
        adjust: str = "none",
        type: str = "link",
        bias_adjust: bool = False,
        sigma: float | None = None,
        nesting: Mapping[str, Any] | bool | None = None,
    ) -> MarginalMeans:
        """Estimated marginal means (least-squares means): averages of the model's means over a reference grid, every
        combination of the levels of the factors with each covariate at its mean.

        Parameters
        ----------
        specs : variables of the fixed part: "a", "a * b" or ["a", "b"] for their combinations, "a | b" for those of a within
            each level of b, "" for the mean of all.
        by : the same as what stands after the bar.
        at : variable -> values that it is to have: levels of a factor, numbers of a covariate (which stands at its mean over
            the rows used otherwise; one with two values stands at both).
        weights : of what is averaged over: "equal", "proportional" (to how often its combinations occur), "outer" (to the
            product of how often each of its levels occurs), "cells" (to how often each cell occurs), "flat" (equal over
            cells that occur). A row of a weighted model counts its weight.
        level : of the limits. adjust : of the limits, see `pairs`.
        df : "satterthwaite", "residual", "inf" ..., or a number; the fit's own by default.
        type : "response" takes estimates and limits back where the left side is log(y), sqrt(y), 1/y ...; its standard
            errors are those of the delta method.
        bias_adjust : with type="response", the mean of the response rather than the response of the mean, to second order in
            `sigma`.
        sigma : with bias_adjust, the standard deviation of the errors; fit.sigma by default (for a mixed model give that of all
            that is random).
        nesting : factor -> the factor, or list of factors, that it is nested in, such as {"plot": "site"}; False for none. By
            default what is seen: each level of a factor occurs with one level of the other alone, or the formula has the
            factor only within the other (`site/plot`). The levels of a nested factor that occur within each level of the other
            are averaged over first; asked for itself, it is shown beside the other.

        Returns
        -------
        MarginalMeans. `.table` is a data frame: the variables, estimate, std_error, df, conf_low, conf_high, and note where a
        mean cannot be estimated; `.pairs()`, `.contrast(...)`, `.joint_tests()`, `.letters()` go on from it;
        `.linear_functions` are its rows l of l'b.

        Raises
        ------
        ModelError : an unknown variable, level, weight or method (the closest is named), a covariate without values, means
            none of which can be estimated (with the reason).

        References
        ----------
        Searle, Speed & Milliken (1980) The American Statistician 34, 216-221.
        """
        from ..inference.emmeans import emmeans

        return emmeans(
            self,  # type: ignore[arg-type]
            specs,
            by=by,
            at=at,
            weights=weights,
            level=level,
            df=df,
            adjust=adjust,
            type=type,
            bias_adjust=bias_adjust,
            sigma=sigma,
            nesting=nesting,
        )

    def pairs(
        self,
        specs: str | Sequence[str],
        *,
        adjust: str = "tukey",
        by: str | Sequence[str] | None = None,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        reverse: bool = False,
        reference: Any = None,
        level: float = 0.95,
        df: Any = None,
        type: str = "link",
        nesting: Mapping[str, Any] | bool | None = None,
    ) -> Contrasts:
        """Differences of marginal means, with p-values and limits that allow for how many there are.

        Parameters
        ----------
        specs, by, at, weights, level, df, type, nesting : see `emmeans`. Where the left side is log(y) and type="response", the
            differences are shown as ratios.
        adjust : "tukey", "mvt" (exact, from the correlations), "bonferroni", "holm", "hochberg", "hommel", "sidak", "scheffe",
            "fdr", "by", "none"; "dunnett" compares with a control alone (exactly; "dunnettx" approximately, as R's emmeans).
            A family is what stands within one level of `by`. Limits are adjusted too, by "bonferroni" where the method has
            none of its own.
        reverse : the later minus the earlier.
        reference : the control of "dunnett": a level, or its number from 0; the first by default.

        Returns
        -------
        Contrasts. `.table`: contrast, the variables `by`, estimate, std_error, df, statistic, p_value, conf_low, conf_high, and
        note where a difference cannot be estimated. `.adjusted("holm")` is the same with another adjustment.

        Raises
        ------
        ModelError : see `emmeans`.
        """
        from ..inference.emmeans import pairs

        return pairs(
            self,  # type: ignore[arg-type]
            specs,
            adjust=adjust,
            reverse=reverse,
            reference=reference,
            by=by,
            at=at,
            weights=weights,
            level=level,
            df=df,
            type=type,
            nesting=nesting,
        )

    def slopes(
        self,
        variable: str,
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        level: float = 0.95,
        df: Any = None,
        adjust: str = "none",
        nesting: Mapping[str, Any] | bool | None = None,
    ) -> MarginalSlopes:
        """Slopes of the mean in a covariate, averaged over the reference grid; where it enters by a curve, at its mean or at
        the values that `at` gives.

        Parameters
        ----------
        variable : a numeric column of the fixed part.
        by : variables whose combinations each have a slope: "f", "f * g", "f | g" or a list.
        at, weights, level, df, adjust, nesting : see `emmeans`. With at={variable: [...]} and no `by` of it, slopes are averaged over
            the values.

        Returns
        -------
        MarginalSlopes. `.table`: the variables `by`, estimate, std_error, df, statistic, p_value (of no slope), conf_low,
        conf_high; `.pairs()` compares the slopes.

        Raises
        ------
        ModelError : see `emmeans`; a factor. DataError : the columns of the model are not defined around these values.
        """
        from ..inference.slopes import slopes

        return slopes(
            self,  # type: ignore[arg-type]
            variable,
            by=by,
            at=at,
            weights=weights,
            level=level,
            df=df,
            adjust=adjust,
            nesting=nesting,
        )

    def joint_tests(
        self,
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        df: Any = None,
        nesting: Mapping[str, Any] | bool | None = None,
    ) -> Any:
        """F tests of the terms in marginal means: that the means of a factor are equal, that two do not interact ...; with `by`,
        within each combination of its levels ("simple effects"). Covariates are tested close to their mean. What cannot be
        estimated is left out of a test, which then has a note.

        Parameters
        ----------
        by : variables, "a", "a * b" or a list. at, weights, df, nesting : see `emmeans`. A nested factor is tested within what
            it is nested in.

        Returns
        -------
        The variables `by`, term, df1, df2, statistic, p_value; and note.

        Raises
        ------
        ModelError : see `emmeans`; nothing with two levels or more to test.
        """
        from ..inference.joint_tests import joint_tests

        made = joint_tests(self, by=by, at=at, weights=weights, df=df, nesting=nesting)  # type: ignore[arg-type]
        return give_back(made, self.library)

    def explain(self, *parts: str) -> Explanation:
        """The model in matrix form, with its numbers: y, X, b, V and the normal equations; with random effects Z, G, R, V
        and Henderson's mixed-model equations. Small data whole, large data abridged.

        parts : some of it: "model", "fitted", "V", "equations", "solution", "s2", "variance"; a mixed model has "model",
            "G", "V", "equations", "variance".

        Returns
        -------
        A text: print it; a notebook shows it as it is.

        Raises
        ------
        ModelError : a part that there is not; a fit that was loaded, which has no rows to show.
        """
        from ..report.explain import explain

        return explain(self, parts)  # type: ignore[arg-type]
