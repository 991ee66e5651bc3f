"""Bounds on variances and loadings by an active set: fit, hold what lies outside at its bound, fit again; let go what would rather
be inside (Nocedal & Wright 2006, ch. 16.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..mixed.structured.blocks import Block, Factor
from ..mixed.structured.criterion import Point, Problem, evaluate
from ..mixed.structured.parameters import Control, Layout, layout
from .control_read import Limit

_OUTSIDE = 1e-9
_STEP = 1e-4
_RESOLUTION = 1e-6
"""Change of the criterion, for a change of the bound by its own size, under which letting go is worth nothing."""

Climb = Callable[[Problem, "list[np.ndarray] | None"], tuple]


def keep_within(
    problem: Problem, control: Control, limits: list[Limit], found: tuple, climb: Climb
) -> tuple[Problem, tuple]:
    """The problem with the bounds that hold held, and its optimum.

    Parameters
    ----------
    found : the optimum of `problem`, whose controls are `control`, as `climb` gives it: (Optimum, ...).
    climb : (problem, starts) -> such an optimum.

    Returns
    -------
    problem, found : not converged where no set of bounds settled.
    """
    active: dict[int, float] = {}
    for _ in range(2 * len(limits) + 2):
        point = evaluate(problem, found[0].theta)
        assert point is not None
        outside = {
            i: end
            for i, limit in enumerate(limits)
            if i not in active
            for end in _ends(limit, _value(limit, problem, point))
        }
        loose = None if outside else _loose(problem, control, limits, active, point)
        if not outside and loose is None:
            break
        if outside:
            # The one that is furthest out, as a share of its size.
            worst = max(
                outside,
                key=lambda i: (
                    abs(_value(limits[i], problem, point) - outside[i]) / max(abs(outside[i]), 1e-300)
                ),
            )
            active[worst] = outside[worst]
        else:
            assert loose is not None
            del active[loose]
        problem = _held(problem, control, limits, active)
        found = climb(problem, [carried(problem.layout, point)])
    else:
        # Bounds that are let go and met again in turn: the last optimum need not be within them.
        found = replace(found[0], converged=False), *found[1:]
    return problem, found


def _ends(limit: Limit, value: float) -> list[float]:
    if value < limit.low - _OUTSIDE * abs(limit.low):
        return [limit.low]
    return [limit.high] if value > limit.high + _OUTSIDE * abs(limit.high) else []


def _coordinates(block: Block, layout: Layout, point: Point) -> np.ndarray:
    """The block's coordinates, with s = 1."""
    own = point.phi[block.at]
    if block.kind == "T":
        own = own * np.where(layout.scaling[block.at], np.sqrt(point.s2), 1.0)
    return np.append(own, 0.5 * np.log(point.s2)) if block.owns_scale else own


def _unit(limit: Limit) -> float:
    """What a number of the limit's kind is measured by."""
    block = limit.row.block
    size = (
        float(np.max(block.multiplier)) if isinstance(block, Factor) and block.multiplier is not None else 0.0
    )
    return size ** float(block.units[limit.row.j])


def _value(limit: Limit, problem: Problem, point: Point) -> float:
    block = limit.row.block
    return float(block.natural(_coordinates(block, problem.layout, point))[limit.row.j])


def _held(problem: Problem, control: Control, limits: list[Limit], active: dict[int, float]) -> Problem:
    """The problem with the limits of `active` held at their values."""
    held, log_s2, scale_bounded = dict(control.held), control.log_s2, control.scale_bounded
    bounded = set(control.bounded)
    for i, value in active.items():
        limit = limits[i]
        block = limit.row.block
        coordinate = block.solve({limit.row.j: value})[limit.at]
        if block.owns_scale and limit.at == block.size - 1:
            log_s2, scale_bounded = 2.0 * coordinate, True
        else:
            held[block.at.start + limit.at] = coordinate
            bounded.add(block.at.start + limit.at)
    now = replace(control, held=held, log_s2=log_s2, scale_bounded=scale_bounded, bounded=frozenset(bounded))
    return replace(problem, layout=layout(problem.model, now))


def carried(layout: Layout, point: Point) -> np.ndarray:
    """theta of a new layout near a point."""
    log_s2 = float(np.log(point.s2)) if layout.log_s2 is None else layout.log_s2
    phi = point.phi * np.where(layout.scaling, np.exp(0.5 * (np.log(point.s2) - log_s2)), 1.0)
    theta = layout.free_of(phi)
    return np.append(theta, log_s2) if layout.estimates_scale else theta


def _loose(
    problem: Problem, control: Control, limits: list[Limit], active: dict[int, float], point: Point
) -> int | None:
    """The active limit whose criterion falls most towards the inside; None where all are where they should be.

    The rest being at its optimum, the slope along a held value is that of the criterion with the rest as it is.
    """
    worst, best = None, -_RESOLUTION
    for i, value in active.items():
        limit = limits[i]
        h = _STEP * max(abs(value), 1e-3 * _unit(limit))
        inside = 1.0 if value == limit.low else -1.0
        changes = []
        for sign in (1.0, -1.0):
            if value + sign * h < 0.0 and limit.row.block.units[limit.row.j] == 2:
                changes.append(np.nan)
                continue
            moved = _held(problem, control, limits, {**active, i: value + sign * h})
            there = evaluate(
                moved, carried(moved.layout, point) if not moved.layout.estimates_scale else point.theta
            )
            changes.append(np.nan if there is None else sign * (there.deviance - point.deviance) / h)
        slope = float(np.nanmean(changes)) * inside * max(abs(value), h)
        if slope < best:
            worst, best = i, slope
    evaluate(problem, point.theta)
    return worst
