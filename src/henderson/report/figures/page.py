"""What the figures have in common: paper, ink, type and axes."""

from __future__ import annotations

import io
import math
import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#1f2933"
SOFT = "#7b8794"
FAINT = "#b8c4ce"
GRID = "#e4e7eb"
BLUE = "#1f6fb2"
RED = "#c8553d"
SIZE = 9.0
MANY = 5_000
"""Points beyond which a scatter becomes a density."""


class Page(Figure):
    """A Matplotlib figure that a notebook can show and `savefig` can write, whatever backend is in use."""

    def __init__(self, width: float, height: float):
        super().__init__(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
        self._inches = width, height
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()

    def heading(self, title: str, *notes: str) -> None:
        """The title of the page, and lines in grey under it; room for them is kept free above the panels."""
        width, height = self._inches
        longest = int(width * 72 / (0.56 * (SIZE - 1)))
        lines = [line for note in notes for line in textwrap.wrap(note, longest)]
        left = 0.09 / width
        at = height - 0.08
        wrapped = textwrap.wrap(title, int(width * 72 / (0.66 * (SIZE + 3))))
        for text, size, color, weight, step in [
            *((line, SIZE + 3, INK, "bold", 0.25) for line in wrapped),
            *((line, SIZE - 1, SOFT, "normal", 0.17) for line in lines),
        ]:
            self.text(left, at / height, text, fontsize=size, color=color, fontweight=weight, va="top")
            at -= step
        engine = self.get_layout_engine()
        assert engine is not None
        engine.set(rect=(0.0, 0.0, 1.0, (at - 0.04) / height))  # type: ignore[call-arg]


def dress(axes: Axes, x: str = "", y: str = "", title: str = "") -> None:
    """Axes with thin grey lines, no box, labels in the page's type."""
    axes.set_axisbelow(True)
    axes.grid(True, color=GRID, linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(SOFT)
        axes.spines[side].set_linewidth(0.8)
    axes.tick_params(colors=INK, labelsize=SIZE - 1, length=3, width=0.8, color=SOFT)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_offset_text().set(fontsize=SIZE - 2, color=INK)
    if x:
        axes.set_xlabel(x, fontsize=SIZE, color=INK)
    if y:
        axes.set_ylabel(y, fontsize=SIZE, color=INK)
    if title:
        axes.set_title(title, fontsize=SIZE, color=INK, loc="left", fontweight="bold")


def cloud(axes: Axes, x: Any, y: Any) -> None:
    """Points, or their density where they would hide each other."""
    if len(x) <= MANY:
        size = 22.0 if len(x) < 300 else 10.0 if len(x) < 1500 else 4.0
        axes.scatter(x, y, s=size, color=BLUE, alpha=0.65 if len(x) < 1500 else 0.4, linewidths=0)
        return
    from matplotlib.colors import LogNorm

    drawn = axes.hexbin(x, y, gridsize=70, mincnt=1, cmap="Blues", norm=LogNorm(), linewidths=0.1)
    bar = axes.figure.colorbar(drawn, ax=axes, pad=0.01, aspect=40)
    bar.set_label("rows", fontsize=SIZE - 1, color=INK)
    bar.ax.tick_params(labelsize=SIZE - 2, color=SOFT)
    bar.outline.set_visible(False)


def grid_shape(count: int, wide: float = 1.6) -> tuple[int, int]:
    """Rows and columns of a grid for `count` panels, about `wide` times as many columns as rows, few cells
    left empty.
    """
    best = (1, count)
    cost = math.inf
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        this = abs(math.log(columns / (rows * wide))) + 0.6 * (rows * columns - count) / count
        if this < cost:
            best, cost = (rows, columns), this
    return best


def short(text: str, length: int = 80) -> str:
    """A text cut to a length."""
    return text if len(text) <= length else text[: length - 3] + "..."
