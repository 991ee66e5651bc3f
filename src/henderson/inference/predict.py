"""Predictions with exact standard errors: x'beta^ + sum z_k'u^_k and the joint variance of beta^ and u^ - u.

Henderson (1975): Var(x'beta^ + z'u^ - x'beta - z'u) is a quadratic form in the inverse of the mixed-model
equations. A level that the model never saw has u^ = 0 and adds its prior variance z'Sigma z. The variance
components are taken as known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .. import design as designs
from .. import frame as frames
from ..design import Design, RandomBlock
from ..errors import DataError, FormulaError, ModelError
from ..mixed.solution import Solution
from .student import quantile, require_level

if TYPE_CHECKING:
    from ..design.structured import StructuredTerm

INTERVALS = ("confidence", "prediction")
NEW_LEVELS = ("error", "population")
_SHOWN = 8
_ALIAS = 1e-7


class Predictable(Protocol):
    """What is asked of a fit."""

    @property
    def solution(self) -> Any: ...
    @property
    def spec(self) -> Mapping[str, Any]: ...
    @property
    def library(self) -> str: ...
    @property
    def design(self) -> Design: ...
    @property
    def aliases(self) -> np.ndarray: ...
    @property
    def df_residual(self) -> int: ...
    def denominator_df(self, rows: np.ndarray, method: str | None = None) -> np.ndarray: ...


@dataclass(frozen=True)
class Rows:
    """The rows to predict, in the columns the fit knows."""

    x: np.ndarray
    """(n, rank): kept columns of X."""
    z: tuple[np.ndarray, ...]
    """For each term (n, m_k)."""
    levels: tuple[np.ndarray, ...]
    """For each term (n,), -1 for a level that was not fitted."""
    offset: np.ndarray | float
    weights: np.ndarray | float
    place: np.ndarray | None
    """Row numbers in the caller's table, or None when all of them."""
    total: int
    """Rows of the caller's table."""
    library: str
    terms: tuple[StructuredTerm, ...] | None = None
    """The terms of a model with structures, whose rows may belong to several levels: their z is used, and not `z` and `levels`."""

    def spread(self, values: np.ndarray) -> np.ndarray:
        """One value for each row of the caller's table, NaN where a row was left out."""
        return spread(values, self.place, self.total)


def spread(values: np.ndarray, place: np.ndarray | None, total: int) -> np.ndarray:
    """Values of the rows `place` (None: all) in an array of `total` rows, NaN elsewhere."""
    if place is None:
        return values
    out = np.full((total, *values.shape[1:]), np.nan)
    out[place] = values
    return out


def predict(
    fit: Predictable,
    data: Any = None,
    *,
    random_effects: bool = True,
    se: bool = False,
    interval: str | None = None,
    level: float = 0.95,
    new_levels: str = "error",
    offset: Any = None,
    weights: Any = None,
) -> Any:
    """See `MixedFit.predict`, whose arguments these are."""
    _check(interval, level, new_levels)
    if weights is not None and interval != "prediction":
        raise ModelError('predict: weights= changes nothing but interval="prediction"; leave it out.')
    if data is None:
        if offset is not None or weights is not None:
            raise ModelError(
                "predict: the rows of the fit have their own offset and weights; offset= and weights= are for new data."
            )
        rows = fitted_rows(fit)
    else:
        spreads = interval == "prediction"
        rows = new_rows(fit, data, new_levels, random_effects, spreads, offset, weights)
    estimate = linear_predictor(fit.solution, rows, random_effects)
    if not (se or interval):
        return rows.spread(estimate)
    variance = mean_variance(fit, rows, random_effects)
    columns = {"estimate": estimate, "std_error": np.sqrt(variance)}
    if interval:
        if interval == "prediction":
            error = _error_variances(fit, data, rows, estimate)
            half = _prediction_half_width(fit, rows, variance, error, random_effects, level)
        else:
            half = _half_width(fit, rows, variance, random_effects, level)
        columns |= {"conf_low": estimate - half, "conf_high": estimate + half}
    return frames.give_back({name: rows.spread(v) for name, v in columns.items()}, rows.library)


