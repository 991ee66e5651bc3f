"""The engine of models with structures against the dense twin: criterion, gradient, BLUE, BLUP and all their variances from V itself,
at parameters taken at random, for every structure left of the bar, right of it and of the residual."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import structured_engine as se
import structured_twin as tw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.linalg import cho_factor, cho_solve

import henderson as hd
from henderson.mixed.structured.criterion import evaluate
from henderson.mixed.structured.derivatives import derivatives
from henderson.mixed.structured.natural import reported
from henderson.mixed.structured.optimise import optimise
from henderson.mixed.structured.solution import Solution
from henderson.mixed.structured.start import default_start
from henderson.models import structured

LEFT, RIGHT, RESIDUAL = list(se.LEFT), list(se.RIGHT), list(se.RESIDUAL)


def _covering() -> list[tuple]:
    """Every left side, every right side, every residual; every right side with every residual; REML and ML, both solvers."""
    out: list[tuple] = []
    pairs = itertools.product(RIGHT, RESIDUAL)
    lefts = itertools.cycle(LEFT)
    for number, (right, residual) in enumerate(pairs):
        out.append((((next(lefts), right),), residual, number % 3 != 2, "amd" if number % 2 else "dense"))
    out += [((("one", "free"), (left, "dense")), "iid", i % 2 == 0, "amd") for i, left in enumerate(LEFT)]
    out += [
        ((("us", "free"), ("one", "ar1:ar1"), ("diag", "pedigree")), "series", True, "amd"),
        ((("fa2", "singular"), ("one", "ou")), "sections", True, "dense"),
        ((("rr1", "dense"), ("diag", "dense")), "diag", False, "amd"),
        ((), "lattice", True, "dense"),
        ((), "us", False, "amd"),
    ]
    return out


def _name(case: tuple) -> str:
    terms, residual, reml, method = case
    said = " + ".join(f"{left}|{right}" for left, right in terms)
    return f"{said}, {residual}, {'REML' if reml else 'ML'}, {method}"


def _close(found, expected, rtol=1e-8):
    expected = np.asarray(expected)
    np.testing.assert_allclose(
        found, expected, rtol=rtol, atol=rtol * max(np.abs(expected).max(initial=0.0), 1e-8)
    )


def check_everything(case: se.Case, theta: np.ndarray, rng: np.random.Generator) -> None:
    """All that the engine says at theta against V."""
    solution = case.solution(theta)
    values = se.values_of(solution)
    dense = case.twin(values, joint=True)
    x, problem = case.x, case.problem
    assert solution.deviance == pytest.approx(dense.deviance, rel=1e-10, abs=1e-8)
    if problem.profiled:
        # Where the residual variance is profiled out it is at its optimum: y'P y = nu.
        assert case.data["y"] @ dense.py == pytest.approx(problem.nu, rel=1e-8)
    _close(solution.beta, dense.beta)
    _close(solution.vcov, dense.vcov)
    terms, _ = case.dense(values)
    _check_effects(solution, dense, terms, x)
    fitted = x @ dense.beta + sum(term.z @ u.ravel() for term, u in zip(terms, dense.u, strict=True))
    _close(solution.fitted, fitted)
    _check_predictions(solution, dense, terms, x, rng)
    _check_derivatives(case, theta, dense, rng)


def _check_effects(solution, dense, terms, x):
    factor = cho_factor(dense.v, lower=True)
    error, known = solution.prediction_error, solution.conditional_variance
    for k, term in enumerate(terms):
        _close(solution.u[k], dense.u[k])
        _close(np.diagonal(error[k], 0, 1, 2), np.diagonal(dense.pev[k], 0, 1, 2))
        zg = term.z @ term.g()
        left = term.g() - zg.T @ cho_solve(factor, zg)
        _close(np.diagonal(known[k], 0, 1, 2).ravel(), np.diag(left))
        # A covariance within a level is either right or was not asked for.
        given = error[k] != 0
        _close(error[k][given], dense.pev[k][given])
        prior = 1.0 if term.k is None else np.diag(term.k)
        _close(np.broadcast_to(prior, len(solution.u[k])), solution.prior_diagonals[k])


def _check_predictions(solution, dense, terms, x, rng):
    """x'beta + z'u of rows at random, all levels in each."""
    import scipy.sparse as sp

    rows = rng.normal(size=(3, x.shape[1]))
    weights = [rng.normal(size=(3, term.z.shape[1])) for term in terms]
    found = solution.prediction_variance_of(rows, [sp.csr_matrix(w) for w in weights])
    w = np.hstack([rows, *weights])
    _close(found, np.einsum("ij,jk,ik->i", w, dense.joint, w))


def _check_derivatives(case, theta, dense, rng):
    """The gradient against differences of the twin's criterion along a direction, and, entry by entry, tr(P dV) - y'P dV P y; the average
    information against y'P dV P dV P y, the scale profiled out where it is. dV: differences of V, the scale held."""
    problem, k = case.problem, len(theta)
    ours = derivatives(problem, evaluate(problem, theta))
    direction = rng.normal(size=k)
    along = tw.gradient(
        lambda t: case.criterion(se.values_of(case.solution(theta + t[0] * direction))), np.zeros(1)
    )[0]
    size = max(1.0, float(np.abs(ours.gradient).max(initial=0.0)))
    assert ours.gradient @ direction == pytest.approx(along, abs=1e-6 * size)
    inverse = np.linalg.inv(dense.v)
    p = inverse - inverse @ case.x @ dense.vcov @ case.x.T @ inverse
    s2 = case.solution(theta).scale2
    dv = [_differences(lambda t: _relative(case, t), theta, a) * s2 for a in range(k)]
    slope = [np.vdot(p if problem.reml else inverse, d) - dense.py @ d @ dense.py for d in dv]
    np.testing.assert_allclose(ours.gradient, slope, rtol=1e-7, atol=1e-7 * size)
    q = np.array([d @ dense.py for d in dv]).reshape(k, -1)
    expected = q @ p @ q.T
    if problem.profiled:
        expected -= np.outer(q @ dense.py, q @ dense.py) / problem.nu
    _close(ours.average_information, expected, 1e-7)


