"""hd.gls as a whole: against a dense twin of the criterion, exact laws, edges of the parameter space, and refusals by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from gls_twin import block_correlation, criterion

import henderson as hd
from henderson.errors import DataError, FormulaError, ModelError, NotAvailableError

SERIAL = {
    "ar1": ("ar1(0 + time | g)", {"phi": 0.6}),
    "ar1 + nugget": ("ar1(0 + time | g) + (1 | units)", {"phi": 0.8, "nugget": 0.3}),
    "ou": ("ou(0 + time | g)", {"phi": 0.7}),
    "ou + nugget": ("(1 | g:ou(time)) + (1 | units)", {"phi": 0.8, "nugget": 0.3}),
    "cs": ("cs(1 | g)", {"rho": 0.4}),
    "arma": ("arma(0 + time | g, p=1, q=1)", {"phi1": 0.7, "theta1": 0.3}),
}


def _table(name, values, seed=1, q=12, power=0.0):
    """Shuffled rows of q groups with gaps in time, whose errors have the structure; some missing values."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(q), 8)
    time = np.tile(np.arange(8.0), q)
    keep = rng.permutation(np.flatnonzero(rng.random(8 * q) < 0.75))
    groups, time = groups[keep], time[keep]
    x = rng.uniform(1.0, 3.0, len(keep))
    c = block_correlation(name.split(" ")[0], values, groups, time)
    s = x**power
    e = s * (np.linalg.cholesky(c) @ rng.standard_normal(len(keep)))
    table = pd.DataFrame(
        {"y": 3.0 + 0.5 * x + 2.0 * e, "x": x, "time": time, "g": [f"s{g:02d}" for g in groups]}
    )
    table["sex"] = np.where(groups % 2 == 0, "f", "m")
    return table


def _natural(fit):
    columns = fit.variance_components_columns()
    return dict(zip(columns["term"], columns["estimate"], strict=True))


def _dense(table, name, values, reml, power=0.0, s2=None):
    x = np.column_stack([np.ones(len(table)), table["x"], table["sex"] == "m"]).astype(float)
    c = block_correlation(name.split(" ")[0], values, table["g"].to_numpy(), table["time"].to_numpy())
    s = table["x"].to_numpy() ** power
    return criterion(x, table["y"].to_numpy(), c * np.outer(s, s), reml, s2)


@pytest.mark.parametrize("name", SERIAL)
@pytest.mark.parametrize("reml", [True, False])
def test_the_criterion_and_its_optimum_are_those_of_dense_algebra(name, reml):
    residual, values = SERIAL[name]
    table = _table(name, values, power=0.7)
    fit = hd.gls("y ~ x + sex", table, residual=residual, variance="power(x)", reml=reml)
    assert fit.status.converged
    found = _natural(fit)
    power = found.pop("power(x)")
    s2 = found.pop("Residual")
    d, b, dense_s2 = _dense(table, name, found, reml, power)
    np.testing.assert_allclose(fit.deviance, d, rtol=1e-11)
    np.testing.assert_allclose(fit.coefficients, b, rtol=1e-8)
    np.testing.assert_allclose([s2, fit.sigma**2], dense_s2, rtol=1e-9)
    # A minimum: the slope of the dense criterion is nothing in each parameter that is not at an edge.
    bounds = dict(
        zip(
            fit.variance_components_columns()["term"], fit.variance_components_columns()["bound"], strict=True
        )
    )
    h = 1e-5
    for key in found:
        if bounds[key] in "PU":
            up, down = {**found, key: found[key] + h}, {**found, key: found[key] - h}
            slope = (_dense(table, name, up, reml, power)[0] - _dense(table, name, down, reml, power)[0]) / (
                2 * h
            )
            assert abs(slope) < 2e-3, key
    slope = _dense(table, name, found, reml, power + h)[0] - _dense(table, name, found, reml, power - h)[0]
    assert abs(slope / (2 * h)) < 2e-3


