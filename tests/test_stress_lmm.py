"""Random small models that make optimisers stop early: never above the best of lme4 and glmm by more than 1e-4.

A part of bench/stress.py (which has 300 models and fits the peers itself): their criteria are in stress.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
KEPT = json.loads((HERE / "reference" / "stress.json").read_text())["models"]

sys.path.insert(0, str(HERE.parent / "bench"))
stress_data = pytest.importorskip("stress_data", reason="bench/ is not in this copy of the project")


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: str(kept["number"]))
def test_no_program_finds_a_better_optimum(kept):
    import henderson as hd

    model = stress_data.model(kept["number"])
    if float(model.frame["y"].sum()) != pytest.approx(kept["sum_y"], abs=1e-6):
        pytest.skip("this NumPy draws other random numbers than the one the peers' results were made with")
    fit = hd.lmm(model.formula, model.frame, reml=model.reml)
    assert fit.deviance <= min(kept["lme4"], kept["glmm"]) + 1e-4, f"{model.formula} ({model.note})"
    assert fit.status.predicted_decrease < 1e-6
