"""The two kinds of column a model knows: numbers, and factors with their levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Label = str | int | float | bool


class Column:
    """One column of a table.

    Attributes
    ----------
    name : as in the table.
    kind : "numeric" or "factor".
    values : numeric: (n,) float64, NaN where missing. Factor: (n,) integer codes into `levels`, -1 where
        missing.
    levels : labels in order (factor), () otherwise.
    ordered : whether the caller's factor is ordered.
    raw : the caller's own numbers, of any numeric type, not copied: do not write into it. Factor: the codes.
    text : whether the levels were made from text, so that numbers among them are suspicious.

    Whole numbers that no float64 holds exactly, with missing values among them, come as the nearest float64
    in `raw` and with their `labels`, the codes and levels of the numbers themselves, so that no two of them
    become one level.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        raw: NDArray,
        levels: tuple[Label, ...] = (),
        ordered: bool = False,
        text: bool = False,
        labels: tuple[NDArray[np.int32], tuple[Label, ...]] | None = None,
    ):
        self.name = name
        self.kind = kind
        self.raw = raw
        self.levels = levels
        self.ordered = ordered
        self.text = text
        self.labels = labels

    def __repr__(self) -> str:
        what = f"{len(self.levels)} levels" if self.kind == "factor" else str(self.raw.dtype)
        return f"Column({self.name!r}, {self.kind}, n={len(self.raw)}, {what})"

    def __len__(self) -> int:
        return len(self.raw)

    @cached_property
    def values(self) -> NDArray:
        """Numbers (float64) or codes."""
        if self.kind == "factor" or self.raw.dtype == np.float64:
            return self.raw
        return self.raw.astype(np.float64)

    @cached_property
    def factor(self) -> Column:
        """The column as a factor: itself, or its different numbers in increasing order as levels."""
        if self.kind == "factor":
            return self
        from henderson.frame.factorize import factorize_numbers

        codes, levels = self.labels or factorize_numbers(self.raw)
        return Column(self.name, "factor", codes, levels)


@dataclass(frozen=True)
class Frame:
    """The columns a model needs, read once.

    Attributes
    ----------
    columns : by name.
    nrow : rows of the table.
    library : the library to give tables back in (see `give_back`).
    """

    columns: Mapping[str, Column]
    nrow: int
    library: str = "pandas"

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __contains__(self, name: Any) -> bool:
        return name in self.columns
