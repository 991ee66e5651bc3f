"""A solution without its rows: what is kept of a structured fit, and the same answers from it.

What a `Solution` works out from the rows is put where it would be found (`once`), and the mixed-model equations at the estimates, C
without y, stand for the factor: they give the variance of any combination of fixed and random effects. What would need the rows
(another response, other parameters) is refused in words.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import sparse
from ...errors import DataError, ModelError
from ...linear.coordinates import Coordinates
from ...precisions.base import At, Parameter, Precision
from ...sparse.parallel import thread_count
from ...structures.base import Structure
from ..system import Pivots
from .criterion import Point, Problem
from .equations import Equations, Values
from .information import Information
from .model import Model, Term
from .natural import Reported
from .parameters import Image, Layout
from .pattern import Pattern
from .solution import Solution

LARGEST = 20_000_000
"""Entries of C, or of a lift, up to which they are kept."""


@dataclass(frozen=True, eq=False)
class Entries:
    """C (q + p, q + p) by its entries, one of each pair of triangles."""

    rows: np.ndarray
    cols: np.ndarray
    values: np.ndarray


def entries(solution: Solution) -> Entries | None:
    """C at the estimates in the coordinates of the system; None where it is too large to keep."""
    system = solution.problem.system
    if isinstance(system, KeptEquations):
        return system.entries
    with system.lock:
        places, rows, cols = [], [], []
        for at, r, c in places_of(system):
            places.append(at)
            rows.append(r)
            cols.append(c)
        at, first = np.unique(np.concatenate(places), return_index=True)
        if len(at) > LARGEST:
            return None
        point = solution.factorised()
        system.assemble(point.image.values)
        values = system._panels[at].copy()
    index = np.int32 if system.q + system.p < 2**31 else np.int64
    return Entries(
        np.concatenate(rows)[first].astype(index), np.concatenate(cols)[first].astype(index), values
    )


def places_of(system: Equations) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Places in the panels, rows and columns of the entries of C, some more than once."""
    pattern, terms, offsets = system._pattern, system.terms, system.offsets
    for block in pattern.blocks:
        pairs = block.pairs
        row = (
            offsets[pairs.k]
            + pairs.rows[:, None, None] * terms[pairs.k].r
            + np.arange(terms[pairs.k].r)[:, None]
        )
        col = offsets[pairs.l] + pairs.cols[:, None, None] * terms[pairs.l].r + np.arange(terms[pairs.l].r)
        row, col = np.broadcast_arrays(row, col)
        yield block.places, row.ravel()[block.present], col.ravel()[block.present]
    for k, places in enumerate(pattern.priors):
        if places is None:
            continue
        term = terms[k]
        level = np.arange(term.q)
        found = (level, level) if term.precision is None else (term.precision.rows, term.precision.cols)
        row, col = ((offsets[k] + at[:, None] * term.r + np.arange(term.r)).ravel() for at in found)
        yield places, row, col
    for k, own in enumerate(pattern.within):
        level, a, b = np.nonzero(own >= 0)
        first = offsets[k] + level * terms[k].r
        yield own[level, a, b], first + a, first + b
    for k, border in enumerate(pattern.borders):
        lo, hi = offsets[k], offsets[k + 1]
        wide = border.reshape(hi - lo, -1)[:, : system.p]
        row = np.broadcast_to(system.q + np.arange(system.p), wide.shape)
        col = np.broadcast_to(np.arange(lo, hi)[:, None], wide.shape)
        yield wide.ravel(), row.ravel(), col.ravel()
    row, col = system._corner_index
    inside = row < system.p
    yield pattern.corner[inside], system.q + row[inside], system.q + col[inside]


# -- a system of them --------------------------------------------------------------------------------------


