"""Predictions and their variances: against the dense twin, against lme4 where it can say, and their refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_engine import SYSTEMS, assert_close, models, solved
from twin import random_design

from henderson.mixed.prediction import by_pattern, by_solves


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
@given(spec=models)
@settings(max_examples=25, deadline=None)
def test_pattern_of_the_inverse_gives_what_solves_give(system, spec):
    # rows of the data (levels that met) and rows with random levels (some of which never did)
    design = random_design(**spec)
    fit = solved(design, system, True)
    rng = np.random.default_rng(spec["seed"])
    n = len(design.y) + 40
    x = rng.normal(size=(n, design.X.shape[1]))
    parts = [rng.normal(size=(n, len(b.effects))) for b in design.blocks]
    levels = [np.concatenate([b.codes, rng.integers(0, len(b.levels), 40)]) for b in design.blocks]
    parts[-1][-3:] = 0.0
    assert_close(by_pattern(fit, x, parts, levels), by_solves(fit, x, parts, levels), 1e-7)
