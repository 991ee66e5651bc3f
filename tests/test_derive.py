"""Functions of the variance components: numbers and standard errors by R, exact slopes, ranges, intervals, names, refusals."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import chi2

import henderson as hd
from henderson.errors import FormulaError, ModelError
from henderson.inference.components import components
from henderson.inference.derive import Names, evaluate
from henderson.inference.derive_profile import moved_solution
from henderson.inference.derived_value import apply, constant, symbol

ALPHA = Path(__file__).parent / "reference" / "derived" / "john_alpha.csv"
"""John & Williams (1987) Cyclic designs, p. 146, as agridat 1.27 has it (john.alpha)."""


@cache
def alpha():
    return pd.read_csv(ALPHA)


@cache
def alpha_fit(structured: bool = False):
    if not structured:
        return hd.lmm("`yield` ~ rep + (1 | gen) + (1 | rep:block)", alpha())
    names = sorted(alpha()["gen"].unique())
    identity = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    return hd.lmm(
        "`yield` ~ rep + (1 | vm(gen, K)) + (1 | rep:block)", alpha(), relationships={"K": identity}
    )


@cache
def sleep_fit(structure: str = ""):
    return hd.lmm(
        f"Reaction ~ Days + {structure}(Days | Subject)", pd.DataFrame(hd.datasets.load("sleepstudy"))
    )


@cache
def trials():
    """30 lines in 4 environments of unequal genetic variance, 2 records each."""
    rng = np.random.default_rng(3)
    loadings = np.array([1.0, 1.4, 0.6, 0.9])
    lines, envs = np.repeat(np.arange(30), 8), np.tile(np.repeat(np.arange(4), 2), 30)
    f = rng.standard_normal(30)
    specific = rng.standard_normal((30, 4)) * np.array([0.7, 0.5, 0.9, 0.6])
    y = 5.0 + envs + loadings[envs] * f[lines] + specific[lines, envs] + 0.7 * rng.standard_normal(240)
    return pd.DataFrame({"y": y, "line": [f"L{i:02d}" for i in lines], "env": [f"E{j + 1}" for j in envs]})


@cache
def trial_fit(left: str = "fa", k: str = ", k=1"):
    return hd.lmm(f"y ~ env + {left}(0 + env | line{k})", trials(), residual="diag(0 + env | units)")


# -- numbers by R ----------------------------------------------------------------------------------------------

# R 4.2, lme4 1.1-31: lmer(yield ~ rep + (1|gen) + (1|rep:block)), REML; then numDeriv 2016.8-1.1: the covariance of the variances is
# the inverse of hessian() of the dense REML criterion, and the delta method takes grad() of each function.
BY_R = {
    "gen / (gen + rep:block + Residual)": (0.484844936, 0.115722796),
    "gen / (gen + Residual / 3)": (0.8400676352, 0.0613913839),
    "log(gen / rep:block)": (0.710549599, 0.661478625),
    "sqrt(gen / (gen + Residual / 3))": (0.9165520363, 0.0334903974),
    "exp(-gen) * Residual^1.5": (0.02021207133, 0.00765433855),
}


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("text", BY_R)
def test_estimates_and_standard_errors_are_those_of_r(text, structured):
    out = alpha_fit(structured).derive(text)
    assert out["name"].tolist() == [text]
    assert_allclose(out["estimate"][0], BY_R[text][0], rtol=2e-7)
    assert_allclose(out["std_error"][0], BY_R[text][1], rtol=1e-6)


@pytest.mark.parametrize("structure", ["", "us"])
def test_a_correlation_is_that_of_r(structure):
    # The same by R of lmer(Reaction ~ Days + (Days | Subject), sleepstudy): 0.065551343, 0.32502427
    fit = sleep_fit(structure)
    texts = [
        "cor(Subject: (Intercept), Subject: Days)",
        "cor((Intercept), Days)",
        "Subject: cov((Intercept), Days) / sqrt(Subject: (Intercept) * Subject: Days)",
        "cov((Intercept), Days) / sqrt(var((Intercept)) * var(Days))",
    ]
    out = fit.derive(texts)
    assert_allclose(out["estimate"], 0.065551343, rtol=3e-6)
    assert_allclose(out["std_error"], 0.325024270, rtol=3e-6)
    assert out["scale"].tolist() == ["fisher_z", "fisher_z", "identity", "identity"]


def test_components_by_themselves_are_the_table():
    for fit in (alpha_fit(), sleep_fit(), trial_fit(), trial_fit("us", "")):
        table = fit.variance_components
        out = fit.derive([f"{g}: {t}" for g, t in zip(table["group"], table["term"], strict=True)])
        assert_allclose(out["estimate"], table["estimate"], rtol=1e-14)
        inside = ~table["std_error"].isna() & (out["scale"] != "profile")
        assert inside.sum() >= 3
        assert_allclose(out["std_error"][inside], table["std_error"][inside], rtol=1e-12)


# -- slopes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a + 2*b - c/3",
        "a*b/c - (a - b)/(c + 1)",
        "-a^2 + b**-1 * c^0.5",
        "log(a + b) * exp(-c) / sqrt(a*b)",
        "a^(b/c) + 2^a",
        "-(-a)^3 - --b",
    ],
)
def test_slopes_are_finite_differences(text):
    from henderson.inference.derived_text import Applied, Number, read

    at = {"a": 1.3, "b": 0.7, "c": 2.9}

    def value(point):
        def walk(tree):
            if isinstance(tree, Number):
                return constant(tree.value, 3)
            if isinstance(tree, Applied):
                return apply(tree.name, tuple(walk(a) for a in tree.arguments), tree.text)
            i = "abc".index(tree.name)
            return symbol(point[tree.name], np.eye(3)[i], (0.0, np.inf), i)

        return walk(read(text, "abc")[0].tree)

    python = eval(text.replace("^", "**"), {"log": np.log, "exp": np.exp, "sqrt": np.sqrt}, at)
    assert_allclose(value(at).value, python, rtol=1e-14)
    for i, name in enumerate("abc"):
        h = 1e-5
        up, down = value({**at, name: at[name] + h}), value({**at, name: at[name] - h})
        assert_allclose(value(at).slope[i], (up.value - down.value) / (2 * h), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "fit", [sleep_fit, trial_fit, lambda: trial_fit("us", ""), lambda: trial_fit("csh", "")]
)
def test_slopes_in_the_parameters_are_finite_differences(fit):
    """Of cor, var and cov through the structure, and of rows, at parameters moved one by one."""
    fit = fit()
    effects = fit.labels.terms[0].effects
    group = fit.labels.terms[0].group
    names = Names(fit)
    texts = [
        f"cor({group}: {effects[0]}, {effects[1]})",
        f"var({group}: {effects[1]}) / exp(cov({group}: {effects[1]}, {effects[0]}))",
    ]
    statements = names.read(texts)
    exact = evaluate(statements, names)
    solution = fit.solution
    for a in range(len(solution.theta)):
        values = []
        h = 1e-5 * max(abs(solution.theta[a]), 1.0)
        for sign in (1, -1):
            theta = solution.theta.copy()
            theta[a] += sign * h
            moved = moved_solution(solution, theta)
            # At the same s2: log s2 is a parameter of its own.
            sigma = moved.covariances[0] * solution.scale2 / moved.scale2
            values.append(
                (sigma[0, 1] / np.sqrt(sigma[0, 0] * sigma[1, 1]), sigma[1, 1] / np.exp(sigma[1, 0]))
            )
        slopes = (np.array(values[0]) - values[1]) / (2 * h)
        assert_allclose([v.slope[a] for v in exact], slopes, rtol=1e-5, atol=1e-8)
    solution.factorised()


# -- laws ------------------------------------------------------------------------------------------------------


def test_ratios_do_not_know_the_unit_of_the_response():
    table = alpha().assign(big=alpha()["yield"] * 1e6 + 3)
    fit = hd.lmm("big ~ rep + (1 | gen) + (1 | rep:block)", table)
    text = "gen / (gen + rep:block + Residual)"
    for method in ("wald", "profile"):
        mine, other = fit.derive(text, method=method), alpha_fit().derive(text, method=method)
        for column in ("estimate", "std_error", "conf_low", "conf_high"):
            assert_allclose(mine[column], other[column], rtol=2e-5)


def test_limits_of_monotone_functions_are_the_functions_of_limits():
    fit = alpha_fit()
    out = fit.derive("r = gen / (gen + Residual); 1 - r; 5 * r; r^2; log(r)", method="profile").set_index(
        "name"
    )
    low, high = out.loc["r", ["conf_low", "conf_high"]]
    for name, f in (("5 * r", lambda x: 5 * x), ("r^2", np.square), ("log(r)", np.log)):
        assert_allclose(out.loc[name, ["conf_low", "conf_high"]].astype(float), [f(low), f(high)], rtol=2e-4)
    assert_allclose(out.loc["1 - r", ["conf_low", "conf_high"]].astype(float), [1 - high, 1 - low], rtol=2e-4)
    wald = fit.derive("r = gen / (gen + Residual); 5 * r; 1 - r").set_index("name")
    assert_allclose(
        wald.loc["5 * r", ["conf_low", "conf_high"]].astype(float),
        5 * wald.loc["r", ["conf_low", "conf_high"]].astype(float),
        rtol=1e-10,
    )
    assert_allclose(wald.loc["1 - r", "conf_low"], 1 - wald.loc["r", "conf_high"], rtol=1e-10)


def test_several_texts_and_earlier_names():
    fit = alpha_fit()
    one = fit.derive("v = gen + rep:block + Residual; h2 = gen / v")
    two = fit.derive(["v = gen + `rep:block` + 'Residual'", 'h2 = "gen" / v'])
    pd.testing.assert_frame_equal(one, two)
    assert one["name"].tolist() == ["v", "h2"]
    assert_allclose(one["estimate"][1], BY_R["gen / (gen + rep:block + Residual)"][0], rtol=2e-7)


# -- ranges and scales -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("gen / (gen + Residual)", "logit"),
        ("1 - gen / (gen + Residual)", "logit"),
        ("4 * gen / (gen + Residual)", "logit"),
        ("(gen + Residual/2) / (gen + Residual)", "logit"),
        ("1 / (1 + Residual/gen)", "logit"),
        ("gen / Residual", "log"),
        ("gen^2 + 3", "log"),
        ("-gen", "log"),
        ("exp(gen - Residual)", "log"),
        ("gen - Residual", "identity"),
        ("log(gen)", "identity"),
    ],
)
def test_the_scale_follows_from_the_expression(text, scale):
    out = alpha_fit().derive(text).iloc[0]
    assert out["scale"] == scale
    assert out["conf_low"] < out["estimate"] < out["conf_high"]


def test_a_ratio_times_four_goes_to_four():
    out = alpha_fit().derive(["a = gen / (gen + Residual)", "b = 4 * a"])
    assert_allclose(out["conf_high"][1], 4 * out["conf_high"][0], rtol=1e-12)


def test_the_interval_on_its_scale():
    out = alpha_fit().derive("gen / (gen + rep:block + Residual)", level=0.9).iloc[0]
    p, se = out["estimate"], out["std_error"]
    half = 1.6448536269514722 * se / (p * (1 - p))
    ends = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + np.array([-1, 1]) * half)))
    assert_allclose([out["conf_low"], out["conf_high"]], ends, rtol=1e-12)


# -- profile likelihood ----------------------------------------------------------------------------------------


def test_profile_limits_raise_the_deviance_by_the_quantile():
    """Of the ratio of a model with one random term, which is a function of theta alone: by bisection of the criterion itself."""
    from scipy.optimize import brentq

    from henderson.mixed.criterion import evaluate as criterion

    fit = hd.lmm("`yield` ~ rep + (1 | gen)", alpha())
    out = fit.derive("gen / (gen + Residual)", method="profile").iloc[0]
    problem, theta = fit.solution.problem, fit.solution.theta
    least = criterion(problem, theta).deviance
    scale = theta[0] / np.sqrt(fit.solution.covariances[0][0, 0] / fit.solution.scale2)

    def rise(ratio):
        moved = np.array([scale * np.sqrt(ratio / (1 - ratio))])
        return criterion(problem, moved).deviance - least - chi2.ppf(0.95, 1)

    ends = [
        brentq(rise, 1e-6, out["estimate"], xtol=1e-12),
        brentq(rise, out["estimate"], 1 - 1e-9, xtol=1e-12),
    ]
    assert_allclose([out["conf_low"], out["conf_high"]], ends, rtol=1e-5)


@pytest.mark.parametrize("structure", ["", "us"])
def test_profile_limits_are_those_of_lme4(structure):
    """R 4.2, lme4 1.1-31: confint(lmer(Reaction ~ Days + (Days|Subject), sleepstudy, REML=FALSE), "theta_"), which interpolates."""
    table = pd.DataFrame(hd.datasets.load("sleepstudy"))
    fit = hd.lmm(f"Reaction ~ Days + {structure}(Days | Subject)", table, reml=False)
    texts = ["sqrt(Subject: (Intercept))", "cor((Intercept), Days)", "sqrt(Subject: Days)", "sqrt(Residual)"]
    out = fit.derive(texts, method="profile")
    assert_allclose(out["conf_low"], [14.38143435, -0.48150044, 3.80116474, 22.89826622], rtol=2e-4)
    assert_allclose(out["conf_high"], [37.71601215, 0.68498621, 8.75336674, 28.85799732], rtol=2e-4)


@pytest.mark.parametrize("structured", [False, True])
def test_an_estimate_at_zero_has_a_one_sided_interval(structured):
    """The upper limit of 0: where twice the log likelihood has fallen by 1.645^2, by bisection."""
    from scipy.optimize import brentq

    table = pd.DataFrame(hd.datasets.load("Dyestuff2"))
    names = [str(v) for v in sorted(table["Batch"].unique())]
    identity = pd.DataFrame(np.eye(6), index=names, columns=names)
    if structured:
        fit = hd.lmm("Yield ~ 1 + (1 | vm(Batch, K))", table, relationships={"K": identity})
    else:
        fit = hd.lmm("Yield ~ 1 + (1 | Batch)", table)
    out = fit.derive(["r = Batch / (Batch + Residual)", "1 - r", "Batch", "Residual"])
    assert out["estimate"][0] == 0.0
    assert out["scale"].tolist() == ["profile", "profile", "profile", "log"]
    assert out["std_error"].isna().tolist() == [True, True, True, False]
    assert out["note"][0] == "estimated as 0, on the boundary; one-sided 95 % interval"
    assert out["conf_low"][0] == 0.0
    assert out["conf_high"][1] == 1.0
    assert_allclose(out["conf_low"][1], 1 - out["conf_high"][0], rtol=1e-4)

    y = table["Yield"].to_numpy()
    z = (table["Batch"].astype(str).to_numpy()[:, None] == np.array(names)).astype(float)
    x = np.ones((len(y), 1))

    def deviance(ratio):
        v = np.eye(len(y)) + ratio / (1 - ratio) * z @ z.T
        w = np.linalg.inv(v)
        a = x.T @ w @ x
        e = y - x @ np.linalg.solve(a, x.T @ w @ y)
        nu = len(y) - 1
        return np.linalg.slogdet(v)[1] + np.linalg.slogdet(a)[1] + nu * np.log(e @ w @ e)

    end = brentq(lambda r: deviance(r) - deviance(0.0) - chi2.ppf(0.9, 1), 1e-6, 0.9, xtol=1e-12)
    assert_allclose(out["conf_high"][0], end, rtol=1e-4)


def test_intervals_cover():
    """One-way layouts of 12 groups of 4 with ratio 0.4: 95 % intervals on the logit scale hold it in 200 sets about as often."""
    rng = np.random.default_rng(11)
    group = np.repeat(np.arange(12), 4)
    held = 0
    for _ in range(200):
        y = np.sqrt(0.4) * rng.standard_normal(12)[group] + np.sqrt(0.6) * rng.standard_normal(48)
        out = hd.lmm("y ~ 1 + (1 | g)", {"y": y, "g": [f"g{i}" for i in group]}).derive("g / (g + Residual)")
        held += bool(out["conf_low"][0] <= 0.4 <= out["conf_high"][0])
    # 190 are expected of an exact interval, with a standard deviation of 3.1.
    assert 180 <= held <= 199


# -- held, flat and undefined ----------------------------------------------------------------------------------


def test_what_is_held_is_known():
    fit = hd.lmm("`yield` ~ rep + (1 | gen)", alpha(), fixed_parameters={"Residual": 0.1})
    out = fit.derive(["gen / (gen + Residual)", "Residual"])
    assert out["std_error"][0] > 0
    assert np.isnan(out["std_error"][1])
    assert out["note"][1] == "nothing of it is estimated"


def test_what_is_not_defined_is_nan_with_a_reason():
    fit = hd.lmm("Yield ~ 1 + (1 | Batch)", pd.DataFrame(hd.datasets.load("Dyestuff2")))
    out = fit.derive(
        ["Residual / Batch", "log(Batch)", "sqrt(Batch - Residual)", "exp(1e4 * Residual)", "3 / 4"]
    )
    assert out["estimate"].isna().tolist() == [True, True, True, True, False]
    assert out["note"][0] == "Residual / Batch divides by zero"
    assert out["note"][1] == "log(Batch) is the logarithm of 0"
    assert out["note"][2].startswith("sqrt(Batch - Residual) is the root of -13.8")
    assert out["note"][3] == "exp(1e4 * Residual) is too large a number"
    assert out["estimate"][4] == 0.75


# -- names -----------------------------------------------------------------------------------------------------


def test_names_of_structured_components():
    fit = trial_fit()
    table = fit.variance_components.set_index(["group", "term"])["estimate"]
    loading, specific = table["line", "loading 1 env[E2]"], table["line", "specific env[E2]"]
    residual = table["Residual"].iloc[1]
    out = fit.derive(
        [
            "line: loading 1 env[E2]",
            "`line:loading 1 env[E2]`",
            "loading 1 env[E2]^2 + specific env[E2]",
            "var(line: env[E2])",
            "var(E2)",
            "var(E2) / (var(E2) + Residual: envE2 / 2)",
            "cor(E1, E2)",
            "cor(line: E2, E1)",
        ]
    )["estimate"]
    total = loading**2 + specific
    assert_allclose(out[:5], [loading, loading, total, total, total], rtol=1e-12)
    assert_allclose(out[5], total / (total + residual / 2), rtol=1e-12)
    assert_allclose(out[6], out[7], rtol=1e-14)
    correlations = fit.genetic_correlations()
    assert_allclose(out[6], correlations["correlation"][0], rtol=1e-14)


def test_an_alias_of_a_relationship_gives_way_to_a_group_of_its_name():
    fit = alpha_fit(True)
    out = fit.derive(["gen", "vm(gen, K)", "vm( gen,K )", "`vm(gen, K)`"])
    assert out["estimate"].nunique() == 1
    names = sorted(alpha()["gen"].unique())
    k = pd.DataFrame(
        0.5 * np.eye(24) + 0.5 * (np.arange(24)[:, None] // 2 == np.arange(24) // 2), names, names
    )
    both = hd.lmm("`yield` ~ rep + (1 | vm(gen, K)) + (1 | gen)", alpha(), relationships={"K": k})
    out = both.derive(["gen", "vm(gen, K)"])
    table = both.variance_components.set_index("group")["estimate"]
    assert_allclose(out["estimate"], [table["gen"], table["vm(gen, K)"]], rtol=1e-14)


def test_covariances_of_the_residual_have_correlations():
    rng = np.random.default_rng(5)
    cov = np.array([[1.0, 0.6], [0.6, 1.5]])
    table = pd.DataFrame({"id": np.repeat(np.arange(40), 3)})
    u = rng.multivariate_normal([0, 0], [[1.0, -0.4], [-0.4, 1.0]], 40)[table["id"]]
    table[["a", "b"]] = u + rng.multivariate_normal([0, 0], cov, 120)
    fit = hd.lmm("cbind(a, b) ~ trait + us(0 + trait | id)", table, residual="us(0 + trait | units)")
    rows = [r for r in components(fit) if r.number == -1]
    va, vb = (r for r in rows if r.variance)
    c = next(r for r in rows if not r.variance)
    out = fit.derive(
        [
            f"cor(Residual: {va.term}, Residual: {vb.term})",
            f"Residual: {c.term} / sqrt(Residual: {va.term} * Residual: {vb.term})",
        ]
    )
    assert_allclose(out["estimate"], c.value / np.sqrt(va.value * vb.value), rtol=1e-12)
    assert_allclose(out["std_error"][0], out["std_error"][1], rtol=1e-10)
    assert out["scale"][0] == "fisher_z"


# -- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "h2 = gem / 2",
            "no variance component is called 'gem'.\n    h2 = gem / 2\n         ^^^\nThe closest is 'gen'.",
        ),
        ("gen / (gen + Residual", "a ')' is missing here."),
        ("gen Residual", "'R' has no meaning here."),
        ("h = 1; h = 2", "'h' is defined twice."),
        ("Residual = 2", "'Residual' is the name of a variance component: choose another."),
        ("gen == 2", "'=' stands once in an expression, after the name it is given."),
        ("gen ^^ 2", "'^' has no meaning here."),
        ("rep:blok * 2", "no variance component is called 'rep:blok'."),
        ("2gen", "'2gen' is neither a number nor a name."),
        ("1e999", "1e999 is too large a number."),
        ("`gen", "this quote is not closed."),
        ("cor(gen)", "cor(...) takes two effects, not 1."),
        ("cor(gen, rep:block)", "are effects of different groups, which are independent."),
        (
            "__import__('os').system('true')",
            "no variance component is called '__import__('os').system('true')'.",
        ),
        ("gen.__class__", "no variance component is called 'gen.__class__'."),
        ("abs(gen)", "no variance component is called 'abs(gen)'."),
        ("gen +", "the expression ends too early: a name, a number or '(' is missing here."),
        ("", "there is no expression, such as 'h2 = animal / (animal + Residual)'."),
        ("(" * 200 + "gen" + ")" * 200, "parentheses are nested more than 100 deep."),
        ("gen" + "^gen" * 200, "powers are nested more than 100 deep."),
        ("gen + " * 3000 + "gen", "the limit."),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(text, said):
    with pytest.raises(FormulaError) as caught:
        alpha_fit().derive(text)
    assert said in str(caught.value)


def test_a_group_of_several_components_is_refused_with_their_names():
    with pytest.raises(FormulaError, match="'Residual' has 4 components: say which") as caught:
        trial_fit().derive("Residual")
    assert "'Residual: envE1', 'Residual: envE2'" in str(caught.value)
    with pytest.raises(FormulaError, match="no random term has an effect called 'E9'"):
        trial_fit().derive("cor(E1, E9)")


def test_other_arguments_are_refused():
    fit = alpha_fit()
    with pytest.raises(ModelError, match="method is 'wald' or 'profile', not 'bayes'"):
        fit.derive("gen", method="bayes")
    with pytest.raises(ModelError):
        fit.derive("gen", level=95)
    for wrong in (3, [], None, [3]):
        with pytest.raises(FormulaError):
            fit.derive(wrong)
