"""glmm (Rust)."""

from linear_clock import frame, head, job, kept, run

todo = job()


def _load():
    import glmm

    return glmm


def _fit(glmm, data):
    fit = glmm.fit(data, todo["formula"])
    return kept(fit.beta, fit.se)


run(_load, _fit, lambda: frame(todo), lambda rows: rows.head(head(todo)))