def linear_predictor(solution: Solution, rows: Rows, random_effects: bool) -> np.ndarray:
    """offset + X beta^ (+ sum_k Z_k u^_k), (n,)."""
    out = rows.x @ solution.beta + rows.offset
    if random_effects and rows.terms is not None:
        for u, term in zip(solution.u, rows.terms, strict=True):
            out += term.z @ u.ravel()
    elif random_effects:
        for u, z, levels in zip(solution.u, rows.z, rows.levels, strict=True):
            at = np.maximum(levels, 0)
            for a in range(u.shape[1]):
                part = u[at, a] * z[:, a]
                out += part if levels.min(initial=0) >= 0 else np.where(levels >= 0, part, 0.0)
    return out


def fitted_rows(fit: Predictable) -> Rows:
    """The rows of the fit."""
    design = fit.design
    return Rows(
        design.X[:, fit.solution.coordinates.kept],
        tuple(_coefficients(b) for b in design.blocks),
        tuple(b.codes for b in design.blocks),
        0.0 if design.offset is None else design.offset,
        1.0 if design.weights is None else design.weights,
        design.rows,
        design.n_read,
        fit.library,
        _with_fields(fit, design.structured),
    )


def new_rows(
    fit: Predictable,
    data: Any,
    new_levels: str,
    random_effects: bool,
    with_spread: bool = False,
    offset: Any = None,
    weights: Any = None,
) -> Rows:
    """The columns of the fit for a new table.

    `random_effects=False` needs no grouping columns, and with `with_spread=False` not those of the effects
    either.
    """
    random = random_effects or with_spread
    if offset is None and fit.spec.get("offset_array"):
        raise ModelError(
            "predict: the model was fitted with offset= as an array; give offset= for the new rows too."
        )
    if with_spread and weights is None and fit.spec.get("weights_array"):
        raise ModelError(
            "predict: the model was fitted with weights= as an array; give weights= for the new rows too."
        )
    # Without random effects no row needs to belong to a level.
    known = fit.spec if random_effects else {**fit.spec, "blocks": []}
    names = designs.needed_again(known, random=random)
    if offset is not None:
        names = [name for name in names if name != fit.spec["offset"] or name in _in_terms(fit)]
    _refuse_without_trait(fit, data, names)
    frame = _read(data, names, weights)
    if random and not random_effects:
        frame = _without_levels(frame, {name for block in fit.spec["blocks"] for name in block["factors"]})
    design = designs.rebuild(fit.spec, frame, random=random, offset=offset)
    if random_effects and new_levels == "error":
        _refuse_unknown(design)
    _refuse_undefined(design)
    x = design.X[:, fit.solution.coordinates.kept]
    _refuse_aliased(fit, design, x)
    return Rows(
        x,
        tuple(_coefficients(b) for b in design.blocks),
        tuple(b.codes for b in design.blocks),
        0.0 if design.offset is None else design.offset,
        _weights(fit, data, frame, design, weights) if with_spread else 1.0,
        design.rows,
        design.n_read,
        frame.library,
        _with_fields(fit, design.structured, data, design) if random else None,
    )


def _with_fields(
    fit: Predictable, terms: tuple[StructuredTerm, ...] | None, data: Any = None, design: Design | None = None
) -> tuple[Any, ...] | None:
    """The terms of the formula, and behind them those of a residual with a nugget."""
    of_rows = getattr(fit, "fields", None)
    if of_rows is None:
        return terms
    return (*(terms or ()), *(of_rows() if design is None else of_rows(data, design.rows, design.n)))


def _read(data: Any, names: list[str], weights: Any) -> frames.Frame:
    if isinstance(weights, str) and weights not in names:
        names = [*names, weights]
    if names:
        return frames.read(data, names)
    # Nothing but an intercept: the table gives its number of rows only.
    first = _some_column(data)
    return frames.read(data, [first])


def _in_terms(fit: Predictable) -> list[str]:
    """Columns wanted even where the offset is given apart."""
    return designs.needed_again({**fit.spec, "offset": None})


def _some_column(data: Any) -> str:
    """Any column of a table, or of the file at a path."""
    if isinstance(data, Mapping):
        names = list(data)
    elif isinstance(data, (str, Path)):
        frames.files.check_file(Path(data))
        names = frames.files.read_header(Path(data), frames.files.file_kind(Path(data)))
    else:
        import narwhals as nw

        names = nw.from_native(data, pass_through=False).collect_schema().names()
    if not names:
        raise DataError("the new data have no columns, so there is no telling how many rows to predict.")
    return names[0]


