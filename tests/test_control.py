"""What a user holds, ties, bounds and starts from, against the dense twin: the criterion at held values, the optimum of the model
written in fewer parameters, the optimum inside bounds by brute force, and standard errors by differences of the twin's criterion."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import structured_twin as tw
from scipy.optimize import minimize

import henderson as hd
from henderson.errors import ModelError

N, G, H, E = 150, 14, 8, 3
K = tw.ar1(G, 0.6)


@cache
def table() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    g, h, env, t = (rng.integers(0, k, N) for k in (G, H, E, 9))
    x = rng.normal(size=N)
    u = (
        np.linalg.cholesky(K)
        @ rng.normal(size=(G, E))
        @ np.array([[0.9, 0.6, 0.3], [0, 1.0, 0.5], [0, 0, 1.2]])
    )
    y = (
        4
        + x
        + u[g, env]
        + 0.8 * rng.normal(size=H)[h]
        + np.sin(t)
        + rng.normal(size=N) * np.array([1.0, 1.4, 0.8])[env]
    )
    names = {"g": [f"a{i:02d}" for i in g], "h": [f"h{i}" for i in h], "env": [f"e{i}" for i in env]}
    # A response whose unstructured matrix is estimated well inside.
    clear = 2 * u[g, env] + rng.normal(size=(G, E))[g, env] + 0.4 * rng.normal(size=N)
    return pd.DataFrame({"y": y, "x": x, "t": t, "clear": clear, **names})


RELATIONSHIP = pd.DataFrame(K, index=[f"a{i:02d}" for i in range(G)], columns=[f"a{i:02d}" for i in range(G)])
TWO = "y ~ x + (1 | vm(g, K)) + (1 | h)"


def lmm(formula: str, **more):
    if "K)" in formula:
        more["relationships"] = {"K": RELATIONSHIP}
    return hd.lmm(formula, table(), **more)


def codes(column: str) -> np.ndarray:
    return table()[column].str[1:].astype(int).to_numpy()


def x() -> np.ndarray:
    return np.column_stack([np.ones(N), table()["x"]])


def z(column: str, q: int, inside: str | None = None) -> np.ndarray:
    columns = None if inside is None else np.eye(E)[codes(inside)]
    return tw.incidence(codes(column), columns, q)


def two(v: float, w: float, s2: float) -> float:
    """The twin's criterion of TWO."""
    terms = [tw.Term(z("g", G), np.array([[v]]), K), tw.Term(z("h", H), np.array([[w]]))]
    return tw.criterion(table()["y"], x(), terms, np.full(N, s2))


def lowest(function, start, bounds=None) -> tuple[np.ndarray, float]:
    """Minimum of a function of positive numbers, by their logarithms."""
    limits = None if bounds is None else [tuple(None if e is None else np.log(e) for e in b) for b in bounds]
    found = minimize(
        lambda t: function(*np.exp(t)),
        np.log(start),
        bounds=limits,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-7},
    )
    return np.exp(found.x), float(found.fun)


def estimates(fit) -> dict[str, float]:
    c = fit.variance_components_columns()
    return {f"{g}: {t}": e for g, t, e in zip(c["group"], c["term"], c["estimate"], strict=True)}


def bounds_of(fit) -> dict[str, str]:
    c = fit.variance_components_columns()
    return {f"{g}: {t}": b for g, t, b in zip(c["group"], c["term"], c["bound"], strict=True)}


def errors_of(fit) -> dict[str, float]:
    c = fit.variance_components_columns()
    return {f"{g}: {t}": s for g, t, s in zip(c["group"], c["term"], c["std_error"], strict=True)}


def covariance_at(function, at) -> np.ndarray:
    """Inverse of half the Hessian of -2 log-likelihood, by differences."""
    at = np.asarray(at, float)
    hessian = np.array(
        [tw.gradient(lambda w, i=i: tw.gradient(lambda v: function(*v), w)[i], at) for i in range(len(at))]
    )
    return 2.0 * np.linalg.inv(0.5 * (hessian + hessian.T))


