"""Penalised splines as mixed models: against penalised least squares, and against LMMsolver, SpATS and ASReml-R."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from test_precisions import check

from henderson.errors import DataError, ModelError
from henderson.precisions.splines import basis_of, spline_1d, spline_2d

RNG = np.random.default_rng(7)
SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "reference"


# -- penalised least squares, written from its definition -------------------------------------------------


def b_splines(x: np.ndarray, nseg: int, degree: int) -> np.ndarray:
    """One B-spline after another, by their recursion."""
    low, width = x.min(), (x.max() - x.min()) / nseg
    knots = low + width * np.arange(-degree, nseg + degree + 1)
    inside = np.minimum(x, x.max() - 1e-12 * width)
    return np.column_stack(
        [
            BSpline.basis_element(knots[i : i + degree + 2], extrapolate=False)(inside)
            for i in range(nseg + degree)
        ]
    )


def penalised_fit(b, penalty, y):
    return b @ np.linalg.solve(b.T @ b + penalty, b.T @ np.nan_to_num(y))


def mixed_fit(fixed, parts, variances, y, residual=1.0):
    """Fitted values by generalised least squares with V = sum_k v_k Z_k K_k Z_k' + residual I."""
    x = np.column_stack([np.ones(len(y)), fixed])
    g = sum(v * z @ z.T for v, z in zip(variances, parts, strict=True))
    v = g + residual * np.eye(len(y))
    vx, vy = np.linalg.solve(v, x), np.linalg.solve(v, y)
    beta = np.linalg.lstsq(x.T @ vx, x.T @ vy, rcond=None)[0]
    return x @ beta + g @ (vy - vx @ beta)


@pytest.mark.parametrize("degree, order", [(1, 1), (1, 2), (2, 1), (3, 1), (3, 2), (3, 3), (2, 3)])
@pytest.mark.parametrize("nseg", [3, 10])
def test_a_p_spline_is_penalised_least_squares(nseg, degree, order):
    x = RNG.uniform(2, 9, 40)
    y = np.sin(x) + 0.3 * RNG.normal(size=40)
    basis = spline_1d(x, nseg, degree, order, name="t")
    b = np.nan_to_num(b_splines(x, nseg, degree))
    d = np.diff(np.eye(b.shape[1]), order, axis=0)
    width = (x.max() - x.min()) / nseg
    variance = 0.7
    expected = penalised_fit(b, d.T @ d / (variance * width ** (2 * order - 1)), y)
    ((name, z, precision),) = basis.random
    assert name == "f(t)" and precision is None and z.shape == (40, nseg + degree - order)
    assert basis.fixed.shape == (40, order - 1)
    assert basis.fixed_names == ("t", "t^2")[: order - 1]
    np.testing.assert_allclose(mixed_fit(basis.fixed, [z], [variance], y), expected, atol=1e-8)


def test_a_p_spline_hardly_depends_on_the_number_of_segments():
    x = np.linspace(0, 1, 60)
    y = np.cos(7 * x)
    fits = []
    for nseg in (20, 40):
        basis = spline_1d(x, nseg)
        fits.append(mixed_fit(basis.fixed, [basis.random[0].z], [100.0], y, 0.1))
    assert np.abs(fits[0] - fits[1]).max() < 2e-3 * np.ptp(fits[0])


@pytest.mark.parametrize("x", [np.arange(9.0), np.array([0.0, 1, 1, 3.5, 4, 8, 8.5, 11])])
def test_a_cubic_smoothing_spline_minimises_its_integral(x):
    """|y - f|^2 + integral(f''^2) / v over natural cubic splines, the integral by Gauss-Legendre, exact for them."""
    from scipy.interpolate import CubicSpline

    y = np.sin(x) + 0.1 * x
    basis = spline_1d(x, kind="cubic")
    knots = np.unique(x)
    cardinal = CubicSpline(knots, np.eye(len(knots)), bc_type="natural")
    nodes, weights = np.polynomial.legendre.leggauss(3)
    mids, halves = (knots[1:] + knots[:-1]) / 2, np.diff(knots) / 2
    at = (mids[:, None] + halves[:, None] * nodes).ravel()
    curvature = cardinal(at, 2) * np.sqrt((halves[:, None] * weights).ravel())[:, None]
    variance = 1.7
    # x in ninths of its range.
    penalty = curvature.T @ curvature * (np.ptp(x) / 9.0) ** 3 / variance
    expected = penalised_fit(cardinal(x), penalty, y)
    np.testing.assert_allclose(
        mixed_fit(basis.fixed, [basis.random[0].z], [variance], y), expected, atol=1e-9
    )


