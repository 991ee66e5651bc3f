"""sommer, LMMsolver, SpATS and GEMMA: genomic and pedigree models, several traits, diallels, splines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import structured_twin as tw
from structured_parts import (
    ONE,
    RES,
    Case,
    along,
    as_frame,
    by_level,
    centred_wheat,
    dummies,
    from_file,
    known,
    model,
    numerator,
    read,
    stacked,
    symmetric,
    traits_r,
    us_names,
    vanraden_wheat,
    vc,
)

ENVS = ["CA.2011", "CA.2012", "CA.2013"]
ENV_R = {f"R{i + 1}": (RES, f"Env{e}") for i, e in enumerate(ENVS)}


def technow(side: str):
    return known(f"sommer_A_{side}_technow.csv")


def text(*columns: str):
    return lambda d: d.assign(**{c: d[c].astype(str) for c in columns})


def mixture_of(d, sigma, first: str, second: str) -> tw.Term:
    """(1 | mm(first, second)): the effect of a level enters once for each column it stands in."""
    levels = sorted(set(d[first].astype(str)) | set(d[second].astype(str)))
    z = sum((np.array([[v == k for k in levels] for v in d[c].astype(str)], float)) for c in (first, second))
    return tw.Term(z, np.atleast_2d(sigma))


def two_traits(traits, rhs, terms):
    """cbind(...): stacked rows, one residual covariance for each record."""

    def dense(d, p):
        long = stacked(d, traits)
        return model(long, "_y", rhs, terms(long, p), traits_r(long, symmetric(p, "R", 2)))

    return dense


def gryphon(d, p):
    long = stacked(d.assign(ANIMAL=d["ANIMAL"].astype(str)), ("BWT", "TARSUS"))
    animal = vc(
        long,
        symmetric(p, "G", 2),
        "ANIMAL",
        effects=dummies(long, "trait"),
        k=numerator("sommer_P_gryphon.csv"),
    )
    return model(long, "_y", "0 + trait", [animal], traits_r(long, symmetric(p, "R", 2)))


def traits(letter: str, group: str, names: list[str]) -> dict:
    """Effects of a term are named as columns of X are; the residual's are levels written after their column."""
    return us_names(letter, group, [f"trait{n}" if group == RES else f"trait[{n}]" for n in names])


def alleles(d: pd.DataFrame) -> pd.DataFrame:
    """P P' of the probabilities of three parents' alleles."""
    p = d[["pA", "pB", "pC"]].to_numpy(float)
    return as_frame((list(d["ind"].astype(str)), p @ p.T))


def gemma(ids_k):
    return lambda: {"K": as_frame(ids_k())}


