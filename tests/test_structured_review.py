"""The engine of structures where it is rarely met: draws of rotated models, products with singular relationships, long rows of Z."""

import numpy as np
import pytest
import scipy.sparse as sp

import henderson as hd
from henderson.errors import NotAvailableError
from henderson.mixed.structured.draw import draw
from henderson.mixed.structured.weighted import Mapped, Multiplied, weighted


class Basis:
    """Stands for a generator: the unit vectors of all normals a draw takes, so that draws @ draws' is their variance."""

    def __init__(self, total: int):
        self.total, self.used = total, 0

    def normal(self, size):
        rows, wide = size
        r = wide // self.total
        out = np.zeros((rows * r, self.total))
        out[np.arange(rows * r), self.used + np.arange(rows * r)] = 1.0
        self.used += rows * r
        return out.reshape(rows, wide)


def _herd(q: int, records: int, rank: int | None = None):
    rng = np.random.default_rng(5)
    half = rng.normal(size=(q, rank or 3 * q))
    k = half @ half.T / half.shape[1]
    ids = [f"g{i}" for i in range(q)]
    codes = np.repeat(np.arange(q), records)
    u = half @ rng.normal(size=half.shape[1]) / np.sqrt(half.shape[1])
    n = len(codes)
    x = np.tile(rng.normal(size=records), q)
    table = {
        "y": u[codes] * (1.0 + 0.5 * x) + rng.normal(size=n),
        "g": [ids[i] for i in codes],
        "x": x,
        "env": np.tile([f"e{i}" for i in range(records)], q),
    }
    return table, k, ids, codes


@pytest.mark.parametrize("left", ["1", "x"])
def test_draws_of_a_rotated_model_have_its_covariance(left):
    d, k, ids, codes = _herd(12, 3)
    fit = hd.lmm(f"y ~ x + ({left} | vm(g, K))", d, relationships={"K": (k, ids)})
    model = fit.solution.problem.model
    assert model.rotation is not None
    n, m = len(codes), fit.solution.terms[0].m
    z = np.ones((n, 1)) if m == 1 else np.column_stack([np.ones(n), d["x"]])
    sigma = fit.solution.covariances[0]
    v = (z @ sigma @ z.T) * k[np.ix_(codes, codes)] + fit.solution.scale2 * np.eye(n)
    draws = draw(fit.solution, fit.solution.terms[0].q * m + n, Basis(fit.solution.terms[0].q * m + n), True)
    np.testing.assert_allclose(draws @ draws.T, v, rtol=1e-9, atol=1e-9 * np.abs(v).max())


@pytest.mark.parametrize("right", ["vm(g, K):env", "env:vm(g, K)"])
@pytest.mark.parametrize("left", ["1", "x"])
def test_a_product_with_a_singular_relationship_equals_the_twin(left, right):
    """K (x) I of order 30 x 3, K of rank 8, as a centred genomic matrix with an effect of each line in each environment."""
    d, k, ids, codes = _herd(30, 3, rank=8)
    fit = hd.lmm(f"y ~ x + ({left} | {right})", d, relationships={"K": (k, ids)})
    s, n = fit.solution, len(codes)
    z = np.ones((n, 1)) if s.terms[0].m == 1 else np.column_stack([np.ones(n), d["x"]])
    env = np.asarray(d["env"])
    same = k[np.ix_(codes, codes)] * (env[:, None] == env)
    v = (z @ s.covariances[0] @ z.T) * same + s.scale2 * np.eye(n)
    x, y, inverse = fit.design.X, np.asarray(d["y"]), np.linalg.inv(v)
    information = x.T @ inverse @ x
    beta = np.linalg.solve(information, x.T @ inverse @ y)
    left_over = y - x @ beta
    deviance = np.linalg.slogdet(v)[1] + np.linalg.slogdet(information)[1] + left_over @ inverse @ left_over
    assert s.deviance == pytest.approx(deviance + (n - x.shape[1]) * np.log(2 * np.pi), abs=1e-8)
    np.testing.assert_allclose(fit.vcov, np.linalg.inv(information), rtol=1e-8)
    # BLUPs, and their prediction errors, of the levels in the order of the labels.
    levels = [str(v) for v in fit.labels.terms[0].levels]
    rows = [
        f"{a}:{b}" if right.startswith("vm") else f"{b}:{a}" for a, b in zip(d["g"], d["env"], strict=True)
    ]
    at = np.array([levels.index(r) for r in rows])
    between = (z @ s.covariances[0])[:, None, :] * same[:, :, None]
    u = np.einsum("ijm,i->jm", between, inverse @ left_over)
    np.testing.assert_allclose(s.u[0][at], u, atol=1e-8)
    p = inverse - inverse @ x @ np.linalg.solve(information, x.T @ inverse)
    for j in (0, 7, n - 1):
        told = between[:, j, :].T @ p @ between[:, j, :]
        np.testing.assert_allclose(
            s.prediction_error[0][at[j]], k[codes[j], codes[j]] * s.covariances[0] - told, atol=1e-8
        )


def test_a_singular_relationship_beside_a_correlation_is_refused_in_words():
    d, k, ids, _ = _herd(12, 3, rank=4)
    d["t"] = np.tile([1.0, 2.0, 3.0], 12)
    with pytest.raises(NotAvailableError, match=r"ar1\(t\) beside a relationship that is singular.*blend"):
        hd.lmm("y ~ x + (1 | vm(g, K):ar1(t))", d, relationships={"K": (k, ids)})


