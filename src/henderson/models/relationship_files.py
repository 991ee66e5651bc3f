"""`--relationship A=pedigree.csv`: files of relationships and neighbours, for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import DataError
from ..formula import parse
from ..formula.expression import Call, Name, strip


def relationships_of(formula: str, given: Sequence[str]) -> dict[str, Any] | None:
    """relationships= of texts "NAME=FILE"; None where there are none.

    FILE is a CSV or Parquet file. For vm(..., NAME) it is a pedigree (animal, sire, dam) or a square table with its ids as first column
    and as names of the others; for car(..., NAME) pairs of neighbours, a pair a row with or without a weight, or a square table.

    Raises
    ------
    DataError : a text that is not NAME=FILE, a name given twice, a file that is not there or cannot be read.
    """
    if not given:
        return None
    places = _of_places(formula)
    out: dict[str, Any] = {}
    for text in given:
        name, equals, path = text.partition("=")
        name, path = name.strip(), path.strip()
        if not (name and equals and path):
            raise DataError(f"--relationship: '{text}' is not NAME=FILE, as in A=pedigree.csv.")
        if name in out:
            raise DataError(f"--relationship: '{name}' is given twice.")
        out[name] = _neighbours(path) if name in places else _relationship(path, name)
    return out


def _of_places(formula: str) -> set[str]:
    """Names of the neighbour lists that the formula asks for."""
    found = set()
    for term in parse(formula).random:
        for level in term.members or term.levels:
            if isinstance(level, Call) and level.name == "car" and len(level.args) == 2:
                name = strip(level.args[1])
                if isinstance(name, Name):
                    found.add(name.name)
    return found


def _relationship(path: str, name: str) -> Any:
    from ..genetics.relationship import as_relationship

    return as_relationship(path, name)


def _neighbours(path: str) -> Any:
    from ..genetics.tables import read_file

    table = read_file(path)
    if table.shape[1] in (2, 3):
        return [tuple(row) for row in table.itertuples(index=False)]
    return table.set_index(table.columns[0])
