"""What a user holds, starts from, ties and bounds: keys and numbers in the user's units -> entries of phi in standard coordinates.

Keys are those of `parameter_names.Names`. Numbers are on the scale `variance_components` reports. What cannot be held by itself (a
covariance of an unstructured matrix, a correlation of toep) is refused with the numbers that would have to come with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ModelError
from ..mixed.structured.blocks import Block, Factor, Rows, Undetermined
from ..mixed.structured.criterion import Problem
from ..mixed.structured.parameters import Control
from ..mixed.structured.start import default_start, moment_sizes
from .covariance_input import covariance_matrix
from .parameter_names import RESIDUAL, Names, Row
from .words import Words, is_table, table_rows

_PLAIN = ("id", "diag", "us")
"""Structures whose matrix may be given by one variance or a list of them."""
_SAME = 1e-8
_EDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Limit:
    """A bound on a number with a unit: coordinate `at` of the row's block, low <= value <= high."""

    row: Row
    at: int
    low: float
    high: float
    key: str


@dataclass(eq=False)
class Read:
    """What was read.

    Attributes
    ----------
    control : holds, ties and boxes.
    start : numbers to start from, by block and number within it; None where start= was not given.
    limits : bounds that an active set keeps.
    boxes : all bounds: row, low, high; for notes.
    notes : ties, in the user's words.
    """

    control: Control
    start: dict[Block, dict[int, float]] | None
    limits: list[Limit] = field(default_factory=list)
    boxes: list[tuple[Row, float, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_control(words: Words, names: Names, control: Control) -> Read:
    """The user's words -> control (to which they are added), starts, limits.

    Raises
    ------
    ModelError : unknown keys, numbers out of range, matrices of the wrong shape, what cannot be held, tied or bounded by itself.
    """
    held = _Given("fixed_parameters", names, words.fixed_parameters)
    for block, values in held.values.items():
        for i, value in _solve(block, values, held).items():
            if block.owns_scale and i == block.size - 1:
                control.log_s2 = 2.0 * value
            else:
                control.held[block.at.start + i] = value
    begun = None
    if words.start is not None:
        begun = _Given("start", names, words.start, nearest=True).values
    out = Read(control, begun)
    _tie(words.tied, names, out)
    _bound(words.bounds, names, out)
    return out


def _solve(block: Block, values: Mapping[int, float], given: _Given) -> dict[int, float]:
    said = ", ".join(repr(given.names.said(given.row(block, j))) for j in values)
    try:
        found = block.solve(values)
    except Undetermined as missing:
        others = given.names.listed([given.row(block, j) for j in missing.others])
        whole = ""
        if isinstance(block, Factor) and block.structure is not None and block.structure.name == "us":
            whole = f"Give the whole matrix, {{{given.names.texts[block.term]!r}: [[...]]}}, or "
        raise ModelError(
            f"{given.argument}: {said} cannot be held without others, with which it shares parameters. "
            + (f"{whole}give {others} too." if whole else f"Give {others} too.")
        ) from None
    except ModelError as error:
        raise ModelError(f"{given.argument}: {said}: {error}") from None
    if not np.isfinite(list(found.values())).all():
        raise ModelError(
            f"{given.argument}: {said}: at this value the parameter has no finite coordinate; stay inside its range."
        )
    return found


# -- numbers ---------------------------------------------------------------------------------------------------------


class _Given:
    """Numbers by block, from a mapping or a table."""

    def __init__(self, argument: str, names: Names, given: Any, nearest: bool = False):
        self.argument, self.names, self.nearest = argument, names, nearest
        self.values: dict[Block, dict[int, float]] = {}
        if given is None:
            return
        if is_table(given):
            self._read_table(given)
            return
        if not isinstance(given, Mapping):
            raise ModelError(
                f'{argument} is a mapping such as {{"Subject": 600.0, "Residual": 650.0}}, or a table like variance_components, '
                f"not {given!r}."
            )
        for key, value in given.items():
            found = names.find(str(key), argument)
            if isinstance(found, Row):
                self._put(found, value, str(key))
            elif found < 0:
                self._residual(value)
            else:
                self._term(found, value, str(key))

    def row(self, block: Block, j: int) -> Row:
        return next(row for row in self.names.rows if row.block is block and row.j == j)

    def _put(self, row: Row, value: Any, key: str) -> None:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not np.isfinite(number):
            raise ModelError(f"{self.argument}: '{key}' is a number, not {value!r}.")
        if (
            row.block.kind == "R"
            and row.block.units[row.j] == 2
            and not row.name.startswith("cov(")
            and not number > 0
        ):
            raise ModelError(
                f"{self.argument}: '{key}' is a residual variance: one positive number, not {value!r}."
            )
        values = self.values.setdefault(row.block, {})
        if row.j in values:
            raise ModelError(f"{self.argument}: '{self.names.said(row)}' is given twice.")
        values[row.j] = number

    def _read_table(self, given: Any) -> None:
        seen: dict[tuple[str, str], int] = {}
        for group, name, value in table_rows(given, self.argument):
            same = [r for r in self.names.rows if (r.group, r.name) == (group, name)]
            turn = seen.get((group, name), 0)
            seen[group, name] = turn + 1
            if turn < len(same):
                self._put(same[turn], value, same[turn].key)
                continue
            if same:
                raise ModelError(
                    f"{self.argument}: the table has '{group}: {name}' {turn + 1} times, this model {len(same)}."
                )
            if group == RESIDUAL and name == RESIDUAL and _known_scale(self.names):
                continue
            self.names.find(group if group == name else f"{group}: {name}", self.argument)
            raise ModelError(f"{self.argument}: this model has no parameter '{name}' in {group}.")

    def _named(self, k: int, value: Mapping[str, Any]) -> None:
        for name, number in value.items():
            row = self.names.row(k, str(name), self.argument)
            self._put(row, number, self.names.said(row))

    def _residual(self, value: Any) -> None:
        if isinstance(value, Mapping):
            self._named(-1, value)
            return
        rows = self.names.of_term(-1)
        if not rows:
            raise ModelError(
                f"{self.argument}: the residual's covariance is known, with its size: there is nothing to give."
            )
        own = [row for row in rows if row.name == RESIDUAL]
        if own and np.ndim(value) == 0:
            self._put(own[0], value, RESIDUAL)
            return
        if not own and np.ndim(value) == 2:
            self._matrix_of_rows(rows, value)
            return
        what = (
            "one positive number"
            if own
            else f"{{name: number}} with names among {', '.join(repr(r.name) for r in rows)}"
        )
        raise ModelError(f"{self.argument}: 'Residual' is {what}, not {value!r}.")

    def _matrix_of_rows(self, rows: list[Row], value: Any) -> None:
        """A covariance matrix of positions or traits, by the names of its entries."""
        by_name = {row.name: row for row in rows}
        effects = tuple(
            row.name for row in rows if f"cov({rows[0].name}, {row.name})" in by_name or row is rows[0]
        )
        m = len(effects)
        if len(rows) != m * (m + 1) // 2:
            raise ModelError(
                f"{self.argument}: 'Residual' is {{name: number}} with names among {', '.join(repr(r.name) for r in rows)}."
            )
        matrix = covariance_matrix(value, RESIDUAL, effects, self.argument)
        for i, effect in enumerate(effects):
            self._put(by_name[effect], matrix[i, i], effect)
            for j in range(i):
                name = f"cov({effects[j]}, {effect})"
                self._put(by_name[name], matrix[i, j], name)

    def _term(self, k: int, value: Any, key: str) -> None:
        if isinstance(value, Mapping):
            self._named(k, value)
            return
        rows = self.names.of_term(k)
        first = [row for row in rows if row.block.kind == "T"]
        block = first[0].block if first else None
        if not isinstance(block, Factor) or block.structure is None:
            raise ModelError(
                f"{self.argument}: '{key}' has no variance: its parameters are {self.names.listed(rows) or 'none'}."
            )
        effects, structure = self.names.effects[k], block.structure
        if len(first) == 1 and np.size(value) == 1 and first[0].block.units[0] == 2:
            self._put(first[0], np.ravel(value)[0] if np.ndim(value) else value, key)
            return
        if structure.name not in _PLAIN and np.ndim(value) < 2:
            raise ModelError(
                f"{self.argument}: '{key}' ({structure.name}) has several parameters: give {{name: number}} with names among "
                f"{', '.join(repr(row.name) for row in first)}, or a {len(effects)} x {len(effects)} covariance matrix."
            )
        sigma = covariance_matrix(value, key, effects, self.argument)
        if structure.name == "diag" and not np.array_equal(sigma, np.diag(np.diag(sigma))):
            raise ModelError(
                f"{self.argument}: the effects of '{key}' are independent of one another (diag): its covariances are 0. Give variances only."
            )
        natural = block.of_matrix(sigma)
        if not self.nearest:
            off = np.abs(block.matrix(natural) - sigma).max()
            if off > _SAME * np.abs(sigma).max(initial=1e-300):
                raise ModelError(
                    f"{self.argument}: '{key}' is of structure {structure.name}, which does not hold this matrix (the nearest one differs "
                    f"by {off:.3g}): give its parameters by name, {', '.join(repr(row.name) for row in first)}."
                )
        for row in first:
            self._put(row, natural[row.j], self.names.said(row))


def _known_scale(names: Names) -> bool:
    rows = next(row.block for row in names.rows if row.block.kind == "R") if names.of_term(-1) else None
    return rows is None or (isinstance(rows, Rows) and rows.size_known is not None)


# -- the start -------------------------------------------------------------------------------------------------------


def start_at(
    problem: Problem, blocks: list[Block], start: Mapping[Block, Mapping[int, float]], names: Names
) -> np.ndarray:
    """theta at the user's numbers; what is not given is where it would start anyway.

    Raises
    ------
    ModelError : numbers out of range.
    """
    layout = problem.layout
    theta = default_start(problem)
    phi = layout.all(theta)
    if layout.log_s2 is not None:
        log_s2 = layout.log_s2
    elif layout.estimates_scale:
        log_s2 = float(theta[-1])
    else:
        log_s2 = float(np.log(moment_sizes(problem.model)[1]))
    rows = blocks[-1]
    given = {}
    # The residual's size first: the others are relative to it.
    for block in (rows, *blocks[:-1]):
        if block not in start:
            continue
        known = start[block]
        scaled = (
            layout.scaling[block.at]
            if block.kind == "T"
            else np.zeros(block.at.stop - block.at.start, dtype=bool)
        )
        own = phi[block.at] * np.where(scaled, np.exp(0.5 * log_s2), 1.0)
        here = np.append(own, 0.5 * log_s2) if block.owns_scale else own
        values = np.array(block.natural(here))
        values[list(known)] = list(known.values())
        said = ", ".join(repr(names.said(row)) for row in names.rows if row.block is block and row.j in known)
        try:
            found = block.coordinates(values)
        except ModelError as error:
            raise ModelError(f"start: {said}: {error}") from None
        if not np.isfinite(found).all():
            raise ModelError(
                f"start: {said}: there is no finite coordinate at this value; stay inside the range."
            )
        if block.owns_scale and layout.log_s2 is None:
            log_s2 = 2.0 * float(found[-1])
        given[block] = (found[: len(own)], scaled)
    for block, (found, scaled) in given.items():
        phi[block.at] = found * np.where(scaled, np.exp(-0.5 * log_s2), 1.0)
    theta = layout.free_of(phi)
    return np.append(theta, log_s2) if layout.estimates_scale else theta


# -- ties ------------------------------------------------------------------------------------------------------------


def _tie(given: Any, names: Names, out: Read) -> None:
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise ModelError(
            f'tied is a mapping such as {{"site1: variance": "site2: variance"}}, not {given!r}.'
        )
    for key, value in given.items():
        multiple, target = _multiple(key, value)
        follower, leader = names.find(str(key), "tied"), names.find(target, "tied")
        whole = (
            None
            if isinstance(follower, Row) or isinstance(leader, Row)
            else _matrices(follower, leader, names)
        )
        if whole is not None:
            _tie_matrices(*whole, multiple, str(key), target, names, out.control)
        else:
            _tie_rows(names.only(str(key), "tied"), names.only(target, "tied"), multiple, names, out)
        out.notes.append(f"tied: {key} = " + (f"{multiple:g} x {target}" if multiple != 1.0 else target))


def _multiple(key: Any, value: Any) -> tuple[float, str]:
    if isinstance(value, str):
        return 1.0, value
    if isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[1], str):
        try:
            multiple = float(value[0])
        except (TypeError, ValueError):
            multiple = float("nan")
        if np.isfinite(multiple) and multiple != 0:
            return multiple, value[1]
    raise ModelError(f"tied: '{key}' is tied to a name, or to (multiple, name), not to {value!r}.")


def _matrices(a: int, b: int, names: Names) -> tuple[Factor, Factor] | None:
    """The blocks of two terms of several parameters each; None where a key means a number."""
    found = []
    for k in (a, b):
        blocks = {row.block for row in names.of_term(k) if row.block.kind == "T"}
        block = blocks.pop() if blocks else None
        if not isinstance(block, Factor) or len(block.names) < 2:
            return None
        found.append(block)
    return found[0], found[1]


def _tie_matrices(
    one: Factor, other: Factor, multiple: float, key: str, target: str, names: Names, control: Control
) -> None:
    """Sigma of one term = multiple Sigma of another: entry by entry of theta."""
    assert one.structure is not None and one.multiplier is not None and other.multiplier is not None
    if one is other:
        raise ModelError(f"tied: '{key}' is tied to itself.")
    if multiple < 0:
        raise ModelError(
            f"tied: '{key}': a covariance matrix is a positive multiple of another, not {multiple:g} times."
        )
    theta = one._shaken()[1]
    alike = (
        other.structure is not None
        and one.structure.name == other.structure.name
        and one.size == other.size
        and np.allclose(
            one.natural(theta), other.natural(theta * one.multiplier / other.multiplier), rtol=1e-9
        )
    )
    if not alike:
        of_one, of_other = ([row for row in names.rows if row.block is block] for block in (one, other))
        raise ModelError(
            f"tied: '{key}' and '{target}' are not of one structure and size: tie their parameters one by one; they are "
            f"{names.listed(of_one)} and {names.listed(of_other)}."
        )
    size = np.where(one.structure.scaling, np.sqrt(multiple), 1.0) * other.multiplier / one.multiplier
    for i, ratio in enumerate(size):
        _follow(one.at.start + i, other.at.start + i, float(ratio), key, control)


def _tie_rows(a: Row, b: Row, multiple: float, names: Names, out: Read) -> None:
    """a = multiple b."""
    control = out.control
    said, other = names.said(a), names.said(b)
    if a is b or (a.block is b.block and a.j == b.j):
        raise ModelError(f"tied: '{said}' is tied to itself.")
    unit = a.block.units[a.j]
    if unit != b.block.units[b.j]:
        kinds = {0: "a correlation or range, without a unit", 1: "a loading", 2: "a variance or covariance"}
        raise ModelError(
            f"tied: '{said}' is {kinds[int(unit)]} and '{other}' {kinds[int(b.block.units[b.j])]}: they cannot be equal."
        )
    if unit == 2 and multiple < 0:
        raise ModelError(
            f"tied: '{said}': a variance is a positive multiple of another, not {multiple:g} times."
        )
    i, j = (_alone(row, names, "tied") for row in (a, b))
    if unit == 0:
        if multiple != 1.0:
            raise ModelError(
                f"tied: '{said}' has no unit: it can be equal to '{other}', not {multiple:g} times it."
            )
        if not _same_map(a, i, b, j):
            raise ModelError(
                f"tied: '{said}' and '{other}' come from different structures, whose parameters are measured differently: only those of one "
                "structure can be tied."
            )
        _follow(a.block.at.start + i, b.block.at.start + j, 1.0, said, control)
        return
    scale_a, scale_b = _is_scale(a.block, i), _is_scale(b.block, j)
    if scale_a:
        a, b, i, j, scale_b, multiple = b, a, j, i, True, 1.0 / multiple
    size = _size(a, i, names)
    if scale_b:
        rows = b.block
        assert isinstance(rows, Rows)
        at = a.block.at.start + i
        _require_new(at, said, control)
        control.relative[at] = float(np.sqrt(multiple * rows.unit**2 / size))
        return
    power = 1.0 / unit
    ratio = np.sign(multiple) * abs(multiple * _size(b, j, names) / size) ** power
    _follow(a.block.at.start + i, b.block.at.start + j, float(ratio), said, control)


def _alone(row: Row, names: Names, argument: str) -> int:
    found = row.block.alone(row.j)
    if found is None:
        raise ModelError(
            f"{argument}: '{names.said(row)}' follows from several parameters of its structure together: it has no bound or tie of its "
            "own. Those that have: "
            + (names.listed([r for r in names.rows if r.block.alone(r.j) is not None]) or "none")
            + "."
        )
    return found


def _is_scale(block: Block, i: int) -> bool:
    return block.owns_scale and i == block.size - 1


def _size(row: Row, i: int, names: Names) -> float:
    """kappa where the number is kappa c^unit."""
    unit = int(row.block.units[row.j])
    for c in row.block._shaken():
        value = float(row.block.natural(c)[row.j])
        kappa = value / c[i] ** unit
        slope = unit * kappa * c[i] ** (unit - 1)
        if not np.isclose(row.block.slopes(c)[row.j, i], slope, rtol=1e-6):
            raise ModelError(
                f"tied: '{names.said(row)}' is not measured by a standard deviation: it cannot be tied."
            )
    return kappa


def _same_map(a: Row, i: int, b: Row, j: int) -> bool:
    """Whether both numbers are the same function of their coordinate, and in the same box."""
    ca, cb = a.block._shaken()[0].copy(), b.block._shaken()[0].copy()
    for value in (-0.6, -0.2, 0.15, 0.4, 0.7):
        ca[i] = cb[j] = value
        with np.errstate(all="ignore"):
            one, other = a.block.natural(ca)[a.j], b.block.natural(cb)[b.j]
        if not np.isclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True):
            return False
    return True


