"""The witnesses of tests/reference/diagnostics: what R 4.2.2 printed (make.R there has the calls), and our fits."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import henderson as hd

HERE = Path(__file__).resolve().parent / "reference" / "diagnostics"


@cache
def witnesses() -> dict[str, Any]:
    return json.loads((HERE / "cases.json").read_text())


def names(key: str | None = None) -> list[str]:
    """All cases, or those that have something."""
    return [name for name, case in witnesses().items() if key is None or key in case]


@cache
def table(name: str) -> pd.DataFrame:
    case = witnesses()[name]
    data = pd.DataFrame(
        {k: [np.nan if v is None else v for v in values] for k, values in case["data"].items()}
    )
    for column, levels in (case["levels"] or {}).items():
        labels = data[column].astype(object).where(data[column].notna(), None)
        data[column] = pd.Categorical(labels, categories=levels)
    return data


@cache
def fit(name: str):
    case = witnesses()[name]
    return hd.lm(case["formula"], table(name), weights=case["weights"] or None)


def numbers(values: Any) -> np.ndarray:
    """R's NA as NaN."""
    return np.array(values, dtype=object).astype(float)
