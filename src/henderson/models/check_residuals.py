"""What `hd.check` finds in `residual=` and `variance=`: what hd.gls would refuse or could not estimate, in words."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from ..residuals.base import Structure
from ..residuals.families import General
from ..residuals.layout import product_codes
from ..residuals.positions import Positions
from ..residuals.read_variances import variance_functions
from ..residuals.variances import VarianceFunction
from .residual_input import ResidualInput

_FEW_GROUPS = 3
"""Groups for each position below which an unstructured covariance deserves a look."""


def residual_findings(given: ResidualInput, rank: int) -> tuple[list[str], list[str]]:
    """(problems, notes) of the covariance of the residuals. rank : of X.

    Raises
    ------
    DataError, NotAvailableError : what is wrong with the table, as hd.gls would raise it.
    """
    problems: list[str] = []
    structure: Structure | None = None
    try:
        structure = given.structure()
    except ModelError as error:
        problems.append(str(error))
    functions = _functions(given, problems)
    problems += _lone_levels(given)
    if structure is None:
        return problems, []
    problems += _too_many(given, structure, functions, rank)
    return problems, _few_groups(structure)


def _functions(given: ResidualInput, problems: list[str]) -> list[VarianceFunction]:
    """The variance functions that can be made; why the others cannot goes to `problems`."""
    made = []
    # Fitted values are not there before a fit: any that differ serve.
    fitted = np.linspace(1.0, 2.0, given.design.n) if given.uses_fitted else None
    for term in given.functions:
        try:
            made += variance_functions((term,), given.variance or "", given.frame, given.design.rows, fitted)
        except ModelError as error:
            problems.append(str(error))
    if len(made) == len(given.functions) > 1:
        try:
            variance_functions(given.functions, given.variance or "", given.frame, given.design.rows, fitted)
        except ModelError as error:
            problems.append(str(error))
    return made


def _lone_levels(given: ResidualInput) -> list[str]:
    """Levels of ident() that have one row."""
    design, said = given.design, []
    for term in given.functions:
        if term.kind != "ident":
            continue
        codes, labels = product_codes(term.columns, given.frame, design.rows, design.n)
        counts = np.bincount(codes)
        if len(labels) < 2:
            continue
        for level in np.flatnonzero(counts == 1)[:5]:
            i = int(np.flatnonzero(codes == level)[0])
            row = i if design.rows is None else int(design.rows[i])
            said.append(
                f"variance: {term.text}: {labels[int(level)]} has one row, row {row} (the first row is 0): the variance of a level "
                "cannot be estimated from one residual. Join it to another level."
            )
        more = int(np.sum(counts == 1)) - 5
        if more > 0:
            said.append(f"variance: {term.text}: {more} more levels have one row.")
    return said


def _too_many(
    given: ResidualInput, structure: Structure, functions: list[VarianceFunction], rank: int
) -> list[str]:
    left = given.design.n - rank
    parameters = 1 + structure.n_coordinates + sum(f.n_coordinates for f in functions)
    if parameters == 1 or parameters < left:
        return []
    return [
        f"{given.description}: {given.design.n} rows and {rank} fixed coefficients leave {left} degrees of freedom, which cannot carry "
        f"{parameters} parameters of the covariance of the residuals: take a structure with fewer."
    ]


def _few_groups(structure: Structure) -> list[str]:
    """Unstructured covariances that groups hardly carry."""
    if not isinstance(structure, Positions) or not isinstance(structure.family, General):
        return []
    groups = sum(pattern.groups for pattern in structure.patterns)
    if groups >= _FEW_GROUPS * structure.m:
        return []
    count = structure.n_coordinates + 1
    return [
        f"{structure.text}: {structure.name} of {structure.m} positions has {count} parameters with the residual variance, and there "
        f"are {groups} groups: they are estimated poorly, and the likelihood may have several maxima. toep, ar1h, ante1 and cs have "
        "fewer parameters."
    ]
