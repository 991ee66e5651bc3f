"""`hd.check`: what can be estimated from a model and a table, before any fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve_triangular

from .. import design as designs
from .. import formula as formulas
from .. import frame as frames
from ..design.aliasing import describe
from ..design.cells import Layout
from ..design.columns import INTERCEPT
from ..design.combination import listed
from ..design.confounded import constant_effects, rows_by_level, why_confounded
from ..design.estimability import ColumnSpace
from ..frame import give_back
from ..linear.collinear import combinations, eigenvalues, near_dependencies
from ..linear.least_squares import least_squares
from ..linear.qr import orthonormal_basis
from ..linear.rows import DesignRows
from ..sparse.threads import one_blas_thread
from .arguments import refuse_relationships
from .check_residuals import residual_findings
from .residual_input import ResidualInput, read_residual_input

if TYPE_CHECKING:
    from ..design import Design
    from ..formula.terms import Formula
    from ..frame import Frame
    from .structured import StructuredInput

_ALONE = 1e-10
"""1 - leverage below which a row alone determines its own fitted value."""
_SUSPICIOUS = 1e-3
"""Residual of a response of variance 1 below which a row may be one of those."""
_FEW_LEVELS = 5
_LARGEST_TABLE = 2000
"""Columns of X up to which eigenvalues are worked out."""


@dataclass(frozen=True)
class Grouping:
    """One random term: its text, the levels of its grouping, its effects, and the rows of each level."""

    text: str
    group: str
    effects: tuple[str, ...]
    levels: int
    rows: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class Check:
    """What `hd.check` found. Printed, it says so in words.

    Attributes
    ----------
    formula : as the user wrote it.
    n_read, nobs : rows of the table, and rows used; `rows_note` says why the others are not.
    names : of the p columns of X; rank : how many can have a coefficient; dropped : those that have none.
    null_space : why, a sentence for each group of them.
    condition : condition number of X with columns of length 1, over the columns that are kept.
    levels : rows of each level, by factor of the fixed part.
    groupings : the random terms.
    problems : what cannot be estimated, with what to write instead.
    notes : what can be estimated but deserves a look.
    ok : whether there is no problem.
    """

    formula: str
    n_read: int
    nobs: int
    rows_note: str
    columns: ColumnSpace
    null_space: tuple[str, ...]
    levels: dict[str, dict[str, int]]
    groupings: tuple[Grouping, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    design: Design = field(repr=False)
    root: np.ndarray = field(repr=False)
    """R (rank, rank): R'R = X'X over the kept columns, rows weighted."""

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def names(self) -> tuple[str, ...]:
        return self.columns.names

    @property
    def rank(self) -> int:
        return self.columns.rank

    @property
    def dropped(self) -> tuple[str, ...]:
        return tuple(self.names[j] for j in self.columns.dropped)

    @cached_property
    def eigenvalues(self) -> np.ndarray:
        """Of X'X with columns scaled to length 1, (p,), largest first; as many are 0 as columns are dropped."""
        return eigenvalues(self.root, self.columns.aliases)

    @cached_property
    def condition(self) -> float:
        """Condition number of the kept columns of X, scaled to length 1; 1.0 where they are orthogonal."""
        values = eigenvalues(self.root, np.zeros((self.rank, 0)))
        return float(np.sqrt(values[0] / values[-1])) if len(values) else 1.0

    def estimable(self, L: Any) -> Any:
        """Whether combinations of the coefficients can be estimated, and why not: combination, estimable, reason. `L` as
        `fit.contrast` takes it: texts such as "x1 - 2*x2", an array (k, p), or {name: {column: weight}}. See
        `inference.hypothesis.estimable`.
        """
        from ..inference.hypothesis import estimable

        return give_back(estimable(self, L), self.design.library)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        from ..report.check_text import check_text

        return check_text(self)


def check(
    formula: str,
    data: Any,
    *,
    residual: str | None = None,
    variance: str | None = None,
    weights: Any = None,
    relationships: Mapping[str, Any] | None = None,
    contrasts: Mapping[str, Any] | None = None,
) -> Check:
    """What can be estimated from this model and this table, in words, before any fit.

    Parameters
    ----------
    formula, data, residual, variance, weights, relationships, contrasts : as `hd.lm`, `hd.gls` and `hd.lmm` take them.

    Returns
    -------
    Check. `print` it; `check.ok` and `check.problems` are for programs.

    Raises
    ------
    FormulaError, DataError, ModelError, NotAvailableError : those that a fit would raise for the formula and the table.

    References
    ----------
    Searle (1971) Linear Models, ch. 5; Belsley, Kuh & Welsch (1980) Regression Diagnostics, ch. 3.
    """
    parsed = formulas.parse(formula)
    structured = None
    if parsed.random and formulas.is_structured(parsed, residual, variance, relationships):
        structured = _structured(parsed, data, residual, variance, weights, relationships, contrasts)
        design, frame, given = structured.design, structured.frame, None
    else:
        design, frame, given = _rows_of(formula, data, residual, variance, weights, relationships, contrasts)
    plain = not design.blocks and residual is None and variance is None
    with one_blas_thread():
        space, root = _column_space(design, plain)
        null_space = tuple(describe(space, design))
        notes = [
            *_lonely_rows(design, space, root),
            *_near_dependencies(space, root),
            *_suspicious(design, frame),
        ]
        problems = [*null_space]
        groupings = _groupings(design)
        problems += _nothing_left(design, space, plain)
        if given is not None:
            refused, worth_a_look = residual_findings(given, space.rank)
            problems += refused
            notes += worth_a_look
        if structured is not None:
            if design.n > space.rank:
                from .check_structured import structured_findings

                refused, worth_a_look = structured_findings(structured)
                problems += refused
                notes += worth_a_look
        elif design.blocks and design.n > space.rank:
            problems += _variances(design)
            notes += _few(design)
    return Check(
        formula,
        design.n_read,
        design.n,
        design.dropped,
        space,
        null_space,
        _levels(design),
        groupings,
        tuple(problems),
        tuple(notes),
        design,
        root,
    )


