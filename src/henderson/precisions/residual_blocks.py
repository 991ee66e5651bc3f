"""Rows in independent groups, a dense covariance within each: visits (us, csh, toep ...), cs, fields in the plane, arma.

Groups with the same rows' places share one matrix ("shape"), inverted once:  dQ = -Q dC Q,  d log|C| = tr(Q dC).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import ModelError
from ..memory import machine_memory
from ..residuals.base import NotPositiveDefinite, Structure
from ..residuals.dense_series import DenseSeries
from ..residuals.distance import Batch
from ..residuals.exchangeable import Exchangeable
from ..residuals.families import Uncorrelated
from ..residuals.masked import SMALLEST_PIVOT
from ..residuals.near_one import Factored
from ..residuals.positions import Positions
from ..residuals.product import Product
from ..residuals.spatial import DenseProduct
from .base import At
from .residual_base import MAX_STARTS, OfStructure, log_rms

Array = np.ndarray
_SHARE = 0.3
"""Of the machine's memory that the entries of the pattern and their slopes may take."""
_LIKELY = 0.3
"""Correlation of neighbours that starts suppose."""


class Stack(NamedTuple):
    """Groups of m rows."""

    members: Array
    """(groups, m): K's levels."""
    shape_of: Array
    """(groups,): which matrix of the stack."""
    shapes: int


class Matrices(NamedTuple):
    """The matrices of a stack at one t."""

    precision: Array
    """(shapes, m, m)."""
    log_det: Array
    """(shapes,): log|C|."""
    slopes: Array | None
    """dC/dt, (n_coordinates, shapes, m, m)."""