# -- held ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reml", [True, False])
def test_everything_held_is_the_twin_at_those_values(reml):
    fit = lmm(TWO, reml=reml, fixed_parameters={"vm(g, K)": 0.4, "h": 1.5, "Residual": 2.0})
    terms = [tw.Term(z("g", G), np.array([[0.4]]), K), tw.Term(z("h", H), np.array([[1.5]]))]
    other = tw.twin(table()["y"], x(), terms, np.full(N, 2.0), reml=reml)
    assert fit.deviance == pytest.approx(other.deviance, abs=1e-8)
    np.testing.assert_allclose(fit.solution.beta, other.beta, rtol=1e-9)
    np.testing.assert_allclose(fit.vcov, other.vcov, rtol=1e-8)
    for k in range(2):
        np.testing.assert_allclose(fit.solution.u[k], other.u[k], atol=1e-9)
        np.testing.assert_allclose(fit.solution.prediction_error[k], other.pev[k], atol=1e-9)
    assert fit.npar == 2
    assert set(bounds_of(fit).values()) == {"F"}
    assert fit.status.verdict == "converged"


def test_one_variance_held_leaves_the_optimum_of_the_others():
    fit = lmm(TWO, fixed_parameters={"vm(g, K)": 0.4})
    (w, s2), value = lowest(lambda w, s2: two(0.4, w, s2), [1.0, 1.0])
    assert fit.deviance == pytest.approx(value, abs=1e-7)
    found = estimates(fit)
    assert found["vm(g, K): (Intercept)"] == pytest.approx(0.4, rel=1e-12)
    assert found["h: (Intercept)"] == pytest.approx(w, rel=1e-4)
    assert found["Residual: Residual"] == pytest.approx(s2, rel=1e-4)
    assert bounds_of(fit) == {"vm(g, K): (Intercept)": "F", "h: (Intercept)": "P", "Residual: Residual": "P"}
    spread = covariance_at(
        lambda w, s2: two(0.4, w, s2), [found["h: (Intercept)"], found["Residual: Residual"]]
    )
    wanted = np.sqrt(np.diag(spread))
    assert errors_of(fit)["h: (Intercept)"] == pytest.approx(wanted[0], rel=1e-4)
    assert errors_of(fit)["Residual: Residual"] == pytest.approx(wanted[1], rel=1e-4)
    assert fit.npar == 4


def test_the_residual_held_leaves_the_optimum_of_the_others():
    fit = lmm(TWO, fixed_parameters={"Residual": 3.0})
    (v, w), value = lowest(lambda v, w: two(v, w, 3.0), [1.0, 1.0])
    assert fit.deviance == pytest.approx(value, abs=1e-7)
    assert estimates(fit)["vm(g, K): (Intercept)"] == pytest.approx(v, rel=1e-4)
    spread = covariance_at(lambda v, w: two(v, w, 3.0), [v, w])
    assert errors_of(fit)["vm(g, K): (Intercept)"] == pytest.approx(np.sqrt(spread[0, 0]), rel=1e-3)


def test_a_variance_held_at_zero_is_held():
    fit = lmm(TWO, fixed_parameters={"vm(g, K)": 0.0})
    _, value = lowest(lambda w, s2: two(0.0, w, s2), [1.0, 1.0])
    assert fit.deviance == pytest.approx(value, abs=1e-7)
    assert bounds_of(fit)["vm(g, K): (Intercept)"] == "F"
    np.testing.assert_array_equal(fit.solution.u[0], 0.0)


SIGMA = np.array([[1.2, 0.5, 0.2], [0.5, 1.6, -0.3], [0.2, -0.3, 2.0]])
US = "y ~ x + us(0 + env | vm(g, K))"


def us(sigma: np.ndarray, s2: float, response: str = "y") -> float:
    return tw.criterion(table()[response], x(), [tw.Term(z("g", G, "env"), sigma, K)], np.full(N, s2))


