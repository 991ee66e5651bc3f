"""Which parameter a key of `fixed_parameters=`, `start=`, `tied=` or `bounds=` means: names as `variance_components` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ModelError, closest
from ..mixed.structured.blocks import Block
from .labels import Labels

RESIDUAL = "Residual"
_SHOWN = 12


@dataclass(frozen=True, eq=False)
class Row:
    """A row of `variance_components`: number `j` of a block."""

    group: str
    name: str
    block: Block
    j: int

    @property
    def key(self) -> str:
        """As a user writes it."""
        return RESIDUAL if self.group == self.name == RESIDUAL else f"{self.group}: {self.name}"


class Names:
    """The rows of a model, found by key.

    A key is a group, "vm(animal, A)"; a group and a parameter, "subject: rho"; or, where several terms have one group, the
    same with the term's text, "(0 + x | g)", in the group's place.
    """

    def __init__(self, blocks: list[Block], labels: Labels):
        self.texts = [t.text for t in labels.terms]
        self.groups = [t.group for t in labels.terms]
        self.effects = [t.effects for t in labels.terms]
        self.rows = [
            Row(RESIDUAL if b.term < 0 else self.groups[b.term], name, b, j)
            for b in blocks
            for j, name in enumerate(b.names)
        ]

    def of_term(self, k: int) -> list[Row]:
        """Rows of term k; -1 for the residual."""
        return [row for row in self.rows if row.block.term == k]

    def said(self, row: Row) -> str:
        """The key that means this row and no other."""
        same = [r for r in self.rows if (r.group, r.name) == (row.group, row.name)]
        return row.key if len(same) == 1 else f"{self.texts[row.block.term]}: {row.name}"

    def listed(self, rows: list[Row] | None = None) -> str:
        """Keys, for an error."""
        keys = [repr(self.said(row)) for row in (self.rows if rows is None else rows)]
        return ", ".join(keys[:_SHOWN]) + (f" ... ({len(keys)} in all)" if len(keys) > _SHOWN else "")

    def find(self, key: str, argument: str) -> int | Row:
        """A term (its number, -1 for the residual), or a row.

        Raises
        ------
        ModelError : no such key (the closest is named), or one that several answer to.
        """
        k = self._term(key, argument)
        if k is not None:
            return k
        for at in range(len(key)):
            if key.startswith(": ", at):
                k = self._term(key[:at], argument)
                if k is not None:
                    return self.row(k, key[at + 2 :], argument)
        known = [*self.groups, *self.texts, RESIDUAL, *(self.said(row) for row in self.rows)]
        near = closest(key, known)
        groups = ", ".join(map(repr, dict.fromkeys([*self.groups, RESIDUAL])))
        raise ModelError(
            f"{argument}: nothing in this model is called '{key}'. "
            + (f"The closest is '{near}'. " if near else "")
            + f"The groups are {groups}; the parameters {self.listed()}."
        )

    def _term(self, key: str, argument: str) -> int | None:
        if key == RESIDUAL:
            return -1
        if key in self.texts:
            return self.texts.index(key)
        found = [k for k, group in enumerate(self.groups) if group == key]
        if len(found) > 1:
            raise ModelError(
                f"{argument}: several terms have the group '{key}'; name the one meant by its text, one of "
                + ", ".join(repr(self.texts[k]) for k in found)
                + "."
            )
        return found[0] if found else None

    def row(self, k: int, name: str, argument: str) -> Row:
        """The parameter `name` of term k."""
        rows = self.of_term(k)
        found = [row for row in rows if row.name == name]
        where = RESIDUAL if k < 0 else self.texts[k]
        if len(found) > 1:
            raise ModelError(
                f"{argument}: {where} has two parameters called '{name}', one left and one right of the bar: give start= or "
                "fixed_parameters= the table variance_components, or write the structure otherwise."
            )
        if not found:
            near = closest(name, [row.name for row in rows])
            raise ModelError(
                f"{argument}: {where} has no parameter '{name}'. "
                + (f"The closest is '{near}'. " if near else "")
                + f"It has {', '.join(repr(row.name) for row in rows) or 'none'}."
            )
        return found[0]

    def only(self, key: str, argument: str) -> Row:
        """The row of a key; a group alone means its only parameter left of the bar."""
        found = self.find(key, argument)
        if isinstance(found, Row):
            return found
        rows = self.of_term(found)
        first = [row for row in rows if row.block.kind != "K" and row.name == RESIDUAL]
        first = first or [row for row in rows if row.block.kind != "K"] or rows
        if len(first) == 1:
            return first[0]
        if not rows:
            raise ModelError(f"{argument}: '{key}' has no parameters: it is known.")
        raise ModelError(f"{argument}: '{key}' has several parameters: name one of {self.listed(rows)}.")
