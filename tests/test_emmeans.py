"""Laws of marginal means, what is not estimable, scales of the response, loaded fits, and what is refused.

R's numbers are in test_emmeans_reference.py and test_multiplicity.py; the tables of issue's cases whose p-values R's ptukey makes
(right to about 1e-6) are here.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import henderson as hd
from henderson.inference.asked import read_specs
from henderson.inference.back_transform import back_transform
from henderson.inference.contrast_sets import NAMES, contrast_set
from henderson.inference.multivariate_t import correlated

WITNESSES = Path(__file__).resolve().parent / "reference" / "emmeans"


def table(name):
    data = json.loads((WITNESSES / f"{name}.json").read_text())["data"]
    return pd.DataFrame(
        {
            c: pd.Categorical(r["values"], r["levels"]) if "levels" in r else r["values"]
            for c, r in data.items()
        }
    )


@pytest.fixture(scope="module")
def warpfit():
    return hd.lm("breaks ~ wool * tension", table("warpbreaks"))


@pytest.fixture(scope="module")
def cars():
    return hd.lm("mpg ~ cyl * am + vs + factor(gear) + log(hp) + poly(wt, 2)", table("mtcars"))


@pytest.fixture(scope="module")
def empty():
    return hd.lm("y ~ A * B", table("empty_cells"))


def values(result, column="estimate"):
    return np.asarray(result.columns[column], dtype=float)


# -- laws ----------------------------------------------------------------------------------------------------


def test_means_of_a_balanced_one_way_layout_are_the_raw_means():
    data = table("warpbreaks")
    fit = hd.lm("breaks ~ tension", data)
    raw = data.groupby("tension", observed=True)["breaks"].mean()
    means = fit.emmeans("tension")
    np.testing.assert_allclose(values(means), raw.to_numpy(), rtol=1e-12)
    np.testing.assert_allclose(values(means, "std_error"), fit.sigma / np.sqrt(18), rtol=1e-12)
    assert list(means.table["tension"]) == ["L", "M", "H"]


def test_cell_weights_give_back_the_raw_means_of_unbalanced_data():
    data = table("mtcars")
    fit = hd.lm("mpg ~ cyl * am", data)
    raw = data.groupby("cyl", observed=True)["mpg"].mean()
    np.testing.assert_allclose(values(fit.emmeans("cyl", weights="cells")), raw.to_numpy(), rtol=1e-12)
    np.testing.assert_allclose(values(fit.emmeans("", weights="cells")), data["mpg"].mean(), rtol=1e-12)


@pytest.mark.parametrize("coding", ["Sum", "Helmert", "Poly", "SAS", "Diff"])
def test_the_coding_of_factors_does_not_matter(coding, warpfit):
    other = hd.lm(
        "breaks ~ wool * tension", table("warpbreaks"), contrasts={"wool": coding, "tension": coding}
    )
    ours, theirs = (f.pairs("tension | wool", adjust="mvt") for f in (warpfit, other))
    for column in ("estimate", "std_error", "p_value", "conf_low"):
        np.testing.assert_allclose(values(ours, column), values(theirs, column), rtol=1e-9)
    same = hd.lm("breaks ~ 0 + wool:tension", table("warpbreaks"))
    np.testing.assert_allclose(
        values(same.emmeans("wool * tension")), values(warpfit.emmeans("wool * tension"))
    )


def test_scale_and_order_of_rows_do_not_matter():
    data = table("mtcars")
    formula = "mpg ~ cyl + am + log(hp) + wt"
    first = hd.lm(formula, data).pairs("cyl", adjust="mvt")
    other = data.sample(frac=1, random_state=1).assign(
        mpg=lambda d: 3.0 * d["mpg"], wt=lambda d: d["wt"] / 7.0
    )
    second = hd.lm(formula, other).pairs("cyl", adjust="mvt")
    np.testing.assert_allclose(3.0 * values(first), values(second), rtol=1e-10)
    np.testing.assert_allclose(values(first, "p_value"), values(second, "p_value"), rtol=1e-8)


def test_a_mean_is_what_predict_says_of_its_cell(cars):
    at = {"cyl": "6", "am": "auto", "vs": 1, "gear": 4, "hp": 120, "wt": 3.1}
    mean = cars.emmeans("", at=at)
    new = pd.DataFrame({name: [value] for name, value in at.items()})
    made = cars.predict(new, interval="confidence")
    for ours, theirs in (("estimate", "estimate"), ("conf_low", "conf_low"), ("conf_high", "conf_high")):
        np.testing.assert_allclose(values(mean, ours), np.asarray(made[theirs], dtype=float), rtol=1e-11)


def test_means_are_averages_of_their_linear_functions(cars):
    cells = cars.emmeans("cyl * am * vs * gear")
    averaged = cars.emmeans("cyl")
    rows = cells.linear_functions.reshape(-1, 3, cells.linear_functions.shape[1])
    np.testing.assert_allclose(averaged.linear_functions, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(np.diag(averaged.covariance) ** 0.5, values(averaged, "std_error"), rtol=1e-12)


def test_contrasts_of_contrasts(warpfit):
    by_wool = warpfit.pairs("tension | wool", adjust="none")
    between = by_wool.contrast("pairwise", by="contrast", adjust="none")
    crossed = warpfit.emmeans("wool * tension").contrast("pairwise", interaction=True)
    assert list(crossed.table["contrast"]) == ["A - B : L - M", "A - B : L - H", "A - B : M - H"]
    np.testing.assert_allclose(values(between), values(crossed), rtol=1e-12)
    np.testing.assert_allclose(values(between, "p_value"), values(crossed, "p_value"), rtol=1e-12)


def test_joint_tests_are_type_three_tests(warpfit):
    # car 3.1.1, Anova(lm(breaks ~ wool * tension, contrasts = contr.sum), type = 3).
    tests = warpfit.joint_tests()
    assert list(tests["term"]) == ["wool", "tension", "wool:tension"]
    np.testing.assert_allclose(
        tests["statistic"], [3.76528836111864, 8.49804665, 4.18906896685105], rtol=1e-8
    )
    np.testing.assert_allclose(
        tests["p_value"], [0.0582129759595597, 0.000692620936713437, 0.021044190727863], rtol=1e-9
    )
    again = warpfit.emmeans("wool * tension").joint_tests()
    np.testing.assert_allclose(again["p_value"], tests["p_value"], rtol=1e-9)
    simple = warpfit.joint_tests(by="wool")
    within = warpfit.emmeans("tension | wool").joint_tests()
    np.testing.assert_allclose(simple["statistic"], within["statistic"], rtol=1e-9)
    assert list(simple["wool"]) == ["A", "B"]


def test_joint_test_of_one_difference_is_its_t_squared(warpfit):
    pair = warpfit.pairs("wool")
    test = warpfit.joint_tests()
    np.testing.assert_allclose(values(pair, "statistic")[0] ** 2, test["statistic"][0], rtol=1e-11)
    np.testing.assert_allclose(values(pair, "p_value")[0], test["p_value"][0], rtol=1e-11)


# -- R's tables ----------------------------------------------------------------------------------------------


def test_tukey_of_warpbreaks(warpfit):
    # emmeans 1.8.4.1, pairs(emmeans(f, ~ tension | wool)); R 4.2.2's ptukey.
    pairs = warpfit.pairs("tension | wool")
    expected = [0.000657274459209933, 0.000918548490392412, 0.993623772207969, 0.993623772207969, 0.170351791505625,
                0.138857025416897]  # fmt: skip
    np.testing.assert_allclose(values(pairs, "p_value"), expected, rtol=1e-6)


def test_tukey_hsd_of_warpbreaks():
    # R 4.2.2, TukeyHSD(aov(breaks ~ wool + tension), "tension"); qtukey is right to about 1e-5.
    pairs = hd.lm("breaks ~ wool + tension", table("warpbreaks")).pairs("tension", reverse=True)
    assert list(pairs.table["contrast"]) == ["M - L", "H - L", "H - M"]
    np.testing.assert_allclose(values(pairs), [-10, -14.7222222222222, -4.72222222222222], rtol=1e-12)
    low, high = [-19.3534207268435, -24.0756429490658, -14.0756429490658], [-0.646579273156465, -5.36880149537868, 4.63119850462132]  # fmt: skip
    np.testing.assert_allclose(values(pairs, "conf_low"), low, rtol=1e-6)
    np.testing.assert_allclose(values(pairs, "conf_high"), high, rtol=1e-5)
    np.testing.assert_allclose(
        values(pairs, "p_value"), [0.0336262189113791, 0.00112178771703253, 0.447421021431458], rtol=1e-6
    )


def test_tukey_and_dunnett_of_pigs():
    # emmeans 1.8.4.1, pairs(emmeans(lm(log(conc) ~ source + factor(percent), pigs), ~ source)).
    fit = hd.lm("log(conc) ~ source + percent", table("pigs"))
    pairs = fit.pairs("source")
    expected = [9.17022680728685e-05, 4.38114343914719e-07, 0.0569563158253685]
    np.testing.assert_allclose(values(pairs, "p_value"), expected, rtol=2e-6)
    kramer, exact = fit.pairs("percent"), fit.pairs("percent", adjust="mvt")
    assert (values(exact, "p_value") < values(kramer, "p_value")).all()
    control = fit.pairs("percent", adjust="dunnett", reference="12")
    assert list(control.table["contrast"]) == [f"percent{p} - percent12" for p in (9, 15, 18)]
    t, df = values(control, "statistic"), values(control, "df")
    cov = control.covariance
    sd = np.sqrt(np.diag(cov))
    np.testing.assert_allclose(
        values(control, "p_value"), correlated(cov / np.outer(sd, sd)).tail(np.abs(t), df), rtol=1e-12
    )
    approximate = control.adjusted("dunnettx")
    np.testing.assert_allclose(values(approximate, "p_value"), values(control, "p_value"), atol=0.05)


# -- slopes --------------------------------------------------------------------------------------------------


def test_slopes_are_the_derivatives_of_the_formula():
    data = table("mtcars")
    fit = hd.lm("mpg ~ I(wt**3) + wt:cyl + log(hp)", data)
    b = dict(zip(fit.labels.fixed, fit.coefficients, strict=True))
    made = fit.slopes("wt", by="cyl", at={"wt": 2.5})
    cubic = next(v for k, v in b.items() if k.startswith("I("))
    exact = [
        3 * 2.5**2 * cubic + next(v for k, v in b.items() if k.startswith("wt") and f"{c}]" in k)
        for c in (4, 6, 8)
    ]
    np.testing.assert_allclose(values(made), exact, rtol=1e-9)
    slope = fit.slopes("hp", at={"hp": [100]})
    np.testing.assert_allclose(values(slope), b["log(hp)"] / 100.0, rtol=1e-9)
    at_mean = fit.slopes("hp")
    np.testing.assert_allclose(values(at_mean), b["log(hp)"] / data["hp"].mean(), rtol=1e-9)
    np.testing.assert_allclose(
        values(at_mean, "statistic"),
        np.asarray(fit.fixed_effects["statistic"])[list(b).index("log(hp)")],
        rtol=1e-9,
    )


def test_slopes_at_the_end_of_a_function():
    data = pd.DataFrame({"x": np.arange(1.0, 21.0), "y": np.sin(np.arange(1.0, 21.0))})
    fit = hd.lm("y ~ sqrt(x)", data)
    b = fit.coefficients[1]
    near = 1e-4
    np.testing.assert_allclose(values(fit.slopes("x", at={"x": near})), b / (2 * np.sqrt(near)), rtol=1e-7)
    np.testing.assert_allclose(values(fit.slopes("x", at={"x": 4.0})), b / 4.0, rtol=1e-9)
    spline = hd.lm("y ~ bs(x, df=5)", data)
    h = 1e-5
    ends = spline.emmeans("x", at={"x": [20.0 - h, 20.0]})
    np.testing.assert_allclose(
        values(spline.slopes("x", at={"x": 20.0})), np.diff(values(ends)) / h, rtol=1e-3
    )


def test_slopes_do_not_depend_on_what_is_added():
    data = table("mtcars")
    one, two = hd.lm("mpg ~ wt * am", data), hd.lm("mpg ~ wt * am + poly(hp, 2) + cyl", data)
    assert values(one.slopes("wt", by="am")).shape == values(two.slopes("wt", by="am")).shape == (2,)
    pairs = one.slopes("wt", by="am").pairs()
    interaction = one.fixed_effects.iloc[-1]
    np.testing.assert_allclose(values(pairs), -interaction["estimate"], rtol=1e-10)
    np.testing.assert_allclose(values(pairs, "p_value"), interaction["p_value"], rtol=1e-9)


# -- the scale of the response -------------------------------------------------------------------------------


SCALES = [
    ("log(y)", np.log), ("log2(y)", np.log2), ("log10(y)", np.log10), ("log1p(y)", np.log1p), ("sqrt(y)", np.sqrt),
    ("exp(y / 9)", lambda y: np.exp(y / 9)), ("1 / y", lambda y: 1 / y), ("log(y + 3)", lambda y: np.log(y + 3)),
    ("I(y**2)", lambda y: y**2), ("2 * sqrt(y) - 1", lambda y: 2 * np.sqrt(y) - 1), ("I(3 - y) / 2", lambda y: (3 - y) / 2),
    ("-y", lambda y: -y), ("(y - 1) * 4", lambda y: (y - 1) * 4), ("log(y * 2)", lambda y: np.log(2 * y)),
    ("expm1(y / 4)", lambda y: np.expm1(y / 4)), ("I(y^0.25)", lambda y: y**0.25),
]  # fmt: skip


@pytest.mark.parametrize(("left", "function"), SCALES, ids=[s[0] for s in SCALES])
def test_left_sides_are_undone(left, function):
    y = np.linspace(0.5, 6.0, 9)
    data = pd.DataFrame({"y": y, "x": np.cos(y), "g": list("abcabcabc")})
    fit = hd.lm(f"{left} ~ x + g", data)
    back = back_transform(fit.spec)
    eta, h = function(y), 1e-6
    value, slope = back(eta)
    np.testing.assert_allclose(value, y, rtol=1e-12)
    np.testing.assert_allclose(slope, (back(eta + h)[0] - back(eta - h)[0]) / (2 * h), rtol=1e-6, atol=1e-9)
    # The mean over errors: h + h'' s^2 / 2 and its slope, by differences.
    adjusted, its_slope = back(eta, 0.3)
    second = (back(eta + 1e-4)[1] - back(eta - 1e-4)[1]) / 2e-4
    np.testing.assert_allclose(adjusted, value + 0.045 * second, rtol=1e-6)
    np.testing.assert_allclose(
        its_slope, (back(eta + h, 0.3)[0] - back(eta - h, 0.3)[0]) / (2 * h), rtol=1e-5, atol=1e-8
    )
    means, link = fit.emmeans("g", type="response"), fit.emmeans("g")
    np.testing.assert_allclose(values(means), back(values(link))[0], rtol=1e-12)
    assert (values(means, "conf_low") <= values(means)).all()
    assert (values(means) <= values(means, "conf_high")).all()


def test_ratios_of_logarithms_of_any_base():
    data = table("pigs")
    natural, decimal = (
        hd.lm(f"{f}(conc) ~ source", data).pairs("source", type="response") for f in ("log", "log10")
    )
    for column in ("estimate", "std_error", "conf_low", "p_value"):
        np.testing.assert_allclose(values(natural, column), values(decimal, column), rtol=1e-10)
    assert natural.table["contrast"][0] == "fish / soy"
    assert any("ratios of conc" in note for note in natural.notes)
    root = hd.lm("sqrt(conc) ~ source", data).pairs("source", type="response")
    assert root.table["contrast"][0] == "fish - soy"
    assert "Estimates are of sqrt(conc)." in root.notes


def test_what_cannot_be_undone_is_refused():
    data = table("mtcars")
    fit = hd.lm("abs(mpg) ~ cyl", data)
    with pytest.raises(hd.ModelError, match=r"abs\(mpg\) cannot be undone"):
        fit.emmeans("cyl", type="response")
    plain = hd.lm("mpg ~ cyl", data)
    np.testing.assert_allclose(values(plain.emmeans("cyl", type="response")), values(plain.emmeans("cyl")))


# -- not estimable -------------------------------------------------------------------------------------------


def test_cells_without_rows_have_no_mean_and_say_why(empty):
    means = empty.emmeans("A * B")
    assert np.isnan(values(means)).tolist() == [False] * 5 + [True, False, True, True]
    notes = list(means.table["note"])
    assert notes[0] == ""
    assert "a3" in notes[5] and "b2" in notes[5]
    assert "cannot be estimated" in means.notes[-1]
    pairs = empty.pairs("A | B", adjust="bonferroni")
    assert np.isfinite(values(pairs)).sum() == 4
    # One difference is left within b2: nothing to adjust for.
    np.testing.assert_allclose(values(pairs, "p_value")[3], 0.0927508589077665, rtol=1e-9)
    notes = list(pairs.table["note"])
    assert notes[0] == ""
    assert notes[4]


def test_differences_may_be_estimable_where_means_are_not():
    data = table("empty_cells")
    data["C"] = data["B"]
    fit = hd.lm("y ~ A + B + C", data)
    np.testing.assert_allclose(
        values(fit.pairs("A")), values(hd.lm("y ~ A + B", data).pairs("A")), rtol=1e-10
    )
    # B and C divide the rows in the same way: no difference of either alone.
    with pytest.raises(hd.ModelError, match=r"none of these can be estimated. B and C are confounded"):
        fit.pairs("B")


def test_flat_weights_average_over_cells_that_occur(empty):
    flat = empty.emmeans("A", weights="flat")
    cells = values(empty.emmeans("A * B")).reshape(3, 3)
    np.testing.assert_allclose(values(flat), np.nanmean(cells, axis=0), rtol=1e-12)


def test_nested_factors_are_averaged_over_the_cells_that_occur():
    """R 4.2 emmeans, which finds the nesting itself: m <- lm(y ~ region/city + x); emmeans(m, ~region); joint_tests(m)."""
    data = pd.DataFrame(
        {
            "region": list("EEEEEEWWWWW"),
            "city": list("aaabbcppqqq"),
            "x": [1.0, 2, 4, 3, 5, 2, 1, 6, 2, 3, 5],
            "y": [3.1, 4.0, 6.2, 5.9, 7.3, 5.2, 4.4, 9.8, 6.1, 7.7, 9.2],
        }
    )
    fit = hd.lm("y ~ region/city + x", data)
    with pytest.raises(hd.ModelError, match=r"region E with city q\. weights='flat' averages over the comb"):
        fit.emmeans("region", nesting=False)
    for means in (fit.emmeans("region"), fit.emmeans("region", weights="flat", nesting=False)):
        np.testing.assert_allclose(values(means), [5.73168750441478, 7.04983047255775], rtol=1e-12)
        np.testing.assert_allclose(
            values(means, "std_error"), [0.14024121975806, 0.14190762427680], rtol=1e-12
        )
        np.testing.assert_allclose(values(means.pairs(), "std_error"), [0.201532793169481], rtol=1e-12)
    tests = fit.joint_tests()
    np.testing.assert_allclose(tests["p_value"][:2], [1.25074243249096e-03, 1.61071790779364e-05], rtol=1e-10)


def test_joint_tests_leave_out_what_cannot_be_estimated(empty):
    tests = empty.joint_tests()
    assert "note" in tests
    last = tests.iloc[-1]
    assert (last["term"], last["df1"]) == ("A:B", 1)
    # R 4.2.2: anova(lm(y ~ A * B)), line A:B.
    np.testing.assert_allclose([last["statistic"], last["p_value"]], EMPTY_INTERACTION, rtol=1e-9)


EMPTY_INTERACTION = [1.253731343283579, 0.325531118513723]


# -- saved fits, libraries, printing -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lm", "lmm"])
def test_loaded_fits_have_the_same_means(tmp_path, kind):
    if kind == "lm":
        fit, asked = hd.lm("log(mpg) ~ cyl * am + vs + poly(wt, 2)", table("mtcars")), "am | cyl"
    else:
        fit, asked = (
            hd.lmm("yield ~ Variety * factor(nitro) + (1 | Block/Variety)", table("oats")),
            "Variety | nitro",
        )
    fit.save(tmp_path / "fit.zip")
    again = hd.load(tmp_path / "fit.zip")
    for weights in ("equal", "cells"):
        here, there = fit.emmeans(asked, weights=weights), again.emmeans(asked, weights=weights)
        pd.testing.assert_frame_equal(here.table, there.table)
    pd.testing.assert_frame_equal(fit.pairs(asked).table, again.pairs(asked).table)


def test_loaded_fits_say_in_columns_what_cannot_be_estimated(tmp_path, empty):
    empty.save(tmp_path / "fit.zip")
    notes = list(hd.load(tmp_path / "fit.zip").emmeans("A * B").table["note"])
    assert notes[5]
    assert notes[0] == ""


def test_tables_are_in_the_callers_library():
    pl = pytest.importorskip("polars")
    data = pl.from_pandas(table("pigs").astype({"source": str, "percent": str}))
    fit = hd.lm("log(conc) ~ source + percent", data)
    means = fit.emmeans("source")
    assert isinstance(means.table, pl.DataFrame)
    assert isinstance(fit.joint_tests(), pl.DataFrame)
    assert means["estimate"].to_list() == means.table["estimate"].to_list()
    assert len(means) == 3


def test_what_is_printed(cars, warpfit):
    text = repr(cars.pairs("cyl", adjust="holm"))
    assert "cyl4 - cyl6" in text
    assert "Averaged over am, vs, gear (equal weights)." in text
    assert "At hp = 146.688, wt = 3.21725." in text
    assert "p-values adjusted by holm, for families of 3; limits by bonferroni." in text
    assert "interacts with what is shown" in text
    assert "<p>" in cars.emmeans("cyl")._repr_html_()
    assert "interacts" not in repr(warpfit.emmeans("wool * tension"))


def test_letters():
    fit = hd.lm("log(conc) ~ source + percent", table("pigs"))
    shown = fit.emmeans("percent").letters()
    assert list(shown["letters"]) == ["a", "b", "b", "b"]
    strict = fit.emmeans("percent").letters(alpha=0.005)
    p = fit.pairs("percent").table.set_index("contrast")["p_value"]
    for (i, a), (j, b) in [
        ((i, a), (j, b))
        for i, a in enumerate((9, 12, 15, 18))
        for j, b in enumerate((9, 12, 15, 18))
        if i < j
    ]:
        together = set(strict["letters"][i]) & set(strict["letters"][j])
        assert bool(together) == (p[f"percent{a} - percent{b}"] >= 0.005)


# -- contrasts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("k", [2, 3, 5, 7])
def test_contrasts_sum_to_zero(name, k):
    made = contrast_set(name, [f"l{i}" for i in range(k)])
    np.testing.assert_allclose(made.coefficients.sum(axis=1), 0.0, atol=1e-12)
    assert len(made.names) == len(set(made.names)) == len(made.coefficients)
    assert np.linalg.matrix_rank(made.coefficients) == k - 1 if name != "poly" else len(made.coefficients)


def test_polynomials_are_those_of_the_tables():
    # Fisher & Yates (1938), table XXIII.
    made = contrast_set("poly", list("abcde"))
    assert made.names == ("linear", "quadratic", "cubic", "quartic")
    assert made.coefficients.tolist() == [
        [-2, -1, 0, 1, 2],
        [2, -1, -2, -1, 2],
        [-1, 2, 0, -2, 1],
        [1, -4, 6, -4, 1],
    ]
    six = contrast_set("poly", list("abcdef")).coefficients
    assert six[1].tolist() == [5, -1, -4, -4, -1, 5]
    assert six[2].tolist() == [-5, 7, 4, -4, -7, 5]
    gram = contrast_set("poly", [str(i) for i in range(12)]).coefficients
    assert np.count_nonzero(gram @ gram.T - np.diag(np.diag(gram @ gram.T))) == 0


# -- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda f: f.emmeans("tensoin"), "no variable 'tensoin'. The closest is 'tension'"),
        (lambda f: f.emmeans("breaks"), "'breaks' is no variable of the fixed part; those of the fixed part are 'wool', 'tension'"),
        (lambda f: f.emmeans("tension | tension"), "'tension' stands both before and after the bar"),
        (lambda f: f.emmeans("tension", by="tension"), "'tension' stands both before and after the bar"),
        (lambda f: f.emmeans(["wool", "wool"]), "'wool' stands twice"),
        (lambda f: f.emmeans("pairwise ~ tension"), "fit.pairs"),
        (lambda f: f.emmeans(3), "names of variables are wanted"),
        (lambda f: f.emmeans("wool", at={"tension": "m"}), "'tension' has no level 'm'. The closest is 'M'"),
        (lambda f: f.emmeans("wool", at={"tension": ["M", "M"]}), "given twice"),
        (lambda f: f.emmeans("wool", at={"tensin": 3}), "at: the fixed part of the model has no variable 'tensin'"),
        (lambda f: f.emmeans("wool", at=["M"]), "at: a dict is wanted"),
        (lambda f: f.emmeans("wool", at={"tension": []}), "no value is given for 'tension'"),
        (lambda f: f.emmeans("wool", weights="equall"), "The closest is 'equal'"),
        (lambda f: f.emmeans("wool", level=95), "level is between 0 and 1"),
        (lambda f: f.emmeans("wool", type="mean"), "type is 'link' or 'response'"),
        (lambda f: f.emmeans("wool", df=-1), "a positive number, not -1"),
        (lambda f: f.emmeans("wool", df="kenward"), "not 'kenward'. The closest is 'kenward-roger'"),
        (lambda f: f.emmeans("wool", adjust="tuky"), "The closest is 'tukey'"),
        (lambda f: f.pairs("tension", adjust="bonferoni"), "The closest is 'bonferroni'"),
        (lambda f: f.pairs("tension", reference="L"), "reference= is the control"),
        (lambda f: f.pairs("tension", adjust="dunnett", reference="X"), "no mean is called 'X'"),
        (lambda f: f.pairs("tension", adjust="dunnett", reference=3), "there are 3 means"),
        (lambda f: f.pairs("tension", at={"tension": "L"}), "needs two means or more"),
        (lambda f: f.emmeans("tension").contrast("pairwis"), "The closest is 'pairwise'"),
        (lambda f: f.emmeans("tension").contrast("consec", adjust="tukey"), "'mvt' is exact"),
        (lambda f: f.emmeans("tension").contrast("pairwise", adjust="dunnett"), "comparisons with a control"),
        (lambda f: f.emmeans("tension").contrast({"a": [1, -1]}), "has 2 weights; there are 3 means: L, M, H"),
        (lambda f: f.emmeans("tension").contrast({"a": [0, 0, 0]}), "not all 0"),
        (lambda f: f.emmeans("tension").contrast({}), "names no contrast"),
        (lambda f: f.emmeans("tension").contrast("pairwise", by="woll"), "no column 'woll'"),
        (lambda f: f.emmeans("tension")["estimat"], "The closest is 'estimate'"),
        (lambda f: f.slopes("tension"), "'tension' is a factor"),
        (lambda f: f.joint_tests(by="woll"), "The closest is 'wool'"),
        (lambda f: f.joint_tests(by=3), "joint_tests: by: names of variables are wanted"),
        (lambda f: f.joint_tests(by="wool | tension"), "no variable 'wool | tension'"),
        (lambda f: f.emmeans("wool", bias_adjust=True), "by type='response'; here nothing is"),
        (lambda f: f.emmeans("wool", sigma=2.0), "sigma= is that of bias_adjust=True"),
        (lambda f: f.emmeans("tension").letters(alpha=5), "letters: alpha is between 0 and 1, such as 0.05, not 5"),
    ],
)  # fmt: skip
def test_refusals(warpfit, asked, said):
    with pytest.raises(hd.ModelError) as caught:
        asked(warpfit)
    assert said in str(caught.value)


def test_refusals_of_covariates(cars):
    with pytest.raises(
        hd.ModelError, match=r"'hp' is a covariate. Say at which values, such as at=\{'hp': \[0, 1\]\}"
    ):
        cars.emmeans("hp")
    with pytest.raises(hd.ModelError, match="numbers are wanted for 'hp'"):
        cars.emmeans("cyl", at={"hp": "many"})
    with pytest.raises(hd.ModelError, match="not finite"):
        cars.emmeans("cyl", at={"hp": np.inf})
    with pytest.raises(hd.DataError, match=r"log\(hp\) is not a finite number"):
        cars.emmeans("cyl", at={"hp": -1})
    with pytest.raises(hd.ModelError, match="by='wt' is a covariate"):
        cars.slopes("hp", by="wt")


def test_a_grouping_of_a_mixed_model_has_no_marginal_means():
    fit = hd.lmm("score ~ Machine + (1 | Worker)", table("machines"))
    with pytest.raises(hd.ModelError, match="'Worker' stands in random terms alone"):
        fit.emmeans("Worker")


def test_specs():
    assert read_specs("a*b | c", None) == (("a", "b"), ("c",))
    assert read_specs("~ a:b", ["c", "d"]) == (("a", "b"), ("c", "d"))
    assert read_specs("1", None) == ((), ())
    assert read_specs(["x y"], "z") == (("x y",), ("z",))


# -- covariates and offsets ----------------------------------------------------------------------------------


def test_two_valued_covariates_stand_at_both_and_others_at_their_mean(cars):
    data = table("mtcars")
    at_both = cars.emmeans("cyl")
    by_hand = cars.emmeans("cyl", at={"vs": [0, 1], "hp": data["hp"].mean(), "wt": data["wt"].mean()})
    np.testing.assert_allclose(values(at_both), values(by_hand), rtol=1e-12)


def test_offsets_stand_at_their_mean_unless_at_says_otherwise():
    data = table("insurance_offset")
    fit = hd.lm("log(Claims + 1) ~ Age + offset(log(Holders))", data)
    given = hd.lm("log(Claims + 1) ~ Age", data, offset=np.log(data["Holders"]))
    np.testing.assert_allclose(values(fit.emmeans("Age")), values(given.emmeans("Age")), rtol=1e-12)
    at = fit.emmeans("Age", at={"Holders": 100})
    np.testing.assert_allclose(
        values(at) - values(fit.emmeans("Age")), np.log(100) - np.log(data["Holders"]).mean(), rtol=1e-10
    )
    np.testing.assert_allclose(values(at.pairs()), values(fit.pairs("Age")), rtol=1e-10)


def test_files_read_in_parts_know_their_means(tmp_path):
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(5)
    n = 60_000
    data = pd.DataFrame(
        {"x": rng.normal(5, 2, n), "two": rng.integers(0, 2, n) * 3.0, "g": rng.choice(list("abc"), n)}
    )
    data["y"] = data["x"] ** 2 + data["two"] + (data["g"] == "b") + rng.normal(size=n)
    data.to_parquet(tmp_path / "d.parquet")
    here = hd.lm("y ~ g * two + I(x**2)", data)
    parts = hd.lm("y ~ g * two + I(x**2)", tmp_path / "d.parquet", memory_limit="2 MB")
    np.testing.assert_allclose(values(parts.emmeans("g")), values(here.emmeans("g")), rtol=1e-9)
    np.testing.assert_allclose(values(parts.slopes("x")), values(here.slopes("x")), rtol=1e-9)
    with pytest.raises(hd.ModelError, match="Use weights='equal'"):
        parts.emmeans("g", weights="cells")


def test_gls_has_them_too():
    data = table("machines")
    fit = hd.gls("score ~ Machine", data, variance="ident(Machine)")
    means = fit.emmeans("Machine")
    raw = data.groupby("Machine", observed=True)["score"]
    np.testing.assert_allclose(values(means), raw.mean().to_numpy(), rtol=1e-9)
    np.testing.assert_allclose(
        values(means, "std_error"), (raw.std() / np.sqrt(raw.size())).to_numpy(), rtol=1e-6
    )


def test_covariates_in_joint_tests_are_tested_by_their_slopes():
    fit = hd.lm("mpg ~ am * wt + poly(hp, 2)", table("mtcars"))
    tests = fit.joint_tests().set_index("term")
    assert list(tests.index) == ["am", "wt", "hp", "am:wt"]
    slope = fit.slopes("wt")
    np.testing.assert_allclose(tests.loc["wt", "statistic"], values(slope, "statistic")[0] ** 2, rtol=1e-9)
    means = fit.pairs("am")
    np.testing.assert_allclose(tests.loc["am", "statistic"], values(means, "statistic")[0] ** 2, rtol=1e-9)
    # A secant over a tenth of the range about the mean of a parabola is its tangent there.
    curve = fit.slopes("hp")
    np.testing.assert_allclose(tests.loc["hp", "statistic"], values(curve, "statistic")[0] ** 2, rtol=1e-9)
