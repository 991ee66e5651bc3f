"""Starting values: moments for the size of each term, the structures' own guesses for the rest; factor-analytic terms from the
correlations that a first fit with independent effects shows in its BLUPs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...precisions.base import Precision
from ...structures import make
from ...structures.base import Structure
from .criterion import Problem, evaluate
from .derivatives import score, symmetric_times
from .equations import Equations
from .model import Model, Term
from .optimise import optimise
from .parameters import Part
from .parameters import layout as layout_of

_LEAST_RESIDUAL = 1e-2
_FIRST_STEPS = 4
_AT_REST = 1e-3
"""Largest slope of an entry of T, relative to T, of a parameter that does not move it."""
REDUCED = ("fa", "rr")
"""Structures that cannot be started from independent effects: loadings of zero are a saddle."""


def default_start(problem: Problem) -> np.ndarray:
    """theta to start from."""
    return pack(problem, *moment_sizes(problem.model))


def moment_sizes(model: Model) -> tuple[list[np.ndarray], float]:
    """For each term the variance of each effect (m,), and the residual variance, y having variance 1: with z_i an effect's
    column for level i,   sum_i (z_i'y)^2 / z_i'z_i   is about   q s2 + n sigma^2 (see `mixed.start`)."""
    y = model.y
    total = float(y @ y) / model.n
    residual, shares = 1.0, []
    for term in model.random:
        square = np.asarray(term.z.multiply(term.z).sum(axis=0)).ravel().reshape(term.q, term.m)
        sums = np.asarray(term.z.T @ y).reshape(term.q, term.m)
        found = square > 1e-12 * square.max()
        between = np.where(found, sums**2 / np.where(found, square, 1.0), 0.0).sum(axis=0) / total
        shares.append(
            (between, found.sum(axis=0), np.where(found, square, 0.0).sum(axis=0) / model.n, term.q)
        )
        free = model.n - int(found.sum())
        if free > 0.05 * model.n and term.lift is None:
            residual = min(residual, max(1.0 - between.sum() / model.n, 0.0) * model.n / free)
    residual = max(residual, 0.1 if len(shares) else _LEAST_RESIDUAL)
    sizes = []
    for term, (between, count, mean_square, q) in zip(model.random, shares, strict=True):
        share = np.maximum((between - residual * count) / model.n, 0.04 * residual / np.sqrt(q))
        if model.n - count.sum() < 0.05 * model.n:
            # One record a level: its sums of squares say nothing of the levels.
            share = np.full_like(share, 0.5 * residual / (len(shares) * len(share)))
        share = np.where(mean_square > 0, share / np.maximum(mean_square, 1e-300), share)
        size = (1.0 + 4.0 / np.sqrt(q)) * np.minimum(share, 4.0 / np.maximum(mean_square, 1e-3))
        if term.precision is not None and term.precision.name == "vm":
            # A relationship comes in units of the user's.
            size = size / float(np.mean(term.precision.diagonal(np.zeros(0))))
        sizes.append(size)
    return sizes, residual


def pack(
    problem: Problem,
    sizes: list[np.ndarray],
    residual: float,
    covariances: dict[int, np.ndarray] | None = None,
) -> np.ndarray:
    """theta at given variances of the effects, or their whole covariances by term, y having variance 1."""
    layout, model = problem.layout, problem.model
    phi = np.zeros(len(layout.source))
    residual_share = residual
    if layout.log_s2 is not None:
        residual = float(np.exp(layout.log_s2))
    for part in layout.parts:
        if part.kind == "T":
            sigma = (covariances or {}).get(part.term)
            if sigma is None:
                sigma = np.diag(sizes[part.term])
            phi[part.at] = _within(model.terms[part.term].structure, sigma / residual)
        else:
            precision = model.terms[part.term].precision if part.kind == "K" else model.residual
            assert precision is not None
            phi[part.at] = _starts_of(model, part, precision, residual_share)[0]
    theta = layout.free_of(phi)
    if layout.estimates_scale:
        theta = np.append(theta, np.log(residual))
    return theta


def _within(structure: Structure, sigma: np.ndarray) -> np.ndarray:
    """theta near sigma at which every parameter moves T: a decay over even lags, or a range shorter than any distance, is at rest where
    effects are not correlated."""

    def moves(theta: np.ndarray) -> np.ndarray:
        least = _AT_REST * float(np.abs(structure.factor(theta)).max())
        return (np.abs(structure.derivatives(theta)).max(axis=(1, 2)) > least) | structure.scaling

    theta = structure.parameters(sigma)
    if structure.scaling.all() or moves(theta).all():
        return theta
    sd = np.sqrt(np.diag(sigma))
    other = structure.parameters(np.outer(sd, sd) * (0.7 * np.eye(len(sd)) + 0.3))
    return other if moves(other).sum() > moves(theta).sum() else theta


def starts(problem: Problem) -> list[np.ndarray]:
    """Where to start from, the best guess first: several where the criterion is known to have more than one optimum."""
    first = default_start(problem)
    reduced = [k for k, t in enumerate(problem.model.random) if t.structure.name in REDUCED]
    out = [first]
    if reduced:
        out = _factor_starts(problem, reduced)
    out += _other_precisions(problem, out[0])
    return out


def at_random(problem: Problem, near: np.ndarray, seed: int) -> np.ndarray:
    """theta `near`, but the loadings of factor-analytic terms at random, the variances of their effects what they were."""
    layout = problem.layout
    phi = layout.all(near)
    for part in layout.parts:
        if part.kind != "T":
            continue
        structure = problem.model.terms[part.term].structure
        if structure.name in REDUCED:
            t = structure.factor(phi[part.at])
            phi[part.at] = structure.starts(t @ t.T, seed)[-1]  # type: ignore[attr-defined]
    theta = layout.free_of(phi)
    return np.append(theta, near[-1]) if layout.estimates_scale else theta


def _starts_of(model: Model, part: Part, precision: Precision, share: float) -> list[np.ndarray]:
    """The structure's own starts; where it can use the least-squares residuals of the rows, those."""
    if part.kind == "K" or model.rotation is not None:
        return precision.starts()
    rows = model.y if model.places is None else model.y[model.places]
    return precision.starts_of(rows, share)


def _other_precisions(problem: Problem, first: np.ndarray) -> list[np.ndarray]:
    """The first start with each further start of the precisions that have more than one."""
    layout, model = problem.layout, problem.model
    phi0 = layout.all(first)
    out = []
    for part in layout.parts:
        if part.kind == "T":
            continue
        precision = model.terms[part.term].precision if part.kind == "K" else model.residual
        assert precision is not None
        for t in _starts_of(model, part, precision, 0.5)[1:]:
            phi = phi0.copy()
            phi[part.at] = t
            theta = layout.free_of(phi)
            out.append(np.append(theta, first[-1]) if layout.estimates_scale else theta)
    return out


def _factor_starts(problem: Problem, reduced: list[int]) -> list[np.ndarray]:
    """Fit the model with those terms' effects independent, a few steps; the covariance of the BLUPs among levels, which is shrunk
    but shows who goes with whom, then gives the loadings."""
    model = problem.model
    terms = list(model.terms)
    for k in reduced:
        terms[k] = replace(terms[k], structure=make("diag", terms[k].m))
    simple_model = replace(model, terms=tuple(terms))
    simple = Problem(simple_model, Equations(simple_model), layout_of(simple_model), problem.reml)
    ended = optimise(simple, default_start(simple), max_iterations=_FIRST_STEPS, tolerance=1e-2)
    point = evaluate(simple, ended.theta)
    assert point is not None
    found = score(simple, point)
    sizes = [
        np.diag(t @ t.T) * point.s2
        for t, term in zip(point.factors, simple_model.terms, strict=True)
        if term.prior
    ]
    sigmas = {k: _shown(simple_model.terms[k], found.b[k], point.factors[k], point, k) for k in reduced}
    out = []
    for kind in range(3):
        covariances = {}
        for k, sigma in sigmas.items():
            sd = np.sqrt(np.maximum(np.diag(sigma), 1e-3 * max(float(np.diag(sigma).max()), 1e-12)))
            r = sigma / np.outer(sd, sd)
            if kind == 1:
                r = 0.5 * np.eye(len(r)) + 0.5
            elif kind == 2:
                r = 0.5 * r + 0.5 * np.eye(len(r))
            size = np.sqrt(np.maximum(sizes[k], 0.05 * point.s2))
            covariances[k] = r * np.outer(size, size)
        phi = pack(problem, sizes, point.s2, covariances)
        out.append(phi)
    return out


def _shown(term: Term, b: np.ndarray, t: np.ndarray, point, k: int) -> np.ndarray:
    u = b @ t.T
    if term.precision is None:
        return u.T @ u / term.q
    return (
        u.T
        @ symmetric_times(term.precision.rows, term.precision.cols, point.image.values.precisions[k], u)
        / term.q
    )
