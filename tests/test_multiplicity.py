"""Tails of max |t| and the adjustments made of them, beside values that are right to more digits than R's ptukey and pmvt.

reference/multiplicity/exact.json (made by make.R there): the studentised range by nested adaptive quadrature of its distribution
function; rectangles of two and three t by TVPACK's one-sided probabilities (Genz 2004), right to 1e-14; all pairs of unequal groups
by mvtnorm's GenzBretz with 5e7 points and its error; p.adjust; emmeans' dunnettx. Tables: Tukey's q and Dunnett's d.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import henderson as hd
from henderson.inference import multivariate_t as mt
from henderson.inference.multiplicity import (
    METHODS,
    Family,
    adjusted_p,
    critical_values,
    limits_method,
    method_named,
    require_suitable,
)
from henderson.inference.polar import polar
from henderson.inference.student import quantile, two_sided_p

EXACT = json.loads(
    (Path(__file__).resolve().parent / "reference" / "multiplicity" / "exact.json").read_text()
)


def correlation(contrasts, variances):
    covariance = contrasts @ np.diag(variances) @ contrasts.T
    sd = np.sqrt(np.diag(covariance))
    return covariance / np.outer(sd, sd)


def all_pairs(k):
    i, j = np.triu_indices(k, 1)
    out = np.zeros((len(i), k))
    out[np.arange(len(i)), i], out[np.arange(len(i)), j] = 1.0, -1.0
    return out


def with_control(k):
    return np.hstack([-np.ones((k - 1, 1)), np.eye(k - 1)])


def family(matrix, means=None, control=False):
    return Family(len(matrix), means, control, np.asarray(matrix, dtype=float))


# -- the distribution ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", EXACT["ranges"], ids=lambda c: f"k={c['k']:.3g} df={c['df']} c={c['c']:.3g}")
def test_studentized_range(case):
    ours = mt.studentized_range(case["k"]).tail(case["c"], float(case["df"]))
    np.testing.assert_allclose(ours, case["p"], rtol=1e-10)


@pytest.mark.parametrize(
    "case", EXACT["boxes"], ids=lambda c: f"m={len(c['correlation'])} df={c['df']} c={c['c']:.3g}"
)
def test_two_and_three_comparisons(case):
    ours = mt.correlated(np.array(case["correlation"])).tail(case["c"], float(case["df"]))
    np.testing.assert_allclose(ours, case["p"], rtol=1e-11)


@pytest.mark.parametrize("case", EXACT["families"], ids=lambda c: f"groups={c['groups']} c={c['c']}")
def test_pairs_of_unequal_groups(case):
    groups = np.array(case["groups"], dtype=float)
    maximum = mt.correlated(correlation(all_pairs(len(groups)), 1.0 / groups))
    error = float(maximum.tail_error(case["c"], case["df"]))
    assert error < 1e-5
    assert (error == 0.0) == (len(groups) <= 4)
    assert abs(maximum.tail(case["c"], case["df"]) - case["p"]) < 2.0 * case["error"] + 4.0 * error


@pytest.mark.parametrize("k", [3, 4])
@pytest.mark.parametrize(
    ("c", "df"), [(0.5, 3.3), (2.0, 10.0), (4.0, 20.0), (9.0, 7.0), (3.0, np.inf), (12.0, 5.0)]
)
def test_the_geometry_of_correlations_gives_the_studentized_range(k, c, df):
    singular = polar(mt._distinct(mt._vectors(correlation(all_pairs(k), np.ones(k)))))
    np.testing.assert_allclose(singular.tail(c, df), mt.studentized_range(k).tail(c, df), rtol=1e-12)


@pytest.mark.parametrize("k", [3, 4])
@pytest.mark.parametrize(("c", "df"), [(0.5, 3.3), (2.0, 10.0), (9.0, 7.0), (3.0, np.inf)])
def test_the_geometry_of_correlations_gives_one_factor(k, c, df):
    variances = np.linspace(0.5, 2.0, k)
    matrix = correlation(with_control(k), variances)
    loadings = np.sqrt(variances[0] / (variances[0] + variances[1:]))
    np.testing.assert_allclose(
        polar(mt._vectors(matrix)).tail(c, df), mt.one_factor(loadings).tail(c, df), rtol=1e-11
    )


@pytest.mark.parametrize("k", [5, 7])
def test_many_dimensions_are_right_within_their_own_error(k):
    range_, factor = mt.studentized_range(k), mt.one_factor(np.full(k - 1, np.sqrt(0.5)))
    for contrasts, exact in ((all_pairs(k), range_), (with_control(k), factor)):
        net = polar(mt._vectors(correlation(contrasts, np.ones(k))))
        for c, df in ((2.0, 10.0), (3.0, 30.0), (5.0, 8.0)):
            error = float(net.tail_error(c, df))
            assert 0.0 < error < 2e-4 * exact.tail(c, df)
            assert abs(net.tail(c, df) - exact.tail(c, df)) < 4.0 * error


def test_structures_are_recognised_whatever_the_signs_and_are_exact():
    signs = np.array([1, -1, -1, 1, 1, -1, 1, -1, 1, -1.0])
    matrix = correlation(all_pairs(5), np.ones(5)) * np.outer(signs, signs)
    found = mt.correlated(matrix)
    np.testing.assert_allclose(found.tail(2.5, 11), mt.studentized_range(5).tail(2.5, 11), rtol=1e-13)
    control = correlation(with_control(6), np.arange(1.0, 7.0)) * np.outer(signs[:5], signs[:5])
    assert mt.correlated(control).tail_error(2.5, 11) == 0.0
    np.testing.assert_allclose(
        mt.correlated(control).tail(2.5, 11), polar(mt._vectors(control)).tail(2.5, 11), rtol=1e-4
    )


def test_independent_and_repeated_comparisons():
    p = float(two_sided_p(np.array([2.0]), np.array([np.inf]))[0])
    np.testing.assert_allclose(mt.correlated(np.eye(5)).tail(2.0, np.inf), 1.0 - (1.0 - p) ** 5, rtol=1e-12)
    np.testing.assert_allclose(
        mt.correlated(np.array([[1, -1, 1], [-1, 1, -1], [1, -1, 1.0]])).tail(2.0, 7.0),
        two_sided_p(np.array([2.0]), np.array([7.0]))[0],
        rtol=1e-12,
    )


@pytest.mark.parametrize("df", [0.7, 2.5, 11.0, 1e4, 1e8, np.inf])
def test_between_one_comparison_and_bonferroni(df):
    c = np.array([0.3, 1.0, 2.0, 3.0, 6.0])
    p = mt.studentized_range(6).tail(c, df)
    single = two_sided_p(c, np.full(5, df))
    assert (p > single).all()
    assert (p < np.minimum(15 * single, 1.0) * (1 + 1e-12)).all()
    assert (np.diff(p) < 0).all()
    assert mt.studentized_range(6).tail(0.0, df) == 1.0
    np.testing.assert_allclose(mt.studentized_range(2).tail(c, df), single, rtol=1e-9)


def test_many_degrees_of_freedom_are_infinitely_many():
    # The difference is of order c^4 / 4 df.
    c = np.array([1.0, 2.5, 5.0])
    np.testing.assert_allclose(
        mt.studentized_range(4).tail(c, 1e10), mt.studentized_range(4).tail(c, np.inf), rtol=5e-8
    )
    assert np.isnan(mt.studentized_range(4).tail(np.nan, 5.0))


@pytest.mark.parametrize("df", [1.0, 7.3, 48.0, np.inf])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.9999])
def test_quantiles_are_inverse_to_tails(df, level):
    for maximum in (mt.studentized_range(3), mt.correlated(np.array([[1, 0.4], [0.4, 1]]))):
        np.testing.assert_allclose(maximum.tail(maximum.quantile(level, df), df), 1.0 - level, rtol=1e-9)


def test_printed_tables():
    # Harter (1960), upper 5 % and 1 % points of the studentised range.
    for k, df, q05, q01 in (
        (3, 10, 3.88, 5.27),
        (5, 20, 4.23, 5.29),
        (10, 60, 4.65, 5.45),
        (4, 5, 5.22, 7.80),
    ):
        assert round(float(mt.studentized_range(k).quantile(0.95, df)) * 2**0.5, 2) == q05
        assert round(float(mt.studentized_range(k).quantile(0.99, df)) * 2**0.5, 2) == q01
    # Dunnett (1964), two-sided, equal numbers: d for p comparisons.
    for p, df, d05, d01 in ((2, 10, 2.57, 3.53), (4, 20, 2.65, 3.40), (9, 60, 2.77, 3.37)):
        maximum = mt.one_factor(np.full(p, np.sqrt(0.5)))
        assert abs(float(maximum.quantile(0.95, df)) - d05) < 0.01
        assert abs(float(maximum.quantile(0.99, df)) - d01) < 0.01


# -- adjustments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", list(EXACT["steps"]))
def test_stepwise_methods_are_those_of_p_adjust(method):
    p = np.array(EXACT["single"])
    df = np.full(len(p), 9.0)
    made = adjusted_p(_t_of(p, 9.0), df, method.lower(), family(np.eye(len(p))))
    np.testing.assert_allclose(made, EXACT["steps"][method], rtol=1e-12)


def _t_of(p, df):
    return np.array([quantile(1.0 - each, np.array([df]))[0] for each in p])


def test_dunnettx_is_that_of_emmeans():
    case = EXACT["dunnettx"]
    made = adjusted_p(np.array(case["c"]), np.full(3, float(case["df"])), "dunnettx", family(np.eye(4)))
    np.testing.assert_allclose(made, case["p"], rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_limits_and_p_values_agree(method):
    matrix = correlation(all_pairs(3), np.array([0.2, 0.5, 1.0]))
    them = family(matrix, means=3, control=True)
    df = np.array([6.0, 9.5, 30.0])
    c = critical_values(0.9, df, limits_method(method), them)
    p = adjusted_p(c, df, limits_method(method), them)
    np.testing.assert_allclose(p, 0.1, rtol=1e-8)


def test_a_family_of_one_needs_no_adjustment():
    for method in METHODS:
        one = adjusted_p(np.array([2.1]), np.array([8.0]), method, family(np.eye(1), means=2, control=True))
        np.testing.assert_allclose(one, two_sided_p(np.array([2.1]), np.array([8.0])), rtol=1e-12)


def test_exact_is_between_one_comparison_and_tukey_kramer():
    groups = np.array([3.0, 9.0, 20.0, 4.0])
    them = family(correlation(all_pairs(4), 1.0 / groups), means=4)
    t, df = np.array([1.0, 1.5, 2.0, 2.5, 3.0, 4.0]), np.full(6, 32.0)
    exact, kramer = (adjusted_p(t, df, method, them) for method in ("mvt", "tukey"))
    # Hayter (1984): the Tukey-Kramer procedure is conservative.
    assert (exact < kramer).all()
    assert (exact > two_sided_p(t, df)).all()


def test_names_and_refusals():
    assert method_named("BH") == "fdr"
    assert method_named(None) == "none"
    with pytest.raises(hd.ModelError, match="The closest is 'bonferroni'"):
        method_named("bonferoni")
    with pytest.raises(hd.ModelError, match="There are 'none', 'tukey'"):
        method_named(3)
    with pytest.raises(hd.ModelError, match="all pairwise differences"):
        require_suitable("tukey", [family(np.eye(3))])
    with pytest.raises(hd.ModelError, match="comparisons with a control"):
        require_suitable("dunnett", [family(np.eye(3), means=3)])