def test_standard_errors_and_satterthwaite_against_differences_of_the_dense_criterion():
    """Observed information of (phi, power, s2), and df = 2 v^2 / (g'Ag) of each coefficient, all by differences."""
    table = _table("ar1", {"phi": 0.6}, power=0.7)
    fit = hd.gls("y ~ x + sex", table, residual="ar1(0 + time | g)", variance="power(x)")
    at = np.array(list(_natural(fit).values()))
    x = np.column_stack([np.ones(len(table)), table["x"], table["sex"] == "m"]).astype(float)

    def deviance(p):
        return _dense(table, "ar1", {"phi": p[0]}, True, p[1], p[2])[0]

    def variances(p):
        c = block_correlation("ar1", {"phi": p[0]}, table["g"].to_numpy(), table["time"].to_numpy())
        s = table["x"].to_numpy() ** p[1]
        return p[2] * np.diag(np.linalg.inv(x.T @ np.linalg.solve(c * np.outer(s, s), x)))

    h = np.array([4e-4, 1e-3, 2e-3])
    information = np.zeros((3, 3))
    gradient = np.zeros((3, 3))
    for i in range(3):
        e = np.eye(3)[i] * h
        gradient[i] = (variances(at + e / 10) - variances(at - e / 10)) / (2 * h[i] / 10)
        for j in range(3):
            f = np.eye(3)[j] * h
            information[i, j] = (
                deviance(at + e + f) - deviance(at + e - f) - deviance(at - e + f) + deviance(at - e - f)
            ) / (4 * h[i] * h[j])
    covariance = np.linalg.inv(0.5 * information)
    columns = fit.variance_components_columns()
    np.testing.assert_allclose(columns["std_error"], np.sqrt(np.diag(covariance)), rtol=1e-3)
    df = 2 * variances(at) ** 2 / np.einsum("ik,ij,jk->k", gradient, covariance, gradient)
    np.testing.assert_allclose(fit.fixed_effects_columns()["df"], df, rtol=2e-3)
    np.testing.assert_allclose(fit.denominator_df(np.eye(3), "residual"), len(table) - 3)


LAWS = [
    ("ar1(0 + time | g)", None),
    ("ar1(0 + time | g) + (1 | units)", None),
    ("ou(0 + time | g)", "ident(sex)"),
    ("arma(0 + time | g, p=1, q=1)", None),
    ("cs(1 | g)", "power(x)"),
    ("us(0 + visit | g)", None),
    ("toep(0 + visit | g)", "const_power(x)"),
]


@pytest.fixture(scope="module")
def table():
    out = _table("ar1", {"phi": 0.6}, q=14)
    out["visit"] = out["time"] // 2
    return out.drop_duplicates(["g", "visit"])


@pytest.mark.parametrize(("residual", "variance"), LAWS)
def test_order_of_rows_scale_and_origin_change_nothing(table, residual, variance):
    fit = hd.gls("y ~ x + sex", table, residual=residual, variance=variance)
    shuffled = hd.gls(
        "y ~ x + sex", table.sample(frac=1.0, random_state=3), residual=residual, variance=variance
    )
    np.testing.assert_allclose(shuffled.deviance, fit.deviance, rtol=1e-10)
    np.testing.assert_allclose(shuffled.coefficients, fit.coefficients, rtol=1e-6)
    big = hd.gls("y ~ x + sex", table.assign(y=table["y"] * 1e8), residual=residual, variance=variance)
    np.testing.assert_allclose(big.coefficients, fit.coefficients * 1e8, rtol=1e-6)
    np.testing.assert_allclose(big.sigma, fit.sigma * 1e8, rtol=1e-6)
    moved = table.assign(z=table["x"] * 1e3 + 1e7)
    shifted = hd.gls("y ~ z + sex", moved, residual=residual, variance=variance)
    assert shifted.status.iterations == fit.status.iterations
    np.testing.assert_allclose(shifted.coefficients[1] * 1e3, fit.coefficients[1], rtol=1e-6)
    reml_shift = 2 * np.log(1e3)
    np.testing.assert_allclose(shifted.deviance, fit.deviance + reml_shift, rtol=1e-8)


def test_rows_of_the_caller_and_missing_times(table):
    """A row without a time is left out and counted, and what is per row stands where the caller had it."""
    holed = table.reset_index(drop=True).copy()
    holed.loc[[3, 10], "time"] = np.nan
    holed.loc[20, "x"] = np.nan
    fit = hd.gls("y ~ x", holed, residual="ar1(0 + time | g)")
    assert fit.n_dropped == 3
    assert "time (2)" in fit.rows_note
    assert np.flatnonzero(np.isnan(fit.residuals)).tolist() == [3, 10, 20]
    other = hd.gls("y ~ x", holed.drop(index=[3, 10, 20]), residual="ar1(0 + time | g)")
    np.testing.assert_allclose(other.deviance, fit.deviance, rtol=1e-12)
    np.testing.assert_allclose(
        fit.residuals_as("normalized")[~np.isnan(fit.residuals)], other.residuals_as("normalized"), rtol=1e-10
    )


