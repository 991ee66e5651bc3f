"""statsmodels OLS, by formula or by arrays."""

from linear_clock import frame, head, job, kept, run

todo = job()


def _load():
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    return sm, smf


def _fit(modules, data):
    sm, smf = modules
    if todo["variant"] == "formula":
        fit = smf.ols(todo["formula"], data).fit()
    else:
        fit = sm.OLS(data["y"], sm.add_constant(data.drop(columns="y"))).fit()
    return kept(fit.params, fit.bse)


run(_load, _fit, lambda: frame(todo), lambda rows: rows.head(head(todo)))
