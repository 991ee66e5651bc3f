"""What inference asks of a fit: any model whose mean is linear in coefficients answers this, and nothing else is asked.

Tests, contrasts, marginal means and slopes are written once, against `LinearEstimates`; `LinearFit` (lm, gls) and `MixedFit`
(lmm) answer it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import ModelError

if TYPE_CHECKING:
    from ..design import Design
    from ..design.estimability import ColumnSpace

DF_METHODS = ("satterthwaite", "kenward-roger", "residual", "inf")
"""Denominator degrees of freedom that can be asked for; a fit refuses by name what it does not have."""


class LinearEstimates(Protocol):
    """A fit whose mean is X b (+ random effects + offset)."""

    @property
    def formula(self) -> str: ...

    @property
    def library(self) -> str:
        """Of the tables to give back (`frame.give_back`)."""
        ...

    @property
    def spec(self) -> Mapping[str, Any]:
        """What `design.rebuild` makes the columns of new rows with; saved fits have it too."""
        ...

    @property
    def columns(self) -> ColumnSpace:
        """The p columns of X: names, which have a coefficient, and the null space."""
        ...

    @property
    def coefficients(self) -> np.ndarray:
        """b^ (rank,) of the kept columns, in the order of `columns.kept`."""
        ...

    @property
    def vcov(self) -> np.ndarray:
        """Var(b^) (rank, rank), in the same order."""
        ...

    @property
    def vcov_root(self) -> np.ndarray:
        """C (rank, rank) with C C' = Var(b^)."""
        ...

    @property
    def sequential_root(self) -> np.ndarray:
        """R (rank, rank) upper triangular with R'R = X'V^-1X (X'X weighted, for mixed models): its rows that belong to
        the columns of a term are the hypothesis of the term given those before it (type I)."""
        ...

    @property
    def sigma(self) -> float: ...

    @property
    def nobs(self) -> int: ...

    @property
    def df_residual(self) -> int: ...

    @property
    def df_method(self) -> str:
        """The default of `denominator_df`: one of `DF_METHODS`."""
        ...

    def denominator_df(self, rows: np.ndarray, method: str | None = None) -> np.ndarray:
        """Degrees of freedom (k,) of the t tests of the combinations `rows` (k, rank) of the kept coefficients; np.inf
        for a normal test. `method` None takes the fit's own.

        Raises
        ------
        ModelError : a method the fit does not have.
        """
        ...

    @property
    def design(self) -> Design:
        """The rows of the fit. Raises ModelError for a loaded fit, which has none."""
        ...


def rows_or_none(fit: LinearEstimates) -> Design | None:
    """The rows of a fit, for what is said better in the names of levels; None where it holds none."""
    try:
        return fit.design
    except ModelError:
        return None
