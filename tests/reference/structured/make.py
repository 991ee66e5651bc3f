"""Writes the JSON files beside it from ../shared/reference/cases: numbers of the programs in henderson's names.

    python tests/reference/structured/make.py            (needs ../shared)

Each file: `witness` (program, its version, the call, the file of ../shared), `loglik` (the best of `runs`, lme4's constant), `runs`,
`par` (parameters at the program's optimum, by the names of tests/structured_*.py), `printed` (components as ASReml printed them:
value and half a unit of the last digit), `fixed`, `random`, and what else the case prints.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

import structured_cases as cases  # noqa: E402

SHARED = cases.SHARED / "cases"


def cov_of(sd, cor) -> np.ndarray:
    sd = np.asarray(sd, float)
    return sd[:, None] * np.asarray(cor, float) * sd[None, :]


def lower(letter: str, s) -> dict:
    s = np.asarray(s, float)
    return {f"{letter}{i + 1}{j + 1}": s[i, j] for i in range(len(s)) for j in range(i + 1)}


def chol(par: dict, letter: str, m: int, key: str = "L") -> dict:
    t = np.zeros((m, m))
    for i in range(m):
        for j in range(i + 1):
            t[i, j] = par[f"{key}{i + 1}{j + 1}"]
    return lower(letter, t @ t.T)


def correlation_of(kind: str, theta: np.ndarray, m: int) -> np.ndarray:
    """glmmTMB's transformations of its correlation parameters (its vignette "covariance structures")."""
    theta = theta[1:] if "_ar1" in kind else theta[m:]
    if kind.endswith("_toep"):
        row = np.r_[1.0, theta / np.sqrt(1 + theta**2)]
        return row[np.abs(np.subtract.outer(np.arange(m), np.arange(m)))]
    if "_us" in kind:
        t = np.eye(m)
        t[np.tril_indices(m, -1)] = theta
        t /= np.linalg.norm(t, axis=1)[:, None]
        return t @ t.T
    if kind.endswith("_cs") or "_cs" in kind:
        a = 1 / (m - 1)
        rho = (1 + a) / (1 + np.exp(-theta[0])) - a
        return np.full((m, m), rho) + (1 - rho) * np.eye(m)
    rho = theta[0] / np.sqrt(1 + theta[0] ** 2)
    return rho ** np.abs(np.subtract.outer(np.arange(m), np.arange(m)))


def tmb(name: str, e: dict) -> dict:
    term = next(iter(e["varcorr"]["cond"].values())) if e["varcorr"]["cond"] else {}
    sd, cor = term.get("sd"), term.get("cor")
    s2 = None if e["sigma"] is None else e["sigma"] ** 2
    kind = name.removeprefix("tmb_")
    m = len(sd)
    if (
        cor is not None and len(cor) < m and kind != "Wheat2_exp"
    ):  # the file keeps eight rows of a correlation matrix; theta has all
        cor = correlation_of(kind, np.array(list(e["internal_par"].values()), float), m)
    variances = {f"R{i + 1}": v**2 for i, v in enumerate(sd)}
    if kind == "sleep_us":
        return {**lower("G", cov_of(sd, cor)), "Residual": s2}
    if kind == "sleep_diag":
        return {"G11": sd[0] ** 2, "G22": sd[1] ** 2, "Residual": s2}
    if kind == "sleep_dispmodel":
        disp = e["coef"]["disp"]
        return {
            **lower("G", cov_of(sd, cor)),
            "expon": disp["Days"]["est"] / 2,
            "Residual": float(np.exp(disp["(Intercept)"]["est"])),
        }
    if kind in ("sleep_cs", "besagmet_cs6"):
        return {**variances, "rho": cor[0][1]}
    if kind in ("sleep_toep", "Orthodont_toep"):
        return {**variances, **{f"c{k}": cor[0][k] for k in range(1, m)}}
    if kind in ("sleep_us10", "besagmet_us6"):
        return lower("R", cov_of(sd, cor))
    if kind.startswith("sleep_ar1"):
        return {"variance": sd[0] ** 2, "phi": cor[0][1], "Residual": s2}
    if kind == "Wheat2_exp":
        t = list(e["internal_par"].values())
        return {"variance": float(np.exp(2 * t[0])), "range": float(np.exp(t[1])), "Residual": s2}
    if kind == "besagmet_rr1":
        sign = np.sign(np.array(cor[0]))
        return {
            **{f"l{i + 1}": float(v * g) for i, (v, g) in enumerate(zip(sd, sign, strict=True))},
            "Residual": s2,
        }
    raise KeyError(name)


