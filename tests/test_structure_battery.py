"""One battery for every covariance structure left of the bar: Sigma = T T' against its textbook formula, written here from the
reported parameters alone; derivatives against differences; the laws of the contract (`structures/base.py`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

from henderson import structures
from henderson.errors import FormulaError, ModelError
from henderson.formula import parse
from henderson.structures import Correlated, Correlation, Parameter, make


class Case(NamedTuple):
    name: str
    m: int
    dense: Callable[..., np.ndarray]
    """Sigma of (natural values, m, coordinates, options)."""
    options: Any = MappingProxyType({})
    coordinates: np.ndarray | None = None

    def make(self):
        return make(self.name, self.m, self.options, self.coordinates)

    def sigma(self, values):
        return self.dense(np.asarray(values, dtype=float), self.m, self.coordinates, self.options)

    def __str__(self):
        given = "".join(f" {k}={v}" for k, v in self.options.items())
        places = (
            "" if self.coordinates is None else f" in {np.reshape(self.coordinates, (self.m, -1)).shape[1]}d"
        )
        return f"{self.name}{self.m}{given}{places}"


# -- the formulas --------------------------------------------------------------------------------------------


def us(values, m, coordinates, options):
    """Variances, then cov(2, 1), cov(3, 1), cov(3, 2) ... as variance_components has them."""
    out = np.diag(values[:m])
    rest = iter(values[m:])
    for i in range(m):
        for j in range(i):
            out[i, j] = out[j, i] = next(rest)
    return out


def diag(values, m, coordinates, options):
    return np.diag(values)


def equal(values, m, own):
    sd, rho = _sd(values, m, own)
    return np.outer(sd, sd) * ((1 - rho[0]) * np.eye(m) + rho[0])


def _sd(values, m, own):
    return (np.sqrt(values[:m]), values[m:]) if own else (np.full(m, np.sqrt(values[0])), values[1:])


def powers(values, m, coordinates, own):
    sd, phi = _sd(values, m, own)
    at = np.arange(m) if coordinates is None else np.ravel(coordinates)
    r = np.array([[phi[0] ** abs(int(a - b)) for a in at] for b in at])
    return np.outer(sd, sd) * r


def factor_analytic(values, m, coordinates, options):
    loadings = np.zeros((m, options["k"]))
    rest = iter(values)
    for j in range(options["k"]):
        for i in range(j, m):
            loadings[i, j] = next(rest)
    return loadings @ loadings.T + np.diag(list(rest) or np.zeros(m))


def toeplitz(values, m, coordinates, own):
    sd, rho = _sd(values, m, own)
    r = [[1.0 if a == b else rho[abs(a - b) - 1] for a in range(m)] for b in range(m)]
    return np.outer(sd, sd) * np.array(r)


def antedependence(values, m, coordinates, options):
    sd, neighbours = _sd(values, m, True)
    r = [[np.prod(neighbours[min(a, b) : max(a, b)]) for a in range(m)] for b in range(m)]
    return np.outer(sd, sd) * np.array(r)


def correlations(values, m, coordinates, options):
    r = us(np.append(np.ones(m), values[1:]), m, coordinates, options)
    return values[0] * r


def matern(d, scale, nu):
    """Abramowitz & Stegun 10.2.15-17 for nu = n + 1/2; the integral of 9.6.25 otherwise."""
    x = d / scale
    if nu == 1.5:
        return (1 + x) * np.exp(-x)
    if nu == 0.5:
        return np.exp(-x)
    if x == 0:
        return 1.0
    # K_nu(x) = integral over u > 0 of exp(-x cosh u) cosh(nu u), by Simpson's rule.
    u = np.linspace(0.0, np.arccosh(1.0 + 750.0 / x), 20001)
    y = np.exp(-x * np.cosh(u) + nu * u) * (1 + np.exp(-2 * nu * u)) / 2
    bessel = (u[1] / 3) * (y[0] + y[-1] + 4 * y[1::2].sum() + 2 * y[2:-1:2].sum())
    return 2 ** (1 - nu) / math.gamma(nu) * x**nu * bessel


FUNCTIONS = {
    "ou": lambda d, v: v[0] ** d,
    "exp": lambda d, v: np.exp(-d / v[0]),
    "gau": lambda d, v: np.exp(-((d / v[0]) ** 2)),
    "sph": lambda d, v: (1 - 1.5 * d / v[0] + 0.5 * (d / v[0]) ** 3) if d < v[0] else 0.0,
    "ratio": lambda d, v: 1 / (1 + (d / v[0]) ** 2),
    "lin": lambda d, v: max(1 - d / v[0], 0.0),
}


def over_distance(name):
    def dense(values, m, coordinates, options):
        at = np.reshape(coordinates, (m, -1))
        d = np.sqrt(((at[:, None] - at) ** 2).sum(axis=2))
        if name == "mat":
            nu = options.get("nu", values[-1])
            r = [[matern(x, values[1], nu) for x in row] for row in d]
        else:
            r = [[FUNCTIONS[name](x, values[1:]) for x in row] for row in d]
        return values[0] * np.array(r)

    return dense


GAPS = np.array([2.0, 3.0, 7.0, 8.0])
FIELD = np.array([[0, 0], [1, 0], [0, 2], [3, 1], [2, 4], [5, 5], [4, 1]], dtype=float)
SPACE = np.array([[0, 0, 0], [1, 0, 1], [0, 2, 3], [3, 1, 1], [2, 4, 0], [5, 5, 2]], dtype=float)
SHUFFLED = np.array([[4.0], [1.0], [9.0], [6.0], [5.0]])

CASES = [
    *(Case("us", m, us) for m in (2, 4)),
    *(Case("diag", m, diag) for m in (2, 4)),
    *(Case("id", m, diag) for m in (2, 4)),
    *(Case("cs", m, lambda v, m, c, o: equal(v, m, False)) for m in (2, 3, 6)),
    *(Case("csh", m, lambda v, m, c, o: equal(v, m, True)) for m in (2, 5)),
    *(
        Case("ar1", m, lambda v, m, c, o: powers(v, m, c, False), {}, c)
        for m, c in ((2, None), (5, None), (4, GAPS), (5, SHUFFLED), (3, np.array([2.0, 4.0, 10.0])))
    ),
    *(
        Case("ar1h", m, lambda v, m, c, o: powers(v, m, c, True), {}, c)
        for m, c in ((2, None), (4, None), (5, SHUFFLED))
    ),
    *(Case("toep", m, lambda v, m, c, o: toeplitz(v, m, c, False)) for m in (2, 3, 6)),
    *(Case("toeph", m, lambda v, m, c, o: toeplitz(v, m, c, True)) for m in (2, 5)),
    *(Case("ante1", m, antedependence) for m in (2, 5)),
    *(Case("cor", m, correlations) for m in (2, 4)),
    *(Case(name, 5, over_distance(name), {}, SHUFFLED) for name in FUNCTIONS),
    *(Case(name, 2, over_distance(name), {}, np.array([3.0, 5.0])) for name in ("ou", "exp", "gau", "sph")),
    *(Case(name, 7, over_distance(name), {}, FIELD) for name in ("exp", "gau", "sph")),
    Case("exp", 6, over_distance("exp"), {}, SPACE),
    *(Case("mat", 5, over_distance("mat"), {"nu": nu}, SHUFFLED) for nu in (0.5, 0.8, 1.5)),
    Case("mat", 7, over_distance("mat"), {"nu": 1.5}, FIELD),
    Case("mat", 5, over_distance("mat"), {}, SHUFFLED),
    Case("mat", 7, over_distance("mat"), {}, FIELD),
    *(Case("fa", m, factor_analytic, {"k": k}) for m, k in ((3, 1), (5, 1), (6, 2), (8, 3))),
    *(Case("rr", m, factor_analytic, {"k": k}) for m, k in ((2, 1), (5, 1), (5, 2), (4, 4))),
]
every = pytest.mark.parametrize("case", CASES, ids=str)


def thetas(structure, count=3, seed=0):
    """Interior points at random."""
    rng = np.random.default_rng(seed + structure.n_parameters)
    low = np.where(np.isfinite(structure.lower), structure.lower, -1.5)
    high = np.where(np.isfinite(structure.upper), structure.upper, low + 3.0)
    low = np.where(structure.scaling, 0.3, low)
    for _ in range(count):
        yield low + (0.1 + 0.8 * rng.uniform(size=len(low))) * (high - low)


def spd(m, seed):
    """A covariance at random, with some correlation among its effects, in units far apart."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(3 * m, m)) + rng.uniform(-1, 1) * rng.normal(size=(3 * m, 1))
    size = np.exp(rng.normal(size=m))
    return (z.T @ z) * np.outer(size, size) / (3 * m)


