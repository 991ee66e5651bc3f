"""Factors nested in others: levels that have a meaning, or occur, only within the levels of another factor.

A factor is nested where each of its levels occurs with one level of the other alone (plots labelled through all sites), or where
the formula has it only within the other (`site/plot`, plots labelled anew in each site). Marginal means average over the levels
that occur within each level of what they are nested in: Lenth's emmeans has the same two rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import ModelError, closest

Nested = dict[str, tuple[str, ...]]
"""Factor -> all that it is nested in, what they are nested in too among it."""


def nested_in_data(cells: Mapping[str, Any] | None, names: Sequence[str]) -> Nested:
    """Factors each of whose levels occurs with one level of another. Two that do so of each other are confounded, not nested.

    cells : the cells that occur, of the record of a design. names : those to look at; what has one value is left out.
    """
    if cells is None:
        return {}
    codes = np.array(cells["codes"], dtype=np.int64).reshape(-1, max(len(cells["factors"]), 1))
    column = {n: codes[:, cells["factors"].index(n)] for n in names if n in cells["factors"]}
    levels = {name: len(np.unique(values)) for name, values in column.items()}
    found: Nested = {}
    for name, values in column.items():
        within = [
            n
            for n, other in column.items()
            if 1 < levels[n] < levels[name] == len(np.unique(np.column_stack([values, other]), axis=0))
        ]
        if within:
            found[name] = tuple(within)
    return found


def nested_in_formula(terms: Sequence[frozenset[str]], names: Sequence[str]) -> Nested:
    """Variables without a term of their own that are coded within all levels of others in the terms they stand in.

    terms : variables of each fixed term. names : those to look at.
    """
    known = {*terms, frozenset()}
    found: Nested = {}
    for name in names:
        if frozenset([name]) in known:
            continue
        whole = {term: {v for v in term if term - {v} not in known} for term in terms if name in term}
        sets = [set(v) for term, v in whole.items() if name not in v] or [v - {name} for v in whole.values()]
        least = [s for s in sets if not any(other < s for other in sets)]
        within = [n for n in names if any(n in s for s in least)]
        if within:
            found[name] = tuple(within)
    return found


def nested_as_asked(given: Any, names: Sequence[str]) -> Nested:
    """What `nesting=` says: factor -> the factor or factors that it is nested in; False for none.

    Raises
    ------
    ModelError : no dict of names, an unknown name, a factor nested in itself.
    """
    if given is False:
        return {}
    if not isinstance(given, Mapping):
        raise ModelError(f"nesting: a dict such as {{'plot': 'site'}} is wanted, or False, not {given!r}.")
    found = {}
    for name, within in given.items():
        listed = [within] if isinstance(within, str) else within
        if not isinstance(listed, Iterable) or not (listed := list(listed)):
            raise ModelError(f"nesting: '{name}' is nested in a factor or a list of them, not {within!r}.")
        for each in (name, *listed):
            if each not in names:
                near = closest(str(each), names)
                hint = f"The closest is '{near}'." if near else f"There are {', '.join(map(repr, names))}."
                raise ModelError(f"nesting: the fixed part of the model has no variable {each!r}. {hint}")
        found[name] = tuple(listed)
    closed = _closed(found)
    if lost := [name for name in found if name not in closed]:
        raise ModelError(f"nesting: '{lost[0]}' is nested in itself.")
    return closed


def joined(*parts: Nested) -> Nested:
    """Several findings as one, without what is nested in itself."""
    names = dict.fromkeys(name for part in parts for name in part)
    return _closed({n: tuple(dict.fromkeys(v for part in parts for v in part.get(n, ()))) for n in names})


def _closed(found: Nested) -> Nested:
    """With what the nests are nested in; without factors that are so found within themselves."""
    closed = {}
    for name in found:
        todo, all_of = list(found[name]), []
        while todo:
            each = todo.pop(0)
            if each not in all_of:
                all_of.append(each)
                todo += found.get(each, ())
        closed[name] = tuple(all_of)
    return {name: within for name, within in closed.items() if name not in within}


def with_nests(
    names: Sequence[str], groups: Sequence[str], nested: Nested
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and groups with what they are nested in beside them: a level of a nested factor alone says too little."""
    inside: list[str] = []
    for name in names:
        missing = [n for n in nested.get(name, ()) if n not in (*names, *groups)]
        inside += [n for n in (name, *missing) if n not in inside]
    outside: list[str] = []
    for name in groups:
        missing = [n for n in nested.get(name, ()) if n not in (*inside, *groups)]
        outside += [n for n in (*missing, name) if n not in outside]
    return tuple(inside), tuple(outside)


