"""The contract of a covariance structure of the residuals.

    Var(e) = s2 V,     V = S C S,     S = diag(s)  (a variance function, `variances`),     C  (a `Structure`, this file)

C is mostly a correlation; the structures that have a variance for each position (`us`, `csh`, `diag` ...) have other
numbers on its diagonal and say so (`has_variances`). Rows of different groups are independent: C is block-diagonal.

A structure gets its rows once (`Layout`) and does all symbolic work then: the order of the rows, lags, distinct gaps and
distances, patterns that groups share. After that it is asked for numbers at many values of its coordinates t, a vector of
`n_coordinates` numbers of the structure's own choice: smooth, of size about 1, free or boxed (`lower`, `upper`, closed: at a
bound the structure must still answer). What users see are its `parameters`, at `natural(t)`.

With M (n, k) of rows **in the structure's own order** (`order`):

    whiten(t, M)                ->  W M  and  log|C|,  where  W C W' = I
    cross_products(t, M, True)  ->  A = M'C^-1 M,  log|C|,  and their derivatives  dA/dt_j  and  dlog|C|/dt_j

The criterion and its gradient are made of the second (dA/dt_j = -M'C^-1 (dC/dt_j) C^-1 M), estimates and normalised residuals
of the first. Where M meets C only through a few sums that do not depend on t, override `bind`: those are then formed once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Parameter(NamedTuple):
    """One reported number of a structure."""

    name: str
    """As `variance_components`, start= and fixed_parameters= have it: "phi", "range", "nugget", "cor(8, 10)"."""
    unit: int = 0
    """Power of the residual standard deviation it is multiplied by when reported: 0 a correlation or a range, 2 a variance
    or a covariance."""


class CrossProducts(NamedTuple):
    """M'C^-1 M and log|C| at one t, and their derivatives where they were asked for."""

    products: np.ndarray
    """(k, k)."""
    log_det: float
    product_slopes: np.ndarray | None = None
    """(n_coordinates, k, k)."""
    log_det_slopes: np.ndarray | None = None
    """(n_coordinates,)."""


class NotPositiveDefinite(ArithmeticError):
    """C is not numerically positive definite at this t: the optimiser takes a shorter step."""


@dataclass(frozen=True)
class Factor:
    """One correlation of a term: `ar1(time)` or, left of the bar, `ar1(0 + time | subject)`."""

    structure: str
    """"ar1", "ou", "exp", "mat" ..."""
    names: tuple[str, ...]
    """Columns of its coordinates; () where the rows are taken as they come."""
    coordinates: tuple[np.ndarray, ...]
    """(n,) each: float64 numbers, or for a factor its codes 0, 1, ... in the order of its levels."""
    levels: tuple[Sequence[Any] | None, ...]
    """For each coordinate that is a factor its levels, else None."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Constants given with the structure, such as {"nu": 1.5}."""
    orders: tuple[str, ...] = ()
    """Where the order of the levels of each coordinate is from: "text" (the alphabet's), "levels" (the caller's factor), "ordered"
    (an ordered one), "" (numbers); () if that is not known."""


@dataclass(frozen=True)
class Layout:
    """What a residual term says of each row of the design (n rows, in the order of the design)."""

    n: int
    factors: tuple[Factor, ...]
    """One, or several for a product such as ar1(row):ar1(col)."""
    groups: np.ndarray
    """(n,) codes 0 ... of the independent groups; all 0 where there is one series."""
    group_name: str
    """"subject", "env:block"; "" where there is one series."""
    group_labels: Sequence[Any]
    text: str
    """The term as the user wrote it, for errors."""
    nugget: bool = False
    """Whether `+ (1 | units)` stands beside the term: C = (1 - nugget) C0 + nugget I."""
    rows: np.ndarray | None = None
    """Row numbers in the caller's table, or None when all rows are used."""

    def row(self, i: int) -> int:
        """Row number of design row i in the caller's table (the first row is 0)."""
        return int(i if self.rows is None else self.rows[i])

    def group(self, i: int) -> str:
        """ "subject M07" of design row i, "" where there is one series: for errors."""
        return f"{self.group_name} {self.group_labels[int(self.groups[i])]}" if self.group_name else ""


