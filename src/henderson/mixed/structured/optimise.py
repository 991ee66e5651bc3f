"""Newton steps on the parameters of all structures, in a box, to a verdict in deviance units (docs/theory.md section 4).

The step's matrix is the average information with the curvature of T. Where it proves a poor guide - it knows nothing of how
correlations and ranges bend - the observed information by differences of the exact gradient takes its place if that is cheap, and
else a secant correction that the gradients of the steps taken have taught (Dennis, Gay & Welsch 1981).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...linear.newton import Step
from ...sparse.threads import one_blas_thread
from ..rules import (
    ARMIJO,
    CLOSE,
    COLLAPSE,
    CONTRACTION,
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
from .criterion import Point, Problem, evaluate, evaluate_surely
from .derivatives import Derivatives, derivatives, score

_ZERO = 1e-4
_ZERO_COST = 1e-8
_SMALL = 0.02
_LIFTED, _LIFTS = 0.1, 5
_TAIL = 8.0
"""|t| of a coordinate of the residual, such as the logit of a share, beyond which nothing is left to move."""
_STUCK = 1e-3
"""Share of a step below which a search has found next to nothing."""
_LONGEST = 2.0
"""Longest step of a parameter without a unit: a correlation's, a range's."""
_CHEAP = 6e9
"""Floating-point operations up to which an observed information is worked out inside the iterations."""
_DIFFERENCE = 1e-5
_FEW = 8
"""Parameters up to which the observed information is preferred to a secant correction."""
_LATE_OBSERVED = 20
_SAME = 1e-3
"""Two optima of criteria closer than this are one."""
LEAST_RESIDUAL = 1e-6
"""Residual variance, the response having a mean square of 1, that counts as none (as in `precisions.residual_absolute`)."""
_FADING = 1e-2
"""Residual variance from which on it is asked whether it goes to zero."""
_NO_GAIN = 0.1
"""Most that the way from there to nothing may lower the criterion: where records are repeated it is worth hundreds."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the iterations ended."""

    theta: np.ndarray
    deviance: float
    predicted_decrease: float
    converged: bool
    iterations: int
    average_information: np.ndarray
    steps: tuple[Step, ...] = field(default=())
    fading: bool = False
    """Whether the iterations were ended because the residual variance goes to zero, where relative parameters are infinite."""


def optimise(
    problem: Problem,
    start: np.ndarray,
    *,
    on_step: Callable[[Step], None] | None = None,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    best: float = np.inf,
    may_fade: bool = False,
) -> Optimum:
    """Minimise the criterion from `start`; no accepted point is worse than the last by more than rounding.

    `best` is the lowest criterion that another start has reached: a climb that ends well above it is given up early. With `may_fade`
    it ends, too, where the residual variance is seen to go to zero: the caller then holds it there.
    """
    with problem.system.lock, one_blas_thread():
        return _Newton(problem, on_step, tolerance, max_iterations, best, may_fade).run(start)