CASES = {
    "som_btdata_tarsus": Case(
        "sommer_DT_btdata.csv",
        "tarsus ~ sex + (1 | dam) + (1 | fosternest)",
        {"dam": ("dam", ONE), "foster": ("fosternest", ONE), "R": (RES, RES)},
        lambda d, p: model(
            d, "tarsus", "1 + sex", [vc(d, p["dam"], "dam"), vc(d, p["foster"], "fosternest")], p["R"]
        ),
    ),
    "som_example_diag": Case(
        "sommer_DT_example.csv",
        "Yield ~ Env + (1 | Name) + diag(0 + Env | Name)",
        {
            "Name": ("Name", ONE),
            **{f"g{i + 1}": ("Name", f"Env[{e}]") for i, e in enumerate(ENVS)},
            **ENV_R,
        },
        lambda d, p: model(
            d,
            "Yield",
            "1 + Env",
            [vc(d, p["Name"], "Name"), vc(d, np.diag(along(p, "g", 3)), "Name", effects=dummies(d, "Env"))],
            by_level(d, "Env", along(p, "R", 3)),
        ),
        residual="diag(0 + Env | units)",
    ),
    "som_example_genomic_diag": Case(
        "sommer_DT_example.csv",
        "Yield ~ Env + (1 | vm(Name, A)) + diag(0 + Env | vm(Name, A))",
        {
            "Name": ("vm(Name, A)", ONE),
            **{f"g{i + 1}": ("vm(Name, A)", f"Env[{e}]") for i, e in enumerate(ENVS)},
            "R": (RES, RES),
        },
        lambda d, p: model(
            d,
            "Yield",
            "1 + Env",
            [
                vc(d, p["Name"], "Name", k=known("sommer_A_example.csv")),
                vc(
                    d,
                    np.diag(along(p, "g", 3)),
                    "Name",
                    effects=dummies(d, "Env"),
                    k=known("sommer_A_example.csv"),
                ),
            ],
            p["R"],
        ),
        relationships=lambda: {"A": as_frame(known("sommer_A_example.csv"))},
    ),
    "som_example_us": Case(
        "sommer_DT_example.csv",
        "Yield ~ Env + us(0 + Env | Name)",
        {**us_names("G", "Name", [f"Env[{e}]" for e in ENVS]), **ENV_R},
        lambda d, p: model(
            d,
            "Yield",
            "1 + Env",
            [vc(d, symmetric(p, "G", 3), "Name", effects=dummies(d, "Env"))],
            by_level(d, "Env", along(p, "R", 3)),
        ),
        residual="diag(0 + Env | units)",
    ),
    "som_example_mv": Case(
        "sommer_DT_example.csv",
        "cbind(Yield, Weight) ~ 0 + trait + trait:Env + us(0 + trait | Name) + us(0 + trait | Env:Name)",
        {
            **traits("N", "Name", ["Yield", "Weight"]),
            **traits("E", "Env:Name", ["Yield", "Weight"]),
            **traits("R", RES, ["Yield", "Weight"]),
        },
        two_traits(
            ("Yield", "Weight"),
            "0 + trait + trait:Env",
            lambda d, p: [
                vc(d, symmetric(p, "N", 2), "Name", effects=dummies(d, "trait")),
                vc(d, symmetric(p, "E", 2), "Env", "Name", effects=dummies(d, "trait")),
            ],
        ),
        residual="us(0 + trait | units)",
    ),
    "som_gryphon_bwt": Case(
        "sommer_DT_gryphon.csv",
        "BWT ~ 1 + (1 | vm(ANIMAL, A))",
        {"A": ("vm(ANIMAL, A)", ONE), "R": (RES, RES)},
        lambda d, p: model(
            d, "BWT", "1", [vc(d, p["A"], "ANIMAL", k=numerator("sommer_P_gryphon.csv"))], p["R"]
        ),
        relationships=lambda: {"A": from_file("sommer_P_gryphon.csv")},
        prepare=lambda d: text("ANIMAL")(d[d["BWT"].notna()].reset_index(drop=True)),
    ),
    "som_gryphon_bivariate": Case(
        "sommer_DT_gryphon.csv",
        "cbind(BWT, TARSUS) ~ 0 + trait + us(0 + trait | vm(ANIMAL, A))",
        {**traits("G", "vm(ANIMAL, A)", ["BWT", "TARSUS"]), **traits("R", RES, ["BWT", "TARSUS"])},
        gryphon,
        residual="us(0 + trait | units)",
        relationships=lambda: {"A": from_file("sommer_P_gryphon.csv")},
        prepare=text("ANIMAL"),
        note="records that miss a trait stay in for the other",
    ),
    "som_halfdiallel": Case(
        "sommer_DT_halfdiallel.csv",
        "sugar ~ 1 + (1 | mm(female, male)) + (1 | geno)",
        {"gca": ("mm(female, male)", ONE), "sca": ("geno", ONE), "R": (RES, RES)},
        lambda d, p: model(
            d, "sugar", "1", [mixture_of(d, p["gca"], "female", "male"), vc(d, p["sca"], "geno")], p["R"]
        ),
    ),
    "som_polyploid_tuber_shape": Case(
        "sommer_DT_polyploid.csv",
        "tuber_shape ~ 1 + (1 | vm(Name, K))",
        {"G": ("vm(Name, K)", ONE), "R": (RES, RES)},
        lambda d, p: model(
            d, "tuber_shape", "1", [vc(d, p["G"], "Name", k=known("sommer_K_polyploid.csv"))], p["R"]
        ),
        relationships=lambda: {"K": as_frame(known("sommer_K_polyploid.csv"))},
        note="K, centred by the markers, is singular; 34 clones have no record",
    ),
    "som_technow_gca": Case(
        "sommer_DT_technow.csv",
        "GY ~ 1 + (1 | vm(dent, D)) + (1 | vm(flint, F))",
        {"dent": ("vm(dent, D)", ONE), "flint": ("vm(flint, F)", ONE), "R": (RES, RES)},
        lambda d, p: model(
            d,
            "GY",
            "1",
            [vc(d, p["dent"], "dent", k=technow("dent")), vc(d, p["flint"], "flint", k=technow("flint"))],
            p["R"],
        ),
        relationships=lambda: {"D": as_frame(technow("dent")), "F": as_frame(technow("flint"))},
    ),
    "som_wheat_gblup_X2": Case(
        "sommer_DT_wheat.csv",
        "X2 ~ 1 + (1 | vm(id, K))",
        {"G": ("vm(id, K)", ONE), "R": (RES, RES)},
        lambda d, p: model(d, "X2", "1", [vc(d, p["G"], "id", k=vanraden_wheat())], p["R"]),
        relationships=lambda: {"K": as_frame(vanraden_wheat())},
    ),
    "som_cpdata_spl2D": Case(
        "sommer_DT_cpdata.csv",
        "Yield ~ 1 + (1 | vm(id, A)) + (1 | Rowf) + (1 | Colf) + spl2d(Row, Col)",
        {},
        None,
        cannot="sommer's spl2Da has one variance for the whole tensor product; spl2d is the PS-ANOVA of SpATS with five",
    ),
    "gwas_gemma_wheat_X2": Case(
        "sommer_DT_wheat.csv",
        "X2 ~ 1 + (1 | vm(id, K))",
        {"G": ("vm(id, K)", ONE), "R": (RES, RES)},
        lambda d, p: model(d, "X2", "1", [vc(d, p["G"], "id", k=centred_wheat())], p["R"]),
        relationships=gemma(centred_wheat),
        note="the null model of the scan",
    ),
    "gwas_gemma_wheat_mv12": Case(
        "sommer_DT_wheat.csv",
        "cbind(X1, X2) ~ 0 + trait + us(0 + trait | vm(id, K))",
        {**traits("G", "vm(id, K)", ["X1", "X2"]), **traits("R", RES, ["X1", "X2"])},
        two_traits(
            ("X1", "X2"),
            "0 + trait",
            lambda d, p: [vc(d, symmetric(p, "G", 2), "id", effects=dummies(d, "trait"), k=centred_wheat())],
        ),
        residual="us(0 + trait | units)",
        relationships=gemma(centred_wheat),
        note="the null model of the bivariate scan; GEMMA prints six digits",
    ),
    # ----------------------------------------------------------------------------------------------- LMMsolver
    "lmms_oats": Case(
        "LMMsolver_oats.data.csv",
        "yield ~ rep + gen + (1 | rep:block)",
        {"repblock": ("rep:block", ONE), "R": (RES, RES)},
        lambda d, p: model(d, "yield", "1 + rep + gen", [vc(d, p["repblock"], "rep", "block")], p["R"]),
    ),
    "lmms_oats_rangen": Case(
        "LMMsolver_oats.data.csv",
        "yield ~ rep + (1 | gen) + (1 | rep:block)",
        {"gen": ("gen", ONE), "repblock": ("rep:block", ONE), "R": (RES, RES)},
        lambda d, p: model(
            d, "yield", "1 + rep", [vc(d, p["gen"], "gen"), vc(d, p["repblock"], "rep", "block")], p["R"]
        ),
    ),
    "lmms_multipop_qtl": Case(
        "LMMsolver_multipop.csv",
        "pheno ~ cross + (1 | vm(ind, Q))",
        {"QTL": ("vm(ind, Q)", ONE), "R1": (RES, "crossAxB"), "R2": (RES, "crossAxC")},
        lambda d, p: model(
            d,
            "pheno",
            "1 + cross",
            [tw.Term(d[["pA", "pB", "pC"]].to_numpy(float), p["QTL"] * np.eye(3))],
            by_level(d, "cross", along(p, "R", 2)),
        ),
        residual="diag(0 + cross | units)",
        relationships=lambda: {"Q": alleles(read("LMMsolver_multipop.csv"))},
        prepare=lambda d: d.assign(ind=d["ind"].astype(str)),
        note="three allele probabilities with one variance, as the relationship P P' of rank 3 among 180 individuals",
    ),
    "lmms_oats_spl1D": Case(
        "LMMsolver_oats.data.csv",
        "yield ~ rep + gen + (1 | rep:block) + spl(plot)",
        {},
        None,
        cannot="depends on the number of segments of spl(): see the tests of splines",
    ),
    "lmms_barley_spl2D": Case(
        "LMMsolver_barley.uniformity.trial.csv",
        "yield ~ 1 + spl2d(col, row)",
        {},
        None,
        cannot="LMMsolver's spl2D has two penalties on one tensor product (overlapping); spl2d is PS-ANOVA",
    ),
    "spats_wheat_fixedgeno": Case(
        "SpATS_wheatdata.csv",
        "yield ~ geno + colcode + rowcode + (1 | R) + (1 | C) + spl2d(col, row)",
        {},
        None,
        cannot="SpATS's SAP has two penalties on one tensor product (overlapping); spl2d is its PS-ANOVA",
    ),
}