def test_long_rows_are_multiplied_where_products_are_too_many_to_keep():
    """Z'R^-1 Z and its transpose map, the two ways."""
    rng = np.random.default_rng(1)
    d, k, ids, codes = _herd(12, 3, rank=4)
    d["t"] = np.tile([1.0, 2.0, 4.0], 12)
    fit = hd.lmm("y ~ x + (x | vm(g, K))", d, relationships={"K": (k, ids)}, residual="ar1(0 + t | g)")
    system = fit.solution.problem.system
    z, precision = system.z, fit.solution.problem.model.residual
    kept, made = weighted(z, precision), weighted(z, precision, most=0.0)
    assert isinstance(kept, Mapped) and isinstance(made, Multiplied)
    assert kept.kept > 0 and made.kept == 0
    numbers = precision.at(np.array([0.4])).values
    lower = [
        sp.csr_matrix((w.values(numbers), (w.rows, w.cols)), shape=(z.shape[1],) * 2) for w in (kept, made)
    ]
    whole = np.zeros((len(codes),) * 2)
    whole[precision.rows, precision.cols] = whole[precision.cols, precision.rows] = numbers
    expected = np.tril(z.toarray().T @ whole @ z.toarray())
    for each in lower:
        np.testing.assert_allclose(each.toarray(), expected, atol=1e-12)
    g = rng.normal(size=(z.shape[1],) * 2)
    g = g + g.T
    among = z.toarray() @ g @ z.toarray().T
    twice = np.where(precision.rows == precision.cols, 1.0, 2.0)
    # Only what is on the pattern of A counts, which here is all of it.
    for each in (kept, made):
        found = each.pull_back(g[each.rows, each.cols])
        np.testing.assert_allclose(
            found, twice * among[precision.rows, precision.cols], rtol=1e-10, atol=1e-10
        )


def test_a_fit_is_the_same_where_products_are_made_again(monkeypatch):
    from henderson.mixed.structured import equations

    d, k, ids, _ = _herd(12, 3, rank=4)
    d["t"] = np.tile([1.0, 2.0, 4.0], 12)

    def fitted():
        return hd.lmm("y ~ x + (x | vm(g, K))", d, relationships={"K": (k, ids)}, residual="ar1(0 + t | g)")

    one = fitted()
    monkeypatch.setattr(equations, "weighted", lambda z, residual: weighted(z, residual, most=0.0))
    other = fitted()
    assert isinstance(other.solution.problem.system.weighted, Multiplied)
    assert other.loglik == pytest.approx(one.loglik, abs=1e-9)
    np.testing.assert_allclose(
        other.variance_components["std_error"], one.variance_components["std_error"], rtol=1e-6
    )
    assert other.plan().memory <= one.plan().memory


def test_bounds_that_never_settle_are_not_called_converged(monkeypatch):
    from henderson.models import bounds

    d, k, ids, _ = _herd(12, 3)

    def fitted():
        return hd.lmm(
            "y ~ x + (1 | vm(g, K))", d, relationships={"K": (k, ids)}, bounds={"Residual": (0.0, 0.1)}
        )

    settled = fitted()
    assert settled.status.verdict != "not converged"
    assert settled.variance_components["estimate"].iloc[-1] == pytest.approx(0.1)
    # Every active bound is let go again.
    monkeypatch.setattr(bounds, "_loose", lambda problem, control, limits, active, point: next(iter(active)))
    assert fitted().status.verdict == "not converged"


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_an_autocorrelation_that_runs_to_one_ends_where_ou_does(seed):
    """A trend without an end: (1 | ar1(t)) is the same model as (1 | ou(t)) on whole steps; only sigma^2 (1 - phi^2) is told."""
    rng = np.random.default_rng(3)
    t = rng.integers(0, 8, 150)
    x = rng.normal(size=150)
    rng = np.random.default_rng(seed)
    y = np.cumsum(rng.normal(size=8))[t] + 0.3 * t + 0.8 * rng.normal(size=150)
    d = {"y": y, "x": x, "t": t.astype(float)}
    one, other = (hd.lmm(f"y ~ x + (1 | {k}(t))", d) for k in ("ar1", "ou"))
    assert one.status.verdict == other.status.verdict == "boundary"
    assert one.loglik == pytest.approx(other.loglik, abs=1e-6)
    a, b = (np.asarray(f.variance_components["estimate"]) for f in (one, other))
    np.testing.assert_allclose(a[0] * (1.0 - a[1]), b[0] * (1.0 - b[1]), rtol=1e-3)
    np.testing.assert_allclose(a[-1], b[-1], rtol=1e-5)
    np.testing.assert_allclose(one.coefficients, other.coefficients, rtol=1e-5)


@pytest.mark.parametrize("e", [0.0, 1e-3, 0.14])
@pytest.mark.parametrize("c", [0.02, 0.4, 1.2, -0.7])
def test_the_stretch_of_a_standard_deviation_and_its_slope(c, e):
    from henderson.mixed.structured.parameters import stretch

    if e == 0.0 and c < 0:
        pytest.skip("a decay is positive")
    size, rate = stretch(c, e)
    phi = (1.0 + e) * np.tanh(c)
    assert size == pytest.approx(
        np.sqrt(1.0 + 1.0 / c) if e == 0.0 else 1.0 / np.sqrt(1.0 - phi**2), rel=1e-9
    )
    h = 1e-5
    expected = (np.log(stretch(c + h, e)[0]) - np.log(stretch(c - h, e)[0])) / (2.0 * h)
    assert rate == pytest.approx(expected, rel=1e-6)
