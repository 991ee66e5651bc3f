"""Limits of a function of the variance components by the profile likelihood: the least and greatest value it has where

    D(theta, eta) <= D_min + quantile,     D = log-determinant(theta) + nu eta + pwrss(theta) / e^eta,     eta = log s2

which is one constrained maximisation for each limit, with exact gradients of both. Source: Venzon & Moolgavkar (1988).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..sparse.threads import one_blas_thread
from .components import Component, is_structured, plain, structured
from .derive import Moved
from .derived_value import Value
from .student import quantile

Array = np.ndarray
_SHIFTS = (0.15, 0.5)
"""How far starts are from a parameter at zero, relative to the residual standard deviation."""
_TOLERANCE = 2e-3
"""Of the deviance at a limit, relative to the quantile."""
_PARALLEL = 0.995
"""Cosine from which on two slopes are parallel."""


def limits(
    fit: Any, function: Callable[[Moved], Value], value: Value, edge: str, level: float
) -> tuple[float, float, str] | None:
    """Lower limit, upper limit, and what must be said of them; None where they are not to be had.

    Parameters
    ----------
    function : the quantity at moved parameters. edge : the end of its range that the estimate is at; "" inside.
    """
    # One side of the usual interval where the other is the boundary: P(chi2_1 <= q) = 2 level - 1.
    asked = 2.0 * level - 1.0 if edge else level
    rise = float(quantile(max(asked, 0.01), np.array(np.inf))) ** 2
    surface = Surface(fit, function)
    out = []
    with fit.solution.problem.system.lock, one_blas_thread():
        try:
            for sign in (-1.0, 1.0):
                end = value.range[0] if sign < 0 else value.range[1]
                if edge and np.isfinite(end) and f"{end:g}" == edge:
                    out.append(value.value)
                    continue
                found = surface.farthest(sign, rise)
                out.append(np.nan if found is None else found)
        finally:
            fit.solution.factorised()
    if np.isnan(out).all() or (edge and np.isnan(out).any()):
        return None
    said = f"one-sided {100 * level:g} % interval" if edge else ""
    if np.isnan(out).any():
        said = "no limit of the profile likelihood was found on one side"
    return min(out), max(out), said


class Surface:
    """The deviance and the quantity over the free parameters x = (theta, eta), or theta alone where s2 is in it or held."""

    def __init__(self, fit: Any, function: Callable[[Moved], Value]):
        self.fit, self.function = fit, function
        self.solution, self.problem = fit.solution, fit.solution.problem
        self.profiled = self.problem.profiled
        best = self.solution.factorised()
        self.least = best.deviance
        self.x0 = np.append(self.solution.theta, np.log(best.s2)) if self.profiled else self.solution.theta
        self._last: tuple[bytes, Any] = (b"", None)

    # -- one place -----------------------------------------------------------------------------------------------

    def at(self, x: Array) -> tuple[float, Array, float, Array]:
        """Deviance above its least and its gradient, the quantity and its gradient."""
        if self._last[0] == x.tobytes():
            return self._last[1]  # type: ignore[no-any-return]
        found = self._at(x)
        self._last = x.tobytes(), found
        return found

    def _at(self, x: Array) -> tuple[float, Array, float, Array]:
        theta = x[:-1] if self.profiled else x
        point, gradient, share = _criterion(self.problem, theta)
        if point is None:
            return 1e6, np.zeros(len(x)), 0.0, np.zeros(len(x))
        deviance = point.deviance - self.least
        shift = 0.0
        if self.profiled:
            nu, shift = self.problem.nu, float(x[-1] - np.log(point.s2))
            ratio = np.exp(-shift)
            deviance += nu * (shift + ratio - 1.0)
            gradient = np.append(gradient + share * (1.0 - ratio), nu * (1.0 - ratio))
        made = self._moved(theta, shift)
        value = self.function(made)
        slope = (
            value.slope
            if self.profiled or (self.problem.log_s2 is None and len(value.slope) == len(x))
            else value.slope[:-1]
        )
        return deviance, gradient, value.value, slope

    def _moved(self, theta: Array, shift: float) -> Moved:
        solution = moved_solution(self.solution, theta)
        if is_structured(self.fit):
            from ..mixed.structured.natural import reported

            rows = reported(solution, [t.effects for t in self.fit.labels.terms])
            made = structured(self.fit.labels, solution, rows)
        else:
            made = plain(self.fit.labels, solution)

        def sigma(terms: Sequence[int]) -> tuple[Array, Array]:
            from .components import covariance_slopes

            total = sum(solution.covariances[k] for k in terms)
            slopes = sum(covariance_slopes(solution, k) for k in terms)
            return np.exp(shift) * total, np.exp(shift) * slopes  # type: ignore[operator, return-value]

        return Moved([_scaled(row, shift) for row in made], len(made[0].slope), sigma)

    # -- a limit ---------------------------------------------------------------------------------------------------

    def farthest(self, sign: float, rise: float) -> float | None:
        """The greatest (sign 1) or least value of the quantity where the deviance is at most `rise` above its least."""
        best: float | None = None
        for start in self._starts(sign, rise):
            found = self._climb(start, sign, rise)
            if found is not None and (best is None or sign * found > sign * best):
                best = found
        return best

    @cached_property
    def root(self) -> Array:
        """L (n, n) with x = x0 + L z, so that the deviance is about |z|^2: of the covariance, and of a usual size for parameters
        that have none."""
        covariance = self.solution.information.covariance
        covariance = covariance[: len(self.x0), : len(self.x0)]
        out = np.zeros_like(covariance)
        live = np.flatnonzero(np.diag(covariance) > 0.0)
        if len(live):
            size = np.sqrt(np.diag(covariance)[live])
            values, vectors = np.linalg.eigh(covariance[np.ix_(live, live)] / np.outer(size, size))
            out[np.ix_(live, live)] = size[:, None] * (vectors * np.sqrt(np.maximum(values, 1e-12)))
        for i in np.setdiff1d(np.arange(len(self.x0)), live):
            out[i, i] = _SHIFTS[-1]
        return out

    def _still(self) -> Array:
        """Parameters without a variance: on a boundary, where the quantity may have no slope, so that starts must leave it."""
        covariance = self.solution.information.covariance
        return np.flatnonzero(np.diag(covariance)[: len(self.x0)] <= 0.0)

    def _starts(self, sign: float, rise: float) -> list[Array]:
        """Where the limit is if the deviance is quadratic and the quantity linear; parameters on a boundary moved off it."""
        slope = self.root.T @ self.at(self.x0)[3]
        slope[self._still()] = 0.0
        size = float(np.linalg.norm(slope))
        wald = sign * np.sqrt(rise) * slope / size if size > 0.0 else slope
        out = [wald] if size > 0.0 else []
        for shift in _SHIFTS if len(self._still()) else ():
            z = np.zeros(len(self.x0))
            z[self._still()] = shift / _SHIFTS[-1]
            for _ in range(30):
                if self._at_z(z)[0] < rise:
                    break
                z[self._still()] *= 0.6
            out.append(z + 0.5 * wald)
            # Either sign of a parameter is the same model only where nothing else has one.
            out.append(-z + 0.5 * wald)
        return out or [slope]

    def _at_z(self, z: Array) -> tuple[float, Array, float, Array]:
        deviance, gradient, value, slope = self.at(self._inside(self.x0 + self.root @ z))
        return deviance, self.root.T @ gradient, value, self.root.T @ slope

    def _inside(self, x: Array) -> Array:
        lower, upper = self._bounds()
        return np.clip(x, lower, upper)

    def _climb(self, start: Array, sign: float, rise: float) -> float | None:
        from scipy.optimize import minimize

        size = max(abs(self.at(self.x0)[2]), abs(self._at_z(start)[2] - self.at(self.x0)[2]), 1e-12)
        lower, upper = self._bounds()
        root, x0 = self.root, self.x0
        kept: list[dict[str, Any]] = [
            {
                "type": "ineq",
                "fun": lambda z: (rise - self._at_z(z)[0]) / rise,
                "jac": lambda z: -self._at_z(z)[1] / rise,
            }
        ]
        for i in np.flatnonzero(np.isfinite(lower)):
            kept.append(
                {
                    "type": "ineq",
                    "fun": lambda z, i=i: x0[i] + root[i] @ z - lower[i],
                    "jac": lambda z, i=i: root[i],
                }
            )
        for i in np.flatnonzero(np.isfinite(upper)):
            kept.append(
                {
                    "type": "ineq",
                    "fun": lambda z, i=i: upper[i] - x0[i] - root[i] @ z,
                    "jac": lambda z, i=i: -root[i],
                }
            )
        with np.errstate(all="ignore"):
            found = minimize(
                lambda z: -sign * self._at_z(z)[2] / size,
                start,
                jac=lambda z: -sign * self._at_z(z)[3] / size,
                method="SLSQP",
                constraints=kept,
                options={"maxiter": 200, "ftol": 1e-9},
            )
        return self._accepted(found.x, sign, rise)

    def _accepted(self, z: Array, sign: float, rise: float) -> float | None:
        """The value, where the slopes of the deviance and of the quantity are parallel there, or both are 0 at an end of the range."""
        if not np.isfinite(z).all():
            return None
        deviance, gradient, value, slope = self._at_z(z)
        if not np.isfinite(value) or deviance > rise * (1.0 + _TOLERANCE):
            return None
        lower, upper = self._bounds()
        x = self.x0 + self.root @ z
        if np.any(x <= lower + 1e-9) or np.any(x >= upper - 1e-9):
            return value
        sizes = float(np.linalg.norm(gradient) * np.linalg.norm(slope))
        if deviance < rise * (1.0 - _TOLERANCE):
            return value if np.linalg.norm(slope) <= 1e-3 * max(abs(value), 1e-12) else None
        return value if sign * float(gradient @ slope) >= _PARALLEL * sizes else None

    def _bounds(self) -> tuple[Array, Array]:
        n = len(self.x0)
        lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
        if is_structured(self.fit):
            low, high = self.problem.layout.bounds()
            lower[: len(low)], upper[: len(high)] = low, high
        return lower, upper


def _criterion(problem: Any, theta: Array) -> tuple[Any, Array, Array]:
    """The point, its gradient, and d2 D / dtheta deta where s2 is profiled out."""
    if hasattr(problem, "layout"):
        from ..mixed.structured import criterion as structured_criterion
        from ..mixed.structured.derivatives import score as structured_score
        from ..mixed.structured.derivatives import working_products

        point: Any = structured_criterion.evaluate(problem, theta)
        if point is None:
            return None, np.zeros(0), np.zeros(0)
        first = structured_score(problem, point)
        share = (
            working_products(problem, point, first)[1] / point.s2
            if problem.profiled and len(theta)
            else np.zeros(len(theta))
        )
        return point, first.gradient, share
    from ..mixed.criterion import evaluate
    from ..mixed.derivatives import scale_share, score

    here = evaluate(problem, theta)
    if here is None:
        return None, np.zeros(0), np.zeros(0)
    gradient = score(problem, here).gradient
    return here, gradient, scale_share(problem, here) if problem.profiled else np.zeros(len(theta))


class _Slopes:
    """In place of the information at a moved solution: slopes alone."""

    def __init__(self, solution: Any, phi_slopes: Array | None, component_slopes: list[Array] | None):
        layout = getattr(solution.problem, "layout", None)
        k = len(solution.theta) - bool(solution.problem.estimates_scale)
        self.covariance = np.zeros((k + 1, k + 1))
        self.flat = np.zeros((0, k + 1))
        if phi_slopes is not None and layout is not None:
            self.phi_slopes = phi_slopes
            self.regular = np.ones(layout.n_free, dtype=bool)
        if component_slopes is not None:
            self.component_slopes = component_slopes


def moved_solution(solution: Any, theta: Array) -> Any:
    """A solution at other parameters that has values and slopes of components, and no information."""
    from dataclasses import replace

    out = replace(solution, theta=theta)
    if hasattr(solution.problem, "layout"):
        layout = solution.problem.layout
        jacobian = layout.jacobian(theta)
        phi = np.zeros((len(layout.source), layout.n_free + 1))
        phi[:, : jacobian.shape[1]] = jacobian
        out.__dict__["information"] = _Slopes(out, phi, None)
        return out
    from ..mixed.information import _component_slopes

    free = len(theta) - solution.problem.estimates_scale
    out.__dict__["information"] = _Slopes(out, None, _component_slopes(out, free))
    return out


def _scaled(row: Component, shift: float) -> Component:
    """The row where log s2 is `shift` more than at the profile."""
    from dataclasses import replace

    if shift == 0.0 or row.unit == 0:
        return row
    factor = float(np.exp(0.5 * row.unit * shift))
    return replace(row, value=factor * row.value, slope=factor * row.slope)
