"""The contract of a correlation among the levels of a random term (right of the bar), or among rows (the residual).

    K(t),  known up to a variance;      Q(t) = K(t)^-1  on one sparse pattern that does not depend on t

The mixed-model equations take Q, so a structure gives the numbers of Q on its pattern, log|K|, and their derivatives in its
coordinates t: a vector of `n_coordinates` numbers of the structure's own choice, smooth, of size about 1, free or boxed.
What users see are its `parameters` at `natural(t)`. Where K has no sparse inverse (points in the plane, a genomic K) the
pattern is the whole lower triangle.

For the residual the diagonal of K may hold variances relative to the residual variance (`has_variances`), and K may have
more rows than there are data (plots of a grid without a record): `places` says which they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ..errors import ModelError
from ..residuals.base import NotPositiveDefinite, Parameter

__all__ = ["At", "NotPositiveDefinite", "Parameter", "Precision"]


@dataclass(frozen=True)
class At:
    """Q and log|K| at one t, and their derivatives where they were asked for."""

    values: np.ndarray
    """(nnz,): Q on the pattern."""
    log_det: float
    """log|K| = -log|Q|."""
    value_slopes: np.ndarray | None = None
    """(n_coordinates, nnz)."""
    log_det_slopes: np.ndarray | None = None
    """(n_coordinates,)."""


class Precision(ABC):
    """A family of correlations K(t) of n levels.

    Attributes
    ----------
    name : "ar1", "vm", "ar1:ar1": for messages.
    n : order of K.
    rows, cols : (nnz,) int64, the pattern of Q: lower triangle (rows >= cols), every diagonal entry among them, none twice.
    parameters : what is reported, in order (`residuals.base.Parameter`: name and unit, the power of the residual standard
        deviation it is multiplied by when reported: 0 correlations, decays and ranges, 2 variances).
    lower, upper : (n_coordinates,), the box of t; infinite where free. At a bound the structure must still answer.
    has_variances : whether the diagonal of K differs from 1 by parameters of its own (residuals only).
    places : (rows of the design,) which of the n levels of K each row of data is; None when they are the same. Residuals only.
    classes : (nnz,) which of the distinct numbers of Q each entry of the pattern is (Q = sum_c f_c(t) M_c with M_c of ones and
        zeros), where the structure says them (`residual_base.RowPrecision.distinct`); None otherwise.
    separable : whether parameter j is a function of coordinate j alone, so that it can be held at a value by itself.
    holds_scale : whether K is known with its scale, so that the residual variance is 1 and not estimated. Residuals only.
    """

    name: str
    n: int
    rows: np.ndarray
    cols: np.ndarray
    parameters: tuple[Parameter, ...] = ()
    lower: np.ndarray
    upper: np.ndarray
    has_variances: bool = False
    places: np.ndarray | None = None
    decay: int | None = None
    """The coordinate that is proportional to 1 / range near 0, where K's variogram is linear: there the variance of the term and the
    range grow together, and only their ratio is told by data."""
    excess: float = 0.0
    """Where that coordinate is the t of an autocorrelation phi = (1 + e) tanh(t): e."""
    classes: np.ndarray | None = None
    separable: bool = True
    holds_scale: bool = False

    @property
    def n_coordinates(self) -> int:
        """Length of t."""
        return len(self.lower)

    @abstractmethod
    def at(self, t: np.ndarray, slopes: bool = False) -> At:
        """Q, log|K| and with `slopes` their derivatives at t.

        Raises
        ------
        NotPositiveDefinite : K is not numerically positive definite there; the optimiser takes a shorter step.
        """

    @abstractmethod
    def times(self, t: np.ndarray, v: np.ndarray) -> np.ndarray:
        """K v, for v (n, r)."""

    @abstractmethod
    def diagonal(self, t: np.ndarray) -> np.ndarray:
        """The diagonal of K, (n,)."""

    def starts(self) -> list[np.ndarray]:
        """One or more t to start from, the best guess first."""
        return [np.zeros(self.n_coordinates)]

    def starts_from(self, residual: np.ndarray) -> list[np.ndarray]:
        """The same, given residuals of the rows of the design, of mean square 1. Residuals only."""
        return self.starts()

    def starts_of(self, residual: np.ndarray, share: float) -> list[np.ndarray]:
        """The same where `share` of the variance of those residuals is taken to be the residual's. Residuals only."""
        return self.starts()

    def contract(self, t: np.ndarray, value_slopes: np.ndarray, g: np.ndarray) -> np.ndarray:
        """<G, dQ> for each coordinate, (n_coordinates,), of a symmetric G given on the pattern (nnz,) and the slopes of Q at t."""
        return np.asarray(value_slopes @ (np.where(self.rows == self.cols, 1.0, 2.0) * g))

    def log_scale(self, t: np.ndarray) -> float:
        """log of the constant that standard deviations as a variance function defines them have over those of K: the residual
        variance to report is s2 exp(-2 log_scale). Residuals only."""
        return 0.0

    def held(self, given: np.ndarray) -> np.ndarray:
        """(n_coordinates,) bool: the coordinates that are held when the parameters `given` (bool) are held at their values.

        Raises
        ------
        ModelError : some, not all, of parameters that are tied to one another.
        """
        given = np.asarray(given, dtype=bool)
        if self.separable and len(given) == self.n_coordinates:
            return given.copy()
        if given.any() and not given.all():
            missing = ", ".join(
                p.name for p, is_given in zip(self.parameters, given, strict=True) if not is_given
            )
            raise ModelError(
                f"the parameters of {self.name} are tied to one another: give all of them or none (missing: {missing})."
            )
        return np.full(self.n_coordinates, bool(given.any()))

    def natural(self, t: np.ndarray) -> np.ndarray:
        """The reported parameters at t, (len(parameters),)."""
        return np.zeros(0)

    def natural_slopes(self, t: np.ndarray) -> np.ndarray:
        """d natural / d t, (len(parameters), n_coordinates)."""
        return np.zeros((len(self.parameters), self.n_coordinates))

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        """t of reported parameters, the inverse of `natural`.

        Raises
        ------
        ModelError : values outside the structure's range, in words.
        """
        return np.zeros(0)

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        """Parameters at the edge of their range at t: (index, "estimated as 1") ..."""
        return []
