"""`hd.design.power`: the chance that a test finds what is there (the numbers: plan.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ModelError
from ..frame import give_back
from ..inference.student import require_level
from ..models.covariance_input import RESIDUAL
from ..report.numbers import table
from .asked import closest_of, counts_of, whole_number
from .coefficients import coefficient_values
from .plan import Planner
from .reading import Reading, read_design

DF = ("satterthwaite", "residual", "inf")


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
    counts, draws = counts_of(replicates), whole_number("simulate", simulate, 0)
    if not isinstance(theta, Mapping) or RESIDUAL not in theta:
        raise ModelError(
            f'theta must give the residual variance, such as {{"{RESIDUAL}": 4.0}}; it is {theta!r}.'
        )
    if weights is not None and not isinstance(weights, str):
        raise ModelError("weights is the name of a column: the rows may be repeated.")
    base = read_design(formula, data, weights=weights, contrasts=contrasts)
    b = coefficient_values(effects, base.design.x_names, "effects")
    work = Planner(base, b, theta, test, level, _df_method(df, base), fresh, weights, contrasts)
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


# -- what was asked ------------------------------------------------------------------------------------------------------


def _df_method(df: Any, base: Reading) -> str:
    mixed = bool(base.design.blocks)
    if df is None:
        return "satterthwaite" if mixed else "residual"
    if df not in DF:
        raise ModelError(f"df is 'satterthwaite', 'residual' or 'inf', not {df!r}." + closest_of(df, DF))
    return "residual" if df == "satterthwaite" and not mixed else df


def _seed(seed: Any) -> Any:
    try:
        np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ModelError(f"seed is a whole number or a NumPy generator, not {seed!r}.") from None
    return seed
