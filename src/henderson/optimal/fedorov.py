"""Fedorov's exchange: of all pairs of a run and a candidate, those exchanges that gain most, until none gains.

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
        gains, best = _best_exchanges(runs, chosen, candidates, repeats)
        swap_gain, i, k = runs.best_swap() if runs.board.code.shape[1] else (NO_GAIN, -1, -1)
        if max(gains.max(), swap_gain) <= SMALLEST_GAIN:
            return
        if swap_gain > gains.max():
            a, b = i - runs.held, k - runs.held
            chosen[[a, b]] = chosen[[b, a]]
            runs.swap(i, k)
            runs.history.append(runs.value)
        else:
            _exchange(runs, chosen, candidates, repeats, gains, best)


def _exchange(
    runs: Runs,
    chosen: np.ndarray,
    candidates: np.ndarray,
    repeats: bool,
    gains: np.ndarray,
    best: np.ndarray,
) -> None:
    """The exchange that gains most, and after it those of the other runs that still gain half of what they promised: to
    look at all pairs costs far more than to look again at one.
    """
    for count, at in enumerate(np.argsort(-gains)):
        if gains[at] <= SMALLEST_GAIN:
            return
        run, f = runs.held + int(at), candidates[best[at]]
        if count:
            if not repeats and best[at] in chosen:
                continue
            left = runs.gains(f[None], int(runs.block[run]), np.array([run]))[0, 0]
            if left <= max(SMALLEST_GAIN, 0.5 * gains[at]):
                continue
        chosen[at] = best[at]
        runs.exchange(run, f)
        runs.history.append(runs.value)


def _best_exchanges(
    runs: Runs, chosen: np.ndarray, candidates: np.ndarray, repeats: bool
) -> tuple[np.ndarray, np.ndarray]:
    """For each free run the largest gain and the candidate it comes from."""
    gain, best = np.full(len(chosen), NO_GAIN), np.zeros(len(chosen), dtype=np.int64)
    free = runs.block[runs.held :]
    for block in np.unique(free):
        own = np.flatnonzero(free == block)
        gains = runs.gains(candidates, int(block), own + runs.held)
        if not repeats:
            gains[:, chosen] = NO_GAIN
        best[own] = np.argmax(gains, axis=1)
        gain[own] = gains[np.arange(len(own)), best[own]]
    return gain, best
