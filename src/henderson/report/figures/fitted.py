"""The data and what was fitted to them: panels by level where there are few, observed against fitted
otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from .marks import is_linear
from .page import BLUE, INK, RED, SIZE, SOFT, Page, cloud, dress, grid_shape, short

PANELS = 42
"""Levels up to which each has a panel."""
NAMED = 60
"""Levels up to which all are in one panel, by name."""
_GRID = 40
_COLOURS = "Blue: observed. Red: fitted, with its 95 % interval."
_Z = 1.959963984540054


def draw(fit: Any) -> Page:
    """The most telling of the figures below that the model allows."""
    if is_linear(fit):
        from .linear import drawn

        return drawn(fit) or _observed(fit)
    view = _panels_view(fit)
    if view is not None:
        return _panels(fit, view)
    if _is_one_way(fit):
        return _levels(fit)
    return _observed(fit)


@dataclass(frozen=True)
class _View:
    """What the panels show: the response over `x`, a panel for each level of term `term`."""

    term: int
    x: str
    categories: tuple[Any, ...] | None
    """Levels of x where it is a factor, also one that is written in numbers."""
    values: np.ndarray
    """(n,) x, or its codes."""


def _panels_view(fit: Any) -> _View | None:
    """x, where one covariate moves within the levels of the first grouping with few of them, and nothing
    else does.
    """
    if fit.frame is None:
        return None
    design = fit.design
    rows = slice(None) if design.rows is None else design.rows
    predictors = [name for name in fit.spec["columns"] if name in _right_side(fit)]
    for k, block in enumerate(design.blocks):
        if len(block.levels) > PANELS or len(block.factors) != 1 or not _one_level_each(fit, k):
            continue
        moving = []
        for name in predictors:
            column = fit.frame[name]
            values = column.values[rows]
            if name not in block.factors and _moves(values, block.codes):
                moving.append((name, column, values))
        others = {f for other in design.blocks for f in other.factors} - set(block.factors)
        if len(moving) == 1 and not others:
            name, column, values = moving[0]
            if design.structured is not None and len(np.unique(values)) > NAMED:
                # Effects of a structure are those of the values there are, with nothing between them.
                continue
            if column.kind == "factor":
                return _View(k, name, tuple(column.levels), values)
            if "levels" in fit.spec["columns"][name]:
                levels, codes = np.unique(values, return_inverse=True)
                return _View(k, name, tuple(levels.tolist()), codes)
            return _View(k, name, None, values)
    return None


def _one_level_each(fit: Any, k: int) -> bool:
    """Whether every level of a term has rows, and every row is in one of them."""
    block = fit.design.blocks[k]
    if len(np.unique(block.codes)) < len(block.levels) or block.codes.min() < 0:
        return False
    terms = fit.design.structured
    return terms is None or bool(np.diff(terms[k].z.indptr).max() <= block.m)


def _right_side(fit: Any) -> set[str]:
    """Columns of the right side, as new data need them."""
    from ...design import needed_again

    return set(needed_again({**fit.spec, "blocks": []}))


def _moves(values: np.ndarray, codes: np.ndarray) -> bool:
    """Whether the values differ within some level."""
    order = np.argsort(codes, kind="stable")
    same = codes[order][1:] == codes[order][:-1]
    return bool(np.any(same & (values[order][1:] != values[order][:-1])))


def _panels(fit: Any, view: _View) -> Page:
    design, block = fit.design, fit.design.blocks[view.term]
    rows, columns = grid_shape(len(block.levels))
    page = Page(max(1.55 * columns + 0.8, 6.0), max(1.55 * rows + 1.2, 4.0))
    panels = page.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    lines = _lines(fit, view)
    response = design.y
    for level, axes in enumerate(panels.flat):
        if level >= len(block.levels):
            axes.set_visible(False)
            continue
        at, own, error, population = (each[level] for each in lines)
        mine = block.codes == level
        axes.plot(at, population, color=SOFT, linewidth=1.1, linestyle="--")
        if view.categories:
            _bars(axes, at, own, error)
            axes.plot(at, own, color=RED, linewidth=0.8)
        else:
            axes.fill_between(at, own - _Z * error, own + _Z * error, color=RED, alpha=0.18, linewidth=0)
            axes.plot(at, own, color=RED, linewidth=1.5)
        axes.scatter(view.values[mine], response[mine], s=11, color=BLUE, linewidths=0, zorder=3)
        dress(axes, title=short(str(block.levels[level]), 22))
        axes.title.set_fontweight("normal")
        if view.categories:
            axes.set_xticks(range(len(view.categories)), [short(f"{c}", 10) for c in view.categories])
            axes.set_xlim(-0.5, len(view.categories) - 0.5)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for column in range(columns):
        shown = [axes for axes in panels[:, column] if axes.get_visible()]
        shown[-1].tick_params(labelbottom=True)
    page.supylabel(design.response, fontsize=SIZE, color=INK)
    page.supxlabel(view.x, fontsize=SIZE, color=INK)
    page.heading(
        short(fit.formula),
        f"A panel for each {block.group}. {_COLOURS} Dashed: fixed effects alone.",
    )
    return page


def _bars(axes: Any, at: Any, mean: Any, error: Any) -> None:
    axes.errorbar(
        at,
        mean,
        _Z * error,
        color=RED,
        fmt="o",
        markersize=4.5,
        markerfacecolor="white",
        elinewidth=2.2,
        markeredgewidth=1.2,
    )


def _lines(fit: Any, view: _View) -> tuple[list, list, list, list]:
    """For each level x, the fitted mean, its standard error, and the prediction by the fixed effects."""
    design, block = fit.design, fit.design.blocks[view.term]
    first = np.array([np.flatnonzero(block.codes == level)[0] for level in range(len(block.levels))])
    source = first if design.rows is None else design.rows[first]
    if view.categories or design.structured is not None:
        grid = np.unique(view.values)
    else:
        grid = np.linspace(view.values.min(), view.values.max(), _GRID)
    q, g = len(block.levels), len(grid)
    table = {}
    for name in {*_right_side(fit), *block.factors}:
        column = fit.frame[name]
        if name == view.x:
            across = (
                grid if view.categories is None else np.array(view.categories, dtype=object)[grid.astype(int)]
            )
            table[name] = np.tile(across, q)
        elif column.kind == "factor":
            table[name] = np.repeat(
                np.array([column.levels[c] for c in column.values[source]], dtype=object), g
            )
        else:
            table[name] = np.repeat(column.values[source], g)
    offset = np.zeros(q * g) if fit.spec.get("offset_array") else None
    own = fit.predict(table, se=True, offset=offset)
    population = fit.predict(table, random_effects=False, offset=offset)
    shape = (q, g)
    estimate, error = (np.asarray(own[name]).reshape(shape) for name in ("estimate", "std_error"))
    return [grid] * q, list(estimate), list(error), list(population.reshape(shape))


def _is_one_way(fit: Any) -> bool:
    """An intercept and the levels of one grouping, few enough to be named."""
    blocks = fit.design.blocks
    return (
        len(blocks) == 1
        and _one_level_each(fit, 0)
        and blocks[0].values is None
        and len(blocks[0].levels) <= NAMED
        and not _right_side(fit)
    )


def _levels(fit: Any) -> Page:
    """Observed values of every level, in the order of the fitted means."""
    design, block = fit.design, fit.design.blocks[0]
    q = len(block.levels)
    first = np.array([np.flatnonzero(block.codes == level)[0] for level in range(q)])
    table = fit.predict(se=True)
    source = first if design.rows is None else design.rows[first]
    mean, error = (np.asarray(table[name])[source] for name in ("estimate", "std_error"))
    order = np.argsort(mean, kind="stable")
    place = np.argsort(order)
    page = Page(min(max(0.32 * q + 1.2, 5.0), 14.0), 4.4)
    axes = page.subplots()
    axes.axhline(
        fit.coefficients[0] if len(fit.coefficients) else 0.0, color=SOFT, linewidth=1.1, linestyle="--"
    )
    _bars(axes, np.arange(q), mean[order], error[order])
    axes.scatter(place[block.codes], design.y, s=16, color=BLUE, linewidths=0, zorder=3)
    longest = max(len(str(v)) for v in block.levels)
    names = [short(str(block.levels[i]), 16) for i in order]
    axes.set_xticks(range(q), names, rotation=90 if longest * q > 90 else 0)
    dress(axes, block.group, design.response)
    page.heading(
        short(fit.formula),
        f"{_COLOURS} Dashed: the mean of all. In order of the fitted means.",
    )
    return page


def _observed(fit: Any) -> Page:
    """Observed against fitted, with the line of equality."""
    design = fit.design
    fitted = fit.fitted if design.rows is None else fit.fitted[design.rows]
    page = Page(6.2, 5.4)
    observed_panel(page.subplots(), fit)
    with np.errstate(invalid="ignore"):
        r = np.corrcoef(fitted, design.y)[0, 1] if np.ptp(fitted) > 0 else np.nan
    page.heading("Observed against fitted", short(fit.formula), f"Correlation {r:.3f}. Red: equality.")
    return page


def observed_panel(axes: Any, fit: Any) -> None:
    """Observed over fitted values in one panel."""
    design = fit.design
    fitted = fit.fitted if design.rows is None else fit.fitted[design.rows]
    cloud(axes, fitted, design.y)
    low, high = min(fitted.min(), design.y.min()), max(fitted.max(), design.y.max())
    axes.plot([low, high], [low, high], color=RED, linewidth=1.2)
    dress(axes, f"fitted {design.response}", f"observed {design.response}")
