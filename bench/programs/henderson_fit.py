"""henderson: formula and data frame to fit."""

from clock import run


def _load():
    import henderson

    return henderson


run(
    _load,
    lambda hd, frame, job: hd.lmm(job["formula"], frame, reml=job["reml"]),
    lambda fit: fit.deviance,
)
