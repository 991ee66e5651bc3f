"""`hd.design.search`: designs at least as good as AlgDesign's, steps against designs evaluated anew."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import solve_triangular

import henderson as hd
from henderson.linear.qr import orthonormal_basis
from henderson.optimal.board import make_board
from henderson.optimal.runs import Runs

QUADRATIC = "~ A + B + C + A:B + A:C + B:C + I(A**2) + I(B**2) + I(C**2)"


def grid(levels, names: str) -> pd.DataFrame:
    return pd.DataFrame(list(itertools.product(levels, repeat=len(names))), columns=list(names))


def simplex(steps: int) -> pd.DataFrame:
    rows = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    return pd.DataFrame(np.array(rows) / steps, columns=["a", "b", "c"])


CUBE = grid([-1, 0, 1], "ABC")

# -- AlgDesign 1.2.1.2 under R 4.2: the best of seeds 1 to 50 of optFederov(~quad(A, B, C), gen.factorial(3, 3, center=TRUE),
#    nTrials=n, criterion=, nRepeats=200, evaluateI=TRUE), each design judged by eval.design(~quad(A, B, C), r$design, X=d)
#    (what optFederov itself prints of A and I at n = 10 is not the value of the design it returns)
ALGDESIGN = {
    (10, "D"): 0.409534502216,
    (10, "A"): 3.88,
    (10, "I"): 12.7555555556,
    (14, "D"): 0.463044741912,
    (14, "A"): 3.22,
    (14, "I"): 9.94583333333,
}


@pytest.mark.parametrize(("n", "criterion"), ALGDESIGN)
def test_quadratic_in_three_factors(n, criterion):
    found = hd.design.search(QUADRATIC, CUBE, n, criterion=criterion, seed=4, starts=40)
    theirs = ALGDESIGN[n, criterion]
    better = found.value - theirs if criterion == "D" else theirs - found.value
    # up to the twelve digits that AlgDesign prints
    assert better >= -1e-11 * theirs
    again = hd.design.evaluate(QUADRATIC, found.design, region=CUBE)
    assert again.criteria[criterion] == pytest.approx(found.value, rel=1e-9)


def test_known_optimum_of_the_quadratic():
    """14 runs: the corners and the centres of the faces."""
    found = hd.design.search(QUADRATIC, CUBE, 14, criterion="A", seed=4, starts=40)
    size = (found.design**2).sum(axis=1)
    assert sorted(size) == [1] * 6 + [3] * 8
    assert not found.design.duplicated().any()


def test_a_screening_design_is_orthogonal():
    """AlgDesign finds the 12-run Plackett-Burman design in 7 factors (D = 1); so does the search."""
    found = hd.design.search("~ A + B + C + D + E + F + G", grid([-1, 1], "ABCDEFG"), 12, seed=2)
    assert found.evaluation.d_efficiency == pytest.approx(100, rel=1e-9)
    X = np.column_stack([np.ones(12), found.design.to_numpy()])
    assert np.array_equal(X.T @ X, 12 * np.eye(8))


@pytest.mark.parametrize(("n", "theirs"), [(6, 0.037037037037), (9, 0.0367600057935), (10, 0.0352312090769)])
def test_mixture(n, theirs):
    """AlgDesign: optFederov(~ -1 + a + b + c + a:b + a:c + b:c, gen.mixture(4, 3), nTrials=n, nRepeats=100) gives `theirs`."""
    formula = "~ 0 + a + b + c + a:b + a:c + b:c"
    assert hd.design.search(formula, simplex(3), n, seed=1).value >= theirs * (1 - 1e-9)


def test_mixture_optimum_is_the_simplex_lattice():
    """Kiefer (1961): the D-optimal design of the quadratic mixture is the {3, 2} lattice, in equal shares."""
    found = hd.design.search("~ 0 + a + b + c + a:b + a:c + b:c", simplex(6), 12, seed=1)
    counts = found.design.value_counts()
    assert len(counts) == 6
    assert (counts == 2).all()
    assert set(np.round(np.unique(found.design), 6)) == {0.0, 0.5, 1.0}
    assert found.evaluation.g_efficiency == pytest.approx(100, rel=1e-9)


# -- blocks ----------------------------------------------------------------------------------------------------------


def test_factorial_in_orthogonal_blocks():
    """2^3 in two blocks of four, every run once: ABC is confounded, the rest is orthogonal (AlgDesign optBlock: D = 1)."""
    found = hd.design.search("~ (A + B + C)**2", grid([-1, 1], "ABC"), blocks=[4, 4], repeats=False, seed=1)
    assert found.value == pytest.approx(1, rel=1e-9)
    product = found.design[["A", "B", "C"]].prod(axis=1)
    assert product.groupby(found.design["Block"]).nunique().tolist() == [1, 1]
    assert len(found.design[["A", "B", "C"]].drop_duplicates()) == 8


def test_balanced_incomplete_blocks():
    """7 treatments in 7 blocks of 3: each pair meets once. AlgDesign optBlock(~., factor(1:7), rep(3, 7)): D = 0.08033556."""
    found = hd.design.search("~ t", pd.DataFrame({"t": list("abcdefg")}), blocks=[3] * 7, seed=1)
    assert found.value == pytest.approx(0.08033556, abs=5e-9)
    incidence = pd.crosstab(found.design["t"], found.design["Block"]).to_numpy()
    assert np.array_equal(incidence @ incidence.T, 2 * np.eye(7) + 1)


@pytest.mark.parametrize("repeats", [True, False])
def test_blocked_quadratic(repeats):
    """AlgDesign: set.seed(1); optBlock(~quad(A, B, C), gen.factorial(3, 3, center=TRUE), blocksizes=rep(5, 4), nRepeats=100);
    its design has, by R's det(crossprod(within-block centred X) / 20)^(1/9), 0.3704218."""
    found = hd.design.search(QUADRATIC, CUBE, blocks=[5] * 4, repeats=repeats, seed=1, starts=10)
    assert found.value > 0.3704218
    again = hd.design.evaluate(QUADRATIC, found.design, blocks="Block", region=CUBE)
    assert all(again.criteria[k] == pytest.approx(found.evaluation.criteria[k], rel=1e-9) for k in "DAEIG")
    if not repeats:
        assert not found.design[["A", "B", "C"]].duplicated().any()


