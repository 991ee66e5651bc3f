"""Residual structures as precisions: Q R = I against R written out from the textbook (gls_twin), log-determinants, slopes by
differences, K v, and on grids with holes the missing plots integrated out densely."""

from __future__ import annotations

import numpy as np
import pytest
from gls_twin import by_position, correlation
from test_gls_structures import POSITIONS, _position_matrix

from henderson import formula as formulas
from henderson import frame as frames
from henderson.errors import DataError, FormulaError, ModelError, NotAvailableError
from henderson.formula.residual import read_residual
from henderson.genetics.relationship import Relationship
from henderson.precisions.residual import fields, of_residual, split_nugget


def _read(data):
    return frames.read(data, dict.fromkeys(data), "y ~ 1")


def _precision(text, data, variance=None, rows=None, **more):
    frame = _read(data)
    n = frame.nrow if rows is None else len(rows)
    residual = None if text is None else read_residual(text)
    functions = None if variance is None else formulas.parse_variance(variance)
    return of_residual(residual, functions, frame, rows, n, **more)


def _dense(p, values):
    q = np.zeros((p.n, p.n))
    q[p.rows, p.cols] = values
    return q + np.tril(q, -1).T


def _check(p, t, v):
    """v (rows, rows): R of the rows of the design, at t."""
    assert (p.rows >= p.cols).all() and p.rows.dtype == p.cols.dtype == np.int64
    assert len(np.unique(p.rows * p.n + p.cols)) == len(p.rows)
    assert np.array_equal(np.unique(p.rows[p.rows == p.cols]), np.arange(p.n))
    at = p.at(t, True)
    q = _dense(p, at.values)
    places = np.arange(p.n) if p.places is None else p.places
    rest = np.setdiff1d(np.arange(p.n), places)
    # The levels without a record integrated out: a Schur complement, and log|Q_mm|.
    seen, log_det = q[np.ix_(places, places)], at.log_det
    if len(rest):
        across = q[np.ix_(places, rest)]
        seen = seen - across @ np.linalg.solve(q[np.ix_(rest, rest)], across.T)
        log_det += np.linalg.slogdet(q[np.ix_(rest, rest)])[1]
    np.testing.assert_allclose(seen @ v, np.eye(len(v)), atol=1e-9)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(v)[1], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(at.log_det, -np.linalg.slogdet(q)[1], rtol=1e-10, atol=1e-10)
    k = np.linalg.inv(q)
    np.testing.assert_allclose(k[np.ix_(places, places)], v, atol=1e-9 * np.abs(v).max())
    m = np.random.default_rng(1).standard_normal((p.n, 3))
    np.testing.assert_allclose(p.times(t, m), k @ m, atol=1e-9 * np.abs(k).max())
    np.testing.assert_allclose(p.diagonal(t), np.diagonal(k), rtol=1e-9)
    plain = p.at(t)
    assert plain.value_slopes is None and plain.log_det_slopes is None
    np.testing.assert_allclose(plain.values, at.values, rtol=1e-10, atol=1e-12 * np.abs(q).max())
    assert at.value_slopes.shape == (p.n_coordinates, len(p.rows))
    _check_slopes(p, t, at)
    if p.n_coordinates:
        np.testing.assert_allclose(p.coordinates(p.natural(t)), t, rtol=1e-9, atol=1e-9)
    for start in [*p.starts(), *p.starts_from(m[:, 0] if p.places is None else m[p.places, 0])]:
        assert start.shape == t.shape and (start >= p.lower).all() and (start <= p.upper).all()
        assert np.isfinite(p.at(start).values).all()


def _check_slopes(p, t, at, h=1e-5):
    for j in range(len(t)):
        up, down = t.copy(), t.copy()
        up[j] += h
        down[j] -= h
        a, b = p.at(up), p.at(down)
        size = np.abs(at.values).max()
        np.testing.assert_allclose(
            at.value_slopes[j], (a.values - b.values) / (2 * h), rtol=2e-6, atol=2e-7 * size
        )
        np.testing.assert_allclose(
            at.log_det_slopes[j], (a.log_det - b.log_det) / (2 * h), rtol=1e-6, atol=1e-6
        )
        change = (p.natural(up) - p.natural(down)) / (2 * h)
        np.testing.assert_allclose(p.natural_slopes(t)[:, j], change, rtol=1e-6, atol=1e-6)