def lme(name: str, e: dict) -> dict:
    s2 = e["sigma"] ** 2
    g = {k: np.array(v["cov"]) for k, v in e["G"].items()}
    kind = name.removeprefix("lme_")
    if kind == "Assay_pdBlocked":
        b = g["Block"]
        return {"block": b[0, 0], "sample": b[1, 1], "dilut": b[7, 7], "Residual": s2}
    if kind.startswith("BodyWeight"):
        return {
            **lower("G", g["Rat"]),
            "range": e["cor_par"][0],
            "power": e["var_par"]["power"],
            "Residual": s2,
        }
    if kind.startswith("Machines"):
        w = g["Worker"]
        return {"variance": w[0, 0], "rho": w[0, 1] / w[0, 0], "Residual": s2}
    if kind == "Ovary_pdDiag_ar1":
        return {"G11": g["Mare"][0, 0], "G22": g["Mare"][1, 1], "phi": e["cor_par"][0], "Residual": s2}
    if kind == "Ovary_arma11":
        return {
            "G11": g["Mare"][0, 0],
            "G22": g["Mare"][1, 1],
            "phi1": e["cor_par"][0],
            "theta1": e["cor_par"][1],
            "Residual": s2,
        }
    if kind == "Oxboys_car1":
        return {**lower("G", g["Subject"]), "phi": e["cor_par"][0], "Residual": s2}
    if kind == "Spruce_nested_ar1":
        return {"plot": g["plot"][0, 0], "tree": g["Tree"][0, 0], "phi": e["cor_par"][0], "Residual": s2}
    raise KeyError(name)


COR = {"xcor": "phi(col)", "ycor": "phi(row)", "rowcor": "phi(row)", "colcor": "phi(col)", "R": "Residual"}


def asreml(name: str, e: dict) -> dict:
    case = cases.CASES[name]
    par = dict((e.get("recomputed") or {}).get("par") or {})
    if name == "asr_box.cork_us" or name == "asr_hildebrand_us":
        return chol(par, "R", 4)
    if name == "asr_Ladybird_negative":
        return {"Run": 0.0, "R": e["asreml_printed"]["constrained"]["R"][0]}
    if name in ("asr_Wheat_REMLRT", "asr_Wheat_maximal", "asr_Wheat_unconstrained"):
        rest = {k: par[k] for k in ("Row", "Rep", "RepRow", "RepCol", "s", "units") if k in par}
        zero = {"asr_Wheat_REMLRT": {"Column": 0.0}, "asr_Wheat_maximal": {"Rep": 0.0}}.get(name, {})
        return {
            **rest,
            **zero,
            "phi(Row)": par["rowcor"],
            "phi(Column)": par["colcor"],
        }
    if name == "asr_stroup.nin_ar1ar1_units":
        total = par["R"] + par["units"]
        return {
            "phi(row)": par["ycor"],
            "phi(col)": par["xcor"],
            "nugget": par["units"] / total,
            "Residual": total,
        }
    if name == "asr_harris.wateruse_m2":
        return {"tree": par["tree"], "phi": par["pow"], "Residual": par["R"]}
    if name == "asr_snedecor.asparagus_ante1":
        u = np.eye(4)
        for i, k in enumerate(("u12", "u23", "u34")):
            u[i, i + 1] = par[k]
        d = np.diag([par[f"d{i}"] for i in range(1, 5)])
        s = np.linalg.inv(u @ d @ u.T)
        sd = np.sqrt(np.diag(s))
        c = s / np.outer(sd, sd)
        return {
            "block": par["block"],
            **{f"v{i + 1}": s[i, i] for i in range(4)},
            **{f"c{i + 1}{i + 2}": c[i, i + 1] for i in range(3)},
        }
    if name == "asr_damesa.maize":
        return {**par, "rep3": 0.0, "blk3": 0.0}
    if name == "asr_vsn.lupin3_m1":
        return {**par, "x3": 0.0}
    if name == "asr_besag.endive":
        p = e["asreml_printed"]
        return {
            "Residual": p["R"]["component"],
            "phi(col)": p["xf.cor"]["component"],
            "phi(row)": p["yf.cor"]["component"],
        }
    if name == "asr_barrero.maize":
        return {k: e["asreml_printed"][k]["component"] for k in case.par}
    if "Residual" in case.par and "R" not in case.par:
        return {COR.get(k, k): v for k, v in par.items()}
    return par


