"""The variance of new records under a generalised fit: what its variance functions and the variances of its visits say of rows
that it was not fitted to.

Only the parameters that `variance_components` reports are needed, and the names of the levels that come first, so that a
loaded fit answers as the one that was saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import frame as frames
from ..errors import DataError, NotAvailableError
from ..formula import parse_variance
from ..formula.residual import read_residual
from ..formula.terms import VarianceTerm
from ..frame import Frame


@dataclass(frozen=True)
class Spoken:
    """What the user wrote of the residuals of a generalised fit.

    Attributes
    ----------
    residual, variance : the texts of `residual=` and `variance=`, or None; known : whether `V=` was given.
    first_levels : text of a variance function -> the level whose standard deviation is 1.
    """

    residual: str | None = None
    variance: str | None = None
    known: bool = False
    first_levels: Mapping[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the head of a summary."""
        said = (
            ("residual", self.residual),
            ("variance", self.variance),
            ("V", "known" if self.known else None),
        )
        return tuple(f"{name}: {text}" for name, text in said if text)


def new_variances(
    spoken: Spoken, components: Mapping[str, Any], sigma2: float, data: Any, fitted: np.ndarray
) -> np.ndarray:
    """Variance (n,) of a record at each row of a new table, without what its weight says.

    Parameters
    ----------
    components : term and estimate of each parameter, as `variance_components` has them.
    sigma2 : residual variance, for structures that have one.
    data : the new table; fitted : (n,) predicted means of its rows, for power(fitted).

    Raises
    ------
    DataError : a level that the fit has no variance for; a covariate that is not positive where it must be.
    NotAvailableError : a known V says nothing of new rows.
    """
    known = dict(zip(components["term"], components["estimate"], strict=True))
    visits = _visits(spoken)
    terms = parse_variance(spoken.variance) if spoken.variance else ()
    sections = _sections(spoken)
    names = list(
        dict.fromkeys(
            [*visits, *sections, *(name for term in terms for name in (*term.columns, *term.strata))]
        )
    )
    frame = frames.read(data, names) if names else Frame({}, len(fitted))
    base = np.full(len(fitted), sigma2)
    if visits or sections:
        base = _of_levels(sections, visits, known, frame)
    for term in terms:
        base = base * _standard_deviations(term, known, spoken.first_levels, frame, fitted) ** 2
    return base


def _visits(spoken: Spoken) -> tuple[str, ...]:
    """Columns of the visits where these have variances of their own; () elsewhere."""
    if spoken.known:
        raise NotAvailableError(
            'predict: the covariance V= of the fit says nothing of new records. Ask for interval="confidence".'
        )
    if spoken.residual is None:
        return ()
    from ..formula.residual import KNOWN
    from ..residuals.positions import OWN_VARIANCES

    residual = read_residual(spoken.residual)
    if any(factor.structure == KNOWN for factor in residual.factors):
        raise NotAvailableError(
            f"predict: the known covariance of {residual.term} says nothing of new records. "
            'Ask for interval="confidence".'
        )
    own = [factor for factor in residual.factors if factor.structure in OWN_VARIANCES]
    return tuple(column.name for column in own[0].columns) if own else ()


def _sections(spoken: Spoken) -> tuple[str, ...]:
    """Columns of the sections at(...)."""
    return () if spoken.residual is None else read_residual(spoken.residual).at


def _of_levels(
    sections: tuple[str, ...], visits: tuple[str, ...], known: Mapping[str, float], frame: Frame
) -> np.ndarray:
    """The variance of each row's section and visit; NaN where one is missing."""
    parts = [(":".join(names), _labels(names, frame)) for names in (sections, visits) if names]
    names = [name for name, _ in parts]
    rows = list(zip(*(labels for _, labels in parts), strict=True))
    values: dict[tuple[str, ...], float] = {}
    for row in dict.fromkeys(row for row in rows if all(row)):
        term = ":".join(f"{name}{label}" for name, label in zip(names, row, strict=True))
        if term not in known:
            said = " ".join(f"'{name}' {label}" for name, label in zip(names, row, strict=True))
            raise DataError(f"predict: the fit has no variance for {said}, which it never saw.")
        values[row] = known[term]
    return np.array([values.get(row, np.nan) for row in rows])


def _labels(columns: tuple[str, ...], frame: Frame) -> np.ndarray:
    """One text for each row: "m", or "m:2" of several columns; "" where one is missing."""
    parts = []
    for name in columns:
        factor = frame[name].factor
        parts.append(np.array([*map(str, factor.levels), ""], dtype=object)[factor.values])
    return np.array([":".join(row) if all(row) else "" for row in zip(*parts, strict=True)], dtype=object)


def _parameters(name: str, labels: np.ndarray, known: Mapping[str, float], first: str | None) -> np.ndarray:
    """The parameter `name(label)` of each row; 1 for the first level, NaN where the label is missing."""
    out = np.full(len(labels), np.nan)
    for label in dict.fromkeys(labels):
        if label == "":
            continue
        if label != first and f"{name}{label})" not in known:
            raise DataError(f"predict: the fit has no {name}{label}): it never saw the level '{label}'.")
        out[labels == label] = 1.0 if label == first else known[f"{name}{label})"]
    return out


def _standard_deviations(
    term: VarianceTerm,
    known: Mapping[str, float],
    first_levels: Mapping[str, str],
    frame: Frame,
    fitted: np.ndarray,
) -> np.ndarray:
    if term.kind == "ident":
        return _parameters("ident(", _labels(term.columns, frame), known, first_levels.get(term.text))
    column = "fitted" if term.fitted else term.columns[0]
    x = fitted if term.fitted else frame[column].values
    if term.fitted and term.kind != "exp":
        x = np.abs(x)
    elif term.kind != "exp":
        bad = x <= 0 if term.kind == "power" else x < 0
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"predict: '{column}' is {x[row]:g} in row {row} (the first row is 0): {term.text} gives it no variance."
            )
    name = {"power": "power", "exp": "expon", "const_power": "power"}[term.kind]
    if term.strata:
        power = _parameters(f"{name}({column} | ", _labels(term.strata, frame), known, None)
    else:
        power = np.full(len(x), known[f"{name}({column})"])
    if term.kind == "exp":
        return np.exp(power * x)
    made = x**power
    return made + known[f"const({column})"] if term.kind == "const_power" else made
