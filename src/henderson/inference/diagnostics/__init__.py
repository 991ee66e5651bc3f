"""Tests of what a linear model assumes: each in a file of its own, all together in one table.

`normality`, `heteroscedasticity`, `autocorrelation`, `homogeneity`, `outliers` give an `Outcome`; `box_cox` and
`collinearity` ask other questions. All of them see the whitened rows (`inference.whitened`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import ModelError
from ..columns import factor_names
from ..whitened import LeastSquares
from .autocorrelation import durbin_watson
from .heteroscedasticity import breusch_pagan
from .homogeneity import bartlett, levene
from .normality import normality
from .outcome import Outcome, not_computed, table
from .outliers import largest

__all__ = [
    "Outcome",
    "bartlett",
    "breusch_pagan",
    "diagnostics",
    "durbin_watson",
    "levene",
    "normality",
    "table",
]


def diagnostics(fit: LeastSquares) -> dict[str, Any]:
    """The tests of normality, equal variance, independence and outliers; with factors, of equal variance of their
    groups too.

    See `Checks.diagnostics`.
    """
    assert fit.design is not None
    asked: list[tuple[str, Callable[[], Outcome]]] = [
        ("Normality", lambda: normality(fit)),
        ("Breusch-Pagan, studentised (Koenker)", lambda: breusch_pagan(fit)),
        ("Breusch-Pagan score test", lambda: breusch_pagan(fit, "fitted", studentize=False)),
        ("Durbin-Watson autocorrelation (DW)", lambda: durbin_watson(fit)),
        ("Outlier", lambda: largest(fit)),
    ]
    if fit.frame is not None and factor_names(fit):
        asked += [("Levene", lambda: levene(fit)), ("Bartlett", lambda: bartlett(fit))]
    return table(_one(name, test) for name, test in asked)


def _one(name: str, test: Callable[[], Outcome]) -> Outcome:
    try:
        return test()
    except ModelError as error:
        return not_computed(name, str(error).split(": ", 1)[-1].split("\n")[0])
