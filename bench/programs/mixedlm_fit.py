"""mixedlm (Rust)."""

from clock import run


def _load():
    import mixedlm

    return mixedlm


run(
    _load,
    lambda mixedlm, frame, job: mixedlm.lmer(job["formula"], frame, REML=job["reml"]),
    lambda fit: fit.deviance,
)
