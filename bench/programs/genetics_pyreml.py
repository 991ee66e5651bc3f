"""pyreml: MixedModel.from_dataframe with a dense K, which pyreml takes as a known structure among levels.

A blended K (0.01 added to the diagonal) is given for the genomic model, since G of centred markers has no
inverse; with one record an individual that is the same model, and 0.01 of the genomic variance is put back
into the residual afterwards.
"""

import numpy as np
from genetics_clock import job, run

BLEND = 0.01
TASK = job()["task"]


def _load():
    import pyreml

    return pyreml


def _given(data):
    return None if TASK == "field" else data.relationship()


def _relate(pyreml, data, k):
    if TASK == "gblup":
        return k + BLEND * np.eye(len(k))
    if data.pedigree is None:
        return k
    pedigree = data.pedigree.replace("", None)
    return pyreml.A_pedigree(pedigree.rename(columns=str.upper))


def _fit(pyreml, data, k):
    build = {
        "animal": _animal,
        "bivariate": _bivariate,
        "gblup": _gblup,
        "field": _field,
        "met": _met,
    }.get(TASK)
    if build is None:
        return {"failed": "no covariance between two terms"}
    known = {"right_hand": "str", "covariance": k, "matrix_index": data.ids}
    arguments, read = build(pyreml, known)
    model = pyreml.MixedModel.from_dataframe(data=data.records, device="cpu", **arguments)
    model.fit(verbose=False)
    return {"components": read(model), "criterion": float(model.neg2loglik)}


def _sigma(effect):
    return np.asarray(effect.variance["sigma"], dtype=float)


def _animal(pyreml, known):
    arguments = {"response": "y", "fixed": "1 + C(sex)", "random": pyreml.Random("animal", **known)}
    return arguments, lambda m: {"animal": float(_sigma(m.random[0])), "residual": float(_sigma(m.residual))}


def _bivariate(pyreml, known):
    arguments = {
        "response": ["y1", "y2"],
        "fixed": "1 + C(sex)",
        "random": pyreml.Random("animal", left_hand="full", **known),
        "residual": pyreml.Residual(left_hand="full"),
    }

    def read(model):
        g, r = _sigma(model.random[0]), _sigma(model.residual)
        return {
            f"{name}_{i + 1}{j + 1}": float(s[i, j])
            for name, s in (("genetic", g), ("residual", r))
            for i, j in ((0, 0), (1, 0), (1, 1))
        }

    return arguments, read


def _gblup(pyreml, known):
    arguments = {"response": "y", "fixed": "1", "random": pyreml.Random("id", **known)}

    def read(model):
        g = float(_sigma(model.random[0]))
        return {"genomic": g, "residual": float(_sigma(model.residual)) + BLEND * g}

    return arguments, read


def _field(pyreml, known):
    plots = pyreml.Random(["row", "col"], right_hand="ar_ani")
    arguments = {"response": "y", "fixed": "1", "random": [pyreml.Random("geno"), plots]}

    def read(model):
        geno, spatial = model.random
        rates = np.exp(-np.asarray(spatial.variance["metadata"]["rho"]))
        return {
            "geno": float(_sigma(geno)),
            "spatial": float(_sigma(spatial)),
            "rho_row": float(rates[0]),
            "rho_col": float(rates[1]),
            "nugget": float(_sigma(model.residual)),
        }

    return arguments, read


def _met(pyreml, known):
    arguments = {
        "response": "y",
        "fixed": "0 + C(env)",
        "random": pyreml.Random("geno", formula="0 + C(env)", left_hand="fa", n_axes=2, **known),
        "residual": pyreml.Residual(right_hand="het", het_formula="1 + C(env)"),
    }

    def read(model):
        g = _sigma(model.random[0])
        gap = "_" if len(g) > 9 else ""
        found = {f"genetic_{i + 1}{gap}{j + 1}": float(g[i, j]) for i in range(len(g)) for j in range(i + 1)}
        base = float(_sigma(model.residual))
        times = [h["h"] for h in model.residual.variance["metadata"]["het"]]
        return found | {f"residual_{i + 1}": base * h for i, h in enumerate([1.0, *times])}

    return arguments, read


run(_load, _given, _relate, _fit)
