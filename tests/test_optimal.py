"""`hd.design.evaluate`: criteria against AlgDesign's printed numbers and against dense algebra."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import henderson as hd

QUADRATIC = "~ A + B + C + A:B + A:C + B:C + I(A**2) + I(B**2) + I(C**2)"


def grid(levels: int, names: str) -> pd.DataFrame:
    """All combinations, the first column fastest, as AlgDesign's gen.factorial(center=TRUE) lists them."""
    values = np.arange(levels) - (levels - 1) / 2 if levels % 2 else np.arange(-levels + 1, levels, 2.0)
    rows = list(itertools.product(values, repeat=len(names)))
    return pd.DataFrame(rows, columns=list(names[::-1]))[list(names)]


def dense(X: np.ndarray, V: np.ndarray, region: np.ndarray) -> dict[str, float]:
    """The definitions, by inverses."""
    n, p = X.shape
    M = X.T @ np.linalg.inv(V) @ X / n
    d = np.diag(region @ np.linalg.inv(M) @ region.T)
    return {
        "D": np.linalg.det(M) ** (1 / p),
        "A": np.trace(np.linalg.inv(M)) / p,
        "E": np.linalg.eigvalsh(M)[0],
        "I": d.mean(),
        "G": d.max(),
    }


@pytest.fixture
def trial() -> pd.DataFrame:
    """Unbalanced: 3 treatments, a covariate, 6 blocks of unequal size, a weight."""
    rng = np.random.default_rng(3)
    n = 40
    return pd.DataFrame(
        {
            "t": rng.choice(list("abc"), n),
            "x": rng.normal(size=n),
            "block": rng.integers(0, 6, n),
            "w": rng.uniform(0.5, 2.0, n),
        }
    )


def model_matrix(trial: pd.DataFrame) -> np.ndarray:
    t = trial["t"].to_numpy()
    return np.column_stack([np.ones(len(t)), t == "b", t == "c", trial["x"]]).astype(float)


# -- AlgDesign -------------------------------------------------------------------------------------------------------


def test_algdesign_eval_design():
    """AlgDesign 1.2.1.2 under R 4.2, rows of gen.factorial(3, 3, center=TRUE):
    eval.design(~quad(A, B, C), d[c(1,3,7,9,19,21,25,27,14,5,11,13,15,17), ], variances=TRUE, X=d), 12 digits."""
    d = grid(3, "ABC")
    rows = np.array([1, 3, 7, 9, 19, 21, 25, 27, 14, 5, 11, 13, 15, 17]) - 1
    e = hd.design.evaluate(QUADRATIC, d.iloc[rows], region=d)
    assert pytest.approx(0.441784992444, rel=1e-11) == e.D
    assert pytest.approx(3.668, rel=1e-11) == e.A
    assert pytest.approx(11.2777777778, rel=1e-11) == e.I
    assert e.g_efficiency / 100 == pytest.approx(0.571, abs=5e-4)
    assert e.d_bound / 100 == pytest.approx(0.472, abs=5e-4)
    # $gmean.variances: geometric mean of the variances of all coefficients but the intercept, times runs
    v = e.coefficients["relative_variance"].to_numpy()[1:]
    assert np.exp(np.log(v).mean()) == pytest.approx(2.67237799581, rel=1e-11)


def test_algdesign_central_composite():
    """AlgDesign: optFederov(~quad(A, B, C), gen.factorial(3, 3, center=TRUE), nTrials=14, criterion="I", evaluateI=TRUE)
    gives the corners and the centres of the faces: D 0.463044741912, A 3.22, I 9.94583333333, Ge 0.893, Dea 0.887."""
    d = grid(3, "ABC")
    size = (d**2).sum(axis=1)
    e = hd.design.evaluate(QUADRATIC, d[(size == 3) | (size == 1)], region=d)
    assert pytest.approx((0.463044741912, 3.22, 9.94583333333), rel=1e-11) == (e.D, e.A, e.I)
    assert (e.g_efficiency, e.d_bound) == pytest.approx((89.3, 88.7), abs=0.05)


