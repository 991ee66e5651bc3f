"""Penalised splines as mixed models: what `spl(x)` and `spl2d(row, col)` put in X and in Z.

P-splines (Eilers & Marx 1996): f = B a over B-splines on equal segments, penalty |D a|^2 / s^2 on differences of order m. With the
singular vectors of D, D'D = U diag(d) U', and N (k, m) an orthonormal basis of polynomials in the number of the coefficient,

    B a = B N b + B U u,     B N b: the polynomials of degree < m, fixed;     Var(u_i) = s^2 / d_i

so Z = B U diag(d)^-1/2 has independent coefficients of one variance (Currie & Durban 2002). Along one coordinate the differences are
divided by the length of a segment, so that |D a|^2 is near the integral of f''^2 and s^2 does not depend on the number of segments.

Cubic smoothing spline (Verbyla, Cullis, Kenward & Welham 1999): f at knots is linear + H (H'H)^-1 w, Var(w) = s^2 G, G and H the
banded matrices of Green & Silverman (1994), section 2.1. The knots are the distinct x, in ninths of their range, as ASReml-R 4 has them.

Planes: B of the one coordinate times B of the other, row by row (B_1 [] B_2), N and U of each:

    psanova      fixed: all products of polynomials; random, each with a variance of its own:
                 f(row)          N_col0 [] U_row      row smooth, the same in all columns        penalty d_row
                 f(row):col      N_col1 [] U_row      row smooth, its size linear in col         d_row
                 f(col), row:f(col)                   and the other way round
                 f(row):f(col)   U_row [] U_col       d_row (x) 1 + 1 (x) d_col
                 (Lee, Durban & Eilers 2013; Rodriguez-Alvarez, Boer, van Eeuwijk & Eilers 2018)
    anisotropic  one term of all those columns, precision  d_row / v_row + d_col / v_col   (Currie & Durban 2002)

Here v_row = s^2 p and v_col = s^2 (1 - p); the share p is a parameter of the precision (`Anisotropic`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, ModelError
from .base import At, Parameter, Precision

Array = np.ndarray
SEGMENTS = 20
"""Segments where their number is not given, if there are as many distinct values."""
KNOTS = 50
"""Knots of a cubic smoothing spline where there are more distinct values."""
NINTHS = 9.0


class RandomPart(NamedTuple):
    """One random term of a spline."""

    name: str
    """ "f(row):col"."""
    z: Array
    """(n, k)."""
    precision: Precision | None
    """Of the k coefficients; None where they are independent."""


@dataclass(frozen=True)
class SplineBasis:
    """The columns of a spline at some points.

    Attributes
    ----------
    fixed : (n, f) polynomials without the constant.
    fixed_names : "x", "x^2", "row:col".
    random : the random terms.
    spec : numbers and words from which `basis_of` makes the same columns again.
    """

    fixed: Array
    fixed_names: tuple[str, ...]
    random: tuple[RandomPart, ...]
    spec: Mapping[str, Any]

    def evaluate(self, *x: Array) -> SplineBasis:
        """The same columns at new points, x as the spline was made of.

        Raises
        ------
        DataError : a value outside the range the spline was made for, or not finite.
        """
        return basis_of(self.spec, *x)


def spline_1d(
    x: Array,
    nseg: int | None = None,
    degree: int = 3,
    order: int = 2,
    kind: str = "pspline",
    name: str = "x",
) -> SplineBasis:
    """The spline of one coordinate.

    Parameters
    ----------
    x : (n,) finite numbers.
    nseg : segments between the least and the greatest x; without it as many as there are distinct values less one, at most 20
        (pspline), or knots at the distinct values, at most 50 (cubic).
    degree : of the B-splines.
    order : of the penalised differences; the polynomials of lower degree are fixed. 1 to degree + 1.
    kind : "pspline", or "cubic" for the cubic smoothing spline (degree 3, order 2).
    name : of the column.

    Raises
    ------
    DataError : not finite; fewer distinct values than `order` + 1.
    ModelError : options out of their range.
    """
    _require_kind(kind, ("pspline", "cubic"), "spl")
    values = _finite(x, name)
    distinct = _distinct(values, order, name, "spl")
    spec: dict[str, Any] = {"kind": kind, "names": [name]}
    if kind == "pspline":
        count = min(SEGMENTS, len(distinct) - 1) if nseg is None else nseg
        axis = _axis(distinct, count, degree, order, "spl")
        return basis_of({**spec, "axes": [axis]}, values)
    if (degree, order) != (3, 2):
        raise ModelError(
            f"spl({name}): a cubic smoothing spline has degree 3 and order 2, not {degree} and {order}."
        )
    if nseg is not None:
        _require_count(nseg, "spl")
        knots = np.linspace(distinct[0], distinct[-1], nseg + 1)
    else:
        knots = distinct if len(distinct) <= KNOTS else np.linspace(distinct[0], distinct[-1], KNOTS)
    if len(knots) < 3:
        raise ModelError(f"spl({name}): a cubic smoothing spline has at least 3 knots, not {len(knots)}.")
    return basis_of({**spec, "knots": knots.tolist()}, values)


def spline_2d(
    x: Array,
    y: Array,
    nseg: int | Sequence[int] | None = None,
    degree: int = 3,
    order: int = 2,
    kind: str = "psanova",
    names: tuple[str, str] = ("row", "col"),
) -> SplineBasis:
    """The spline over a plane.

    Parameters
    ----------
    x, y : (n,) finite numbers.
    nseg : segments along x and along y, or one number for both; without it as `spline_1d`.
    degree, order : as `spline_1d`, the same along both.
    kind : "psanova", a variance for each part, or "anisotropic", one term.
    names : of the columns.

    Raises as `spline_1d`.
    """
    _require_kind(kind, ("psanova", "anisotropic"), "spl2d")
    counts = _two(nseg)
    axes = []
    for values, name, count in zip((x, y), names, counts, strict=True):
        distinct = _distinct(_finite(values, name), order, name, "spl2d")
        if count is None:
            count = min(SEGMENTS, len(distinct) - 1)
        axes.append(_axis(distinct, count, degree, order, "spl2d"))
    return basis_of({"kind": kind, "names": list(names), "axes": axes}, x, y)


def basis_of(spec: Mapping[str, Any], *x: Array) -> SplineBasis:
    """The columns that a `SplineBasis.spec` stands for, at points x (one array for each coordinate).

    Raises
    ------
    DataError : a value outside the range the spline was made for, or not finite.
    """
    names = spec["names"]
    points = [_finite(values, name) for values, name in zip(x, names, strict=True)]
    if spec["kind"] == "cubic":
        return _line(_Cubic(np.asarray(spec["knots"], dtype=np.float64)), points[0], spec)
    axes = [_Segments(**axis) for axis in spec["axes"]]
    if spec["kind"] == "pspline":
        return _line(axes[0], points[0], spec)
    return _plane(axes, points, spec)


# -- one coordinate --------------------------------------------------------------------------------------


class _Axis(ABC):
    """The columns along one coordinate."""

    low: float
    high: float
    order: int

    @abstractmethod
    def smooth(self, x: Array) -> Array:
        """(n, k - order): columns of one variance, those of a line."""


@dataclass(frozen=True)
class _Segments(_Axis):
    """B-splines over equal segments of [low, high]."""

    low: float
    high: float
    nseg: int
    degree: int
    order: int

    @property
    def width(self) -> float:
        return (self.high - self.low) / self.nseg

    @property
    def k(self) -> int:
        """B-splines."""
        return self.nseg + self.degree

    def basis(self, x: Array) -> Array:
        """B, (n, k)."""
        from scipy.interpolate import BSpline

        steps = np.arange(-self.degree, self.nseg + self.degree + 1, dtype=np.float64)
        # In segments, so that both ends are knots exactly.
        at = np.clip((x - self.low) / self.width, 0.0, float(self.nseg))
        return BSpline.design_matrix(at, steps, self.degree).toarray()

    @cached_property
    def polynomials(self) -> Array:
        """N (k, order): orthonormal, of degree 0, 1 ... in the number of the coefficient, rising."""
        number = np.linspace(-1.0, 1.0, self.k)
        q, r = np.linalg.qr(np.vander(number, self.order, increasing=True))
        return q * np.sign(np.diag(r))

    @cached_property
    def wiggles(self) -> tuple[Array, Array]:
        """U (k, k - order) and the eigenvalues d of D'D, ascending."""
        differences = np.diff(np.eye(self.k), self.order, axis=0)
        _, size, vectors = np.linalg.svd(differences, full_matrices=False)
        size, u = size[::-1], vectors[::-1].T
        # Signs that do not depend on the machine.
        largest = np.argmax(np.abs(u) > 0.999 * np.abs(u).max(axis=0), axis=0)
        return u * np.sign(u[largest, np.arange(u.shape[1])]), size**2

    def smooth(self, x: Array) -> Array:
        u, d = self.wiggles
        scale = self.width ** (self.order - 0.5)
        return self.basis(x) @ (u * (scale / np.sqrt(d)))


