"""A linear model as a record and arrays, and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..design.estimability import ColumnSpace
from ..errors import DataError
from ..frame import library_here
from ..inference.new_variances import Spoken
from ..linear.solution import Coordinates, LinearSolution
from .archive_shared import Arrays, labels_of, saved_of, shared_record, status_of
from .linear_fit import LinearFit
from .saved import Saved

_NUMBERS = ("rss", "scale2", "deviance", "total")


@dataclass(frozen=True)
class SavedResidual:
    """The covariance of the residuals of a generalised fit, as far as it is known without rows."""

    n_parameters: int
    columns: dict[str, list]
    vcov_slopes: np.ndarray
    parameter_covariance: np.ndarray
    saved: Saved

    def components(self) -> dict[str, list]:
        """The table of its parameters."""
        return {name: list(values) for name, values in self.columns.items()}

    def whiten(self, columns: np.ndarray) -> np.ndarray:
        raise self.saved.no_rows()

    @property
    def standard_deviations(self) -> np.ndarray:
        raise self.saved.no_rows()


def record_of(fit: LinearFit) -> dict[str, Any]:
    """The record of a fit, in JSON's types."""
    solution, residual = fit.solution, fit.solution.residual
    out = shared_record(fit) | {
        "solution": {
            "n": solution.coordinates.n,
            "reml": solution.reml,
            "scale_known": solution.scale_known,
            "robust_df": solution.robust_df,
            **{name: _number(getattr(solution, name)) for name in _NUMBERS},
        }
    }
    if residual is not None:
        parts = fit.variance_components_columns()
        table = {
            name: [_number(v) if isinstance(v, (float, np.floating)) else str(v) for v in values]
            for name, values in parts.items()
        }
        spoken = fit.spoken
        out["residual"] = {
            "n_parameters": int(residual.n_parameters),
            "table": table,
            "spoken": None
            if spoken is None
            else {**asdict(spoken), "first_levels": dict(spoken.first_levels)},
        }
    return out


def _number(value: Any) -> float | str:
    """JSON has no NaN and no infinity."""
    return float(value) if np.isfinite(value) else str(float(value))


def arrays_of(fit: LinearFit) -> dict[str, np.ndarray]:
    """The arrays of a fit."""
    solution = fit.solution
    out = {
        "beta": solution.beta,
        "root": solution.root,
        "kept": np.asarray(solution.coordinates.kept, dtype=np.int64),
        "dropped": np.asarray(solution.coordinates.dropped, dtype=np.int64),
        "aliases": fit.aliases,
    }
    if fit.residual_quantiles is not None and np.isfinite(fit.residual_quantiles).all():
        out["residual_quantiles"] = fit.residual_quantiles
    if solution.robust is not None:
        out["robust"] = solution.robust
    if solution.residual is not None:
        out |= {
            "vcov_slopes": np.asarray(solution.residual.vcov_slopes, dtype=np.float64),
            "parameter_covariance": np.asarray(solution.residual.parameter_covariance, dtype=np.float64),
        }
    return out


def fit_of(record: dict[str, Any], arrays: Arrays) -> LinearFit:
    """The fit again.

    Raises
    ------
    DataError : a record that cannot be.
    """
    labels = labels_of(record["labels"])
    p, columns = len(labels.fixed), len(labels.fixed) + len(labels.dropped)
    kept, dropped = arrays.places("kept", p, columns), arrays.places("dropped", columns - p, columns)
    aliases = arrays.take("aliases", p, columns - p)
    quantiles = arrays.take("residual_quantiles", 5) if "residual_quantiles" in arrays else None
    saved = saved_of(record, quantiles, aliases)
    names = tuple(str(name) for name in saved.spec["x_names"])
    numbers = record["solution"]
    n = int(numbers["n"])
    if len(names) != columns or sorted([*kept, *dropped]) != list(range(columns)) or n < p:
        raise DataError("the saved fit is damaged: its columns or number of rows cannot be.")
    solution = LinearSolution(
        Coordinates(n, kept, dropped),
        arrays.take("beta", p),
        arrays.take("root", p, p),
        rss=float(numbers["rss"]),
        scale2=float(numbers["scale2"]),
        deviance=float(numbers["deviance"]),
        total=float(numbers["total"]),
        reml=bool(numbers["reml"]),
        scale_known=bool(numbers["scale_known"]),
        robust_df=None if numbers["robust_df"] is None else float(numbers["robust_df"]),
        residual=_residual(record, arrays, p, saved),
        robust=arrays.take("robust", p, p) if "robust" in arrays else None,
    )
    return LinearFit(
        labels,
        solution,
        ColumnSpace(names, kept, dropped, aliases),
        library_here(str(record["library"])),
        status=status_of(record["status"]),
        saved=saved,
        spoken=_spoken(record),
    )


def _spoken(record: dict[str, Any]) -> Spoken | None:
    said = record.get("residual", {}).get("spoken")
    if said is None:
        return None
    texts = [None if said[name] is None else str(said[name]) for name in ("residual", "variance")]
    first = {str(term): str(level) for term, level in said["first_levels"].items()}
    return Spoken(texts[0], texts[1], bool(said["known"]), first)


def _residual(record: dict[str, Any], arrays: Arrays, p: int, saved: Saved) -> SavedResidual | None:
    if "residual" not in record:
        return None
    slopes = arrays.take("vcov_slopes", None, p, p)
    table = {
        name: [float(v) for v in values] if name in ("estimate", "std_error") else [str(v) for v in values]
        for name, values in record["residual"]["table"].items()
    }
    if set(table) != {"group", "term", "estimate", "std_error", "bound"}:
        raise DataError("the saved fit is damaged: the table of its covariance is not whole.")
    return SavedResidual(
        int(record["residual"]["n_parameters"]),
        table,
        slopes,
        arrays.take("parameter_covariance", len(slopes), len(slopes)),
        saved,
    )
