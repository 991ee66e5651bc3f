"""pyfixest's feols."""

from linear_clock import frame, head, job, kept, run

todo = job()


def _load():
    import pyfixest as pf

    return pf


def _fit(pf, data):
    fit = pf.feols(todo["formula"], data, vcov="iid")
    return kept(fit.coef(), fit.se())


run(_load, _fit, lambda: frame(todo), lambda rows: rows.head(head(todo)))
