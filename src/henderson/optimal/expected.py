"""What a design will tell of the variances: the expected information of REML, before there is a response.

With V = sum_a sigma_a V_a + s2 W^-1 linear in its parameters (the entries of each Sigma, and s2) and P the usual projection,

    F_ab = tr(P V_a P V_b) / 2,        Var(sigma^) = F^-1                        (Searle, Casella & McCulloch 1992, ch. 6)
    V_a = Z (I (x) E_a) Z':  tr(P V_a P V_b) = tr(S_kl E_b S_lk E_a),  S = Z'PZ
    tr(P V_a P V) = tr(P V_a)  and  tr(PVPV) = n - r   give the row and column of s2
    d Phi / d sigma_a = G'(I (x) E_a)G,   G = Z'V^-1X Phi;   homogeneity gives d Phi / d s2

The observed information depends on the response; its mean is this. Where S is too large to be formed, the mean of y'PV_aPV_bPy
over responses drawn from the model stands for tr(P V_a P V_b).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..mixed.crossproducts import border_sums
from ..mixed.derivatives import scaled_rows
from ..mixed.solution import Solution
from ..mixed.standardise import Standardised
from ..sparse.threads import one_blas_thread

EXACT = 1500
"""Random effects up to which S is formed."""
DRAWS = 100
_SEED = 20


@dataclass(frozen=True, eq=False)
class Expected:
    """Over the entries of every Sigma that the structure leaves free, then s2; in the user's units."""

    covariance: np.ndarray
    """F^-1, (r, r): Var of the estimates of the variances, asymptotically."""
    vcov: np.ndarray
    """Phi (rank, rank): Var(beta^) of the kept columns."""
    vcov_slopes: np.ndarray
    """(r, rank, rank)."""
    draws: int
    """Responses drawn for it; 0 where it is exact."""


def expected_information(solution: Solution, model: Standardised, structures: list[str]) -> Expected:
    """The expected information at the variances that a solution is held at.

    Parameters
    ----------
    structures : of each term, "us", "diag" or "id".
    """
    with solution.problem.system.lock, one_blas_thread():
        solution.factorised()
        exact = solution.problem.system.q <= EXACT
        return _expected(solution, model, _directions(solution, structures), exact)


@dataclass(frozen=True)
class _Direction:
    """One parameter: an entry of the Sigma of term k. `matrix` is E_a in standard effects."""

    term: int
    value: float
    matrix: np.ndarray


def _directions(solution: Solution, structures: list[str]) -> list[_Direction]:
    out = []
    for k, (structure, sigma, back) in enumerate(
        zip(structures, solution.covariances, solution.coordinates.back, strict=True)
    ):
        m = len(sigma)
        inverse = np.linalg.inv(back)

        def add(k: int, value: float, basis: np.ndarray, inverse: np.ndarray = inverse) -> None:
            out.append(_Direction(k, float(value), inverse @ basis @ inverse.T))

        if structure == "id" and m > 1:
            add(k, sigma[0, 0], np.eye(m))
            continue
        for i in range(m):
            for j in range(i + 1):
                if structure == "us" or i == j:
                    basis = np.zeros((m, m))
                    basis[i, j] = basis[j, i] = 1.0
                    add(k, sigma[i, j], basis)
    return out


def _expected(solution: Solution, model: Standardised, directions: list[_Direction], exact: bool) -> Expected:
    n, rank = solution.products.n, solution.coordinates.rank
    s2 = solution.scale2
    values = np.array([d.value for d in directions])
    products, traces = _exact(solution, directions) if exact else _drawn(solution, model, directions)
    products, traces = products / s2**2, traces / s2
    r = len(directions)
    F = np.empty((r + 1, r + 1))
    F[:r, :r] = products
    F[:r, r] = F[r, :r] = (traces - products @ values) / s2
    F[r, r] = (n - rank - values @ products @ values - 2.0 * s2 * values @ F[:r, r]) / s2**2
    slopes = np.zeros((r + 1, rank, rank))
    G = _border(solution)
    for a, d in enumerate(directions):
        slopes[a] = np.einsum("imx,mn,iny->xy", G[d.term], d.matrix, G[d.term])
    vcov = solution.vcov
    slopes[r] = (vcov - np.tensordot(values, slopes[:r], axes=1)) / s2
    return Expected(_inverse(0.5 * F), vcov, slopes, 0 if exact else DRAWS)


