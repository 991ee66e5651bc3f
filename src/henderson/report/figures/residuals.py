"""Residuals against anything: is the spread the same everywhere, is there a bend left?"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ModelError
from .marks import name_rows, residuals_as
from .page import BLUE, INK, RED, SOFT, Page, cloud, dress, short

KINDS = {
    "response": "residual",
    "pearson": "residual / its standard deviation",
    "standardized": "standardised residual",
    "studentized": "studentised residual",
    "normalized": "normalised residual",
}
_LEVELS = 40
"""Levels of a factor up to which each is named."""


def draw(fit: Any, against: Any = "fitted", kind: str = "pearson", data: Any = None) -> Page:
    """Residuals over `against`, with their running mean and standard deviation."""
    if kind not in KINDS:
        raise ModelError(f"residuals: kind is {', '.join(map(repr, KINDS))}, not {kind!r}.")
    residual = residuals_as(fit, kind)
    x, name, levels = values_of(fit, against, data)
    wide = 7.2 if levels is None else min(max(7.2, 0.45 * len(levels)), 14.0)
    page = Page(wide, 4.6)
    axes = page.subplots()
    panel(axes, x, residual, levels, kind != "response")
    dress(axes, name, KINDS[kind])
    if levels is None:
        name_rows(axes, x, residual, _rows(fit), np.abs(residual))
    seen = np.isfinite(residual)
    notes = [short(fit.formula)]
    if kind != "response":
        beyond, n = int(np.sum(np.abs(residual[seen]) > 2.0)), int(seen.sum())
        notes.append(
            f"{beyond} of {n} beyond 2 standard deviations: {100.0 * beyond / max(n, 1):.1f} %, where 4.6 % are expected."
        )
    title = {"fitted": "fitted values", "order": "the order of the rows"}.get(
        against if isinstance(against, str) else "", name
    )
    page.heading(f"Residuals against {title}", *notes)
    return page


def values_of(fit: Any, against: Any, data: Any = None) -> tuple[np.ndarray, str, tuple | None]:
    """What residuals are drawn against, at the rows used: values, the name of the axis, levels of a factor.

    Parameters
    ----------
    against : "fitted", "y" (the response), "order" (the rows' numbers in the table), a column of the model, a column
        of `data`, or one number for each row of the table.

    Raises
    ------
    ModelError : no such column (the closest is named), or another number of values than the table has rows.
    """
    design = fit.design
    if not isinstance(against, str):
        values = np.asarray(against, dtype=np.float64)
        if values.shape != (design.n_read,):
            raise ModelError(
                f"against: {design.n_read} numbers are needed, one for each row of the table, not shape {values.shape}."
            )
        return _used(fit, values), "values given", None
    if data is None:
        if against == "fitted":
            return _used(fit, fit.fitted), f"fitted {design.response}", None
        if against in ("y", design.response):
            return design.y, f"observed {design.response}", None
        if against == "order":
            return _rows(fit).astype(float), "row", None
    from ...inference.columns import column_beside

    column = column_beside(fit, against, data)
    if column.kind == "factor":
        return column.values.astype(float), against, tuple(column.levels)
    return column.values, against, None


def panel(
    axes: Any,
    x: np.ndarray,
    residual: np.ndarray,
    levels: tuple | None = None,
    scaled: bool = True,
    legend: bool = True,
) -> None:
    """The points, their running mean and standard deviation, and lines at 0 and at 2 standard deviations."""
    seen = np.isfinite(x) & np.isfinite(residual)
    x, residual = x[seen], residual[seen]
    axes.axhline(0.0, color=INK, linewidth=0.8)
    if levels is not None:
        _by_level(axes, x, residual, levels)
    else:
        cloud(axes, x, residual)
        middle, mean, spread = running(x, residual)
        if len(middle) > 1:
            axes.plot(middle, mean, color=RED, linewidth=1.8, label="running mean")
            axes.plot(
                middle, mean - spread, color=RED, linewidth=1.0, linestyle="--", label="± standard deviation"
            )
            axes.plot(middle, mean + spread, color=RED, linewidth=1.0, linestyle="--")
            if legend:
                _legend(axes)
    largest = float(np.abs(residual).max(initial=0.0))
    if scaled:
        for level in (-2.0, 2.0):
            axes.axhline(level, color=SOFT, linewidth=0.7, linestyle=":")
    bound = max(3.2, 1.15 * largest) if scaled else 1.2 * largest or 1.0
    axes.set_ylim(-bound, bound)


def _by_level(axes: Any, codes: np.ndarray, residual: np.ndarray, levels: tuple) -> None:
    """Points of each level side by side, with their mean and standard deviation."""
    shift = np.random.default_rng(1).uniform(-0.18, 0.18, len(codes))
    size = 16 if len(codes) < 500 else 6 if len(codes) < 5000 else 2
    axes.scatter(codes + shift, residual, s=size, color=BLUE, alpha=0.55, linewidths=0)
    whole = codes.astype(int)
    count = np.bincount(whole, minlength=len(levels))
    some = np.flatnonzero(count)
    mean = np.bincount(whole, residual, len(levels))[some] / count[some]
    square = np.bincount(whole, residual**2, len(levels))[some] / count[some]
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    axes.errorbar(
        some,
        mean,
        spread,
        fmt="o",
        color=RED,
        markersize=4.5,
        linewidth=1.4,
        label="mean ± standard deviation",
    )
    _legend(axes)
    axes.set_xlim(-0.6, len(levels) - 0.4)
    if len(levels) <= _LEVELS:
        names = [short(str(v), 16) for v in levels]
        crowded = sum(len(n) for n in names) > 90
        axes.set_xticks(range(len(levels)), names, rotation=90 if crowded else 0)


def _legend(axes: Any) -> None:
    """Above the panel, where no point lies."""
    axes.legend(
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.99),
        borderaxespad=0.0,
        ncols=2,
    )


def running(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle of x, mean and standard deviation of y in windows of equal numbers of neighbours that overlap
    by half.
    """
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    width = max(15, len(x) // (5 if len(x) < 1000 else 12))
    if len(x) < 2 * width:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    starts = np.unique(np.linspace(0, len(x) - width, 2 * (len(x) // width) - 1).astype(int))
    parts = [slice(s, s + width) for s in starts]
    middle = np.array([np.median(x[part]) for part in parts])
    return middle, np.array([y[part].mean() for part in parts]), np.array([y[part].std() for part in parts])


def _used(fit: Any, values: np.ndarray) -> np.ndarray:
    from ...inference.whitened import used

    return used(fit, values)


def _rows(fit: Any) -> np.ndarray:
    from ...inference.whitened import row_numbers

    return row_numbers(fit)
