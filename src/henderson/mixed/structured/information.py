"""How well the parameters of all structures are known, and how Var(beta^) moves with them (see `mixed.information`).

    D_tt = H + c c' / nu,   D_t,eta = c,   D_eta,eta = nu,   eta = log s2;        Var(theta^, eta^) = 2 D''^-1

What is reported are natural parameters: variances, correlations, loadings: functions of phi and of s2, each with its slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...sparse.threads import one_blas_thread
from .criterion import evaluate, evaluate_surely
from .derivatives import derivatives, score, symmetric_times, working_products
from .flat import flat_directions
from .optimise import pivots_of

if TYPE_CHECKING:
    from .solution import Solution

_STEP = 1e-4
OBSERVED_WORK = 3e10
"""Floating-point operations of all the factorisations up to which the observed information is worked out."""
_AT_BOUND = 1e-7


@dataclass(frozen=True, eq=False)
class Information:
    """Over (theta, log s2); what is not estimated has zero rows and columns."""

    covariance: np.ndarray
    """(k + 1, k + 1)."""
    vcov_slopes: np.ndarray
    """d Var(beta^) / d parameter in the user's units, (k + 1, rank, rank)."""
    phi_slopes: np.ndarray
    """d phi / d (theta, log s2), (len(phi), k + 1)."""
    regular: np.ndarray
    """(k,): entries of theta that are not on a boundary."""
    flat: np.ndarray
    """(d, k + 1): directions of (theta, log s2) along which V does not move: no data on this design say anything of them."""
    kind: str
    """"observed" or "average"."""


def information(solution: Solution) -> Information:
    """Observed information at the solution's parameters, and the first derivatives that the delta method needs."""
    with solution.problem.system.lock, one_blas_thread():
        return _information(solution)


def _information(solution: Solution) -> Information:
    problem, theta = solution.problem, solution.theta
    layout = problem.layout
    k = layout.n_free
    regular = _regular(solution)
    known = layout.log_s2 is None
    work = 6.0 * k * problem.system.flops
    kind = "observed" if work <= OBSERVED_WORK else "average"
    hessian = _observed(solution, regular) if kind == "observed" else None
    if hessian is None:
        kind, hessian = "average", _average(solution)
    flat = flat_directions(problem, solution.factorised(), _average(solution), regular)
    joint = np.zeros((k + 1, k + 1))
    joint[: len(hessian), : len(hessian)] = hessian
    if problem.profiled and known:
        point = solution.factorised()
        share = working_products(problem, point, score(problem, point))[1] / point.s2
        joint[:k, :k] += np.outer(share, share) / problem.nu
        joint[:k, k] = joint[k, :k] = share
        joint[k, k] = problem.nu
    keep = np.flatnonzero(np.append(regular, known))
    covariance = np.zeros((k + 1, k + 1))
    if len(keep):
        covariance[np.ix_(keep, keep)] = 2.0 * _pseudo_inverse(joint[np.ix_(keep, keep)], flat[:, keep])
    phi_slopes = np.zeros((len(layout.source), k + 1))
    jacobian = layout.jacobian(theta)
    phi_slopes[:, : jacobian.shape[1]] = jacobian
    return Information(covariance, _vcov_slopes(solution, k), phi_slopes, regular, flat, kind)


