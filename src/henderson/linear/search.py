"""Where to climb from when the criterion has several minima: basins of a scan, models nested at a nugget of 0, kinks.

`newton.minimise` finds the minimum of the basin it starts in. Correlations over space have several: the criterion of `sph` and
`lin` bends wherever the range passes a distance between rows, and a nugget of 1 leaves the range without a meaning, so that no
slope leads away from there. What is known of a structure (`residuals.base.Structure`) is used here:

* `scanned`: its starts are a grid. The criterion is evaluated on all of it, and steps are taken from its local minima.
* `shares`: coordinates of nuggets. The minimum without a nugget is always among the starts of the model with one, and a nugget
  of 1 is left again where any range of the grid has a lower criterion with less.
* `kinks`: where the slope in a range jumps, a minimum may be, though no derivative is zero there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..residuals.base import Structure
from .newton import Box, Function, Minimum, Step, minimise

Array = np.ndarray
_LEAVING = (0.02, 0.1, 0.3)
"""How much of the nugget is given up to leave 1."""
_LOWER = 1e-7
"""Difference of the criterion from which the minimum of the nested model is the lower one."""
_BESIDE = 1e-9
"""Distance from a kink at which the slopes of its sides are taken."""


def search(
    function: Function,
    starts: list[Array],
    box: Box,
    structure: Structure,
    on_step: Callable[[Step], None] | None = None,
    thorough: bool = True,
) -> Minimum:
    """The lowest minimum found. `structure` has the first coordinates of t.

    thorough : False climbs from the best start alone, for very many rows.

    Raises
    ------
    ArithmeticError : the function is not defined at any start.
    """
    if not thorough or not box.moving.any():
        return minimise(function, starts, box, on_step, follow=1)
    grid = list(map(box.inside, starts))
    starts = basins(function, grid, box, structure) if structure.scanned else grid
    if structure.kinks(starts[0][: structure.n_coordinates]):
        found = _among_kinks(function, starts[: structure.followed], box, structure, on_step)
    else:
        # A start at a limit is one more.
        found = minimise(function, starts, box, on_step, structure.followed + structure.scanned)
    for j in structure.shares:
        if box.moving[j]:
            found = _not_above_nested(function, grid, box, j, structure, found)
            if found.t[j] >= 1.0:
                found = _left(function, grid, box, j, found, on_step)
    return found


def basins(function: Function, starts: list[Array], box: Box, structure: Structure) -> list[Array]:
    """Starts on a grid of the structure's coordinates that no neighbour on the grid is below, lowest first; after the first of
    them the lowest of those in which a coordinate other than a nugget's is at its lower bound, a range without end."""
    t = np.unique(np.array(starts), axis=0)
    values = np.array([function(each, False)[0] for each in t])
    t, values = t[np.isfinite(values)], values[np.isfinite(values)]
    if not len(t):
        raise ArithmeticError("the function is not defined at any start")
    r = structure.n_coordinates
    places = np.column_stack([np.unique(t[:, j], return_inverse=True)[1] for j in range(r)])
    lowest: list[int] = []
    for i in np.argsort(values, kind="stable"):
        beside = (np.abs(places - places[i]) <= 1).all(axis=1)
        if values[i] <= values[beside].min():
            lowest.append(int(i))
    for j in range(r):
        at_limit = np.flatnonzero(t[:, j] <= box.lower[j])
        if at_limit.size and j not in structure.shares:
            limit = int(at_limit[np.argmin(values[at_limit])])
            if limit not in lowest:
                lowest.insert(1, limit)
    return [t[i] for i in lowest]


def _not_above_nested(
    function: Function, grid: list[Array], box: Box, j: int, structure: Structure, found: Minimum
) -> Minimum:
    """`found`, or what is below it in the basin of the minimum with nugget j held at 0."""
    starts = [np.where(np.arange(len(t)) == j, box.lower[j], t) for t in grid]
    moving = box.moving.copy()
    moving[j] = False
    held = replace(box, moving=moving)
    try:
        if structure.scanned:
            starts = basins(function, starts, held, structure)
        nested = minimise(function, starts, held, None, structure.followed + 1 if structure.scanned else 1)
    except ArithmeticError:
        # Smooth fields have no covariance without a nugget.
        return found
    if nested.value > found.value - _LOWER:
        return found
    again = minimise(function, [nested.t], box)
    return again if again.value < found.value else found


def _left(
    function: Function,
    grid: list[Array],
    box: Box,
    j: int,
    found: Minimum,
    on_step: Callable[[Step], None] | None,
) -> Minimum:
    """`found`, whose nugget j is 1, or what is lower with less of it."""
    lower: list[tuple[float, int, Array]] = []
    for t in grid:
        for less in _LEAVING:
            inside = found.t.copy()
            inside[: len(t)] = t
            inside[j] = 1.0 - less
            value = function(inside, False)[0]
            if value < found.value:
                lower.append((value, len(lower), inside))
    if not lower:
        return found
    again = minimise(function, [t for _, _, t in sorted(lower)[:2]], box, on_step)
    return again if again.value < found.value else found


def _among_kinks(
    function: Function,
    starts: list[Array],
    box: Box,
    structure: Structure,
    on_step: Callable[[Step], None] | None,
) -> Minimum:
    """The lowest minimum that is one, smooth or at a kink: a range next to which there is no covariance may be lower still."""
    ended = []
    for t in starts:
        if np.isfinite(function(t, False)[0]):
            found = minimise(function, [t], box, on_step)
            ended.append(found if found.converged else _at_kink(function, box, structure, found))
    if not ended:
        raise ArithmeticError("the function is not defined at any start")
    return min(ended, key=lambda found: (not found.converged, found.value))


def _at_kink(function: Function, box: Box, structure: Structure, found: Minimum) -> Minimum:
    """`found`, which did not converge, or the lowest minimum at one of the kinks around it."""
    tried: list[tuple[float, int, int, Array]] = []
    for j, place in structure.kinks(found.t[: structure.n_coordinates]):
        if box.moving[j]:
            t = found.t.copy()
            t[j] = place
            tried.append((function(t, False)[0], len(tried), j, t))
    for value, _, j, t in sorted(tried):
        if not np.isfinite(value):
            break
        try:
            at = minimise(function, [t], replace(box, moving=box.moving & (np.arange(len(t)) != j)))
        except ArithmeticError:
            continue
        if at.converged and at.value <= found.value + _LOWER and _is_kink(function, at, j):
            return replace(at, iterations=found.iterations + at.iterations)
    return found


def _is_kink(function: Function, at: Minimum, j: int) -> bool:
    """Whether the slope in coordinate j jumps from below 0 to above at `at`."""
    below, above = at.t.copy(), at.t.copy()
    below[j], above[j] = at.t[j] - _BESIDE, at.t[j] + _BESIDE
    (_, left), (_, right) = function(below, True), function(above, True)
    return left is not None and right is not None and bool(left[j] < 0 < right[j])
