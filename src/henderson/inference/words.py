"""What is said beside estimates: what is averaged over, their scale, level and degrees of freedom; and their table as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .asked import Options
from .back_transform import back_transform
from .columns import terms_of
from .grid import ReferenceGrid
from .protocol import LinearEstimates


def grid_notes(fit: LinearEstimates, grid: ReferenceGrid, kept: Sequence[str], weights: str) -> list[str]:
    """What is averaged over and how, where covariates stand, and whether what is averaged over interacts."""
    used = frozenset().union(*terms_of(fit))
    shown = [v for v in grid.variables if v.name in used and v.name not in kept]
    averaged = [v for v in shown if len(v.values) > 1]
    fixed = [v for v in shown if len(v.values) == 1]
    said = []
    if averaged:
        names = ", ".join(v.name for v in averaged)
        said.append(
            f"Averaged over {names} ({'equal weights' if weights == 'equal' else weights + ' weights'})."
        )
    if fixed:
        places = [
            f"{v.name} = {v.values[0]:.6g}"
            if not isinstance(v.values[0], str)
            else f"{v.name} = {v.values[0]}"
            for v in fixed
        ]
        said.append(f"At {', '.join(places)}.")
    over = {v.name for v in averaged}
    for name, within in grid.nested.items():
        if name in over or name in kept:
            how = " and averaged within it, over the levels that occur there" if name in over else ""
            said.append(f"{name} is nested in {', '.join(within)}{how}.")
    if any(over & term and set(kept) & term for term in terms_of(fit)):
        said.append("What is averaged over interacts with what is shown: the average may hide differences.")
    return said


def scale_notes(fit: LinearEstimates, options: Options) -> list[str]:
    """The scale of the estimates, where the left side is a function of the response."""
    known = back_transform(fit.spec)
    if options.back is not None:
        bias = f", the mean over errors of standard deviation {options.sigma:.6g}" if options.sigma else ""
        return [
            f"Estimates are of {options.back.column}, limits and estimates taken back from {options.back.name}{bias}."
        ]
    return (
        [f"Estimates are of {known.name}; type='response' gives them of {known.column}."]
        if known is not None
        else []
    )


def level_notes(fit: LinearEstimates, options: Options) -> list[str]:
    """The level of the limits and where the degrees of freedom are from."""
    df = (
        fit.df_method
        if options.df is None
        else options.df
        if isinstance(options.df, str)
        else f"{options.df:g}, given"
    )
    return [f"Limits: {100 * options.level:g} %. Degrees of freedom: {df}."]


def table_lines(columns: Mapping[str, Any]) -> list[str]:
    """The table as text."""
    cells = []
    for name, values in columns.items():
        number = isinstance(values, np.ndarray) and values.dtype.kind == "f"
        texts = [_number(name, v) if number else str(v) for v in values]
        width = max(len(name), *(len(t) for t in texts))
        cells.append([t.rjust(width) if number else t.ljust(width) for t in (name, *texts)])
    return [" ".join(row).rstrip() for row in zip(*cells, strict=True)]


def _number(name: str, value: float) -> str:
    if np.isnan(value):
        return "NaN"
    if name == "p_value":
        return "<0.0001" if value < 1e-4 else f"{value:.4f}"
    return f"{value:.4g}" if name in ("df", "statistic", "std_error") else f"{value:.6g}"