def test_a_matrix_held_is_the_twin_at_it():
    fit = lmm(US, fixed_parameters={"vm(g, K)": SIGMA, "Residual": 1.1})
    assert fit.deviance == pytest.approx(us(SIGMA, 1.1), abs=1e-8)
    np.testing.assert_allclose(next(iter(fit.covariances.values())), SIGMA, atol=1e-12)
    listed = lmm(US, fixed_parameters={"vm(g, K)": [1.0, 2.0, 3.0], "Residual": 1.1})
    assert listed.deviance == pytest.approx(us(np.diag([1.0, 2.0, 3.0]), 1.1), abs=1e-8)
    again = lmm(US, fixed_parameters=fit.variance_components)
    assert again.deviance == pytest.approx(fit.deviance, abs=1e-9)


def test_the_first_variance_and_covariance_of_a_matrix_may_be_held_alone():
    formula = US.replace("y ~", "clear ~")
    first, cov = "vm(g, K): env[e0]", "vm(g, K): cov(env[e0], env[e1])"
    fit = lmm(formula, fixed_parameters={first: 2.5, cov: 1.5})
    assert fit.status.verdict == "converged"
    found = estimates(fit)
    assert (found[first], found[cov]) == pytest.approx((2.5, 1.5), rel=1e-10)
    assert fit.npar == 2 + 4 + 1
    assert lmm(formula).deviance < fit.deviance
    # At the optimum no free entry moves the twin.
    sigma = next(iter(fit.covariances.values()))
    s2 = found["Residual: Residual"]

    def along(moves):
        t = sigma.copy()
        for value, (i, j) in zip(moves, ((2, 0), (1, 1), (2, 1), (2, 2)), strict=True):
            t[i, j] += value
            t[j, i] = t[i, j]
        return us(t, s2, "clear")

    np.testing.assert_allclose(tw.gradient(along, np.zeros(4)), 0.0, atol=2e-4)
    with pytest.raises(ModelError, match=r"cannot be held without others.*whole matrix"):
        lmm(formula, fixed_parameters={cov: 0.3})


def test_parameters_of_structures_are_held_by_name():
    data = table()["y"]
    fit = lmm("y ~ x + csh(0 + env | g)", fixed_parameters={"g": {"rho": 0.4}})

    def csh(a, b, c, s2):
        sigma = tw.heterogeneous(tw.compound(3, 0.4), np.sqrt([a, b, c]))
        return tw.criterion(data, x(), [tw.Term(z("g", G, "env"), sigma)], np.full(N, s2))

    _, value = lowest(csh, [1.0, 1.0, 1.0, 1.0])
    assert fit.deviance == pytest.approx(value, abs=1e-6)
    assert bounds_of(fit)["g: rho"] == "F"
    spread = covariance_at(csh, [*list(estimates(fit).values())[:3], estimates(fit)["Residual: Residual"]])
    assert errors_of(fit)["Residual: Residual"] == pytest.approx(np.sqrt(spread[3, 3]), rel=1e-3)


def test_a_decay_right_of_the_bar_is_held_beside_a_free_variance():
    fit = lmm("y ~ x + (1 | ar1(t))", fixed_parameters={"ar1(t): ar1(t)": 0.35})
    times = np.unique(table()["t"])
    zt = tw.incidence(np.searchsorted(times, table()["t"]), None, len(times))

    def criterion(v, s2):
        return tw.criterion(
            table()["y"], x(), [tw.Term(zt, np.array([[v]]), tw.ar1(times, 0.35))], np.full(N, s2)
        )

    best, value = lowest(criterion, [1.0, 1.0])
    assert fit.deviance == pytest.approx(value, abs=1e-7)
    assert estimates(fit)["ar1(t): ar1(t)"] == pytest.approx(0.35, rel=1e-12)
    assert estimates(fit)["ar1(t): (Intercept)"] == pytest.approx(best[0], rel=1e-3)


def heterogeneous(v: float, *s2: float) -> float:
    return tw.criterion(table()["y"], x(), [tw.Term(z("g", G), np.array([[v]]))], np.array(s2)[codes("env")])