def _series(rng, whole=True):
    """Groups of several sizes with gaps, rows in no order."""
    groups = np.repeat(np.arange(6), [5, 1, 8, 3, 4, 8])
    time = np.concatenate([np.sort(rng.choice(14, size=s, replace=False)) for s in (5, 1, 8, 3, 4, 8)])
    time = time.astype(float) if whole else time + rng.uniform(0.0, 0.4, len(time))
    shuffle = rng.permutation(len(groups))
    return {"g": groups[shuffle], "time": time[shuffle]}


SERIAL = [
    ("ar1", {"phi": 0.6}, True),
    ("ar1", {"phi": -0.5}, True),
    ("ou", {"phi": 0.7}, False),
    ("exp", {"range": 3.0}, False),
    ("cs", {"rho": 0.4}, True),
    ("cs", {"rho": -0.1}, True),
    ("arma", {"phi1": 0.5, "theta1": 0.3}, True),
]


@pytest.mark.parametrize(("name", "values", "whole"), SERIAL)
def test_series(name, values, whole):
    data = _series(np.random.default_rng(3), whole)
    text = f"{name}(0 + time | g{', p=1, q=1' if name == 'arma' else ''})"
    p = _precision(text, data)
    t = p.coordinates(np.array(list(values.values())))
    v = np.zeros((p.n, p.n))
    for g in np.unique(data["g"]):
        at = np.flatnonzero(data["g"] == g)
        v[np.ix_(at, at)] = correlation(name, values, data["time"][at])
    assert p.places is None and not p.has_variances
    if name in ("ar1", "ou", "exp"):
        assert len(p.rows) == p.n + (p.n - 6)
    _check(p, t, v)


def test_series_far_from_and_near_one():
    data = _series(np.random.default_rng(4))
    for phi in (0.0, 0.999999, -0.9999):
        p = _precision("ar1(0 + time | g)", data)
        t = p.coordinates(np.array([phi]))
        v = np.where(
            data["g"][:, None] == data["g"], phi ** np.abs(data["time"][:, None] - data["time"]), 0.0
        )
        np.testing.assert_allclose(_dense(p, p.at(t).values) @ v, np.eye(p.n), atol=1e-8)


def test_one_series_in_the_order_of_the_rows():
    p = _precision("ar1(1 | g)", {"g": np.array(list("aabba")), "x": np.arange(5.0)})
    lag = np.array([[0, 1, 9, 9, 2], [1, 0, 9, 9, 1], [9, 9, 0, 1, 9], [9, 9, 1, 0, 9], [2, 1, 9, 9, 0]])
    _check(p, p.coordinates(np.array([0.5])), np.where(lag == 9, 0.0, 0.5**lag))


@pytest.mark.parametrize("name", POSITIONS)
@pytest.mark.parametrize("complete", [False, True])
def test_positions(name, complete):
    rng = np.random.default_rng(6)
    q, m = 9, 4
    groups, codes = (a.ravel() for a in np.meshgrid(np.arange(q), np.arange(m), indexing="ij"))
    keep = np.ones(q * m, dtype=bool) if complete else rng.random(q * m) < 0.7
    shuffle = rng.permutation(np.flatnonzero(keep))
    groups, codes = groups[shuffle], codes[shuffle]
    p = _precision(f"{name}(0 + visit | g)", {"g": groups, "visit": codes.astype(float)})
    t = p.coordinates(np.array(POSITIONS[name]))
    assert p.n_classes <= len(p.rows) and len(p.rows) <= q * m * (m + 1) // 2
    if name == "diag":
        assert len(p.rows) == p.n
    _check(p, t, by_position(_position_matrix(name, POSITIONS[name], m), groups, codes))


