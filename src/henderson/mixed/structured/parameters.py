"""One vector of parameters for all structures: which are free, held at the user's values, or tied to one another.

theta (free) -> phi (all): phi_i = ratio_i theta_g(i) where parameter i is free (tied ones share a g), and held values; a held
value that has the unit of the response is divided by the residual standard deviation, since T and K are relative to it. Where
anything is held in such units, log s2 cannot be profiled out and is the last entry of theta.

The standard deviation sigma of a field and the decay d = 1 / range of its correlation run to infinity and zero together where the
data show a trend without an end: only sigma^2 d is told. There theta holds sigma / sqrt(1 + 1 / d), which stays finite (`couplings`);
and of an AR1 the standard deviation of its innovations, sigma sqrt(1 - phi^2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .equations import Values
from .model import Model

_WIDEST = 17.0
"""Box of the residual's free coordinates: logits and the like, whose structures take |t| > 16 for a limit and say so (`edges`)."""


@dataclass(frozen=True)
class Part:
    """Where the parameters of one structure are in phi."""

    kind: str
    """"T", "K" or "R"."""
    term: int
    at: slice


@dataclass(frozen=True, eq=False)
class Layout:
    """phi's parts, and the map from theta.

    Attributes
    ----------
    source : (len(phi),) entry of theta, or -1 where held; ratio : multiples of it.
    held : (len(phi),) values where held, relative to s = 1.
    relative : (len(phi),) whether a held value is one relative to s, whatever s is: it is tied to the residual variance.
    held_as : (len(phi),) what `variance_components` calls a held entry: "F" (by the user), "C" (tied), "B" (at a bound of the user).
    scaling : (len(phi),) whether an entry has the unit of the response.
    log_s2 : the residual variance's logarithm where it is held; scale_as : "F" or "B", as `held_as`.
    n_free : entries of theta but for log s2.
    couplings : (i, j, e), phi_i is multiplied by `stretch(phi_j, e)`.
    """

    parts: tuple[Part, ...]
    source: np.ndarray
    ratio: np.ndarray
    held: np.ndarray
    scaling: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    n_free: int
    log_s2: float | None = None
    relative: np.ndarray | None = None
    held_as: np.ndarray | None = None
    scale_as: str = "F"
    couplings: tuple[tuple[int, int, float], ...] = ()

    @property
    def absolute(self) -> np.ndarray:
        """(len(phi),): held at a value with the unit of the response."""
        out = (self.source < 0) & self.scaling
        return out if self.relative is None else out & ~self.relative

    @property
    def estimates_scale(self) -> bool:
        """Whether log s2 is an entry of theta: something with a unit is held, and s2 is not."""
        return self.log_s2 is None and bool(np.any(self.absolute))

    @property
    def profiled(self) -> bool:
        return self.log_s2 is None and not self.estimates_scale

    @property
    def n_parameters(self) -> int:
        return self.n_free + self.estimates_scale

    def all(self, theta: np.ndarray) -> np.ndarray:
        """phi at theta."""
        free = self.source >= 0
        phi = self.held.copy()
        phi[free] = self.ratio[free] * theta[self.source[free]]
        scale = self.root_inverse(theta)
        if scale != 1.0:
            phi[self.absolute] *= scale
        for i, j, e in self.couplings:
            phi[i] *= stretch(phi[j], e)[0]
        return phi

    def root_inverse(self, theta: np.ndarray) -> float:
        """1 / s where s2 is a number of its own, else 1."""
        if self.log_s2 is not None:
            return float(np.exp(-0.5 * self.log_s2))
        return float(np.exp(-0.5 * theta[-1])) if self.estimates_scale else 1.0

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """d phi / d theta, (len(phi), n_parameters)."""
        out = np.zeros((len(self.source), self.n_parameters))
        free = np.flatnonzero(self.source >= 0)
        out[free, self.source[free]] = self.ratio[free]
        if self.estimates_scale:
            fixed = self.absolute
            out[fixed, -1] = -0.5 * self.all(theta)[fixed]
        if self.couplings:
            phi = self.all(theta)
            for i, j, e in self.couplings:
                size, rate = stretch(phi[j], e)
                out[i] = size * out[i] + rate * phi[i] * out[j]
        return out

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Box of theta; tied parameters: the common part."""
        lower, upper = np.full(self.n_parameters, -np.inf), np.full(self.n_parameters, np.inf)
        for i in np.flatnonzero(self.source >= 0):
            a, b = sorted((self.lower[i] / self.ratio[i], self.upper[i] / self.ratio[i]))
            lower[self.source[i]] = max(lower[self.source[i]], a)
            upper[self.source[i]] = min(upper[self.source[i]], b)
        return lower, upper

    def free_of(self, phi: np.ndarray) -> np.ndarray:
        """theta (without log s2) at phi, the first of tied parameters counting."""
        out = np.zeros(self.n_free)
        phi = np.array(phi, dtype=np.float64)
        for i, j, e in self.couplings:
            phi[i] /= stretch(phi[j], e)[0]
        for i in np.flatnonzero(self.source >= 0)[::-1]:
            out[self.source[i]] = phi[i] / self.ratio[i]
        return out


@dataclass
class Control:
    """What the user fixes, in standard coordinates with s = 1.

    Attributes
    ----------
    held : entries of phi held at values; bounded : those of them that sit at a bound of the user's.
    relative : entries held at a multiple of s: tied to the residual variance.
    ties : (i, j, ratio): phi_i = ratio phi_j.
    log_s2 : of the residual variance; scale_bounded : whether it is a bound that holds it.
    lower, upper : boxes of entries without a unit.
    """

    held: dict[int, float] = field(default_factory=dict)
    ties: list[tuple[int, int, float]] = field(default_factory=list)
    relative: dict[int, float] = field(default_factory=dict)
    bounded: frozenset[int] = frozenset()
    log_s2: float | None = None
    scale_bounded: bool = False
    lower: dict[int, float] = field(default_factory=dict)
    upper: dict[int, float] = field(default_factory=dict)


def parts_of(model: Model) -> tuple[tuple[Part, ...], int]:
    """Parts of phi in order: for each random term T then K; R last."""
    parts, at = [], 0
    for k, term in enumerate(model.terms):
        for kind, count in (
            ("T", term.structure.n_parameters),
            ("K", 0 if term.precision is None else term.precision.n_coordinates),
        ):
            if count:
                parts.append(Part(kind, k, slice(at, at + count)))
                at += count
    if model.residual is not None and model.residual.n_coordinates:
        parts.append(Part("R", -1, slice(at, at + model.residual.n_coordinates)))
        at += model.residual.n_coordinates
    return tuple(parts), at


def layout(model: Model, control: Control | None = None) -> Layout:
    """The map of a model's parameters under the user's control."""
    control = control or Control()
    parts, size = parts_of(model)
    scaling = np.zeros(size, dtype=bool)
    lower, upper = np.full(size, -np.inf), np.full(size, np.inf)
    for part in parts:
        if part.kind == "T":
            s = model.terms[part.term].structure
            scaling[part.at] = s.scaling
            lower[part.at], upper[part.at] = s.lower, s.upper
        else:
            p = model.terms[part.term].precision if part.kind == "K" else model.residual
            assert p is not None
            lower[part.at], upper[part.at] = p.lower, p.upper
            if part.kind == "R":
                lower[part.at] = np.where(np.isinf(p.lower), -_WIDEST, p.lower)
                upper[part.at] = np.where(np.isinf(p.upper), _WIDEST, p.upper)
    for i, value in control.lower.items():
        lower[i] = max(lower[i], value)
    for i, value in control.upper.items():
        upper[i] = min(upper[i], value)
    held, ratio, leader, root = _leaders(control, size)
    free = sorted({int(g) for g in leader if g >= 0})
    number = {g: a for a, g in enumerate(free)}
    source = np.array([number.get(int(g), -1) if g >= 0 else -1 for g in leader], dtype=np.int64)
    relative, held_as = np.zeros(size, dtype=bool), np.full(size, "F")
    for i in map(int, np.flatnonzero(source < 0)):
        relative[i] = int(root[i]) in control.relative
        held_as[i] = "C" if relative[i] else "B" if int(root[i]) in control.bounded else "F"
    return Layout(
        parts,
        source,
        ratio,
        held,
        scaling,
        lower,
        upper,
        len(free),
        control.log_s2,
        relative,
        held_as,
        "B" if control.scale_bounded else "F",
        tuple(_couplings(model, parts, source)),
    )


def stretch(c: float, e: float) -> tuple[float, float]:
    """What a standard deviation is multiplied by beside the coordinate c of its correlation, and the slope in c of the logarithm of that:
    sqrt(1 + 1 / c) of a decay c, where e is 0, and 1 / sqrt(1 - phi^2) of an autocorrelation phi = (1 + e) tanh(c)."""
    if e == 0.0:
        return float(np.sqrt(1.0 + 1.0 / c)), -0.5 / (c**2 + c)
    # 1 - |phi| with its digits near |phi| = 1.
    left = 2.0 / (np.exp(2.0 * abs(c)) + 1.0)
    below = left - e * (1.0 - left)
    phi = float(np.copysign(1.0 - below, c))
    share = below * (2.0 - below)
    return float(1.0 / np.sqrt(share)), float(phi * (1.0 + e) / np.cosh(c) ** 2 / share)


def _couplings(model: Model, parts: tuple[Part, ...], source: np.ndarray) -> Iterator[tuple[int, int, float]]:
    where = {(part.kind, part.term): part.at for part in parts}
    shared = np.bincount(source[source >= 0], minlength=1) > 1
    for k, term in enumerate(model.terms):
        if term.precision is None or term.precision.decay is None or term.structure.n_parameters != 1:
            continue
        i, j = where["T", k].start, where["K", k].start + term.precision.decay
        if all(source[a] >= 0 and not shared[source[a]] for a in (i, j)):
            yield i, j, term.precision.excess


def _leaders(control: Control, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Held values, multiples, which entry each follows (itself, or the end of its chain of ties; -1 where that is held), and that
    end."""
    held, ratio, leader = np.zeros(size), np.ones(size), np.arange(size)
    root = leader.copy()
    fixed = {**control.held, **control.relative}
    follows = {i: (j, multiple) for i, j, multiple in control.ties}
    for i in range(size):
        at = i
        while at in follows and at not in fixed:
            ratio[i] *= follows[at][1]
            at = follows[at][0]
        leader[i] = root[i] = at
        if at in fixed:
            leader[i], held[i], ratio[i] = -1, ratio[i] * fixed[at], 1.0
    return held, ratio, leader, root


