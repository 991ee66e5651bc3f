"""One battery for every covariance structure left of the bar: Sigma = T T' against its textbook formula, written here from the
reported parameters alone; derivatives against differences; the laws of the contract (`structures/base.py`)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

from henderson.errors import ModelError
from henderson.structures import make


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
        return f"{self.name}{self.m}{given}{'' if self.coordinates is None else ' at places'}"


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


GAPS = np.array([2.0, 3.0, 7.0, 8.0])
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


def relative(structure, theta, h=1e-6):
    return [h * max(1.0, abs(t)) for t in theta]


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
            step = np.zeros(len(theta))
            step[a] = 1e-5
            differences = (structure.factor(theta + step) - structure.factor(theta - step)) / 2e-5
            np.testing.assert_allclose(ours[a], differences, rtol=1e-6, atol=2e-8)


@every
def test_second_derivatives_are_differences_of_the_first(case):
    structure = case.make()
    for theta in thetas(structure):
        slope = np.random.default_rng(5).normal(size=structure.pattern.shape)
        ours = structure.second(theta, slope)
        assert ours.shape == (structure.n_parameters, structure.n_parameters)
        for a in range(structure.n_parameters):
            step = np.zeros(len(theta))
            step[a] = 1e-4
            change = structure.derivatives(theta + step) - structure.derivatives(theta - step)
            expected = np.einsum("bij,ij->b", change, slope) / 2e-4
            np.testing.assert_allclose(ours[a], expected, rtol=1e-5, atol=1e-6)


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
    np.testing.assert_array_equal(found, structure.pattern)


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
            step = np.zeros(len(theta))
            step[a] = 1e-6
            change = (structure.natural(theta + step) - structure.natural(theta - step)) / 2e-6
            np.testing.assert_allclose(slopes[:, a], change, rtol=1e-5, atol=1e-7)


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
        step = np.zeros(len(theta))
        step[a] = 1e-5
        differences = (structure.factor(theta + step) - structure.factor(theta - step)) / 2e-5
        np.testing.assert_allclose(slopes[a], differences, atol=1e-8)


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
    refused("3 effects and 2 places", "ar1", 3, None, np.array([1.0, 4.0]))
    refused("place of effect 2 is not a number", "ar1", 3, None, np.array([1.0, np.nan, 4.0]))


@pytest.mark.parametrize(
    "name, m, values, match",
    [
        ("cs", 5, [1.0, -0.3], "cs: rho of 5 effects is between -1/4 = -0.25 and 1, not -0.3"),
        ("csh", 2, [1.0, 1.0, 1.2], "csh: rho .* not 1.2"),
        ("ar1", 3, [1.0, -1.1], "ar1: phi is between -1 and 1, not -1.1"),
        ("us", 2, [1.0, 1.0, 1.5], "us: .* smallest eigenvalue of their correlation matrix is -0.5"),
        ("us", 2, [1.0, 0.0, 0.5], "us: an effect whose variance is 0 has covariances of 0"),
        ("id", 2, [1.0, 2.0], "id: its effects share one variance, they cannot have 1 and 2: write diag"),
    ],
)
def test_values_out_of_range(name, m, values, match):
    with pytest.raises(ModelError, match=match):
        make(name, m).from_natural(np.array(values))


def test_even_lags_have_no_sign():
    structure = make("ar1", 3, None, np.array([1.0, 3.0, 7.0]))
    with pytest.raises(ModelError, match=r"between 0 .all lags are even.* and 1, not -0.5"):
        structure.from_natural(np.array([1.0, -0.5]))
    assert structure.natural(np.array([1.0, -0.7]))[1] == np.sin(0.7)


# -- factor analysis ------------------------------------------------------------------------------------------


def test_starts_of_fa_differ_and_keep_the_diagonal():
    structure, sigma = make("fa", 7, {"k": 2}), spd(7, 3)
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