def test_traits_of_a_unit_and_units_that_miss_some():
    """us(0 + trait | units) on a stacked table, that says which rows are of one unit."""
    rng = np.random.default_rng(7)
    units, codes = (a.ravel() for a in np.meshgrid(np.arange(8), np.arange(3), indexing="ij"))
    kept = np.sort(rng.choice(24, size=17, replace=False))
    units, codes = units[kept], codes[kept]
    trait = np.array(["weight", "height", "age"])[codes]
    data = {"units": units, "trait": trait, "sex": np.where(units % 2, "f", "m")}
    p = _precision("us(0 + trait | units)", data)
    # Levels of text come in the alphabet's order: age, height, weight.
    place = {"age": 0, "height": 1, "weight": 2}
    codes = np.array([place[each] for each in trait])
    values = [1.0, 2.0, 0.5, 0.7, 0.3, -0.2]
    assert [x.name for x in p.parameters[:3]] == ["traitage", "traitheight", "traitweight"]
    assert p.has_variances and p.parameters[0].unit == p.parameters[3].unit == 2
    v = by_position(_position_matrix("us", values, 3), units, codes)
    _check(p, p.coordinates(np.array(values)), v)
    sub = np.flatnonzero(data["sex"] == "f")
    part = _precision("us(0 + trait | units)", data, rows=sub)
    _check(part, part.coordinates(np.array(values)), v[np.ix_(sub, sub)])
    both = _precision("at(sex):cs(0 + trait | units)", data)
    assert [x.name for x in both.parameters] == ["sexf", "sexf:rho", "sexm", "sexm:rho"]
    r = np.where(data["sex"] == "f", 0.3, 0.6)
    s2 = np.where(data["sex"] == "f", 1.0, 2.5)
    same = units[:, None] == units
    v = np.where(same, np.where(np.eye(17) == 1, 1.0, r) * s2, 0.0)
    _check(both, both.coordinates(np.array([1.0, 0.3, 2.5, 0.6])), v)


def test_a_variance_for_each_level():
    env = np.array(list("babcabcca"))
    p = _precision("diag(0 + env | units)", {"env": env})
    t = p.coordinates(np.array([1.0, 4.0, 0.25]))
    assert [x.name for x in p.parameters] == ["enva", "envb", "envc"]
    _check(p, t, np.diag(np.select([env == "a", env == "b"], [1.0, 4.0], 0.25)))
    scaled = _precision(None, {"env": env}, "ident(env)")
    other = scaled.coordinates(np.array([2.0, 0.5]))
    np.testing.assert_allclose(_dense(scaled, scaled.at(other).values), _dense(p, p.at(t).values), rtol=1e-12)
    sections = _precision("at(env):(1 | units)", {"env": env})
    t = sections.coordinates(np.array([1.0, 4.0, 0.25]))
    _check(sections, t, np.diag(np.select([env == "a", env == "b"], [1.0, 4.0], 0.25)))


PLANE = {
    "exp": ([1.5], lambda d, r: np.exp(-d / r)),
    "gau": ([0.8], lambda d, r: np.exp(-((d / r) ** 2))),
    "sph": ([2.0], lambda d, r: np.where(d < r, 1 - 1.5 * d / r + 0.5 * (d / r) ** 3, 0.0)),
    "mat": ([0.9], lambda d, r: (1 + d / r) * np.exp(-d / r)),
}


@pytest.mark.parametrize("name", PLANE)
def test_the_plane(name):
    """Three fields, two of them with the same places."""
    rng = np.random.default_rng(8)
    places = [rng.uniform(0.0, 4.0, (7, 2)), rng.uniform(0.0, 4.0, (5, 2))]
    xy = np.concatenate([places[0], places[1], places[0]])
    field = np.repeat(["a", "b", "c"], [7, 5, 7])
    shuffle = rng.permutation(len(xy))
    data = {"x": xy[shuffle, 0], "y": xy[shuffle, 1], "field": field[shuffle]}
    values, f = PLANE[name]
    p = _precision(f"{name}(0 + x + y | field{', nu=1.5' if name == 'mat' else ''})", data)
    d = np.hypot(data["x"][:, None] - data["x"], data["y"][:, None] - data["y"])
    v = np.where(data["field"][:, None] == data["field"], f(d, *values), 0.0)
    assert p.n_classes == 7 * 8 // 2 + 5 * 6 // 2
    _check(p, p.coordinates(np.array(values)), v)


