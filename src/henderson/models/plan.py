"""`hd.plan`: what a mixed model will take, before it is fitted; and `fit.plan()`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import design as designs
from .. import formula as formulas
from .. import frame as frames
from ..errors import ModelError
from ..mixed.structured.plan import Plan, plan_of_mixed, plan_of_structured
from ..sparse.threads import one_blas_thread
from .mixed_fit import MixedFit
from .structured_fit import StructuredFit


def plan(
    formula: str,
    data: Any,
    *,
    residual: str | None = None,
    variance: str | None = None,
    relationships: Mapping[str, Any] | None = None,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    fixed_parameters: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    tied: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
    reml: bool = True,
    verbose: bool = False,
) -> Plan:
    """What `hd.lmm` will do with this model: the solver, sizes, fill-in, operations, memory. Nothing is estimated.

    Parameters
    ----------
    formula, data and all others : as `hd.lmm` takes them. start, reml and verbose change nothing.

    Returns
    -------
    Plan. `print` it; its attributes are for programs.

    Raises
    ------
    FormulaError, DataError, ModelError : those that a fit would raise for the formula and the table. A model that is too large for
        this machine is no error here: `plan.fits` is False.
    """
    parsed = formulas.parse(formula)
    if (
        formulas.is_structured(parsed, residual, variance, relationships)
        or tied is not None
        or bounds is not None
    ):
        from ..mixed.structured.equations import Equations
        from ..mixed.structured.parameters import parts_of
        from .structured import model_of, read_input

        given = read_input(
            parsed,
            data,
            residual=residual,
            variance=variance,
            relationships=relationships,
            weights=weights,
            offset=offset,
            contrasts=contrasts,
        )
        with one_blas_thread():
            model = model_of(given)
            system = Equations(model, allocate=False)
        holds = getattr(given.residual, "holds_scale", False)
        return plan_of_structured(formula, model, system, parts_of(model)[1] + (not holds))
    from ..mixed.crossproducts import cross_products
    from ..mixed.solver import build_system
    from ..mixed.standardise import standardise

    formulas.require_available(parsed)
    frame = frames.read(data, designs.needed(parsed, weights, offset), parsed.text)
    design = designs.build(parsed, frame, weights=weights, offset=offset, contrasts=contrasts)
    if not design.blocks:
        raise ModelError(
            f"plan: '{formula}' has no random term. Without one, hd.lm solves least squares by a QR decomposition of X, and hd.gls does "
            "so for each step; there is nothing to choose."
        )
    with one_blas_thread():
        standard = standardise(design)
        products = cross_products(standard)
        return plan_of_mixed(
            formula,
            build_system(products),
            products.n,
            1 + sum(t.structure.n_parameters for t in standard.terms),
        )


def plan_of_fit(fit: MixedFit) -> Plan:
    """What a fit took.

    Raises
    ------
    ModelError : a fit of structures that was loaded, which has no rows.
    """
    problem = fit.solution.problem
    count = fit.npar - fit.solution.coordinates.rank
    if isinstance(fit, StructuredFit):
        if fit._saved is not None:
            raise fit._saved.no_rows()
        return plan_of_structured(fit.formula, fit.solution.problem.model, fit.solution.problem.system, count)
    return plan_of_mixed(fit.formula, problem.system, fit.nobs, count)
