"""Exact gradient and average information in the parameters of all structures (docs/theory.md sections 3 and 4).

With e = y - X beta - Z u, P y = R^-1 e, and for a parameter t of T, K or R:

    T:  dD = 2 <M, dT> - (2 / s2) <Z'R^-1 e b', dT>              q = Z nu,  nu = b dT' + (K (Z'R^-1 e) dT) T'
    K:  dD = <C^-1_bb + b b' / s2, dK^-1> + r dlog|K|            q = Z nu,  nu = -(K dK^-1 b) T'
    R:  dD = <W C^-1 W' + e e' / s2, dR^-1> + dlog|R|            q = -R dR^-1 e
    AI_tu = (q_t' R^-1 q_u - (W'R^-1 q_t)' C^-1 (W'R^-1 q_u)) / s2,      c_t = q_t' R^-1 e / s2
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .criterion import Point, Problem


@dataclass(frozen=True, eq=False)
class Score:
    """First derivatives, and what the second ones reuse."""

    gradient: np.ndarray
    """(n_parameters,)."""
    by_phi: np.ndarray
    by_factor: list[np.ndarray]
    """dD/dT_k, (m, r)."""
    b: list[np.ndarray]
    """b^ by term, (q, r)."""
    e: np.ndarray
    """(rows,)."""
    weighted_e: np.ndarray
    """R^-1 e."""
    pulled: list[np.ndarray]
    """Z_k' R^-1 e by term, (q, m)."""


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Gradient (k,) and Newton matrix (k, k) of the criterion."""

    gradient: np.ndarray
    hessian: np.ndarray
    """Average information and the curvature of the parametrisation of T."""
    average_information: np.ndarray
    curvature: np.ndarray
    """(len(phi),): what the curvature adds for each parameter of T by itself."""


def score(problem: Problem, point: Point) -> Score:
    """Gradient of the criterion at the point last evaluated."""
    system, model, layout = problem.system, problem.model, problem.layout
    b_all, beta = system.solution()
    e = model.y - system.fitted(b_all, beta)
    weighted_e = system.precision_times(e)
    pulled_all = system.z.T @ weighted_e
    b = [b_all[lo:hi].reshape(t.q, t.r) for t, lo, hi in _by_term(system.terms, system.offsets)]
    pulled = [pulled_all[lo:hi].reshape(t.q, t.m) for t, lo, hi in _by_term(system.terms, system.u_offsets)]
    system.invert(problem.reml)
    by_factor = [
        2.0 * trace - (2.0 / point.s2) * (rk.T @ bk)
        for trace, rk, bk in zip(system.traces(), pulled, b, strict=True)
    ]
    by_phi = np.zeros(len(point.phi))
    for part in layout.parts:
        d = point.image.slopes[part.kind, part.term]
        if part.kind == "T":
            by_phi[part.at] = np.tensordot(d, by_factor[part.term], axes=([1, 2], [0, 1]))
        elif part.kind == "K":
            precision, bk = model.terms[part.term].precision, b[part.term]
            assert precision is not None
            rows, cols = precision.rows, precision.cols
            g = system.prior_traces(part.term) + np.einsum("ij,ij->i", bk[rows], bk[cols]) / point.s2
            by_phi[part.at] = precision.contract(point.phi[part.at], d, g)
        else:
            assert model.residual is not None
            rows, cols = model.residual.rows, model.residual.cols
            g = system.row_variances() + np.where(rows == cols, 1.0, 2.0) * e[rows] * e[cols] / point.s2
            by_phi[part.at] = d @ g
    by_phi += point.image.log_det_slopes
    gradient = layout.jacobian(point.theta).T @ by_phi
    if layout.estimates_scale:
        gradient[-1] += problem.nu - point.pwrss / point.s2
    return Score(gradient, by_phi, by_factor, b, e, weighted_e, pulled)


def derivatives(problem: Problem, point: Point) -> Derivatives:
    """Gradient and Newton matrix at the point last evaluated."""
    first = score(problem, point)
    layout, k = problem.layout, problem.n_parameters
    if not k:
        none = np.zeros((0, 0))
        return Derivatives(first.gradient, none, none, np.zeros(len(point.phi)))
    raw, share = working_products(problem, point, first)
    hessian, share = raw / point.s2, share / point.s2
    if problem.profiled:
        hessian -= np.outer(share, share) / problem.nu
    elif layout.estimates_scale:
        hessian[-1, :] += share
        hessian[:, -1] += share
        hessian[-1, -1] += point.pwrss / point.s2
    average = 0.5 * (hessian + hessian.T)
    bend = np.zeros((len(point.phi), len(point.phi)))
    for part in layout.parts:
        if part.kind == "T":
            structure = problem.model.terms[part.term].structure
            slope, t = first.by_factor[part.term], point.factors[part.term]
            d = point.image.slopes["T", part.term]
            g = slope_in_sigma(slope, t)
            bend[part.at, part.at] = 2.0 * np.tensordot(d, g @ d, axes=([1, 2], [1, 2]))
            bend[part.at, part.at] += structure.second(point.phi[part.at], slope)
    jacobian = layout.jacobian(point.theta)
    full = average + jacobian.T @ bend @ jacobian
    return Derivatives(first.gradient, 0.5 * (full + full.T), average, np.diag(bend).copy())


def working_products(problem: Problem, point: Point, first: Score) -> tuple[np.ndarray, np.ndarray]:
    """q_t' P q_u (k, k) and q_t' R^-1 e (k,)."""
    system = problem.system
    q, weighted_q = working_vectors(problem, point, first)
    right = np.vstack([system.from_effects(system.z.T @ weighted_q), problem.model.x.T @ weighted_q])
    half = system.half_solve(right)
    return q.T @ weighted_q - half.T @ half, q.T @ first.weighted_e


def working_vectors(problem: Problem, point: Point, first: Score) -> tuple[np.ndarray, np.ndarray]:
    """q = dV P y and R^-1 q, (rows, k) each, one column for each entry of theta."""
    system, model, layout = problem.system, problem.model, problem.layout
    nu = np.zeros((system.z.shape[1], len(point.phi)))
    rows_q = np.zeros((len(model.y), len(point.phi)))
    rows_wq = np.zeros_like(rows_q)
    for part in layout.parts:
        d = point.image.slopes[part.kind, part.term]
        columns = range(part.at.start, part.at.stop)
        if part.kind == "R":
            assert model.residual is not None
            for column, slope in zip(columns, d, strict=True):
                pushed = system.residual_times(slope, first.e)
                rows_wq[:, column] = -pushed
                rows_q[:, column] = -model.residual.times(point.phi[part.at], pushed[:, None])[:, 0]
            continue
        term = model.terms[part.term]
        at = slice(system.u_offsets[part.term], system.u_offsets[part.term + 1])
        b, t = first.b[part.term], point.factors[part.term]
        if part.kind == "T":
            covered = _k_times_residual(problem, point, first, part.term)
            for column, dt in zip(columns, d, strict=True):
                nu[at, column] = (b @ dt.T + (covered @ dt) @ t.T).ravel()
            continue
        assert term.precision is not None
        for column, slope in zip(columns, d, strict=True):
            pushed = symmetric_times(term.precision.rows, term.precision.cols, slope, b)
            nu[at, column] = -(term.precision.times(point.phi[part.at], pushed) @ t.T).ravel()
    jacobian = layout.jacobian(point.theta)
    nu, rows_q, rows_wq = nu @ jacobian, rows_q @ jacobian, rows_wq @ jacobian
    q = np.asarray(system.z @ nu)
    return q + rows_q, system.precision_times(q) + rows_wq


def _k_times_residual(problem: Problem, point: Point, first: Score, k: int) -> np.ndarray:
    """K Z'R^-1 e, (q, m): b T^-1 where T can be divided by, which spares the product with K."""
    term, t = problem.model.terms[k], point.factors[k]
    if term.precision is None:
        return first.pulled[k]
    if t.shape[0] == t.shape[1]:
        pivots = np.abs(np.diag(t))
        size = np.sqrt((t**2).sum(axis=1))
        if np.all(pivots > 1e-6 * np.maximum(size, 1e-300)) and not np.triu(t, 1).any():
            from scipy.linalg import solve_triangular

            return solve_triangular(t, first.b[k].T, lower=True, trans=1).T
    part = next((p for p in problem.layout.parts if p.kind == "K" and p.term == k), None)
    return term.precision.times(np.zeros(0) if part is None else point.phi[part.at], first.pulled[k])


