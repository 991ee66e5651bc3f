"""`fit.explain()`: every number that is printed is read back and compared with numpy's, to the digits printed."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from test_aliasing import CELLS

import henderson as hd
from henderson.report.matrices import matrix, side_by_side, texts

# The course's two samples (Lynch & Walsh): males 4, 5, 7 and females 3, 5, 6, 8.
SEXES = pd.DataFrame({"y": [4, 5, 7, 3, 5, 6, 8], "sex": ["m"] * 3 + ["f"] * 4})
SIRES = pd.DataFrame(
    {
        "y": [9.0, 12, 11, 6, 7, 14, 13],
        "sire": list("ABACBCB"),
        "herd": list("1122121"),
        "x": [1.0, 2, 3, 4, 5, 6, 8],
    }
)


def section(text, title):
    """Lines under the first title that starts so."""
    lines = str(text).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(title))
    end = next((i for i in range(at + 2, len(lines)) if lines[i].startswith("---")), len(lines) + 1)
    return lines[at + 2 : end - 1]


def brackets(lines):
    """The matrices that stand side by side: for each the numbers of its rows, and half a unit of the last digit."""
    rows = [re.findall(r"\[ ([^\]]*) \]", line) for line in lines]
    rows = [found for found in rows if found and not re.search("[XZ]'", found[0])]
    found = []
    for k in range(max(map(len, rows))):
        texts_of = [row[k].split() for row in rows if len(row) > k]
        numbers = np.array([[float(t) for t in row] for row in texts_of])
        unit = np.array(
            [[0.5 * 10.0 ** -len(t.partition("e")[0].partition(".")[2]) for t in row] for row in texts_of]
        )
        found.append((numbers, unit))
    return found


def agree(shown, expected, relative=0.0):
    numbers, unit = shown
    expected = np.asarray(expected, dtype=float).reshape(numbers.shape)
    assert np.all(np.abs(numbers - expected) <= 1.01 * unit + relative * np.abs(expected)), (
        numbers,
        expected,
    )


def test_the_two_sexes():
    fit = hd.lm("y ~ sex", SEXES)
    text = fit.explain()
    y = SEXES.y.to_numpy(float)
    X = np.column_stack([np.ones(7), SEXES.sex == "m"])
    inverse = np.linalg.inv(X.T @ X)
    b = inverse @ X.T @ y
    e = y - X @ b
    s2 = e @ e / 5
    shown = brackets(section(text, "The model: y = X b^ + e^"))
    lines = section(text, "The model: y = X b^ + e^")
    assert "columns of X: (Intercept), sex[T.m]" in lines[0]
    agree(shown[0], y)
    agree(shown[1], X)
    ys, fitted, residuals = brackets(section(text, "Fitted values"))
    agree(ys, y)
    agree(fitted, X @ b)
    agree(residuals, e)
    cross, coefficients, right = brackets(section(text, "The normal equations: X'X b^ = X'y"))
    agree(cross, X.T @ X)
    agree(coefficients, b)
    agree(right, X.T @ y)
    agree(brackets(section(text, "Their solution"))[0], inverse)
    variance, error = brackets(section(text, "Var(b^)"))
    agree(variance, s2 * inverse)
    agree(error, np.sqrt(np.diag(s2 * inverse)))
    assert f"s2 = e^'e^ / (n - rank) = 17.6667 / (7 - 2) = {s2:.6g}" in text


def test_rank_deficiency_shows_a_generalised_inverse_and_the_null_space():
    fit = hd.lm("y ~ A * B", CELLS)
    text = fit.explain()
    X = fit.design.X
    g, b = brackets(section(text, "Their solution: b^ = (X'X)^- X'y, one of many"))
    cross = X.T @ X
    np.testing.assert_allclose(cross @ g[0] @ cross, cross, atol=1e-9)
    agree(b, g[0] @ X.T @ CELLS.y)
    ((null, _),) = brackets(section(text, "The null space: X N = 0"))
    np.testing.assert_allclose(X @ null, 0.0, atol=1e-12)
    assert null.shape == (9, 3) and "X'X is singular: rank 6 of 9" in text
    assert "no row has A a1 with B b3" in text
    variance, _ = brackets(section(text, "Var(b^)"))
    agree(variance, fit.vcov)


def test_weights():
    data = SIRES.assign(w=[1.0, 2, 4, 1, 2, 4, 8])
    fit = hd.lm("y ~ x", data, weights="w")
    text = fit.explain()
    X, W = fit.design.X, np.diag(data.w)
    cross, b, right = brackets(section(text, "The normal equations: X'V^-1X b^ = X'V^-1y"))
    agree(cross, X.T @ W @ X)
    agree(b, np.linalg.solve(X.T @ W @ X, X.T @ W @ data.y))
    agree(right, X.T @ W @ data.y)
    ((diagonal, _),) = brackets(section(text, "The residuals: Var(e) = s2 V, V = diag(1 / weights)"))
    np.testing.assert_allclose(diagonal[:, 0], 1 / data.w)
    assert "s2 = e^'V^-1e^ / (n - rank)" in text


def test_a_generalised_fit_shows_v():
    data = pd.DataFrame(
        {"y": [1.2, 2.1, 2.9, 4.2, 5.5, 5.6, 7.1, 8.3], "t": [1, 2, 3, 4, 1, 2, 3, 4], "g": list("aaaabbbb")}
    )
    fit = hd.gls("y ~ t", data, residual="ar1(0 + t | g)")
    text = fit.explain()
    phi = float(fit.variance_components.estimate[0])
    lag = np.abs(np.subtract.outer(data.t.to_numpy(), data.t.to_numpy()))
    V = phi**lag * np.equal.outer(data.g.to_numpy(), data.g.to_numpy())
    ((shown, unit),) = brackets(section(text, "The residuals: Var(e) = s2 V"))
    agree((shown, unit), V)
    X, y = fit.design.X, data.y.to_numpy()
    cross, b, right = brackets(section(text, "The normal equations: X'V^-1X b^ = X'V^-1y"))
    vi = np.linalg.inv(V)
    agree(cross, X.T @ vi @ X)
    agree(b, np.linalg.solve(X.T @ vi @ X, X.T @ vi @ y))
    agree(right, X.T @ vi @ y)
    e = y - X @ fit.coefficients
    assert f"{e @ vi @ e:.6g} / (8 - 2) = {e @ vi @ e / 6:.6g}" in text
    ml = hd.gls("y ~ t", data, residual="ar1(0 + t | g)", reml=False)
    assert f"/ n = {ml.rss:.6g} / 8 = {ml.sigma**2:.6g}" in ml.explain()


def test_one_group_of_a_longer_series_shows_its_block():
    fit = hd.gls("Reaction ~ Days", hd.datasets.load("sleepstudy"), residual="ar1(0 + Days | Subject)")
    text = fit.explain()
    assert "among the rows of Subject 308; rows of different levels are independent:" in text
    ((shown, unit),) = brackets(section(text, "The residuals"))
    phi = float(fit.variance_components.estimate[0])
    agree((shown, unit), phi ** np.abs(np.subtract.outer(np.arange(10), np.arange(10))))


@pytest.mark.parametrize("weighted", [False, True])
def test_hendersons_equations(weighted):
    """The coefficient matrix and the right-hand side by numpy, and their solution by numpy's solve."""
    weights = {"weights": "w"} if weighted else {}
    data = SIRES.assign(w=[1.0, 2, 4, 1, 2, 4, 8])
    fit = hd.lmm("y ~ herd + (1 | sire)", data, fixed_parameters={"sire": 4.0, "Residual": 6.0}, **weights)
    text = fit.explain()
    X = fit.design.X
    Z = (data.sire.to_numpy()[:, None] == np.array(list("ABC"))).astype(float)
    R = 6.0 * np.diag(1 / data.w if weighted else np.ones(7))
    ri, G = np.linalg.inv(R), 4.0 * np.eye(3)
    W = np.column_stack([X, Z])
    C = W.T @ ri @ W
    C[2:, 2:] += np.linalg.inv(G)
    r = W.T @ ri @ data.y.to_numpy()
    left, right = brackets(section(text, "Henderson's mixed-model equations")[: 4 + 5])
    agree(left, C)
    agree(right, r)
    agree(
        brackets(text.split("Their solution")[1].split("Var(b^)")[0].splitlines())[0], np.linalg.solve(C, r)
    )
    ((v, unit),) = brackets(section(text, "The response"))
    agree((v, unit), Z @ G @ Z.T + R)
    variance, _ = brackets(section(text, "Var(b^)"))
    agree(variance, np.linalg.inv(C)[:2, :2])
    ((g, unit),) = brackets(section(text, "The random effects"))
    agree((g, unit), G)
    lines = section(text, "The model")
    assert "columns of Z: sire A, sire B, sire C" in lines


