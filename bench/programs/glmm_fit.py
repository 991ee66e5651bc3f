"""glmm (Rust). It takes no '0 +' in a random term: the same model is given with an intercept."""

from clock import run


def _load():
    import glmm

    return glmm


run(
    _load,
    lambda glmm, frame, job: glmm.fit(frame, job["formula"].replace("(0 + ", "("), reml=job["reml"]),
    lambda fit: -2 * fit.loglik,
)
