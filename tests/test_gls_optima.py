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


def _spatial(name, structure, nugget, reml=True):
    formula = "y ~ tr" if name == "sp" else "y ~ x"
    residual = f"(1 | {structure}(px, py))" + " + (1 | units)" * nugget
    return hd.gls(formula, _table(name), residual=residual, reml=reml)


@pytest.mark.parametrize(
    "key, atol",
    [
        ("sph|sph4|REML", 1e-7),
        ("sph|sp|REML", 1e-7),
        # Ranges without end: ours are held at 1e5 (exp) or 300 (the others) of the longest distances.
        ("exp+units|rnd3|REML", 1e-6),
        ("exp+units|rnd9|REML", 1e-6),
        ("ratio+units|rat4|REML", 1e-5),
        ("gau+units|rnd3|REML", 1e-6),
    ],
)
def test_ranges_are_scanned(key, atol):
    structure, name, _ = key.split("|")
    fit = _spatial(name, structure.removesuffix("+units"), "+units" in structure)
    assert fit.status.verdict != "not converged"
    assert fit.loglik > NLME[key] - atol


@pytest.mark.parametrize("name", ["sph4", "rat4", "rnd1", "rnd3", "rnd7", "rnd9"])
@pytest.mark.parametrize("structure", ["sph", "exp", "ratio"])
def test_a_nugget_never_lowers_the_likelihood(name, structure):
    """The model without a nugget is nested in the model with one, and so are independent residuals."""
    plain, more = _spatial(name, structure, False), _spatial(name, structure, True)
    assert more.loglik >= plain.loglik - 1e-7
    assert more.loglik >= hd.gls("y ~ x", _table(name)).loglik - 1e-7


def test_a_kink_of_the_likelihood_is_said():
    """`lin` has kinks where its range is a distance between rows: slopes of both sides, by differences, lead down to there."""
    fit = _spatial("sp", "lin", False)
    parts = fit.variance_components.set_index("term")
    reach = parts.loc["range", "estimate"]
    assert fit.status.verdict == "boundary"
    assert "kink" in str(fit.status)
    assert np.isnan(parts.loc["range", "std_error"])
    table = _table("sp")
    xy = table[["px", "py"]].to_numpy()
    distances = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    assert np.abs(distances - reach).min() < 1e-10
    for side in (1 - 1e-6, 1 + 1e-6):
        beside = hd.gls(
            "y ~ tr", table, residual="(1 | lin(px, py))", fixed_parameters={"range": reach * side}
        )
        assert beside.loglik < fit.loglik


def test_arma_reaches_nlme_or_more():
    fit = hd.gls("arma ~ x", _table("ar"), residual="(1 | arma(t, p=2, q=2))", reml=False)
    assert fit.status.verdict == "converged"
    assert fit.loglik >= NLME["arma22|ar|ML"] - 1e-7


def test_dense_series_are_the_filter():
    """arma of middling series is fitted by dense matrices, of long and of short ones by the filter: the same numbers."""
    from henderson.residuals.arma import Arma
    from henderson.residuals.base import Factor, Layout
    from henderson.residuals.catalogue import build_layout
    from henderson.residuals.dense_series import DenseSeries
    from henderson.residuals.order import series
    from henderson.residuals.statespace import StateSpace, distinct_gaps

    rng = np.random.default_rng(11)
    groups = np.repeat([0, 1, 2, 3], [15, 20, 20, 4])
    times = np.concatenate([np.sort(rng.choice(40, k, replace=False)) for k in np.bincount(groups)]).astype(
        float
    )
    shuffle = rng.permutation(len(groups))
    factor = Factor("arma", ("time",), (times[shuffle],), (None,), {"p": 2, "q": 1})
    layout = Layout(len(groups), (factor,), groups[shuffle], "g", list("abcd"), "arma", True)
    dense = build_layout(layout)
    assert isinstance(dense, DenseSeries)
    rows = series(layout)
    gaps, gap_of = distinct_gaps(rows)
    filtered = StateSpace(layout, rows, Arma(2, 1, gaps, "arma"), gap_of)
    m, t = rng.standard_normal((layout.n, 3)), np.array([0.7, -0.4, 0.3, 0.25])
    one = dense.cross_products(t, m[dense.order], True)
    other = filtered.cross_products(t, m[filtered.order], True)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)
    white = dense.whiten(t, m[dense.order])[0]
    np.testing.assert_allclose(white.T @ white, other.products, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("scale", [1e-70, 1e60])
def test_standard_errors_follow_the_scale_of_the_response(scale):
    table = _table("rnd3")
    one = hd.gls("z ~ t", table, residual="ar1(0 + t | g)").variance_components
    fit = hd.gls("z ~ t", table.assign(z=table["z"] * scale), residual="ar1(0 + t | g)").variance_components
    np.testing.assert_allclose(fit["std_error"] / [1.0, scale**2], one["std_error"], rtol=1e-6)
    with pytest.raises(hd.ModelError, match="The response is of size"):
        hd.gls("z ~ t", table.assign(z=table["z"] * 1e-100), residual="ar1(0 + t | g)")
