"""Relationships by the textbook, densely, and random pedigrees to try them on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Random:
    """Parents by number, -1 unknown, each before its offspring; generations of selfing."""

    sire: np.ndarray
    dam: np.ndarray
    selfing: np.ndarray

    @property
    def n(self) -> int:
        return self.sire.size

    def names(self, prefix: str = "i") -> np.ndarray:
        return np.array([f"{prefix}{k}" for k in range(self.n)], dtype=object)

    def table(self, order: np.ndarray | None = None) -> dict[str, list]:
        """Columns animal, sire, dam, selfing; rows in `order`."""
        names = [*self.names(), None]
        rows = np.arange(self.n) if order is None else order
        return {
            "animal": [names[k] for k in rows],
            "sire": [names[self.sire[k]] for k in rows],
            "dam": [names[self.dam[k]] for k in rows],
            "selfing": [float(self.selfing[k]) for k in rows],
        }


def random_pedigree(
    rng: np.random.Generator, n: int, reach: int = 20, known: float = 0.8, selfed: float = 0.0
) -> Random:
    """Parents drawn from the last `reach` individuals, sire and dam alike; some are selfed up to three times."""
    sire, dam = np.full(n, -1), np.full(n, -1)
    for i in range(1, n):
        for parent in (sire, dam):
            if rng.random() < known:
                parent[i] = rng.integers(max(0, i - reach), i)
    selfing = np.where(rng.random(n) < selfed, rng.integers(1, 4, n), 0)
    return Random(sire, dam, selfing)


def generations_of(n: int, size: int, males: int, females: int, rng: np.random.Generator) -> Random:
    """Discrete generations of `size`, parents from the one before, of two sexes."""
    total = n * size
    sire, dam = np.full(total, -1), np.full(total, -1)
    for g in range(1, n):
        before = rng.permutation(np.arange((g - 1) * size, g * size))
        born = slice(g * size, (g + 1) * size)
        sire[born] = rng.choice(before[:males], size)
        dam[born] = rng.choice(before[males : males + females], size)
    return Random(sire, dam, np.zeros(total))


def relationships(sire, dam, selfing=None) -> np.ndarray:
    """A by the tabular method (Emik & Terrill 1949), each generation of selfing an individual of its own.

    A selfed plant is the offspring of one parent on both sides: i', i'' ... are put in the table, and only the last is kept.
    """
    n = len(sire)
    selfing = np.zeros(n, int) if selfing is None else np.asarray(selfing, int)
    parents: list[tuple[int, int]] = []
    last = np.full(n + 1, -1)
    for i in range(n):
        parents.append((last[sire[i]], last[dam[i]]))
        for _ in range(selfing[i]):
            parents.append((len(parents) - 1, len(parents) - 1))
        last[i] = len(parents) - 1
    a = np.zeros((len(parents), len(parents)))
    for i, (s, d) in enumerate(parents):
        for j in range(i):
            value = (a[j, s] if s >= 0 else 0.0) / 2 + (a[j, d] if d >= 0 else 0.0) / 2
            a[i, j] = a[j, i] = value
        a[i, i] = 1 + (a[s, d] / 2 if s >= 0 and d >= 0 else 0.0)
    keep = last[:n]
    return a[np.ix_(keep, keep)]
