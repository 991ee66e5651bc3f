"""Estimated marginal means (least-squares means) of any fit with linear coefficients.

A marginal mean is l'b, l an average of rows of X over the reference grid. The way: what is asked (`asked`) -> averages over the
grid (`grid`) -> linear functions with their labels (`functions`) -> numbers (`estimates`) -> contrasts of them (`contrasts`), letters
(`letters`), joint tests (`joint_tests`).

Searle, Speed & Milliken (1980) Am. Stat. 34; Lenth (2016) J. Stat. Software 69 describes the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ModelError
from .asked import read_options, read_specs, require_weights
from .columns import fixed_names
from .contrasts import Contrasts
from .estimates import MarginalMeans
from .functions import Functions
from .grid import ReferenceGrid, require_variable
from .multiplicity import method_named
from .nested_factors import with_nests
from .protocol import LinearEstimates
from .words import grid_notes, level_notes, scale_notes


def emmeans(
    fit: LinearEstimates,
    specs: str | Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    level: float = 0.95,
    df: Any = None,
    adjust: str = "none",
    type: str = "link",
    bias_adjust: bool = False,
    sigma: float | None = None,
    nesting: Any = None,
) -> MarginalMeans:
    """Estimated marginal means. See `Questions.emmeans`."""
    options = read_options(fit, level, df, adjust, type, bias_adjust, sigma, "emmeans")
    names, groups = read_specs(specs, by)
    require_weights(weights)
    for name in (*names, *groups):
        require_variable(fit, name, fixed_names(fit.spec), "emmeans")
    grid = ReferenceGrid(fit, at, nesting)
    names, groups = with_nests(names, groups, grid.nested)
    for name in (*names, *groups):
        if grid[name].reduced:
            raise ModelError(
                f"emmeans: '{name}' is a covariate. Say at which values, such as at={{'{name}': [0, 1]}}, or ask for its "
                f"slope: fit.slopes('{name}')."
            )
    margins = grid.margins((*names, *groups), weights)
    functions = Functions(margins.rows, margins.offset, margins.labels, names, groups, margins.empty)
    notes = [*grid_notes(fit, grid, (*names, *groups), weights), *scale_notes(fit, options)]
    try:
        return MarginalMeans(fit, functions, options, [*notes, *level_notes(fit, options)])
    except ModelError as error:
        raise ModelError(f"{error}{_instead(fit, grid, (*names, *groups), weights)}") from None


def _instead(fit: LinearEstimates, grid: ReferenceGrid, kept: tuple[str, ...], weights: str) -> str:
    """Weights by which there are means, where cells without rows (such as those of nested factors) leave none."""
    if weights == "flat" or fit.spec.get("cells") is None:
        return ""
    rows = grid.margins(kept, "flat").rows
    able = fit.columns.estimable(rows[np.isfinite(rows).all(axis=1)]).any()
    return " weights='flat' averages over the combinations that have rows." if able else ""


def pairs(
    fit: LinearEstimates,
    specs: str | Sequence[str],
    *,
    adjust: str | None = None,
    reverse: bool = False,
    reference: Any = None,
    **options: Any,
) -> Contrasts:
    """Differences of marginal means. See `Questions.pairs`."""
    means = emmeans(fit, specs, **options)
    dunnett = adjust is not None and method_named(adjust) in ("dunnett", "dunnettx")
    if reference is not None and not dunnett:
        raise ModelError("pairs: reference= is the control of adjust='dunnett'; other differences have none.")
    method = "trt.vs.ctrl" if dunnett else "pairwise"
    return means.contrast(method, adjust=adjust, reverse=reverse, reference=reference)