def differences(function, theta, a, h=1e-3):
    """By five points: an error of h^4 / 30 times the fifth derivative."""
    step = np.zeros(len(theta))
    step[a] = h
    at = [function(theta + k * step) for k in (-2, -1, 1, 2)]
    return (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h)


# -- the contract --------------------------------------------------------------------------------------------


@every
def test_sigma_is_the_formula_of_the_reported_parameters(case):
    structure = case.make()
    for theta in thetas(structure):
        t = structure.factor(theta)
        expected = case.sigma(structure.natural(theta))
        np.testing.assert_allclose(t @ t.T, expected, rtol=1e-10, atol=1e-12 * np.max(expected))


@every
def test_derivatives_are_differences(case):
    structure = case.make()
    for theta in thetas(structure):
        ours = structure.derivatives(theta)
        assert ours.shape == (structure.n_parameters, *structure.pattern.shape)
        for a in range(structure.n_parameters):
            expected = differences(structure.factor, theta, a)
            np.testing.assert_allclose(ours[a], expected, rtol=1e-7, atol=1e-8)


@every
def test_second_derivatives_are_differences_of_the_first(case):
    structure = case.make()
    for theta in thetas(structure):
        slope = np.random.default_rng(5).normal(size=structure.pattern.shape)
        ours = structure.second(theta, slope)
        assert ours.shape == (structure.n_parameters, structure.n_parameters)
        for a in range(structure.n_parameters):
            change = differences(structure.derivatives, theta, a, 2e-3)
            expected = np.einsum("bij,ij->b", change, slope)
            np.testing.assert_allclose(ours[a], expected, rtol=1e-6, atol=1e-7)


