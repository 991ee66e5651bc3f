"""The (restricted) likelihood of the variance parameters, and where a value of it stands (docs/theory.md section 2).

    D = log|C| + nu log(2 pi s2) + pwrss / s2,        REML: nu = n - p;   ML: log|C_zz| and nu = n

With s2 profiled out, s2^ = pwrss / nu. All in standard coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import ModelError
from ..structures import Structure
from .system import System

LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class Problem:
    """What is minimised, over which parameters.

    The parameters are those of the free terms in order, then log s2 where it cannot be profiled out: where a covariance
    is held at an absolute value, or `log_s2` holds s2 itself.
    """

    system: System
    structures: tuple[Structure, ...]
    n: int
    reml: bool
    held: tuple[np.ndarray | None, ...]
    """For each term the absolute covariance factor it is held at, or None where it is free."""
    log_s2: float | None = None
    """The residual variance's logarithm where it is held."""

    @property
    def nu(self) -> int:
        return self.n - (self.system.p if self.reml else 0)

    @property
    def estimates_scale(self) -> bool:
        """log s2 is a parameter of its own: some covariance is held at an absolute value, and s2 is not."""
        return self.log_s2 is None and any(t is not None for t in self.held)

    @property
    def profiled(self) -> bool:
        return self.log_s2 is None and not self.estimates_scale

    @property
    def n_parameters(self) -> int:
        free = sum(s.n_parameters for s, t in zip(self.structures, self.held, strict=True) if t is None)
        return free + self.estimates_scale

    def slices(self) -> list[slice | None]:
        """Where each term's parameters are; None for a held term."""
        out: list[slice | None] = []
        at = 0
        for structure, held in zip(self.structures, self.held, strict=True):
            if held is not None:
                out.append(None)
                continue
            out.append(slice(at, at + structure.n_parameters))
            at += structure.n_parameters
        return out

    @cached_property
    def pivots(self) -> list[tuple[slice, np.ndarray]]:
        """For each free term its parameters' place, and which of them are pivots (diagonal entries) of T."""
        out = []
        for structure, at in zip(self.structures, self.slices(), strict=True):
            if at is not None:
                d = structure.derivatives(np.ones(structure.n_parameters))
                out.append((at, np.einsum("aii->a", np.abs(d)) > 0))
        return out

    def factors(self, theta: np.ndarray) -> list[np.ndarray]:
        """T_k, relative to s2, of every term."""
        scale = 1.0
        if self.log_s2 is not None:
            scale = np.exp(-0.5 * self.log_s2)
        elif self.estimates_scale:
            scale = np.exp(-0.5 * theta[-1])
        return [
            structure.factor(theta[at]) if held is None else held * scale
            for structure, held, at in zip(self.structures, self.held, self.slices(), strict=True)
        ]


@dataclass(frozen=True)
class Point:
    """The criterion at one value of the parameters; the system is left factorised there."""

    theta: np.ndarray
    factors: list[np.ndarray]
    pwrss: float
    s2: float
    deviance: float


def evaluate(problem: Problem, theta: np.ndarray) -> Point | None:
    """The criterion at theta; None where the factorisation broke down."""
    factors = problem.factors(theta)
    pivots = problem.system.factorise(factors)
    if pivots is None:
        return None
    nu = problem.nu
    if problem.profiled:
        s2 = pivots.pwrss / nu
    else:
        s2 = float(np.exp(problem.log_s2 if problem.log_s2 is not None else theta[-1]))
    log_determinant = pivots.log_random + (pivots.log_fixed if problem.reml else 0.0)
    deviance = log_determinant + nu * (LOG_2PI + np.log(s2)) + pivots.pwrss / s2
    return Point(theta, factors, pivots.pwrss, s2, float(deviance))


def evaluate_surely(problem: Problem, theta: np.ndarray) -> Point:
    """`evaluate`, where it must succeed; a ModelError where it does not."""
    point = evaluate(problem, theta)
    if point is None:
        raise ModelError(
            "The mixed-model equations are not positive definite at these covariances: they are too far apart in size "
            "for double precision, or not numbers. If start= or fixed_parameters= was given, look there first."
        )
    return point
