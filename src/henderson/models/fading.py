"""A residual variance that goes to zero: it is held at next to nothing, and let go again where it would rather be something.

Parameters are relative to it, so that there they would be infinite. It happens where a term has the variation of the rows to itself: a
field whose nugget is not needed, specific variances of an unreplicated trial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..mixed.structured.criterion import Point, Problem, evaluate_surely
from ..mixed.structured.optimise import LEAST_RESIDUAL
from ..mixed.structured.parameters import Control, layout
from ..mixed.structured.start import starts
from .bounds import carried

_NOTHING = 1e-2
"""Change of the criterion for a residual variance e times as large below which it is nothing."""
_SOMETHING = 1e-2
"""A residual variance, the response having a mean square of 1, that is something."""
_START = 0.2
"""Where another response begins."""
_SAME = 1e-6
"""Two criteria closer than this are one."""


def settle(
    problem: Problem, control: Control, found: tuple, climb: Callable[..., tuple]
) -> tuple[Problem, tuple]:
    """The problem with the residual variance held at nothing, and its optimum, where `found` ended because of it.

    Parameters
    ----------
    found : (Optimum, starts that agree, starts) of `climb`.
    climb : (problem, starts) -> the same.
    """
    if not found[0].fading:
        return problem, found
    last = evaluate_surely(problem, found[0].theta)
    held, again, at = _held(problem, control, LEAST_RESIDUAL, last, climb)
    # The others being at their optimum, this is the whole slope of the criterion along log s2.
    if not again[0].converged or abs(held.nu - at.pwrss / at.s2) > _NOTHING:
        return problem, climb(problem, [carried(problem.layout, at)])
    _, _, other = _held(problem, control, _SOMETHING, at, climb)
    if other.deviance < at.deviance + _SAME:
        # Not zero: these data do not tell it from other variances, and where it is something that is seen.
        return problem, climb(problem, [carried(problem.layout, other)])
    return held, again


def awake(problem: Problem, point: Point) -> np.ndarray:
    """phi to start another response from: that of the point, but a residual variance that `settle` holds at nothing is something."""
    layout = problem.layout
    if layout.scale_as != "B" or layout.log_s2 != np.log(LEAST_RESIDUAL):
        return point.phi
    return point.phi * np.where(layout.scaling, np.sqrt(LEAST_RESIDUAL / _START), 1.0)


def _held(
    problem: Problem, control: Control, s2: float, near: Point, climb: Callable[..., tuple]
) -> tuple[Problem, tuple, Point]:
    """The problem with the residual variance held at s2, and its optimum."""
    now = replace(control, log_s2=float(np.log(s2)), scale_bounded=True)
    held = replace(problem, layout=layout(problem.model, now))
    further = starts(held) if s2 == LEAST_RESIDUAL else []
    found = climb(held, [carried(held.layout, near), *further])
    return held, found, evaluate_surely(held, found[0].theta)
