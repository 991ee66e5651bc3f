"""Factors -> columns: the rows of a contrast matrix, or one indicator for each level."""

from __future__ import annotations

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
    names : of the columns, as formulaic names them: "f[T.b]", "f[b]" for all levels, "f[S.a]" for sums ...

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


def _reference(name: str, levels: tuple[Label, ...], reference: Any) -> int:
    if reference is None:
        return 0
    texts = [str(level) for level in levels]
    wanted = (
        str(int(reference)) if isinstance(reference, float) and reference.is_integer() else str(reference)
    )
    if wanted in texts:
        return texts.index(wanted)
    near = closest(wanted, texts)
    raise DataError(f"'{name}' has no level '{wanted}'." + (f"\nThe closest is '{near}'." if near else ""))
