"""Functions of the variance components with standard errors and intervals: heritabilities, correlations, ratios.

    std_error^2 = g' V g,     g the exact gradient in (theta, log s2), by forward differentiation; V their covariance

The interval is made on a scale on which the quantity has no bounds, and taken back:

    logit      range [0, c]       log(x / (c - x))                        log    range [0, inf)      log x
    fisher_z   range [-1, 1]      (log(1 + x) - log(1 - x)) / 2           identity   elsewhere

The range is that of the expression (`derived_value`). A quantity that is estimated at the edge of its range has no standard error;
its interval is one-sided, from the profile likelihood: all values at which the deviance is no more than the quantile higher.
Sources: Lynch & Walsh (1998) Genetics and Analysis of Quantitative Traits, app. 1; Venzon & Moolgavkar (1988) Applied Statistics 37,
87-94; Self & Liang (1987) JASA 82, 605-610.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FormulaError, ModelError
from .components import Component, components, covariance_slopes, flat_directions
from .derived_text import Applied, Helper, Number, Reference, Statement, plain, read, unknown
from .derived_value import Value, apply, constant, symbol, undefined
from .student import quantile, require_level

Array = np.ndarray
METHODS = ("wald", "profile")
_EDGE = 1e-9
_MOVES = 1e-6
_COSTLY = 1e9
"""Operations of a factorisation beyond which the profile likelihood, some fifty of them, must be asked for."""


def derive(
    fit: Any, expressions: str | Sequence[str], level: float = 0.95, method: str = "wald"
) -> dict[str, Any]:
    """See `Derived.derive`, whose arguments these are; plain columns."""
    require_level(level, "derive")
    if method not in METHODS:
        raise ModelError(f"derive: method is 'wald' or 'profile', not {method!r}.")
    names = Names(fit)
    statements = names.read(expressions)
    values = evaluate(statements, names)
    covariance = fit.solution.information.covariance
    flat = flat_directions(fit)
    out: dict[str, list] = {
        k: [] for k in ("name", "estimate", "std_error", "conf_low", "conf_high", "scale", "note")
    }
    for i, (statement, value) in enumerate(zip(statements, values, strict=True)):
        error, note = standard_error(value, covariance, flat)
        scale = scale_of(value.range)
        low, high = interval(value.value, error, value.range, level)
        edge = at_edge(value)
        costly = method == "wald" and fit.solution.problem.system.flops > _COSTLY
        if edge and costly:
            note += "; method='profile' looks for a one-sided limit"
        if not value.says and (edge or method == "profile") and not costly:
            # An estimate on the boundary has the likelihood alone to tell how far off it may be.
            found = (
                _profile(fit, names, statements, i, value, edge, level) if _estimated(value, names) else None
            )
            if found is not None:
                low, high, said = found
                note = "; ".join(part for part in (note, said) if part)
                scale = "profile"
        for key, entry in zip(out, (statement.name, value.value, error, low, high, scale, note), strict=True):
            out[key].append(entry)
    return out


def _estimated(value: Value, names: Names) -> bool:
    """Whether something of it was estimated."""
    return value.quotient is None or any(
        i >= _FRESH or names.rows[i].bound != "F" for m in (*value.quotient[0], *value.quotient[1]) for i in m
    )


def _profile(
    fit: Any, names: Names, statements: list[Statement], i: int, value: Value, edge: str, level: float
) -> tuple[float, float, str] | None:
    from .derive_profile import limits

    return limits(fit, lambda made: evaluate(statements[: i + 1], names.moved(made))[i], value, edge, level)


# -- numbers -----------------------------------------------------------------------------------------------------


def evaluate(statements: Sequence[Statement], names: Names) -> list[Value]:
    """The value of each statement; later ones see those before them."""
    earlier: dict[str, Value] = {}
    out = []
    for statement in statements:
        value = _evaluate(statement.tree, names, earlier, statement.text)
        earlier[plain(statement.name)] = value
        out.append(value)
    return out


def _evaluate(tree: Any, names: Names, earlier: dict[str, Value], text: str) -> Value:
    if isinstance(tree, Number):
        return constant(tree.value, names.size)
    if isinstance(tree, Reference):
        known = earlier.get(plain(tree.name))
        return names.value(tree, text) if known is None else known
    if isinstance(tree, Helper):
        return names.of_effects(tree, text)
    assert isinstance(tree, Applied)
    arguments = tuple(_evaluate(a, names, earlier, text) for a in tree.arguments)
    return apply(tree.name, arguments, tree.text)


def standard_error(value: Value, covariance: Array, flat: Array) -> tuple[float, str]:
    """The delta method's, and what must be said: NaN where there is none."""
    if value.says:
        return np.nan, value.says
    edge = at_edge(value)
    if edge:
        return np.nan, f"estimated as {edge}, on the boundary"
    if not np.isfinite(value.slope).all():
        return np.nan, "not differentiable here"
    if not np.any(value.slope):
        return np.nan, "nothing of it is estimated"
    if len(flat) and np.any(np.abs(flat @ value.slope) > _MOVES * np.abs(value.slope).max()):
        return np.nan, "these data cannot tell it from others (see fit.status)"
    error = float(np.sqrt(max(value.slope @ covariance @ value.slope, 0.0)))
    if error == 0.0:
        return np.nan, "nothing of it is estimated"
    return error, ""


