"""`relationships=`: what vm(animal, A) and car(place, W) look up, read once and by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from henderson.errors import DataError, FormulaError, closest
from henderson.formula import Formula
from henderson.formula.expression import Call, Name, render, strip
from henderson.formula.structures import KNOWN


def read_relationships(
    given: Mapping[str, Any] | None, formula: Formula, also: Iterable[str] = ()
) -> dict[str, Any]:
    """What the formula asks of `relationships=`, each as its own kind of record.

    Parameters
    ----------
    given : name -> pedigree, matrix with ids, markers ... (see `genetics.relationship.as_relationship`); for car a neighbour
        list or an adjacency matrix.
    also : names that are used elsewhere, in a residual.

    Returns
    -------
    name -> `genetics.relationship.Relationship` (vm), or what `precisions.neighbours.as_neighbours` makes (car).

    Raises
    ------
    FormulaError : the formula names one that is not given.
    DataError : one that is given and not used, or that cannot be read.
    """
    if given is not None and not isinstance(given, Mapping):
        raise DataError(
            'relationships: a dict is wanted, such as {"A": pedigree}, not ' + f"{type(given).__name__}."
        )
    offered = dict(given or {})
    wanted: dict[str, str] = {}
    for call, name in _looked_up(formula):
        if name.name not in offered:
            raise not_given(call, name, formula.text, offered)
        kind = "vm" if call.name == "vm" else "car"
        if wanted.setdefault(name.name, kind) != kind:
            raise FormulaError(
                f"'{name.name}' is in both vm and car: one is a relationship, the other a list of neighbours.",
                formula.text,
                name.span,
            )
    also = set(also)
    for unused in offered:
        if unused not in wanted and unused not in also:
            near = closest(str(unused), wanted)
            hint = f"\nThe closest that it names is '{near}'." if near else ""
            raise DataError(
                f"relationships: '{unused}' is given, and no vm(..., {unused}) is in the model.{hint}"
            )
    return {each: _read(kind, offered[each], each) for each, kind in wanted.items()}


def _looked_up(formula: Formula) -> Iterator[tuple[Call, Name]]:
    for term in formula.random:
        for level in term.members or term.levels:
            if isinstance(level, Call) and level.name in KNOWN:
                name = strip(level.args[1])
                assert isinstance(name, Name)
                yield level, name


def _read(kind: str, value: Any, name: str) -> Any:
    if kind == "car":
        from henderson.precisions.neighbours import as_neighbours

        return as_neighbours(value, name)
    from henderson.genetics.relationship import as_relationship

    return as_relationship(value, name)


def not_given(call: Call, name: Name, text: str, known: Iterable[str]) -> FormulaError:
    """The error for a name that relationships= does not have."""
    near = closest(name.name, known)
    what = "relationship" if call.name == "vm" else "list of neighbours"
    return FormulaError(
        f"no {what} called '{name.name}' is given for {render(call)}.",
        text,
        name.span,
        f"The closest is '{near}'." if near else f'Give relationships={{"{name.name}": ...}}.',
    )
