"""Animal models: pedigreemm's and nadiv's data, and the examples of Mrode's textbook, whose data stand here.

Mrode (2014) Linear Models for the Prediction of Animal Breeding Values, 3rd edition: animal model, sire model, repeatability,
two traits, maternal effects, random regression, dominance. Data and solutions as printed; the dense twin gives every printed
digit, so both are right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import structured_twin as tw
from structured_parts import (
    ONE,
    RES,
    Case,
    from_file,
    model,
    numerator,
    vc,
)


def cows(d, sigma):
    return vc(d, sigma, "id", k=numerator("pedigreemm_pedCowsR.csv"))


def as_text(d: pd.DataFrame) -> pd.DataFrame:
    return d.assign(id=d["id"].astype(str), herd=d["herd"].astype(str), llact=np.log(d["lact"]))


CASES = {
    "animal_milk": Case(
        "pedigreemm_milk.csv",
        "sdMilk ~ log(lact) + (1 | vm(id, A)) + (1 | herd)",
        {"animal": ("vm(id, A)", ONE), "herd": ("herd", ONE), "R": (RES, RES)},
        lambda d, p: model(
            d, "sdMilk", "1 + llact", [cows(d, p["animal"]), vc(d, p["herd"], "herd")], p["R"]
        ),
        relationships=lambda: {"A": from_file("pedigreemm_pedCowsR.csv")},
        prepare=as_text,
    ),
    "animal_milk_repeatability": Case(
        "pedigreemm_milk.csv",
        "sdMilk ~ log(lact) + (1 | vm(id, A)) + (1 | id) + (1 | herd)",
        {"animal": ("vm(id, A)", ONE), "pe": ("id", ONE), "herd": ("herd", ONE), "R": (RES, RES)},
        lambda d, p: model(
            d,
            "sdMilk",
            "1 + llact",
            [cows(d, p["animal"]), vc(d, p["pe"], "id"), vc(d, p["herd"], "herd")],
            p["R"],
        ),
        relationships=lambda: {"A": from_file("pedigreemm_pedCowsR.csv")},
        prepare=as_text,
    ),
    "animal_warcolak_A": Case(
        "nadiv_warcolak.csv",
        "trait1 ~ sex + (1 | vm(ID, A))",
        {"A": ("vm(ID, A)", ONE), "R": (RES, RES)},
        lambda d, p: model(
            d,
            "trait1",
            "1 + sex",
            [vc(d, p["A"], "ID", k=numerator("nadiv_warcolak.csv", "ID", "Sire", "Dam"))],
            p["R"],
        ),
        relationships=lambda: {"A": from_file("nadiv_warcolak.csv", "ID", "Sire", "Dam")},
        prepare=lambda d: d.assign(ID=d["ID"].astype(str)),
        note="ASReml's printed ratio 0.6383 is of another simulation: nobody reproduces it",
    ),
}


# ------------------------------------------------------------------------------------------------------------ Mrode


@dataclass(frozen=True)
class Example:
    """One example with its variances given.

    Attributes
    ----------
    printed : what the book prints: {"fixed": {term: value}, group: {(level, effect): value}}.
    dense : (y, X, terms, r) of the twin, effects of each term in the order of `levels`.
    levels : (group, levels) of each term. x_order : the twin's columns of X where `fixed` has another order.
    """

    where: str
    formula: str
    rows: pd.DataFrame
    relationships: Mapping[str, Any]
    variances: Mapping[tuple[str, str], float]
    fixed: Mapping[str, float]
    random: Mapping[str, Mapping[str, tuple[float, ...]]]
    digits: int
    dense: tuple
    levels: tuple
    residual: str | None = None
    reliability: Mapping[str, float] | None = None
    x_order: tuple[str, ...] | None = None
    units: float = 1.0
    """How many of the last digit the book's own rounding may be off."""

    def held(self) -> dict[str, float]:
        """fixed_parameters=: "group: term" of the table of variances -> value; "group" where it has one."""
        groups = [g for g, _ in self.variances]
        return {g if groups.count(g) == 1 else f"{g}: {t}": v for (g, t), v in self.variances.items()}


def _pedigree(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["animal", "sire", "dam"])


def _a(rows, ids):
    a, have = tw.numerator(rows)
    return tw.reorder(a, have, ids)