@every
def test_scaling_parameters_carry_the_size_of_t(case):
    structure = case.make()
    assert structure.scaling.dtype == bool
    for theta in thetas(structure):
        scaled = np.where(structure.scaling, 3.7 * theta, theta)
        np.testing.assert_allclose(structure.factor(scaled), 3.7 * structure.factor(theta), rtol=1e-12)


@every
def test_pattern_is_where_t_may_differ_from_zero(case):
    structure = case.make()
    found = np.zeros(structure.pattern.shape, dtype=bool)
    for theta in thetas(structure):
        found |= structure.factor(theta) != 0
        for d in structure.derivatives(theta):
            assert not d[~structure.pattern].any()
    assert not (found & ~structure.pattern).any()
    if case.name != "neighbours":
        np.testing.assert_array_equal(found, structure.pattern)  # no more room than is needed


@every
def test_reported_parameters_and_back(case):
    structure = case.make()
    for theta in thetas(structure):
        values = structure.natural(theta)
        back = structure.from_natural(values)
        np.testing.assert_allclose(structure.natural(back), values, rtol=1e-9)
        t = structure.factor(back)
        np.testing.assert_allclose(t @ t.T, case.sigma(values), rtol=1e-8, atol=1e-10 * values.max())
        slopes = structure.natural_slopes(theta)
        assert slopes.shape == (len(values), len(theta))
        for a in range(len(theta)):
            change = differences(structure.natural, theta, a)
            np.testing.assert_allclose(slopes[:, a], change, rtol=1e-7, atol=1e-9)


@every
def test_names_and_units_of_what_is_reported(case):
    structure = case.make()
    effects = tuple(f"e{i}" for i in range(case.m))
    parameters = structure.parameters_of(effects)
    values = structure.natural(next(thetas(structure)))
    assert len(parameters) == len(values)
    assert case.name == "id" or len({p.name for p in parameters}) == len(parameters)
    # The unit is the power of a standard deviation: T times 2 multiplies the number by 2^unit.
    theta = next(thetas(structure))
    doubled = structure.natural(np.where(structure.scaling, 2.0 * theta, theta))
    np.testing.assert_allclose(
        doubled, structure.natural(theta) * 2.0 ** np.array([p.unit for p in parameters])
    )


@every
def test_start_is_exact_where_the_structure_holds_the_covariance(case):
    structure = case.make()
    for theta in thetas(structure, count=4):
        t = structure.factor(theta)
        back = structure.parameters(t @ t.T)
        assert np.all((back >= structure.lower) & (back <= structure.upper))
        found = structure.factor(back)
        np.testing.assert_allclose(found @ found.T, t @ t.T, rtol=1e-6, atol=1e-7 * np.max(t @ t.T))


@every
def test_start_from_any_covariance_is_inside(case):
    structure = case.make()
    for seed in range(8):
        sigma = spd(case.m, seed)
        theta = structure.parameters(sigma)
        assert np.isfinite(theta).all()
        assert np.all((theta > structure.lower) & (theta < structure.upper))
        assert structure.edges(theta) == []
        t = structure.factor(theta)
        assert np.all(np.diagonal(t @ t.T) > 0)
        if case.name != "rr":
            # Of the size of sigma: total variance within a factor of three.
            assert 1 / 3 < np.trace(t @ t.T) / np.trace(sigma) < 3


