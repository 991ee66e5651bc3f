"""Minimise a smooth function of a few coordinates in a box, from exact gradients, to a verdict in units of the function.

First quasi-Newton steps (BFGS, damped as in Powell 1978), from the best of several starts; then Newton steps, the Hessian by
central differences of the gradient, until the predicted decrease g'H^-1 g is below TOLERANCE. Coordinates at a bound that the
gradient pushes outward stay there (Bertsekas 1982).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-9
"""Predicted decrease at which the search is over."""
_ROUGH = 1e-3
"""Predicted decrease at which quasi-Newton steps give way to Newton's."""
_ARMIJO = 1e-4
_LONGEST = 2.0
"""Longest step of any coordinate."""
_DIFFERENCE = 1e-4
_FLAT = 1e-7
"""Curvature, relative to the largest, below which a direction has none."""
_CONTRACTION = 0.1
_MAX_ROUGH, _MAX_NEWTON, _MAX_BLOCKED = 100, 50, 4
_AGREED, _SAME, _FINISHED = 8, 0.02, 2
"""So many climbs to one value, to within that, end the search; and so many of nearly one value are finished."""

Function = Callable[[np.ndarray, bool], tuple[float, np.ndarray | None]]
"""(t, whether the gradient is wanted) -> value (infinite where it is not defined), gradient."""


@dataclass(frozen=True)
class Step:
    """One line of the iteration log, here and in `mixed.optimise`."""

    iteration: int
    deviance: float
    predicted_decrease: float
    step: float
    """Share of the Newton step that was taken to come here (1 = all of it); 0 for the start."""
    theta: np.ndarray


@dataclass(frozen=True)
class Minimum:
    """Where the steps ended."""

    t: np.ndarray
    value: float
    gradient: np.ndarray
    free: np.ndarray
    """(r,) bool: coordinates that are neither held nor at a bound."""
    predicted_decrease: float
    iterations: int
    converged: bool
    walled: bool = False
    """Not converged, and a step further the function is not defined: it falls towards where it ends."""