def _relative(case, theta):
    solution = case.solution(theta)
    return tw.covariance(*case.dense(se.values_of(solution))) / solution.scale2


def _differences(function, theta, a, h=2e-3):
    """By five points, of two steps extrapolated."""

    def five(h):
        step = h * np.eye(len(theta))[a]
        v = [function(theta + s * step) for s in (-2, -1, 1, 2)]
        return (v[0] - 8 * v[1] + 8 * v[2] - v[3]) / (12 * h)

    return (16 * five(h / 2) - five(h)) / 15


@pytest.mark.parametrize("case", _covering(), ids=_name)
def test_everything_equals_the_dense_twin(case):
    terms, residual, reml, method = case
    rng = np.random.default_rng(sum(map(ord, _name(case))))
    model = se.Case(terms, residual, se.table(rng), reml, method)
    check_everything(model, model.random_theta(rng), rng)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=st.tuples(st.sampled_from(LEFT), st.sampled_from(["free", "pedigree", "dense", "singular"])),
    second=st.sampled_from([(), (("one", "ar1"),), (("regression", "ou"),), (("diag", "exp"),)]),
    residual=st.sampled_from(RESIDUAL),
    q=st.integers(3, 11),
    n=st.integers(30, 80),
    reml=st.booleans(),
    method=st.sampled_from(["dense", "amd"]),
    seed=st.integers(0, 10**6),
)
def test_any_shape_equals_the_dense_twin(first, second, residual, q, n, reml, method, seed):
    rng = np.random.default_rng(seed)
    model = se.Case((first, *second), residual, se.table(rng, q, n), reml, method)
    check_everything(model, model.random_theta(rng), rng)


# -------------------------------------------------------------------------------------- terms that are not (left | right)


def _membership(d):
    """Z of mm(g, mate) over the ids of both."""
    return sum(tw.incidence(np.array([se.IDS.index(v) for v in d[c]]), q=len(se.IDS)) for c in ("g", "mate"))