def test_algdesign_mixture():
    """AlgDesign: the 6-run design of the quadratic in 3 components of gen.mixture(4, 3) that optFederov returns has
    D 0.037037037037, A 97.5, I 6.33333333333, Ge 0.818, Dea 0.801 (three vertices, three points on the edges)."""
    m = pd.DataFrame(
        [(i / 3, j / 3, 1 - i / 3 - j / 3) for i in range(4) for j in range(4 - i)], columns=["a", "b", "c"]
    )
    found = hd.design.search("~ 0 + a + b + c + a:b + a:c + b:c", m, 6, seed=1)
    e = found.evaluation
    assert pytest.approx((0.037037037037, 97.5, 6.33333333333), rel=1e-10) == (e.D, e.A, e.I)
    assert (e.g_efficiency, e.d_bound) == pytest.approx((81.8, 80.1), abs=0.05)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_factorial_is_perfect(k):
    names = "ABCDE"[:k]
    e = hd.design.evaluate(f"~ ({' + '.join(names)})**2", grid(2, names))
    assert e.d_efficiency == pytest.approx(100, rel=1e-12)
    assert e.a_efficiency == pytest.approx(100, rel=1e-12)
    assert e.g_efficiency == pytest.approx(100, rel=1e-12)
    assert pytest.approx(1, rel=1e-12) == e.E
    assert e.condition == pytest.approx(1, rel=1e-12)
    assert e.not_estimable == ()


# -- dense algebra ---------------------------------------------------------------------------------------------------


def covariances(trial: pd.DataFrame) -> dict:
    n = len(trial)
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    same = np.equal.outer(trial["block"].to_numpy(), trial["block"].to_numpy())
    x = trial["x"].to_numpy()
    sigma = np.array([[2.0, 0.3], [0.3, 0.5]])
    z = np.column_stack([np.ones(n), x])
    return {
        "ols": ("~ t + x", {}, np.eye(n)),
        "s2": ("~ t + x", {"theta": {"Residual": 2.5}}, 2.5 * np.eye(n)),
        "weights": ("~ t + x", {"weights": "w"}, np.diag(1 / trial["w"])),
        "variances": ("~ t + x", {"V": 1 + x**2}, np.diag(1 + x**2)),
        "ar1": ("~ t + x", {"V": 0.6**lag}, 0.6**lag),
        "sparse": (
            "~ t + x",
            {"V": scipy.sparse.csr_array(np.eye(n) + 0.4 * (lag == 1))},
            np.eye(n) + 0.4 * (lag == 1),
        ),
        "block": (
            "~ t + x + (1 | block)",
            {"theta": {"block": 1.5, "Residual": 2.0}},
            1.5 * same + 2 * np.eye(n),
        ),
        "slopes": (
            "~ t + x + (x | block)",
            {"theta": {"block": sigma, "Residual": 1.2}, "weights": "w"},
            same * (z @ sigma @ z.T) + 1.2 * np.diag(1 / trial["w"]),
        ),
        "singular G": ("~ t + x + (1 | block)", {"theta": {"block": 0.0}}, np.eye(n)),
    }


@pytest.mark.parametrize("case", list(covariances(pd.DataFrame({"block": [0], "x": [0.0], "w": [1.0]}))))
def test_criteria_are_those_of_dense_algebra(trial, case):
    formula, options, V = covariances(trial)[case]
    X = model_matrix(trial)
    region = pd.DataFrame({"t": list("abcabc"), "x": np.linspace(-2, 2, 6)})
    rows = model_matrix(region)
    e = hd.design.evaluate(
        formula, trial, region=region, named_contrasts={"b - c": {"t[T.b]": 1, "t[T.c]": -1}}, **options
    )
    expected = dense(X, V, rows)
    for name, value in expected.items():
        assert e.criteria[name] == pytest.approx(value, rel=1e-9), name
    phi = np.linalg.inv(X.T @ np.linalg.inv(V) @ X)
    assert np.allclose(e.vcov, phi, rtol=1e-9, atol=1e-12)
    assert np.allclose(e.eigenvalues, np.linalg.eigvalsh(np.linalg.inv(phi)), rtol=1e-9)
    assert np.allclose(e.prediction_variance, np.diag(rows @ phi @ rows.T), rtol=1e-9)
    l = np.array([0, 1, -1, 0])
    assert e.contrasts["variance"][0] == pytest.approx(l @ phi @ l, rel=1e-9)
    assert e.condition == pytest.approx(np.linalg.cond(np.linalg.inv(phi)), rel=1e-8)