class _Cubic(_Axis):
    """The natural cubic spline with these knots."""

    order = 2

    def __init__(self, knots: Array):
        self.knots, self.low, self.high = knots, float(knots[0]), float(knots[-1])

    @cached_property
    def _at_knots(self) -> Array:
        """H (H'H)^-1 L, L L' = G, of the knots in ninths of their range."""
        from scipy.linalg import cholesky, solve

        step = np.diff(self.knots) * (NINTHS / (self.high - self.low))
        inner = len(step) - 1
        h, g = np.zeros((inner + 2, inner)), np.zeros((inner, inner))
        j = np.arange(inner)
        h[j, j], h[j + 2, j] = 1.0 / step[:-1], 1.0 / step[1:]
        h[j + 1, j] = -h[j, j] - h[j + 2, j]
        g[j, j] = (step[:-1] + step[1:]) / 3.0
        g[j[1:], j[:-1]] = g[j[:-1], j[1:]] = step[1:-1] / 6.0
        return h @ solve(h.T @ h, cholesky(g, lower=True), assume_a="pos")

    def smooth(self, x: Array) -> Array:
        from scipy.interpolate import CubicSpline

        return CubicSpline(self.knots, self._at_knots, bc_type="natural")(np.clip(x, self.low, self.high))


def _line(axis: _Axis, x: Array, spec: Mapping[str, Any]) -> SplineBasis:
    name = spec["names"][0]
    _require_inside(axis, x, name, "spl")
    distinct, of = np.unique(x, return_inverse=True)
    fixed = np.column_stack([x**j for j in range(1, axis.order)]) if axis.order > 1 else np.zeros((len(x), 0))
    names = tuple(_power(name, j) for j in range(1, axis.order))
    part = RandomPart(f"f({name})", axis.smooth(distinct)[of], None)
    return SplineBasis(fixed, names, (part,), spec)