@pytest.mark.parametrize("criterion", list("DAEIG"))
def test_random_blocks(criterion):
    theta = {"Day": 0.7, "Residual": 2.0}
    found = hd.design.search(
        "~ A + B + I(A**2)",
        grid([-1, 0, 1], "AB"),
        blocks=[3, 3, 2],
        theta=theta,
        criterion=criterion,
        seed=1,
        starts=5,
    )
    assert found.design.columns.tolist() == ["Day", "A", "B"]
    again = hd.design.evaluate(
        "~ A + B + I(A**2) + (1 | Day)", found.design, theta=theta, region=grid([-1, 0, 1], "AB")
    )
    assert again.criteria[criterion] == pytest.approx(found.value, rel=1e-8)
    assert found.values[np.isfinite(found.values)].size == 5


def test_mixture_in_blocks():
    """No intercept, but components that add up to one: blocks take over that sum's mean, nothing else."""
    formula = "~ 0 + a + b + c + a:b + a:c + b:c"
    found = hd.design.search(formula, simplex(2), blocks=[6, 6], seed=1)
    counts = found.design.value_counts(subset=["a", "b", "c"])
    assert (counts == 2).all()
    assert len(counts) == 6


# -- the steps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", list("DAEIG"))
@pytest.mark.parametrize("blocks", ["none", "fixed", "random"])
def test_gains_are_those_of_designs_evaluated_anew(criterion, blocks):
    """Every exchange and every swap of a random design: predicted gain = the criterion of the changed design, by inverses."""
    rng = np.random.default_rng(5)
    cands = grid([-1, 0.3, 1], "AB")
    X = np.column_stack([np.ones(9), cands["A"], cands["B"], cands["A"] * cands["B"]])
    sizes = () if blocks == "none" else (5, 4)
    ratio = 0.8 if blocks == "random" else None
    board = make_board(orthonormal_basis(X), criterion, X, sizes, ratio, True)
    block = np.repeat([0, 1], (5, 4)) if sizes else np.zeros(9, dtype=int)
    chosen = rng.integers(0, 9, 9)
    while np.linalg.matrix_rank(np.column_stack([X[chosen], block == 0])) < (5 if sizes else 4):
        chosen = rng.integers(0, 9, 9)
    f = X @ board.to_f

    def value(x: np.ndarray, b: np.ndarray) -> float:
        """What is made small, from V: lambda large for fixed blocks' limit is not used; Schur complements are."""
        if blocks == "random":
            V = np.eye(9) + ratio * np.equal.outer(b, b)
            M = x.T @ np.linalg.solve(V, x)
            rows = X
        elif blocks == "fixed":
            z = np.column_stack([b == 0, b == 1]).astype(float)
            full = np.hstack([z, x[:, 1:]])
            M = full.T @ full
            rows = np.hstack([np.tile(z.mean(axis=0), (9, 1)), X[:, 1:]])
        else:
            M, rows = x.T @ x, X
        if np.linalg.cond(M) > 1e10:
            return np.inf
        inverse = np.linalg.inv(M)
        lost = 2 if blocks == "fixed" else 0
        own = inverse[lost:, lost:]
        d = np.einsum("ij,jk,ik->i", rows, inverse, rows)
        return {
            "D": np.log(np.linalg.det(own)) / len(own),
            "A": np.trace(own),
            "E": np.linalg.eigvalsh(own)[-1],
            "I": d.mean(),
            "G": d.max(),
        }[criterion]

    runs = Runs(board, f[chosen], block, 0)
    old = value(X[chosen], block)

    def gain(new: float) -> float:
        p = 3 if blocks == "fixed" else 4
        return (np.exp(p * (old - new)) - 1) / p if criterion == "D" else (old - new) / old

    for b in range(2 if sizes else 1):
        own = np.flatnonzero(block == b)
        gains = runs.gains(f, b, own)
        for (a, run), j in itertools.product(enumerate(own), range(9)):
            other = chosen.copy()
            other[run] = j
            assert gains[a, j] == pytest.approx(gain(value(X[other], block)), rel=1e-7, abs=1e-8)
    if sizes:
        best, i, k = runs.best_swap()
        found = []
        for a, c in itertools.product(np.flatnonzero(block == 0), np.flatnonzero(block == 1)):
            other = chosen.copy()
            other[[a, c]] = other[[c, a]]
            found.append(gain(value(X[other], block)))
        assert best == pytest.approx(max(found), rel=1e-7, abs=1e-8)
        before = runs.value
        runs.swap(i, k)
        moved = runs.value
        runs.refresh()
        assert runs.value == pytest.approx(moved, rel=1e-9)
        p = 3 if blocks == "fixed" else 4
        made = (np.exp(p * (before - moved)) - 1) / p if criterion == "D" else (before - moved) / before
        assert made == pytest.approx(best, rel=1e-7, abs=1e-9)