def _follow(i: int, j: int, ratio: float, said: str, control: Control) -> None:
    _require_new(i, said, control)
    chain, at = {a: b for a, b, _ in control.ties}, j
    while at in chain:
        at = chain[at]
        if at == i:
            break
    if at == i:
        raise ModelError(f"tied: '{said}' is tied in a circle.")
    control.ties.append((i, j, ratio))


def _require_new(i: int, said: str, control: Control) -> None:
    if i in control.held:
        raise ModelError(f"tied: '{said}' is held by fixed_parameters= as well: one or the other.")
    if i in control.relative or any(a == i for a, _, _ in control.ties):
        raise ModelError(f"tied: '{said}' is tied twice.")


# -- bounds ----------------------------------------------------------------------------------------------------------


def _bound(given: Any, names: Names, out: Read) -> None:
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise ModelError(f'bounds is a mapping such as {{"ar1(row): ar1(row)": (0, 0.95)}}, not {given!r}.')
    for key, value in given.items():
        row = names.only(str(key), "bounds")
        said = names.said(row)
        low, high = _pair(said, value)
        at = _alone(row, names, "bounds")
        entry, control = row.block.at.start + at, out.control
        scale = _is_scale(row.block, at)
        if (control.log_s2 is not None) if scale else (entry in control.held):
            raise ModelError(f"bounds: '{said}' is held by fixed_parameters=: it has no use for a bound.")
        if not scale and (entry in control.relative or any(a == entry for a, _, _ in control.ties)):
            raise ModelError(f"bounds: '{said}' is tied to another: bound that one.")
        out.boxes.append((row, low, high))
        if row.block.units[row.j] == 0 or (row.block.kind == "R" and not scale):
            _box(row, at, low, high, said, control)
            continue
        if row.block.units[row.j] == 2:
            low = max(low, 0.0)
            if high <= 0.0:
                raise ModelError(
                    f"bounds: '{said}' is a variance, 0 or more: an upper bound of {high:g} leaves it no room."
                )
        out.limits.append(Limit(row, at, low, high, said))


