"""GPBoost: maximum likelihood, intercepts of any number of factors (its slopes are uncorrelated)."""

import os
import re

import numpy as np
from clock import run


def _load():
    import gpboost

    return gpboost


def _fit(gpb, frame, job):
    response, right = (part.strip() for part in job["formula"].split("~"))
    random = re.findall(r"\(1 \| ([^)]*)\)", right)
    fixed = [t.strip() for t in re.sub(r"\([^)]*\)", "", right).split("+") if t.strip() not in ("", "1")]
    groups = []
    for term in random:
        names = term.replace("/", ":").split(":")
        if "/" in term:
            groups.append(frame[names[0]].cat.codes.to_numpy())
        joint = np.zeros(len(frame), dtype=np.int64)
        for name in names:
            joint = joint * (frame[name].cat.codes.max() + 1) + frame[name].cat.codes
        groups.append(joint)
    columns = [frame[c].cat.codes if str(frame[c].dtype) == "category" else frame[c] for c in fixed]
    X = np.column_stack([np.ones(len(frame)), *columns])
    model = gpb.GPModel(
        group_data=np.column_stack(groups),
        likelihood="gaussian",
        num_parallel_threads=int(os.environ["OMP_NUM_THREADS"]),
    )
    return model.fit(y=frame[response].to_numpy(dtype=float), X=X)


run(_load, _fit, lambda model: 2 * model.get_current_neg_log_likelihood())