def _dummies(values, levels) -> np.ndarray:
    return np.array([[str(v) == str(k) for k in levels] for v in values], float)


CALVES = [("4", "1", None), ("5", "3", "2"), ("6", "1", "2"), ("7", "4", "5"), ("8", "3", "6")]
CALF_ROWS = pd.DataFrame(
    {
        "calf": ["4", "5", "6", "7", "8"],
        "sire": ["1", "3", "1", "4", "3"],
        "sex": ["male", "female", "female", "male", "male"],
        "WWG": [4.5, 2.9, 3.9, 3.5, 5.0],
        "PWG": [6.8, 5.0, 6.8, 6.0, 7.5],
    }
)
EIGHT = [str(k) for k in range(1, 9)]
SEX = ["female", "male"]


def animal_model() -> Example:
    d = CALF_ROWS
    x = _dummies(d["sex"], SEX)
    z = _dummies(d["calf"], EIGHT)
    return Example(
        "Mrode (2014) example 3.1",
        "WWG ~ 0 + sex + (1 | vm(calf, A))",
        d,
        {"A": _pedigree(CALVES)},
        {("vm(calf, A)", ONE): 20.0, (RES, RES): 40.0},
        {"sex[female]": 3.404, "sex[male]": 4.358},
        {
            "vm(calf, A)": dict(
                zip(
                    EIGHT,
                    [(v,) for v in (0.098, -0.019, -0.041, -0.009, -0.186, 0.177, -0.249, 0.183)],
                    strict=True,
                )
            )
        },
        3,
        (d["WWG"], x, [tw.Term(z, np.array([[20.0]]), _a(CALVES, EIGHT))], np.full(5, 40.0)),
        (("vm(calf, A)", EIGHT),),
        reliability=dict(zip(EIGHT, (0.058, 0.016, 0.087, 0.145, 0.144, 0.115, 0.116, 0.155), strict=True)),
    )


def sire_model() -> Example:
    d = CALF_ROWS
    sires = ["1", "3", "4"]
    pedigree = [("1", None, None), ("3", None, None), ("4", "1", None)]
    return Example(
        "Mrode (2014) example 3.2",
        "WWG ~ 0 + sex + (1 | vm(sire, A))",
        d,
        {"A": _pedigree(pedigree)},
        {("vm(sire, A)", ONE): 5.0, (RES, RES): 55.0},
        {"sex[female]": 3.382, "sex[male]": 4.336},
        {"vm(sire, A)": {"1": (0.022,), "3": (0.014,), "4": (-0.043,)}},
        3,
        (
            d["WWG"],
            _dummies(d["sex"], SEX),
            [tw.Term(_dummies(d["sire"], sires), np.array([[5.0]]), _a(pedigree, sires))],
            np.full(5, 55.0),
        ),
        (("vm(sire, A)", sires),),
    )


COWS = [("4", "1", "2"), ("5", "3", "2"), ("6", "1", "5"), ("7", "3", "4"), ("8", "1", "7")]


def repeatability() -> Example:
    rows = [
        ("4", "1", "1", 201.0),
        ("4", "2", "3", 280.0),
        ("5", "1", "1", 150.0),
        ("5", "2", "4", 200.0),
        ("6", "1", "2", 160.0),
        ("6", "2", "3", 190.0),
        ("7", "1", "1", 180.0),
        ("7", "2", "3", 250.0),
        ("8", "1", "2", 285.0),
        ("8", "2", "4", 300.0),
    ]
    d = pd.DataFrame(rows, columns=["cow", "parity", "HYS", "fat"])
    # the book's equations have HYS 1 and HYS 3 at zero
    d["hys2"], d["hys4"] = (d["HYS"] == "2").astype(float), (d["HYS"] == "4").astype(float)
    x = np.column_stack([_dummies(d["parity"], "12"), d["hys2"], d["hys4"]])
    own = ["4", "5", "6", "7", "8"]
    return Example(
        "Mrode (2014) example 4.1",
        "fat ~ 0 + parity + hys2 + hys4 + (1 | vm(cow, A)) + (1 | cow)",
        d,
        {"A": _pedigree(COWS)},
        {("vm(cow, A)", ONE): 20.0, ("cow", ONE): 12.0, (RES, RES): 28.0},
        {"parity[1]": 175.472, "parity[2]": 241.893, "hys2": 44.065, "hys4": 0.013},
        {
            "vm(cow, A)": dict(
                zip(
                    EIGHT,
                    [(v,) for v in (10.148, -3.084, -7.063, 13.581, -18.207, -18.387, 9.328, 24.194)],
                    strict=True,
                )
            ),
            "cow": dict(zip(own, [(v,) for v in (8.417, -7.146, -17.229, -1.390, 17.347)], strict=True)),
        },
        3,
        (
            d["fat"],
            x,
            [
                tw.Term(_dummies(d["cow"], EIGHT), np.array([[20.0]]), _a(COWS, EIGHT)),
                tw.Term(_dummies(d["cow"], own), np.array([[12.0]])),
            ],
            np.full(10, 28.0),
        ),
        (("vm(cow, A)", EIGHT), ("cow", own)),
    )


