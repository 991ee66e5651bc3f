"""`hd.design.evaluate`: what a design is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..design.aliasing import describe, why_not
from ..errors import ModelError
from ..frame import give_back
from ..inference.combinations import read_combinations
from ..report.numbers import column, table
from .criteria import Criteria, criteria
from .precision import Precision, precision, without_nuisance
from .reading import Reading, read_design, rows_of


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Criteria of one design. Variances are those of the generalised least-squares estimates, (X'V^-1X)^-1.

    Attributes
    ----------
    formula : as written.
    n : runs (rows) used.
    names : the p coefficients that the criteria are about (without those of fixed blocks).
    rank : how many of them the design can estimate.
    D, A, E, I, G : of M = X'V^-1X / n, per run; see `evaluate`.
    d_efficiency, a_efficiency, g_efficiency : percent. The last is NaN with blocks, where a coefficient cannot be estimated,
        and where runs outside of the region make it more than 100.
    d_bound : percent; D-efficiency of the design is at least this among all designs on the region, exp(1 - 100 / G-eff)
        (Atwood 1969). NaN unless errors are independent and of one variance, without blocks.
    eigenvalues : of X'V^-1X (p,), increasing; zeros for what cannot be estimated.
    condition : greatest over least eigenvalue.
    not_estimable : sentences on what the design cannot estimate, and why; empty where it can estimate everything.
    prediction_variance : x'(X'V^-1X)^-1x for each row of the region (of the data where there is none).
    notes : rows left out, coding, blocks.
    """

    formula: str
    n: int
    names: tuple[str, ...]
    rank: int
    D: float
    A: float
    E: float
    I: float
    G: float
    d_efficiency: float
    a_efficiency: float
    g_efficiency: float
    d_bound: float
    eigenvalues: np.ndarray
    condition: float
    not_estimable: tuple[str, ...]
    prediction_variance: np.ndarray
    notes: tuple[str, ...]
    vcov: np.ndarray
    """(X'V^-1X)^-1 of the coefficients that can be estimated, blocks eliminated, in the order of `estimable`."""
    estimable: tuple[str, ...]
    library: str = field(repr=False)
    _contrasts: Mapping[str, Any] = field(repr=False)

    @property
    def p(self) -> int:
        """Coefficients."""
        return len(self.names)

    @property
    def criteria(self) -> dict[str, float]:
        """D, A, E, I and G by name."""
        return {"D": self.D, "A": self.A, "E": self.E, "I": self.I, "G": self.G}

    @property
    def coefficients(self) -> Any:
        """term, variance, std_error, relative_variance: every coefficient; infinite where it cannot be estimated.

        `relative_variance` is the variance times n: 1 for a factor at -1 and 1 in an orthogonal design.
        """
        return give_back(self.coefficients_columns(), self.library)

    def coefficients_columns(self) -> dict[str, Any]:
        """`coefficients` as plain columns."""
        variance = np.full(self.p, np.inf)
        places = {name: k for k, name in enumerate(self.names)}
        variance[[places[name] for name in self.estimable]] = np.diagonal(self.vcov)
        return {
            "term": list(self.names),
            "variance": variance,
            "std_error": np.sqrt(variance),
            "relative_variance": self.n * variance,
        }

    @property
    def contrasts(self) -> Any:
        """contrast, variance, std_error, estimable, why: the named contrasts that were asked for."""
        return give_back(self._contrasts, self.library)

    def to_frame(self) -> Any:
        """criterion, value, efficiency (percent; NaN where it has none), in the caller's library."""
        nan = float("nan")
        return give_back(
            {
                "criterion": ["D", "A", "E", "I", "G"],
                "value": [self.D, self.A, self.E, self.I, self.G],
                "efficiency": [self.d_efficiency, self.a_efficiency, nan, nan, self.g_efficiency],
            },
            self.library,
        )

    def summary(self) -> str:
        """The evaluation as text."""
        lines = [f"Design for {self.formula}", f"{self.n} runs, {self.p} coefficients, rank {self.rank}"]
        lines += [*self.notes, ""]
        names = ["criterion", "D", "A", "E", "I", "G"]
        values = ["value", *(f"{v:.6g}" for v in (self.D, self.A, self.E, self.I, self.G))]
        shares = [self.d_efficiency, self.a_efficiency, np.nan, np.nan, self.g_efficiency]
        percent = ["efficiency", *("" if np.isnan(s) else f"{s:.2f} %" for s in shares)]
        says = [
            "",
            "geometric mean of the information per run",
            "mean variance of the coefficients, times runs",
            "least eigenvalue of the information per run",
            "mean prediction variance, times runs",
            "largest prediction variance, times runs",
        ]
        lines += [line.rstrip() for line in table([names, values, percent, says], {0, 3})]
        if np.isfinite(self.d_bound):
            lines.append(f"D-efficiency among all designs on this region: at least {self.d_bound:.1f} %")
        lines += [f"condition number of the information: {self.condition:.4g}", "", "Coefficients"]
        own = self.coefficients_columns()
        shown = [[k, *column(own[k])] for k in ("variance", "std_error")]
        lines += table([["", *own["term"]], *shown], {0})
        if len(self._contrasts["contrast"]):
            lines += ["", "Contrasts"]
            shown = [[k, *column(self._contrasts[k])] for k in ("variance", "std_error")]
            lines += table([["", *self._contrasts["contrast"]], *shown], {0})
        if self.not_estimable:
            lines += ["", "Not estimable", *self.not_estimable]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"<Evaluation {self.formula} | {self.n} runs, {self.p} coefficients, D {self.D:.5g}, A {self.A:.5g}, "
            f"G {self.G:.5g}" + (f", rank {self.rank}" if self.rank < self.p else "") + ">"
        )