class _Newton:
    def __init__(
        self, problem: Problem, on_step, tolerance: float, max_iterations: int, best: float, may_fade: bool
    ):
        self.problem, self.on_step, self.best = problem, on_step, best
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self.lower, self.upper = problem.layout.bounds()
        self.pivots, self.unitless = _kinds(problem)
        k = problem.n_parameters
        self.cheap = 3.0 * k * problem.system.flops < _CHEAP
        self.few = k <= _FEW
        self.secant = np.zeros((k, k))
        self.sizes = np.zeros(k, dtype=bool)
        layout = problem.layout
        self.sizes[layout.source[layout.scaling & (layout.source >= 0)]] = True
        self.may_fade = may_fade and problem.profiled and bool(self.sizes.any())

    def run(self, start: np.ndarray) -> Optimum:
        problem = self.problem
        point = evaluate_surely(problem, self._inside(self._off_zero(start)))
        steps: list[Step] = []
        share, observe, lifted, fading = 0.0, False, 0, False
        before: tuple[np.ndarray, np.ndarray] | None = None
        while True:
            d = derivatives(problem, point)
            if before is not None:
                self._learn(point.theta - before[0], d.gradient - before[1], d.hessian)
            before = point.theta, d.gradient
            free = self._free(point.theta, d.gradient)
            found, direction, decrease = None, np.zeros_like(d.gradient), np.inf
            for kind in self._matrices(observe, len(steps)):
                hessian = self._matrix(kind, point, d, free)
                if hessian is None:
                    continue
                direction, decrease = self._direction(d.gradient, hessian, free)
                if kind == "average" and not observe and self._slow(steps, decrease):
                    observe = True
                    if decrease >= self.tolerance:
                        better = self._matrix(self._matrices(True, len(steps))[0], point, d, free)
                        if better is not None:
                            direction, decrease = self._direction(d.gradient, better, free)
                remaining = self._expected_after(decrease, steps, point, share)
                done = 0.0 <= remaining < self.tolerance
                found = self._search(point, direction, decrease) if free.any() else None
                if found is not None or done:
                    break
                observe = True
            steps.append(Step(len(steps), point.deviance, decrease, share, point.theta))
            if self.on_step is not None:
                self.on_step(steps[-1])
            stuck = found is None or found[1] < _STUCK
            if (done or stuck) and lifted < _LIFTS:
                lifted += 1
                risen = self._lift(point, d)
                if risen is not None:
                    point, before = risen, None
                    continue
            if found is not None:
                point, share = found
            fading = observe and self.may_fade and self._fades(point)
            if (
                done
                or fading
                or found is None
                or len(steps) > self.max_iterations
                or self._hopeless(point, decrease, steps)
            ):
                break
        converged = 0.0 <= remaining < max(self.tolerance, RESOLUTION)
        point = self._snap(point)
        return Optimum(
            point.theta,
            point.deviance,
            remaining,
            converged,
            len(steps) - 1,
            d.average_information,
            tuple(steps),
            fading,
        )

    def _matrices(self, observe: bool, taken: int) -> list[str]:
        """Kinds of the step's matrix in the order in which they are tried."""
        if not observe:
            return ["average", "secant", *(["observed"] if self.cheap else [])]
        if self.cheap and (self.few or taken > _LATE_OBSERVED):
            return ["observed", "average"]
        return ["secant", "average", *(["observed"] if self.cheap else [])]

    def _matrix(self, kind: str, point: Point, d: Derivatives, free: np.ndarray) -> np.ndarray | None:
        if kind == "average":
            return d.hessian
        if kind == "secant":
            return d.hessian + self.secant
        return observed_hessian(self.problem, point, d.gradient, free)

    def _hopeless(self, point: Point, decrease: float, steps: list[Step]) -> bool:
        """Whether a climb from another start is far above a finished one and all but done."""
        return point.deviance - 10.0 * decrease > self.best + _SAME and len(steps) > 2 and decrease < FAR

    def _fades(self, point: Point) -> bool:
        """Whether the criterion falls on the way to no residual variance at all, all others staying what they are, and falls by next
        to nothing. Where it stays as it is, these data do not tell the residual variance from others, and it may be what it is."""
        if point.s2 > _FADING:
            return False
        times = max(float(np.sqrt(point.s2 / LEAST_RESIDUAL)), np.sqrt(10.0))
        there = evaluate(self.problem, self._inside(np.where(self.sizes, times * point.theta, point.theta)))
        evaluate(self.problem, point.theta)
        least = -RESOLUTION if point.s2 <= 10.0 * LEAST_RESIDUAL else 10.0 * RESOLUTION
        return there is not None and least < point.deviance - there.deviance < _NO_GAIN

    # -- the step ----------------------------------------------------------------------------------------------------

    def _inside(self, theta: np.ndarray) -> np.ndarray:
        return np.clip(theta, self.lower, self.upper)

    def _free(self, theta: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        stuck = ((theta <= self.lower) & (gradient >= 0)) | ((theta >= self.upper) & (gradient <= 0))
        return ~stuck

    def _direction(
        self, gradient: np.ndarray, hessian: np.ndarray, free: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """The Newton step among free parameters, the eigenvalues of H made positive, and what it promises."""
        direction = np.zeros_like(gradient)
        if not free.any():
            return direction, 0.0
        values, vectors = np.linalg.eigh(hessian[np.ix_(free, free)])
        size = np.abs(values)
        floor = max(EIGENVALUE_FLOOR * size.max(), 1e-300)
        direction[free] = -(vectors @ ((vectors.T @ gradient[free]) / np.maximum(size, floor)))
        return direction, float(-gradient @ direction)

    def _slow(self, steps: list[Step], decrease: float) -> bool:
        if not steps:
            return False
        return decrease > SLOW * steps[-1].predicted_decrease and (decrease < FAR or len(steps) > LATE)

    def _expected_after(self, decrease: float, steps: list[Step], point: Point, share: float) -> float:
        """What one more step is expected to leave to gain (see `mixed.optimise`)."""
        pivots = np.abs(point.theta[self.pivots])
        if steps and share == 1.0 and pivots.min(initial=1.0) > NEAR_ZERO:
            contraction = decrease / max(steps[-1].predicted_decrease, 1e-300)
            if contraction < CONTRACTION and decrease < CLOSE:
                return decrease * contraction
        return decrease

    def _search(self, point: Point, direction: np.ndarray, decrease: float) -> tuple[Point, float] | None:
        problem = self.problem
        noise = RESOLUTION if decrease < 10 * RESOLUTION else ROUNDING * max(abs(point.deviance), problem.nu)
        longest = float(np.abs(direction[self.unitless]).max(initial=0.0))
        share = min(1.0, _LONGEST / longest) if longest > 0 else 1.0
        while share > SHORTEST:
            theta = point.theta + share * direction
            if decrease > FAR:
                theta = self._no_collapse(point.theta, theta)
            theta = self._inside(self._off_zero(theta))
            trial = evaluate(problem, theta)
            if trial is not None and trial.deviance <= point.deviance - ARMIJO * share * decrease + noise:
                return trial, share
            share *= SHORTEN
        evaluate(problem, point.theta)
        return None

    def _learn(self, step: np.ndarray, change: np.ndarray, hessian: np.ndarray) -> None:
        """The secant correction S: (H + S) step = change of the gradient, by a symmetric update of rank one."""
        wanted = change - hessian @ step
        along = float(step @ (self.secant @ step))
        if along != 0.0:
            self.secant *= min(1.0, abs(float(step @ wanted) / along))
        miss = wanted - self.secant @ step
        curvature = float(miss @ step)
        if abs(curvature) > 1e-8 * np.linalg.norm(miss) * np.linalg.norm(step) and np.isfinite(curvature):
            self.secant += np.outer(miss, miss) / curvature

    # -- zero and the way out of it ----------------------------------------------------------------------------------

    def _no_collapse(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Far from the optimum no pivot of T shrinks more than tenfold in a step: the way back from near zero is slow."""
        new = new.copy()
        least = COLLAPSE * np.abs(old)
        sign = np.where(old < 0, -1.0, 1.0)
        collapsed = self.pivots & (new * sign < least)
        new[collapsed] = (sign * least)[collapsed]
        return new

    def _off_zero(self, theta: np.ndarray) -> np.ndarray:
        """No pivot exactly zero: there the gradient vanishes by symmetry and says nothing of the way out."""
        theta = np.array(theta, dtype=np.float64)
        small = self.pivots & (np.abs(theta) < SMALLEST_PIVOT)
        theta[small] = np.where(theta[small] < 0, -SMALLEST_PIVOT, SMALLEST_PIVOT)
        return theta

    def _lift(self, point: Point, d: Derivatives) -> Point | None:
        """The point with the pivots near zero lifted whose variance wants to grow."""
        jacobian = self.problem.layout.jacobian(point.theta)
        curvature = (jacobian**2).T @ d.curvature
        wants = self.pivots & (np.abs(point.theta) < _ZERO) & (curvature < -RESOLUTION)
        if not wants.any():
            return None
        for size in (_LIFTED, 0.1 * _LIFTED):
            risen = evaluate(self.problem, np.where(wants, size, point.theta))
            if risen is not None and risen.deviance <= point.deviance:
                return risen
        return risen

    def _snap(self, point: Point) -> Point:
        """What has gone to zero set to exactly zero, where that costs nothing that could be seen: all near zero at once, and then
        one by one what is merely small."""
        theta = np.where(self.pivots & (np.abs(point.theta) < _ZERO), 0.0, point.theta)
        theta = self._without_empty_rows(theta)
        trials = [theta] if not np.array_equal(theta, point.theta) else []
        best = point
        for trial in trials:
            best = self._if_free(best, point, trial)
        ends = np.isfinite(self.lower) & np.isfinite(self.upper)
        for a in np.flatnonzero(self.unitless & ends & (np.abs(best.theta) > _TAIL)):
            trial = best.theta.copy()
            trial[a] = self.lower[a] if trial[a] < 0 else self.upper[a]
            best = self._if_free(best, point, trial)
        for a in np.flatnonzero(self.pivots & (best.theta != 0.0) & (np.abs(best.theta) < _SMALL)):
            trial = best.theta.copy()
            trial[a] = 0.0
            best = self._if_free(best, point, self._without_empty_rows(trial))
        return evaluate_surely(self.problem, best.theta)

    def _if_free(self, best: Point, point: Point, theta: np.ndarray) -> Point:
        snapped = evaluate(self.problem, theta)
        return snapped if snapped is not None and snapped.deviance <= point.deviance + _ZERO_COST else best

    def _without_empty_rows(self, theta: np.ndarray) -> np.ndarray:
        """Off-diagonal entries of a triangular T in the row of a variance that is zero."""
        layout = self.problem.layout
        phi = layout.all(theta)
        out = theta.copy()
        for part in layout.parts:
            if part.kind != "T":
                continue
            structure = self.problem.model.terms[part.term].structure
            if structure.name != "us":
                continue
            t = structure.factor(phi[part.at])
            empty = np.sqrt((t**2).sum(axis=1)) < _ZERO
            d = structure.derivatives(phi[part.at])
            dead = np.all((d == 0) | empty[None, :, None], axis=(1, 2))
            for i in np.flatnonzero(dead) + part.at.start:
                if layout.source[i] >= 0:
                    out[layout.source[i]] = 0.0
        return out


def observed_hessian(
    problem: Problem, point: Point, gradient: np.ndarray, which: np.ndarray, step: float = _DIFFERENCE
) -> np.ndarray | None:
    """Second derivatives among `which` by differences of the exact gradient, rest as an identity; the system returns to `point`.

    None where a neighbouring point is not defined.
    """
    k = len(gradient)
    _, upper = problem.layout.bounds()
    hessian = np.eye(k)
    for a in np.flatnonzero(which):
        h = step * max(abs(point.theta[a]), 0.1)
        if point.theta[a] + h > upper[a]:
            h = -h
        theta = point.theta.copy()
        theta[a] += h
        moved = evaluate(problem, theta)
        if moved is None:
            evaluate(problem, point.theta)
            return None
        hessian[:, a] = (score(problem, moved).gradient - gradient) / h
    evaluate(problem, point.theta)
    out = 0.5 * (hessian + hessian.T)
    out[~which] = 0.0
    out[:, ~which] = 0.0
    return out


def _kinds(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Of the entries of theta: which are pivots of a T (may go to zero, where the gradient vanishes), which have no unit."""
    layout = problem.layout
    pivot, unitless = np.zeros(problem.n_parameters, dtype=bool), np.zeros(problem.n_parameters, dtype=bool)
    for part in layout.parts:
        if part.kind == "T":
            structure = problem.model.terms[part.term].structure
            mine = pivots_of(structure)
        else:
            mine = np.zeros(part.at.stop - part.at.start, dtype=bool)
        for i, yes in zip(range(part.at.start, part.at.stop), mine, strict=True):
            if layout.source[i] >= 0:
                pivot[layout.source[i]] |= bool(yes)
                unitless[layout.source[i]] |= not layout.scaling[i]
    return pivot, unitless


def pivots_of(structure) -> np.ndarray:
    """Which parameters of a T scale a variance by themselves: entries of its diagonal, standard deviations, specific variances;
    not loadings nor the entries below the diagonal of a triangular T."""
    theta = np.where(structure.scaling, 1.0, 0.1)
    theta = np.clip(theta, structure.lower, structure.upper)
    d = np.abs(structure.derivatives(theta)) > 0
    m, r = structure.pattern.shape
    on = np.zeros((m, r), dtype=bool)
    if m == r:
        on[np.arange(m), np.arange(m)] = True
    else:
        single = structure.pattern.sum(axis=0) == 1
        on[:, single] = structure.pattern[:, single]
    return structure.scaling & np.any(d & on[None], axis=(1, 2))
