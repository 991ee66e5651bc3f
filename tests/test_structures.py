"""Every covariance structure against the contract: T from theta, its derivatives, theta back from a covariance."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.structures import Diagonal, Identity, Unstructured, make, psd_cholesky

STRUCTURES = [s(m) for s in (Unstructured, Diagonal, Identity) for m in (1, 2, 4)]
NAMES = [f"{s.name}{s.m}" for s in STRUCTURES]


@pytest.mark.parametrize("structure", STRUCTURES, ids=NAMES)
def test_derivatives_are_finite_differences(structure):
    theta = np.random.default_rng(structure.m).normal(size=structure.n_parameters)
    ours = structure.derivatives(theta)
    assert ours.shape == (structure.n_parameters, structure.m, structure.m)
    for a in range(structure.n_parameters):
        step = np.zeros(structure.n_parameters)
        step[a] = 0.5  # T is linear in theta
        np.testing.assert_allclose(ours[a], structure.factor(theta + step) - structure.factor(theta - step))


@pytest.mark.parametrize("structure", STRUCTURES, ids=NAMES)
def test_factor_is_lower_triangular_and_parameters_invert_it(structure):
    theta = np.abs(np.random.default_rng(structure.m).normal(size=structure.n_parameters))
    t = structure.factor(theta)
    np.testing.assert_array_equal(np.triu(t, 1), 0.0)
    np.testing.assert_allclose(structure.factor(structure.parameters(t @ t.T)), t, atol=1e-12)


def test_one_effect_has_one_variance_whatever_the_name():
    for name in ("us", "diag", "id"):
        assert make(name, 1).n_parameters == 1


def test_cholesky_of_singular_covariances():
    b = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    t = psd_cholesky(b)
    np.testing.assert_allclose(t @ t.T, b, atol=1e-14)
    np.testing.assert_array_equal(np.diag(t), [1.0, 0.0, 0.0])
