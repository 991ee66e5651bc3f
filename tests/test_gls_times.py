"""Times and coordinates that are labels: refused with what to write instead, or taken as steps where their order was chosen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson as hd


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    groups, times = np.repeat(np.arange(9), 12), np.tile(np.arange(12), 9)
    v = 0.7 ** np.abs(np.arange(12)[:, None] - np.arange(12))
    y = (rng.standard_normal((9, 12)) @ np.linalg.cholesky(v).T).ravel()
    words = np.array(list("lkjihgfedcba"))[times]
    return pd.DataFrame({"g": groups, "t": times, "text": times.astype(str), "word": words, "y": y})


@pytest.mark.parametrize("structure", ["ar1", "ou", "arma", "toep", "ar1h", "exp", "gau"])
def test_numbers_as_text_are_refused(table, structure):
    options = ", p=1, q=0" if structure == "arma" else ""
    with pytest.raises(
        hd.DataError, match=r"column 'text' holds numbers as text \('0', '1', '10', '11' \.\.\.\)"
    ):
        hd.gls("y ~ 1", table, residual=f"{structure}(0 + text | g{options})")


@pytest.mark.parametrize("structure", ["ar1", "toep"])
def test_words_are_refused_where_steps_are_counted(table, structure):
    with pytest.raises(hd.DataError, match=r"whose order would be the alphabet's.*or an ordered factor"):
        hd.gls("y ~ 1", table, residual=f"{structure}(0 + word | g)")


@pytest.mark.parametrize(
    "term", ["ou(0 + word | g)", "(1 | sph(word, t)) + (1 | units)", "(1 | ou(word):ou(t)) + (1 | units)"]
)
def test_words_are_refused_where_distances_are_measured(table, term):
    with pytest.raises(hd.DataError, match="measures distances, and column 'word' holds labels"):
        hd.gls("y ~ 1", table, residual=term)


def test_levels_in_a_chosen_order_are_steps(table):
    """ar1 of an ordered factor is ar1 of the numbers of its levels; ou of one is refused."""
    expected = hd.gls("y ~ 1", table, residual="ar1(0 + t | g)")
    order = [str(k) for k in range(12)]
    steps = table.assign(step=pd.Categorical(table["text"], order, ordered=True))
    fit = hd.gls("y ~ 1", steps, residual="ar1(0 + step | g)")
    np.testing.assert_allclose(fit.loglik, expected.loglik, rtol=1e-12)
    shuffled = table.assign(step=table["text"].astype("category"))
    with pytest.raises(hd.DataError, match="holds numbers as labels"):
        hd.gls("y ~ 1", shuffled, residual="ar1(0 + step | g)")
    with pytest.raises(hd.DataError, match="make numbers of it first"):
        hd.gls("y ~ 1", steps, residual="ou(0 + step | g)")
