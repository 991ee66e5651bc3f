"""Numbers for parameters as the user gives them, a mapping or a table like `variance_components`, by block; and the coordinates they fix.

What cannot be held by itself (a covariance of an unstructured matrix, a correlation of toep) is refused with the numbers that would
have to come with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError
from ..mixed.structured.blocks import Block, Factor, Rows, Undetermined
from .covariance_input import covariance_matrix
from .parameter_names import RESIDUAL, Names, Row
from .words import is_table, table_rows

_PLAIN = ("id", "diag", "us")
"""Structures whose matrix may be given by one variance or a list of them."""
_SAME = 1e-8


class Given:
    """Numbers by block, from a mapping or a table."""

    def __init__(self, argument: str, names: Names, given: Any, nearest: bool = False):
        self.argument, self.names, self.nearest = argument, names, nearest
        self.values: dict[Block, dict[int, float]] = {}
        if given is None:
            return
        if is_table(given):
            self._read_table(given)
            return
        if not isinstance(given, Mapping):
            raise ModelError(
                f'{argument} is a mapping such as {{"Subject": 600.0, "Residual": 650.0}}, or a table like variance_components, '
                f"not {given!r}."
            )
        for key, value in given.items():
            found = names.find(str(key), argument)
            if isinstance(found, Row):
                self._put(found, value, str(key))
            elif found < 0:
                self._residual(value)
            else:
                self._term(found, value, str(key))

    def row(self, block: Block, j: int) -> Row:
        return next(row for row in self.names.rows if row.block is block and row.j == j)

    def _put(self, row: Row, value: Any, key: str) -> None:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not np.isfinite(number):
            raise ModelError(f"{self.argument}: '{key}' is a number, not {value!r}.")
        if (
            row.block.kind == "R"
            and row.block.units[row.j] == 2
            and not row.name.startswith("cov(")
            and not number > 0
        ):
            raise ModelError(
                f"{self.argument}: '{key}' is a residual variance: one positive number, not {value!r}."
            )
        values = self.values.setdefault(row.block, {})
        if row.j in values:
            raise ModelError(f"{self.argument}: '{self.names.said(row)}' is given twice.")
        values[row.j] = number

    def _read_table(self, given: Any) -> None:
        seen: dict[tuple[str, str], int] = {}
        for group, name, value in table_rows(given, self.argument):
            same = [r for r in self.names.rows if (r.group, r.name) == (group, name)]
            turn = seen.get((group, name), 0)
            seen[group, name] = turn + 1
            if turn < len(same):
                self._put(same[turn], value, same[turn].key)
                continue
            if same:
                raise ModelError(
                    f"{self.argument}: the table has '{group}: {name}' {turn + 1} times, this model {len(same)}."
                )
            if group == RESIDUAL and name == RESIDUAL and _known_scale(self.names):
                continue
            self.names.find(group if group == name else f"{group}: {name}", self.argument)
            raise ModelError(f"{self.argument}: this model has no parameter '{name}' in {group}.")

    def _named(self, k: int, value: Mapping[str, Any]) -> None:
        for name, number in value.items():
            row = self.names.row(k, str(name), self.argument)
            self._put(row, number, self.names.said(row))

    def _residual(self, value: Any) -> None:
        if isinstance(value, Mapping):
            self._named(-1, value)
            return
        rows = self.names.of_term(-1)
        if not rows:
            raise ModelError(
                f"{self.argument}: the residual's covariance is known, with its size: there is nothing to give."
            )
        own = [row for row in rows if row.name == RESIDUAL]
        if own and np.ndim(value) == 0:
            self._put(own[0], value, RESIDUAL)
            return
        if not own and np.ndim(value) == 2:
            self._matrix_of_rows(rows, value)
            return
        what = (
            "one positive number"
            if own
            else f"{{name: number}} with names among {', '.join(repr(r.name) for r in rows)}"
        )
        raise ModelError(f"{self.argument}: 'Residual' is {what}, not {value!r}.")

    def _matrix_of_rows(self, rows: list[Row], value: Any) -> None:
        """A covariance matrix of positions or traits, by the names of its entries."""
        by_name = {row.name: row for row in rows}
        effects = tuple(
            row.name for row in rows if f"cov({rows[0].name}, {row.name})" in by_name or row is rows[0]
        )
        m = len(effects)
        if len(rows) != m * (m + 1) // 2:
            raise ModelError(
                f"{self.argument}: 'Residual' is {{name: number}} with names among {', '.join(repr(r.name) for r in rows)}."
            )
        matrix = covariance_matrix(value, RESIDUAL, effects, self.argument)
        for i, effect in enumerate(effects):
            self._put(by_name[effect], matrix[i, i], effect)
            for j in range(i):
                name = f"cov({effects[j]}, {effect})"
                self._put(by_name[name], matrix[i, j], name)

    def _term(self, k: int, value: Any, key: str) -> None:
        if isinstance(value, Mapping):
            self._named(k, value)
            return
        rows = self.names.of_term(k)
        first = [row for row in rows if row.block.kind == "T"]
        block = first[0].block if first else None
        if not isinstance(block, Factor) or block.structure is None:
            raise ModelError(
                f"{self.argument}: '{key}' has no variance: its parameters are {self.names.listed(rows) or 'none'}."
            )
        effects, structure = self.names.effects[k], block.structure
        if len(first) == 1 and np.size(value) == 1 and first[0].block.units[0] == 2:
            self._put(first[0], np.ravel(value)[0] if np.ndim(value) else value, key)
            return
        if structure.name not in _PLAIN and np.ndim(value) < 2:
            raise ModelError(
                f"{self.argument}: '{key}' ({structure.name}) has several parameters: give {{name: number}} with names among "
                f"{', '.join(repr(row.name) for row in first)}, or a {len(effects)} x {len(effects)} covariance matrix."
            )
        sigma = covariance_matrix(value, key, effects, self.argument)
        if structure.name == "diag" and not np.array_equal(sigma, np.diag(np.diag(sigma))):
            raise ModelError(
                f"{self.argument}: the effects of '{key}' are independent of one another (diag): its covariances are 0. Give variances only."
            )
        natural = block.of_matrix(sigma)
        if not self.nearest:
            off = np.abs(block.matrix(natural) - sigma).max()
            if off > _SAME * np.abs(sigma).max(initial=1e-300):
                raise ModelError(
                    f"{self.argument}: '{key}' is of structure {structure.name}, which does not hold this matrix (the nearest one differs "
                    f"by {off:.3g}): give its parameters by name, {', '.join(repr(row.name) for row in first)}."
                )
        for row in first:
            self._put(row, natural[row.j], self.names.said(row))


def solve(block: Block, values: Mapping[int, float], given: Given) -> dict[int, float]:
    """Coordinates of a block (by number within it) that the numbers given for it fix. Raises ModelError, in the user's names."""
    said = ", ".join(repr(given.names.said(given.row(block, j))) for j in values)
    try:
        found = block.solve(values)
    except Undetermined as missing:
        others = given.names.listed([given.row(block, j) for j in missing.others])
        whole = ""
        if isinstance(block, Factor) and block.structure is not None and block.structure.name == "us":
            whole = f"Give the whole matrix, {{{given.names.texts[block.term]!r}: [[...]]}}, or "
        raise ModelError(
            f"{given.argument}: {said} cannot be held without others, with which it shares parameters. "
            + (f"{whole}give {others} too." if whole else f"Give {others} too.")
        ) from None
    except ModelError as error:
        raise ModelError(f"{given.argument}: {said}: {error}") from None
    if not np.isfinite(list(found.values())).all():
        raise ModelError(
            f"{given.argument}: {said}: at this value the parameter has no finite coordinate; stay inside its range."
        )
    return found


def _known_scale(names: Names) -> bool:
    rows = next(row.block for row in names.rows if row.block.kind == "R") if names.of_term(-1) else None
    return rows is None or (isinstance(rows, Rows) and rows.size_known is not None)