def test_no_exchange_improves_what_is_found():
    """Brute force: every single exchange of the design that is found makes it no better."""
    cands = grid([-1, 0, 1], "AB")
    formula = "~ A * B + I(A**2) + I(B**2)"
    found = hd.design.search(formula, cands, 8, seed=3, starts=5)
    for run, j in itertools.product(range(8), range(9)):
        other = found.design.copy()
        other.iloc[run] = cands.iloc[j]
        assert found.value * (1 + 1e-7) >= hd.design.evaluate(formula, other).D


def test_all_designs_by_brute_force():
    """The best of all C(9 + 5, 6) = 3003 designs of 6 runs from 9 candidates."""
    cands = grid([-1, 0, 1], "AB")
    X = np.column_stack(
        [np.ones(9), cands["A"], cands["B"], cands["A"] * cands["B"], cands["A"] ** 2, cands["B"] ** 2]
    )
    best_d, best_a = 0.0, np.inf
    for rows in itertools.combinations_with_replacement(range(9), 6):
        r = X[list(rows)]
        size = np.linalg.det(r) ** 2
        if size > 1e-9:
            best_d = max(best_d, size ** (1 / 6) / 6)
            half = np.linalg.inv(r)
            best_a = min(best_a, np.sum(half**2))
    formula = "~ A * B + I(A**2) + I(B**2)"
    assert hd.design.search(formula, cands, 6, seed=1).value == pytest.approx(best_d, rel=1e-9)
    assert hd.design.search(formula, cands, 6, seed=1, criterion="A").value == pytest.approx(best_a, rel=1e-9)