def test_information_is_what_lmm_holds_to():
    """With every variance held, lmm's vcov(beta) is (X'V^-1X)^-1 of the design, whatever the response."""
    sleep = hd.datasets.load("sleepstudy")
    held = {"Subject": [[612.0, 9.6], [9.6, 35.1]], "Residual": 654.9}
    fit = hd.lmm("Reaction ~ Days + (Days | Subject)", sleep, fixed_parameters=held)
    e = hd.design.evaluate("~ Days + (Days | Subject)", sleep, theta=held)
    assert np.allclose(e.vcov, fit.vcov, rtol=1e-10)
    assert hd.design.evaluate("Reaction ~ Days + (Days | Subject)", sleep, theta=held).D == e.D


def test_many_levels_go_through_the_sparse_equations():
    """Crossed random terms, 1,500 levels: Var(mean) of a balanced layout is known in closed form."""
    a, b = np.divmod(np.arange(1000 * 500), 500)
    keep = (a + b) % 5 == 0
    d = pd.DataFrame({"a": a[keep], "b": b[keep]})
    e = hd.design.evaluate("~ 1 + (1 | a) + (1 | b)", d, theta={"a": 2.0, "b": 3.0, "Residual": 5.0})
    assert e.vcov[0, 0] == pytest.approx(2 / 1000 + 3 / 500 + 5 / keep.sum(), rel=1e-10)


def test_fixed_blocks_are_the_limit_of_random_ones(trial):
    e = hd.design.evaluate("~ t + x", trial, blocks="block")
    X = model_matrix(trial)[:, 1:]
    B = pd.get_dummies(trial["block"]).to_numpy(float)
    within = X - B @ np.linalg.lstsq(B, X, rcond=None)[0]
    M = within.T @ within
    assert e.names == ("t[T.b]", "t[T.c]", "x")
    assert pytest.approx(np.linalg.det(M / 40) ** (1 / 3), rel=1e-10) == e.D
    assert np.allclose(e.vcov, np.linalg.inv(M), rtol=1e-9)
    assert pytest.approx(40 * np.trace(np.linalg.inv(M)) / 3, rel=1e-10) == e.A
    assert np.allclose(e.eigenvalues, np.linalg.eigvalsh(M), rtol=1e-9)
    # predictions of the average block: from the full model with block means, averaged with the blocks' shares
    full = np.hstack([B, X])
    rows = np.hstack([np.tile(B.mean(axis=0), (40, 1)), X])
    d = np.einsum("ij,jk,ik->i", rows, np.linalg.inv(full.T @ full), rows)
    assert np.allclose(e.prediction_variance, d, rtol=1e-8)
    wide = hd.design.evaluate("~ t + x + (1 | block)", trial, theta={"block": 1e8})
    assert np.allclose(wide.vcov[1:, 1:], e.vcov, rtol=1e-5)


def test_laws(trial):
    e = hd.design.evaluate("~ t + x + (1 | block)", trial, theta={"block": 1.5, "Residual": 2.0})
    shuffled = trial.sample(frac=1, random_state=1)
    again = hd.design.evaluate("~ t + x + (1 | block)", shuffled, theta={"block": 1.5, "Residual": 2.0})
    assert all(again.criteria[k] == pytest.approx(e.criteria[k], rel=1e-10) for k in "DAEIG")
    scaled = hd.design.evaluate("~ t + x + (1 | block)", trial, theta={"block": 4.5, "Residual": 6.0})
    assert pytest.approx(e.D / 3, rel=1e-10) == scaled.D
    assert pytest.approx(3 * e.G, rel=1e-10) == scaled.G
    assert scaled.d_efficiency == pytest.approx(e.d_efficiency, rel=1e-10)
    # X -> XB changes neither predictions nor, by |B|^(2/p), D
    sums = hd.design.evaluate("~ t + x", trial, contrasts={"t": "Sum"})
    plain = hd.design.evaluate("~ t + x", trial)
    assert np.allclose(sums.prediction_variance, plain.prediction_variance, rtol=1e-10)
    # t[S.a], t[S.b] from the treatment columns: |B| = 3
    assert pytest.approx(plain.D * 3 ** (2 / 4), rel=1e-10) == sums.D
    # Kiefer & Wolfowitz: mean of d over the design's own rows is p, so G >= p
    assert pytest.approx(4, rel=1e-10) == plain.I
    assert plain.G >= 4


