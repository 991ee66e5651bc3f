"""torch-openreml: MarginalREML of a composed V, in float64 from its own starting values.

It has no formula: the design matrices are made here, in the clock; and no prediction error variances. Its
Newton steps are not checked: where the full step fails or does not converge, half and a fifth of it are
tried (`eta=`), all in the clock.
"""

import numpy as np
from genetics_clock import job, run

TASK = job()["task"]


def _load():
    import torch
    import torch_openreml.covariance
    from torch_openreml import MarginalREML

    torch.set_default_dtype(torch.float64)
    return torch, torch_openreml.covariance, MarginalREML


def _given(data):
    return None if TASK == "field" else data.relationship()


def _relate(program, data, k):
    return None if k is None else program[0].as_tensor(k)


def _incidence(torch, values, levels):
    position = {v: i for i, v in enumerate(levels)}
    z = torch.zeros(len(values), len(levels))
    z[torch.arange(len(values)), torch.tensor([position[v] for v in values])] = 1.0
    return z


def _fixed(torch, column):
    levels = sorted(set(column))
    x = _incidence(torch, column, levels)
    x[:, 0] = 1.0
    return x


def _fit(program, data, k):
    torch, c, reml = program
    y, x, v, read = MODELS[TASK](torch, c, data, k)
    for eta in (1.0, 0.5, 0.2):
        model = reml(v)
        try:
            theta, _, steps = model.optimize(y, x, eta=eta)
        except RuntimeError as error:
            why = str(error).strip().splitlines()[0][:100]
            continue
        if steps < 200 and bool(torch.isfinite(theta).all()):
            break
        why = "no convergence in 200 steps"
    else:
        return {"failed": f"whole, half and fifth steps: {why}"}
    found = {n: float(p) for n, p in v.build_params(theta, out_format="dict").items()}
    return {
        "components": read(found, v, theta),
        "criterion": -2.0 * float(model.history["loglik"][-1]),
        "iterations": steps,
        "note": "" if eta == 1.0 else f"eta={eta}",
    }


def _square(p, prefix, name):
    """Entries of L L' of a lower triangle of order 2."""
    a, b, d = (p[f"{prefix}/L_{i}_{j}"] for i, j in ((0, 0), (1, 0), (1, 1)))
    return {f"{name}_11": a * a, f"{name}_21": a * b, f"{name}_22": b * b + d * d}


def _animal(torch, c, data, k):
    rows = data.records
    z = _incidence(torch, rows["animal"], data.ids)
    v = c.Sum(
        animal=c.KroneckerProduct(s=c.ScalarMatrix(1), k=z @ k @ z.T), residual=c.ScalarMatrix(len(rows))
    )
    y, x = torch.tensor(rows["y"].to_numpy()), _fixed(torch, rows["sex"])
    return y, x, v, lambda p, *_: {"animal": p["animal/s/sigma^2"], "residual": p["residual/sigma^2"]}


def _bivariate(torch, c, data, k):
    rows = data.records
    z = _incidence(torch, rows["animal"], data.ids)
    v = c.Sum(
        genetic=c.KroneckerProduct(s=c.Gram(l=c.LowerTriangularMatrix(2, 2), gram_type="xxt"), k=z @ k @ z.T),
        residual=c.KroneckerProduct(
            s=c.Gram(l=c.LowerTriangularMatrix(2, 2), gram_type="xxt"), k=torch.eye(len(rows))
        ),
    )
    y = torch.tensor(np.concatenate([rows["y1"], rows["y2"]]))
    x = torch.kron(torch.eye(2), _fixed(torch, rows["sex"]))

    def read(p, *_):
        return _square(p, "genetic/s/l", "genetic") | _square(p, "residual/s/l", "residual")

    return y, x, v, read


