"""How well each BLUP is known: PEV, reliability, accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelError
from .genetic import group_named


def accuracy(fit: Any, term: str | None) -> dict[str, Any]:
    """The table of random effects with accuracies, as plain columns.

    Raises
    ------
    ModelError : no such term, or no random effects.
    """
    columns = fit.random_effects_columns()
    if not fit.labels.terms:
        raise ModelError(f"accuracy: {fit.formula} has no random effects.")
    if term is not None:
        wanted = group_named(fit, term, "accuracy").terms
        sizes = [u.size for u in fit.solution.u]
        kept = np.repeat(np.isin(np.arange(len(sizes)), wanted), sizes)
        columns = {name: np.asarray(values)[kept] for name, values in columns.items()}
    # A reliability is negative by rounding alone.
    return {**columns, "accuracy": np.sqrt(np.maximum(columns["reliability"], 0.0))}
