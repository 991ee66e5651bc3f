"""The rows of a model in a file, as blocks for least squares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson import design as designs
from henderson.design.rows import positive_weights
from henderson.stream.batches import Batches


@dataclass
class FileRows:
    """[X y] of a file (the contract is `linear.least_squares.Rows`): read again each time it is asked for."""

    spec: dict[str, Any]
    batches: Batches
    n: int
    weights: str | None
    intercept: int | None
    tick: Callable[[int], None] = lambda rows: None
    require_peak: Callable[[float], None] = lambda peak: None
    """Called with the largest absolute value of y less its offset after each time the rows were gone through."""
    log_weights: float = 0.0
    """Sum of the logs of the weights, and"""
    offset: float = 0.0
    """of the offsets of the rows, once they have been gone through."""

    @property
    def p(self) -> int:
        return len(self.spec["x_names"])

    def segments(self) -> list[Callable[[Any], Iterator[np.ndarray]]]:
        """The file, as one part."""
        return [self._blocks]

    def _blocks(self, centre: Any) -> Iterator[np.ndarray]:
        log_weights = offset = peak = 0.0
        for frame in self.batches:
            design = designs.rebuild(self.spec, frame, response=True, random=False)
            self.tick(frame.nrow)
            if not design.n:
                continue
            assert design.y is not None
            block = np.empty((design.n, self.p + 1), order="F")
            design.columns.fill(block, slice(None))
            block[:, -1] = design.y
            if design.offset is not None:
                block[:, -1] -= design.offset
                offset += float(np.sum(design.offset))
            peak = max(peak, float(np.abs(block[:, -1]).max()))
            if centre is not None:
                block -= centre.shift
            if self.weights is not None:
                weights = positive_weights(self.weights, frame, design.rows)
                log_weights += float(np.sum(np.log(weights)))
                block *= np.sqrt(weights)[:, None]
            yield block
        self.require_peak(peak)
        self.log_weights, self.offset = log_weights, offset