def evaluate(
    formula: str,
    data: Any,
    *,
    V: Any = None,
    theta: Mapping[str, Any] | None = None,
    weights: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    coding: Any = None,
    blocks: str | None = None,
    named_contrasts: Any = None,
    region: Any = None,
) -> Evaluation:
    """Criteria, efficiencies and variances of a design: of the information X'V^-1X of its rows.

    With M = X'V^-1X / n (n runs, p coefficients):

        D = |M|^(1/p),  A = tr(M^-1) / p,  E = least eigenvalue of M,
        I = mean of x'M^-1x and G = maximum of x'M^-1x over the rows x of the region

    and, with v the mean residual variance (of a given V the mean of its diagonal),

        d_efficiency = 100 v D,  a_efficiency = 100 v / A,  g_efficiency = 100 v p / G.

    The first two compare with an orthogonal design whose columns have entries -1 and 1, the third with the least G there is
    (Kiefer & Wolfowitz 1960), all with n independent runs of variance v: code numeric factors to [-1, 1] (`coding=`) for
    the first two to mean that. Under a given V that is not diagonal they may exceed 100.

    Parameters
    ----------
    formula : "~ terms" or "response ~ terms" (the response is not looked at), random terms as in `hd.lmm`.
    data : the design, a row a run: any table that `hd.lm` reads.
    V : covariance of the rows: (n, n) dense or scipy.sparse, or (n,) variances.
    theta : variances of the random terms and of the residual, as `fixed_parameters` of `hd.lmm`:
        {"Block": 2.0, "Residual": 1.0}; the residual variance is 1 where it is not given.
    weights : precision weights, a column or an array.
    contrasts : coding of factors by column, {"variety": "Sum"}.
    coding : column -> (low, high) that become -1 and 1, or "range" for the ranges of all numeric columns.
    blocks : a column of fixed blocks. Criteria are then about the other coefficients (without the intercept), after the
        blocks have been estimated; predictions are for the average block.
    named_contrasts : combinations of coefficients, as `fit.contrast` takes them: name -> {coefficient: weight}, texts such as
        "dose[T.high] - dose[T.low]", or rows (k, p). Their variances are in `contrasts`.
    region : a table with the factors' columns: the rows that I and G are about. The data where it is not given.

    Returns
    -------
    Evaluation. Variances are in the units of V; those of an ordinary linear model in units of sigma^2.

    Raises
    ------
    FormulaError, DataError : the formula, the table or the region cannot be read.
    ModelError : V of another size or not positive definite, a variance in theta that is missing, a contrast that names
        no coefficient.
    """
    reading = read_design(formula, data, weights=weights, contrasts=contrasts, coding=coding, blocks=blocks)
    return evaluate_reading(reading, theta=theta, V=V, named_contrasts=named_contrasts, region=region)