def symmetric_times(rows: np.ndarray, cols: np.ndarray, values: np.ndarray, v: np.ndarray) -> np.ndarray:
    """M v for a symmetric M given by its lower triangle; v (n, k)."""
    import scipy.sparse as sp

    n = len(v)
    lower = sp.csr_matrix((values, (rows, cols)), shape=(n, n))
    diagonal = np.zeros(n)
    on = rows == cols
    diagonal[rows[on]] = values[on]
    return np.asarray(lower @ v + lower.T @ v - diagonal[:, None] * v)


def slope_in_sigma(slope: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Symmetric G with dD/dT = 2 G T as far as T tells: by columns from the last for a square lower T, which keeps its
    accuracy as T -> singular; for other shapes the diagonal alone, from the columns of T that have one entry.

    Only a guide to the step.
    """
    m, r = t.shape
    g = np.zeros((m, m))
    if m == r and not np.triu(t, 1).any():
        for j in range(m - 1, -1, -1):
            if t[j, j] != 0.0:
                g[:, j] = (0.5 * slope[:, j] - g[:, j + 1 :] @ t[j + 1 :, j]) / t[j, j]
        return 0.5 * (g + g.T)
    for j in range(r):
        entries = np.flatnonzero(t[:, j])
        if len(entries) == 1:
            i = entries[0]
            g[i, i] = 0.5 * slope[i, j] / t[i, j]
    return g


def _by_term(terms, offsets):
    return [(t, lo, hi) for t, lo, hi in zip(terms, offsets[:-1], offsets[1:], strict=True)]
