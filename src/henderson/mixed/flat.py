"""Directions in which the variance parameters move without moving V, but for its scale: what no response could tell apart.

The average information of the data at hand vanishes along such a direction, but also along others (with few levels, those
that no BLUP points to). So it only raises the suspicion; the proof is the average information of random responses
y = Z g beside it: along a flat direction q_t = dV P y is a multiple of q_s2 = V P y for every y. (The response itself stands
for what lies outside the columns of Z, where only s2 acts.)
"""

from __future__ import annotations

import numpy as np

from .criterion import Point, Problem
from .derivatives import Derivatives, by_term, scaled_rows, working_products
from .rules import FLAT

_NONE = 1e-20
"""Information of a parameter, as a share of what it would be without fixed effects and shrinkage, that is rounding."""


def suspected(problem: Problem, d: Derivatives) -> bool:
    """Whether the data at hand see nothing of some direction of the parameters."""
    information = d.average_information
    if not len(information):
        return False
    diagonal = np.abs(np.diag(information))
    if diagonal.min() <= 1e-14 * max(diagonal.max(), 1.0):
        return True
    scale = np.sqrt(diagonal)
    values = np.abs(np.linalg.eigvalsh(information / np.outer(scale, scale)))
    return bool(values.min() < FLAT * values.max())


def flat_directions(problem: Problem, point: Point, d: Derivatives) -> tuple[np.ndarray, np.ndarray]:
    """Directions that do not move the criterion for any response, at the point last evaluated.

    Returns
    -------
    (rows (k', k), orthonormal in scaled parameters; the scale (k,)).
    """
    k = problem.n_parameters
    information, size = _probe(problem, point)
    information += point.s2 * d.average_information
    diagonal = np.diag(information)
    dead = diagonal <= _NONE * size
    scale = np.sqrt(np.where(dead, 1.0, diagonal))
    scaled = information / np.outer(scale, scale)
    scaled[dead], scaled[:, dead] = 0.0, 0.0
    values, vectors = np.linalg.eigh(scaled)
    return vectors[:, np.abs(values) < FLAT].T.reshape(-1, k), scale


def without_flat(direction: np.ndarray, flat: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """A step (k,) without its part along flat directions: it would go far, gain nothing and cost digits."""
    rows, scale = flat
    scaled = scale * direction
    return (scaled - rows.T @ (rows @ scaled)) / scale


def _probe(problem: Problem, point: Point) -> tuple[np.ndarray, np.ndarray]:
    """Average information (k, k) summed over random responses, each with s2 profiled out where it is, and what its
    diagonal would be were P the identity (k,).
    """
    system, q = problem.system, problem.system.q
    rng = np.random.default_rng(0)
    sizes = system.products.sizes
    information = np.zeros((problem.n_parameters, problem.n_parameters))
    size = np.zeros(problem.n_parameters)
    for _ in range(2 + max(-(-m // max(levels - 1, 1)) for levels, m in sizes)):
        g = np.zeros((q + system.p, 1))
        g[:q, 0] = rng.normal(size=q)
        products = system.multiply(g)
        solved = system.solve(scaled_rows(problem, point, products))
        b = by_term(problem, solved[:q, 0])
        u = np.concatenate([(bk @ t.T).ravel() for bk, t in zip(b, point.factors, strict=True)])
        left = products - system.multiply(np.concatenate([u, solved[q:, 0]])[:, None])
        residual = by_term(problem, left[:q, 0])
        raw, share = working_products(problem, point, b, residual)
        squared = float(g[:q, 0] @ left[:q, 0])
        if problem.profiled and squared > 0:
            raw -= np.outer(share, share) / squared
        information += raw
        size += _unshrunken(problem, point, products[:q, 0])
    return information, np.maximum(size, 1e-300)


def _unshrunken(problem: Problem, point: Point, sums: np.ndarray) -> np.ndarray:
    """|Z (dT T' + T dT') Z'y|^2 of each parameter, Z'y = sums."""
    system = problem.system
    out = np.zeros(problem.n_parameters)
    offsets = system.offsets
    for k, (structure, at, t) in enumerate(
        zip(problem.structures, problem.slices(), point.factors, strict=True)
    ):
        if at is None:
            continue
        block = sums[offsets[k] : offsets[k + 1]].reshape(-1, structure.m)
        for a, d in zip(range(at.start, at.stop), structure.derivatives(point.theta[at]), strict=True):
            nu = np.zeros((system.q + system.p, 1))
            nu[offsets[k] : offsets[k + 1], 0] = (block @ (t @ d.T + d @ t.T)).ravel()
            out[a] = float(nu[:, 0] @ system.multiply(nu)[:, 0])
    if problem.estimates_scale:
        out[-1] = 1e-300
    return out
