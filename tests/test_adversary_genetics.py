"""Breeding models as a user who distrusts them asks them: laws, dense twins and inputs that must be refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson as hd


@pytest.fixture(scope="module")
def herd():
    """60 animals, half of them founders, with two traits."""
    rng = np.random.default_rng(12)
    n, founders = 60, 20
    sire, dam = np.full(n, -1), np.full(n, -1)
    for i in range(founders, n):
        pool = np.arange(max(0, i - 20), i)
        sire[i], dam[i] = rng.choice(pool[pool % 2 == 0]), rng.choice(pool[pool % 2 == 1])
    pedigree = hd.genetics.Pedigree.from_arrays(sire, dam, [f"a{i}" for i in range(n)])
    u = pedigree.simulate([[10.0, 3.0], [3.0, 6.0]], seed=3)
    table = pd.DataFrame({"animal": pedigree.ids, "sex": np.where(np.arange(n) % 3 == 0, "m", "f")})
    table["y1"] = 20 + 2 * (table["sex"] == "m") + u[:, 0] + rng.normal(0, 3, n)
    table["y2"] = 5 + u[:, 1] + rng.normal(0, 3, n)
    table.loc[::7, "y2"] = np.nan
    return pedigree, table


@pytest.mark.parametrize("residual", ["us(0 + trait | units)", "diag(0 + trait | units)"])
@pytest.mark.parametrize("scale", [1e8, 1e-8])
def test_traits_in_units_far_apart_are_reported(herd, residual, scale):
    """Var(c y) = c^2 Var(y), at standard deviations 1e8 apart: the report has no range of its own."""
    pedigree, table = herd
    formula, left = "cbind(y1, y2) ~ 0 + trait + us(0 + trait | vm(animal, A))", {"A": pedigree}
    one = hd.lmm(formula, table, residual=residual, relationships=left)
    other = hd.lmm(formula, table.assign(y2=table["y2"] * scale), residual=residual, relationships=left)
    for column in ("estimate", "std_error"):
        before, after = (fit.variance_components[column].to_numpy() for fit in (one, other))
        powers = [
            scale ** name.count("y2") if name.startswith("cov") else scale ** (2 * name.count("y2"))
            for name in one.variance_components["term"]
        ]
        np.testing.assert_allclose(after, before * powers, rtol=1e-4)


# Colditz et al. (1994), BCG vaccine: log risk ratios and sampling variances, as metafor's dat.bcg prints them to three digits.
BCG_Y = [-0.889, -1.585, -1.348, -1.442, -0.218, -0.786, -1.621, 0.012, -0.469, -1.371, -0.339, 0.446, -0.017]
BCG_V = [0.326, 0.195, 0.415, 0.020, 0.051, 0.007, 0.223, 0.004, 0.056, 0.073, 0.012, 0.533, 0.071]


def test_known_sampling_variances_are_not_called_held_by_the_user():
    """metafor's rma(yi, vi): tau^2 0.3132 (REML), mu -0.7145 (se 0.1798); here to the three digits of the data."""
    ids = [f"s{i}" for i in range(13)]
    fit = hd.lmm(
        "y ~ 1 + (1 | study)",
        {"y": BCG_Y, "study": ids},
        residual="vm(study, V)",
        relationships={"V": (np.diag(BCG_V), ids)},
    )
    tau2 = fit.variance_components["estimate"][0]
    w = 1.0 / (np.array(BCG_V) + tau2)
    assert abs(tau2 - 0.3132) < 5e-4
    np.testing.assert_allclose(fit.coefficients, w @ BCG_Y / w.sum(), rtol=1e-10)
    np.testing.assert_allclose(fit.vcov, [[1.0 / w.sum()]], rtol=1e-10)
    assert "held by the user" not in fit.summary()


@pytest.mark.parametrize("size", [1.0, 3.0])
def test_a_dense_identity_cannot_be_told_from_the_residual(herd, size):
    """K = c I with a record a level: V = (c s_a^2 + s_e^2) I. The eigenvectors of K make a model of one parameter, of which nothing is
    known: it used to be reported as converged, without a word."""
    _, table = herd
    fit = hd.lmm(
        "y1 ~ sex + (1 | vm(animal, K))",
        table,
        relationships={"K": (size * np.eye(len(table)), table["animal"])},
    )
    assert "not identifiable" in str(fit.status)
    assert "(Intercept) of vm(animal, K), Residual:" in str(fit.status)