@pytest.mark.parametrize("which", [0, 1, 2])
def test_any_variance_of_a_heterogeneous_residual_is_held(which):
    fit = lmm(
        "y ~ x + (1 | g)",
        residual="diag(0 + env | units)",
        fixed_parameters={"Residual": {f"enve{which}": 1.7}},
    )

    def criterion(v, a, b):
        rest = [a, b]
        rest.insert(which, 1.7)
        return heterogeneous(v, *rest)

    _, value = lowest(criterion, [1.0, 1.0, 1.0])
    assert fit.deviance == pytest.approx(value, abs=1e-6)
    assert estimates(fit)[f"Residual: enve{which}"] == pytest.approx(1.7, rel=1e-9)
    assert bounds_of(fit)[f"Residual: enve{which}"] == "F"
    assert fit.npar == 2 + 3


def test_all_variances_of_a_heterogeneous_residual_are_held():
    held = {"enve0": 1.0, "enve1": 2.0, "enve2": 0.7}
    fit = lmm(
        "y ~ x + (1 | g)", residual="diag(0 + env | units)", fixed_parameters={"Residual": held, "g": 0.9}
    )
    assert fit.deviance == pytest.approx(heterogeneous(0.9, 1.0, 2.0, 0.7), abs=1e-8)
    assert fit.npar == 2


def test_a_variance_function_is_held_with_the_residual_variance():
    data = table().assign(w=1.0 + np.abs(table()["x"]))
    fit = hd.lmm(
        "y ~ x + (1 | g)",
        data,
        variance="power(w)",
        fixed_parameters={"Residual": {"power(w)": 0.5, "Residual": 0.8}, "g": 0.6},
    )
    terms = [tw.Term(z("g", G), np.array([[0.6]]))]
    wanted = tw.criterion(data["y"], x(), terms, 0.8 * data["w"].to_numpy() ** (2 * 0.5))
    assert fit.deviance == pytest.approx(wanted, abs=1e-8)
    with pytest.raises(ModelError, match="power"):
        hd.lmm("y ~ x + (1 | g)", data, variance="power(w)", fixed_parameters={"Residual": 0.8})


# -- tied ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("multiple", [1.0, 2.5])
def test_two_tied_variances_are_the_model_of_one(multiple):
    tie = "vm(g, K)" if multiple == 1.0 else (multiple, "vm(g, K)")
    fit = lmm(TWO, tied={"h": tie})

    def one(v, s2):
        return two(v, multiple * v, s2)

    _, value = lowest(one, [1.0, 1.0])
    found = estimates(fit)
    v, s2 = found["vm(g, K): (Intercept)"], found["Residual: Residual"]
    assert fit.deviance == pytest.approx(value, abs=1e-7)
    assert found["h: (Intercept)"] == pytest.approx(multiple * v, rel=1e-12)
    wanted = np.sqrt(np.diag(covariance_at(one, [v, s2])))
    assert errors_of(fit)["vm(g, K): (Intercept)"] == pytest.approx(wanted[0], rel=1e-4)
    assert errors_of(fit)["h: (Intercept)"] == pytest.approx(multiple * wanted[0], rel=1e-4)
    assert bounds_of(fit) == {"vm(g, K): (Intercept)": "C", "h: (Intercept)": "C", "Residual: Residual": "P"}
    assert fit.npar == 4


@pytest.mark.parametrize("tied", [{"h": (0.5, "Residual")}, {"Residual": (2.0, "h")}])
def test_a_variance_tied_to_the_residual(tied):
    fit = lmm(TWO, tied=tied)

    def one(v, s2):
        return two(v, 0.5 * s2, s2)

    _, value = lowest(one, [1.0, 1.0])
    found = estimates(fit)
    assert fit.deviance == pytest.approx(value, abs=1e-7)
    assert found["h: (Intercept)"] == pytest.approx(0.5 * found["Residual: Residual"], rel=1e-12)
    wanted = np.sqrt(
        np.diag(covariance_at(one, [found["vm(g, K): (Intercept)"], found["Residual: Residual"]]))
    )
    assert errors_of(fit)["h: (Intercept)"] == pytest.approx(0.5 * wanted[1], rel=1e-4)
    assert bounds_of(fit)["h: (Intercept)"] == "C"
    assert fit.npar == 4