@every
def test_start_from_uncorrelated_effects_is_a_place_to_start_from(case):
    """Starting values are often variances alone. Nothing may then be at an edge, where the criterion is flat."""
    structure = case.make()
    variances = np.exp(np.random.default_rng(3).normal(size=case.m))
    theta = structure.parameters(np.diag(variances))
    assert np.isfinite(theta).all() and structure.edges(theta) == []
    t = structure.factor(theta)
    assert np.linalg.matrix_rank(t) == min(t.shape)
    assert 0.3 < np.trace(t @ t.T) / np.sum(variances) < 3.0
    assert np.all(np.diagonal(t @ t.T) > 0.1 * variances.min())


@every
def test_changes_of_the_effects_stay_in_the_structure(case):
    structure = case.make()
    rng = np.random.default_rng(2)
    change = {
        "any": rng.normal(size=(case.m, case.m)),
        "diagonal": np.diag(np.exp(rng.normal(size=case.m))),
        "scalar": 2.5 * np.eye(case.m),
    }[structure.basis]
    for theta in thetas(structure):
        t = change @ structure.factor(theta)
        found = structure.factor(structure.parameters(t @ t.T))
        np.testing.assert_allclose(found @ found.T, t @ t.T, rtol=1e-6, atol=1e-7 * np.max(t @ t.T))


@every
def test_no_variance_is_a_value(case):
    structure = case.make()
    theta = np.where(structure.scaling, 0.0, next(thetas(structure)))
    values = [structure.factor(theta), structure.derivatives(theta), structure.natural(theta)]
    values += [structure.natural_slopes(theta), structure.second(theta, np.ones(structure.pattern.shape))]
    assert all(np.isfinite(v).all() for v in values)
    assert not structure.factor(theta).any()
    effects = tuple(f"e{i}" for i in range(case.m))
    said = structure.edges(theta)
    named = {structure.parameters_of(effects)[i].name for i, text in said if text == "estimated as 0"}
    units = {p.name for p in structure.parameters_of(effects) if p.unit and not p.name.startswith("cov(")}
    assert named == units
    nothing = structure.parameters(np.zeros((case.m, case.m)))
    assert np.isfinite(nothing).all() and not structure.factor(nothing).any()


@every
def test_bounds_are_values(case):
    structure = case.make()
    theta = next(thetas(structure))
    corners = [
        [b for b in (low, high) if np.isfinite(b)] or [t]
        for low, high, t in zip(structure.lower, structure.upper, theta, strict=True)
    ]
    for corner in itertools.islice(itertools.product(*corners), 16):
        at = np.array(corner)
        t = structure.factor(at)
        assert np.isfinite(t).all()
        assert np.isfinite(structure.derivatives(at)).all()
        assert np.isfinite(structure.natural(at)).all()
        assert np.isfinite(structure.natural_slopes(at)).all()
        assert np.isfinite(structure.second(at, np.ones(t.shape))).all()
        expected = case.sigma(structure.natural(at))
        np.testing.assert_allclose(t @ t.T, expected, atol=1e-9 * max(np.max(expected), 1e-300))
        if any(np.isfinite(np.where(structure.scaling, np.inf, structure.lower))):
            assert structure.edges(at)


@every
def test_impossible_variances_are_refused_in_words(case):
    structure = case.make()
    values = structure.natural(next(thetas(structure)))
    effects = tuple(f"e{i}" for i in range(case.m))
    units = [p.unit for p in structure.parameters_of(effects)]
    wrong = values.copy()
    if 2 in units:
        wrong[units.index(2)] = -1.0
        with pytest.raises(ModelError, match=f"{case.name}.*variance.* is 0 or more, not -1"):
            structure.from_natural(wrong)
    wrong = values.copy()
    wrong[-1] = np.nan
    with pytest.raises(ModelError, match="nan"):
        structure.from_natural(wrong)


# -- singular correlations: exact, and smooth through the edge ------------------------------------------------

