"""What an adversary found wrong in models with structures: limits, misuse, verdicts. Reference numbers by nlme 3.1 of R 4.2."""

from __future__ import annotations

import numpy as np
import pytest

import henderson as hd


def _visits(seed: int = 0, q: int = 12, m: int = 5) -> dict[str, np.ndarray]:
    """q subjects at m times, a residual that is correlated in time, a covariate v of the variance."""
    rng = np.random.default_rng(seed)
    subject, time = np.repeat(np.arange(q), m), np.tile(np.arange(m) + 1.0, q)
    e = np.zeros((q, m))
    e[:, 0] = rng.normal(size=q)
    for j in range(1, m):
        e[:, j] = 0.5 * e[:, j - 1] + np.sqrt(0.75) * rng.normal(size=q)
    v = rng.uniform(0.5, 3.0, q * m)
    x = rng.normal(size=q * m)
    return {
        "subject": np.array([f"s{i:02d}" for i in subject]),
        "time": time,
        "x": x,
        "v": v,
        "y": 10.0 + 0.5 * x + rng.normal(size=q)[subject] + v**0.4 * e.ravel(),
    }


# ------------------------------------------------------------------------------------------------- variance functions


@pytest.mark.parametrize("residual", [None, "ar1(0 + time | subject)"])
def test_a_constant_of_zero_is_a_result(residual):
    """const_power whose constant is 0 is power: the same criterion, the same standard errors, and the constant said to be 0."""
    d = _visits(seed=5)
    power = hd.lmm("y ~ x + (1 | subject)", d, residual=residual, variance="power(v)")
    both = hd.lmm("y ~ x + (1 | subject)", d, residual=residual, variance="const_power(v)")
    found = {
        t: (e, s, b)
        for t, e, s, b in zip(
            *(both.variance_components_columns()[k] for k in ("term", "estimate", "std_error", "bound")),
            strict=True,
        )
    }
    expected = dict(
        zip(
            power.variance_components_columns()["term"],
            power.variance_components_columns()["std_error"],
            strict=True,
        )
    )
    assert found["const(v)"][0] == 0.0 and found["const(v)"][2] == "B"
    assert both.deviance == pytest.approx(power.deviance, abs=1e-5)
    assert both.status.verdict == "boundary"
    assert "the constant of const_power(v) is estimated as 0" in str(both.status)
    for name in expected:
        assert found[name][1] == pytest.approx(expected[name], rel=1e-3)
        assert found[name][2] in "PU"


@pytest.mark.parametrize("seed", range(4))
def test_a_constant_beside_a_power_is_never_worse_than_none(seed):
    """Two optima: hardly any constant, or a constant with a steep power; the better one is found."""
    d = _visits(seed)
    residual = "ar1(0 + time | subject)"
    power = hd.lmm("y ~ x + (1 | subject)", d, residual=residual, variance="power(v)")
    both = hd.lmm("y ~ x + (1 | subject)", d, residual=residual, variance="const_power(v)")
    assert both.deviance <= power.deviance + 1e-5


# --------------------------------------------------------------------------------- residuals that are nearly one another


_ONE = ["ar1(0 + time | subject)", "ou(0 + time | subject)", "cs(1 | subject)"]
_MORE = [f"{name}(0 + time | subject)" for name in ("csh", "toep", "us", "cor")]


@pytest.mark.parametrize(
    ("error", "residual"), [*((1e-3, text) for text in _ONE), *((1e-2, text) for text in _ONE + _MORE)]
)
def test_correlations_close_to_one_are_followed(residual, error):
    """Rows of a subject that differ by a hundredth or a thousandth of what subjects differ by: the optimum that hd.gls has."""
    rng = np.random.default_rng(2)
    d = _visits(2, 8, 4)
    d["y"] = np.repeat(rng.normal(size=8), 4) + error * rng.normal(size=32)
    d["x"] = rng.normal(size=32)
    ours, other = hd.lmm("y ~ x", d, residual=residual), hd.gls("y ~ x", d, residual=residual)
    assert ours.status.verdict != "not converged"
    assert ours.deviance < other.deviance + 1e-4