def test_a_variance_tied_to_one_that_is_held_is_held():
    fit = lmm(TWO, fixed_parameters={"vm(g, K)": 0.4}, tied={"h": (3.0, "vm(g, K)")})
    _, value = lowest(lambda s2: two(0.4, 1.2, s2), [1.0])
    assert fit.deviance == pytest.approx(value, abs=1e-7)
    assert estimates(fit)["h: (Intercept)"] == pytest.approx(1.2, rel=1e-12)


def test_matrices_of_two_terms_are_tied():
    fit = lmm("y ~ x + us(0 + env | g) + us(0 + env | h)", tied={"h": (0.5, "g")})
    big, small = fit.covariances.values()
    np.testing.assert_allclose(small, 0.5 * big, rtol=1e-12)
    terms = [tw.Term(z("g", G, "env"), big), tw.Term(z("h", H, "env"), small)]
    r = np.full(N, estimates(fit)["Residual: Residual"])
    assert fit.deviance == pytest.approx(tw.criterion(table()["y"], x(), terms, r), abs=1e-8)

    def along(moves):
        sigma = big.copy()
        rows, cols = np.tril_indices(E)
        sigma[rows, cols] += moves
        sigma[cols, rows] = sigma[rows, cols]
        return tw.criterion(
            table()["y"], x(), [tw.Term(terms[0].z, sigma), tw.Term(terms[1].z, 0.5 * sigma)], r
        )

    np.testing.assert_allclose(tw.gradient(along, np.zeros(6)), 0.0, atol=2e-4)
    assert fit.npar == 2 + 6 + 1


def test_variances_and_decays_of_sections_are_tied():
    same = lmm(
        "y ~ x + (1 | g)", residual="diag(0 + env | units)", tied={"Residual: enve2": "Residual: enve0"}
    )
    _, value = lowest(lambda v, a, b: heterogeneous(v, a, b, a), [1.0, 1.0, 1.0])
    assert same.deviance == pytest.approx(value, abs=1e-6)
    one = table().assign(place=np.arange(N), all="1")
    ties = {"Residual: enve1:phi": "Residual: enve0:phi", "Residual: enve2:phi": "Residual: enve0:phi"}
    fit = hd.lmm("y ~ x + (1 | g)", one, residual="at(env):ar1(0 + place | all)", tied=ties)
    found = estimates(fit)
    phis = [found[f"Residual: enve{k}:phi"] for k in range(3)]
    assert phis == pytest.approx([phis[0]] * 3, rel=1e-12)
    env, place = codes("env"), np.arange(N)

    def criterion(v, phi, *s2):
        r = np.zeros((N, N))
        for k in range(3):
            rows = np.flatnonzero(env == k)
            r[np.ix_(rows, rows)] = s2[k] * tw.ar1(place[rows], phi)
        return tw.criterion(one["y"], x(), [tw.Term(z("g", G), np.array([[v]]))], r)

    at = [found["g: (Intercept)"], phis[0], *(found[f"Residual: enve{k}"] for k in range(3))]
    assert fit.deviance == pytest.approx(criterion(*at), abs=1e-7)
    np.testing.assert_allclose(tw.gradient(lambda v: criterion(*v), np.array(at), 1e-4), 0.0, atol=2e-3)