EDGES = [
    (Case("cs", 4, lambda v, m, c, o: equal(v, m, False)), [2.0, 1.0], {1: "estimated as 1"}),
    (
        Case("cs", 4, lambda v, m, c, o: equal(v, m, False)),
        [2.0, -1 / 3],
        {1: "estimated as -0.3333, its least value for 4 effects"},
    ),
    (Case("csh", 3, lambda v, m, c, o: equal(v, m, True)), [2.0, 1.0, 3.0, 1.0], {3: "estimated as 1"}),
    (Case("ar1", 4, lambda v, m, c, o: powers(v, m, c, False)), [2.0, -1.0], {1: "estimated as -1"}),
    (Case("ar1", 4, lambda v, m, c, o: powers(v, m, c, False), {}, GAPS), [2.0, 1.0], {1: "estimated as 1"}),
    (
        Case("ar1h", 3, lambda v, m, c, o: powers(v, m, c, True)),
        [2.0, 0.0, 1.0, 1.0],
        {1: "estimated as 0", 3: "estimated as 1"},
    ),
    (Case("ante1", 3, antedependence), [2.0, 1.0, 3.0, -1.0, 0.5], {3: "estimated as -1"}),
    (
        Case("cor", 3, correlations),
        [2.0, -0.5, -0.5, -0.5],
        {k: "estimated in a correlation of rank 2 of 3" for k in (1, 2, 3)},
    ),
    (Case("cor", 3, correlations), [2.0, 1.0, 0.3, 0.3], {1: "estimated as 1"}),
    (Case("us", 2, us), [1.0, 4.0, -2.0], {2: "estimated with a correlation of -1"}),
    (
        Case("us", 3, us),
        [2.0, 2.0, 2.0, -1.0, -1.0, -1.0],
        {k: "estimated in a covariance of rank 2 of 3" for k in (3, 4, 5)},
    ),
    (
        Case("fa", 4, factor_analytic, {"k": 1}),
        [0.5, 0.7, 0.2, 0.9, 1.0, 0.0, 1.0, 1.0],
        {5: "estimated as 0"},
    ),
]


@pytest.mark.parametrize("case, values, said", EDGES, ids=[str(e[0]) for e in EDGES])
def test_edges(case, values, said):
    structure = case.make()
    theta = structure.from_natural(np.array(values))
    t = structure.factor(theta)
    np.testing.assert_allclose(t @ t.T, case.sigma(values), atol=1e-12)
    assert dict(structure.edges(theta)) == said
    assert np.isfinite(structure.natural_slopes(theta)).all()
    slopes = structure.derivatives(theta)
    for a in range(len(theta)):
        np.testing.assert_allclose(slopes[a], differences(structure.factor, theta, a), atol=1e-9)


def test_singular_toeplitz():
    """Partial correlations of 1 cannot be given, but can be come to: T is smooth through them."""
    structure = make("toep", 4)
    theta = np.array([1.5, 0.4, np.pi / 2, 0.3])
    t = structure.factor(theta)
    rho = structure.natural(theta)[1:]
    np.testing.assert_allclose(rho[1], 2 * rho[0] ** 2 - 1 + 2 * (1 - rho[0] ** 2))  # a_2 = 1
    np.testing.assert_allclose(t @ t.T, toeplitz(structure.natural(theta), 4, None, False), atol=1e-14)
    assert dict(structure.edges(theta)) == dict.fromkeys(
        (1, 2, 3), "estimated in a singular correlation matrix"
    )
    for a in range(4):
        expected = differences(structure.factor, theta, a)
        np.testing.assert_allclose(structure.derivatives(theta)[a], expected, atol=1e-9)
    with pytest.raises(
        ModelError, match=r"toep: .* not positive definite together: that at lag 2 cannot be -0.9"
    ):
        structure.from_natural(np.array([1.0, 0.9, -0.9, 0.0]))


@pytest.mark.parametrize(
    "name, low, high",
    [
        ("ou", "estimated as 1", "estimated as 0"),
        *(
            (name, "estimated as infinite", "estimated as none over the shortest distance, 1")
            for name in ("exp", "gau", "sph")
        ),
    ],
)
def test_ranges_at_their_bounds(name, low, high):
    """An endless range is one effect for all places, a short one independent effects."""
    structure = make(name, 5, None, SHUFFLED)
    at = np.array([1.0, structure.lower[1]])
    t = structure.factor(at)
    np.testing.assert_allclose(t @ t.T, 1.0, atol=2e-5)
    assert structure.edges(at) == [(1, low)]
    at[1] = structure.upper[1]
    t = structure.factor(at)
    np.testing.assert_allclose(t @ t.T, np.eye(5), atol=2e-8)
    assert structure.edges(at) == [(1, high)]


def test_smoothness_at_its_bounds():
    structure = make("mat", 7, None, FIELD)
    inside = structure.from_natural(np.array([1.0, 2.0, 1.0]))
    assert structure.edges(inside) == []
    said = [structure.edges(np.append(inside[:2], bound[2])) for bound in (structure.lower, structure.upper)]
    assert said == [
        [(2, "estimated as 0.05, the roughest there is")],
        [(2, "estimated as 30, as smooth as gau")],
    ]


