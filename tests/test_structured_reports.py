"""What a fit with structures prints, explains, predicts and plans, read back and compared with dense algebra."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from structured_models import ANIMAL, FACTORS, FIELD, MODELS, one_field, pedigree, trial
from test_cli import run  # noqa: F401
from test_explain import agree, brackets, section

import henderson as hd

# Mrode (2014) Linear Models for the Prediction of Animal Breeding Values, 3rd ed., example 3.1 (4.1 in the 4th): weaning gain of
# five calves, sigma2_a = 20, sigma2_e = 40; b and a as printed.
CALVES = pd.DataFrame({"calf": [4, 5, 6, 7, 8], "sex": list("MFFMM"), "wwg": [4.5, 2.9, 3.9, 3.5, 5.0]})
CALF_PEDIGREE = pd.DataFrame(
    {
        "animal": [1, 2, 3, 4, 5, 6, 7, 8],
        "sire": [None, None, None, 1, 3, 1, 4, 3],
        "dam": [None, None, None, None, 2, 2, 5, 6],
    }
)
PRINTED = [3.404, 4.358, 0.098, -0.019, -0.041, -0.009, -0.186, 0.177, -0.249, 0.183]


@pytest.fixture(scope="module")
def calves():
    return hd.lmm(
        "wwg ~ 0 + sex + (1 | vm(calf, A))",
        CALVES,
        relationships={"A": CALF_PEDIGREE},
        fixed_parameters={"vm(calf, A)": 20.0, "Residual": 40.0},
    )


@pytest.fixture(scope="module")
def fits():
    made = {}

    def get(name):
        if name not in made:
            made[name] = MODELS[name][0]()
        return made[name]

    return get


def block(text):
    """The covariance parameters of a summary."""
    return text.split("Covariance parameters:\n")[1].split("\n\nFixed effects")[0]


# -- summary and tables --------------------------------------------------------------------------------------


def test_the_head_says_what_the_formula_does_not(fits):
    text = fits("factors").summary()
    assert "\n   residual: diag(0 + env | units)\n   A: a pedigree of 40 animals\n" in text
    assert "groups:  vm(animal, A), 40 of which 32 with records" in text
    assert "\n   variance: ident(env) * power(z)\n" in fits("variance functions").summary()


@pytest.mark.parametrize("name", [n for n in MODELS if n != "factors"])
def test_every_component_is_printed_with_its_error_and_bound(fits, name):
    fit = fits(name)
    shown = [line for line in block(fit.summary()).splitlines()[1:] if re.search(r"\d", line)]
    table = fit.variance_components
    for line, row in zip(shown, table.itertuples(), strict=False):
        parts = line.split()
        mark = parts.pop() if parts[-1] in "BFC?" else ""
        assert mark == (row.bound if row.bound in "BFC" else "" if np.isfinite(row.std_error) else "?")
        numbers = parts[-3:] if np.isfinite(row.std_error) else parts[-1:]
        assert float(numbers[0]) == pytest.approx(row.estimate, rel=6e-3, abs=1e-12)
        if np.isfinite(row.std_error):
            assert float(numbers[1]) == pytest.approx(row.std_error, rel=6e-3)
            assert float(numbers[2]) == pytest.approx(row.estimate / row.std_error, abs=6e-3)
    assert len(shown) >= len(table)


def test_factors_are_a_matrix(fits):
    fit = fits("factors")
    lines = block(fit.summary()).splitlines()
    at = lines.index(" fa(0 + env | vm(animal, A), k=1), estimates (standard errors):")
    assert lines[at + 1].split() == ["Loading", "1", "Specific", "Variance", "%", "factors"]
    components = fit.variance_components.set_index("term")
    sigma = next(iter(fit.covariances.values()))
    for k, line in enumerate(lines[at + 2 : at + 5]):
        effect, loading, *rest = line.replace("(", "").replace(")", "").split()
        row = components.loc[f"loading 1 {effect}"]
        assert float(loading) == pytest.approx(row.estimate, abs=6e-4)
        assert float(rest[0]) == pytest.approx(row.std_error, rel=2e-3)
        assert float(rest[-2]) == pytest.approx(sigma[k, k], rel=2e-3)
        assert float(rest[-1]) == pytest.approx(100 * row.estimate**2 / sigma[k, k], abs=0.51)
    assert "loading" not in "\n".join(lines[at + 5 :])


def test_many_environments_stay_readable():
    rng = np.random.default_rng(4)
    loadings = rng.normal(size=20) + 1
    table = pd.DataFrame(
        {
            "gen": np.repeat([f"g{i}" for i in range(30)], 20),
            "env": np.tile([f"Env{i:02d}" for i in range(20)], 30),
        }
    )
    effects = rng.normal(size=30)[:, None] * loadings + 0.5 * rng.normal(size=(30, 20))
    table["y"] = (effects + 0.3 * rng.normal(size=(30, 20))).ravel()
    fit = hd.lmm("y ~ env + fa(0 + env | gen, k=1)", table, fixed_parameters={"Residual": 0.09})
    lines = block(fit.summary()).splitlines()
    assert len(lines) < 28 and max(map(len, lines)) < 100
    assert sum(line.startswith("  env[Env") for line in lines) == 20
    assert "F: held" in lines[-2] and "Number of obs: 600" in lines[-1]


def test_tidy_has_standard_deviations_and_correlations():
    fit = hd.lmm("y ~ x + us(0 + env | vm(animal, A))", trial(), relationships={"A": pedigree()})
    table = fit.tidy("ran_pars").set_index("term")
    components = fit.variance_components.set_index("term")
    for effect in ("env[E1]", "env[E2]", "env[E3]"):
        row = components.loc[effect]
        assert table.loc[f"sd__{effect}", "estimate"] == pytest.approx(np.sqrt(row.estimate))
        if row.bound == "P":
            assert table.loc[f"sd__{effect}", "std_error"] == pytest.approx(
                row.std_error / (2 * np.sqrt(row.estimate))
            )
    # The correlations and their delta method again, by expressions.
    for a, b in (("E1", "E2"), ("E1", "E3"), ("E2", "E3")):
        derived = fit.derive(f"r = cor(env[{a}], env[{b}])").iloc[0]
        row = table.loc[f"cor__env[{a}].env[{b}]"]
        assert row.estimate == pytest.approx(derived.estimate, rel=1e-9)
        if np.isfinite(row.std_error):
            assert row.std_error == pytest.approx(derived.std_error, rel=1e-6)
    assert table.loc["sd__Observation", "estimate"] == pytest.approx(fit.sigma)


def test_other_parameters_are_as_they_are(fits):
    table = fits("ar1 of effects").tidy("ran_pars")
    components = fits("ar1 of effects").variance_components
    assert list(table.term) == ["sd__variance", "phi", "sd__Observation"]
    assert table.estimate[1] == components.estimate[1] and table.std_error[1] == components.std_error[1]


# -- explain -------------------------------------------------------------------------------------------------


def test_mrode_explained(calves):
    text = calves.explain()
    lines = section(text, "Henderson's mixed-model equations")
    at = next(i for i, line in enumerate(lines) if line.startswith("Their solution"))
    (solution,) = brackets(lines[at:])
    np.testing.assert_allclose(solution[0][:, 0], PRINTED, atol=5.1e-4)
    A = dense_numerator(CALF_PEDIGREE)
    k, g = (
        brackets(section(text, "The random effects"))[:1],
        brackets(section(text, "The random effects")[-9:]),
    )
    agree((k[0][0][:8], k[0][1][:8]), A)
    agree(g[0], 20 * A)
    Z = np.eye(8)[3:]
    (v,) = brackets(section(text, "The response: Var(y) = V"))
    agree(v, 20 * Z @ A @ Z.T + 40 * np.eye(5))
    X = np.column_stack([CALVES.sex == "F", CALVES.sex == "M"]).astype(float)
    W = np.column_stack([X, Z])
    left = W.T @ W / 40
    left[2:, 2:] += np.linalg.inv(20 * A)
    coefficients, right = brackets(lines[:at])
    agree(coefficients, left)
    agree(right, W.T @ CALVES.wwg / 40)
    assert "(a pedigree of 8 animals)" in text


def dense_numerator(pedigree):
    """A by the tabular method."""
    place = {animal: i for i, animal in enumerate(pedigree.animal)}
    parents = [
        [place[p] for p in row if p is not None and p == p]
        for row in zip(pedigree.sire, pedigree.dam, strict=True)
    ]
    out = np.zeros((len(place), len(place)))
    for i, mine in enumerate(parents):
        out[i, :i] = out[:i, i] = sum((0.5 * out[p, :i] for p in mine), np.zeros(i))
        out[i, i] = 1.0 + (0.5 * out[mine[0], mine[1]] if len(mine) == 2 else 0.0)
    return out


def test_r_of_a_series_explained(fits):
    fit = fits("ar1 of residuals")
    components = fit.variance_components.set_index("term").estimate
    R = components["Residual"] * components["phi"] ** np.abs(np.subtract.outer(range(6), range(6)))
    (shown,) = brackets(section(fit.explain("V"), "The residuals: Var(e) = R"))
    agree(shown, R, relative=1e-5)
    (shown,) = brackets(section(fit.explain("V"), "The response: Var(y) = V"))
    agree(shown, R + components["(Intercept)"], relative=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_everything_is_explained(fits, name):
    fit = fits(name)
    text = str(fit.explain())
    assert "Var(y) = V = Z G Z' + R" in text and "nan" not in text.lower()
    from henderson.report.explain_structured import Covariances

    made = Covariances(fit)
    rows = np.arange(fit.nobs)
    V = made.v(rows)
    X = fit.design.X[:, fit.columns.kept]
    inner = X.T @ np.linalg.solve(V, X)
    np.testing.assert_allclose(np.linalg.inv(inner), fit.vcov, rtol=2e-5, atol=1e-9 * np.abs(fit.vcov).max())
    y = fit.design.y
    beta = np.linalg.solve(inner, X.T @ np.linalg.solve(V, y))
    np.testing.assert_allclose(beta, fit.coefficients, rtol=2e-5, atol=1e-7 * np.abs(beta).max())
    # u^ = G Z'V^-1 (y - X b^) among some columns.
    places = np.linspace(0, made.count - 1, min(made.count, 12)).astype(int)
    blup = made.times_g(places).T @ np.linalg.solve(V, y - X @ beta)
    np.testing.assert_allclose(made.effects()[places], blup, rtol=1e-4, atol=1e-6 * np.abs(y).max())
    g = made.g(places)
    np.testing.assert_allclose(g, g.T, atol=1e-12 * np.abs(g).max())


# -- predictions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_the_rows_of_the_fit_are_predicted_as_they_were_fitted(fits, name):
    fit, data = fits(name), MODELS[name][1]()
    np.testing.assert_allclose(fit.predict(), fit.fitted, rtol=1e-9)
    options = {"interval": "prediction"}
    # Without random effects a new record is of a level that nobody has seen: K_ii = 1 where the fit knows its own.
    of_population = "confidence" if "K" in name else "prediction"
    for more in ({}, {"random_effects": False, "interval": of_population}):
        pd.testing.assert_frame_equal(
            fit.predict(**(options | more)), fit.predict(data, **(options | more)), rtol=1e-10
        )


@pytest.mark.parametrize(
    "name", ["field", "fields", "sections", "variance functions", "factors", "weights, ML"]
)
def test_intervals_of_new_records_have_the_variance_of_their_row(fits, name):
    fit = fits(name)
    table = fit.predict(interval="prediction", level=0.95)
    half = (table.conf_high - table.conf_low) / 2 / 1.959963984540054
    from henderson.report.explain_structured import Covariances

    R = np.diag(Covariances(fit).r(np.arange(fit.nobs)))
    np.testing.assert_allclose(half**2 - table.std_error**2, R, rtol=1e-6)
    # The variance of a residual by V alone: Var(e^) = R P R.
    V, X = Covariances(fit).v(np.arange(fit.nobs)), fit.design.X
    whole, inverse = Covariances(fit).r(np.arange(fit.nobs)), np.linalg.inv(V)
    P = inverse - inverse @ X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
    variance = np.diag(whole @ P @ whole)
    known = variance > 1e-5 * R
    assert known.sum() > 30 or name == "field"
    expected = fit.residuals[known] / np.sqrt(variance[known])
    np.testing.assert_allclose(fit.residuals_as("standardized")[known], expected, rtol=1e-3)


def test_a_field_at_places_that_were_missing_is_kriged(fits):
    fit, data = fits("field"), one_field()
    whole = trial().iloc[64:]
    gone = whole.loc[whole.index.difference(data.index)]
    assert len(gone) == 3
    found = fit.predict(gone, se=True)
    group, residual = fit.labels.terms[1].group, fit.variance_components.estimate.iloc[-1]
    components = fit.variance_components.set_index(["group", "term"]).estimate
    both = pd.concat([data, gone])

    def distance(name):
        return np.abs(np.subtract.outer(both[name].to_numpy(), both[name].to_numpy()))

    field = (
        components[group, "(Intercept)"]
        * components[group, "phi(row)"] ** distance("row")
        * components[group, "phi(col)"] ** distance("col")
    )
    same = (both.col.to_numpy()[:, None] == both.col.to_numpy()[None, :]).astype(float)
    G = field + components["col", "(Intercept)"] * same
    n = len(data)
    V = G[:n, :n] + residual * np.eye(n)
    X = np.column_stack([np.ones(n + 3), both.x])
    inverse = np.linalg.inv(X[:n].T @ np.linalg.solve(V, X[:n]))
    beta = inverse @ X[:n].T @ np.linalg.solve(V, data.y)
    weight = np.linalg.solve(V, G[:n, n:])
    expected = X[n:] @ beta + weight.T @ (data.y - X[:n] @ beta)
    np.testing.assert_allclose(found.estimate, expected, rtol=1e-6)
    left = X[n:] - weight.T @ X[:n]
    variance = np.diag(G[n:, n:]) - np.einsum("ij,ij->j", weight, G[:n, n:])
    variance = variance + np.einsum("ij,jk,ik->i", left, inverse, left)
    np.testing.assert_allclose(found.std_error**2, variance, rtol=1e-5)


def test_places_beyond_the_field_and_rows_without_a_place(fits):
    fit, data = fits("field"), one_field()
    components = fit.variance_components.set_index(["group", "term"]).estimate
    field = components[fit.labels.terms[1].group, "(Intercept)"]
    beyond = fit.predict(data.assign(row=99), se=True)
    nowhere = fit.predict(data.drop(columns="row"), se=True)
    np.testing.assert_allclose(beyond.estimate, nowhere.estimate)
    np.testing.assert_allclose(beyond.std_error**2, nowhere.std_error**2 + field, rtol=1e-10)
    # A new record has all of the field's variance wherever it is not known.
    pair = [fit.predict(d, interval="prediction") for d in (data.assign(row=99), data.drop(columns="row"))]
    np.testing.assert_allclose(pair[0].conf_high, pair[1].conf_high)


def test_a_field_is_named_by_place_and_section(fits):
    effects = fits("fields").random_effects
    assert list(dict.fromkeys(effects.group)) == [
        f"at(env, {e}):ar1(row):ar1(col)" for e in ("E1", "E2", "E3")
    ]
    first = effects[effects.group == "at(env, E1):ar1(row):ar1(col)"]
    assert sorted(first.level) == sorted(f"{r}:{c}" for r in range(8) for c in range(4))
    assert fits("fields").recorded == (29, 32, 32)


def test_what_says_nothing_of_new_records_is_refused():
    data = trial().iloc[:32].assign(id=[f"r{i}" for i in range(32)])
    V = np.diag(np.linspace(1, 2, 32)) + 0.1
    fit = hd.lmm("y ~ x + (1 | row)", data, residual="vm(id, V)", relationships={"V": (V, list(data.id))})
    with pytest.raises(hd.NotAvailableError, match="says nothing of new records"):
        fit.predict(data, interval="prediction")
    assert len(fit.predict(data, interval="confidence")) == 32
    table = fit.predict(interval="prediction")
    half = (table.conf_high - table.conf_low) / 2 / 1.959963984540054
    np.testing.assert_allclose(half**2 - table.std_error**2, np.diag(V) * fit.solution.scale2, rtol=1e-8)
    sections = MODELS["sections"][0]()
    with pytest.raises(hd.DataError, match="no variance for 'env' E9"):
        sections.error_variances(trial().assign(env="E9"), np.zeros(96))


# -- plans ---------------------------------------------------------------------------------------------------


def test_a_plan_says_what_the_fit_takes(fits):
    fit = fits("pedigree")
    before = hd.plan(ANIMAL, trial(), relationships={"A": pedigree()})
    assert str(before) == str(fit.plan())
    assert (before.random, before.fixed, before.equations, before.rows, before.parameters) == (
        40,
        2,
        42,
        96,
        2,
    )
    # Lower triangle of C: A^-1 and the diagonal, the couplings with X, and X'X.
    inverse = np.linalg.inv(dense_numerator(pedigree()))
    entries = int(np.sum(np.abs(np.tril(inverse)) > 1e-12))
    assert before.entries == entries + 40 * 2 + 3
    assert before.fits and before.factor == 43**2 and before.fill == before.factor / before.entries
    text = str(before)
    assert "one dense front" in text and "K^-1 of vm (sparse" in text and "42: 40 random, 2 fixed" in text


@pytest.mark.parametrize("name", MODELS)
def test_a_plan_counts_parameters(fits, name):
    fit = fits(name)
    plan = fit.plan()
    assert plan.parameters == fit.npar - fit.solution.coordinates.rank
    assert plan.rows == fit.nobs and plan.random >= 1 and plan.memory > 0


def test_plans_of_other_solvers(fits):
    assert fits("dense K").plan().solver.startswith("eigenvectors of K")
    assert "R^-1 (ar1" in str(fits("ar1 of residuals").plan())
    assert "dense, by LAPACK" not in str(fits("field").plan())
    sleep = hd.datasets.load("sleepstudy")
    plain = hd.plan("Reaction ~ Days + (Days | Subject)", sleep)
    assert plain.solver == "one dense matrix, by LAPACK" and plain.equations == 38
    assert str(plain) == str(hd.lmm("Reaction ~ Days + (Days | Subject)", sleep).plan())
    crossed = hd.plan("y ~ service + (1 | s) + (1 | d)", hd.datasets.load("InstEval"))
    assert (crossed.random, crossed.fixed, crossed.rows) == (4100, 2, 73421)
    assert crossed.solver.startswith("2,972 levels of 1 eliminated one by one")
    with pytest.raises(hd.ModelError, match="has no random term"):
        hd.plan("Reaction ~ Days", sleep)
    with pytest.raises(hd.FormulaError, match="no relationship called 'A'"):
        hd.plan(ANIMAL, trial())


def test_a_sparse_plan_counts_the_factor():
    rng = np.random.default_rng(5)
    n = 3000
    ids = [f"i{k}" for k in range(n)]
    parents = [[None] * 60 + [f"i{k}" for k in rng.integers(lo, lo + 30, n - 60)] for lo in (0, 30)]
    table = pd.DataFrame({"animal": ids, "sire": parents[0], "dam": parents[1]})
    data = pd.DataFrame({"animal": ids, "y": rng.normal(size=n)})
    plan = hd.plan("y ~ 1 + (1 | vm(animal, A))", data, relationships={"A": table})
    assert plan.solver.startswith("supernodal sparse Cholesky")
    assert plan.entries <= plan.factor < 20 * plan.entries and plan.flops > plan.factor


def test_what_does_not_fit_in_memory_is_refused_with_its_size(monkeypatch):
    from henderson.mixed.structured import plan as plans

    monkeypatch.setattr(plans, "machine_memory", lambda: 20_000)
    plan = hd.plan(ANIMAL, trial(), relationships={"A": pedigree()})
    assert not plan.fits and "TOO LITTLE" in str(plan)
    with pytest.raises(hd.ModelError, match=r"42 mixed-model equations fill 29.6 kB .* machine has 20 kB"):
        hd.lmm(ANIMAL, trial(), relationships={"A": pedigree()})


# -- figures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_figures_are_drawn(fits, name, tmp_path):
    fit = fits(name)
    for figure in ("fit", "check", "residuals", "qq", "scale_location", "random_effects"):
        getattr(fit.plot, figure)().savefig(tmp_path / f"{figure}.png")
        assert (tmp_path / f"{figure}.png").stat().st_size > 1000
    with pytest.raises(hd.ModelError, match="this one has random effects"):
        fit.plot.leverage()


def test_thousands_of_levels_are_thinned():
    from henderson.report.figures import caterpillar

    rng = np.random.default_rng(6)
    n = 300
    ids = [f"i{k}" for k in range(n)]
    data = pd.DataFrame({"animal": ids * 2, "y": rng.normal(size=2 * n)})
    fit = hd.lmm("y ~ 1 + (1 | vm(animal, A))", data, relationships={"A": (np.eye(n), ids)})
    before = caterpillar.DRAWN
    caterpillar.DRAWN = 100
    try:
        (axes,) = fit.plot.random_effects().axes
    finally:
        caterpillar.DRAWN = before
    assert axes.get_ylabel() == "300 levels, 100 drawn"


# -- command line --------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    trial().to_csv(tmp_path / "d.csv", index=False)
    pedigree().to_csv(tmp_path / "ped.csv", index=False)
    return tmp_path / "d.csv", f"A={tmp_path / 'ped.csv'}", tmp_path


def test_fit_takes_relationships_and_residuals(run, files):  # noqa: F811
    data, relationship, folder = files
    arguments = ("fit", FACTORS, data, "--relationship", relationship, "--residual", "diag(0 + env | units)")
    code, out, err = run(*arguments)
    read = pd.read_csv(data)
    fit = hd.lmm(FACTORS, read, relationships={"A": pedigree()}, residual="diag(0 + env | units)")
    assert (code, err) == (0, "") and out == fit.summary()
    code, out, _ = run(*arguments, "--json", "--out", folder / "fit.zip", "--plot", folder / "p.png")
    record = json.loads(out)
    assert record["deviance"] == pytest.approx(fit.deviance, abs=1e-9)
    assert len(record["variance_components"]) == 9 and (folder / "p.png").exists()
    assert hd.load(folder / "fit.zip").summary() == fit.summary()


def test_fit_takes_matrices_and_neighbours(run, files):  # noqa: F811
    data, _, folder = files
    read = pd.read_csv(data)
    ids = sorted(read.animal.unique())
    K = 0.5 * np.eye(len(ids)) + 0.5
    pd.DataFrame(K, index=ids, columns=ids).to_csv(folder / "k.csv")
    _, out, _ = run(
        "fit", "y ~ x + (1 | vm(animal, K))", data, "--relationship", f"K={folder / 'k.csv'}", "--json"
    )
    fit = hd.lmm("y ~ x + (1 | vm(animal, K))", read, relationships={"K": (K, ids)})
    assert json.loads(out)["deviance"] == pytest.approx(fit.deviance, abs=1e-8)
    pairs = [(f"{r}", f"{r + 1}") for r in range(7)]
    pd.DataFrame(pairs, columns=["a", "b"]).to_csv(folder / "w.csv", index=False)
    model = "y ~ x + (1 | car(row, W))"
    code, out, err = run("fit", model, data, "--relationship", f"W={folder / 'w.csv'}", "--json")
    assert code == 0, err
    fit = hd.lmm(model, read, relationships={"W": pairs})
    assert json.loads(out)["deviance"] == pytest.approx(fit.deviance, abs=1e-8)


def test_check_and_plan_take_the_same(run, files):  # noqa: F811
    data, relationship, _ = files
    code, out, _ = run("check", ANIMAL, data, "--relationship", relationship)
    assert code == 0 and "40 levels of vm(animal, A)" in out
    assert out == repr(hd.check(ANIMAL, data, relationships={"A": pedigree()}))
    code, out, _ = run(
        "plan",
        ANIMAL,
        data,
        "--relationship",
        relationship,
        "--residual",
        FIELD.replace("ar1(row)", "env:ar1(row)"),
    )
    assert code == 0 and "supernodal" not in out and "96 rows of data" in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["A"], "'A' is not NAME=FILE"),
        (["=ped.csv"], "is not NAME=FILE"),
        (["A=nothing.csv"], "there is no file 'nothing.csv'"),
        (["B=$"], "no relationship called 'A'"),
        (["A=$", "A=$"], "'A' is given twice"),
        ([], "no relationship called 'A'"),
    ],
)
def test_relationships_that_are_wrong(run, files, given, said):  # noqa: F811
    data, relationship, _ = files
    path = relationship.removeprefix("A=")
    options = [part for text in given for part in ("--relationship", text.replace("$", path))]
    for command in ("fit", "check", "plan"):
        code, out, err = run(command, ANIMAL, data, *options)
        assert (code, out) == (1, "") and said in err, err


def test_relationships_are_for_random_terms(run, files):  # noqa: F811
    data, relationship, _ = files
    code, _, err = run("fit", "y ~ x", data, "--relationship", relationship)
    assert code == 1 and "--relationship is for random terms" in err