# -- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [
        {"h": (3.0, None)},
        {"vm(g, K)": (None, 0.2)},
        {"Residual": (None, 1.0)},
        {"vm(g, K)": (None, 0.2), "h": (2.0, 5.0), "Residual": (2.5, None)},
        {"h": (0.01, 9.0)},
        # Held at its bound while the other is not yet: let go again.
        {"vm(g, K)": (0.05, 1.5), "Residual": (4.0, None)},
    ],
)
def test_the_optimum_within_bounds_is_that_of_brute_force(limits):
    fit = lmm(TWO, bounds=limits)
    box = [limits.get(key, (None, None)) for key in ("vm(g, K)", "h", "Residual")]
    start = [np.clip(1.0, a or 1e-6, b or 1e6) for a, b in box]
    best, value = lowest(two, start, [(a or 1e-8, b) for a, b in box])
    assert fit.deviance == pytest.approx(value, abs=1e-6)
    np.testing.assert_allclose(list(estimates(fit).values()), best, rtol=2e-3, atol=1e-5)
    ends = [e for pair in limits.values() for e in pair if e]
    for key, value in estimates(fit).items():
        at_end = any(abs(value - e) < 1e-9 * e for e in ends)
        assert (bounds_of(fit)[key] == "B") == (at_end or value < 1e-9)
    assert fit.npar == 5
    if any(b == "B" for b in bounds_of(fit).values()):
        assert fit.status.verdict == "boundary"
        assert any("bounds=" in note for note in fit.status.notes)


def test_a_correlation_stays_within_bounds():
    free = lmm("y ~ x + csh(0 + env | g)")
    rho = estimates(free)["g: rho"]
    low = lmm("y ~ x + csh(0 + env | g)", bounds={"g: rho": (None, rho - 0.2)})
    held = lmm("y ~ x + csh(0 + env | g)", fixed_parameters={"g: rho": rho - 0.2})
    assert low.deviance == pytest.approx(held.deviance, abs=1e-7)
    assert bounds_of(low)["g: rho"] == "B"
    assert low.npar == held.npar + 1
    inside = lmm("y ~ x + csh(0 + env | g)", bounds={"g: rho": (rho - 0.2, 0.999)})
    assert inside.deviance == pytest.approx(free.deviance, abs=1e-7)
    assert bounds_of(inside)["g: rho"] == "U"


def test_bounds_of_a_residual_section():
    fit = lmm("y ~ x + (1 | g)", residual="diag(0 + env | units)", bounds={"Residual: enve1": (None, 1.2)})
    _, value = lowest(lambda v, a, c: heterogeneous(v, a, 1.2, c), [1.0, 1.0, 1.0])
    assert fit.deviance == pytest.approx(value, abs=1e-6)
    assert bounds_of(fit)["Residual: enve1"] == "B"


# -- starts, refits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "more"),
    [
        (TWO, {}),
        (US, {}),
        ("y ~ x + csh(0 + env | g)", {}),
        ("y ~ x + fa(0 + env | g, k=1)", {}),
        ("y ~ x + (1 | ar1(t))", {}),
        ("y ~ x + (1 | g)", {"residual": "diag(0 + env | units)"}),
        ("y ~ x + (1 | g)", {"residual": "us(0 + rep | unit)"}),
    ],
)
def test_a_fit_started_from_its_own_table_is_there_at_once(formula, more):
    data = table().assign(rep=[f"r{i % 3}" for i in range(N)], unit=[f"u{i // 3}" for i in range(N)])
    kwargs = {"relationships": {"K": RELATIONSHIP}} if "K)" in formula else {}
    fit = hd.lmm(formula, data, **more, **kwargs)
    again = hd.lmm(formula, data, start=fit.variance_components, **more, **kwargs)
    assert again.deviance == pytest.approx(fit.deviance, abs=1e-6)
    assert again.status.iterations <= 1
    columns = {key: list(fit.variance_components[key]) for key in ("group", "term", "estimate")}
    assert hd.lmm(formula, data, start=columns, **more, **kwargs).status.iterations <= 1
    held = hd.lmm(formula, data, fixed_parameters=fit.variance_components, **more, **kwargs)
    assert held.deviance == pytest.approx(fit.deviance, abs=1e-7)
    assert held.npar == 2