@dataclass(frozen=True)
class Box:
    """Bounds, and which coordinates may move."""

    lower: np.ndarray
    upper: np.ndarray
    moving: np.ndarray

    def inside(self, t: np.ndarray) -> np.ndarray:
        return np.clip(t, self.lower, self.upper)

    def free(self, t: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Coordinates that are not pushed against their bound."""
        stuck = ((t <= self.lower) & (gradient >= 0)) | ((t >= self.upper) & (gradient <= 0))
        return self.moving & ~stuck


def minimise(
    function: Function,
    starts: list[np.ndarray],
    box: Box,
    on_step: Callable[[Step], None] | None = None,
    follow: int = 3,
) -> Minimum:
    """The best minimum found from `starts`: the function is evaluated at all of them, and steps are taken from the `follow`
    lowest."""
    report = on_step or (lambda step: None)
    tried = [(function(t, False)[0], i) for i, t in enumerate(map(box.inside, starts))]
    ranked = [box.inside(starts[i]) for value, i in sorted(tried) if np.isfinite(value)]
    if not ranked:
        raise ArithmeticError("the function is not defined at any start")
    if not box.moving.any():
        value, gradient = function(ranked[0], True)
        assert gradient is not None
        return Minimum(ranked[0], value, gradient, box.moving, 0.0, 0, True)
    rough: list[tuple[float, np.ndarray, int]] = []
    for t in ranked[:follow]:
        rough.append(_quasi_newton(function, t, box, report))
        if len(rough) == _AGREED and np.ptp([value for value, _, _ in rough]) < _SAME:
            break
    ended = [_newton(function, t, box, report, taken) for _, t, taken in _nearly_best(rough)]
    lowest = min(found.value for found in ended)
    return min(ended, key=lambda found: (found.value > lowest + _SAME, not found.converged, found.value))


def _nearly_best(rough: list[tuple[float, np.ndarray, int]]) -> list[tuple[float, np.ndarray, int]]:
    """The lowest, and another of nearly that value elsewhere: quasi-Newton steps end too early to tell which is lower."""
    ranked = sorted(rough, key=lambda found: found[0])
    out = ranked[:1]
    for found in ranked[1:]:
        near = found[0] - ranked[0][0] < _SAME
        if near and len(out) < _FINISHED and all(np.abs(found[1] - t).max() > 0.3 for _, t, _ in out):
            out.append(found)
    return out


def hessian(function: Function, t: np.ndarray, box: Box, which: np.ndarray) -> np.ndarray:
    """Second derivatives in the coordinates `which`, by differences of the gradient that stay in the box."""
    r = len(t)
    out = np.zeros((r, r))
    for j in np.flatnonzero(which):
        out[j] = _difference(function, t, box, int(j))
    out = 0.5 * (out + out.T)
    out[~which] = 0.0
    out[:, ~which] = 0.0
    return out


def _difference(function: Function, t: np.ndarray, box: Box, j: int) -> np.ndarray:
    """d gradient / dt_j, of second order at a bound too."""
    for h in (_DIFFERENCE, _DIFFERENCE / 100):
        steps = _steps(float(t[j]), float(box.lower[j]), float(box.upper[j]), h)
        found = [function(np.where(np.arange(len(t)) == j, t + step, t), True) for step, _ in steps]
        if all(np.isfinite(value) and gradient is not None for value, gradient in found):
            return np.array([weight for _, weight in steps]) @ np.array([gradient for _, gradient in found])
    return np.zeros_like(t)


def _steps(at: float, lower: float, upper: float, h: float) -> list[tuple[float, float]]:
    """Steps inside of the bounds, and the weights of a function there that give its derivative."""
    below, above = at - lower, upper - at
    if min(below, above) >= h:
        return [(-h, -0.5 / h), (h, 0.5 / h)]
    if max(below, above) < 2.0 * h:
        return [(-below, -1.0 / (below + above)), (above, 1.0 / (below + above))]
    h = h if above > below else -h
    return [(0.0, -1.5 / h), (h, 2.0 / h), (2.0 * h, -0.5 / h)]


def _quasi_newton(
    function: Function, t: np.ndarray, box: Box, report: Callable[[Step], None]
) -> tuple[float, np.ndarray, int]:
    value, gradient = function(t, True)
    assert gradient is not None
    curvature, taken = None, 0
    report(Step(0, value, float("nan"), 0.0, t))
    for iteration in range(1, _MAX_ROUGH + 1):
        free = box.free(t, gradient)
        if not free.any():
            break
        if curvature is None:
            curvature = np.eye(len(t)) * max(float(np.abs(gradient[free]).max()) / 0.3, 1e-8)
        direction = _downhill(curvature, gradient, free)
        predicted = float(-gradient @ direction)
        if predicted < _ROUGH and iteration > 1:
            break
        moved = _search(function, t, value, gradient, direction, box)
        if moved is None:
            break
        share, new, value, new_gradient = moved
        curvature = _updated(curvature, new - t, new_gradient - gradient)
        t, gradient, taken = new, new_gradient, iteration
        report(Step(iteration, value, predicted, abs(share), t))
    return value, t, taken


def _downhill(curvature: np.ndarray, gradient: np.ndarray, free: np.ndarray) -> np.ndarray:
    direction = np.zeros_like(gradient)
    try:
        direction[free] = -np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
    except np.linalg.LinAlgError:
        direction[free] = -gradient[free] / max(float(np.trace(curvature)) / len(curvature), 1e-8)
    return direction


def _updated(curvature: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Damped BFGS: the curvature stays positive definite."""
    carried = curvature @ step
    along, seen = float(step @ carried), float(step @ change)
    if not along > 0:
        return curvature
    share = 1.0 if seen >= 0.2 * along else 0.8 * along / (along - seen)
    change = share * change + (1.0 - share) * carried
    return curvature + np.outer(change, change) / (step @ change) - np.outer(carried, carried) / along


def _search(
    function: Function, t: np.ndarray, value: float, gradient: np.ndarray, direction: np.ndarray, box: Box
) -> tuple[float, np.ndarray, float, np.ndarray] | None:
    """The longest of ever shorter steps that lowers the function enough; None where none does. The share of the step taken is
    negative where the first of them led to where the function is not defined."""
    share = min(1.0, _LONGEST / max(float(np.abs(direction).max()), 1e-300))
    sign = 1.0
    for trial in range(40):
        new = box.inside(t + share * direction)
        lower, new_gradient = function(new, True)
        promised = float(gradient @ (new - t))
        if np.isfinite(lower) and lower <= value + _ARMIJO * promised and new_gradient is not None:
            return sign * share, new, lower, new_gradient
        if trial == 0 and not np.isfinite(lower):
            sign = -1.0
        share *= 0.35
    return None


def _newton(
    function: Function, t: np.ndarray, box: Box, report: Callable[[Step], None], iteration: int
) -> Minimum:
    """Newton steps; a Hessian serves as long as each step with it cuts the predicted decrease to a _CONTRACTION of itself."""
    value, gradient = function(t, True)
    assert gradient is not None
    h, free, before, blocked = None, box.free(t, gradient), float("inf"), 0
    for _ in range(_MAX_NEWTON):
        now = box.free(t, gradient)
        fresh = h is None or not np.array_equal(now, free)
        if fresh:
            free = now
            h = hessian(function, t, box, free)
        assert h is not None
        if not free.any():
            return Minimum(t, value, gradient, free, 0.0, iteration, True)
        direction, predicted, convex = _direction(h, gradient, free)
        if not fresh and not (convex and predicted < max(_CONTRACTION * before, TOLERANCE)):
            h = hessian(function, t, box, free)
            direction, predicted, convex = _direction(h, gradient, free)
        before = predicted
        resolution = 1e-14 * max(abs(value), 1.0)
        if convex and predicted < max(TOLERANCE, resolution):
            # One more step costs a gradient, and is kept where it is no worse.
            new = box.inside(t + direction)
            better, new_gradient = function(new, True)
            if np.isfinite(better) and better <= value + resolution and new_gradient is not None:
                t, value, gradient = new, min(better, value), new_gradient
            return Minimum(t, value, gradient, box.free(t, gradient), predicted, iteration, True)
        moved = _search(function, t, value, gradient, direction, box)
        if moved is None:
            # What is promised is within the noise of the gradient, as near a limit at infinity.
            ok = predicted < 1e3 * TOLERANCE + 10 * resolution
            ends = not ok and _ends(function, t, direction, box)
            return Minimum(t, value, gradient, free, predicted, iteration, ok, ends)
        iteration += 1
        share, t, value, gradient = moved
        report(Step(iteration, value, predicted, abs(share), t))
        blocked = blocked + 1 if share < 0 else 0
        if blocked >= _MAX_BLOCKED:
            break
    return Minimum(t, value, gradient, free, predicted, iteration, False, _ends(function, t, direction, box))


def _ends(function: Function, t: np.ndarray, direction: np.ndarray, box: Box) -> bool:
    """Whether the function is not defined a few steps ahead."""
    longest = max(float(np.abs(direction).max()), 1e-300)
    ahead = [min(1.0, _LONGEST / longest), 3.0 * _LONGEST / longest, 10.0 * _LONGEST / longest]
    return not all(np.isfinite(function(box.inside(t + share * direction), False)[0]) for share in ahead)


def _direction(h: np.ndarray, gradient: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """A descent direction from the eigenvalues of H without their signs; what it promises; whether H is convex enough."""
    values, vectors = np.linalg.eigh(h[np.ix_(free, free)])
    along = vectors.T @ gradient[free]
    floor = max(_FLAT * float(np.abs(values).max(initial=0.0)), 1e-12)
    # A small curvature is used as it is: towards a limit at infinity it falls off like the gradient does.
    used = np.maximum(np.abs(values), 1e-5 * floor)
    # A direction without curvature in which the function does not fall either is no reason to go on.
    negative = (values < -floor) & (along**2 / used > TOLERANCE)
    direction = np.zeros_like(gradient)
    direction[free] = -vectors @ (along / used)
    return direction, float(np.sum(along**2 / used)), not negative.any()
