"""`start=` and `fixed_parameters=`: the user's covariances by group name, checked against the model's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError, closest
from .labels import Labels
from .words import is_table

RESIDUAL = "Residual"


def read_covariances(
    given: Mapping[str, Any] | None, labels: Labels, argument: str
) -> tuple[list[np.ndarray | None], float | None]:
    """Covariance matrix of each term (None where not given) and the residual variance, all in the user's units.

    A term is named by its group, as `variance_components` prints it; where several terms share a group, by the term's
    text, "(0 + Days | Subject)". A value is a variance, a list of m variances, or an m x m covariance matrix.
    """
    if given is not None and is_table(given):
        return _of_table(given, labels, argument)
    if given is not None and not isinstance(given, Mapping):
        raise ModelError(
            f'{argument} is a mapping such as {{"Subject": 600.0, "Residual": 650.0}}, not {given!r}.'
        )
    found: list[np.ndarray | None] = [None] * len(labels.terms)
    residual = None
    for key, value in (given or {}).items():
        if key == RESIDUAL:
            residual = _variance(value, argument)
            continue
        k = _term(str(key), labels, argument)
        term = labels.terms[k]
        found[k] = _fits(covariance_matrix(value, key, term.effects, argument), key, term.structure, argument)
    return found, residual


def _of_table(given: Any, labels: Labels, argument: str) -> tuple[list[np.ndarray | None], float | None]:
    """The same of a table like `variance_components`, which has all entries of a term."""
    from .words import table_rows

    known = [(k, term.group, entry) for k, term in enumerate(labels.terms) for entry in term.parameters]
    matrices = [np.full((len(t.effects), len(t.effects)), np.nan) for t in labels.terms]
    residual = None
    for group, name, value in table_rows(given, argument):
        if group == name == RESIDUAL:
            residual = _variance(value, argument)
            continue
        found = next((each for each in known if (each[1], each[2][0]) == (group, name)), None)
        if found is None:
            names = [f"{g}: {entry[0]}" for _, g, entry in known]
            like = closest(f"{group}: {name}", names)
            raise ModelError(
                f"{argument}: this model has no '{name}' of '{group}' (or the table has it twice). "
                + (f"The closest is '{like}'. " if like else "")
                + f"It has {', '.join(map(repr, names))}."
            )
        known.remove(found)
        k, _, (_, i, j) = found
        matrices[k][i, j] = matrices[k][j, i] = value
    out: list[np.ndarray | None] = []
    for term, matrix in zip(labels.terms, matrices, strict=True):
        if np.isnan(matrix).all():
            out.append(None)
            continue
        given_names = [name for name, i, j in term.parameters if np.isnan(matrix[i, j])]
        if given_names:
            raise ModelError(
                f"{argument}: the table has some entries of '{term.group}', not {', '.join(given_names)}."
            )
        matrix = np.where(np.isnan(matrix), 0.0, matrix)
        out.append(
            _fits(
                covariance_matrix(matrix, term.group, term.effects, argument),
                term.group,
                term.structure,
                argument,
            )
        )
    return out, residual


def _fits(matrix: np.ndarray, key: str, structure: str, argument: str) -> np.ndarray:
    """The matrix, where the term's structure can hold it."""
    variances = np.diag(matrix)
    if structure != "us" and not np.array_equal(matrix, np.diag(variances)):
        raise ModelError(
            f"{argument}: the effects of '{key}' are independent of one another ({structure}): its covariances are 0. "
            "Give variances only, or write the term with one bar."
        )
    if structure == "id" and np.ptp(variances) > 0:
        raise ModelError(f"{argument}: the effects of '{key}' share one variance (id): give one number.")
    return matrix


def _term(key: str, labels: Labels, argument: str) -> int:
    texts = [t.text for t in labels.terms]
    if key in texts:
        return texts.index(key)
    groups = [t.group for t in labels.terms]
    if groups.count(key) > 1:
        raise ModelError(
            f"{argument}: several terms have the group '{key}'; name the one meant by its text, one of "
            + ", ".join(repr(t.text) for t in labels.terms if t.group == key)
            + "."
        )
    if key not in groups:
        known = [*groups, RESIDUAL]
        like = closest(key, known)
        raise ModelError(
            f"{argument}: no random term has the group '{key}'. "
            + (f"The closest is '{like}'. " if like else "")
            + f"The groups are {', '.join(map(repr, known))}."
        )
    return groups.index(key)


def _variance(value: Any, argument: str) -> float:
    try:
        number = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        number = np.zeros(0)
    if number.size != 1 or not np.isfinite(number).all() or not number.item() > 0:
        raise ModelError(f"{argument}: the residual variance is one positive number, not {value!r}.")
    return float(number.item())


def covariance_matrix(value: Any, key: str, effects: tuple[str, ...], argument: str) -> np.ndarray:
    m = len(effects)
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(
            f"{argument}: the covariance of '{key}' is made of numbers, not {value!r}."
        ) from None
    if matrix.ndim == 0:
        matrix = matrix * np.eye(m)
    elif matrix.ndim == 1 and len(matrix) == m:
        matrix = np.diag(matrix)
    if matrix.shape != (m, m):
        raise ModelError(
            f"{argument}: '{key}' has {m} effects ({', '.join(effects)}): give a variance, {m} variances or a "
            f"{m} x {m} covariance matrix, not an array of shape {matrix.shape}."
        )
    size = np.abs(matrix).max(initial=0.0)
    if not np.isfinite(matrix).all() or np.abs(matrix - matrix.T).max() > 1e-10 * size:
        raise ModelError(f"{argument}: the covariance of '{key}' must be finite and symmetric.")
    lowest = np.linalg.eigvalsh(matrix)[0]
    if lowest < -1e-10 * size:
        raise ModelError(
            f"{argument}: the covariance of '{key}' is not positive semi-definite (its smallest eigenvalue is {lowest:.3g})."
        )
    return matrix