def test_starts_by_name_reach_the_same_optimum():
    fit = lmm(TWO)
    for start in (
        {"h": 5.0},
        {"vm(g, K)": 0.1, "Residual": 9.0},
        {"h": 0.0, "Residual": {"Residual": 0.2}},
    ):
        assert lmm(TWO, start=start).deviance == pytest.approx(fit.deviance, abs=1e-6)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"fixed_parameters": {"h": 0.5}},
        {"fixed_parameters": {"vm(g, K)": 0.4, "h": 1.5, "Residual": 2.0}},
        {"tied": {"h": "vm(g, K)"}},
        {"bounds": {"h": (2.0, None)}},
        {"residual": "diag(0 + env | units)"},
    ],
)
def test_a_refit_is_the_fit_of_the_other_response(more):
    fit = lmm(TWO, **more)
    before = estimates(fit)
    rng = np.random.default_rng(4)
    y = (
        100 * (table()["y"].to_numpy() + rng.normal(size=N))
        if not more or "tied" in more
        else table()["y"].to_numpy() + rng.normal(size=N)
    )
    again = fit.refit(y)
    whole = hd.lmm(TWO, table().assign(y=y), relationships={"K": RELATIONSHIP}, **more)
    assert again.deviance == pytest.approx(whole.deviance, abs=1e-6)
    np.testing.assert_allclose(
        list(estimates(again).values()), list(estimates(whole).values()), rtol=2e-3, atol=1e-6
    )
    assert bounds_of(again) == bounds_of(whole)
    assert estimates(hd.lmm(TWO, table(), relationships={"K": RELATIONSHIP}, **more)) == pytest.approx(before)
    assert {k: v for k, v in estimates(fit).items()} == before


def test_a_response_ten_times_as_large_with_parameters_a_hundred_times():
    small = lmm(TWO, fixed_parameters={"h": 0.5}, bounds={"vm(g, K)": (None, 0.3)})
    big = hd.lmm(
        TWO,
        table().assign(y=10 * table()["y"]),
        relationships={"K": RELATIONSHIP},
        fixed_parameters={"h": 50.0},
        bounds={"vm(g, K)": (None, 30.0)},
    )
    assert big.deviance - small.deviance == pytest.approx(2 * (N - 2) * np.log(10), abs=1e-7)
    np.testing.assert_allclose(
        list(estimates(big).values()), 100 * np.array(list(estimates(small).values())), rtol=1e-4
    )


# -- the plain engine ------------------------------------------------------------------------------------------------


def test_a_plain_model_takes_tables_ties_and_bounds():
    data = table()
    fit = hd.lmm("y ~ x + (x | g) + (1 | h)", data)
    again = hd.lmm("y ~ x + (x | g) + (1 | h)", data, start=fit.variance_components)
    assert again.deviance == pytest.approx(fit.deviance, abs=1e-7)
    tied = hd.lmm("y ~ x + (1 | g) + (1 | h)", data, tied={"g": "h"})
    found = estimates(tied)
    assert found["g: (Intercept)"] == found["h: (Intercept)"]
    with pytest.raises(ModelError, match="The closest is 'g: x'"):
        hd.lmm("y ~ x + (x | g)", data, start={"group": ["g"], "term": ["xx"], "estimate": [1.0]})


# -- errors ----------------------------------------------------------------------------------------------------------

ERRORS = [
    ({"fixed_parameters": {"vm(g,K)": 1.0}}, r"closest is 'vm\(g, K\)'.*groups are.*parameters"),
    ({"fixed_parameters": {"h: intercept": 1.0}}, r"no parameter 'intercept'.*It has '\(Intercept\)'"),
    ({"fixed_parameters": {"h": -1.0}}, r"'h: \(Intercept\)'.*0 or more, not -1"),
    ({"fixed_parameters": {"Residual": 0.0}}, "residual variance: one positive number"),
    ({"fixed_parameters": {"h": "a"}}, "is a number, not 'a'"),
    ({"fixed_parameters": {"h": 1.0, "h: (Intercept)": 1.0}}, "given twice"),
    ({"fixed_parameters": 3}, "is a mapping such as"),
    ({"tied": {"h": "hh"}}, "nothing in this model is called 'hh'"),
    ({"tied": {"h": "h"}}, "tied to itself"),
    ({"tied": {"h": 2.0}}, "tied to a name, or to"),
    ({"tied": {"h": "vm(g, K)", "vm(g, K)": "h"}}, "in a circle"),
    ({"tied": {"h": (-1, "vm(g, K)")}}, "positive multiple"),
    ({"tied": {"h": "vm(g, K)"}, "fixed_parameters": {"h": 1.0}}, "held by fixed_parameters= as well"),
    ({"bounds": {"h": (2, 1)}}, "low is below high"),
    ({"bounds": {"h": 2}}, "has two"),
    ({"bounds": {"h": (1, 1)}}, "hold it with fixed_parameters"),
    ({"bounds": {"h": (None, -1)}}, "leaves it no room"),
    ({"bounds": {"h": (0, 1)}, "fixed_parameters": {"h": 1.0}}, "no use for a bound"),
    ({"bounds": {"h": (0, 1)}, "tied": {"h": "vm(g, K)"}}, "bound that one"),
]


