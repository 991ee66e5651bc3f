"""`hd.check` in words."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from ..design.combination import listed

if TYPE_CHECKING:
    from ..models.check import Check, Grouping

WIDTH = 100


def check_text(check: Check) -> str:
    """The whole of what was found, for the eye; the verdict first."""
    lines = [f"check of {check.formula}", "", *_wrapped(_verdict(check), ""), ""]
    lines += [*_facts(check), ""]
    if check.problems:
        lines += ["Cannot be estimated", *(line for p in check.problems for line in _wrapped(p, "- ")), ""]
    if check.notes:
        lines += ["Worth a look", *(line for n in check.notes for line in _wrapped(n, "- ")), ""]
    return "\n".join(lines).rstrip() + "\n"


def _verdict(check: Check) -> str:
    lost = len(check.dropped)
    variances = len(check.problems) - len(check.null_space)
    if check.ok:
        every = "every coefficient and every variance" if check.groupings else "every coefficient"
        return f"can be fitted: {every} can be estimated."
    if not variances:
        have = (
            "columns of X have no coefficient of their own"
            if lost > 1
            else "column of X has no coefficient of its own"
        )
        return f"can be fitted, but {lost} {have}, so not everything can be estimated."
    if not lost:
        return "should not be fitted as it is: see below for what cannot be estimated, and what to write instead."
    return (
        f"should not be fitted as it is: {lost} of {len(check.names)} columns of X have no coefficient, and variances cannot be told apart: see below for what to"
        " write instead."
    )


def _facts(check: Check) -> list[str]:
    out = [
        f"rows     {check.nobs} used of {check.n_read}" + (f" ({check.rows_note})" if check.rows_note else "")
    ]
    p = len(check.names)
    out.append(
        f"X        {p} columns, rank {check.rank}"
        + (f", condition number {check.condition:.3g}" if p else "")
    )
    if p:
        values = check.eigenvalues
        shown = [f"{value:.3g}" if value > 1e-13 * values[0] else "0" for value in values]
        if len(shown) > 8:
            shown = [*shown[:3], "...", *shown[-3:]]
        out.append(f"         eigenvalues of X'X (columns of length 1): {', '.join(shown)}")
    if check.dropped:
        out += _wrapped(f"without a coefficient: {listed(check.dropped, 8)}", "         ")
    out += [
        f"factor   {name}: {_levels(list(count), list(count.values()))}"
        for name, count in check.levels.items()
    ]
    return out + [f"random   {_grouping(each)}" for each in check.groupings]


def _levels(names: list[str], counts: list[int]) -> str:
    if min(counts) == max(counts):
        return f"{len(names)} levels, {_rows(counts[0])} each"
    if len(names) <= 6:
        return (
            f"{len(names)} levels, rows: {', '.join(f'{n} {c}' for n, c in zip(names, counts, strict=True))}"
        )
    return f"{len(names)} levels, {min(counts)} to {max(counts)} rows each"


def _grouping(each: Grouping) -> str:
    low, high = int(each.rows.min()), int(each.rows.max())
    rows = (
        f"{_rows(low)} each"
        if low == high
        else f"{low} to {high} rows each (median {np.median(each.rows):g})"
    )
    return f"{each.text}: {each.levels} levels of {each.group}, {rows}"


def _rows(count: int) -> str:
    return f"{count} row{'s' if count != 1 else ''}"


def _wrapped(text: str, lead: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )
