"""The parameters of one structure as `variance_components` prints them, and the way from numbers in the user's units to entries of
phi in standard coordinates.

    T:  theta_user = theta y_scale b_row (entries that scale)       K:  t is t       R:  t, and log s last where s2 is estimated

Everything here is absolute: s = 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...precisions.base import Precision
from ...structures.base import Structure
from .model import Model
from .parameters import parts_of

_APART = 1e-8
"""Slope, relative to the largest, under which a reported number does not depend on a coordinate."""
_SHAKE = 0.17


class Undetermined(Exception):
    """Reported numbers that do not fix coordinates: `others` would have to be given too."""

    def __init__(self, others: tuple[int, ...]):
        self.others = others


@dataclass(frozen=True, eq=False)
class Block:
    """One structure's parameters.

    Attributes
    ----------
    kind, term : as `parameters.Part`; at : its place in phi, before the residual's scale.
    names, units : of what is reported, in order.
    owns_scale : whether the last coordinate is log s (the residual's block, where s2 is not known beforehand).
    """

    kind: str
    term: int
    at: slice
    names: tuple[str, ...]
    units: np.ndarray
    owns_scale: bool = False

    @property
    def size(self) -> int:
        """Coordinates."""
        return self.at.stop - self.at.start + self.owns_scale

    def natural(self, c: np.ndarray) -> np.ndarray:
        """Reported numbers, in the user's units, at coordinates c."""
        raise NotImplementedError

    def slopes(self, c: np.ndarray) -> np.ndarray:
        """d natural / d c."""
        raise NotImplementedError

    def coordinates(self, values: np.ndarray) -> np.ndarray:
        """c of all reported numbers. Raises ModelError."""
        raise NotImplementedError

    def typical(self, known: Mapping[int, float]) -> np.ndarray:
        """Reported numbers that go with those known (by number), to be put beside them."""
        raise NotImplementedError

    def _shaken(self) -> list[np.ndarray]:
        """Coordinates in general position."""
        raise NotImplementedError

    @cached_property
    def depends(self) -> np.ndarray:
        """(reported, coordinates) bool: which numbers depend on which coordinates."""
        out = np.zeros((len(self.names), self.size), dtype=bool)
        for c in self._shaken():
            s = np.abs(self.slopes(c))
            if s.size:
                out |= s > _APART * np.maximum(s.max(axis=1, keepdims=True), 1e-300)
        return out

    def solve(self, known: Mapping[int, float]) -> dict[int, float]:
        """Coordinates (by number within the block) that the reported numbers `known` fix.

        Raises
        ------
        Undetermined : they fix none by themselves.
        ModelError : outside the range, in words.
        """
        given = sorted(known)
        used = np.flatnonzero(self.depends[given].any(axis=0))
        if len(given) == len(self.names):
            used = np.arange(self.size)
        elif len(used) > len(given):
            others = np.flatnonzero(self.depends[:, used].any(axis=1))
            raise Undetermined(tuple(int(i) for i in others if i not in known))
        values = np.array(self.typical(known), dtype=np.float64)
        values[given] = [known[i] for i in given]
        c = self.coordinates(values)
        return {int(i): float(c[i]) for i in used}

    def alone(self, j: int) -> int | None:
        """The only coordinate that reported number j depends on, or None."""
        used = np.flatnonzero(self.depends[j])
        return int(used[0]) if len(used) == 1 else None


@dataclass(frozen=True, eq=False)
class Factor(Block):
    """Left of the bar."""

    structure: Structure | None = None
    multiplier: np.ndarray | None = None

    def natural(self, c: np.ndarray) -> np.ndarray:
        assert self.structure is not None
        return self.structure.natural(c * self.multiplier)

    def slopes(self, c: np.ndarray) -> np.ndarray:
        assert self.structure is not None and self.multiplier is not None
        return self.structure.natural_slopes(c * self.multiplier) * self.multiplier

    def coordinates(self, values: np.ndarray) -> np.ndarray:
        assert self.structure is not None
        return np.asarray(self.structure.from_natural(values)) / self.multiplier

    def of_matrix(self, sigma: np.ndarray) -> np.ndarray:
        """Reported numbers of the nearest covariance the structure holds, in the user's units."""
        assert self.structure is not None
        return self.structure.natural(self.structure.parameters(sigma))

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """Sigma of reported numbers."""
        assert self.structure is not None
        t = self.structure.factor(np.asarray(self.structure.from_natural(values)))
        return t @ t.T

    def typical(self, known: Mapping[int, float]) -> np.ndarray:
        assert self.structure is not None
        sizes = [abs(v) for i, v in known.items() if self.units[i] == 2]
        largest, least = max(sizes, default=1.0) or 1.0, min((v for v in sizes if v > 0), default=1.0)
        # Large enough for any covariance with what is known.
        variance = 1e3 * (largest + largest**2 / least)
        return self.of_matrix(variance * np.eye(self.structure.m))

    def _shaken(self) -> list[np.ndarray]:
        assert self.structure is not None
        s, m = self.structure, self.structure.m
        sd = 1.0 + 0.3 * np.sin(1.0 + np.arange(m))
        theta = s.parameters(np.outer(sd, sd) * (0.6 * np.eye(m) + 0.4))
        moved = theta + _SHAKE * np.cos(1.0 + np.arange(len(theta)))
        return [np.clip(each, s.lower, s.upper) / self.multiplier for each in (theta, moved)]


@dataclass(frozen=True, eq=False)
class Levels(Block):
    """Right of the bar."""

    precision: Precision | None = None

    def natural(self, c: np.ndarray) -> np.ndarray:
        assert self.precision is not None
        return self.precision.natural(c)

    def slopes(self, c: np.ndarray) -> np.ndarray:
        assert self.precision is not None
        return self.precision.natural_slopes(c)

    def coordinates(self, values: np.ndarray) -> np.ndarray:
        assert self.precision is not None
        return self.precision.coordinates(values)

    def typical(self, known: Mapping[int, float]) -> np.ndarray:
        assert self.precision is not None
        return self.precision.natural(self.precision.starts()[0])

    def _shaken(self) -> list[np.ndarray]:
        assert self.precision is not None
        return _about(self.precision)


@dataclass(frozen=True, eq=False)
class Rows(Block):
    """The residual. `size_known` : the residual standard deviation in the user's units where it is not estimated; `unit` : that of a
    response of mean square 1; `reports` : whether "Residual" is the last of what is reported."""

    precision: Precision | None = None
    size_known: float | None = None
    unit: float = 1.0
    reports: bool = True

    def _split(self, c: np.ndarray) -> tuple[np.ndarray, float]:
        if self.owns_scale:
            return c[:-1], self.unit * float(np.exp(c[-1]))
        assert self.size_known is not None
        return c, self.size_known

    def _own(self, t: np.ndarray) -> np.ndarray:
        return np.zeros(0) if self.precision is None else self.precision.natural(t)

    def _constant(self, t: np.ndarray) -> float:
        return 1.0 if self.precision is None else float(np.exp(-self.precision.log_scale(t)))

    def natural(self, c: np.ndarray) -> np.ndarray:
        t, size = self._split(c)
        size = size * self._constant(t)
        own = self._own(t)
        values = own * size ** self.units[: len(own)]
        return np.append(values, size**2) if self.reports else values

    def slopes(self, c: np.ndarray) -> np.ndarray:
        from ...precisions.residual_base import numerical_slopes

        t, size = self._split(c)
        size = size * self._constant(t)
        out = np.zeros((len(self.names), self.size))
        if self.precision is not None and len(t):
            k, residual = len(self.precision.parameters), self.precision
            out[:k, : len(t)] = residual.natural_slopes(t) * size ** self.units[:k, None]
            constant = numerical_slopes(
                lambda v: np.array([residual.log_scale(v)]), t, residual.lower, residual.upper, 1
            )
            out[:, : len(t)] -= (self.units * self.natural(c))[:, None] * constant
        if self.owns_scale:
            out[:, -1] = self.units * self.natural(c)
        return out

    def coordinates(self, values: np.ndarray) -> np.ndarray:
        count = len(values) - self.reports
        own, size = values[:count], self.size_known
        if self.reports:
            size = float(np.sqrt(values[-1]))
        if size is None:
            assert self.precision is not None
            # Variances fix their own ratios; their size is that of any of them.
            t = self.precision.coordinates(own)
            at = int(np.flatnonzero(self.units[:count] == 2)[0])
            size = float(np.sqrt(own[at] / self.precision.natural(t)[at])) / self._constant(t)
        elif self.precision is None or not count:
            t = np.zeros(self.at.stop - self.at.start)
        else:
            t = self.precision.coordinates(own / size ** self.units[:count])
            size = size / self._constant(t)
        return np.append(t, np.log(size / self.unit)) if self.owns_scale else t

    def typical(self, known: Mapping[int, float]) -> np.ndarray:
        variances = [v for i, v in known.items() if self.units[i] == 2 and v > 0]
        variance = float(np.mean(variances)) if variances else self.unit**2
        own = np.zeros(0)
        if self.precision is not None:
            start = self.precision.starts()[0]
            own = self.precision.natural(start)
            share = variance if self.size_known is None else self.size_known**2
            own = own * share ** (0.5 * self.units[: len(own)])
        return np.append(own, variance) if self.reports else own

    def _shaken(self) -> list[np.ndarray]:
        found = [np.zeros(0)] if self.precision is None else _about(self.precision)
        return [np.append(t, 0.1) if self.owns_scale else t for t in found]


def _about(precision: Precision) -> list[np.ndarray]:
    start = precision.starts()[0]
    move = _SHAKE * np.cos(1.0 + np.arange(len(start)))
    return [np.clip(start + each, precision.lower, precision.upper) for each in (0.3 * move, move)]


def blocks_of(model: Model, effects: list[tuple[str, ...]], log_s2: float | None) -> list[Block]:
    """The blocks of a model in the order in which they are reported; `effects` : names of each term's effects; log_s2 : of a
    residual variance that is known beforehand."""
    parts, _ = parts_of(model)
    where = {(p.kind, p.term): p.at for p in parts}
    y_scale = model.coordinates.y_scale
    out: list[Block] = []
    for k, term in enumerate(model.random):
        structure = term.structure
        said = structure.parameters_of(effects[k])
        at = where.get(("T", k))
        if at is not None:
            multiplier = np.where(structure.scaling, y_scale * rows_of(structure, np.diag(term.back)), 1.0)
            names, units = tuple(p.name for p in said), np.array([p.unit for p in said], dtype=np.float64)
            out.append(Factor("T", k, at, names, units, structure=structure, multiplier=multiplier))
        at = where.get(("K", k))
        if at is not None and term.precision is not None and term.precision.parameters:
            names = tuple(p.name for p in term.precision.parameters)
            out.append(Levels("K", k, at, names, np.zeros(len(names)), precision=term.precision))
    residual = model.residual
    at = where.get(("R", -1), slice(0, 0))
    names, unit = (), []
    if residual is not None:
        names, unit = tuple(p.name for p in residual.parameters), [p.unit for p in residual.parameters]
    reports = log_s2 is None and (residual is None or not residual.has_variances)
    if reports:
        names, unit = (*names, "Residual"), [*unit, 2]
    known = None if log_s2 is None else y_scale * float(np.exp(0.5 * log_s2))
    out.append(
        Rows(
            "R",
            -1,
            at,
            names,
            np.array(unit, dtype=np.float64),
            log_s2 is None,
            residual,
            known,
            y_scale,
            reports,
        )
    )
    return out


def rows_of(structure: Structure, back: np.ndarray) -> np.ndarray:
    """b of the effect that each parameter of T belongs to."""
    theta = np.clip(np.where(structure.scaling, 1.0, 0.1), structure.lower, structure.upper)
    rows = np.any(structure.derivatives(theta) != 0, axis=2)
    return np.array([back[row][0] if row.any() else back[0] for row in rows])
