"""`hd.design.power`: the chance that a test finds what is there.

F of L b = 0 is, at known variances, noncentral with

    ncp = (Lb)'(L Phi L')^-1 (Lb),   Phi = (X'V^-1X)^-1,      h = rank L numerator df,

and the denominator df of the model's own test: n - rank X in a linear model; Satterthwaite's in a mixed one, from the
expected information of the variances (expected.py), joined over the rows of L as Fai & Cornelius (1996) do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import chdtri, chndtr, fdtrc, fdtri, ncfdtr

from ..errors import ModelError, closest
from ..frame import give_back
from ..inference.satterthwaite import degrees_of_freedom
from ..inference.student import require_level
from ..inference.wald import combined_df
from ..models.covariance_input import RESIDUAL
from ..report.numbers import table
from .coefficients import coefficient_values
from .expected import expected_information
from .hypotheses import Hypothesis, hypotheses
from .precision import Precision, held_solution, mixed_precision, precision, variances_of
from .reading import Reading, build, effect_columns, parse, read_design
from .sample import fresh_columns, replicated

DF = ("satterthwaite", "residual", "inf")
_LARGEST = 4096
_ENOUGH = 2
"""Replicates with which a test can be made where one run of each has no residual df."""


@dataclass(frozen=True, eq=False)
class Power:
    """Power of each test, for each number of replicates.

    Attributes
    ----------
    formula : as written.
    columns : plain columns of `to_frame()`: test, replicates, n, df_num, df_den, ncp, critical, power, and after a
        simulation simulated, simulated_se.
    level : of the tests.
    target, replicates_needed : the power that was asked for and the least number of replicates at which every test has it.
    df_method : of the denominators; information : where those of a mixed model come from.
    """

    formula: str
    columns: Mapping[str, Any]
    level: float
    target: float | None
    replicates_needed: int | None
    df_method: str
    information: str
    library: str = field(repr=False)

    @property
    def power(self) -> np.ndarray:
        """Power by row of the table."""
        return np.asarray(self.columns["power"])

    def to_frame(self) -> Any:
        """The table in the caller's library."""
        return give_back(self.columns, self.library)

    def summary(self) -> str:
        """The table as text."""
        lines = [
            f"Power at level {self.level:g} for {self.formula}",
            f"denominator df: {self.df_method}" + (f" ({self.information})" if self.information else ""),
            "",
        ]
        texts = []
        for name, values in self.columns.items():
            texts.append([name, *(_shown(name, v) for v in values)])
        lines += table(texts, {0})
        if self.target is not None:
            lines += ["", f"power {self.target:g} needs {self.replicates_needed} replicates"]
        return "\n".join(lines)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{t} {p:.4f}" for t, p in zip(self.columns["test"][:4], self.power[:4], strict=False)
        )
        return f"<Power {self.formula} | {shown}{' ...' if len(self.power) > 4 else ''}>"


def _shown(name: str, value: Any) -> str:
    if name in ("test", "replicates", "n", "df_num"):
        return str(value)
    return f"{value:.4f}" if name in ("power", "simulated", "simulated_se") else f"{value:.5g}"


