"""Likelihoods with several maxima: never below the maximum that nlme finds, nor below that of a nested model.

Witness: R 4.2, nlme::gls with corSymm, corExp, corGaus, corRatio, corSpher and corARMA, the best of both optimisers
(tests/reference/gls_optima/make.R).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import henderson as hd

HERE = Path(__file__).parent / "reference" / "gls_optima"
DATA = json.loads((HERE / "data.json").read_text())
NLME = json.loads((HERE / "nlme.json").read_text())


def _table(name):
    if name == "rat4":
        return pd.DataFrame({**DATA["sph4"], **DATA["rat4"]})
    table = pd.DataFrame(DATA[name])
    if "g" in table:
        table["visit"] = table.groupby("g").cumcount()
    return table


@pytest.mark.parametrize("name", ["rnd1", "rnd3", "rnd7"])
@pytest.mark.parametrize("reml", [True, False])
def test_unstructured_correlations_reach_the_highest_maximum(name, reml):
    fit = hd.gls("z ~ t", _table(name), residual="cor(0 + visit | g)", reml=reml)
    assert fit.status.verdict == "converged"
    expected = NLME[f"cor|{name}|{'REML' if reml else 'ML'}"]
    np.testing.assert_allclose(fit.loglik, expected, rtol=0, atol=1e-7)


def test_order_of_positions_does_not_change_an_unstructured_fit():
    """`us` of relabelled visits is the same model, with other coordinates and so other starts."""
    table = _table("rnd7")
    fit = hd.gls("z ~ t", table, residual="us(0 + visit | g)")
    turned = hd.gls("z ~ t", table.assign(visit=(3 * table["visit"]) % 5), residual="us(0 + visit | g)")
    np.testing.assert_allclose(fit.loglik, turned.loglik, rtol=0, atol=1e-7)