def test_a_matern_of_estimated_smoothness_and_correlations_near_one():
    rng = np.random.default_rng(9)
    data = {"x": rng.uniform(0, 3, 10), "y": rng.uniform(0, 3, 10)}
    d = np.hypot(data["x"][:, None] - data["x"], data["y"][:, None] - data["y"])
    p = _precision("(1 | mat(x, y))", data)
    _check(p, p.coordinates(np.array([0.7, 2.5])), _matern(d / 0.7))
    near = _precision("(1 | exp(x, y))", data)
    t = near.coordinates(np.array([3000.0]))
    np.testing.assert_allclose(_dense(near, near.at(t).values) @ np.exp(-d / 3000.0), np.eye(10), atol=1e-8)


def _matern(x):
    """nu = 5/2 in closed form."""
    return (1 + x + x**2 / 3) * np.exp(-x)


# -- grids -----------------------------------------------------------------------------------------------


def _grid(rng, rows, cols, share):
    row, col = (a.ravel() for a in np.meshgrid(rows, cols, indexing="ij"))
    kept = rng.permutation(rng.choice(len(row), size=int(share * len(row)), replace=False))
    return {"row": row[kept], "col": col[kept]}


def _lags(data, name):
    return np.abs(data[name][:, None] - data[name])


@pytest.mark.parametrize("share", [1.0, 0.7])
@pytest.mark.parametrize("gaps", [False, True])
def test_ar1_by_ar1(share, gaps):
    rng = np.random.default_rng(10)
    rows = np.array([1.0, 2.0, 4.0, 7.0, 8.0]) if gaps else np.arange(5.0)
    data = _grid(rng, rows, np.arange(4.0), share)
    p = _precision("(1 | ar1(row):ar1(col))", data)
    assert [x.name for x in p.parameters] == ["phi(row)", "phi(col)"]
    assert (p.places is None) == (share == 1.0) and p.n == 20
    v = 0.6 ** _lags(data, "row") * (-0.3) ** _lags(data, "col")
    _check(p, p.coordinates(np.array([0.6, -0.3])), v)
    if not gaps:
        # Corners, edges and the inside of the diagonal and its neighbours: 4 numbers for each chain.
        assert p.n_classes == 16


def test_three_factors_and_groups():
    rng = np.random.default_rng(11)
    data = _grid(rng, np.arange(4.0), np.array([0.0, 0.5, 1.7]), 0.8)
    parts = [_grid(rng, np.arange(4.0), np.array([0.0, 0.5, 1.7]), 0.8) for _ in range(3)]
    data = {name: np.concatenate([part[name] for part in parts]) for name in ("row", "col")}
    data["year"] = np.repeat([1.0, 2.0, 5.0], 9)
    p = _precision("(1 | ar1(row):ou(col):ar1(year))", data)
    v = 0.6 ** _lags(data, "row") * 0.4 ** _lags(data, "col") * 0.5 ** _lags(data, "year")
    _check(p, p.coordinates(np.array([0.6, 0.4, 0.5])), v)
    by_year = _precision("(1 | ar1(row):ou(col):id(year))", data)
    v = np.where(_lags(data, "year") == 0, 0.6 ** _lags(data, "row") * 0.4 ** _lags(data, "col"), 0.0)
    t = by_year.coordinates(np.array([0.6, 0.4]))
    _check(by_year, t, v)
    same = _precision("(1 | ar1(row):ou(col):year)", data)
    np.testing.assert_array_equal(same.at(t).values, by_year.at(t).values)


def test_ar1_by_independent_columns_and_a_field_beside_time():
    rng = np.random.default_rng(12)
    data = _grid(rng, np.arange(5.0), np.arange(4.0), 0.75)
    p = _precision("(1 | ar1(row):id(col))", data)
    v = np.where(_lags(data, "col") == 0, 0.6 ** _lags(data, "row"), 0.0)
    _check(p, p.coordinates(np.array([0.6])), v)
    data["z"] = rng.uniform(0, 2, 15)
    p = _precision("(1 | exp(row, z):ar1(col))", data)
    d = np.hypot(data["row"][:, None] - data["row"], data["z"][:, None] - data["z"])
    _check(p, p.coordinates(np.array([1.2, 0.5])), np.exp(-d / 1.2) * 0.5 ** _lags(data, "col"))


