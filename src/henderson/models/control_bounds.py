"""`bounds=`: boxes of coordinates where a number has no unit, limits for `bounds.keep_within` where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError
from ..mixed.structured.parameters import Control
from .control_read import Limit, Read, alone, is_scale
from .parameter_names import Names, Row

_EDGE = 1e-6


def bound(given: Any, names: Names, out: Read) -> None:
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise ModelError(f'bounds is a mapping such as {{"ar1(row): ar1(row)": (0, 0.95)}}, not {given!r}.')
    for key, value in given.items():
        row = names.only(str(key), "bounds")
        said = names.said(row)
        low, high = _pair(said, value)
        at = alone(row, names, "bounds")
        entry, control = row.block.at.start + at, out.control
        scale = is_scale(row.block, at)
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