def test_slopes_within_abridged_levels():
    """Effects of a level of which only some are shown: G^-1 is that of the level, not of what is shown."""
    fit = hd.lmm("Reaction ~ Days + (Days | Subject)", hd.datasets.load("sleepstudy"))
    text = fit.explain()
    lines = [line for line in section(text, "Henderson's mixed-model equations") if "..." in line]
    entry = float(lines[8].split("...")[1].split()[0])  # Subject 371, Days
    block = fit.design.blocks[0]
    values = block.values[block.codes == 16]
    exact = (values.T @ values / fit.sigma**2 + np.linalg.inv(fit.solution.covariances[0]))[1, 1]
    assert entry == pytest.approx(exact, abs=1e-5)
    assert "(9 of the 36 random effects are shown)" in text


def test_a_singular_g_has_equations_too():
    fit = hd.lmm("y ~ herd + (1 | sire)", SIRES, fixed_parameters={"sire": 0.0, "Residual": 6.0})
    text = fit.explain()
    assert "in a form that a singular G allows: u = G v" in text
    left, right = brackets(section(text, "Henderson's mixed-model equations")[: 4 + 5])
    X = fit.design.X
    Z = (SIRES.sire.to_numpy()[:, None] == np.array(list("ABC"))).astype(float)
    agree(left, np.block([[X.T @ X / 6, np.zeros((2, 3))], [Z.T @ X / 6, np.eye(3)]]))
    agree(right, np.column_stack([X, Z]).T @ SIRES.y / 6)
    agree(
        brackets(text.split("Their solution")[1].split("Var(b^)")[0].splitlines())[0],
        [*fit.coefficients, 0, 0, 0],
    )