class Blocks(OfStructure):
    """Stacks of dense groups; subclasses say their matrices."""

    def __init__(self, structure: Structure, stacks: Sequence[Stack]):
        super().__init__(structure, structure._n_rows)
        self.stacks = tuple(stacks)
        self._require_memory()
        rows, cols, classes, offset = [], [], [], 0
        for stack in self.stacks:
            m = stack.members.shape[1]
            i, j = np.tril_indices(m)
            rows.append(stack.members[:, i].ravel())
            cols.append(stack.members[:, j].ravel())
            classes.append((offset + stack.shape_of[:, None] * len(i) + np.arange(len(i))).ravel())
            offset += stack.shapes * len(i)
        self.pattern(np.concatenate(rows), np.concatenate(cols), np.concatenate(classes), offset, None)
        self.counts = [np.bincount(s.shape_of, minlength=s.shapes) for s in self.stacks]
        self.own_order = bool(offset == len(self.rows) and (self.classes == np.arange(offset)).all())

    def _require_memory(self) -> None:
        sizes = [(len(s.members), s.members.shape[1]) for s in self.stacks]
        entries = sum(groups * m * (m + 1) // 2 for groups, m in sizes)
        needed, there = 8.0 * entries * (6 + self.structure.n_coordinates), machine_memory()
        if needed > _SHARE * there:
            raise ModelError(
                f"{self.text}: groups of up to {max(m for _, m in sizes)} rows have {entries} covariances within them, for which about "
                f"{needed / 2**30:.0f} GiB of memory are needed (this machine has {there / 2**30:.0f}). In time ar1 and ou have a "
                "sparse precision, and on a grid products such as (1 | ar1(row):ar1(col)); or name smaller groups right of the bar."
            )

    @abstractmethod
    def matrices(self, t: Array, slopes: bool) -> Iterable[Matrices]:
        """Of each stack."""

    @abstractmethod
    def covariances(self, t: Array) -> Iterable[Array]:
        """C of each stack, (shapes, m, m)."""

    def distinct(self, t: Array, slopes: bool = False) -> At:
        values, rates, log_det, log_det_slopes = [], [], 0.0, np.zeros(self.n_coordinates)
        for counts, found in zip(self.counts, self.matrices(t, slopes), strict=True):
            q = found.precision
            i, j = np.tril_indices(q.shape[1])
            values.append(q[:, i, j].ravel())
            log_det += float(counts @ found.log_det)
            if found.slopes is None:
                continue
            each = np.empty((self.n_coordinates, len(values[-1])))
            for k, dc in enumerate(found.slopes):
                log_det_slopes[k] += float(counts @ np.einsum("pij,pji->p", q, dc))
                each[k] = -(q @ dc @ q)[:, i, j].ravel()
            rates.append(each)
        if not slopes:
            return At(np.concatenate(values), log_det)
        return At(np.concatenate(values), log_det, np.concatenate(rates, axis=1), log_det_slopes)

    def times(self, t: Array, v: Array) -> Array:
        out = np.empty(v.shape)
        for stack, c in zip(self.stacks, self.covariances(t), strict=True):
            each = v[stack.members]
            if stack.shapes == 1:
                out[stack.members] = np.einsum("ij,gjk->gik", c[0], each, optimize=True)
                continue
            for at in _chunks(len(each), c.shape[1] ** 2):
                out[stack.members[at]] = c[stack.shape_of[at]] @ each[at]
        return out


def _chunks(groups: int, size: int) -> Iterable[slice]:
    step = max(1, 4_000_000 // size)
    return (slice(a, a + step) for a in range(0, groups, step))


def inverted(c: Array) -> tuple[Array, Array]:
    """Inverses of a stack (P, m, m) and log determinants. Raises NotPositiveDefinite."""
    try:
        factor = np.linalg.cholesky(c)
    except np.linalg.LinAlgError:
        raise NotPositiveDefinite("the covariance of a group is not positive definite") from None
    pivots = np.diagonal(factor, axis1=1, axis2=2)
    if not np.min(pivots**2 / np.diagonal(c, axis1=1, axis2=2)) > SMALLEST_PIVOT:
        raise NotPositiveDefinite("the covariance of a group is not positive definite")
    half = np.linalg.solve(factor, np.broadcast_to(np.eye(c.shape[1]), c.shape))
    return np.swapaxes(half, 1, 2) @ half, 2.0 * np.log(pivots).sum(axis=1)


# -- positions: us, cor, csh, toep, toeph, ar1h, ante1 ----------------------------------------------------


class AtPositions(Blocks):
    """Submatrices of one matrix over m positions, for groups that miss some."""

    structure: Positions

    def __init__(self, structure: Positions):
        by_size: dict[int, list[int]] = {}
        for k, pattern in enumerate(structure.patterns):
            by_size.setdefault(len(pattern.positions), []).append(k)
        stacks, self.positions = [], []
        for m, which in by_size.items():
            found = [structure.patterns[k] for k in which]
            members = np.concatenate([np.arange(p.start, p.stop).reshape(-1, m) for p in found])
            shape_of = np.repeat(np.arange(len(found)), [p.groups for p in found])
            levels = members if structure.order is None else structure.order[members]
            stacks.append(Stack(levels, shape_of, len(found)))
            self.positions.append(np.stack([p.positions for p in found]))
        super().__init__(structure, stacks)

    def _parts(self, v: Array) -> Iterable[Array]:
        return (v[..., at[:, :, None], at[:, None, :]] for at in self.positions)

    def covariances(self, t: Array) -> Iterable[Array]:
        return self._parts(self.structure.matrix(t))

    def matrices(self, t: Array, slopes: bool) -> Iterable[Matrices]:
        v = self.structure.matrix(t)
        dv = self.structure.matrix_slopes(t) if slopes else None
        for k, c in enumerate(self._parts(v)):
            at = self.positions[k]
            change = None if dv is None else dv[:, at[:, :, None], at[:, None, :]]
            yield Matrices(*inverted(c), change)

    def starts(self) -> list[Array]:
        family, m = self.structure.family, self.structure.m
        sd = np.zeros(self.structure.n_sd)
        out = []
        for rho in (_LIKELY, 0.05):
            out.append(np.append(sd, family.start(np.full((m, m), rho) + (1.0 - rho) * np.eye(m))))
        return out

    def starts_from(self, residual: Array) -> list[Array]:
        """The variances of the residuals beside weak correlations (part of what they have in common is the random effects'), and
        beside their own."""
        rows = self.sorted(residual)
        codes, n_sd = _codes(self.structure), self.structure.n_sd
        log_sd = log_rms(rows, codes, self.structure.m)
        own = self.structure.starts(rows * np.exp(-np.append(0.0, log_sd))[codes])[0]
        return [np.append(log_sd[:n_sd], t[n_sd:]) for t in (*self.starts(), own)]


def _codes(structure: Positions) -> Array:
    """The position of each row, in the structure's order."""
    code = np.empty(structure._n_rows, dtype=np.int64)
    for p in structure.patterns:
        code[p.start : p.stop] = np.tile(p.positions, p.groups)
    return code


class VariancePerPosition(OfStructure):
    """diag: a variance for each position, no correlation."""

    structure: Positions

    def __init__(self, structure: Positions):
        n = structure._n_rows
        super().__init__(structure, n)
        code = _codes(structure)
        self.counts = np.bincount(code, minlength=structure.m)
        own = np.arange(n)
        self.pattern(own, own, code, structure.m, structure.order)

    def distinct(self, t: Array, slopes: bool = False) -> At:
        sd = self.structure._sd(t)
        log_det = float(self.counts @ (2.0 * np.log(sd)))
        if not slopes:
            return At(sd**-2.0, log_det)
        rates = np.zeros((len(t), len(sd)))
        at = np.arange(len(t))
        rates[at, at + 1] = -2.0 * sd[1:] ** -2.0
        return At(sd**-2.0, log_det, rates, 2.0 * self.counts[1:].astype(np.float64))

    def times(self, t: Array, v: Array) -> Array:
        return v * self.diagonal(t)[:, None]

    def starts(self) -> list[Array]:
        return [np.zeros(self.n_coordinates)]

    def starts_from(self, residual: Array) -> list[Array]:
        return [log_rms(self.sorted(residual), _codes(self.structure), self.structure.m)]


# -- cs ---------------------------------------------------------------------------------------------------


class EquallyCorrelated(Blocks):
    """cs: the inverse in closed form from its two eigenvalues, 1 - rho within groups and 1 + (m - 1) rho for their means."""

    structure: Exchangeable

    def __init__(self, structure: Exchangeable):
        stacks = []
        for s, m in enumerate(structure.sizes):
            first = structure.starts_at[structure.size_of == s]
            members = first[:, None] + np.arange(m)
            levels = members if structure.order is None else structure.order[members]
            stacks.append(Stack(levels, np.zeros(len(first), dtype=np.int64), 1))
        super().__init__(structure, stacks)
        # A diagonal entry and one beside it for each size.
        classes = []
        for s, stack in enumerate(self.stacks):
            i, j = np.tril_indices(stack.members.shape[1])
            classes.append(np.tile(2 * s + (i != j), len(stack.members)))
        self.classes, self.n_classes = np.concatenate(classes), 2 * len(self.stacks)
        self.own_order = False

    def distinct(self, t: Array, slopes: bool = False) -> At:
        structure = self.structure
        m = structure.sizes.astype(np.float64)
        within, between, rate = structure._eigenvalues(t)
        log_det = structure._log_det(within, between)
        values = self._entries(1.0 / within, 1.0 / between)
        if not slopes:
            return At(values, log_det)
        rates = self._entries(rate / within**2, -(m - 1.0) * rate / between**2)
        slope = structure.groups_of_size @ (-(m - 1.0) / within + (m - 1.0) / between)
        return At(values, log_det, rates[None], np.array([rate * slope]))

    def _entries(self, w: float, b: Array) -> Array:
        m = self.structure.sizes.astype(np.float64)
        off = (b - w) / m
        return np.column_stack([w + off, off]).ravel()

    def matrices(self, t: Array, slopes: bool) -> Iterable[Matrices]:
        raise NotImplementedError  # `distinct` is in closed form

    def covariances(self, t: Array) -> Iterable[Array]:
        rho = float(self.structure.natural(t)[0])
        return (np.full((1, m, m), rho) + (1.0 - rho) * np.eye(m) for m in map(int, self.structure.sizes))

    def times(self, t: Array, v: Array) -> Array:
        structure = self.structure
        within, between, _ = structure._eigenvalues(t)
        rows = self.sorted(v)
        means = np.add.reduceat(rows, structure.starts_at) / structure.counts[:, None]
        out = within * (rows - means[structure.group_of])
        return self.unsorted(out + (means * between[structure.size_of][:, None])[structure.group_of])

    def starts(self) -> list[Array]:
        return [self.structure.coordinates(np.array([rho])) for rho in (_LIKELY, 0.05)]


# -- correlations over pairs: exp, gau, mat ... and their products; arma ------------------------------------


class OverPairs(Blocks):
    """Correlations by the lag of each pair of rows, a matrix for each shape of group (`residuals.distance`)."""

    structure: DenseProduct | DenseSeries

    def __init__(self, structure: DenseProduct | DenseSeries):
        stacks = []
        order = structure.pairs.order
        for batch in structure.pairs.batches:
            members = order[batch.rows].reshape(-1, batch.m)
            stacks.append(Stack(members, np.repeat(np.arange(batch.shapes), batch.groups), batch.shapes))
        super().__init__(structure, stacks)

    def _values(self, t: Array, slopes: bool) -> tuple[Array, Array | None, Array | None]:
        structure = self.structure
        if isinstance(structure, DenseSeries):
            return (*structure._values(t, slopes), None)
        return (*structure.product.at(t, structure.pairs.lags, slopes), structure._gaps(t))

    def matrices(self, t: Array, slopes: bool) -> Iterable[Matrices]:
        values, derivatives, gaps = self._values(t, slopes)
        for batch in self.structure.pairs.batches:
            factor = Factored(values[batch.place], None if gaps is None else gaps[batch.place], batch.m)
            white = factor.whiten(np.broadcast_to(np.eye(batch.m), (batch.shapes, batch.m, batch.m)))
            change = None if derivatives is None else _hollow(derivatives, batch)
            yield Matrices(np.swapaxes(white, 1, 2) @ white, factor.log_dets, change)

    def covariances(self, t: Array) -> Iterable[Array]:
        values, _, _ = self._values(t, False)
        for batch in self.structure.pairs.batches:
            yield _hollow(values[None], batch)[0] + np.eye(batch.m)

    def starts(self) -> list[Array]:
        structure = self.structure
        if isinstance(structure, DenseSeries):
            found = structure.signal.starts(_LIKELY)[:MAX_STARTS]
        else:
            found = likely_starts(structure.product)
        return [np.clip(t, self.lower, self.upper) for t in found]


def _hollow(values: Array, batch: Batch) -> Array:
    """(r, u) numbers of the distinct pairs -> (r, P, m, m) matrices with zeros on their diagonals."""
    out = np.zeros((len(values), batch.shapes, batch.m, batch.m))
    i, j = np.triu_indices(batch.m, 1)
    out[:, :, i, j] = values[:, batch.place]
    return out + np.swapaxes(out, 2, 3)


def likely_starts(product: Product) -> list[Array]:
    """t of a product at which neighbours are correlated about alike along every factor, and much along one and little along another."""
    few = ((0.55,), (0.85,), (0.2,))
    more = ((0.5, 0.5), (0.85, 0.4), (0.4, 0.85))
    k = len(product.kernels)
    out = []
    for targets in few if k == 1 else more:
        parts = []
        for f, kernel in enumerate(product.kernels):
            scan = kernel.starts(15)
            left = np.array([kernel.complement(t) for t in scan])
            parts.append(scan[int(np.argmin(np.abs((1.0 - left) - targets[min(f, len(targets) - 1)])))])
        out.append(np.concatenate([*parts, [0.3] if product.nugget else []]))
    return out


def blocks_of(structure: Structure) -> OfStructure:
    """The precision of a structure whose groups are dense."""
    if isinstance(structure, Positions):
        if isinstance(structure.family, Uncorrelated):
            return VariancePerPosition(structure)
        return AtPositions(structure)
    if isinstance(structure, Exchangeable):
        return EquallyCorrelated(structure)
    assert isinstance(structure, (DenseProduct, DenseSeries))
    return OverPairs(structure)
