"""Exact gradient, average information and the curvature of the parametrisation (docs/theory.md sections 3 and 4).

For a parameter t of T_k, with e = y - X beta - Z Lambda b and all from cross-products:

    dD/dt = 2 <M_k, dT> - (2 / s2) <Z'e b', dT>,          M_k as in `system.System.traces`
    q_t   = Z nu_t,   nu_t = dT b + T dT' Z'e
    AI_tu = (q_t' q_u - (W'q_t)' C^-1 (W'q_u)) / s2
    H     = AI - c c' / nu,   c_t = q_t'e / s2            (s2 profiled out)
    H_tu += 2 tr(dT_t' G dT_u),   dD/dT = 2 G T           (curvature of Sigma = T T')
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .criterion import Point, Problem


@dataclass(frozen=True)
class Derivatives:
    """At one point: gradient (k,) and Newton matrix (k, k) of the criterion."""

    gradient: np.ndarray
    hessian: np.ndarray
    average_information: np.ndarray
    """The same without the curvature of the parametrisation: null along a direction that does not move V at all."""
    curvature: np.ndarray
    """(k,): what the curvature of the parametrisation adds for each parameter by itself; 2 dD/dSigma at a pivot of T."""


@dataclass(frozen=True)
class Score:
    """First derivatives, and what the second ones reuse."""

    gradient: np.ndarray
    by_factor: list[np.ndarray]
    """dD/dT_k, (m_k, m_k), whether T_k is free or held."""
    b: list[np.ndarray]
    """b^ by term, (q_k, m_k)."""
    residual: list[np.ndarray]
    """Z_k'e by term, (q_k, m_k)."""


def residual_products(problem: Problem, point: Point) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """b^ and Z'e by term, (q_k, m_k) each, at the point last evaluated: one solve, no inverse."""
    system = problem.system
    b, beta = system.solution()
    blocks = by_term(problem, b)
    u = _stack([bk @ t.T for bk, t in zip(blocks, point.factors, strict=True)])
    cross = system.border() - system.multiply(np.concatenate([u, beta])[:, None])[:, 0]
    return blocks, by_term(problem, cross[: system.q])


def score(problem: Problem, point: Point) -> Score:
    """Gradient of the criterion at the point last evaluated."""
    blocks, residual = residual_products(problem, point)
    problem.system.invert(problem.reml)
    by_factor = [
        2.0 * trace - (2.0 / point.s2) * (rk.T @ bk)
        for trace, rk, bk in zip(problem.system.traces(), residual, blocks, strict=True)
    ]
    gradient = np.empty(problem.n_parameters)
    for structure, at, slope in zip(problem.structures, problem.slices(), by_factor, strict=True):
        if at is not None:
            gradient[at] = np.einsum("aij,ij->a", structure.derivatives(point.theta[at]), slope)
    if problem.estimates_scale:
        held = zip(point.factors, by_factor, problem.held, strict=True)
        gradient[-1] = problem.nu - point.pwrss / point.s2
        gradient[-1] -= 0.5 * sum(np.vdot(t, slope) for t, slope, h in held if h is not None)
    return Score(gradient, by_factor, blocks, residual)


def scale_share(problem: Problem, point: Point) -> np.ndarray:
    """c (k,) at the point last evaluated: the second derivative of the criterion by a parameter and log s2."""
    b, residual = residual_products(problem, point)
    return _working_vectors(problem, point, b, residual).T @ _stack(residual) / point.s2


