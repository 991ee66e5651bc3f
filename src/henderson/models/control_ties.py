"""`tied=`: one parameter, or the matrix of a term, a multiple of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError
from ..mixed.structured.blocks import Factor, Rows
from ..mixed.structured.parameters import Control
from .control_read import Read, alone, is_scale
from .parameter_names import Names, Row


def tie(given: Any, names: Names, out: Read) -> None:
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
    i, j = (alone(row, names, "tied") for row in (a, b))
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
    scale_a, scale_b = is_scale(a.block, i), is_scale(b.block, j)
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
