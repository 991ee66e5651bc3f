"""Correlations among levels by their precision, each against the dense K written here from its definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from henderson.design.structured import LevelFactor
from henderson.errors import DataError, HendersonError, ModelError, NotAvailableError
from henderson.genetics.relationship import Relationship
from henderson.precisions import NotPositiveDefinite, Precision, of_factors
from henderson.precisions.known import SingularRelationship, root_of
from henderson.precisions.neighbours import Autoregression, as_neighbours


def rng() -> np.random.Generator:
    """The same numbers whatever was run before."""
    return np.random.default_rng(20240611)


# -- the dense definitions -------------------------------------------------------------------------------


def factor(kind: str, points=None, names=("x",), levels=None, relationship=None, **options) -> LevelFactor:
    if points is not None:
        points = np.asarray(points, dtype=float)
        points = points.reshape(len(points), -1)
    if levels is None:
        count = len(points) if points is not None else relationship.q if relationship else 0
        levels = tuple(relationship.ids) if relationship else tuple(f"L{i}" for i in range(count))
    return LevelFactor(kind, tuple(names), tuple(levels), points, relationship, options)


def distances(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=float).reshape(len(points), -1)
    return np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1))


def dense_q(p: Precision, values: np.ndarray) -> np.ndarray:
    out = np.zeros((p.n, p.n))
    out[p.rows, p.cols] = values
    return out + np.tril(out, -1).T


def related(q: int, seed: int = 1) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(q, q + 3))
    return a @ a.T / (q + 3)


def as_relationship(k: np.ndarray, sparse: bool) -> Relationship:
    ids = np.array([f"a{i}" for i in range(len(k))], dtype=object)
    log_det = float(np.linalg.slogdet(k)[1])
    precision = sp.csc_matrix(np.linalg.inv(k)) if sparse else None
    what = f"a dense {len(k)} x {len(k)} matrix"
    return Relationship(ids, precision, None if sparse else k, log_det, np.diag(k).copy(), what)


# -- one battery -----------------------------------------------------------------------------------------


def check(p: Precision, dense, natural: np.ndarray, tolerance: float = 1e-10, step: float = 1e-5) -> None:
    """Everything of the contract at one point, K = dense(natural)."""
    natural = np.asarray(natural, dtype=float)
    assert len(p.parameters) == len(natural)
    t = p.coordinates(natural) if len(natural) else np.zeros(0)
    assert t.shape == p.lower.shape == p.upper.shape
    np.testing.assert_allclose(p.natural(t), natural, rtol=1e-10, atol=1e-13)
    k = dense(natural)
    size = np.abs(k).max()

    assert p.rows.dtype == p.cols.dtype == np.int64
    assert (p.rows >= p.cols).all()
    assert len(set(zip(p.rows.tolist(), p.cols.tolist(), strict=True))) == len(p.rows)
    assert (np.bincount(p.rows[p.rows == p.cols], minlength=p.n) == 1).all()

    at = p.at(t, slopes=True)
    plain = p.at(t)
    np.testing.assert_array_equal(at.values, plain.values)
    assert plain.log_det == at.log_det
    assert plain.value_slopes is None and plain.log_det_slopes is None
    q = dense_q(p, at.values)
    condition = np.linalg.cond(k)
    np.testing.assert_allclose(q @ k, np.eye(p.n), atol=tolerance * max(condition, 1.0))
    np.testing.assert_allclose(at.log_det, np.linalg.slogdet(k)[1], rtol=1e-9, atol=1e-9 * p.n)

    v = rng().normal(size=(p.n, 3))
    np.testing.assert_allclose(p.times(t, v), k @ v, atol=1e-9 * size * p.n)
    np.testing.assert_allclose(p.diagonal(t), np.diag(k), rtol=1e-9)

    assert at.value_slopes.shape == (p.n_coordinates, len(p.rows))
    assert at.log_det_slopes.shape == (p.n_coordinates,)
    for j in range(p.n_coordinates):
        e = np.zeros(p.n_coordinates)
        e[j] = step

        def slope(f, e=e):
            return (f(t - 2 * e) - 8 * f(t - e) + 8 * f(t + e) - f(t + 2 * e)) / (12 * step)

        by = slope(lambda s: p.at(s).values)
        np.testing.assert_allclose(at.value_slopes[j], by, rtol=1e-5, atol=1e-7 * (1.0 + np.abs(by).max()))
        np.testing.assert_allclose(
            at.log_det_slopes[j], slope(lambda s: p.at(s).log_det), rtol=1e-6, atol=1e-7
        )
        np.testing.assert_allclose(p.natural_slopes(t)[:, j], slope(p.natural), rtol=1e-6, atol=1e-8)
    for start in p.starts():
        assert start.shape == (p.n_coordinates,)
        assert (start >= p.lower).all() and (start <= p.upper).all()
        assert np.isfinite(p.at(start).values).all()


# -- along a line ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("phi", [-0.7, -0.2, 0.0, 0.3, 0.95])
@pytest.mark.parametrize("positions", [np.arange(6), [4, 9, 1, 2, 12, 5], [0, 1]])
def test_ar1_with_positions_missing_and_unsorted(positions, phi):
    lag = distances(positions)
    p = of_factors([factor("ar1", positions, ["row"])])
    assert [each.name for each in p.parameters] == ["ar1(row)"]
    check(p, lambda n: np.where(lag > 0, n[0] ** np.maximum(lag, 1), 1.0), [phi])


def test_ar1_of_even_steps_has_no_sign():
    positions = np.array([0.0, 2, 6, 8])
    p = of_factors([factor("ar1", positions)])
    assert p.lower[0] == 0.0
    check(p, lambda n: n[0] ** distances(positions), [0.6])
    assert p.natural(p.coordinates(np.array([-0.6])))[0] == pytest.approx(0.6)


def test_ar1_of_labels_counts_their_order():
    f = LevelFactor("ar1", ("day",), ("mon", "tue", "wed"))
    check(of_factors([f]), lambda n: n[0] ** distances(np.arange(3)), [0.4])


@pytest.mark.parametrize("phi", [0.05, 0.5, 0.98])
def test_ou(phi):
    x = np.array([0.3, 2.0, 1.1, 7.25, -3.0])
    p = of_factors([factor("ou", x, ["time"])])
    assert p.parameters[0].name == "ou(time)"
    check(p, lambda n: n[0] ** distances(x), [phi])


def test_exp_of_one_coordinate_is_tridiagonal():
    x = rng().uniform(0, 10, 30)
    p = of_factors([factor("exp", x)])
    assert p.parameters[0].name == "range(x)"
    assert len(p.rows) == 2 * 30 - 1
    check(p, lambda n: np.exp(-distances(x) / n[0]), [2.5])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=12, unique=True), st.floats(-0.97, 0.97))
def test_ar1_at_any_positions(positions, phi):
    p = of_factors([factor("ar1", positions)])
    lag = distances(positions)
    if p.lower[0] == 0.0:
        phi = abs(phi)
    t = p.coordinates(np.array([phi]))
    k = np.where(lag > 0, phi ** np.maximum(lag, 1), 1.0)
    at = p.at(t)
    assert np.abs(dense_q(p, at.values) @ k - np.eye(p.n)).max() < 1e-10
    assert at.log_det == pytest.approx(np.linalg.slogdet(k)[1], abs=1e-10)
    v = np.arange(p.n, dtype=float) - 1.0
    np.testing.assert_allclose(p.times(t, v), k @ v, atol=1e-11)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=2, max_size=12, unique=True),
    st.floats(0.01, 100.0),
)
def test_exp_at_any_positions(x, reach):
    p = of_factors([factor("exp", x)])
    t = p.coordinates(np.array([reach]))
    k = np.exp(-distances(x) / reach)
    at = p.at(t)
    size = np.abs(at.values).max()
    assert np.abs(dense_q(p, at.values) @ k - np.eye(p.n)).max() < 1e-12 * size + 1e-12
    np.testing.assert_allclose(p.times(t, np.eye(p.n)), k, atol=1e-11)


@pytest.mark.parametrize("kind", ["ar1", "ou", "exp"])
def test_a_line_at_the_edges_of_its_box(kind):
    x = np.array([0.0, 1, 2, 5, 9])
    p = of_factors([factor(kind, x)])
    for t in (p.lower, p.upper):
        at = p.at(t, slopes=True)
        q = dense_q(p, at.values)
        k = p.times(t, np.eye(5))
        np.testing.assert_allclose(q @ k, np.eye(5), atol=1e-8)
        assert np.isfinite(at.value_slopes).all() and np.isfinite(at.log_det_slopes).all()
        # By the eigenvalues of Q, whose digits do not suffer.
        assert at.log_det == pytest.approx(-np.log(np.linalg.eigvalsh(q)).sum(), rel=1e-6)
        assert len(p.edges(t)) == 1 and "boundary" in p.edges(t)[0][1]
    assert p.edges(0.5 * (np.maximum(p.lower, -4) + np.minimum(p.upper, 4))) == []


def test_edges_say_which_end():
    p = of_factors([factor("ar1", np.arange(5))])
    assert p.edges(p.upper) == [(0, "estimated as 1, on the boundary")]
    assert p.edges(p.lower) == [(0, "estimated as -1, on the boundary")]
    p = of_factors([factor("exp", np.arange(5))])
    assert "infinite" in p.edges(p.lower)[0][1]
    assert "estimated as 0" in p.edges(p.upper)[0][1]


# -- known -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [True, False])
def test_known(sparse):
    k = related(9)
    p = of_factors([factor("vm", names=("animal", "A"), relationship=as_relationship(k, sparse))])
    assert p.n_coordinates == 0 and p.parameters == ()
    check(p, lambda n: k, [])


def test_known_sparse_of_an_order_that_needs_the_sparse_factor():
    n = 700
    phi = 0.6
    k = phi ** distances(np.arange(n))
    q = np.zeros((n, n))
    np.fill_diagonal(q, (1 + phi**2) / (1 - phi**2))
    q[0, 0] = q[-1, -1] = 1 / (1 - phi**2)
    q[np.arange(n - 1), np.arange(1, n)] = q[np.arange(1, n), np.arange(n - 1)] = -phi / (1 - phi**2)
    ids = np.array([str(i) for i in range(n)], dtype=object)
    r = Relationship(ids, sp.csc_matrix(q), None, (n - 1) * np.log(1 - phi**2), np.ones(n), "a chain of 700")
    p = of_factors([factor("vm", names=("a", "A"), relationship=r)])
    v = rng().normal(size=(n, 2))
    np.testing.assert_allclose(p.times(np.zeros(0), v), k @ v, atol=1e-10)
    np.testing.assert_allclose(p.times(np.zeros(0), v[:, 0]), k @ v[:, 0], atol=1e-10)
    assert p.at(np.zeros(0)).log_det == pytest.approx(np.linalg.slogdet(k)[1])


def test_a_singular_relationship_is_said_and_has_a_root():
    m = rng().normal(size=(8, 3))
    k = m @ m.T
    r = as_relationship(k, False)
    with pytest.raises(
        SingularRelationship, match=r"vm\(animal, A\).*'a3' is told by the individuals before it"
    ) as e:
        of_factors([factor("vm", names=("animal", "A"), relationship=r)])
    assert isinstance(e.value, ModelError) and e.value.relationship is r
    l, lengths = root_of(r)
    assert l.shape == (8, 3)
    np.testing.assert_allclose(l @ l.T, k, atol=1e-12 * np.abs(k).max())
    np.testing.assert_allclose(lengths, np.linalg.eigvalsh(m.T @ m))


def test_a_relationship_given_by_its_root():
    m = rng().normal(size=(8, 3))
    ids = np.array([f"a{i}" for i in range(8)], dtype=object)
    r = Relationship(ids, None, None, np.nan, (m**2).sum(1), "8 individuals by 3 markers", m)
    with pytest.raises(SingularRelationship, match="8 individuals by 3 markers is given by a root"):
        of_factors([factor("vm", names=("animal",), relationship=r)])
    assert root_of(r).l is m


def test_no_root_of_what_is_no_covariance():
    k = np.diag([2.0, 1.0, -0.25])
    with pytest.raises(
        ModelError, match=r"1 of its 3 eigenvalues is negative, the lowest -0\.25 \(the largest is 2\)"
    ):
        root_of(as_relationship(k, False))
    with pytest.raises(ModelError, match="given by its inverse"):
        root_of(as_relationship(related(3), True))


def test_levels_of_vm_are_those_of_the_relationship():
    r = as_relationship(related(4), False)
    with pytest.raises(DataError, match="their order is not the same"):
        of_factors([factor("vm", names=("a", "A"), levels=("a1", "a0", "a2", "a3"), relationship=r)])
    with pytest.raises(DataError, match="has 3 levels and the relationship, a dense 4 x 4 matrix, has 4"):
        of_factors([factor("vm", names=("a", "A"), levels=("a0", "a1", "a2"), relationship=r)])


# -- products --------------------------------------------------------------------------------------------


def test_independent_levels_have_no_precision():
    assert of_factors([factor("id", levels=("a", "b"))]) is None
    assert of_factors([factor("id", levels=("a", "b")), factor("id", levels=("c", "d"))]) is None


def test_ar1_by_ar1():
    rows, cols = np.arange(4), np.array([3, 1, 2, 6, 9])
    p = of_factors([factor("ar1", rows, ["row"]), factor("ar1", cols, ["col"])])
    assert [each.name for each in p.parameters] == ["ar1(row)", "ar1(col)"]
    assert p.name == "ar1:ar1"

    def dense(n):
        return np.kron(n[0] ** distances(rows), n[1] ** distances(cols))

    check(p, dense, [0.7, 0.4])
    t = np.array([p.upper[0], 0.3])
    assert p.edges(t) == [(0, "estimated as 1, on the boundary")]


_K = related(4, 5)
_X = np.array([0.0, 0.4, 1.5])
_PARTS = {
    "id": (factor("id", levels=("u", "v")), lambda n: np.eye(2), []),
    "vm": (factor("vm", names=("a", "A"), relationship=as_relationship(_K, True)), lambda n: _K, []),
    "dense": (factor("vm", names=("b", "B"), relationship=as_relationship(_K, False)), lambda n: _K, []),
    "ar1": (factor("ar1", [1, 0, 3]), lambda n: n[0] ** distances([1, 0, 3]), [0.6]),
    "ou": (factor("ou", _X, ["z"]), lambda n: n[0] ** distances(_X), [0.2]),
}


@pytest.mark.parametrize(
    "kinds",
    [*itertools.product(_PARTS, repeat=2), ("ar1", "id", "ou"), ("ou", "vm", "ar1"), ("dense", "ar1", "id")],
)
def test_any_product_is_numpy_kron(kinds):
    parts = [_PARTS[kind] for kind in kinds]
    p = of_factors([each[0] for each in parts])
    if p is None:
        assert kinds == ("id", "id")
        return
    cuts = np.cumsum([0, *(len(each[2]) for each in parts)])

    def dense(n):
        out = np.eye(1)
        for (_, k, _), a, b in zip(parts, cuts[:-1], cuts[1:], strict=True):
            out = np.kron(out, k(n[a:b]))
        return out

    check(p, dense, np.concatenate([each[2] for each in parts]))
    assert len({each.name for each in p.parameters}) == len(p.parameters)


def test_a_field_of_ten_thousand_plots_is_sparse():
    p = of_factors([factor("ar1", np.arange(100), ["row"]), factor("ar1", np.arange(100), ["col"])])
    assert p.n == 10_000
    # Nine entries a row inside the field, of which five are in the lower triangle.
    assert len(p.rows) == (298 * 298 + 10_000) // 2
    t = p.coordinates(np.array([0.8, 0.5]))
    v = rng().normal(size=(10_000, 2))
    q = sp.coo_matrix((p.at(t).values, (p.rows, p.cols)), shape=(p.n, p.n)).tocsr()
    q = q + sp.tril(q, -1).T
    np.testing.assert_allclose(q @ p.times(t, v), v, atol=1e-9)
    assert p.at(t).log_det == pytest.approx(100 * 99 * (np.log(1 - 0.64) + np.log(1 - 0.25)))


# -- fields ----------------------------------------------------------------------------------------------


def matern(d, reach, nu):
    from scipy.special import gamma, kv

    x = np.where(d > 0, d / reach, 1.0)
    return np.where(d > 0, 2 ** (1 - nu) / gamma(nu) * x**nu * kv(nu, x), 1.0)


FUNCTIONS = {
    "exp": lambda d, n: np.exp(-d / n[0]),
    "gau": lambda d, n: np.exp(-((d / n[0]) ** 2)),
    "sph": lambda d, n: np.where(d < n[0], 1 - 1.5 * d / n[0] + 0.5 * (d / n[0]) ** 3, 0.0),
    "ratio": lambda d, n: 1 / (1 + (d / n[0]) ** 2),
}


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_fields(kind, dimensions):
    points = np.random.default_rng(dimensions).uniform(0, 10, (20, dimensions))
    names = ("x", "y", "z")[:dimensions]
    p = of_factors([factor(kind, points, names)])
    assert [each.name for each in p.parameters] == [f"range({', '.join(names)})"]
    for reach in (1.5, 4.0):
        check(p, lambda n: FUNCTIONS[kind](distances(points), n), [reach])


@pytest.mark.parametrize("kind", ["gau", "sph"])
def test_fields_of_one_coordinate(kind):
    x = np.random.default_rng(8).permutation(np.arange(9.0) + 0.2)
    check(of_factors([factor(kind, x)]), lambda n: FUNCTIONS[kind](distances(x), n), [2.2])
    x = np.array([0.0, 1.0, 4.0])
    check(of_factors([factor("lin", x)]), lambda n: np.maximum(1 - distances(x) / n[0], 0), [5.5])


@pytest.mark.parametrize("nu", [0.5, 1.0, 1.5, 2.5])
def test_matern_of_a_given_nu(nu):
    points = np.random.default_rng(4).uniform(0, 10, (18, 2))
    p = of_factors([factor("mat", points, ("x", "y"), nu=nu)])
    assert [each.name for each in p.parameters] == ["range(x, y)"]
    check(p, lambda n: matern(distances(points), n[0], nu), [1.3])


def test_matern_with_nu_estimated():
    points = np.random.default_rng(4).uniform(0, 10, (18, 2))
    p = of_factors([factor("mat", points, ("x", "y"))])
    assert [each.name for each in p.parameters] == ["range(x, y)", "nu(x, y)"]
    assert not p.separable
    check(p, lambda n: matern(distances(points), *n), [1.3, 0.8])
    check(p, lambda n: matern(distances(points), *n), [0.7, 2.0])
    assert p.edges(np.array([p.upper[0], p.upper[1]]))[1][1].endswith("as smooth as gau")


def test_a_field_of_a_very_long_range_keeps_the_digits_of_one_minus_its_correlations():
    x = np.random.default_rng(3).uniform(0, 1, 25)
    line = of_factors([factor("exp", x)])
    # The same points in a plane, all on a line: dense, and of known answer.
    plane = of_factors([factor("exp", np.column_stack([x, 0 * x]), ("x", "y"))])
    for reach in (0.2, 30.0, 2e4):
        one, other = (p.at(p.coordinates(np.array([reach])), True) for p in (line, plane))
        q = dense_q(line, one.values)
        np.testing.assert_allclose(dense_q(plane, other.values), q, atol=1e-8 * np.abs(q).max())
        assert other.log_det == pytest.approx(one.log_det, rel=1e-10)
        s = np.zeros((25, 25))
        s[plane.rows, plane.cols] = other.value_slopes[0]
        of_line = dense_q(line, one.value_slopes[0])
        np.testing.assert_allclose(s + np.tril(s, -1).T, of_line, atol=2e-7 * np.abs(of_line).max())
    for p in (line, plane):
        at = p.at(p.lower, True)
        assert np.isfinite(at.values).all() and np.isfinite(at.value_slopes).all()


@pytest.mark.parametrize(
    "kind, options", [("exp", {}), ("gau", {}), ("sph", {}), ("mat", {"nu": 2.5}), ("mat", {})]
)
@pytest.mark.parametrize("grid", [False, True])
def test_a_field_answers_in_its_box(kind, options, grid):
    if grid:
        points = np.array(list(itertools.product(range(6), range(7))), dtype=float)
    else:
        points = np.random.default_rng(0).uniform(0, 10, (40, 2))
    p = of_factors([factor(kind, points, ("x", "y"), **options)])
    ends = [p.lower.copy(), p.upper.copy()]
    if len(p.lower) == 2:
        ends[0][1], ends[1][1] = np.log(0.5), np.log(0.5)
    for t in ends:
        at = p.at(t, True)
        k = p.times(t, np.eye(p.n))
        # 1e11 is the worst condition number that is accepted.
        np.testing.assert_allclose(dense_q(p, at.values) @ k, np.eye(p.n), atol=1e-3)
        assert np.isfinite(at.value_slopes).all()
        assert p.edges(t)[0][0] == 0
    for start in p.starts():
        assert p.edges(start) == []


def test_too_smooth_a_field_is_refused_with_the_longest_range_that_can_be_computed():
    points = np.random.default_rng(0).uniform(0, 10, (60, 2))
    p = of_factors([factor("gau", points, ("x", "y"))])
    assert p.walled
    longest = p.natural(p.lower)[0]
    assert f"estimated as {longest:.4g}, on the boundary" in p.edges(p.lower)[0][1]
    with pytest.raises(ModelError, match=rf"gau\(x, y\): a range of 100 is too long.*{longest:.4g}"):
        p.coordinates(np.array([100.0]))
    with pytest.raises(NotPositiveDefinite):
        p.at(np.array([1e-4]))


def test_a_field_of_more_points_than_are_probed_answers_at_the_end_of_its_box():
    points = np.random.default_rng(0).uniform(0, 30, (500, 2))
    for kind in ("gau", "exp"):
        p = of_factors([factor(kind, points, ("x", "y"))])
        assert p.walled == (kind == "gau")
        assert np.isfinite(p.at(p.lower).log_det)


def test_a_field_within_each_year_is_a_product():
    points = np.random.default_rng(1).uniform(0, 5, (6, 2))
    p = of_factors([factor("id", levels=("2001", "2002")), factor("mat", points, ("x", "y"))])
    assert not p.held(np.array([False, False])).any() and p.held(np.array([True, True])).all()
    with pytest.raises(ModelError, match=r"missing: nu\(x, y\)"):
        p.held(np.array([True, False]))
    check(p, lambda n: np.kron(np.eye(2), matern(distances(points), *n)), [1.0, 0.7])


# -- neighbours ------------------------------------------------------------------------------------------

W = np.array(
    [
        [0, 1, 1, 0, 0, 0],
        [1, 0, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [0, 1, 0, 0, 1, 1],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 0, 1, 0, 0],
    ],
    dtype=float,
)
PLACES = ("Ayr", "Bute", "Clyde", "Dee", "Esk", "Forth")
LIST = {
    "Ayr": ["Bute", "Clyde"],
    "Bute": ["Clyde", "Dee"],
    "Clyde": ["Esk"],
    "Dee": ["Esk", "Forth"],
    "Esk": [],
    "Forth": ["Dee"],
}


def place(value, kind="car", levels=PLACES):
    return LevelFactor(kind, ("place",), levels, options={"neighbours": value})


@pytest.mark.parametrize("weights", [W, W * (1.0 + 0.1 * np.add.outer(np.arange(6), np.arange(6)))])
@pytest.mark.parametrize("rho", [-0.9, -0.2, 0.0, 0.5, 0.99])
def test_proper_car(rho, weights):
    p = of_factors([place((weights, PLACES))])
    assert [each.name for each in p.parameters] == ["car(place)"]
    check(p, lambda n: np.linalg.inv(np.diag(weights.sum(1)) - n[0] * weights), [rho])


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.99])
def test_leroux(rho):
    alone = W.copy()
    alone[5] = alone[:, 5] = 0.0
    for w in (W, alone):
        p = of_factors([place((w, PLACES), "leroux")])
        structure = np.diag(w.sum(1)) - w
        check(p, lambda n, s=structure: np.linalg.inv((1 - n[0]) * np.eye(6) + n[0] * s), [rho])
    at = p.at(p.lower)
    np.testing.assert_allclose(dense_q(p, at.values), np.eye(6))
    assert p.edges(p.lower) == [(0, "estimated as 0, on the boundary")]
    assert "intrinsic" in p.edges(p.upper)[0][1]


def test_car_by_a_sparse_factor_equals_car_by_eigenvalues(monkeypatch):
    side = 25
    path = np.diag(np.ones(side - 1), 1)
    path = path + path.T
    w = sp.csr_matrix(np.kron(path, np.eye(side)) + np.kron(np.eye(side), path))
    found = as_neighbours((w, range(side * side)), "W")
    for kind in ("car", "leroux"):
        p = Autoregression(kind, found, "x", "x")
        t = p.coordinates(np.array([0.93]))
        one = p.at(t, True)
        monkeypatch.setattr("henderson.precisions.neighbours._BY_EIGENVALUES", 10)
        other = Autoregression(kind, found, "x", "x").at(t, True)
        monkeypatch.undo()
        assert other.log_det == pytest.approx(one.log_det, rel=1e-11)
        np.testing.assert_allclose(other.log_det_slopes, one.log_det_slopes, rtol=1e-9)
        k = np.linalg.inv(dense_q(p, one.values))
        np.testing.assert_allclose(p.diagonal(t), np.diag(k), rtol=1e-8)


def test_all_ways_to_say_neighbours():
    import pandas as pd

    pairs = [(a, b) for a, others in LIST.items() for b in others]
    for value in (
        LIST,
        {a: {b: 1.0 for b in others} for a, others in LIST.items()},
        pairs,
        (W, PLACES),
        (sp.csr_matrix(W), list(PLACES)),
        pd.DataFrame(W, PLACES, PLACES),
    ):
        found = as_neighbours(value, "W", PLACES)
        assert list(found.ids) == list(PLACES)
        np.testing.assert_array_equal(found.weights.toarray(), W)
    np.testing.assert_array_equal(as_neighbours(W, "W", PLACES).weights.toarray(), W)
    # Levels in another order than W's.
    order = [3, 0, 5, 1, 4, 2]
    p = of_factors([place(LIST, levels=tuple(PLACES[i] for i in order))])
    check(p, lambda n: np.linalg.inv((np.diag(W.sum(1)) - n[0] * W)[np.ix_(order, order)]), [0.4])


@pytest.mark.parametrize(
    "value, message",
    [
        (W, r"W: a 6 x 6 matrix without ids"),
        ({"Ayr": ["Ayr"]}, r"W: place 'Ayr' is its own neighbour"),
        ([("Ayr", "Bute", -1.0)], r"weight of 'Ayr' and 'Bute' is -1"),
        ([("Ayr", "Bute", 1.0), ("Bute", "Ayr", 2.0)], r"'Bute' and 'Ayr' have two weights, 1 and 2"),
        ([("Ayr",)], r"entry 0 \(the first is 0\) is \('Ayr',\)"),
        ((W / W.sum(1)[:, None], PLACES), r"'\w+' beside '\w+' weighs .* W must be symmetric.*sum to 1"),
        ((W[:5], PLACES), r"the matrix is 5 x 6 and has 6 ids"),
        ((W, ("a", "a", "b", "c", "d", "e")), r"place 'a' occurs twice"),
        (3.0, r"a list of neighbours .* is wanted, not float"),
        (
            {k: v for k, v in LIST.items() if k != "Esk"} | {"Clyde": ["Essk"], "Dee": ["Forth"]},
            r"place 'Esk' .*closest is 'Essk'",
        ),
    ],
)
def test_neighbours_that_cannot_be(value, message):
    with pytest.raises(DataError, match=message):
        as_neighbours(value, "W", None if value is W else PLACES)


def test_a_place_alone_is_refused_in_car():
    alone = W.copy()
    alone[5] = alone[:, 5] = 0.0
    with pytest.raises(ModelError, match=r"car\(place\): 'Forth' has no neighbour.*leroux"):
        of_factors([place((alone, PLACES))])
    with pytest.raises(ModelError, match=r"car\(place\): no neighbours were given"):
        of_factors([LevelFactor("car", ("place",), PLACES)])


# -- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "factors, message",
    [
        (
            [factor("ar1", [1.0, 2.5], ["row"])],
            r"ar1\(row\): ar1 counts whole steps, and row has 2\.5.*ou\(row\)",
        ),
        ([factor("ou", [1.0, 2.0, 1.0], ["t"])], r"ou\(t\): levels L0 and L2 are in one place"),
        ([factor("ar1", [3.0], ["row"])], r"ar1\(row\): there is one level, L0"),
        ([factor("ou", [[1.0, 2.0], [0.0, 1.0]], ["x", "y"])], r"runs along one coordinate, not 2"),
        (
            [LevelFactor("ou", ("day",), ("mon", "tue"))],
            r"ou\(day\): ou measures distances, and day holds labels",
        ),
        ([factor("exp", [0.0, np.nan], ["x"])], r"position of level L1 is not a finite number"),
        ([factor("cra", [0.0, 1.0], ["x"])], r"cra\(x\): there is no such correlation.*closest is car"),
        ([factor("vm", names=("a", "A"), levels=("b",))], r"vm\(a, A\): no relationship was given"),
    ],
)
def test_refusals(factors, message):
    with pytest.raises(HendersonError, match=message):
        of_factors(factors)


def test_an_unknown_kind_is_not_available():
    with pytest.raises(NotAvailableError):
        of_factors([factor("toep", [0.0, 1.0])])


@pytest.mark.parametrize(
    "kind, value", [("ar1", 1.0), ("ar1", -1.2), ("ou", 0.0), ("ou", 1.0), ("exp", -2.0)]
)
def test_values_outside_the_range_are_refused(kind, value):
    p = of_factors([factor(kind, np.arange(4), ["x"])])
    with pytest.raises(ModelError, match=rf"{kind}\(x\): .*not {value:g}"):
        p.coordinates(np.array([value]))