def _maternal(torch, c, data, k):
    rows = data.records
    z = torch.cat([_incidence(torch, rows[name], data.ids) for name in ("animal", "dam")], dim=1)
    dams = sorted(set(rows["dam"]))
    d = _incidence(torch, rows["dam"], dams)
    v = c.Sum(
        genetic=c.CovariancePropagation(
            z=z, g=c.KroneckerProduct(s=c.Gram(l=c.LowerTriangularMatrix(2, 2), gram_type="xxt"), k=k)
        ),
        dam=c.KroneckerProduct(s=c.ScalarMatrix(1), k=d @ d.T),
        residual=c.ScalarMatrix(len(rows)),
    )
    y, x = torch.tensor(rows["y"].to_numpy()), _fixed(torch, rows["sex"])

    def read(p, *_):
        g = _square(p, "genetic/g/s/l", "g")
        return {
            "direct": g["g_11"],
            "covariance": g["g_21"],
            "maternal": g["g_22"],
            "dam": p["dam/s/sigma^2"],
            "residual": p["residual/sigma^2"],
        }

    return y, x, v, read


def _gblup(torch, c, data, k):
    rows = data.records
    v = c.Sum(genomic=c.KroneckerProduct(s=c.ScalarMatrix(1), k=k), residual=c.ScalarMatrix(len(rows)))
    y, x = torch.tensor(rows["y"].to_numpy()), torch.ones(len(rows), 1)
    return y, x, v, lambda p, *_: {"genomic": p["genomic/s/sigma^2"], "residual": p["residual/sigma^2"]}


def _field(torch, c, data, k):
    rows = data.records.sort_values(["row", "col"])
    z = _incidence(torch, rows["geno"], sorted(set(rows["geno"])))
    side = int(rows["row"].max())
    one = c.AR1Matrix(
        side,
        {
            "sigma^2": {**c.AR1Matrix(side).param_specs["sigma^2"], "fixed": True},
            "rho": c.AR1Matrix(side).param_specs["rho"],
        },
    )
    v = c.Sum(
        geno=c.KroneckerProduct(s=c.ScalarMatrix(1), k=z @ z.T),
        spatial=c.KroneckerProduct(row=c.AR1Matrix(side), col=one),
        nugget=c.ScalarMatrix(len(rows)),
    )
    y, x = torch.tensor(rows["y"].to_numpy()), torch.ones(len(rows), 1)

    def read(p, *_):
        return {
            "geno": p["geno/s/sigma^2"],
            "spatial": p["spatial/row/sigma^2"],
            "rho_row": p["spatial/row/rho"],
            "rho_col": p["spatial/col/rho"],
            "nugget": p["nugget/sigma^2"],
        }

    return y, x, v, read


def _met(torch, c, data, k):
    rows = data.records
    m = rows["env"].nunique()
    sigma = c.Sum(common=c.Gram(c.LowerTriangularMatrix(m, 2), gram_type="xxt"), specific=c.DiagonalMatrix(m))
    cell = rows["env"] + " " + rows["geno"]
    cells = [f"{e} {g}" for e in sorted(set(rows["env"])) for g in data.ids]
    plots = rows["env"].value_counts().iloc[0]
    v = c.Sum(
        genetic=c.CovariancePropagation(z=_incidence(torch, cell, cells), g=c.KroneckerProduct(s=sigma, k=k)),
        residual=c.KroneckerProduct(s=c.DiagonalMatrix(m), k=torch.eye(int(plots))),
    )
    y = torch.tensor(rows["y"].to_numpy())
    x = _incidence(torch, rows["env"], sorted(set(rows["env"])))

    def read(p, v, theta):
        g = sigma(theta[: sigma.num_free_params])
        gap = "_" if m > 9 else ""
        found = {f"genetic_{i + 1}{gap}{j + 1}": float(g[i, j]) for i in range(m) for j in range(i + 1)}
        return found | {f"residual_{i + 1}": p[f"residual/s/sigma^2_{i}"] for i in range(m)}

    return y, x, v, read


MODELS = {
    "animal": _animal,
    "bivariate": _bivariate,
    "maternal": _maternal,
    "gblup": _gblup,
    "field": _field,
    "met": _met,
}
run(_load, _given, _relate, _fit)
