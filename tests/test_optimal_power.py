"""`hd.design.power`: R's power functions, dense expected information, and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson as hd
from henderson.inference.fisher import quantile
from henderson.inference.satterthwaite import degrees_of_freedom
from henderson.optimal.expected import expected_information
from henderson.optimal.plan import noncentral_tail
from henderson.optimal.precision import held_solution
from henderson.optimal.reading import read_design

TWO = pd.DataFrame({"g": ["a", "b"]})


# -- R 4.2: power.anova.test and power.t.test(strict=TRUE), twelve digits --------------------------------------------


@pytest.mark.parametrize(
    ("means", "each", "variance", "expected"),
    [
        # power.anova.test(4, 5, between.var=var(c(0, 1, 2, 0)), within.var=3)
        ((0, 1, 2, 0), 5, 3.0, 0.32621076829),
        # power.anova.test(3, 12, between.var=var(c(0, .5, 1)), within.var=1.5)
        ((0, 0.5, 1), 12, 1.5, 0.383276744839),
    ],
)
def test_one_way_anova(means, each, variance, expected):
    d = pd.DataFrame({"g": list("abcd")[: len(means)]})
    effects = {f"g[T.{level}]": m for level, m in zip("bcd", means[1:], strict=False)}
    p = hd.design.power("~ g", d, effects, {"Residual": variance}, replicates=each)
    # R ends the series of its noncentral beta at 1e-9; the series to its end is in the next test
    assert p.power[0] == pytest.approx(expected, rel=3e-9)
    assert p.columns["df_den"] == [len(means) * (each - 1)]


def test_noncentral_f_is_its_series():
    """P(F > c) = 1 - sum over j of Poisson(j; ncp / 2) I_x(h / 2 + j, df / 2), 400 terms."""
    from scipy.special import betainc
    from scipy.stats import poisson

    for h, df, ncp in ((3, 16.0, 4.5833), (1, 9.5, 7.0), (5, 200.0, 20.0)):
        crit = quantile(0.95, np.array([h]), np.array([df]))
        x = h * crit / (h * crit + df)
        j = np.arange(400)
        expected = 1 - np.sum(poisson.pmf(j, ncp / 2) * betainc(h / 2 + j, df / 2, x))
        got = noncentral_tail(crit, np.array([h]), np.array([df]), np.array([ncp]))
        assert got[0] == pytest.approx(expected, rel=1e-11)


def test_two_samples_and_sample_size():
    """power.t.test(n=, delta=1, sd=1, strict=TRUE) for 5, 17 and 23; power.t.test(power=0.9, ...)$n is 22.02109."""
    p = hd.design.power("~ g", TWO, {"g[T.b]": 1}, {"Residual": 1.0}, replicates=[5, 17, 23], target=0.9)
    assert p.power == pytest.approx([0.286295493381, 0.807036715147, 0.912498360297], rel=1e-10)
    assert p.replicates_needed == 23
    assert p.columns["n"] == [10, 34, 46]


def test_paired_t_is_a_mixed_model():
    """power.t.test(n=11, delta=0.8, sd=1.3, type="paired", sig.level=0.01, strict=TRUE): the difference of the two
    records of a subject has variance 2 s2 = 1.69, whatever the subjects' variance."""
    d = pd.DataFrame({"subject": ["s", "s"], "g": ["a", "b"]})
    two = pd.concat([d, d.assign(subject="t")], ignore_index=True)
    for subjects in (0.5, 4.0):
        theta = {"subject": subjects, "Residual": 1.69 / 2}
        ten = hd.design.power(
            "~ g + (1 | subject)", two, {"g[T.b]": 0.8}, theta, level=0.01, replicates=[5, 6]
        )
        one = pd.concat([d.assign(subject=f"s{k}") for k in range(11)], ignore_index=True)
        eleven = hd.design.power("~ g + (1 | subject)", one, {"g[T.b]": 0.8}, theta, level=0.01)
        assert eleven.columns["df_den"][0] == pytest.approx(10, rel=1e-8)
        assert eleven.power[0] == pytest.approx(0.195302948352, rel=1e-8)
        assert ten.power[0] < eleven.power[0] < ten.power[1]