def test_runs_outside_of_the_region_have_no_g_efficiency():
    e = hd.design.evaluate("~ A", pd.DataFrame({"A": [-1.0, 1.0]}), region=pd.DataFrame({"A": [0.0]}))
    assert e.G == pytest.approx(1)  # noqa: SIM300
    assert np.isnan(e.g_efficiency)
    assert np.isnan(e.d_bound)


def test_coding_to_ranges():
    raw = pd.DataFrame({"temperature": [20, 60, 20, 60.0], "time": [1, 1, 5, 5]})
    e = hd.design.evaluate("~ temperature * time", raw, coding="range")
    assert e.d_efficiency == pytest.approx(100, rel=1e-12)
    narrow = hd.design.evaluate("~ temperature", raw, coding={"temperature": (0, 80)})
    assert pytest.approx(0.5, rel=1e-12) == narrow.D  # slope column at -1/2 and 1/2: |M| = 1/4
    with pytest.raises(hd.ModelError, match="closest is 'time'"):
        hd.design.evaluate("~ time", raw, coding={"tme": (0, 1)})
    with pytest.raises(hd.ModelError, match="below"):
        hd.design.evaluate("~ time", raw, coding={"time": (3, 1)})


# -- what cannot be estimated ----------------------------------------------------------------------------------------


def test_singular_design_says_what_it_cannot_estimate():
    half = grid(2, "ABC")
    half = pd.concat([half[half.prod(axis=1) > 0]] * 2)
    e = hd.design.evaluate(
        "~ A * B + C", half, named_contrasts={"C": {"C": 1}, "A:B": {"A:B": 1}, "A": {"A": 1}}
    )
    assert (e.rank, e.p, e.D, e.E) == (4, 5, 0.0, 0.0)
    assert np.inf == e.A
    assert e.condition == np.inf
    assert e.eigenvalues[0] == 0
    assert e.not_estimable == ("A:B is C in every row: it has no coefficient of its own.",)
    assert e.contrasts["estimable"].tolist() == [False, False, True]
    assert e.contrasts["variance"].tolist()[:2] == [np.inf, np.inf]
    assert all(e.contrasts["why"][:2])
    assert np.isinf(e.coefficients["variance"]).sum() == 1
    assert "Not estimable" in e.summary()


def test_as_many_coefficients_as_runs():
    d = grid(2, "AB")
    e = hd.design.evaluate("~ A * B", d)
    assert pytest.approx(1) == e.D
    block = d.assign(block=[1, 1, 2, 2])
    V = np.kron(np.eye(2), np.ones((2, 2))) * 0.5 + np.eye(4)
    X = np.column_stack([np.ones(4), d.A, d.B, d.A * d.B])
    mixed = hd.design.evaluate("~ A * B + (1 | block)", block, theta={"block": 0.5})
    assert np.allclose(mixed.vcov, np.linalg.inv(X.T @ np.linalg.inv(V) @ X), rtol=1e-10)


# -- tables ----------------------------------------------------------------------------------------------------------


def test_tables_go_out_in_the_callers_library(trial):
    polars = pytest.importorskip("polars")
    e = hd.design.evaluate("~ t + x", polars.from_pandas(trial), named_contrasts=["t[T.b] - t[T.c]"])
    assert isinstance(e.to_frame(), polars.DataFrame)
    assert isinstance(e.coefficients, polars.DataFrame)
    assert isinstance(e.contrasts, polars.DataFrame)
    assert e.to_frame()["criterion"].to_list() == ["D", "A", "E", "I", "G"]


