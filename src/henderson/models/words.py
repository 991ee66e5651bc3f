"""`fixed_parameters=`, `start=`, `tied=` and `bounds=` as the user gave them: mappings, or tables like `variance_components`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, FormulaError, ModelError


@dataclass(frozen=True)
class Words:
    """The user's arguments, as given."""

    fixed_parameters: Any = None
    start: Any = None
    tied: Any = None
    bounds: Any = None

    @property
    def name_parameters(self) -> bool:
        """Whether parameters are named one by one, rather than whole matrices by group."""
        if self.tied is not None or self.bounds is not None:
            return True
        return any(
            isinstance(value, Mapping) or ": " in str(key)
            for given in (self.fixed_parameters, self.start)
            if isinstance(given, Mapping) and not is_table(given)
            for key, value in given.items()
        )


def is_table(given: Any) -> bool:
    """Whether it is a table like `variance_components`, rather than a mapping from keys to values."""
    if isinstance(given, Mapping):
        return {"group", "term", "estimate"} <= set(map(str, given))
    return hasattr(given, "columns") or hasattr(given, "column_names")


def table_rows(given: Any, argument: str) -> list[tuple[str, str, float]]:
    """group, term and estimate of each row of a table.

    Raises
    ------
    ModelError : a table without these columns, or an estimate that is no number.
    """
    from .. import frame as frames

    try:
        table = frames.read(given, ["group", "term", "estimate"])
    except (FormulaError, DataError) as error:
        raise ModelError(
            f"{argument}: a table is one like fit.variance_components, with columns group, term and estimate: {error}"
        ) from None
    groups, terms = (
        [str(factor.levels[code]) for code in factor.values]
        for factor in (table["group"].factor, table["term"].factor)
    )
    estimates = np.asarray(table["estimate"].values, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(estimates))
    if bad.size:
        raise ModelError(
            f"{argument}: the estimate of {groups[bad[0]]}: {terms[bad[0]]} is {estimates[bad[0]]}, not a number."
        )
    return list(zip(groups, terms, map(float, estimates), strict=True))
