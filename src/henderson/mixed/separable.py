"""Which variances and covariances the rows can tell apart: a matter of linear algebra, whatever the response.

The restricted likelihood sees y through P = I - QQ', Q an orthonormal basis of X. To first order, a change dSigma_k of the
covariances (and ds2 of the residual variance) moves Var(P y) by

    sum_k  P Z_k (I (x) dSigma_k) Z_k' P  +  ds2 P

and it cannot be estimated when that is 0. Each of these n x n matrices is known by what it does to a few random vectors w,
which takes one pass over the rows for each: a combination that takes every w to 0 is 0 with probability 1. The structures
are taken at a generic value of their parameters, where S_a = dT_a T' + T dT_a' spans the tangent of Sigma = T T'.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..structures import Structure
from .rules import FLAT
from .standardise import Standardised, Term

_DEAD = 1e-9
"""Share of Z S Z'w left by P that is rounding."""
_INVOLVED = 1e-5
"""Share of a direction that counts, its matrices being of one size."""


@dataclass(frozen=True)
class Direction:
    """A change of the variances that no response could show."""

    changes: tuple[np.ndarray | None, ...]
    """dSigma (m, m) of each term in the user's effects, of any common size; None where the term does not move."""
    residual: float
    """Change of the residual variance on that scale, 0.0 where it does not move."""

    @property
    def terms(self) -> tuple[int, ...]:
        """Numbers of the random terms that move."""
        return tuple(k for k, change in enumerate(self.changes) if change is not None)


def null_directions(model: Standardised, seed: int = 0) -> list[Direction]:
    """A basis, as sparse as elimination makes it, of the changes of the variances that these rows cannot show."""
    rng = np.random.default_rng(seed)
    tangents = [_tangent(term.structure, rng) for term in model.terms]
    owner = [(k, a) for k, tangent in enumerate(tangents) for a in range(len(tangent))]
    gram, left, size = _gram(model, tangents, rng)
    dead = left <= _DEAD**2 * size
    scale = np.sqrt(np.where(dead, 1.0, left))
    scaled = gram / np.outer(scale, scale)
    scaled[dead], scaled[:, dead] = 0.0, 0.0
    values, vectors = np.linalg.eigh(scaled)
    null = _sparse(vectors[:, values < FLAT * max(1.0, values[-1])])
    out = []
    for column in null.T:
        column = np.where(np.abs(column) > _INVOLVED * np.abs(column).max(), column, 0.0)
        # A dead matrix has no size of its own: its share is left as it is.
        share = column / scale
        changes: list[np.ndarray | None] = [None] * len(model.terms)
        for (k, a), value in zip(owner, share, strict=False):
            if value:
                back = model.terms[k].back
                change = value * back @ tangents[k][a] @ back.T
                changes[k] = change if changes[k] is None else changes[k] + change
        out.append(Direction(tuple(changes), float(share[-1])))
    return out


def _tangent(structure: Structure, rng: np.random.Generator) -> np.ndarray:
    """S_a (parameters, m, m) at a generic, well-conditioned Sigma."""
    m = structure.m
    mixed = np.eye(m) + 0.3 * rng.uniform(-1.0, 1.0, (m, m)) / m
    theta = structure.parameters(mixed @ mixed.T * rng.uniform(0.5, 2.0))
    t = structure.factor(theta)
    half = np.array([d @ t.T for d in structure.derivatives(theta)]).reshape(-1, m, m)
    return half + half.transpose(0, 2, 1)


def _gram(
    model: Standardised, tangents: list[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cross-products of the matrices' images of the random vectors, residual last; their diagonal; and what that would be
    without the outer P.
    """
    count = sum(map(len, tangents)) + 1
    gram, size = np.zeros((count, count)), np.zeros(count)
    for _ in range(6 + 2 * max(term.m for term in model.terms)):
        v = _project(model.q, rng.normal(size=len(model.y)))
        columns = [column for t, s in zip(model.terms, tangents, strict=True) for column in _images(t, s, v)]
        images = np.column_stack([*columns, v])
        size += np.einsum("ij,ij->j", images, images)
        images = _project(model.q, images)
        gram += images.T @ images
    return gram, np.diagonal(gram).copy(), np.maximum(size, 1e-300)


def _images(term: Term, tangent: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
    """Z (I (x) S_a) Z'v for each S_a."""
    values = np.ones((len(v), 1)) if term.values is None else term.values
    sums = np.column_stack(
        [np.bincount(term.codes, weights=column * v, minlength=term.q) for column in values.T]
    )
    return [np.einsum("ij,ij->i", values, (sums @ s)[term.codes]) for s in tangent]


def _project(q: np.ndarray, columns: np.ndarray) -> np.ndarray:
    left = columns - q @ (q.T @ columns)
    return left - q @ (q.T @ left)


def _sparse(null: np.ndarray) -> np.ndarray:
    """The same space (k, d) with an identity in the d rows that elimination chooses."""
    from scipy.linalg import qr

    if null.shape[1] == 0:
        return null
    _, _, order = qr(null.T, pivoting=True, mode="economic")
    pivots = order[: null.shape[1]]
    return np.linalg.solve(null[pivots].T, null.T).T
