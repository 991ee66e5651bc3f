"""The autocorrelation of residuals within groups, and the fitted model's beside it.

    acf(l) = [sum of r_t r_{t+l} / N(l)] / [sum of r_t^2 / N(0)]

over the N(l) pairs of one group l steps apart. Source: Pinheiro & Bates (2000), section 5.3.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import DataError, ModelError
from .places import Places, model_correlation, places, residuals_of
from .student import require_level

Array = np.ndarray


def acf(
    fit: Any,
    time: str | None = None,
    groups: str | None = None,
    *,
    data: Any = None,
    kind: str = "pearson",
    max_lag: int | None = None,
    level: float = 0.95,
) -> dict[str, Any]:
    """Autocorrelations of residuals by lag, as plain columns. See `Checks.acf`."""
    from statistics import NormalDist

    require_level(level, "acf")
    where = places(fit, time, groups, data)
    if len(where.coordinates) > 1:
        raise ModelError(
            f"acf: one time is needed, not {' and '.join(where.names)}: over space see variogram."
        )
    r = residuals_of(fit, kind, "acf")
    series = _series(where, r)
    longest = max(len(each) for each in series)
    default = min(longest - 1, int(10.0 * np.log10(longest)))
    most = default if max_lag is None else max_lag
    if not (isinstance(most, int | np.integer) and 0 <= most < longest):
        raise ModelError(
            f"acf: max_lag is a whole number between 0 and {longest - 1}, the longest series less one; not {max_lag!r}."
        )
    sums, counts = np.zeros(most + 1), np.zeros(most + 1, dtype=np.int64)
    for each in series:
        for lag in range(min(most, len(each) - 1) + 1):
            product = each[: len(each) - lag] * each[lag:]
            good = np.isfinite(product)
            sums[lag] += product[good].sum()
            counts[lag] += int(good.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / counts
        bound = NormalDist().inv_cdf(0.5 + level / 2.0) / np.sqrt(counts)
    bound[0] = np.nan
    lags = np.arange(most + 1)
    out: dict[str, Any] = {"lag": lags, "acf": mean / mean[0], "n_pairs": counts, "bound": bound}
    if where.own and kind == "pearson":
        curve = model_correlation(fit, lags.astype(np.float64))
        if curve is not None:
            out["model"] = np.where(lags == 0, 1.0, curve)
    return out


def _series(where: Places, r: Array) -> list[Array]:
    """Residuals of each group by step, NaN where a step has no row."""
    out = []
    order = np.argsort(where.groups, kind="stable")
    bounds = np.append(np.flatnonzero(np.diff(where.groups[order], prepend=-1)), len(r))
    for a, b in pairwise(bounds):
        rows = order[a:b]
        if not where.coordinates:
            out.append(r[rows])
            continue
        t = where.coordinates[0][rows]
        if (t != np.floor(t)).any():
            raise DataError(
                f"acf: {where.names[0]} counts whole steps, and is {t[t != np.floor(t)][0]:g} in a row: see variogram, or leave out "
                "time= to take rows as they come."
            )
        steps = (t - t.min()).astype(np.int64)
        if len(np.unique(steps)) < len(steps):
            raise DataError(f"acf: a {where.names[0]} occurs twice in one group: name the groups.")
        line = np.full(int(steps.max()) + 1, np.nan)
        line[steps] = r[rows]
        out.append(line)
    return out
