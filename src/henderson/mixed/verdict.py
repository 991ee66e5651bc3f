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


def singular_pairs(covariance: np.ndarray, standard: np.ndarray) -> np.ndarray:
    """Pairs of effects (i, j) whose correlation is 1 or -1, or that belong to a covariance of deficient rank: (m, m) bool.

    Parameters
    ----------
    covariance, standard : (m, m), in the user's units and in standard coordinates. The second one decides whether there
        is anything to say: a correlation near -1 that is owed to the origin of a covariate alone is not an edge.
    """
    regular = np.diag(standard) > 0
    size = np.sqrt(np.diag(standard)[regular])
    if (
        not len(size)
        or np.linalg.eigvalsh(standard[np.ix_(regular, regular)] / np.outer(size, size))[0] > 1e-8
    ):
        return np.zeros(covariance.shape, dtype=bool)
    variance = np.diag(covariance)
    live = np.flatnonzero(variance > 0)
    out = np.zeros(covariance.shape, dtype=bool)
    if len(live) > 1:
        sd = np.sqrt(variance[live])
        correlation = covariance[np.ix_(live, live)] / np.outer(sd, sd)
        pairs = np.abs(correlation) > 1.0 - 1e-7
        if not np.tril(pairs, -1).any():
            pairs[:] = np.linalg.eigvalsh(correlation)[0] < 1e-8
        np.fill_diagonal(pairs, False)
        out[np.ix_(live, live)] = pairs
    return out


def boundary_notes(
    covariance: np.ndarray, standard: np.ndarray, effects: tuple[str, ...], text: str
) -> list[str]:
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
    singular = np.tril(singular_pairs(covariance, standard), -1)
    if not singular.any():
        return notes
    sd = np.sqrt(np.where(variance > 0, variance, 1.0))
    correlation = covariance / np.outer(sd, sd)
    extreme = singular & (np.abs(correlation) > 1.0 - 1e-7)
    for i, j in zip(*np.nonzero(extreme), strict=True):
        sign = 1 if correlation[i, j] > 0 else -1
        notes.append(
            f"the correlation of {effects[j]} and {effects[i]} in {text} is estimated as {sign}, on the boundary"
        )
    if not extreme.any():
        rank = int(np.sum(np.linalg.eigvalsh(correlation) > 1e-8))
        notes.append(
            f"the covariance of {text} is estimated with rank {rank} of {m}, on the boundary: "
            "some combination of its effects has variance 0"
        )
    return notes