def derivatives(problem: Problem, point: Point) -> Derivatives:
    """Gradient and Newton matrix at the point last evaluated."""
    first = score(problem, point)
    if not problem.n_parameters:
        none = np.zeros((0, 0))
        return Derivatives(first.gradient, none, none, np.zeros(0))
    raw, share = working_products(problem, point, first.b, first.residual)
    hessian, share = raw / point.s2, share / point.s2
    if problem.profiled:
        hessian -= np.outer(share, share) / problem.nu
    elif problem.estimates_scale:
        hessian[-1, :] += share
        hessian[:, -1] += share
        hessian[-1, -1] += point.pwrss / point.s2
    average = hessian.copy()
    for structure, at, t, slope in zip(
        problem.structures, problem.slices(), point.factors, first.by_factor, strict=True
    ):
        if at is not None:
            d = structure.derivatives(point.theta[at])
            hessian[at, at] += 2.0 * np.einsum("aij,il,blj->ab", d, slope_in_sigma(slope, t), d)
    curvature = np.diag(hessian) - np.diag(average)
    return Derivatives(first.gradient, 0.5 * (hessian + hessian.T), 0.5 * (average + average.T), curvature)


def working_products(
    problem: Problem, point: Point, b: list[np.ndarray], residual: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """q_t' P q_u (k, k) and q_t' e (k,) of the working vectors that belong to b and Z'e, by term (q_k, m_k)."""
    system, q = problem.system, problem.system.q
    nu = _working_vectors(problem, point, b, residual)
    product = system.multiply(np.vstack([nu, np.zeros((system.p, nu.shape[1]))]))
    half = system.half_solve(scaled_rows(problem, point, product))
    return nu.T @ product[:q] - half.T @ half, nu.T @ _stack(residual)


def scaled_rows(problem: Problem, point: Point, vectors: np.ndarray) -> np.ndarray:
    """blockdiag(Lambda', I) vectors, for vectors (q + p, k)."""
    q, k = problem.system.q, vectors.shape[1]
    parts = [
        (rows.reshape(-1, t.shape[0], k).transpose(0, 2, 1) @ t).transpose(0, 2, 1).reshape(-1, k)
        for rows, t in zip(_rows_by_term(problem, vectors[:q]), point.factors, strict=True)
    ]
    return np.vstack([*parts, vectors[q:]])


def slope_in_sigma(slope: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Symmetric G with dD/dT = 2 G T, by columns from the last, which keeps its relative accuracy as T -> singular.

    The curvature is only a guide to the step: a pivot that is exactly zero leaves its column of G at zero.
    """
    m = t.shape[0]
    g = np.zeros((m, m))
    for j in range(m - 1, -1, -1):
        if t[j, j] != 0.0:
            g[:, j] = (0.5 * slope[:, j] - g[:, j + 1 :] @ t[j + 1 :, j]) / t[j, j]
    return 0.5 * (g + g.T)


def _working_vectors(
    problem: Problem, point: Point, blocks: list[np.ndarray], residual: list[np.ndarray]
) -> np.ndarray:
    """nu_t, one column for each parameter: (q, k)."""
    system = problem.system
    out = np.zeros((system.q, problem.n_parameters))
    start = 0
    for structure, held, at, t, b, r in zip(
        problem.structures,
        problem.held,
        problem.slices(),
        point.factors,
        blocks,
        residual,
        strict=True,
    ):
        rows = slice(start, start + b.size)
        start += b.size
        if at is not None:
            for column, d in zip(
                range(at.start, at.stop), structure.derivatives(point.theta[at]), strict=True
            ):
                out[rows, column] = (b @ d.T + (r @ d) @ t.T).ravel()
        elif held is not None and problem.estimates_scale:
            d = -0.5 * t
            out[rows, -1] = (b @ d.T + (r @ d) @ t.T).ravel()
    return out


def by_term(problem: Problem, stacked: np.ndarray) -> list[np.ndarray]:
    return [
        part.reshape(-1, s.m)
        for part, s in zip(_rows_by_term(problem, stacked), problem.structures, strict=True)
    ]


def _rows_by_term(problem: Problem, stacked: np.ndarray) -> list[np.ndarray]:
    return [stacked[lo:hi] for lo, hi in pairwise(problem.system.offsets)]


def _stack(blocks: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([b.ravel() for b in blocks])
