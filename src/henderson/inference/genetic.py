"""Covariances and correlations among the effects of a random term, and its factors: loadings, scores, variance explained.

    Sigma = T T',   dSigma = dT T' + T dT';    r_ij = Sigma_ij / sqrt(Sigma_ii Sigma_jj)

Terms of one grouping with the same effects (rr + diag) add up to one Sigma.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError, closest
from .components import covariance_slopes, flat_directions, is_structured
from .derive import correlation, interval, standard_error
from .derived_text import plain
from .derived_value import Value

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Group:
    """One or more terms of one grouping with the same effects.

    Attributes
    ----------
    terms : their numbers. text : as the user wrote them.
    """

    terms: tuple[int, ...]
    name: str
    effects: tuple[str, ...]
    levels: Sequence[Any]
    text: str

    @property
    def m(self) -> int:
        return len(self.effects)


def groups_of(fit: Any) -> list[Group]:
    """All groups, in the order of the terms."""
    found: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for k, term in enumerate(fit.labels.terms):
        found.setdefault((term.group, tuple(term.effects)), []).append(k)
    labels = fit.labels.terms
    return [
        Group(tuple(ks), name, effects, labels[ks[0]].levels, " + ".join(labels[k].text for k in ks))
        for (name, effects), ks in found.items()
    ]


def group_named(fit: Any, term: str | None, asked: str, several: bool = False) -> Group:
    """The group that a text means: its name, the column inside vm(...), or the text of a term; None the only one there is.

    Parameters
    ----------
    asked : the method, for errors. several : whether only groups of two effects or more count where `term` is None.

    Raises
    ------
    ModelError : none, or several.
    """
    every = groups_of(fit)
    if not every:
        raise ModelError(f"{asked}: {fit.formula} has no random effects.")
    if term is None:
        found = [g for g in every if g.m > 1] if several else every
        if len(found) == 1:
            return found[0]
        if not found:
            raise ModelError(
                f"{asked}: no random term of {fit.formula} has two effects or more, such as us(0 + env | gen)."
            )
        names = ", ".join(repr(_shortest(g, every)) for g in found)
        raise ModelError(
            f"{asked}: there are {len(found)} terms: say which, term={names.split(', ')[0]}. They are {names}."
        )
    if not isinstance(term, str):
        raise ModelError(f"{asked}: term= is the name of a group, such as {every[0].name!r}, not {term!r}.")
    wanted = plain(term)
    for called in (_exact, _alias):
        found = [g for g in every if wanted in called(fit, g)]
        if len(found) == 1:
            return found[0]
        if found:
            texts = ", ".join(repr(g.text) for g in found)
            raise ModelError(
                f"{asked}: '{term}' is the group of {len(found)} terms. Write one of them: {texts}."
            )
    near = closest(term, [n for g in every for n in (g.name, g.text)])
    known = ", ".join(repr(g.name) for g in every)
    raise ModelError(
        f"{asked}: no random term is called '{term}'. "
        + (f"The closest is '{near}'." if near else f"There are {known}.")
    )


def _exact(fit: Any, group: Group) -> set[str]:
    return {plain(group.name), plain(group.text), *(plain(fit.labels.terms[k].text) for k in group.terms)}


def _alias(fit: Any, group: Group) -> set[str]:
    name = group.name.strip()
    return {plain(name[3:-1].split(",")[0])} if name.startswith("vm(") and name.count("(") == 1 else set()


def _shortest(group: Group, every: list[Group]) -> str:
    return group.name if sum(g.name == group.name for g in every) == 1 else group.text


def sigma_of(fit: Any, group: Group) -> tuple[Array, Array]:
    """Sigma (m, m) and its slopes (k + 1, m, m)."""
    sigma = sum(fit.solution.covariances[k] for k in group.terms)
    slopes = sum(covariance_slopes(fit.solution, k) for k in group.terms)
    return np.asarray(sigma), np.asarray(slopes)


# -- tables ------------------------------------------------------------------------------------------------------


def covariance_table(fit: Any, term: str | None, level: float) -> dict[str, Any]:
    """Variances and covariances of a term's effects, as plain columns."""
    group = group_named(fit, term, "covariance")
    sigma, slopes = sigma_of(fit, group)
    covariance, flat = fit.solution.information.covariance, flat_directions(fit)
    out: dict[str, list] = {
        k: [] for k in ("effect1", "effect2", "covariance", "std_error", "conf_low", "conf_high")
    }
    for i in range(group.m):
        for j in range(i + 1):
            limits = (0.0 if i == j else -np.inf), np.inf
            value = Value(float(sigma[i, j]), slopes[:, i, j], limits)
            error, _ = standard_error(value, covariance, flat)
            row = (
                group.effects[j],
                group.effects[i],
                value.value,
                error,
                *interval(value.value, error, limits, level),
            )
            for key, entry in zip(out, row, strict=True):
                out[key].append(entry)
    return out