def _pseudo_inverse(matrix: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """The inverse on what is orthogonal, parameters scaled alike, to the flat directions and to what has no curvature."""
    size = np.sqrt(np.maximum(np.abs(np.diag(matrix)), 1e-300))
    scaled = matrix / np.outer(size, size)
    if len(flat):
        basis, _ = np.linalg.qr((flat * size).T)
        off = np.eye(len(size)) - basis @ basis.T
        scaled = off @ scaled @ off
    values, vectors = np.linalg.eigh(scaled)
    good = values > 1e-10 * max(float(values.max(initial=0.0)), 1e-300)
    inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T
    return inverse / np.outer(size, size)


def _regular(solution: Solution) -> np.ndarray:
    """Entries of theta (without log s2) that are neither a pivot at zero nor at a bound."""
    layout, model = solution.problem.layout, solution.problem.model
    out = np.ones(layout.n_free, dtype=bool)
    phi = layout.all(solution.theta)
    lower, upper = layout.bounds()
    out &= (solution.theta[: layout.n_free] > lower[: layout.n_free] + _AT_BOUND) & (
        solution.theta[: layout.n_free] < upper[: layout.n_free] - _AT_BOUND
    )
    for part in layout.parts:
        if part.kind == "K" and not np.any(solution.point.factors[part.term]):
            # The correlation of effects that are all zero.
            for i in range(part.at.start, part.at.stop):
                if layout.source[i] >= 0:
                    out[layout.source[i]] = False
        if part.kind != "T":
            continue
        structure = model.terms[part.term].structure
        here = phi[part.at]
        zero = pivots_of(structure) & (here == 0.0)
        if structure.name == "us":
            t = structure.factor(here)
            # A column of zeros: its entries move Sigma by their squares alone.
            dead = np.diag(np.diag(t) == 0.0) | ~np.any(t, axis=0)
            zero |= ~np.any((structure.derivatives(here) != 0) & ~dead[None], axis=(1, 2))
        for i in np.flatnonzero(zero) + part.at.start:
            if layout.source[i] >= 0:
                out[layout.source[i]] = False
    return out


def _average(solution: Solution) -> np.ndarray:
    if solution.average_information is not None:
        return solution.average_information
    return derivatives(solution.problem, solution.factorised()).average_information


def _observed(solution: Solution, regular: np.ndarray) -> np.ndarray | None:
    problem, theta = solution.problem, solution.theta
    size = len(theta)
    hessian = np.zeros((size, size))
    lower, upper = problem.layout.bounds()
    for a in [*np.flatnonzero(regular), *([size - 1] if problem.estimates_scale else [])]:
        h = _STEP * max(abs(theta[a]), 0.1)
        h = min(h, theta[a] - lower[a], upper[a] - theta[a])
        gradients = []
        for sign in (1.0, -1.0):
            moved = theta.copy()
            moved[a] += sign * h
            point = evaluate(problem, moved)
            if point is None:
                evaluate_surely(problem, theta)
                return None
            gradients.append(score(problem, point).gradient)
        hessian[:, a] = (gradients[0] - gradients[1]) / (2.0 * h)
    evaluate_surely(problem, theta)
    return 0.5 * (hessian + hessian.T)


def _vcov_slopes(solution: Solution, k: int) -> np.ndarray:
    """d Var(beta^) = - C^-1_xb (dC) C^-1_bx, by phi first: products of rows and levels with the columns of C^-1 of X."""
    problem, system, model = solution.problem, solution.problem.system, solution.problem.model
    layout, p, q = problem.layout, system.p, system.q
    slopes = np.zeros((k + 1, p, p))
    if not p:
        return slopes
    point = solution.factorised()
    g = solution.fixed_columns
    solution.factorised()
    u = system.to_effects(g[:q])
    rows = system.z @ u + model.x @ g[q:]
    weighted = system.precision_times(rows)
    pulled = system.z.T @ weighted
    by_phi = np.zeros((len(point.phi), p, p))
    for part in layout.parts:
        d = point.image.slopes[part.kind, part.term]
        if part.kind == "R":
            for a, slope in zip(range(part.at.start, part.at.stop), d, strict=True):
                by_phi[a] = -rows.T @ system.residual_times(slope, rows)
            continue
        term = model.terms[part.term]
        b = g[system.offsets[part.term] : system.offsets[part.term + 1]]
        if part.kind == "K":
            assert term.precision is not None
            wide = b.reshape(term.q, term.r * p)
            for a, slope in zip(range(part.at.start, part.at.stop), d, strict=True):
                moved = symmetric_times(term.precision.rows, term.precision.cols, slope, wide)
                by_phi[a] = -b.T @ moved.reshape(-1, p)
            continue
        r = pulled[system.u_offsets[part.term] : system.u_offsets[part.term + 1]]
        outer = np.einsum("qep,qrs->erps", r.reshape(term.q, term.m, p), b.reshape(term.q, term.r, p))
        for a, dt in zip(range(part.at.start, part.at.stop), d, strict=True):
            half = np.einsum("er,erps->ps", dt, outer)
            by_phi[a] = -(half + half.T)
    jacobian = layout.jacobian(solution.theta)
    raw = np.einsum("ij,ips->jps", jacobian, by_phi)
    for a in range(raw.shape[0]):
        slopes[a] += solution.to_coefficients(raw[a]) * solution.scale2
    slopes[k] = slopes[k] + solution.vcov
    return slopes
