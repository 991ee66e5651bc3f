"""Scale-location: does the size of the residuals change with the fitted values?"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...inference.whitened import row_numbers, used
from .marks import name_rows, standardized
from .page import RED, SOFT, Page, cloud, dress, short
from .residuals import running

_EXPECTED = 0.8221789586623884
"""E sqrt|z| of a standard normal z: 2^(1/4) Gamma(3/4) / sqrt(pi)."""


def draw(fit: Any) -> Page:
    """sqrt |standardised residual| over fitted values, with its running mean."""
    page = Page(7.2, 4.6)
    axes = page.subplots()
    panel(axes, fit)
    page.heading(
        "Scale-location",
        short(fit.formula),
        "Red: running mean; level where the variance is the same everywhere. Dotted: the mean under normal errors.",
    )
    return page


def panel(axes: Any, fit: Any) -> None:
    """The figure in one panel."""
    x, size = used(fit, fit.fitted), np.sqrt(np.abs(standardized(fit)))
    seen = np.isfinite(size)
    cloud(axes, x[seen], size[seen])
    middle, mean, _ = running(x[seen], size[seen])
    if len(middle) > 1:
        axes.plot(middle, mean, color=RED, linewidth=1.8)
    axes.axhline(_EXPECTED, color=SOFT, linewidth=0.9, linestyle=":")
    axes.set_ylim(0.0, max(1.9, 1.15 * float(np.nanmax(size, initial=0.0))))
    dress(axes, f"fitted {fit.design.response}", "√ |standardised residual|")
    name_rows(axes, x, size, row_numbers(fit), size)
