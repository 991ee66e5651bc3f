"""Generalised least squares: the profiled criterion, its gradient, and the fit at its minimum.

With M = [X y], A = M'V^-1 M and b, rss the least-squares solution in that metric, the criterion is

    D(t) = log|V| (+ log|X'V^-1X| under REML) + nu (1 + log(2 pi rss / nu)),      nu = n - p (REML) or n (ML)

with s2 = rss / nu profiled out, and, as b minimises rss, its gradient needs derivatives of A and log|V| alone:

    dD = dlog|V| + <G, dA>,      G = (X'V^-1X)^-1 in the corner (REML)  +  (nu / rss) c c',    c = (-b, 1)

Harville (1977); Pinheiro & Bates (2000), section 5.2. X is an orthonormal basis and y its least-squares residual, of mean
square 1, so that units and origins of the user's columns change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import lapack, solve_triangular

from ..residuals.base import CrossProducts, NotPositiveDefinite
from ..residuals.covariance import Covariance
from .coordinates import Coordinates, basis_with_rows_left, standard_response
from .newton import Box, Minimum, hessian
from .qr import orthonormal_basis


@dataclass(frozen=True)
class Rows:
    """The rows in standard coordinates: [q y], q (n, p) orthonormal, y orthogonal to it with mean square 1."""

    m: np.ndarray
    """(n, p + 1), not multiplied by weights."""
    coordinates: Coordinates
    """The way back, of the unweighted rows."""


def standard_rows(x: np.ndarray, response: np.ndarray, offset: np.ndarray | None) -> Rows:
    """Change of coordinates. x (n, columns), response (n,).

    Raises
    ------
    ModelError : no row is left for a variance, the fit is exact, or y is of a size beyond double precision.
    """
    basis = basis_with_rows_left(x)
    y, projection, scale = standard_response(basis.q, response, offset, None)
    coordinates = Coordinates(len(x), basis.r, basis.kept, basis.dropped, projection, scale, 0.0, ())
    return Rows(np.column_stack([basis.q, y]), coordinates)


@dataclass(frozen=True)
class Point:
    """The criterion at one t."""

    deviance: float
    gradient: np.ndarray | None
    root: np.ndarray
    """R (p, p), R'R = X'V^-1X."""
    b: np.ndarray
    rss: float
    s2: float
    products: CrossProducts


class Criterion:
    """D(t) of rows in standard coordinates."""

    def __init__(self, covariance: Covariance, rows: Rows, reml: bool, s2: float | None = None):
        self.covariance, self.rows, self.reml, self.s2 = covariance, rows, reml, s2
        self.n, k = rows.m.shape
        self.p = k - 1
        self.nu = self.n - (self.p if reml else 0)
        self.bound = covariance.bind(rows.m)

    def __call__(self, t: np.ndarray, slopes: bool) -> tuple[float, np.ndarray | None]:
        """What `newton.minimise` asks."""
        try:
            point = self.at(t, slopes)
        except NotPositiveDefinite:
            return float("inf"), None
        if slopes and not np.isfinite(point.gradient).all():  # type: ignore[arg-type]
            return float("inf"), None
        return (point.deviance if np.isfinite(point.deviance) else float("inf")), point.gradient

    def at(self, t: np.ndarray, slopes: bool) -> Point:
        """Raises NotPositiveDefinite."""
        found = self.bound.at(t, slopes)
        a, p = found.products, self.p
        root, info = lapack.dpotrf(a[:p, :p], lower=0) if p else (np.zeros((0, 0)), 0)
        if info != 0 or not np.isfinite(a).all():
            raise NotPositiveDefinite("X'V^-1X is not positive definite")
        root = np.triu(root)
        half = solve_triangular(root, a[:p, p], trans="T") if p else np.zeros(0)
        rss = float(a[p, p] - half @ half)
        if not rss > 0:
            raise NotPositiveDefinite("the residual sum of squares is not positive")
        b = solve_triangular(root, half) if p else half
        log_det_x = 2.0 * float(np.sum(np.log(np.diagonal(root)))) if self.reml else 0.0
        s2 = rss / self.nu if self.s2 is None else self.s2
        deviance = found.log_det + log_det_x + self.nu * np.log(2.0 * np.pi * s2) + rss / s2
        gradient = self._gradient(found, root, b, s2) if slopes else None
        return Point(float(deviance), gradient, root, b, rss, s2, found)

    def _gradient(self, found: CrossProducts, root: np.ndarray, b: np.ndarray, s2: float) -> np.ndarray:
        assert found.product_slopes is not None and found.log_det_slopes is not None
        c = np.append(-b, 1.0)
        weight = np.outer(c, c) / s2
        if self.reml and self.p:
            inverse = solve_triangular(root, np.eye(self.p))
            weight[: self.p, : self.p] += inverse @ inverse.T
        return found.log_det_slopes + np.einsum("jkl,kl->j", found.product_slopes, weight)


class FittedResidual:
    """The covariance of the residuals at the estimates: a `linear.solution.ResidualModel`.

    Parameters are (t, log s2) over the coordinates that were estimated and are not at an edge.
    """

    def __init__(
        self,
        covariance: Covariance,
        criterion: Criterion,
        minimum: Minimum,
        held: np.ndarray,
        beta_root: np.ndarray,
    ):
        self.covariance = covariance
        self.t = minimum.t
        self.held = held
        """(coordinates,) bool: given by the user."""
        self.edges = covariance.edges(minimum.t)
        """Reported parameters at an edge, in words."""
        self.minimum = minimum
        self._criterion = criterion
        self._root = beta_root
        """Upper triangular: X'V^-1X over the kept columns of the user's X, relative to s2 as reported."""

    @property
    def n_parameters(self) -> int:
        """Parameters of V that were estimated (s2 not counted)."""
        return int(np.sum(~self.held))

    def whiten(self, columns: np.ndarray) -> np.ndarray:
        """W columns (n, k), W V W' = I, rows in the order of the design."""
        scale = np.exp(-self.covariance.log_scale(self.t))
        return self.covariance.whiten(self.t, columns)[0] * scale

    @property
    def standard_deviations(self) -> np.ndarray:
        """Square roots of the diagonal of V, (n,)."""
        return np.sqrt(self.covariance.diagonal(self.t)) * np.exp(self.covariance.log_scale(self.t))

    @cached_property
    def point(self) -> Point:
        """The criterion at the estimates, with derivatives."""
        return self._criterion.at(self.t, True)

    @property
    def scale2(self) -> float:
        """s2 in the user's units, of V as defined by the variance functions."""
        y_scale = self._criterion.rows.coordinates.y_scale
        return float(self.point.s2 * y_scale**2 * np.exp(-2.0 * self.covariance.log_scale(self.t)))

    @cached_property
    def _interior(self) -> np.ndarray:
        """Coordinates with a curvature: estimated, off the box, and not run off to a limit."""
        inside = self.minimum.free & ~self.held
        for part, at in zip(self.covariance.parts, self.covariance.slices, strict=True):
            if len(part.parameters) == part.n_coordinates:
                for j, _ in part.edges(self.t[at]):
                    inside[at.start + j] = False
            elif part.edges(self.t[at]):
                inside[at] = False
        return inside

    @cached_property
    def _hessian(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Curvature of D in the interior coordinates: eigenvalues, eigenvectors, and which of those have one."""
        inside = self._interior
        box = Box(self.covariance.lower, self.covariance.upper, inside)
        h = hessian(self._criterion, self.t, box, inside)[np.ix_(inside, inside)]
        values, vectors = np.linalg.eigh(h)
        live = values > 1e-8 * max(float(np.abs(values).max(initial=0.0)), 1e-6)
        return values, vectors, live

    @property
    def flat(self) -> list[np.ndarray]:
        """Directions of t in which the criterion does not change."""
        _, vectors, live = self._hessian
        out = []
        for vector in vectors.T[~live]:
            direction = np.zeros(len(self.t))
            direction[self._interior] = vector
            out.append(direction)
        return out

    @cached_property
    def parameter_covariance(self) -> np.ndarray:
        """(r + 1, r + 1): covariance of the estimates of (t, log s2), from the observed information; zero for what is held
        or at an edge."""
        r = len(self.t)
        values, vectors, live = self._hessian
        inverse = 2.0 * (vectors[:, live] / values[live]) @ vectors[:, live].T
        out = np.zeros((r + 1, r + 1))
        inside = np.flatnonzero(self._interior)
        out[np.ix_(inside, inside)] = inverse
        if self._criterion.s2 is not None:
            return out
        rate = self._rss_rate[inside]
        across = inverse @ rate
        out[inside, r] = out[r, inside] = across
        out[r, r] = 2.0 / self._criterion.nu + rate @ across
        return out

    @cached_property
    def _rss_rate(self) -> np.ndarray:
        """d log rss / dt."""
        c = np.append(-self.point.b, 1.0)
        slopes = self.point.products.product_slopes
        assert slopes is not None
        return np.einsum("jkl,k,l->j", slopes, c, c) / self.point.rss

    @cached_property
    def vcov_slopes(self) -> np.ndarray:
        """(r + 1, rank, rank): derivatives of Var(b) in (t, log s2), log s2 of V as calculated with."""
        p = self._criterion.p
        coordinates = self._criterion.rows.coordinates
        slopes = self.point.products.product_slopes
        assert slopes is not None
        inverse = solve_triangular(self.point.root, np.eye(p)) if p else np.zeros((0, 0))
        unscaled = inverse @ inverse.T
        s2 = self.point.s2 * coordinates.y_scale**2
        parts = [-s2 * unscaled @ slope[:p, :p] @ unscaled for slope in slopes] + [s2 * unscaled]
        return np.stack([coordinates.coefficient_rows(coordinates.coefficient_rows(v).T) for v in parts])

    def components(self) -> dict[str, list]:
        """Rows of `variance_components`: term, estimate, std_error, bound; the residual variance last."""
        values = self._reported(self.t, 0.0)
        jacobian = self._jacobian()
        spread = np.einsum("ij,jk,ik->i", jacobian, self.parameter_covariance, jacobian)
        parameters = self.covariance.parameters
        names = [p.name for p in parameters]
        bounds = [self._bound(j) for j in range(len(parameters))]
        if not self.covariance.structure.has_variances:
            names.append("Residual")
            bounds.append("P" if self._criterion.s2 is None else "F")
        flat = self._touched_by_flat(jacobian)
        errors = [
            float(np.sqrt(max(v, 0.0))) if bound in "PU" and not is_flat else float("nan")
            for v, bound, is_flat in zip(spread, bounds, flat, strict=True)
        ]
        return {"term": names, "estimate": list(map(float, values)), "std_error": errors, "bound": bounds}

    def _touched_by_flat(self, jacobian: np.ndarray) -> np.ndarray:
        if not self.flat:
            return np.zeros(len(jacobian), dtype=bool)
        along = np.abs(jacobian[:, :-1] @ np.array(self.flat).T).max(axis=1)
        return along > 1e-6 * np.abs(jacobian).max(axis=1)

    def _bound(self, j: int) -> str:
        if self.held_parameters[j]:
            return "F"
        parameter = self.covariance.parameters[j]
        variance = parameter.unit == 2 and not parameter.name.startswith("cov(")
        return "B" if j in self.edges else "P" if variance else "U"

    @cached_property
    def held_parameters(self) -> np.ndarray:
        """(parameters,) bool: reported parameters that the user gave."""
        out: list[bool] = []
        parts = self.covariance.parts
        for part, at in zip(parts, self.covariance.slices, strict=True):
            held = self.held[at]
            same = len(part.parameters) == len(held)
            out += list(held) if same else [bool(len(held)) and bool(held.all())] * len(part.parameters)
        return np.array(out, dtype=bool)

    def _reported(self, t: np.ndarray, log_more: float) -> np.ndarray:
        """Reported values at t with log s2 moved by log_more, the residual variance last."""
        y_scale = self._criterion.rows.coordinates.y_scale
        s2 = self.point.s2 * y_scale**2 * np.exp(log_more)
        units = np.array([p.unit for p in self.covariance.parameters])
        with np.errstate(invalid="ignore"):
            out = self.covariance.natural(t) * np.sqrt(s2) ** units
        if self.covariance.structure.has_variances:
            return out
        return np.append(out, s2 * np.exp(-2.0 * self.covariance.log_scale(t)))

    def _jacobian(self) -> np.ndarray:
        """Derivatives of the reported values in (t, log s2), by central differences of closed forms."""
        columns = []
        for j in range(len(self.t) + 1):
            if j < len(self.t) and not self._interior[j]:
                columns.append(np.zeros(len(self._reported(self.t, 0.0))))
                continue
            h = 1e-5
            up, down = self.t.copy(), self.t.copy()
            more = h if j == len(self.t) else 0.0
            if j < len(self.t):
                up[j], down[j] = up[j] + h, down[j] - h
            with np.errstate(invalid="ignore"):
                columns.append((self._reported(up, more) - self._reported(down, -more)) / (2.0 * h))
        return np.nan_to_num(np.stack(columns, axis=1), posinf=0.0, neginf=0.0)


@dataclass(frozen=True)
class Estimates:
    """Coefficients and their root in the user's coordinates."""

    beta: np.ndarray
    root: np.ndarray
    rss: float
    scale2: float
    deviance: float


def estimates(criterion: Criterion, t: np.ndarray) -> Estimates:
    """The fit at t, from the whitened rows themselves rather than their cross-products."""
    rows, covariance = criterion.rows, criterion.covariance
    coordinates, p = rows.coordinates, criterion.p
    white, log_det = covariance.whiten(t, rows.m)
    basis = orthonormal_basis(white[:, :p]) if p else None
    y = white[:, p]
    b = np.zeros(0)
    r = np.zeros((0, 0))
    if basis is not None and basis.q.shape[1] == p:
        projection = basis.q.T @ y
        residual = y - basis.q @ projection
        extra = basis.q.T @ residual
        residual -= basis.q @ extra
        b, r = solve_triangular(basis.r, projection + extra), basis.r
    elif p == 0:
        residual = y
    else:
        point = criterion.at(t, False)
        b, r = point.b, point.root
        residual = y - white[:, :p] @ b
    rss = float(residual @ residual)
    s2 = rss / criterion.nu if criterion.s2 is None else criterion.s2
    log_det_x = 2.0 * float(np.sum(np.log(np.abs(np.diagonal(r))))) if criterion.reml else 0.0
    deviance = log_det + log_det_x + criterion.nu * np.log(2.0 * np.pi * s2) + rss / s2
    deviance += coordinates.deviance_shift(criterion.reml)
    back = np.exp(covariance.log_scale(t))
    root = (r @ coordinates.r) / back
    sign = np.where(np.diagonal(root) < 0, -1.0, 1.0)
    y_scale2 = coordinates.y_scale**2
    return Estimates(
        coordinates.coefficients(b),
        np.triu(root * sign[:, None]),
        rss * y_scale2 / back**2,
        s2 * y_scale2 / back**2,
        float(deviance),
    )
