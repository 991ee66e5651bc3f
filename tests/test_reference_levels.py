"""A reference level through contrasts=, `==` in combinations, and a slope that is constant within its groups.

R 4.2.2: coef(summary(lm(breaks ~ relevel(tension, "M"), warpbreaks))); car 3.1.1: linearHypothesis(the same, "L = 5").
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import henderson as hd


@pytest.fixture(scope="module")
def rows():
    where = Path(__file__).resolve().parent / "reference" / "emmeans" / "warpbreaks.json"
    data = json.loads(where.read_text())["data"]
    return pd.DataFrame(
        {
            n: pd.Categorical(c["values"], c["levels"]) if "levels" in c else c["values"]
            for n, c in data.items()
        }
    )


@pytest.mark.parametrize("given", [("treatment", "M"), ("Treatment", "M"), "Treatment(M)", "Treatment('M')"])
def test_reference_levels(rows, given):
    fit = hd.lm("breaks ~ tension", rows, contrasts={"tension": given})
    assert fit.columns.names == ("(Intercept)", "tension[T.L]", "tension[T.H]")
    np.testing.assert_allclose(fit.coefficients, [26.38888888889, 10.0, -4.72222222222], rtol=1e-11)
    np.testing.assert_allclose(
        fit.fixed_effects["std_error"], [2.80027923358, 3.96019287056, 3.96019287056], rtol=1e-11
    )


def test_a_reference_level_is_a_number_too(rows):
    data = rows.assign(dose=np.resize([0, 10, 40], 54))
    fit = hd.lm("breaks ~ C(dose)", data, contrasts={"dose": ("Treatment", 10)})
    assert fit.columns.names == ("(Intercept)", "C(dose)[T.0]", "C(dose)[T.40]")
    np.testing.assert_allclose(
        fit.coefficients, hd.lm("breaks ~ C(dose, Treatment(10))", data).coefficients, rtol=1e-14
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("Treatment", "Z"), "'tension' has no level 'Z'"),
        (("Sum", "M"), "only Treatment has a reference level"),
        ("Treatmnt(M)", "The closest is 'Treatment'"),
    ],
)
def test_refusals(rows, given, said):
    with pytest.raises(hd.DataError, match=said):
        hd.lm("breaks ~ tension", rows, contrasts={"tension": given})


def test_two_signs_of_equality_are_one(rows):
    fit = hd.lm("breaks ~ tension", rows, contrasts={"tension": "Treatment(M)"})
    one, two = fit.contrast("tension[T.L] == 5"), fit.contrast("tension[T.L] = 5")
    pd.testing.assert_frame_equal(one.drop(columns="contrast"), two.drop(columns="contrast"))
    assert one["statistic"][0] ** 2 == pytest.approx(1.5940697979533, rel=1e-9)
    with pytest.raises(hd.ModelError, match="more than one '='"):
        fit.contrast("tension[T.L] == 5 == 3")


def test_a_slope_constant_within_groups_is_not_taken_up_by_the_fixed_terms():
    """36 groups of two treatments: the variance of each treatment's groups is seen, two numbers for three (co)variances."""
    data = pd.DataFrame({"s": np.repeat(np.arange(36), 4), "tr": np.repeat(np.tile(["a", "b"], 18), 4)})
    said = str(hd.check("y ~ tr + (tr | s)", data.assign(y=np.sin(np.arange(144.0)))))
    text = " ".join(said.split())
    assert "variances and covariances of (Intercept) and tr[T.b] cannot be told apart" in text
    assert "tr[T.b] does not vary within any level of s: write (1 | s)." in text
    assert "take up" not in text