def test_power_at_nothing_is_the_level():
    p = hd.design.power("~ g", TWO, {}, {"Residual": 1.0}, replicates=4, level=0.07)
    assert p.power[0] == pytest.approx(0.07, rel=1e-9)


def test_a_normal_test():
    """Known variances: chi^2; two-sided z with delta / se = 2 has power P(|z + 2| > 1.96)."""
    from scipy.stats import norm

    p = hd.design.power("~ g", TWO, {"g[T.b]": 2}, {"Residual": 0.5}, df="inf")
    expected = norm.sf(norm.isf(0.025) - 2) + norm.cdf(-norm.isf(0.025) - 2)
    assert p.power[0] == pytest.approx(expected, rel=1e-9)
    assert p.columns["df_den"] == [np.inf]


def test_tails_against_scipy_and_far_out():
    from scipy.stats import f, ncf

    h, df, ncp = np.array([1, 3, 2]), np.array([5.5, 40.0, 12.0]), np.array([3.0, 8.0, 1e5])
    crit = quantile(0.95, h, df)
    assert crit == pytest.approx(f.isf(0.05, h, df), rel=1e-10)
    got = noncentral_tail(crit, h, df, ncp)
    assert got[:2] == pytest.approx(ncf.sf(crit[:2], h[:2], df[:2], ncp[:2]), rel=1e-8)
    assert got[2] == pytest.approx(1.0)


# -- Satterthwaite from the expected information ---------------------------------------------------------------------


@pytest.fixture
def panel() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    full = pd.DataFrame(
        {
            "s": np.repeat(np.arange(12), 4),
            "t": np.tile(list("aabb"), 12),
            "w": np.repeat(list("uvw"), 16),
            "x": rng.normal(size=48),
            "item": np.tile(np.arange(6), 8),
            "prec": rng.uniform(0.5, 2, 48),
        }
    )
    return full.iloc[rng.choice(48, 40, replace=False)].reset_index(drop=True)


def dense_pieces(panel, X, blocks, sigmas, residual, weights):
    """V, its derivatives and P, by definition. `blocks`: (labels, Z values, structure)."""
    n = len(X)
    V = np.diag(residual / weights)
    slopes = []
    for (labels, z, structure), sigma in zip(blocks, sigmas, strict=True):
        same = np.equal.outer(labels, labels)
        V += same * (z @ sigma @ z.T)
        m = z.shape[1]
        for i in range(m):
            for j in range(i + 1):
                if structure == "us" or i == j:
                    E = np.zeros((m, m))
                    E[i, j] = E[j, i] = 1.0
                    slopes.append(same * (z @ E @ z.T))
    slopes.append(np.diag(1 / weights))
    inverse = np.linalg.inv(V)
    phi = np.linalg.inv(X.T @ inverse @ X)
    P = inverse - inverse @ X @ phi @ X.T @ inverse
    F = np.array([[0.5 * np.trace(P @ a @ P @ b) for b in slopes] for a in slopes])
    moves = np.array([phi @ X.T @ inverse @ a @ inverse @ X @ phi for a in slopes])
    assert n == len(P)
    return F, moves, phi


CASES = {
    "intercepts": ("~ t * w + (1 | s)", {"s": 0.5, "Residual": 1.2}, "us"),
    "slopes": ("~ t * w + (x | s)", {"s": [[0.8, 0.2], [0.2, 0.4]], "Residual": 1.2}, "us"),
    "two bars": ("~ t * w + (x || s)", {"s": [0.8, 0.4], "Residual": 1.2}, "diag"),
    "crossed": ("~ t * w + (1 | s) + (1 | item)", {"s": 0.7, "item": 0.3, "Residual": 1.0}, "us"),
    "weights": ("~ t * w + (x | s)", {"s": [[0.8, 0.2], [0.2, 0.4]], "Residual": 1.2}, "us"),
}


