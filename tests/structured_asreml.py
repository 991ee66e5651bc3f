"""Models whose ASReml results are printed in the help pages of agridat and in the vignettes of asremlPlus."""

from __future__ import annotations

import numpy as np
import pandas as pd
import structured_twin as tw
from structured_nlme import COUNTIES
from structured_parts import (
    ONE,
    RES,
    Case,
    along,
    by_level,
    dummies,
    lattice,
    model,
    numeric,
    pedigree_frame,
    read,
    sections,
    symmetric,
    us_names,
    vc,
    within,
)
from structured_sommer import mixture_of


def keep(column: str):
    """Rows with a response."""
    return lambda d: d[d[column].notna()].reset_index(drop=True)


def y_of(d):
    """formulaic reads `yield` as a keyword."""
    return d.rename(columns={"yield": "y"})


def field(rhs: str, terms=lambda d, p: [], row="row", col="col", phi=("phi(row)", "phi(col)"), y="yield"):
    """AR1 (x) AR1 on a grid, and other terms."""

    def dense(d, p):
        r = lattice(d, p[RES], row, p[phi[0]], col, p[phi[1]], p.get("nugget", 0.0))
        return model(d.rename(columns={y: "y"}), "y", rhs, terms(d, p), r)

    return dense


def grid(row="row", col="col", nugget=False) -> dict:
    """Names of the parameters of AR1(row) (x) AR1(col)."""
    names = [f"phi({row})", f"phi({col})", *(["nugget"] if nugget else []), RES]
    return {n: (RES, n) for n in names}


WHEAT = numeric("Row", "Column")


WHEAT_GROUP = "ar1(Row):ar1(Column)"
WHEAT_NAMES = {
    "s": (WHEAT_GROUP, ONE),
    "phi(Row)": (WHEAT_GROUP, "phi(Row)"),
    "phi(Column)": (WHEAT_GROUP, "phi(Column)"),
    "units": (RES, RES),
}
"""In a mixed model a nugget is the residual, and what is correlated beside it a term of its own."""


def wheat(rhs: str, terms):
    def dense(d, p):
        total = p["s"] + p["units"]
        r = lattice(d, total, "Row", p["phi(Row)"], "Column", p["phi(Column)"], p["units"] / total)
        return model(y_of(d), "y", rhs, terms(d, p), r)

    return dense


def met(terms):
    def dense(d, p):
        pieces = {}
        for i, c in enumerate(COUNTIES):
            part = d[d["county"] == c]
            pieces[c] = lattice(part, p[f"R{i + 1}"], "col", p[f"x{i + 1}"], "row", p[f"y{i + 1}"])
        return model(y_of(d), "y", "1 + county", terms(d, p), sections(d, "county", pieces))

    return dense


def met_names() -> dict:
    out = {}
    for i, c in enumerate(COUNTIES):
        out[f"R{i + 1}"] = (RES, f"county{c}")
        out[f"x{i + 1}"] = (RES, f"county{c}:phi(col)")
        out[f"y{i + 1}"] = (RES, f"county{c}:phi(row)")
    return out


SITES = ["S1", "S2", "S3", "S4"]


def at_site(d, column: str, level: str) -> np.ndarray:
    return (d[column] == level).to_numpy(float)


def damesa(d, p):
    terms = [vc(d, p["site"], "site"), vc(d, p["gs"], "gen", "site")]
    for i, s in enumerate(SITES):
        here = at_site(d, "site", s)
        terms += [
            vc(d, p[f"rep{i + 1}"], "site", "rep", effects=here),
            vc(d, p[f"blk{i + 1}"], "site", "rep", "block", effects=here),
        ]
    return model(y_of(d), "y", "1 + gen", terms, by_level(d, "site", along(p, "R", 4)))


def barley(d: pd.DataFrame) -> pd.DataFrame:
    """Both years of an environment added."""
    return d.groupby(["gen", "env"], observed=True)["yield"].sum().reset_index()


def water(d: pd.DataFrame) -> pd.DataFrame:
    d = d[(d["day"] != 268) & (d["age"] == "A2") & (d["species"] == "S2") & d["water"].notna()]
    ti = d["day"] / 100
    return d.assign(ti=ti, ti2=ti**2).reset_index(drop=True)


def tobacco(d: pd.DataFrame) -> pd.DataFrame:
    d = d[d["year"].astype(str) == "1951"].reset_index(drop=True)
    m, f = d["male"].astype(str), d["female"].astype(str)
    comb = [":".join(sorted(pair)) for pair in zip(m, f, strict=True)]
    return d.assign(comb=comb, dr=np.where(m < f, -1.0, np.where(m > f, 1.0, 0.0)))


def sheep(d: pd.DataFrame) -> pd.DataFrame:
    d = d[d["weanage"].notna() & d["weanwt"].notna()].reset_index(drop=True)
    dl = d["damage"].astype(float).clip(2, 8)
    return d.assign(dl=dl, dq=dl**2)


def lupin(d: pd.DataFrame) -> pd.DataFrame:
    gen = pd.to_numeric(d["gen"].astype(str))
    check = np.where(gen < 7, gen, np.where(gen > 336, 0, 7)).astype(int)
    test = np.where((gen > 6) & (gen < 337), gen, 0).astype(int)
    return d.assign(
        check=pd.Categorical(check.astype(str)),
        test=test.astype(str),
        s3=(d["site"] == "S3").astype(float),
    )


