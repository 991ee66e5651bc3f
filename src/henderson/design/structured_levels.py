"""The right side of a bar: the levels each factor has, and which of them each row belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.design.grouping import combine, match_levels, regroup, unknown_labels, used_labels
from henderson.design.record import ProductLabels
from henderson.design.structured import LevelFactor
from henderson.design.values import Labels, is_number
from henderson.errors import DataError, ModelError
from henderson.formula import Formula, RandomTerm
from henderson.formula.expression import Call, Name, render, strip
from henderson.formula.structures import KNOWN, right_options
from henderson.frame import Column, Frame, Label

Rows = NDArray[np.intp] | None
Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Side:
    """One factor of a right side as it was learned.

    Attributes
    ----------
    kind, options : as in `LevelFactor`.
    columns : of the table, in order.
    parts : levels of each column; one list alone where columns share their levels.
    combinations : (q, columns) codes into the parts, where levels are combinations of several columns; else None.
    members : where columns share their levels, the columns of each grouping: (("sire", "dam"),) of mm(sire, dam),
        (("animal",), ("dam",)) of a sum; () otherwise.
    known : name of the relationship (vm) or the neighbours (car).
    measured : whether the levels have coordinates, the numbers of the parts.
    found : what `codes` gives on the rows the levels were learned from; not kept in records.
    """

    kind: str
    columns: tuple[str, ...]
    parts: tuple[tuple[Label, ...], ...]
    combinations: NDArray[np.int32] | None = None
    members: tuple[tuple[str, ...], ...] = ()
    known: str | None = None
    measured: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    found: tuple[Codes, ...] | None = None

    @property
    def levels(self) -> Sequence[Label]:
        return self.parts[0] if self.combinations is None else ProductLabels(self.parts, self.combinations)

    @property
    def q(self) -> int:
        return len(self.parts[0]) if self.combinations is None else len(self.combinations)

    def codes(self, frame: Frame, rows: Rows) -> list[Codes]:
        """For each grouping (one, but for sums) the levels (n, memberships) of the rows, -1 for an unknown one."""
        if not self.members:
            found, _ = regroup([frame[name] for name in self.columns], self.parts, self.combinations, rows)
            return [found[:, None]]
        return [
            np.column_stack([_matched(frame[name], self.parts[0], rows) for name in member])
            for member in self.members
        ]

    def unknown(self, codes: Sequence[Codes], frame: Frame, rows: Rows) -> list[Label | None]:
        """Labels of the rows whose code is -1; None stands for a missing value."""
        if not self.members:
            return list(unknown_labels([frame[name] for name in self.columns], codes[0][:, 0], rows))
        found: dict[Label | None, None] = {}
        for member, each in zip(self.members, codes, strict=True):
            for name, column in zip(member, each.T, strict=True):
                found.update(dict.fromkeys(unknown_labels([frame[name]], column, rows)))
        return list(found)

    def factor(self, known: Mapping[str, Any]) -> LevelFactor:
        """What the precision of the levels is made from."""
        options, relationship = dict(self.options), None
        if self.kind == "vm":
            relationship = known.get(str(self.known))
        elif self.known is not None:
            options["neighbours"] = known.get(self.known)
        return LevelFactor(
            self.kind, self.columns, tuple(self.levels), self.coordinates(), relationship, options
        )

    def coordinates(self) -> NDArray[np.float64] | None:
        """(q, d) numbers of the levels."""
        if not self.measured:
            return None
        numbers = [np.array(part, dtype=np.float64) for part in self.parts]
        if self.combinations is None:
            return numbers[0][:, None]
        return np.column_stack(
            [part[codes] for part, codes in zip(numbers, self.combinations.T, strict=True)]
        )


def _matched(column: Column, levels: Sequence[Label], rows: Rows) -> Codes:
    codes = match_levels(column, levels)
    return codes if rows is None else codes[rows]


# -- learning --------------------------------------------------------------------------------------------


class Lookups:
    """Relationships and neighbours by name, and where each column is among their ids, found once for all terms and sections.

    Parameters
    ----------
    known : what `relationships.read_relationships` gives.
    """

    def __init__(self, known: Mapping[str, Any], frame: Frame, text: str):
        self.known, self.frame, self.text = known, frame, text
        self._ids: dict[str, tuple[Label, ...]] = {}
        self._places: dict[tuple[str, str], Codes] = {}

    def ids(self, call: Call) -> tuple[str, tuple[Label, ...]]:
        """The name that vm(..., A) looks up, and its ids.

        Raises
        ------
        FormulaError : it is not given.
        """
        name = strip(call.args[1])
        assert isinstance(name, Name)
        if name.name not in self.known:
            from henderson.design.relationships import not_given

            raise not_given(call, name, self.text, self.known)
        if name.name not in self._ids:
            self._ids[name.name] = tuple(self.known[name.name].ids)
        return name.name, self._ids[name.name]

    def codes(self, column: str, name: str, rows: Rows, label: str) -> Codes:
        """(n,) places of the rows of a column among the ids.

        Raises
        ------
        DataError : labels that are no id: how many, the first of them, and the closest id.
        """
        if (column, name) not in self._places:
            self._places[column, name] = match_levels(self.frame[column], self._ids[name])
        codes = self._places[column, name]
        codes = codes if rows is None else codes[rows]
        if codes.size and codes.min() < 0:
            from henderson.genetics.ids import id_array, match

            levels = used_labels(self.frame[column], rows).levels
            try:
                match(np.array(self._ids[name], dtype=object), id_array(levels), name, f"'{column}'")
            except DataError as error:
                raise DataError(f"{label}: {error}") from None
        return codes


def learn_sides(
    term: RandomTerm, formula: Formula, frame: Frame, rows: Rows, lookups: Lookups
) -> tuple[Side, ...]:
    """The factors of a term's right side on the rows used."""
    if term.members:
        columns = [_member_columns(member) for member in term.members]
        first = term.members[0]
        call = first if isinstance(first, Call) else None
        return (_shared(call, columns, term, frame, rows, lookups),)
    sides: list[Side] = []
    plain: list[str] = []
    for level in term.levels:
        bare = _plain_name(level)
        if bare is not None:
            plain.append(bare)
            continue
        if plain:
            sides.append(_grouping(plain, frame, rows))
            plain = []
        assert isinstance(level, Call)
        sides.append(_called(level, term, formula, frame, rows, lookups))
    if plain:
        sides.append(_grouping(plain, frame, rows))
    return tuple(sides)


