"""Heritabilities as breeders report them, of the effects of one random term (genotypes, animals).

standard    s_g^2 / (s_g^2 + sum_t s_t^2 / n_t + s_e^2 / n): variances of a mean over n records; n, n_t harmonic means over the
            levels with records, of their records and of the levels of each interaction of the term that they meet (basis="plot": all 1)
cullis      1 - v_BLUP / v_g: mean variance of a difference of two BLUPs from the truth, over that of two levels a priori, which is
            2 s_g^2 for independent levels
piepho      s_g^2 / (s_g^2 + v_BLUE / 2): mean variance of a difference of two BLUEs, from a second fit with the levels fixed
oakey       mean of the eigenvalues of I - G^-1 PEV that are not 0

Sources: Falconer & Mackay (1996) Introduction to Quantitative Genetics; Cullis, Smith & Coombes (2006) JABES 11, 381-393; Piepho &
Moehring (2007) Genetics 177, 1881-1888; Oakey et al. (2006) Theor. Appl. Genet. 113, 809-819; Schmidt et al. (2019) Genetics 212,
991-1008, for levels that are related.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ModelError, closest
from .components import Component, components, covariance_slopes, flat_directions, is_structured
from .derive import interval, standard_error
from .derived_value import Value, apply, constant, symbol
from .genetic import Group, group_named, groups_of
from .level_errors import LevelErrors, level_counts, rows_of

Array = np.ndarray
METHODS = ("standard", "cullis", "piepho", "oakey")
BASES = ("entry", "plot")
_ZERO = 1e-7
"""Eigenvalue of I - G^-1 PEV below which a direction has no data."""


def heritability(
    fit: Any,
    term: str | None,
    method: str,
    basis: str,
    level: float,
    blue: Callable[[Any, Group, Array], float],
) -> dict[str, Any]:
    """See `Derived.heritability`; plain columns.

    Parameters
    ----------
    blue : the mean variance of a difference of two BLUEs of the term's levels, in a fit that has them fixed.
    """
    if method not in METHODS:
        near = closest(method, METHODS) if isinstance(method, str) else None
        raise ModelError(
            f"heritability: method is one of {', '.join(map(repr, METHODS))}, not {method!r}."
            + (f" The closest is '{near}'." if near else "")
        )
    if basis not in BASES:
        raise ModelError(
            f"heritability: basis is 'entry' (means of the records of a level) or 'plot' (one record), not {basis!r}."
        )
    if basis == "plot" and method != "standard":
        raise ModelError(
            f'heritability: basis="plot" is for method="standard"; {method} is of the levels as they were recorded.'
        )
    group = _genetic(fit, term)
    if group.terms[0] >= _described(fit):
        raise ModelError(
            f"heritability: {group.text} is part of the residual: it has no levels that could be inherited."
        )
    out: dict[str, list] = {
        k: []
        for k in (
            "group",
            "term",
            "method",
            "heritability",
            "std_error",
            "conf_low",
            "conf_high",
            "variance",
            "mean_variance",
            "note",
        )
    }
    for j, effect in enumerate(group.effects):
        for key, entry in zip(
            out, (group.name, effect, method, *_row(fit, group, j, method, basis, level, blue)), strict=True
        ):
            out[key].append(entry)
    return out


def _row(fit: Any, group: Group, j: int, method: str, basis: str, level: float, blue: Any) -> tuple[Any, ...]:
    variance = float(sum(fit.solution.covariances[k][j, j] for k in group.terms))
    levels = np.flatnonzero(level_counts(fit, group, j) > 0)
    if len(levels) < 2:
        raise ModelError(
            f"heritability: {group.effects[j]} of {group.text} has records of {len(levels)} level: nothing to compare."
        )
    nothing = (np.nan, np.nan, np.nan)
    if method == "standard":
        value, said = _standard(fit, group, j, basis)
        error, note = standard_error(value, fit.solution.information.covariance, flat_directions(fit))
        ends = interval(value.value, error, value.range, level)
        return (
            value.value,
            error,
            *ends,
            variance,
            variance / value.value - variance if value.value > 0 else np.nan,
            "; ".join(part for part in (said, note) if part),
        )
    if variance == 0.0:
        return 0.0, *nothing, variance, np.nan, "the variance is estimated as 0"
    if method == "cullis":
        errors = LevelErrors(fit, group, j, levels)
        mean = errors.mean_prediction_error()
        return 1.0 - mean / errors.mean_prior(), *nothing, variance, mean, ""
    if method == "piepho":
        if group.m > 1:
            raise ModelError(
                f"heritability: {group.text} has {group.m} effects a level; method='piepho' needs one effect, to have its levels fixed. "
                "Take 'cullis' or 'oakey'."
            )
        mean = blue(fit, group, levels)
        return (
            variance / (variance + 0.5 * mean),
            *nothing,
            variance,
            mean,
            "variances of the second fit, with the levels fixed",
        )
    return oakey(fit, group, j), *nothing, variance, np.nan, ""


def oakey(fit: Any, group: Group, j: int) -> float:
    """Mean of the eigenvalues of I - G^-1 PEV that are not 0, over all levels."""
    errors = LevelErrors(fit, group, j, np.arange(len(group.levels)))
    errors.require_few()
    prior, pev = errors.prior(), errors.prediction_error()
    found = np.linalg.eigvalsh(_scaled(prior, prior - pev))
    kept = found[found > _ZERO]
    return float(kept.mean()) if len(kept) else 0.0


def _scaled(prior: Array, matrix: Array) -> Array:
    """G^-1/2 M G^-1/2, on the range of G where it is singular."""
    from scipy.linalg import LinAlgError, cholesky, solve_triangular

    size = np.sqrt(np.diag(prior))
    try:
        root = cholesky(prior / np.outer(size, size), lower=True)
    except LinAlgError:
        root = None
    if root is not None and np.diag(root).min() > 1e-5:
        half = solve_triangular(root, matrix / np.outer(size, size), lower=True)
        return np.asarray(solve_triangular(root, half.T, lower=True))
    values, vectors = np.linalg.eigh(prior)
    live = values > 1e-10 * values.max()
    inverse = vectors[:, live] / np.sqrt(values[live])
    return np.asarray(inverse.T @ matrix @ inverse)


# -- the standard one --------------------------------------------------------------------------------------------


def _standard(fit: Any, group: Group, j: int, basis: str) -> tuple[Value, str]:
    """The ratio with its slope, and what it was made of."""
    counts = level_counts(fit, group, j)
    n = 1.0 if basis == "plot" else harmonic(counts)
    rows = components(fit)
    size = len(fit.solution.information.covariance)
    genetic = _variance(fit, group, j, 0)
    total, parts = genetic, []
    for number, other in enumerate(groups_of(fit), start=1):
        if other.terms == group.terms or not _contains(fit, other, group):
            continue
        if other.m > 1:
            raise ModelError(
                f"heritability: {other.text} has {other.m} variances beside {group.text}: the standard heritability of a mean over "
                'them is not defined. Write it with fit.derive, or take method="cullis".'
            )
        met = 1.0 if basis == "plot" else harmonic(_met(fit, group, other, j))
        parts.append(f"{other.name} / {met:.4g}")
        total = apply(
            "+", (total, apply("/", (_variance(fit, other, 0, number), constant(met, size)), "")), ""
        )
    residual, said = _residual(fit, group, j, rows, size)
    parts.append(f"Residual / {n:.4g}")
    total = apply("+", (total, apply("/", (residual, constant(n, size)), "")), "")
    own = group.name if group.m == 1 else f"{group.name}: {group.effects[j]}"
    note = f"{own} / ({' + '.join([own, *parts])})" if basis == "entry" else ""
    return apply("/", (genetic, total), "the heritability"), "; ".join(p for p in (note, said) if p)


def _variance(fit: Any, group: Group, j: int, number: int) -> Value:
    value = float(sum(fit.solution.covariances[k][j, j] for k in group.terms))
    slope = sum(covariance_slopes(fit.solution, k)[:, j, j] for k in group.terms)
    return symbol(value, np.asarray(slope), (0.0, np.inf), number)


def _residual(fit: Any, group: Group, j: int, rows: list[Component], size: int) -> tuple[Value, str]:
    """The mean residual variance of the records of the effect, with its slope where it is one component."""
    here = rows_of(fit, group, j)
    if is_structured(fit):
        each = fit._residual_variances[here]
    else:
        weights = fit.design.weights
        each = (
            np.full(int(here.sum()), fit.solution.scale2)
            if weights is None
            else fit.solution.scale2 / weights[here]
        )
    mean = float(each.mean())
    mine = [r for r in rows if r.number == -1 and r.variance]
    same = [r for r in mine if abs(r.value - mean) <= 1e-9 * max(abs(mean), 1e-300)]
    if np.ptp(each) <= 1e-9 * mean and len(same) == 1:
        return symbol(mean, same[0].slope, (0.0, np.inf), -1), ""
    if len(mine) == 1 and mine[0].value > 0:
        factor = mean / mine[0].value
        if getattr(fit.design, "weights", None) is not None and (
            not is_structured(fit) or fit.solution.residual_diagonal is None
        ):
            return symbol(
                mean, factor * mine[0].slope, (0.0, np.inf), -1
            ), "mean residual variance of the records"
    said = "mean residual variance of the records, taken as known for the standard error"
    return symbol(mean, np.zeros(size), (0.0, np.inf), -1), said


def harmonic(counts: Array) -> float:
    """Harmonic mean of those that are not 0."""
    counts = np.asarray(counts, dtype=np.float64)
    counts = counts[counts > 0]
    return len(counts) / float(np.sum(1.0 / counts))


# -- which terms --------------------------------------------------------------------------------------------------


def _described(fit: Any) -> int:
    """Terms of the formula: those behind are the correlated part of a residual."""
    return len(fit.design.structured) if is_structured(fit) else len(fit.labels.terms)


def _blocks(fit: Any) -> list[Any]:
    return [t.block for t in fit.design.structured] if is_structured(fit) else list(fit.design.blocks)


def _genetic(fit: Any, term: str | None) -> Group:
    """The term asked for; None: the only one of a relationship, or the only one at all."""
    if term is not None or not fit.labels.terms:
        return group_named(fit, term, "heritability")
    every = [g for g in groups_of(fit) if g.terms[0] < _described(fit)]
    related = [g for g in every if g.name.startswith("vm(")]
    if len(related) == 1:
        return related[0]
    return group_named(fit, None, "heritability")


def _contains(fit: Any, other: Group, group: Group) -> bool:
    """Whether a term is an interaction of the group's (or another term of the same levels): it is part of a level's mean."""
    if other.terms[0] >= _described(fit):
        return False
    blocks = _blocks(fit)
    mine, theirs = set(blocks[group.terms[0]].factors), set(blocks[other.terms[0]].factors)
    return bool(mine) and mine <= theirs


def _met(fit: Any, group: Group, other: Group, j: int) -> Array:
    """How many levels of the other term each level of the group meets."""
    blocks = _blocks(fit)
    mine, theirs = blocks[group.terms[0]].codes, blocks[other.terms[0]].codes
    here = rows_of(fit, group, j) & (mine >= 0) & (theirs >= 0)
    pairs = np.unique(np.column_stack([mine[here], theirs[here]]), axis=0)
    return np.bincount(pairs[:, 0], minlength=len(group.levels))
