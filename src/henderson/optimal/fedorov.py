"""Fedorov's exchange: of all pairs of a run and a candidate, the exchange that gains most, until none gains.

With blocks, runs of different blocks may change places too: without it a design that uses every candidate once could not
be improved. Where nothing gains any more, a few runs at random are exchanged for others at random, and the climb begins
again; the better of the two designs is kept (iterated local search). From a singular start the first steps raise the determinant of the information with a small ridge, which fills
its rank.

Fedorov (1972); Cook & Nachtsheim (1980, 1989).
"""

from __future__ import annotations

import numpy as np

from .changes import NO_GAIN
from .runs import SMALLEST_GAIN, Runs

MAX_STEPS = 5000
KICKS = 20
"""Kicks in a row that found nothing better after which a start is over."""
_SHARE = 0.5
"""The most runs that a kick exchanges, as a share of all."""


def random_start(rng: np.random.Generator, candidates: int, n: int, repeats: bool) -> np.ndarray:
    """Candidates of a first design (n,)."""
    return rng.choice(candidates, size=n, replace=repeats or n > candidates)


def search_from(
    runs: Runs, chosen: np.ndarray, candidates: np.ndarray, repeats: bool, rng: np.random.Generator
) -> None:
    """Climb, kick and climb again, in place: `runs` and `chosen` hold the best design all the time but for the last climb.

    An interrupt leaves the design as good as it was.
    """
    climb(runs, chosen, candidates, repeats)
    if runs.ridged:
        return
    failed = 0
    while failed < KICKS:
        other, picked = runs.copy(), chosen.copy()
        _kick(other, picked, candidates, repeats, rng)
        climb(other, picked, candidates, repeats)
        if runs.objective.better(other.value, runs.value):
            runs.take(other)
            chosen[:] = picked
            failed = 0
        else:
            failed += 1


def _kick(
    runs: Runs, chosen: np.ndarray, candidates: np.ndarray, repeats: bool, rng: np.random.Generator
) -> None:
    """Other candidates, drawn at random, in the places of a few runs."""
    most = max(2, int(_SHARE * len(chosen)))
    count = min(int(rng.integers(2, most + 1)), len(chosen))
    places = rng.choice(len(chosen), count, replace=False)
    left = np.arange(len(candidates)) if repeats else np.setdiff1d(np.arange(len(candidates)), chosen)
    if len(left) >= count:
        chosen[places] = rng.choice(left, count, replace=repeats)
    else:
        chosen[places] = chosen[rng.permutation(places)]
    runs.f[runs.held :] = candidates[chosen]
    runs.refresh()


def climb(runs: Runs, chosen: np.ndarray, candidates: np.ndarray, repeats: bool) -> None:
    """Improve the runs in place until no exchange and no swap gains.

    Parameters
    ----------
    chosen : (n - held,) the candidate of each free run; changed with them.
    candidates : f (k, p).
    """
    last = runs.steps + MAX_STEPS
    while runs.steps < last:
        gain, run, candidate = _best_exchange(runs, chosen, candidates, repeats)
        swap_gain, i, k = runs.best_swap() if runs.board.code.shape[1] else (NO_GAIN, -1, -1)
        if max(gain, swap_gain) <= SMALLEST_GAIN:
            return
        if swap_gain > gain:
            a, b = i - runs.held, k - runs.held
            chosen[[a, b]] = chosen[[b, a]]
            runs.swap(i, k)
        else:
            chosen[run - runs.held] = candidate
            runs.exchange(run, candidates[candidate])
        runs.history.append(runs.value)


def _best_exchange(
    runs: Runs, chosen: np.ndarray, candidates: np.ndarray, repeats: bool
) -> tuple[float, int, int]:
    best = (NO_GAIN, -1, -1)
    for block in range(len(runs.board.code)):
        own = np.flatnonzero(runs.block == block)
        own = own[own >= runs.held]
        if not len(own):
            continue
        gains = runs.gains(candidates, block, own)
        if not repeats:
            gains[:, chosen] = NO_GAIN
        at = int(np.argmax(gains))
        a, j = divmod(at, len(candidates))
        if gains[a, j] > best[0]:
            best = (float(gains[a, j]), int(own[a]), int(j))
    return best