def test_sections_of_grids_of_their_own():
    """Two trials, one with holes, each with its variance and correlations; rows of both mixed."""
    rng = np.random.default_rng(13)
    one, two = (
        _grid(rng, np.arange(4.0), np.arange(5.0), 0.8),
        _grid(rng, np.arange(3.0), np.arange(3.0), 1.0),
    )
    data = {name: np.concatenate([one[name], two[name]]) for name in ("row", "col")}
    data["env"] = np.repeat(["A", "B"], [16, 9])
    shuffle = rng.permutation(25)
    data = {name: values[shuffle] for name, values in data.items()}
    p = _precision("at(env):(1 | ar1(row):ar1(col))", data)
    assert p.n == 20 + 9 and p.has_variances
    names = ["envA", "envA:phi(row)", "envA:phi(col)", "envB", "envB:phi(row)", "envB:phi(col)"]
    assert [x.name for x in p.parameters] == names
    values = np.array([1.0, 0.6, 0.3, 2.5, -0.2, 0.5])
    v = np.zeros((25, 25))
    for env, (s2, a, b) in zip("AB", values.reshape(2, 3), strict=True):
        at = np.flatnonzero(data["env"] == env)
        part = {name: data[name][at] for name in ("row", "col")}
        v[np.ix_(at, at)] = s2 * a ** _lags(part, "row") * b ** _lags(part, "col")
    _check(p, p.coordinates(values), v)


def test_a_lattice_that_is_nearly_empty_is_dense():
    rng = np.random.default_rng(14)
    data = {"x": rng.uniform(0, 9, 60), "y": rng.uniform(0, 9, 60)}
    p = _precision("(1 | ou(x):ou(y))", data)
    assert p.places is None and len(p.rows) == 60 * 61 // 2
    _check(p, p.coordinates(np.array([0.5, 0.7])), 0.5 ** _lags(data, "x") * 0.7 ** _lags(data, "y"))


# -- variance functions ----------------------------------------------------------------------------------


def _scaled_check(text, data, variance, natural, s, v):
    """Reported variances are of s as defined; K has it up to exp(log_scale)."""
    p = _precision(text, data, variance)
    t = p.coordinates(np.array(natural))
    np.testing.assert_allclose(p.natural(t), natural, rtol=1e-10)
    back = np.exp(-2.0 * p.log_scale(t))
    _check(p, t, v * np.outer(s, s) * back)
    return p


def test_variance_functions():
    rng = np.random.default_rng(15)
    data = _series(rng)
    n = len(data["g"])
    data |= {"x": rng.uniform(0.5, 4.0, n), "f": np.array(list("abc"))[rng.integers(0, 3, n)]}
    code = np.searchsorted(["a", "b", "c"], data["f"])
    x, same = data["x"], data["g"][:, None] == data["g"]
    c = np.where(same, 0.6 ** np.abs(data["time"][:, None] - data["time"]), 0.0)
    s = np.array([1.0, 1.5, 0.7])[code] * x**0.8 * np.exp(np.array([0.2, -0.1, 0.3])[code] * x)
    variance = "ident(f) * power(x) * exp(x | f)"
    p = _scaled_check("ar1(0 + time | g)", data, variance, [0.6, 1.5, 0.7, 0.8, 0.2, -0.1, 0.3], s, c)
    held = p.held(np.array([1, 0, 0, 0, 1, 0, 0], dtype=bool))
    np.testing.assert_array_equal(held, [1, 0, 0, 0, 1, 0, 0])
    _scaled_check(None, data, "const_power(x)", [0.4, 1.3], 0.4 + x**1.3, np.eye(n))


