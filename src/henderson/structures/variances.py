"""Variances a user gives, checked."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError


def require_variances(name: str, values: np.ndarray) -> None:
    """Refuse what cannot be variances: negative numbers, infinities, no numbers."""
    values = np.asarray(values, dtype=np.float64)
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(wrong):
        which = f"the variance of effect {wrong[0] + 1}" if len(values) > 1 else "the variance"
        raise ModelError(f"{name}: {which} is 0 or more, not {values[wrong[0]]:g}.")
