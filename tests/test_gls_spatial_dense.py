"""Spatial, lattice and known covariances against V written out in full, and derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gamma, kv

from henderson.errors import DataError, ModelError
from henderson.residuals import grid, known, spatial
from henderson.residuals.axes import axes
from henderson.residuals.base import Factor, Layout
from henderson.residuals.matern import _by_bessel, _closed, matern, matern_with_nu
from henderson.residuals.near_one import Factored
from henderson.residuals.tabulate import tabulated


def _textbook(structure, d, values):
    """The correlation of each family at distance d, as the books print it."""
    x = d / values[0]
    if structure == "mat":
        nu = values[1]
        with np.errstate(invalid="ignore"):
            f = 2.0 ** (1.0 - nu) / gamma(nu) * x**nu * kv(nu, x)
        return np.where(d > 0, f, 1.0)
    return {
        "exp": lambda: np.exp(-x),
        "gau": lambda: np.exp(-(x**2)),
        "ratio": lambda: 1.0 / (1.0 + x**2),
        "sph": lambda: np.where(x < 1, 1.0 - 1.5 * x + 0.5 * x**3, 0.0),
        "lin": lambda: np.where(x < 1, 1.0 - x, 0.0),
    }[structure]()


def _layout(rng, structure, groups, dims, nugget, options, alike=False):
    n = 60
    codes = np.repeat(np.arange(groups), n // groups) if alike else rng.integers(0, groups, n)
    _, codes = np.unique(codes, return_inverse=True)
    points = [
        np.tile(rng.normal(size=n // groups), groups) if alike else rng.normal(size=n) for _ in range(dims)
    ]
    shuffle = rng.permutation(n)
    factor = Factor(
        structure, tuple("xyz"[:dims]), tuple(p[shuffle] for p in points), (None,) * dims, options
    )
    labels = [f"f{g}" for g in range(groups)]
    return Layout(n, (factor,), codes[shuffle], "field", labels, f"{structure}(...)", nugget)


def _covariance(layout, structure, values):
    d = np.sqrt(sum((c[:, None] - c) ** 2 for c in layout.factors[0].coordinates))
    nugget = values[-1] if layout.nugget else 0.0
    c = (1.0 - nugget) * _textbook(structure, d, values)
    c *= layout.groups[:, None] == layout.groups
    np.fill_diagonal(c, 1.0)
    return c


def _check(structure, t, c, rng, rtol=1e-9):
    """Against c (n, n) in the order of the design, and differences."""
    order = np.arange(len(c)) if structure.order is None else structure.order
    c = c[np.ix_(order, order)]
    m = rng.normal(size=(len(c), 3))
    expected, log_det = m.T @ np.linalg.solve(c, m), np.linalg.slogdet(c)[1]
    found = structure.cross_products(t, m, True)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.products / scale, expected / scale, atol=rtol)
    assert found.log_det == pytest.approx(log_det, abs=rtol * len(c))
    white, log_det = structure.whiten(t, m)
    np.testing.assert_allclose(white.T @ white / scale, expected / scale, atol=rtol)
    assert log_det == pytest.approx(found.log_det, abs=rtol * len(c))
    bound = structure.bind(m).at(t, True)
    np.testing.assert_allclose(bound.products / scale, expected / scale, atol=rtol)
    np.testing.assert_allclose(bound.product_slopes, found.product_slopes, rtol=1e-8, atol=1e-8 * scale)
    for j in range(len(t)):
        at = {}
        for k in (-2, -1, 1, 2):
            moved = t.copy()
            moved[j] += k * _STEP
            at[k] = structure.cross_products(moved, m, False)
        slope = _five_points({k: found.products for k, found in at.items()})
        np.testing.assert_allclose(found.product_slopes[j], slope, rtol=1e-7, atol=1e-7 * np.abs(slope).max())
        slope = _five_points({k: found.log_det for k, found in at.items()})
        assert found.log_det_slopes[j] == pytest.approx(slope, rel=1e-7, abs=1e-7)


_STEP = 1e-4


def _five_points(f):
    """The central difference of fourth order: truncation 1e-16 times the fifth derivative, rounding 1e-12 of the size."""
    return (8.0 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12.0 * _STEP)


def _clear_of_distances(layout, value):
    """A range near `value` in the widest gap between distances: lin and sph have kinks there."""
    points = np.column_stack(layout.factors[0].coordinates)
    same = layout.groups[:, None] == layout.groups
    d = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))[same]
    near = np.unique(np.append(d[(d > 0.5 * value) & (d < 1.6 * value)], [0.5 * value, 1.6 * value]))
    k = int(np.argmax(np.diff(np.log(near))))
    return float(np.sqrt(near[k] * near[k + 1]))


FAMILIES = [
    ("exp", {}, [0.8]),
    ("gau", {}, [0.25]),
    ("sph", {}, [1.7]),
    ("ratio", {}, [0.3]),
    ("lin", {}, [1.3]),
    ("mat", {"nu": 0.5}, [0.8, 0.5]),
    ("mat", {"nu": 1.5}, [0.3, 1.5]),
    ("mat", {"nu": 2.5}, [0.2, 2.5]),
    ("mat", {"nu": 0.8}, [0.4, 0.8]),
    ("mat", {}, [0.3, 1.2]),
]


@pytest.mark.parametrize(("name", "options", "values"), FAMILIES)
@pytest.mark.parametrize("nugget", [False, True])
@pytest.mark.parametrize(
    ("groups", "dims", "alike"), [(1, 2, False), (7, 3, False), (10, 2, True), (6, 1, False)]
)
def test_spatial(name, options, values, nugget, groups, dims, alike):
    if name == "lin":
        dims = 1
    rng = np.random.default_rng(len(values) + 10 * groups + dims)
    layout = _layout(rng, name, groups, dims, nugget, options, alike)
    structure = spatial.build(layout)
    if name in ("lin", "sph"):
        values = [_clear_of_distances(layout, values[0])]
    reported = values[: 1 if "nu" in options else len(values)] + ([0.2] if nugget else [])
    t = structure.coordinates(np.array(reported))
    np.testing.assert_allclose(structure.natural(t), reported, rtol=1e-10)
    _check(structure, t, _covariance(layout, name, [*values, 0.2]), rng)


def test_many_groups_of_one_size_go_through_the_stacked_routines():
    rng = np.random.default_rng(0)
    groups, n = np.repeat(np.arange(30), 4), 120
    factor = Factor("exp", ("x", "y"), (rng.normal(size=n), rng.normal(size=n)), (None, None), {})
    layout = Layout(n, (factor,), groups, "g", list(range(30)), "exp", True)
    structure = spatial.build(layout)
    _check(
        structure, structure.coordinates(np.array([0.7, 0.3])), _covariance(layout, "exp", [0.7, 0.3]), rng
    )


def test_rows_of_one_place_with_a_nugget():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=15), 2)
    factor = Factor("exp", ("x", "y"), (x, 2 * x), (None, None), {})
    layout = Layout(30, (factor,), np.zeros(30, dtype=int), "", ("",), "exp", True)
    structure = spatial.build(layout)
    _check(
        structure, structure.coordinates(np.array([0.7, 0.3])), _covariance(layout, "exp", [0.7, 0.3]), rng
    )


def test_correlations_near_one_keep_their_digits():
    """B (B'CB)^-1 B' = C^-1 - C^-1 1 1'C^-1 / 1'C^-1 1 for a basis B of contrasts, and B'CB = -B'(1 - C)B has all its digits."""
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(40, 2))
    d = np.hypot(*(points[:, None] - points).transpose(2, 0, 1))
    i, j = np.triu_indices(40, 1)
    gaps = -np.expm1(-d[i, j] / 1e4)
    factor = Factored((1.0 - gaps)[None], gaps[None], 40)
    assert factor.c > 0
    rows = np.hstack([np.eye(40), np.ones((40, 1))])
    white = factor.whiten(rows[None])[0]
    a = white.T @ white
    found = a[:40, :40] - np.outer(a[:40, 40], a[40, :40]) / a[40, 40]
    b = np.linalg.qr(np.hstack([np.ones((40, 1)), rng.normal(size=(40, 39))]))[0][:, 1:]
    wide = np.zeros((40, 40))
    wide[i, j] = wide[j, i] = gaps
    expected = b @ np.linalg.solve(-b.T @ wide @ b, b.T)
    np.testing.assert_allclose(found / np.abs(expected).max(), expected / np.abs(expected).max(), atol=1e-11)
    plain = Factored((1.0 - gaps)[None], None, 40)
    assert factor.log_det == pytest.approx(plain.log_det, abs=1e-8)


# -- the Matern ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5])
def test_matern_closed_forms(nu):
    x = np.geomspace(1e-6, 50.0, 200)
    for a, b in zip(_by_bessel(x, nu), _closed(x, nu), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-12, atol=1e-16)


@pytest.mark.parametrize("nu", [0.07, 0.3, 1.0, 3.7, 28.0])
def test_matern_derivatives(nu):
    x = np.geomspace(1e-3, 20.0, 50)
    _, fall, in_nu = matern_with_nu(x, nu)
    h = 1e-4
    ends = [matern(x * np.exp(s * h), nu)[0] for s in (-1, 1)]
    np.testing.assert_allclose(fall, (ends[0] - ends[1]) / (2 * h), atol=5e-8)
    ends = [matern(x, nu * np.exp(s * h))[0] for s in (-1, 1)]
    np.testing.assert_allclose(in_nu, (ends[1] - ends[0]) / (2 * h), atol=5e-8)


def test_matern_at_zero_and_very_far():
    for nu in (0.1, 1.0, 30.0):
        f, fall, in_nu = matern_with_nu(np.array([0.0, 1e-30, 1e-9, 800.0, 1e5]), nu)
        assert f[0] == 1.0 and f[-1] == 0.0 and (np.diff(f) <= 0).all()
        assert np.isfinite(fall).all() and np.isfinite(in_nu).all()
        assert fall[0] == 0.0 and in_nu[0] == 0.0


@pytest.mark.parametrize("nu", [0.3, 1.2, 15.0])
def test_matern_by_table(nu):
    x = np.append(np.exp(np.random.default_rng(0).uniform(-8, 6, 60_000)), 0.0)
    for order in (x, np.sort(x)):
        by_table = tabulated(lambda s: np.stack(_by_bessel(s, nu)), order)
        np.testing.assert_allclose(by_table, np.stack(_by_bessel(order, nu)), atol=2e-13)


# -- lattices ------------------------------------------------------------------------------------------------------


def _grid_layout(rng, shape, kinds, groups=1, kept=1.0, nugget=False, doubled=0, gappy=False):
    rows = []
    for g in range(groups):
        places = [
            np.sort(rng.choice(3 * s, s, replace=False) if gappy else np.arange(s)).astype(float)
            for s in shape
        ]
        boxes = np.meshgrid(*places, indexing="ij")
        here = np.column_stack([np.full(boxes[0].size, g), *(b.ravel() for b in boxes)])
        rows.append(here[rng.random(len(here)) < kept])
    table = np.vstack(rows)
    if doubled:
        table = np.vstack([table, table[rng.integers(0, len(table), doubled)]])
    table = rng.permutation(table)
    names = ("row", "col", "year")
    factors = tuple(Factor(k, (names[i],), (table[:, 1 + i],), (None,)) for i, k in enumerate(kinds))
    name = "env" if groups > 1 else ""
    labels = [f"e{g}" for g in range(groups)]
    return Layout(len(table), factors, table[:, 0].astype(int), name, labels, "(1 | a:b)", nugget)


def _grid_covariance(layout, values):
    nugget = values[-1] if layout.nugget else 0.0
    c = (1.0 - nugget) * (layout.groups[:, None] == layout.groups)
    for factor, value in zip(layout.factors, values, strict=False):
        lag = np.abs(factor.coordinates[0][:, None] - factor.coordinates[0])
        c = c * (np.exp(-lag / value) if factor.structure == "exp" else float(value) ** lag)
    np.fill_diagonal(c, 1.0)
    return c


GRIDS = [
    ((6, 9), ("ar1", "ar1"), {}, [0.6, -0.4]),
    ((9, 6), ("ar1", "ar1"), {"groups": 3}, [0.6, 0.3]),
    ((6, 9), ("ar1", "ar1"), {"kept": 0.8}, [-0.5, 0.7]),
    ((5, 9), ("ar1", "ou"), {"kept": 0.7, "groups": 3, "gappy": True}, [0.8, 0.6]),
    ((6, 9), ("ar1", "ou"), {"kept": 0.8, "nugget": True}, [0.8, 0.9, 0.3]),
    ((6, 9), ("ar1", "ar1"), {"nugget": True}, [0.95, 0.9, 0.01]),
    ((9, 4), ("ou", "exp"), {"groups": 3, "kept": 0.7, "nugget": True, "doubled": 5}, [0.9, 3.0, 0.3]),
    ((4, 3, 5), ("ar1", "ou", "exp"), {"groups": 2, "kept": 0.7}, [0.8, 0.6, 3.0]),
    ((4, 3, 5), ("ar1", "ou", "exp"), {"groups": 2, "kept": 0.7, "nugget": True}, [0.5, 0.6, 3.0, 0.5]),
    ((25, 24), ("ar1", "ar1"), {"kept": 0.9}, [0.7, 0.5]),
    ((25, 24), ("ar1", "ar1"), {"kept": 0.9, "nugget": True}, [0.7, 0.5, 0.2]),
]


@pytest.mark.parametrize(("shape", "kinds", "options", "values"), GRIDS)
def test_lattice(shape, kinds, options, values):
    rng = np.random.default_rng(sum(shape))
    layout = _grid_layout(rng, shape, kinds, **options)
    c = _grid_covariance(layout, values)
    for structure in (grid.lattice(layout, axes(layout)), grid.dense_product(layout)):
        t = structure.coordinates(np.array(values))
        np.testing.assert_allclose(structure.natural(t), values, rtol=1e-9)
        _check(structure, t, c, rng, rtol=1e-8)


def test_a_lattice_goes_sparse_and_scattered_rows_dense():
    rng = np.random.default_rng(0)
    assert isinstance(grid.build(_grid_layout(rng, (30, 40), ("ar1", "ar1"), kept=0.9)), grid.Lattice)
    scattered = tuple(Factor("ou", (n,), (rng.uniform(size=200),), (None,)) for n in "xy")
    layout = Layout(200, scattered, np.zeros(200, dtype=int), "", ("",), "(1 | ou(x):ou(y))")
    assert isinstance(grid.build(layout), grid.DenseProduct)


def test_space_by_time():
    """exp(x, y):ar1(year): a dense product."""
    rng = np.random.default_rng(0)
    x, y, year = rng.normal(size=50), rng.normal(size=50), rng.integers(0, 4, 50).astype(float)
    factors = (Factor("exp", ("x", "y"), (x, y), (None, None)), Factor("ar1", ("year",), (year,), (None,)))
    layout = Layout(50, factors, np.zeros(50, dtype=int), "", ("",), "(1 | exp(x, y):ar1(year))", True)
    structure = grid.build(layout)
    assert [p.name for p in structure.parameters] == ["range(x, y)", "phi(year)", "nugget"]
    d = np.hypot(x[:, None] - x, y[:, None] - y)
    c = 0.75 * np.exp(-d / 0.7) * 0.6 ** np.abs(year[:, None] - year)
    np.fill_diagonal(c, 1.0)
    _check(structure, structure.coordinates(np.array([0.7, 0.6, 0.25])), c, rng)


def test_identity_makes_rows_independent():
    rng = np.random.default_rng(0)
    layout = _grid_layout(rng, (4, 6, 5), ("id", "ar1", "ar1"), kept=0.8)
    structure = grid.build(layout)
    lags = [np.abs(f.coordinates[0][:, None] - f.coordinates[0]) for f in layout.factors]
    c = (lags[0] == 0) * 0.5 ** lags[1] * 0.3 ** lags[2]
    _check(structure, structure.coordinates(np.array([0.5, 0.3])), c, rng, rtol=1e-8)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nugget_at_its_bounds(share):
    """Share 0 is no nugget, share 1 nothing else; the structures answer there."""
    rng = np.random.default_rng(0)
    layout = _grid_layout(rng, (6, 7), ("ar1", "ar1"), kept=0.8, nugget=True)
    c = _grid_covariance(layout, [0.6, 0.4, share])
    for structure in (grid.lattice(layout, axes(layout)), grid.dense_product(layout)):
        t = structure.coordinates(np.array([0.6, 0.4, share]))
        order, m = structure.order, rng.normal(size=(layout.n, 2))
        found = structure.cross_products(t, m, True)
        expected = m.T @ np.linalg.solve(c[np.ix_(order, order)], m)
        np.testing.assert_allclose(found.products, expected, rtol=1e-6, atol=1e-6)
        assert np.isfinite(found.product_slopes).all() and np.isfinite(found.log_det_slopes).all()
        assert structure.natural(t)[2] == pytest.approx(share, abs=1e-8)
        assert [j for j, _ in structure.edges(t)] == [2]


# -- known covariances -----------------------------------------------------------------------------------------------


def _known_case(rng, n=40):
    a = rng.normal(size=(n, n))
    v = a @ a.T
    v[np.abs(v) < 6] = 0.0
    return v + 2 * n * np.eye(n)


@pytest.mark.parametrize("form", ["dense", "sparse", "large sparse"])
def test_known(form):
    from scipy.sparse import block_diag, csc_matrix

    rng = np.random.default_rng(0)
    v = _known_case(rng)
    given = v
    if form == "sparse":
        given = csc_matrix(v)
    elif form == "large sparse":
        given = block_diag([csc_matrix(v)] * 12, format="csr")
        v = given.toarray()
    n = len(v)
    kept = np.setdiff1d(np.arange(n), [3, 17])
    layout = Layout(n - 2, (), np.zeros(n - 2, dtype=int), "", ("",), "V=", rows=kept)
    structure = known.build(given, layout, n)
    v = v[np.ix_(kept, kept)]
    _check(structure, np.zeros(0), v, rng)
    order = np.arange(n - 2) if structure.order is None else structure.order
    np.testing.assert_allclose(structure.diagonal(np.zeros(0)), np.diag(v)[order])


def test_known_refusals():
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    v = _known_case(rng)
    layout = Layout(40, (), np.zeros(40, dtype=int), "", ("",), "V=")
    lame = v.copy()
    lame[2, 3] += 1.0
    bad = v - 80.0 * np.eye(40)
    smallest = np.linalg.eigvalsh(bad)[0]
    assert smallest < 0
    for given, said in [
        (v[:-1, :-1], r"V= is 39 x 39; the table has 40 rows"),
        (np.ones(3), r"V= is 3; the table has 40 rows"),
        (lame, r"not symmetric: V\[2, 3\] is .* and V\[3, 2\] is"),
        (csr_matrix(lame), r"not symmetric: V\[2, 3\] is .* and V\[3, 2\] is"),
        (bad, f"smallest eigenvalue is {smallest:.4g}".replace("-", r"\-")[:26]),
        (csr_matrix(bad), f"smallest eigenvalue is {smallest:.4g}".replace("-", r"\-")[:26]),
        (-np.ones(40), r"V= is -1 in row 0"),
        (np.where(np.eye(40) > 0, np.nan, v), r"V\[0, 0\] is nan"),
        (csr_matrix(np.where(np.eye(40) > 0, np.inf, v)), "not a finite number"),
        (np.where(np.arange(40) == 2, np.nan, 1.0), r"V= is nan in row 2"),
        (v + 1j, "complex"),
        (csr_matrix(v + 1j * np.eye(40)), "complex"),
        ("V", r"V= is an array of numbers"),
    ]:
        with pytest.raises(DataError, match=said):
            known.build(given, layout, 40)


def test_a_dense_v_beyond_memory_asks_for_a_sparse_one(monkeypatch):
    monkeypatch.setattr(known, "machine_memory", lambda: 2**14)
    layout = Layout(40, (), np.zeros(40, dtype=int), "", ("",), "V=")
    with pytest.raises(ModelError, match=r"dense and 40 x 40.*scipy sparse"):
        known.build(np.eye(40), layout, 40)