# -- planes ----------------------------------------------------------------------------------------------


def _plane(axes: list[_Segments], points: list[Array], spec: Mapping[str, Any]) -> SplineBasis:
    names, order = spec["names"], axes[0].order
    n_parts, u_parts = [], []
    for axis, x, name in zip(axes, points, names, strict=True):
        _require_inside(axis, x, name, "spl2d")
        distinct, of = np.unique(x, return_inverse=True)
        b = axis.basis(distinct)
        n_parts.append((b @ axis.polynomials)[of])
        u_parts.append((b @ axis.wiggles[0])[of])
    (d0, d1), one = (axis.wiggles[1] for axis in axes), np.ones
    # name, columns, and what of each penalty they have.
    parts: list[tuple[str, Array, Array, Array]] = []
    for j in range(order):
        times_x, times_y = _power(names[0], j), _power(names[1], j)
        z = _rows(u_parts[0], n_parts[1][:, [j]])
        parts.append((_joined(f"f({names[0]})", times_y), z, d0, 0.0 * d0))
        z = _rows(n_parts[0][:, [j]], u_parts[1])
        parts.append((_joined(times_x, f"f({names[1]})"), z, 0.0 * d1, d1))
    first, second = np.multiply.outer(d0, one(len(d1))).ravel(), np.multiply.outer(one(len(d0)), d1).ravel()
    parts.append((f"f({names[0]}):f({names[1]})", _rows(*u_parts), first, second))
    if spec["kind"] == "psanova":
        random = tuple(RandomPart(name, z / np.sqrt(a + b), None) for name, z, a, b in parts)
    else:
        a, b = (np.concatenate([part[k] for part in parts]) for k in (2, 3))
        z = np.column_stack([part[1] for part in parts])
        random = (RandomPart(f"f({','.join(names)})", z, Anisotropic(a, b, (names[0], names[1]))),)
    powers = [(i, j) for i, j in product(range(order), repeat=2) if i + j > 0]
    powers.sort(key=lambda ij: (ij[0] > 0 and ij[1] > 0, ij[0] == 0, ij))
    fixed = [points[0] ** i * points[1] ** j for i, j in powers]
    labels = tuple(_joined(_power(names[0], i), _power(names[1], j)) for i, j in powers)
    return SplineBasis(
        np.column_stack(fixed) if fixed else np.zeros((len(points[0]), 0)), labels, random, spec
    )


def _rows(left: Array, right: Array) -> Array:
    """Products of all columns of the one with all of the other, row by row, those of the right fastest."""
    return np.einsum("ni,nj->nij", left, right).reshape(len(left), -1)


