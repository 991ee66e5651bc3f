"""What is tested: terms, coefficients and contrasts -> rows over the columns of X that the design can estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..design import Design
from ..design.aliasing import why_not
from ..design.columns import INTERCEPT
from ..design.estimability import ColumnSpace
from ..errors import ModelError
from ..inference.combinations import read_combinations
from ..linear.qr import orthonormal_basis
from .reading import hint


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """L b = value, L (h, p) of full rank; over the columns that have a coefficient once it is known to be testable."""

    name: str
    rows: np.ndarray
    value: np.ndarray


def hypotheses(test: Any, design: Design, space: ColumnSpace) -> list[Hypothesis]:
    """The hypotheses that `test` asks for.

    Parameters
    ----------
    test : None (every term but the intercept), the name of a term or of a coefficient, a list of names, or a mapping of
        a name to combinations as `fit.contrast` takes them (several in a list are tested together).

    Raises
    ------
    ModelError : a name that is neither a term nor a coefficient (the closest is named); a hypothesis that the design
        cannot test, and why.
    """
    if test is None:
        names = [t for t in design.terms if t != INTERCEPT] or list(design.terms)
        found = [_named(t, design) for t in names]
    elif isinstance(test, str):
        found = [_named(test, design)]
    elif isinstance(test, Mapping) and test:
        found = [_combined(str(name), given, space) for name, given in test.items()]
    elif isinstance(test, Sequence) and test:
        found = [_named(name, design) for name in test]
    else:
        raise ModelError(
            f"test is a term, a coefficient, a list of them, or a mapping of a name to a contrast, not {test!r}."
        )
    return [_estimable(each, space, design) for each in found]


def _estimable(found: Hypothesis, space: ColumnSpace, design: Design) -> Hypothesis:
    bad = np.flatnonzero(~space.estimable(found.rows))
    if len(bad):
        why = why_not(space, design, found.rows[bad[0]])
        raise ModelError(f"'{found.name}' cannot be tested with this design: {why}")
    return Hypothesis(found.name, found.rows[:, space.kept], found.value)


def _named(name: Any, design: Design) -> Hypothesis:
    identity = np.eye(design.p)
    if name in design.terms:
        rows = identity[design.assign == design.terms.index(name)]
    elif name in design.x_names:
        rows = identity[[design.x_names.index(name)]]
    else:
        known = list(dict.fromkeys([*design.terms, *design.x_names]))
        raise ModelError(f"test: no term and no coefficient is called '{name}'." + hint(name, known))
    return Hypothesis(str(name), rows, np.zeros(len(rows)))


def _combined(name: str, given: Any, space: ColumnSpace) -> Hypothesis:
    several = given if isinstance(given, (list, tuple)) and not _is_row(given) else [given]
    rows, values = [], []
    for each in several:
        one = read_combinations({name: each}, space)
        rows.append(one.rows[0])
        values.append(one.rhs[0])
    L = np.array(rows)
    basis = orthonormal_basis(np.array(L.T))
    if len(basis.dropped):
        raise ModelError(
            f"test['{name}']: its {len(L)} combinations are not independent; row {basis.dropped[0] + 1} follows from the "
            "others. Leave it out."
        )
    return Hypothesis(name, L, np.array(values))


def _is_row(given: Sequence[Any]) -> bool:
    return all(isinstance(v, (int, float, np.number)) for v in given)
