"""How well the variance parameters are known, and how Var(beta^) moves with them.

The observed information is the derivative of the exact gradient, taken by central differences: the quantity R's lmerTest
approximates by differencing the criterion twice. Joint with eta = log s2 (profiled out of the criterion):

    D_tt = H + c c' / nu,   D_t,eta = c,   D_eta,eta = nu;        Var(theta^, eta^) = 2 D''^-1
    d Phi / dt = -(C^-1)_x. (dLambda' A Lambda + Lambda' A dLambda) (C^-1)_.x,      Phi = (C^-1)_xx

Where one gradient is a matter of seconds - tens of thousands of equations with a full factor - the average information that
the last step used stands in for the observed one: there they agree to a fraction of a percent, and degrees of freedom are in
the thousands. `Information.kind` says which it is.

A parameter on the boundary (a pivot of T at exactly zero) is held there: it has no sampling variance of the regular kind,
and Var(beta^) does not move with it to first order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..sparse.threads import one_blas_thread
from .criterion import evaluate_surely
from .derivatives import derivatives, scale_share, score

if TYPE_CHECKING:
    from .solution import Solution

_STEP = 1e-4
OBSERVED_FLOPS = 2e9
"""Floating-point operations of a factorisation up to which the observed information is worked out."""


@dataclass(frozen=True)
class Information:
    """Over the parameters (theta, log s2); a parameter that is not estimated has zero rows and columns."""

    covariance: np.ndarray
    """(k + 1, k + 1): Var of (theta^, log s2^). log s2 last, whether it was profiled out, estimated or held."""
    component_slopes: list[np.ndarray]
    """For each term d Sigma_k / d parameter in the user's units, (k + 1, m_k, m_k)."""
    vcov_slopes: np.ndarray
    """d Var(beta^) / d parameter in the user's units, (k + 1, rank, rank)."""
    kind: str
    """"observed" or "average"."""


def information(solution: Solution) -> Information:
    """Observed information at the solution's parameters, and the first derivatives the delta method needs."""
    with solution.problem.system.lock, one_blas_thread():
        return _information(solution)


def _information(solution: Solution) -> Information:
    problem = solution.problem
    theta = solution.theta
    free = len(theta) - problem.estimates_scale
    regular = np.concatenate([_interior(solution), [problem.log_s2 is None]])
    kind = "observed" if problem.system.flops <= OBSERVED_FLOPS else "average"
    joint = _joint(solution, _observed(solution, regular[:-1]) if kind == "observed" else _average(solution))
    keep = np.flatnonzero(regular)
    values, vectors = np.linalg.eigh(joint[np.ix_(keep, keep)])
    good = values > 1e-10 * max(values.max(initial=0.0), 1e-300)
    inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T
    covariance = np.zeros((free + 1, free + 1))
    covariance[np.ix_(keep, keep)] = 2.0 * inverse
    return Information(covariance, _component_slopes(solution, free), _vcov_slopes(solution, free), kind)


def _interior(solution: Solution) -> np.ndarray:
    """Free parameters of T that are not pivots at zero."""
    problem = solution.problem
    out = []
    for structure, at in zip(problem.structures, problem.slices(), strict=True):
        if at is None:
            continue
        t = structure.factor(solution.theta[at])
        d = structure.derivatives(solution.theta[at])
        dead = np.diag(np.diag(t) == 0)
        out.append(np.any((d != 0) & ~dead[None], axis=(1, 2)))
    return np.concatenate([*out, np.zeros(0, dtype=bool)])


def _joint(solution: Solution, hessian: np.ndarray) -> np.ndarray:
    """Second derivatives by the parameters and log s2, from those of the criterion that is minimised."""
    problem = solution.problem
    free = len(solution.theta) - problem.estimates_scale
    joint = np.zeros((free + 1, free + 1))
    joint[: len(hessian), : len(hessian)] = hessian
    if problem.profiled:
        share = scale_share(problem, solution.factorised())
        joint[:free, :free] += np.outer(share, share) / problem.nu
        joint[:free, free] = joint[free, :free] = share
        joint[free, free] = problem.nu
    return joint


def _average(solution: Solution) -> np.ndarray:
    """The optimiser's last average information; worked out again for a solution that came from a file."""
    if solution.average_information is not None:
        return solution.average_information
    return derivatives(solution.problem, solution.factorised()).average_information


def _observed(solution: Solution, interior: np.ndarray) -> np.ndarray:
    problem, theta = solution.problem, solution.theta

    def gradient(at: np.ndarray) -> np.ndarray:
        return score(problem, evaluate_surely(problem, at)).gradient

    hessian = np.zeros((len(theta), len(theta)))
    for a in [*np.flatnonzero(interior), *([len(interior)] if problem.estimates_scale else [])]:
        step = np.zeros(len(theta))
        step[a] = _STEP * max(abs(theta[a]), 0.1)
        hessian[:, a] = (gradient(theta + step) - gradient(theta - step)) / (2.0 * step[a])
    return 0.5 * (hessian + hessian.T)


def _component_slopes(solution: Solution, free: int) -> list[np.ndarray]:
    problem = solution.problem
    out = []
    for structure, at, t, back, sigma in zip(
        problem.structures,
        problem.slices(),
        solution.point.factors,
        solution.coordinates.back,
        solution.covariances,
        strict=True,
    ):
        slopes = np.zeros((free + 1, structure.m, structure.m))
        if at is not None:
            for a, d in zip(range(at.start, at.stop), structure.derivatives(solution.theta[at]), strict=True):
                half = solution.scale2 * back @ d @ t.T @ back.T
                slopes[a] = half + half.T
            slopes[free] = sigma
        out.append(slopes)
    return out


def _vcov_slopes(solution: Solution, free: int) -> np.ndarray:
    problem, system = solution.problem, solution.problem.system
    p, q = system.p, system.q
    slopes = np.zeros((free + 1, p, p))
    if not p:
        return slopes
    g = solution.fixed_columns
    offsets = solution.products.offsets
    expanded = [
        (g[lo:hi].reshape(-1, t.shape[0], p).transpose(0, 2, 1) @ t.T).transpose(0, 2, 1).reshape(-1, p)
        for lo, hi, t in zip(offsets[:-1], offsets[1:], solution.point.factors, strict=True)
    ]
    product = system.multiply(np.vstack([*expanded, g[q:]]))
    at_scale = np.zeros((p, p))
    for lo, hi, structure, at, t in zip(
        offsets[:-1], offsets[1:], problem.structures, problem.slices(), solution.point.factors, strict=True
    ):
        m = structure.m
        outer = (g[lo:hi].reshape(-1, m * p).T @ product[lo:hi].reshape(-1, m * p)).reshape(m, p, m, p)
        if at is None:
            half = np.einsum("ij,jxiy->xy", -0.5 * t, outer)
            at_scale -= half + half.T
            continue
        for a, d in zip(range(at.start, at.stop), structure.derivatives(solution.theta[at]), strict=True):
            half = np.einsum("ij,jxiy->xy", d, outer)
            slopes[a] = -solution.to_coefficients(half + half.T) * solution.scale2
    slopes[free] = solution.vcov
    if problem.estimates_scale:
        slopes[free] = slopes[free] + solution.to_coefficients(at_scale) * solution.scale2
    return slopes
