"""Laws that any fit with structures obeys: what changes when the data are written another way, and models that are one model under two
names. No reference numbers: each test compares two of our own answers that algebra says are equal."""

from __future__ import annotations

import numpy as np
import pytest
import structured_engine as se
import structured_twin as tw

import henderson as hd
from henderson import formula as formulas
from henderson.models import structured

M = se.M
K = se.related("dense")


def drawn(seed: int = 0, q: int = 11, n: int = 81) -> dict[str, np.ndarray]:
    """A trial with a response that has all it may be asked for: levels that differ in each environment, a field, unequal variances."""
    rng = np.random.default_rng(seed)
    d = se.table(rng, q, n)
    code = np.array([se.IDS.index(g) for g in d["g"]])
    env = np.searchsorted(se.NAMES, d["env"])
    sigma = 1.5 * 0.6 ** np.abs(np.subtract.outer(np.arange(M), np.arange(M))) + 0.5 * np.eye(M)
    u = np.linalg.cholesky(K) @ rng.normal(size=(11, M)) @ np.linalg.cholesky(sigma).T
    field = np.linalg.cholesky(np.kron(tw.ar1(9, 0.7), tw.ar1(9, 0.5))) @ rng.normal(size=81)
    at = (d["row"] - 1).astype(int) * 9 + (d["col"] - 1).astype(int)
    slope = rng.normal(size=11)[code] * d["x"]
    d["y"] = (
        20.0
        + 0.5 * env
        + d["x"]
        + u[code, env]
        + slope
        + field[at]
        + rng.normal(size=n) * np.where(d["sec"] == "k", 0.7, 1.2)
    )
    return d


def components(fit) -> dict[str, float]:
    c = fit.variance_components_columns()
    return {f"{g}: {t}": v for g, t, v in zip(c["group"], c["term"], c["estimate"], strict=True)}


def blups(fit) -> dict[tuple, float]:
    r = fit.random_effects_columns()
    return {
        key: v
        for key, v in zip(zip(r["group"], r["level"], r["term"], strict=True), r["estimate"], strict=True)
    }


