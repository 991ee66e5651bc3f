"""Newton steps on the variance parameters, to a verdict in deviance units (docs/theory.md section 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..linear.newton import Step
from ..sparse.threads import one_blas_thread
from .criterion import Point, Problem, evaluate, evaluate_surely
from .derivatives import Derivatives, derivatives, score
from .flat import flat_directions, suspected, without_flat
from .rules import (
    ARMIJO,
    CLOSE,
    COLLAPSE,
    CONTRACTION,
    DIFFERENCE,
    EIGENVALUE_FLOOR,
    FAR,
    LATE,
    MAX_ITERATIONS,
    NEAR_ZERO,
    RESOLUTION,
    ROUNDING,
    SHORTEN,
    SHORTEST,
    SLOW,
    SMALLEST_PIVOT,
    TOLERANCE,
)

_ZERO = 1e-4
_ZERO_COST = 1e-8


@dataclass(frozen=True)
class Optimum:
    """Where the iterations ended."""

    theta: np.ndarray
    predicted_decrease: float
    """What a further step would gain: at the last gradient, or after it by the contraction seen there; one more step was
    taken from there."""
    converged: bool
    iterations: int
    """Newton steps taken up to the last gradient."""
    average_information: np.ndarray
    """Of the parameters, s2 profiled out where it is (k, k), at the last gradient."""
    flat: np.ndarray
    """Directions of the parameters that do not move the criterion at all, rows (k', k): see `flat`."""
    steps: tuple[Step, ...]
    """The log, where it was kept."""


def optimise(
    problem: Problem,
    start: np.ndarray,
    *,
    on_step: Callable[[Step], None] | None = None,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    compiled: bool = False,
) -> Optimum:
    """Minimise the criterion from `start`; no point that is accepted is worse than the last by more than rounding.

    `compiled` allows the loop that is compiled whole where it covers the problem and no log is asked for.
    """
    with problem.system.lock, one_blas_thread():
        return _optimise(problem, start, on_step, tolerance, max_iterations, compiled)


def _optimise(
    problem: Problem,
    start: np.ndarray,
    on_step: Callable[[Step], None] | None,
    tolerance: float,
    max_iterations: int,
    compiled: bool,
) -> Optimum:
    if compiled and on_step is None and _one_term(problem):
        optimum = _minimise_compiled(problem, start, tolerance, max_iterations)
        if optimum is not None:
            return optimum
    plain = _newton(problem, start, on_step, tolerance, max_iterations, keep_still=False)
    if not len(plain.flat):
        return plain
    # Where some direction moves nothing, steps may run far along it, where digits are lost: try without it.
    still = _newton(problem, start, on_step, tolerance, max_iterations, keep_still=True)
    better = evaluate_surely(problem, plain.theta).deviance + _STILL_COST
    found = still if still.converged and evaluate_surely(problem, still.theta).deviance <= better else plain
    evaluate_surely(problem, found.theta)
    return found


def _newton(
    problem: Problem,
    start: np.ndarray,
    on_step: Callable[[Step], None] | None,
    tolerance: float,
    max_iterations: int,
    keep_still: bool,
) -> Optimum:
    """The iterations; `keep_still` takes no part of a step along directions that are flat for any response."""
    theta = _off_zero(problem, np.array(start, dtype=np.float64))
    point = evaluate_surely(problem, theta)
    steps: list[Step] = []
    share = 0.0
    observe = lifted = False
    flat_rows = np.zeros((0, len(theta)))
    while True:
        d = derivatives(problem, point)
        direction = _direction(d.gradient, d.hessian)
        if keep_still or (not steps and suspected(problem, d)):
            flat = flat_directions(problem, point, d)
            flat_rows = flat_rows if steps else flat[0]
        if keep_still:
            direction = without_flat(direction, flat)
        decrease = float(-d.gradient @ direction)
        observe = observe or _slow(steps, decrease)
        if observe and decrease >= tolerance:
            hessian = observed_hessian(problem, point, d.gradient)
            if hessian is not None:
                d = replace(d, hessian=hessian)
                direction = _direction(d.gradient, hessian)
                if keep_still:
                    direction = without_flat(direction, flat)
                decrease = float(-d.gradient @ direction)
        steps.append(Step(len(steps), point.deviance, decrease, share, point.theta))
        if on_step is not None:
            on_step(steps[-1])
        remaining = _expected_after(decrease, steps)
        done = 0.0 <= remaining < tolerance
        if done and not lifted:
            lifted = True
            higher = _lift(problem, point.theta, d)
            if higher is not None:
                point = evaluate_surely(problem, higher)
                continue
        if done and not len(direction):
            break
        found = _search(problem, point, direction, decrease)
        if found is not None:
            point, share = found
        if done or found is None or len(steps) > max_iterations:
            break
    converged = 0.0 <= remaining < max(tolerance, RESOLUTION)
    theta = _snap(problem, point).theta
    return Optimum(
        theta, remaining, converged, len(steps) - 1, d.average_information, flat_rows, tuple(steps)
    )


def _expected_after(decrease: float, steps: list[Step]) -> float:
    """What one more step is expected to leave to gain, from how much the last full steps left of it.

    A step that gained three digits gains at least that many again: the gradient that would only confirm it is not paid for.
    Near the boundary, where the criterion is far from quadratic, it is.
    """
    if len(steps) > 1 and steps[-1].step == 1.0 and np.abs(steps[-1].theta).min() > NEAR_ZERO:
        contraction = decrease / steps[-2].predicted_decrease
        if contraction < CONTRACTION and decrease < CLOSE:
            return decrease * contraction
    return decrease


def _one_term(problem: Problem) -> bool:
    return len(problem.structures) == 1 and problem.profiled


def _minimise_compiled(
    problem: Problem, start: np.ndarray, tolerance: float, max_iterations: int
) -> Optimum | None:
    from ..sparse.announce import announce_compilation
    from . import one_term

    announce_compilation(one_term.minimise)
    products = problem.system.products
    theta, decrease, iterations, average, flat = one_term.minimise(
        products.own[0],
        products.border[0],
        products.corner,
        problem.structures[0].derivatives(start),
        np.array(start, dtype=np.float64),
        float(problem.nu),
        problem.reml,
        tolerance,
        max_iterations,
    )
    if flat:
        return None
    if np.any(np.abs(theta) < _ZERO):
        point = evaluate_surely(problem, theta)
        if _lift(problem, theta, derivatives(problem, point)) is not None:
            return None
        theta = _snap(problem, point).theta
    converged = bool(0.0 <= decrease < max(tolerance, RESOLUTION))
    return Optimum(theta, decrease, converged, iterations, average, np.zeros((0, len(theta))), ())


_LIFTED = 0.1
_STILL_COST = 1e-3
_LARGEST = 1e4


def restart(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """Parameters that came from elsewhere - another response, the user - as a start.

    Zeros are lifted off the boundary, where there is no slope, and nothing is so large that digits are lost.
    """
    theta = np.clip(theta, -_LARGEST, _LARGEST)
    for at, on in problem.pivots:
        part = theta[at]
        part[on & (np.abs(part) < _LIFTED)] = _LIFTED
        theta[at] = part
    return theta


def _lift(problem: Problem, theta: np.ndarray, d: Derivatives) -> np.ndarray | None:
    """theta with the pivots near zero lifted whose variance wants to grow; None where there is none.

    Near zero the gradient vanishes whichever way the criterion goes: the sign of dD/dSigma, half the curvature of the
    parametrisation, tells a minimum on the boundary from a maximum.
    """
    lifted = theta.copy()
    for at, on in problem.pivots:
        wants = on & (np.abs(theta[at]) < _ZERO) & (d.curvature[at] < -RESOLUTION)
        lifted[at] = np.where(wants, _LIFTED, theta[at])
    return None if np.array_equal(lifted, theta) else lifted


def _slow(steps: list[Step], decrease: float) -> bool:
    """Whether the average information is a poor guide here: near the optimum, and gaining less than a digit a step.

    It is half observed and half expected information; in small data, above all beside a singular Sigma, the two differ.
    """
    if not steps:
        return False
    return decrease > SLOW * steps[-1].predicted_decrease and (decrease < FAR or len(steps) > LATE)


def observed_hessian(problem: Problem, point: Point, gradient: np.ndarray) -> np.ndarray | None:
    """Second derivatives of the criterion by forward differences of its exact gradient; the system returns to `point`.

    None where a neighbouring point cannot be factorised.
    """
    k = len(gradient)
    hessian = np.empty((k, k))
    for a in range(k):
        theta = point.theta.copy()
        step = DIFFERENCE * max(abs(theta[a]), 0.1)
        theta[a] += step
        moved = evaluate(problem, theta)
        if moved is None:
            evaluate(problem, point.theta)
            return None
        hessian[:, a] = (score(problem, moved).gradient - gradient) / step
    evaluate(problem, point.theta)
    return 0.5 * (hessian + hessian.T)


def _direction(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """The Newton step with the eigenvalues of H made positive, and none of them negligible."""
    if not len(gradient):
        return gradient
    values, vectors = np.linalg.eigh(hessian)
    size = np.abs(values)
    floor = max(EIGENVALUE_FLOOR * size.max(), 1e-300)
    return -(vectors @ ((vectors.T @ gradient) / np.maximum(size, floor)))


def _search(
    problem: Problem, point: Point, direction: np.ndarray, decrease: float
) -> tuple[Point, float] | None:
    """The first of the steps 1, 0.4, 0.16, ... that lowers the criterion enough; None where none does.

    Near the optimum the gradient is sharper than the criterion: a step that promises less than can be resolved is taken
    where it does no visible harm.
    """
    noise = RESOLUTION if decrease < 10 * RESOLUTION else ROUNDING * max(abs(point.deviance), problem.nu)
    share = 1.0
    while share > SHORTEST:
        theta = point.theta + share * direction
        if decrease > FAR:
            theta = _no_collapse(problem, point.theta, theta)
        trial = evaluate(problem, _off_zero(problem, theta))
        if trial is not None and trial.deviance <= point.deviance - ARMIJO * share * decrease + noise:
            return trial, share
        share *= SHORTEN
    evaluate(problem, point.theta)
    return None


def _no_collapse(problem: Problem, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Far from the optimum no pivot of T shrinks more than tenfold in a step: the way back from near zero is slow."""
    for at, on in problem.pivots:
        least = COLLAPSE * np.abs(old[at])
        collapsed = on & (new[at] * np.sign(old[at]) < least)
        new[at] = np.where(collapsed, np.sign(old[at]) * least, new[at])
    return new


def _off_zero(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """No pivot of a T exactly zero: at zero the gradient vanishes by symmetry and says nothing of the way out."""
    theta = theta.copy()
    for at, on in problem.pivots:
        part = theta[at]
        small = on & (np.abs(part) < SMALLEST_PIVOT)
        part[small] = np.where(part[small] < 0, -SMALLEST_PIVOT, SMALLEST_PIVOT)
        theta[at] = part
    return theta


def _snap(problem: Problem, point: Point) -> Point:
    """Set what has gone to zero to exactly zero, where that costs nothing that could be seen."""
    theta = point.theta.copy()
    for structure, at in zip(problem.structures, problem.slices(), strict=True):
        if at is None:
            continue
        t = structure.factor(theta[at])
        t[np.sqrt((t**2).sum(axis=1)) < _ZERO] = 0.0
        t[np.abs(t) < np.where(np.eye(len(t), dtype=bool), _ZERO, 0.0)] = 0.0
        d = structure.derivatives(theta[at])
        zero = np.all((np.abs(d) == 0) | (t == 0)[None], axis=(1, 2))
        part = theta[at]
        part[zero] = 0.0
        theta[at] = part
    if np.array_equal(theta, point.theta):
        return point
    snapped = evaluate(problem, theta)
    if snapped is not None and snapped.deviance <= point.deviance + _ZERO_COST:
        return snapped
    return evaluate_surely(problem, point.theta)
