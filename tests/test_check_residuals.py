"""`hd.check` of residual= and variance=: what hd.gls refuses or cannot estimate are problems in words, not errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson as hd


def _table(groups=4, visits=5):
    rng = np.random.default_rng(8)
    n = groups * visits
    return pd.DataFrame(
        {
            "y": rng.standard_normal(n),
            "x": rng.standard_normal(n),
            "g": np.repeat(np.arange(groups), visits),
            "v": np.tile(np.arange(visits), groups),
            "same": 2.0,
            "one": "a",
            "lone": ["z"] + ["a"] * (n - 1),
        }
    )


@pytest.mark.parametrize(
    "options, said",
    [
        ({"variance": "power(same)"}, "the covariate of power(same) is the same in every row"),
        ({"variance": "exp(same)"}, "the covariate of exp(same) is the same in every row"),
        ({"variance": "const_power(same)"}, "the covariate of const_power(same) is the same in every row"),
        ({"variance": "ident(one)"}, "ident(one) has one level only (a)"),
        ({"residual": "us(0 + v | g)"}, "has 15 parameters, and 4 groups cannot carry them"),
        ({"residual": "ar1(0 + v | x)"}, "every x has one row"),
        ({"residual": "cs(1 | x)"}, "every x has one row"),
    ],
)
def test_what_gls_refuses_is_a_problem(options, said):
    table = _table()
    found = hd.check("y ~ x", table, **options)
    assert not found.ok
    assert any(said in problem for problem in found.problems)
    assert said in " ".join(str(found).split())
    with pytest.raises(hd.ModelError) as refused:
        hd.gls("y ~ x", table, **options)
    assert str(refused.value) in found.problems


def test_a_level_of_one_row_has_no_variance():
    found = hd.check("y ~ x", _table(), variance="ident(lone)")
    assert found.problems == (
        "variance: ident(lone): z has one row, row 0 (the first row is 0): the variance of a level cannot be estimated from one "
        "residual. Join it to another level.",
    )


def test_several_findings_come_together():
    found = hd.check("y ~ x", _table(), residual="us(0 + v | g)", variance="power(same) * ident(lone)")
    assert len(found.problems) == 3


def test_more_parameters_than_degrees_of_freedom():
    table = _table(groups=5, visits=5).iloc[:8]
    found = hd.check("y ~ x", table, residual="arma(0 + v | g, p=3, q=3)")
    assert any("leave 6 degrees of freedom, which cannot carry 7 parameters" in p for p in found.problems)
    with pytest.raises(hd.ModelError, match="cannot carry 7 parameters"):
        hd.gls("y ~ x", table, residual="arma(0 + v | g, p=3, q=3)")


def test_few_groups_for_an_unstructured_covariance_are_worth_a_look():
    few = hd.check("y ~ x", _table(groups=8), residual="us(0 + v | g)")
    assert few.ok and any("15 parameters" in note and "8 groups" in note for note in few.notes)
    many = hd.check("y ~ x", _table(groups=40), residual="us(0 + v | g)")
    assert many.ok and not any("groups" in note for note in many.notes)


def test_what_is_wrong_with_the_table_is_an_error_still():
    table = _table()
    with pytest.raises(hd.DataError, match="occurs twice"):
        hd.check("y ~ x", table.assign(v=1.0), residual="ar1(0 + v | g)")