def test_a_cubic_smoothing_spline_between_its_knots_is_the_natural_one():
    from scipy.interpolate import CubicSpline

    knots = np.array([0.0, 1, 2.5, 4, 7])
    basis = spline_1d(knots, kind="cubic")
    new = np.linspace(0, 7, 31)
    natural = CubicSpline(knots, basis.random[0].z, bc_type="natural")(new)
    np.testing.assert_allclose(basis.evaluate(new).random[0].z, natural, atol=1e-12)
    fewer = spline_1d(np.arange(300.0), kind="cubic")
    assert fewer.random[0].z.shape == (300, 48)
    assert spline_1d(np.arange(300.0), 10, kind="cubic").random[0].z.shape == (300, 9)


@pytest.fixture(scope="module")
def plane():
    x, y = RNG.uniform(0, 4, 80), RNG.uniform(10, 25, 80)
    return x, y, np.sin(x) * y / 10 + np.cos(y / 3) + 0.2 * RNG.normal(size=80)


@pytest.mark.parametrize("order", [1, 2])
def test_a_plane_of_equal_variances_is_tensor_product_least_squares(plane, order):
    x, y, z = plane
    basis = spline_2d(x, y, (3, 5), order=order)
    bx, by = (np.nan_to_num(b_splines(u, n, 3)) for u, n in ((x, 3), (y, 5)))
    b = np.einsum("ni,nj->nij", bx, by).reshape(80, -1)
    dx, dy = (np.diff(np.eye(u.shape[1]), order, axis=0) for u in (bx, by))
    px, py = np.kron(dx.T @ dx, np.eye(by.shape[1])), np.kron(np.eye(bx.shape[1]), dy.T @ dy)
    expected = penalised_fit(b, (px + py) / 0.4, z)
    parts = [part.z for part in basis.random]
    assert len(parts) == 2 * order + 1
    np.testing.assert_allclose(mixed_fit(basis.fixed, parts, [0.4] * len(parts), z), expected, atol=1e-8)

    # One term, with a variance along each coordinate.
    vx, vy = 0.09, 0.51
    expected = penalised_fit(b, px / vx + py / vy, z)
    ((name, one, precision),) = spline_2d(x, y, (3, 5), order=order, kind="anisotropic").random
    assert name == "f(row,col)"
    t = precision.coordinates(np.array([vx / (vx + vy)]))
    root = one * np.sqrt(precision.diagonal(t))
    np.testing.assert_allclose(mixed_fit(basis.fixed, [root], [vx + vy], z), expected, atol=1e-8)


def test_psanova_names_and_parts(plane):
    x, y, _ = plane
    basis = spline_2d(x, y, 4)
    assert basis.fixed_names == ("row", "col", "row:col")
    np.testing.assert_array_equal(basis.fixed, np.column_stack([x, y, x * y]))
    assert [part.name for part in basis.random] == [
        "f(row)",
        "f(col)",
        "f(row):col",
        "row:f(col)",
        "f(row):f(col)",
    ]
    assert [part.z.shape[1] for part in basis.random] == [5, 5, 5, 5, 25]
    # f(row) is the same whatever the column, and f(row):col linear in it.
    same = basis.evaluate(np.full(3, 1.3), np.array([11.0, 15.0, 19.0]))
    np.testing.assert_allclose(np.diff(same.random[0].z, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.diff(same.random[2].z, 2, axis=0), 0, atol=1e-12)
    assert spline_2d(x, y, 4, order=3).fixed_names[:4] == ("row", "row^2", "col", "col^2")


def test_the_share_of_an_anisotropic_plane(plane):
    x, y, _ = plane
    precision = spline_2d(x, y, (3, 4), kind="anisotropic").random[0].precision
    assert [p.name for p in precision.parameters] == ["share(row)"]
    for share in (0.02, 0.5, 0.9):
        check(precision, lambda n: np.diag(1 / (precision.a / n[0] + precision.b / (1 - n[0]))), [share])
    for t in (precision.lower, precision.upper):
        assert np.isfinite(precision.at(t, True).value_slopes).all()
    assert precision.edges(precision.lower)[0][1].startswith("estimated as 0, on the boundary")
    assert precision.edges(precision.upper)[0][1].endswith("polynomials along col")
    with pytest.raises(ModelError, match=r"share\(row\) is between 0 and 1, not 1\.2"):
        precision.coordinates(np.array([1.2]))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1e4, 1e4).map(lambda v: round(v, 2)), min_size=4, max_size=30, unique=True),
    st.sampled_from(["pspline", "cubic"]),
    st.randoms(use_true_random=False),
)
def test_new_data_have_the_same_columns(values, kind, random):
    x = np.array(values)
    basis = spline_1d(x, kind=kind)
    chosen = np.array(random.choices(range(len(x)), k=7))
    again = basis_of(json.loads(json.dumps(basis.spec)), x[chosen])
    size = np.abs(basis.random[0].z).max()
    np.testing.assert_allclose(again.random[0].z, basis.random[0].z[chosen], atol=1e-9 * size)
    np.testing.assert_array_equal(again.fixed, basis.fixed[chosen])


