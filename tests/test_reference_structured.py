"""henderson against nlme, glmmTMB, sommer, LMMsolver, GEMMA and ASReml on the models of `structured_cases`.

Numbers: tests/reference/structured (README.md there). Every model is first read by a dense twin, which must give the program's
log-likelihood at the program's parameters: then the case is understood, whatever henderson does.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import reference_structured as run
import structured_cases as cases
import structured_parts as parts
import structured_twin as tw
from structured_asreml import PRINTED

LARGE = {"animal_warcolak_A"}
"""Thousands of rows: the twin takes a quarter of a minute."""

FITTED = [name for name, case in cases.CASES.items() if not case.cannot]
TWINNED = [n for n, c in cases.CASES.items() if c.dense is not None and n not in LARGE]


@pytest.fixture
def name(request) -> str:
    why = cases.missing(request.param)
    if why:
        pytest.skip(why)
    return request.param


def over(names):
    return pytest.mark.parametrize("name", names, indirect=True)


def has(key: str) -> list[str]:
    return [n for n in FITTED if key in cases.witness(n)]


@over([n for n in TWINNED if "loglik" in cases.witness(n)])
def test_the_twin_reads_the_model_as_the_program_does(name):
    found = -cases.criterion_of(name, cases.witness(name)["par"]) / 2
    assert found == pytest.approx(cases.witness(name)["loglik"], abs=1e-6)


@over(FITTED)
def test_the_fit_converges(name):
    assert cases.fit(name).status.converged


@over(has("loglik"))
def test_loglik_is_no_worse_than_any_program(name):
    assert cases.fit(name).loglik > cases.best(name) - cases.CASES[name].criterion


@over([n for n in has("loglik") if not cases.CASES[n].better])
def test_loglik_is_the_programs(name):
    # from above too: a higher one would be another criterion
    assert cases.fit(name).loglik < cases.best(name) + 10 * cases.CASES[name].criterion


@over([n for n in TWINNED if n in FITTED])
def test_loglik_is_that_of_the_twin_at_our_parameters(name):
    par = run.ours(name)
    assert set(par) == set(cases.CASES[name].par)
    assert cases.fit(name).loglik == pytest.approx(-cases.criterion_of(name, par) / 2, abs=1e-6)


@over([n for n in has("loglik") if not (cases.CASES[n].flat or cases.CASES[n].better)])
def test_parameters(name):
    case, theirs = cases.CASES[name], cases.witness(name)["par"]
    table = cases.fit(name).variance_components_columns()
    keys = zip(table["group"], table["term"], strict=True)
    error = dict(zip(keys, np.asarray(table["std_error"], float), strict=True))
    loose = case.components + short_of(name)
    loadings = [k for k in case.par if case.par[k][1].startswith("loading")]
    for key, value in run.ours(name).items():
        scale = np.nanmax([abs(theirs[key]), error[case.par[key]], 1e-12])
        if key in loadings:  # one sign for all of a factor
            value, expected = abs(value), abs(theirs[key])
        else:
            expected = theirs[key]
        assert value == pytest.approx(expected, abs=loose * scale), key


@over([n for n in PRINTED if n in FITTED])
def test_components_as_asreml_printed_them(name):
    """To the digits printed; where ours differ, ASReml had stopped early: our likelihood is better than that of its numbers."""
    ours, shown = run.ours(name), cases.witness(name)["printed"]
    mine = PRINTED[name](ours)
    # without a twin to say whose likelihood is better, the last digit may be another
    units = 1.001 if cases.CASES[name].dense else 2.0
    off = {k: (mine[k], v) for k, (v, half) in shown.items() if k in mine and abs(mine[k] - v) > half * units}
    if off:
        back = PRINTED[name].back(ours, {k: v for k, (v, _) in shown.items()})
        assert cases.fit(name).loglik > -cases.criterion_of(name, back) / 2, off
    for k, (value, printed) in off.items():
        assert value == pytest.approx(printed, rel=0.02), k


@over(has("printed_loglik"))
def test_loglik_as_asreml_printed_it(name):
    """ASReml leaves (n - p) / 2 log(2 pi) out."""
    fit, (printed, half) = cases.fit(name), cases.witness(name)["printed_loglik"]
    rank = len(fit.coefficients)
    found = fit.loglik + (fit.nobs - rank) / 2 * np.log(2 * np.pi)
    assert found > printed - half * 1.001
    # it stops when the log-likelihood changes by less than 0.002
    assert found < printed + max(half * 1.001, 0.005)


def short_of(name: str) -> float:
    """How far, in standard errors, parameters may be from ours whose log-likelihood is d lower: sqrt(2 d)."""
    return float(np.sqrt(2 * max(0.0, cases.fit(name).loglik - cases.best(name))))


def plain(term: str) -> str:
    """A coefficient's name without the ways of writing it."""
    bare = re.sub(r"\bC\((\w+)\)|[\s`]|\[T\.|[\[\]]", lambda m: m.group(1) or "", term).replace("**", "^")
    return ":".join(sorted(bare.split(":")))