def test_independent_residuals_are_least_squares(table):
    gls, lm = hd.gls("y ~ x + sex", table, reml=False), hd.lm("y ~ x + sex", table)
    np.testing.assert_allclose(gls.deviance, lm.deviance, rtol=1e-12)
    np.testing.assert_allclose(gls.coefficients, lm.coefficients, rtol=1e-10)
    weighted = hd.gls("y ~ x + sex", table, weights="x", residual="(1 | units)")
    np.testing.assert_allclose(weighted.vcov, hd.lm("y ~ x + sex", table, weights="x").vcov, rtol=1e-10)


@pytest.mark.parametrize("form", ["dense", "sparse", "variances"])
@pytest.mark.parametrize(
    ("variance", "reml"), [(None, True), (None, False), ("power(x)", True), ("power(x)", False)]
)
def test_a_known_covariance_beside_weights_offset_and_missing_rows(table, form, variance, reml):
    """V = S V_0 S / w over the rows used, against dense algebra; s2 is profiled out, power(x) estimated."""
    from scipy.sparse import csc_matrix

    holed = table.reset_index(drop=True).copy()
    rng = np.random.default_rng(3)
    n = len(holed)
    holed["w"], holed["o"] = rng.uniform(0.4, 2.5, n), 10.0 + 3.0 * rng.standard_normal(n)
    holed["y"] += holed["o"]
    holed.loc[[4, 33], "x"] = np.nan
    holed.loc[20, "y"] = np.nan
    factor = rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.1)
    v = factor @ factor.T + np.diag(rng.uniform(0.5, 2.0, n))
    given = {"dense": v, "sparse": csc_matrix(v), "variances": np.diagonal(v)}[form]
    v = np.diag(given) if form == "variances" else v
    fit = hd.gls("y ~ x + sex", holed, V=given, weights="w", offset="o", variance=variance, reml=reml)
    used = holed[["x", "y"]].notna().all(axis=1).to_numpy()
    rows = holed[used]
    s = rows["x"] ** _natural(fit).get("power(x)", 0.0) / np.sqrt(rows["w"])
    x = np.column_stack([np.ones(len(rows)), rows["x"], rows["sex"] == "m"]).astype(float)
    v = v[np.ix_(used, used)] * np.outer(s, s)
    d, b, s2 = criterion(x, (rows["y"] - rows["o"]).to_numpy(), v, reml)
    np.testing.assert_allclose(fit.deviance, d, rtol=1e-11)
    np.testing.assert_allclose(fit.coefficients, b, rtol=1e-9)
    np.testing.assert_allclose(fit.sigma**2, s2, rtol=1e-10)
    np.testing.assert_allclose(fit.vcov, s2 * np.linalg.inv(x.T @ np.linalg.solve(v, x)), rtol=1e-9)
    np.testing.assert_allclose(fit.residuals[used], rows["y"] - rows["o"] - x @ b, rtol=1e-8, atol=1e-9)


def test_equal_models_have_equal_likelihoods(table):
    """us = cor x ident(visit); csh = cs x ident(visit); ar1h = ar1 x ident(visit); diag = ident(visit)."""
    pairs = [
        ("us(0 + visit | g)", "cor(0 + visit | g)"),
        ("csh(0 + visit | g)", "cs(0 + visit | g)"),
        ("ar1h(0 + visit | g)", "ar1(0 + visit | g)"),
        ("diag(0 + visit | g)", None),
    ]
    for whole, correlation in pairs:
        a = hd.gls("y ~ x", table, residual=whole)
        b = hd.gls("y ~ x", table, residual=correlation, variance="ident(visit)")
        np.testing.assert_allclose(a.deviance, b.deviance, atol=1e-8, err_msg=whole)
        assert a.npar == b.npar
        np.testing.assert_allclose(_natural(a)["visit0"], _natural(b)["Residual"], rtol=1e-5)