@pytest.mark.parametrize("case", CASES)
def test_expected_information_is_that_of_dense_algebra(panel, case):
    formula, theta, structure = CASES[case]
    weighted = case == "weights"
    reading = read_design(formula, panel, weights="prec" if weighted else None)
    design = reading.design
    sigmas = [
        np.atleast_2d(np.diag(v) if np.ndim(v) == 1 else v) for k, v in theta.items() if k != "Residual"
    ]
    residual = theta.get("Residual", 1.0)
    solution, model = held_solution(design, sigmas, residual)
    got = expected_information(solution, model, [b.structure for b in design.blocks])
    n = len(panel)
    z = np.column_stack([np.ones(n), panel["x"]])
    blocks = [
        (panel[b.group].to_numpy(), z if b.m == 2 else np.ones((n, 1)), structure) for b in design.blocks
    ]
    weights = panel["prec"].to_numpy() if weighted else np.ones(n)
    F, moves, phi = dense_pieces(panel, design.X, blocks, sigmas, residual, weights)
    assert got.draws == 0
    assert np.allclose(got.vcov, phi, rtol=1e-9)
    assert np.allclose(got.covariance, np.linalg.inv(F), rtol=1e-7)
    assert np.allclose(got.vcov_slopes, moves, rtol=1e-7, atol=1e-12)


def test_drawn_information_is_near_the_exact_one(panel, monkeypatch):
    from henderson.optimal import expected

    formula, theta, _ = CASES["slopes"]
    exact = hd.design.power(formula, panel, {"t[T.b]": 0.4}, theta)
    monkeypatch.setattr(expected, "EXACT", 0)
    monkeypatch.setattr(expected, "DRAWS", 2000)
    drawn = hd.design.power(formula, panel, {"t[T.b]": 0.4}, theta)
    assert "draws" in drawn.information
    assert drawn.columns["df_den"] == pytest.approx(exact.columns["df_den"], rel=0.1)
    assert drawn.power == pytest.approx(exact.power, abs=0.01)


def test_balanced_df_are_whole():
    """Random slopes over 18 balanced subjects: 17 df for both coefficients, as lmerTest prints for sleepstudy."""
    sleep = hd.datasets.load("sleepstudy")
    theta = {"Subject": [[612.0, 9.6], [9.6, 35.1]], "Residual": 654.9}
    p = hd.design.power("~ Days + (Days | Subject)", sleep, {"Days": 4}, theta, test=["(Intercept)", "Days"])
    assert p.columns["df_den"] == pytest.approx([17, 17], rel=1e-9)
    phi = hd.design.evaluate("~ Days + (Days | Subject)", sleep, theta=theta).vcov
    assert p.columns["ncp"][1] == pytest.approx(16 / phi[1, 1], rel=1e-10)


def test_df_agree_with_a_fit_whose_response_is_typical():
    """At its own estimates a fit's observed information is near the expected one, so are the df."""
    sleep = hd.datasets.load("sleepstudy").iloc[:-7]
    fit = hd.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    theta = {"Subject": fit.covariances["(Days | Subject)"], "Residual": fit.sigma**2}
    p = hd.design.power("~ Days + (Days | Subject)", sleep, {"Days": 4}, theta, test="Days")
    assert p.columns["df_den"][0] == pytest.approx(fit.satterthwaite_df(np.array([[0.0, 1.0]]))[0], rel=0.02)


def test_joint_tests_are_joined_as_a_fit_joins_them(panel):
    from henderson.inference.wald import combined_df

    formula, theta, _ = CASES["intercepts"]
    reading = read_design(formula, panel)
    solution, model = held_solution(reading.design, [np.array([[0.5]])], 1.2)
    info = expected_information(solution, model, ["us"])
    L = np.eye(6)[2:4]
    values, vectors = np.linalg.eigh(L @ info.vcov @ L.T)
    each = degrees_of_freedom(vectors.T @ L, info.vcov, info.vcov_slopes, info.covariance)
    p = hd.design.power(formula, panel, {"w[T.v]": 1}, theta, test="w")
    assert p.columns["df_den"][0] == pytest.approx(combined_df(each), rel=1e-10)
    assert p.columns["df_num"] == [2]
    b = np.array([1.0, 0.0])
    assert p.columns["ncp"][0] == pytest.approx(b @ np.linalg.solve(L @ info.vcov @ L.T, b), rel=1e-9)
    assert values[0] > 0


# -- simulation ------------------------------------------------------------------------------------------------------


