"""Is the variance of the errors the same everywhere? Breusch-Pagan's score test, as it was and studentised."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import chdtrc

from ...errors import ModelError
from ...linear.qr import orthonormal_basis
from ..columns import column_beside
from ..whitened import LeastSquares, used, whitened
from .outcome import Outcome, verdict


def breusch_pagan(
    fit: LeastSquares, against: Any = None, studentize: bool = True, data: Any = None
) -> Outcome:
    """Score test of a variance that changes with some columns.

    With u = e*^2 / (RSS / n) regressed on the columns and a constant, the statistic is half the regression sum of
    squares (Breusch & Pagan 1979; Cook & Weisberg 1983; R's car::ncvTest is this against "fitted") or, `studentize`, n
    times R^2, which does not lean on normal errors (Koenker 1981; R's lmtest::bptest). Chi-squared with as many degrees
    of freedom as columns of rank.

    See `Checks.breusch_pagan`.
    """
    rows = whitened(fit)
    if not rows.rss:
        raise ModelError("breusch_pagan: the fit is exact, there are no residuals to test.")
    columns, said = _columns(fit, against, data)
    n = rows.n
    basis = orthonormal_basis(np.column_stack([np.ones(n), columns])).q
    df = basis.shape[1] - 1
    if not df:
        raise ModelError(
            f"breusch_pagan: {said} are the same in every row; give against= a column that varies."
        )
    u = rows.residuals**2 / (rows.rss / n) - 1.0
    explained = basis.T @ u
    regression = float(explained @ explained)
    statistic = n * regression / float(u @ u) if studentize else 0.5 * regression
    p = float(chdtrc(df, statistic))
    says = verdict(
        p,
        f"the variance of the errors changes with {said}",
        f"no sign that the variance changes with {said}",
    )
    kind = "Breusch-Pagan, studentised (Koenker)" if studentize else "Breusch-Pagan score test"
    return Outcome(f"{kind}, on {said}", statistic, float(df), np.nan, p, says)


def _columns(fit: LeastSquares, against: Any, data: Any) -> tuple[np.ndarray, str]:
    if against is None:
        if data is not None:
            raise ModelError("breusch_pagan: data= has the column of against=, which is not given.")
        return fit.design.X[:, fit.columns.kept], "the columns of the model"
    if against == "fitted" and data is None:
        return used(fit, fit.fitted)[:, None], "the fitted values"
    column = column_beside(fit, against, data)
    if column.kind == "factor":
        codes = np.arange(len(column.levels))
        return (column.values[:, None] == codes).astype(np.float64), f"'{against}'"
    return column.values[:, None], f"'{against}'"