def _structured(
    parsed: Formula,
    data: Any,
    residual: str | None,
    variance: str | None,
    weights: Any,
    relationships: Mapping[str, Any] | None,
    contrasts: Mapping[str, Any] | None,
) -> StructuredInput:
    from .structured import read_input

    return read_input(
        parsed,
        data,
        residual=residual,
        variance=variance,
        relationships=relationships,
        weights=weights,
        offset=None,
        contrasts=contrasts,
    )


def _groupings(design: Design) -> tuple[Grouping, ...]:
    if design.structured is None:
        return tuple(
            Grouping(b.text, b.group, tuple(b.effects), b.q, rows_by_level(b)) for b in design.blocks
        )
    out = []
    for term in design.structured:
        b = term.block
        entries = term.z.tocoo()
        # A row counts once for each level it belongs to, however many effects it has there.
        pairs = np.unique(np.column_stack([entries.row, entries.col // b.m])[entries.data != 0], axis=0)
        out.append(Grouping(b.text, b.group, tuple(b.effects), b.q, np.bincount(pairs[:, 1], minlength=b.q)))
    return tuple(out)


def _rows_of(
    formula: str,
    data: Any,
    residual: str | None,
    variance: str | None,
    weights: Any,
    relationships: Mapping[str, Any] | None,
    contrasts: Mapping[str, Any] | None,
) -> tuple[Design, Frame, ResidualInput | None]:
    parsed = formulas.parse(formula)
    refuse_relationships(relationships)
    if parsed.random or (residual is None and variance is None):
        formulas.require_available(parsed, residual, variance)
        frame = frames.read(data, designs.needed(parsed, weights), parsed.text)
        return designs.build(parsed, frame, weights=weights, contrasts=contrasts), frame, None
    formulas.require_available(parsed)
    given = read_residual_input(
        parsed, data, residual, variance, None, weights=weights, offset=None, contrasts=contrasts
    )
    return given.design, given.frame, given


def _column_space(design: Design, plain: bool) -> tuple[ColumnSpace, np.ndarray]:
    """The column space as the fit will see it: hd.lm has a finer tolerance than the others."""
    assert design.y is not None
    names = design.x_names
    if plain:
        found = least_squares(DesignRows(design.columns, design.y, design.weights))
        return ColumnSpace(names, found.kept, found.dropped, found.aliases), found.root
    x = design.X if design.weights is None else design.X * np.sqrt(design.weights)[:, None]
    basis = orthonormal_basis(x)
    sign = np.where(np.diagonal(basis.r) < 0, -1.0, 1.0)[:, None]
    aliases = combinations(basis.r, basis.q.T @ x[:, basis.dropped])
    return ColumnSpace(names, basis.kept, basis.dropped, aliases), basis.r * sign


# -- rows --------------------------------------------------------------------------------------------------


def _nothing_left(design: Design, space: ColumnSpace, plain: bool) -> list[str]:
    if design.n > space.rank:
        return []
    return [
        f"there are {design.n} rows and {space.rank} coefficients: no row is left to estimate "
        + ("the residual variance from: there are no standard errors." if plain else "a variance from.")
    ]


def _lonely_rows(design: Design, space: ColumnSpace, root: np.ndarray) -> list[str]:
    """Rows of leverage 1: each alone determines something."""
    if not space.rank or design.n <= space.rank:
        return []
    x = design.X[:, space.kept]
    if design.weights is not None:
        x = x * np.sqrt(design.weights)[:, None]
    # A row of leverage 1 is fitted exactly whatever the response: a random one leaves few to look at.
    noise = np.random.default_rng(0).normal(size=design.n)
    fitted = x @ solve_triangular(root, solve_triangular(root, x.T @ noise, trans="T"))
    candidates = np.flatnonzero(np.abs(noise - fitted) < _SUSPICIOUS)
    basis = solve_triangular(root, x[candidates].T, trans="T")
    found = 1.0 - np.einsum("ij,ij->j", basis, basis) < _ALONE
    alone, basis = candidates[found], basis[:, found]
    said = []
    for i, column in zip(alone[:5], basis.T, strict=False):
        moved = solve_triangular(root, column)
        size = np.abs(moved) * np.linalg.norm(root, axis=0)
        names = [space.names[space.kept[j]] for j in np.flatnonzero(size > 1e-8 * size.max())]
        what = names[0] if len(names) == 1 else f"a combination of {listed(names)}"
        row = int(i if design.rows is None else design.rows[i])
        only = _only_row(design, int(i))
        said.append(
            f"row {row} (the first row is 0){only} alone determines {what}: its residual is always 0."
        )
    if len(alone) > 5:
        said.append(f"{len(alone) - 5} more rows have leverage 1.")
    return said


def _only_row(design: Design, i: int) -> str:
    """ ", the only one with site S2 and variety G07,"; "" where its levels are not the reason."""
    layout = Layout(design)
    for term in range(len(layout.terms)):
        if layout.is_categorical(term):
            names = layout.terms[term]
            cells = layout.cells(names)
            if np.count_nonzero(cells == cells[i]) == 1:
                factors = [layout.categorical[name] for name in names]
                levels = [factor.level(int(factor.labels.codes[i])) for factor in factors]
                return f", the only one with {listed(levels)},"
    return ""


def _near_dependencies(space: ColumnSpace, root: np.ndarray) -> list[str]:
    if space.rank > _LARGEST_TABLE:
        return []
    said = []
    for index, columns in near_dependencies(root):
        names = [space.names[space.kept[j]] for j in columns]
        if len(names) == 2 and names[0] == INTERCEPT:
            said.append(
                f"{names[1]} varies little beside its size (condition index {index:.3g} with the intercept): take its mean"
                " off if the intercept should mean something."
            )
        else:
            said.append(
                f"{listed(names)} are nearly collinear (condition index {index:.3g}): their coefficients have large"
                " standard errors, and move together."
            )
    return said


# -- factors -----------------------------------------------------------------------------------------------


def _levels(design: Design) -> dict[str, dict[str, int]]:
    """Rows of each level of the factors of the fixed part."""
    out = {}
    for factor in Layout(design).categorical.values():
        count = np.bincount(factor.labels.codes, minlength=len(factor.labels.levels))
        out[factor.column] = {str(k): int(v) for k, v in zip(factor.labels.levels, count, strict=True)}
    return out


def _suspicious(design: Design, frame: Frame) -> list[str]:
    """Numbers that may be labels, and labels that may be numbers."""
    from ..design.values import is_number

    layout = Layout(design)
    said = []
    for name, factor in layout.categorical.items():
        levels = factor.labels.levels
        if name == factor.column and frame[name].text and len(levels) > 2 and all(map(is_number, levels)):
            said.append(
                f"{name} is text, but its {len(levels)} different values are numbers: it gets a coefficient for each. Make"
                " numbers of it if it should have one slope."
            )
    grouped = {name for block in design.blocks for name in block.factors}
    for name in {n for term in layout.terms for n in term}:
        if name in layout.categorical or name not in frame:
            continue
        values = np.unique(frame[name].values[~np.isnan(frame[name].values)])
        counts = len(values) >= 3 and np.array_equal(values, np.arange(1, len(values) + 1))
        if name in grouped or (counts and len(values) <= 50 and 2 * len(values) <= design.n):
            said.append(
                f"{name} is a number here, with one slope; its values are the {len(values)} whole numbers 1 to {len(values)}:"
                if counts
                else f"{name} is a number here, with one slope, and a grouping as well:"
            )
            said[-1] += f" write C({name}) if they are labels."
    return said


# -- random terms ------------------------------------------------------------------------------------------


def _variances(design: Design) -> list[str]:
    """What cannot be told apart among the variances, whatever the response."""
    from ..mixed.separable import null_directions
    from ..mixed.standardise import standardise

    # The design decides, not the response: any other one shows the same, and this one may fit exactly.
    noise = np.random.default_rng(0).normal(size=design.n)
    model = standardise(replace(design, y=noise, offset=None))
    said = []
    for direction in null_directions(model):
        effects = []
        for k in direction.terms:
            change = direction.changes[k]
            assert change is not None
            moved = np.abs(change).max(axis=0) > 1e-6 * np.abs(change).max()
            effects.append(tuple(e for e, m in zip(design.blocks[k].effects, moved, strict=True) if m))
        said.append(why_confounded(design, direction.terms, tuple(effects), direction.residual != 0.0))
    return list(dict.fromkeys(said))


def _few(design: Design) -> list[str]:
    said = []
    for block in design.blocks:
        if block.q < _FEW_LEVELS:
            said.append(
                f"{block.text} has {block.q} levels: a variance from so few is rough. Fixed effects may serve as well."
            )
        for effect in constant_effects(block):
            said.append(
                f"{effect} does not vary within any level of {block.group}: its variance in {block.text} rests only on how"
                " unequal the levels' deviations are. A slope needs a covariate that changes within a level."
            )
        if block.m > 1 and block.q * block.m >= design.n:
            said.append(
                f"{block.text} has {block.q * block.m} random effects for {design.n} rows: its covariances will be poorly"
                " known."
            )
    return said