# -- coordinate exchange ---------------------------------------------------------------------------------------------


def test_coordinate_exchange_beats_the_grid():
    """Ranges hold the three-level grid, so the 14-run design is at least as good as the best on it."""
    ranges = {"A": (-1, 1), "B": (-1.0, 1.0), "C": (-1, 1)}
    found = hd.design.search(QUADRATIC, ranges, 14, method="coordinate", seed=1, starts=12)
    assert found.value >= 0.463044741912
    assert found.candidates is None
    assert np.abs(found.design.to_numpy()).max() <= 1


def test_coordinate_exchange_finds_the_continuous_optimum():
    """Cubic on [-1, 1], 4 runs: D-optimal at -1, -1/sqrt 5, 1/sqrt 5, 1 (Guest 1958: the zeros of (1 - x^2) P_3'(x))."""
    found = hd.design.search(
        "~ x + I(x**2) + I(x**3)", {"x": (-1, 1)}, 4, method="coordinate", seed=1, starts=5
    )
    assert np.sort(found.design["x"]) == pytest.approx([-1, -(0.2**0.5), 0.2**0.5, 1], abs=1e-4)


def test_coordinate_exchange_with_levels_and_labels():
    factors = {"x": (10, 30), "dose": [1, 2, 4], "kind": ["u", "v", "w"]}
    found = hd.design.search(
        "~ x + dose + kind",
        factors,
        9,
        method="coordinate",
        coding={"x": (10, 30)},
        seed=1,
        contrasts={"kind": "Sum"},
    )
    assert set(found.design["x"]) == {10.0, 30.0}
    assert set(found.design["dose"]) == {1.0, 4.0}
    assert set(found.design["kind"]) == {"u", "v", "w"}
    listed = pd.DataFrame(list(itertools.product([10, 30], [1, 2, 4], "uvw")), columns=["x", "dose", "kind"])
    same = hd.design.search(
        "~ x + dose + kind", listed, 9, coding={"x": (10, 30)}, seed=1, contrasts={"kind": "Sum"}
    )
    assert found.value == pytest.approx(same.value, rel=1e-8)
    by_table = hd.design.search("~ x + kind", listed, 6, method="coordinate", seed=1)
    assert set(by_table.design.columns) == {"x", "kind"}


def test_coordinate_exchange_in_blocks():
    found = hd.design.search(
        "~ (A + B + C)**2", {k: [-1, 1] for k in "ABC"}, blocks=[4, 4], method="coordinate", seed=1
    )
    assert found.value == pytest.approx(1, rel=1e-9)


# -- what is kept, what is given back --------------------------------------------------------------------------------


def test_included_runs_stay():
    old = pd.DataFrame({"A": [0.0, 0.5], "B": [0.0, -0.5]})
    found = hd.design.search("~ A * B", grid([-1.0, 1.0], "AB"), 6, include=old, seed=1)
    assert np.array_equal(found.design[["A", "B"]].to_numpy()[:2], old.to_numpy())
    assert len(found.design) == 6
    assert set(map(tuple, found.design.to_numpy()[2:])) == {(-1, -1), (-1, 1), (1, -1), (1, 1)}
    blocked = hd.design.search("~ A * B", grid([-1.0, 1.0], "AB"), blocks=[2, 4], include=old, seed=1)
    assert blocked.design["Block"].tolist() == [1, 1, 2, 2, 2, 2]
    ranged = hd.design.search(
        "~ A * B", {"A": (-1, 1), "B": (-1, 1)}, 6, include=old, seed=1, method="coordinate"
    )
    assert ranged.value == pytest.approx(found.value, rel=1e-9)


