"""Tests of terms and hypotheses on unbalanced data, with empty cells, with sandwiches and by Satterthwaite, against R
(reference/anova/make.R says by which programs and calls).

R prints 15 digits. Least squares is held to 1e-9; what hangs on an iterated optimum of nlme or lme4 to what those reach.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anova_cases import CASES, data, rows

import henderson as hd

LM = [pytest.param(case, id=f"{case['data']} {case['formula']}") for case in CASES["lm"]]
# car has no type III where columns have no coefficient
TYPED = [
    pytest.param(case, n, id=f"{case['data']} {case['formula']} {n}")
    for case in CASES["lm"]
    for n in (1, 2, 3)
    if str(n) in case
]
LMM = [pytest.param(case, id=f"{case['data']} {case['formula']}") for case in CASES["lmm"]]
GLS = [pytest.param(case, id=case["residual"]) for case in CASES["gls"]]
EMPTY = [pytest.param(case, id=case["formula"]) for case in CASES["empty3"] if case["data"] != "npk"]
_WRITTEN = {"factor(nitro)": "C(nitro)", "b:x": "x:b"}


def compare(table: pd.DataFrame, witness: dict, rtol: float, skip: tuple = ()) -> None:
    """Every number R prints, where we print it too."""
    ours = table.set_index("term")
    theirs = rows(witness)
    for term, numbers in theirs.items():
        for from_r, here in _WRITTEN.items():
            if term not in ours.index:
                term = term.replace(from_r, here)
        for name, value in numbers.items():
            if name in ours.columns and name not in skip:
                expected = np.nan if value is None else value
                np.testing.assert_allclose(
                    ours.loc[term, name], expected, rtol=rtol, err_msg=f"{term} {name}"
                )


@pytest.mark.parametrize(("case", "number"), TYPED)
def test_least_squares_equals_r_and_car(case, number):
    fit = hd.lm(case["formula"], data(case["data"]), weights=case["weights"] or None)
    table = fit.anova(number, intercept=number == 3)
    compare(table, case[str(number)], 1e-9)
    # R leaves a term without a coefficient out of type I; here it has its row
    missing = set(table["term"]) - set(case[str(number)]["term"])
    assert missing == ({"N:P:K"} if (case["data"], number) == ("npk", 1) else set())


@pytest.mark.parametrize("case", [c for c in LM if "HC3" in c.values[0]])
def test_sandwich_equals_car(case):
    fit = hd.lm(case["formula"], data(case["data"]), weights=case["weights"] or None, vcov="HC3")
    three = fit.anova(3, intercept=True)
    assert "sum_sq" not in three and "Residuals" not in list(three["term"])
    compare(three, {k: v[:-1] for k, v in case["HC3"]["3"].items()}, 1e-8)
    # car's type II takes its hypotheses from the sandwich where terms contain others; ours are those of the design
    if ":" not in "".join(case["2"]["term"]):
        compare(fit.anova(2), {k: v[:-1] for k, v in case["HC3"]["2"].items()}, 1e-8)


def test_type_two_with_a_sandwich_tests_what_it_tests_without():
    # balanced data: types II and III are the same hypotheses, whatever the covariance
    fit = hd.lm("breaks ~ wool * tension", data("warpbreaks"), vcov="HC3")
    np.testing.assert_allclose(fit.anova(2)["statistic"], fit.anova(3)["statistic"], rtol=1e-10)


@pytest.mark.parametrize("case", EMPTY)
def test_type_three_with_empty_cells_equals_lmertest(case):
    fit = hd.lm(case["formula"], data(case["data"]))
    # lmerTest rounds its hypotheses (zapsmall)
    compare(fit.anova(3), case["3"], 1e-5)


@pytest.mark.parametrize("contrasts", [{"a": "Sum", "b": "Helmert"}, {"b": "Diff", "c": "SAS"}])
@pytest.mark.parametrize("formula", ["y ~ a*b*c", "y ~ a*b + x*b", "y ~ c + a:b"])
def test_empty_cells_are_tested_alike_in_every_coding(formula, contrasts):
    named = {k: v for k, v in contrasts.items() if k in formula.split("~")[1]}
    plain, coded = hd.lm(formula, data("holes")), hd.lm(formula, data("holes"), contrasts=named)
    for number in (1, 2, 3):
        one, two = plain.anova(number), coded.anova(number)
        np.testing.assert_array_equal(one["df"], two["df"])
        np.testing.assert_allclose(one["statistic"], two["statistic"], rtol=1e-7)


def test_the_two_ways_to_type_three_agree_where_both_can_be_gone():
    from henderson.design.margins import margins
    from henderson.formula import parse
    from henderson.inference.anova import _by_estimable_functions, columns_of
    from henderson.inference.wald import wald

    for formula in ("y ~ a*b*c + x", "y ~ a*b + b*x + c", "y ~ poly(x, 2)*b + a"):
        fit = hd.lm(formula, data("three"))
        terms, columns = parse(fit.formula).terms, columns_of(fit)
        asked = _by_estimable_functions(fit, terms, columns, margins(columns))
        general = [wald(fit, each.rows).statistic for each in asked[1:]]
        np.testing.assert_allclose(general, fit.anova(3)["statistic"][:-1], rtol=1e-9)
        assert [len(each.rows) for each in asked] == [each.full for each in asked]


def test_what_a_term_lacks_is_said():
    table = hd.lm("yield ~ block + N*P*K", data("npk")).anova(2).set_index("term")
    assert table.loc["block", "df"] == 4
    assert table.loc["block", "note"] == "1 of 5 degrees of freedom cannot be estimated"
    assert table.loc["N:P:K", "note"] == "nothing of it can be told from the other terms"
    assert np.isnan(table.loc["N:P:K", "statistic"]) and table.loc["N", "note"] == ""
    holes = hd.lm("y ~ a*b", data("holes")).anova(3).set_index("term")
    assert holes.loc["a", "note"] == "the hypothesis depends on which cells have rows"
    assert "note" not in hd.lm("y ~ a*b", data("three")).anova(3)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("case", LMM)
def test_mixed_models_equal_lmertest(case, number):
    fit = hd.lmm(case["formula"], data(case["data"]))
    # (Machine | Worker) on part of the rows: lme4 stops 7e-6 from the optimum of the statistic
    compare(fit.anova(number), case[str(number)], 2e-5, skip=("sum_sq", "mean_sq", "p_value"))
    compare(fit.anova(number), case[str(number)], 1e-4, skip=("sum_sq", "mean_sq"))


def test_a_sandwich_that_has_no_root():
    # two clusterings may give a variance below 0 (Cameron, Gelbach & Miller 2011): then there is no standard error
    d = data("three").assign(g=np.resize(list("stuvw"), 44), h=np.resize(list("kkklmn"), 44))
    fit = hd.lm("y ~ a + x", d, vcov="cluster(g, h)")
    negative = np.linalg.eigvalsh(fit.vcov)[0]
    assert negative < 0
    L = np.eye(4)
    with np.errstate(invalid="ignore"):
        expected = np.sqrt(np.diag(fit.vcov))
    np.testing.assert_allclose(fit.contrast(L)["std_error"], expected, rtol=1e-10)


@pytest.mark.parametrize("case", GLS)
def test_generalised_least_squares_equals_nlme(case):
    fit = hd.gls(
        case["formula"],
        hd.datasets.load("Orthodont"),
        residual=case["residual"],
        variance=case.get("variance"),
    )
    for number in (1, 3):
        table = fit.anova(number, df="residual", intercept=True)
        compare(table, case[str(number)], 5e-6, skip=("p_value",))
        # p-values of 1e-83 hang on the last digits of F
        compare(table, case[str(number)], 1e-4)


def test_hypotheses_equal_linear_hypothesis_and_glht():
    h = CASES["hypotheses"]
    fit = hd.lm("conformity ~ status*fcategory", data("moore"))
    L, names = np.array(h["L"]), ["high at medium", "half"]
    one = fit.contrast(L, rhs=h["rhs"], names=names, level=0.9)
    for name in ("estimate", "std_error", "statistic", "p_value"):
        np.testing.assert_allclose(one[name], h[name], rtol=1e-9)
    np.testing.assert_allclose(one[["estimate", "conf_low", "conf_high"]], h["confint"], rtol=1e-9)
    assert list(one["null"]) == [1.0, 0.0] and list(one["contrast"]) == names
    for adjust in ("bonferroni", "holm"):
        adjusted = fit.contrast(L, rhs=h["rhs"], adjust=adjust)
        np.testing.assert_allclose(adjusted["p_value"], h[adjust], rtol=1e-9)
    text = [
        "status[T.high] + status[T.high]:fcategory[T.medium] = 1",
        "fcategory[T.medium] - 0.5*fcategory[T.high]",
    ]
    weights = {
        "high at medium": {"status[T.high]": 1, "status[T.high]:fcategory[T.medium]": 1},
        "half": {"fcategory[T.medium]": 1, "fcategory[T.high]": -0.5},
    }
    np.testing.assert_allclose(fit.contrast(text)["statistic"], h["statistic"], rtol=1e-9)
    np.testing.assert_allclose(fit.contrast(weights, rhs=[1, 0])["statistic"], h["statistic"], rtol=1e-9)
    for fitted, expected in ((fit, h["joint"]), (fit.with_vcov("HC3"), h["joint_hc3"])):
        row = fitted.test(text).iloc[0]
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-8)


def test_contests_of_a_mixed_model_equal_lmertest():
    c = CASES["contest"]
    fit = hd.lmm(c["formula"], data(c["data"]))
    se = np.array(c["each"]["std_error"])
    for name, values in c["each"].items():
        scale = se if name.startswith(("estimate", "conf")) else 0.0
        np.testing.assert_array_less(
            np.abs(fit.contrast(c["L"])[name] - values), 1e-5 * np.maximum(np.abs(values), scale)
        )
    row = fit.test(c["L"]).iloc[0]
    for name, value in c["joint"].items():
        assert row[name] == pytest.approx(value, rel=1e-5)


# -- laws ------------------------------------------------------------------------------------------------------


def test_ill_conditioned_powers_have_the_sums_of_squares_of_orthogonal_ones():
    rng = np.random.default_rng(0)
    x = np.arange(21.0)
    y = 1 + x - 0.1 * x**2 + rng.normal(size=21)
    powers = " + ".join(["x", *(f"I(x**{k})" for k in range(2, 9))])
    q, _ = np.linalg.qr(np.vander((x - 10) / 10, 9, increasing=True))
    table = hd.lm(f"y ~ {powers}", {"x": x, "y": y}).anova(1)
    np.testing.assert_allclose(table["sum_sq"][:8], (q.T @ y)[1:] ** 2, rtol=1e-9)


def test_units_change_nothing():
    d = data("three")
    for number in (1, 2, 3):
        one = hd.lm("y ~ a*x + b", d).anova(number)
        two = hd.lm("y ~ a*x + b", d.assign(y=1e6 * d["y"], x=1e-5 * d["x"])).anova(number)
        np.testing.assert_allclose(two["statistic"], one["statistic"], rtol=1e-9)
        np.testing.assert_allclose(two["sum_sq"], 1e12 * one["sum_sq"], rtol=1e-9)


def test_a_repeated_hypothesis_counts_once():
    fit = hd.lm("y ~ a + x", data("three"))
    one, two = fit.test(["a[T.q]", "x"]), fit.test(["a[T.q]", "x", "a[T.q] + 2*x", "3*x"])
    pd.testing.assert_frame_equal(one, two, rtol=1e-10)


def test_df_may_be_a_number():
    fit = hd.lm("y ~ a + x", data("three"))
    assert set(fit.anova(df=7)["den_df"][:2]) == {7.0}
    assert list(fit.contrast("x", df=7)["df"]) == [7.0] and list(fit.test("x", df="inf")["den_df"]) == [
        np.inf
    ]
    p = fit.test("x", df=1e9)["p_value"][0]
    assert fit.test("x", df="inf")["p_value"][0] == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize(
    "formula",
    ["y ~ a*b + x", "y ~ bs(x, df=5)*a", "y ~ 0 + a:b", "y ~ log(x + 5) + scale(x):b + C(c, Sum)*a"],
)
def test_a_loaded_fit_answers_the_same(formula, tmp_path):
    fit = hd.lm(formula, data("three"))
    fit.save(tmp_path / "fit.zip")
    again = hd.load(tmp_path / "fit.zip")
    for number in (1, 2, 3):
        pd.testing.assert_frame_equal(again.anova(number), fit.anova(number))


def test_no_residual_degrees_of_freedom_and_an_exact_fit():
    d = pd.DataFrame({"y": [1.0, 3.0, 2.0, 7.0], "a": list("uvuv"), "b": list("ppqq")})
    full = hd.lm("y ~ a*b", d).anova(1)
    assert full["sum_sq"][:3].sum() == pytest.approx(np.sum((d.y - d.y.mean()) ** 2), rel=1e-12)
    assert full["statistic"].isna().all() and full["df"][3] == 0


# -- refusals --------------------------------------------------------------------------------------------------


def test_too_few_clusters_for_a_joint_test():
    d = data("three").assign(g=np.resize(list("stu"), 44))
    fit = hd.lm("y ~ a*b", d, vcov="cluster(g)")
    with pytest.raises(hd.ModelError, match=r"singular along these 3.*clusters less one"):
        fit.test(["a[T.q]", "a[T.r]", "b[T.v]"])
    table = hd.lm("y ~ c*a", d, vcov="cluster(g)").anova(2).set_index("term")
    assert np.isnan(table.loc["c:a", "statistic"]) and "singular along these 4" in table.loc["c:a", "note"]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda f: f.anova("IV"), "type is 1, 2 or 3, not 'IV'"),
        (lambda f: f.anova(True), "type is 1, 2 or 3, not True"),
        (lambda f: f.anova(2, intercept=True), "every term contains the intercept"),
        (lambda f: f.anova(df="satterthwait"), "The closest is 'satterthwaite'"),
        (lambda f: f.anova(df=-3), "or a positive number, not -3"),
        (lambda f: f.contrast("x", df="residul"), "The closest is 'residual'"),
        (lambda f: f.contrast("x", adjust="bonferoni"), "The closest is 'bonferroni'"),
        (lambda f: f.contrast("x = 2", rhs=1), "in the texts already"),
        (lambda f: f.contrast(["x", "a[T.q]"], rhs=[1, 2, 3]), "one finite number, or 2"),
        (lambda f: f.contrast(["x", "a[T.q]"], rhs="one"), "one finite number, or 2"),
        (lambda f: f.test(["x = 1", "2*x = 3"]), "contradict each other"),
        (lambda f: f.test(np.zeros((1, 5)), rhs=1), "a hypothesis says that 0"),
        (lambda f: f.test("b"), "no coefficient is called 'b'"),
    ],
)
def test_refused_by_name(ask, said):
    fit = hd.lm("y ~ a + b + x", data("three"))
    with pytest.raises(hd.ModelError, match=said):
        ask(fit)
