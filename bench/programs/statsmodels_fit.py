"""statsmodels MixedLM: one grouping factor; a nested second one as a variance component."""

import re

from clock import run


def _load():
    import statsmodels.formula.api as smf

    return smf


def _fit(smf, frame, job):
    fixed, effects, group = re.fullmatch(r"(.*?) \+ \((.*) \| (\S+)\)", job["formula"]).groups()
    if "/" in group:
        outer, inner = group.split("/")
        return smf.mixedlm(
            fixed, frame, groups=outer, re_formula="1", vc_formula={inner: f"0 + C({inner})"}
        ).fit(reml=job["reml"])
    return smf.mixedlm(fixed, frame, groups=group, re_formula=f"~ {effects}").fit(reml=job["reml"])


run(_load, _fit, lambda fit: -2 * fit.llf, lambda fit: {"said_converged": bool(fit.converged)})
