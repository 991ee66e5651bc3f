"""Planned experiments: the tests that will be made of a design, what is true, and their power.

F of L b = 0 is, at known variances, noncentral with

    ncp = (Lb)'(L Phi L')^-1 (Lb),   Phi = (X'V^-1X)^-1,      h = rank L numerator df,

and the denominator df of the model's own test: n - rank X in a linear model; Satterthwaite's in a mixed one, from the
expected information of the variances (expected.py), joined over the rows of L as Fai & Cornelius (1996) do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import chndtr, ncfdtr

from ..errors import ModelError
from ..inference import fisher
from ..inference.satterthwaite import degrees_of_freedom
from ..inference.wald import combined_df
from .expected import expected_information
from .hypotheses import Hypothesis, hypotheses
from .precision import Precision, held_solution, mixed_precision, precision, variances_of
from .reading import Reading, build, effect_columns, parse
from .sample import fresh_columns, replicated

_LARGEST = 4096
_ENOUGH = 2
"""Replicates with which a test can be made where one run of each has no residual df."""


@dataclass(frozen=True, eq=False)
class Plan:
    """One experiment: the design, what is true, and the tests with their computed power."""

    reading: Reading
    beta: np.ndarray
    """(p,): true coefficients."""
    sigmas: list[np.ndarray]
    residual: float
    tests: list[Hypothesis]
    """Over the kept columns."""
    kept: np.ndarray
    df_num: np.ndarray
    df_den: np.ndarray
    ncp: np.ndarray
    level: float
    df_method: str
    replicates: int
    information: str
    contrasts: Mapping[str, Any] | None
    weights: str | None

    @property
    def critical(self) -> np.ndarray:
        """Critical values of F."""
        return fisher.quantile(1.0 - self.level, self.df_num, self.df_den)

    @property
    def power(self) -> np.ndarray:
        """P(F > critical)."""
        return noncentral_tail(self.critical, self.df_num, self.df_den, self.ncp)

    def columns(self) -> dict[str, list]:
        """A row of the table of powers for each test."""
        k = len(self.tests)
        return {
            "test": [t.name for t in self.tests],
            "replicates": [self.replicates] * k,
            "n": [self.reading.design.n] * k,
            "df_num": [int(v) for v in self.df_num],
            "df_den": list(self.df_den),
            "ncp": list(self.ncp),
            "critical": list(self.critical),
            "power": list(self.power),
        }


class Planner:
    """Plans of one model for any number of replicates."""

    def __init__(
        self,
        base: Reading,
        beta: np.ndarray,
        theta: Mapping[str, Any],
        test: Any,
        level: float,
        df_method: str,
        fresh: Any,
        weights: str | None,
        contrasts: Mapping[str, Any] | None,
    ):
        self.base, self.beta, self.theta, self.test = base, beta, theta, test
        self.level, self.df_method = float(level), df_method
        self.weights, self.contrasts = weights, contrasts
        self.parsed = parse(base.text)
        self.fresh = fresh_columns(fresh, base.design, effect_columns(self.parsed))

    def plan(self, count: int) -> Plan:
        """The experiment with each row `count` times."""
        reading = self.base
        if count > 1:
            frame = replicated(self.base.frame, count, self.fresh)
            reading = build(
                self.base.text, self.parsed, frame, {}, weights=self.weights, contrasts=self.contrasts
            )
        design = reading.design
        sigmas, residual = variances_of(design, self.theta, reading.text)
        held = held_solution(design, sigmas, residual) if design.blocks and design.n > design.p else None
        if held is None:
            found = precision(design, reading.text, self.theta)
        else:
            found = mixed_precision(design, residual, *held)
        tests = hypotheses(self.test, design, found.space)
        information = ""
        if self.df_method == "inf":
            df_den = np.full(len(tests), np.inf)
        elif self.df_method == "residual" or held is None:
            left = design.n - found.space.rank
            if left < 1:
                raise ModelError(
                    f"{design.n} runs and {found.space.rank} coefficients leave nothing to estimate the residual variance "
                    "from: no test can be made."
                )
            df_den = np.full(len(tests), float(left))
        else:
            expected = expected_information(*held, [b.structure for b in design.blocks])
            drawn = f", from {expected.draws} draws" if expected.draws else ""
            information = f"expected information of the variances{drawn}"
            df_den = np.array(
                [joint_df(t.rows, expected.vcov, expected.vcov_slopes, expected.covariance) for t in tests]
            )
        beta = self._kept_beta(found)
        return Plan(
            reading=reading,
            beta=self.beta,
            sigmas=sigmas,
            residual=residual,
            tests=tests,
            kept=found.space.kept,
            df_num=np.array([len(t.rows) for t in tests]),
            df_den=df_den,
            ncp=np.array([quadratic(t.rows, found.vcov, t.rows @ beta - t.value) for t in tests]),
            level=self.level,
            df_method=self.df_method,
            replicates=count,
            information=information,
            contrasts=self.contrasts,
            weights=self.weights,
        )

    def _kept_beta(self, found: Precision) -> np.ndarray:
        """Coefficients of the kept columns that give the same mean."""
        space = found.space
        return self.beta[space.kept] + space.aliases @ self.beta[space.dropped]

    def needed(self, target: float) -> int:
        """Least number of replicates at which every test has the power."""

        def enough(count: int) -> bool:
            try:
                return bool(np.all(self.plan(count).power >= target))
            except ModelError:
                if count > 1:
                    raise
                return False

        first = self.plan(_ENOUGH)
        null = np.flatnonzero(first.ncp <= 0.0)
        if len(null):
            raise ModelError(
                f"target: what '{first.tests[null[0]].name}' tests is true under these effects, so its power is the level at "
                "any number of replicates. Give effects that it should find, or name the tests with test=."
            )
        high = 1
        while not enough(high):
            high *= 2
            if high > _LARGEST:
                low = self.plan(_LARGEST)
                worst = int(np.argmin(low.power))
                raise ModelError(
                    f"target: with {_LARGEST} replicates the power for '{low.tests[worst].name}' is "
                    f"{low.power[worst]:.3g}. Does replication leave its variance as it is?"
                )
        low_count = high // 2
        while high - low_count > 1:
            middle = (low_count + high) // 2
            low_count, high = (low_count, middle) if enough(middle) else (middle, high)
        return high


def quadratic(rows: np.ndarray, vcov: np.ndarray, values: np.ndarray) -> float:
    """v'(L Phi L')^-1 v."""
    root = np.linalg.cholesky(rows @ vcov @ rows.T)
    half = solve_triangular(root, values, lower=True)
    return float(half @ half)


def joint_df(rows: np.ndarray, vcov: np.ndarray, slopes: np.ndarray, covariance: np.ndarray) -> float:
    """Denominator df of the joint test of several rows (h, p): the F whose mean is that of the mean of h independent
    squared t's, those of the principal directions of L Phi L' (Fai & Cornelius 1996).
    """
    _, vectors = np.linalg.eigh(rows @ vcov @ rows.T)
    each = degrees_of_freedom(vectors.T @ rows, vcov, slopes, covariance)
    return combined_df(each)


def noncentral_tail(
    critical: np.ndarray, df_num: np.ndarray, df_den: np.ndarray, ncp: np.ndarray
) -> np.ndarray:
    """P(F > critical) of a noncentral F."""
    finite = np.isfinite(df_den)
    below = np.where(
        finite,
        ncfdtr(df_num, np.where(finite, df_den, 1.0), ncp, critical),
        chndtr(df_num * critical, df_num, ncp),
    )
    # far out the series has nothing left to add
    below = np.where(np.isnan(below) & (ncp > 1e3), 0.0, below)
    return 1.0 - below
