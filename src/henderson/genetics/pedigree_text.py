"""A pedigree in words and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .pedigree import Pedigree


def _counts(pedigree: Pedigree) -> dict[str, int]:
    known = pedigree.parents >= 0
    sires, dams = (np.unique(p[p >= 0]).size for p in pedigree.parents.T)
    return {
        "founders": int((~known.any(axis=1)).sum()),
        "both": int(known.all(axis=1).sum()),
        "one": int((known.sum(axis=1) == 1).sum()),
        "sires": sires,
        "dams": dams,
    }


def _second(pedigree: Pedigree, n: int) -> str:
    word = "dam" if pedigree._ancestry.shares[1] == 0.5 else "maternal grandsire"
    return _plural(n, word)


def _plural(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def one_line(pedigree: Pedigree) -> str:
    """Pedigree(8 animals: 3 founders, 2 sires, 3 dams)."""
    n = _counts(pedigree)
    founders = _plural(n["founders"], "founder")
    if added := len(pedigree._read.added):
        founders += f" ({added:,} added)"
    parts = [founders, _plural(n["sires"], "sire"), _second(pedigree, n["dams"])]
    if pedigree.groups:
        parts.append(_plural(len(pedigree.groups), "genetic group"))
    if pedigree.copies:
        parts.append(_plural(len(pedigree.copies), "clone"))
    return f"Pedigree({_plural(len(pedigree), 'animal')}: {', '.join(parts)})"


def description(pedigree: Pedigree) -> str:
    """The counts, a line each."""
    n, f = _counts(pedigree), pedigree.inbreeding
    size = len(pedigree)
    lines = [f"Pedigree of {_plural(size, 'animal')}", ""]
    added = pedigree.added
    note = f"{len(added):,} of them parents without a row: {_some(added)}" if added else ""
    _line(lines, "founders", n["founders"], note)
    _line(lines, "one parent known", n["one"])
    _line(lines, "both parents known", n["both"])
    _line(lines, "sires", n["sires"])
    _line(lines, "dams" if pedigree._ancestry.shares[1] == 0.5 else "maternal grandsires", n["dams"])
    _line(lines, "generations", int(pedigree.generations.max()) + 1)
    if pedigree.groups:
        _line(lines, "genetic groups", len(pedigree.groups), _some(pedigree.groups))
    if pedigree.copies:
        _line(lines, "clones", len(pedigree.copies), "copies of a genotype; see `copies`")
    if pedigree.duplicates:
        _line(lines, "repeated rows", pedigree.duplicates, "alike in everything, used once")
    inbred = int((f > 0).sum())
    _line(lines, "inbred", inbred, f"{100 * inbred / size:.1f} %" if inbred else "")
    lines.append(
        f"  {'mean F':<22}{f.mean():>12.4f}" + (f"   ({f[f > 0].mean():.4f} of the inbred)" if inbred else "")
    )
    if inbred:
        top = int(f.argmax())
        same = int((f == f[top]).sum()) - 1
        lines.append(
            f"  {'greatest F':<22}{f[top]:>12.4f}   ('{pedigree.ids[top]}'"
            + (f" and {same:,} more)" if same else ")")
        )
    return "\n".join(lines)


def _line(lines: list[str], what: str, count: int, note: str = "") -> None:
    lines.append(f"  {what:<22}{count:>12,}" + (f"   ({note})" if note else ""))


def _some(labels: tuple[str, ...]) -> str:
    return ", ".join(f"'{label}'" for label in labels[:5]) + (" ..." if len(labels) > 5 else "")