def same_numbers(a: dict, b: dict, tolerance: float = 1e-5) -> None:
    assert a.keys() == b.keys()
    found, expected = np.array(list(a.values())), np.array([b[k] for k in a])
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def same_fit(a, b, tolerance: float = 1e-5) -> None:
    """Criterion, coefficients, their variances, components and BLUPs."""
    assert a.status.converged and b.status.converged
    assert a.deviance == pytest.approx(b.deviance, abs=1e-6)
    np.testing.assert_allclose(a.coefficients, b.coefficients, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(a.vcov, b.vcov, rtol=10 * tolerance, atol=tolerance * np.abs(b.vcov).max())
    same_numbers(components(a), components(b), 10 * tolerance)
    same_numbers(blups(a), blups(b), 10 * tolerance)


GIVEN = {"A": (K, se.IDS)}
MODELS = [
    ("y ~ x + (1 | vm(g, A))", {}),
    ("y ~ x + us(1 + x | g)", {"residual": "diag(0 + sec | units)"}),
    ("y ~ x + ar1(0 + time | g)", {}),
    ("y ~ x + fa(0 + env | vm(g, A), k=1)", {}),
    ("y ~ x + (1 | g)", {"residual": "(1 | ar1(row):ar1(col))"}),
    ("y ~ x + (1 | g)", {"residual": "(1 | ar1(row):ar1(col)) + (1 | units)"}),
    ("y ~ x + env + diag(0 + sec | g)", {"residual": "at(sec):(1 | ar1(row):ar1(col))"}),
    ("y ~ x + (1 | g)", {"residual": "ar1(0 + t | series)"}),
    ("y ~ x + cs(0 + env | g)", {"variance": "power(v)"}),
]
every = pytest.mark.parametrize(
    ("formula", "more"), MODELS, ids=[f"{f} {' '.join(m.values())}" for f, m in MODELS]
)


def fit(formula, data, **more):
    given = more.pop("given", GIVEN)
    return hd.lmm(formula, data, relationships=given if "A)" in formula else None, **more)


def units_of(fitted) -> dict[str, int]:
    rows = fitted._reported
    names = components(fitted)
    units = []
    for r in rows:
        if r.term < 0:
            p = fitted.solution.problem.model.residual
            found = {x.name: x.unit for x in p.parameters} if p is not None else {}
            units.append(found.get(r.name, 2 if r.name == "Residual" else 0))
        elif r.kind == "T":
            t = fitted.solution.terms[r.term].structure
            units.append(
                {x.name: x.unit for x in t.parameters_of(fitted.labels.terms[r.term].effects)}[r.name]
            )
        else:
            units.append(0)
    return dict(zip(names, units, strict=True))


# ---------------------------------------------------------------------------------------------- the data written another way


@every
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("c", [1e-4, 1e6])
def test_a_response_in_other_units(formula, more, reml, c):
    d = drawn()
    base = fit(formula, d, reml=reml, **more)
    scaled = fit(formula, {**d, "y": c * d["y"]}, reml=reml, **more)
    nu = base.solution.problem.nu
    assert scaled.deviance - 2 * nu * np.log(c) == pytest.approx(base.deviance, abs=1e-6)
    units = units_of(base)
    a, b = components(scaled), components(base)
    assert a.keys() == b.keys()
    for k in b:
        assert a[k] / c ** units[k] == pytest.approx(b[k], rel=2e-3, abs=1e-4)
    np.testing.assert_allclose(scaled.coefficients / c, base.coefficients, rtol=1e-4, atol=1e-4)
    again, first = blups(scaled), blups(base)
    same_numbers({key: v / c for key, v in again.items()}, first, 1e-4)


@every
def test_rows_in_another_order(formula, more):
    d = drawn(1)
    order = np.random.default_rng(2).permutation(len(d["y"]))
    a, b = fit(formula, d, **more), fit(formula, {k: v[order] for k, v in d.items()}, **more)
    same_fit(a, b)
    np.testing.assert_allclose(np.asarray(b.fitted), np.asarray(a.fitted)[order], atol=1e-4)


@every
def test_a_covariate_from_another_origin(formula, more):
    """us is closed under it, whatever stands right of the bar; fixed effects move by their slope."""
    d = drawn(2)
    a, b = fit(formula, d, **more), fit(formula, {**d, "x": d["x"] + 1000.0}, **more)
    assert b.deviance == pytest.approx(a.deviance, abs=1e-5)
    np.testing.assert_allclose(np.asarray(b.fitted), np.asarray(a.fitted), atol=1e-4)
    at = list(a.labels.fixed).index("x")
    assert b.coefficients[at] == pytest.approx(a.coefficients[at], abs=1e-5)
    if "1 + x |" in formula:
        # Var(u0 + u1 x) of the same rows.
        (sa,), (sb,) = a.solution.covariances, b.solution.covariances
        move = np.array([[1.0, -1000.0], [0.0, 1.0]])
        np.testing.assert_allclose(move @ sa @ move.T, sb, rtol=1e-3)


@every
def test_levels_under_other_names_in_another_order(formula, more):
    d = drawn(3)
    rng = np.random.default_rng(4)
    # Names of g are permuted; K with them.
    new = dict(zip(se.IDS, rng.permutation([f"n{i}" for i in range(11)]), strict=True))
    shuffle = rng.permutation(11)
    ids = [new[se.IDS[i]] for i in shuffle]
    given = {"A": (K[np.ix_(shuffle, shuffle)], ids)}
    e = {**d, "g": np.array([new[g] for g in d["g"]]), "series": np.array([f"z{v}" for v in d["series"]])}
    a, b = fit(formula, d, **more), fit(formula, e, given=given, **more)
    assert b.deviance == pytest.approx(a.deviance, abs=1e-6)
    same_numbers(components(a), components(b), 1e-4)
    renamed = {(group, new.get(level, level), term): v for (group, level, term), v in blups(a).items()}
    same_numbers(dict(sorted(renamed.items())), dict(sorted(blups(b).items())), 1e-4)


@every
@pytest.mark.parametrize("reml", [True, False])
def test_columns_of_x_in_another_basis(formula, more, reml):
    """Treatment against sum contrasts: REML criteria differ by 2 log|det B| (B from one basis to the other), ML ones do not."""
    d = drawn(5)
    formula = formula.replace("y ~ x +", "y ~ x + h +")
    a = fit(formula, d, reml=reml, **more)
    b = fit(formula, d, reml=reml, contrasts={"h": "sum"}, **more)
    change = np.linalg.lstsq(b.design.X, a.design.X, rcond=None)[0]
    moved = 2 * np.linalg.slogdet(change)[1] if reml else 0.0
    assert a.deviance - moved == pytest.approx(b.deviance, abs=1e-6)
    same_numbers(components(a), components(b), 1e-4)
    np.testing.assert_allclose(change @ a.coefficients, b.coefficients, rtol=1e-4, atol=1e-4)


# ----------------------------------------------------------------------------------------- a model that two engines can fit


def both_engines(formula, data, reml):
    given = structured.read_input(
        formulas.parse(formula),
        data,
        residual=None,
        variance=None,
        relationships=None,
        weights=None,
        offset=None,
        contrasts=None,
    )
    return hd.lmm(formula, data, reml=reml), structured.fit_structured(formula, given, reml)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    ("data", "formula"),
    [
        ("sleepstudy", "Reaction ~ Days + (1 + Days | Subject)"),
        ("sleepstudy", "Reaction ~ Days + diag(1 + Days | Subject)"),
        ("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
        ("Pastes", "strength ~ 1 + (1 | batch) + (1 | sample)"),
        ("Machines", "score ~ Machine + (0 + Machine | Worker)"),
        ("Dyestuff", "Yield ~ 1 + (1 | Batch)"),
        ("Dyestuff2", "Yield ~ 1 + (1 | Batch)"),
        ("Oats", "yield ~ nitro + (1 | Block) + (1 | Block:Variety)"),
        ("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)"),
    ],
)
def test_the_engine_of_unstructured_models_agrees(data, formula, reml):
    old, new = both_engines(formula, hd.datasets.load(data), reml)
    assert type(old) is not type(new)
    assert new.status.verdict == old.status.verdict
    assert new.deviance == pytest.approx(old.deviance, abs=1e-6)
    np.testing.assert_allclose(new.coefficients, old.coefficients, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(new.vcov, old.vcov, rtol=1e-4, atol=1e-6 * np.abs(old.vcov).max())
    assert sorted(components(new)) == sorted(components(old))
    same_numbers({k: components(old)[k] for k in components(new)}, components(new), 1e-4)
    a, b = old.variance_components_columns(), new.variance_components_columns()
    errors = {f"{g}: {t}": v for g, t, v in zip(a["group"], a["term"], a["std_error"], strict=True)}
    for g, t, v in zip(b["group"], b["term"], b["std_error"], strict=True):
        assert v == pytest.approx(errors[f"{g}: {t}"], rel=1e-3, nan_ok=True)
    ra, rb = old.random_effects_columns(), new.random_effects_columns()
    for name in ("estimate", "std_error"):
        np.testing.assert_allclose(
            rb[name], ra[name], rtol=1e-4, atol=1e-4 * np.abs(ra[name]).max(initial=1e-8)
        )
    np.testing.assert_allclose(np.asarray(new.tidy()["df"]), np.asarray(old.tidy()["df"]), rtol=1e-3)


# --------------------------------------------------------------------------------------------- one model under two names


def equal_criteria(a, b, tolerance=1e-5):
    assert a.status.converged and b.status.converged
    assert a.deviance == pytest.approx(b.deviance, abs=tolerance)
    np.testing.assert_allclose(np.asarray(a.fitted), np.asarray(b.fitted), atol=1e-3)
    np.testing.assert_allclose(a.vcov, b.vcov, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("reml", [True, False])
def test_diag_is_a_term_for_each_effect(reml):
    d = drawn(6)
    for e in se.NAMES:
        d[f"is{e}"] = (d["env"] == e).astype(float)
    a = fit("y ~ x + diag(0 + env | vm(g, A))", d, reml=reml)
    b = fit("y ~ x + at(env):(1 | vm(g, A))", d, reml=reml)
    c = fit("y ~ x" + "".join(f" + (0 + is{e} | vm(g, A))" for e in se.NAMES), d, reml=reml)
    equal_criteria(a, b)
    equal_criteria(a, c)
    for other in (b, c):
        np.testing.assert_allclose(
            [s[0, 0] for s in other.solution.covariances],
            np.diag(a.solution.covariances[0]),
            rtol=1e-3,
            atol=1e-4,
        )


@pytest.mark.parametrize("reml", [True, False])
def test_a_factor_for_each_effect_is_us(reml):
    d = drawn(7)
    d["period"] = np.array(["p", "q", "r"])[np.searchsorted(se.NAMES, d["env"]) % 3]
    a = fit("y ~ x + us(0 + period | vm(g, A))", d, reml=reml)
    b = fit("y ~ x + rr(0 + period | vm(g, A), k=3)", d, reml=reml)
    equal_criteria(a, b)
    np.testing.assert_allclose(a.solution.covariances[0], b.solution.covariances[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("reml", [True, False])
def test_rr_beside_diag_is_fa(reml):
    d = drawn(23)
    a = fit("y ~ x + fa(0 + env | vm(g, A), k=1)", d, reml=reml)
    b = fit("y ~ x + rr(0 + env | vm(g, A), k=1) + diag(0 + env | vm(g, A))", d, reml=reml)
    equal_criteria(a, b, 1e-4)
    both = sum(b.solution.covariances)
    np.testing.assert_allclose(both, a.solution.covariances[0], atol=2e-2 * np.abs(both).max())
    total = sum(b.solution.u)
    np.testing.assert_allclose(total, a.solution.u[0], atol=2e-2 * np.abs(total).max())


@pytest.mark.parametrize("right", ["g", "vm(g, A)"])
def test_two_levels_have_one_correlation(right):
    d = drawn(8)
    d["half"] = 1.0 + (np.searchsorted(se.NAMES, d["env"]) % 2)
    words = lambda name: "half" if name in ("ar1", "ar1h", "exp") else "C(half)"  # noqa: E731
    equal = [fit(f"y ~ x + {name}(0 + {words(name)} | {right})", d) for name in ("ar1", "cs", "toep", "exp")]
    assert components(equal[0])[f"{right}: phi"] > 0.05
    for other in equal[1:]:
        equal_criteria(equal[0], other)
        np.testing.assert_allclose(other.solution.covariances[0], equal[0].solution.covariances[0], rtol=1e-3)
    free = [
        fit(f"y ~ x + {name}(0 + {words(name)} | {right})", d)
        for name in ("us", "csh", "ar1h", "toeph", "ante1")
    ]
    for other in free[1:]:
        equal_criteria(free[0], other)
        np.testing.assert_allclose(other.solution.covariances[0], free[0].solution.covariances[0], rtol=1e-3)


def test_equal_steps_are_ou_and_exp():
    """phi^d: ar1 of whole steps, ou and exp of distances, left of the bar, right of it and of the residual."""
    d = drawn(9)
    left = [fit(f"y ~ x + {name}(0 + time | g)", d) for name in ("ar1", "ou", "exp")]
    right = [fit(f"y ~ x + (1 | {name}(row))", d) for name in ("ar1", "ou", "exp")]
    rows = [fit("y ~ x + (1 | g)", d, residual=f"{name}(0 + t | series)") for name in ("ar1", "ou", "exp")]
    for first, *others in (left, right, rows):
        for other in others:
            equal_criteria(first, other)


def test_a_field_without_correlation_along_columns_is_rows_that_are_apart():
    d = drawn(10)
    held = fit(
        "y ~ x", d, residual="(1 | ar1(row):ar1(col))", fixed_parameters={"Residual": {"phi(col)": 0.0}}
    )
    apart = fit("y ~ x", d, residual="(1 | ar1(row):id(col))")
    equal_criteria(held, apart)


def test_a_relationship_of_independent_levels_is_none_and_its_scale_is_the_variance():
    d = drawn(11)
    plain = fit("y ~ x + us(1 + x | g)", d, residual="diag(0 + sec | units)")
    more = {"residual": "diag(0 + sec | units)", "relationships": {"A": (np.eye(11), se.IDS)}}
    equal_criteria(plain, hd.lmm("y ~ x + us(1 + x | vm(g, A))", d, **more))
    a = fit("y ~ x + (1 | vm(g, A))", d)
    b = fit("y ~ x + (1 | vm(g, A))", d, given={"A": (4.0 * K, se.IDS)})
    equal_criteria(a, b)
    assert b.solution.covariances[0] == pytest.approx(a.solution.covariances[0] / 4, rel=1e-4)
    same_numbers(blups(a), blups(b), 1e-4)


def test_ids_without_records_change_nothing_but_their_own_blups():
    d = drawn(12)
    keep = np.array([g not in ("g08", "g09", "g10") for g in d["g"]])
    d = {k: v[keep] for k, v in d.items()}
    whole = fit("y ~ x + ar1(0 + time | vm(g, A))", d)
    seen = fit("y ~ x + ar1(0 + time | vm(g, A))", d, given={"A": (K[:8, :8], se.IDS[:8])})
    equal_criteria(whole, seen)
    some = {key: v for key, v in blups(whole).items() if key[1] in se.IDS[:8]}
    same_numbers(some, blups(seen), 1e-4)
    # u of the others: K_10 K_00^-1 u of those seen.
    u = whole.solution.u[0]
    np.testing.assert_allclose(u[8:], K[8:, :8] @ np.linalg.solve(K[:8, :8], u[:8]), atol=1e-8)


def test_plots_listed_without_a_value_are_plots_left_out():
    d = drawn(13, n=70)
    d["y"][[3, 11, 40]] = np.nan
    d["x"][20] = np.nan
    there = np.isfinite(d["y"]) & np.isfinite(d["x"])
    few = {k: v[there] for k, v in d.items()}
    for formula, more in MODELS:
        same_fit(fit(formula, d, **more), fit(formula, few, **more), 1e-4)


@pytest.mark.parametrize("reml", [True, False])
def test_traits_without_covariances_are_models_of_their_own(reml):
    """cbind with diag throughout, one trait in another unit, records of one trait missing."""
    rng = np.random.default_rng(14)
    d = drawn(14)
    del d["trait"], d["unit"]
    d["z"] = 1e3 * (rng.normal(size=11)[[se.IDS.index(g) for g in d["g"]]] + rng.normal(size=81) + d["x"])
    d["z"][[5, 17]] = np.nan
    joint = hd.lmm(
        "cbind(y, z) ~ 0 + trait + trait:x + diag(0 + trait | vm(g, A))",
        d,
        residual="diag(0 + trait | units)",
        relationships=GIVEN,
        reml=reml,
    )
    alone = [fit(f"{y} ~ x + (1 | vm(g, A))", d, reml=reml) for y in "yz"]
    assert joint.deviance == pytest.approx(sum(f.deviance for f in alone), abs=1e-5)
    found = [joint.solution.covariances[0][i, i] for i in range(2)]
    np.testing.assert_allclose(found, [f.solution.covariances[0][0, 0] for f in alone], rtol=1e-3)
    np.testing.assert_allclose(
        sorted(joint.coefficients), sorted(np.concatenate([f.coefficients for f in alone])), rtol=1e-4
    )


@pytest.mark.parametrize("reml", [True, False])
def test_correlations_of_traits_held_at_zero_are_diag(reml):
    d = drawn(15)
    del d["trait"], d["unit"]
    d["z"] = 0.5 * d["y"] + np.random.default_rng(15).normal(size=81)
    call = {"relationships": GIVEN, "reml": reml}
    formula = "cbind(y, z) ~ trait + {}(0 + trait | vm(g, A))"
    free = hd.lmm(formula.format("csh"), d, residual="csh(0 + trait | units)", **call)
    held = hd.lmm(
        formula.format("csh"),
        d,
        residual="csh(0 + trait | units)",
        fixed_parameters={"vm(g, A)": {"rho": 0.0}, "Residual": {"rho": 0.0}},
        **call,
    )
    diag = hd.lmm(formula.format("diag"), d, residual="diag(0 + trait | units)", **call)
    assert free.deviance < held.deviance - 1.0
    assert held.deviance == pytest.approx(diag.deviance, abs=1e-5)


@pytest.mark.parametrize("reml", [True, False])
def test_sections_with_nothing_in_common_are_models_of_their_own(reml):
    d = drawn(16)
    joint = fit(
        "y ~ 0 + sec + sec:x + at(sec):(1 | g)", d, residual="at(sec):(1 | ar1(row):ar1(col))", reml=reml
    )
    parts = [{k: v[d["sec"] == s] for k, v in d.items()} for s in "kl"]
    alone = [fit("y ~ x + (1 | g)", part, residual="(1 | ar1(row):ar1(col))", reml=reml) for part in parts]
    assert joint.deviance == pytest.approx(sum(f.deviance for f in alone), abs=1e-4)
    for k, f in enumerate(alone):
        assert joint.solution.covariances[k][0, 0] == pytest.approx(
            f.solution.covariances[0][0, 0], rel=1e-2, abs=1e-4
        )


def test_a_known_covariance_of_the_rows():
    """V known: the residual is V itself, not a multiple; a random effect beside it has the variance that the twin gives it."""
    rng = np.random.default_rng(17)
    d = drawn(17, n=40)
    b = rng.normal(size=(40, 60))
    v = b @ b.T / 60 * 2.0
    d["id"] = np.array([f"r{i}" for i in rng.permutation(40)])
    at = np.array([int(i[1:]) for i in d["id"]])
    f = hd.lmm(
        "y ~ x + (1 | g)", d, residual="vm(id, V)", relationships={"V": (v, [f"r{i}" for i in range(40)])}
    )
    z = tw.incidence(np.unique(d["g"], return_inverse=True)[1])
    value = lambda s2: tw.criterion(d["y"], f.design.X, [tw.Term(z, np.array([[s2]]))], v[np.ix_(at, at)])  # noqa: E731
    s2 = f.solution.covariances[0][0, 0]
    assert f.deviance == pytest.approx(value(s2), abs=1e-8)
    assert s2 > 0
    assert tw.gradient(lambda t: value(t[0]), np.array([s2]))[0] == pytest.approx(0.0, abs=1e-4)


def test_weights_are_variances_that_are_known_up_to_one():
    d = drawn(18)
    a = fit("y ~ x + (1 | vm(g, A))", d, weights="w")
    b = fit(
        "y ~ x + (1 | vm(g, A))",
        {**d, "s": 1 / d["w"]},
        variance="power(s)",
        fixed_parameters={"Residual": {"power(s)": 0.5}},
    )
    equal_criteria(a, b)


# -------------------------------------------------------------------------------------------------- one dense K, two ways


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("residual", [None, "diag(0 + env | units)", "us(0 + env | g)"])
def test_a_rotated_fit_is_the_fit(singular, residual, monkeypatch):
    """Every level with the same records: by eigenvectors, and by the equations as they are."""
    rng = np.random.default_rng(19)
    b = rng.normal(size=(30, 16 if singular else 60))
    k = b @ b.T / b.shape[1]
    ids = [f"i{i:02d}" for i in range(30)]
    rows = [(g, e) for g in ids[:24] for e in range(2)]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    g, e = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    u = tw_root(k) @ rng.normal(size=(len(k), 2)) * 2.0
    d = {"g": g, "env": np.array(["A", "B"])[e], "x": rng.normal(size=len(g))}
    d["y"] = u[[ids.index(i) for i in g], e] + d["x"] + rng.normal(size=len(g)) * np.where(e, 1.0, 0.6)
    given, formula = {"G": (k, ids)}, "y ~ env + x + (1 | vm(g, G))"
    turned = hd.lmm(formula, d, residual=residual, relationships=given)
    assert turned.solution.problem.model.rotation is not None
    monkeypatch.setattr(structured, "rotated", lambda model, covariance: model)
    plain = hd.lmm(formula, d, residual=residual, relationships=given)
    assert plain.solution.problem.model.rotation is None
    same_fit(turned, plain, 1e-4)
    a, b = turned.random_effects_columns(), plain.random_effects_columns()
    for name in ("std_error", "reliability"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-3, atol=1e-4)


def tw_root(k):
    values, vectors = np.linalg.eigh(k)
    return vectors * np.sqrt(np.maximum(values, 0.0))


# ----------------------------------------------------------------------------------------------- singular and on the boundary


@pytest.mark.parametrize("right", ["g", "vm(g, A)"])
@pytest.mark.parametrize(
    "left", ["(1 | {})", "diag(0 + sec | {})", "us(0 + sec | {})", "ar1(0 + time | {})", "cs(0 + env | {})"]
)
def test_no_variance_among_levels_is_a_variance_of_zero(left, right):
    """The means of the levels are made equal within every group: nothing is left for them but zero."""
    d = drawn(20)
    rng = np.random.default_rng(21)
    basis = np.linalg.qr(
        np.column_stack(
            [np.ones(81), d["x"], se._env(d), tw.incidence(np.unique(d["g"], return_inverse=True)[1])]
        )
    )[0]
    e = rng.normal(size=81)
    e -= basis @ (basis.T @ e)
    cells = np.unique([f"{g}{s}" for g, s in zip(d["g"], d["sec"], strict=True)], return_inverse=True)[1]
    if "sec" in left:
        basis = np.linalg.qr(np.column_stack([np.ones(81), d["x"], tw.incidence(cells)]))[0]
        e = rng.normal(size=81)
        e -= basis @ (basis.T @ e)
    if "time" in left or "env" in left:
        cells = np.unique([f"{g}{s}" for g, s in zip(d["g"], d["env"], strict=True)], return_inverse=True)[1]
        basis = np.linalg.qr(np.column_stack([np.ones(81), d["x"], tw.incidence(cells)]))[0]
        e = rng.normal(size=81)
        e -= basis @ (basis.T @ e)
    f = fit("y ~ x + " + left.format(right), {**d, "y": 5.0 + 2.0 * d["x"] + e})
    assert f.status.verdict == "boundary"
    np.testing.assert_array_equal(f.solution.covariances[0], 0.0)
    np.testing.assert_array_equal(f.solution.u[0], 0.0)
    plain = hd.lm("y ~ x", {**d, "y": 5.0 + 2.0 * d["x"] + e})
    np.testing.assert_allclose(f.coefficients, plain.coefficients, rtol=1e-8)
    assert f.sigma == pytest.approx(plain.sigma, rel=1e-7)
    np.testing.assert_allclose(f.vcov, plain.vcov, rtol=1e-6)


def test_a_covariance_of_deficient_rank_is_fitted_by_all_names():
    """u = one number a level times loadings: us, fa and rr end at one criterion, us singular, the specific variances zero."""
    rng = np.random.default_rng(22)
    g, e, _ = (a.ravel() for a in np.meshgrid(np.arange(30), np.arange(3), np.arange(3), indexing="ij"))
    d = {"g": np.array([f"g{i:02d}" for i in range(30)])[g], "env": np.array(["A", "B", "C"])[e]}
    mean = np.zeros((30, 3))
    mean[:] = np.outer(rng.normal(size=30), [1.0, 1.5, 0.7])
    noise = rng.normal(size=len(g)) * 0.5
    cell = g * 3 + e
    noise -= (np.bincount(cell, noise) / 3)[cell]
    d["y"] = mean[g, e] + noise
    fits = {
        name: hd.lmm(f"y ~ env + {name}(0 + env | g{more})", d)
        for name, more in (("us", ""), ("fa", ", k=1"), ("rr", ", k=1"))
    }
    assert {f.status.verdict for f in fits.values()} <= {"converged", "boundary"}
    assert fits["us"].status.verdict == "boundary"
    for name in ("fa", "rr"):
        assert fits[name].deviance == pytest.approx(fits["us"].deviance, abs=1e-5)
        np.testing.assert_allclose(
            fits[name].solution.covariances[0], fits["us"].solution.covariances[0], rtol=1e-3, atol=1e-4
        )
    assert np.linalg.matrix_rank(fits["us"].solution.covariances[0], tol=1e-8) == 1


def test_a_nugget_that_is_not_needed_is_zero_and_the_field_is_the_residual():
    """AR1 x AR1 without measurement error: with a nugget the same optimum, which is on the boundary and said to be."""
    rng = np.random.default_rng(30)
    row, col = (a.ravel() for a in np.meshgrid(np.arange(9.0), np.arange(8.0), indexing="ij"))
    v = np.kron(tw.ar1(9, 0.6), tw.ar1(8, 0.3))
    found = 0
    for _ in range(4):
        d = {"row": row, "col": col, "v": np.array(list("abcdef"))[rng.permutation(72) % 6]}
        d["y"] = np.linalg.cholesky(v) @ rng.normal(size=72) * 3.0 + 50.0
        with_nugget = hd.lmm("y ~ v", d, residual="(1 | ar1(row):ar1(col)) + (1 | units)")
        without = hd.lmm("y ~ v", d, residual="(1 | ar1(row):ar1(col))")
        assert with_nugget.status.converged
        assert with_nugget.deviance < without.deviance + 1e-4
        if components(with_nugget)["Residual: Residual"] > 1e-4:
            continue
        found += 1
        assert with_nugget.status.verdict == "boundary"
        assert "residual variance is estimated as 0" in str(with_nugget.status)
        assert with_nugget.variance_components_columns()["bound"][-1] == "B"
        assert with_nugget.deviance == pytest.approx(without.deviance, abs=1e-4)
        np.testing.assert_allclose(with_nugget.coefficients, without.coefficients, atol=1e-3)
        np.testing.assert_allclose(
            list(components(with_nugget).values())[:3][1:], list(components(without).values())[:2], atol=1e-3
        )
    assert found >= 1


def test_a_fit_whose_residual_is_zero_is_fitted_again_to_the_same():
    rng = np.random.default_rng(33)
    row, col = (a.ravel() for a in np.meshgrid(np.arange(9.0), np.arange(8.0), indexing="ij"))
    root = np.linalg.cholesky(np.kron(tw.ar1(9, 0.6), tw.ar1(8, 0.3)))
    call = {"residual": "(1 | ar1(row):ar1(col)) + (1 | units)"}
    fits = [
        hd.lmm("y ~ 1", {"row": row, "col": col, "y": root @ rng.normal(size=72)}, **call) for _ in range(5)
    ]
    zero = [f for f in fits if components(f)["Residual: Residual"] < 1e-4]
    other = [f for f in fits if components(f)["Residual: Residual"] > 1e-2]
    assert zero and other
    for first in (zero[0], other[0]):
        for second in (zero[0], other[0]):
            again = structured.refit(first, second.design.y)
            assert again.status.verdict == second.status.verdict
            assert again.deviance == pytest.approx(second.deviance, abs=1e-5)
            same_numbers(components(again), components(second), 1e-3)


@pytest.mark.parametrize("share", [1e-4, 2e-3])
def test_a_residual_that_is_small_but_there_is_not_taken_for_none(share):
    rng = np.random.default_rng(31)
    g = np.repeat(np.arange(20), 3)
    d = {
        "g": np.array([f"g{i:02d}" for i in range(20)])[g],
        "y": rng.normal(size=20)[g] + share * rng.normal(size=60),
    }
    old, new = both_engines("y ~ 1 + (1 | g)", d, True)
    assert new.status.verdict == "converged"
    assert new.deviance == pytest.approx(old.deviance, abs=1e-5)
    assert new.sigma == pytest.approx(old.sigma, rel=1e-5)
    given = {"A": (K, se.IDS)}
    d["g"] = np.array([se.IDS[i % 11] for i in g])
    d["y"] = (np.linalg.cholesky(K) @ rng.normal(size=11))[g % 11] + share * rng.normal(size=60)
    f = hd.lmm("y ~ 1 + (1 | vm(g, A))", d, relationships=given)
    assert f.status.verdict == "converged"
    assert f.sigma == pytest.approx(share, rel=0.4)


def test_an_unreplicated_trial_says_what_it_cannot_tell():
    """fa over single plots: specific variances and the residual's are told apart by nothing, or a specific variance is zero and the
    residual's with it. Never "not converged", and never worse than the covariance with the residual variance held small."""
    rng = np.random.default_rng(32)
    verdicts = set()
    for _ in range(6):
        loadings = rng.normal(size=(6, 1)) + 0.8
        s = loadings @ loadings.T + np.diag(rng.uniform(0.0, 0.6, 6)) + 0.2 * np.eye(6)
        u = rng.normal(size=(35, 6)) @ np.linalg.cholesky(s).T
        g, e = (a.ravel() for a in np.meshgrid(np.arange(35), np.arange(6), indexing="ij"))
        d = {
            "g": np.array([f"g{i:02d}" for i in range(35)])[g],
            "env": np.array(list("abcdef"))[e],
            "y": u.ravel(),
        }
        f = hd.lmm("y ~ env + fa(0 + env | g, k=1)", d)
        assert f.status.converged
        said = str(f.status)
        verdicts.add("not identifiable" in said)
        assert "not identifiable" in said or "residual variance is estimated as 0" in said
        held = hd.lmm("y ~ env + fa(0 + env | g, k=1)", d, fixed_parameters={"Residual": 1e-5})
        assert f.deviance <= held.deviance + 1e-4
    assert verdicts == {True, False}
