"""The questions every fit answers through `inference`, written once: `LinearFit` and `MixedFit` inherit them.

Each method hands the fit itself over as an `inference.protocol.LinearEstimates` and gives the table back in the caller's
library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..frame import give_back

if TYPE_CHECKING:
    from ..report.explain import Explanation


class Questions:
    """Tests, contrasts, marginal means and slopes of a fit with linear coefficients."""

    library: str

    def anova(self, type: int | str = 2, df: str | None = None) -> Any:
        """F tests of the fixed terms: of each given those before it (type 1), given every term that does not contain it
        (type 2), or with all cells counting alike (type 3). See `inference.anova.anova` for columns and sources.
        """
        from ..inference.anova import anova

        return give_back(anova(self, type, df), self.library)  # type: ignore[arg-type]

    def contrast(
        self, L: Any, level: float = 0.95, df: str | None = None, names: Sequence[str] | None = None
    ) -> Any:
        """Estimates, tests and intervals of linear combinations of the coefficients: texts such as "x1 - 2*x2 = 3", an
        array (k, p), or {name: {column: weight}}. See `inference.hypothesis.contrast`.
        """
        from ..inference.hypothesis import contrast

        return give_back(contrast(self, L, level, df, names), self.library)  # type: ignore[arg-type]

    def test(self, L: Any, df: str | None = None) -> Any:
        """One F test of several linear hypotheses together. See `inference.hypothesis.joint_test`."""
        from ..inference.hypothesis import joint_test

        return give_back(joint_test(self, L, df), self.library)  # type: ignore[arg-type]

    def estimable(self, L: Any) -> Any:
        """Whether combinations of the coefficients can be estimated, and why not: combination, estimable, reason. See
        `inference.hypothesis.estimable`.
        """
        from ..inference.hypothesis import estimable

        return give_back(estimable(self, L), self.library)  # type: ignore[arg-type]

    def confint(self, level: float = 0.95, method: str = "wald") -> Any:
        """Intervals of the coefficients: term, conf_low, conf_high. See `inference.confint.confint`."""
        from ..inference.confint import confint

        return give_back(confint(self, level, method), self.library)  # type: ignore[arg-type]

    def emmeans(self, specs: Any, **options: Any) -> Any:
        """Estimated marginal means. See `inference.emmeans.emmeans`."""
        from ..inference.emmeans import emmeans

        return emmeans(self, specs, **options)  # type: ignore[arg-type]

    def pairs(self, specs: Any, **options: Any) -> Any:
        """Differences of marginal means. See `inference.emmeans.pairs`."""
        from ..inference.emmeans import pairs

        return pairs(self, specs, **options)  # type: ignore[arg-type]

    def slopes(self, variable: str, **options: Any) -> Any:
        """Slopes of the mean in a covariate. See `inference.slopes.slopes`."""
        from ..inference.slopes import slopes

        return slopes(self, variable, **options)  # type: ignore[arg-type]

    def explain(self) -> Explanation:
        """The model in matrix form, with its numbers: y, X, b, V and the normal equations; with random effects Z, G, R, V
        and Henderson's mixed-model equations. Small data whole, large data abridged. See `report.explain`.

        Returns
        -------
        A text: print it; a notebook shows it as it is.

        Raises
        ------
        ModelError : a fit that was loaded has no rows to show.
        """
        from ..report.explain import explain

        return explain(self)  # type: ignore[arg-type]