def at_edge(value: Value) -> str:
    """The end of the range that the estimate is at, as text; "" inside."""
    low, high = value.range
    if value.says or low == high:
        return ""
    size = max(1.0, abs(value.value)) if not np.isfinite(high - low) else high - low
    for end in (low, high):
        if np.isfinite(end) and abs(value.value - end) <= _EDGE * size:
            return f"{end:g}"
    return ""


def scale_of(limits: tuple[float, float]) -> str:
    """The name of the scale on which an interval is made."""
    low, high = limits
    if low == -1.0 and high == 1.0:
        return "fisher_z"
    if np.isfinite(low) and np.isfinite(high):
        return "logit"
    return "log" if np.isfinite(low) or np.isfinite(high) else "identity"


def interval(estimate: float, error: float, limits: tuple[float, float], level: float) -> tuple[float, float]:
    """Estimate -+ quantile of the normal distribution times the standard error, on the scale of the range, and back."""
    if not np.isfinite(error):
        return np.nan, np.nan
    half = float(quantile(level, np.array(np.inf))) * error
    low, high = limits
    if np.isfinite(low) and np.isfinite(high):
        a, b = estimate - low, high - estimate
        middle, half = np.log(a / b), half * (high - low) / (a * b)
        return tuple(low + (high - low) * _expit(middle + s * half) for s in (-1.0, 1.0))  # type: ignore[return-value]
    if np.isfinite(low):
        a = estimate - low
        return low + a * np.exp(-half / a), low + a * _exp(half / a)
    if np.isfinite(high):
        b = high - estimate
        return high - b * _exp(half / b), high - b * np.exp(-half / b)
    return estimate - half, estimate + half


def _expit(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-x))) if x > -700.0 else 0.0


def _exp(x: float) -> float:
    return float(np.exp(x)) if x < 700.0 else float("inf")


# -- names -------------------------------------------------------------------------------------------------------


