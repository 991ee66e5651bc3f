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
from henderson.precisions import Precision, of_factors
from henderson.precisions.known import SingularRelationship, root_of

RNG = np.random.default_rng(20240611)


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


def related(q: int, rng=RNG) -> np.ndarray:
    a = rng.normal(size=(q, q + 3))
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

    v = RNG.normal(size=(p.n, 3))
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
    x = RNG.uniform(0, 10, 30)
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
    v = RNG.normal(size=(n, 2))
    np.testing.assert_allclose(p.times(np.zeros(0), v), k @ v, atol=1e-10)
    np.testing.assert_allclose(p.times(np.zeros(0), v[:, 0]), k @ v[:, 0], atol=1e-10)
    assert p.at(np.zeros(0)).log_det == pytest.approx(np.linalg.slogdet(k)[1])


def test_a_singular_relationship_is_said_and_has_a_root():
    m = RNG.normal(size=(8, 3))
    k = m @ m.T
    r = as_relationship(k, False)
    with pytest.raises(
        SingularRelationship, match=r"vm\(animal, A\).*'a3' is told by the individuals before it"
    ) as e:
        of_factors([factor("vm", names=("animal", "A"), relationship=r)])
    assert isinstance(e.value, ModelError) and e.value.relationship is r
    l, eigenvalues = root_of(r)
    assert l.shape == (8, 3)
    np.testing.assert_allclose(l @ l.T, k, atol=1e-12 * np.abs(k).max())
    np.testing.assert_allclose(eigenvalues, np.linalg.eigvalsh(m.T @ m))


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


_K = related(4, np.random.default_rng(5))
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
    v = RNG.normal(size=(10_000, 2))
    q = sp.coo_matrix((p.at(t).values, (p.rows, p.cols)), shape=(p.n, p.n)).tocsr()
    q = q + sp.tril(q, -1).T
    np.testing.assert_allclose(q @ p.times(t, v), v, atol=1e-9)
    assert p.at(t).log_det == pytest.approx(100 * 99 * (np.log(1 - 0.64) + np.log(1 - 0.25)))


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
