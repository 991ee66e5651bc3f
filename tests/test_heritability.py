"""Heritabilities against ASReml's and R's numbers and dense twins; covariances, correlations, factors, accuracies."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from test_derive import alpha, alpha_fit, sleep_fit, trial_fit, trials

import henderson as hd
from henderson.errors import ModelError


def only(fit, term=None, method="standard", **options):
    out = fit.heritability(term, method, **options)
    assert len(out) == 1
    return out.iloc[0]


def pairs_mean(p):
    """Mean over the pairs, one by one."""
    i, j = np.triu_indices(len(p), 1)
    return float(np.mean(p[i, i] + p[j, j] - 2 * p[i, j]))


# -- john.alpha ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structured", [False, True])
def test_the_alpha_design_as_asreml_and_r_have_it(structured):
    """ASReml-R printed in agridat 1.27: sg2 0.142902, vblup 0.05455038, vblue 0.07010875, Cullis 0.809, Piepho 0.803.
    R 4.2: lme4 1.1-31 and the mixed-model equations by solve(): Cullis 0.809133565345, vblup 0.0545503784558, Oakey 0.809133565345;
    lmer(yield ~ gen + rep + (1|rep:block)) and emmeans 1.8.4 (asymptotic): vblue 0.0701087500333, Piepho 0.803016996591."""
    fit = alpha_fit(structured)
    cullis = only(fit, "gen", "cullis")
    assert_allclose(cullis["variance"], 0.142902, atol=5e-7)
    assert_allclose(cullis["mean_variance"], 0.05455038, atol=3e-8)
    assert_allclose(
        [cullis["heritability"], cullis["mean_variance"]], [0.809133565345, 0.0545503784558], rtol=3e-7
    )
    piepho = only(fit, "gen", "piepho")
    assert_allclose(piepho["mean_variance"], 0.07010875, atol=5e-9)
    assert_allclose(
        [piepho["heritability"], piepho["mean_variance"]], [0.803016996591, 0.0701087500333], rtol=3e-7
    )
    assert_allclose(only(fit, "gen", "oakey")["heritability"], 0.809133565345, rtol=3e-7)
    standard = only(fit, "gen")
    assert_allclose(
        [standard["heritability"], standard["std_error"]], [0.8400676352, 0.0613913839], rtol=1e-6
    )
    name = "vm(gen, K)" if structured else "gen"
    assert standard["note"] == f"{name} / ({name} + Residual / 3)"
    plot = only(fit, "gen", basis="plot")
    assert_allclose(plot["heritability"], 0.14290196847 / (0.14290196847 + 0.08161717442), rtol=1e-6)


def test_balanced_data_have_one_heritability():
    """Lines in sites, two records in each: all four are s_g^2 / (s_g^2 + s_gs^2 / 4 + s_e^2 / 8)."""
    rng = np.random.default_rng(2)
    line, site = np.repeat(np.arange(25), 8), np.tile(np.repeat(np.arange(4), 2), 25)
    y = (
        site
        + rng.standard_normal(25)[line]
        + 0.8 * rng.standard_normal(100)[4 * line + site]
        + 0.9 * rng.standard_normal(200)
    )
    table = pd.DataFrame({"y": y, "line": [f"L{i}" for i in line], "site": [f"S{i}" for i in site]})
    fit = hd.lmm("y ~ site + (1 | line) + (1 | line:site)", table)
    v = fit.variance_components.set_index("group")["estimate"]
    expected = v["line"] / (v["line"] + v["line:site"] / 4 + v["Residual"] / 8)
    for method in ("standard", "cullis", "piepho", "oakey"):
        assert_allclose(only(fit, "line", method)["heritability"], expected, rtol=2e-6)
    derived = fit.derive("line / (line + line:site / 4 + Residual / 8)").iloc[0]
    standard = only(fit, "line")
    for column in ("std_error", "conf_low", "conf_high"):
        assert_allclose(standard[column], derived[column], rtol=1e-10)
    assert standard["note"] == "line / (line + line:site / 4 + Residual / 8)"


def test_unbalanced_records_count_by_their_harmonic_mean():
    table = alpha().iloc[5:]
    fit = hd.lmm("`yield` ~ rep + (1 | gen)", table)
    counts = table["gen"].value_counts()
    n = len(counts) / np.sum(1 / counts)
    v = fit.variance_components.set_index("group")["estimate"]
    assert_allclose(only(fit)["heritability"], v["gen"] / (v["gen"] + v["Residual"] / n), rtol=1e-12)


# -- dense twins -----------------------------------------------------------------------------------------------


@cache
def related():
    """40 individuals of a random correlation, 33 of them with one to three records of two weights, and rows of a block."""
    rng = np.random.default_rng(8)
    w = rng.standard_normal((40, 60))
    k = w @ w.T / 60 + 0.2 * np.eye(40)
    names = [f"a{i:02d}" for i in range(40)]
    ids = np.concatenate([np.arange(33), rng.integers(0, 33, 40)])
    u = np.linalg.cholesky(k) @ rng.standard_normal(40)
    block = rng.integers(0, 6, len(ids))
    weight = rng.uniform(0.5, 2.0, len(ids))
    x = rng.standard_normal(len(ids))
    y = 1 + x + u[ids] + 0.5 * rng.standard_normal(6)[block] + rng.standard_normal(len(ids)) / np.sqrt(weight)
    table = pd.DataFrame(
        {"y": y, "x": x, "id": [names[i] for i in ids], "b": [f"b{i}" for i in block], "w": weight}
    )
    return table, pd.DataFrame(k, names, names)


@cache
def related_fit():
    table, k = related()
    return hd.lmm("y ~ x + (1 | vm(id, A)) + (1 | b)", table, relationships={"A": k}, weights="w")


def dense_pev():
    """PEV of the 40 individuals by the mixed-model equations, and their prior variance."""
    table, k = related()
    v = related_fit().variance_components.set_index("group")["estimate"]
    sg, sb, se = v["vm(id, A)"], v["b"], v["Residual"]
    x = np.column_stack([np.ones(len(table)), table["x"]])
    za = (table["id"].to_numpy()[:, None] == k.index.to_numpy()).astype(float)
    zb = (table["b"].to_numpy()[:, None] == np.unique(table["b"])).astype(float)
    w = np.column_stack([x, za, zb])
    c = w.T @ (w * table["w"].to_numpy()[:, None] / se)
    c[2:42, 2:42] += np.linalg.inv(k) / sg
    c[42:, 42:] += np.eye(zb.shape[1]) / sb
    return np.linalg.inv(c)[2:42, 2:42], sg * k.to_numpy(), za


def test_related_levels_are_compared_with_their_prior_differences():
    pev, prior, za = dense_pev()
    seen = za.any(axis=0)
    assert 30 <= seen.sum() < 40
    out = only(related_fit(), method="cullis")
    mean = pairs_mean(pev[np.ix_(seen, seen)])
    assert_allclose(out["mean_variance"], mean, rtol=1e-8)
    assert_allclose(out["heritability"], 1 - mean / pairs_mean(prior[np.ix_(seen, seen)]), rtol=1e-8)


def test_oakey_is_the_mean_of_the_eigenvalues_that_are_not_zero():
    pev, prior, _ = dense_pev()
    values = np.sort(np.linalg.eigvals(np.eye(40) - np.linalg.solve(prior, pev)).real)
    kept = values[values > 1e-6]
    # Seven individuals have no record, and one direction is the mean.
    assert len(kept) == 40 - 7 - 1 or len(kept) == 40 - 7
    assert_allclose(only(related_fit(), "id", "oakey")["heritability"], kept.mean(), rtol=1e-7)


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("records", [1, 2])
def test_levels_of_a_rotated_or_singular_relationship(records, singular):
    """As many records of each level, and levels without any: the engine works with eigenvectors of K."""
    _, k = related()
    rng = np.random.default_rng(4)
    names = k.index.to_numpy()
    if singular:
        w = rng.standard_normal((40, 25))
        k = pd.DataFrame(w @ w.T / 25, names, names)
    ids = np.repeat(np.arange(32), records)
    u = np.linalg.cholesky(k.to_numpy() + 1e-9 * np.eye(40)) @ rng.standard_normal(40)
    x = rng.standard_normal(len(ids))
    table = pd.DataFrame(
        {"y": x + 1.5 * u[ids] + 0.7 * rng.standard_normal(len(ids)), "x": x, "id": names[ids]}
    )
    fit = hd.lmm("y ~ x + (1 | vm(id, A))", table, relationships={"A": k})
    v = fit.variance_components.set_index("group")["estimate"]
    assert v["vm(id, A)"] > 0.1
    za = (table["id"].to_numpy()[:, None] == names).astype(float)
    g, xm = v["vm(id, A)"] * k.to_numpy(), np.column_stack([np.ones(len(x)), x])
    vi = np.linalg.inv(za @ g @ za.T + v["Residual"] * np.eye(len(x)))
    p = vi - vi @ xm @ np.linalg.solve(xm.T @ vi @ xm, xm.T @ vi)
    pev = g - g @ za.T @ p @ za @ g
    seen = np.arange(32)
    out = only(fit, method="cullis")
    assert_allclose(out["mean_variance"], pairs_mean(pev[np.ix_(seen, seen)]), rtol=1e-7)
    assert_allclose(out["heritability"], 1 - pairs_mean(pev[:32, :32]) / pairs_mean(g[:32, :32]), rtol=1e-7)
    values, vectors = np.linalg.eigh(g)
    live = values > 1e-9 * values.max()
    root = vectors[:, live] / np.sqrt(values[live])
    found = np.linalg.eigvalsh(root.T @ (g - pev) @ root)
    assert_allclose(only(fit, method="oakey")["heritability"], found[found > 1e-7].mean(), rtol=1e-6)
    if records > 1:
        fixed = hd.lm("y ~ 0 + id + x", table)
        rows = [i for i, t in enumerate(fixed.fixed_effects["term"]) if t.startswith("id")]
        mean = pairs_mean(fixed.vcov[np.ix_(rows, rows)])
        assert_allclose(only(fit, method="piepho")["mean_variance"], mean, rtol=1e-8)
    else:
        with pytest.raises(ModelError, match="32 records of 32 levels"):
            fit.heritability(method="piepho")


def test_piepho_is_another_fit_with_the_levels_fixed():
    table, _ = related()
    fixed = hd.lmm("y ~ 0 + id + x + (1 | b)", table, weights="w")
    rows = [i for i, t in enumerate(fixed.fixed_effects["term"]) if t.startswith("id")]
    mean = pairs_mean(fixed.vcov[np.ix_(rows, rows)])
    out = only(related_fit(), "vm(id, A)", "piepho")
    assert_allclose(out["mean_variance"], mean, rtol=2e-5)
    assert_allclose(out["heritability"], out["variance"] / (out["variance"] + mean / 2), rtol=2e-5)


@cache
def field_fit():
    rng = np.random.default_rng(6)
    row, col = (a.ravel() for a in np.meshgrid(np.arange(10), np.arange(9), indexing="ij"))
    r = 0.6 ** np.abs(row[:, None] - row) * 0.4 ** np.abs(col[:, None] - col)
    gen = rng.permutation(90) % 30
    y = 3 + rng.standard_normal(30)[gen] + np.linalg.cholesky(r) @ rng.standard_normal(90)
    table = pd.DataFrame({"y": y, "gen": [f"G{i:02d}" for i in gen], "row": row, "col": col}).drop(
        index=[7, 40]
    )
    residual = "(1 | ar1(row):ar1(col))"
    return table, residual, hd.lmm("y ~ 1 + (1 | gen)", table, residual=residual)


def test_piepho_keeps_the_residual_of_the_field():
    table, residual, fit = field_fit()
    fixed = hd.gls("y ~ 0 + gen", table, residual=residual)
    out = only(fit, method="piepho")
    assert_allclose(out["mean_variance"], pairs_mean(fixed.vcov), rtol=1e-4)


def test_piepho_without_any_other_random_term():
    table = alpha()
    fit = hd.lmm("`yield` ~ rep + (1 | gen)", table)
    fixed = hd.lm("`yield` ~ 0 + gen + rep", table)
    rows = [i for i, t in enumerate(fixed.fixed_effects["term"]) if t.startswith("gen")]
    mean = pairs_mean(fixed.vcov[np.ix_(rows, rows)])
    assert_allclose(only(fit, method="piepho")["mean_variance"], mean, rtol=1e-9)


@pytest.mark.parametrize("left", ["us", "fa", "rr + diag"])
def test_each_environment_has_its_own(left):
    table = trials()
    if left == "rr + diag":
        fit = hd.lmm(
            "y ~ env + rr(0 + env | line, k=1) + diag(0 + env | line)",
            table,
            residual="diag(0 + env | units)",
        )
    else:
        fit = trial_fit(left, ", k=1" if left == "fa" else "")
    sigma = sum(fit.covariances.values())
    residual = fit.variance_components.set_index("group").loc["Residual", "estimate"].to_numpy()
    x = (table["env"].to_numpy()[:, None] == np.unique(table["env"])).astype(float)
    z = (table["line"].to_numpy()[:, None] == np.unique(table["line"])).astype(float)
    rinv = 1 / (x @ residual)
    zz = np.einsum("ni,nj->nij", z, x).reshape(len(table), -1)
    v = zz @ np.kron(np.eye(30), sigma) @ zz.T + np.diag(1 / rinv)
    vi = np.linalg.inv(v)
    p = vi - vi @ x @ np.linalg.solve(x.T @ vi @ x, x.T @ vi)
    g = np.kron(np.eye(30), sigma)
    pev = g - g @ zz.T @ p @ zz @ g
    cullis, oakey, standard = (fit.heritability(method=m) for m in ("cullis", "oakey", "standard"))
    assert cullis["term"].tolist() == [f"env[E{j}]" for j in range(1, 5)]
    for j in range(4):
        mine = pev[j::4, j::4]
        assert_allclose(cullis["heritability"][j], 1 - pairs_mean(mine) / (2 * sigma[j, j]), rtol=1e-7)
        values = np.linalg.eigvalsh(np.eye(30) - mine / sigma[j, j])
        assert_allclose(oakey["heritability"][j], values[values > 1e-7].mean(), rtol=1e-7)
        assert_allclose(
            standard["heritability"][j], sigma[j, j] / (sigma[j, j] + residual[j] / 2), rtol=1e-10
        )
        derived = fit.derive(f"var(line: E{j + 1}) / (var(line: E{j + 1}) + Residual: envE{j + 1} / 2)")
        assert_allclose(standard["std_error"][j], derived["std_error"][0], rtol=1e-9)


def test_a_variance_of_zero_has_no_heritability():
    fit = hd.lmm("Yield ~ 1 + (1 | Batch)", pd.DataFrame(hd.datasets.load("Dyestuff2")))
    for method in ("standard", "cullis", "piepho", "oakey"):
        out = only(fit, method=method)
        assert out["heritability"] == 0.0
        assert "estimated as 0" in out["note"]


# -- refusals --------------------------------------------------------------------------------------------------


def test_refusals_name_what_there_is():
    fit = alpha_fit()
    with pytest.raises(
        ModelError, match=r"there are 2 terms: say which, term='gen'. They are 'gen', 'rep:block'"
    ):
        fit.heritability()
    with pytest.raises(ModelError, match=r"no random term is called 'geno'. The closest is 'gen'"):
        fit.heritability("geno")
    with pytest.raises(ModelError, match="The closest is 'cullis'"):
        fit.heritability("gen", "culis")
    with pytest.raises(ModelError, match="basis is 'entry'"):
        fit.heritability("gen", basis="mean")
    with pytest.raises(ModelError, match='basis="plot" is for method="standard"'):
        fit.heritability("gen", "cullis", basis="plot")
    with pytest.raises(ModelError, match="has 4 effects a level"):
        trial_fit().heritability(method="piepho")


def test_levels_that_cannot_be_compared_where_they_are_fixed():
    table = alpha().assign(half=np.where(alpha()["gen"] < "G13", "early", "late"))
    fit = hd.lmm("`yield` ~ half + (1 | gen)", table)
    assert only(fit, method="cullis")["heritability"] > 0
    with pytest.raises(ModelError, match="cannot all be compared where they are fixed"):
        fit.heritability(method="piepho")
    held = hd.lmm("`yield` ~ rep + (1 | gen)", table, fixed_parameters={"Residual": 0.1})
    with pytest.raises(ModelError, match="parameters held by the user"):
        held.heritability(method="piepho")


# -- covariances, correlations, factors ------------------------------------------------------------------------


@pytest.mark.parametrize("structure", ["", "us"])
def test_covariances_are_the_table_of_components(structure):
    fit = sleep_fit(structure)
    table, out = fit.variance_components, fit.covariance()
    assert out["effect1"].tolist() == ["(Intercept)", "(Intercept)", "Days"]
    assert out["effect2"].tolist() == ["(Intercept)", "Days", "Days"]
    assert_allclose(out["covariance"], table["estimate"][[0, 2, 1]], rtol=1e-12)
    assert_allclose(out["std_error"], table["std_error"][[0, 2, 1]], rtol=1e-9)
    correlation = fit.genetic_correlations()
    # By R: see test_derive.
    assert_allclose(correlation["correlation"][0], 0.065551343, rtol=3e-6)
    assert_allclose(correlation["std_error"][0], 0.325024270, rtol=3e-6)


@pytest.mark.parametrize(
    ("left", "k"), [("us", ""), ("csh", ""), ("fa", ", k=1"), ("diag", ""), ("rr", ", k=2")]
)
def test_correlations_of_any_structure_are_those_of_sigma(left, k):
    fit = trial_fit(left, k)
    sigma = next(iter(fit.covariances.values()))
    sd = np.sqrt(np.diag(sigma))
    i, j = np.tril_indices(4, -1)
    out = fit.genetic_correlations()
    assert_allclose(out["covariance"], sigma[i, j], rtol=1e-12, atol=1e-12)
    assert_allclose(out["correlation"], (sigma / np.outer(sd, sd))[i, j], rtol=1e-12, atol=1e-12)
    names = fit.labels.terms[0].effects
    assert list(zip(out["effect2"], out["effect1"], strict=True)) == [
        (names[a], names[b]) for a, b in zip(i, j, strict=True)
    ]
    inside = ~out["std_error"].isna()
    assert (out["conf_low"] < out["correlation"])[inside].all() and (out["conf_high"] > out["correlation"])[
        inside
    ].all()
    if left != "diag":
        assert inside.any()


def test_a_correlation_of_one_has_no_standard_error():
    out = trial_fit("rr", ", k=1").genetic_correlations()
    assert_allclose(np.abs(out["correlation"]), 1.0, rtol=1e-12)
    assert out["std_error"].isna().all()


@pytest.mark.parametrize("rotation", ["none", "principal", "varimax"])
def test_factors_make_the_covariance_and_the_blups(rotation):
    fit = trial_fit("rr", ", k=2")
    out = fit.loadings(rotation=rotation)
    sigma, u = fit.solution.covariances[0], fit.solution.u[0]
    assert_allclose(out.loadings @ out.loadings.T + np.diag(out.specific), sigma, rtol=1e-10, atol=1e-12)
    assert_allclose(out.factor_scores @ out.loadings.T, u, rtol=1e-10, atol=1e-10)
    if rotation == "none":
        assert out.loadings[0, 1] == 0.0
    if rotation == "principal":
        cross = out.loadings.T @ out.loadings
        assert_allclose(cross[0, 1], 0.0, atol=1e-10)
        assert cross[0, 0] > cross[1, 1]
    assert_allclose(out.explained["percent_explained"].sum(), 100.0, rtol=1e-10)
    assert out.scores["level"].tolist() == [f"L{i:02d}" for i in range(30)]


def test_what_factors_explain_where_there_are_specific_variances():
    fit = trial_fit()
    out = fit.loadings()
    table = fit.variance_components.set_index("term")["estimate"]
    loadings = table[[f"loading 1 env[E{j}]" for j in range(1, 5)]].to_numpy()
    specific = table[[f"specific env[E{j}]" for j in range(1, 5)]].to_numpy()
    assert_allclose(out.loadings[:, 0], loadings, rtol=1e-10)
    assert_allclose(out.table["percent_explained"], 100 * loadings**2 / (loadings**2 + specific), rtol=1e-10)
    assert_allclose(
        out.percent_explained, 100 * np.sum(loadings**2) / np.sum(loadings**2 + specific), rtol=1e-10
    )
    assert out.table["effect"].tolist() == [f"env[E{j}]" for j in range(1, 5)]
    assert "% of all" in repr(out)
    both = hd.lmm(
        "y ~ env + rr(0 + env | line, k=1) + diag(0 + env | line)", trials(), residual="diag(0 + env | units)"
    )
    other = both.loadings()
    assert_allclose(other.loadings, out.loadings, rtol=2e-4)
    assert_allclose(other.specific, out.specific, rtol=2e-3, atol=1e-5)


def test_terms_without_factors_are_refused():
    with pytest.raises(ModelError, match=r"no term of .* has factors"):
        alpha_fit().loadings()
    with pytest.raises(ModelError, match="has no factors"):
        trial_fit("us", "").loadings("line")
    with pytest.raises(ModelError, match="there is no rotation 'varimin': write 'varimax'"):
        trial_fit().loadings(rotation="varimin")
    with pytest.raises(ModelError, match="has one effect: there is nothing to be correlated"):
        alpha_fit().genetic_correlations("gen")
    with pytest.raises(ModelError, match=r"no random term of .* has two effects or more"):
        alpha_fit().genetic_correlations()


# -- accuracy --------------------------------------------------------------------------------------------------


def test_accuracy_is_the_root_of_reliability():
    pev, prior, _ = dense_pev()
    out = related_fit().accuracy("id")
    assert out.columns.tolist() == [
        "group",
        "level",
        "term",
        "estimate",
        "std_error",
        "reliability",
        "accuracy",
    ]
    expected = 1 - np.diag(pev) / np.diag(prior)
    assert out["level"].tolist() == related()[1].index.tolist()
    assert_allclose(out["reliability"], expected, rtol=1e-8)
    assert_allclose(out["accuracy"], np.sqrt(expected), rtol=1e-8)
    assert len(related_fit().accuracy()) == 46
    assert_allclose(
        alpha_fit().accuracy("gen")["accuracy"] ** 2,
        alpha_fit().random_effects["reliability"][:24],
        rtol=1e-12,
    )