def _pair(said: str, value: Any) -> tuple[float, float]:
    try:
        low, high = value
        low = -np.inf if low is None else float(low)
        high = np.inf if high is None else float(high)
    except (TypeError, ValueError):
        raise ModelError(
            f"bounds: '{said}' has two, (low, high), None for an end that is free; not {value!r}."
        ) from None
    if np.isnan(low) or np.isnan(high) or low > high:
        raise ModelError(f"bounds: '{said}': low is below high; it was given ({low:g}, {high:g}).")
    if low == high:
        raise ModelError(
            f"bounds: '{said}' has no room between {low:g} and {high:g}: hold it with fixed_parameters=."
        )
    return low, high


def _box(row: Row, at: int, low: float, high: float, said: str, control: Control) -> None:
    """Bounds as a box of the coordinate."""
    ends = []
    for value, side in ((low, -1), (high, 1)):
        found = _place(row, at, value, side, said)
        ends.append(found)
    a, b = ends
    if a is not None and b is not None and a > b:
        a, b = b, a
    elif (a is None) != (b is None):
        # A number that falls as its coordinate grows has its ends the other way round.
        c = row.block._shaken()[0]
        if row.block.slopes(c)[row.j, at] < 0:
            a, b = b, a
    entry = row.block.at.start + at
    if a is not None and b is not None:
        _require_monotone(row, at, a, b, said)
    if a is not None:
        control.lower[entry] = max(control.lower.get(entry, -np.inf), a)
    if b is not None:
        control.upper[entry] = min(control.upper.get(entry, np.inf), b)


