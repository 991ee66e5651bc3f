"""SNP-BLUP and GBLUP are one model: marker effects from breeding values and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from henderson.errors import DataError
from henderson.genetics.conditioning import blend
from henderson.genetics.dominant import dominance
from henderson.genetics.genomic import grm
from henderson.genetics.markers import Markers
from henderson.genetics.snp_blup import genomic_values, marker_effects


def data(n: int, s: int, seed: int = 0) -> tuple[Markers, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.binomial(2, rng.uniform(0.2, 0.8, s), (n, s))
    return Markers(x, [f"a{k}" for k in range(n)]), rng.normal(size=n) + 3.0


def blup(k: np.ndarray, y: np.ndarray, ratio: float) -> np.ndarray:
    """u^ of y = mu + u + e with var(e) / var(u) = ratio."""
    v = np.linalg.inv(k + ratio * np.eye(len(y)))
    mu = v.sum(axis=0) @ y / v.sum()
    return k @ v @ (y - mu)


def snp_blup(w: np.ndarray, y: np.ndarray, ratio: float) -> np.ndarray:
    """a^ of y = mu + W a + e, by Henderson's equations."""
    m = np.column_stack([np.ones(len(y)), w])
    c = m.T @ m + np.diag([0.0] + [ratio] * w.shape[1])
    return np.linalg.solve(c, m.T @ y)[1:]


@pytest.mark.parametrize(("n", "s"), [(25, 9), (9, 25)])
@pytest.mark.parametrize("method", ["vanraden1", "vanraden2"])
def test_effects_are_those_of_snp_blup(n, s, method):
    m, y = data(n, s)
    g = grm(m, method)
    w = g.basis.columns(m)
    np.testing.assert_allclose(w @ w.T, g.covariance, atol=1e-13)
    expected = snp_blup(w, y, 0.7) / g.basis.divisor
    got = marker_effects(blup(g.covariance, y, 0.7), m, g)
    np.testing.assert_allclose(got["effect"], expected, atol=1e-11)
    np.testing.assert_array_equal(got["marker"], g.basis.names)


def test_effects_with_a_base_population():
    m, y = data(8, 30)
    g = grm(m, frequencies=np.full(30, 0.4))
    assert np.isfinite(g.log_determinant)
    got = marker_effects(blup(g.covariance, y, 0.7), m, g)
    np.testing.assert_allclose(
        got["effect"], snp_blup(g.basis.columns(m), y, 0.7) / g.basis.divisor, atol=1e-11
    )


def test_values_come_back_and_are_predicted_for_others():
    m, y = data(10, 40)
    g = grm(m)
    u = blup(g.covariance, y, 0.5)
    effects = marker_effects(dict(zip(g.ids, u, strict=True)), m, g)
    back = genomic_values(effects, m)
    np.testing.assert_allclose(back["value"], u, atol=1e-11)
    np.testing.assert_array_equal(back["id"], g.ids)
    # A clone of a3 whose markers come in another order, without the first, which counts as the mean.
    x = m.block(0, 40)[3][::-1].copy()
    new = genomic_values(effects, Markers(x[None, :], ["clone"], names=m.names[::-1]))
    np.testing.assert_allclose(new["value"], u[3], atol=1e-11)
    x[-1] = np.nan
    new = genomic_values(effects, Markers(x[None, :], ["clone"], names=m.names[::-1]))
    first = effects["effect"][0] * (m.block(0, 1)[3, 0] - 2 * effects["frequency"][0])
    np.testing.assert_allclose(new["value"], u[3] - first, atol=1e-11)


def test_values_after_blending_leave_the_share_of_the_markers():
    m, y = data(10, 40)
    g = grm(m)
    k = blend(g, weight=0.1)
    u = blup(k.covariance, y, 0.5)
    effects = marker_effects(u, m, k, share=0.9)
    np.testing.assert_allclose(
        genomic_values(effects, m)["value"], 0.9 * g.covariance @ np.linalg.solve(k.covariance, u), atol=1e-11
    )


def test_values_are_matched_by_id_and_several_forms_are_taken():
    m, y = data(10, 40)
    u = blup(grm(m).covariance, y, 0.5)
    expected = marker_effects(u, m)["effect"]
    series = pd.Series(u, index=m.ids)[::-1]
    table = pd.DataFrame({"group": "g", "level": m.ids, "estimate": u}).sample(frac=1, random_state=1)
    for form in (series, table, dict(zip(m.ids, u, strict=True))):
        np.testing.assert_allclose(marker_effects(form, m)["effect"], expected, atol=1e-13)


def test_faults_are_named():
    m, y = data(10, 40)
    with pytest.raises(DataError, match="10 values are wanted"):
        marker_effects(y[:3], m)
    with pytest.raises(DataError, match="level 'a9' of the relationship is not in u"):
        marker_effects(dict(zip(m.ids[:9], y, strict=False)), m)
    with pytest.raises(DataError, match="several values"):
        marker_effects(pd.DataFrame({"level": ["a0", "a0"], "estimate": [1.0, 2.0]}), m)
    with pytest.raises(DataError, match="columns level and estimate"):
        marker_effects(pd.DataFrame({"id": ["a0"], "value": [1.0]}), m)
    with pytest.raises(DataError, match="dominance"):
        marker_effects(y, m, dominance(m))
    with pytest.raises(DataError, match=r"no column is called 'effect'\. The closest is 'effects'"):
        genomic_values(pd.DataFrame({"marker": ["m1"], "frequency": [0.5], "effects": [1.0]}), m)
    with pytest.raises(DataError, match=r"'m99'.*not in these markers"):
        genomic_values(pd.DataFrame({"marker": ["m99"], "frequency": [0.5], "effect": [1.0]}), m)
    with pytest.raises(DataError, match="the ploidy is 4, and 2"):
        grm(m).basis.columns(Markers(np.eye(2), range(2), ploidy=4))
