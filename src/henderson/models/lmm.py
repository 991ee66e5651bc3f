"""`hd.lmm`: a linear mixed model from a formula and a table. The walk from text to fit, room by room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .. import design as designs
from .. import formula as formulas
from .. import frame as frames
from ..design.record import Design
from ..errors import ModelError
from ..mixed.criterion import Problem
from ..mixed.crossproducts import CrossProducts, cross_products
from ..mixed.dense import DenseSystem
from ..mixed.optimise import Optimum, optimise, restart
from ..mixed.refit import with_response, worth_compiling
from ..mixed.solution import Solution
from ..mixed.solver import build_system
from ..mixed.standardise import Standardised, standardise
from ..mixed.start import default_start, held_factor, user_start
from ..mixed.verdict import Status, boundary_notes
from ..sparse.threads import one_blas_thread
from .arguments import require_reml
from .covariance_input import RESIDUAL, read_covariances
from .labels import Labels, TermLabels, labels_of
from .mixed_fit import MixedFit
from .words import Words

_MANY_EFFECTS = 6
"""Effects of an unstructured term from which the engine of structures finds its way better, among covariances of deficient rank."""


def lmm(
    formula: str,
    data: Any,
    *,
    residual: str | None = None,
    variance: str | None = None,
    relationships: Mapping[str, Any] | None = None,
    reml: bool = True,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    fixed_parameters: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    tied: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
    verbose: bool = False,
) -> MixedFit:
    """Fit a linear mixed model by REML or ML.

    Parameters
    ----------
    formula : `response ~ fixed terms + (effects | group)`; docs/grammar.md has the grammar.
    data : any DataFrame (pandas, polars, pyarrow ...), a dict of arrays, or the path of a CSV or Parquet file.
    reml : restricted likelihood (True) or likelihood (False).
    weights : precision weights, Var(e_i) = sigma^2 / w_i: an array or the name of a column. Positive.
    offset : added to the linear predictor with coefficient 1: an array or the name of a column.
    contrasts : coding of fixed factors by column name, for example {"Machine": "sum"}.
    fixed_parameters : what is held, by the names and on the scale of `variance_components`: a term's variance, list of variances
        or covariance matrix, {"Subject": [[600, 10], [10, 35]], "Residual": 650}; parameters of a structure by name,
        {"subject": {"rho": 0.3}} or {"ar1(row):ar1(col): ar1(row)": 0.5}. Where terms share a group, the term's text
        names it: {"(0 + x | g)": 2.0}. A table like `variance_components` holds all of it.
    start : where to start from, in the same form.
    tied : parameters equal to others or multiples of them, {"sire: (Intercept)": (0.25, "vm(animal, A): (Intercept)")}; two terms of
        one structure by their groups alone: the covariance of one is then that of the other.
    bounds : (low, high) of parameters, None where free: {"ar1(row): ar1(row)": (0, 0.95), "Residual": (0.1, None)}.
    verbose : print one line for each iteration.
    residual : covariance of the residuals, "ar1(0 + time | subject)", "(1 | ar1(row):ar1(col)) + (1 | units)", "diag(0 + env | units)".
    variance : variance functions of the residuals, "ident(sex)", "power(x)".
    relationships : what vm(animal, A) and car(place, W) name: {"A": a pedigree, a matrix with ids, markers, a file, or neighbours}.

    Raises
    ------
    FormulaError, DataError, ModelError : what is wrong with the formula, the table, or the model for these data.
    NotAvailableError : part of the grammar that this version does not fit.

    References
    ----------
    Patterson & Thompson (1971); Gilmour, Thompson & Cullis (1995); Bates et al. (2015).
    """
    parsed = formulas.parse(formula)
    reml = require_reml(reml)
    words = Words(fixed_parameters, start, tied, bounds)

    def with_structures() -> MixedFit:
        from .structured import fit_structured, read_input

        given = read_input(
            parsed,
            data,
            residual=residual,
            variance=variance,
            relationships=relationships,
            weights=weights,
            offset=offset,
            contrasts=contrasts,
        )
        return fit_structured(formula, given, reml, words, verbose)

    if formulas.is_structured(parsed, residual, variance, relationships) or words.name_parameters:
        return with_structures()
    formulas.require_available(parsed)
    frame = frames.read(data, designs.needed(parsed, weights, offset), parsed.text)
    design = designs.build(parsed, frame, weights=weights, offset=offset, contrasts=contrasts)
    if not design.blocks:
        raise ModelError(
            f"'{formula}' has no random term: nothing to estimate a variance for but the residual. "
            "Add one, such as (1 | group); models without one are not available yet in this version."
        )
    _require_separable(design, fixed_parameters)
    if any(b.structure == "us" and len(b.effects) > _MANY_EFFECTS for b in design.blocks):
        return with_structures()
    with one_blas_thread():
        model = standardise(design)
        products = cross_products(model)
    kept, dropped = model.coordinates.kept, model.coordinates.dropped
    labels = labels_of(formula, design.response, design.x_names, kept, dropped, _terms(design))
    problem, theta = _problem(model, products, labels, reml, fixed_parameters, start)
    from ..report.progress import watch

    with watch(
        verbose, products.n, problem.system.description, model.coordinates.deviance_shift(reml)
    ) as on_step:
        optimum = optimise(
            problem, theta, on_step=on_step, compiled=not isinstance(problem.system, DenseSystem)
        )
    return _fit(labels, problem, products, model.coordinates, optimum, design, model, frame)


def refit(fit: MixedFit, response: np.ndarray) -> MixedFit:
    """The same model for another response (n,), one value a row of the fit: same design, started from its estimates."""
    from .structured_fit import StructuredFit

    if isinstance(fit, StructuredFit):
        from .structured import refit as again

        return again(fit, response)
    design, old = fit.design, fit.solution
    assert fit.model is not None
    model, products, problem = with_response(fit.model, old.products, old.problem, response, design.offset)
    compiled = worth_compiling()
    optimum = optimise(problem, restart(problem, old.theta), compiled=compiled)
    if not optimum.converged:
        optimum = optimise(problem, default_start(problem, products), compiled=compiled)
    return _fit(
        fit.labels,
        problem,
        products,
        model.coordinates,
        optimum,
        replace(design, y=response),
        model,
        fit.frame,
    )


def _problem(
    model: Standardised,
    products: CrossProducts,
    labels: Labels,
    reml: bool,
    fixed_parameters: Mapping[str, Any] | None,
    start: Mapping[str, Any] | None,
) -> tuple[Problem, np.ndarray]:
    coordinates = model.coordinates
    held, held_residual = read_covariances(fixed_parameters, labels, "fixed_parameters")
    begin, begin_residual = read_covariances(start, labels, "start")
    y_scale = coordinates.y_scale
    problem = Problem(
        build_system(products),
        tuple(t.structure for t in model.terms),
        products.n,
        reml,
        tuple(
            None if sigma is None else held_factor(sigma, back, y_scale)
            for sigma, back in zip(held, coordinates.back, strict=True)
        ),
        None if held_residual is None else float(np.log(held_residual / y_scale**2)),
    )
    if start is None:
        return problem, default_start(problem, products)
    return problem, user_start(problem, products, coordinates, begin, begin_residual)


def _terms(design: Design) -> tuple[TermLabels, ...]:
    return tuple(TermLabels(b.group, tuple(b.effects), b.levels, b.structure, b.text) for b in design.blocks)


def _require_separable(design: Any, held: Mapping[str, Any] | None) -> None:
    """Refuse a term whose variance is the residual variance under another name: one value a row, of one size."""
    held = held or {}
    weights = design.weights
    if RESIDUAL in held or (weights is not None and np.ptp(weights) > 0):
        return
    for block in design.blocks:
        of_one_size = block.values is None or np.ptp(np.abs(block.values)) == 0
        free = block.group not in held and block.text not in held
        if len(block.levels) >= len(design.y) and len(block.effects) == 1 and of_one_size and free:
            raise ModelError(
                f"Every row is a level of its own in {block.text}: {len(block.levels)} levels in {len(design.y)} rows. "
                "Its variance cannot be told from the residual variance, which is also one value a row. "
                "Group by something that repeats, or leave the term out."
            )


def _fit(labels, problem, products, coordinates, optimum, design, model, frame) -> MixedFit:
    solution = Solution(problem, products, coordinates, optimum.theta, optimum.average_information)
    status = partial(_status, labels, solution, optimum)
    return MixedFit(labels, solution, status, design.library, design, model, frame)


def _status(labels: Labels, solution: Solution, optimum: Optimum) -> Status:
    notes = []
    terms = zip(
        labels.terms, solution.covariances, solution.point.factors, solution.problem.held, strict=True
    )
    for term, covariance, factor, held in terms:
        if held is None:
            notes += boundary_notes(covariance, factor @ factor.T, term.effects, term.text)
    verdict = "not converged" if not optimum.converged else "boundary" if notes else "converged"
    notes += _identifiability_notes(labels, solution, optimum)
    return Status(verdict, optimum.predicted_decrease, optimum.iterations, tuple(dict.fromkeys(notes)))


def _identifiability_notes(labels: Labels, solution: Solution, optimum: Optimum) -> list[str]:
    problem = solution.problem
    notes = []
    for direction in optimum.flat:
        involved = [
            term.text
            for term, at in zip(labels.terms, problem.slices(), strict=True)
            if at is not None and np.abs(direction[at]).max() > 1e-3
        ]
        notes.append(
            f"not identifiable: the criterion does not change along a combination of the variances of "
            f"{' and '.join(involved)} (the residual variance moving with it); these data cannot tell them apart"
        )
    return notes
