"""The (restricted) likelihood of the parameters of all structures (docs/theory.md section 2).

D = log|C| + sum_k r_k log|K_k| + log|R| + nu log(2 pi s2) + pwrss / s2,      REML: nu = n - p;  ML: log|C_zz|, nu = n
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import ModelError
from ...precisions.base import NotPositiveDefinite
from .equations import Equations
from .model import Model
from .parameters import Image, Layout, image

LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, eq=False)
class Problem:
    """What is minimised, over which parameters."""

    model: Model
    system: Equations
    layout: Layout
    reml: bool

    @property
    def nu(self) -> int:
        return self.model.n - (self.system.p if self.reml else 0)

    @property
    def n_parameters(self) -> int:
        return self.layout.n_parameters

    @property
    def estimates_scale(self) -> bool:
        return self.layout.estimates_scale

    @property
    def log_s2(self) -> float | None:
        return self.layout.log_s2

    @property
    def profiled(self) -> bool:
        return self.layout.profiled


@dataclass(frozen=True, eq=False)
class Point:
    """The criterion at one theta; the system is left factorised there."""

    theta: np.ndarray
    phi: np.ndarray
    image: Image
    pwrss: float
    s2: float
    deviance: float

    @property
    def factors(self) -> list[np.ndarray]:
        return self.image.values.factors


def evaluate(problem: Problem, theta: np.ndarray, slopes: bool = True) -> Point | None:
    """The criterion at theta; None where it is not defined."""
    layout = problem.layout
    phi = layout.all(theta)
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            here = image(problem.model, layout, phi, slopes)
    except NotPositiveDefinite:
        return None
    if not _finite(here):
        return None
    pivots = problem.system.factorise(here.values)
    if pivots is None:
        return None
    nu = problem.nu
    if problem.profiled:
        s2 = pivots.pwrss / nu
    else:
        s2 = float(np.exp(layout.log_s2 if layout.log_s2 is not None else theta[-1]))
    if not (np.isfinite(s2) and s2 > 0):
        return None
    log_determinant = pivots.log_random + (pivots.log_fixed if problem.reml else 0.0) + here.log_det
    deviance = log_determinant + nu * (LOG_2PI + np.log(s2)) + pivots.pwrss / s2
    if not np.isfinite(deviance):
        return None
    return Point(np.array(theta, dtype=np.float64), phi, here, pivots.pwrss, s2, float(deviance))


def _finite(here: Image) -> bool:
    if not np.isfinite(here.log_det):
        return False
    values = here.values
    found = [*values.factors, *(p for p in values.precisions if p is not None)]
    if values.residual is not None:
        found.append(values.residual)
    return all(np.isfinite(v).all() for v in found)


def evaluate_surely(problem: Problem, theta: np.ndarray) -> Point:
    """`evaluate`, where it must succeed; a ModelError where it does not."""
    point = evaluate(problem, theta)
    if point is None:
        raise ModelError(
            "The mixed-model equations are not positive definite at these parameters: variances are too far apart in size "
            "for double precision, or a correlation is outside its range. If start= or fixed_parameters= was given, look "
            "there first."
        )
    return point