def lupins(d, p, more=lambda d, p: []):
    pieces = {}
    for i in (1, 2, 3):
        part = d[d["site"] == f"S{i}"]
        pieces[f"S{i}"] = lattice(part, p[f"R{i}"], "col", p[f"x{i}"], "row", p[f"y{i}"])
    terms = [
        *(vc(d, p[f"c{i}"], "col", effects=at_site(d, "site", f"S{i}")) for i in (1, 2, 3)),
        vc(d, p["r3"], "row", effects=d["s3"]),
        *more(d, p),
    ]
    return model(y_of(d), "y", "1 + site + check:site", terms, sections(d, "site", pieces))


LUPIN = "yield ~ site + check:site + at(site):(1 | col) + (0 + s3 | row) + "


def lupin_case(term: str, names: dict, more, **options) -> Case:
    """Site 3 has independent columns (its phi(col) is held at 0), and rows of its own by (0 + s3 | row)."""
    return Case(
        "agridat_vsn.lupin3.csv",
        LUPIN + term,
        {
            **{f"c{i}": (f"at(site, S{i}):col", ONE) for i in (1, 2, 3)},
            "r3": ("row", "s3"),
            **{f"R{i}": (RES, f"siteS{i}") for i in (1, 2, 3)},
            **{f"x{i}": (RES, f"siteS{i}:phi(col)") for i in (1, 2, 3)},
            **{f"y{i}": (RES, f"siteS{i}:phi(row)") for i in (1, 2, 3)},
            **names,
        },
        lambda d, p: lupins(d, p, more),
        residual="at(site):(1 | ar1(row):ar1(col))",
        fixed={"Residual: siteS3:phi(col)": 0.0},
        prepare=lupin,
        **options,
    )


def tests_by_site(sigma):
    """The genetic covariance of the sites."""
    return lambda d, p: [vc(d, sigma(p), "test", effects=dummies(d, "site"))]


LUPIN_SITES = ["site[S1]", "site[S2]", "site[S3]"]


def selfed_maize(d: pd.DataFrame) -> list[tuple]:
    """Dent and Flint, five inbreds selfed from each, their crosses and the checks."""
    inbreds = ["A509", "A637", "A661", "CM105", "EP28", "EP31", "EP42", "F7", "PB60", "Z77016"]
    rows = [("Dent", None, None), ("Flint", None, None)]
    rows += [(g, p, p) for g, p in zip(inbreds, ["Dent"] * 5 + ["Flint"] * 5, strict=True)]
    crosses = d[["gen", "male", "female"]].astype(object).drop_duplicates()
    return rows + [
        tuple(None if pd.isna(v) else str(v) for v in row) for row in crosses.itertuples(index=False)
    ]


def maize_pedigree():
    import henderson as hd

    rows = pedigree_frame(selfed_maize(read("agridat_butron.maize.csv")))
    return {"A": hd.genetics.Pedigree(rows, monoecious=True)}


def maize_a(d):
    a, ids = tw.numerator(selfed_maize(d))
    return ids, a


ENVS = ["pc95", "pc96", "pv95", "pv96", "ri96"]
PED = "vm(gen, A)"


def maize_case(term: str, names: dict, terms, printed_df: int) -> Case:
    return Case(
        "agridat_butron.maize.csv",
        "yield ~ env + " + term,
        {**names, "R": (RES, RES)},
        lambda d, p: model(y_of(d), "y", "1 + env", terms(d, p), p["R"]),
        relationships=maize_pedigree,
        prepare=lambda d: d.assign(gen=d["gen"].astype(str)),
        note=f"inbreds by selfing, F1 crosses; ASReml counts {printed_df} variance parameters",
    )


def by_env(sigma):
    return lambda d, p: [vc(d, sigma(p), "gen", effects=dummies(d, "env"), k=maize_a(d))]