class Bound(ABC):
    """A structure with the rows M it is asked about."""

    @abstractmethod
    def at(self, t: np.ndarray, slopes: bool) -> CrossProducts:
        """Raises NotPositiveDefinite."""


class _Plain(Bound):
    def __init__(self, structure: Structure, m: np.ndarray):
        self.structure, self.m = structure, m

    def at(self, t: np.ndarray, slopes: bool) -> CrossProducts:
        return self.structure.cross_products(t, self.m, slopes)


class Structure(ABC):
    """A family of covariances C(t) of n rows. Build one with `build(layout)`, the function every structure file has.

    Attributes
    ----------
    name : "ar1", for messages.
    order : (n,) rows of the design in the order in which every method takes and gives them; None when that is their own.
    parameters : what is reported, in order.
    lower, upper : (n_coordinates,), the box of the coordinates; infinite where they are free.
    separable : whether parameter j depends on coordinate j alone, so that it can be held at a value by itself
        (fixed_parameters=); otherwise all parameters of the structure are held, or none.
    has_variances : whether the diagonal of C differs from 1, the parameters then have the variances among them, and no
        residual variance is reported besides. C is then relative to the residual variance s2.
    """

    name: str
    order: np.ndarray | None = None
    parameters: tuple[Parameter, ...]
    lower: np.ndarray
    upper: np.ndarray
    separable: bool = True
    has_variances: bool = False
    followed: int = 3
    """From how many of its starts, best first, steps are taken."""
    scanned: bool = False
    """Whether its starts are a grid, dense enough that its local minima show where the criterion has one."""
    shares: tuple[int, ...] = ()
    """Coordinates that are a nugget's share: at 0 the model has none, at 1 nothing else."""
    layout: Layout | None = None
    """The rows it was built for, in the order of the design: what a variogram or an ACF of residuals asks."""

    @property
    def n_coordinates(self) -> int:
        """Length of t."""
        return len(self.lower)

    @abstractmethod
    def starts(self, residual: np.ndarray) -> list[np.ndarray]:
        """One or more t to start from, the best guess first; more where the criterion may have several optima.

        residual : (n,) least-squares residuals of mean square 1, in the structure's order.
        """

    @abstractmethod
    def natural(self, t: np.ndarray) -> np.ndarray:
        """The reported parameters at t, (len(parameters),); variances relative to s2 (see `Parameter.unit`)."""

    @abstractmethod
    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        """t of reported parameters, the inverse of `natural`.

        Raises
        ------
        ModelError : values outside the structure's range, in words.
        """

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        """Parameters at the edge of their range at t, where their limit is a result: (index, "estimated as 1") ..."""
        return []

    def kinks(self, t: np.ndarray) -> list[tuple[int, float]]:
        """Coordinates near t at which the slope of C jumps: (which coordinate, its value there), nearest first."""
        return []

    @abstractmethod
    def whiten(self, t: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, float]:
        """W m (n, k) and log|C|, W C W' = I. Raises NotPositiveDefinite."""

    @abstractmethod
    def cross_products(self, t: np.ndarray, m: np.ndarray, slopes: bool) -> CrossProducts:
        """m'C^-1 m, log|C|; with `slopes` their derivatives in t. Raises NotPositiveDefinite."""

    def bind(self, m: np.ndarray) -> Bound:
        """The structure beside rows m (n, k) in its order: override where sums can be formed once for all t."""
        return _Plain(self, m)

    def diagonal(self, t: np.ndarray) -> np.ndarray:
        """The diagonal of C, (n,), in the structure's order."""
        return np.ones(self._n_rows)

    _n_rows: int = 0
    """n; set by every structure."""

    def correlation_at(self, t: np.ndarray, *lags: np.ndarray) -> np.ndarray | None:
        """The model's correlation at distances or lags, for figures beside an empirical variogram or ACF; None if it is no
        function of distance."""
        return None