class Anisotropic(Precision):
    """Q = diag(a / p + b / (1 - p)): smooth along two coordinates, with the share p of the variance along the first.

    p = sin(t)^2. a, b : (k,), what each coefficient has of the two penalties; not both 0.
    """

    name = "anisotropic"

    def __init__(self, a: Array, b: Array, names: tuple[str, str]):
        self.n, self.a, self.b = len(a), a, b
        self.rows = self.cols = np.arange(self.n, dtype=np.int64)
        self.names = names
        self.parameters = (Parameter(f"share({names[0]})"),)
        self.lower, self.upper = np.array([1e-4]), np.array([np.pi / 2.0 - 1e-4])

    def _q(self, t: Array) -> Array:
        return self.a / np.sin(t) ** 2 + self.b / np.cos(t) ** 2

    def at(self, t: Array, slopes: bool = False) -> At:
        q = self._q(t)
        log_det = -float(np.log(q).sum())
        if not slopes:
            return At(q, log_det)
        sin, cos = np.sin(t), np.cos(t)
        change = -2.0 * self.a * cos / sin**3 + 2.0 * self.b * sin / cos**3
        return At(q, log_det, change[None], np.array([-float((change / q).sum())]))

    def times(self, t: Array, v: Array) -> Array:
        return (np.asarray(v, dtype=np.float64).T / self._q(t)).T

    def diagonal(self, t: Array) -> Array:
        return 1.0 / self._q(t)

    def starts(self) -> list[Array]:
        return [np.array([np.arcsin(np.sqrt(p))]) for p in (0.5, 0.02, 0.98)]

    def natural(self, t: Array) -> Array:
        return np.sin(t) ** 2

    def natural_slopes(self, t: Array) -> Array:
        return np.atleast_2d(np.sin(2.0 * t))

    def coordinates(self, natural: Array) -> Array:
        p = float(natural[0])
        if not 0.0 <= p <= 1.0:
            raise ModelError(f"{self.parameters[0].name} is between 0 and 1, not {p:g}.")
        return np.clip(np.arcsin(np.sqrt([p])), self.lower, self.upper)

    def edges(self, t: Array) -> list[tuple[int, str]]:
        for bound, value, name in ((self.lower, 0, self.names[0]), (self.upper, 1, self.names[1])):
            if abs(t[0] - bound[0]) < 1e-9:
                return [(0, f"estimated as {value}, on the boundary: nothing but polynomials along {name}")]
        return []


# -- checks ----------------------------------------------------------------------------------------------


def _finite(x: Array, name: str) -> Array:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise DataError(f"a spline of {name} needs finite numbers, one for each row.")
    return values


def _distinct(values: Array, order: int, name: str, verb: str) -> Array:
    distinct = np.unique(values)
    if len(distinct) <= order:
        polynomials = "a constant" if order == 1 else f"a polynomial of degree {order - 1}"
        raise DataError(
            f"{verb}({name}): {name} has {len(distinct)} distinct value{'s' * (len(distinct) != 1)}, and {polynomials} goes through "
            f"all of them: a spline with differences of order {order} needs at least {order + 1}."
        )
    return distinct


def _axis(distinct: Array, nseg: int, degree: int, order: int, verb: str) -> dict[str, Any]:
    _require_count(nseg, verb)
    if int(degree) != degree or not 1 <= degree <= 10:
        raise ModelError(f"{verb}: the degree of the B-splines is a whole number from 1 to 10, not {degree}.")
    if int(order) != order or not 1 <= order <= min(degree + 1, nseg + degree - 1):
        raise ModelError(
            f"{verb}: the order of the differences is a whole number from 1 to {min(degree + 1, nseg + degree - 1)} "
            f"for B-splines of degree {degree} on {nseg} segments, not {order}."
        )
    low, high = float(distinct[0]), float(distinct[-1])
    return {"low": low, "high": high, "nseg": int(nseg), "degree": int(degree), "order": int(order)}


def _require_count(nseg: float, verb: str) -> None:
    if int(nseg) != nseg or nseg < 1:
        raise ModelError(f"{verb}: nseg, the number of segments, is a whole number from 1 on, not {nseg}.")


def _two(nseg: int | Sequence[int] | None) -> tuple[int | None, int | None]:
    if nseg is None or isinstance(nseg, (int, np.integer)):
        return nseg, nseg
    counts = tuple(int(x) if float(x) == int(x) else x for x in nseg)
    if len(counts) not in (1, 2):
        raise ModelError(f"spl2d: nseg is one number or two, not {len(counts)}.")
    return counts[0], counts[-1]


def _require_kind(kind: str, kinds: tuple[str, str], verb: str) -> None:
    if kind not in kinds:
        raise ModelError(f"{verb}: kind is {kinds[0]!r} or {kinds[1]!r}, not {kind!r}.")


def _require_inside(axis: _Axis, x: Array, name: str, verb: str) -> None:
    slack = 1e-9 * (axis.high - axis.low)
    out = x[(x < axis.low - slack) | (x > axis.high + slack)]
    if out.size:
        raise DataError(
            f"{verb}: {name} = {out[0]:g} is outside {axis.low:g} ... {axis.high:g}, where the spline was fitted"
            + (f" (and {out.size - 1} more)." if out.size > 1 else ".")
        )


def _power(name: str, j: int) -> str:
    return "" if j == 0 else name if j == 1 else f"{name}^{j}"


def _joined(left: str, right: str) -> str:
    return f"{left}:{right}" if left and right else left or right