def test_an_offset_and_rows_left_out_are_said():
    data = SIRES.assign(o=2.0)
    data.loc[2, "x"] = np.nan
    text = hd.lm("y ~ x", data, offset="o").explain()
    assert "y is the response less its offset." in text and "1 of 7 rows left out" in text
    assert brackets(section(text, "Fitted values"))[0][0][0, 0] == 7.0


def test_large_data_are_abridged():
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.normal(size=(5000, 30)), columns=[f"x{i}" for i in range(30)]).assign(y=1.0)
    data["y"] = data.x0 + rng.normal(size=5000)
    text = hd.lm("y ~ " + " + ".join(f"x{i}" for i in range(30)), data).explain()
    assert len(text.splitlines()) < 100 and max(map(len, text.splitlines())) < 200 and " .. " in text


def test_parts_of_it():
    fit = hd.lm("y ~ sex", SEXES)
    whole = fit.explain()
    for part in ("model", "fitted", "V", "equations", "solution", "s2", "variance"):
        assert all(line in whole for line in fit.explain(part).splitlines())
    assert len(fit.explain("s2").splitlines()) == 6
    with pytest.raises(hd.ModelError, match=r"no part 'varance'.* The closest is 'variance'"):
        fit.explain("varance")


def test_it_prints_as_it_is_and_in_a_notebook():
    text = hd.lm("y ~ sex", SEXES).explain()
    assert isinstance(text, str) and repr(text) == str(text)
    assert text._repr_html_().startswith("<pre>y ~ sex\n")


def test_a_loaded_fit_has_no_rows_to_show(tmp_path):
    hd.lmm("y ~ herd + (1 | sire)", SIRES).save(tmp_path / "fit.zip")
    with pytest.raises(hd.ModelError, match="rows"):
        hd.load(tmp_path / "fit.zip").explain()


def test_columns_of_numbers():
    assert texts(np.array([[1.0, 0.5], [10.0, -2.0]])) == [["1", "0.5"], ["10", "-2.0"]]
    assert texts(np.array([[1e12], [0.0]])) == [["1.000e+12"], ["0"]]
    assert texts(np.array([[1.0], [1e-15]])) == [["1"], ["0"]]
    assert side_by_side(matrix("a", np.array([1.0, 2.0])), "=", matrix("b", np.eye(2))) == [
        "  a        b",
        "[ 1 ]   [ 1 0 ]",
        "[ 2 ] = [ 0 1 ]",
    ]