class KeptEquations(Equations):
    """The equations at one point, factorised when they are first asked for.

    Parameters
    ----------
    sizes : (q, r) of each term, those without a prior too; p : columns of X.
    found : None where C was not kept: then nothing that needs it can be answered, and `refused` says so.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        p: int,
        found: Entries | None,
        dense: bool,
        refused: Callable[[], Exception],
    ):
        self.lock = threading.RLock()
        self.p, self._border, self._threads = p, p + 1, thread_count()
        self.sizes, self.entries, self.dense, self.refused = list(sizes), found, dense, refused
        self.offsets = np.concatenate([[0], np.cumsum([q * r for q, r in sizes])]).astype(np.int64)
        self.q = int(self.offsets[-1])
        self._inverse, self._inverted = None, None
        self._ready = False

    @property
    def flops(self) -> float:
        return 0.0

    @property
    def description(self) -> str:
        return f"{self.q + self.p} equations"

    def ready(self) -> None:
        """Factorise C, once.

        Raises
        ------
        ModelError : it was not kept. DataError : it is not positive definite, as a damaged file's.
        """
        if self._ready:
            return
        if self.entries is None:
            raise ModelError(
                f"this fit was saved without its {self.q + self.p} mixed-model equations, which have too many entries: standard errors "
                "of single effects are there (random_effects, and predictions with random_effects=False), those of predictions with "
                "random effects need the fit that was saved, or a new one."
            )
        rows, cols = self.entries.rows.astype(np.int64), self.entries.cols.astype(np.int64)
        n = self.q + self._border
        tail = np.arange(self.q, n)
        none = np.zeros(0, dtype=np.int64)
        if self.dense:
            self.symbolic = sparse.analyze(n, none, none, tail=self._border, method="dense")
        else:
            all_rows = np.concatenate([rows, np.tile(tail, n)])
            all_cols = np.concatenate([cols, np.repeat(np.arange(n), self._border)])
            self.symbolic = sparse.analyze(n, all_rows, all_cols, tail=self._border, method="amd")
        self._panels = np.zeros(self.symbolic.stored)
        self._panels[self.symbolic.positions(rows, cols)] = self.entries.values
        self._panels[self.symbolic.positions(tail[-1:], tail[-1:])] = 1.0
        within = tuple(self._places_within(k, rows, cols) for k in range(len(self.sizes)))
        self._pattern = Pattern(self.symbolic, (), (), within, (), none)
        if sparse.factor(self.symbolic, self._panels, threads=self._threads) >= 0:
            raise DataError("the saved fit is damaged: its equations are not positive definite.")
        self._ready = True

    def _places_within(self, k: int, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """As `Pattern.within`."""
        (q, r), lo, hi = self.sizes[k], self.offsets[k], self.offsets[k + 1]
        mine = (rows >= lo) & (rows < hi) & (cols >= lo) & (cols < hi)
        level, a = np.divmod(rows[mine] - lo, r)
        other, b = np.divmod(cols[mine] - lo, r)
        same = level == other
        coupled = np.eye(r, dtype=bool)
        coupled[a[same], b[same]] = coupled[b[same], a[same]] = True
        out = np.full((q, r, r), -1, dtype=np.int64)
        first = lo + np.arange(q) * r
        for i, j in zip(*np.nonzero(coupled), strict=True):
            out[:, i, j] = self.symbolic.positions(first + i, first + j)
        return out

    def factorise(self, values: Values) -> Pivots | None:
        raise self.refused()

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        self.ready()
        return super().solve(vectors)

    def half_solve(self, vectors: np.ndarray) -> np.ndarray:
        self.ready()
        return super().half_solve(vectors)

    def coupled(self, k: int) -> np.ndarray:
        self.ready()
        return super().coupled(k)

    def back_solve(self, vectors: np.ndarray) -> np.ndarray:
        self.ready()
        return super().back_solve(vectors)

    def invert(self, reml: bool) -> None:
        self.ready()
        super().invert(reml)


class KeptPrecision(Precision):
    """The names of a precision's parameters; everything else needs the data."""

    def __init__(
        self,
        name: str,
        n: int,
        parameters: Sequence[Parameter],
        has_variances: bool,
        refused: Callable[[], Exception],
    ):
        self.name, self.n, self.parameters, self.has_variances = name, n, tuple(parameters), has_variances
        self.lower = self.upper = np.zeros(0)
        self.rows = self.cols = np.zeros(0, dtype=np.int64)
        self.refused = refused

    def at(self, t: np.ndarray, slopes: bool = False) -> At:
        raise self.refused()

    def times(self, t: np.ndarray, v: np.ndarray) -> np.ndarray:
        raise self.refused()

    def diagonal(self, t: np.ndarray) -> np.ndarray:
        raise self.refused()


# -- a solution of them ------------------------------------------------------------------------------------


@dataclass
class KeptSolution(Solution):
    """A `Solution` at its estimates and nowhere else.

    reported : the rows of `variance_components`; recorded : levels with records of each term.
    """

    reported: tuple[Reported, ...] = ()
    recorded: tuple[int, ...] = ()

    def factorised(self) -> Point:
        """The point; the equations are factorised when they are asked for."""
        return self.point


@dataclass(frozen=True, eq=False)
class KeptTerm:
    """What is kept of a random term: see `model.Term`."""

    q: int
    structure: Structure
    precision: Precision | None
    back: np.ndarray
    lift: np.ndarray | None
    alone: np.ndarray | None
    between: np.ndarray | None
    levels: int
    """Of the user."""


def kept_solution(
    *,
    terms: Sequence[KeptTerm],
    absent: int,
    residual: Precision | None,
    coordinates: Coordinates,
    layout: Layout,
    reml: bool,
    theta: np.ndarray,
    phi: np.ndarray,
    s2: float,
    deviance: float,
    equations: Entries | None,
    dense: bool,
    refused: Callable[[], Exception],
    found: dict[str, Any],
    information: Information,
    reported: Sequence[Reported],
    recorded: Sequence[int],
) -> KeptSolution:
    """The solution again.

    Parameters
    ----------
    absent : rows of a grid without data, integrated out as effects of no term.
    found : what the solution had worked out, by the names of `Solution`.
    """
    import scipy.sparse as sp

    made = tuple(
        Term(
            sp.csr_matrix((0, t.q * t.structure.m)),
            t.q,
            t.structure,
            t.precision,
            t.back,
            t.lift,
            t.alone,
            between=t.between,
        )
        for t in terms
    )
    p = coordinates.rank
    sizes = [(t.q, t.r) for t in made] + ([(absent, 1)] if absent else [])
    system = KeptEquations(sizes, p, equations, dense, refused)
    model = Model(np.zeros((0, p)), np.zeros(0), made, residual, coordinates, None, None, coordinates.n)
    solution = KeptSolution(
        Problem(model, system, layout, reml), theta, None, tuple(reported), tuple(recorded)
    )
    where = {(part.kind, part.term): part.at for part in layout.parts}
    factors = [
        np.asarray(t.structure.factor(phi[where.get(("T", k), slice(0, 0))])) for k, t in enumerate(made)
    ]
    image = Image(Values(factors, [None] * len(made), None), np.nan, {}, np.zeros(len(phi)))
    point = Point(theta, phi, image, np.nan, s2, deviance)
    solution.__dict__.update(found, point=point, information=information)
    return solution


def dense_system(system: Any) -> bool:
    """Whether the equations are one dense front."""
    return bool(system.dense) if isinstance(system, KeptEquations) else system.symbolic.method == "dense"


def absent_rows(model: Model, system: Any) -> int:
    """Equations of rows without data."""
    if isinstance(system, KeptEquations):
        return int(sum(q for q, _ in system.sizes[len(model.terms) :]))
    return int(sum(t.q for t in model.terms if not t.prior))
