"""Factors -> columns: the rows of a contrast matrix, or one indicator for each level.

| contrasts | column j of k - 1, as R has it |
|---|---|
| Treatment | 1 at level j + 1 (`contr.treatment`) |
| SAS | 1 at level j, 0 at the last (`contr.SAS`) |
| Sum | 1 at level j, -1 at the last (`contr.sum`) |
| Helmert | -1 at levels 1 to j, j at level j + 1 (`contr.helmert`) |
| Diff | coefficients are differences of neighbouring levels (`MASS::contr.sdif`) |
| Poly | orthonormal polynomials in 1, ..., k (`contr.poly`) |
| custom | what the user gives: a column of R's `contrasts(f) <- matrix` |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.errors import DataError, closest
from henderson.frame import Label


def coding(
    name: str, levels: tuple[Label, ...], contrast: tuple[str, Any], reduced: bool
) -> tuple[NDArray[np.float64] | int | None, tuple[str, ...]]:
    """How a factor becomes columns.

    Returns
    -------
    matrix : (levels, columns); or, for indicators of all levels, None; or, for indicators of all levels but
        one, the number of that one.
    names : of the columns, as formulaic names them: "f[T.b]", "f[b]" for all levels, "f[S.a]" for sums ...; "f[C.name]"
        for custom ones.

    Raises
    ------
    DataError : a reference level that the factor does not have.
    """
    if not reduced:
        return None, tuple(f"{name}[{level}]" for level in levels)
    kind, reference = contrast
    if kind == "treatment":
        base = _reference(name, levels, reference)
        return base, tuple(f"{name}[T.{level}]" for i, level in enumerate(levels) if i != base)
    if kind == "custom":
        return np.array(reference["matrix"], dtype=np.float64), tuple(
            f"{name}[C.{n}]" for n in reference["names"]
        )
    from formulaic.transforms import contrasts as known

    made = {
        "sum": known.SumContrasts,
        "helmert": known.HelmertContrasts,
        "poly": known.PolyContrasts,
        "sas": known.SASContrasts,
        "diff": known.DiffContrasts,
    }[kind]()
    matrix = np.asarray(made.get_coding_matrix(list(levels), reduced_rank=True), dtype=np.float64)
    pattern = made.get_factor_format(list(levels), reduced_rank=True)
    fields = made.get_coding_column_names(list(levels), reduced_rank=True)
    return matrix, tuple(pattern.format(name=name, field=field) for field in fields)


def custom(name: str, levels: tuple[Label, ...], given: Any) -> tuple[str, dict[str, Any]]:
    """The user's own contrasts of a factor as they are kept: ("custom", names of the columns and the matrix in plain lists).

    Parameters
    ----------
    levels : of the factor in the rows used.
    given : a matrix (levels, levels - 1), also as nested lists or a data frame, whose columns then name the contrasts; or
        {name: {level: weight}}, a level that is left out having weight 0. Column j is what coefficient j is multiplied by at
        each level, as in R's `contrasts(f)`: that of a comparison is the comparison itself only if the columns are orthogonal
        and sum to 0.

    Raises
    ------
    DataError : a level that is not there (the closest is named), a matrix of another shape, columns that with the constant
        do not tell all levels apart.
    """
    if isinstance(given, Mapping):
        names = [str(key) for key in given]
        matrix = np.zeros((len(levels), len(names)))
        for j, (key, weights) in enumerate(given.items()):
            matrix[:, j] = _weights(name, levels, key, weights)
    else:
        try:
            matrix = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(
                f"contrasts: those of '{name}' are a name such as 'Sum', a matrix of numbers, or "
                "{name: {level: weight}}, not " + f"{type(given).__name__}."
            ) from None
        own = getattr(given, "columns", None)
        names = (
            [str(j + 1) for j in range(matrix.shape[-1] if matrix.ndim else 0)]
            if own is None
            else [*map(str, own)]
        )
    k = len(levels)
    shown = ", ".join(map(str, levels[:8])) + (" ..." if k > 8 else "")
    if matrix.shape != (k, k - 1):
        got = f"{len(names)} contrasts" if isinstance(given, Mapping) else f"a matrix of shape {matrix.shape}"
        raise DataError(
            f"contrasts: '{name}' has {k} levels in the rows used ({shown}), so {k - 1} contrasts with {k} weights each; "
            f"it was given {got}."
        )
    if not np.isfinite(matrix).all():
        raise DataError(f"contrasts: the weights of '{name}' are finite numbers.")
    if len(set(names)) < len(names):
        raise DataError(f"contrasts: two contrasts of '{name}' have the same name.")
    size = np.abs(matrix).max(axis=0)
    scaled = np.column_stack([np.ones(k), matrix / np.where(size > 0, size, 1.0)])
    if np.linalg.matrix_rank(scaled, tol=1e-10) < k:
        raise DataError(
            f"contrasts: those of '{name}' ({', '.join(names)}) do not tell all its levels apart: with the constant they must "
            f"have rank {k}, and have {np.linalg.matrix_rank(scaled, tol=1e-10)}."
        )
    return "custom", {"names": names, "matrix": matrix.tolist()}


def _weights(name: str, levels: tuple[Label, ...], contrast: Any, weights: Any) -> list[float]:
    if not isinstance(weights, Mapping):
        raise DataError(
            f"contrasts: the contrast '{contrast}' of '{name}' is a mapping of levels to weights, not {weights!r}."
        )
    texts = [str(level) for level in levels]
    out = [0.0] * len(levels)
    for level, weight in weights.items():
        wanted = _text(level)
        if wanted not in texts:
            near = closest(wanted, texts)
            hint = f"The closest is '{near}'." if near else f"Its levels are {', '.join(texts[:8])}."
            raise DataError(f"contrasts: '{name}' has no level '{wanted}' in the rows used.\n{hint}")
        try:
            out[texts.index(wanted)] = float(weight)
        except (TypeError, ValueError):
            raise DataError(f"contrasts: the weight of '{level}' is a number, not {weight!r}.") from None
    return out


def _reference(name: str, levels: tuple[Label, ...], reference: Any) -> int:
    if reference is None:
        return 0
    texts = [str(level) for level in levels]
    wanted = _text(reference)
    if wanted in texts:
        return texts.index(wanted)
    near = closest(wanted, texts)
    raise DataError(f"'{name}' has no level '{wanted}'." + (f"\nThe closest is '{near}'." if near else ""))


def _text(level: Any) -> str:
    """A level as it is written: 2 for 2.0."""
    return str(int(level)) if isinstance(level, float) and level.is_integer() else str(level)