def _place(row: Row, at: int, value: float, side: int, said: str) -> float | None:
    """The coordinate at a bound; at a free end that of the structure's own limit, where it has one that can be named."""
    if np.isfinite(value):
        try:
            found = row.block.solve({row.j: value})[at]
        except ModelError as error:
            raise ModelError(f"bounds: '{said}': {error}") from None
        if not np.isfinite(found):
            return None
        return float(found)
    for limit in (1.0,) if side > 0 else (-1.0, 0.0):
        beyond = _tried(row, at, limit + side * _EDGE)
        here = _tried(row, at, limit)
        if here is not None and beyond is None:
            return here
    return None


def _tried(row: Row, at: int, value: float) -> float | None:
    try:
        with np.errstate(all="ignore"):
            found = float(row.block.solve({row.j: value})[at])
    except ModelError:
        return None
    return found if np.isfinite(found) else None


def _require_monotone(row: Row, at: int, a: float, b: float, said: str) -> None:
    c = row.block._shaken()[0].copy()
    values = []
    for place in np.linspace(a, b, 9):
        c[at] = place
        values.append(float(row.block.natural(c)[row.j]))
    steps = np.diff(values)
    if not (np.all(steps >= 0) or np.all(steps <= 0)):
        raise ModelError(
            f"bounds: '{said}' rises and falls between these bounds, as its structure measures it: take narrower ones."
        )