def power(
    formula: str,
    data: Any,
    effects: Any,
    theta: Mapping[str, Any],
    *,
    test: Any = None,
    level: float = 0.05,
    df: str | None = None,
    replicates: int | Sequence[int] = 1,
    fresh: str | Sequence[str] | None = None,
    target: float | None = None,
    simulate: int = 0,
    seed: int | None = None,
    weights: str | None = None,
    contrasts: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Power:
    """Power of F tests of fixed effects in a linear or a mixed model.

    Parameters
    ----------
    formula : "~ terms" or "response ~ terms" (the response is not looked at), random terms as in `hd.lmm`.
    data : the design, a row a run.
    effects : coefficients that are there, by name of the column of X ("dose[T.high]": 1.5), the others 0; or all p.
    theta : variances: {"Residual": 4.0}, with random terms {"Subject": 2.0, "Residual": 4.0}, as `fixed_parameters` of
        `hd.lmm`.
    test : a term, a coefficient, a list of them, or a mapping of a name to combinations as `fit.contrast` takes them
        (several in a list are tested together). Every term where it is not given: that all its
        coefficients are 0, in the coding used (with interactions, contrasts={"a": "Sum"} makes these the tests of type III).
    level : of the tests.
    df : "residual" (the default of linear models), "satterthwaite" (of mixed models), or "inf".
    replicates : how often the rows are repeated; a list makes a table of powers.
    fresh : grouping columns that get new levels in every replicate; all where it is not given. fresh=[] repeats rows
        within the same levels.
    target : a power: the least number of replicates at which every test has it is found too.
    simulate : responses drawn for each row of the table and tested, as a check of the computed power: by least squares,
        or by REML and Satterthwaite's df.
    seed : of the simulation.
    weights : a column of precision weights.
    contrasts : coding of factors by column.
    progress : show a bar on the terminal while it simulates.

    Returns
    -------
    Power.

    Raises
    ------
    ModelError : a coefficient, a term or a variance that is not there; a test the design cannot make.

    References
    ----------
    Fai & Cornelius (1996); Helms (1992); Giesbrecht & Burns (1985).
    """
    require_level(level, "power")
    if target is not None and not (isinstance(target, (int, float)) and level < target < 1.0):
        raise ModelError(f"target is a power between the level, {level:g}, and 1, not {target!r}.")
    counts, draws = _counts(replicates), _draws(simulate)
    if not isinstance(theta, Mapping) or RESIDUAL not in theta:
        raise ModelError(
            f'theta must give the residual variance, such as {{"{RESIDUAL}": 4.0}}; it is {theta!r}.'
        )
    if weights is not None and not isinstance(weights, str):
        raise ModelError("weights is the name of a column: the rows may be repeated.")
    base = read_design(formula, data, weights=weights, contrasts=contrasts)
    b = coefficient_values(effects, base.design.x_names, "effects")
    work = _Work(base, b, theta, test, level, _df_method(df, base), fresh, weights, contrasts)
    table_rows: dict[str, list] = {}
    rng = np.random.default_rng(_seed(seed))
    for count in counts:
        planned = work.plan(count)
        found = planned.columns()
        if draws:
            from .simulation import rejected

            rate = rejected(planned, draws, rng, progress) / draws
            found["simulated"] = list(rate)
            found["simulated_se"] = list(np.sqrt(rate * (1.0 - rate) / draws))
        for name, values in found.items():
            table_rows.setdefault(name, []).extend(values)
    return Power(
        formula=formula,
        columns=table_rows,
        level=float(level),
        target=target,
        replicates_needed=None if target is None else work.needed(float(target)),
        df_method=work.df_method,
        information=planned.information,
        library=base.design.library,
    )


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
        return critical_values(self.level, self.df_num, self.df_den)

    @property
    def power(self) -> np.ndarray:
        """P(F > critical)."""
        return noncentral_tail(self.critical, self.df_num, self.df_den, self.ncp)

    def columns(self) -> dict[str, list]:
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


class _Work:
    """Plans of one model for any number of replicates."""

    def __init__(self, base, beta, theta, test, level, df_method, fresh, weights, contrasts):
        self.base, self.beta, self.theta, self.test = base, beta, theta, test
        self.level, self.df_method = float(level), df_method
        self.weights, self.contrasts = weights, contrasts
        self.parsed = parse(base.text)
        self.fresh = fresh_columns(fresh, base.design, effect_columns(self.parsed))

    def plan(self, count: int) -> Plan:
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


# -- the numbers ---------------------------------------------------------------------------------------------------------


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


def critical_values(level: float, df_num: np.ndarray, df_den: np.ndarray) -> np.ndarray:
    """The F with P(F > it) = level; of chi^2 / df where the denominator df are infinite."""
    finite = np.isfinite(df_den)
    return np.where(
        finite, fdtri(df_num, np.where(finite, df_den, 1.0), 1.0 - level), chdtri(df_num, level) / df_num
    )


def tail(statistic: np.ndarray, df_num: np.ndarray, df_den: np.ndarray) -> np.ndarray:
    """P(F > statistic), central."""
    from scipy.special import chdtrc

    finite = np.isfinite(df_den)
    return np.where(
        finite, fdtrc(df_num, np.where(finite, df_den, 1.0), statistic), chdtrc(df_num, df_num * statistic)
    )


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


# -- what was asked ------------------------------------------------------------------------------------------------------


def _df_method(df: Any, base: Reading) -> str:
    mixed = bool(base.design.blocks)
    if df is None:
        return "satterthwaite" if mixed else "residual"
    if df not in DF:
        like = closest(df, DF)
        raise ModelError(
            f"df is 'satterthwaite', 'residual' or 'inf', not {df!r}."
            + (f" The closest is '{like}'." if like else "")
        )
    return "residual" if df == "satterthwaite" and not mixed else df


def _counts(replicates: Any) -> list[int]:
    given = [replicates] if isinstance(replicates, (int, np.integer)) else replicates
    try:
        counts = list(given)
    except TypeError:
        counts = []
    if not counts or any(
        isinstance(c, bool) or not isinstance(c, (int, np.integer)) or c < 1 for c in counts
    ):
        raise ModelError(f"replicates is a whole number, 1 or more, or a list of them, not {replicates!r}.")
    return [int(c) for c in counts]


def _draws(simulate: Any) -> int:
    if isinstance(simulate, bool) or not isinstance(simulate, (int, np.integer)) or simulate < 0:
        raise ModelError(f"simulate is how many responses to draw, a whole number, not {simulate!r}.")
    return int(simulate)


def _seed(seed: Any) -> Any:
    try:
        np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ModelError(f"seed is a whole number or a NumPy generator, not {seed!r}.") from None
    return seed
