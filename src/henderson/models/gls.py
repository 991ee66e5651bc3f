"""`hd.gls`: generalised least squares with a structured residual, from a formula and a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import formula as formulas
from ..design.estimability import ColumnSpace
from ..design.record import Design
from ..errors import ModelError
from ..inference.new_variances import Spoken
from ..linear.collinear import combinations
from ..linear.coordinates import Coordinates
from ..linear.gls import Criterion, Estimates, FittedResidual, Rows, estimates, standard_rows
from ..linear.newton import Box, Minimum
from ..linear.search import search
from ..linear.solution import Coordinates as LinearCoordinates
from ..linear.solution import LinearSolution
from ..mixed.verdict import Status
from ..residuals.covariance import RESIDUAL, Covariance
from ..sparse.threads import one_blas_thread
from .arguments import require_reml
from .labels import labels_of
from .linear_fit import LinearFit
from .residual_input import ResidualInput, read_residual_input

_MAX_ROUNDS, _SETTLED = 100, 1e-10
"""power(fitted): refits, and the relative change of the fitted values at which they end."""
_MANY = 50_000
"""Rows from which steps are taken from the best of the starts alone."""


def gls(
    formula: str,
    data: Any,
    *,
    residual: str | None = None,
    variance: str | None = None,
    reml: bool = True,
    V: Any = None,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    fixed_parameters: Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
    verbose: bool = False,
) -> LinearFit:
    """Fit a linear model whose residuals are correlated or of unequal variance: Var(e) = s2 S C S / weights.

    Parameters
    ----------
    formula : `response ~ fixed terms`.
    data : any DataFrame (pandas, polars, pyarrow ...), a dict of arrays, or the path of a CSV or Parquet file. Rows
        need not be sorted.
    residual : the correlation C, as a random term with one coefficient for each row. In time: "ar1(0 + time | subject)"
        (whole steps, with gaps), "ou(0 + time | subject)" (any times), "arma(0 + time | subject, p=1, q=1)"; without a
        time, "ar1(1 | subject)", rows are one step apart in the order in which they stand. Among visits:
        "us(0 + visit | subject)", and "cor", "cs", "csh", "toep", "toeph", "ar1h", "ante1", "diag". One series, or space:
        "(1 | ar1(time))", "(1 | exp(x, y))", "(1 | ar1(row):ar1(col))". With a nugget: "... + (1 | units)".
    variance : standard deviations S relative to one another: "ident(sex)", "power(x)", "exp(x)", "const_power(x)",
        "power(fitted)"; with parameters for each stratum "power(x | sex)"; products by `*`. For power(fitted) the fitted
        values are held while the likelihood is maximised, and renewed until they repeat themselves, as nlme does.
    reml : restricted likelihood (True) or likelihood (False).
    V : known covariance of the residuals up to the factor s2: (n, n), dense or sparse, or (n,) variances.
    weights : precision weights, an array or the name of a column: variances are divided by them.
    offset : added to the linear predictor with coefficient 1: an array or the name of a column.
    contrasts : coding of fixed factors by column name, for example {"Machine": "sum"}.
    fixed_parameters : parameters held at a value, by the name `variance_components` gives them: {"phi": 0.5},
        {"Residual": 2.5} (a variance).
    start : parameters to start from, in the same form.
    verbose : print one line for each iteration.

    Raises
    ------
    FormulaError, DataError, ModelError : what is wrong with the formula, the table, or the model for these data.
    NotAvailableError : part of the grammar that this version does not fit.

    References
    ----------
    Harville (1977) J. Am. Stat. Assoc. 72, 320-338; Pinheiro & Bates (2000), chapter 5.
    """
    parsed = formulas.parse(formula)
    if parsed.random:
        raise ModelError(
            f"'{parsed.random[0].text}' is a random term: hd.lmm fits it. In hd.gls the formula has fixed terms only, and "
            "residual= says how residuals are correlated."
        )
    formulas.require_available(parsed)
    reml = require_reml(reml)
    given = read_residual_input(
        parsed, data, residual, variance, V, weights=weights, offset=offset, contrasts=contrasts
    )
    design = given.design
    with one_blas_thread():
        rows = standard_rows(design.X, _response(design), design.offset)
        fitted = _fit_covariance(given, rows, reml, fixed_parameters, start, verbose)
        return _finish(formula, given, fitted, given.spoken(residual))


@dataclass(frozen=True)
class _Fitted:
    criterion: Criterion
    covariance: Covariance
    minimum: Minimum
    held: np.ndarray
    found: Estimates
    rounds_note: str | None


def _response(design: Design) -> np.ndarray:
    assert design.y is not None
    return design.y


def _fit_covariance(
    given: ResidualInput,
    rows: Rows,
    reml: bool,
    fixed_parameters: Mapping[str, float] | None,
    start: Mapping[str, float] | None,
    verbose: bool,
) -> _Fitted:
    design = given.design
    structure = given.structure()
    iterated = given.uses_fitted
    fitted = _least_squares(design, rows) if iterated else None
    covariance = given.covariance(structure, fitted)
    s2 = _held_variance(fixed_parameters, covariance, rows.coordinates.y_scale)
    _own_variance(start, covariance, "start")
    held, held_at = covariance.given(fixed_parameters, "fixed_parameters")
    begun, begun_at = covariance.given(start, "start")
    starts = [np.where(held, held_at, np.where(begun, begun_at, t)) for t in covariance.start(rows.m[:, -1])]
    _require_rows(rows.coordinates, int(np.sum(~held)) + (s2 is None))
    box = Box(covariance.lower, covariance.upper, ~held)
    from ..report.progress import watch

    with watch(verbose, design.n, given.description, rows.coordinates.deviance_shift(reml)) as on_step:
        for _ in range(_MAX_ROUNDS):
            criterion = Criterion(covariance, rows, reml, s2)
            minimum = _minimum(criterion, starts, box, on_step)
            found = estimates(criterion, minimum.t)
            if not iterated or not minimum.converged:
                return _Fitted(criterion, covariance, minimum, held, found, None)
            renewed = _linear(design, found.beta, rows.coordinates.kept)
            assert fitted is not None
            change = np.max(np.abs(renewed - fitted)) / np.max(np.abs(fitted))
            if change < _SETTLED:
                return _Fitted(criterion, covariance, minimum, held, found, None)
            fitted = renewed
            natural = covariance.natural(minimum.t)
            covariance = given.covariance(structure, fitted)
            starts = [_same(covariance, natural, minimum.t)]
    note = f"the fitted values of power(fitted) still change by {change:.1g} (relative) after {_MAX_ROUNDS} refits"
    return _Fitted(criterion, covariance, minimum, held, found, note)


def _require_rows(coordinates: Coordinates, parameters: int) -> None:
    left = coordinates.n - coordinates.rank
    if parameters > 1 and parameters >= left:
        raise ModelError(
            f"{coordinates.n} rows and {coordinates.rank} fixed coefficients leave {left} degrees of freedom, which cannot carry "
            f"{parameters} parameters of the covariance of the residuals: take a structure with fewer."
        )


def _same(covariance: Covariance, natural: np.ndarray, t: np.ndarray) -> np.ndarray:
    """t of the same parameters under renewed fitted values."""
    out, at = t.copy(), len(covariance.structure.parameters)
    for function, place in zip(covariance.functions, covariance.slices[1:], strict=True):
        k = len(function.parameters)
        values = natural[at : at + k]
        if np.isfinite(values).all():
            out[place] = function.coordinates(values)
        at += k
    return out


def _minimum(
    criterion: Criterion, starts: list[np.ndarray], box: Box, on_step: Callable[[Any], None] | None
) -> Minimum:
    try:
        structure = criterion.covariance.structure
        return search(criterion, starts, box, structure, on_step, thorough=criterion.n < _MANY)
    except ArithmeticError:
        raise ModelError(
            "The covariance of the residuals is not positive definite at the parameters started from or held: "
            "give others in start= or fixed_parameters=."
        ) from None


def _least_squares(design: Design, rows: Rows) -> np.ndarray:
    """Fitted values of least squares, the offset among them."""
    return _response(design) - rows.m[:, -1] * rows.coordinates.y_scale


def _linear(design: Design, beta: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """X b + offset."""
    fitted: np.ndarray = design.X[:, kept] @ beta
    return fitted if design.offset is None else fitted + design.offset


def _held_variance(given: Mapping[str, float] | None, covariance: Covariance, y_scale: float) -> float | None:
    value = _own_variance(given, covariance, "fixed_parameters")
    structure = covariance.structure
    if structure.has_variances and isinstance(given, Mapping) and structure.parameters[0].name in given:
        # All its parameters are held, then, and the first is the variance that the others are relative to.
        value = float(given[structure.parameters[0].name])
    if value is None:
        return None
    if covariance.functions:
        raise ModelError(
            "fixed_parameters: the residual variance cannot be held beside a variance function: it is the variance where the "
            "function is 1."
        )
    return value / y_scale**2


def _own_variance(given: Mapping[str, float] | None, covariance: Covariance, argument: str) -> float | None:
    if not isinstance(given, Mapping) or RESIDUAL not in given:
        return None
    if covariance.structure.has_variances:
        raise ModelError(
            f"{argument}: {covariance.structure.name} has a variance for each position and no residual variance besides."
        )
    try:
        value = float(given[RESIDUAL])
    except (TypeError, ValueError):
        value = float("nan")
    if not 0 < value < np.inf:
        raise ModelError(
            f"{argument}: the residual variance is one positive number, not {given[RESIDUAL]!r}."
        )
    return value


def _finish(formula: str, given: ResidualInput, fitted: _Fitted, spoken: Spoken) -> LinearFit:
    criterion, found, design = fitted.criterion, fitted.found, given.design
    coordinates = criterion.rows.coordinates
    residual = FittedResidual(fitted.covariance, criterion, fitted.minimum, fitted.held, found.root)
    names, kept, dropped = design.x_names, coordinates.kept, coordinates.dropped
    q = criterion.rows.m[:, : criterion.p]
    space = ColumnSpace(names, kept, dropped, combinations(coordinates.r, q.T @ design.X[:, dropped]))
    labels = labels_of(formula, design.response, names, kept, dropped)
    solution = LinearSolution(
        LinearCoordinates(coordinates.n, kept, dropped),
        found.beta,
        found.root,
        found.rss,
        found.scale2,
        found.deviance,
        reml=criterion.reml,
        scale_known=criterion.s2 is not None,
        residual=residual,
    )
    status = _status(fitted, residual)
    return LinearFit(labels, solution, space, design.library, design, given.frame, status, spoken=spoken)


def _status(fitted: _Fitted, residual: FittedResidual) -> Status:
    minimum = fitted.minimum
    notes = list(dict.fromkeys(said for j, said in residual.edges.items() if not residual.held_parameters[j]))
    converged = minimum.converged and fitted.rounds_note is None
    verdict = "not converged" if not converged else "boundary" if notes else "converged"
    names = [p.name for p in fitted.covariance.parameters]
    if converged:
        for direction in residual.flat:
            moved = _involved(fitted.covariance, direction)
            notes.append(
                "not identifiable: the criterion does not change along a combination of "
                f"{', '.join(names[j] for j in moved)} (the residual variance moving with it)"
            )
    if minimum.walled or (not minimum.converged and residual.edges):
        notes.append(
            "the likelihood grows without bound towards a singular covariance: these data cannot carry "
            f"{len(names)} parameters of the covariance ({', '.join(names[:6])}{' ...' if len(names) > 6 else ''}); "
            "take a structure with fewer"
        )
    if fitted.rounds_note:
        notes.append(fitted.rounds_note)
    return Status(verdict, minimum.predicted_decrease, minimum.iterations, tuple(notes))


def _involved(covariance: Covariance, direction: np.ndarray) -> list[int]:
    out, at = [], 0
    for part, place in zip(covariance.parts, covariance.slices, strict=True):
        here = np.abs(direction[place]) > 1e-3
        k = len(part.parameters)
        out += [at + j for j in range(k) if (here[j] if k == len(here) else here.any())]
        at += k
    return out
