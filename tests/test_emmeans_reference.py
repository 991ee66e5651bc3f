"""Marginal means, contrasts, slopes and joint tests against R's emmeans, on the models of reference/emmeans (README.md there).

Least squares agree to about 1e-12. Numbers that rest on differences (emtrends, lmerTest's Satterthwaite) and on lme4's optimum,
polished by Newton steps, agree to the tolerance given with them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import henderson as hd

WITNESSES = Path(__file__).resolve().parent / "reference" / "emmeans"
RELATIVE = {"lm": 1e-9, "lmm": 5e-6}
SLOPES = 2e-6
"""emtrends is a one-sided difference over 1e-7 of the range: it is right to about 1e-6."""
ROUNDED = {"joint_tests": ("statistic", "df2")}
"""emmeans rounds F to 3 decimals."""


@cache
def witness(name: str) -> dict[str, Any]:
    return json.loads((WITNESSES / f"{name}.json").read_text())


@cache
def fit(name: str) -> Any:
    w = witness(name)
    columns = {}
    for column, record in w["data"].items():
        values = record["values"]
        columns[column] = pd.Categorical(values, record["levels"]) if "levels" in record else values
    options = {"weights": w["weights"]} if "weights" in w else {}
    return getattr(hd, w["kind"])(w["formula"], pd.DataFrame(columns), **options)


CALLS = [
    pytest.param(path.stem, i, id=f"{path.stem}-{i}-{call['verb']}")
    for path in sorted(WITNESSES.glob("*.json"))
    for i, call in enumerate(json.loads(path.read_text())["calls"])
]


def ours_of(name: str, call: dict[str, Any]) -> Any:
    out = getattr(fit(name), call["verb"])(**(call["arguments"] or {}))
    if call.get("then"):
        out = getattr(out, call["then"])(**(call["then_arguments"] or {}))
    return out


@pytest.mark.parametrize(("name", "number"), CALLS)
def test_every_number_of_emmeans(name, number):
    call = witness(name)["calls"][number]
    ours = ours_of(name, call)
    table = ours if isinstance(ours, pd.DataFrame) else ours.table
    skipped = call.get("skip") or []
    for column, expected in call["table"].items():
        if column in ([skipped] if isinstance(skipped, str) else skipped):
            continue
        if column not in table:
            assert column in ("statistic", "p_value"), column
            continue
        expected = expected if isinstance(expected, list) else [expected]
        if isinstance(expected[0], str) and column in ("term", "contrast"):
            assert list(table[column]) == expected
        elif isinstance(expected[0], str):
            assert [str(v) for v in table[column]] == expected
        else:
            check(table[column], expected, column, call["verb"], witness(name)["kind"])


def check(ours, expected, column, verb, kind):
    expected = np.array([np.nan if v is None else np.inf if v == "Inf" else v for v in expected], dtype=float)
    ours = np.asarray(ours, dtype=float)
    assert ours.shape == expected.shape
    if column in ROUNDED.get(verb, ()):
        np.testing.assert_allclose(ours, expected, atol=5.1e-4 if column == "statistic" else 5.1e-3, rtol=0)
        return
    relative = max(RELATIVE[kind], SLOPES if verb == "slopes" else 0.0)
    size = (
        np.nanmax(np.abs(expected)) if column in ("estimate", "conf_low", "conf_high", "statistic") else 0.0
    )
    np.testing.assert_allclose(ours, expected, rtol=relative, atol=relative * 1e-3 * size)