def _without_levels(frame: frames.Frame, groups: set[str]) -> frames.Frame:
    """The frame with a column of missing levels for each grouping that was not read (one that an effect or a fixed
    term reads too keeps its values): the variance of the effects is asked for, not their values.
    """
    unseen = np.full(frame.nrow, -1, dtype=np.int32)
    columns = dict(frame.columns)
    for name in groups - set(columns):
        columns[name] = frames.Column(name, "factor", unseen)
    return frames.Frame(columns, frame.nrow, frame.library)


def _coefficients(block: RandomBlock) -> np.ndarray:
    return np.ones((len(block.codes), 1)) if block.values is None else block.values


def _weights(
    fit: Predictable, data: Any, frame: frames.Frame, design: Design, given: Any
) -> np.ndarray | float:
    if given is None:
        named = fit.spec["weights"]
        if not isinstance(named, str):
            return 1.0
        given, frame = named, frames.read(data, [named])
    return designs.rows.positive_weights(given, frame, design.rows)


# -- refusals --------------------------------------------------------------------------------------------


def _check(interval: str | None, level: float, new_levels: str) -> None:
    if interval is not None and interval not in INTERVALS:
        raise ModelError(f'predict: interval is None, "confidence" or "prediction", not {interval!r}.')
    require_level(level, "predict")
    if new_levels not in NEW_LEVELS:
        raise ModelError(f'predict: new_levels is "error" or "population", not {new_levels!r}.')


def _refuse_without_trait(fit: Predictable, data: Any, names: list[str]) -> None:
    """New data of a model of several traits say which trait each row is to be predicted of."""
    if "trait" not in names or not fit.spec["formula"].lstrip().startswith("cbind"):
        return
    try:
        frames.read(data, ["trait"])
    except FormulaError:
        traits = ", ".join(repr(str(level)) for level in fit.spec["columns"]["trait"]["levels"])
        raise DataError(
            "predict: the model is of several traits, and the new table has no column 'trait' that says which of them each row "
            f"is to be predicted of ({traits}).\nTo predict them all, give the table once for each."
        ) from None


def _refuse_unknown(design: Design) -> None:
    for block in design.blocks:
        if block.unknown:
            shown = ", ".join("missing" if v is None else repr(v) for v in block.unknown[:_SHOWN])
            more = f" and {len(block.unknown) - _SHOWN} more" if len(block.unknown) > _SHOWN else ""
            raise DataError(
                f"predict: {block.text} was fitted to {len(block.levels)} levels of '{block.group}', "
                f"without {shown}{more}.\n"
                'Give new_levels="population" to predict them by the fixed effects (their variance is '
                "then added to the standard errors), or random_effects=False to leave random effects out."
            )


def _refuse_undefined(design: Design) -> None:
    """Effects and sections that were not in the fit: the model has neither an estimate nor a variance for them."""
    for term in design.structured or ():
        if term.undefined:
            shown = ", ".join(term.undefined[:_SHOWN]) + (" ..." if len(term.undefined) > _SHOWN else "")
            raise DataError(
                f"predict: {term.block.text} was fitted without {shown}: the model has no variance for it.\n"
                "Leave these rows out, or give random_effects=False to leave random effects out."
            )


def _refuse_aliased(fit: Predictable, design: Design, x: np.ndarray) -> None:
    """A row whose dropped columns are not the combination of the kept ones that they were in the fit
    cannot be estimated.
    """
    dropped = fit.solution.coordinates.dropped
    if not len(dropped):
        return
    implied = x @ fit.aliases
    given = design.X[:, dropped]
    size = np.maximum(np.abs(x) @ np.abs(fit.aliases), np.abs(given))
    bad = np.abs(given - implied) > _ALIAS * np.maximum(size, 1e-300)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        number = int(row) if design.rows is None else int(design.rows[row])
        raise ModelError(
            f"predict: row {number} (the first row is 0) is not estimable. In the data of the fit the column "
            f"'{design.x_names[dropped[column]]}' was a combination of the others and was dropped; in this "
            f"row it is not that combination ({given[row, column]:g} instead of {implied[row, column]:g}), "
            "so the data say nothing of it."
        )


# -- variances -------------------------------------------------------------------------------------------


