"""Small models with structures that several tests of reports ask for: a pedigree, environments, a field with plots missing."""

from __future__ import annotations

import numpy as np
import pandas as pd

import henderson as hd


def pedigree() -> pd.DataFrame:
    """40 animals of which 8 are founders without records."""
    rng = np.random.default_rng(1)
    ids = [f"a{i}" for i in range(40)]
    sires = [None] * 8 + [f"a{rng.integers(0, 4)}" for _ in range(32)]
    dams = [None] * 8 + [f"a{rng.integers(4, 8)}" for _ in range(32)]
    return pd.DataFrame({"animal": ids, "sire": sires, "dam": dams})


def trial() -> pd.DataFrame:
    """32 animals in each of three environments of 8 x 4 plots."""
    rng = np.random.default_rng(2)
    effects = rng.normal(size=32)
    field = np.add.outer(rng.normal(size=8).cumsum(), rng.normal(size=4).cumsum()).ravel()
    table = pd.DataFrame(
        {
            "animal": [f"a{i}" for i in range(8, 40)] * 3,
            "x": rng.normal(size=96),
            "z": rng.uniform(0.5, 3.0, size=96),
            "w": rng.uniform(0.5, 2.0, size=96),
            "env": np.repeat(["E1", "E2", "E3"], 32),
            "row": np.tile(np.repeat(np.arange(8), 4), 3),
            "col": np.tile(np.tile(np.arange(4), 8), 3),
        }
    )
    scale = {"E1": 0.5, "E2": 1.0, "E3": 1.5}
    noise = rng.normal(size=96) * table["env"].map(scale)
    table["y"] = 5.0 + table["x"] + np.tile(effects, 3) + 0.5 * np.tile(field, 3) + noise
    return table


def covariance() -> tuple[np.ndarray, list[str]]:
    """A dense K among the animals with records."""
    rng = np.random.default_rng(3)
    root = rng.normal(size=(32, 40)) / np.sqrt(40)
    return root @ root.T + 0.1 * np.eye(32), [f"a{i}" for i in range(8, 40)]


ANIMAL = "y ~ x + (1 | vm(animal, A))"
FACTORS = "y ~ x + fa(0 + env | vm(animal, A), k=1)"
FIELD = "(1 | ar1(row):ar1(col)) + (1 | units)"


def sleep() -> pd.DataFrame:
    return hd.datasets.load("sleepstudy")


def with_parents() -> pd.DataFrame:
    return trial().merge(pedigree(), on="animal")


def one_field() -> pd.DataFrame:
    """The last environment, without its first two plots and one inside."""
    return trial().iloc[66:].drop(index=[75])


MODELS = {
    "pedigree": (lambda: hd.lmm(ANIMAL, trial(), relationships={"A": pedigree()}), trial),
    "weights, ML": (
        lambda: hd.lmm(ANIMAL, trial(), relationships={"A": pedigree()}, weights="w", reml=False),
        trial,
    ),
    "factors": (
        lambda: hd.lmm(FACTORS, trial(), relationships={"A": pedigree()}, residual="diag(0 + env | units)"),
        trial,
    ),
    "ar1 of effects": (lambda: hd.lmm("Reaction ~ Days + ar1(0 + Days | Subject)", sleep()), sleep),
    "ar1 of residuals": (
        lambda: hd.lmm("Reaction ~ Days + (1 | Subject)", sleep(), residual="ar1(0 + Days | Subject)"),
        sleep,
    ),
    "field": (
        lambda: hd.lmm("y ~ x + (1 | col)", one_field(), residual=FIELD),
        one_field,
    ),
    "fields": (
        lambda: hd.lmm("y ~ x + env", trial().iloc[3:], residual=f"at(env):{FIELD}"),
        lambda: trial().iloc[3:],
    ),
    "sections": (
        lambda: hd.lmm(
            "y ~ x + env + (1 | animal)", trial().iloc[3:], residual="at(env):(1 | ar1(row):ar1(col))"
        ),
        lambda: trial().iloc[3:],
    ),
    "variance functions": (
        lambda: hd.lmm("y ~ x + (1 | animal)", trial(), variance="ident(env) * power(z)"),
        trial,
    ),
    "dense K": (
        lambda: hd.lmm("y ~ x + (1 | vm(animal, G))", trial(), relationships={"G": covariance()}),
        trial,
    ),
    "K beside others": (
        lambda: hd.lmm("y ~ x + (1 | vm(animal, G)) + (1 | env)", trial(), relationships={"G": covariance()}),
        trial,
    ),
    "held": (
        lambda: hd.lmm(
            ANIMAL, trial(), relationships={"A": pedigree()}, fixed_parameters={"vm(animal, A)": 1.0}
        ),
        trial,
    ),
    "spline": (lambda: hd.lmm("y ~ spl(x) + (1 | animal)", trial()), trial),
    "sire and dam": (
        lambda: hd.lmm("y ~ x + (1 | mm(sire, dam))", with_parents()),
        lambda: with_parents(),
    ),
    "dropped": (
        lambda: hd.lmm("y ~ x + x2 + cs(0 + env | animal)", trial().assign(x2=lambda d: 2 * d.x)),
        lambda: trial().assign(x2=lambda d: 2 * d.x),
    ),
}