def two_traits() -> Example:
    d = CALF_ROWS
    g, r = np.array([[20.0, 18.0], [18.0, 40.0]]), np.array([[40.0, 11.0], [11.0, 30.0]])
    x = np.kron(_dummies(d["sex"], SEX), np.eye(2))
    z = np.kron(_dummies(d["calf"], EIGHT), np.eye(2))
    wwg = (0.151, -0.015, -0.078, -0.010, -0.270, 0.276, -0.316, 0.244)
    pwg = (0.280, -0.008, -0.170, -0.013, -0.478, 0.517, -0.479, 0.392)
    given = {}
    named = (("vm(calf, A)", g, ("trait[WWG]", "trait[PWG]")), (RES, r, ("traitWWG", "traitPWG")))
    for group, s, names in named:
        given[group, names[0]], given[group, names[1]] = s[0, 0], s[1, 1]
        given[group, f"cov({names[0]}, {names[1]})"] = s[0, 1]
    return Example(
        "Mrode (2014) example 5.1",
        "cbind(WWG, PWG) ~ 0 + trait:sex + us(0 + trait | vm(calf, A))",
        d,
        {"A": _pedigree(CALVES)},
        given,
        {
            "trait[WWG]:sex[female]": 3.397,
            "trait[PWG]:sex[female]": 5.880,
            "trait[WWG]:sex[male]": 4.361,
            "trait[PWG]:sex[male]": 6.800,
        },
        {"vm(calf, A)": dict(zip(EIGHT, zip(wwg, pwg, strict=True), strict=True))},
        3,
        (
            d[["WWG", "PWG"]].to_numpy().ravel(),
            x,
            [tw.Term(z, g, _a(CALVES, EIGHT))],
            np.kron(np.eye(5), r),
        ),
        (("vm(calf, A)", EIGHT),),
        residual="us(0 + trait | units)",
        x_order=(
            "trait[WWG]:sex[female]",
            "trait[PWG]:sex[female]",
            "trait[WWG]:sex[male]",
            "trait[PWG]:sex[male]",
        ),
    )


def maternal() -> Example:
    rows = [
        ("5", "1", "2", "1", "1", 35.0),
        ("6", "3", "2", "1", "2", 20.0),
        ("7", "4", "6", "1", "2", 25.0),
        ("8", "3", "5", "1", "1", 40.0),
        ("9", "1", "6", "2", "1", 42.0),
        ("10", "3", "2", "2", "2", 22.0),
        ("11", "3", "7", "2", "2", 35.0),
        ("12", "8", "7", "3", "2", 34.0),
        ("13", "9", "2", "3", "1", 20.0),
        ("14", "3", "6", "3", "2", 40.0),
    ]
    d = pd.DataFrame(rows, columns=["animal", "sire", "dam", "herd", "pen", "bwt"])
    d["herd2"], d["herd3"] = (d["herd"] == "2").astype(float), (d["herd"] == "3").astype(float)
    ids = [str(k) for k in range(1, 15)]
    dams = ["2", "5", "6", "7"]
    pedigree = [row[:3] for row in rows]
    z = np.stack([_dummies(d["animal"], ids), _dummies(d["dam"], ids)], axis=2).reshape(10, -1)
    g = np.array([[150.0, -40.0], [-40.0, 90.0]])
    direct = (
        *(0.564, -1.244, 1.165, -0.484, 0.630, -0.859, -1.156),
        *(1.917, -0.553, -1.055, 0.385, 0.863, -2.980, 1.751),
    )
    dam = (
        *(0.262, -1.583, 0.736, 0.586, -0.507, 0.841, 1.299),
        *(-0.158, 0.660, -0.153, 0.916, 0.442, 0.093, 0.362),
    )
    group = "vm(animal, A) + vm(dam, A)"
    return Example(
        "Mrode (2014) example 7.1",
        "bwt ~ 0 + pen + herd2 + herd3 + us(1 | vm(animal, A) + vm(dam, A)) + (1 | dam)",
        d,
        {"A": _pedigree(pedigree)},
        {
            (group, "animal"): 150.0,
            (group, "dam"): 90.0,
            (group, "cov(animal, dam)"): -40.0,
            ("dam", ONE): 40.0,
            (RES, RES): 350.0,
        },
        {"pen[1]": 34.540, "pen[2]": 27.691, "herd2": 3.386, "herd3": 1.434},
        {
            group: dict(zip(ids, zip(direct, dam, strict=True), strict=True)),
            "dam": dict(zip(dams, [(v,) for v in (-1.701, 0.415, 0.825, 0.461)], strict=True)),
        },
        3,
        (
            d["bwt"],
            np.column_stack([_dummies(d["pen"], "12"), d["herd2"], d["herd3"]]),
            [tw.Term(z, g, _a(pedigree, ids)), tw.Term(_dummies(d["dam"], dams), np.array([[40.0]]))],
            np.full(10, 350.0),
        ),
        ((group, ids), ("dam", dams)),
    )