def correlation_table(fit: Any, term: str | None, level: float) -> dict[str, Any]:
    """Covariances and correlations of the pairs of a term's effects, as plain columns."""
    group = group_named(fit, term, "genetic_correlations", several=True)
    if group.m < 2:
        raise ModelError(
            f"genetic_correlations: {group.text} has one effect: there is nothing to be correlated."
        )
    sigma, slopes = sigma_of(fit, group)
    covariance, flat = fit.solution.information.covariance, flat_directions(fit)
    out: dict[str, list] = {
        k: []
        for k in ("effect1", "effect2", "covariance", "correlation", "std_error", "conf_low", "conf_high")
    }
    for i in range(group.m):
        for j in range(i):
            value = correlation(sigma, slopes, i, j, "r")
            error, _ = standard_error(value, covariance, flat)
            limits = interval(value.value, error, value.range, level)
            row = group.effects[j], group.effects[i], float(sigma[i, j]), value.value, error, *limits
            for key, entry in zip(out, row, strict=True):
                out[key].append(entry)
    return out


def correlation_matrix(sigma: Array) -> Array:
    """Sigma on the scale of correlations; NaN beside a variance of 0."""
    sd = np.sqrt(np.diag(sigma))
    with np.errstate(invalid="ignore", divide="ignore"):
        out = sigma / np.outer(sd, sd)
    live = sd > 0
    out[np.ix_(live, live)] = np.clip(out[np.ix_(live, live)], -1.0, 1.0)
    out[np.flatnonzero(live), np.flatnonzero(live)] = 1.0
    return np.where(np.outer(live, live), out, np.nan)


# -- factors -----------------------------------------------------------------------------------------------------

ROTATIONS = ("none", "principal", "varimax")