def test_summary_and_notes(trial):
    trial.loc[3, "x"] = np.nan
    e = hd.design.evaluate("~ t + x", trial, named_contrasts={"b - c": {"t[T.b]": 1, "t[T.c]": -1}})
    text = e.summary()
    assert e.n == 39
    for part in ("39 runs", "x (1)", "criterion", "b - c", "condition number"):
        assert part in text
    assert repr(e).startswith("<Evaluation ~ t + x | 39 runs, 4 coefficients")
    assert hd.design.evaluate("~ t + x", trial).contrasts.empty


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"V": np.eye(5)}, hd.ModelError, r"40 rows.*\(5, 5\)"),
        ({"V": np.ones(39)}, hd.ModelError, r"40 variances"),
        ({"V": np.ones((40, 40))}, hd.ModelError, "not positive definite: its smallest eigenvalue"),
        ({"V": scipy.sparse.csr_array(np.ones((40, 40)))}, hd.ModelError, "not positive definite"),
        ({"V": np.triu(np.ones((40, 40)))}, hd.ModelError, "not symmetric"),
        ({"V": -np.ones(40)}, hd.ModelError, "row 0"),
        ({"V": np.eye(40) * np.nan}, hd.ModelError, "not finite"),
        ({"V": "ar1"}, hd.ModelError, "made of numbers"),
        ({"V": np.eye(40), "weights": "w"}, hd.ModelError, "V or weights"),
        ({"theta": {"blok": 1.0}}, hd.ModelError, "Residual"),
        ({"named_contrasts": {"slope": {"xx": 1}}}, hd.ModelError, "closest is 'x'"),
        ({"named_contrasts": np.ones(3)}, hd.ModelError, "4 finite numbers"),
        ({"region": pd.DataFrame({"t": ["a"]})}, hd.FormulaError, "region: no column is called 'x'"),
        ({"region": pd.DataFrame({"t": ["z"], "x": [1.0]})}, hd.DataError, "level 'z'"),
        ({"region": pd.DataFrame({"t": ["a"], "x": [np.nan]})}, hd.DataError, "region"),
        ({"region": np.ones((2, 3))}, hd.ModelError, "4 columns"),
        ({"blocks": "t"}, hd.ModelError, "in the formula already"),
        ({"blocks": "blok"}, hd.FormulaError, "closest column is 'block'"),
        ({"coding": "unit"}, hd.ModelError, "coding"),
    ],
)
def test_refusals(trial, options, error, says):
    with pytest.raises(error, match=says):
        hd.design.evaluate("~ t + x", trial, **options)


def test_random_terms_need_their_variances(trial):
    with pytest.raises(hd.ModelError, match=r"variance of \(1 \| block\) is not given"):
        hd.design.evaluate("~ t + (1 | block)", trial)
    with pytest.raises(hd.ModelError, match="closest is 'block'"):
        hd.design.evaluate("~ t + (1 | block)", trial, theta={"blok": 1.0})
    with pytest.raises(hd.ModelError, match="V or random terms"):
        hd.design.evaluate("~ t + (1 | block)", trial, V=np.eye(40))
    with pytest.raises(hd.FormulaError, match="closest column is 'x'"):
        hd.design.evaluate("~ t + X", trial)
    with pytest.raises(hd.ModelError, match="no fixed coefficients"):
        hd.design.evaluate("~ 0", trial)


def test_a_one_sided_formula_is_no_model_to_fit(trial):
    with pytest.raises(hd.FormulaError, match="no response"):
        hd.lm("~ x", trial)
    with pytest.raises(AttributeError, match="evaluate, power, search"):
        hd.design.evaluat  # noqa: B018


def test_the_room_stays_light():
    """The room `design` loads nothing of `optimal` until the door is used."""
    code = (
        "import sys, henderson.design; assert not any(m.startswith('henderson.optimal') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