def test_sections_have_parameters_and_variances_of_their_own(table):
    """With a mean for each section too, the criterion is the sum of those of separate fits."""
    for residual in ("ar1(0 + time | g)", "us(0 + visit | g)", "(1 | units)", "arma(0 + time | g, p=1)"):
        whole = hd.gls("y ~ 0 + sex + sex:x", table, residual=f"at(sex):{residual}")
        parts = [hd.gls("y ~ x", table[table["sex"] == s], residual=residual) for s in ("f", "m")]
        np.testing.assert_allclose(whole.deviance, sum(p.deviance for p in parts), rtol=1e-9)
        assert whole.npar == sum(p.npar for p in parts)
        found, apart = _natural(whole), [_natural(p) for p in parts]
        for s, values in zip(("f", "m"), apart, strict=True):
            for name, value in values.items():
                key = f"sex{s}" if name == "Residual" else f"sex{s}:{name}"
                np.testing.assert_allclose(found[key], value, rtol=2e-4, atol=1e-5)
        again = hd.gls("y ~ 0 + sex + sex:x", table, residual=f"at(sex):{residual}", fixed_parameters=found)
        np.testing.assert_allclose(again.deviance, whole.deviance, atol=1e-7)
    with pytest.raises(ModelError, match="one level only"):
        hd.gls("y ~ x", table[table["sex"] == "f"], residual="at(sex):ar1(0 + time | g)")


def test_parameters_held_and_started_from(table):
    fit = hd.gls("y ~ x", table, residual="ar1(0 + time | g)")
    again = hd.gls("y ~ x", table, residual="ar1(0 + time | g)", start={"phi": -0.5})
    np.testing.assert_allclose(again.deviance, fit.deviance, atol=1e-8)
    held = hd.gls(
        "y ~ x", table, residual="ar1(0 + time | g)", fixed_parameters={"phi": 0.3, "Residual": 2.0}
    )
    assert held.npar == 2
    columns = held.variance_components_columns()
    assert columns["bound"] == ["F", "F"]
    np.testing.assert_allclose(columns["estimate"], [0.3, 2.0], rtol=1e-12)
    assert np.isinf(held.fixed_effects_columns()["df"]).all()
    x = np.column_stack([np.ones(len(table)), table["x"]])
    c = block_correlation("ar1", {"phi": 0.3}, table["g"].to_numpy(), table["time"].to_numpy())
    np.testing.assert_allclose(
        held.deviance, criterion(x, table["y"].to_numpy(), c, True, 2.0)[0], rtol=1e-11
    )
    # All parameters of us: its variances fix the scale.
    us = hd.gls("y ~ x", table, residual="us(0 + visit | g)")
    same = hd.gls("y ~ x", table, residual="us(0 + visit | g)", fixed_parameters=_natural(us))
    np.testing.assert_allclose(same.deviance, us.deviance, atol=1e-8)
    np.testing.assert_allclose(list(_natural(same).values()), list(_natural(us).values()), rtol=1e-8)
    twice = {k: 2.0 * v for k, v in _natural(us).items()}
    double = hd.gls("y ~ x", table, residual="us(0 + visit | g)", fixed_parameters=twice)
    np.testing.assert_allclose(
        double.variance_components_columns()["estimate"], list(twice.values()), rtol=1e-10
    )
    np.testing.assert_allclose(double.vcov, 2.0 * us.vcov, rtol=1e-8)
    assert double.deviance > us.deviance
    with pytest.raises(ModelError, match="give all of them or none"):
        hd.gls("y ~ x", table, residual="us(0 + visit | g)", fixed_parameters={"visit0": 2.0})


# -- edges -----------------------------------------------------------------------------------------------


def test_a_nugget_of_nothing_is_a_result():
    table = _table("ar1", {"phi": 0.7}, seed=5)
    plain = hd.gls("y ~ x", table, residual="ar1(0 + time | g)")
    edge = hd.gls("y ~ x", table, residual="ar1(0 + time | g) + (1 | units)")
    assert edge.status.verdict == "boundary" and "nugget" in str(edge.status)
    columns = edge.variance_components_columns()
    assert columns["estimate"][1] == 0.0
    assert columns["bound"][1] == "B"
    assert np.isnan(columns["std_error"][1])
    np.testing.assert_allclose(edge.deviance, plain.deviance, atol=1e-8)
    np.testing.assert_allclose(edge.vcov, plain.vcov, rtol=1e-6)


@pytest.mark.parametrize(("seed", "edge"), [(2, False), (5, True), (6, False), (7, True)])
def test_a_random_walk_may_be_on_the_boundary(seed, edge):
    """REML of a mean beside a random walk: the criterion of first differences, which phi -> 1 approaches."""
    y = np.cumsum(np.random.default_rng(seed).standard_normal(60))
    table = pd.DataFrame({"y": y, "t": np.arange(60.0)})
    fit = hd.gls("y ~ 1", table, residual="(1 | ou(t))")
    d = np.diff(y)
    limit = len(d) * (1 + np.log(2 * np.pi * (d @ d) / len(d)))
    assert fit.status.verdict == ("boundary" if edge else "converged")
    if edge:
        assert "estimated as 1, on the boundary" in str(fit.status)
        np.testing.assert_allclose(fit.deviance, limit, atol=1e-8)
    else:
        assert fit.deviance < limit - 1e-3