def test_negative_deviations_of_ante1_are_negative_correlations():
    structure = make("ante1", 4)
    theta = np.array([1.0, -2.0, 0.5, 1.5, 0.3, 0.6, -0.2])
    t = structure.factor(theta)
    values = structure.natural(theta)
    assert np.sign(values[4:]).tolist() == [-1, -1, -1]
    np.testing.assert_allclose(t @ t.T, antedependence(values, 4, None, {}), atol=1e-14)


def test_correlations_near_one_keep_their_digits():
    """1 - r of 1e-9: the second column of L is sqrt(2 (1 - r)) to more digits than 1 - r has in r."""
    structure = make("gau", 2, None, np.array([0.0, 1.0]))
    theta = np.array([1.0, max(structure.lower[1], 3.2e-3)])
    reach = structure.natural(theta)[1]
    expected = np.sqrt(-np.expm1(-2.0 / reach**2))
    np.testing.assert_allclose(structure.factor(theta)[1, 1], expected, rtol=1e-13)


# -- a structure of one's own ---------------------------------------------------------------------------------


class Tridiagonal(Correlation):
    """Neighbours are correlated, others are not: positive definite for |rho| < 1 / (2 cos(pi / (m + 1)))."""

    parameters = (Parameter("rho"),)

    def __init__(self, m):
        self.m = m
        self.upper = np.array([0.5 / np.cos(np.pi / (m + 1))])
        self.lower = -self.upper

    def matrix(self, t):
        return np.eye(self.m) + t[0] * (np.eye(self.m, k=1) + np.eye(self.m, k=-1))


def tridiagonal(values, m, coordinates, own):
    sd, rho = _sd(values, m, own)
    return np.outer(sd, sd) * (np.eye(m) + rho[0] * (np.eye(m, k=1) + np.eye(m, k=-1)))


@pytest.fixture
def own_structure():
    structures.register(
        "neighbours",
        lambda m, options, coordinates: Correlated("neighbours", Tridiagonal(m), options.get("each", False)),
        {"each": "flag"},
    )
    yield
    structures.unregister("neighbours")
    with pytest.raises(FormulaError, match="no covariance structure called 'neighbours'"):
        parse("y ~ x + neighbours(0 + time | subject)")


@pytest.mark.parametrize(
    "law",
    [
        test_sigma_is_the_formula_of_the_reported_parameters,
        test_derivatives_are_differences,
        test_second_derivatives_are_differences_of_the_first,
        test_scaling_parameters_carry_the_size_of_t,
        test_pattern_is_where_t_may_differ_from_zero,
        test_reported_parameters_and_back,
        test_names_and_units_of_what_is_reported,
        test_start_is_exact_where_the_structure_holds_the_covariance,
        test_start_from_any_covariance_is_inside,
        test_changes_of_the_effects_stay_in_the_structure,
        test_no_variance_is_a_value,
        test_bounds_are_values,
        test_impossible_variances_are_refused_in_words,
    ],
    ids=lambda law: law.__name__,
)
@pytest.mark.parametrize("each", [False, True])
def test_a_correlation_of_ones_own_passes_the_battery(own_structure, each, law):
    law(Case("neighbours", 4, lambda v, m, c, o: tridiagonal(v, m, c, o["each"]), {"each": each}))


def test_registered_names_are_read_in_formulas(own_structure):
    term = parse("y ~ x + neighbours(0 + time | subject, each=True)").random[0]
    assert (term.structure, term.options) == ("neighbours", {"each": True})
    with pytest.raises(FormulaError, match="neighbours has no option 'eac'"):
        parse("y ~ x + neighbours(0 + time | subject, eac=True)")
    assert make("neighbours", 1).name == "us"
    assert "neighbours" in structures.names()
    values = make("neighbours", 3).from_natural
    with pytest.raises(ModelError, match=r"neighbours: rho is between -0\.7071 and 0\.7071, not 0\.8"):
        values(np.array([1.0, 0.8]))


