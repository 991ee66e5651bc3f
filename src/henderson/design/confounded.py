"""In words, why some of the variances of random terms cannot be told apart, and what to write instead.

`mixed.separable` says which; here the groupings say why: one row in each level, the same levels under another name, levels
that are fixed effects already, effects that have too few rows within a level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from henderson.design.cells import Layout
from henderson.design.combination import listed
from henderson.design.record import RandomBlock

if TYPE_CHECKING:
    from henderson.design.record import Design


def rows_by_level(block: RandomBlock) -> np.ndarray:
    """Rows of each level, (q,)."""
    return np.bincount(block.codes, minlength=block.q)


def determines(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether rows with equal codes `left` have equal codes `right`, (n,) both."""
    first = np.full(int(left.max()) + 1, -1, dtype=np.int64)
    first[left] = right
    return bool(np.all(first[left] == right))


def constant_effects(block: RandomBlock) -> list[str]:
    """Effects, other than a constant, that do not vary within any level."""
    if block.values is None:
        return []
    order = np.argsort(block.codes, kind="stable")
    start = np.flatnonzero(np.diff(block.codes[order], prepend=-1))
    values = block.values[order]
    spread = np.maximum.reduceat(values, start) - np.minimum.reduceat(values, start)
    return [
        effect
        for effect, within, all_over in zip(block.effects, spread.T, np.ptp(values, axis=0), strict=True)
        if all_over > 0 and within.max() <= 1e-12 * np.abs(values).max()
    ]


def why_confounded(
    design: Design, terms: tuple[int, ...], effects: tuple[tuple[str, ...], ...], residual: bool
) -> str:
    """One sentence for a direction in which nothing can be seen.

    Parameters
    ----------
    terms : numbers of the random terms whose covariances move, and `effects` those of each that do.
    residual : whether the residual variance moves too.
    """
    blocks = [design.blocks[k] for k in terms]
    if len(blocks) == 1:
        return _with_residual(design, blocks[0], effects[0]) if residual else _with_fixed(design, blocks[0])
    if len(blocks) == 2 and not residual:
        said = _same_levels(*blocks)
        if said:
            return said
    names = [block.text for block in blocks] + (["the residual"] if residual else [])
    return (
        f"the variances of {listed(names)} cannot be told apart: these rows show only combinations of them. "
        "Leave one of the terms out, or hold it with fixed_parameters=."
    )


def _with_residual(design: Design, block: RandomBlock, effects: tuple[str, ...]) -> str:
    group = block.group
    if block.q == design.n and block.m == 1:
        return (
            f"{block.text}: every row is a level of its own ({block.q} levels of {group}, {design.n} rows), so its variance"
            f" cannot be told from the residual variance. Leave the term out, or group by something that repeats."
        )
    most = int(rows_by_level(block).max())
    if block.m > 1 and most <= block.m:
        return (
            f"{block.text}: a level of {group} has at most {most} rows, too few for the {block.m * (block.m + 1) // 2}"
            f" variances and covariances of {listed(block.effects)} beside the residual variance. Write (1 | {group}),"
            f" or independent effects with ||, or give more rows a level."
        )
    return (
        f"{block.text}: the (co)variances of {listed(effects)} cannot be told from the residual variance: these rows show"
        " only combinations of them."
    )


def _with_fixed(design: Design, block: RandomBlock) -> str:
    layout = Layout(design)
    for term in sorted(range(len(layout.terms)), key=lambda t: len(layout.terms[t])):
        if layout.is_categorical(term) and determines(layout.cells(layout.terms[term]), block.codes):
            fixed = layout.shown(term)
            same = determines(block.codes, layout.cells(layout.terms[term]))
            if fixed == block.group:
                return f"{block.text}: {fixed} has fixed effects as well. Keep it fixed or random, not both."
            how = "are the levels of" if same else "are differences among the levels of"
            return (
                f"{block.text}: the levels of {block.group} {how} {fixed}, which has fixed effects: nothing is left to"
                f" estimate its variance from. Keep {fixed} fixed or {block.group} random, not both."
            )
    if block.m == 1:
        return (
            f"{block.text}: the fixed terms take up all differences among the levels of {block.group}: nothing is left to"
            " estimate its variance from."
        )
    still = constant_effects(block)
    why = (
        f" {listed(still)} does not vary within any level of {block.group}: write (1 | {block.group})."
        if still
        else ""
    )
    return (
        f"{block.text}: the variances and covariances of {listed(block.effects)} cannot be told apart: these rows show only"
        f" combinations of them.{why}"
    )


def _same_levels(one: RandomBlock, two: RandomBlock) -> str:
    """Two terms on one partition of the rows; "" where it is not one."""
    if not (determines(one.codes, two.codes) and determines(two.codes, one.codes)):
        return ""
    outer, inner = sorted((one, two), key=lambda block: len(block.factors))
    if set(outer.factors) < set(inner.factors):
        rest = ":".join(name for name in inner.factors if name not in outer.factors)
        how = f"every level of {outer.group} has one level of {rest}"
    else:
        at = np.unique(outer.codes, return_index=True)[1]
        pairs = [
            f"{outer.group} {outer.levels[outer.codes[i]]} is {inner.group} {inner.levels[inner.codes[i]]}"
            for i in at
        ]
        how = f"{outer.group} and {inner.group} divide the rows in the same way ({listed(pairs, 3)})"
    return f"the variances of {outer.text} and {inner.text} cannot be told apart: {how}. Keep one of the two."