class Names:
    """What the names of an expression stand for in one fit."""

    def __init__(self, fit: Any):
        self.fit = fit
        self.labels = fit.labels
        self.solution = fit.solution
        self.rows = components(fit)
        self.size = len(fit.solution.information.covariance)
        self._index()

    def moved(self, made: Moved) -> Names:
        """The same names at other parameters."""
        out = object.__new__(Names)
        out.__dict__.update(self.__dict__)
        out.rows, out.size, out.solution, out._moved = made.rows, made.size, None, made
        return out

    _moved: Moved | None = None

    def _index(self) -> None:
        groups: dict[str, list[int]] = {}
        terms: dict[str, list[int]] = {}
        self.exact: dict[str, int] = {}
        self.shown: list[str] = []
        for i, row in enumerate(self.rows):
            groups.setdefault(row.group, []).append(i)
            terms.setdefault(row.term, []).append(i)
        self.several: dict[str, list[int]] = {}
        for group, rows in groups.items():
            found = self._of_group(group, rows)
            self.shown.append(group)
            if found is None:
                self.several[plain(group)] = rows
            else:
                self.exact[plain(group)] = found
        for i, row in enumerate(self.rows):
            name = f"{row.group}: {row.term}"
            if plain(name) not in self.exact:
                self.exact[plain(name)] = i
                self.shown.append(name)
            else:
                self.several.setdefault(plain(name), [self.exact[plain(name)]]).append(i)
        aliases = self._aliases(groups)
        for alias, group in aliases.items():
            self._also(alias, group)
            for i in groups[group]:
                self._also(f"{alias}: {self.rows[i].term}", f"{group}: {self.rows[i].term}")
        for term, rows in terms.items():
            if len(rows) == 1:
                self._also(term, f"{self.rows[rows[0]].group}: {term}")

    def _also(self, name: str, same_as: str) -> None:
        key, other = plain(name), plain(same_as)
        if key in self.exact or key in self.several:
            return
        if other in self.exact:
            self.exact[key] = self.exact[other]
        elif other in self.several:
            self.several[key] = self.several[other]
        self.shown.append(name)

    def _of_group(self, group: str, rows: list[int]) -> int | None:
        """The row that the group's name alone means: the only one, or its only variance."""
        if len(rows) == 1:
            return rows[0]
        named = [i for i in rows if self.rows[i].term == group and self.rows[i].variance]
        variances = named or [i for i in rows if self.rows[i].variance]
        loadings = any(self.rows[i].unit == 1 for i in rows)
        return variances[0] if len(variances) == 1 and not loadings else None

    def _aliases(self, groups: Iterable[str]) -> dict[str, str]:
        """The column inside vm(column, K), where no other group has it."""
        found: dict[str, list[str]] = {}
        for group in groups:
            inner = group.strip()
            if inner.startswith("vm(") and inner.endswith(")") and inner.count("(") == 1:
                found.setdefault(inner[3:-1].split(",")[0].strip(), []).append(group)
        return {a: g[0] for a, g in found.items() if len(g) == 1}

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, expressions: str | Sequence[str]) -> list[Statement]:
        """Statements of a text or several, their names checked."""
        texts = [expressions] if isinstance(expressions, str) else expressions
        if not isinstance(texts, list | tuple) or not texts:
            raise FormulaError(
                "derive: give a text such as 'h2 = animal / (animal + Residual)', or a list of them."
            )
        out: list[Statement] = []
        seen: set[str] = set()
        for text in texts:
            for statement in read(text, [*self.shown, *(s.name for s in out)]):
                key = plain(statement.name)
                written = statement.text[statement.span[1] :].lstrip().startswith("=")
                if written and (key in self.exact or key in self.several):
                    raise FormulaError(
                        f"derive: '{statement.name}' is the name of a variance component: choose another.",
                        statement.text,
                        statement.span,
                    )
                if written and key in seen:
                    raise FormulaError(
                        f"derive: '{statement.name}' is defined twice.", statement.text, statement.span
                    )
                if written:
                    seen.add(key)
                self._check(statement.tree, statement.text, {plain(s.name) for s in out})
                out.append(statement)
        return out

    def _check(self, tree: Any, text: str, earlier: set[str]) -> None:
        if isinstance(tree, Reference) and plain(tree.name) not in earlier:
            self.row(tree, text)
        elif isinstance(tree, Helper):
            self._effects(tree, text)
        elif isinstance(tree, Applied):
            for argument in tree.arguments:
                self._check(argument, text, earlier)

    def row(self, reference: Reference, text: str) -> int:
        """The row that a name means.

        Raises
        ------
        FormulaError : none, or several.
        """
        key = plain(reference.name)
        if key in self.exact:
            return self.exact[key]
        if key in self.several:
            rows = self.several[key]
            names = [f"'{self.rows[i].group}: {self.rows[i].term}'" for i in rows]
            if len(set(names)) < len(names):
                raise FormulaError(
                    f"derive: two components are called {names[0]}: '{reference.name}' could be either.",
                    text,
                    reference.span,
                )
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            raise FormulaError(
                f"derive: '{reference.name}' has {len(rows)} components: say which.",
                text,
                reference.span,
                f"They are {', '.join(names[:6])}{more}; of its effects there are var(...), cov(...) and cor(...).",
            )
        raise unknown(reference.name, self.shown, text, reference.span)

    def value(self, reference: Reference, text: str) -> Value:
        """The component that a name means."""
        number = self.row(reference, text)
        row = self.rows[number]
        return symbol(row.value, row.slope, row.range, number)

    # -- effects ---------------------------------------------------------------------------------------------------

    def of_effects(self, helper: Helper, text: str) -> Value:
        """var, cov or cor of effects of one term (or of the terms of one group and the same effects, which add up)."""
        terms, i, j = self._effects(helper, text)
        if terms == "Residual":
            return self._of_residual(helper, i, j, text)
        sigma, slopes = self._sigma(terms)
        if helper.name == "cor":
            return correlation(sigma, slopes, i, j, text[slice(*helper.span)])
        a, b = (i, i) if helper.name == "var" else (max(i, j), min(i, j))
        limits = (0.0 if a == b else -np.inf), np.inf
        number = _FRESH * (terms[0] + 1) + a * len(sigma) + b
        return symbol(float(sigma[a, b]), slopes[:, a, b], limits, number)

    def _sigma(self, terms: Sequence[int]) -> tuple[Array, Array]:
        if self._moved is not None:
            return self._moved.sigma(terms)
        sigma = sum(self.solution.covariances[k] for k in terms)
        return sigma, sum(covariance_slopes(self.solution, k) for k in terms)  # type: ignore[return-value]

    def _effects(self, helper: Helper, text: str) -> tuple[Any, int, int]:
        """The terms, and the numbers of the effects in them."""
        found: list[tuple[Any, int]] = []
        group: str | None = None
        for argument in helper.arguments:
            options = self._places(argument.name)
            if group is not None and ":" not in argument.name:
                options = [o for o in options if o[0] == group] or options
            groups = {o[0] for o in options}
            if not options:
                raise self._no_effect(argument, text)
            if len(groups) > 1:
                names = ", ".join(f"'{g}: {argument.name}'" for g in groups)
                raise FormulaError(
                    f"derive: '{argument.name}' is an effect of several groups.",
                    text,
                    argument.span,
                    f"Write {names}.",
                )
            if group is not None and groups != {group}:
                raise FormulaError(
                    f"derive: '{helper.arguments[0].name}' and '{argument.name}' are effects of different groups, which are independent.",
                    text,
                    helper.span,
                )
            group = options[0][0]
            found.append((options[0][1], options[0][2]))
        assert group is not None
        return found[0][0], found[0][1], found[-1][1]

    def _places(self, name: str) -> list[tuple[str, Any, int]]:
        """(group, terms, effect) of all effects that a name can mean."""
        out = []
        wanted = plain(name)
        for group, (terms, effects) in self._grouped().items():
            for i, effect in enumerate(effects):
                short = (
                    effect[effect.index("[") + 1 : -1] if effect.endswith("]") and "[" in effect else effect
                )
                names = {effect, short}
                if len(effects) == 1:
                    names.add("")
                prefixes = {group, *(a for a, g in self._aliases(self._grouped()).items() if g == group)}
                whole = {plain(f"{p}: {e}" if e else p) for p in prefixes for e in names}
                if wanted in whole or wanted in {plain(e) for e in names if e}:
                    out.append((group, terms, i))
        return out

    def _grouped(self) -> dict[str, tuple[Any, tuple[str, ...]]]:
        """Group -> its terms and their effects, where all its terms have the same; the residual's, where it has covariances."""
        found: dict[str, tuple[Any, tuple[str, ...]]] = {}
        for k, term in enumerate(self.labels.terms):
            group = term.group
            known = found.get(group)
            if known is not None and known[1] == term.effects:
                found[group] = ([*known[0], k], term.effects)
            elif known is None:
                found[group] = ([k], term.effects)
            else:
                found[f"{group} "] = ([k], term.effects)
        residual = [r for r in self.rows if r.number == -1 and r.variance]
        if len(residual) > 1:
            found["Residual"] = ("Residual", tuple(r.term for r in residual))
        return found

    def _no_effect(self, argument: Reference, text: str) -> FormulaError:
        known = [f"{g}: {e}" for g, (_, effects) in self._grouped().items() for e in effects]
        error = unknown(argument.name, known, text, argument.span)
        return FormulaError(
            f"derive: no random term has an effect called '{argument.name}'.",
            text,
            argument.span,
            str(error).splitlines()[-1],
        )

    def _of_residual(self, helper: Helper, i: int, j: int, text: str) -> Value:
        """Of the residual, whose variances and covariances are rows."""
        effects = self._grouped()["Residual"][1]
        a, b = effects[i], effects[j]
        one, two = (self._row_named(e) for e in (a, b))
        assert one is not None and two is not None
        if helper.name == "var" or i == j:
            return symbol(self.rows[one].value, self.rows[one].slope, (0.0, np.inf), one)
        for name, straight in (
            (f"cov({a}, {b})", False),
            (f"cov({b}, {a})", False),
            (f"cor({a}, {b})", True),
            (f"cor({b}, {a})", True),
        ):
            number = self._row_named(name)
            if number is None:
                continue
            row = self.rows[number]
            if straight and helper.name == "cor":
                return symbol(row.value, row.slope, (-1.0, 1.0), number)
            if not straight:
                sigma = np.array([[self.rows[one].value, row.value], [row.value, self.rows[two].value]])
                slopes = np.stack([self.rows[one].slope, row.slope, row.slope, self.rows[two].slope], axis=1)
                if helper.name == "cov":
                    return symbol(row.value, row.slope, (-np.inf, np.inf), number)
                return correlation(sigma, slopes.reshape(-1, 2, 2), 0, 1, text[slice(*helper.span)])
        raise FormulaError(
            f"derive: the residual has no covariance of '{a}' and '{b}' among its parameters.",
            text,
            helper.span,
        )

    def _row_named(self, term: str) -> int | None:
        return next((i for i, r in enumerate(self.rows) if r.number == -1 and r.term == term), None)


_FRESH = 1_000_000_000
"""Numbers of entries of Sigma in monomials, beyond those of the rows."""


def correlation(sigma: Array, slopes: Array, i: int, j: int, text: str) -> Value:
    """Sigma_ij / sqrt(Sigma_ii Sigma_jj) with its slope."""
    a, b, c = float(sigma[i, i]), float(sigma[j, j]), float(sigma[i, j])
    if not (a > 0.0 and b > 0.0):
        return undefined(len(slopes), f"{text}: a variance is estimated as 0")
    root = a**0.5 * b**0.5
    r = c / root
    slope = slopes[:, i, j] / root - 0.5 * r * (slopes[:, i, i] / a + slopes[:, j, j] / b)
    if i == j:
        return Value(1.0, np.zeros(len(slopes)), (1.0, 1.0))
    return Value(float(np.clip(r, -1.0, 1.0)), slope, (-1.0, 1.0))


@dataclass(frozen=True, eq=False)
class Moved:
    """Components at parameters other than the estimates."""

    rows: list[Component]
    size: int
    sigma: Callable[[Sequence[int]], tuple[Array, Array]]