@over([n for n in has("fixed") if not cases.CASES[n].better])
def test_fixed_effects(name):
    theirs, table = cases.witness(name)["fixed"], cases.fit(name).fixed_effects_columns()
    ours = {
        plain(t): (e, s) for t, e, s in zip(table["term"], table["estimate"], table["std_error"], strict=True)
    }
    case = cases.CASES[name]
    for term, estimate, error in zip(theirs["name_R"], theirs["estimate"], theirs["std_error"], strict=True):
        mine = ours[plain(term)]  # the files keep the first thirty
        assert mine[0] == pytest.approx(estimate, abs=(case.components + short_of(name)) * error), term
        if not name.startswith("tmb"):  # glmmTMB adds the uncertainty of the parameters
            factor = 1.0 if case.reml else np.sqrt(len(cases.frame(name)) / cases.fit(name).df_residual)
            assert mine[1] * factor == pytest.approx(error, rel=case.components + short_of(name)), term


@over(
    [
        n
        for n in has("random")
        if not (cases.CASES[n].better or cases.CASES[n].flat) and cases.CASES[n].verb == "lmm"
    ]
)
def test_blups(name):
    table = cases.fit(name).random_effects_columns()
    rows = list(zip(table["group"], table["level"], table["term"], table["estimate"], strict=True))
    scale = np.std(table["estimate"]) + cases.fit(name).sigma * 1e-3
    compared = 0
    for group, record in cases.witness(name)["random"].items():
        for level, values in record["levels"].items():
            own = [(g, t, v) for g, lv, t, v in rows if str(lv) == level]
            named = [v for g, t, v in own if g == group] or [
                v for g, t, v in own if g == next(iter(cases.CASES[name].par.values()))[0]
            ]
            if len(named) < len(record["terms"]):
                continue
            compared += 1
            for mine, expected in zip(named, values, strict=False):
                assert mine == pytest.approx(expected, abs=5e-4 * scale), (group, level)
    assert compared > 0


@over(
    [
        "tmb_sleep_ar1",
        "lme_Machines_pdCompSymm",
        "som_halfdiallel",
        "asr_john.alpha_cullisH2",
        "asr_gilmour.slatehall_m4",
        "asr_snedecor.asparagus_ante1",
    ]
)
def test_standard_errors_of_parameters_are_those_of_the_observed_information(name):
    """The curvature of the twin's criterion at our parameters, by differences."""
    case, par = cases.CASES[name], run.ours(name)
    keys, at = list(par), np.array(list(par.values()))
    rows = cases.frame(name)

    def half(z):
        assert case.dense is not None
        d = case.dense(rows, dict(zip(keys, z * at, strict=True)))
        return tw.criterion(d.y, d.x, d.terms, d.r, case.reml) / 2

    error = np.sqrt(np.diag(np.linalg.inv(tw.curvature(half, np.ones(len(at)))))) * np.abs(at)
    table = cases.fit(name).variance_components_columns()
    ours = dict(zip(zip(table["group"], table["term"], strict=True), table["std_error"], strict=True))
    for key, expected in zip(keys, error, strict=True):
        assert ours[case.par[key]] == pytest.approx(expected, rel=1e-5), key