def test_a_structure_of_ones_own_that_measures_is_fitted():
    """exp under another name, from its matrix alone: the same fit as exp, derivatives by differences or not."""
    import henderson as hd

    class Fading(Correlation):
        parameters = (Parameter("rate"),)

        def __init__(self, places):
            self.m = len(places)
            self.d = np.abs(places - places.T)
            self.lower, self.upper = np.array([1e-3]), np.array([20.0])

        def matrix(self, t):
            return np.exp(-t[0] * self.d)

    rng = np.random.default_rng(3)
    times = np.array([0.0, 1.0, 2.5, 4.0])
    t = make("exp", 4, None, times).factor(make("exp", 4, None, times).from_natural(np.array([4.0, 2.0])))
    effects = (rng.standard_normal((40, 4)) @ t.T).ravel().repeat(2)
    table = {
        "subject": np.arange(40).repeat(8),
        "time": np.tile(times.repeat(2), 40),
        "y": effects + rng.standard_normal(320),
    }
    structures.register("fading", lambda m, o, places: Correlated("fading", Fading(places)), measured=True)
    try:
        own = hd.lmm("y ~ time + fading(0 + time | subject)", table)
    finally:
        structures.unregister("fading")
    there = hd.lmm("y ~ time + exp(0 + time | subject)", table)
    assert own.status.converged and there.status.converged
    np.testing.assert_allclose(own.deviance, there.deviance, rtol=1e-9)
    ours, theirs = (np.array(f.variance_components["estimate"]) for f in (own, there))
    np.testing.assert_allclose([ours[0], 1 / ours[1], ours[2]], theirs, rtol=1e-4)


def test_names_that_cannot_be_registered():
    for name, match in (
        ("us", "'us' already"),
        ("fa", "'fa' already"),
        ("arma", "'arma' already"),
        ("my own", "cannot be written in a formula"),
    ):
        with pytest.raises(ModelError, match=match):
            structures.register(name, lambda m, options, coordinates: make("us", m))
    with pytest.raises(ModelError, match="factory of 'mine' is a function"):
        structures.register("mine", 3)
    with pytest.raises(ModelError, match="no structure of your own is called 'us'"):
        structures.unregister("us")


# -- what is refused ------------------------------------------------------------------------------------------


def refused(match, name, m, options=None, coordinates=None):
    with pytest.raises(ModelError, match=match):
        make(name, m, options, coordinates)


def test_names_and_options():
    refused("called 'csd'. The closest is 'cs", "csd", 3)
    refused("cs has no option 'k'", "cs", 3, {"k": 1})
    refused("fa needs its number of factors", "fa", 6)
    refused(
        "k=2.* has 8 parameters for 3 effects, whose covariance has 6 .* write k=1 at most, or us",
        "fa",
        3,
        {"k": 2},
    )
    refused("k=1.* has 4 parameters for 2 effects.*: write us", "fa", 2, {"k": 1})
    refused("rank cannot be more than 3", "rr", 3, {"k": 4})
    for name, options in (("fa", {"k": 1}), ("ar1", {}), ("cs", {})):
        assert make(name, 1, options).name == "us"


def test_places():
    refused("2.5 is not whole: write ou", "ar1", 3, None, np.array([1.0, 2.5, 4.0]))
    refused("two effects are in one place, 4", "ar1", 3, None, np.array([1.0, 4.0, 4.0]))
    refused("ou needs the places of its effects", "ou", 3)
    refused("ou takes one coordinate, not 2", "ou", 7, None, FIELD)
    refused("gau takes up to 3 coordinates, not 4", "gau", 5, None, np.arange(20.0).reshape(5, 4))
    refused("nu is between 0 and 100, not -1", "mat", 5, {"nu": -1.0}, SHUFFLED)
    refused(
        "mat: its effects are all the same distance apart.* give nu", "mat", 2, None, np.array([1.0, 4.0])
    )
    refused("3 effects and 2 places", "ar1", 3, None, np.array([1.0, 4.0]))
    refused("place of effect 2 is not a number", "ar1", 3, None, np.array([1.0, np.nan, 4.0]))


@pytest.mark.parametrize(
    "name, m, values, match",
    [
        ("cs", 5, [1.0, -0.3], "cs: rho of 5 effects is between -1/4 = -0.25 and 1, not -0.3"),
        ("csh", 2, [1.0, 1.0, 1.2], "csh: rho .* not 1.2"),
        ("ar1", 3, [1.0, -1.1], "ar1: phi is between -1 and 1, not -1.1"),
        (
            "ante1",
            3,
            [1.0, 1.0, 1.0, 0.5, -1.5],
            "ante1: the correlation of effects 2 and 3 is between -1 and 1, not -1.5",
        ),
        ("cor", 3, [1.0, 0.9, 0.9, -0.9], "cor: .* smallest eigenvalue of their matrix is -0.8"),
        ("us", 2, [1.0, 1.0, 1.5], "us: .* smallest eigenvalue of their correlation matrix is -0.5"),
        ("us", 2, [1.0, 0.0, 0.5], "us: an effect whose variance is 0 has covariances of 0"),
        ("id", 2, [1.0, 2.0], "id: its effects share one variance, they cannot have 1 and 2: write diag"),
    ],
)
def test_values_out_of_range(name, m, values, match):
    with pytest.raises(ModelError, match=match):
        make(name, m).from_natural(np.array(values))