def test_new_places_of_a_plane_have_the_same_columns(plane):
    x, y, _ = plane
    for kind in ("psanova", "anisotropic"):
        basis = spline_2d(x, y, (3, 5), kind=kind)
        again = basis_of(json.loads(json.dumps(basis.spec)), x[5:9], y[5:9])
        for part, other in zip(basis.random, again.random, strict=True):
            np.testing.assert_allclose(other.z, part.z[5:9], atol=1e-12)


def test_units_of_x_leave_the_fit_alone():
    x = np.sort(RNG.uniform(0, 1, 25))
    y = np.sin(6 * x)
    one, other = spline_1d(x, 8), spline_1d(32.0 + 1.8 * x, 8)
    k, moved = one.random[0].z, other.random[0].z
    # s^2 is per cubed unit of x.
    np.testing.assert_allclose(moved @ moved.T, 1.8**3 * k @ k.T, rtol=1e-8, atol=1e-12)
    a = mixed_fit(one.fixed, [k], [5.0], y)
    b = mixed_fit(other.fixed, [moved], [5.0 / 1.8**3], y)
    np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: spline_1d(np.array([1.0, np.nan, 2.0])), DataError, "a spline of x needs finite numbers"),
        (
            lambda: spline_1d(np.array([1.0, 2, 2, 1])),
            DataError,
            r"spl\(x\): x has 2 distinct values, and a polynomial of degree 1",
        ),
        (
            lambda: spline_1d(np.arange(9.0), 0),
            ModelError,
            "nseg, the number of segments, is a whole number from 1 on, not 0",
        ),
        (lambda: spline_1d(np.arange(9.0), 2.5), ModelError, "nseg.*not 2.5"),
        (
            lambda: spline_1d(np.arange(9.0), degree=0),
            ModelError,
            "degree of the B-splines is a whole number from 1 to 10, not 0",
        ),
        (
            lambda: spline_1d(np.arange(9.0), 5, 1, 3),
            ModelError,
            "order of the differences .* 1 to 2 for B-splines of degree 1",
        ),
        (
            lambda: spline_1d(np.arange(9.0), kind="cubics"),
            ModelError,
            "kind is 'pspline' or 'cubic', not 'cubics'",
        ),
        (
            lambda: spline_1d(np.arange(9.0), order=1, kind="cubic"),
            ModelError,
            "has degree 3 and order 2, not 3 and 1",
        ),
        (lambda: spline_1d(np.arange(9.0), 1, kind="cubic"), ModelError, "at least 3 knots, not 2"),
        (
            lambda: spline_1d(np.arange(9.0)).evaluate(np.array([8.5])),
            DataError,
            r"spl: x = 8\.5 is outside 0 \.\.\. 8",
        ),
        (
            lambda: spline_2d(np.arange(9.0), np.zeros(9)),
            DataError,
            r"spl2d\(col\): col has 1 distinct value",
        ),
        (
            lambda: spline_2d(np.arange(9.0), np.arange(9.0), (3, 4, 5)),
            ModelError,
            "nseg is one number or two, not 3",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


# -- other programs' estimates are the optimum of our model -----------------------------------------------


def newton(y, x, covariances, components):
    """One step of average information from V = sum_i components_i covariances_i: the step and g'H^-1 g, the fall in -2 log L."""
    x = np.linalg.qr(x[:, _independent(x)])[0]
    v = sum(c * k for c, k in zip(components, covariances, strict=True))
    vi = np.linalg.inv(v)
    vx = vi @ x
    p = vi - vx @ np.linalg.solve(x.T @ vx, vx.T)
    py = p @ y
    kpy = np.column_stack([k @ py for k in covariances])
    gradient = np.array([np.vdot(p, k) - py @ q for k, q in zip(covariances, kpy.T, strict=True)])
    information = kpy.T @ p @ kpy
    step = -np.linalg.solve(information, gradient)
    return step, float(-gradient @ step)


def _independent(x):
    from scipy.linalg import qr

    _, r, pivots = qr(x, mode="economic", pivoting=True)
    d = np.abs(np.diag(r))
    return np.sort(pivots[: int((d > 1e-9 * d[0]).sum())])


def dummies(values):
    return pd.get_dummies(pd.Series(values).astype(str)).to_numpy(dtype=float)


def rows_of(name: str) -> pd.DataFrame:
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"{name} is read from ../shared/reference/data, which is not here")
    return pd.read_csv(path)