@dataclass(frozen=True, eq=False)
class Factors:
    """Lambda, the specific variances and the scores of a group.

    Attributes
    ----------
    loadings : (m, k). specific : (m,). scores : (levels, k), BLUPs of factors of variance K.
    """

    group: Group
    rotation: str
    loadings: Array
    specific: Array
    scores: Array

    @property
    def total(self) -> Array:
        """Variance of each effect, (m,)."""
        return np.sum(self.loadings**2, axis=1) + self.specific

    @property
    def percent(self) -> Array:
        """Part of each effect's variance that the factors explain, in per cent (m,); NaN where there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 100.0 * np.sum(self.loadings**2, axis=1) / np.where(self.total > 0, self.total, np.nan)

    @property
    def by_factor(self) -> Array:
        """Part of the variance of all effects that each factor explains, in per cent (k,)."""
        return 100.0 * np.sum(self.loadings**2, axis=0) / max(float(self.total.sum()), 1e-300)


def factors_of(fit: Any, term: str | None, rotation: str) -> Factors:
    """The factors of an fa or rr term, with the specific variances of a diag beside it.

    Raises
    ------
    ModelError : a term without factors, or another rotation.
    """
    from ..structures.loadings import rotate

    if rotation not in ROTATIONS:
        near = closest(rotation, ROTATIONS) if isinstance(rotation, str) else None
        raise ModelError(
            f"loadings: there is no rotation {rotation!r}: write '{near or 'principal'}' (there are {', '.join(ROTATIONS)})."
        )
    group = _factorial(fit, term)
    solution = fit.solution
    k = next(k for k in group.terms if _is_factorial(fit, k))
    structure, engine = solution.terms[k].structure, solution.terms[k]
    count = structure.k
    factor = np.sqrt(solution.scale2) * engine.back @ solution.point.factors[k]
    loadings = factor[:, :count]
    specific = np.sum(factor[:, count:] ** 2, axis=1)
    for other in group.terms:
        if other != k:
            specific = specific + np.diag(solution.covariances[other])
    scores = solution.factor_scores[k][:, :count]
    if engine.lift is not None:
        scores = engine.lift @ scores
    if rotation == "none":
        return Factors(group, rotation, loadings, specific, scores)
    turned = rotate(loadings, rotation)
    return Factors(group, rotation, turned.loadings, specific, scores @ turned.matrix)


def _is_factorial(fit: Any, k: int) -> bool:
    return (
        is_structured(fit)
        and fit.labels.terms[k].structure in ("fa", "rr")
        and hasattr(fit.solution.terms[k].structure, "k")
    )


def _factorial(fit: Any, term: str | None) -> Group:
    if term is not None:
        group = group_named(fit, term, "loadings")
        found = [k for k in group.terms if _is_factorial(fit, k)]
        if len(found) != 1:
            raise ModelError(
                f"loadings: {group.text} has no factors: fa(... | ..., k=2) and rr(... | ..., k=2) have."
            )
        return _with_diagonals(fit, group, found[0])
    every = [g for g in groups_of(fit) if sum(_is_factorial(fit, k) for k in g.terms) == 1]
    if not every:
        raise ModelError(
            f"loadings: no term of {fit.formula} has factors: fa(... | ..., k=2) and rr(... | ..., k=2) have."
        )
    if len(every) > 1:
        names = ", ".join(repr(g.text) for g in every)
        raise ModelError(
            f"loadings: there are {len(every)} terms with factors: say which, term= one of {names}."
        )
    return _with_diagonals(fit, every[0], next(k for k in every[0].terms if _is_factorial(fit, k)))


def _with_diagonals(fit: Any, group: Group, k: int) -> Group:
    for other in group.terms:
        structure = fit.labels.terms[other].structure
        if other != k and structure not in ("diag", "id"):
            raise ModelError(
                f"loadings: {fit.labels.terms[other].text} stands beside {fit.labels.terms[k].text} and is not diagonal: its "
                "covariances are neither common nor specific."
            )
    return group


class Loadings:
    """What `fit.loadings` returns: print it, or take its tables.

    Attributes
    ----------
    table : effect, loading_1 ..., specific (variance), variance (total), percent_explained.
    explained : factor, percent_explained (of the variance of all effects), cumulative.
    scores : group, level, score_1 ...: BLUPs of the factors.
    loadings, specific, factor_scores : the same as arrays.
    percent_explained : of all effects together.
    """

    def __init__(self, found: Factors, library: str):
        self._found, self._library = found, library
        self.rotation = found.rotation
        self.loadings, self.specific, self.factor_scores = found.loadings, found.specific, found.scores

    @property
    def percent_explained(self) -> float:
        return float(self._found.by_factor.sum())

    def columns(self) -> dict[str, Any]:
        """`table` as plain columns."""
        found = self._found
        return {
            "effect": list(found.group.effects),
            **{f"loading_{j + 1}": found.loadings[:, j] for j in range(found.loadings.shape[1])},
            "specific": found.specific,
            "variance": found.total,
            "percent_explained": found.percent,
        }

    @property
    def table(self) -> Any:
        from ..frame import give_back

        return give_back(self.columns(), self._library)

    @property
    def explained(self) -> Any:
        from ..frame import give_back

        each = self._found.by_factor
        names = [f"factor {j + 1}" for j in range(len(each))]
        return give_back(
            {"factor": names, "percent_explained": each, "cumulative": np.cumsum(each)}, self._library
        )

    @property
    def scores(self) -> Any:
        from ..frame import give_back

        found = self._found
        count = len(found.scores)
        return give_back(
            {
                "group": [found.group.name] * count,
                "level": [str(v) for v in found.group.levels],
                **{f"score_{j + 1}": found.scores[:, j] for j in range(found.scores.shape[1])},
            },
            self._library,
        )

    def __repr__(self) -> str:
        found = self._found
        k = found.loadings.shape[1]
        width = max(10, *(len(e) for e in found.group.effects))
        how = "" if found.rotation == "none" else f", {found.rotation} rotation"
        lines = [f"Loadings of {found.group.text}{how}", ""]
        lines.append(
            " " * width
            + "".join(f"{f'factor {j + 1}':>11}" for j in range(k))
            + f"{'specific':>11}{'% expl.':>9}"
        )
        for i, effect in enumerate(found.group.effects):
            numbers = "".join(f"{v:>11.4g}" for v in found.loadings[i])
            lines.append(f"{effect:<{width}}{numbers}{found.specific[i]:>11.4g}{found.percent[i]:>9.1f}")
        shares = "".join(f"{v:>11.1f}" for v in found.by_factor)
        lines.append(f"{'% of all':<{width}}{shares}{'':>11}{found.by_factor.sum():>9.1f}")
        return "\n".join(lines)
