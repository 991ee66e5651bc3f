"""V = S C S of n rows: a correlation structure, variance functions and precision weights, as one function of one vector t.

Rows come and go in the order of the design here; each structure's own order is dealt with in this file alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import ModelError, closest
from .base import Bound, CrossProducts, NotPositiveDefinite, Parameter, Structure
from .variances import VarianceFunction

RESIDUAL = "Residual"
_HUGE = 600.0
"""Spread of log standard deviations beyond which they cannot be held."""


class Covariance:
    """The covariance of the residuals relative to s2. t has the structure's coordinates, then the variance functions'."""

    def __init__(
        self,
        structure: Structure,
        functions: Sequence[VarianceFunction] = (),
        weights: np.ndarray | None = None,
    ):
        self.structure = structure
        self.functions = tuple(functions)
        order = structure.order
        self.order = order
        self.half_log_weights = None if weights is None else 0.5 * np.log(weights)
        parts = self.parts
        self.lower = np.concatenate([part.lower for part in parts])
        self.upper = np.concatenate([part.upper for part in parts])
        ends = np.cumsum([0, *(part.n_coordinates for part in parts)])
        self.slices = tuple(slice(int(a), int(b)) for a, b in pairwise(ends))

    @property
    def n_coordinates(self) -> int:
        return len(self.lower)

    @property
    def parts(self) -> tuple[Structure | VarianceFunction, ...]:
        """What t is made of, part by part (`slices`)."""
        return (self.structure, *self.functions)

    # -- numbers -----------------------------------------------------------------------------------------

    def sorted(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the design in the structure's order."""
        return rows if self.order is None else rows[self.order]

    def unsorted(self, rows: np.ndarray) -> np.ndarray:
        """The way back."""
        if self.order is None:
            return rows
        out = np.empty_like(rows)
        out[self.order] = rows
        return out

    def log_sd(self, t: np.ndarray, slopes: bool) -> tuple[np.ndarray | float, np.ndarray | None]:
        """log s (n,) in the order of the design, weights included; its derivatives (variance coordinates, n)."""
        total: np.ndarray | float = 0.0
        parts = []
        for function, at in zip(self.functions, self.slices[1:], strict=True):
            values, derivative = function.log_sd(t[at], slopes)
            total = total + values
            parts.append(derivative)
        if self.functions and not np.ptp(total) < _HUGE:
            raise NotPositiveDefinite("standard deviations out of range")
        if self.half_log_weights is not None:
            total = total - self.half_log_weights
        return total, np.concatenate(parts) if slopes and parts else None  # type: ignore[arg-type]

    def whiten(self, t: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, float]:
        """W columns (n, k), both in the order of the design, and log|V|."""
        log_s, _ = self.log_sd(t, False)
        scaled = columns * np.exp(-log_s)[:, None] if np.ndim(log_s) else columns
        white, log_det = self.structure.whiten(t[self.slices[0]], self.sorted(scaled))
        return self.unsorted(white), log_det + 2.0 * float(np.sum(log_s))

    def diagonal(self, t: np.ndarray) -> np.ndarray:
        """The diagonal of V, (n,), in the order of the design."""
        log_s, _ = self.log_sd(t, False)
        return self.unsorted(self.structure.diagonal(t[self.slices[0]])) * np.exp(2.0 * np.asarray(log_s))

    def bind(self, columns: np.ndarray) -> Bound:
        """The cross-products of rows (n, k) as a function of t."""
        return _Scaled(self, columns) if self.functions else _Fixed(self, columns)

    # -- parameters --------------------------------------------------------------------------------------

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """All reported parameters but the residual variance."""
        return tuple(p for part in self.parts for p in part.parameters)

    def natural(self, t: np.ndarray) -> np.ndarray:
        """Their values, variances relative to s2."""
        return np.concatenate([part.natural(t[at]) for part, at in zip(self.parts, self.slices, strict=True)])

    def log_scale(self, t: np.ndarray) -> float:
        """log of the constant that s as defined has over s as calculated with: it divides the residual standard deviation."""
        return float(sum(f.log_scale(t[at]) for f, at in zip(self.functions, self.slices[1:], strict=True)))

    def edges(self, t: np.ndarray) -> dict[int, str]:
        """Reported parameters at the edge of their range, by number, in words."""
        out: dict[int, str] = {}
        offset = 0
        for part, at in zip(self.parts, self.slices, strict=True):
            out.update({offset + j: said for j, said in part.edges(t[at])})
            offset += len(part.parameters)
        return out

    def start(self, residual: np.ndarray) -> list[np.ndarray]:
        """Values of t to start from, given least-squares residuals (n,) of mean square 1."""
        tail = [f.start() for f in self.functions]
        return [np.concatenate([head, *tail]) for head in self.structure.starts(self.sorted(residual))]

    def given(self, values: Mapping[str, Any] | None, argument: str) -> tuple[np.ndarray, np.ndarray]:
        """`start=` or `fixed_parameters=` by parameter name -> which coordinates they give (bool), and t there.

        Raises
        ------
        ModelError : an unknown name (the closest is named), a value out of range, or some but not all parameters of a
            structure whose parameters are tied to one another.
        """
        chosen, t = np.zeros(self.n_coordinates, dtype=bool), np.zeros(self.n_coordinates)
        wanted = _numbers(values, [p.name for p in self.parameters], argument)
        for part, at in zip(self.parts, self.slices, strict=True):
            names = [p.name for p in part.parameters]
            here = np.array([name in wanted for name in names], dtype=bool)
            if not here.any():
                continue
            separable = not isinstance(part, Structure) or part.separable
            if not here.all() and (not separable or len(names) != part.n_coordinates):
                missing = ", ".join(name for name, is_here in zip(names, here, strict=True) if not is_here)
                raise ModelError(
                    f"{argument}: the parameters of {getattr(part, 'text', part.__class__.__name__)} are tied to one "
                    f"another: give all of them or none (missing: {missing})."
                )
            inside = part.natural(_middle(part))
            natural = np.array([wanted.get(name, inside[j]) for j, name in enumerate(names)])
            found = part.coordinates(natural)
            chosen[at] = here if len(here) == part.n_coordinates else True
            t[at] = found
        return chosen, t


