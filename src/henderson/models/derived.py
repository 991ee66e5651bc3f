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

    def covariance(self, term: str | None = None, level: float = 0.95) -> Any:
        """Variances and covariances among the effects of a random term, whatever its structure, with standard errors.

        term : its group, or its text; None where there is one. Terms of one group with the same effects (rr + diag) add up.

        Returns
        -------
        effect1, effect2, covariance (a variance where they are the same), std_error (delta method), conf_low, conf_high.

        Raises
        ------
        ModelError : no such term (the closest is named), or several.
        """
        from ..inference.genetic import covariance_table
        from ..inference.student import require_level

        require_level(level, "covariance")
        return give_back(covariance_table(self, term, level), self.library)

    def genetic_correlations(self, term: str | None = None, level: float = 0.95) -> Any:
        """Correlations among the effects of a random term: of the traits, or of the environments.

        term : as in `covariance`; None where one term has two effects or more.

        Returns
        -------
        effect1, effect2, covariance, correlation, std_error of the correlation (delta method), conf_low, conf_high (by Fisher's z).
        std_error is NaN where the correlation is estimated as 1 or -1, or a variance as 0.

        Raises
        ------
        ModelError : no such term, several, or one of one effect.
        """
        from ..inference.genetic import correlation_table
        from ..inference.student import require_level

        require_level(level, "genetic_correlations")
        return give_back(correlation_table(self, term, level), self.library)

    def loadings(self, term: str | None = None, rotation: str = "none") -> Any:
        """The factors of an fa or rr term: loadings, specific variances, per cent of variance explained, and scores.

        Parameters
        ----------
        term : as in `covariance`; None where one term has factors. The variances of a diag term beside an rr are specific ones.
        rotation : "none", as estimated (lower trapezoidal); "principal", orthogonal columns, the largest first; "varimax". Turned columns
            have the sign that makes their sum positive; scores turn with them.

        Returns
        -------
        Loadings. `.table` (effect, loading_1 ..., specific, variance, percent_explained), `.explained` (by factor, of the
        variance of all effects), `.scores` (group, level, score_1 ...: BLUPs of the factors, of variance K).

        Raises
        ------
        ModelError : no such term or rotation; a term without factors.

        References
        ----------
        Smith, Cullis & Thompson (2001) Biometrics 57, 1138-1147; Smith & Cullis (2018) Euphytica 214, 143; Kaiser (1958).
        """
        from ..inference.genetic import Loadings, factors_of

        return Loadings(factors_of(self, term, rotation), self.library)

    def accuracy(self, term: str | None = None) -> Any:
        """Reliability and accuracy of each BLUP.

        term : as in `covariance`; None for all.

        Returns
        -------
        group, level, term, estimate, std_error (square root of PEV), reliability, accuracy. Reliability is the squared
        correlation of u and u^, 1 - PEV / (K_ii sigma^2): for a pedigree relative to (1 + F) sigma^2. Accuracy is its square root.

        Raises
        ------
        ModelError : no such term.
        """
        from ..inference.accuracy import accuracy

        return give_back(accuracy(self, term), self.library)

    def heritability(
        self, term: str | None = None, method: str = "standard", basis: str = "entry", level: float = 0.95
    ) -> Any:
        """Heritability of the effects of a random term, a row for each effect (environment, trait).

        Parameters
        ----------
        term : the term of the genotypes, as in `covariance`; None: the only one of a relationship, vm(...), or the only one.
        method : "standard", s_g^2 over the variance of a mean of the records of a level: s_g^2 + sum_t s_t^2 / n_t + s_e^2 / n, n the
            harmonic mean of the records of the levels that have any, and t the other terms that hold the term's grouping
            (gen:env), n_t the harmonic mean of how many of their levels a level meets; blocks do not count.
            "cullis", 1 - mean variance of a difference of two BLUPs over that of two levels a priori (2 s_g^2 where levels are
            independent). "piepho", s_g^2 / (s_g^2 + v / 2), v the mean variance of a difference of two BLUEs; they are those
            of a second fit with the levels fixed and the other variances estimated again. "oakey", the mean of the eigenvalues of
            I - G^-1 PEV that are not 0 (up to some thousand levels). Differences are over all pairs of levels with records.
        basis : "entry", or "plot": of one record, all n being 1 ("standard" alone).
        level : of the interval.

        Returns
        -------
        group, term, method, heritability, std_error, conf_low, conf_high ("standard" alone: delta method, logit scale), variance
        (s_g^2), mean_variance (what is added to it in the denominator; v of "cullis" and "piepho"), note.

        Raises
        ------
        ModelError : no such term, method or basis; levels that cannot be compared, or too many.

        References
        ----------
        Cullis, Smith & Coombes (2006) JABES 11, 381-393; Piepho & Moehring (2007) Genetics 177, 1881-1888; Oakey et al. (2006)
        Theor. Appl. Genet. 113, 809-819; Schmidt et al. (2019) Genetics 212, 991-1008.
        """
        from ..inference.heritability import heritability
        from ..inference.student import require_level
        from .as_fixed import mean_variance_of_blues

        require_level(level, "heritability")
        found = heritability(self, term, method, basis, level, mean_variance_of_blues)
        return give_back(found, self.library)