def member_name(member: Name | Call) -> str:
    """A grouping of a sum as its effects are named: "animal" of vm(animal, A)."""
    return render(member.args[0] if isinstance(member, Call) else member)


def _plain_name(level: Name | Call) -> str | None:
    if isinstance(level, Name):
        return level.name
    if level.name != "id":
        return None
    name = strip(level.args[0])
    assert isinstance(name, Name)
    return name.name


def _member_columns(member: Name | Call) -> tuple[str, ...]:
    """Columns of `animal`, vm(animal, A), mm(sire, dam), vm(mm(sire, dam), A)."""
    if isinstance(member, Name):
        return (member.name,)
    if member.name == "mm":
        return tuple(strip(a).name for a in member.args)  # type: ignore[union-attr]
    inner = strip(member.args[0])
    assert isinstance(inner, Name | Call)
    return _member_columns(inner)


def _grouping(names: Sequence[str], frame: Frame, rows: Rows) -> Side:
    labels = [used_labels(frame[name], rows) for name in names]
    return _of_labels("id", names, labels)


def _of_labels(kind: str, names: Sequence[str], labels: Sequence[Labels], **more: Any) -> Side:
    """Levels are those of one column, or the combinations of several that occur."""
    parts = tuple(each.levels for each in labels)
    codes, combinations = labels[0].codes.astype(np.int32, copy=False), None
    if len(labels) > 1:
        codes, combinations = combine(labels)
    return Side(kind, tuple(names), parts, combinations, found=(codes[:, None],), **more)


def _called(
    call: Call, term: RandomTerm, formula: Formula, frame: Frame, rows: Rows, lookups: Lookups
) -> Side:
    if call.name == "mm" or (call.name == "vm" and isinstance(strip(call.args[0]), Call)):
        return _shared(call, [_member_columns(call)], term, frame, rows, lookups)
    names = tuple(strip(a).name for a in call.args)  # type: ignore[union-attr]
    options = right_options(call, formula.text)
    if call.name in KNOWN:
        name, levels = lookups.ids(call)
        codes = lookups.codes(names[0], name, rows, term.label)
        return Side(call.name, names[:1], (levels,), known=name, options=options, found=(codes[:, None],))
    if call.name == "ar1":
        measured = steps(frame[names[0]], rows, term.label, "ar1", ordered_factor=True)
    else:
        measured = True
        for name in names:
            require_numbers(frame[name], term.label, call.name)
    labels = [used_labels(frame[name], rows) for name in names]
    return _of_labels(call.name, names, labels, measured=measured, options=options)