def square(*parts):
    return [z @ z.T for z in parts]


def test_lmmsolver_oats():
    """LMMsolver 1.0.13: LMMsolve(yield ~ rep + gen, random = ~ rep:block, spline = ~ spl1D(plot, nseg = 20)); rep:block at 0."""
    d = rows_of("LMMsolver_oats.data.csv")
    basis = spline_1d(d["plot"].to_numpy(float), 20, name="plot")
    x = np.column_stack([np.ones(len(d)), dummies(d["rep"]), dummies(d["gen"]), basis.fixed])
    printed = np.array([0.000301815001150416, 0.0757182181287521])
    step, fall = newton(d["yield"].to_numpy(float), x, [*square(basis.random[0].z), np.eye(len(d))], printed)
    assert fall < 1e-6
    np.testing.assert_allclose(step / printed, 0, atol=1e-3)


def test_spats_wheat_psanova():
    """SpATS 1.0.19: PSANOVA(col, row, nseg = c(10, 20), degree = 3, pord = 2), genotype random, fixed ~ colcode + rowcode,
    random ~ R + C. Its component of col:f(row) is 0."""
    d = rows_of("SpATS_wheatdata.csv")
    col, row = d["col"].to_numpy(float), d["row"].to_numpy(float)
    basis = spline_2d(col, row, (10, 20), names=("col", "row"))
    parts = {part.name: part.z for part in basis.random}
    printed = {
        "geno": 2639.8657592939,
        "R": 169.222547275665,
        "C": 2070.28445859395,
        "f(col)": 42337.9086382892,
        "f(row)": 15.0587593704295,
        "f(col):row": 103372.793391253,
        "f(col):f(row)": 849.900012795174,
        "residual": 1970.64324267376,
    }
    parts |= {"geno": dummies(d["geno"]), "R": dummies(row), "C": dummies(col), "residual": np.eye(len(d))}
    x = np.column_stack([np.ones(len(d)), dummies(d["colcode"]), dummies(d["rowcode"]), basis.fixed])
    y, components = d["yield"].to_numpy(float), np.array(list(printed.values()))
    covariances = square(*(parts[name] for name in printed))
    step, fall = newton(y, x, covariances, components)
    # SpATS stopped at a change of 1e-3 in the deviance.
    assert fall < 1e-4
    assert np.abs(step / components).max() < 0.01
    fitted = mixed_fit(x, [parts[name] for name in printed][:-1], components[:-1], y, components[-1])
    np.testing.assert_allclose(fitted[:3], [481.212846932556, 533.989510429941, 533.77909435231], rtol=1e-5)
    # The part that SpATS has at 0 would not grow.
    v = sum(c * k for c, k in zip(components, covariances, strict=True))
    vi = np.linalg.inv(v)
    x = x[:, _independent(x)]
    p = vi - vi @ x @ np.linalg.solve(x.T @ vi @ x, x.T @ vi)
    z = parts["col:f(row)"]
    assert np.trace(z.T @ p @ z) > ((z.T @ p @ y) ** 2).sum()


