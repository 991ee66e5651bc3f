"""One verdict on a fit, in words: converged, on the boundary, or not converged, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Status:
    """What `fit.status` is.

    `verdict` is "converged", "boundary" (converged, some variance or correlation at the edge of its range) or
    "not converged". `predicted_decrease` is what one more Newton step would take off the criterion, in deviance units.
    """

    verdict: str
    predicted_decrease: float
    iterations: int
    notes: tuple[str, ...]

    @property
    def converged(self) -> bool:
        return self.verdict != "not converged"

    def __str__(self) -> str:
        if self.verdict == "not converged":
            head = (
                f"not converged after {self.iterations} iterations: a step promises {self.predicted_decrease:.2g} off the "
                "deviance but no step lowers it. Look for a response or covariate with extreme values, or give start=."
            )
        else:
            head = (
                f"{self.verdict} after {self.iterations} iterations "
                f"(predicted decrease of the deviance {self.predicted_decrease:.1g})"
            )
        return "\n".join([head, *self.notes])


FLAT = 1e-9
"""Curvature of a direction over the largest one, below which the data do not see it."""


def flat_directions(average_information: np.ndarray) -> np.ndarray:
    """Directions (rows, scaled parameters, unit length) that do not move V, and so not the criterion: (k', k)."""
    if not len(average_information):
        return np.zeros((0, 0))
    scale = np.sqrt(np.maximum(np.abs(np.diag(average_information)), 1e-300))
    values, vectors = np.linalg.eigh(average_information / np.outer(scale, scale))
    return vectors[:, np.abs(values) < FLAT * np.abs(values).max()].T


def boundary_notes(covariance: np.ndarray, effects: tuple[str, ...], text: str) -> list[str]:
    """In words, what of one term's covariance is on the edge of its range."""
    m = len(effects)
    variance = np.diag(covariance)
    notes = []
    for i in range(m):
        if variance[i] == 0.0:
            what = "the variance" if m == 1 else f"the variance of {effects[i]}"
            notes.append(
                f"{what} of {text} is estimated as 0, on the boundary"
                if m == 1
                else f"{what} in {text} is estimated as 0, on the boundary"
            )
    live = np.flatnonzero(variance > 0)
    if len(live) < 2:
        return notes
    sd = np.sqrt(variance[live])
    correlation = covariance[np.ix_(live, live)] / np.outer(sd, sd)
    lower = np.tril(np.abs(correlation) > 1.0 - 1e-7, -1)
    for i, j in zip(*np.nonzero(lower), strict=True):
        sign = 1 if correlation[i, j] > 0 else -1
        notes.append(
            f"the correlation of {effects[live[j]]} and {effects[live[i]]} in {text} is estimated as {sign}, on the boundary"
        )
    rank = int(np.sum(np.linalg.eigvalsh(correlation) > 1e-8))
    if rank < len(live) and not lower.any():
        notes.append(
            f"the covariance of {text} is estimated with rank {rank} of {m}, on the boundary: "
            "some combination of its effects has variance 0"
        )
    return notes