@pytest.mark.parametrize(
    "name, values, match",
    [
        ("ou", [1.0, 1.0], "ou: phi.* is between 0 and 1, not 1"),
        ("exp", [1.0, -2.0], "exp: range is positive, not -2"),
        ("sph", [1.0, 0.0], "sph: the range is positive, not 0"),
        ("mat", [1.0, 2.0, 50.0], "mat: the range is positive and nu between 0.05 and 30, not 2 and 50"),
        ("gau", [1.0, np.inf], "gau: its parameters are numbers, not inf"),
    ],
)
def test_ranges_out_of_range(name, values, match):
    with pytest.raises(ModelError, match=match):
        make(name, 5, None, SHUFFLED).from_natural(np.array(values))


def test_even_lags_have_no_sign():
    structure = make("ar1", 3, None, np.array([1.0, 3.0, 7.0]))
    with pytest.raises(ModelError, match=r"between 0 .all lags are even.* and 1, not -0.5"):
        structure.from_natural(np.array([1.0, -0.5]))
    assert structure.natural(np.array([1.0, -0.7]))[1] == np.sin(0.7)


# -- factor analysis ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fa", "rr"])
def test_starts_differ_and_keep_the_diagonal(name):
    structure, sigma = make(name, 7, {"k": 2}), spd(7, 3)
    found = structure.starts(sigma)
    assert len(found) >= 3
    np.testing.assert_array_equal(found[0], structure.parameters(sigma))
    for theta in found[1:]:
        np.testing.assert_allclose(np.diagonal(structure.covariance(theta)), np.diagonal(sigma))
    for a, b in itertools.combinations(found, 2):
        assert np.max(np.abs(structure.covariance(a) - structure.covariance(b))) > 0.01 * np.max(sigma)
    again = structure.starts(sigma)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


@pytest.mark.parametrize("method", ["principal", "varimax"])
def test_rotation_keeps_sigma(method):
    from henderson.structures.loadings import lower_trapezoidal, rotate

    loadings = np.random.default_rng(1).normal(size=(8, 3))
    turned = rotate(loadings, method)
    np.testing.assert_allclose(turned.loadings @ turned.loadings.T, loadings @ loadings.T, atol=1e-12)
    np.testing.assert_allclose(loadings @ turned.matrix, turned.loadings, atol=1e-12)
    np.testing.assert_allclose(turned.matrix.T @ turned.matrix, np.eye(3), atol=1e-12)
    assert np.all(turned.loadings.sum(axis=0) >= 0)
    assert np.isclose(turned.shares.sum(), 1.0) and np.all(np.diff(turned.shares) <= 0)
    back = lower_trapezoidal(turned.loadings)
    np.testing.assert_array_equal(np.triu(back[:3], 1), 0.0)
    np.testing.assert_allclose(back @ back.T, loadings @ loadings.T, atol=1e-12)


def test_principal_axes_are_orthogonal_and_varimax_is_where_its_criterion_is_flat():
    from henderson.structures.loadings import rotate

    loadings = np.random.default_rng(4).normal(size=(9, 2))
    principal = rotate(loadings).loadings
    gram = principal.T @ principal
    np.testing.assert_allclose(gram, np.diag(np.diagonal(gram)), atol=1e-12)

    def criterion(turned):
        return np.sum(np.var(turned**2, axis=0))

    best = rotate(loadings, "varimax").loadings
    angles = np.linspace(0, np.pi, 721)
    turns = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles]
    assert criterion(best) >= max(criterion(best @ q) for q in turns) - 1e-9
    with pytest.raises(ModelError, match="no rotation 'varmax': write 'varimax'"):
        rotate(loadings, "varmax")


def test_what_factors_explain():
    structure = make("fa", 4, {"k": 1})
    theta = structure.from_natural(np.array([0.6, 0.8, 0.0, 1.0, 0.64, 0.36, 2.0, 0.0]))
    np.testing.assert_allclose(structure.explained(theta), [0.36, 0.64, 0.0, 1.0])
    np.testing.assert_allclose(np.diagonal(structure.covariance(theta)), [1.0, 1.0, 2.0, 1.0])