TEST_DAYS = {
    "4": (1, (17.0, 18.6, 24.0, 20.0, 20.0, 15.6, 16.0, 13.0, 8.2, 8.0)),
    "5": (1, (23.0, 21.0, 18.0, 17.0, 16.2, 14.0, 14.2, 13.4, 11.8, 11.4)),
    "6": (6, (10.4, 12.3, 13.2, 11.6, 8.4)),
    "7": (4, (22.8, 22.4, 21.4, 18.8, 18.3, 16.2, 15.0)),
    "8": (1, (22.2, 20.0, 21.0, 23.0, 16.8, 11.0, 13.0, 17.0, 13.0, 12.6)),
}


def random_regression() -> Example:
    rows = [
        (cow, str(first + i), 4 + 34 * i, y)
        for cow, (first, yields) in TEST_DAYS.items()
        for i, y in enumerate(yields)
    ]
    d = pd.DataFrame(rows, columns=["cow", "HTD", "DIM", "fat"])
    curve = tw.legendre(-1 + 2 * (d["DIM"] - 4) / 306, 4)
    for k in range(5):
        d[f"L{k}"] = curve[:, k]
    # the book's equations have the last herd-test-day at zero
    for k in range(1, 10):
        d[f"htd{k}"] = (d["HTD"] == str(k)).astype(float)
    g = np.array([[3.297, 0.594, -1.381], [0.594, 0.921, -0.289], [-1.381, -0.289, 1.005]])
    pe = np.array([[6.872, -0.254, -1.101], [-0.254, 3.171, 0.167], [-1.101, 0.167, 2.457]])
    own = list(TEST_DAYS)
    names = ("L0", "L1", "L2")
    given: dict[tuple[str, str], float] = {(RES, RES): 3.710}
    for group, s in (("vm(cow, A)", g), ("cow", pe)):
        for i in range(3):
            given[group, names[i]] = s[i, i]
            for j in range(i):
                given[group, f"cov({names[j]}, {names[i]})"] = s[i, j]
    htd = " + ".join(f"htd{k}" for k in range(1, 10))
    values = (10.0862, 7.5908, 8.5601, 8.2430, 6.3161, 3.0101, 3.1085, 3.1718, 0.5044)
    fixed = dict(zip([f"htd{k}" for k in range(1, 10)], values, strict=True))
    fixed |= dict(zip([f"L{k}" for k in range(5)], (16.6384, -0.6253, -0.1346, 0.3479, -0.4218), strict=True))
    return Example(
        "Mrode (2014) example 9.2",
        f"fat ~ 0 + {htd} + L0 + L1 + L2 + L3 + L4 + us(0 + L0 + L1 + L2 | vm(cow, A)) + us(0 + L0 + L1 + L2 | cow)",
        d,
        {"A": _pedigree(COWS)},
        given,
        fixed,
        {
            "vm(cow, A)": {
                "1": (-0.0583, 0.0552, -0.0442),
                "2": (-0.0728, -0.0305, -0.0244),
                "3": (0.1311, -0.0247, 0.0686),
                "4": (0.3445, 0.0063, -0.3164),
                "5": (-0.4537, -0.0520, 0.2798),
                "6": (-0.5485, 0.0730, 0.1946),
                "7": (0.8518, -0.0095, -0.3131),
                "8": (0.2209, 0.0127, -0.0174),
            },
            "cow": {
                "4": (-0.6487, -0.3601, -1.4718),
                "5": (-0.7761, 0.1370, 0.9688),
                "6": (-1.9927, 0.9851, -0.0693),
                "7": (3.5188, -1.0510, -0.4048),
                "8": (-0.1013, 0.2889, 0.9771),
            },
        },
        4,
        (
            d["fat"],
            d[[f"htd{k}" for k in range(1, 10)] + [f"L{k}" for k in range(5)]].to_numpy(float),
            [
                tw.Term(
                    tw.incidence([EIGHT.index(c) for c in d["cow"]], curve[:, :3], 8), g, _a(COWS, EIGHT)
                ),
                tw.Term(tw.incidence([own.index(c) for c in d["cow"]], curve[:, :3], 5), pe),
            ],
            np.full(len(d), 3.710),
        ),
        (("vm(cow, A)", EIGHT), ("cow", own)),
        units=2.0,  # the book's polynomials have four digits
    )


