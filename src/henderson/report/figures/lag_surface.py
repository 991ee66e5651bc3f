"""The semivariogram of a field by rows and columns apart: the usual check of AR1 x AR1 residuals (Gilmour, Cullis & Verbyla 1997)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...inference.field import field_variogram, grid_of
from .page import BLUE, INK, RED, SIZE, SOFT, Page, dress, short


def draw(
    fit: Any,
    row: str | None = None,
    col: str | None = None,
    by: str | None = None,
    kind: str = "pearson",
    data: Any = None,
    max_lags: tuple[int, int] | None = None,
) -> Page:
    """The surface as a map, and its two faces: along the rows at no columns apart, along the columns at no rows apart."""
    grid = grid_of(fit, row, col, by, data, "variogram")
    table = field_variogram(fit, grid, kind, max_lags)
    return page_of(fit, table, grid.row, grid.col, kind)


def page_of(fit: Any, table: dict[str, Any], row: str, col: str, kind: str) -> Page:
    """The page of a table of semivariances by `rows` and `cols` apart."""
    page = Page(9.8, 4.4)
    left, right = page.subplots(1, 2, width_ratios=(1.15, 1.0))
    surface = np.full((int(table["rows"].max()) + 1, int(table["cols"].max()) + 1), np.nan)
    surface[table["rows"], table["cols"]] = table["semivariance"]
    surface[0, 0] = 0.0
    drawn = left.imshow(
        np.ma.masked_invalid(surface), origin="lower", cmap="viridis", aspect="auto", interpolation="nearest"
    )
    dress(left, f"columns apart ({col})", f"rows apart ({row})", "Semivariance")
    left.grid(False)
    bar = page.colorbar(drawn, ax=left, pad=0.02, aspect=30)
    bar.ax.tick_params(labelsize=SIZE - 2, color=SOFT)
    bar.outline.set_visible(False)  # type: ignore[operator]
    for other, along, name, colour in (("cols", "rows", row, BLUE), ("rows", "cols", col, RED)):
        face = table[other] == 0
        order = np.argsort(table[along][face])
        lag, value = table[along][face][order], table["semivariance"][face][order]
        right.plot(lag, value, color=colour, linewidth=1.0, marker="o", markersize=4, label=f"along {name}")
        if "model" in table:
            right.plot(
                lag,
                table["model"][face][order],
                color=colour,
                linewidth=1.6,
                linestyle="--",
                label=f"fitted, {name}",
            )
    if kind != "response":
        right.axhline(1.0, color=SOFT, linewidth=0.9, linestyle=":")
    right.set_ylim(bottom=0.0)
    dress(right, "lag (plots)", "semivariance", "Its two faces")
    right.legend(fontsize=SIZE - 1.5, frameon=False, labelcolor=INK)
    said = " Dashed: by the fitted correlation." if "model" in table else ""
    page.heading(
        "Semivariogram of the field",
        short(fit.formula),
        f"{kind.capitalize()} residuals, by displacement.{said}",
    )
    return page
