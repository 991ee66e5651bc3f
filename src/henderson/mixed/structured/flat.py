"""Directions of the parameters that move V by nothing but its scale: what no response could tell apart (see `mixed.flat`).

The average information of the data at hand raises the suspicion; the proof is that of random responses beside it.
"""

from __future__ import annotations

import numpy as np

from ..rules import FLAT
from .criterion import Point, Problem
from .derivatives import Score, score, working_products, working_vectors

_SUSPECTED = 1e-7
_NONE = 1e-11
"""Information of a parameter, as a share of what it would be were the residual variance known, that is rounding."""
_BLIND = 1e-20
"""The same, as a share of what it would be without fixed effects and shrinkage."""


def flat_directions(
    problem: Problem, point: Point, average_information: np.ndarray, which: np.ndarray, seed: int = 0
) -> np.ndarray:
    """Directions in (theta, log s2), rows (d, n_free + 1), among the entries `which` (n_free,) of theta, at the point last
    evaluated."""
    k, keep = problem.layout.n_free, np.flatnonzero(which)
    if not len(keep):
        return np.zeros((0, k + 1))
    rng = np.random.default_rng(seed)
    probed, sizes = _probe(problem, point, rng, True)
    information, size = average_information[np.ix_(keep, keep)] * point.s2, sizes[keep]
    if not _suspected(information, size):
        return np.zeros((0, k + 1))
    information = information + probed[np.ix_(keep, keep)]
    for _ in range(1 + max((t.m for t in problem.model.terms), default=0)):
        probed, sizes = _probe(problem, point, rng)
        information, size = information + probed[np.ix_(keep, keep)], size + sizes[keep]
    diagonal = np.diag(information)
    dead = diagonal <= np.maximum(_NONE * size, 1e-300)
    scale = np.sqrt(np.where(dead, 1.0, diagonal))
    scaled = information / np.outer(scale, scale)
    scaled[dead], scaled[:, dead] = 0.0, 0.0
    values, vectors = np.linalg.eigh(scaled)
    found = vectors[:, np.abs(values) < FLAT * 10].T / scale
    rows = np.zeros((len(found), k + 1))
    rows[:, keep] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-300)
    if problem.profiled and len(found):
        # The residual variance moves along so that V stays what it is.
        share = working_products(problem, point, score(problem, point))[1] / point.s2
        rows[:, k] = -rows[:, :k] @ share / problem.nu
    return rows


def _suspected(information: np.ndarray, size: np.ndarray) -> bool:
    diagonal = np.abs(np.diag(information))
    if np.any(diagonal <= np.maximum(_SUSPECTED * size, 1e-300)):
        return True
    scale = np.sqrt(diagonal)
    values = np.abs(np.linalg.eigvalsh(information / np.outer(scale, scale)))
    return bool(values.min() < _SUSPECTED * values.max())


def _probe(
    problem: Problem, point: Point, rng: np.random.Generator, first: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Average information of one random response, times s2, the scale profiled out where it is; and its diagonal before that, of the
    `first` response no less than what is rounding of the diagonal without fixed effects and shrinkage."""
    system, model = problem.system, problem.model
    g = np.asarray(system.z @ rng.normal(size=system.z.shape[1])) + rng.normal(size=len(model.y))
    weighted = system.precision_times(g)
    rhs = np.concatenate([system.from_effects((system.z.T @ weighted)[:, None])[:, 0], model.x.T @ weighted])
    solved = system.solve(rhs[:, None])[:, 0]
    e = g - system.fitted(solved[: system.q], solved[system.q :])
    weighted_e = system.precision_times(e)
    pulled = system.z.T @ weighted_e
    b = [
        solved[lo:hi].reshape(t.q, t.r)
        for t, lo, hi in zip(system.terms, system.offsets[:-1], system.offsets[1:], strict=True)
    ]
    z = [
        pulled[lo:hi].reshape(t.q, t.m)
        for t, lo, hi in zip(system.terms, system.u_offsets[:-1], system.u_offsets[1:], strict=True)
    ]
    none = np.zeros(0)
    raw, share = working_products(problem, point, Score(none, none, [], b, e, weighted_e, z))
    squared = float(g @ weighted_e)
    size = np.diag(raw).copy()
    if first:
        size = np.maximum(size, _BLIND / _NONE * _unshrunken(problem, point, g, weighted))
    if problem.profiled and squared > 0:
        raw = raw - np.outer(share, share) / squared
    return raw, size


def _unshrunken(problem: Problem, point: Point, g: np.ndarray, weighted: np.ndarray) -> np.ndarray:
    """|dV R^-1 g|^2 in R^-1, one for each entry of theta: the information of a response g were P = R^-1."""
    system = problem.system
    pulled, z, b = system.z.T @ weighted, [], []
    for k, term in enumerate(problem.model.terms):
        z.append(pulled[system.u_offsets[k] : system.u_offsets[k + 1]].reshape(term.q, term.m))
        part = next((p for p in problem.layout.parts if (p.kind, p.term) == ("K", k)), None)
        own = np.zeros(0) if part is None else point.phi[part.at]
        covered = z[-1] if term.precision is None else term.precision.times(own, z[-1])
        b.append(covered @ point.factors[k])
    none = np.zeros(0)
    q, weighted_q = working_vectors(problem, point, Score(none, none, [], b, g, weighted, z))
    return np.einsum("ij,ij->j", q, weighted_q)
