"""The reference grid: every combination of the levels of the factors and of chosen values of the covariates.

A marginal mean is an average of the model's means over the cells of this grid, not over the rows of the data (Searle, Speed
& Milliken 1980). Each cell is a row of X, made by `design.rebuild` from the record of the design alone, so that loaded fits
have the same grid. Covariates stand at their mean over the rows used, before any function of the formula (log, poly, ns ...)
is applied; covariates with one or two values stand at each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .. import design as designs
from ..design.factors import names_of
from ..errors import ModelError, closest
from ..formula import parse
from ..formula.expression import Name
from ..frame import Column, Frame, Label
from .columns import fixed_names, terms_of
from .nested_factors import Averaging, Nested, joined, nested_as_asked, nested_in_data, nested_in_formula
from .protocol import LinearEstimates

WEIGHTS = ("equal", "proportional", "outer", "cells", "flat")
LARGEST = 2_000_000
_BLOCK = 8192


@dataclass(frozen=True)
class Variable:
    """One dimension of the grid.

    Attributes
    ----------
    values : levels of a factor, or numbers.
    factor : whether the model codes it by levels.
    reduced : whether it stands at the mean of a covariate.
    """

    name: str
    values: tuple[Label, ...]
    factor: bool
    reduced: bool = False


@dataclass(frozen=True, eq=False)
class Margins:
    """Averages over the grid: k linear functions of the p coefficients, with the values they belong to.

    Attributes
    ----------
    rows : (k, p); offset : (k,).
    labels : variable -> its value in each of the k.
    empty : (k,) whether no row of the data is there to weigh by.
    """

    rows: np.ndarray
    offset: np.ndarray
    labels: dict[str, list[Label]]
    empty: np.ndarray


class ReferenceGrid:
    """The grid of a fit.

    Parameters
    ----------
    at : variable -> its values; the others as the data say.
    nesting : factor -> what it is nested in; False for nothing, None for what data and formula say.

    Raises
    ------
    ModelError : `at` names what is not a variable of the fixed part, a level that does not exist, or no numbers; `nesting` no
        variables.
    """

    def __init__(self, fit: LinearEstimates, at: Mapping[str, Any] | None = None, nesting: Any = None):
        self.spec = fit.spec
        names = fixed_names(fit.spec)
        if at is not None and not isinstance(at, Mapping):
            raise ModelError(f"at: a dict is wanted, such as at={{'x': [0, 1]}}, not {type(at).__name__}.")
        given = dict(at or {})
        for name in given:
            require_variable(fit, name, names, "at")
        self._offsets = parse(fit.spec["formula"]).offsets
        self.offset_names = [name for name in names_of(list(self._offsets)) if name in names]
        self._given = set(given)
        self.variables = [_variable(self.spec, name, given.get(name)) for name in names]
        self.nested = self._found(terms_of(fit)) if nesting is None else nested_as_asked(nesting, names)
        if self.nested and fit.spec.get("cells") is None:
            raise ModelError(
                "nesting: this fit did not count which levels occur together, so nesting= has no use."
            )
        if self.size > LARGEST:
            sizes = " x ".join(f"{len(v.values)} {v.name}" for v in self.variables if len(v.values) > 1)
            raise ModelError(
                f"the reference grid has {self.size:,} cells ({sizes}), more than {LARGEST:,}: name fewer levels with at=."
            )

    @property
    def names(self) -> list[str]:
        """Of the variables."""
        return [v.name for v in self.variables]

    @property
    def shape(self) -> tuple[int, ...]:
        """Values of each variable."""
        return tuple(len(v.values) for v in self.variables)

    @property
    def size(self) -> int:
        """Cells."""
        return int(np.prod(self.shape, dtype=np.float64))

    def __getitem__(self, name: str) -> Variable:
        return next(v for v in self.variables if v.name == name)

    def cells(
        self, index: Sequence[np.ndarray], replaced: Mapping[str, np.ndarray] | None = None
    ) -> tuple[Any, Any]:
        """X (k, p) and offset (k,) of cells.

        Parameters
        ----------
        index : for each variable, which of its values (k,).
        replaced : numbers (k,) of covariates in place of those of the grid.
        """
        count = len(index[0]) if index else 1
        columns: dict[str, Column] = {}
        for variable, codes in zip(self.variables, index, strict=True):
            values = np.asarray(codes)
            if replaced and variable.name in replaced:
                columns[variable.name] = Column(variable.name, "numeric", replaced[variable.name])
            elif self.spec["columns"][variable.name]["kind"] == "factor":
                columns[variable.name] = Column(
                    variable.name, "factor", values.astype(np.int32), variable.values
                )
            else:
                numbers = np.array(variable.values, dtype=np.float64)
                columns[variable.name] = Column(variable.name, "numeric", numbers[values])
        frame = Frame(columns, count)
        made = designs.rebuild({**self.spec, "offset": None}, frame, random=False)
        return made.X, self._offset(made.offset, count, replaced or {})

    def _offset(self, made: np.ndarray | None, count: int, replaced: Mapping[str, np.ndarray]) -> np.ndarray:
        """The mean over the rows used; where `at` or `replaced` names a column of it, its value there."""
        mean = self.spec.get("offset_mean")
        if mean is not None and not (self._given | set(replaced)) & set(self.offset_names):
            return np.full(count, mean)
        value = np.zeros(count) if made is None else made
        return value + (self.spec.get("given_offset_mean") or 0.0)

    def margins(self, kept: Sequence[str], weights: str = "equal", replaced: Any = None) -> Margins:
        """Averages of the cells over every variable but those kept; the first of these runs fastest. Nested variables are
        averaged within each level of what they are nested in; those kept stand beside what they occur with alone.

        Parameters
        ----------
        weights : "equal", "proportional" (to the frequency of the combinations averaged over), "outer" (to the product of
            their marginal frequencies), "cells" (to the frequency of each cell), "flat" (equal over cells that occur).
        replaced : function (variables' numbers (k,) by name) -> `replaced` of `cells`; None for the grid itself.
        """
        p = len(self.spec["x_names"])
        axes = [self.names.index(name) for name in kept]
        sizes = [self.shape[axis] for axis in axes]
        count = int(np.prod(sizes, dtype=np.int64))
        inside = any(name in self.nested for name in self.names if name not in kept)
        weight = self._averaging.weights(kept, weights) if inside or weights != "equal" else None
        rows, offset, total = np.zeros((count, p)), np.zeros(count), np.zeros(count)
        for start in range(0, self.size, _BLOCK):
            flat = np.arange(start, min(start + _BLOCK, self.size))
            index = np.unravel_index(flat, self.shape) if self.variables else ()
            target = _fastest_first([index[axis] for axis in axes], sizes, len(flat))
            share = np.ones(len(flat)) if weight is None else weight[flat]
            x, off = self.cells(index, replaced(index) if replaced else None)
            np.add.at(rows, target, share[:, None] * x)
            np.add.at(offset, target, share * off)
            np.add.at(total, target, share)
        empty = ~(total > 0.0)
        divisor = np.where(empty, np.nan, total)
        at = np.unravel_index(np.arange(count), sizes[::-1])[::-1] if sizes else ()
        there = np.arange(count)
        if any(name in self.nested for name in kept):
            codes = [at[kept.index(name)] if name in kept else 0 for name in self.names]
            there = np.flatnonzero(self._averaging.occurring(kept)[tuple(codes)])
        labels = {
            name: [self.variables[axis].values[c] for c in codes[there]]
            for name, axis, codes in zip(kept, axes, at, strict=True)
        }
        return Margins((rows / divisor[:, None])[there], (offset / divisor)[there], labels, empty[there])

    def numbers(self, name: str, index: Sequence[np.ndarray]) -> np.ndarray:
        """Values (k,) of a covariate at cells."""
        return np.array(self[name].values, dtype=np.float64)[index[self.names.index(name)]]

    @cached_property
    def frequencies(self) -> np.ndarray:
        """Weight of the rows in each cell of the factors and two-valued covariates, spread over the other covariates: of the
        grid's shape."""
        cells = self.spec.get("cells")
        if cells is None:
            raise ModelError(
                "weights: this fit did not count how often levels meet (its rows were read in parts, or there are too many "
                "cells). Use weights='equal'."
            )
        if not cells["factors"]:
            return np.ones(self.shape)
        counted = [v.factor or self._counted(v) for v in self.variables]
        out = np.zeros([len(v.values) if c else 1 for v, c in zip(self.variables, counted, strict=True)])
        codes = np.array(cells["codes"], dtype=np.int64).reshape(len(cells["weights"]), -1)
        place = np.zeros((len(codes), len(self.variables)), dtype=np.int64)
        there = np.ones(len(codes), dtype=bool)
        for axis, variable in enumerate(self.variables):
            if not counted[axis]:
                continue
            record = self.spec["columns"][variable.name]
            levels = record["levels"] if variable.factor else record["values"]
            where = np.array([_position(variable.values, level) for level in levels], dtype=np.int64)
            place[:, axis] = where[codes[:, cells["factors"].index(variable.name)]]
            there &= place[:, axis] >= 0
        np.add.at(out, tuple(place[there].T), np.array(cells["weights"])[there])
        return np.broadcast_to(out, self.shape)

    def _counted(self, variable: Variable) -> bool:
        """Whether a numeric variable stands at values that the data have been counted by."""
        known = self.spec["columns"][variable.name].get("values", ())
        counted = self.spec["cells"]["factors"]
        return variable.name in counted and set(variable.values) <= set(known)

    @cached_property
    def _averaging(self) -> Averaging:
        return Averaging(self.names, self.shape, self.frequencies, self.nested)

    def _found(self, terms: Sequence[frozenset[str]]) -> Nested:
        """What the cells that occur and the formula say is nested; nothing where cells are not known."""
        cells = self.spec.get("cells")
        if cells is None:
            return {}
        counted = [v.name for v in self.variables if v.factor or self._counted(v)]
        # As R's emmeans, by the names in products: g is nested in x by x + x:g, not by x + I(x**2):g.
        formula = parse(self.spec["formula"])
        products = {f for term in formula.terms if len(term) > 1 for f in term}
        bare = {node.name for f in products if isinstance(node := formula.factors[f], Name)}
        several = [v.name for v in self.variables if v.factor or (len(v.values) > 1 and v.name in bare)]
        return joined(nested_in_data(cells, counted), nested_in_formula(terms, several))


def require_variable(fit: LinearEstimates, name: Any, names: Sequence[str], asked: str) -> None:
    """Refuse a name that is not a variable of the fixed part.

    Raises
    ------
    ModelError : says what the name is instead, or the closest one.
    """
    if name in names:
        return
    formula = parse(fit.spec["formula"])
    shown = ", ".join(f"'{n}'" for n in names) if names else "none"
    if str(name) in fit.spec["columns"] or str(name) in formula.names:
        grouped = any(str(name) in block["factors"] for block in fit.spec["blocks"])
        what = "stands in random terms alone" if grouped else "is no variable of the fixed part"
        raise ModelError(f"{asked}: '{name}' {what}; those of the fixed part are {shown}.")
    near = closest(str(name), names)
    hint = f"The closest is '{near}'." if near else f"There are {shown}."
    raise ModelError(f"{asked}: the fixed part of the model has no variable '{name}'. {hint}")


def _variable(spec: Mapping[str, Any], name: str, given: Any) -> Variable:
    record = spec["columns"][name]
    if "levels" in record:
        levels = tuple(record["levels"])
        return Variable(name, levels if given is None else _levels(name, levels, given), True)
    if given is not None:
        return Variable(name, _numbers(name, given), False)
    if "mean" not in record:
        raise ModelError(
            f"the record of this fit does not know the mean of '{name}' (an earlier version made it): give at={{'{name}': ...}}."
        )
    if "values" in record:
        return Variable(name, tuple(record["values"]), False)
    return Variable(name, (record["mean"],), False, reduced=True)


def _several(given: Any) -> list[Any]:
    if isinstance(given, (str, bytes)) or np.ndim(given) == 0:
        return [given]
    return list(given)


def _levels(name: str, levels: tuple[Label, ...], given: Any) -> tuple[Label, ...]:
    out = []
    for value in _several(given):
        place = _position(levels, value)
        if place < 0:
            near = closest(str(value), [str(level) for level in levels])
            shown = ", ".join(str(level) for level in levels[:8]) + (" ..." if len(levels) > 8 else "")
            hint = f"The closest is '{near}'." if near else f"Its levels are {shown}."
            raise ModelError(f"at: '{name}' has no level '{value}'. {hint}")
        out.append(levels[place])
    return _distinct(name, out)


def _numbers(name: str, given: Any) -> tuple[float, ...]:
    try:
        values = [float(value) for value in _several(given)]
    except (TypeError, ValueError):
        raise ModelError(f"at: numbers are wanted for '{name}', not {given!r}.") from None
    if not np.isfinite(values).all():
        raise ModelError(f"at: '{name}' is to be at {given!r}, which is not finite.")
    return _distinct(name, values)


def _distinct(name: str, values: list[Any]) -> tuple[Any, ...]:
    if not values:
        raise ModelError(f"at: no value is given for '{name}'.")
    if len(set(values)) < len(values):
        raise ModelError(f"at: a value of '{name}' is given twice.")
    return tuple(values)


def _position(levels: Sequence[Label], value: Any) -> int:
    """Where a level stands, by itself or by what it is written as; -1 where it does not."""
    for i, level in enumerate(levels):
        same_kind = isinstance(level, bool) == isinstance(value, (bool, np.bool_))
        if (same_kind and level == value) or str(level) == str(value):
            return i
    return -1


def _fastest_first(codes: list[np.ndarray], sizes: list[int], count: int) -> np.ndarray:
    """Numbers of combinations of which the first code runs fastest."""
    if not codes:
        return np.zeros(count, dtype=np.int64)
    return np.ravel_multi_index(tuple(codes[::-1]), tuple(sizes[::-1]))