def test_a_constant_relationship_is_the_intercept(herd):
    """K = 11': one effect for all, which the intercept has."""
    _, table = herd
    n = len(table)
    fit = hd.lmm(
        "y1 ~ sex + (1 | vm(animal, K))", table, relationships={"K": (np.ones((n, n)), table["animal"])}
    )
    assert "not identifiable" in str(fit.status)
    assert "Residual:" not in str(fit.status)


def test_only_those_that_cannot_be_told_apart_are_named(herd):
    """One record an animal: its lasting environment is its residual; its breeding value is neither."""
    pedigree, table = herd
    table = table.assign(
        y1=pedigree.simulate(100.0, seed=5) + np.random.default_rng(6).normal(0, 5, len(table))
    )
    fit = hd.lmm("y1 ~ sex + (1 | vm(animal, A)) + (1 | animal)", table, relationships={"A": pedigree})
    assert "a combination of (Intercept) of animal, Residual:" in str(fit.status)


def test_a_relationship_of_zeros_is_refused(herd):
    _, table = herd
    n = len(table)
    with pytest.raises(hd.DataError, match="K: every entry of the matrix is 0"):
        hd.lmm(
            "y1 ~ sex + (1 | vm(animal, K))", table, relationships={"K": (np.zeros((n, n)), table["animal"])}
        )


@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_a_relationship_in_other_units(herd, size):
    """s2 K = (s2 / c) (c K): where K is c times what it was, the variance is 1 / c. An inverse of 1e-9 K^-1 used to end at a residual
    variance of 0 and call it converged."""
    pedigree, table = herd
    table = table.assign(
        y1=pedigree.simulate(100.0, seed=5) + np.random.default_rng(6).normal(0, 5, len(table))
    )
    given = hd.genetics.Relationship.from_precision(pedigree.inverse / size, pedigree.ids)
    one, other = (
        hd.lmm("y1 ~ sex + (1 | vm(animal, A))", table, relationships={"A": each})
        for each in (pedigree, given)
    )
    assert abs(one.deviance - other.deviance) < 1e-6
    np.testing.assert_allclose(
        other.variance_components["estimate"] * [size, 1.0], one.variance_components["estimate"], rtol=1e-4
    )
    assert other.status.verdict == one.status.verdict == "converged"


def test_a_field_without_its_bar_is_told_where_it_goes(herd):
    """As ASReml writes it."""
    _, table = herd
    table = table.assign(row=np.arange(60) // 6, col=np.arange(60) % 6)
    with pytest.raises(hd.FormulaError, match=r"right of a bar, \(1 \| ar1\(row\):ar1\(col\)\)\."):
        hd.lmm("y1 ~ 1 + (1 | sex)", table, residual="ar1(row):ar1(col)")


@pytest.mark.parametrize(
    ("number", "said"), [(98400030000000001, "too large to be exact"), (np.inf, "it is nobody's id")]
)
def test_ids_that_are_not_the_numbers_they_were_are_refused(number, said):
    """17 digits in a column with a missing value: pandas reads decimals, and neighbours become one animal."""
    table = pd.DataFrame({"animal": ["a", "b"], "sire": [np.nan, number], "dam": [np.nan, np.nan]})
    with pytest.raises(hd.DataError, match=f"column 'sire' has .* in row 1 .*{said}"):
        hd.genetics.Pedigree(table)
    with pytest.raises(hd.DataError, match=said):
        hd.genetics.Pedigree(table.assign(animal=[1.0, 2.0]))


def test_long_whole_ids_stay_apart():
    table = pd.DataFrame({"animal": [98400030000000001, 98400030000000002, 98400030000000003]})
    table = table.assign(sire=[0, 0, 98400030000000001], dam=[0, 0, 98400030000000002])
    assert list(hd.genetics.Pedigree(table).ids) == [str(i) for i in table["animal"]]