def _shared(
    call: Call | None,
    members: Sequence[tuple[str, ...]],
    term: RandomTerm,
    frame: Frame,
    rows: Rows,
    lookups: Lookups,
) -> Side:
    """Columns that share their levels: of one relationship, or the union of what they hold."""
    columns = tuple(dict.fromkeys(name for member in members for name in member))
    if call is not None and call.name == "vm":
        kind = "vm"
        name, levels = lookups.ids(call)
        codes = {column: lookups.codes(column, name, rows, term.label) for column in columns}
    else:
        kind, name = "id", None
        levels = _union([frame[column] for column in columns], rows)
        codes = {column: _matched(frame[column], levels, rows) for column in columns}
    found = tuple(np.column_stack([codes[column] for column in member]) for member in members)
    if kind == "id" and len(members) > 1 and not _meet(found, len(levels)):
        raise ModelError(
            f"{term.label}: no level of '{members[0][0]}' is one of '{members[1][0]}': a sum of groupings ties effects of the same "
            "levels.\nGroupings that have nothing in common are terms of their own: "
            f"{' + '.join(f'(1 | {member[0]})' for member in members)}."
        )
    return Side(kind, columns, (levels,), members=tuple(members), known=name, found=found)


def _meet(found: Sequence[Codes], q: int) -> bool:
    """Whether some level is of more than one grouping."""
    seen = np.zeros(q, dtype=int)
    for codes in found:
        seen[np.unique(codes)] += 1
    return bool((seen > 1).any())


def _union(columns: Sequence[Column], rows: Rows) -> tuple[Label, ...]:
    """The levels of several columns: numbers ascending, text sorted, else those of the first and then what others add."""
    found: dict[str, Label] = {}
    for column in columns:
        for level in used_labels(column, rows).levels:
            found.setdefault(str(level), level)
    levels = list(found.values())
    if all(isinstance(level, int | float) for level in levels):
        return tuple(sorted(levels))  # type: ignore[type-var]
    if all(column.text for column in columns):
        return tuple(sorted(levels, key=str))
    return tuple(levels)


def require_numbers(column: Column, label: str, structure: str) -> None:
    """Refuse labels where distances are measured."""
    if column.kind != "factor":
        return
    raise DataError(
        f"{label}: {structure} measures distances, and column '{column.name}' holds {_shown(column)}."
    )


def steps(
    column: Column,
    rows: Rows,
    label: str,
    structure: str,
    *,
    ordered_factor: bool = False,
    whole: bool = True,
) -> bool:
    """Whether the levels of a column along which steps are counted are numbers, that can be measured.

    Parameters
    ----------
    ordered_factor : whether levels of a factor may be steps, in their order.
    whole : whether numbers must be whole.

    Raises
    ------
    DataError : numbers that are not whole; labels in an order that nobody chose.
    """
    used = used_labels(column, rows)
    if column.kind != "factor":
        if whole:
            _require_whole(used.levels, column, label, structure)
        return True
    numbers = all(is_number(level) for level in used.levels)
    ascending = not numbers or bool(np.all(np.diff([float(level) for level in used.levels]) > 0))
    if ordered_factor and (column.ordered or (not column.text and ascending)):
        return False
    does = "counts steps" if ordered_factor else "measures distances"
    raise DataError(f"{label}: {structure} {does}, and column '{column.name}' holds {_shown(column)}.")


def _shown(column: Column) -> str:
    numbers = all(is_number(level) for level in column.levels)
    quoted = [repr(v) if numbers and isinstance(v, str) else str(v) for v in column.levels[:4]]
    shown = ", ".join(quoted) + (" ..." if len(column.levels) > 4 else "")
    if numbers:
        return f"numbers as labels ({shown}): make numbers of them first (pandas.to_numeric)"
    order = ", whose order would be the alphabet's" if column.text else ""
    return f"labels ({shown}){order}: make a column of numbers of it first, or where steps are counted an ordered factor"


def _require_whole(levels: Sequence[Label], column: Column, label: str, structure: str) -> None:
    odd = next((v for v in levels if isinstance(v, float) and not v.is_integer()), None)
    if odd is not None:
        raise DataError(
            f"{label}: {structure} counts whole steps, and column '{column.name}' has the value {odd:.10g}.\n"
            f"ou({column.name}) is the same correlation at any distance; C({column.name}) left of a bar, or a column of whole "
            "numbers, makes steps of the levels."
        )