@pytest.mark.parametrize(("more", "said"), ERRORS)
def test_what_cannot_be_done_is_said_in_the_users_names(more, said):
    with pytest.raises(ModelError, match=said):
        lmm(TWO, **more)


def test_more_that_cannot_be_done():
    with pytest.raises(ModelError, match=r"3 effects.*3 x 3"):
        lmm(US, fixed_parameters={"vm(g, K)": np.eye(2)})
    with pytest.raises(ModelError, match="positive semi-definite"):
        lmm(US, start={"vm(g, K)": SIGMA - 2 * np.eye(3)})
    with pytest.raises(ModelError, match=r"several parameters.*'rho'"):
        lmm("y ~ x + csh(0 + env | g)", fixed_parameters={"g": 1.0})
    with pytest.raises(ModelError, match="does not hold this matrix"):
        lmm("y ~ x + csh(0 + env | g)", fixed_parameters={"g": SIGMA})
    with pytest.raises(ModelError, match=r"'g: rho'.*between"):
        lmm("y ~ x + csh(0 + env | g)", fixed_parameters={"g": {"rho": 1.5}})
    with pytest.raises(ModelError, match="without a unit"):
        lmm("y ~ x + csh(0 + env | g)", tied={"g: rho": "Residual"})
    with pytest.raises(ModelError, match="no bound or tie of its own"):
        lmm(
            US,
            bounds={
                next(n for n in estimates(lmm(US, fixed_parameters={"vm(g, K)": SIGMA})) if "cov(" in n): (
                    0,
                    1,
                )
            },
        )
    with pytest.raises(ModelError, match=r"several terms have the group 'h'.*'\(1 \| h\)'"):
        lmm(TWO + " + (0 + x | h)", fixed_parameters={"h": 1.0})
    fit = lmm(TWO + " + (0 + x | h)", fixed_parameters={"(0 + x | h)": 0.3})
    assert estimates(fit)["h: x"] == pytest.approx(0.3)


def test_a_range_stays_within_bounds_open_at_one_end():
    rng = np.random.default_rng(8)
    place = rng.uniform(0, 10, size=(N, 2)).round(1)
    d = tw.distances(*place.T)
    field = np.linalg.cholesky(np.exp(-d / 2.0) + 1e-9 * np.eye(N)) @ rng.normal(size=N)
    data = table().assign(
        a=place[:, 0], b=place[:, 1], z=lambda t: t["x"] + 2.0 * field + 0.9 * rng.normal(size=N)
    )
    formula = "z ~ x + (1 | exp(a, b))"
    free = hd.lmm(formula, data)
    key = next(k for k in estimates(free) if k != "Residual: Residual" and "Intercept" not in k)
    at = estimates(free)[key]
    for limit in ((1.5 * at, None), (None, 0.8 * at)):
        fit = hd.lmm(formula, data, bounds={key: limit})
        end = next(e for e in limit if e is not None)
        held = hd.lmm(formula, data, fixed_parameters={key: end})
        assert estimates(fit)[key] == pytest.approx(end, rel=1e-6)
        assert fit.deviance == pytest.approx(held.deviance, abs=1e-6)
        assert bounds_of(fit)[key] == "B"
        wide = hd.lmm(formula, data, bounds={key: tuple(None if e is None else at for e in limit[::-1])})
        assert wide.deviance == pytest.approx(free.deviance, abs=1e-5)
