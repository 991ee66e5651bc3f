"""Codings of factors: those with a name against R's contr.* (4.2.2) for four levels, and the user's own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson as hd

R = {
    "Treatment": [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "SAS": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]],
    "Sum": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1]],
    "Helmert": [[-1, -1, -1], [1, -1, -1], [0, 2, -1], [0, 0, 3]],
    "Poly": [
        [-0.670820393249937, 0.5, -0.223606797749979],
        [-0.223606797749979, -0.5, 0.670820393249937],
        [0.223606797749979, -0.5, -0.670820393249937],
        [0.670820393249937, 0.5, 0.223606797749979],
    ],
    "Diff": [[-0.75, -0.5, -0.25], [0.25, -0.5, -0.25], [0.25, 0.5, -0.25], [0.25, 0.5, 0.75]],
}
"""contr.treatment(4), contr.SAS(4), contr.sum(4), contr.helmert(4), contr.poly(4), MASS::contr.sdif(4)."""


@pytest.fixture
def nine():
    return pd.DataFrame(
        {
            "y": [3.1, 4.2, 5.9, 2.2, 6.1, 7.3, 4.4, 5.5, 8.1],
            "f": list("abcabcabc"),
            "x": [1.0, 2, 4, 3, 5, 1, 2, 2, 6],
        }
    )


@pytest.mark.parametrize("name", R)
def test_named_contrasts_are_r_s(name):
    d = pd.DataFrame({"y": np.arange(8.0) ** 1.3, "f": list("abcdabcd")})
    for fit in (hd.lm("y ~ f", d, contrasts={"f": name}), hd.lm(f"y ~ C(f, {name})", d)):
        np.testing.assert_allclose(fit.design.X[:4, 1:], R[name], atol=1e-14)


MATRIX = [[-1.0, 1.0], [0.0, -3.0], [2.0, 1.0]]
COEF = [
    4.744517543859650, 0.853801169590643, 0.242616959064328, -0.093201754385965, 0.186842105263158, -0.169956140350877,
]  # fmt: skip
PREDICTED = 6.97105263157895
"""R: the coefficients, and predict(m, data.frame(f = "c", x = 2.5)), of the model of the test below."""
OWN = {
    "names": {"lin": {"a": -1, "c": 2}, "odd": {"a": 1, "b": -3, "c": 1}},
    "table": pd.DataFrame(MATRIX, columns=["lin", "odd"]),
}


@pytest.mark.parametrize("given", OWN)
def test_own_contrasts_are_r_s_contrasts(nine, given, tmp_path):
    # contrasts(d$f) <- cbind(lin = c(-1, 0, 2), odd = c(1, -3, 1)); lm(y ~ f*x, d)
    fit = hd.lm("y ~ f*x", nine, contrasts={"f": OWN[given]})
    assert list(fit.labels.fixed) == [
        "(Intercept)",
        "f[C.lin]",
        "f[C.odd]",
        "x",
        "f[C.lin]:x",
        "f[C.odd]:x",
    ]
    np.testing.assert_allclose(fit.coefficients, COEF, rtol=1e-12)
    new = {"f": ["c"], "x": [2.5]}
    assert fit.predict(new)[0] == pytest.approx(PREDICTED, rel=1e-12)
    fit.save(tmp_path / "fit.zip")
    again = hd.load(tmp_path / "fit.zip")
    assert again.predict(new)[0] == fit.predict(new)[0]
    plain = hd.lm("y ~ f*x", nine)
    for number in (1, 2, 3):
        np.testing.assert_allclose(
            again.anova(number)["statistic"][:3], plain.anova(number)["statistic"][:3], rtol=1e-9
        )
    assert fit.contrast("f[C.lin] - `f[C.odd]`")["estimate"][0] == pytest.approx(COEF[1] - COEF[2], rel=1e-12)


def test_a_matrix_without_names_numbers_them_and_serves_mixed_models(nine):
    assert list(hd.lm("y ~ f", nine, contrasts={"f": MATRIX}).labels.fixed[1:]) == ["f[C.1]", "f[C.2]"]
    sleep = hd.datasets.load("sleepstudy").assign(day=lambda d: d["Days"] % 3)
    own = np.array([[-1.0, -1.0], [1.0, -1.0], [0.0, 2.0]])
    one = hd.lmm("Reaction ~ C(day) + (1 | Subject)", sleep, contrasts={"day": own})
    two = hd.lmm("Reaction ~ C(day) + (1 | Subject)", sleep, contrasts={"day": "Helmert"})
    np.testing.assert_allclose(one.coefficients, two.coefficients, rtol=1e-9)
    named = {"b": {1: 1, 0: -1}, "c": {0.0: -1, 1.0: -1, 2.0: 2}}
    three = hd.lmm("Reaction ~ C(day) + (1 | Subject)", sleep, contrasts={"day": named})
    np.testing.assert_array_equal(three.coefficients, one.coefficients)


def test_rows_are_those_of_the_levels_used(nine):
    d = nine.assign(f=pd.Categorical(nine["f"], ["z", "c", "b", "a"]))
    fit = hd.lm("y ~ f", d, contrasts={"f": [[2.0, 1], [0, -3], [-1, 1]]})
    expected = hd.lm("y ~ f", nine, contrasts={"f": MATRIX})
    np.testing.assert_allclose(fit.coefficients, expected.coefficients, rtol=1e-12)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"p": {"a": 1, "bb": -1}, "q": {"c": 1}}, "has no level 'bb' in the rows used.\nThe closest is 'b'"),
        ({"p": {"a": 1, "zzz": -1}, "q": {"c": 1}}, "Its levels are a, b, c"),
        ({"p": {"a": 1, "b": "one"}, "q": {"c": 1}}, "the weight of 'b' is a number, not 'one'"),
        ({"p": [1, 0, -1], "q": {"c": 1}}, "'p' of 'f' is a mapping of levels to weights"),
        (
            {"p": {"a": 1, "b": -1}},
            r"has 3 levels in the rows used \(a, b, c\), so 2 contrasts.*given 1 contrasts",
        ),
        ({"p": {"a": 1, "b": -1}, "q": {"a": -2, "b": 2}}, r"\(p, q\) do not tell.*rank 3, and have 2"),
        ({"p": {"a": 1, "b": 1, "c": 1}, "q": {"a": -2, "b": 2}}, "do not tell all its levels apart"),
        (np.ones((2, 2)), r"a matrix of shape \(2, 2\)"),
        ([[1, np.nan], [0, 1], [1, 1]], "finite numbers"),
        (pd.DataFrame(MATRIX, columns=["p", "p"]), "the same name"),
        (object(), "a matrix of numbers"),
        ({}, "given 0 contrasts"),
        ("Helmet", "The closest is 'Helmert'"),
    ],
)
def test_refused_by_name(nine, own, said):
    with pytest.raises(hd.DataError, match="(?s)" + said):
        hd.lm("y ~ f", nine, contrasts={"f": own})
