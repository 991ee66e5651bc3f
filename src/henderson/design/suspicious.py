"""A text column that is numbers but for a few entries: mostly one that was not read as its owner meant."""

from __future__ import annotations

import numpy as np

from henderson.design.values import is_number
from henderson.errors import DataError
from henderson.frame import Column


def refuse_numbers_as_text(column: Column) -> None:
    """Refuse a text column with five or more different numbers in it and at most a tenth of other labels.

    As a fixed effect it would silently get a coefficient for every number.

    Raises
    ------
    DataError : names the first entry that is not a number.
    """
    if not column.text or len(column.levels) < 6:
        return
    odd = [i for i, level in enumerate(column.levels) if not is_number(level)]
    if not odd or len(column.levels) - len(odd) < 5 or len(odd) * 10 > len(column.levels):
        return
    row = int(np.flatnonzero(np.isin(column.values, odd))[0])
    label = column.levels[int(column.values[row])]
    raise DataError(
        f"column '{column.name}' is text, but {len(column.levels) - len(odd)} of its {len(column.levels)}"
        f" different values are numbers; row {row} (the first row is 0) holds '{label}'.\n"
        f"Correct it, or write C({column.name}) if each value is a level of a factor."
    )
