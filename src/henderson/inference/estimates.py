"""Estimates of linear functions of the coefficients, as they are given back: `Estimates`, and the marginal means and slopes among
them.

All that is shown needs the rows l of l'b alone: standard errors from Var(b^), degrees of freedom from the fit, what cannot be
estimated from the null space of X, families and their correlations for the adjustment (`inference.multiplicity`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..design.aliasing import why_not
from ..errors import ModelError, closest
from ..frame import give_back
from .asked import Options
from .functions import Functions
from .letters import letters_of
from .multiplicity import Family, adjusted_p, critical_values, limits_method, sampling_error
from .protocol import LinearEstimates, rows_or_none
from .student import require_level
from .wald import each_df
from .words import table_lines

if TYPE_CHECKING:
    from .contrasts import Contrasts


class Estimates:
    """Estimates of linear functions of the coefficients.

    `table` is a data frame in the caller's own library; `print` shows it with its notes; `estimates["estimate"]` is a column.
    """

    _tested = False
    """Whether there is a test that each is zero."""

    def __init__(
        self, fit: LinearEstimates, functions: Functions, options: Options, notes: Sequence[str] = ()
    ):
        self.fit = fit
        self.functions = functions
        self.options = options
        self._notes = tuple(notes)
        if len(functions.rows) and not self.estimable.any():
            raise ModelError(f"none of these can be estimated. {self.reasons[0]}")

    # -- facts -------------------------------------------------------------------------------------------

    @cached_property
    def table(self) -> Any:
        """The estimates as a data frame in the caller's own library."""
        return give_back(self.columns, self.fit.library)

    @cached_property
    def columns(self) -> dict[str, Any]:
        """`table` as plain columns."""
        return {**self._labels(), **self._numbers()}

    @property
    def linear_functions(self) -> np.ndarray:
        """(k, p): the rows l of l'b, over all columns of X."""
        return self.functions.rows

    @cached_property
    def estimable(self) -> np.ndarray:
        """(k,) whether each can be estimated."""
        rows = self.functions.rows
        finite = ~self.functions.empty & np.isfinite(rows).all(axis=1)
        out = np.zeros(len(rows), dtype=bool)
        if finite.any():
            out[finite] = self.fit.columns.estimable(rows[finite])
        return out

    @cached_property
    def reasons(self) -> list[str]:
        """Why each cannot be estimated; "" where it can."""
        if self.estimable.all():
            return [""] * len(self.estimable)
        design = rows_or_none(self.fit)
        out = []
        for i, can in enumerate(self.estimable):
            if can:
                out.append("")
            elif self.functions.empty[i]:
                out.append("No row of the data is there to weigh by.")
            else:
                out.append(why_not(self.fit.columns, design, self.functions.rows[i]))
        return out

    @cached_property
    def covariance(self) -> np.ndarray:
        """(k, k) of the estimates, NaN where one cannot be estimated."""
        kept = np.where(self.estimable[:, None], self._kept, np.nan)
        return kept @ self.fit.vcov @ kept.T

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers are: averages, scale, level, degrees of freedom, adjustment."""
        said = [*self._notes, *self._adjustment_notes()]
        if not self.estimable.all():
            said.append("NaN: cannot be estimated; the column note says why.")
        return tuple(said)

    # -- work --------------------------------------------------------------------------------------------

    def pairs(
        self, adjust: str | None = None, by: str | Sequence[str] | None = None, reverse: bool = False
    ) -> Contrasts:
        """All differences within each family: `contrast` by "pairwise".

        Parameters
        ----------
        adjust, by, reverse : see `contrast`.

        Returns
        -------
        Contrasts.
        """
        return self.contrast("pairwise", adjust=adjust, by=by, reverse=reverse)

    def contrast(
        self,
        method: Any = "pairwise",
        adjust: str | None = None,
        by: str | Sequence[str] | None = None,
        reference: Any = None,
        reverse: bool = False,
        interaction: bool = False,
        level: float | None = None,
    ) -> Contrasts:
        """Contrasts of the estimates, within each family.

        Parameters
        ----------
        method : "pairwise" and "revpairwise" (all differences), "trt.vs.ctrl" (with `reference`, the first by default) and
            "trt.vs.ctrlk" (with the last), "consec" (each with the one before), "eff" (with the mean of all), "del.eff"
            (with the mean of the others), "mean_chg" (the mean after a point with that before it), "helmert" (each with
            the mean of those before it), "poly" (orthogonal polynomials, in whole numbers); or a dict of name -> weights.
        adjust : see `inference.multiplicity`; by default the one that suits the contrasts.
        by : columns whose combinations are the families, in place of those of the estimates; () for one family of all.
        reference : the control: a level, or its number from 0. reverse : the other sign.
        interaction : contrasts of each variable in turn, of contrasts of the next.
        level : of the limits; that of the estimates by default.

        Returns
        -------
        Contrasts. `table`: contrast, the columns `by`, estimate, std_error, df, statistic, p_value, conf_low, conf_high; and
        note, where one cannot be estimated.

        Raises
        ------
        ModelError : an unknown method, adjustment or column (the closest is named); nothing that can be estimated.
        """
        families_by = self.functions.by if by is None else self._columns_named(by)
        if level is not None:
            require_level(level, "contrast")
        names = tuple(n for n in (*self.functions.names, *self.functions.by) if n not in families_by)
        if not names:
            raise ModelError("contrast: by= leaves nothing to contrast.")
        from .contrasts import contrasts

        return contrasts(
            self,
            method,
            adjust,
            families_by,
            names,
            reference,
            reverse,
            interaction,
            level or self.options.level,
        )

    def joint_tests(self, by: str | Sequence[str] | None = None) -> Any:
        """F tests, within each family, that there are no differences: of each variable averaged over the others, and of each of
        their interactions.

        Parameters
        ----------
        by : columns whose combinations are the families; those of the estimates by default.

        Returns
        -------
        The columns `by`, term, df1, df2, statistic, p_value; and note.

        Raises
        ------
        ModelError : an unknown column; estimates that are not all combinations of their variables.
        """
        families_by = self.functions.by if by is None else self._columns_named(by)
        names = tuple(n for n in (*self.functions.names, *self.functions.by) if n not in families_by)
        from .joint_tests import joint_tests_of

        return give_back(joint_tests_of(self, families_by, names), self.fit.library)

    def _columns_named(self, by: str | Sequence[str]) -> tuple[str, ...]:
        wanted = (by,) if isinstance(by, str) else tuple(by)
        there = (*self.functions.names, *self.functions.by)
        for name in wanted:
            if name not in there:
                near = closest(str(name), there)
                hint = f"The closest is '{near}'." if near else f"There are {', '.join(map(repr, there))}."
                raise ModelError(f"by: these estimates have no column '{name}'. {hint}")
        return wanted

    # -- numbers -----------------------------------------------------------------------------------------

    @cached_property
    def _kept(self) -> np.ndarray:
        return self.functions.rows[:, self.fit.columns.kept]

    @cached_property
    def _basic(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Estimates, standard errors and degrees of freedom on the scale of the model, NaN where there are none."""
        can = self.estimable
        estimate, error, df = (np.full(len(can), np.nan) for _ in range(3))
        kept = self._kept[can]
        estimate[can] = kept @ self.fit.coefficients + self.functions.offset[can]
        error[can] = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", kept, self.fit.vcov, kept), 0.0))
        if can.any():
            df[can] = each_df(self.fit, kept, self.options.df)
        return estimate, error, df

    @cached_property
    def _families(self) -> list[tuple[np.ndarray, Family]]:
        """Places of what can be estimated in each family, and the family."""
        out = []
        for places in self.functions.families(self.functions.by):
            there = places[self.estimable[places]]
            if len(there):
                kept = self._kept[there]
                out.append((there, self._family(there, kept @ self.fit.vcov @ kept.T)))
        return out

    def _family(self, places: np.ndarray, covariance: np.ndarray) -> Family:
        return Family(len(places), None, False, covariance)

    def _numbers(self) -> dict[str, Any]:
        estimate, error, df = self._basic
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = estimate / error
        p, half = np.full(len(df), np.nan), np.full(len(df), np.nan)
        for places, family in self._families:
            p[places] = adjusted_p(statistic[places], df[places], self.options.adjust, family)
            method = limits_method(self.options.adjust)
            half[places] = critical_values(self.options.level, df[places], method, family) * error[places]
        shown, spread, low, high = self._shown(estimate, error, estimate - half, estimate + half)
        out: dict[str, Any] = {"estimate": shown, "std_error": spread, "df": df}
        if self._tested:
            out |= {"statistic": statistic, "p_value": p}
        out |= {"conf_low": low, "conf_high": high}
        if not self.estimable.all():
            out["note"] = self.reasons
        return out

    def _shown(
        self, estimate: np.ndarray, error: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        back = self.options.back
        if back is None:
            return estimate, error, low, high
        sigma = self.options.sigma
        value, slope = back(estimate, sigma)
        ends = np.stack([back(low, sigma)[0], back(high, sigma)[0]])
        low, high = np.min(ends, axis=0), np.max(ends, axis=0)
        # Limits on both sides of a pole, such as that of 1 / y at 0: the interval has no end there.
        above, below = value > high, value < low
        low, high = np.where(above, high, low), np.where(below, low, high)
        return value, np.abs(slope) * error, np.where(below, -np.inf, low), np.where(above, np.inf, high)

    def _labels(self) -> dict[str, Any]:
        order = (*self.functions.names, *self.functions.by)
        return {name: self.functions.labels[name] for name in order}

    def _adjustment_notes(self) -> list[str]:
        said = []
        adjust = self.options.adjust
        sizes = {family.count for _, family in self._families}
        if adjust != "none" and max(sizes, default=0) > 1:
            count = str(min(sizes)) if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"
            what = f"{adjust}, for families of {count}"
            limits = limits_method(adjust)
            if limits != adjust:
                said.append(f"p-values adjusted by {what}; limits by {limits}.")
            else:
                said.append(f"{'p-values and limits' if self._tested else 'Limits'} adjusted by {what}.")
            estimate, error, df = self._basic
            with np.errstate(divide="ignore", invalid="ignore"):
                statistic = estimate / error
            wrong = [sampling_error(statistic[at], df[at], adjust, family) for at, family in self._families]
            if max(wrong) > 0.0:
                said.append(f"The adjusted p-values have standard errors of up to {max(wrong):.1g}.")
        return said

    # -- as a table --------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.functions.rows)

    def __getitem__(self, column: str) -> Any:
        """A column of the table."""
        if column not in self.columns:
            near = closest(str(column), self.columns)
            hint = f"The closest is '{near}'." if near else f"There are {', '.join(self.columns)}."
            raise ModelError(f"the table has no column {column!r}. {hint}")
        return self.table[column]

    def __repr__(self) -> str:
        return "\n".join([*table_lines(self.columns), "", *self.notes])

    def _repr_html_(self) -> str:
        made = getattr(self.table, "_repr_html_", None)
        notes = "<br>".join(note.replace("<", "&lt;") for note in self.notes)
        return f"{made() if made else '<pre>' + repr(self.table) + '</pre>'}<p>{notes}</p>"


class MarginalMeans(Estimates):
    """Estimated marginal means (or slopes of them)."""

    def letters(self, alpha: float = 0.05, adjust: str | None = None) -> Any:
        """The table with a column `letters`: means of one family that share a letter do not differ at level alpha.

        Parameters
        ----------
        alpha : the level of the tests. adjust : as in `pairs`.

        Returns
        -------
        The columns of `table`, and letters: one for each of the largest sets of means no two of which differ, found by splitting
        and absorbing (Piepho 2004); "a" has the least mean. "" where a mean cannot be estimated.

        Raises
        ------
        ModelError : alpha is not between 0 and 1; an unknown adjustment.
        """
        letters = letters_of(self, alpha, adjust)
        return give_back({**self.columns, "letters": letters}, self.fit.library)

    def ascending(self) -> list[list[int]]:
        """Places of the means of each family that can be estimated, the least first."""
        return [
            [int(i) for i in places[np.argsort(self._basic[0][places], kind="stable")]]
            for places, _ in self._families
        ]


class MarginalSlopes(MarginalMeans):
    """Slopes of marginal means in a covariate."""

    _tested = True