def evaluate_reading(
    reading: Reading,
    *,
    theta: Mapping[str, Any] | None = None,
    V: Any = None,
    named_contrasts: Any = None,
    region: Any = None,
) -> Evaluation:
    """`evaluate`, for a table that is read already. `region` may be rows of X (k, p)."""
    design, nuisance = reading.design, reading.nuisance
    found = precision(design, reading.text, theta, V)
    return evaluation_of(
        reading.text,
        found,
        nuisance,
        _region(reading, region),
        library=design.library,
        notes=_notes(reading),
        not_estimable=tuple(describe(found.space, design)),
        contrasts=_contrast_columns(named_contrasts, found, reading),
    )


def evaluation_of(
    text: str,
    found: Precision,
    nuisance: int,
    region: np.ndarray,
    *,
    library: str,
    notes: tuple[str, ...] = (),
    not_estimable: tuple[str, ...] = (),
    contrasts: Mapping[str, Any] | None = None,
) -> Evaluation:
    """The evaluation of an information matrix whose first `nuisance` columns are not of interest.

    Parameters
    ----------
    region : rows over all columns (k, p).
    """
    prediction = found.variances(region)
    root, kept, aliases = without_nuisance(found, nuisance)
    at = criteria(root, aliases, found.n, prediction)
    names = found.space.names[nuisance:]
    v, p = found.run_variance, len(names)
    whole = found.independent and not nuisance and not aliases.shape[1]
    g_efficiency = 100.0 * v * p / at.G if np.isfinite(at.G) and not nuisance and len(kept) == p else np.nan
    if g_efficiency > 100.0 * (1.0 + 1e-9):
        # no design on the region can have so small a G: some runs lie outside of it
        g_efficiency = np.nan
    first = len(found.root) - len(kept)
    return Evaluation(
        formula=text,
        n=found.n,
        names=names,
        rank=len(kept),
        D=at.D,
        A=at.A,
        E=at.E,
        I=at.I,
        G=at.G,
        d_efficiency=100.0 * v * at.D,
        a_efficiency=100.0 * v / at.A,
        g_efficiency=float(g_efficiency),
        d_bound=100.0 * float(np.exp(1.0 - 100.0 / g_efficiency)) if whole else float("nan"),
        eigenvalues=at.eigenvalues,
        condition=_condition(at),
        not_estimable=not_estimable,
        prediction_variance=prediction,
        notes=notes,
        vcov=found.vcov[first:, first:],
        estimable=tuple(found.space.names[j] for j in kept),
        library=library,
        _contrasts=contrasts or {k: [] for k in ("contrast", "variance", "std_error", "estimable", "why")},
    )


def _condition(at: Criteria) -> float:
    low, high = at.eigenvalues[0], at.eigenvalues[-1]
    return float(high / low) if low > 0 else float("inf")


def _region(reading: Reading, region: Any) -> np.ndarray:
    if region is None:
        rows = np.array(reading.design.X)
        rows[:, : reading.nuisance] = rows[:, : reading.nuisance].mean(axis=0)
        return rows
    if isinstance(region, np.ndarray) and region.dtype.names is None:
        if region.ndim != 2 or region.shape[1] != reading.design.p:
            raise ModelError(
                f"region: a table, or rows of X with {reading.design.p} columns; the shape is {region.shape}."
            )
        return region
    return rows_of(reading, region, "region")


def _contrast_columns(given: Any, found: Precision, reading: Reading) -> dict[str, Any] | None:
    if given is None:
        return None
    wanted = read_combinations(given, found.space)
    variance, able = found.variances(wanted.rows), found.space.estimable(wanted.rows)
    return {
        "contrast": list(wanted.names),
        "variance": variance,
        "std_error": np.sqrt(variance),
        "estimable": able,
        "why": [
            "" if can else why_not(found.space, reading.design, row)
            for can, row in zip(able, wanted.rows, strict=True)
        ],
    }


def _notes(reading: Reading) -> tuple[str, ...]:
    notes = []
    if reading.design.dropped:
        notes.append(reading.design.dropped)
    if reading.ranges:
        said = ", ".join(f"{k} {low:g} to {high:g}" for k, (low, high) in reading.ranges.items())
        notes.append(f"coded to [-1, 1]: {said}")
    if reading.blocks is not None:
        levels = len(reading.frame[reading.blocks].factor.levels)
        notes.append(f"fixed blocks: {reading.blocks} ({levels}), estimated beside the coefficients below")
    return tuple(notes)