def test_the_same_seed_gives_the_same_design():
    one = hd.design.search(QUADRATIC, CUBE, 12, seed=9, starts=3)
    two = hd.design.search(QUADRATIC, CUBE, 12, seed=9, starts=3)
    assert one.design.equals(two.design)
    free = hd.design.search(QUADRATIC, CUBE, 12, starts=3)
    assert hd.design.search(QUADRATIC, CUBE, 12, starts=3, seed=free.seed).design.equals(free.design)


def test_what_is_told_of_the_search():
    found = hd.design.search(QUADRATIC, CUBE, 12, seed=9, starts=6)
    assert found.starts == 6 == len(found.to_frame())
    assert found.n_best == found.to_frame()["best"].sum() >= 1
    assert np.nanmax(found.values) == pytest.approx(found.value, rel=1e-9)
    assert np.all(np.diff(found.history) > 0)
    assert found.history[-1] == pytest.approx(found.value, rel=1e-9)
    assert np.array_equal(CUBE.to_numpy()[found.candidates], found.design.to_numpy())
    assert "starts came to it" in found.summary()
    assert "12 runs" in repr(found)


def test_extra_columns_and_other_libraries():
    polars = pytest.importorskip("polars")
    cands = grid([-1, 1], "AB").assign(name=["p", "q", "r", "s"])
    found = hd.design.search("~ A + B", polars.from_pandas(cands), blocks=[4, 4], seed=1)
    assert isinstance(found.design, polars.DataFrame)
    assert found.design.columns == ["Block", "A", "B", "name"]
    plain = hd.design.search("~ A + B", {"A": [-1, -1, 1, 1], "B": [-1, 1, -1, 1]}, 4, seed=1)
    assert isinstance(plain.design, pd.DataFrame)


def test_units_and_offsets_do_not_matter():
    far = pd.DataFrame({"A": 1e6 + 1e-2 * CUBE["A"], "B": CUBE["B"] * 1e5, "C": CUBE["C"]})
    scaled = hd.design.search(
        "~ A + B + C", far, 8, seed=1, coding={"A": (1e6 - 1e-2, 1e6 + 1e-2), "B": (-1e5, 1e5)}
    )
    assert scaled.value == pytest.approx(1, rel=1e-6)


def test_interrupt_gives_the_best_so_far(monkeypatch):
    from henderson.optimal import fedorov

    climb, calls = fedorov.climb, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        climb(*args)

    monkeypatch.setattr(fedorov, "climb", interrupted)
    found = hd.design.search(QUADRATIC, CUBE, 12, seed=9, starts=1000)
    assert found.interrupted
    assert found.starts < 30
    assert "interrupted" in found.summary()
    assert pytest.approx(found.value, rel=1e-9) == hd.design.evaluate(QUADRATIC, found.design).D


