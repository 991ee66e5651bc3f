"""The witnesses of reference/anova (make.R there says by which program and call) and their data."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import henderson as hd

CASES: dict[str, Any] = json.loads((Path(__file__).parent / "reference" / "anova" / "anova.json").read_text())


@cache
def data(name: str) -> pd.DataFrame:
    if name in CASES["data"]:
        return pd.DataFrame({column: _column(v) for column, v in CASES["data"][name].items()})
    table = hd.datasets.load({"oats": "Oats", "machines": "Machines"}.get(name.removesuffix("_some"), name))
    if name in CASES["dropped"]:
        table = table.drop(index=[i - 1 for i in CASES["dropped"][name]])
    return table


def _column(values: Any) -> Any:
    return (
        pd.Categorical(values["values"], values["levels"]) if isinstance(values, dict) else np.array(values)
    )


def rows(witness: dict[str, Any]) -> dict[str, dict[str, float]]:
    """A table of R by term."""
    names = [witness["term"]] if isinstance(witness["term"], str) else witness["term"]
    columns = {k: v if isinstance(v, list) else [v] for k, v in witness.items() if k != "term"}
    return {name: {k: v[i] for k, v in columns.items()} for i, name in enumerate(names)}
