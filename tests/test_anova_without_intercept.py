"""Type III tests without an intercept: the first factor's means are 0, the others have no differences; no notes of lost degrees.

R 4.2.2, car 3.1.1: Anova(lm(f, warpbreaks), type = 3) with a = wool, b = tension, both contr.sum, x = 7 (1:54) mod 5.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import henderson as hd

CAR = [
    ("breaks~0+a+x", {"a": (2, 35.77127071), "x": (1, 0.6112384728)}),
    ("breaks~0+x+a", {"x": (1, 0.6112384728), "a": (2, 35.77127071)}),
    ("breaks~0+a*b", {"a": (2, 180.6162534), "b": (2, 8.498046648), "a:b": (2, 4.189068967)}),
    ("breaks~0+b+a", {"b": (3, 110.6999171), "a": (1, 3.339316)}),
    ("breaks~0+a*b*x", {
        "a": (2, 49.82460494), "b": (2, 5.475152423), "x": (1, 0.4858043974), "a:b": (2, 2.384392365),
        "a:x": (1, 0.5667574086), "b:x": (2, 0.9554023796), "a:b:x": (2, 0.4703254547)}),
    ("breaks~0+a:b", {"a:b": (6, 64.43445635)}),
    ("breaks~0+b*x", {"b": (3, 28.95867701), "x": (1, 0.9310638727), "b:x": (2, 0.4304412165)}),
    ("breaks~0+x", {"x": (1, 79.21665285)}),
]  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    where = Path(__file__).resolve().parent / "reference" / "emmeans" / "warpbreaks.json"
    data = json.loads(where.read_text())["data"]
    return pd.DataFrame(
        {
            "breaks": data["breaks"]["values"],
            "a": data["wool"]["values"],
            "b": pd.Categorical(data["tension"]["values"], data["tension"]["levels"]),
            "x": np.arange(1, 55) * 7 % 5.0,
        }
    )


@pytest.mark.parametrize("coding", [None, "Sum", "Helmert"])
@pytest.mark.parametrize(("formula", "theirs"), CAR)
def test_type_3_is_that_of_car_in_every_coding(rows, formula, theirs, coding):
    chosen = None if coding is None else {n: coding for n in "ab" if n in formula.split("~")[1]}
    table = hd.lm(formula, rows, contrasts=chosen).anova(type=3)
    assert "note" not in table
    table = table[table["term"] != "Residuals"]
    assert list(table["term"]) == list(theirs)
    assert list(table["df"]) == [df for df, _ in theirs.values()]
    np.testing.assert_allclose(table["statistic"], [f for _, f in theirs.values()], rtol=1e-8)


def test_empty_cells_note_only_what_is_lost(rows):
    """One cell of six without rows: of the interaction's two degrees of freedom one is left, of the others none is lost."""
    table = hd.lm("breaks ~ 0 + a * b", rows[~((rows["a"] == "A") & (rows["b"] == "M"))]).anova(type=3)
    assert list(table["df"])[:3] == [1, 2, 1]
    assert list(table["note"])[:3] == [
        "the hypothesis depends on which cells have rows",
        "the hypothesis depends on which cells have rows",
        "1 of 2 degrees of freedom cannot be estimated",
    ]