def mean_variance(fit: Predictable, rows: Rows, random_effects: bool = True) -> np.ndarray:
    """Variance of the predicted mean of each row, (n,)."""
    if not random_effects:
        return np.maximum(np.einsum("ij,jk,ik->i", rows.x, fit.solution.vcov, rows.x), 0.0)
    if rows.terms is not None:
        known = fit.solution.prediction_variance_of(rows.x, [term.z for term in rows.terms])  # type: ignore[attr-defined]
        return known + _unseen_variance(fit, rows.terms)
    return fit.solution.prediction_variance(rows.x, rows.z, rows.levels)


def _unseen_variance(fit: Predictable, terms: Sequence[StructuredTerm]) -> np.ndarray | float:
    """Prior variance of levels that were not in the fit, each related to no other."""
    return sum(
        np.einsum("ij,jk,ik->i", each, sigma, each)
        for term, sigma in zip(terms, fit.solution.covariances, strict=False)
        for each in term.unseen
    )


def _prior_variance(fit: Predictable, terms: Sequence[StructuredTerm]) -> np.ndarray | float:
    """sum over levels l of K_ll z_l' Sigma z_l of each row: levels of one row are taken as unrelated to each other."""
    total: np.ndarray | float = 0.0
    diagonals = fit.solution.prior_diagonals  # type: ignore[attr-defined]
    for term, sigma, diagonal in zip(terms, fit.solution.covariances, diagonals, strict=False):
        z, m = term.z, term.block.m
        row = np.repeat(np.arange(z.shape[0]), np.diff(z.indptr))
        pairs, where = np.unique(row * np.int64(term.block.q) + z.indices // m, return_inverse=True)
        coefficients = np.zeros((len(pairs), m))
        coefficients[where, z.indices % m] = z.data
        row, level = np.divmod(pairs, term.block.q)
        each = diagonal[level] * np.einsum("ij,jk,ik->i", coefficients, sigma, coefficients)
        total = total + np.bincount(row, weights=each, minlength=z.shape[0])
    return total


def _absent_variance(fit: Predictable, terms: Sequence[Any]) -> np.ndarray | float:
    """Variance of the fields that rows without a place are in: it is in a new record, and not in its mean."""
    return sum(
        sigma[0, 0] * term.absent
        for term, sigma in zip(terms, fit.solution.covariances, strict=True)
        if hasattr(term, "absent")
    )


def _half_width(
    fit: Predictable, rows: Rows, variance: np.ndarray, random_effects: bool, level: float
) -> np.ndarray:
    """Of the interval of the mean."""
    normal = random_effects or not rows.x.shape[1]
    df = np.full(len(variance), np.inf) if normal else _each_once(fit.denominator_df, rows.x)
    return quantile(level, df) * np.sqrt(variance)


def _error_variances(fit: Predictable, data: Any, rows: Rows, estimate: np.ndarray) -> np.ndarray:
    """Residual variance of a new record at each row."""
    of_rows = getattr(fit, "error_variances", None)
    if of_rows is None:
        return np.asarray(fit.solution.scale2 / rows.weights)
    values = of_rows(data, rows.spread(estimate) if data is not None else estimate)
    if np.ndim(values) and data is not None and rows.place is not None:
        values = values[rows.place]
    return np.asarray(values / rows.weights)


def _prediction_half_width(
    fit: Predictable,
    rows: Rows,
    variance: np.ndarray,
    error: np.ndarray,
    random_effects: bool,
    level: float,
) -> np.ndarray:
    """Of the interval of one new record."""
    total = variance + error
    if rows.terms is not None:
        total = total + _absent_variance(fit, rows.terms)
    if not random_effects:
        if rows.terms is not None:
            total = total + _prior_variance(fit, rows.terms) + _unseen_variance(fit, rows.terms)
        for z, sigma in zip(rows.z if rows.terms is None else (), fit.solution.covariances, strict=False):
            total = total + np.einsum("ij,jk,ik->i", z, sigma, z)
    # without random effects the spread of a new record is estimated with the residual degrees of freedom
    df = np.inf if fit.solution.covariances else float(fit.df_residual)
    return quantile(level, np.full(len(total), df)) * np.sqrt(total)


def _each_once(of_rows: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    """A function of rows where most rows repeat: called with the different ones alone."""
    different, back = np.unique(rows, axis=0, return_inverse=True)
    return of_rows(different)[back.reshape(-1)]
