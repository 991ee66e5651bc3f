"""henderson: hd.lmm from a data frame and a pedigree or markers to standard errors and reliabilities."""

import numpy as np
from genetics_clock import job, run

TASK = job()["task"]
MODELS = {
    "animal": ("y ~ sex + (1 | vm(animal, A))", None),
    "bivariate": (
        "cbind(y1, y2) ~ trait + trait:sex + us(0 + trait | vm(animal, A))",
        "us(0 + trait | units)",
    ),
    "maternal": ("y ~ sex + us(1 | vm(animal, A) + vm(dam, A)) + (1 | dam)", None),
    "gblup": ("y ~ 1 + (1 | vm(id, G))", None),
    "field": ("y ~ 1 + (1 | geno)", "(1 | ar1(row):ar1(col)) + (1 | units)"),
    "met": ("y ~ env + fa(0 + env | vm(geno, G), k=2)", "diag(0 + env | units)"),
}


def _load():
    import henderson as hd

    return hd


def _given(data):
    return {"gblup": data.markers, "met": data.relationship}.get(TASK, lambda: None)()


def _relate(hd, data, given):
    if data.pedigree is not None:
        pedigree = hd.genetics.Pedigree(data.pedigree, animal="id")
        return {"A": pedigree}
    if TASK == "gblup":
        return {"G": hd.genetics.grm(given, ids=data.ids)}
    return {"G": (given, data.ids)} if TASK == "met" else None


def _fit(hd, data, relationships):
    formula, residual = MODELS[TASK]
    fit = hd.lmm(formula, data.records, residual=residual, relationships=relationships)
    table = fit.variance_components
    fixed = fit.fixed_effects
    effects = fit.random_effects
    found = {"components": _read(table), "criterion": float(fit.deviance)}
    found["converged"] = bool(fit.status.converged)
    found["standard_errors"] = bool(np.isfinite(np.asarray(fixed["std_error"], dtype=float)).all())
    found["effects"] = len(effects)
    found["iterations"] = int(getattr(fit.status, "iterations", -1))
    return found


def _read(table):
    group = [str(g) for g in table["group"]]
    term = [str(t) for t in table["term"]]
    value = [float(v) for v in table["estimate"]]
    rows = list(zip(group, term, value, strict=True))
    genetic = [(t, v) for g, t, v in rows if "vm(" in g]
    residual = [(t, v) for g, t, v in rows if g == "Residual"]
    if TASK in ("animal", "gblup"):
        return {"animal" if TASK == "animal" else "genomic": genetic[0][1], "residual": residual[0][1]}
    if TASK == "bivariate":
        return _square("genetic", genetic) | _square("residual", residual)
    if TASK == "maternal":
        g = _square("g", genetic)
        dam = next(v for name, _, v in rows if name == "dam")
        return {
            "direct": g["g_11"],
            "covariance": g["g_21"],
            "maternal": g["g_22"],
            "dam": dam,
            "residual": residual[0][1],
        }
    if TASK == "field":
        named = {(g, t): v for g, t, v in rows}
        plots = "ar1(row):ar1(col)"
        return {
            "geno": named["geno", "(Intercept)"],
            "spatial": named[plots, "(Intercept)"],
            "rho_row": named[plots, "phi(row)"],
            "rho_col": named[plots, "phi(col)"],
            "nugget": residual[0][1],
        }
    return _factors(dict(genetic)) | {f"residual_{i + 1}": v for i, (_, v) in enumerate(residual)}


def _factors(named):
    """The entries of the genetic matrix, from loadings and specific variances."""
    effects = [t.removeprefix("specific ") for t in named if t.startswith("specific ")]
    loadings = [[named.get(f"loading {k} {e}", 0.0) for k in (1, 2)] for e in effects]
    g = np.array(loadings) @ np.array(loadings).T + np.diag([named[f"specific {e}"] for e in effects])
    gap = "_" if len(g) > 9 else ""
    return {f"genetic_{i + 1}{gap}{j + 1}": float(g[i, j]) for i in range(len(g)) for j in range(i + 1)}


def _square(name, rows):
    """Of an unstructured matrix of order 2: variances in order, then the covariance."""
    variances = [v for t, v in rows if not t.startswith("cov(")]
    covariance = next(v for t, v in rows if t.startswith("cov("))
    return {f"{name}_11": variances[0], f"{name}_21": covariance, f"{name}_22": variances[1]}


run(_load, _given, _relate, _fit)
