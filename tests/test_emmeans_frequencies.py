"""What marginal means of a weighted model count: its weights, as emmeans does.

R 4.2.2, emmeans 1.8.4.1: `emmeans(lm(y ~ a + b, w, weights = w, model = FALSE), "a", weights = "proportional")`. With the model
frame kept, releases before 1.8.6 lose the weights where the formula has no function (4.625, 6.0417; the news of 1.8.6: "prior
weights did not always come through").
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson as hd

ROWS = pd.DataFrame(
    {
        "y": [1, 2, 3, 5, 8, 13.0],
        "a": list("pqpqpq"),
        "b": list("uuvvvv"),
        "w": [10, 10, 1, 1, 1, 1.0],
    }
)


@pytest.mark.parametrize(
    ("weights", "means", "error"),
    [
        ("equal", [3.66666666667, 5.08333333333], 1.39036033166),
        ("proportional", [1.75, 3.16666666667], 1.17506894991),
        ("outer", [1.75, 3.16666666667], 1.17506894991),
        ("cells", [1.75, 3.16666666667], 1.17506894991),
        ("flat", [3.66666666667, 5.08333333333], 1.39036033166),
    ],
)
def test_the_weights_of_a_model_are_counted(weights, means, error):
    got = hd.lm("y ~ a + b", ROWS, weights="w").emmeans("a", weights=weights).columns
    np.testing.assert_allclose(got["estimate"], means, rtol=1e-10)
    np.testing.assert_allclose(got["std_error"], [error, error], rtol=1e-10)


def test_a_saved_fit_counts_the_same(tmp_path):
    fit = hd.lm("y ~ a + b", ROWS, weights="w")
    fit.save(tmp_path / "fit.hd")
    again = hd.load(tmp_path / "fit.hd").emmeans("a", weights="proportional").columns
    np.testing.assert_allclose(again["estimate"], [1.75, 3.16666666667], rtol=1e-10)