def test_singular_starts_are_left():
    """One candidate in 41 sees the second effect: random starts are singular, the designs are not."""
    cands = pd.DataFrame({"x": [0.0] * 40 + [1.0]})
    found = hd.design.search("~ x", cands, 4, seed=1, starts=5)
    assert found.n_singular == 0
    assert found.design["x"].tolist() == [0, 0, 1, 1]


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "candidates", "options", "error", "says"),
    [
        ("~ A + B", CUBE, {"n": 4, "criterion": "Q"}, hd.ModelError, "'A', 'D', 'E', 'G', 'I'"),
        ("~ A + B", CUBE, {"n": 4, "method": "federov"}, hd.ModelError, "closest is 'fedorov'"),
        (QUADRATIC, CUBE, {"n": 9}, hd.ModelError, "9 runs cannot estimate 10 coefficients"),
        (QUADRATIC, CUBE, {"blocks": [5, 5]}, hd.ModelError, "11 runs are needed"),
        ("~ A", CUBE, {"n": 9, "blocks": [4, 4]}, hd.ModelError, "8 runs together, but n is 9"),
        ("~ A", CUBE, {}, hd.ModelError, "n, the number of runs"),
        ("~ A", CUBE, {"n": 4.5}, hd.ModelError, "whole number"),
        ("~ A", CUBE, {"blocks": 4}, hd.ModelError, "list of sizes"),
        ("~ A", CUBE, {"blocks": [4, 0]}, hd.ModelError, "block's size"),
        ("~ A + b", CUBE, {"n": 4}, hd.FormulaError, "(?s)candidates: .*'b'.*closest column is 'B'"),
        (
            "~ A + B",
            CUBE,
            {"n": 6, "include": pd.DataFrame({"A": [1]})},
            hd.FormulaError,
            "include: no column",
        ),
        ("~ A", CUBE, {"n": 3, "include": CUBE[:3]}, hd.ModelError, "leaves none"),
        ("~ A + (1 | B)", CUBE, {"n": 4}, hd.ModelError, "blocks="),
        ("~ A", CUBE, {"n": 4, "theta": {"Day": 1.0}}, hd.ModelError, "blocks="),
        ("~ A", CUBE, {"blocks": [4, 4], "theta": {"Day": -1.0}}, hd.ModelError, "not negative"),
        ("~ A", CUBE, {"n": 4, "starts": 0}, hd.ModelError, "starts"),
        ("~ A", CUBE, {"n": 4, "seed": "x"}, hd.ModelError, "seed"),
        ("~ A", CUBE, {"n": 28, "repeats": False}, hd.ModelError, "of 27 candidates"),
        ("~ A", {"A": (-1, 1)}, {"n": 4, "method": "coordinate", "repeats": False}, hd.ModelError, "fedorov"),
        (
            "~ A + B",
            {"A": (-1, 1)},
            {"n": 4, "method": "coordinate"},
            hd.FormulaError,
            "nothing is said of 'B'",
        ),
        ("~ A", {"A": (1, -1)}, {"n": 4, "method": "coordinate"}, hd.ModelError, "range of 'A'"),
        (
            "~ A + B",
            {"A": (-1, 1), "B": ["u", "v"]},
            {"n": 4},
            hd.ModelError,
            "method='coordinate' reads ranges",
        ),
        (
            "~ A + B",
            {"A": (-1, 1), "B": []},
            {"n": 4, "method": "coordinate"},
            hd.ModelError,
            "'B' has no levels",
        ),
        ("~ A + I(2 * A)", CUBE, {"n": 4}, hd.ModelError, "can estimate 2"),
        ("~ A", CUBE, {"blocks": 4.0}, hd.ModelError, "blocks is a list of sizes"),
        (
            "~ A",
            CUBE,
            {"blocks": [2, 2], "theta": {"Day": 1.0, "Residual": 0.0}},
            hd.ModelError,
            "variance of 'Residual' is a positive number, not 0.0",
        ),
        ("~ A", pd.DataFrame({"A": [1.0, np.nan, 2.0]}), {"n": 4}, hd.ModelError, "missing values in A"),
    ],
)
def test_refusals(formula, candidates, options, error, says):
    with pytest.raises(error, match=says):
        hd.design.search(formula, candidates, **options)


def test_the_inverse_root_is_used_rightly():
    """Steady coordinates: the candidates' f'f is k I."""
    X = np.column_stack([np.ones(27), CUBE.to_numpy() * [1.0, 1e4, 1e-4]])
    board = make_board(orthonormal_basis(X), "D", X, (), None, True)
    f = X @ board.to_f
    assert np.allclose(f.T @ f, 27 * np.eye(4), atol=1e-9)
    r = np.linalg.qr(X, mode="r")
    assert np.allclose(np.abs(board.to_f), np.abs(np.sqrt(27) * solve_triangular(r, np.eye(4))))
