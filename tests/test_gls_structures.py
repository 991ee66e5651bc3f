"""Every residual structure against V written out: W V W' = I, log|V|, M'V^-1 M, and derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest
from gls_twin import block_correlation, by_position

from henderson.residuals.base import Factor, Layout
from henderson.residuals.catalogue import build_layout
from henderson.residuals.covariance import Covariance
from henderson.residuals.sections import Sections
from henderson.residuals.variances import ConstPower, Ident, Linear


def _layout(name, rng, options=None, nugget=False, whole=True, long=False):
    """Shuffled rows of groups of unequal length, with gaps in time."""
    groups, times = [], []
    lengths = [450, 3] if long else [1, 2, 3, 5, 6, 6, 4]
    for g, k in enumerate(lengths):
        span = np.arange(k + 8 if long else 7)
        time = np.sort(rng.choice(span, k, replace=False)).astype(float)
        groups += [g] * k
        times += list(time if whole else time + rng.uniform(0, 0.7, k))
    shuffle = rng.permutation(len(groups))
    groups, times = np.array(groups)[shuffle], np.array(times)[shuffle]
    factor = Factor(name, ("time",), (times,), (None,), options or {})
    return Layout(len(groups), (factor,), groups, "g", [f"s{g}" for g in range(len(lengths))], name, nugget)


SERIAL = [
    ("ar1", {}, False, True, [0.6]),
    ("ar1", {}, False, True, [-0.7]),
    ("ar1", {}, True, True, [0.6, 0.2]),
    ("ar1", {}, True, True, [-0.4, 0.5]),
    ("ou", {}, False, False, [0.4]),
    ("ou", {}, True, False, [0.4, 0.3]),
    ("exp", {}, False, False, [2.1]),
    ("exp", {}, True, False, [2.1, 0.15]),
    ("arma", {"p": 1}, False, True, [0.5]),
    ("arma", {"q": 1}, False, True, [0.45]),
    ("arma", {"p": 1, "q": 1}, False, True, [0.8, -0.3]),
    ("arma", {"p": 2, "q": 1}, False, True, [0.5, 0.3, 0.4]),
    ("arma", {"p": 1, "q": 3}, False, True, [0.6, 0.3, -0.2, 0.1]),
    ("arma", {"p": 2, "q": 0}, True, True, [0.5, -0.4, 0.25]),
    ("cs", {}, False, True, [0.35]),
    ("cs", {}, False, True, [-0.1]),
]


def _check(structure, layout, v, t, rng):
    """`v` (n, n) in the order of the design."""
    order = np.arange(layout.n) if structure.order is None else structure.order
    v = v[np.ix_(order, order)]
    m = rng.standard_normal((layout.n, 3))
    w, log_det = structure.whiten(t, np.eye(layout.n))
    np.testing.assert_allclose(w @ v @ w.T, np.eye(layout.n), atol=1e-11)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(v)[1], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(structure.whiten(t, m)[0], w @ m, atol=1e-11)
    np.testing.assert_allclose(structure.diagonal(t), np.diagonal(v), rtol=1e-12)
    for found in (structure.cross_products(t, m, True), structure.bind(m).at(t, True)):
        np.testing.assert_allclose(found.products, m.T @ np.linalg.solve(v, m), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found.log_det, log_det, rtol=1e-11, atol=1e-11)
        _check_slopes(lambda s: structure.cross_products(s, m, False), t, found)


def _check_slopes(function, t, found, h=1e-5):
    for j in range(len(t)):
        up, down = t.copy(), t.copy()
        up[j] += h
        down[j] -= h
        a, b = function(up), function(down)
        scale = np.abs(found.products).max()
        np.testing.assert_allclose(
            found.product_slopes[j], (a.products - b.products) / (2 * h), rtol=1e-6, atol=1e-7 * scale
        )
        np.testing.assert_allclose(
            found.log_det_slopes[j], (a.log_det - b.log_det) / (2 * h), rtol=1e-6, atol=1e-7
        )


@pytest.mark.parametrize(("name", "options", "nugget", "whole", "values"), SERIAL)
def test_serial_structures(name, options, nugget, whole, values):
    rng = np.random.default_rng(3)
    layout = _layout(name, rng, options, nugget, whole)
    structure = build_layout(layout)
    t = structure.coordinates(np.array(values))
    np.testing.assert_allclose(structure.natural(t), values, rtol=1e-12)
    named = dict(zip([p.name for p in structure.parameters], values, strict=True))
    v = block_correlation(name, named, layout.groups, layout.factors[0].coordinates[0])
    _check(structure, layout, v, t, rng)


@pytest.mark.parametrize(
    ("name", "options", "nugget", "values"),
    [("arma", {"p": 1, "q": 1}, False, [0.7, 0.3]), ("ar1", {}, True, [0.8, 0.3])],
)
def test_long_series_are_compiled_and_the_same(name, options, nugget, values):
    rng = np.random.default_rng(4)
    layout = _layout(name, rng, options, nugget, long=True)
    structure = build_layout(layout)
    assert structure.long
    named = dict(zip([p.name for p in structure.parameters], values, strict=True))
    v = block_correlation(name, named, layout.groups, layout.factors[0].coordinates[0])
    _check(structure, layout, v, structure.coordinates(np.array(values)), rng)


def test_many_distinct_gaps_and_few_take_the_same_values():
    """Sums for each gap (few) and row by row (many) are two paths of one structure."""
    rng = np.random.default_rng(5)
    time = np.cumsum(rng.integers(1, 60, 200)).astype(float)
    layout = Layout(200, (Factor("ou", ("t",), (time,), (None,)),), np.zeros(200, int), "", ("",), "ou")
    structure = build_layout(layout)
    assert len(structure.gaps) > 24
    v = block_correlation("ou", {"phi": 0.97}, layout.groups, time)
    _check(structure, layout, v, structure.coordinates(np.array([0.97])), rng)


def _position_matrix(name, values, m):
    """V_m from the reported parameters, by the definition of each structure."""
    values = list(values)
    own = name in ("us", "csh", "toeph", "ar1h", "ante1", "diag")
    sd = np.sqrt(values[:m]) if own else np.ones(m)
    rest = values[m:] if own else values
    r = np.eye(m)
    pairs = [(j, i) for j in range(m) for i in range(j + 1, m)]
    for k, (j, i) in enumerate(pairs):
        if name == "us":
            r[i, j] = rest[k] / (sd[i] * sd[j])
        elif name == "cor":
            r[i, j] = rest[k]
        elif name == "csh":
            r[i, j] = rest[0]
        elif name == "ar1h":
            r[i, j] = rest[0] ** (i - j)
        elif name in ("toep", "toeph"):
            r[i, j] = rest[i - j - 1]
        elif name == "ante1":
            r[i, j] = np.prod(rest[j:i])
        r[j, i] = r[i, j]
    return r * np.outer(sd, sd)


POSITIONS = {
    "us": [1.0, 2.0, 0.5, 1.5, 0.6, 0.2, 0.3, 0.4, 0.1, 0.35],
    "cor": [0.6, 0.2, -0.3, 0.4, 0.1, 0.35],
    "csh": [1.0, 2.0, 0.5, 1.5, 0.4],
    "toep": [0.5, 0.2, -0.1],
    "toeph": [1.0, 2.0, 0.5, 1.5, 0.5, 0.2, -0.1],
    "ar1h": [1.0, 2.0, 0.5, 1.5, -0.6],
    "ante1": [1.0, 2.0, 0.5, 1.5, 0.6, 0.3, -0.4],
    "diag": [1.0, 2.0, 0.5, 1.5],
}


@pytest.mark.parametrize("name", POSITIONS)
@pytest.mark.parametrize("complete", [False, True])
def test_structures_at_positions(name, complete):
    rng = np.random.default_rng(6)
    q, m = 9, 4
    groups, codes = (a.ravel() for a in np.meshgrid(np.arange(q), np.arange(m), indexing="ij"))
    keep = np.ones(q * m, dtype=bool) if complete else rng.random(q * m) < 0.7
    shuffle = rng.permutation(np.flatnonzero(keep))
    groups, codes = groups[shuffle], codes[shuffle]
    factor = Factor(name, ("visit",), (codes.astype(float),), (("a", "b", "c", "d"),))
    layout = Layout(len(groups), (factor,), groups, "g", [str(g) for g in range(q)], name)
    structure = build_layout(layout)
    values = np.array(POSITIONS[name])
    t = structure.coordinates(values)
    np.testing.assert_allclose(structure.natural(t), values, rtol=1e-11)
    v = by_position(_position_matrix(name, values, m), groups, codes)
    _check(structure, layout, v, t, rng)


def test_variance_functions_beside_a_correlation():
    """V = S C S / w: values, logs and derivatives of the whole, all functions at once."""
    rng = np.random.default_rng(7)
    layout = _layout("ar1", rng)
    n = layout.n
    x, codes = rng.uniform(0.5, 4.0, n), rng.integers(0, 3, n)
    weights = rng.uniform(0.5, 2.0, n)
    functions = [
        Ident("ident(f)", codes, ["a", "b", "c"]),
        Linear("power(x)", ["power(x)"], np.log(x), np.zeros(n, dtype=int)),
        Linear("exp(z | f)", ["a", "b", "c"], x[::-1].copy(), codes),
        ConstPower("const_power(x)", "x", x),
    ]
    covariance = Covariance(build_layout(layout), functions, weights)
    natural = [0.6, 1.5, 0.7, 0.8, 0.2, -0.1, 0.3, 0.4, 1.3]
    t = np.concatenate(
        [covariance.structure.coordinates(np.array(natural[:1]))]
        + [
            f.coordinates(np.array(natural[a:b]))
            for f, (a, b) in zip(functions, [(1, 3), (3, 4), (4, 7), (7, 9)], strict=True)
        ]
    )
    np.testing.assert_allclose(covariance.natural(t), natural, rtol=1e-12)
    s = np.array([1.0, 1.5, 0.7])[codes] * x**0.8
    s = s * np.exp(np.array([0.2, -0.1, 0.3])[codes] * x[::-1]) * (0.4 + x**1.3) / np.sqrt(weights)
    c = block_correlation("ar1", {"phi": 0.6}, layout.groups, layout.factors[0].coordinates[0])
    v = c * np.outer(s, s)
    scale = np.exp(2 * covariance.log_scale(t))
    w, log_det = covariance.whiten(t, np.eye(n))
    np.testing.assert_allclose(w @ v @ w.T / scale, np.eye(n), atol=1e-11)
    np.testing.assert_allclose(covariance.diagonal(t) * scale, np.diagonal(v), rtol=1e-11)
    np.testing.assert_allclose(log_det + n * np.log(scale), np.linalg.slogdet(v)[1], rtol=1e-11)
    m = rng.standard_normal((n, 3))
    bound = covariance.bind(m)
    found = bound.at(t, True)
    np.testing.assert_allclose(found.products / scale, m.T @ np.linalg.solve(v, m), rtol=1e-10)
    np.testing.assert_allclose(found.log_det, log_det, rtol=1e-11)
    _check_slopes(lambda at: bound.at(at, False), t, found)


def test_many_patterns_side_by_side():
    """Groups that nearly all miss visits of their own take another path to the same values."""
    rng = np.random.default_rng(8)
    q, m = 150, 8
    there = rng.random((q, m)) < 0.5
    groups, codes = np.nonzero(there)
    shuffle = rng.permutation(len(groups))
    groups, codes = groups[shuffle], codes[shuffle]
    _, groups = np.unique(groups, return_inverse=True)
    factor = Factor("toeph", ("visit",), (codes.astype(float),), (None,))
    layout = Layout(len(groups), (factor,), groups, "g", [str(g) for g in range(q)], "toeph")
    structure = build_layout(layout)
    assert structure.masked is not None
    values = np.append(np.linspace(1.0, 2.0, m), 0.6 ** np.arange(1, m))
    v = by_position(_position_matrix("toeph", values, m), groups, codes)
    _check(structure, layout, v, structure.coordinates(values), rng)


def test_sections():
    """at(env): block by block."""
    rng = np.random.default_rng(9)
    layout = _layout("ar1", rng)
    inner, rows = [], []
    half = np.arange(layout.n) % 2
    for k in range(2):
        at = np.flatnonzero(half == k)
        time = layout.factors[0].coordinates[0][at]
        factor = Factor("ar1", ("time",), (time,), (None,))
        inner.append(build_layout(Layout(len(at), (factor,), layout.groups[at], "g", list("abcdefg"), "ar1")))
        rows.append(at)
    structure = Sections("env", ["A", "B"], rows, inner, "at(env):ar1")
    values = np.array([1.0, 0.6, 2.5, -0.3])
    t = structure.coordinates(values)
    np.testing.assert_allclose(structure.natural(t), values, rtol=1e-12)
    v = np.zeros((layout.n, layout.n))
    for k, at in enumerate(rows):
        time = layout.factors[0].coordinates[0][at]
        c = block_correlation("ar1", {"phi": values[2 * k + 1]}, layout.groups[at], time)
        v[np.ix_(at, at)] = values[2 * k] * c
    _check(structure, layout, v, t, rng)