def _exact(solution: Solution, directions: list[_Direction]) -> tuple[np.ndarray, np.ndarray]:
    """tr(S E_a S E_b) (r, r) and tr(S E_a) (r,), S relative to s2."""
    S = _projected(solution, np.eye(solution.problem.system.q))
    pieces = _pieces(solution)
    r = len(directions)
    products, traces = np.empty((r, r)), np.empty(r)
    for a, one in enumerate(directions):
        rows, m = pieces[one.term]
        own = S[rows, rows].reshape(-1, m, (rows.stop - rows.start) // m, m)
        traces[a] = np.einsum("imin,mn->", own, one.matrix)
        for b, two in enumerate(directions[: a + 1]):
            cols, l = pieces[two.term]
            block = S[rows, cols].reshape((rows.stop - rows.start) // m, m, (cols.stop - cols.start) // l, l)
            # E_a S E_b, level by level, against S
            moved = np.einsum("cd,idje,ef->icjf", one.matrix, block, two.matrix, optimize=True)
            products[a, b] = products[b, a] = np.vdot(moved, block)
    return products, traces


def _drawn(
    solution: Solution, model: Standardised, directions: list[_Direction]
) -> tuple[np.ndarray, np.ndarray]:
    """The same as means over responses drawn from the model."""
    rng = np.random.default_rng(_SEED)
    pieces = _pieces(solution)
    r = len(directions)
    products, traces = np.zeros((r, r)), np.zeros(r)
    for _ in range(DRAWS):
        z = _drawn_scores(solution, model, rng)
        nu = np.zeros((len(z), r))
        for a, d in enumerate(directions):
            rows, m = pieces[d.term]
            own = z[rows].reshape(-1, m)
            nu[rows, a] = (own @ d.matrix).ravel()
            traces[a] += np.vdot(own @ d.matrix, own)
        products += nu.T @ _projected(solution, nu)
    return products / DRAWS, traces / DRAWS


def _drawn_scores(solution: Solution, model: Standardised, rng: np.random.Generator) -> np.ndarray:
    """Z'Py (q,) for y drawn with variance V, relative to s2 as S is."""
    system = solution.problem.system
    y = rng.standard_normal(solution.products.n)
    for term, t in zip(model.terms, solution.point.factors, strict=True):
        effects = rng.standard_normal((term.q, term.m)) @ t.T
        rows = effects[term.codes]
        y += rows[:, 0] if term.values is None else np.einsum("ij,ij->i", rows, term.values)
    sums = [border_sums(term, y[:, None])[:, :, 0].ravel() for term in model.terms]
    cross = np.concatenate([*sums, model.q.T @ y])[:, None]
    scaled = scaled_rows(solution.problem, solution.point, cross)
    found = system.solve(scaled)
    back = np.vstack([_lambda(solution, found[: system.q]), found[system.q :]])
    return (cross - system.multiply(back))[: system.q, 0]


def _projected(solution: Solution, vectors: np.ndarray) -> np.ndarray:
    """Z'P0Z v (q, k) for v (q, k), P0 = s2 P."""
    system = solution.problem.system
    product = system.multiply(np.vstack([vectors, np.zeros((system.p, vectors.shape[1]))]))
    found = system.solve(scaled_rows(solution.problem, solution.point, product))
    back = np.vstack([_lambda(solution, found[: system.q]), found[system.q :]])
    return (product - system.multiply(back))[: system.q]


def _border(solution: Solution) -> list[np.ndarray]:
    """Z'V^-1X Phi of each term (q_k, m_k, rank)."""
    system = solution.problem.system
    g = solution.fixed_columns
    product = system.multiply(np.vstack([_lambda(solution, g[: system.q]), g[system.q :]]))[: system.q]
    product = solution.coordinates.coefficient_rows(product.T).T
    return [product[rows].reshape(-1, m, product.shape[1]) for rows, m in _pieces(solution)]


def _lambda(solution: Solution, vectors: np.ndarray) -> np.ndarray:
    """blockdiag(T_k) v for v (q, k)."""
    k = vectors.shape[1]
    parts = []
    for (rows, m), t in zip(_pieces(solution), solution.point.factors, strict=True):
        own = vectors[rows].reshape(-1, m, k)
        parts.append(np.einsum("ab,ibk->iak", t, own).reshape(-1, k))
    return np.vstack(parts)


def _pieces(solution: Solution) -> list[tuple[slice, int]]:
    """Where each term's effects are, and how many a level has."""
    sizes = [t.shape[0] for t in solution.point.factors]
    return [
        (slice(int(lo), int(hi)), m)
        for (lo, hi), m in zip(pairwise(solution.problem.system.offsets), sizes, strict=True)
    ]


def _inverse(F: np.ndarray) -> np.ndarray:
    """The inverse of an information matrix; a direction of which nothing is known has none."""
    scale = np.sqrt(np.maximum(np.diagonal(F), 1e-300))
    values, vectors = np.linalg.eigh(F / np.outer(scale, scale))
    good = values > 1e-10 * max(values[-1], 1e-300)
    vectors = vectors[:, good] / scale[:, None]
    return (vectors / values[good]) @ vectors.T
