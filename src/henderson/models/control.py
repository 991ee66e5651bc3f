"""What a user holds, starts from, ties and bounds: keys and numbers in the user's units -> entries of phi in standard coordinates.

Keys are those of `parameter_names.Names`. Numbers are on the scale `variance_components` reports.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import ModelError
from ..mixed.structured.blocks import Block
from ..mixed.structured.criterion import Problem
from ..mixed.structured.parameters import Control
from ..mixed.structured.start import default_start, moment_sizes
from .control_bounds import bound
from .control_numbers import Given, solve
from .control_read import Read
from .control_ties import tie
from .parameter_names import Names
from .words import Words


def read_control(words: Words, names: Names, control: Control) -> Read:
    """The user's words -> control (to which they are added), starts, limits.

    Raises
    ------
    ModelError : unknown keys, numbers out of range, matrices of the wrong shape, what cannot be held, tied or bounded by itself.
    """
    held = Given("fixed_parameters", names, words.fixed_parameters)
    for block, values in held.values.items():
        for i, value in solve(block, values, held).items():
            if block.owns_scale and i == block.size - 1:
                control.log_s2 = 2.0 * value
            else:
                control.held[block.at.start + i] = value
    begun = None
    if words.start is not None:
        begun = Given("start", names, words.start, nearest=True).values
    out = Read(control, begun)
    tie(words.tied, names, out)
    bound(words.bounds, names, out)
    return out


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
