"""A random term as it was learned, and the term made from it and the columns of a table, of the fit or new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.design.columns import INTERCEPT
from henderson.design.grouping import combine, match_levels, used_labels
from henderson.design.record import ProductLabels, RandomBlock
from henderson.design.spec import plain_structure, read_structure
from henderson.design.structured import StructuredTerm
from henderson.design.structured_effects import Effects, learn_effects
from henderson.design.structured_levels import Lookups, Side, learn_sides, member_name
from henderson.design.structured_splines import SmoothRecord, learn_smooth, make_smooth
from henderson.design.structured_z import make_z
from henderson.design.values import Evaluator
from henderson.errors import ModelError
from henderson.formula import Formula, RandomTerm
from henderson.formula.functions import SMOOTHS
from henderson.frame import Frame, Label

Rows = NDArray[np.intp] | None
Codes = NDArray[np.int32]
Section = tuple[tuple[str, Label], ...]
"""Columns of at(...) and the level of each."""

_ABSORBED = {"us", "diag", "id"}


@dataclass(frozen=True)
class TermRecord:
    """What was learned of a random term.

    Attributes
    ----------
    index : of the term in `Formula.random`; one with at(env): in front is several records.
    group, text : "vm(animal, A)", "(1 | vm(animal, A))".
    at : the section.
    sides : factors of the right side.
    members : names of the groupings of a sum; () otherwise.
    effects : of each grouping.
    """

    index: int
    group: str
    text: str
    at: Section
    sides: tuple[Side, ...]
    members: tuple[str, ...]
    effects: Effects

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all effects within a level."""
        if not self.members:
            return self.effects.names
        return tuple(
            member if effect == INTERCEPT else f"{member}:{effect}"
            for member in self.members
            for effect in self.effects.names
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that say levels and sections."""
        return tuple(
            dict.fromkeys([*(c for side in self.sides for c in side.columns), *(name for name, _ in self.at)])
        )


# -- learning --------------------------------------------------------------------------------------------


def learn(
    formula: Formula, frame: Frame, rows: Rows, evaluator: Evaluator, known: Mapping[str, Any]
) -> tuple[TermRecord | SmoothRecord, ...]:
    """The records of the random terms."""
    records: list[TermRecord | SmoothRecord] = []
    lookups = Lookups(known, frame, formula.text)
    for index, term in enumerate(formula.random):
        if term.structure in SMOOTHS:
            records += learn_smooth(index, formula, evaluator)
            continue
        for section, inside in _sections(term, frame, rows):
            records.append(_learn(index, term, section, formula, frame, inside, evaluator, lookups))
    return tuple(records)


def _sections(term: RandomTerm, frame: Frame, rows: Rows) -> Iterator[tuple[Section, Rows]]:
    """Each section, and its rows of the table."""
    if not term.at:
        yield (), rows
        return
    labels = [used_labels(frame[name], rows) for name in term.at]
    codes, combinations = combine(labels)
    table = np.arange(len(codes)) if rows is None else rows
    for k, each in enumerate(combinations):
        levels = (labels[i].levels[code] for i, code in enumerate(each.tolist()))
        yield tuple(zip(term.at, levels, strict=True)), table[codes == k]


def _learn(
    index: int,
    term: RandomTerm,
    section: Section,
    formula: Formula,
    frame: Frame,
    rows: Rows,
    evaluator: Evaluator,
    lookups: Lookups,
) -> TermRecord:
    before = "".join(f"at({name}, {level}):" for name, level in section)
    term = replace(term, group=before + term.group)
    sides = learn_sides(term, formula, frame, rows, lookups)
    record = TermRecord(
        index,
        term.group,
        _label(term, before),
        section,
        sides,
        tuple(member_name(member) for member in term.members),
        learn_effects(term, formula, evaluator, frame, rows),
    )
    q = np.prod([side.q for side in sides], dtype=np.float64)
    if q < 2:
        levels = [side.levels[0] for side in sides]
        raise ModelError(
            f"{record.text}: '{record.group}' has one level only ({':'.join(map(str, levels))}) in the rows used.\n"
            "The variance among levels needs two levels or more: leave the term out."
        )
    return record


def _label(term: RandomTerm, before: str) -> str:
    """The term as users know it, in one section: "at(env, A):(1 | block)"."""
    if not before:
        return term.label
    inside = f"{term.effects} | {term.group.removeprefix(before)}"
    options = "".join(f", {key}={value}" for key, value in term.options.items())
    return before + (f"({inside})" if term.structure == "us" else f"{term.structure}({inside}{options})")


# -- making ----------------------------------------------------------------------------------------------


def make(
    record: TermRecord | SmoothRecord,
    formula: Formula,
    evaluator: Evaluator,
    frame: Frame,
    rows: Rows,
    known: Mapping[str, Any],
) -> StructuredTerm:
    """The term on the rows of a table; what the record has no level for is code -1 and listed as unknown."""
    if isinstance(record, SmoothRecord):
        return make_smooth(record, formula, evaluator)
    term, effects = formula.random[record.index], record.effects
    inside = _inside(record.at, frame, rows)
    found = [_codes(side, frame, rows, inside) for side in record.sides]
    unknown: dict[Label | None, None] = {}
    for side, codes in zip(record.sides, found, strict=True):
        _note_unknown(unknown, side, codes, frame, rows, inside)
    levels = _product(found, [side.q for side in record.sides])
    which = effects.codes(frame, rows)
    undefined: tuple[str, ...] = ()
    values = None if which is not None else effects.values(formula, evaluator)
    if inside is not None:
        levels = [np.where(inside[:, None], each, np.int32(-1)) for each in levels]
    if which is not None and which.size and which.min() < 0:
        outside = None if inside is None else ~inside
        seen = which if outside is None else np.where(outside, np.int32(0), which)
        if seen.min() < 0:
            undefined = tuple(effects.unknown(seen, frame, rows))
    q = int(np.prod([side.q for side in record.sides], dtype=np.int64))
    names = record.names
    z = make_z(levels, q, len(names), which, values, record.text)
    parts, combinations = _parts(record.sides)
    block = RandomBlock(
        group=record.group,
        effects=names,
        levels=parts[0] if combinations is None else ProductLabels(parts, combinations),
        codes=np.ascontiguousarray(levels[0][:, 0]),
        values=_block_values(len(levels[0]), which, values, effects.m, len(names), inside),
        structure=term.structure,
        text=record.text,
        factors=tuple(dict.fromkeys(c for side in record.sides for c in side.columns)),
        parts=parts,
        combinations=combinations,
        unknown=tuple(unknown),
    )
    factors = tuple(side.factor(known) for side in record.sides)
    unseen = _unseen(levels, which, values, effects.m, len(names), inside) if unknown else ()
    return StructuredTerm(block, z, dict(term.options), effects.coordinates, factors, unseen, undefined)


def _codes(side: Side, frame: Frame, rows: Rows, inside: NDArray[np.bool_] | None) -> Sequence[Codes]:
    """For each grouping of a side (n, memberships), those found when it was learned if they were kept."""
    if side.found is None:
        return side.codes(frame, rows)
    if inside is None:
        return side.found
    out = [np.full((len(inside), each.shape[1]), -1, dtype=np.int32) for each in side.found]
    for whole, each in zip(out, side.found, strict=True):
        whole[inside] = each
    return out


def light(record: TermRecord | SmoothRecord) -> TermRecord | SmoothRecord:
    """The record without what belongs to the rows it was learned from."""
    if isinstance(record, SmoothRecord):
        return record
    return replace(record, sides=tuple(replace(side, found=None) for side in record.sides))


def _inside(section: Section, frame: Frame, rows: Rows) -> NDArray[np.bool_] | None:
    """(n,) whether each row is in the section; None where there is none."""
    inside = None
    for name, level in section:
        codes = match_levels(frame[name], (level,))
        here = (codes if rows is None else codes[rows]) == 0
        inside = here if inside is None else inside & here
    return inside


def _note_unknown(
    unknown: dict[Label | None, None],
    side: Side,
    codes: Sequence[Codes],
    frame: Frame,
    rows: Rows,
    inside: NDArray[np.bool_] | None,
) -> None:
    if inside is not None:
        codes = [np.where(inside[:, None], each, np.int32(0)) for each in codes]
    if any(each.size and each.min() < 0 for each in codes):
        unknown.update(dict.fromkeys(side.unknown(codes, frame, rows)))


def _product(found: Sequence[Sequence[Codes]], sizes: Sequence[int]) -> list[Codes]:
    """For each grouping the levels (n, memberships) of the product of the sides, the last running fastest."""
    if len(found) == 1:
        return list(found[0])
    total = found[0][0].astype(np.int64)
    bad = total < 0
    for (codes,), q in zip(found[1:], sizes[1:], strict=True):
        n = len(codes)
        total = (total[:, :, None] * q + codes[:, None, :]).reshape(n, -1)
        bad = (bad[:, :, None] | (codes < 0)[:, None, :]).reshape(n, -1)
    return [np.where(bad, -1, total).astype(np.int32)]


def _parts(sides: Sequence[Side]) -> tuple[tuple[tuple[Label, ...], ...], NDArray[np.int32] | None]:
    """Levels of each column, and for each level of the product its codes into them."""
    parts = tuple(part for side in sides for part in side.parts)
    if len(parts) == 1:
        return parts, None
    own = [
        np.arange(side.q, dtype=np.int32)[:, None] if side.combinations is None else side.combinations
        for side in sides
    ]
    combinations = own[0]
    for each in own[1:]:
        combinations = np.hstack(
            [np.repeat(combinations, len(each), axis=0), np.tile(each, (len(combinations), 1))]
        )
    return parts, combinations


def _block_values(
    n: int,
    which: Codes | None,
    values: NDArray[np.float64] | None,
    own: int,
    m: int,
    inside: NDArray[np.bool_] | None,
) -> NDArray[np.float64] | None:
    """(n, m) coefficients of the first membership of each row: 0 outside of the section, and for the other groupings."""
    if which is None and values is None and m == 1 and inside is None:
        return None
    out = np.zeros((n, m))
    if which is not None:
        at = np.flatnonzero(which >= 0)
        out[at, which[at]] = 1.0
    else:
        out[:, :own] = 1.0 if values is None else values
    if inside is not None:
        out[~inside] = 0.0
    return out


def _unseen(
    levels: Sequence[Codes],
    which: Codes | None,
    values: NDArray[np.float64] | None,
    own: int,
    m: int,
    inside: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.float64], ...]:
    """Of each membership of each grouping (n, m): the coefficients where its level is unknown."""
    n = len(levels[0])
    found = []
    for j, memberships in enumerate(levels):
        given = _block_values(n, which, values, own, own, inside)
        coefficients = np.ones((n, own)) if given is None else given
        for codes in memberships.T:
            if codes.size and codes.min() < 0:
                each = np.zeros((n, m))
                each[:, j * own : (j + 1) * own] = np.where((codes < 0)[:, None], coefficients, 0.0)
                found.append(each)
    return tuple(found)


def mark_unknown_sections(
    terms: Sequence[StructuredTerm], records: Sequence[TermRecord | SmoothRecord], frame: Frame, rows: Rows
) -> tuple[StructuredTerm, ...]:
    """Rows of new data in none of the sections of an at(env): term: their section is listed as undefined."""
    out = list(terms)
    sections = {k: r for k, r in enumerate(records) if isinstance(r, TermRecord) and r.at}
    for index in dict.fromkeys(record.index for record in sections.values()):
        mine = [k for k, record in sections.items() if record.index == index]
        covered = np.any([_inside(sections[k].at, frame, rows) for k in mine], axis=0)  # type: ignore[arg-type]
        if covered.all():
            continue
        at = np.flatnonzero(~covered) if rows is None else rows[~covered]
        names = [name for name, _ in sections[mine[0]].at]
        factors = [frame[name].factor for name in names]
        seen = dict.fromkeys(
            tuple(None if f.values[i] < 0 else f.levels[f.values[i]] for f in factors) for i in at
        )
        labels = [
            ", ".join(f"{n} {'missing' if v is None else v}" for n, v in zip(names, each, strict=True))
            for each in seen
        ]
        first = out[mine[0]]
        out[mine[0]] = replace(first, undefined=(*first.undefined, *labels))
    return tuple(out)


# -- refusals --------------------------------------------------------------------------------------------


def refuse_overlaps(terms: Sequence[StructuredTerm], records: Sequence[TermRecord | SmoothRecord]) -> None:
    """One effect of one grouping in two terms of which one can be all of the other: only sums of their variances could be
    estimated. rr(...) + diag(...), or ar1(...) beside id(...), are two terms that can be told apart.

    Raises
    ------
    ModelError : names both terms.
    """
    placed: dict[Any, list[StructuredTerm]] = {}
    for second, record in zip(terms, records, strict=True):
        if isinstance(record, SmoothRecord):
            continue
        here = placed.setdefault(_place(record), [])
        for first in here:
            shared = [effect for effect in second.block.effects if effect in first.block.effects]
            if shared and _cannot_be_told(first.block, second.block, shared):
                example = (
                    " Write (0 + x | g) beside (1 | g)." if INTERCEPT in shared and second.block.m > 1 else ""
                )
                raise ModelError(
                    f"the effect {shared[0]} of '{second.block.group}' is in two random terms, {first.block.text}"
                    f" and {second.block.text}: their variances cannot be told apart.\n"
                    f"Take it out of one of them.{example}"
                )
        here.append(second)


def _place(record: TermRecord) -> tuple[Any, ...]:
    """What makes the levels of a term, whatever its order."""
    sides = frozenset(
        (side.kind, frozenset(side.columns), frozenset(side.members), side.known) for side in record.sides
    )
    return record.at, sides


def _cannot_be_told(first: RandomBlock, second: RandomBlock, shared: Sequence[str]) -> bool:
    simple = [b.structure in _ABSORBED or b.m == 1 for b in (first, second)]
    if all(simple):
        return True
    for one, other in ((first, second), (second, first)):
        if one.structure == "us" and set(other.effects) <= set(one.effects):
            return True
    return False


# -- plain records ---------------------------------------------------------------------------------------


def to_plain(record: TermRecord | SmoothRecord) -> dict[str, Any]:
    """A record as dict, list, text and numbers, for the spec of a design."""
    if isinstance(record, SmoothRecord):
        return {
            "group": record.group,
            "effects": [record.effect],
            "factors": [],
            "term": record.index,
            "text": record.text,
            "part": record.part,
        }
    effects = record.effects
    return {
        "group": record.group,
        "effects": list(record.names),
        "factors": list(record.columns),
        "term": record.index,
        "text": record.text,
        "at": [[name, level] for name, level in record.at],
        "members": list(record.members),
        "sides": [_plain_side(side) for side in record.sides],
        "within": {
            "names": list(effects.names),
            "columns": list(effects.columns),
            "parts": [list(part) for part in effects.parts],
            "combinations": _plain_array(effects.combinations),
            "structure": None if effects.structure is None else plain_structure(effects.structure),
            "coordinates": _plain_array(effects.coordinates),
        },
    }


def _plain_side(side: Side) -> dict[str, Any]:
    return {
        "kind": side.kind,
        "columns": list(side.columns),
        "parts": [list(part) for part in side.parts],
        "combinations": _plain_array(side.combinations),
        "members": [list(member) for member in side.members],
        "known": side.known,
        "measured": side.measured,
        "options": dict(side.options),
    }


def _plain_array(array: NDArray | None) -> list[Any] | None:
    return None if array is None else array.tolist()


def from_plain(plain: Mapping[str, Any]) -> TermRecord | SmoothRecord:
    """The record again."""
    if "part" in plain:
        (effect,) = plain["effects"]
        return SmoothRecord(plain["term"], plain["part"], plain["group"], plain["text"], effect)
    within = plain["within"]
    return TermRecord(
        plain["term"],
        plain["group"],
        plain["text"],
        tuple((name, level) for name, level in plain["at"]),
        tuple(
            Side(
                side["kind"],
                tuple(side["columns"]),
                tuple(tuple(part) for part in side["parts"]),
                _array(side["combinations"], np.int32),
                tuple(tuple(member) for member in side["members"]),
                side["known"],
                side["measured"],
                side["options"],
            )
            for side in plain["sides"]
        ),
        tuple(plain["members"]),
        Effects(
            tuple(within["names"]),
            tuple(within["columns"]),
            tuple(tuple(part) for part in within["parts"]),
            _array(within["combinations"], np.int32),
            None if within["structure"] is None else read_structure(within["structure"]),
            _array(within["coordinates"], np.float64),
        ),
    )


def _array(plain: list[Any] | None, dtype: type) -> NDArray | None:
    return None if plain is None else np.array(plain, dtype=dtype)
