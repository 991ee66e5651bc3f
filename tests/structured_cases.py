"""One table of the mixed models with structured covariances that other programs have fitted: how henderson writes each one, the
dense twin of the same model, and where its parameters are found in both.

The numbers of the programs stand in tests/reference/structured/*.json (README.md there). Rows come from henderson.datasets, from
tests/reference/structured/, or from ../shared/reference/data, which is not shipped: `missing(name)` says so.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from typing import Any

import pandas as pd
import structured_asreml
import structured_breeding
import structured_nlme
import structured_sommer
import structured_twin as tw
from structured_parts import SHARED, WITNESSES, Case, Par, read

CASES: dict[str, Case] = {
    **structured_nlme.CASES,
    **structured_sommer.CASES,
    **structured_breeding.CASES,
    **structured_asreml.CASES,
}


def missing(name: str) -> str | None:
    """Why the rows of a case cannot be had, or None."""
    file = CASES[name].data
    if file.startswith("hd:") or (WITNESSES / file).exists() or (SHARED / "data" / file).exists():
        return None
    return f"{file} is read from ../shared/reference/data, which is not here"


@lru_cache(maxsize=4)
def frame(name: str) -> pd.DataFrame:
    """The rows of a case, prepared."""
    case = CASES[name]
    rows = read(case.data)
    return rows if case.prepare is None else case.prepare(rows)


@cache
def witness(name: str) -> dict[str, Any]:
    """The numbers of the programs."""
    return json.loads((WITNESSES / f"{name}.json").read_text())


def call(name: str) -> dict[str, Any]:
    """The arguments of the verb, without the data."""
    case = CASES[name]
    options: dict[str, Any] = {"formula": case.formula, "reml": case.reml}
    if case.residual:
        options["residual"] = case.residual
    if case.variance:
        options["variance"] = case.variance
    if case.fixed:
        options["fixed_parameters"] = dict(case.fixed)
    if case.relationships:
        options["relationships"] = dict(case.relationships())
    return options


@cache
def fit(name: str):
    """henderson's fit."""
    import henderson as hd

    options = call(name)
    if CASES[name].verb == "lm":
        options.pop("reml")
    return getattr(hd, CASES[name].verb)(options.pop("formula"), frame(name), **options)


def twin_of(name: str, par: Par, joint: bool = False) -> tw.Twin:
    """The dense twin at the given parameters."""
    case = CASES[name]
    assert case.dense is not None
    d = case.dense(frame(name), par)
    return tw.twin(d.y, d.x, d.terms, d.r, case.reml, joint)


def criterion_of(name: str, par: Par) -> float:
    """-2 log-likelihood by the dense twin."""
    case = CASES[name]
    assert case.dense is not None
    d = case.dense(frame(name), par)
    return tw.criterion(d.y, d.x, d.terms, d.r, case.reml)


def best(name: str) -> float | None:
    """The best log-likelihood that a program or the twin at its parameters reaches (lme4's constant); None without one."""
    return witness(name).get("loglik")
