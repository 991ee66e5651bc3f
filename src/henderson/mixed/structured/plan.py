"""What a fit is going to do, before it runs: which solver, the sizes of the equations and of their factor, operations, memory, and what
is made again at each iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...memory import machine_memory
from ...sparse.parallel import thread_count

if TYPE_CHECKING:
    from ..solver import System
    from .equations import Equations
    from .model import Model

_WORD = 8
_ENTRY = 12
"""Bytes of an entry of a sparse matrix: a number and a column."""


@dataclass(frozen=True)
class Plan:
    """Sizes of a fit. Printed, it says so in words.

    Attributes
    ----------
    formula : as the user wrote it.
    solver : in words.
    rows : of the data that are used; parameters : of covariances, estimated, the residual variance counted.
    fixed, random : equations of X and of the random effects (columns of T, rows of a grid without data among them).
    entries : of the lower triangle of the equations; factor : numbers kept of its Cholesky factor.
    flops : floating-point operations of one factorisation; a selected inverse takes about twice as many.
    memory : bytes, about; available : of this machine.
    threads : at most.
    once : what is made once; each : what is made again at each iteration.
    """

    formula: str
    solver: str
    rows: int
    parameters: int
    fixed: int
    random: int
    entries: int
    factor: int
    flops: float
    memory: float
    available: float
    threads: int
    once: tuple[str, ...]
    each: tuple[str, ...]

    @property
    def equations(self) -> int:
        """fixed + random."""
        return self.fixed + self.random

    @property
    def fill(self) -> float:
        """Numbers in the factor for each entry of the equations."""
        return self.factor / max(self.entries, 1)

    @property
    def fits(self) -> bool:
        """Whether this machine's memory is enough."""
        return self.memory <= self.available

    def __str__(self) -> str:
        lines = [
            f"plan of {self.formula}",
            "",
            f"solver      {self.solver}",
            f"equations   {self.equations:,}: {self.random:,} random, {self.fixed:,} fixed; {self.rows:,} rows of data",
            f"parameters  {self.parameters:,} of covariances",
            f"entries     {self.entries:,} of the equations, {self.factor:,} in the factor (fill-in {self.fill:.1f} times)",
            f"work        {_count(self.flops)} floating-point operations a factorisation, {_threads(self.threads)}",
            f"memory      about {_bytes(self.memory)}; this machine has {_bytes(self.available)}"
            + ("" if self.fits else ": TOO LITTLE, the fit will be refused"),
        ]
        for title, items in (("once", self.once), ("each step", self.each)):
            for k, item in enumerate(items):
                lines.append(f"{title if k == 0 else '':<12}{item}")
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return str(self)


def _count(value: float) -> str:
    return f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"up to {count} threads"


def _bytes(value: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e3:.3g} kB"


def plan_of_structured(formula: str, model: Model, system: Equations, parameters: int) -> Plan:
    """Of the equations of structures."""
    residual, symbolic = model.residual, system.symbolic
    memory = 2.0 * _WORD * symbolic.stored + _ENTRY * system.z.nnz
    memory += _ENTRY * system.weighted.kept
    once, each = [], []
    if residual is None:
        once.append("cross-products of Z, X and y: no step touches the rows of the data again")
    elif not residual.n_coordinates:
        once.append("cross-products of Z, X and y, weighted by the known R^-1")
    else:
        each.append(
            f"R^-1 ({residual.name}, {len(residual.rows):,} entries) and with it Z'R^-1Z, in time of the rows"
        )
    for term in model.random:
        precision = term.precision
        if precision is None:
            continue
        entries = len(precision.rows)
        memory += _WORD * entries * (2 + precision.n_coordinates)
        dense = entries == precision.n * (precision.n + 1) // 2 and precision.n > 3
        size = (
            f"dense, of order {precision.n:,}"
            if dense
            else f"sparse, {entries:,} entries, order {precision.n:,}"
        )
        if precision.n_coordinates:
            each.append(f"K^-1 of {precision.name} ({size}) and its derivatives")
        else:
            once.append(f"K^-1 of {precision.name} ({size})")
    if model.rotation is not None:
        levels, records = model.rotation.rows.shape
        once.append(
            f"the eigenvectors of K among {levels:,} levels, each with {records} records, and rows turned by them"
        )
    lifts = [t.lift.shape[1] for t in model.random if t.lift is not None and model.rotation is None]
    once += [f"the root of a singular K, of rank {rank:,}" for rank in lifts]
    memory += sum(_WORD * t.lift.size for t in model.random if t.lift is not None)
    each.append("one factorisation, and one selected inverse for the exact gradient")
    return Plan(
        formula,
        _solver(model, system),
        model.n,
        parameters,
        system.p,
        system.q,
        _entries(system),
        symbolic.stored,
        system.flops,
        memory,
        float(machine_memory()),
        thread_count(),
        tuple(once),
        tuple(each),
    )


def _solver(model: Model, system: Equations) -> str:
    dense = system.symbolic.method == "dense"
    if model.rotation is not None:
        return "eigenvectors of K: levels become independent, " + (
            "one dense front" if dense else "sparse Cholesky"
        )
    if dense:
        return "one dense front (the equations are small, or nearly full)"
    return "supernodal sparse Cholesky, minimum degree"


def _entries(system: Equations) -> int:
    """Entries of the lower triangle of C."""
    from .kept import places_of

    return len(np.unique(np.concatenate([at for at, _, _ in places_of(system)])))


def plan_of_mixed(formula: str, system: System, n: int, parameters: int) -> Plan:
    """Of the equations of independent levels (`mixed.dense`, `mixed.bordered`)."""
    products = system.products  # type: ignore[attr-defined]
    own = sum(q * m * (m + 1) // 2 for q, m in products.sizes)
    pairs = sum(pair.blocks.size for pair in products.pairs)
    border = products.q * products.p + products.p * (products.p + 1) // 2
    symbolic = getattr(system, "symbolic", None)
    if symbolic is None:
        order = products.q + products.p + 1
        factor, solver = order * (order + 1) // 2, "one dense matrix, by LAPACK"
        memory = 4.0 * _WORD * order**2
    else:
        lead = int(np.argmax([q * m for q, m in products.sizes]))
        q, m = products.sizes[lead]
        links = sum(pair.blocks.size for pair in products.pairs if lead in (pair.k, pair.l))
        factor = symbolic.stored + q * m * (m + 1) // 2 + links + q * m * (products.p + 1)
        rest = "dense" if symbolic.method == "dense" else "sparse supernodal"
        solver = (
            f"{q:,} levels of {m} eliminated one by one, then a {rest} Cholesky of {symbolic.n:,} equations"
        )
        memory = 2.0 * _WORD * factor + _WORD * (own + pairs + border)
    return Plan(
        formula,
        solver,
        n,
        parameters,
        products.p,
        products.q,
        own + pairs + border,
        factor,
        float(system.flops),
        memory,
        float(machine_memory()),
        thread_count(),
        ("cross-products of Z, X and y: no step touches the rows of the data again",),
        ("one factorisation, and one selected inverse for the exact gradient",),
    )


def require_memory(equations: int, stored: int) -> None:
    """Refuse equations whose factor and inverse cannot both be held, before the machine starts to swap.

    Raises
    ------
    ModelError.
    """
    from ...errors import ModelError

    memory, needed = machine_memory(), 2 * _WORD * stored
    if needed > memory:
        raise ModelError(
            f"The {equations:,} mixed-model equations fill {_bytes(needed)} as factor and inverse; this machine has "
            f"{_bytes(memory)}. hd.plan says what they are made of. Fewer levels or effects, a sparse relationship (a pedigree) in "
            "place of a dense one, or rr in place of us make them smaller."
        )
