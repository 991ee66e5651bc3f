"""What is wrong with a pedigree, in the user's ids and rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

_SHOWN = 5

SUSPICIOUS = frozenset(
    [
        "?",
        "??",
        "*",
        "**",
        "-",
        "--",
        "00",
        "000",
        "0000",
        "n/a",
        "na",
        "none",
        "null",
        "nan",
        "unknown",
        "unk",
        "missing",
        "-1",
        "-9",
        "-99",
        "-999",
    ]
)
"""Ids, in small letters, that rarely are somebody's: refused where they are parents without a row of their
own."""


_MALE = ("m", "male", "males", "sire", "bull", "boar", "ram", "buck", "stallion")
_FEMALE = ("f", "female", "females", "dam", "cow", "sow", "ewe", "doe", "mare")


@dataclass(frozen=True, eq=False)
class Names:
    """How to speak of an individual.

    Attributes
    ----------
    text : id of a code.
    row : first row of a code in the table, -1 where it has none.
    roles : names of the columns of the two parents.
    """

    text: Callable[[int], str]
    row: Callable[[int], int]
    roles: tuple[str, str]

    def of(self, code: int) -> str:
        row = self.row(code)
        return f"'{self.text(code)}'" + (f" (row {row})" if row >= 0 else " (no row of its own)")


def listed(things: Sequence[str], total: int | None = None) -> str:
    """The first few, and how many more of the total."""
    more = (len(things) if total is None else total) - _SHOWN
    return ", ".join(things[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def refuse_missing_ids(codes: NDArray[np.int32], column: str, unknown: Sequence[str]) -> None:
    rows = np.flatnonzero(codes < 0)
    if rows.size:
        raise DataError(
            f"pedigree: column '{column}' has no id in {_rows(rows)} (the first row is 0).\nMissing values"
            f" and {_quoted(unknown)} mean an unknown parent and cannot be somebody's id. If one of them is"
            " an id here, leave it out of unknown=(...)."
        )


def refuse_own_parents(first: NDArray, second: NDArray, names: Names) -> None:
    """Refuse animals that are their own parent; arrays by code."""
    for parent, role in zip((first, second), names.roles, strict=True):
        bad = np.flatnonzero(parent == np.arange(parent.size))
        if bad.size:
            raise DataError(
                f"pedigree: {listed([names.of(int(c)) for c in bad[:_SHOWN]], bad.size)}"
                f" {'is its' if bad.size == 1 else 'are their'} own {role} (the first row is 0).\nCorrect"
                " it, or leave it empty where it is not known."
            )


def refuse_conflict(code: int, rows: tuple[int, int], said: tuple[str, str], names: Names) -> None:
    raise DataError(
        f"pedigree: '{names.text(code)}' occurs in rows {rows[0]} and {rows[1]} (the first row is 0) with"
        f" different entries:\n    row {rows[0]}: {said[0]}\n    row {rows[1]}: {said[1]}\nKeep the row that"
        " is right. (Rows that are alike in everything are counted and used once.)"
    )


def refuse_cycle(at: int, first: NDArray, second: NDArray, generation: NDArray, names: Names) -> None:
    """Refuse a loop through `at`; `generation` is -2 for those that were open when it was found."""
    path, seen = [at], {at: 0}
    while True:
        here = path[-1]
        for p in (int(first[here]), int(second[here])):
            if p >= 0 and generation[p] == -2:
                break
        if p in seen:
            path = [*path[seen[p] :], p]
            break
        seen[p] = len(path)
        path.append(p)
    if len(path) > 12:
        shown = (
            " -> ".join(f"'{names.text(c)}'" for c in path[:6]) + " -> ... -> " + f"'{names.text(path[-1])}'"
        )
    else:
        shown = " -> ".join(f"'{names.text(c)}'" for c in path)
    where = ", ".join(f"'{names.text(c)}' in row {names.row(c)}" for c in path[:-1][:_SHOWN])
    raise DataError(
        f"pedigree: {len(path) - 1} individuals are their own ancestors. Each of these has the next for a"
        f" parent:\n    {shown}\nTheir parents are named for {where} (the first row is 0): one of them is"
        " wrong."
    )


def refuse_two_roles(both: NDArray, rows: Callable[[int], tuple[int, int]], names: Names) -> None:
    """Refuse parents that are sire here and dam there; `rows` says where."""
    if not both.size:
        return
    a, b = names.roles
    shown = []
    for code in both[:_SHOWN].tolist():
        as_a, as_b = rows(code)
        shown.append(f"'{names.text(code)}' ({a} in row {as_a}, {b} in row {as_b})")
    raise DataError(
        f"pedigree: {both.size} {'parent is' if both.size == 1 else 'parents are'} both {a} and {b}:"
        f" {listed(shown, both.size)} (the first row is 0).\nWhere that is possible (plants), write"
        " monoecious=True; else correct one of the two."
    )


def refuse_selfed(rows: NDArray, names: Names, code_of_row: Callable[[int], int]) -> None:
    """Refuse individuals with one parent on both sides."""
    if rows.size:
        shown = [f"'{names.text(code_of_row(int(r)))}' (row {r})" for r in rows[:_SHOWN]]
        raise DataError(
            f"pedigree: {listed(shown, rows.size)} {'has' if rows.size == 1 else 'have'} one individual for"
            f" {names.roles[0]} and {names.roles[1]} (the first row is 0).\nWhere selfing is possible"
            " (plants), write monoecious=True; else correct one of the two."
        )


def refuse_suspicious(texts: Sequence[str], counts: Sequence[int]) -> None:
    """Refuse parents without a row whose id looks like a mark for an unknown parent."""
    for text, count in zip(texts, counts, strict=True):
        if text.strip().casefold() in SUSPICIOUS:
            raise DataError(
                f"pedigree: '{text}' is named {count} {'time' if count == 1 else 'times'} as a parent and"
                " has no row of its own: it would become one founder with all that offspring.\nIf it means"
                f" that the parent is not known, write unknown=({text!r}, ...) with the other marks of this"
                " table; if it is somebody, give it a row."
            )


def refuse_sexes(
    sex: NDArray, labels: Sequence[str], fathers: NDArray, mothers: NDArray, names: Names, column: str
) -> None:
    """Refuse parents whose sex is not that of the other parents of their role. Arrays by code; sex -1 is not
    given."""
    usual = _usual_sexes(sex, labels, (fathers, mothers))
    if usual[0] == usual[1] and usual[0] >= 0:
        raise DataError(
            f"pedigree: column '{column}' has '{labels[usual[0]]}' for most parents of column"
            f" '{names.roles[0]}' and for most of column '{names.roles[1]}' alike. Is it the sex?"
        )
    for parents, right, other, role in zip((fathers, mothers), usual, usual[::-1], names.roles, strict=True):
        given = sex[parents]
        bad = (
            parents[(given >= 0) & (given != right)]
            if right >= 0
            else parents[(given >= 0) & (given == other)]
        )
        if bad.size:
            shown = [f"{names.of(int(c))} is '{labels[sex[c]]}'" for c in bad[:_SHOWN]]
            meant = f"; the sex of the other parents there is '{labels[right]}'" if right >= 0 else ""
            raise DataError(
                f"pedigree: column '{role}' has parents of the wrong sex: {listed(shown, bad.size)}{meant} (column"
                f" '{column}'; the first row is 0).\nCorrect the sex or the parent."
            )


def _usual_sexes(sex: NDArray, labels: Sequence[str], parents: tuple[NDArray, NDArray]) -> tuple[int, int]:
    """The labels of males and females: by the words where both are there, else what most parents of each role
    have; -1 unknown."""
    words = [label.strip().casefold() for label in labels]
    found = [[k for k, word in enumerate(words) if word in meant] for meant in (_MALE, _FEMALE)]
    if len(found[0]) == len(found[1]) == 1:
        return found[0][0], found[1][0]
    usual = []
    for some in parents:
        given = sex[some][sex[some] >= 0]
        usual.append(int(np.bincount(given).argmax()) if given.size else -1)
    return usual[0], usual[1]


def _rows(rows: NDArray) -> str:
    if rows.size == 1:
        return f"row {rows[0]}"
    return f"{rows.size} rows: " + listed([str(r) for r in rows[:_SHOWN]], rows.size)


def _quoted(marks: Sequence[str]) -> str:
    return ", ".join(f"'{m}'" for m in marks)