def others(name: str, e: dict) -> dict:
    if name.startswith("lmms"):
        v = {r["VarComp"]: r["Variance"] for r in e["VarDf"]}
        return {
            "lmms_oats": lambda: {"repblock": v["rep:block"], "R": v["residual"]},
            "lmms_oats_rangen": lambda: {"gen": v["gen"], "repblock": v["rep:block"], "R": v["residual"]},
            "lmms_multipop_qtl": lambda: {"QTL": v["QTL"], "R1": v["cross_AxB!R"], "R2": v["cross_AxC!R"]},
        }.get(name, dict)()
    if name == "gwas_gemma_wheat_X2":
        return dict(e["recomputed_null"]["par"])
    if name == "gwas_gemma_wheat_mv12":
        g, r = (
            e["null"]["REMLE estimate for Vg in the null model"],
            e["null"]["REMLE estimate for Ve in the null model"],
        )
        return {
            **dict(zip(("G11", "G21", "G22"), (*g[0], *g[1]), strict=True)),
            **dict(zip(("R11", "R21", "R22"), (*r[0], *r[1]), strict=True)),
        }
    if name.startswith("animal"):
        return dict(e["recomputed"]["varcomp"])
    if name == "som_example_us":
        par = e["recomputed"]["par"]
        return {**lower("G", e["G_us"]), **{k: par[k] for k in ("R1", "R2", "R3")}}
    if name == "som_gryphon_bivariate":
        return {**lower("G", e["G"]), **lower("R", e["R"])}
    if name == "som_example_mv":
        v = {k: x["est"] for k, x in e["sommer"]["varcomp"].items()}
        out = {}
        for letter, group in (("N", "u:Name"), ("E", "u:Env:Name"), ("R", "u:units")):
            out[f"{letter}11"] = v[f"{group}.Yield-Yield"]
            out[f"{letter}21"] = v[f"{group}.Yield-Weight"]
            out[f"{letter}22"] = v[f"{group}.Weight-Weight"]
        return out
    return dict((e.get("recomputed") or {}).get("par") or {})


def runs_of(name: str, e: dict) -> dict:
    """Log-likelihoods on lme4's scale by where they stand."""
    runs = {}
    if name.startswith(("tmb", "lme")):
        runs["program"] = e["logLik"]
        for k, v in e.get("optim_logLiks", {}).items():
            if isinstance(v, float):
                runs[f"program, {k}"] = v
    if name.startswith("lmms"):
        runs["LMMsolver"] = e["logLik_REML"]
    if name == "gwas_gemma_wheat_X2":
        runs["dense REML"] = e["recomputed_null"]["logLik_REML"]
    recomputed = e.get("recomputed") or {}
    if "logLik_REML" in recomputed and name != "asr_Ladybird_negative":
        runs["dense REML"] = recomputed["logLik_REML"]
    if name == "animal_milk":
        runs["pedigreemm"] = e["pedigreemm"]["logLik"]
    return runs


RENAMED = {
    "animal_milk": {"llact": "log(lact)"},
    "animal_milk_repeatability": {"llact": "log(lact)"},
    "som_gryphon_bivariate": {"t1": "traitBWT", "t2": "traitTARSUS"},
}


def fixed_of(name: str, e: dict) -> dict | None:
    """Coefficients in the order of the program, with henderson's names."""
    recomputed = e.get("recomputed") or {}
    theirs = e.get("fixef") or (e.get("coef") or {}).get("cond") or recomputed.get("fixef")
    if name == "asr_Ladybird_negative" or not theirs:
        return None
    return {
        "name_R": [re.sub("^yearf|(?<=:)yearf", "year", RENAMED.get(name, {}).get(k, k)) for k in theirs],
        "estimate": [v["est"] for v in theirs.values()],
        "std_error": [v["se"] for v in theirs.values()],
    }


def random_of(name: str, e: dict) -> dict | None:
    """BLUPs as the program names them: {group: {level: [values]}}."""
    if name == "tmb_besagmet_rr1":  # glmmTMB prints the score; the effects are loadings times it
        loadings = list(tmb(name, e).values())[:-1]
        given = e["ranef"]["cond"]["gen"] if "cond" in e["ranef"] else e["ranef"]["gen"]
        levels = {k: [v * w["blup"][0] for v in loadings] for k, w in given["levels"].items()}
        return {"gen": {"terms": given["terms"], "levels": levels}}
    if "ranef" in e and isinstance(e["ranef"], dict):
        groups = e["ranef"].get("cond", e["ranef"])
        return {
            g: {"terms": v["terms"], "levels": {k: w["blup"] for k, w in v["levels"].items()}}
            for g, v in groups.items()
            if isinstance(v, dict) and "levels" in v
        }
    blups = (e.get("recomputed") or {}).get("blups")
    if isinstance(blups, dict) and "levels" in blups:
        return {"": {"terms": [""], "levels": {k: [w["blup"], w["sep"]] for k, w in blups["levels"].items()}}}
    if isinstance(blups, dict):
        return {"": {"terms": [""], "levels": {k: [v] for k, v in blups.items()}}}
    return None


def half_unit(value: float) -> float:
    """Half a unit of the last digit that was printed, as far as JSON kept it."""
    text = repr(float(value))
    if "e" in text:
        mantissa, exponent = text.split("e")
        places = len(mantissa.split(".")[1].rstrip("0")) if "." in mantissa else 0
        return 0.5 * 10.0 ** (int(exponent) - places)
    if text.endswith(".0"):
        digits = text[:-2].rstrip("0")
        return 0.5 * 10.0 ** (len(text) - 2 - len(digits))
    return 0.5 * 10.0 ** -len(text.split(".")[1])


