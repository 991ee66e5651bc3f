"""The witnesses of tests/reference as models henderson can fit. README.md there says what each field is."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
WITNESSES = HERE / "reference" / "lme4"
SHARED = HERE.parent.parent / "shared" / "reference"

DERIVED = {
    "factor(nitro)": lambda d: d["nitro"].map(lambda v: f"{v:g}"),
    "1 + Days %% 3": lambda d: 1.0 + d["Days"] % 3,
    "5 * Days + 10 * (Days %% 2)": lambda d: 5.0 * d["Days"] + 10.0 * (d["Days"] % 2),
    "2 * Days": lambda d: 2.0 * d["Days"],
}
"""R expressions of the witnesses' derived columns, made here by name."""


def names() -> list[str]:
    """All cases, in a fixed order."""
    return sorted(path.stem for path in WITNESSES.glob("*.json"))


@cache
def witness(name: str) -> dict[str, Any]:
    """The JSON of one case."""
    return json.loads((WITNESSES / f"{name}.json").read_text())


def missing(name: str) -> str | None:
    """Why the case's data cannot be had, or None."""
    case = witness(name)
    if ":" not in case["data"] and not (SHARED / "data" / case["data"]).exists():
        return f"{case['data']} is read from ../shared/reference/data, which is not here"
    return None


@lru_cache(maxsize=4)
def frame(name: str) -> pd.DataFrame:
    """The rows as R read them: factors as text categories in R's order of levels."""
    case = witness(name)
    if ":" in case["data"]:
        import henderson as hd

        data = pd.DataFrame(hd.datasets.load(case["data"].split(":")[1])).copy()
    else:
        text = {column: str for column in case["text_columns"]}
        path = SHARED / "data" / case["data"]
        data = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    for column, expression in (case["derived"] or {}).items():
        data[column] = DERIVED[expression](data)
    for column in case["text_columns"]:
        values = data[column].astype(object)
        values = values.where(values.isna(), values.map(str))
        data[column] = pd.Categorical(values, categories=case["factor_levels"].get(column))
    return data


@cache
def fit(name: str):
    """henderson's fit of the case."""
    import henderson as hd

    case = witness(name)
    options = {key: case[key] for key in ("weights", "offset") if case[key]}
    return hd.lmm(case["formula"], frame(name), reml=case["reml"], **options)


def components(name: str) -> dict[tuple[str, str], tuple[float, float]]:
    """The witness's variances and covariances: (group, henderson's term) -> (value, scale of the entry)."""
    out = {}
    rows = witness(name)["components"]
    variance = {(r["term"], r["effect1"]): r["vcov"] for r in rows if r["effect1"] == r["effect2"]}
    for r in rows:
        first, second = r["effect1"], r["effect2"]
        term = first if first == second else f"cov({first}, {second})"
        scale = float(np.sqrt(variance[r["term"], first] * variance[r["term"], second]))
        out[r["group"], term or "Residual"] = (r["vcov"], scale)
    return out


def best_reported(name: str) -> dict[str, float]:
    """-2 log-likelihood reached by every program's run of this model, by where it is reported."""
    case = witness(name)
    found = {f"tests/reference/lme4/{name}.json": case["criterion"]}
    for run, value in case["witness"]["runs"].items():
        found[f"lme4 {run}"] = value
    shared = SHARED / "cases" / f"{SHARED_CASES.get(name, '')}.json"
    if name in SHARED_CASES and shared.exists():
        estimates = json.loads(shared.read_text())["estimates"]
        for key in ("neg2ll", "tight"):
            if key in estimates:
                found[f"{shared.name} {key}"] = estimates[key]["neg2ll"] if key == "tight" else estimates[key]
        for key, value in estimates.get("optim_logLiks", {}).items():
            found[f"{shared.name} {key}"] = -2 * value
        for key, run in estimates.get("runs", {}).items():
            found[f"{shared.name} {key}"] = -2 * run["ll"]
    return found


SHARED_CASES = {
    "sleep_rs": "lmm_sleep_rs",
    "sleep_rs_ml": "lmm_sleep_rs_ml",
    "sleep_ri": "lmm_sleep_ri",
    "sleep_quad": "lmm_sleep_quad",
    "shared_sleep_weights": "lmm_sleep_weights",
    "dyestuff": "lmm_dyestuff",
    "dyestuff_ml": "lmm_dyestuff_ml",
    "dyestuff2": "lmm_dyestuff2_singular",
    "penicillin": "lmm_penicillin",
    "pastes": "lmm_pastes",
    "oats_split": "lmm_oats_split",
    "machines": "lmm_machines_full",
    "machines_0": "lmm_machines_0",
    "ergostool": "lmm_ergostool",
    "insteval": "lmm_insteval_service",
    "insteval_fixed": "lmm_insteval_dept_service_fixed",
    "shared_alfalfa": "lmm_alfalfa",
    "shared_bdf": "lmm_bdf",
    "shared_bodyweight": "lmm_bodyweight",
    "shared_chem97": "lmm_chem97",
    "shared_chem97_rs": "lmm_chem97_rs_multistart",
    "shared_egsingle": "lmm_egsingle",
    "shared_exam": "lmm_exam",
    "shared_gcsemv": "lmm_gcsemv_bivariate",
    "shared_pixel": "lmm_pixel",
}
"""Our cases and the files of ../shared/reference/cases with the same model and the same coding."""
