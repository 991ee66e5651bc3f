"""Estimated marginal means (least-squares means), their contrasts, and joint tests of them, for any fit with linear
coefficients.

A marginal mean is l'b, l an average of rows of X over the reference grid (`inference.grid`); a contrast of marginal means is
c'l b. All that follows needs l alone: standard errors from Var(b^), degrees of freedom from the fit, what cannot be estimated
from the null space of X, families and their correlations for the adjustment (`inference.multiplicity`).

Searle, Speed & Milliken (1980) Am. Stat. 34; Lenth (2016) J. Stat. Software 69 describes the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from ..design.values import is_number
from ..errors import ModelError, closest
from ..formula import parse
from ..formula.functions import arithmetic_names
from ..frame import give_back
from .back_transform import BackTransform, back_transform
from .contrast_sets import contrast_set, label_of
from .grid import WEIGHTS, ReferenceGrid, fixed_names, require_variable
from .joint import degrees_of_freedom, zero_together
from .multiplicity import (
    Family,
    adjusted_p,
    critical_values,
    limits_method,
    method_named,
    require_suitable,
    sampling_error,
)
from .protocol import LinearEstimates
from .student import require_level

_NEAR = 0.05
"""Share of its range to both sides of its mean between which a covariate is tested."""
_TYPES = ("link", "response")


@dataclass(frozen=True)
class Options:
    """How estimates are shown.

    Attributes
    ----------
    level : of the limits. df : a method, or a number. adjust : of p-values and limits.
    back : the inverse of the left side where estimates are shown on the scale of the response; sigma, of the errors that
        its mean is taken over (0: none).
    """

    level: float = 0.95
    df: Any = None
    adjust: str = "none"
    back: BackTransform | None = None
    sigma: float = 0.0


@dataclass(frozen=True, eq=False)
class Functions:
    """k linear functions of the p coefficients and what they are of.

    Attributes
    ----------
    rows : (k, p); offset : (k,). labels : column of the table -> k values.
    names : the columns that tell the functions of a family apart; by : those that tell families apart.
    empty : (k,) whether there is nothing to weigh by.
    """

    rows: np.ndarray
    offset: np.ndarray
    labels: dict[str, list[Any]]
    names: tuple[str, ...]
    by: tuple[str, ...]
    empty: np.ndarray

    def families(self, by: Sequence[str]) -> list[np.ndarray]:
        """Places of the functions of each combination of the columns `by`, in the order they come."""
        keys: dict[tuple[Any, ...], list[int]] = {}
        for i in range(len(self.rows)):
            keys.setdefault(tuple(self.labels[name][i] for name in by), []).append(i)
        return [np.array(places) for places in keys.values()]


class Estimates:
    """Estimates of linear functions of the coefficients.

    `table` is a data frame in the caller's own library; `print` shows it with its notes; `estimates["estimate"]` is a column.
    """

    _tested = False
    """Whether there is a test that each is zero."""

    def __init__(
        self, fit: LinearEstimates, functions: Functions, options: Options, notes: Sequence[str] = ()
    ):
        self.fit = fit
        self.functions = functions
        self.options = options
        self._notes = tuple(notes)
        if len(functions.rows) and not self.estimable.any():
            raise ModelError(f"none of these can be estimated. {self.reasons[0]}")

    # -- facts -------------------------------------------------------------------------------------------

    @cached_property
    def table(self) -> Any:
        """The estimates as a data frame in the caller's own library."""
        return give_back(self.columns, self.fit.library)

    @cached_property
    def columns(self) -> dict[str, Any]:
        """`table` as plain columns."""
        return {**self._labels(), **self._numbers()}

    @property
    def linear_functions(self) -> np.ndarray:
        """(k, p): the rows l of l'b, over all columns of X."""
        return self.functions.rows

    @cached_property
    def estimable(self) -> np.ndarray:
        """(k,) whether each can be estimated."""
        rows = self.functions.rows
        finite = ~self.functions.empty & np.isfinite(rows).all(axis=1)
        out = np.zeros(len(rows), dtype=bool)
        if finite.any():
            out[finite] = self.fit.columns.estimable(rows[finite])
        return out

    @cached_property
    def reasons(self) -> list[str]:
        """Why each cannot be estimated; "" where it can."""
        from ..design.aliasing import why_not

        if self.estimable.all():
            return [""] * len(self.estimable)
        design = _rows_of(self.fit)
        out = []
        for i, can in enumerate(self.estimable):
            if can:
                out.append("")
            elif self.functions.empty[i]:
                out.append("No row of the data is there to weigh by.")
            else:
                out.append(why_not(self.fit.columns, design, self.functions.rows[i]))
        return out

    @cached_property
    def covariance(self) -> np.ndarray:
        """(k, k) of the estimates, NaN where one cannot be estimated."""
        kept = np.where(self.estimable[:, None], self._kept, np.nan)
        return kept @ self.fit.vcov @ kept.T

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers are: averages, scale, level, degrees of freedom, adjustment."""
        said = [*self._notes, *self._adjustment_notes()]
        if not self.estimable.all():
            said.append("NaN: cannot be estimated; the column note says why.")
        return tuple(said)

    # -- work --------------------------------------------------------------------------------------------

    def pairs(
        self, adjust: str | None = None, by: str | Sequence[str] | None = None, reverse: bool = False
    ) -> Contrasts:
        """All differences within each family. See `contrast`."""
        return self.contrast("pairwise", adjust=adjust, by=by, reverse=reverse)

    def contrast(
        self,
        method: Any = "pairwise",
        adjust: str | None = None,
        by: str | Sequence[str] | None = None,
        reference: Any = None,
        reverse: bool = False,
        interaction: bool = False,
        level: float | None = None,
    ) -> Contrasts:
        """Contrasts of the estimates, within each family.

        Parameters
        ----------
        method : "pairwise" and "revpairwise" (all differences), "trt.vs.ctrl" (with `reference`, the first by default) and
            "trt.vs.ctrlk" (with the last), "consec" (each with the one before), "eff" (with the mean of all), "del.eff"
            (with the mean of the others), "mean_chg" (the mean after a point with that before it), "helmert" (each with
            the mean of those before it), "poly" (orthogonal polynomials, in whole numbers); or a dict of name -> weights.
        adjust : see `inference.multiplicity`; by default the one that suits the contrasts.
        by : columns whose combinations are the families, in place of those of the estimates; () for one family of all.
        reference : the control: a level, or its number from 0.
        interaction : contrasts of each variable in turn, of contrasts of the next.
        level : of the limits; that of the estimates by default.

        Returns
        -------
        Contrasts. `table`: contrast, the columns `by`, estimate, std_error, df, statistic, p_value, conf_low, conf_high; and
        note, where one cannot be estimated.

        Raises
        ------
        ModelError : an unknown method, adjustment or column (the closest is named); nothing that can be estimated.
        """
        families_by = self.functions.by if by is None else self._columns_named(by)
        if level is not None:
            require_level(level, "contrast")
        names = tuple(n for n in (*self.functions.names, *self.functions.by) if n not in families_by)
        if not names:
            raise ModelError("contrast: by= leaves nothing to contrast.")
        return _contrasts(
            self,
            method,
            adjust,
            families_by,
            names,
            reference,
            reverse,
            interaction,
            level or self.options.level,
        )

    def joint_tests(self, by: str | Sequence[str] | None = None) -> Any:
        """F tests, within each family, that there are no differences: of each variable averaged over the others, and of
        each of their interactions. Columns: the columns `by`, term, df1, df2, statistic, p_value; and note.
        """
        families_by = self.functions.by if by is None else self._columns_named(by)
        names = tuple(n for n in (*self.functions.names, *self.functions.by) if n not in families_by)
        return give_back(_joint_columns(self, families_by, names), self.fit.library)

    def _columns_named(self, by: str | Sequence[str]) -> tuple[str, ...]:
        wanted = (by,) if isinstance(by, str) else tuple(by)
        there = (*self.functions.names, *self.functions.by)
        for name in wanted:
            if name not in there:
                near = closest(str(name), there)
                hint = f"The closest is '{near}'." if near else f"There are {', '.join(map(repr, there))}."
                raise ModelError(f"by: these estimates have no column '{name}'. {hint}")
        return wanted

    # -- numbers -----------------------------------------------------------------------------------------

    @cached_property
    def _kept(self) -> np.ndarray:
        return self.functions.rows[:, self.fit.columns.kept]

    @cached_property
    def _basic(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Estimates, standard errors and degrees of freedom on the scale of the model, NaN where there are none."""
        can = self.estimable
        estimate, error, df = (np.full(len(can), np.nan) for _ in range(3))
        kept = self._kept[can]
        estimate[can] = kept @ self.fit.coefficients + self.functions.offset[can]
        error[can] = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", kept, self.fit.vcov, kept), 0.0))
        if can.any():
            df[can] = degrees_of_freedom(self.fit, kept, self.options.df)
        return estimate, error, df

    @cached_property
    def _families(self) -> list[tuple[np.ndarray, Family]]:
        """Places of what can be estimated in each family, and the family."""
        out = []
        for places in self.functions.families(self.functions.by):
            there = places[self.estimable[places]]
            if len(there):
                kept = self._kept[there]
                out.append((there, self._family(there, kept @ self.fit.vcov @ kept.T)))
        return out

    def _family(self, places: np.ndarray, covariance: np.ndarray) -> Family:
        return Family(len(places), None, False, covariance)

    def _numbers(self) -> dict[str, Any]:
        estimate, error, df = self._basic
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = estimate / error
        p, half = np.full(len(df), np.nan), np.full(len(df), np.nan)
        for places, family in self._families:
            p[places] = adjusted_p(statistic[places], df[places], self.options.adjust, family)
            method = limits_method(self.options.adjust)
            half[places] = critical_values(self.options.level, df[places], method, family) * error[places]
        shown, spread, low, high = self._shown(estimate, error, estimate - half, estimate + half)
        out: dict[str, Any] = {"estimate": shown, "std_error": spread, "df": df}
        if self._tested:
            out |= {"statistic": statistic, "p_value": p}
        out |= {"conf_low": low, "conf_high": high}
        if not self.estimable.all():
            out["note"] = self.reasons
        return out

    def _shown(
        self, estimate: np.ndarray, error: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        back = self.options.back
        if back is None:
            return estimate, error, low, high
        sigma = self.options.sigma
        value, slope = back(estimate, sigma)
        ends = np.stack([back(low, sigma)[0], back(high, sigma)[0]])
        low, high = np.min(ends, axis=0), np.max(ends, axis=0)
        # Limits on both sides of a pole, such as that of 1 / y at 0: the interval has no end there.
        above, below = value > high, value < low
        low, high = np.where(above, high, low), np.where(below, low, high)
        return value, np.abs(slope) * error, np.where(below, -np.inf, low), np.where(above, np.inf, high)

    def _labels(self) -> dict[str, Any]:
        order = (*self.functions.names, *self.functions.by)
        return {name: self.functions.labels[name] for name in order}

    def _adjustment_notes(self) -> list[str]:
        said = []
        adjust = self.options.adjust
        sizes = {family.count for _, family in self._families}
        if adjust != "none" and max(sizes, default=0) > 1:
            count = str(min(sizes)) if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"
            what = f"{adjust}, for families of {count}"
            limits = limits_method(adjust)
            if limits != adjust:
                said.append(f"p-values adjusted by {what}; limits by {limits}.")
            else:
                said.append(f"{'p-values and limits' if self._tested else 'Limits'} adjusted by {what}.")
            estimate, error, df = self._basic
            with np.errstate(divide="ignore", invalid="ignore"):
                statistic = estimate / error
            wrong = [sampling_error(statistic[at], df[at], adjust, family) for at, family in self._families]
            if max(wrong) > 0.0:
                said.append(f"The adjusted p-values have standard errors of up to {max(wrong):.1g}.")
        return said

    # -- as a table --------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.functions.rows)

    def __getitem__(self, column: str) -> Any:
        """A column of the table."""
        if column not in self.columns:
            near = closest(str(column), self.columns)
            hint = f"The closest is '{near}'." if near else f"There are {', '.join(self.columns)}."
            raise ModelError(f"the table has no column {column!r}. {hint}")
        return self.table[column]

    def __repr__(self) -> str:
        return "\n".join([*_lines(self.columns), "", *self.notes])

    def _repr_html_(self) -> str:
        made = getattr(self.table, "_repr_html_", None)
        notes = "<br>".join(note.replace("<", "&lt;") for note in self.notes)
        return f"{made() if made else '<pre>' + repr(self.table) + '</pre>'}<p>{notes}</p>"


class MarginalMeans(Estimates):
    """Estimated marginal means (or slopes of them)."""

    def letters(self, alpha: float = 0.05, adjust: str | None = None) -> Any:
        """The table with a column `letters`: means of one family that share a letter do not differ at level alpha.

        The fewest sets that say so, found by splitting and absorbing (Piepho 2004); "a" has the least mean.
        """
        require_level(alpha, "letters")
        columns = dict(self.columns)
        letters = [""] * len(self)
        pairs = self.pairs(adjust)
        p = dict(zip(pairs.members, pairs.columns["p_value"], strict=True))
        for places, _ in self._families:
            order = [int(i) for i in places[np.argsort(self._basic[0][places], kind="stable")]]
            different = [
                (i, j) for i, j in combinations(order, 2) if p.get((i, j), p.get((j, i), np.nan)) < alpha
            ]
            for k, together in enumerate(_sets(order, different)):
                for i in together:
                    letters[i] += chr(ord("a") + k) if k < 26 else f"({k + 1})"
        return give_back({**columns, "letters": letters}, self.fit.library)


class MarginalSlopes(MarginalMeans):
    """Slopes of marginal means in a covariate."""

    _tested = True


class Contrasts(Estimates):
    """Contrasts of estimates."""

    _tested = True

    def __init__(
        self,
        fit: LinearEstimates,
        functions: Functions,
        options: Options,
        notes: Sequence[str],
        members: Sequence[tuple[int, ...]],
        pairwise: bool,
        control: bool,
    ):
        self.members = list(members)
        """Places of the estimates that each contrast has weights for."""
        self._pairwise, self._control = pairwise, control
        super().__init__(fit, functions, options, notes)
        require_suitable(options.adjust, [family for _, family in self._families])

    def _family(self, places: np.ndarray, covariance: np.ndarray) -> Family:
        means = len({i for place in places for i in self.members[place]}) if self._pairwise else None
        return Family(len(places), means, self._control, covariance)

    def adjusted(self, adjust: str) -> Contrasts:
        """The same contrasts with another adjustment."""
        options = replace(self.options, adjust=method_named(adjust))
        return Contrasts(
            self.fit, self.functions, options, self._notes, self.members, self._pairwise, self._control
        )


def emmeans(
    fit: LinearEstimates,
    specs: str | Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    level: float = 0.95,
    df: Any = None,
    adjust: str = "none",
    type: str = "link",
    bias_adjust: bool = False,
    sigma: float | None = None,
) -> MarginalMeans:
    """Estimated marginal means. See `Questions.emmeans`."""
    options = _options(fit, level, df, adjust, type, bias_adjust, sigma, "emmeans")
    names, groups = read_specs(specs, by)
    _known_weights(weights)
    for name in (*names, *groups):
        require_variable(fit, name, fixed_names(fit.spec), "emmeans")
    grid = ReferenceGrid(fit, at)
    for name in (*names, *groups):
        if grid[name].reduced:
            raise ModelError(
                f"emmeans: '{name}' is a covariate. Say at which values, such as at={{'{name}': [0, 1]}}, or ask for its "
                f"slope: fit.slopes('{name}')."
            )
    margins = grid.margins((*names, *groups), weights)
    functions = Functions(margins.rows, margins.offset, margins.labels, names, groups, margins.empty)
    notes = [*grid_notes(fit, grid, (*names, *groups), weights), *_scale_notes(fit, options, type)]
    return MarginalMeans(fit, functions, options, [*notes, *level_notes(fit, options)])


def pairs(
    fit: LinearEstimates,
    specs: str | Sequence[str],
    *,
    adjust: str | None = None,
    reverse: bool = False,
    reference: Any = None,
    **options: Any,
) -> Contrasts:
    """Differences of marginal means. See `Questions.pairs`."""
    means = emmeans(fit, specs, **options)
    dunnett = adjust is not None and method_named(adjust) in ("dunnett", "dunnettx")
    if reference is not None and not dunnett:
        raise ModelError("pairs: reference= is the control of adjust='dunnett'; other differences have none.")
    method = "trt.vs.ctrl" if dunnett else "pairwise"
    return means.contrast(method, adjust=adjust, reverse=reverse, reference=reference)


def joint_tests(
    fit: LinearEstimates,
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    df: Any = None,
) -> dict[str, Any]:
    """F tests of each term in marginal means, within the levels of `by`. See `Questions.joint_tests`."""
    _known_weights(weights)
    _known_df(fit, df, "joint_tests")
    groups = () if by is None else read_specs(by, None)[0]
    known = fixed_names(fit.spec)
    for name in groups:
        require_variable(fit, name, known, "joint_tests")
    ends = {}
    for name in known:
        record = fit.spec["columns"][name]
        if "levels" not in record and name not in (at or {}) and name not in groups and "least" in record:
            half = _NEAR * (record["greatest"] - record["least"])
            if half > 0 and "values" not in record:
                ends[name] = [record["mean"] - half, record["mean"] + half]
    grid = ReferenceGrid(fit, {**ends, **(at or {})})
    out: dict[str, list[Any]] = {}
    varying = {v.name for v in grid.variables if len(v.values) > 1}
    for name in groups:
        if grid[name].reduced:
            raise ModelError(
                f"joint_tests: '{name}' is a covariate: say at which values with at={{'{name}': [...]}}."
            )
    seen = []
    for term in terms_of(fit):
        names = tuple(n for n in grid.names if n in term and n not in groups)
        if not names or names in seen or not set(names) <= varying:
            continue
        seen.append(names)
        margins = grid.margins((*names, *groups), weights)
        functions = Functions(margins.rows, margins.offset, margins.labels, names, groups, margins.empty)
        for places in functions.families(groups):
            rows, offset = _interaction(functions, places, names)
            test = zero_together(fit, rows, offset, df)
            row = {
                **{g: functions.labels[g][places[0]] for g in groups},
                "term": ":".join(names),
                "df1": test.df1,
                "df2": test.df2,
                "statistic": test.statistic,
                "p_value": test.p_value,
                "note": "some of it cannot be estimated and is not tested" if test.reduced else "",
            }
            for key, value in row.items():
                out.setdefault(key, []).append(value)
    if not out:
        raise ModelError("joint_tests: the fixed part has no variable with two levels or more to test.")
    order = _sorted_by(out, groups)
    out = {key: [values[i] for i in order] for key, values in out.items()}
    if not any(out["note"]):
        out.pop("note")
    return out


# -- reading what is asked -----------------------------------------------------------------------------------


def read_specs(specs: Any, by: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names before and after the bar of "a * b | c", or of lists.

    Raises
    ------
    ModelError : neither text nor names; a name twice; a left side such as "pairwise ~".
    """
    text, given = specs, specs
    groups: list[str] = []
    if isinstance(specs, str):
        text = specs.strip()
        if "~" in text:
            left, text = (part.strip() for part in text.split("~", 1))
            if left:
                raise ModelError(
                    f"emmeans: write the names alone, {text!r}, and ask for contrasts with fit.pairs or .contrast({left!r})."
                )
        if "|" in text:
            text, bar = (part.strip() for part in text.split("|", 1))
            groups = _split(bar)
        names = [] if text in ("", "1") else _split(text)
    elif isinstance(specs, Sequence) and all(isinstance(name, str) for name in specs):
        names = list(specs)
    else:
        raise ModelError(
            f"emmeans: names of variables are wanted, such as 'a', 'a | b' or ['a', 'b'], not {given!r}."
        )
    if by is not None:
        if not isinstance(by, str) and not (isinstance(by, Sequence) and all(isinstance(n, str) for n in by)):
            raise ModelError(f"by: names of variables are wanted, not {by!r}.")
        groups += _split(by) if isinstance(by, str) else list(by)
    whole = [*names, *groups]
    twice = next((name for i, name in enumerate(whole) if name in whole[:i]), None)
    if twice is not None:
        where = "both before and after the bar (or in by=)" if twice in names and twice in groups else "twice"
        raise ModelError(f"emmeans: '{twice}' stands {where}; once is enough.")
    return tuple(names), tuple(groups)


def _split(text: str) -> list[str]:
    for sign in "*+:":
        text = text.replace(sign, "\n")
    return [name.strip().strip("`") for name in text.split("\n") if name.strip()]


def _options(
    fit: LinearEstimates,
    level: float,
    df: Any,
    adjust: Any,
    type: str,
    bias_adjust: bool,
    sigma: Any,
    asked: str,
) -> Options:
    require_level(level, asked)
    _known_df(fit, df, asked)
    if type not in _TYPES:
        raise ModelError(f"{asked}: type is 'link' or 'response', not {type!r}.")
    back = back_transform(fit.spec) if type == "response" else None
    if type == "response" and back is None:
        name = parse(fit.spec["formula"]).response_name
        if name not in fit.spec["columns"]:
            raise ModelError(f"{asked}: {name} cannot be undone, so there is no type='response'.")
    spread = 0.0
    if bias_adjust and back is not None:
        spread = fit.sigma if sigma is None else float(sigma)
    return Options(level, df, method_named(adjust), back, spread)


def _known_df(fit: LinearEstimates, df: Any, asked: str) -> None:
    if df is None:
        return
    if isinstance(df, str):
        fit.denominator_df(np.zeros((0, fit.columns.rank)), df)
    elif isinstance(df, bool) or not isinstance(df, (int, float, np.number)) or not df > 0:
        raise ModelError(f"{asked}: df is the name of a method or a number above 0, not {df!r}.")


def _known_weights(weights: Any) -> None:
    if weights not in WEIGHTS:
        near = closest(str(weights), WEIGHTS)
        hint = f"The closest is {near!r}." if near else f"There are {', '.join(map(repr, WEIGHTS))}."
        raise ModelError(f"weights={weights!r} is not known. {hint}")


def _rows_of(fit: LinearEstimates) -> Any:
    try:
        return fit.design
    except ModelError:
        return None


def terms_of(fit: LinearEstimates) -> list[frozenset[str]]:
    """The columns that each fixed term is a function of."""
    formula = parse(fit.spec["formula"])
    return [
        frozenset(n.name for factor in term for n in arithmetic_names(formula.factors[factor]))
        for term in formula.terms
    ]


# -- contrasts -----------------------------------------------------------------------------------------------


@dataclass
class _Gathered:
    coefficients: list[np.ndarray] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)


def _contrasts(
    means: Estimates,
    method: Any,
    adjust: str | None,
    by: tuple[str, ...],
    names: tuple[str, ...],
    reference: Any,
    reverse: bool,
    interaction: bool,
    level: float,
) -> Contrasts:
    functions = means.functions
    back = means.options.back
    found, default, pairwise, control = _Gathered(), "none", False, False
    ratio = back is not None and back.ratio_of is not None
    numbered = _shown_with(functions, names)
    for places in functions.families(by):
        if interaction:
            made = _products(functions, places, names, method, reference, reverse)
        else:
            levels = [label_of([functions.labels[n][i] for n in names], numbered) for i in places]
            control = _place_of(reference, functions, places, names, levels)
            made = contrast_set(method, levels, control, reverse)
        default, pairwise, control = made.adjust, made.pairwise, made.control
        ratio = ratio and bool(np.abs(made.coefficients.sum(axis=1)).max() < 1e-12)
        for row, name in zip(made.coefficients, made.ratios if ratio else made.names, strict=True):
            whole = np.zeros(len(functions.rows))
            whole[places] = row
            found.coefficients.append(whole)
            found.names.append(name)
            found.groups.append(int(places[0]))
    weights = np.array(found.coefficients)
    used = weights != 0.0
    rows = np.array([w[u] @ functions.rows[u] for w, u in zip(weights, used, strict=True)])
    offset = np.array([w[u] @ functions.offset[u] for w, u in zip(weights, used, strict=True)])
    labels: dict[str, list[Any]] = {"contrast": found.names}
    for name in by:
        labels[name if name != "contrast" else "contrast_of"] = [
            functions.labels[name][i] for i in found.groups
        ]
    groups = tuple(name if name != "contrast" else "contrast_of" for name in by)
    empty = np.array([functions.empty[u].any() for u in used])
    made_of = Functions(_clean(rows, weights, functions.rows), offset, labels, ("contrast",), groups, empty)
    options = replace(
        means.options,
        level=level,
        adjust=method_named(default if adjust is None else adjust),
        back=_ratio_of(back) if ratio and back is not None else None,
        sigma=0.0,
    )
    notes = [note for note in means._notes if not note.startswith(("Estimates are", "Limits: "))]
    if back is not None:
        notes.append(
            f"Estimates are ratios of {back.ratio_of}; tests are of {back.name}."
            if ratio
            else f"Estimates are of {back.name}."
        )
    notes += level_notes(means.fit, options)
    members = [tuple(int(i) for i in np.flatnonzero(u)) for u in used]
    return Contrasts(means.fit, made_of, options, notes, members, pairwise, control)


def _place_of(
    reference: Any, functions: Functions, places: np.ndarray, names: tuple[str, ...], levels: list[str]
) -> Any:
    """The control by its level, where that is not what it is called in a contrast."""
    if reference is None or len(names) > 1 or str(reference) in levels:
        return reference
    values = [str(functions.labels[names[0]][i]) for i in places]
    return levels[values.index(str(reference))] if str(reference) in values else reference


def _shown_with(functions: Functions, names: tuple[str, ...]) -> list[str]:
    """For each variable what its levels are shown with: its name where they are all numbers, else nothing."""
    return [n if all(is_number(v) for v in functions.labels[n]) else "" for n in names]


def _clean(rows: np.ndarray, weights: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Contrasts whose columns cancel to rounding are 0 there: their null space is then judged on their own size."""
    size = np.abs(weights) @ np.abs(np.nan_to_num(means))
    return np.where(np.abs(rows) <= 1e-13 * size, 0.0, rows)


def _ratio_of(back: BackTransform) -> BackTransform:
    k = float(np.log(back.base))

    def step(x: np.ndarray) -> Any:
        value = np.exp(k * x)
        return value, k * value, k**2 * value, k**3 * value

    return replace(back, steps=(step,))


def _products(
    functions: Functions,
    places: np.ndarray,
    names: tuple[str, ...],
    method: Any,
    reference: Any,
    reverse: bool,
) -> Any:
    """Contrasts of contrasts: products of the coefficients of one set for each variable."""
    from .contrast_sets import ContrastSet

    levels = _crossed(functions, places, names)
    parts = [
        contrast_set(method, [label_of([value], shown) for value in levels[name]], reference, reverse)
        for name, shown in ((n, _shown_with(functions, (n,))) for n in names)
    ]
    weights: np.ndarray = np.ones((1, 1))
    labels = [""]
    for part in parts:
        weights = np.kron(part.coefficients, weights)
        labels = [f"{old} : {new}" if old else new for new in part.names for old in labels]
    one = len(parts) == 1
    return ContrastSet(
        weights,
        tuple(labels),
        tuple(labels),
        parts[0].adjust if one else "none",
        one and parts[0].pairwise,
        one and parts[0].control,
    )


def _crossed(functions: Functions, places: np.ndarray, names: tuple[str, ...]) -> dict[str, list[Any]]:
    """Levels of each variable in a family that has all of their combinations, the first fastest.

    Raises
    ------
    ModelError : it does not.
    """
    levels = {name: list(dict.fromkeys(functions.labels[name][i] for i in places)) for name in names}
    wanted: list[tuple[Any, ...]] = [()]
    for name in names[::-1]:
        wanted = [(value, *rest) for rest in wanted for value in levels[name]]
    there = [tuple(functions.labels[name][i] for name in names) for i in places]
    if there != wanted:
        raise ModelError(
            f"these estimates are not all combinations of {', '.join(names)}, so their interactions are not defined."
        )
    return levels


# -- joint tests ---------------------------------------------------------------------------------------------


def _interaction(
    functions: Functions, places: np.ndarray, names: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and offsets of the products of differences of neighbours, in each of the variables `names` of a family."""
    levels = _crossed(functions, places, names)
    weights: np.ndarray = np.ones((1, 1))
    for name in names:
        weights = np.kron(np.diff(np.eye(len(levels[name])), axis=0), weights)
    return weights @ functions.rows[places], weights @ functions.offset[places]


def _joint_columns(means: Estimates, by: tuple[str, ...], names: tuple[str, ...]) -> dict[str, Any]:
    functions = means.functions
    out: dict[str, list[Any]] = {
        key: [] for key in (*by, "term", "df1", "df2", "statistic", "p_value", "note")
    }
    for places in functions.families(by):
        levels = _crossed(functions, places, names)
        varying = [name for name in names if len(levels[name]) > 1]
        subsets = [s for size in range(1, len(varying) + 1) for s in combinations(varying, size)]
        for subset in subsets:
            weights: np.ndarray = np.ones((1, 1))
            for name in names:
                k = len(levels[name])
                part = np.diff(np.eye(k), axis=0) if name in subset else np.full((1, k), 1.0 / k)
                weights = np.kron(part, weights)
            rows, offset = weights @ functions.rows[places], weights @ functions.offset[places]
            test = zero_together(
                means.fit, _clean(rows, weights, functions.rows[places]), offset, means.options.df
            )
            if not test.df1 and not test.reduced:
                continue
            for name in by:
                out[name].append(functions.labels[name][places[0]])
            note = "some of it cannot be estimated and is not tested" if test.reduced else ""
            values = (":".join(subset), test.df1, test.df2, test.statistic, test.p_value, note)
            for key, value in zip(
                ("term", "df1", "df2", "statistic", "p_value", "note"), values, strict=True
            ):
                out[key].append(value)
    if not any(out["note"]):
        out.pop("note")
    return out


def _sorted_by(out: dict[str, list[Any]], groups: Sequence[str]) -> list[int]:
    """Rows of one combination of `groups` together, in the order they come."""
    seen: dict[tuple[Any, ...], list[int]] = {}
    for i in range(len(out["term"])):
        seen.setdefault(tuple(out[g][i] for g in groups), []).append(i)
    return [i for places in seen.values() for i in places]


# -- letters -------------------------------------------------------------------------------------------------


def _sets(order: list[int], different: list[tuple[int, int]]) -> list[list[int]]:
    """The sets of members no two of which are different, none within another; by their first member in `order`."""
    sets = [frozenset(order)]
    for i, j in different:
        split: list[frozenset[int]] = []
        for each in sets:
            split += [each - {i}, each - {j}] if i in each and j in each else [each]
        unique = list(dict.fromkeys(split))
        sets = [s for s in unique if s and not any(s < other for other in unique)]
    rank = {member: place for place, member in enumerate(order)}
    return sorted(([m for m in order if m in s] for s in sets), key=lambda s: [rank[m] for m in s])


# -- words ---------------------------------------------------------------------------------------------------


def grid_notes(fit: LinearEstimates, grid: ReferenceGrid, kept: Sequence[str], weights: str) -> list[str]:
    """What is averaged over and how, where covariates stand, and whether what is averaged over interacts."""
    used = frozenset().union(*terms_of(fit))
    shown = [v for v in grid.variables if v.name in used and v.name not in kept]
    averaged = [v for v in shown if len(v.values) > 1]
    fixed = [v for v in shown if len(v.values) == 1]
    said = []
    if averaged:
        names = ", ".join(v.name for v in averaged)
        said.append(
            f"Averaged over {names} ({'equal weights' if weights == 'equal' else weights + ' weights'})."
        )
    if fixed:
        places = [
            f"{v.name} = {v.values[0]:.6g}"
            if not isinstance(v.values[0], str)
            else f"{v.name} = {v.values[0]}"
            for v in fixed
        ]
        said.append(f"At {', '.join(places)}.")
    over = {v.name for v in averaged}
    if any(over & term and set(kept) & term for term in terms_of(fit)):
        said.append("What is averaged over interacts with what is shown: the average may hide differences.")
    return said


def _scale_notes(fit: LinearEstimates, options: Options, type: str) -> list[str]:
    known = back_transform(fit.spec)
    if options.back is not None:
        bias = f", the mean over errors of standard deviation {options.sigma:.6g}" if options.sigma else ""
        return [
            f"Estimates are of {options.back.column}, limits and estimates taken back from {options.back.name}{bias}."
        ]
    return (
        [f"Estimates are of {known.name}; type='response' gives them of {known.column}."]
        if known is not None
        else []
    )


def level_notes(fit: LinearEstimates, options: Options) -> list[str]:
    """The level of the limits and where the degrees of freedom are from."""
    df = (
        fit.df_method
        if options.df is None
        else options.df
        if isinstance(options.df, str)
        else f"{options.df:g}, given"
    )
    return [f"Limits: {100 * options.level:g} %. Degrees of freedom: {df}."]


def _lines(columns: Mapping[str, Any]) -> list[str]:
    """The table as text."""
    cells = []
    for name, values in columns.items():
        number = isinstance(values, np.ndarray) and values.dtype.kind == "f"
        texts = [_number(name, v) if number else str(v) for v in values]
        width = max(len(name), *(len(t) for t in texts))
        cells.append([t.rjust(width) if number else t.ljust(width) for t in (name, *texts)])
    return [" ".join(row).rstrip() for row in zip(*cells, strict=True)]


def _number(name: str, value: float) -> str:
    if np.isnan(value):
        return "NaN"
    if name == "p_value":
        return "<0.0001" if value < 1e-4 else f"{value:.4f}"
    return f"{value:.4g}" if name in ("df", "statistic", "std_error") else f"{value:.6g}"
