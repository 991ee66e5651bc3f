"""What follows from the variance components, asked of any mixed model: one class of questions, answered by `inference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..frame import give_back


class Derived:
    """Questions that `MixedFit` and `StructuredFit` answer through their components."""

    library: str

    def derive(self, expressions: str | Sequence[str], level: float = 0.95, method: str = "wald") -> Any:
        """Any function of the variance components, with a standard error and an interval.

        Parameters
        ----------
        expressions : such as "h2 = animal / (animal + Residual)"; several separated by ";" or in a list, of which later ones may
            use the names of earlier ones. There are + - * / ^ (or **), parentheses, sqrt, log, exp and numbers. Components are
            named as `variance_components` shows them: a group with one row, or one variance, by its group (`animal`, `rep:block`,
            `vm(animal, A)` or `animal` for it where no other group is called so, `Residual`); any row as `group: term`
            (`env: specific env1`), or by its term where no other row has it (`phi(row)`). Quotes (` ' ") are allowed
            and not needed. var(e), cov(e, f) and cor(e, f) are those of effects of one term, whatever its structure, loadings too:
            cor(gen: env1, env2), cor(env1, env2) where no other term has them.
        level : of the intervals.
        method : "wald", from the standard error on a scale without bounds, or "profile", from the profile likelihood.

        Returns
        -------
        name, estimate, std_error (delta method, derivatives exact), conf_low, conf_high, scale, note. `scale` is what the interval
        was made on: "logit" (ratios that cannot leave [0, c]), "log" (what is never negative), "fisher_z" (correlations), "identity", or "profile".
        An estimate on the boundary of its range has no std_error, and a one-sided interval by the profile likelihood; a component held on its
        boundary elsewhere in an expression counts as known. `note` says so.

        Raises
        ------
        FormulaError : what is no expression, or an unknown name (the closest is named), with its place; ModelError : level, method.

        References
        ----------
        Lynch & Walsh (1998) Genetics and Analysis of Quantitative Traits, appendix 1; Venzon & Moolgavkar (1988) Applied Statistics
        37, 87-94.
        """
        from ..inference.derive import derive

        return give_back(derive(self, expressions, level, method), self.library)