def test_effects_that_enter_a_row_twice():
    """(1 | vm(mm(g, mate), A)) and us(1 | vm(g, A) + vm(mate, A)): one Z of two ones, and two effects tied by a covariance."""
    rng = np.random.default_rng(4)
    d = se.table(rng)
    d["mate"] = rng.permutation(d["g"])
    k = se.related("dense")
    for reml in (True, False):
        fit = hd.lmm("y ~ x + (1 | vm(mm(g, mate), A))", d, relationships={"A": (k, se.IDS)}, reml=reml)
        term = tw.Term(_membership(d), fit.solution.covariances[0], k)
        dense = tw.twin(d["y"], fit.design.X, [term], np.full(60, fit.sigma**2), reml=reml)
        assert fit.deviance == pytest.approx(dense.deviance, abs=1e-9)
        _close(fit.solution.u[0], dense.u[0])
    tied = hd.lmm("y ~ x + us(1 | vm(g, A) + vm(mate, A))", d, relationships={"A": (k, se.IDS)})
    z = np.stack(
        [tw.incidence(np.array([se.IDS.index(v) for v in d[c]]), q=11) for c in ("g", "mate")], axis=2
    ).reshape(60, -1)
    theta = np.array([0.8, -0.4, 0.6])
    solution = Solution(tied.solution.problem, theta)
    dense = tw.twin(
        d["y"], tied.design.X, [tw.Term(z, solution.covariances[0], k)], np.full(60, solution.scale2)
    )
    assert solution.deviance == pytest.approx(dense.deviance, abs=1e-9)
    _close(solution.u[0], dense.u[0])
    _close(solution.prediction_error[0], dense.pev[0])


def test_sections_of_a_term_and_a_nugget_beside_a_field():
    rng = np.random.default_rng(5)
    d = se.table(rng)
    fit = hd.lmm("y ~ x + at(sec):(1 | g)", d, residual="(1 | ar1(row):ar1(col)) + (1 | units)")
    problem = fit.solution.problem
    theta = np.array([0.9, 0.5, 0.8, 0.4, -0.2])
    solution = Solution(problem, theta)
    codes = np.array([int(v[1:]) for v in d["g"]])
    inside = [d["sec"] == s for s in "kl"]
    terms = [
        tw.Term(tw.incidence(codes, m.astype(float), q=8), c)
        for m, c in zip(inside, solution.covariances, strict=False)
    ]
    phi = problem.model.random[2].precision.natural(solution.precision_parameters(2))
    field = phi[0] ** se._lag(d, "row") * phi[1] ** se._lag(d, "col")
    r = solution.covariances[2][0, 0] * field + solution.scale2 * np.eye(60)
    for reml in (True, False):
        ours = Solution(se.problem_of(fit.input[0], reml), theta)
        s2 = ours.scale2 / solution.scale2
        scaled = [tw.Term(t.z, t.sigma * s2) for t in terms]
        dense = tw.twin(d["y"], fit.design.X, scaled, r * s2, reml=reml)
        assert ours.deviance == pytest.approx(dense.deviance, abs=1e-9)
        _close(ours.beta, dense.beta)
        for k in (0, 1):
            seen = np.unique(codes[inside[k]])
            _close(ours.u[k], dense.u[k][seen])
            _close(ours.prediction_error[k], dense.pev[k][seen])


# ------------------------------------------------------------------------------------- one dense K by its eigenvectors


@pytest.mark.parametrize("kind", ["dense", "singular"])
@pytest.mark.parametrize("left", ["one", "us", "fa1", "ar1h"])
@pytest.mark.parametrize("residual", ["iid", "diag"])
@pytest.mark.parametrize("reml", [True, False])
def test_rotated_models_equal_the_twin(kind, left, residual, reml):
    rng = np.random.default_rng(6)
    levels = [se.IDS[i] for i in rng.permutation(11)[:9]]
    rows = [(g, e) for g in levels for e in range(se.M)]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    d = se.table(rng, 8, len(rows))
    d["g"], env = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    d |= {"env": se.NAMES[env], "time": env + 1.0, "px": se.PLACES[env, 0], "py": se.PLACES[env, 1]}
    case = se.Case(((left, kind),), residual, d, reml)
    assert case.problem.model.rotation is not None
    theta = case.random_theta(rng)
    check_everything(case, theta, rng)