def within(p: hd.design.Power, sds: float = 4.0) -> bool:
    """Whether computed and simulated powers differ by less than four standard errors of the simulation."""
    rate = np.array(p.power)
    draws_se = np.array(p.columns["simulated_se"])
    return bool(np.all(np.abs(rate - np.array(p.columns["simulated"])) < sds * draws_se))


def test_simulated_linear_model():
    rng = np.random.default_rng(1)
    d = pd.DataFrame(
        {"g": rng.choice(list("abc"), 30), "x": rng.normal(size=30), "w": rng.uniform(0.5, 3, 30)}
    )
    p = hd.design.power(
        "~ g + x",
        d,
        {"g[T.b]": 0.9, "x": 0.4, "(Intercept)": 7.0},
        {"Residual": 1.3},
        weights="w",
        simulate=20_000,
        seed=1,
        test={"g": ["g[T.b]", "g[T.c]"], "x": "x", "null": "g[T.c]", "seven": "(Intercept) = 7"},
    )
    assert within(p)
    assert p.power[2:] == pytest.approx([0.05, 0.05], rel=1e-8)
    assert 0.2 < p.power[0] < 0.8


def test_simulated_draws_are_tested_as_lm_tests_them():
    """The same responses through hd.lm give the same decisions."""
    from henderson.optimal.plan import Planner
    from henderson.optimal.simulation import rejected

    d = pd.DataFrame({"g": list("aabbbcc"), "x": [0.1, 0.5, -1, 2, 0.3, 1, 0]})
    base = read_design("~ g + x", d)
    beta = np.array([0.0, 1.0, 2.0, 0.5])
    plan = Planner(base, beta, {"Residual": 1.0}, ["g", "x"], 0.05, "residual", None, None, None).plan(1)
    count = rejected(plan, 60, np.random.default_rng(3), False)
    noise = np.random.default_rng(3).standard_normal((7, 60))
    expected = np.zeros(2)
    for k in range(60):
        fit = hd.lm("y ~ g + x", d.assign(y=base.design.X @ beta + noise[:, k]))
        for t, L in enumerate((np.eye(4)[1:3], np.eye(4)[3:])):
            expected[t] += fit.test(L)["p_value"][0] < 0.05
    assert np.array_equal(count, expected)


def test_simulated_mixed_model(panel):
    formula, theta, _ = CASES["intercepts"]
    p = hd.design.power(
        formula,
        panel,
        {"t[S.a]": 0.4, "w[S.v]": 0.6},
        theta,
        simulate=500,
        seed=2,
        contrasts={"t": "Sum", "w": "Sum"},
        progress=False,
    )
    assert within(p)
    assert p.columns["test"] == ["t", "w", "t:w"]
    assert p.power[2] == pytest.approx(0.05, rel=1e-8)
    assert 0.2 < p.power[0] < 0.9


def test_simulation_is_repeatable():
    one = hd.design.power(
        "~ g", TWO, {"g[T.b]": 1}, {"Residual": 1.0}, replicates=[4, 6], simulate=200, seed=5
    )
    two = hd.design.power(
        "~ g", TWO, {"g[T.b]": 1}, {"Residual": 1.0}, replicates=[4, 6], simulate=200, seed=5
    )
    assert one.to_frame().equals(two.to_frame())
    assert one.columns["simulated_se"][0] > 0


# -- replicates ------------------------------------------------------------------------------------------------------


def test_replicates_are_new_levels_unless_told(panel):
    formula, theta, _ = CASES["intercepts"]
    thrice = pd.concat([panel.assign(s=panel["s"].astype(str) + f"/{k}") for k in range(3)])
    same = pd.concat([panel] * 3)
    effects = {"t[T.b]": 0.4, "w[T.v]": 0.5}
    fresh = hd.design.power(formula, panel, effects, theta, replicates=3)
    kept = hd.design.power(formula, panel, effects, theta, replicates=3, fresh=[])
    for p, table in ((fresh, thrice), (kept, same)):
        whole = hd.design.power(formula, table, effects, theta)
        assert p.power == pytest.approx(whole.power, rel=1e-9)
        assert p.columns["df_den"] == pytest.approx(whole.columns["df_den"], rel=1e-7)
    assert kept.power[1] < fresh.power[1]
    crossed, theta, _ = CASES["crossed"]
    only = hd.design.power(crossed, panel, effects, theta, replicates=2, fresh="s")
    twice = pd.concat([panel.assign(s=panel["s"].astype(str) + f"/{k}") for k in range(2)])
    assert only.power == pytest.approx(hd.design.power(crossed, twice, effects, theta).power, rel=1e-9)