@dataclass(frozen=True, eq=False)
class Image:
    """The structures at one phi: what the equations take, log-determinants, and slopes where they were asked for."""

    values: Values
    log_det: float
    """sum r_k log|K_k| + log|R|."""
    slopes: dict[tuple[str, int], np.ndarray]
    """(kind, term) -> dT (k, m, r), or d of the precision on its pattern (k, nnz)."""
    log_det_slopes: np.ndarray
    """(len(phi),)."""


def image(model: Model, layout: Layout, phi: np.ndarray, slopes: bool) -> Image:
    """Evaluate all structures at phi. Raises NotPositiveDefinite."""
    where = {(part.kind, part.term): part.at for part in layout.parts}
    none = np.zeros(0)
    factors: list[np.ndarray] = []
    precisions: list[np.ndarray | None] = []
    found: dict[tuple[str, int], np.ndarray] = {}
    log_det, log_det_slopes = 0.0, np.zeros(len(phi))
    for k, term in enumerate(model.terms):
        at = where.get(("T", k))
        theta = none if at is None else phi[at]
        factors.append(np.asarray(term.structure.factor(theta)))
        if slopes and at is not None:
            found["T", k] = term.structure.derivatives(theta)
        if term.precision is None:
            precisions.append(None)
            continue
        at = where.get(("K", k))
        here = term.precision.at(none if at is None else phi[at], slopes and at is not None)
        precisions.append(here.values)
        log_det += term.r * here.log_det
        if slopes and at is not None:
            found["K", k] = np.asarray(here.value_slopes)
            log_det_slopes[at] = term.r * np.asarray(here.log_det_slopes)
    residual = None
    if model.residual is not None:
        at = where.get(("R", -1))
        here = model.residual.at(none if at is None else phi[at], slopes and at is not None)
        residual = here.values
        log_det += here.log_det
        if slopes and at is not None:
            found["R", -1] = np.asarray(here.value_slopes)
            log_det_slopes[at] = np.asarray(here.log_det_slopes)
    return Image(Values(factors, precisions, residual), log_det, found, log_det_slopes)