def test_rows_without_balance_are_not_rotated():
    rng = np.random.default_rng(7)
    case = se.Case((("one", "dense"),), "iid", se.table(rng))
    assert case.problem.model.rotation is None


# ---------------------------------------------------------------------------- information, degrees of freedom, the delta method


REGULAR = [
    ((("one", "pedigree"),), "iid"),
    ((("regression", "free"),), "iid"),
    ((("one", "ar1"),), "weights"),
    ((("cs", "dense"),), "diag"),
    ((("one", "free"),), "us"),
    ((("ar1", "free"),), "iid"),
    ((("one", "free"),), "lattice"),
    ((("one", "free"),), "power"),
    ((("exp", "pedigree"),), "iid"),
    ((("one", "dense"),), "sections"),
]


def _estimated(terms, residual, reml=True):
    """A case whose response was drawn from the model, at its optimum, none of its parameters on an edge."""
    rng = np.random.default_rng(len(residual) + 10 * len(terms[0][0]))
    data = se.table(rng, 10, 81)
    for _ in range(20):
        drawn = se.Case(terms, residual, data, reml)
        values = se.values_of(drawn.solution(drawn.random_theta(rng)))
        dense_terms, r = drawn.dense(values)
        v = tw.covariance(dense_terms, r)
        tried = {**data, "y": np.linalg.cholesky(v) @ rng.normal(size=81) + 5.0}
        case = se.Case(terms, residual, tried, reml)
        found = optimise(case.problem, default_start(case.problem))
        solution = Solution(case.problem, found.theta)
        if found.converged and solution.information.regular.all() and not len(solution.information.flat):
            return case, solution
    raise AssertionError("no regular optimum in twenty data sets")


def _hessian(function, at, step=2e-3):
    """Second differences of two steps extrapolated."""
    k, scale = len(at), np.abs(at) + 0.05
    unit = np.eye(k) * scale

    def table(h):
        out = np.empty((k, k))
        middle = function(at)
        for i in range(k):
            out[i, i] = (function(at + h * unit[i]) - 2 * middle + function(at - h * unit[i])) / h**2
            for j in range(i):
                a, b = h * unit[i], h * unit[j]
                out[i, j] = out[j, i] = (
                    function(at + a + b) - function(at + a - b) - function(at - a + b) + function(at - a - b)
                ) / (4 * h**2)
        return out

    return (4 * table(step) - table(2 * step)) / 3 / np.outer(scale, scale)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(("terms", "residual"), REGULAR, ids=lambda v: str(v))
def test_information_and_slopes_are_those_of_the_twin(terms, residual, reml):
    """Var(reported numbers) is 2 / Hessian of the twin's criterion in those numbers; d vcov the differences of the twin's vcov."""
    case, solution = _estimated(terms, residual, reml)
    values = se.values_of(solution)
    rows = reported(solution, [tuple(f"e{i}" for i in range(t.m)) for t in solution.terms])
    numbers = se.flat(values)
    np.testing.assert_allclose([row.value for row in rows], numbers, rtol=1e-12)
    slopes = np.array([row.slope for row in rows])
    information = solution.information
    assert information.kind == "observed"
    at = lambda v: se.folded(v, values)  # noqa: E731
    expected = 2.0 * np.linalg.inv(_hessian(lambda v: case.criterion(at(v)), numbers))
    found = slopes @ information.covariance @ slopes.T
    sd = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(found / np.outer(sd, sd), expected / np.outer(sd, sd), atol=2e-4)
    moves = np.stack(
        [_differences(lambda v: case.twin(at(v)).vcov, numbers, a, 1e-3) for a in range(len(numbers))], axis=2
    )
    ours = np.einsum("jab->abj", information.vcov_slopes)
    np.testing.assert_allclose(ours, moves @ slopes, rtol=1e-5, atol=1e-6 * np.abs(ours).max())