def test_target_is_met_by_the_least_number(panel):
    formula, theta, _ = CASES["intercepts"]
    p = hd.design.power(formula, panel, {"t[T.b]": 0.4}, theta, test="t", target=0.8)
    k = p.replicates_needed
    sweep = hd.design.power(formula, panel, {"t[T.b]": 0.4}, theta, test="t", replicates=[k - 1, k])
    assert sweep.power[0] < 0.8 <= sweep.power[1]
    assert f"needs {k} replicates" in p.summary()


def test_tables_and_text(panel):
    polars = pytest.importorskip("polars")
    formula, theta, _ = CASES["intercepts"]
    p = hd.design.power(formula, polars.from_pandas(panel), {"t[T.b]": 0.4}, theta, replicates=[1, 2])
    assert isinstance(p.to_frame(), polars.DataFrame)
    assert p.to_frame().columns == ["test", "replicates", "n", "df_num", "df_den", "ncp", "critical", "power"]
    assert len(p.to_frame()) == 6
    assert "satterthwaite (expected information of the variances)" in p.summary()
    assert repr(p).startswith("<Power ~ t * w + (1 | s) | t ")


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"effects": {"t[T.c]": 1}}, hd.ModelError, r"closest is 't\[T.b\]'"),
        ({"effects": {"t[T.b]": "big"}}, hd.ModelError, "finite"),
        ({"effects": [1, 2]}, hd.ModelError, "6 numbers"),
        ({"theta": {"s": 1.0}}, hd.ModelError, "residual variance"),
        ({"theta": {"S": 1.0, "Residual": 1.0}}, hd.ModelError, "closest is 's'"),
        ({"theta": {"Residual": 1.0}}, hd.ModelError, "not given"),
        ({"test": "tt"}, hd.ModelError, "closest is 't'"),
        ({"test": {"c": {"w[T.z]": 1}}}, hd.ModelError, "closest is 'w"),
        ({"test": {"c": ["t[T.b]", "2 * t[T.b]"]}}, hd.ModelError, "not independent"),
        ({"test": 3}, hd.ModelError, "test is a term"),
        ({"level": 5}, hd.ModelError, "level"),
        ({"df": "satterthwait"}, hd.ModelError, "closest is 'satterthwaite'"),
        ({"replicates": 0}, hd.ModelError, "replicates"),
        ({"replicates": 2.5}, hd.ModelError, "replicates"),
        ({"simulate": -1}, hd.ModelError, "simulate"),
        ({"simulate": 10, "seed": "x"}, hd.ModelError, "seed"),
        ({"target": 1.2}, hd.ModelError, "target"),
        ({"target": 0.8, "effects": {}}, hd.ModelError, "target: what 't' tests is true"),
        ({"fresh": "x", "replicates": 2}, hd.ModelError, "groups no random term"),
        ({"weights": np.ones(40)}, hd.ModelError, "name of a column"),
    ],
)
def test_refusals(panel, options, error, says):
    given = {"effects": {"t[T.b]": 1}, "theta": {"s": 1.0, "Residual": 1.0}, **options}
    with pytest.raises(error, match=says):
        hd.design.power("~ t * w + (1 | s)", panel, given.pop("effects"), given.pop("theta"), **given)


def test_what_cannot_be_tested_is_said_why():
    d = pd.DataFrame({"a": list("uuvv"), "b": list("xxyy"), "z": [1.0, 2, 3, 5]})
    with pytest.raises(hd.ModelError, match="'a' cannot be tested with this design: a and b are confounded"):
        hd.design.power("~ a + b", d, {"a[T.v]": 1}, {"Residual": 1.0})
    with pytest.raises(hd.ModelError, match="leave nothing to estimate the residual variance"):
        hd.design.power("~ a * z", d, {"z": 1}, {"Residual": 1.0}, test="z")
