"""Another response in the same design: only the products with y are formed again."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace

import numpy as np

from ..linear.coordinates import standard_response
from .criterion import Problem
from .crossproducts import CrossProducts, border_sums
from .standardise import Standardised

_LOADING = 20
_refits = itertools.count(1)


def worth_compiling() -> bool:
    """Whether the compiled loop should be used: its kernels are loaded already, or refits have become many enough."""
    return next(_refits) > _LOADING or "henderson.mixed.one_term" in sys.modules


def with_response(
    model: Standardised,
    products: CrossProducts,
    problem: Problem,
    response: np.ndarray,
    offset: np.ndarray | None,
) -> tuple[Standardised, CrossProducts, Problem]:
    """The standardised model, its cross-products and its problem with `response` (n,) in place of y.

    Covariances held at an absolute value keep it: their factors are rescaled to the new response's scale.
    """
    old = model.coordinates
    y, projection, y_scale = standard_response(model.q, response, offset, model.root_weights)
    border = []
    for term, sums in zip(model.terms, products.border, strict=True):
        sums = sums.copy()
        sums[:, :, -1] = border_sums(term, y[:, None])[:, :, 0]
        border.append(sums)
    corner = products.corner.copy()
    corner[-1, -1] = y @ y
    new_products = replace(products, border=tuple(border), corner=corner)
    new_model = replace(model, y=y, coordinates=replace(old, projection=projection, y_scale=y_scale))
    ratio = old.y_scale / y_scale
    held = tuple(None if t is None else t * ratio for t in problem.held)
    log_s2 = None if problem.log_s2 is None else problem.log_s2 + 2.0 * float(np.log(ratio))
    system = problem.system.with_response(new_products)
    return new_model, new_products, replace(problem, system=system, held=held, log_s2=log_s2)
