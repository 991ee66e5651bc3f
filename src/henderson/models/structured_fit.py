"""What `hd.lmm` returns for a model with structures: a `MixedFit` whose numbers come from `mixed.structured`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .. import frame as frames
from ..errors import FormulaError, ModelError
from ..frame import Frame
from ..inference.new_variances import Spoken
from ..inference.predict import fitted_rows, mean_variance, spread
from ..mixed.structured.kept import KeptSolution
from ..mixed.structured.natural import Reported, reported
from ..mixed.structured.solution import Solution
from .mixed_fit import _NO_LEVERAGE_LEFT, RESIDUALS, MixedFit
from .places import FieldTerm, Places
from .saved import input_notes


class StructuredFit(MixedFit):
    """A fitted mixed model with covariance structures, relationships or a structured residual.

    Everything a `MixedFit` answers, and what follows from the components: `derive`, `heritability`,
    `genetic_correlations`, `loadings`, `plan`.
    """

    solution: Solution  # type: ignore[assignment]

    # -- facts -------------------------------------------------------------------------------------------

    @property
    def npar(self) -> int:
        """Estimated parameters: fixed coefficients and those of all covariances."""
        layout = self.solution.problem.layout
        at_bounds = (
            0 if layout.held_as is None else int(np.sum((layout.source < 0) & (layout.held_as == "B")))
        )
        scale = layout.log_s2 is None or layout.scale_as == "B"
        return self.solution.coordinates.rank + layout.n_free + at_bounds + scale

    @property
    def theta(self) -> np.ndarray:
        """Parameters of the structures as the optimiser has them, relative to the residual variance."""
        return self.solution.point.phi

    @property
    def model_notes(self) -> tuple[str, ...]:
        """What the formula does not say."""
        if self._saved is not None:
            return self._saved.notes
        notes = input_notes(self.design, self.spec)
        notes += self.structure_notes
        known = getattr(self.solution.problem.model.residual, "holds_scale", False)
        held = [
            r.term if r.term == r.group else f"{r.group}: {r.term}"
            for r in self._components
            if r.bound == "F" and not (known and r.term == r.group == "Residual")
        ]
        if held:
            notes.append(f"held by the user: {', '.join(dict.fromkeys(held))}")
        return tuple(notes)

    structure_notes: Sequence[str] = ()
    """residual=, relationships, ties: set by the verb."""
    bounds: Sequence[tuple[str, str, float, float]] = ()
    """group, term, low, high of bounds=: set by the verb."""
    spoken: Spoken | None = None
    """residual= and variance= as they were written: set by the verb."""
    places: tuple[Places, ...] = ()
    """Of the fields of a residual with a nugget, the last of the random terms: set by the verb."""
    input: tuple[Any, Any] | None = None
    """What the model was read from, to fit it again: set by the verb; None for a fit that was loaded."""

    @cached_property
    def recorded(self) -> tuple[int, ...]:
        """How many levels of each random term have a record; -1 where it is not known."""
        if self._saved is not None:
            assert isinstance(self.solution, KeptSolution)
            return self.solution.recorded
        counts = []
        terms: list[Any] = [*(self.design.structured or ()), *self.fields()]
        for term in terms:
            z = term.z
            counts.append(len(np.unique(z.indices[z.data != 0] // term.block.m)))
        return tuple(counts)

    @property
    def sigma(self) -> float:
        """Residual standard deviation, where variance functions are 1; 1 where residuals have variances of their own."""
        residual = next((row for row in self._components if row.group == row.term == "Residual"), None)
        return float(np.sqrt(self.solution.scale2 if residual is None else residual.value))

    made_from: list[tuple[Any, Any]] | None = None
    """Options and coordinates of each term's structure, of a fit that was loaded."""

    @cached_property
    def _reported(self) -> list[Reported]:
        if isinstance(self.solution, KeptSolution):
            return list(self.solution.reported)
        return reported(self.solution, [t.effects for t in self.labels.terms])

    @cached_property
    def _components(self) -> list[_Row]:
        groups = [t.group for t in self.labels.terms]
        return [
            _Row(groups[r.term] if r.term >= 0 else "Residual", r.name, r.value, r.slope, r.bound, r.apart)
            for r in self._reported
        ]

    @property
    def covariances(self) -> dict[str, np.ndarray]:
        """Covariance matrix of each random term's effects (m, m) within a level, by the term's text."""
        return {t.text: sigma for t, sigma in zip(self.labels.terms, self.solution.covariances, strict=True)}

    def variance_components_columns(self) -> dict[str, list]:
        """`variance_components` as plain columns."""
        covariance = self.solution.information.covariance
        rows = self._components
        errors = [
            float(np.sqrt(max(r.slope @ covariance @ r.slope, 0.0)))
            if r.bound in "PUC" and r.apart
            else np.nan
            for r in rows
        ]
        return {
            "group": [r.group for r in rows],
            "term": [r.term for r in rows],
            "estimate": [r.value for r in rows],
            "std_error": errors,
            "bound": [r.bound for r in rows],
        }

    def random_effects_columns(self, conditional: bool = False) -> dict[str, Any]:
        """`random_effects` as plain columns; reliability is 1 - PEV / (K_ii Sigma_jj)."""
        solution = self.solution
        variances = solution.conditional_variance if conditional else solution.prediction_error
        out: dict[str, list] = {
            k: [] for k in ("group", "level", "term", "estimate", "std_error", "reliability")
        }
        for term, u, pev, sigma, prior in zip(
            self.labels.terms,
            solution.u,
            variances,
            solution.covariances,
            solution.prior_diagonals,
            strict=True,
        ):
            q, m = u.shape
            error = np.diagonal(pev, axis1=1, axis2=2)
            variance = np.outer(prior, np.diag(sigma))
            with np.errstate(invalid="ignore", divide="ignore"):
                reliability = np.where(variance > 0, 1.0 - error / variance, np.nan)
            out["group"].append(np.full(q * m, term.group, dtype=object))
            out["level"].append(np.repeat(np.asarray([str(v) for v in term.levels], dtype=object), m))
            out["term"].append(np.tile(np.asarray(term.effects, dtype=object), q))
            out["estimate"].append(u.ravel())
            out["std_error"].append(np.sqrt(np.maximum(error, 0.0)).ravel())
            out["reliability"].append(reliability.ravel())
        return {k: np.concatenate(v) if v else np.zeros(0) for k, v in out.items()}

    # -- rows --------------------------------------------------------------------------------------------

    @cached_property
    def _fitted(self) -> np.ndarray:
        offset = self.design.offset
        return self.solution.fitted if offset is None else self.solution.fitted + offset

    def fields(self, data: Any = None, rows: np.ndarray | None = None, n: int = 0) -> tuple[FieldTerm, ...]:
        """The correlated part of a residual with a nugget, on the rows of the fit (data None) or n rows of a new table (`rows` of
        it, or None for all). Where that table does not have the columns that say a place, its rows have none."""
        if data is None:
            assert self.frame is not None
            return tuple(each.among(self.frame, self.design.rows, self.design.n) for each in self.places)
        if not self.places:
            return ()
        columns = list(self.places[0].columns)
        sections = [name for name, _ in self.places[0].section]
        try:
            frame = frames.read(data, [*columns, *sections]) if columns else None
        except FormulaError:
            frame = None
        if frame is not None:
            return tuple(each.among(frame, rows, n) for each in self.places)
        try:
            frame = frames.read(data, sections) if sections else Frame({}, n)
        except FormulaError:
            frame = None
        return tuple(each.nowhere(frame, rows, n) for each in self.places)

    def error_variances(self, data: Any, fitted: np.ndarray) -> np.ndarray | float:
        """Variance of the error of a new record at each row of a table (None: of the rows used), before its own weight.

        Raises
        ------
        DataError : a level without a variance; NotAvailableError : a known covariance of the residuals, which says nothing of new rows.
        """
        if data is None:
            diagonal = self.solution.residual_diagonal
            return self.solution.scale2 * (1.0 if diagonal is None else diagonal)
        if self.spoken is None or not (self.spoken.residual or self.spoken.variance):
            return self.solution.scale2
        from ..inference.new_variances import new_variances

        rows = [row for row in self._components if row.group == "Residual"]
        known = {row.term: row.value for row in rows}
        table = {"term": list(known), "estimate": list(known.values())}
        return new_variances(self.spoken, table, known.get("Residual", self.solution.scale2), data, fitted)

    @cached_property
    def _residual_variances(self) -> np.ndarray:
        """Var(e_i) of each row used, (n,)."""
        design = self.design
        out = np.full(design.n, self.solution.scale2)
        if self.solution.residual_diagonal is not None:
            out = out * self.solution.residual_diagonal
        return out if design.weights is None else out / design.weights

    @cached_property
    def _leverage(self) -> np.ndarray:
        """Variance of the prediction of each row over that of its residual, (n,): d fitted_i / d y_i where residuals are independent, and
        1 - Var(e^_i) / Var(e_i) for all."""
        return np.asarray(mean_variance(self, fitted_rows(self)) / self._residual_variances)

    def residuals_as(self, kind: str = "response") -> np.ndarray:
        """Residuals of each row of the data, in its order; NaN where a row was left out. Kinds as in `MixedFit.residuals_as`."""
        design = self.design
        if kind not in RESIDUALS:
            raise ModelError(f"residuals_as: kind is one of {', '.join(map(repr, RESIDUALS))}, not {kind!r}.")
        if kind == "marginal":
            x = design.X[:, self.solution.coordinates.kept]
            values = design.y - x @ self.solution.beta - (0.0 if design.offset is None else design.offset)
        else:
            values = design.y - self._fitted
        if kind in ("pearson", "standardized"):
            values = values / np.sqrt(self._residual_variances)
        if kind == "standardized":
            left = 1.0 - self._leverage
            values = values / np.sqrt(np.where(left > _NO_LEVERAGE_LEFT, left, np.nan))
        return spread(values, design.rows, design.n_read)

    @cached_property
    def aliases(self) -> np.ndarray:
        """(rank, dropped): each dropped column of X as a combination of the kept ones."""
        if self._saved is not None:
            return self._saved.aliases
        from ..linear.collinear import combinations

        coordinates, model = self.solution.coordinates, self.solution.problem.model
        x = self.design.X[:, coordinates.dropped]
        if not x.shape[1]:
            return np.zeros((coordinates.rank, 0))
        if model.root_weights is not None:
            x = x * model.root_weights[:, None]
        basis = model.x if model.places is None else model.x[model.places]
        return combinations(coordinates.r, basis.T @ x)

    def simulate(
        self, n: int | None = None, seed: int | np.random.Generator | None = None, random_effects: str = "new"
    ) -> np.ndarray:
        """Responses drawn from the fitted model (see `MixedFit.simulate`)."""
        from ..mixed.structured.draw import draw

        if random_effects not in ("new", "fitted"):
            raise ModelError(f'simulate: random_effects is "new" or "fitted", not {random_effects!r}.')
        design = self.design
        rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)
        x = design.X[:, self.solution.coordinates.kept]
        mean = x @ self.solution.beta + (0.0 if design.offset is None else design.offset)
        if random_effects == "fitted":
            mean = self._fitted
        out = mean[:, None] + draw(self.solution, 1 if n is None else n, rng, random_effects == "new")
        out = spread(out, design.rows, design.n_read)
        return out[:, 0] if n is None else out


class _Row:
    """A row of `variance_components` under its names."""

    __slots__ = ("apart", "bound", "group", "slope", "term", "value")

    def __init__(self, group: str, term: str, value: float, slope: np.ndarray, bound: str, apart: bool):
        self.group, self.term, self.value, self.slope, self.bound = group, term, value, slope, bound
        self.apart = apart
