"""Formula text -> records of terms. A formula is data: it is read, never run.

`tokens` -> `parser` -> `expression` (the tree) -> `assemble` (response, fixed, random), with `expand` for
the algebra of the fixed terms, `levels` for the right side of a bar, `functions` and `structures` for what
may be called, and `available` for what this version fits.
"""

from henderson.formula.assemble import parse, parse_residual, parse_variance
from henderson.formula.available import is_structured, require_available
from henderson.formula.residual import Residual, read_residual
from henderson.formula.terms import Formula, RandomTerm, VarianceTerm

__all__ = [
    "Formula",
    "RandomTerm",
    "Residual",
    "VarianceTerm",
    "is_structured",
    "parse",
    "parse_residual",
    "parse_variance",
    "read_residual",
    "require_available",
]