def test_a_correlation_that_is_not_there_is_reported_at_zero():
    rng = np.random.default_rng(4)
    table = pd.DataFrame(
        {"y": rng.standard_normal(40), "g": np.repeat(np.arange(20), 2), "t": np.tile([0.0, 1.0], 20)}
    )
    table.loc[table["t"] == 1, "y"] = -table.loc[table["t"] == 0, "y"].to_numpy() + 0.5 * rng.standard_normal(
        20
    )
    fit = hd.gls("y ~ 1", table, residual="ou(0 + t | g)")
    assert fit.status.verdict == "boundary"
    assert "estimated as 0" in str(fit.status)
    np.testing.assert_allclose(fit.deviance, hd.gls("y ~ 1", table).deviance, atol=1e-6)


@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_what_cannot_be_told_apart_is_said(seed):
    """ARMA(1, 1) beside a nugget has one parameter too many; from 3 and 4 the nugget ends within 1e-7 of its bound."""
    table = _table("ar1 + nugget", {"phi": 0.85, "nugget": 0.3}, q=60, seed=seed)
    fit = hd.gls("y ~ x", table, residual="arma(0 + time | g, p=1, q=1) + (1 | units)")
    assert fit.status.verdict == "converged"
    assert "not identifiable" in str(fit.status) and "theta1, nugget" in str(fit.status)
    components = dict(
        zip(*(fit.variance_components_columns()[c] for c in ("term", "std_error")), strict=True)
    )
    assert np.isnan([components["theta1"], components["nugget"]]).all()
    assert components["phi1"] > 0
    less = hd.gls("y ~ x", table, residual="arma(0 + time | g, p=1, q=1)")
    np.testing.assert_allclose(fit.deviance, less.deviance, atol=1e-8)


# -- refusals --------------------------------------------------------------------------------------------


def _refused(error, match, *, formula="y ~ x", change=None, **options):
    table = _table("ar1", {"phi": 0.6}).reset_index(drop=True)
    table["visit"] = table["time"] // 2
    if change is not None:
        table = change(table)
    with pytest.raises(error, match=match):
        hd.gls(formula, table, **options)


def test_duplicate_times_are_named():
    def twice(table):
        rows = table.index[table["g"] == "s03"][:2]
        table.loc[rows[1], "time"] = table.loc[rows[0], "time"]
        return table

    for residual in ("ar1(0 + time | g)", "ou(0 + time | g)", "arma(0 + time | g, p=1)"):
        _refused(
            DataError, r"time \d+ occurs twice in g s03, in rows \d+ and \d+", change=twice, residual=residual
        )
    _refused(DataError, r"visit \d occurs twice in g s\d+", residual="us(0 + visit | g)")
    _refused(DataError, "occurs twice, in rows", residual="(1 | ar1(time))")


def test_times_that_are_not_whole():
    def half(table):
        table.loc[4, "time"] += 0.5
        return table

    _refused(
        DataError,
        r"time is \d\.5 in row 4 \(g s\d+\)\. ou takes any time",
        change=half,
        residual="ar1(0 + time | g)",
    )
    _refused(DataError, "whole steps", change=half, residual="arma(0 + time | g, p=1)")
    _refused(
        ModelError,
        "equal steps",
        change=lambda t: t.assign(visit=t["time"] ** 1.5),
        residual="toep(0 + visit | g)",
    )


def test_names_that_are_not_there():
    _refused(
        FormulaError,
        r"(?s)no column is called 'tim'.*ar1\(0 \+ tim \| g\).*\^\^\^.*'time'",
        residual="ar1(0 + tim | g)",
    )
    _refused(FormulaError, r"(?s)no column is called 'sxe'.*ident\(sxe\).*'sex'", variance="ident(sxe)")
    _refused(FormulaError, r"(?s)no column is called 'z'", formula="y ~ z", residual="ar1(0 + time | g)")
    _refused(FormulaError, "The closest is 'ar1", residual="arr1(0 + time | g)")
    _refused(FormulaError, "no option 'P'|closest is 'p'", residual="arma(0 + time | g, P=1)")
    _refused(FormulaError, "not a variance function", variance="powr(x)")
    _refused(ModelError, "closest is 'phi'", residual="ar1(0 + time | g)", fixed_parameters={"ph": 0.5})
    _refused(ModelError, "between -1 and 1", residual="ar1(0 + time | g)", fixed_parameters={"phi": 1.5})