def serpentine(d: pd.DataFrame) -> pd.DataFrame:
    """Operations along the rows: four passes of the drill, every third row another."""
    col, row = d["col"].to_numpy(int), d["row"].to_numpy(int)
    levels = sorted({str(v) for v in row})  # as.character() in R: "1", "10", "11" ...
    levels = sorted(levels, key=int)
    pattern = {v: ("2", "2", "1")[i % 3] for i, v in enumerate(levels)}
    return d.assign(
        colcode=(col - (col - 1) // 4 * 4).astype(str),
        rowcode=pd.Categorical([pattern[str(v)] for v in row], categories=["2", "1"]),
    )


def harvests(d: pd.DataFrame) -> pd.DataFrame:
    """Treatments in their order in the year."""
    return d.assign(trt=pd.Categorical(d["trt"].astype(str), ["Jun-01", "Jun-15", "Jul-01", "Jul-15"]))


def asparagus(d: pd.DataFrame) -> pd.DataFrame:
    d = harvests(d).assign(year=pd.to_numeric(d["year"].astype(str)))
    return d[d["year"] < 1934].reset_index(drop=True)


def ante(d, p):
    sd = np.sqrt(along(p, "v", 4))
    sigma = tw.antedependence(sd, [p["c12"], p["c23"], p["c34"]])
    cell = (d["block"].astype(str) + d["trt"].astype(str)).to_numpy()
    r = within(d, cell, sigma, (d["year"] - 1930).to_numpy(int))
    z = [vc(d, p["block"], "block")]
    return model(y_of(d.assign(year=d["year"].astype(str))), "y", "1 + year * trt", z, r)


def sprinkler(d, p):
    cell = (d["block"].astype(str) + d["gen"].astype(str)).to_numpy()
    c = tw.banded(12, [p["c1"], p["c2"], p["c3"]])
    r = p["R"] * within(d, cell, c, (pd.to_numeric(d["subplot"].astype(str)) - 1).to_numpy(int))
    d2 = y_of(d.assign(irr=d["irr"].astype(str)))
    rhs = "1 + gen + dir + irr + gen:dir + gen:irr + dir:irr"
    terms = [vc(d, p["block"], "block"), vc(d, p["bdir"], "block", "dir"), vc(d, p["birr"], "block", "irr")]
    return model(d2, "y", rhs, terms, r)


CASES = {
    # ------------------------------------------------------------------------------------------------ asremlPlus
    "asr_Ladybird_negative": Case(
        "asremlPlus_Ladybird.dat.csv",
        "logitP ~ Host * Cadavers * Ladybird + (1 | Run)",
        {"Run": ("Run", ONE), "R": (RES, RES)},
        lambda d, p: model(d, "logitP", "1 + Host * Cadavers * Ladybird", [vc(d, p["Run"], "Run")], p["R"]),
        note="ASReml's unconstrained variance of Run is negative; ours is its constrained fit, Run = 0",
    ),
    "asr_Wheat_rowcol": Case(
        "asremlPlus_Wheat.dat.csv",
        "yield ~ Rep + WithinColPairs + Variety + (1 | Row) + (1 | Column)",
        {"Row": ("Row", ONE), "Column": ("Column", ONE), "R": (RES, RES)},
        lambda d, p: model(
            y_of(d),
            "y",
            "1 + Rep + WithinColPairs + Variety",
            [vc(d, p["Row"], "Row"), vc(d, p["Column"], "Column")],
            p["R"],
        ),
    ),
    "asr_Wheat_rowcol2": Case(
        "asremlPlus_Wheat.dat.csv",
        "yield ~ Rep + Variety + (1 | Row) + (1 | Column)",
        {"Row": ("Row", ONE), "Column": ("Column", ONE), "R": (RES, RES)},
        lambda d, p: model(
            y_of(d),
            "y",
            "1 + Rep + Variety",
            [vc(d, p["Row"], "Row"), vc(d, p["Column"], "Column")],
            p["R"],
        ),
    ),
    "asr_Wheat_REMLRT": Case(
        "asremlPlus_Wheat.dat.csv",
        "yield ~ Rep + WithinColPairs + Variety + (1 | Row) + (1 | Column)",
        {"Row": ("Row", ONE), "Column": ("Column", ONE), **WHEAT_NAMES},
        wheat(
            "1 + Rep + WithinColPairs + Variety",
            lambda d, p: [vc(d, p["Row"], "Row"), vc(d, p["Column"], "Column")],
        ),
        residual="(1 | ar1(Row):ar1(Column)) + (1 | units)",
        prepare=WHEAT,
        components=2e-3,
        note="Column at 0",
    ),
    "asr_Wheat_maximal": Case(
        "asremlPlus_Wheat.dat.csv",
        "yield ~ WithinColPairs + Variety + (1 | Rep) + (1 | Rep:Row) + (1 | Rep:Column)",
        {
            "Rep": ("Rep", ONE),
            "RepRow": ("Rep:Row", ONE),
            "RepCol": ("Rep:Column", ONE),
            **WHEAT_NAMES,
        },
        wheat(
            "1 + WithinColPairs + Variety",
            lambda d, p: [
                vc(d, p["Rep"], "Rep"),
                vc(d, p["RepRow"], "Rep", "Row"),
                vc(d, p["RepCol"], "Rep", "Column"),
            ],
        ),
        residual="(1 | ar1(Row):ar1(Column)) + (1 | units)",
        prepare=WHEAT,
        components=2e-3,
        note="Rep at 0; ASReml stopped early",
    ),
    "asr_Wheat_unconstrained": Case(
        "asremlPlus_Wheat.dat.csv",
        "yield ~ WithinColPairs + Variety + (1 | Rep) + (1 | Rep:Row) + (1 | Rep:Column)",
        {},
        wheat(
            "1 + WithinColPairs + Variety",
            lambda d, p: [
                vc(d, p["Rep"], "Rep"),
                vc(d, p["RepRow"], "Rep", "Row"),
                vc(d, p["RepCol"], "Rep", "Column"),
            ],
        ),
        prepare=WHEAT,
        cannot="a negative variance (Rep): ours are covariances, zero at the least",
    ),
    # --------------------------------------------------------------------------------------------------- agridat
    "asr_barrero.maize": Case(
        "agridat_barrero.maize.csv",
        "yield ~ loc * yearf + (1 | gen) + (1 | rep:loc:yearf) + (1 | gen:yearf) + (1 | gen:loc) + (1 | gen:loc:yearf)",
        {
            "rep.loc.yearf": ("rep:loc:yearf", ONE),
            "gen": ("gen", ONE),
            "gen.yearf": ("gen:yearf", ONE),
            "gen.loc": ("gen:loc", ONE),
            "gen.loc.yearf": ("gen:loc:yearf", ONE),
        },
        None,
        residual="diag(0 + env | units)",
        prepare=lambda d: keep("yield")(d).assign(
            yearf=lambda x: x["year"].astype(str), gen=lambda x: x["gen"].astype(str)
        ),
        note="14,568 rows, 107 residual variances: too many rows for the twin",
    ),
    "asr_besag.endive": Case(
        "agridat_besag.endive.csv",
        "pres ~ 1",
        grid(),
        field("1", y="pres"),
        residual="(1 | ar1(row):ar1(col))",
        verb="gls",
        prepare=lambda d: d.assign(pres=(d["disease"] == "Y").astype(float)),
    ),
    "asr_besag.met_m1": Case(
        "agridat_besag.met.csv",
        "yield ~ county + (1 | gen:county)",
        {**met_names(), "g": ("gen:county", ONE)},
        met(lambda d, p: [vc(d, p["g"], "gen", "county")]),
        residual="at(county):(1 | ar1(row):ar1(col))",
        prepare=keep("yield"),
    ),
    "asr_besag.met_fa1": Case(
        "agridat_besag.met.csv",
        "yield ~ county + fa(0 + county | gen, k=1)",
        {
            **met_names(),
            **{f"l{i + 1}": ("gen", f"loading 1 county[{c}]") for i, c in enumerate(COUNTIES)},
            **{f"s{i + 1}": ("gen", f"specific county[{c}]") for i, c in enumerate(COUNTIES)},
        },
        met(
            lambda d, p: [
                vc(
                    d,
                    tw.factor_analytic(along(p, "l", 6), along(p, "s", 6)),
                    "gen",
                    effects=dummies(d, "county"),
                )
            ]
        ),
        residual="at(county):(1 | ar1(row):ar1(col))",
        prepare=keep("yield"),
    ),
    "asr_besag.triticale_wald": Case(
        "agridat_besag.triticale.csv",
        "yield ~ gen + rate + nitro + regulator + yf + gen:rate + gen:nitro + gen:regulator + rate:nitro + "
        "rate:regulator + nitro:regulator",
        grid(),
        field(
            "1 + gen + rate + nitro + regulator + yf + gen:rate + gen:nitro + gen:regulator + rate:nitro + "
            "rate:regulator + nitro:regulator"
        ),
        residual="(1 | ar1(row):ar1(col))",
        verb="gls",
        prepare=lambda d: d.assign(
            yf=d["row"].astype(str), rate=d["rate"].astype(str), nitro=d["nitro"].astype(str)
        ),
        note="sequential Wald statistics are printed; the printed run has a residual of 12391, the optimum 12401.6",
    ),
    "asr_box.cork_us": Case(
        "agridat_box.cork.csv",
        "y ~ dir",
        us_names("R", RES, [f"dir{v}" for v in "ENSW"]),
        lambda d, p: model(
            d, "y", "1 + dir", [], within(d, "tree", symmetric(p, "R", 4), d["dir"].cat.codes.to_numpy())
        ),
        residual="us(0 + dir | tree)",
        verb="gls",
    ),
    "asr_bridges.cucumber_m1": Case(
        "agridat_bridges.cucumber.csv",
        "yield ~ gen + loc + loc:gen + (1 | row:loc) + (1 | col:loc)",
        {"row": ("row:loc", ONE), "col": ("col:loc", ONE), "R": (RES, RES)},
        lambda d, p: model(
            y_of(d),
            "y",
            "1 + gen * loc",
            [vc(d, p["row"], "row", "loc"), vc(d, p["col"], "col", "loc")],
            p["R"],
        ),
    ),
    "asr_bridges.cucumber_m2": Case(
        "agridat_bridges.cucumber.csv",
        "yield ~ gen + loc + loc:gen + at(loc):(1 | row) + at(loc):(1 | col)",
        {
            "rowC": ("at(loc, Clemson):row", ONE),
            "rowT": ("at(loc, Tifton):row", ONE),
            "colC": ("at(loc, Clemson):col", ONE),
            "colT": ("at(loc, Tifton):col", ONE),
            "RC": (RES, "locClemson"),
            "RT": (RES, "locTifton"),
        },
        lambda d, p: model(
            y_of(d),
            "y",
            "1 + gen * loc",
            [
                vc(d, p[f"{c}{s[0]}"], c, effects=at_site(d, "loc", s))
                for c in ("row", "col")
                for s in ("Clemson", "Tifton")
            ],
            by_level(d, "loc", [p["RC"], p["RT"]]),
        ),
        residual="diag(0 + loc | units)",
    ),
    "asr_burgueno.alpha_m2": Case(
        "agridat_burgueno.alpha.csv",
        "yield ~ gen + (1 | rep)",
        {"rep": ("rep", ONE), "R": (RES, RES)},
        lambda d, p: model(y_of(d), "y", "1 + gen", [vc(d, p["rep"], "rep")], p["R"]),
    ),
    "asr_burgueno.alpha_m5": Case(
        "agridat_burgueno.alpha.csv",
        "yield ~ gen + (1 | row)",
        {"yf": ("row", ONE), **grid()},
        field("1 + gen", lambda d, p: [vc(d, p["yf"], "row")]),
        residual="(1 | ar1(row):ar1(col))",
    ),
    "asr_burgueno.alpha_m10": Case(
        "agridat_burgueno.alpha.csv",
        "yield ~ gen + row + col",
        grid(),
        field("1 + gen + row + col"),
        residual="(1 | ar1(row):ar1(col))",
        verb="gls",
    ),
    "asr_burgueno.rowcol_rowcol": Case(
        "agridat_burgueno.rowcol.csv",
        "yield ~ gen + (1 | rep) + (1 | rep:row) + (1 | rep:col)",
        {"rep": ("rep", ONE), "reprow": ("rep:row", ONE), "repcol": ("rep:col", ONE), "R": (RES, RES)},
        lambda d, p: model(
            y_of(d),
            "y",
            "1 + gen",
            [vc(d, p["rep"], "rep"), vc(d, p["reprow"], "rep", "row"), vc(d, p["repcol"], "rep", "col")],
            p["R"],
        ),
    ),
    "asr_burgueno.rowcol_spl": Case(
        "agridat_burgueno.rowcol.csv",
        "yield ~ gen + spl(row) + spl(col)",
        {},
        None,
        cannot="ASReml's spl is a cubic smoothing spline in its own scaling; ours is a P-spline",
    ),
    "asr_burgueno.unreplicated_m2": Case(
        "agridat_burgueno.unreplicated.csv",
        "yield ~ 1 + (1 | gen)",
        {"gen": ("gen", ONE), **grid()},
        field("1", lambda d, p: [vc(d, p["gen"], "gen")]),
        residual="(1 | ar1(row):ar1(col))",
    ),
    "asr_burgueno.unreplicated_m3": Case(
        "agridat_burgueno.unreplicated.csv",
        "yield ~ odd + (1 | gen)",
        {"gen": ("gen", ONE), **grid()},
        field("1 + odd", lambda d, p: [vc(d, p["gen"], "gen")]),
        residual="(1 | ar1(row):ar1(col))",
        prepare=lambda d: d.assign(odd=(d["col"] % 2).astype(str)),
    ),
    "asr_butron.maize_m0": Case(
        "agridat_butron.maize.csv",
        "yield ~ env + (1 | gen)",
        {"gen": ("gen", ONE), "R": (RES, RES)},
        lambda d, p: model(y_of(d), "y", "1 + env", [vc(d, p["gen"], "gen")], p["R"]),
    ),
    "asr_cullis.earlygen_m2": Case(
        "agridat_cullis.earlygen.csv",
        "yield ~ weed + (1 | gen)",
        {"gen": ("gen", ONE), **grid()},
        field("1 + weed", lambda d, p: [vc(d, p["gen"], "gen")]),
        residual="(1 | ar1(row):ar1(col))",
        prepare=keep("yield"),
    ),
    "asr_damesa.maize": Case(
        "agridat_damesa.maize.csv",
        "yield ~ gen + (1 | site) + (1 | gen:site) + at(site):(1 | rep) + at(site):(1 | rep:block)",
        {
            "site": ("site", ONE),
            "gs": ("gen:site", ONE),
            **{f"rep{i + 1}": (f"at(site, {s}):rep", ONE) for i, s in enumerate(SITES)},
            **{f"blk{i + 1}": (f"at(site, {s}):rep:block", ONE) for i, s in enumerate(SITES)},
            **{f"R{i + 1}": (RES, f"site{s}") for i, s in enumerate(SITES)},
        },
        damesa,
        residual="diag(0 + site | units)",
        note="two variances of site S3 at 0",
    ),
    "asr_fisher.barley_dsum": Case(
        "agridat_fisher.barley.csv",
        "yield ~ gen + (1 | env)",
        {
            "env": ("env", ONE),
            **{v: (RES, f"gen{v}") for v in ("Manchuria", "Peatland", "Svansota", "Trebi", "Velvet")},
        },
        lambda d, p: model(
            y_of(d),
            "y",
            "1 + gen",
            [vc(d, p["env"], "env")],
            by_level(d, "gen", [p[v] for v in ("Manchuria", "Peatland", "Svansota", "Trebi", "Velvet")]),
        ),
        residual="diag(0 + gen | units)",
        prepare=barley,
        note="printed values are of a sixth of the sums",
    ),
    "asr_gilmour.serpentine_m1": Case(
        "agridat_gilmour.serpentine.csv",
        "yield ~ gen",
        grid(),
        field("1 + gen"),
        residual="(1 | ar1(row):ar1(col))",
        verb="gls",
    ),
    "asr_gilmour.serpentine_m6nospl": Case(
        "agridat_gilmour.serpentine.csv",
        "yield ~ gen + col + colcode + rowcode + (1 | col) + (1 | row)",
        {"colf": ("col", ONE), "rowf": ("row", ONE), **grid()},
        field(
            "1 + gen + col + colcode + rowcode",
            lambda d, p: [vc(d, p["colf"], "col"), vc(d, p["rowf"], "row")],
        ),
        residual="(1 | ar1(row):ar1(col))",
        prepare=serpentine,
    ),
    "asr_gilmour.slatehall_m4": Case(
        "agridat_gilmour.slatehall.csv",
        "yield ~ gen + row + (1 | row) + (1 | col)",
        {"devrow": ("row", ONE), "devcol": ("col", ONE), **grid()},
        field("1 + gen + row", lambda d, p: [vc(d, p["devrow"], "row"), vc(d, p["devcol"], "col")]),
        residual="(1 | ar1(row):ar1(col))",
    ),
    "asr_hanks.sprinkler_corb3": Case(
        "agridat_hanks.sprinkler.csv",
        "yield ~ gen + dir + irr + gen:dir + gen:irr + dir:irr + (1 | block) + (1 | block:dir) + (1 | block:irr)",
        {},
        sprinkler,
        cannot="a banded correlation (three lags, zero beyond); toep has all lags",
    ),
    "asr_harris.wateruse_m2": Case(
        "agridat_harris.wateruse.csv",
        "water ~ ti + ti2 + (1 | tree)",
        {"tree": ("tree", ONE), "phi": (RES, "phi"), RES: (RES, RES)},
        lambda d, p: model(
            d,
            "water",
            "1 + ti + ti2",
            [vc(d, p["tree"], "tree")],
            p[RES]
            * within(
                d,
                "tree",
                p["phi"] ** tw.distances(np.unique(d["day"])),
                np.unique(d["day"], return_inverse=True)[1],
            ),
        ),
        residual="ou(0 + day | tree)",
        prepare=water,
    ),
    "asr_hayman.tobacco_diallel": Case(
        "agridat_hayman.tobacco.csv",
        "day ~ 1 + (1 | mm(male, female)) + (1 | comb) + (0 + dr | comb)",
        {"gca": ("mm(male, female)", ONE), "sca": ("comb", ONE), "rsca": ("comb", "dr"), "R": (RES, RES)},
        lambda d, p: model(
            d,
            "day",
            "1",
            [
                mixture_of(d, p["gca"], "male", "female"),
                vc(d, p["sca"], "comb"),
                vc(d, p["rsca"], "comb", effects=d["dr"]),
            ],
            p["R"],
        ),
        prepare=tobacco,
    ),
    "asr_hildebrand_dsum": Case(
        "agridat_hildebrand.systems.csv",
        "yield ~ system + (1 | farm)",
        {"farm": ("farm", ONE), **{v: (RES, f"system{v}") for v in ("CCA", "CCAF", "LM", "LMF")}},
        lambda d, p: model(
            y_of(d),
            "y",
            "1 + system",
            [vc(d, p["farm"], "farm")],
            by_level(d, "system", [p[v] for v in ("CCA", "CCAF", "LM", "LMF")]),
        ),
        residual="diag(0 + system | units)",
        components=2e-3,
        note="the residual variance of LM is nearly 0",
    ),
    "asr_hildebrand_us": Case(
        "agridat_hildebrand.systems.csv",
        "yield ~ system",
        us_names("R", RES, [f"system{v}" for v in ("CCA", "CCAF", "LM", "LMF")]),
        lambda d, p: model(
            y_of(d),
            "y",
            "1 + system",
            [],
            within(d, "farm", symmetric(p, "R", 4), d["system"].cat.codes.to_numpy()),
        ),
        residual="us(0 + system | farm)",
        verb="gls",
    ),
    "asr_ilri.sheep": Case(
        "agridat_ilri.sheep.csv",
        "weanwt ~ year + sex + weanage + dl + dq + ramgen + ewegen + (1 | ram) + (1 | ewe)",
        {"ram": ("ram", ONE), "ewe": ("ewe", ONE), "R": (RES, RES)},
        lambda d, p: model(
            d,
            "weanwt",
            "1 + year + sex + weanage + dl + dq + ramgen + ewegen",
            [vc(d, p["ram"], "ram"), vc(d, p["ewe"], "ewe")],
            p["R"],
        ),
        prepare=sheep,
    ),
    "asr_john.alpha_cullisH2": Case(
        "agridat_john.alpha.csv",
        "yield ~ rep + (1 | gen) + (1 | rep:block)",
        {"gen": ("gen", ONE), "repblock": ("rep:block", ONE), "R": (RES, RES)},
        lambda d, p: model(
            y_of(d), "y", "1 + rep", [vc(d, p["gen"], "gen"), vc(d, p["repblock"], "rep", "block")], p["R"]
        ),
    ),
    "asr_kalamkar.wheat": Case(
        "agridat_kalamkar.wheat.uniformity.csv",
        "yield ~ 1",
        grid(),
        field("1"),
        residual="(1 | ar1(row):ar1(col))",
        verb="gls",
    ),
    "asr_kempton.barley.uniformity": Case(
        "agridat_kempton.barley.uniformity.csv",
        "yield ~ 1",
        grid(),
        field("1"),
        residual="(1 | ar1(row):ar1(col))",
        verb="gls",
    ),
    "asr_weiss.incblock": Case(
        "agridat_weiss.incblock.csv",
        "yield ~ gen + block",
        {"R": (RES, RES)},
        None,
        verb="lm",
        note="fixed effects only",
    ),
    "asr_kenward.cattle_spl": Case(
        "agridat_kenward.cattle.csv",
        "weight ~ day * trt + spl(day) + (1 | day) + (1 | trt:day)",
        {},
        None,
        cannot="ASReml's spl is a cubic smoothing spline in its own scaling; ours is a P-spline",
    ),
    "asr_lonnquist.maize": Case(
        "agridat_lonnquist.maize.csv",
        "yield ~ 1 + (1 | mm(p1, p2))",
        {"gca": ("mm(p1, p2)", ONE), "R": (RES, RES)},
        lambda d, p: model(y_of(d), "y", "1", [mixture_of(d, p["gca"], "p1", "p2")], p["R"]),
        prepare=lambda d: (
            d[d["p1"].isin(["M", "H", "G", "B", "K", "K2"]) & d["p2"].isin(["M", "H", "G", "B", "K", "K2"])]
            .reset_index(drop=True)
            .assign(p1=lambda x: x["p1"].astype(str), p2=lambda x: x["p2"].astype(str))
        ),
    ),
    "asr_perry.springwheat": Case(
        "agridat_perry.springwheat.csv",
        "y ~ yorc + (yorc || env)",
        {"env": ("env", ONE), "env.yorc": ("env", "yorc"), "R": (RES, RES)},
        lambda d, p: model(
            d,
            "y",
            "1 + yorc",
            [vc(d, p["env"], "env"), vc(d, p["env.yorc"], "env", effects=d["yorc"])],
            p["R"],
        ),
        prepare=lambda d: keep("yield")(d).assign(
            y=lambda x: x["yield"] / 100, yorc=lambda x: x["yor"] - 1800.0
        ),
    ),
    "asr_snedecor.asparagus_ante1": Case(
        "agridat_snedecor.asparagus.csv",
        "yield ~ C(year) * trt + (1 | block)",
        {
            "block": ("block", ONE),
            **{f"v{i + 1}": (RES, f"year{1930 + i}") for i in range(4)},
            **{f"c{i}{i + 1}": (RES, f"cor(year{1929 + i}, year{1930 + i})") for i in range(1, 4)},
        },
        ante,
        residual="ante1(0 + year | block:trt)",
        prepare=lambda d: asparagus(d)[lambda x: x["year"] > 1929].reset_index(drop=True),
        components=2e-3,
    ),
    "asr_snedecor.asparagus_split": Case(
        "agridat_snedecor.asparagus.csv",
        "yield ~ trt + year + trt:year + (1 | block) + (1 | block:trt)",
        {"block": ("block", ONE), "bt": ("block:trt", ONE), "R": (RES, RES)},
        lambda d, p: model(
            y_of(d),
            "y",
            "1 + trt * year",
            [vc(d, p["block"], "block"), vc(d, p["bt"], "block", "trt")],
            p["R"],
        ),
        prepare=lambda d: harvests(d).assign(year=d["year"].astype(str)),
    ),
    "asr_stroup.nin_ar1ar1_units": Case(
        "agridat_stroup.nin.csv",
        "yield ~ gen",
        grid(nugget=True),
        field("1 + gen"),
        residual="(1 | ar1(row):ar1(col)) + (1 | units)",
        verb="gls",
        prepare=keep("yield"),
    ),
    "asr_stroup.nin_rcb": Case(
        "agridat_stroup.nin.csv",
        "yield ~ gen + (1 | rep)",
        {"rep": ("rep", ONE), "R": (RES, RES)},
        lambda d, p: model(y_of(d), "y", "1 + gen", [vc(d, p["rep"], "rep")], p["R"]),
        prepare=keep("yield"),
    ),
    "asr_stroup.splitplot": Case(
        "agridat_stroup.splitplot.csv",
        "y ~ 0 + a + b + a:b + (1 | rep) + (1 | a:rep)",
        {"rep": ("rep", ONE), "arep": ("a:rep", ONE), "R": (RES, RES)},
        lambda d, p: model(
            d, "y", "0 + a + b + a:b", [vc(d, p["rep"], "rep"), vc(d, p["arep"], "a", "rep")], p["R"]
        ),
    ),
    "asr_vsn.lupin3_m1": lupin_case(
        "(1 | test)", {"test": ("test", ONE)}, lambda d, p: [vc(d, p["test"], "test")]
    ),
    "asr_vsn.lupin3_m2": lupin_case(
        "(1 | test) + (1 | site:test)",
        {"test": ("test", ONE), "st": ("site:test", ONE)},
        lambda d, p: [vc(d, p["test"], "test"), vc(d, p["st"], "site", "test")],
    ),
    "asr_vsn.lupin3_m3": lupin_case(
        "csh(0 + site | test)",
        {**{f"g{i + 1}": ("test", v) for i, v in enumerate(LUPIN_SITES)}, "rho": ("test", "rho")},
        tests_by_site(lambda p: tw.heterogeneous(tw.compound(3, p["rho"]), np.sqrt(along(p, "g", 3)))),
    ),
    "asr_vsn.lupin3_m4": lupin_case(
        "us(0 + site | test)",
        us_names("G", "test", LUPIN_SITES),
        tests_by_site(lambda p: symmetric(p, "G", 3)),
    ),
    "asr_vsn.lupin3_m5": lupin_case(
        "fa(0 + site | test, k=1)",
        {
            **{f"l{i + 1}": ("test", f"loading 1 {v}") for i, v in enumerate(LUPIN_SITES)},
            **{f"s{i + 1}": ("test", f"specific {v}") for i, v in enumerate(LUPIN_SITES)},
        },
        tests_by_site(lambda p: tw.factor_analytic(along(p, "l", 3), along(p, "s", 3))),
        note="the specific variance of site 2 is 0",
    ),
    "asr_butron.maize_m1": maize_case(
        "(1 | vm(gen, A))",
        {"gen": (PED, ONE)},
        lambda d, p: [vc(d, p["gen"], "gen", k=maize_a(d))],
        2,
    ),
    "asr_butron.maize_m2": maize_case(
        "id(0 + env | vm(gen, A))",
        {"gen": (PED, "env[pc95]")},
        by_env(lambda p: p["gen"] * np.eye(5)),
        2,
    ),
    "asr_butron.maize_m3": maize_case(
        "diag(0 + env | vm(gen, A))",
        {f"g{i + 1}": (PED, f"env[{e}]") for i, e in enumerate(ENVS)},
        by_env(lambda p: np.diag(along(p, "g", 5))),
        6,
    ),
    "asr_butron.maize_m4": maize_case(
        "fa(0 + env | vm(gen, A), k=1)",
        {
            **{f"l{i + 1}": (PED, f"loading 1 env[{e}]") for i, e in enumerate(ENVS)},
            **{f"s{i + 1}": (PED, f"specific env[{e}]") for i, e in enumerate(ENVS)},
        },
        by_env(lambda p: tw.factor_analytic(along(p, "l", 5), along(p, "s", 5))),
        11,
    ),
    "asr_besag.met_gen": Case(
        "agridat_besag.met_means.csv",
        "yield ~ gen + (1 | county)",
        {"county": ("county", ONE), **{f"G{i:02}": (RES, f"genG{i:02}") for i in range(1, 65)}},
        lambda d, p: model(
            y_of(d),
            "y",
            "1 + gen",
            [vc(d, p["county"], "county")],
            by_level(d, "gen", [p[f"G{i:02}"] for i in range(1, 65)]),
        ),
        residual="diag(0 + gen | units)",
        note="64 residual variances of six means each",
    ),
}


class Renamed:
    """Components that ASReml prints are ours by another name, times `scale`."""

    def __init__(self, scale: float = 1.0, **names: str):
        self.names = {theirs.replace("__", "."): ours for theirs, ours in names.items()}
        self.scale = scale

    def __call__(self, p) -> dict[str, float]:
        """What ASReml would print for our parameters."""
        return {theirs: p[ours] * self.scale for theirs, ours in self.names.items()}

    def back(self, p, printed) -> dict[str, float]:
        """Our parameters with the printed ones put in."""
        return {**p, **{self.names[k]: v / self.scale for k, v in printed.items() if k in self.names}}


class Same(Renamed):
    """Each by the name it has here."""

    def __init__(self, *names: str, scale: float = 1.0):
        super().__init__(scale, **{n.replace(".", "__"): n for n in names})


class Ante:
    """Sigma^-1 = U D U', U unit upper triangular: ASReml's u and d."""

    def __call__(self, p) -> dict[str, float]:
        sd = np.sqrt(along(p, "v", 4))
        q = np.linalg.inv(tw.antedependence(sd, [p["c12"], p["c23"], p["c34"]]))
        flip = np.linalg.cholesky(q[::-1, ::-1])[::-1, ::-1]
        d = np.diag(flip)
        u = flip / d
        out = {f"d{1930 + i}": float(d[i] ** 2) for i in range(4)}
        out |= {f"u{1931 + i}.{1930 + i}": float(u[i, i + 1]) for i in range(3)}
        return out | {"block": p["block"]}

    def back(self, p, printed) -> dict[str, float]:
        u = np.eye(4)
        for i in range(3):
            u[i, i + 1] = printed[f"u{1931 + i}.{1930 + i}"]
        s = np.linalg.inv(u @ np.diag([printed[f"d{1930 + i}"] for i in range(4)]) @ u.T)
        c = s / np.sqrt(np.outer(np.diag(s), np.diag(s)))
        return {
            "block": printed["block"],
            **{f"v{i + 1}": s[i, i] for i in range(4)},
            **{f"c{i + 1}{i + 2}": c[i, i + 1] for i in range(3)},
        }


_XY = {"xf__cor": "phi(col)", "yf__cor": "phi(row)", "R": RES}

PRINTED = {
    "asr_Wheat_maximal": Renamed(
        Rep__Row="RepRow",
        Rep__Column="RepCol",
        units="units",
        R="s",
        Row__cor="phi(Row)",
        Column__cor="phi(Column)",
    ),
    "asr_Wheat_rowcol": Renamed(Row="Row", Column="Column", R="R"),
    "asr_Wheat_rowcol2": Renamed(Row="Row", Column="Column", R="R"),
    "asr_barrero.maize": Same(*CASES["asr_barrero.maize"].par),
    "asr_besag.endive": Renamed(**_XY),
    "asr_bridges.cucumber_m1": Renamed(rowf__loc="row", colf__loc="col", R="R"),
    "asr_bridges.cucumber_m2": Renamed(
        Clemson__row="rowC",
        Tifton__row="rowT",
        Clemson__col="colC",
        Tifton__col="colT",
        Clemson__R="RC",
        Tifton__R="RT",
    ),
    "asr_burgueno.rowcol_rowcol": Renamed(repcol="repcol", reprow="reprow", rep="rep", R="R"),
    "asr_burgueno.unreplicated_m2": Renamed(gen="gen", **_XY),
    "asr_damesa.maize": Renamed(
        **{f"S{i}__rep": f"rep{i}" for i in (1, 2, 4)},
        **{f"S{i}__rep__block": f"blk{i}" for i in (1, 2, 4)},
        **{f"S{i}__R": f"R{i}" for i in (1, 2, 3, 4)},
        site="site",
        gen__site="gs",
    ),
    "asr_fisher.barley_dsum": Same("Manchuria", "Peatland", "Svansota", "Trebi", "Velvet", scale=1 / 6),
    "asr_gilmour.slatehall_m4": Renamed(dev__col="devcol", dev__row="devrow", **_XY),
    "asr_harris.wateruse_m2": Renamed(tree="tree", R=RES, pow="phi"),
    "asr_hayman.tobacco_diallel": Renamed(male="gca", comb="sca", comb__dr="rsca", R="R"),
    "asr_hildebrand_dsum": Same(*CASES["asr_hildebrand_dsum"].par),
    "asr_hildebrand_us": Renamed(CCA="R11", CCAF="R22", LM="R33", LMF="R44"),
    "asr_kalamkar.wheat": Renamed(rowf__cor="phi(row)", colf__cor="phi(col)", R=RES),
    "asr_kempton.barley.uniformity": Renamed(**_XY),
    "asr_lonnquist.maize": Renamed(p1="gca", R="R"),
    "asr_perry.springwheat": Renamed(env="env", env__yorc="env.yorc", R="R"),
    "asr_snedecor.asparagus_ante1": Ante(),
    "asr_snedecor.asparagus_split": Renamed(block="block", block__trt="bt", R="R"),
    "asr_besag.met_gen": Same("county", *(f"G0{i}" for i in range(1, 7))),
    "asr_stroup.splitplot": Renamed(rep="rep", a__rep="arep", R="R"),
    "asr_vsn.lupin3_m1": Renamed(
        **{f"S{i}__colf": f"c{i}" for i in (1, 2, 3)},
        S3__rowf="r3",
        test="test",
        **{f"S{i}__R": f"R{i}" for i in (1, 2, 3)},
        **{f"S{i}__colf__cor": f"x{i}" for i in (1, 2)},
        **{f"S{i}__rowf__cor": f"y{i}" for i in (1, 2, 3)},
    ),
}
"""ASReml's printed components from our parameters."""