PIGS = [
    ("5", "1", "2"),
    ("6", "3", "4"),
    ("7", "6", "5"),
    ("8", None, "5"),
    ("9", "3", "8"),
    ("10", "3", "8"),
    ("11", "6", "8"),
    ("12", "6", "8"),
]
TWELVE = [str(k) for k in range(1, 13)]


def dominance_matrix(pedigree, ids) -> np.ndarray:
    """D by the parents' relationships: d_ij = (a_ss' a_dd' + a_sd' a_ds') / 4 (Cockerham 1954), 1 on the diagonal."""
    a, have = tw.numerator(pedigree)
    at = {i: p for p, i in enumerate(have)}
    parents = {i: (s, d) for i, s, d in pedigree if s and d}
    out = np.eye(len(ids))
    for i, one in enumerate(ids):
        for j, other in enumerate(ids):
            if i != j and one in parents and other in parents:
                (s, d), (t, e) = ([at[p] for p in parents[x]] for x in (one, other))
                out[i, j] = (a[s, t] * a[d, e] + a[s, e] * a[d, t]) / 4
    return out


def dominance() -> Example:
    d = pd.DataFrame(
        {
            "pig": TWELVE[4:],
            "sex": ["male"] * 4 + ["female"] * 4,
            "weight": [17.0, 20.0, 18.0, 13.5, 20.0, 15.0, 25.0, 19.5],
        }
    )
    dm = dominance_matrix(PIGS, TWELVE)
    z = _dummies(d["pig"], TWELVE)
    additive = (-0.160, -0.160, 0.059, 0.819, -0.320, 1.259, 0.555, -0.998, -0.350, -1.350, 1.061, -0.039)
    return Example(
        "Mrode (2014) example 12.1",
        "weight ~ 0 + sex + (1 | vm(pig, A)) + (1 | vm(pig, D))",
        d,
        {"A": _pedigree(PIGS), "D": pd.DataFrame(dm, index=TWELVE, columns=TWELVE)},
        {("vm(pig, A)", ONE): 90.0, ("vm(pig, D)", ONE): 80.0, (RES, RES): 120.0},
        {"sex[female]": 20.030, "sex[male]": 16.980},
        {"vm(pig, A)": dict(zip(TWELVE, [(v,) for v in additive], strict=True))},
        3,
        (
            d["weight"],
            _dummies(d["sex"], SEX),
            [tw.Term(z, np.array([[90.0]]), _a(PIGS, TWELVE)), tw.Term(z, np.array([[80.0]]), dm)],
            np.full(8, 120.0),
        ),
        (("vm(pig, A)", TWELVE), ("vm(pig, D)", TWELVE)),
    )


EXAMPLES = {
    "animal": animal_model,
    "sire": sire_model,
    "repeatability": repeatability,
    "two_traits": two_traits,
    "maternal": maternal,
    "random_regression": random_regression,
    "dominance": dominance,
}
