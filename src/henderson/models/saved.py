"""What a fit without rows knows of the rows it was fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError

if TYPE_CHECKING:
    from ..design import Design


def input_notes(design: Design, spec: Mapping[str, Any]) -> list[str]:
    """Weights, and an offset that the formula does not have: the column, or that it was an array."""
    notes = []
    for name, given in (("weights", design.weights), ("offset", design.offset)):
        column = spec[name]
        if column or (given is not None and (name == "weights" or spec["offset_array"])):
            notes.append(f"{name}: {column or 'given as an array'}")
    return notes


@dataclass(frozen=True)
class Saved:
    """Of a fit that was loaded, or whose rows stayed in their file."""

    spec: Mapping[str, Any]
    n_dropped: int
    rows_note: str
    notes: tuple[str, ...]
    residual_quantiles: np.ndarray | None
    aliases: np.ndarray
    why: str = "This fit was loaded from a file, which holds no rows"

    def no_rows(self) -> ModelError:
        """The refusal of what needs rows."""
        return ModelError(
            f"{self.why}: fitted values, residuals, simulation and refits need the data. "
            "Use fit.predict(data), or fit the model again."
        )