def printed_of(e: dict) -> dict:
    """Numbers that ASReml printed for components: name -> [value, half a unit]."""
    out = {}
    for k, v in (e.get("asreml_printed") or {}).items():
        value = v.get("component") if isinstance(v, dict) and "component" in v else None
        if isinstance(v, list) and len(v) == 2 and all(isinstance(x, float | int) for x in v):
            value = v[0]
        if value is not None:
            out[k] = [value, half_unit(value)]
    return out


HELP = "ASReml-R, as printed in the agridat help page (kwstat/agridat, man/{}.Rd)"
EXTRA = {
    **{
        f"asr_vsn.lupin3_m{i}": {
            "software": HELP.format("vsn.lupin3"),
            "model": "m1 with " + term,
            "estimates": {"asreml_printed": {"loglik": loglik}},
        }
        for i, term, loglik in (
            (2, "test + site:test", -310.8794),
            (3, "corh(site):test", -288.4837),
            (4, "us(site):test", -286.8239),
            (5, "fa(site,1):test", -286.8484),
        )
    },
    **{
        f"asr_butron.maize_m{i}": {
            "software": HELP.format("butron.maize"),
            "model": f"asreml(yield ~ 1+env, random=~{term})",
            "estimates": {"asreml_printed": {"AIC": aic, "varDF": df}},
        }
        for i, term, df, aic in (
            (1, "vm(gen,ainv)", 2, 213.2487),
            (2, "id(env):vm(gen,ainv)", 2, 290.6156),
            (3, "diag(env):vm(gen,ainv)", 6, 296.8061),
            (4, "fa(env,1):vm(gen,ainv)", 11, 218.1568),
        )
    },
    "asr_besag.met_gen": {
        "software": HELP.format("besag.met"),
        "model": "asreml(yield ~ gen, random=~county, residual=~dsum(~units|gen)) on means of county and gen",
        "estimates": {
            "asreml_printed": {
                k: {"component": v}
                for k, v in {
                    "county": 1324,
                    "G01": 91.93,
                    "G02": 210.7,
                    "G03": 63.03,
                    "G04": 112.1,
                    "G05": 28.39,
                    "G06": 237.4,
                }.items()
            }
        },
    },
}
"""Printed on the same help pages, and not among the files of ../shared."""


def printed_loglik(name: str, e: dict) -> list | None:
    """ASReml's own log-likelihood (without its constant) as printed: [value, half a unit]."""
    said = e.get("asreml_printed") or {}
    if name == "asr_Ladybird_negative":
        said = said["constrained"]
    loglik = said.get("loglik")
    if isinstance(loglik, dict):
        loglik = loglik["m1"]
    if loglik is None and isinstance(said.get("AIC"), float):
        df = said.get("varDF", 2)
        return [-(said["AIC"] - 2 * df) / 2, half_unit(said["AIC"]) / 2]
    return None if loglik is None else [loglik, half_unit(loglik)]


def main(only: list[str]) -> None:
    for name, case in cases.CASES.items():
        if only and name not in only:
            continue
        source = EXTRA.get(name) or json.loads((SHARED / f"{name}.json").read_text())
        e = source["estimates"]
        read = tmb if name.startswith("tmb") else lme if name.startswith("lme") else others
        par = {}
        if (case.dense or case.par) and name not in EXTRA:
            par = (asreml if name.startswith("asr") else read)(name, e)
        par = {k: float(v) for k, v in par.items()}
        runs = runs_of(name, e)
        if (
            par
            and case.dense is not None
            and not case.cannot
            and (not runs or e.get("sigma", 1.0) == 2.0**-13)
        ):
            # glmmTMB without a residual keeps one of 1.5e-8 and is then 1e-5 to 4e-4 off its own likelihood
            said = dict(runs)
            runs = {"twin at the program's parameters": -cases.criterion_of(name, par) / 2}
        else:
            said = {}
        record = {
            "witness": {
                "program": source["software"],
                "call": source["model"],
                **({} if name in EXTRA else {"file": f"shared/reference/cases/{name}.json"}),
            },
            "loglik": max(runs.values()) if runs else None,
            "runs": runs,
            "said": said,
            "par": par,
            "printed": printed_of(e),
            "printed_loglik": printed_loglik(name, e),
            "fixed": fixed_of(name, e),
            "random": random_of(name, e),
            "asreml": e.get("asreml_printed"),
            "notes": source.get("notes"),
        }
        (HERE / f"{name}.json").write_text(
            json.dumps({k: v for k, v in record.items() if v}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
