"""Computed power against drawn responses: each is fitted and tested as a user would."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inference import fisher
from ..inference.wald import combined_df
from .hypotheses import Hypothesis
from .plan import Plan, quadratic
from .precision import whitened
from .progress import line
from .reading import two_sided
from .sample import as_table, drawn

_CHUNK = 4_000_000


def rejected(plan: Plan, draws: int, rng: np.random.Generator, progress: bool) -> np.ndarray:
    """How many of the responses drawn each test rejects (tests,)."""
    if plan.reading.design.blocks:
        return _mixed(plan, draws, rng, progress)
    return _linear(plan, draws, rng)


def _linear(plan: Plan, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Least squares on many responses at once."""
    design = plan.reading.design
    root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
    x = design.X * root[:, None]
    found = whitened(design.x_names, x, 1.0, True)
    q = x[:, plan.kept] @ found.inverse_root
    mean = x @ plan.beta
    df = design.n - len(plan.kept)
    scale_df = np.full(len(plan.tests), float(df)) if plan.df_method == "residual" else plan.df_den
    critical = fisher.quantile(1.0 - plan.level, plan.df_num, scale_df)
    count = np.zeros(len(plan.tests))
    step = max(1, _CHUNK // design.n)
    for at in range(0, draws, step):
        k = min(step, draws - at)
        y = mean[:, None] + np.sqrt(plan.residual) * rng.standard_normal((design.n, k))
        projection = q.T @ y
        s2 = ((y - q @ projection) ** 2).sum(axis=0) / df
        b = found.inverse_root @ projection
        for t, test in enumerate(plan.tests):
            half = np.linalg.solve(
                np.linalg.cholesky(test.rows @ found.vcov @ test.rows.T), test.rows @ b - test.value[:, None]
            )
            count[t] += np.count_nonzero((half**2).sum(axis=0) / (len(test.rows) * s2) > critical[t])
    return count


def _mixed(plan: Plan, draws: int, rng: np.random.Generator, progress: bool) -> np.ndarray:
    """REML and the tests of each fit."""
    from ..models.lmm import lmm, refit

    design = plan.reading.design
    mean = design.X @ plan.beta

    def response() -> np.ndarray:
        return drawn(rng, design, mean, plan.sigmas, plan.residual)

    count = np.zeros(len(plan.tests))
    with line("simulating", draws, progress) as shown:
        first = response()
        table, name = as_table(plan.reading.frame, design.rows, first)
        right = two_sided(design.formula.text).split("~", 1)[1]
        fit = lmm(
            f"`{name}` ~{right}", table, weights=plan.weights, contrasts=dict(plan.contrasts or {}) or None
        )
        for draw in range(draws):
            if draw:
                fit = refit(fit, response())
            for t, test in enumerate(plan.tests):
                count[t] += _rejects(fit, test, plan)
            shown.say(draw + 1)
    return count


def _rejects(fit: Any, test: Hypothesis, plan: Plan) -> bool:
    rows = test.rows
    vcov = fit.vcov
    statistic = quadratic(rows, vcov, rows @ fit.coefficients - test.value) / len(rows)
    if plan.df_method == "satterthwaite":
        _, vectors = np.linalg.eigh(rows @ vcov @ rows.T)
        df = combined_df(fit.denominator_df(vectors.T @ rows, "satterthwaite"))
    else:
        df = float(fit.denominator_df(rows[:1], plan.df_method)[0])
    return bool(fisher.tail(statistic, len(rows), df) < plan.level)
