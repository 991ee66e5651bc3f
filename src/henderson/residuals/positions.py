"""Structures of rows that stand at m positions (visits, ages, environments) within independent groups: V_m(t), (m, m).

us, csh, toeph, ar1h, ante1 and diag have a standard deviation for each position, V_m = D R D; cor and toep have R alone. A group
that misses positions has the submatrix of those it has; groups with the same pattern of positions share one Cholesky factor, and
meet V_m through the sums of products of their rows, formed once (`bind`). Where nearly every group has a pattern of its own, they
are factorised side by side (`masked`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import lapack, solve_triangular

from ..errors import DataError, ModelError
from .base import Bound, CrossProducts, Factor, Layout, NotPositiveDefinite, Parameter, Structure
from .families import Banded, Chain, Equal, Family, General, Powers, Uncorrelated
from .masked import SMALLEST_PIVOT, WIDEST, Masked, Pattern
from .order import one_time, require_whole, said

MAX_POSITIONS = 200
_MAX_SUMS = 4_000_000
"""Numbers up to which the sums of products of all patterns are kept."""
_PERTURBED, _SPREAD = 12, 0.7
"""Starts at random of `us` and `cor`, and their standard deviation (of arctanh of partial correlations)."""
_PLENTY = 20
"""Groups for each position above which the likelihood of `us` and `cor` is taken to have one maximum."""
_WIDE = 12
"""Positions above which no starts are made at random: there are too many directions."""
_MANY_PATTERNS = 60
"""Patterns above which they are factorised side by side."""


OWN_VARIANCES = ("us", "csh", "toeph", "ar1h", "ante1", "diag")
"""Structures that have a variance for each position; the others have one for all."""


class Positions(Structure):
    """V_m(t) over the positions of each group. t: log standard deviations relative to the first position's (where there are
    any), then those of the correlation family."""

    def __init__(
        self, layout: Layout, name: str, family: Family, effects: Sequence[str], codes: np.ndarray, own: bool
    ):
        self._n_rows = layout.n
        self.name, self.family, self.effects, self.text = name, family, effects, layout.text
        self.m = len(effects)
        self.has_variances = own
        self.n_sd = self.m - 1 if own else 0
        total = self.n_sd + family.n_coordinates
        self.lower, self.upper = np.full(total, -np.inf), np.full(total, np.inf)
        self.order, self.patterns = _patterns(layout.groups, codes)
        self.masked = Masked(self.patterns, self.m) if len(self.patterns) > _MANY_PATTERNS else None
        if isinstance(family, General):
            self.followed = 4 + _PERTURBED
        self.parameters = self._parameters()
        self.separable = not own and family.separable

    def _parameters(self) -> tuple[Parameter, ...]:
        if not self.has_variances:
            return self.family.parameters
        variances = tuple(Parameter(effect, 2) for effect in self.effects)
        if isinstance(self.family, General):
            pairs = self.family.pairs
            more = tuple(Parameter(f"cov({self.effects[j]}, {self.effects[i]})", 2) for j, i in pairs)
            return variances + more
        return variances + self.family.parameters

    # -- the matrix --------------------------------------------------------------------------------------

    def _sd(self, t: np.ndarray) -> np.ndarray:
        log_sd = np.append(0.0, t[: self.n_sd])
        if np.ptp(log_sd) > WIDEST:
            raise NotPositiveDefinite("standard deviations out of range")
        return np.exp(log_sd)

    def matrix(self, t: np.ndarray) -> np.ndarray:
        """V_m relative to s2."""
        r = self.family.matrix(t[self.n_sd :])
        if not self.has_variances:
            return r
        sd = self._sd(t)
        return r * np.outer(sd, sd)

    def matrix_slopes(self, t: np.ndarray) -> np.ndarray:
        """dV_m/dt, (n_coordinates, m, m)."""
        slopes = self.family.slopes(t[self.n_sd :])
        if not self.has_variances:
            return slopes
        sd = self._sd(t)
        v = self.matrix(t)
        own = np.zeros((self.n_sd, self.m, self.m))
        for i in range(1, self.m):
            own[i - 1, i] += v[i]
            own[i - 1, :, i] += v[i]
        return np.concatenate([own, slopes * np.outer(sd, sd)])

    # -- parameters --------------------------------------------------------------------------------------

    def starts(self, residual: np.ndarray) -> list[np.ndarray]:
        moments, counts = np.zeros((self.m, self.m)), np.zeros((self.m, self.m))
        for pattern in self.patterns:
            rows = residual[pattern.start : pattern.stop].reshape(-1, len(pattern.positions))
            at = np.ix_(pattern.positions, pattern.positions)
            moments[at] += rows.T @ rows
            counts[at] += len(rows)
        moments /= np.maximum(counts, 1.0)
        sd = np.sqrt(np.maximum(np.diagonal(moments), 1e-4))
        r = moments / np.outer(sd, sd)
        np.fill_diagonal(r, 1.0)
        values, vectors = np.linalg.eigh(0.9 * r + 0.1 * np.eye(self.m))
        guess = (vectors * np.maximum(values, 0.05)) @ vectors.T
        size = np.sqrt(np.diagonal(guess))
        r = guess / np.outer(size, size)
        log_sd = np.log(sd[1:] / sd[0]) if self.has_variances else np.zeros(0)
        return [np.append(log_sd, t) for t in self._correlations_to_start(r)]

    def _correlations_to_start(self, r: np.ndarray) -> list[np.ndarray]:
        """t of the family near the empirical r (m, m); where groups are few, others, as the likelihood has several maxima."""
        out = [self.family.start(r)]
        if not isinstance(self.family, General) or sum(p.groups for p in self.patterns) > _PLENTY * self.m:
            return out
        for simpler in (Equal(self.effects), Powers(self.effects, np.arange(self.m))):
            out.append(self.family.start(simpler.matrix(simpler.start(r))))
        out.append(np.zeros_like(out[0]))
        if self.m <= _WIDE:
            out += list(np.random.default_rng(0).normal(0.0, _SPREAD, (_PERTURBED, len(out[0]))))
        return out

    def natural(self, t: np.ndarray) -> np.ndarray:
        if not self.has_variances:
            return self.family.natural(t)
        # Reported in the units of the rows, where traits may be further apart than those a fit is worked out in.
        sd = np.exp(np.append(0.0, t[: self.n_sd]))
        variances = sd**2
        if isinstance(self.family, General):
            r = self.family.matrix(t[self.n_sd :])
            return np.append(variances, [r[i, j] * sd[i] * sd[j] for j, i in self.family.pairs])
        return np.append(variances, self.family.natural(t[self.n_sd :]))

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        try:
            if not self.has_variances:
                return self.family.coordinates(natural)
            variances, rest = natural[: self.m], natural[self.m :]
            if not (variances > 0).all():
                raise ModelError("variances are positive.")
            sd = np.sqrt(variances)
            if isinstance(self.family, General):
                rest = rest / np.array([sd[i] * sd[j] for j, i in self.family.pairs])
            return np.append(np.log(sd[1:] / sd[0]), self.family.coordinates(rest))
        except ModelError as error:
            raise ModelError(f"{self.text}: {error}") from None

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        offset = self.m if self.has_variances else 0
        return [(offset + j, said_of) for j, said_of in self.family.edges(t[self.n_sd :], self.text)]

    def diagonal(self, t: np.ndarray) -> np.ndarray:
        if not self.has_variances:
            return np.ones(self._n_rows)
        variances = np.diagonal(self.matrix(t))
        return np.concatenate([np.tile(variances[p.positions], p.groups) for p in self.patterns])

    # -- rows --------------------------------------------------------------------------------------------

    def whiten(self, t: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, float]:
        v, k = self.matrix(t), m.shape[1]
        if self.masked is not None:
            return self.masked.whiten(v, m)
        out = np.empty(m.shape)
        log_det = 0.0
        for pattern in self.patterns:
            factor = _cholesky(v[np.ix_(pattern.positions, pattern.positions)])
            white = solve_triangular(factor, _wide(m, pattern), lower=True, check_finite=False)
            size = len(pattern.positions)
            out[pattern.start : pattern.stop] = (
                white.reshape(size, pattern.groups, k).transpose(1, 0, 2).reshape(-1, k)
            )
            log_det += 2.0 * pattern.groups * float(np.sum(np.log(np.diagonal(factor))))
        return out, log_det

    def cross_products(self, t: np.ndarray, m: np.ndarray, slopes: bool) -> CrossProducts:
        v, k = self.matrix(t), m.shape[1]
        dv = self.matrix_slopes(t) if slopes else np.zeros((0, self.m, self.m))
        if self.masked is not None:
            return self.masked.cross_products(v, dv, m, slopes)
        products, log_det = np.zeros((k, k)), 0.0
        product_slopes, inverse_sum = np.zeros((len(dv), k, k)), np.zeros((self.m, self.m))
        for pattern in self.patterns:
            at = np.ix_(pattern.positions, pattern.positions)
            factor = _cholesky(v[at])
            white = solve_triangular(factor, _wide(m, pattern), lower=True, check_finite=False)
            log_det += 2.0 * pattern.groups * float(np.sum(np.log(np.diagonal(factor))))
            tall = white.reshape(-1, k)
            products += tall.T @ tall
            if not slopes:
                continue
            solved = solve_triangular(factor, white, lower=True, trans="T", check_finite=False)
            inverse_sum[at] += pattern.groups * _inverse(factor)
            tall = solved.reshape(-1, k)
            for j, slope in enumerate(dv):
                product_slopes[j] -= tall.T @ (slope[at] @ solved).reshape(-1, k)
        if not slopes:
            return CrossProducts(products, log_det)
        return CrossProducts(products, log_det, product_slopes, np.einsum("jab,ab->j", dv, inverse_sum))

    def bind(self, m: np.ndarray) -> Bound:
        size = sum((len(p.positions) * m.shape[1]) ** 2 for p in self.patterns)
        few = self.masked is None and size <= _MAX_SUMS
        return _Sums(self, m) if few else super().bind(m)


class _Sums(Bound):
    """For each pattern the sums over its groups of products of rows at positions a and b: (size, k, size, k)."""

    def __init__(self, structure: Positions, m: np.ndarray):
        self.structure, self.k = structure, m.shape[1]
        self.sums = []
        for pattern in structure.patterns:
            rows = m[pattern.start : pattern.stop].reshape(pattern.groups, -1)
            self.sums.append(rows.T @ rows)

    def at(self, t: np.ndarray, slopes: bool) -> CrossProducts:
        structure, k = self.structure, self.k
        v = structure.matrix(t)
        products, log_det = np.zeros((k, k)), 0.0
        gathered = np.zeros((structure.m, structure.m, k, k))
        inverse_sum = np.zeros((structure.m, structure.m))
        for pattern, sums in zip(structure.patterns, self.sums, strict=True):
            size = len(pattern.positions)
            at = np.ix_(pattern.positions, pattern.positions)
            factor = _cholesky(v[at])
            log_det += 2.0 * pattern.groups * float(np.sum(np.log(np.diagonal(factor))))
            half = solve_triangular(factor, sums.reshape(size, -1), lower=True, check_finite=False)
            half = half.reshape(size, k, size, k).transpose(2, 0, 1, 3).reshape(size, -1)
            white = solve_triangular(factor, half, lower=True, check_finite=False).reshape(size, size, k, k)
            products += np.einsum("aakl->kl", white)
            if not slopes:
                continue
            # L^-T white L^-1, the same sums with C^-1 on both sides.
            half = solve_triangular(
                factor, white.reshape(size, -1), lower=True, trans="T", check_finite=False
            )
            half = half.reshape(size, size, k, k).transpose(1, 0, 2, 3).reshape(size, -1)
            solved = solve_triangular(factor, half, lower=True, trans="T", check_finite=False)
            gathered[at] += solved.reshape(size, size, k, k)
            inverse_sum[at] += pattern.groups * _inverse(factor)
        if not slopes:
            return CrossProducts(products, log_det)
        dv = structure.matrix_slopes(t)
        change = -np.einsum("jab,abkl->jkl", dv, gathered)
        change = 0.5 * (change + change.transpose(0, 2, 1))
        return CrossProducts(products, log_det, change, np.einsum("jab,ab->j", dv, inverse_sum))


def _wide(m: np.ndarray, pattern: Pattern) -> np.ndarray:
    """Rows of a pattern as (size, groups * k)."""
    size, k = len(pattern.positions), m.shape[1]
    return m[pattern.start : pattern.stop].reshape(-1, size, k).transpose(1, 0, 2).reshape(size, -1)


def _cholesky(v: np.ndarray) -> np.ndarray:
    factor, info = lapack.dpotrf(v, lower=1)
    pivots = np.diagonal(factor) ** 2
    if info != 0 or not np.min(pivots / np.diagonal(v)) > SMALLEST_PIVOT:
        raise NotPositiveDefinite("the matrix of the positions is not positive definite")
    return np.tril(factor)


def _inverse(factor: np.ndarray) -> np.ndarray:
    inverse, _ = lapack.dtrtri(factor, lower=1)
    inverse = np.tril(inverse)
    return inverse.T @ inverse


def _patterns(groups: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray | None, list[Pattern]]:
    """Rows ordered by pattern, group and position; the patterns."""
    q, m = int(groups.max()) + 1, int(codes.max()) + 1
    there = np.zeros((q, m), dtype=bool)
    there[groups, codes] = True
    packed = np.packbits(there, axis=1)
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    order = np.lexsort((codes, groups, which[groups]))
    patterns, start = [], 0
    for at, count in zip(first, np.bincount(which), strict=True):
        positions = np.flatnonzero(there[at])
        stop = start + int(count) * len(positions)
        if len(positions):
            patterns.append(Pattern(positions, start, stop))
        start = stop
    same = np.array_equal(order, np.arange(len(order)))
    return (None if same else order), patterns


# -- from a layout ---------------------------------------------------------------------------------------


def build(layout: Layout) -> Structure:
    """us, cor, csh, toep, toeph, ar1h, ante1 or diag of visits.

    Raises
    ------
    DataError : a visit twice in one group; a place that is not a whole number for ar1h.
    ModelError : more positions than the data or this structure can carry.
    """
    factor = one_time(layout)
    name = factor.structure
    codes, labels, places = _places(layout, factor)
    effects = [f"{factor.names[0] if factor.names else ''}{label}" for label in labels]
    m = len(effects)
    if m < 2:
        raise ModelError(
            f"{layout.text}: there is one position only ({effects[0]}): no correlation to estimate."
        )
    if m > MAX_POSITIONS:
        raise ModelError(
            f"{layout.text}: {name} is for up to {MAX_POSITIONS} positions within a group, and there are {m}: in time, ar1, ou and "
            "arma take any number."
        )
    _refuse_duplicates(layout, factor, codes)
    if name == "ar1h":
        require_whole(
            layout, factor, "Number the visits, or take the column as a factor: ar1h(0 + C(time) | ...)."
        )
    family = _family(layout, name, effects, places)
    structure = Positions(layout, name, family, effects, codes, name in OWN_VARIANCES)
    _require_information(structure, layout)
    return structure


def _family(layout: Layout, name: str, effects: Sequence[str], places: np.ndarray) -> Family:
    if name in ("us", "cor"):
        return General(effects)
    if name == "csh":
        return Equal(effects)
    if name == "ar1h":
        return Powers(effects, places)
    if name in ("toep", "toeph"):
        return Banded(effects, _steps(layout, places))
    return Chain(effects) if name == "ante1" else Uncorrelated(effects)


def _places(layout: Layout, factor: Factor) -> tuple[np.ndarray, list[Any], np.ndarray]:
    """The position of each row (n,), and of each position its label and its place in time."""
    if not factor.names:
        order = np.argsort(layout.groups, kind="stable")
        groups = layout.groups[order]
        first = np.flatnonzero(np.append(True, groups[1:] != groups[:-1]))
        within = np.arange(layout.n) - np.repeat(first, np.diff(np.append(first, layout.n)))
        codes = np.empty(layout.n, dtype=np.int64)
        codes[order] = within
        m = int(codes.max()) + 1
        return codes, [str(i + 1) for i in range(m)], np.arange(m, dtype=np.float64)
    values, levels = factor.coordinates[0], factor.levels[0]
    if levels is not None:
        return values.astype(np.int64), list(levels), np.arange(len(levels), dtype=np.float64)
    places, codes = np.unique(values, return_inverse=True)
    return codes, [f"{place:.10g}" for place in places], places


def _steps(layout: Layout, places: np.ndarray) -> np.ndarray:
    """Places counted in the shortest gap between them."""
    gaps = np.diff(places)
    steps = (places - places[0]) / gaps.min()
    whole = np.round(steps)
    if np.abs(steps - whole).max() > 1e-6:
        raise ModelError(
            f"{layout.text}: a correlation for each lag needs positions in equal steps, and {', '.join(f'{p:g}' for p in places[:8])}"
            f"{' ...' if len(places) > 8 else ''} are not: us and ou take any positions; C(...) makes a factor of a column, one "
            "step from each level to the next."
        )
    return whole


def _refuse_duplicates(layout: Layout, factor: Factor, codes: np.ndarray) -> None:
    keys = layout.groups * (int(codes.max()) + 1) + codes
    order = np.argsort(keys, kind="stable")
    twice = np.flatnonzero(np.diff(keys[order]) == 0)
    if twice.size:
        i, j = int(order[twice[0]]), int(order[twice[0] + 1])
        where = f" in {layout.group(i)}" if layout.group_name else ""
        raise DataError(
            f"{layout.text}: {factor.names[0]} {said(factor, i)} occurs twice{where}, in rows {layout.row(i)} and {layout.row(j)} "
            f"(the first row is 0){f' (and {twice.size - 1} more such pairs)' if twice.size > 1 else ''}: each position occurs once "
            "in a group."
        )


def _require_information(structure: Positions, layout: Layout) -> None:
    """Refuse correlations of which no group says anything."""
    seen = np.zeros((structure.m, structure.m), dtype=int)
    for pattern in structure.patterns:
        seen[np.ix_(pattern.positions, pattern.positions)] += pattern.groups
    family = structure.family
    if isinstance(family, General):
        groups = sum(p.groups for p in structure.patterns)
        if groups < structure.m:
            raise ModelError(
                f"{layout.text}: {structure.name} of {structure.m} positions has {len(structure.parameters)} parameters, and "
                f"{groups} groups cannot carry them: there must be {structure.m} groups or more. toep, ar1h, ante1 and cs have fewer "
                "parameters."
            )
        for j, i in family.pairs:
            if not seen[i, j]:
                raise ModelError(
                    f"{layout.text}: {structure.effects[j]} and {structure.effects[i]} never occur in one group, so that their "
                    "correlation cannot be estimated."
                )
    elif isinstance(family, Banded):
        for lag in range(1, family.n_coordinates + 1):
            if not seen[family.lags == lag].any():
                raise ModelError(
                    f"{layout.text}: no group has two rows {lag} steps apart, so that their correlation cannot be estimated."
                )
    elif family.n_coordinates and not (seen - np.diag(np.diagonal(seen))).any():
        raise ModelError(
            f"{layout.text}: every {layout.group_name or 'series'} has one row, so that no two residuals are correlated: "
            "the correlation cannot be estimated."
        )
