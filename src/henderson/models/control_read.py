"""What has been read of the user's words on parameters: holds, starts, ties and bounds, in coordinates."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import ModelError
from ..mixed.structured.blocks import Block
from ..mixed.structured.parameters import Control
from .parameter_names import Names, Row


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


def alone(row: Row, names: Names, argument: str) -> int:
    """The coordinate of its block that a row follows by itself. Raises ModelError where it follows from several."""
    found = row.block.alone(row.j)
    if found is None:
        raise ModelError(
            f"{argument}: '{names.said(row)}' follows from several parameters of its structure together: it has no bound or tie of its "
            "own. Those that have: "
            + (names.listed([r for r in names.rows if r.block.alone(r.j) is not None]) or "none")
            + "."
        )
    return found


def is_scale(block: Block, i: int) -> bool:
    """Whether coordinate i of a block is the residual's log s."""
    return block.owns_scale and i == block.size - 1
