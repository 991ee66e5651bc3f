"""nlme's lme and glmmTMB: structures of random effects and residuals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import structured_twin as tw
from structured_parts import (
    ONE,
    RES,
    Case,
    Dense,
    along,
    dummies,
    model,
    order_in,
    symmetric,
    us_names,
    vc,
    within,
)

DAYS = [str(k) for k in range(10)]
AGES = ["8", "10", "12", "14"]
COUNTIES = [f"C{k}" for k in range(1, 7)]


def sleep(d: pd.DataFrame) -> pd.DataFrame:
    return d.assign(fDays=pd.Categorical(d["Days"].astype(int).astype(str), categories=DAYS))


def slope(d) -> np.ndarray:
    return np.column_stack([np.ones(len(d)), d["Days"]])


def grouped(y: str, rhs: str, group: str, position, sigma) -> object:
    """All covariance in the residual: rows of a group covary by position."""

    def dense(d, p) -> Dense:
        return model(d, y, rhs, [], within(d, group, sigma(p), position(d)))

    return dense


def days(d):
    return d["Days"].astype(int).to_numpy()


def ages(d):
    return ((d["age"] - 8) / 2).astype(int).to_numpy()


def county(d):
    return d["county"].cat.codes.to_numpy()


def sd_names(prefix: str, levels) -> dict:
    return {f"R{i + 1}": (RES, f"{prefix}{v}") for i, v in enumerate(levels)}


def toeph(m: int):
    return lambda p: tw.heterogeneous(
        tw.banded(m, [p[f"c{k}"] for k in range(1, m)]), np.sqrt(along(p, "R", m))
    )


def csh(m: int):
    return lambda p: tw.heterogeneous(tw.compound(m, p["rho"]), np.sqrt(along(p, "R", m)))


def ar1_sleep(d, p):
    z = vc(d, p["variance"] * tw.ar1(10, p["phi"]), "Subject", effects=dummies(d, "fDays"))
    return model(d, "Reaction", "1 + Days", [z], p["Residual"])


def fitted_power(d, p):
    """Var(e_i) = s2 |fitted_i|^(2 delta), fitted with the random effects, until it repeats itself."""
    z = vc(d, symmetric(p, "G", 2), "Rat", effects=np.column_stack([np.ones(len(d)), d["Time"]]))
    corr = within(d, "Rat", np.exp(-tw.distances(np.unique(d["Time"])) / p["range"]), _rank(d["Time"]))
    fitted = d["weight"].to_numpy(float)
    for _ in range(200):
        sd = np.sqrt(p["Residual"]) * np.abs(fitted) ** p["power"]
        dense = model(d, "weight", "1 + Time * Diet", [z], sd[:, None] * corr * sd[None, :])
        found = tw.twin(dense.y, dense.x, dense.terms, dense.r)
        again = dense.x @ found.beta + z.z @ found.u[0].ravel()
        if np.allclose(again, fitted, rtol=1e-12):
            break
        fitted = again
    return dense


def _rank(values):
    return np.unique(np.asarray(values), return_inverse=True)[1]


OVARY = "follicles ~ sin(2*pi*Time) + cos(2*pi*Time)"


def ovary(correlation):
    def dense(d, p):
        s, c = np.sin(2 * np.pi * d["Time"]), np.cos(2 * np.pi * d["Time"])
        d = d.assign(s=s, c=c)
        z = vc(d, np.diag([p["G11"], p["G22"]]), "Mare", effects=np.column_stack([np.ones(len(d)), s]))
        place = order_in(d, "Mare")
        r = p["Residual"] * within(d, "Mare", correlation(p, place.max() + 1), place)
        return model(d, "follicles", "1 + s + c", [z], r)

    return dense


def arma11(p, m):
    """rho_1 = (1 + phi theta)(phi + theta) / (1 + 2 phi theta + theta^2), rho_k = phi rho_{k-1} (Box & Jenkins)."""
    phi, theta = p["phi1"], p["theta1"]
    first = (1 + phi * theta) * (phi + theta) / (1 + 2 * phi * theta + theta**2)
    return tw.banded(m, first * phi ** np.arange(m - 1))


def oxboys(d, p):
    cols = np.column_stack([np.ones(len(d)), d["age"], d["age"] ** 2])
    z = vc(d, symmetric(p, "G", 3), "Subject", effects=cols)
    r = p["Residual"] * within(d, "Subject", *_continuous(d["age"], p["phi"]))
    return model(d.assign(age2=d["age"] ** 2), "height", "1 + age + age2", [z], r)


def _continuous(times, phi):
    distinct = np.unique(np.asarray(times, float))
    return phi ** tw.distances(distinct), np.searchsorted(distinct, np.asarray(times, float))


def spruce(d, p):
    tree = d["plot"].astype(str) + ":" + d["Tree"].astype(str)
    r = p["Residual"] * within(d, tree.to_numpy(), *_continuous(d["days"], p["phi"]))
    d2 = d.assign(days2=d["days"] ** 2)
    terms = [vc(d, p["plot"], "plot"), vc(d, p["tree"], "plot", "Tree")]
    return model(d2, "logSize", "1 + days + days2", terms, r)


CASES = {
    # ------------------------------------------------------------------------------------------------- glmmTMB
    "tmb_sleep_us": Case(
        "hd:sleepstudy",
        "Reaction ~ Days + us(Days | Subject)",
        {**us_names("G", "Subject", [ONE, "Days"]), "Residual": (RES, RES)},
        lambda d, p: model(
            d,
            "Reaction",
            "1 + Days",
            [vc(d, symmetric(p, "G", 2), "Subject", effects=slope(d))],
            p["Residual"],
        ),
    ),
    "tmb_sleep_diag": Case(
        "hd:sleepstudy",
        "Reaction ~ Days + diag(Days | Subject)",
        {"G11": ("Subject", ONE), "G22": ("Subject", "Days"), "Residual": (RES, RES)},
        lambda d, p: model(
            d,
            "Reaction",
            "1 + Days",
            [vc(d, np.diag([p["G11"], p["G22"]]), "Subject", effects=slope(d))],
            p["Residual"],
        ),
    ),
    "tmb_sleep_cs": Case(
        "hd:sleepstudy",
        "Reaction ~ Days",
        {**sd_names("Days", DAYS), "rho": (RES, "rho")},
        grouped("Reaction", "1 + Days", "Subject", days, csh(10)),
        residual="csh(0 + Days | Subject)",
        verb="gls",
        note="glmmTMB's dispformula=~0: all covariance within the subject is the structure's, so it is our residual",
    ),
    "tmb_sleep_toep": Case(
        "hd:sleepstudy",
        "Reaction ~ Days",
        {**sd_names("Days", DAYS), **{f"c{k}": (RES, f"rho{k}") for k in range(1, 10)}},
        grouped("Reaction", "1 + Days", "Subject", days, toeph(10)),
        residual="toeph(0 + Days | Subject)",
        verb="gls",
    ),
    "tmb_sleep_us10": Case(
        "hd:sleepstudy",
        "Reaction ~ Days",
        us_names("R", RES, [f"Days{k}" for k in DAYS]),
        grouped("Reaction", "1 + Days", "Subject", days, lambda p: symmetric(p, "R", 10)),
        residual="us(0 + Days | Subject)",
        verb="gls",
        note="55 parameters from 18 subjects",
    ),
    "tmb_sleep_ar1": Case(
        "hd:sleepstudy",
        "Reaction ~ Days + ar1(0 + Days | Subject)",
        {"variance": ("Subject", "variance"), "phi": ("Subject", "phi"), "Residual": (RES, RES)},
        ar1_sleep,
        prepare=sleep,
    ),
    "tmb_sleep_ar1_ml": Case(
        "hd:sleepstudy",
        "Reaction ~ Days + ar1(0 + Days | Subject)",
        {"variance": ("Subject", "variance"), "phi": ("Subject", "phi"), "Residual": (RES, RES)},
        ar1_sleep,
        reml=False,
        prepare=sleep,
    ),
    "tmb_sleep_dispmodel": Case(
        "hd:sleepstudy",
        "Reaction ~ Days + (Days | Subject)",
        {
            **us_names("G", "Subject", [ONE, "Days"]),
            "expon": (RES, "expon(Days)"),
            "Residual": (RES, RES),
        },
        lambda d, p: model(
            d,
            "Reaction",
            "1 + Days",
            [vc(d, symmetric(p, "G", 2), "Subject", effects=slope(d))],
            p["Residual"] * np.exp(2 * p["expon"] * d["Days"].to_numpy()),
        ),
        variance="exp(Days)",
        note="glmmTMB's dispersion is log sigma^2: twice our exponent",
    ),
    "tmb_Orthodont_toep": Case(
        "hd:Orthodont",
        "distance ~ Sex * I(age - 11)",
        {**sd_names("age", AGES), **{f"c{k}": (RES, f"rho{k}") for k in range(1, 4)}},
        grouped("distance", "1 + Sex * I(age - 11)", "Subject", ages, toeph(4)),
        residual="toeph(0 + age | Subject)",
        verb="gls",
    ),
    "tmb_Wheat2_exp": Case(
        "hd:Wheat2",
        "yield ~ 0 + variety + (1 | exp(latitude, longitude))",
        {
            "variance": ("exp(latitude, longitude)", ONE),
            "range": ("exp(latitude, longitude)", "range(latitude, longitude)"),
            "Residual": (RES, RES),
        },
        lambda d, p: model(
            d.rename(columns={"yield": "y"}),
            "y",
            "0 + variety",
            [],
            p["variance"] * np.exp(-tw.distances(d["latitude"], d["longitude"]) / p["range"])
            + p["Residual"] * np.eye(len(d)),
        ),
        flat=True,
        note="the range runs to infinity: only the likelihood is compared",
    ),
    "tmb_besagmet_cs6": Case(
        "agridat_besag.met_means.csv",
        "yield ~ county",
        {**{f"R{i + 1}": (RES, f"county{c}") for i, c in enumerate(COUNTIES)}, "rho": (RES, "rho")},
        lambda d, p: model(
            d.rename(columns={"yield": "y"}), "y", "1 + county", [], within(d, "gen", csh(6)(p), county(d))
        ),
        residual="csh(0 + county | gen)",
        verb="gls",
    ),
    "tmb_besagmet_us6": Case(
        "agridat_besag.met_means.csv",
        "yield ~ county",
        us_names("R", RES, [f"county{c}" for c in COUNTIES]),
        lambda d, p: model(
            d.rename(columns={"yield": "y"}),
            "y",
            "1 + county",
            [],
            within(d, "gen", symmetric(p, "R", 6), county(d)),
        ),
        residual="us(0 + county | gen)",
        verb="gls",
    ),
    "tmb_besagmet_rr1": Case(
        "agridat_besag.met_means.csv",
        "yield ~ county + rr(0 + county | gen, k=1)",
        {
            **{f"l{i + 1}": ("gen", f"loading 1 county[{c}]") for i, c in enumerate(COUNTIES)},
            "Residual": (RES, RES),
        },
        lambda d, p: model(
            d.rename(columns={"yield": "y"}),
            "y",
            "1 + county",
            [vc(d, np.outer(along(p, "l", 6), along(p, "l", 6)), "gen", effects=dummies(d, "county"))],
            p["Residual"],
        ),
    ),
    # ---------------------------------------------------------------------------------------------------- nlme
    "lme_Assay_pdBlocked": Case(
        "Assay.csv",
        "logDens ~ sample * C(dilut) + (1 | Block) + id(0 + sample | Block) + id(0 + C(dilut) | Block)",
        {
            "block": ("Block", ONE),
            "sample": ("Block", "sample[a]"),
            "dilut": ("Block", "C(dilut)[1]"),
            "Residual": (RES, RES),
        },
        lambda d, p: model(
            d,
            "logDens",
            "1 + sample * C(dilut)",
            [
                vc(d, p["block"], "Block"),
                vc(d, p["sample"], "Block", "sample"),
                vc(d, p["dilut"], "Block", "dilut"),
            ],
            p["Residual"],
        ),
    ),
    "lme_BodyWeight_varPower_corExp": Case(
        "hd:BodyWeight",
        "weight ~ Time * Diet + (Time | Rat)",
        {
            **us_names("G", "Rat", [ONE, "Time"]),
            "range": (RES, "range"),
            "power": (RES, "power(fitted)"),
            "Residual": (RES, RES),
        },
        fitted_power,
        residual="exp(0 + Time | Rat)",
        variance="power(fitted)",
        cannot="the power of fitted values that hold the random effects: refused in a mixed model (a fixed point, no maximum)",
    ),
    "lme_Machines_pdCompSymm": Case(
        "hd:Machines",
        "score ~ Machine + cs(0 + Machine | Worker)",
        {"variance": ("Worker", "variance"), "rho": ("Worker", "rho"), "Residual": (RES, RES)},
        lambda d, p: model(
            d,
            "score",
            "1 + Machine",
            [vc(d, p["variance"] * tw.compound(3, p["rho"]), "Worker", effects=dummies(d, "Machine"))],
            p["Residual"],
        ),
    ),
    "lme_Ovary_pdDiag_ar1": Case(
        "hd:Ovary",
        OVARY + " + diag(sin(2*pi*Time) | Mare)",
        {
            "G11": ("Mare", ONE),
            "G22": ("Mare", "sin(2 * pi * Time)"),
            "phi": (RES, "phi"),
            "Residual": (RES, RES),
        },
        ovary(lambda p, m: tw.ar1(m, p["phi"])),
        residual="ar1(1 | Mare)",
    ),
    "lme_Ovary_arma11": Case(
        "hd:Ovary",
        OVARY + " + diag(sin(2*pi*Time) | Mare)",
        {
            "G11": ("Mare", ONE),
            "G22": ("Mare", "sin(2 * pi * Time)"),
            "phi1": (RES, "phi1"),
            "theta1": (RES, "theta1"),
            "Residual": (RES, RES),
        },
        ovary(arma11),
        residual="arma(1 | Mare, p=1, q=1)",
    ),
    "lme_Oxboys_car1": Case(
        "hd:Oxboys",
        "height ~ age + I(age^2) + (age + I(age^2) | Subject)",
        {
            **us_names("G", "Subject", [ONE, "age", "I(age^2)"]),
            "phi": (RES, "phi"),
            "Residual": (RES, RES),
        },
        oxboys,
        residual="ou(0 + age | Subject)",
    ),
    "lme_Spruce_nested_ar1": Case(
        "Spruce.csv.gz",
        "logSize ~ days + I(days^2) + (1 | plot/Tree)",
        {
            "plot": ("plot", ONE),
            "tree": ("Tree:plot", ONE),
            "phi": (RES, "phi"),
            "Residual": (RES, RES),
        },
        spruce,
        residual="ou(0 + days | plot:Tree)",
        better="nlme begins at a correlation of 0.2 a day, whose likelihood is flat at gaps of 20 days and more, and stays there",
    ),
}
