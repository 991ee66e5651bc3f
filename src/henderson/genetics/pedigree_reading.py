"""A table of animals and parents -> ids and an `Ancestry`, parents before their offspring, or a refusal by
name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import frame
from ..errors import DataError, FormulaError, closest
from . import pedigree_faults as faults
from .ancestry import HALVES, SIRE_AND_GRANDSIRE, Ancestry, IntArray
from .ancestry_loops import generations, loop
from .ids import id_text
from .pedigree_labels import common_codes, texts


@dataclass(frozen=True)
class Asked:
    """The columns of a pedigree and how to read them; see `Pedigree`."""

    animal: str
    sire: str
    dam: str | None
    mgs: str | None = None
    unknown: tuple[str, ...] = ()
    sex: str | None = None
    selfing: str | None = None
    clones: str | None = None
    groups: tuple[str, ...] = ()
    monoecious: bool = False

    @property
    def other(self) -> str | None:
        """The column of the second parent: dam, maternal grandsire, or none."""
        return self.mgs or self.dam

    @property
    def roles(self) -> tuple[str, str]:
        return self.sire, self.other or "dam"

    def columns(self) -> list[str]:
        names = [self.animal, self.sire, self.other, self.sex, self.selfing, self.clones]
        return list(dict.fromkeys(n for n in names if n is not None))


@dataclass(frozen=True, eq=False)
class Read:
    """What a table told.

    Attributes
    ----------
    ancestry : the pedigree as arrays.
    labels : (n,) ids in its order, numbers or text.
    n_added : parents without a row of their own; they come first, or wherever `added` says.
    added : (n_added,) their positions.
    duplicates : rows that repeat another.
    groups : (n, 2) group that stands for each unknown parent, -1 none; None without groups.
    copies : clone id -> id of its genotype.
    library : to give tables back in.
    """

    ancestry: Ancestry
    labels: NDArray
    added: IntArray
    duplicates: int
    groups: IntArray | None
    copies: Mapping[str, str]
    library: str


@dataclass(frozen=True, eq=False)
class _Rows:
    """Columns by row: codes of `labels`, -1 unknown."""

    animal: IntArray
    parents: tuple[IntArray, IntArray]
    labels: NDArray
    groups: tuple[IntArray, IntArray] | None
    sex: IntArray | None
    sex_labels: tuple[str, ...]
    selfing: NDArray[np.float64] | None

    def take(self, rows: NDArray) -> _Rows:
        def pair(two: tuple[IntArray, IntArray] | None) -> Any:
            return None if two is None else (two[0][rows], two[1][rows])

        return _Rows(
            self.animal[rows],
            pair(self.parents),
            self.labels,
            pair(self.groups),
            None if self.sex is None else self.sex[rows],
            self.sex_labels,
            None if self.selfing is None else self.selfing[rows],
        )


def read_pedigree(table: Any, asked: Asked) -> Read:
    """Read, check and order a pedigree.

    Raises
    ------
    DataError : a column that is not there, an id that is missing, and every contradiction named in
        `pedigree_faults`.
    """
    read = _columns(table, asked)
    named = [
        asked.animal,
        asked.sire,
        *([asked.other] if asked.other else []),
        *([asked.clones] if asked.clones else []),
    ]
    codes, labels = common_codes([read[name] for name in named], asked.unknown)
    faults.refuse_missing_ids(codes[0], asked.animal, asked.unknown)
    second = codes[2] if asked.other else np.full(read.nrow, -1, np.int32)
    sex, sex_labels = _sex(read, asked)
    rows = _Rows(codes[0], (codes[1], second), labels, None, sex, sex_labels, _selfing(read, asked))
    numbers = np.arange(read.nrow)
    if asked.groups:
        rows, numbers = _take_groups_out(rows, numbers, asked)
    copies: dict[int, int] = {}
    sources = np.zeros(0, np.int32)
    if asked.clones:
        rows, numbers, copies, sources = _merge_clones(rows, numbers, codes[-1][numbers], asked)
    rows, numbers, duplicates = _merge_duplicates(rows, numbers, asked)
    return _assemble(rows, numbers, sources, copies, duplicates, asked, read.library)


def _columns(table: Any, asked: Asked) -> frame.Frame:
    try:
        return frame.read(table, asked.columns())
    except FormulaError as error:
        wanted = f"animal={asked.animal!r}, sire={asked.sire!r}, "
        wanted += f"mgs={asked.mgs!r}" if asked.mgs else f"dam={asked.dam!r}"
        raise DataError(
            f"pedigree: {error}\nThe columns looked for are {wanted}. Name those of this table, such as"
            " hd.genetics.Pedigree(table, animal='id', sire='father', dam='mother')."
        ) from None


def _sex(read: frame.Frame, asked: Asked) -> tuple[IntArray | None, tuple[str, ...]]:
    if asked.sex is None:
        return None, ()
    column = read[asked.sex].factor
    labels = tuple(id_text(level) for level in column.levels)
    unknown = np.array([label in asked.unknown and label != "0" for label in labels] + [True])
    codes = column.values.astype(np.int32)
    return np.where(unknown[codes], np.int32(-1), codes), labels


def _selfing(read: frame.Frame, asked: Asked) -> NDArray[np.float64] | None:
    if asked.selfing is None:
        return None
    column = read[asked.selfing]
    if column.kind != "numeric":
        raise DataError(
            f"pedigree: column '{asked.selfing}' holds text, and generations of selfing are numbers: 0 for a"
            " cross, 1 for one generation of selfing after it, 'inf' for doubled haploids."
        )
    given = np.nan_to_num(column.values, nan=0.0, posinf=np.inf, neginf=-np.inf)
    bad = np.flatnonzero((given < 0) | ((given > 1) & np.isfinite(given) & (given != np.floor(given))))
    if bad.size:
        raise DataError(
            f"pedigree: column '{asked.selfing}' has {given[bad[0]]:g} in row {bad[0]} (the first row is 0):"
            " a whole number of generations of selfing is wanted, or for a founder its inbreeding, between"
            " 0 and 1."
        )
    return given


def _take_groups_out(rows: _Rows, numbers: NDArray, asked: Asked) -> tuple[_Rows, NDArray]:
    """Groups among the parents into `groups`, and rows that name a group as an animal left out."""
    known = texts(rows.labels)
    place = {text: code for code, text in enumerate(known)}
    group_of = np.full(len(known) + 1, -1, np.int32)
    for k, group in enumerate(asked.groups):
        if group not in place:
            near = closest(group, list(known)[:20_000])
            raise DataError(
                f"pedigree: the genetic group '{group}' stands for nobody's parent in columns"
                f" '{asked.roles[0]}' and"
                f" '{asked.roles[1]}'." + (f"\nThe closest id there is '{near}'." if near else "")
            )
        group_of[place[group]] = k
    taken = (group_of[rows.parents[0]], group_of[rows.parents[1]])
    parents = (_without(rows.parents[0], taken[0]), _without(rows.parents[1], taken[1]))
    is_group = group_of[rows.animal] >= 0
    with_parents = is_group & ((rows.parents[0] >= 0) | (rows.parents[1] >= 0))
    if with_parents.any():
        at = int(np.flatnonzero(with_parents)[0])
        raise DataError(
            f"pedigree: '{known[rows.animal[at]]}' is a genetic group and has parents in row {numbers[at]}"
            " (the first row is 0)."
        )
    used = set(np.unique(np.concatenate([t[~is_group] for t in taken])).tolist())
    idle = [group for k, group in enumerate(asked.groups) if k not in used]
    if idle:
        raise DataError(
            f"pedigree: the genetic group{'s' if len(idle) > 1 else ''}"
            f" {faults.listed([repr(g) for g in idle])} stand{'' if len(idle) > 1 else 's'} for nobody's"
            " parent: leave it out of groups=."
        )
    out = _Rows(rows.animal, parents, rows.labels, taken, rows.sex, rows.sex_labels, rows.selfing)
    keep = np.flatnonzero(~is_group)
    return out.take(keep), numbers[keep]


def _without(parent: IntArray, group: IntArray) -> IntArray:
    return np.where(group >= 0, np.int32(-1), parent)


def _merge_clones(
    rows: _Rows, numbers: NDArray, clone_of: IntArray, asked: Asked
) -> tuple[_Rows, NDArray, dict[int, int], IntArray]:
    """Every clone called by the id of its genotype; clone rows that say nothing of the parents are left
    out."""
    n = rows.labels.size
    source = np.arange(n, dtype=np.int32)
    given = np.flatnonzero(clone_of >= 0)
    source[rows.animal[given]] = clone_of[given]
    clash = given[source[rows.animal[given]] != clone_of[given]]
    if clash.size:
        animal = rows.animal[clash[0]]
        raise DataError(
            f"pedigree: '{texts(rows.labels[[animal]])[0]}' is a clone of two genotypes in column"
            f" '{asked.clones}': {_names(rows.labels, [clone_of[clash[0]], source[animal]])}."
        )
    root = source
    for _ in range(64):
        root = root[root]
    if not np.array_equal(source[root], root):
        at = int(np.flatnonzero(source[root] != root)[0])
        raise DataError(
            f"pedigree: column '{asked.clones}' goes round: {_names(rows.labels, [at, int(source[at])])} are"
            " clones of one another and neither is the genotype. Leave the field of the genotype empty."
        )
    moved = np.flatnonzero(root != np.arange(n))
    copies = dict(zip(moved.tolist(), root[moved].tolist(), strict=True))
    animal = root[rows.animal]
    parents = tuple(np.where(p >= 0, root[p], np.int32(-1)) for p in rows.parents)
    silent = (animal != rows.animal) & (parents[0] < 0) & (parents[1] < 0)
    if rows.groups is not None:
        silent &= (rows.groups[0] < 0) & (rows.groups[1] < 0)
    own = np.zeros(n, np.bool_)
    own[rows.animal[animal == rows.animal]] = True
    own[animal[~silent]] = True
    # A genotype known by silent clones alone keeps the first of them, for its sex and selfing.
    silent &= own[animal] | ~_first_of(animal, n)
    keep = np.flatnonzero(~silent)
    out = _Rows(
        animal, (parents[0], parents[1]), rows.labels, rows.groups, rows.sex, rows.sex_labels, rows.selfing
    )
    return out.take(keep), numbers[keep], copies, np.unique(root[moved])


def _first_of(codes: IntArray, n: int) -> NDArray[np.bool_]:
    """Whether each row is the first with its code."""
    return _first_rows(codes, n)[codes] == np.arange(codes.size)


def _first_rows(codes: IntArray, n: int) -> IntArray:
    """The first row of each code, -1 where there is none."""
    first = np.full(n, -1, np.int32)
    first[codes[::-1]] = np.arange(codes.size - 1, -1, -1, dtype=np.int32)
    return first


def _names(labels: NDArray, codes: Sequence[int]) -> str:
    return " and ".join(f"'{t}'" for t in texts(labels[list(codes)]))


def _merge_duplicates(rows: _Rows, numbers: NDArray, asked: Asked) -> tuple[_Rows, NDArray, int]:
    """One row for each id; rows that repeat it are counted, rows that contradict it refused."""
    first = _first_rows(rows.animal, rows.labels.size)[rows.animal]
    again = np.flatnonzero(first != np.arange(first.size))
    if not again.size:
        return rows, numbers, 0
    said: list[tuple[str, NDArray]] = [(asked.roles[k], rows.parents[k]) for k in (0, 1)]
    if rows.groups is not None:
        said += [(f"group of {asked.roles[k]}", rows.groups[k]) for k in (0, 1)]
    if rows.sex is not None:
        said.append((str(asked.sex), rows.sex))
    if rows.selfing is not None:
        said.append((str(asked.selfing), rows.selfing))
    for _, values in said:
        bad = again[values[again] != values[first[again]]]
        if bad.size:
            pair = (int(first[bad[0]]), int(bad[0]))
            entries = tuple(", ".join(_entry(name, v[r], rows, asked) for name, v in said) for r in pair)
            names = _namer(rows, numbers, asked)
            where = (int(numbers[pair[0]]), int(numbers[pair[1]]))
            faults.refuse_conflict(int(rows.animal[pair[0]]), where, (entries[0], entries[1]), names)
    keep = np.flatnonzero(first == np.arange(first.size))
    return rows.take(keep), numbers[keep], int(again.size)


def _entry(name: str, value: Any, rows: _Rows, asked: Asked) -> str:
    if name == asked.selfing:
        return f"{name} {value:g}"
    if value < 0:
        return f"{name} unknown"
    if name == asked.sex:
        return f"{name} '{rows.sex_labels[value]}'"
    if name.startswith("group of "):
        return f"{name} '{asked.groups[value]}'"
    return f"{name} {_names(rows.labels, [value])}"


def _namer(rows: _Rows, numbers: NDArray, asked: Asked) -> faults.Names:
    where = _first_rows(rows.animal, rows.labels.size)
    return faults.Names(
        text=lambda code: str(texts(rows.labels[[code]])[0]),
        row=lambda code: int(numbers[where[code]]) if where[code] >= 0 else -1,
        roles=asked.roles,
    )


def _assemble(
    rows: _Rows,
    numbers: NDArray,
    sources: IntArray,
    copies: Mapping[int, int],
    duplicates: int,
    asked: Asked,
    library: str,
) -> Read:
    """Codes -> positions: added parents first, then the rows, sorted by generation where the table has an
    offspring first."""
    n = rows.labels.size
    row_of = _first_rows(rows.animal, n)
    named = np.zeros(n, np.bool_)
    for parent in rows.parents:
        named[parent[parent >= 0]] = True
    named[sources] = True
    added = np.flatnonzero(named & (row_of < 0))
    names = _namer(rows, numbers, asked)
    if added.size:
        both = np.bincount(np.concatenate([p[p >= 0] for p in rows.parents]), minlength=n)
        faults.refuse_suspicious(texts(rows.labels[added]).tolist(), both[added].tolist())
    by_code = tuple(_by_code(parent, rows.animal, n) for parent in rows.parents)
    faults.refuse_own_parents(by_code[0], by_code[1], names)
    _check_roles(rows, numbers, names, by_code, asked)
    order = np.concatenate([added, rows.animal]).astype(np.int32)
    place = np.full(n + 1, -1, np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    first, second = (place[np.concatenate([np.full(added.size, -1, np.int32), p])] for p in rows.parents)
    here = np.arange(order.size)
    if (first >= here).any() or (second >= here).any():
        generation, at = loop(generations, order.size)(first, second)
        if at >= 0:
            _refuse_cycle(int(at), first, second, generation, order, names)
        sort = np.argsort(generation, kind="stable")
        moved = np.full(order.size + 1, -1, np.int32)
        moved[sort] = here.astype(np.int32)
        first, second, order = moved[first[sort]], moved[second[sort]], order[sort]
    at_row = row_of[order]
    return Read(
        Ancestry(
            first,
            second,
            SIRE_AND_GRANDSIRE if asked.mgs else HALVES,
            _kept(rows, numbers, at_row, names, asked),
        ),
        rows.labels[order],
        np.flatnonzero(at_row < 0).astype(np.int32),
        duplicates,
        _groups(rows, at_row),
        dict(zip(texts(rows.labels[list(copies)]), texts(rows.labels[list(copies.values())]), strict=True))
        if copies
        else {},
        library,
    )


def _by_code(parent: IntArray, animal: IntArray, n: int) -> IntArray:
    out = np.full(n, -1, np.int32)
    out[animal] = parent
    return out


def _refuse_cycle(
    at: int, first: IntArray, second: IntArray, generation: IntArray, order: IntArray, names: faults.Names
) -> None:
    by_place = faults.Names(
        lambda i: names.text(int(order[i])), lambda i: names.row(int(order[i])), names.roles
    )
    faults.refuse_cycle(at, first, second, generation, by_place)


def _check_roles(
    rows: _Rows, numbers: NDArray, names: faults.Names, by_code: tuple[IntArray, ...], asked: Asked
) -> None:
    """Sire and dam are two, and of two sexes, unless the pedigree is of plants or of sires and grandsires."""
    if asked.mgs:
        return
    sires, dams = (np.unique(p[p >= 0]) for p in rows.parents)
    if not (asked.monoecious or asked.selfing):
        same = np.flatnonzero((rows.parents[0] >= 0) & (rows.parents[0] == rows.parents[1]))
        faults.refuse_selfed(
            numbers[same], names, dict(zip(numbers[same], rows.animal[same], strict=True)).__getitem__
        )
        faults.refuse_two_roles(np.intersect1d(sires, dams), lambda code: _places(code, rows, numbers), names)
    if rows.sex is not None:
        sex = np.full(rows.labels.size, -1, np.int32)
        sex[rows.animal] = rows.sex
        faults.refuse_sexes(sex, rows.sex_labels, sires, dams, names, str(asked.sex))


def _places(code: int, rows: _Rows, numbers: NDArray) -> tuple[int, int]:
    """The first rows in which somebody is the first parent, and the second."""
    first, second = (int(numbers[np.flatnonzero(p == code)[0]]) for p in rows.parents)
    return first, second


def _kept(
    rows: _Rows, numbers: NDArray, at_row: IntArray, names: faults.Names, asked: Asked
) -> NDArray[np.float64] | None:
    """Heterozygosity left by selfing, in the final order; founders may have their inbreeding given
    instead."""
    if rows.selfing is None or not rows.selfing.any():
        return None
    given = rows.selfing
    fraction = (given > 0) & (given < 1)
    founder = (rows.parents[0] < 0) & (rows.parents[1] < 0)
    bad = np.flatnonzero(fraction & ~founder)
    if bad.size:
        at = int(bad[0])
        raise DataError(
            f"pedigree: column '{asked.selfing}' has {given[at]:g} for '{names.text(int(rows.animal[at]))}'"
            f" in row {numbers[at]} (the first row is 0), who has parents. A number between 0 and 1 is the"
            " inbreeding of a founder; for others write the whole number of generations of selfing."
        )
    kept = np.where(fraction, 1.0 - given, 0.5**given)
    return np.where(at_row >= 0, kept[at_row], 1.0)


def _groups(rows: _Rows, at_row: IntArray) -> IntArray | None:
    if rows.groups is None:
        return None
    both = np.stack(rows.groups, axis=1)
    return np.where((at_row >= 0)[:, None], both[at_row], np.int32(-1)).astype(np.int32)


def as_texts(labels: Iterable[Any]) -> tuple[str, ...]:
    """Labels the user gives (unknown=, groups=), as text."""
    return tuple(dict.fromkeys("" if label is None else id_text(label) for label in labels))