def _middle(part: Structure | VarianceFunction) -> np.ndarray:
    """A t inside the box."""
    low, high = part.lower, part.upper
    with np.errstate(invalid="ignore"):
        both = np.isfinite(low) & np.isfinite(high)
        return np.where(
            both, 0.5 * (low + high), np.where(np.isfinite(low), low + 0.3, np.minimum(high, 0.3))
        )


def _numbers(values: Mapping[str, Any] | None, names: list[str], argument: str) -> dict[str, float]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ModelError(f'{argument} is a mapping such as {{"phi": 0.5}}, not {values!r}.')
    out = {}
    for name, value in values.items():
        if name == RESIDUAL:
            continue
        if name not in names:
            near = closest(str(name), names)
            known = f"There are {', '.join(map(repr, names))}." if names else "There are none."
            raise ModelError(
                f"{argument}: no parameter is called '{name}'. "
                + (f"The closest is '{near}'." if near else known)
            )
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not np.isfinite(number):
            raise ModelError(f"{argument}: '{name}' is a number, not {value!r}.")
        out[str(name)] = number
    return out


class _Fixed(Bound):
    """S does not depend on t."""

    def __init__(self, covariance: Covariance, columns: np.ndarray):
        log_s, _ = covariance.log_sd(np.zeros(0), False)
        scaled = columns * np.exp(-log_s)[:, None] if np.ndim(log_s) else columns
        self.bound = covariance.structure.bind(np.ascontiguousarray(covariance.sorted(scaled)))
        self.log_det = 2.0 * float(np.sum(log_s))

    def at(self, t: np.ndarray, slopes: bool) -> CrossProducts:
        found = self.bound.at(t, slopes)
        return found._replace(log_det=found.log_det + self.log_det)


class _Scaled(Bound):
    """d(M'S^-1 C^-1 S^-1 M)/dt_j = -(N_j'N + N'N_j),  N = W S^-1 M,  N_j = W D_j S^-1 M,  D_j = diag(d log s / dt_j)."""

    def __init__(self, covariance: Covariance, columns: np.ndarray):
        self.covariance = covariance
        self.columns = np.ascontiguousarray(covariance.sorted(columns))

    def at(self, t: np.ndarray, slopes: bool) -> CrossProducts:
        covariance = self.covariance
        structure, own = covariance.structure, t[covariance.slices[0]]
        log_s, derivatives = covariance.log_sd(t, slopes)
        center = float(np.mean(log_s))
        rows = self.columns * np.exp(center - covariance.sorted(np.asarray(log_s)))[:, None]
        found = structure.cross_products(own, rows, slopes)
        back = np.exp(-2.0 * center)
        log_det = found.log_det + 2.0 * float(np.sum(log_s))
        if not slopes:
            return CrossProducts(found.products * back, log_det)
        assert derivatives is not None and found.product_slopes is not None
        assert found.log_det_slopes is not None
        k = rows.shape[1]
        stacked = np.hstack([rows, *(rows * covariance.sorted(d)[:, None] for d in derivatives)])
        white, _ = structure.whiten(own, stacked)
        cross = white[:, :k].T @ white[:, k:]
        halves = cross.reshape(k, len(derivatives), k).transpose(1, 0, 2)
        return CrossProducts(
            found.products * back,
            log_det,
            np.concatenate([found.product_slopes, -(halves + halves.transpose(0, 2, 1))]) * back,
            np.concatenate([found.log_det_slopes, 2.0 * derivatives.sum(axis=1)]),
        )
