"""`residual=`, `variance=` and `V=`: the user's words with the columns they name, read together with the formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from .. import design as designs
from .. import formula as formulas
from .. import frame as frames
from ..design.record import Design
from ..errors import FormulaError, ModelError
from ..formula.residual import Residual, read_residual
from ..formula.terms import Formula, VarianceTerm
from ..frame import Frame
from ..inference.new_variances import Spoken
from ..residuals import catalogue
from ..residuals.base import Layout, Structure
from ..residuals.covariance import Covariance
from ..residuals.independent import Independent
from ..residuals.layout import product_codes
from ..residuals.read_variances import variance_functions


@dataclass(frozen=True)
class ResidualInput:
    """What the user said of the residuals, beside the design.

    Attributes
    ----------
    residual : the term of `residual=`; known : `V=`. At most one of them.
    functions : of `variance=`, whose text is `variance`.
    """

    design: Design
    frame: Frame
    residual: Residual | None
    known: Any
    functions: tuple[VarianceTerm, ...]
    variance: str | None

    @property
    def uses_fitted(self) -> bool:
        """Whether a variance function is one of the fitted values."""
        return any(function.fitted for function in self.functions)

    @property
    def description(self) -> str:
        """In a line."""
        parts = [
            self.residual.text if self.residual else None,
            self.variance,
            "V given" if self.known is not None else None,
        ]
        return " with ".join(part for part in parts if part) or "independent residuals"

    def structure(self) -> Structure:
        """The correlation of the rows used.

        Raises
        ------
        DataError, ModelError, NotAvailableError : rows, a V or options that it cannot have.
        """
        design = self.design
        if self.known is not None:
            known = import_module("henderson.residuals.known")
            zeros = np.zeros(design.n, dtype=np.int64)
            layout = Layout(design.n, (), zeros, "", ("",), "V=", rows=design.rows)
            built: Structure = known.build(self.known, layout, design.n_read)
            return built
        if self.residual is None:
            return Independent(design.n)
        return catalogue.build(self.residual, self.frame, design.rows, design.n)

    def covariance(self, structure: Structure, fitted: np.ndarray | None) -> Covariance:
        """The whole covariance of the rows. `fitted` (n,) where `uses_fitted`."""
        design = self.design
        functions = variance_functions(self.functions, self.variance or "", self.frame, design.rows, fitted)
        return Covariance(structure, functions, design.weights)

    def spoken(self, residual: str | None) -> Spoken:
        """The user's words, and the levels whose standard deviation is 1."""
        first = {}
        for term in self.functions:
            if term.kind == "ident":
                _, labels = product_codes(term.columns, self.frame, self.design.rows, self.design.n)
                first[term.text] = str(labels[0])
        return Spoken(residual, self.variance, self.known is not None, first)


def read_residual_input(
    parsed: Formula,
    data: Any,
    residual: str | None,
    variance: str | None,
    V: Any,
    *,
    weights: Any,
    offset: Any,
    contrasts: Mapping[str, Any] | None,
) -> ResidualInput:
    """Read a table with the columns of the formula and of the residuals; a row that misses one of them is left out.

    Raises
    ------
    FormulaError, DataError, ModelError : with the place in the text that is wrong.
    """
    if V is not None and residual is not None:
        raise ModelError("V= is a known covariance and residual= one to be estimated: give one of them.")
    term = None if residual is None else read_residual(residual)
    functions = () if variance is None else formulas.parse_variance(variance)
    names = {} if term is None else dict(term.names)
    for function in functions:
        names.update(function.places)
    frame = _read(data, designs.needed(parsed, weights, offset), parsed.text, term, functions, variance)
    named = replace(parsed, names={**parsed.names, **names})
    design = designs.build(named, frame, weights=weights, offset=offset, contrasts=contrasts)
    return ResidualInput(design, frame, term, V, functions, variance)


def _read(
    data: Any,
    needed: Mapping[str, Any],
    text: str,
    residual: Residual | None,
    functions: tuple[VarianceTerm, ...],
    variance: str | None,
) -> Frame:
    of_residual = {} if residual is None else dict(residual.names)
    of_variance = {name: span for function in functions for name, span in function.places}
    try:
        return frames.read(data, {**dict.fromkeys([*of_residual, *of_variance]), **needed}, text)
    except FormulaError:
        # The place of the name is in another text than the formula's.
        frames.read(data, needed, text)
        if residual is not None:
            frames.read(data, of_residual, residual.text)
        if variance is not None:
            frames.read(data, of_variance, variance)
        raise
