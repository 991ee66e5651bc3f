"""Row numbers beside the points that stand out, and what the figures ask of the rows of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ModelError
from .page import INK, MANY, SOFT

COLOURS = ("#1f6fb2", "#c8553d", "#3a8f57", "#8458a8", "#b58a1b", "#2f9aa8", "#c46a98", "#6b7280")
"""Of lines and points that belong to different levels."""


def is_linear(fit: Any) -> bool:
    """Whether the fit is of hd.lm or hd.gls: it has leverages."""
    return hasattr(fit, "leverage")


def require_linear(fit: Any, asked: str) -> None:
    """Refuse a figure of a linear fit for another.

    Raises
    ------
    ModelError.
    """
    if not is_linear(fit):
        raise ModelError(
            f"{asked}: this figure is for fits by hd.lm and hd.gls; this one has random effects.\n"
            "fit.plot.check() shows its residuals."
        )


def standardized(fit: Any) -> np.ndarray:
    """Residuals over their own standard deviations at the rows used; Pearson residuals of a mixed model."""
    return residuals_as(fit, "standardized" if is_linear(fit) else "pearson")


def residuals_as(fit: Any, kind: str) -> np.ndarray:
    """Residuals of a kind at the rows used; NaN where their standard deviation is 0."""
    from ...inference.whitened import used

    with np.errstate(invalid="ignore", divide="ignore"):
        return used(fit, fit.residuals_as(kind))


def whitened_note(fit: Any) -> str:
    """What the rows are where errors are correlated, to end a note; "" where each is an observation."""
    return " Rows are whitened by the estimated covariance." if getattr(fit, "generalised", False) else ""


def name_rows(axes: Any, x: np.ndarray, y: np.ndarray, rows: np.ndarray, size: Any, most: int = 3) -> None:
    """The numbers of the rows with the largest `size` beside their points."""
    size = np.where(np.isfinite(x) & np.isfinite(y) & np.isfinite(size), size, -np.inf)
    if len(size) > MANY:
        return
    middle = np.mean(axes.get_xlim())
    for i in np.argsort(-size, kind="stable")[:most]:
        if np.isfinite(size[i]):
            left = x[i] > middle
            axes.annotate(
                str(rows[i]),
                (x[i], y[i]),
                xytext=(-4 if left else 4, 2),
                textcoords="offset points",
                ha="right" if left else "left",
                fontsize=7,
                color=INK,
            )


def quiet(axes: Any, said: str) -> None:
    """A panel with a sentence in place of a figure."""
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, said, ha="center", va="center", fontsize=8, color=SOFT, wrap=True, transform=axes.transAxes
    )