class Averaging:
    """Weights of the cells of a grid by which it is averaged: first over the nested within each level of what they are nested in.

    Parameters
    ----------
    names : of the axes of the grid. frequency : how much of the data is in each cell, of the grid's shape; None where no weights
        need it. nested : see `Nested`.
    """

    def __init__(self, names: Sequence[str], shape: Sequence[int], frequency: Any, nested: Nested):
        self.names, self.shape, self.frequency, self.nested = list(names), tuple(shape), frequency, nested

    def weights(self, kept: Sequence[str], scheme: str) -> np.ndarray:
        """Of each cell, flat; those of one combination of the kept variables sum to 1, or to 0 where nothing is there.

        scheme : see `ReferenceGrid.margins`.
        """
        frequency = np.ones([1] * len(self.names)) if self.frequency is None else self.frequency
        weight = np.ones([1] * len(self.names))
        left = [name for name in self.names if name not in kept]
        while nested := [name for name in left if name in self.nested]:
            first = max(nested, key=lambda name: len(self.nested[name]))
            groups = {*self.nested[first], *nested} - {first}
            now = [name for name in left if name not in groups]
            weight = weight * self._stage(frequency, now, [n for n in kept if n not in groups], scheme, first)
            frequency = frequency.sum(axis=self._axes(now), keepdims=True)
            left = [name for name in left if name in groups]
        weight = weight * self._stage(frequency, left, kept, scheme, None)
        return np.broadcast_to(weight, self.shape).ravel()

    def occurring(self, kept: Sequence[str]) -> np.ndarray:
        """Whether each combination of the kept variables has levels that occur together, of their shape, in the grid's axes."""
        there = np.ones([1] * len(self.names), dtype=bool)
        for name in kept:
            if name in self.nested and set(self.nested[name]) <= set(kept):
                there = there & self._within(self.frequency, name)
        shape = [size if name in kept else 1 for name, size in zip(self.names, self.shape, strict=True)]
        return np.broadcast_to(there, shape)

    def _stage(
        self, frequency: np.ndarray, now: Sequence[str], kept: Sequence[str], scheme: str, first: str | None
    ) -> np.ndarray:
        if scheme == "equal" and first is not None:
            return self._equal(frequency, first)
        if scheme == "equal" or all(self.shape[axis] == 1 for axis in self._axes(now)):
            return np.ones([1] * len(self.names))
        if scheme == "cells":
            part = frequency
        elif scheme == "flat":
            part = (frequency > 0).astype(np.float64)
        else:
            part = frequency.sum(axis=self._axes(kept), keepdims=True)
            if scheme == "outer":
                others = [[n for n in now if n != name] for name in now]
                part = prod(
                    [part.sum(axis=self._axes(each), keepdims=True) for each in others], start=np.ones(())
                )
        part = np.broadcast_to(part, np.broadcast_shapes(np.shape(part), [1] * len(self.names)))
        total = part.sum(axis=self._axes(now), keepdims=True)
        return np.divide(part, total, out=np.zeros(np.broadcast(part, total).shape), where=total > 0.0)

    def _equal(self, frequency: np.ndarray, name: str) -> np.ndarray:
        """1 / how many levels occur within the nest; over all levels where none does: that has no mean."""
        there = self._within(frequency, name).astype(np.float64)
        axis = self.names.index(name)
        many = there.sum(axis=axis, keepdims=True)
        size = self.shape[axis]
        return np.where(many > 0.0, there / np.where(many > 0.0, many, 1.0), 1.0 / size)

    def _within(self, frequency: np.ndarray, name: str) -> np.ndarray:
        others = [n for n in self.names if n != name and n not in self.nested[name]]
        return frequency.sum(axis=self._axes(others), keepdims=True) > 0.0

    def _axes(self, names: Sequence[str]) -> tuple[int, ...]:
        return tuple(self.names.index(name) for name in names)
