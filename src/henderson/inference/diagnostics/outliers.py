"""Is the row that lies farthest off too far off? The largest studentised residual, with Bonferroni's correction."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ModelError
from ..influence import measures
from ..student import two_sided_p
from ..whitened import LeastSquares, row_numbers, whitened
from .outcome import LEVEL, Outcome


def outlier_test(fit: LeastSquares, cutoff: float = LEVEL, most: int = 10) -> dict[str, Any]:
    """Rows whose studentised residual is larger than chance allows, as R's car::outlierTest.

    Each t_i has n - r - 1 degrees of freedom under a model in which that row's mean is shifted; the p-value of the largest
    of m is at most m times its own (Bonferroni).

    See `Checks.outlier_test`.
    """
    if (
        isinstance(cutoff, bool)
        or not isinstance(cutoff, (int, float, np.number))
        or not 0.0 <= cutoff <= 1.0
    ):
        raise ModelError(f"outlier_test: cutoff is a p-value between 0 and 1, not {cutoff!r}.")
    if isinstance(most, bool) or not isinstance(most, (int, np.integer)) or most < 1:
        raise ModelError(f"outlier_test: most is a whole number, 1 or more, not {most!r}.")
    rows = whitened(fit)
    if rows.df < 2 or not rows.rss:
        raise ModelError("outlier_test: two residual degrees of freedom and residuals are needed.")
    t = measures(rows)["studentized"]
    seen = np.isfinite(t)
    size = np.where(seen, np.abs(t), -1.0)
    order = np.argsort(-size, kind="stable")[: min(most, int(seen.sum()))]
    p = two_sided_p(t[order], np.full(len(order), rows.df - 1.0))
    corrected = np.minimum(p * seen.sum(), 1.0)
    listed = corrected <= cutoff
    listed[:1] = True
    return {
        "row": row_numbers(fit)[order][listed],
        "studentized": t[order][listed],
        "p_value": p[listed],
        "p_bonferroni": corrected[listed],
    }


def largest(fit: LeastSquares) -> Outcome:
    """The line of the largest in the table of tests."""
    found = outlier_test(fit, most=1)
    row, t, p = int(found["row"][0]), float(found["studentized"][0]), float(found["p_bonferroni"][0])
    says = f"row {row} is an outlier" if p < LEVEL else f"no outlier; the farthest is row {row}"
    shown = "p < 1e-4" if p < 1e-4 else f"p = {p:.2g}"
    df = float(whitened(fit).df - 1)
    return Outcome(
        "Outlier, largest studentised residual (t, Bonferroni)", t, df, np.nan, p, f"{says} ({shown})"
    )
