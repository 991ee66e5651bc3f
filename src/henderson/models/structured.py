"""`hd.lmm` of a model with covariance structures, relationships, a structured residual or several traits: from words to a fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import design as designs
from .. import formula as formulas
from .. import frame as frames
from ..design.record import Design
from ..design.relationships import read_relationships
from ..design.structured import StructuredTerm
from ..design.traits import require_free_names, stack
from ..errors import FormulaError, ModelError
from ..formula.residual import Residual, read_residual
from ..formula.terms import Formula, VarianceTerm
from ..frame import Frame
from ..inference.new_variances import Spoken
from ..mixed.structured.blocks import blocks_of
from ..mixed.structured.criterion import Problem, evaluate
from ..mixed.structured.equations import Equations
from ..mixed.structured.model import Model, RawTerm, standardise
from ..mixed.structured.optimise import Optimum, optimise
from ..mixed.structured.parameters import Control, layout
from ..mixed.structured.rotation import rotated
from ..mixed.structured.signs import signed
from ..mixed.structured.solution import Solution
from ..mixed.structured.start import REDUCED, at_random, default_start, starts
from ..mixed.verdict import Status
from ..precisions import of_term
from ..precisions.base import Precision
from ..precisions.known import SingularRelationship
from ..precisions.residual import Field, fields, of_residual, split_nugget
from ..precisions.residual_absolute import Absolute, absolute
from ..precisions.residual_base import RowPrecision
from ..precisions.singular import lift_of
from ..sparse.threads import one_blas_thread
from ..structures import make
from .bounds import keep_within
from .control import read_control, start_at
from .fading import awake, settle
from .labels import TermLabels, labels_of
from .parameter_names import Names
from .places import Places, places_of
from .structured_fit import StructuredFit
from .words import Words

_COSTLY, _COSTLY_REDUCED = 3e7, 2e9
"""Floating-point operations of a factorisation from which one start must do: factor-analytic terms, whose optima are many, are worth
more."""
_SURELY, _AT_RANDOM = 2, 8
"""Climbs from loadings at random: where they cost little, and most."""
_SAME = 1e-3
"""Two optima of criteria closer than this are one."""


@dataclass(frozen=True, eq=False)
class StructuredInput:
    """What the user said, read: the design, the terms and the residual.

    Attributes
    ----------
    terms : of the equations, those of a residual's correlated part behind those of the formula.
    labels : of the same terms.
    """

    design: Design
    frame: Frame
    terms: tuple[RawTerm, ...]
    labels: tuple[TermLabels, ...]
    residual: Precision | None
    notes: tuple[str, ...]
    spoken: Spoken
    places: tuple[Places, ...] = ()
    """Of the fields of a residual with a nugget, which are the last of `terms`."""
    dense: StructuredTerm | None = None
    """The only term where its levels have a dense K: `terms` has it without a precision, for `model_of` to choose how it enters."""


def model_of(given: StructuredInput) -> Model:
    """The model in standard coordinates; one dense K by its eigenvectors where the records allow it."""
    design = given.design
    y, scale = design.y, None
    assert y is not None
    if isinstance(given.residual, Absolute):
        scale = given.residual.scaled_rows(_least_squares_residual(design))

    def standard(terms: tuple[RawTerm, ...]) -> Model:
        return standardise(design.X, y, design.offset, design.weights, terms, given.residual, scale)

    model = standard(given.terms)
    if given.dense is None:
        return model
    relationship = given.dense.factors[0].relationship
    assert relationship is not None
    turned = rotated(model, relationship.covariance)
    if turned.rotation is not None:
        return turned
    return standard((_raw(given.dense),))


def _least_squares_residual(design: Design) -> np.ndarray:
    from ..linear.coordinates import basis_with_rows_left

    assert design.y is not None
    y = design.y if design.offset is None else design.y - design.offset
    q = basis_with_rows_left(design.X).q
    left: np.ndarray = y - q @ (q.T @ y)
    return left


def read_input(
    parsed: Formula,
    data: Any,
    *,
    residual: str | None,
    variance: str | None,
    relationships: Mapping[str, Any] | None,
    weights: Any,
    offset: Any,
    contrasts: Mapping[str, Any] | None,
) -> StructuredInput:
    """Table and words -> arrays.

    Raises
    ------
    FormulaError, DataError, ModelError : with the place in the text, the column, the id.
    """
    formulas.require_available(parsed, structured=True)
    spoken = None if residual is None else read_residual(residual)
    functions = () if variance is None else formulas.parse_variance(variance)
    known = read_relationships(relationships, parsed, _known_names(spoken))
    several = len(parsed.responses) > 1
    if several:
        require_free_names(data)
    frame = _read(
        data, designs.needed(parsed, weights, offset), parsed.text, spoken, functions, variance, several
    )
    if several:
        frame, parsed = stack(frame, parsed)
        weights, offset = frame.spread(weights), frame.spread(offset)
    names = {} if spoken is None else {n: s for n, s in spoken.names.items() if n in frame}
    for function in functions:
        names.update(dict(function.places))
    named = replace(parsed, names={**parsed.names, **names})
    design = designs.build(
        named,
        frame,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        relationships=known,
        structured=True,
    )
    assert design.structured is not None
    dense = _only_dense(design.structured, spoken)
    raw = [_without_precision(term) if dense is not None else _raw(term) for term in design.structured]
    labels = [
        TermLabels(t.block.group, tuple(t.block.effects), t.block.levels, t.block.structure, t.block.text)
        for t in design.structured
    ]
    places: list[Places] = []
    if spoken is not None and spoken.nugget:
        field, spoken = split_nugget(spoken)
        for each in fields(field, frame, design.rows, design.n):
            raw.append(_of_field(each, design.n))
            places.append(places_of(each, field, frame, design.rows, design.n))
            labels.append(_field_labels(each, places[-1]))
    also = {name: relationships[name] for name in _known_names(spoken)} if relationships else {}
    precision = of_residual(
        spoken, functions, frame, design.rows, design.n, relationships=_as_relationships(also)
    )
    notes = tuple(
        f"{what}: {text}"
        for what, text in (("residual", residual), ("variance", variance))
        if text is not None
    )
    notes += tuple(f"{name}: {_what(each)}" for name, each in {**known, **_as_relationships(also)}.items())
    if isinstance(precision, RowPrecision):
        precision = absolute(precision)
    said = Spoken(residual, variance, first_levels=_first_levels(functions, frame, design))
    return StructuredInput(
        design, frame, tuple(raw), tuple(labels), precision, notes, said, tuple(places), dense
    )


def _first_levels(functions: tuple[VarianceTerm, ...], frame: Frame, design: Design) -> dict[str, str]:
    """The level of each ident(...) whose standard deviation is 1."""
    from ..residuals.layout import product_codes

    return {
        term.text: str(product_codes(term.columns, frame, design.rows, design.n)[1][0])
        for term in functions
        if term.kind == "ident"
    }


def _only_dense(terms: tuple[StructuredTerm, ...], residual: Residual | None) -> StructuredTerm | None:
    if len(terms) != 1 or len(terms[0].factors) != 1 or (residual is not None and residual.nugget):
        return None
    relationship = terms[0].factors[0].relationship
    known = relationship is not None and relationship.covariance is not None
    return terms[0] if known and terms[0].factors[0].kind == "vm" else None


def _without_precision(term: StructuredTerm) -> RawTerm:
    block = term.block
    structure = make(block.structure, block.m, dict(term.options), term.coordinates)
    return RawTerm(term.z, block.q, structure, None, block.text, tuple(block.effects))


def _known_names(residual: Residual | None) -> tuple[str, ...]:
    from ..formula.residual import KNOWN

    if residual is None:
        return ()
    return tuple(
        str(factor.options["relationship"])
        for factor in residual.factors
        if factor.structure == KNOWN and "relationship" in factor.options
    )


def _as_relationships(given: Mapping[str, Any]) -> dict[str, Any]:
    from ..genetics.relationship import as_relationship

    return {name: as_relationship(value, name) for name, value in given.items()}


def _what(known: Any) -> str:
    """A relationship in a few words, numbers with commas."""
    return re.sub(r"\d{4,}", lambda found: f"{int(found[0]):,}", known.what)


def _read(data, needed, text, residual, functions, variance, several) -> Frame:
    made = {"trait", "units"} if several else {"units"}
    of_residual = {} if residual is None else {n: s for n, s in residual.names.items() if n not in made}
    of_variance = {n: s for function in functions for n, s in function.places if n not in made}
    needed = {n: s for n, s in needed.items() if not (several and n in made)}
    try:
        return frames.read(data, {**dict.fromkeys([*of_residual, *of_variance]), **needed}, text)
    except FormulaError:
        # The place of the name is in another text than the formula's.
        frames.read(data, needed, text)
        if residual is not None:
            frames.read(data, of_residual, residual.text)
        if variance is not None:
            frames.read(data, of_variance, variance)
        raise


def _raw(term: StructuredTerm) -> RawTerm:
    block = term.block
    structure = make(block.structure, block.m, dict(term.options), term.coordinates)
    lift = None
    z, q = term.z, block.q
    try:
        precision = of_term(term)
    except SingularRelationship:
        precision, lift = None, lift_of(term.factors)
        z, q = _through(term.z, lift, block.m), lift.shape[1]
    return RawTerm(z, q, structure, precision, block.text, tuple(block.effects), lift)


def _through(z: Any, lift: np.ndarray, m: int) -> Any:
    """z (lift (x) I_m)."""
    import scipy.sparse as sp

    sparse = sp.csr_matrix(lift)
    return sp.csr_matrix(z @ (sparse if m == 1 else sp.kron(sparse, sp.identity(m), format="csr")))


def _of_field(field: Field, n: int) -> RawTerm:
    import scipy.sparse as sp

    rows = np.flatnonzero(field.places >= 0)
    q = field.precision.n
    z = sp.csr_matrix((np.ones(len(rows)), (rows, field.places[rows])), shape=(n, q))
    return RawTerm(z, q, make("us", 1), field.precision, field.text, ("(Intercept)",))


def _field_labels(field: Field, places: Places) -> TermLabels:
    """A field in a section of at(env): has the names of a term of the formula in it."""
    before = "".join(f"at({name}, {label}):" for name, label in places.section)
    text = before + field.text.split("):", 1)[1] if before else field.text
    return TermLabels(before + field.group, ("(Intercept)",), places.levels, "us", text)


def fit_structured(
    formula: str,
    given: StructuredInput,
    reml: bool,
    words: Words | None = None,
    verbose: bool = False,
    begun: np.ndarray | None = None,
) -> StructuredFit:
    """Fit what was read.

    Parameters
    ----------
    words : what the user holds, starts from, ties and bounds.
    begun : phi of another fit of the same model, to start from.

    Raises
    ------
    ModelError : words that the model does not have; more parameters than rows.
    """
    words = words or Words()
    design = given.design
    with one_blas_thread():
        model = model_of(given)
    labels = labels_of(
        formula,
        design.response,
        design.x_names,
        model.coordinates.kept,
        model.coordinates.dropped,
        given.labels,
    )
    control = Control()
    control.log_s2 = known_scale(given.residual, model.coordinates.y_scale)
    blocks = blocks_of(model, [t.effects for t in labels.terms], control.log_s2)
    names = Names(blocks, labels)
    read = read_control(words, names, control)
    problem = Problem(model, Equations(model), layout(model, control), reml)
    require_rows(problem)
    first = None
    if begun is not None:
        first = [_again(problem, begun)]
    elif read.start is not None:
        first = [start_at(problem, blocks, read.start, names)]
    from ..report.progress import watch

    with watch(
        verbose, design.n, problem.system.description, model.coordinates.deviance_shift(reml)
    ) as on_step:
        may_fade = not read.limits
        found = climb(problem, on_step, first, may_fade)
        if begun is not None and not (found[0].converged or found[0].fading):
            found = climb(problem, on_step, None, may_fade)
        problem, found = settle(problem, control, found, lambda p, at: climb(p, on_step, at))
        if read.limits:
            problem, found = keep_within(
                problem, control, read.limits, found, lambda p, at: climb(p, on_step, at)
            )
    optimum, agreed, tried = signed(problem, found[0]), *found[1:]
    solution = Solution(problem, optimum.theta, optimum.average_information)
    fit = StructuredFit(
        labels,
        solution,
        lambda: status_of(fit, optimum, agreed, tried),
        design.library,
        design,
        None,
        given.frame,
    )
    fit.structure_notes = [*given.notes, *read.notes]
    fit.bounds = [(row.group, row.name, low, high) for row, low, high in read.boxes]
    fit.input = (given, words)
    fit.spoken, fit.places = given.spoken, given.places
    return fit


def refit(fit: StructuredFit, response: np.ndarray) -> StructuredFit:
    """The same model for another response (n,), one value a row of the fit: same design and controls, started from its estimates."""
    assert fit.input is not None
    given, words = fit.input
    # The residual's precision remembers the size of the response it was made for.
    given = replace(given, design=replace(given.design, y=response), residual=copy(given.residual))
    return fit_structured(
        fit.labels.formula,
        given,
        fit.solution.problem.reml,
        words,
        begun=awake(fit.solution.problem, fit.solution.point),
    )


def _again(problem: Problem, phi: np.ndarray) -> np.ndarray:
    theta = problem.layout.free_of(phi)
    if problem.layout.estimates_scale:
        return np.append(theta, default_start(problem)[-1])
    return theta


def climb(
    problem: Problem, on_step: Any, first: list[np.ndarray] | None = None, may_fade: bool = False
) -> tuple[Optimum, int, int]:
    """The best optimum from the starts (`first`, or the model's own), how many of them reached it, and how many there were."""
    with problem.system.lock, one_blas_thread():
        distinct: list[np.ndarray] = []
        for theta in first or starts(problem):
            # What is held leaves starts alike.
            if not any(np.array_equal(theta, other) for other in distinct):
                distinct.append(theta)
        values = [(evaluate(problem, theta), theta) for theta in distinct]
        ranked = sorted(((p.deviance, i) for i, (p, _) in enumerate(values) if p is not None))
        begun = [values[i][1] for _, i in ranked] or [values[0][1]]
        reduced = any(t.structure.name in REDUCED for t in problem.model.random)
        if problem.system.flops > (_COSTLY_REDUCED if reduced else _COSTLY):
            begun = begun[:1]
        found: list[Optimum] = []
        for theta in begun:
            lowest = min((o.deviance for o in found), default=np.inf)
            found.append(optimise(problem, theta, on_step=on_step, best=lowest, may_fade=may_fade))
        if reduced and len(begun) > 1:
            found += _until_most_agree(problem, begun[0], found, on_step, may_fade)
        best = min(found, key=lambda o: o.deviance)
        near = _near_best(found)
        best = next((o for o in near if o.converged), best)
        return best, len(near), len(found)


def _near_best(found: list[Optimum]) -> list[Optimum]:
    lowest = min(o.deviance for o in found)
    return [o for o in found if o.deviance < lowest + _SAME]


def _until_most_agree(
    problem: Problem, near: np.ndarray, found: list[Optimum], on_step: Any, may_fade: bool
) -> list[Optimum]:
    """Climbs from loadings at random: two where they cost little, and more for as long as no more than half of all have reached the
    best optimum. Of 60 simulated trials of ten environments with fa(1..3), our own starts alone, which are alike, missed the best of
    30 random ones in one; of 80 of five environments and 11 levels in four."""
    more: list[Optimum] = []
    surely = _SURELY if problem.system.flops <= _COSTLY else 0
    for seed in range(1, _AT_RANDOM + 1):
        so_far = [*found, *more]
        agreed = 2 * len(_near_best(so_far)) > len(so_far)
        if (agreed and seed > surely) or any(o.fading for o in so_far):
            break
        lowest = min(o.deviance for o in so_far)
        theta = at_random(problem, near, seed)
        if evaluate(problem, theta) is not None:
            more.append(optimise(problem, theta, on_step=on_step, best=lowest, may_fade=may_fade))
    return more


def known_scale(residual: Precision | None, y_scale: float) -> float | None:
    """log s2 in standard coordinates where the residual's structure has its scale in itself; None where it is estimated."""
    if isinstance(residual, Absolute):
        return 0.0
    if residual is not None and residual.holds_scale:
        return float(-2.0 * np.log(y_scale))
    return None


def require_rows(problem: Problem) -> None:
    """Refuse more parameters than degrees of freedom."""
    left = problem.model.n - problem.system.p
    count = problem.layout.n_free + (problem.layout.log_s2 is None)
    if count > 1 and count >= left:
        raise ModelError(
            f"{problem.model.n} rows and {problem.system.p} fixed coefficients leave {left} degrees of freedom, which cannot carry "
            f"{count} parameters of covariances: take structures with fewer."
        )


def status_of(fit: StructuredFit, optimum: Optimum, agreed: int, tried: int) -> Status:
    """The verdict in words."""
    solution, labels = fit.solution, fit.labels
    notes = []
    for k, term in enumerate(labels.terms):
        structure = solution.terms[k].structure
        at = next((p.at for p in solution.problem.layout.parts if (p.kind, p.term) == ("T", k)), None)
        if at is not None:
            rows = [row for row in fit._reported if (row.kind, row.term) == ("T", k)]
            for i, said in structure.edges(solution.point.phi[at]):
                if rows[i].bound != "F":
                    notes.append(f"{rows[i].name} in {term.text} is {said}, on the boundary")
        notes += _precision_notes(fit, k, term.text)
    notes += _precision_notes(fit, -1, "the residual")
    layout = solution.problem.layout
    if layout.log_s2 is not None and layout.scale_as == "B" and not fit.bounds:
        notes.append(
            "the residual variance is estimated as 0 (less than a millionth of the response's variance), on the boundary"
        )
    notes += _bound_notes(fit)
    edges = bool(notes)
    notes += _identifiability(fit)
    verdict = "not converged" if not optimum.converged else "boundary" if edges else "converged"
    if tried > 1:
        notes.append(f"{agreed} of {tried} starts reached this optimum, and none a better one")
    return Status(verdict, optimum.predicted_decrease, optimum.iterations, tuple(dict.fromkeys(notes)))


def _bound_notes(fit: StructuredFit) -> list[str]:
    """Parameters at bounds of the user's."""
    out = []
    for group, name, low, high in fit.bounds:
        row = next(row for row in fit._components if (row.group, row.term) == (group, name))
        for end in (low, high):
            if row.bound == "B" and np.isclose(row.value, end, rtol=1e-6, atol=1e-9):
                what = name if group == name else f"{name} of {group}"
                out.append(f"{what} is at its bound {end:g} (bounds=)")
    return out


def _identifiability(fit: StructuredFit) -> list[str]:
    """In words, the components that this design cannot separate."""
    out = []
    flat = fit.solution.information.flat
    for direction in flat:
        changes = [float(direction @ row.slope) for row in fit._components]
        largest = max(map(abs, changes), default=0.0)
        size = max((abs(row.value) for row in fit._components), default=0.0)
        if largest * _own_size(fit.solution.theta, direction) < 1e-6 * size:
            # The parametrisation of a covariance of deficient rank moves, and nothing else.
            continue
        named = [
            f"{row.term} of {row.group}" if row.group != row.term else row.group
            for row, change in zip(fit._components, changes, strict=True)
            # What is left of a difference of large numbers is rounding.
            if abs(change) > max(1e-3 * largest, 1e-5 * float(np.abs(direction) @ np.abs(row.slope)))
        ]
        out.append(
            f"not identifiable: the criterion does not change along a combination of {', '.join(named)}: these "
            "data cannot tell them apart; hold one of them (fixed_parameters=) or leave a term out"
        )
    return out


def _own_size(theta: np.ndarray, direction: np.ndarray) -> float:
    """How far along a direction some parameter has moved by its own size."""
    moved = np.abs(direction[: len(theta)])
    there = moved > 0
    return float(np.min(np.maximum(np.abs(theta[: len(moved)])[there], 1.0) / moved[there], initial=1e6))


def _precision_notes(fit: StructuredFit, k: int, text: str) -> list[str]:
    solution = fit.solution
    precision = solution.terms[k].precision if k >= 0 else solution.problem.model.residual
    if precision is None:
        return []
    kind = "K" if k >= 0 else "R"
    at = next((p.at for p in solution.problem.layout.parts if (p.kind, p.term) == (kind, k)), None)
    if at is None:
        return []
    rows = [row for row in fit._reported if (row.kind, row.term) == (kind, k)]
    edges = precision.edges(solution.point.phi[at])
    out = [
        f"{precision.parameters[i].name} of {text} is {said}{'' if 'boundary' in said else ', on the boundary'}"
        if said.startswith("estimated")
        else said
        for i, said in edges
        if rows[i].bound != "F"
    ]
    if k < 0:
        out += _at_the_end(fit, rows, {i for i, _ in edges}, text)
    return out


def _at_the_end(fit: StructuredFit, rows: list[Any], told: set[int], text: str) -> list[str]:
    """Parameters of the residual at an end of what is searched that is no limit of theirs."""
    bounded = {(group, name) for group, name, _, _ in fit.bounds}
    return [
        f"{row.name} of {text} is estimated as {row.value:.4g}, the end of what is searched, and the criterion would be lower beyond"
        for i, row in enumerate(rows)
        if row.bound == "B" and i not in told and ("Residual", row.name) not in bounded and not told
    ]