@pytest.mark.parametrize("left", LEFT)
def test_slopes_of_reported_numbers_are_differences(left):
    rng = np.random.default_rng(8)
    case = se.Case(((left, "ar1"),), "series power", se.table(rng))
    theta = case.random_theta(rng)
    solution = case.solution(theta)
    rows = reported(solution, [tuple(f"e{i}" for i in range(t.m)) for t in solution.terms])
    slopes = np.array([row.slope for row in rows])
    numbers = lambda t: np.append(se.flat(se.values_of(case.solution(t))), np.log(case.solution(t).scale2))  # noqa: E731
    moves = np.column_stack([_differences(numbers, theta, a) for a in range(len(theta))])
    # The residual variance is profiled: it moves with theta.
    _close(slopes[:, :-1] + np.outer(slopes[:, -1], moves[-1]), moves[:-1], 1e-6)


@pytest.mark.parametrize(("terms", "residual"), [REGULAR[0], REGULAR[3], REGULAR[6]], ids=lambda v: str(v))
def test_satterthwaite_degrees_of_freedom_are_the_formula(terms, residual):
    """2 (l'V l)^2 / (g' Var(numbers) g), g the gradient of l'V l: everything from the twin."""
    case, solution = _estimated(terms, residual)
    values = se.values_of(solution)
    numbers = se.flat(values)
    at = lambda v: se.folded(v, values)  # noqa: E731
    spread = 2.0 * np.linalg.inv(_hessian(lambda v: case.criterion(at(v)), numbers))
    fit = structured.fit_structured(case.formula, case.given, True)
    assert fit.deviance == pytest.approx(solution.deviance, abs=1e-6)
    df = np.asarray(fit.tidy()["df"])
    for i in range(2):
        variance = case.twin(values).vcov[i, i]
        g = tw.gradient(lambda v, i=i: case.twin(at(v)).vcov[i, i], numbers)
        assert df[i] == pytest.approx(2 * variance**2 / (g @ spread @ g), rel=1e-3)


@pytest.mark.parametrize(
    ("structure", "loglik"), [("ar1", -216.69484), ("ou", -216.69484), ("sph", -216.68021)]
)
def test_even_lags_and_short_ranges_do_not_start_at_rest(structure, loglik):
    """Ages 8, 10, 12, 14: phi^2 has no slope at 0, a spherical range below 2 none at all. ou is ar1 in other words; lin is
    above every other model here, and sph near it."""
    fit = hd.lmm(f"distance ~ age * Sex + {structure}(0 + age | Subject)", hd.datasets.load("Orthodont"))
    assert fit.status.verdict == "converged"
    assert fit.loglik == pytest.approx(loglik, abs=1e-4)


# ----------------------------------------------------------------------------------------------- where digits could be lost


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_the_gradient_of_a_field_that_is_all_but_singular(share):
    """gau at 60 points, up to a condition number of 1e10: the criterion by V keeps its digits, and the gradient keeps them too."""
    rng = np.random.default_rng(30)
    points = rng.uniform(0, 5, size=(60, 2))
    at = np.repeat(np.arange(60), 2)
    d = {"y": rng.normal(size=120) + np.sin(points[at, 0]), "px": points[at, 0], "py": points[at, 1]}
    given = structured.read_input(
        structured.formulas.parse("y ~ 1 + (1 | gau(px, py))"),
        d,
        residual=None,
        variance=None,
        relationships=None,
        weights=None,
        offset=None,
        contrasts=None,
    )
    problem = se.problem_of(given, True)
    k = problem.model.terms[0].precision
    t = k.upper[0] + share * (k.lower[0] - k.upper[0])
    distance = tw.distances(*points.T)
    z = tw.incidence(at)

    def criterion(theta):
        solution = Solution(problem, theta)
        reach = k.natural(solution.precision_parameters(0))[0]
        term = tw.Term(z, solution.covariances[0], np.exp(-((distance / reach) ** 2)))
        return tw.criterion(d["y"], np.ones((120, 1)), [term], np.full(120, solution.scale2))

    theta = np.array([1.2, t])
    point = evaluate(problem, theta)
    assert Solution(problem, theta).deviance == pytest.approx(criterion(theta), abs=1e-5)
    ours = derivatives(problem, evaluate(problem, point.theta)).gradient
    np.testing.assert_allclose(ours, tw.gradient(criterion, theta), rtol=1e-5, atol=1e-4)
