"""The mixed room against its dense twin: both solvers, criterion, gradient, estimates and their variances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twin import random_design, twin

from henderson.mixed.bordered import BorderedSystem
from henderson.mixed.criterion import Problem, evaluate
from henderson.mixed.crossproducts import cross_products
from henderson.mixed.dense import DenseSystem
from henderson.mixed.derivatives import derivatives, score
from henderson.mixed.optimise import optimise
from henderson.mixed.solution import Solution
from henderson.mixed.standardise import standardise
from henderson.mixed.start import default_start, held_factor

KINDS = ["single", "crossed", "nested", "shared", "three"]
SYSTEMS = {"dense": DenseSystem, "bordered": BorderedSystem}

models = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "kind": st.sampled_from(KINDS),
        "m": st.integers(1, 3),
        "p": st.integers(0, 3),
        "weights": st.booleans(),
        "offset": st.booleans(),
        "structure": st.sampled_from(["us", "diag", "id"]),
    }
)


def problem_of(design, system=DenseSystem, reml=True, held=None, log_s2=None):
    model = standardise(design)
    products = cross_products(model)
    structures = tuple(t.structure for t in model.terms)
    held = tuple([None] * len(structures) if held is None else held)
    return model, products, Problem(system(products), structures, model.coordinates.n, reml, held, log_s2)


def parameters(problem, seed):
    return np.random.default_rng(seed).normal(0.4, 0.5, problem.n_parameters)


def solved(design, system, reml, theta_seed=1):
    model, products, problem = problem_of(design, system, reml)
    return Solution(problem, products, model.coordinates, parameters(problem, theta_seed))


def assert_close(ours, theirs, tolerance=1e-8):
    scale = max(np.max(np.abs(theirs), initial=0.0), 1e-12)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
@given(spec=models, reml=st.booleans())
@settings(max_examples=40, deadline=None)
def test_equal_to_dense_twin(system, spec, reml):
    design = random_design(**spec)
    fit = solved(design, system, reml)
    expected = twin(design, fit.covariances, fit.scale2, reml)
    assert_close(fit.deviance, expected.deviance, 1e-9)
    assert_close(fit.beta, expected.beta)
    assert_close(fit.vcov, expected.vcov)
    for k in range(len(design.blocks)):
        assert_close(fit.u[k], expected.u[k])
        assert_close(fit.prediction_error[k], expected.pev[k])
        assert_close(fit.conditional_variance[k], expected.conditional[k])


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
@given(spec=models)
@settings(max_examples=20, deadline=None)
def test_prediction_variance_equals_joint_variance(system, spec):
    design = random_design(**spec)
    fit = solved(design, system, True)
    expected = twin(design, fit.covariances, fit.scale2)
    rng = np.random.default_rng(spec["seed"])
    n = 5
    x = rng.normal(size=(n, design.X.shape[1]))
    z = [rng.normal(size=(n, len(b.effects))) for b in design.blocks]
    levels = [rng.integers(-1, len(b.levels), n) for b in design.blocks]
    ours = fit.prediction_variance(x, z, levels)
    for i in range(n):
        row, extra = [x[i]], 0.0
        for k, b in enumerate(design.blocks):
            part = np.zeros((len(b.levels), len(b.effects)))
            if levels[k][i] >= 0:
                part[levels[k][i]] = z[k][i]
            else:
                extra += z[k][i] @ fit.covariances[k] @ z[k][i]
            row.append(part.ravel())
        row = np.concatenate(row)
        assert_close(ours[i], row @ expected.joint @ row + extra)


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
@given(spec=models, reml=st.booleans())
@settings(max_examples=30, deadline=None)
def test_gradient_is_the_finite_difference(system, spec, reml):
    _, _, problem = problem_of(random_design(**spec), system, reml)
    _gradient_check(problem, parameters(problem, spec["seed"]))


@given(seed=st.integers(0, 10_000), hold_residual=st.booleans(), reml=st.booleans())
@settings(max_examples=20, deadline=None)
def test_gradient_with_held_covariances(seed, hold_residual, reml):
    design = random_design(seed, kind="crossed", m=2)
    model, _, _ = problem_of(design)
    back, scale = model.coordinates.back[0], model.coordinates.y_scale
    held = [held_factor(np.array([[2.0, 0.3], [0.3, 1.0]]), back, scale), None]
    log_s2 = float(np.log(1.3 / scale**2)) if hold_residual else None
    _, _, problem = problem_of(design, DenseSystem, reml, held, log_s2)
    assert problem.n_parameters == (1 if hold_residual else 2)
    theta = parameters(problem, seed)
    _gradient_check(problem, theta)
    fit = Solution(problem, cross_products(model), model.coordinates, theta)
    assert_close(fit.covariances[0], np.array([[2.0, 0.3], [0.3, 1.0]]))
    if hold_residual:
        assert_close(fit.scale2, 1.3)
    assert_close(fit.deviance, twin(design, fit.covariances, fit.scale2, reml).deviance, 1e-9)


def _gradient_check(problem, theta):
    point = evaluate(problem, theta)
    ours = derivatives(problem, point).gradient
    step = 1e-5
    for a in range(len(theta)):
        up, down = theta.copy(), theta.copy()
        up[a] += step
        down[a] -= step
        difference = (evaluate(problem, up).deviance - evaluate(problem, down).deviance) / (2 * step)
        assert ours[a] == pytest.approx(difference, rel=2e-6, abs=2e-6)


@given(spec=models, reml=st.booleans())
@settings(max_examples=30, deadline=None)
def test_both_solvers_take_the_same_newton_step(spec, reml):
    design = random_design(**spec)
    results = []
    for system in SYSTEMS.values():
        _, _, problem = problem_of(design, system, reml)
        results.append(derivatives(problem, evaluate(problem, parameters(problem, spec["seed"]))))
    assert_close(results[0].gradient, results[1].gradient, 1e-7)
    assert_close(results[0].hessian, results[1].hessian, 1e-7)


@given(spec=models)
@settings(max_examples=15, deadline=None)
def test_slopes_of_vcov_are_finite_differences(spec):
    design = random_design(**{**spec, "p": max(spec["p"], 1)})
    fit = solved(design, DenseSystem, True)
    slopes = fit.information.vcov_slopes
    step = 1e-5
    for a in range(len(fit.theta)):
        moved = []
        for sign in (1, -1):
            theta = fit.theta.copy()
            theta[a] += sign * step
            other = Solution(fit.problem, fit.products, fit.coordinates, theta)
            # slopes are at constant s2, which is profiled out: take its change back out
            moved.append(other.vcov * fit.scale2 / other.scale2)
        assert_close(slopes[a], (moved[0] - moved[1]) / (2 * step), 2e-5)


@given(seed=st.integers(0, 1000), kind=st.sampled_from(KINDS), m=st.integers(1, 2), reml=st.booleans())
@settings(max_examples=30, deadline=None)
def test_optimum_is_stationary_and_never_above_its_neighbours(seed, kind, m, reml):
    _, products, problem = problem_of(random_design(seed, kind=kind, m=m), DenseSystem, reml)
    best = optimise(problem, default_start(problem, products))
    assert best.converged
    rng = np.random.default_rng(seed)
    for size in (1e-3, 1e-2, 1e-1):
        near = evaluate(problem, best.theta + size * rng.normal(size=problem.n_parameters))
        assert near.deviance >= evaluate(problem, best.theta).deviance - 1e-7


@given(seed=st.integers(0, 1000), kind=st.sampled_from(KINDS), factor=st.sampled_from([1e-8, 1e8, -3.0]))
@settings(max_examples=20, deadline=None)
def test_scale_and_origin_of_y_do_not_matter(seed, kind, factor):
    design = random_design(seed, kind=kind, m=2)
    base = _fitted(design)
    design.y = design.y * factor
    scaled = _fitted(design)
    assert_close(scaled.scale2, base.scale2 * factor**2, 1e-6)
    for k in range(len(design.blocks)):
        assert_close(scaled.covariances[k], base.covariances[k] * factor**2, 1e-5)
    design.y = design.y / factor + 1e6
    shifted = _fitted(design)
    assert_close(shifted.scale2, base.scale2, 1e-6)
    assert shifted.deviance == pytest.approx(base.deviance, abs=1e-6)


@given(
    seed=st.integers(0, 1000), shift=st.sampled_from([0.0, 5.0, 1e4]), unit=st.sampled_from([1e-6, 1.0, 1e6])
)
@settings(max_examples=20, deadline=None)
def test_units_and_origin_of_a_covariate_do_not_matter(seed, shift, unit):
    design = random_design(seed, kind="single", m=2)
    # the covariate is also fixed, so that a change of its origin stays within the model
    design.X = np.asfortranarray(np.column_stack([np.ones(len(design.y)), design.blocks[0].values[:, 1]]))
    base = _fitted(design)
    moved = (design.blocks[0].values[:, 1] + shift) * unit
    design.blocks[0].values = np.column_stack([np.ones(len(design.y)), moved])
    design.X = np.asfortranarray(design.blocks[0].values.copy())
    other = _fitted(design)
    assert other.deviance + 2 * np.log(unit) * -1 == pytest.approx(base.deviance, abs=1e-5)
    assert_close(other.beta[1] * unit, base.beta[1], 1e-6)


def _fitted(design):
    model, products, problem = problem_of(design)
    best = optimise(problem, default_start(problem, products))
    assert best.converged
    return Solution(problem, products, model.coordinates, best.theta)


@given(
    seed=st.integers(0, 10_000),
    m=st.integers(1, 3),
    p=st.integers(0, 3),
    reml=st.booleans(),
    structure=st.sampled_from(["us", "diag", "id"]),
    weights=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_compiled_loop_ends_where_the_plain_one_does(seed, m, p, reml, structure, weights):
    design = random_design(seed, kind="single", m=m, p=p, structure=structure, weights=weights)
    _, products, problem = problem_of(design, DenseSystem, reml)
    start = default_start(problem, products)
    plain, compiled = optimise(problem, start), optimise(problem, start, compiled=True)
    assert compiled.converged
    assert compiled.iterations == pytest.approx(plain.iterations, abs=1)
    assert evaluate(problem, compiled.theta).deviance == pytest.approx(
        evaluate(problem, plain.theta).deviance, abs=2e-8
    )
    assert_close(compiled.average_information, plain.average_information, 1e-3)


def test_score_is_what_derivatives_start_from():
    _, _, problem = problem_of(random_design(3, kind="three", m=2))
    point = evaluate(problem, parameters(problem, 3))
    np.testing.assert_array_equal(score(problem, point).gradient, derivatives(problem, point).gradient)
