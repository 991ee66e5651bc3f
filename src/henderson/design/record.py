"""The records that leave this room: arrays, and the one record of names that belongs to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from henderson.design.columns import ModelColumns
from henderson.formula import Formula
from henderson.frame import Label

if TYPE_CHECKING:
    from henderson.design.structured import StructuredTerm


class ProductLabels(Sequence[str]):
    """Labels "a:b" of the observed combinations of several factors, made when they are asked for.

    Parameters
    ----------
    parts : levels of each factor.
    combinations : (q, factors) codes into them.
    """

    def __init__(self, parts: Sequence[Sequence[Label]], combinations: NDArray[np.integer]):
        self.parts, self.combinations = parts, combinations

    def __len__(self) -> int:
        return len(self.combinations)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._all[index]

    @cached_property
    def _all(self) -> list[str]:
        columns = []
        for levels, codes in zip(self.parts, self.combinations.T, strict=True):
            texts = [str(level) for level in levels]
            columns.append([texts[code] for code in codes.tolist()])
        return [":".join(row) for row in zip(*columns, strict=True)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ProductLabels({len(self)} of {' x '.join(str(len(p)) for p in self.parts)})"


@dataclass(frozen=True, eq=False)
class RandomBlock:
    """One random term: which level each row belongs to, and the row's coefficients.

    Attributes
    ----------
    group : "Subject", "b:a" ...
    effects : names of the m effects within a level.
    levels : the q labels, in level order.
    codes : (n,) int32 into levels; -1 is a level the model never saw (new data only).
    values : (n, m) float64 C order, or None when the only effect is the constant 1.
    structure : "us", "diag", "id".
    text : the term, as the user wrote it.
    factors : grouping columns whose product the levels are.
    combinations : (q, factors) codes of each level into `parts` when there are several factors, else None.
    parts : levels of each factor.
    unknown : labels of levels in new data that the model never saw (None stands for a missing value).
    """

    group: str
    effects: tuple[str, ...]
    levels: Sequence[Label]
    codes: NDArray[np.int32]
    values: NDArray[np.float64] | None
    structure: str
    text: str
    factors: tuple[str, ...]
    parts: tuple[tuple[Label, ...], ...]
    combinations: NDArray[np.int32] | None = None
    unknown: tuple[Label | None, ...] = ()

    @property
    def q(self) -> int:
        """Number of levels."""
        return len(self.levels)

    @property
    def m(self) -> int:
        """Number of effects within a level."""
        return len(self.effects)


@dataclass(frozen=True, eq=False)
class Design:
    """y, X and the random blocks of one model on one table. n counts the rows used.

    Attributes
    ----------
    formula : what was asked for.
    y : (n,) float64, or None for new data without a response.
    columns : the columns of X, which is made when it is asked for.
    terms : names of the fixed terms ("(Intercept)" the intercept).
    blocks : the random terms.
    offset : (n,) or None: the sum of offset(...) terms and offset=.
    weights : (n,) precision weights, positive, or None.
    rows : row numbers used, in the caller's table, or None when all are.
    n_read : rows of the table; n_dropped of them had missing values; `dropped` says in which columns (""
        when none).
    response : the left side as text.
    library : for `frame.give_back`.
    structured : the random terms with their Z and structures, where they were asked for; `blocks` are theirs.
    """

    formula: Formula
    y: NDArray[np.float64] | None
    columns: ModelColumns
    terms: tuple[str, ...]
    blocks: tuple[RandomBlock, ...]
    offset: NDArray[np.float64] | None
    weights: NDArray[np.float64] | None
    rows: NDArray[np.intp] | None
    n_read: int
    n_dropped: int
    dropped: str
    response: str
    library: str
    make_spec: Callable[[], dict[str, Any]] = field(repr=False)
    structured: tuple[StructuredTerm, ...] | None = field(default=None, repr=False)

    @property
    def n(self) -> int:
        """Rows used."""
        return self.columns.nrow

    @property
    def p(self) -> int:
        """Columns of X."""
        return len(self.columns.names)

    @property
    def X(self) -> NDArray[np.float64]:
        """(n, p) float64 Fortran order, as written: not reduced to full rank."""
        return self.columns.whole

    @property
    def x_names(self) -> tuple[str, ...]:
        """Names of the p columns of X."""
        return self.columns.names

    @property
    def assign(self) -> NDArray[np.intp]:
        """(p,): the number of the term each column of X belongs to."""
        return self.columns.assign

    @cached_property
    def spec(self) -> dict[str, Any]:
        """What `rebuild` needs to make the same columns for new data (see `design.spec`); JSON holds it."""
        return self.make_spec()