# ------------------------------------------------------------------------------------ predictions that ASReml printed


def printed(name: str) -> dict:
    return cases.witness(name)["asreml"]


@over(["asr_cullis.earlygen_m2"])
def test_predicted_genotypes(name):
    """BLUE and BLUP together, at the average weed score of the file; ASReml stopped 2e-3 short in its BLUPs."""
    shown = printed(name)["predict_gen"]
    weed = parts.read(cases.CASES[name].data)["weed"].mean()
    rows = pd.DataFrame({"gen": list(shown), "weed": weed})
    found = cases.fit(name).predict(rows, se=True)
    for k, row in enumerate(shown.values()):
        assert found["estimate"][k] == pytest.approx(row["pred"], rel=2e-6)
        assert found["std_error"][k] == pytest.approx(row["se"], rel=5e-5)


@over(["asr_ilri.sheep"])
def test_predicted_years(name):
    """At the average covariates of the rows that have an age at weaning, over equal sexes and genotypes."""
    raw = parts.read(cases.CASES[name].data)
    raw = raw[raw["weanage"].notna()]
    dl = raw["damage"].astype(float).clip(2, 8)
    at = {"weanage": raw["weanage"].mean(), "dl": dl.mean(), "dq": (dl**2).mean()}
    table = cases.fit(name).emmeans("year", at=at).table
    for k, (year, (estimate, error)) in enumerate(printed(name)["predict_year"].items()):
        assert str(table["year"][k]) == year
        assert table["estimate"][k] == pytest.approx(estimate, abs=2e-6)
        assert table["std_error"][k] == pytest.approx(error, abs=2e-6)


@over(["asr_bridges.cucumber_m2"])
def test_predicted_cells(name):
    table = cases.fit(name).emmeans(["loc", "gen"]).table
    for k in range(len(table["loc"])):
        estimate, error = printed(name)["predict_loc_gen"][table["loc"][k]][table["gen"][k]]
        assert table["estimate"][k] == pytest.approx(estimate, abs=0.051)
        assert table["std_error"][k] == pytest.approx(error, abs=0.0051)


@over(["asr_hildebrand_us", "asr_stroup.splitplot"])
def test_predicted_means(name):
    factor, key = {"asr_hildebrand_us": ("system", "predict")}.get(name, ("a", "predict_broad"))
    table = cases.fit(name).emmeans(factor).table
    for k, (level, (estimate, error)) in enumerate(printed(name)[key].items()):
        assert table[factor][k] == level
        assert table["estimate"][k] == pytest.approx(estimate, abs=0.0051)
        assert table["std_error"][k] == pytest.approx(error, abs=5.1e-5 if factor == "system" else 0.0051)


@over(["asr_weiss.incblock"])
def test_adjusted_means_of_incomplete_blocks(name):
    table = cases.fit(name).emmeans("gen").table
    shown = printed(name)["predict"]
    ours = {
        str(g): (e, s) for g, e, s in zip(table["gen"], table["estimate"], table["std_error"], strict=True)
    }
    for gen, (estimate, error) in shown.items():
        assert ours[gen] == (pytest.approx(estimate, abs=0.0051), pytest.approx(error, abs=5.1e-5))


@over(["asr_besag.triticale_wald"])
def test_sequential_wald_statistics(name):
    """ASReml's stand at a residual of 12391, where the optimum has 12401.6; the correlations it had are not printed."""
    table = cases.fit(name).anova(type=1)
    for term, df, f in zip(table["term"], table["df"], table["statistic"], strict=True):
        printed_df, wald = printed(name)["wald"][term]
        assert df == printed_df
        assert df * f == pytest.approx(wald, rel=0.01), term


@over(["lmms_oats"])
def test_mean_variance_of_differences_of_genotypes(name):
    """vBLUE of agridat's john.alpha page: Cullis, Smith & Coombes (2006)."""
    shown = cases.witness("asr_john.alpha_cullisH2")["asreml"]["vblue"]
    error = np.asarray(cases.fit(name).pairs("gen", adjust="none").table["std_error"], float)
    assert np.mean(error**2) == pytest.approx(shown, rel=2e-7)
