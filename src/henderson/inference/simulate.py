"""New responses from a fitted model, and the draws behind them."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from ..structures import psd_cholesky
from .predict import Predictable, fitted_rows


def simulate(
    fit: Predictable,
    n: int | None = None,
    seed: int | np.random.Generator | None = None,
    random_effects: str = "new",
) -> np.ndarray:
    """See `MixedFit.simulate`."""
    if random_effects not in ("new", "fitted"):
        raise ModelError(f'simulate: random_effects is "new" or "fitted", not {random_effects!r}.')
    if n is not None and (isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0):
        raise ModelError(f"simulate: n is how many responses to draw, a whole number, not {n!r}.")
    try:
        rng = np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ModelError(f"simulate: seed is a whole number or a NumPy generator, not {seed!r}.") from None
    rows, solution = fitted_rows(fit), fit.solution
    count = 1 if n is None else n
    mean = rows.x @ solution.beta + rows.offset
    sd = np.sqrt(solution.scale2 / rows.weights)
    out = np.empty((len(mean), count))
    roots = [psd_cholesky(sigma) for sigma in solution.covariances]
    for draw in range(count):
        y = mean + sd * rng.standard_normal(len(mean))
        for u, root, z, levels in zip(solution.u, roots, rows.z, rows.levels, strict=True):
            effects = u if random_effects == "fitted" else rng.standard_normal(u.shape) @ root.T
            y += np.einsum("ij,ij->i", z, effects[levels])
        out[:, draw] = y
    out = rows.spread(out)
    return out[:, 0] if n is None else out