def test_terms_that_are_no_residuals():
    _refused(ModelError, "hd.lmm fits it", formula="y ~ x + (1 | g)")
    _refused(FormulaError, r"cs\(1 \| g\)", residual="(1 | g)")
    _refused(FormulaError, r"ar1\(0 \+ time \| g\)", residual="ar1(time | g)")
    _refused(ModelError, "orders", residual="arma(0 + time | g)")
    _refused(ModelError, "cs with one is cs again", residual="cs(1 | g) + (1 | units)")
    _refused(NotAvailableError, "not one of residuals", residual="fa(0 + visit | g, k=1)")
    _refused(ModelError, "give one of them", residual="ar1(0 + time | g)", V=np.eye(3))


def test_data_that_cannot_carry_the_structure():
    alone = lambda t: t.assign(g=[f"r{i}" for i in range(len(t))])  # noqa: E731
    for residual in ("ar1(0 + time | g)", "cs(1 | g)", "ou(0 + time | g)", "csh(0 + time | g)"):
        _refused(ModelError, "every g has one row", change=alone, residual=residual)
    few = lambda t: t[t["g"] < "s05"]  # noqa: E731
    _refused(ModelError, "36 parameters, and 5 groups", change=few, residual="us(0 + time | g)")
    apart = lambda t: t[(t["time"] < 2) & ((t["time"] == 0) == (t["sex"] == "f"))]  # noqa: E731
    _refused(
        ModelError, "never occur in one group|every g has one row", change=apart, residual="cor(0 + time | g)"
    )
    _refused(ModelError, "one level only", change=lambda t: t.assign(sex="f"), variance="ident(sex)")
    _refused(ModelError, "same in every row", change=lambda t: t.assign(z=2.0), variance="power(z)")
    _refused(ModelError, "cannot be told apart", variance="power(x) * power(x)")
    _refused(ModelError, "constant|exactly", change=lambda t: t.assign(y=1.0), residual="ar1(0 + time | g)")


def test_covariates_of_variances():
    _refused(DataError, r"positive numbers, and time is 0 in row \d+", variance="power(time)")
    _refused(
        DataError,
        r"not negative, and z is -",
        change=lambda t: t.assign(z=-t["x"]),
        variance="const_power(z)",
    )
    _refused(DataError, r"ident\(sex\)", variance="power(sex)")
    held = {f"cor(visit{i}, visit{j})": 0.0 for i in range(4) for j in range(i + 1, 4)}
    held |= {"cor(visit0, visit1)": 0.9, "cor(visit0, visit2)": 0.9, "cor(visit1, visit2)": -0.9}
    once = lambda t: t.drop_duplicates(["g", "visit"])  # noqa: E731
    _refused(
        ModelError,
        "not positive definite together: the smallest eigenvalue",
        change=once,
        residual="cor(0 + visit | g)",
        fixed_parameters=held,
    )


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_a_response_beyond_double_precision_is_said_to_be(size):
    said = "squares of its variances cannot be held in double precision"
    _refused(ModelError, said, change=lambda t: t.assign(y=t["y"] * size), residual="ar1(0 + time | g)")


def test_more_parameters_than_the_rows_carry():
    _refused(
        ModelError,
        "degrees of freedom, which cannot carry",
        change=lambda t: t.iloc[:5],
        variance="ident(sex) * power(x)",
        residual="ar1(0 + time | g)",
    )


def test_a_likelihood_without_bound_is_no_boundary():
    """The one row of the third visit has a mean of its own: under ML its variance goes to 0, and there is no maximum."""
    rng = np.random.default_rng(0)
    visit = [*[0.0] * 10, *[1.0] * 10, 2.0]
    table = pd.DataFrame({"y": rng.standard_normal(21), "g": [*range(10), *range(10), 0], "visit": visit})
    fit = hd.gls("y ~ C(visit)", table, residual="diag(0 + visit | g)", reml=False)
    assert fit.status.verdict == "not converged"
    assert "without bound" in str(fit.status)


def test_theta_has_every_parameter(table):
    us = hd.gls("y ~ x", table, residual="us(0 + visit | g)")
    assert len(us.theta) == 10
    assert len(hd.gls("y ~ x", table, residual="ar1(0 + time | g)").theta) == 1
