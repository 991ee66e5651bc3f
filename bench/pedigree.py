"""Pedigrees made up for the kernel benchmark, and the inverse of their relationship matrix."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def overlapping(
    generations: int,
    size: int,
    sires: int,
    dams: int,
    rng: np.random.Generator,
    male: np.ndarray | None = None,
) -> np.ndarray:
    """Parents (n, 2), -1 unknown, of a population with overlapping generations.

    Parents of a generation are drawn from the last 1.3 generations; each dam has one sire per generation.
    Where it is told who is `male` (n,), sires are and dams are not; otherwise an animal may be both.
    """
    parents = np.full((generations * size, 2), -1)
    for g in range(1, generations):
        first = (g - 1) * size
        pool = np.arange(max(0, first - size // 3), first + size)
        males = pool if male is None else pool[male[pool]]
        females = pool if male is None else pool[~male[pool]]
        chosen_sires = rng.choice(males, sires, replace=False)
        chosen_dams = rng.choice(females, dams, replace=False)
        mate = rng.integers(0, sires, dams)
        mother = rng.integers(0, dams, size)
        born = slice(g * size, (g + 1) * size)
        parents[born, 0] = chosen_sires[mate[mother]]
        parents[born, 1] = chosen_dams[mother]
    return parents


def random_mating(n: int, founders: int, rng: np.random.Generator) -> np.ndarray:
    """Parents (n, 2) (-1 unknown): both parents of each animal drawn from all animals born before it."""
    parents = np.full((n, 2), -1)
    for i in range(founders, n):
        parents[i] = rng.integers(0, i, 2)
    return parents


def inverse_relationship(parents: np.ndarray) -> sp.csc_matrix:
    """A^-1 = T' D^-1 T of a pedigree without inbreeding (n, n)."""
    n = len(parents)
    known = parents >= 0
    rows = np.arange(n)
    t = sp.identity(n, format="csc")
    for k in (0, 1):
        at = rows[known[:, k]]
        t = t - sp.csc_matrix((np.full(at.size, 0.5), (at, parents[at, k])), shape=(n, n))
    variance = 1.0 - 0.25 * known.sum(axis=1)
    return sp.csc_matrix(t.T @ sp.diags(1.0 / variance) @ t)