def test_variance_functions_on_a_grid_with_holes():
    """Missing plots have no covariate: their rows of K are as they were."""
    rng = np.random.default_rng(16)
    data = _grid(rng, np.arange(5.0), np.arange(4.0), 0.7)
    data["x"] = rng.uniform(0.5, 3.0, 14)
    v = 0.6 ** _lags(data, "row") * 0.3 ** _lags(data, "col")
    _scaled_check("(1 | ar1(row):ar1(col))", data, "power(x)", [0.6, 0.3, 0.7], data["x"] ** 0.7, v)


def test_variances_start_from_those_of_the_residuals():
    """Traits in grams and in tonnes."""
    rng = np.random.default_rng(30)
    env = np.array(["a", "b", "c"])[np.arange(600) % 3]
    sd = np.select([env == "a", env == "b"], [1.0, 1e6], 1e-5)
    e = sd * rng.standard_normal(600)
    data = {"env": env, "units": np.arange(600) // 3}
    for text, variance in [
        ("diag(0 + env | units)", None),
        ("us(0 + env | units)", None),
        ("at(env):(1 | units)", None),
        (None, "ident(env)"),
    ]:
        p = _precision(text, data, variance)
        for start in p.starts_from(e):
            np.testing.assert_allclose(start[:2], np.log([1e6, 1e-5]), atol=0.2)
            np.testing.assert_allclose(start[2:], 0.0, atol=0.6)


def test_weights_divide_variances():
    data = _series(np.random.default_rng(17))
    w = np.random.default_rng(17).uniform(0.5, 2.0, len(data["g"]))
    p = _precision("cs(1 | g)", data, weights=w)
    v = np.where(data["g"][:, None] == data["g"], 0.3, 0.0)
    np.fill_diagonal(v, 1.0)
    _check(p, p.coordinates(np.array([0.3])), v / np.sqrt(np.outer(w, w)))


# -- a nugget --------------------------------------------------------------------------------------------


def _field_matrix(field, values):
    k = np.linalg.inv(_dense(field.precision, field.precision.at(field.precision.coordinates(values)).values))
    seen = field.places >= 0
    return np.where(np.outer(seen, seen), k[np.ix_(field.places, field.places)], 0.0)


def test_a_nugget_makes_the_correlated_part_a_random_term():
    """Two plots may share a place, and the grid has holes."""
    rng = np.random.default_rng(18)
    data = _grid(rng, np.arange(5.0), np.arange(4.0), 0.7)
    data = {name: np.append(values, values[:3]) for name, values in data.items()}
    residual = read_residual("(1 | ar1(row):ar1(col)) + (1 | units)")
    correlated, plain = split_nugget(residual)
    frame = _read(data)
    assert of_residual(plain, None, frame, None, 17) is None
    with pytest.raises(NotAvailableError, match="random term"):
        of_residual(residual, None, frame, None, 17)
    (field,) = fields(correlated, frame, None, 17)
    assert field.text == "(1 | ar1(row):ar1(col))" and field.section == "" and field.precision.places is None
    assert field.precision.n == 20 and field.group == "ar1(row):ar1(col)"
    v = 0.6 ** _lags(data, "row") * 0.3 ** _lags(data, "col")
    np.testing.assert_allclose(_field_matrix(field, np.array([0.6, 0.3])), v, atol=1e-12)


def test_a_nugget_in_each_section():
    data = _series(np.random.default_rng(19))
    data["sex"] = np.where(data["g"] % 2, "f", "m")
    correlated, plain = split_nugget(read_residual("at(sex):ou(0 + time | g) + (1 | units)"))
    frame, n = _read(data), len(data["g"])
    found = fields(correlated, frame, None, n)
    assert [f.section for f in found] == ["sexf", "sexm"] and found[0].group == "ou(time):g"
    same = data["g"][:, None] == data["g"]
    v = np.where(same, 0.7 ** np.abs(data["time"][:, None] - data["time"]), 0.0)
    total = sum(_field_matrix(f, np.array([0.7])) for f in found)
    np.testing.assert_allclose(total, v, atol=1e-12)
    rest = of_residual(plain, None, frame, None, n)
    assert [p.name for p in rest.parameters] == ["sexf", "sexm"]
    with pytest.raises(ModelError, match="cs with one is cs again"):
        fields(split_nugget(read_residual("cs(1 | g) + (1 | units)"))[0], frame, None, n)


# -- known matrices --------------------------------------------------------------------------------------


def _relationship(v, precision=False, ids=None):
    from scipy import sparse

    ids = np.array([f"s{i}" for i in range(len(v))] if ids is None else ids, dtype=object)
    inverse = sparse.csc_matrix(np.linalg.inv(v)) if precision else None
    log_det = float(np.linalg.slogdet(v)[1])
    return Relationship(ids, inverse, None if precision else v, log_det, np.diagonal(v).copy(), "a matrix")


@pytest.mark.parametrize("precision", [False, True])
@pytest.mark.parametrize("all_of_them", [False, True])
def test_a_known_covariance_by_id(precision, all_of_them):
    rng = np.random.default_rng(20)
    v = np.zeros((8, 8))
    for at in (slice(0, 3), slice(3, 7), slice(7, 8)):
        a = rng.standard_normal((8, at.stop - at.start))
        v[at, at] = a.T @ a
    which = rng.permutation(8)[: 8 if all_of_them else 6]
    data = {"study": np.array([f"s{i}" for i in which])}
    p = _precision("vm(study, V)", data, relationships={"V": _relationship(v, precision)})
    assert p.holds_scale and p.parameters == () and p.n_coordinates == 0
    if not precision and all_of_them:
        assert len(p.rows) == 6 + 10 + 1
    _check(p, np.zeros(0), v[np.ix_(which, which)])


def test_known_variances_by_row():
    v = np.diag([1.0, 2.0, 0.5, 4.0])
    data = {"x": np.arange(4.0)}
    rows = np.array([0, 1, 3])
    known = {"V": _relationship(v)}
    p = _precision("(1 | vm(units, V))", data, rows=rows, relationships=known)
    assert len(p.rows) == 3
    _check(p, np.zeros(0), np.diag([1.0, 2.0, 4.0]))


def test_known_matrices_that_do_not_fit():
    v = _relationship(np.eye(3))
    data = {"id": np.array(["s0", "s1", "s1"])}
    with pytest.raises(DataError, match=r"id s1 occurs twice, in rows 1 and 2"):
        _precision("vm(id, V)", data, relationships={"V": v})
    with pytest.raises(DataError, match="not in a matrix: x"):
        _precision("vm(id, V)", {"id": np.array(["s0", "x"])}, relationships={"V": v})
    with pytest.raises(ModelError, match="The closest is 'V'"):
        _precision("vm(id, v)", data, relationships={"V": v})
    with pytest.raises(DataError, match="the table has 4 rows"):
        _precision("vm(units, V)", {"id": np.arange(4.0)}, relationships={"V": v})
    bad = _relationship(np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(DataError, match="its smallest eigenvalue is -1"):
        _precision("vm(id, V)", {"id": np.array(["s0", "s1"])}, relationships={"V": bad})


# -- what is refused -------------------------------------------------------------------------------------


def test_refusals():
    rng = np.random.default_rng(21)
    data = _grid(rng, np.arange(4.0), np.arange(3.0), 1.0)
    twice = {name: np.append(values, values[:1]) for name, values in data.items()}
    with pytest.raises(DataError, match=r"rows 0 and 12 .* are in one place"):
        _precision("(1 | ar1(row):ar1(col))", twice)
    with pytest.raises(NotAvailableError, match="cannot depend on the fitted values"):
        _precision(None, data, "power(fitted)")
    with pytest.raises(ModelError, match="every unit has one row"):
        _precision("us(0 + row | units)", data)
    with pytest.raises(FormulaError, match="all rows of a group one residual"):
        read_residual("us(1 | row)")
    assert _precision(None, data) is None and _precision("(1 | units)", data) is None


def test_tied_parameters_are_held_together():
    data = _series(np.random.default_rng(22))
    p = _precision("toep(0 + C(time) | g)", data)
    given = np.zeros(len(p.parameters), dtype=bool)
    given[0] = True
    with pytest.raises(ModelError, match="tied to one another"):
        p.held(given)
    assert p.held(~np.zeros_like(given)).all() and not p.held(np.zeros_like(given)).any()