def test_spats_wheat_sap():
    """SpATS 1.0.19: SAP(col, row, nseg = c(10, 20), degree = 3, pord = 2), genotype fixed, random ~ R + C, tolerance 1e-10."""
    d = rows_of("SpATS_wheatdata.csv")
    col, row = d["col"].to_numpy(float), d["row"].to_numpy(float)
    basis = spline_2d(col, row, (10, 20), kind="anisotropic", names=("col", "row"))
    (_, z, precision), vc, vr = basis.random[0], 44706.9948596347, 63.5995261795878
    assert precision is not None
    t = precision.coordinates(np.array([vc / (vc + vr)]))
    at = precision.at(t, True)
    # dK/dt with the total held: -K dQ K.
    root = z * precision.diagonal(t) ** 0.5
    turn = -(z * (at.value_slopes[0] * precision.diagonal(t) ** 2)) @ z.T
    covariances = [*square(dummies(row), dummies(col), root), (vc + vr) * turn, np.eye(len(d))]
    components = np.array([203.522207140294, 1698.85843691015, vc + vr, 0.0, 1940.96755243914])
    x = np.column_stack(
        [np.ones(len(d)), dummies(d["colcode"]), dummies(d["rowcode"]), dummies(d["geno"]), basis.fixed]
    )
    y = d["yield"].to_numpy(float)
    step, fall = newton(y, x, covariances, components)
    assert fall < 1e-6
    assert np.abs(np.delete(step, 3) / np.delete(components, 3)).max() < 1e-3 and abs(step[3]) < 1e-3
    fitted = mixed_fit(
        x,
        [dummies(row), dummies(col), root],
        [203.522207140294, 1698.85843691015, vc + vr],
        y,
        components[-1],
    )
    np.testing.assert_allclose(fitted[:3], [479.464089057268, 527.319844740923, 537.308295291926], rtol=1e-6)


def test_asreml_rows_and_columns():
    """ASReml-R, as printed in the help page of agridat::burgueno.rowcol: spl(yf) + spl(xf), residual ar1(xf):ar1(yf)."""
    d = rows_of("agridat_burgueno.rowcol.csv")
    row, col = d["row"].to_numpy(float), d["col"].to_numpy(float)
    rows, cols = spline_1d(row, kind="cubic", name="row"), spline_1d(col, kind="cubic", name="col")
    x = np.column_stack([np.ones(len(d)), dummies(d["gen"]), rows.fixed, cols.fixed])
    a, b = np.abs(row[:, None] - row), np.abs(col[:, None] - col)
    r, ra, rb = 0.1482, 0.009467, 0.1152
    k = ra**a * rb**b
    da, db = r * a * ra ** np.maximum(a - 1, 0) * rb**b, r * b * rb ** np.maximum(b - 1, 0) * ra**a
    covariances = [*square(rows.random[0].z, cols.random[0].z), k, da, db]
    step, fall = newton(d["yield"].to_numpy(float), x, covariances, [0.09077, 0.08107, r, 0.0, 0.0])
    # To the digits printed: half of the last of 0.1482 is 1.6e-3 of its standard error, which is 3e-6 in -2 log L.
    assert fall < 3e-6
    assert np.abs(step[:2]).max() < 2e-5 and abs(step[2]) < 5e-5
    assert np.abs(step[3:]).max() < 1e-4


def test_asreml_cattle():
    """ASReml-R, as printed in the help page of agridat::kenward.cattle: spl(day) + dev(day); the components by treatment are 0."""
    d = rows_of("agridat_kenward.cattle.csv")
    day = d["day"].to_numpy(float)
    basis = spline_1d(day, kind="cubic", name="day")
    second = dummies(d["trt"])[:, 1:]
    x = np.column_stack([np.ones(len(d)), basis.fixed, second, second * basis.fixed])
    printed = np.array([25.29, 1.902, 267.0])
    covariances = [*square(basis.random[0].z, dummies(day)), np.eye(len(d))]
    step, fall = newton(d["weight"].to_numpy(float), x, covariances, printed)
    assert fall < 1e-4
    # The standard errors printed are 24.09, 4.923 and 14.84: the criterion is flat along the first two.
    assert np.abs(step / np.array([24.09, 4.923, 14.84])).max() < 5e-3


def test_lmmsolver_barley_plane():
    """LMMsolver 1.0.13: yield ~ 1, spl2D(col, row, nseg = c(12, 16)): s(col) at 0, so that what is left is smooth along rows and
    linear along columns. Its differences are divided by the length of a segment, ours along a plane (as SpATS's) are not."""
    d = rows_of("LMMsolver_barley.uniformity.trial.csv")
    col, row = d["col"].to_numpy(float), d["row"].to_numpy(float)
    basis = spline_2d(col, row, (12, 16), kind="anisotropic", names=("col", "row"))
    (_, z, precision) = basis.random[0]
    t = precision.lower
    root = z * precision.diagonal(t) ** 0.5
    x = np.column_stack([np.ones(len(d)), basis.fixed])
    printed = np.array([(np.ptp(row) / 16) ** 3 / 0.309555299404325, 16.5508777112618])
    step, fall = newton(d["yield"].to_numpy(float), x, [*square(root), np.eye(len(d))], printed)
    assert fall < 1e-6
    np.testing.assert_allclose(step / printed, 0, atol=1e-3)
