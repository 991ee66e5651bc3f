"""A model with covariance structures as a record and arrays, and back: estimates, their covariances, and the mixed-model equations
without rows or response. Shapes and names are in `archive`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ..errors import DataError
from ..frame import library_here
from ..inference.new_variances import Spoken
from ..linear.coordinates import Coordinates
from ..mixed.structured.information import Information
from ..mixed.structured.kept import (
    LARGEST,
    Entries,
    KeptPrecision,
    KeptTerm,
    absent_rows,
    dense_system,
    entries,
    kept_solution,
)
from ..mixed.structured.natural import Reported
from ..mixed.structured.parameters import Layout, Part
from ..precisions.base import Parameter, Precision
from ..structures import make
from . import places
from .archive_shared import Arrays, labels_of, saved_of, shared_record, status_of
from .saved import Saved
from .structured_fit import StructuredFit

_HELD = ("F", "C", "B")
_KINDS = ("T", "K", "R")


def record_of(fit: StructuredFit) -> dict[str, Any]:
    """The part of fit.json that is not shared_record's."""
    solution = fit.solution
    problem, coordinates, layout = solution.problem, solution.coordinates, solution.problem.layout
    return shared_record(fit) | {
        "problem": {
            "reml": problem.reml,
            "log_s2": layout.log_s2,
            "scale_as": layout.scale_as,
            "n_free": layout.n_free,
            "parts": [[p.kind, p.term, p.at.start, p.at.stop] for p in layout.parts],
            "couplings": [[int(i), int(j), float(e)] for i, j, e in layout.couplings],
            "dense": dense_system(problem.system),
            "absent": absent_rows(problem.model, problem.system),
            "s2": float(solution.point.s2),
            "deviance": float(solution.point.deviance),
            "information": solution.information.kind,
        },
        "coordinates": {
            "n": coordinates.n,
            "y_scale": coordinates.y_scale,
            "log_weights": coordinates.log_weights,
        },
        "structures": [
            {
                "q": t.q,
                "options": dict(options),
                "coordinates": None if at is None else np.asarray(at).tolist(),
                "precision": _plain_precision(t.precision),
            }
            for t, (options, at) in zip(solution.terms, _made_from(fit), strict=True)
        ],
        "residual": _plain_precision(problem.model.residual),
        "components": [[r.term, r.kind, r.name, r.bound, r.apart] for r in fit._reported],
        "recorded": [int(count) for count in fit.recorded],
        "spoken": None
        if fit.spoken is None
        else asdict(fit.spoken) | {"first_levels": dict(fit.spoken.first_levels)},
        "places": [places.to_plain(each) for each in fit.places],
    }


def _made_from(fit: StructuredFit) -> list[tuple[Mapping[str, Any], Any]]:
    """Options and coordinates that each term's structure was made from."""
    if fit.made_from is not None:
        return fit.made_from
    terms = fit.design.structured or ()
    made: list[tuple[Mapping[str, Any], Any]] = [(t.options, t.coordinates) for t in terms]
    return [*made, *(({}, None) for _ in range(len(fit.labels.terms) - len(made)))]


def _plain_precision(precision: Precision | None) -> dict[str, Any] | None:
    if precision is None:
        return None
    return {
        "name": precision.name,
        "n": int(precision.n),
        "parameters": [[p.name, p.unit] for p in precision.parameters],
        "has_variances": bool(precision.has_variances),
    }


def arrays_of(fit: StructuredFit) -> dict[str, np.ndarray]:
    solution, coordinates, layout = fit.solution, fit.solution.coordinates, fit.solution.problem.layout
    information = solution.information
    b, beta = solution._estimates
    held = np.zeros(len(layout.source), dtype="U1") if layout.held_as is None else layout.held_as
    relative = np.zeros(len(layout.source), dtype=bool) if layout.relative is None else layout.relative
    out = {
        "theta": solution.theta,
        "phi": solution.point.phi,
        "source": np.asarray(layout.source, dtype=np.int64),
        "ratio": layout.ratio,
        "held": layout.held,
        "scaling": np.asarray(layout.scaling, dtype=np.int64),
        "relative": np.asarray(relative, dtype=np.int64),
        "held_as": np.array([_HELD.index(h) if h in _HELD else 0 for h in held], dtype=np.int64),
        "r": coordinates.r,
        "kept": np.asarray(coordinates.kept, dtype=np.int64),
        "dropped": np.asarray(coordinates.dropped, dtype=np.int64),
        "projection": coordinates.projection,
        "b": b,
        "beta": beta,
        "vcov": solution.vcov,
        "components": np.array([r.value for r in fit._reported]),
        "component_slopes": np.array([r.slope for r in fit._reported]).reshape(len(fit._reported), -1),
        "parameter_covariance": information.covariance,
        "vcov_slopes": information.vcov_slopes,
        "phi_slopes": information.phi_slopes,
        "regular": np.asarray(information.regular, dtype=np.int64),
        "flat": information.flat,
        "aliases": fit.aliases,
    }
    if fit.residual_quantiles is not None and np.isfinite(fit.residual_quantiles).all():
        out["residual_quantiles"] = fit.residual_quantiles
    terms = zip(solution.terms, solution.u, solution.prediction_error, solution.prior_diagonals, strict=True)
    whole = True
    for k, (term, u, pev, prior) in enumerate(terms):
        out |= {f"back_{k}": term.back, f"u_{k}": u, f"pev_{k}": pev, f"prior_{k}": prior}
        if term.lift is not None and term.lift.size <= LARGEST:
            out[f"lift_{k}"] = term.lift
        whole &= term.lift is None or term.lift.size <= LARGEST
        if term.alone is not None and term.between is not None:
            out[f"alone_{k}"] = term.alone
            whole &= term.between.size <= LARGEST
            if term.between.size <= LARGEST:
                out[f"between_{k}"] = term.between
    found = entries(solution) if whole else None
    if found is not None:
        out |= {"equations": found.values, "equation_rows": found.rows, "equation_cols": found.cols}
    return out


def fit_of(record: dict[str, Any], arrays: Arrays) -> StructuredFit:
    """The fit again.

    Raises
    ------
    DataError : a record that cannot be. ModelError : a structure of the user's own that is not registered here.
    """
    labels = labels_of(record["labels"])
    p, columns = len(labels.fixed), len(labels.fixed) + len(labels.dropped)
    quantiles = arrays.take("residual_quantiles", 5) if "residual_quantiles" in arrays else None
    saved = saved_of(record, quantiles, arrays.take("aliases", p, columns - p))
    numbers, scales = record["problem"], record["coordinates"]
    n, y_scale, log_weights = int(scales["n"]), float(scales["y_scale"]), float(scales["log_weights"])
    if n < p or y_scale <= 0.0 or not np.isfinite([y_scale, log_weights, float(numbers["deviance"])]).all():
        raise DataError("the saved fit is damaged: its scales or number of rows cannot be.")
    if not len(labels.terms) == len(record["structures"]) == len(record["recorded"]):
        raise DataError("the saved fit is damaged: its random terms are not whole.")
    terms = [
        _term(k, each, label, arrays, saved)
        for k, (each, label) in enumerate(zip(record["structures"], labels.terms, strict=True))
    ]
    coordinates = Coordinates(
        n,
        arrays.take("r", p, p),
        arrays.places("kept", p, columns),
        arrays.places("dropped", columns - p, columns),
        arrays.take("projection", p),
        y_scale,
        log_weights,
        tuple(t.back for t in terms),
    )
    layout = _layout(numbers, arrays)
    k = layout.n_free + 1
    rows = record["components"]
    absent = int(numbers["absent"])
    order = sum(t.q * t.structure.pattern.shape[1] for t in terms) + absent
    solution = kept_solution(
        terms=terms,
        absent=absent,
        residual=_precision(record["residual"], saved),
        coordinates=coordinates,
        layout=layout,
        reml=bool(numbers["reml"]),
        theta=arrays.take("theta", layout.n_parameters),
        phi=arrays.take("phi", len(layout.source)),
        s2=float(numbers["s2"]),
        deviance=float(numbers["deviance"]),
        equations=_entries(arrays, order + p),
        dense=bool(numbers["dense"]),
        refused=saved.no_rows,
        found={
            "_estimates": (arrays.take("b", order), arrays.take("beta", p)),
            "vcov": arrays.take("vcov", p, p),
            "u": [arrays.take(f"u_{i}", t.levels, t.structure.m) for i, t in enumerate(terms)],
            "prediction_error": [
                arrays.take(f"pev_{i}", t.levels, t.structure.m, t.structure.m) for i, t in enumerate(terms)
            ],
            "prior_diagonals": [arrays.take(f"prior_{i}", t.levels) for i, t in enumerate(terms)],
        },
        information=Information(
            arrays.take("parameter_covariance", k, k),
            arrays.take("vcov_slopes", k, p, p),
            arrays.take("phi_slopes", len(layout.source), k),
            arrays.places("regular", layout.n_free, 2).astype(bool),
            arrays.take("flat", None, k),
            str(numbers["information"]),
        ),
        reported=_reported(rows, arrays, k, len(terms)),
        recorded=[int(count) for count in record["recorded"]],
    )
    status = status_of(record["status"])
    fit = StructuredFit(labels, solution, status, library_here(str(record["library"])), saved=saved)
    fit.spoken = _spoken(record["spoken"])
    fit.places = tuple(places.from_plain(each) for each in record["places"])
    fit.made_from = [(each["options"], each["coordinates"]) for each in record["structures"]]
    return fit


def _term(k: int, record: Mapping[str, Any], label: Any, arrays: Arrays, saved: Saved) -> KeptTerm:
    m, levels, q = len(label.effects), len(label.levels), int(record["q"])
    at = record["coordinates"]
    structure = make(
        label.structure, m, record["options"], None if at is None else np.asarray(at, dtype=np.float64)
    )
    lift = arrays.take(f"lift_{k}", levels, q) if f"lift_{k}" in arrays else None
    if q < 1 or (lift is None and q != levels and "equations" in arrays):
        raise DataError(f"the saved fit is damaged: {label.text} has {levels} levels and {q} equations.")
    alone = arrays.take(f"alone_{k}", levels) if f"alone_{k}" in arrays else None
    between = None
    if f"between_{k}" in arrays:
        unseen = 0 if alone is None else int(np.count_nonzero(alone))
        between = arrays.take(f"between_{k}", unseen, unseen)
    back = arrays.take(f"back_{k}", m, m)
    return KeptTerm(q, structure, _precision(record["precision"], saved), back, lift, alone, between, levels)


def _precision(record: Mapping[str, Any] | None, saved: Saved) -> KeptPrecision | None:
    if record is None:
        return None
    parameters = [Parameter(str(name), int(unit)) for name, unit in record["parameters"]]
    return KeptPrecision(
        str(record["name"]), int(record["n"]), parameters, bool(record["has_variances"]), saved.no_rows
    )


def _layout(numbers: Mapping[str, Any], arrays: Arrays) -> Layout:
    source = arrays.take("source", None, kind="i")
    size, n_free = len(source), int(numbers["n_free"])
    if size and (source.min() < -1 or source.max() >= n_free):
        raise DataError("the saved fit is damaged: its parameters point outside their range.")
    parts = []
    for kind, term, start, stop in numbers["parts"]:
        if kind not in _KINDS or not 0 <= start <= stop <= size:
            raise DataError("the saved fit is damaged: its parameters are not whole.")
        parts.append(Part(str(kind), int(term), slice(int(start), int(stop))))
    log_s2 = numbers["log_s2"]
    return Layout(
        tuple(parts),
        source,
        arrays.take("ratio", size),
        arrays.take("held", size),
        arrays.places("scaling", size, 2).astype(bool),
        np.full(size, -np.inf),
        np.full(size, np.inf),
        n_free,
        None if log_s2 is None else float(log_s2),
        arrays.places("relative", size, 2).astype(bool),
        np.array(_HELD)[arrays.places("held_as", size, len(_HELD))],
        str(numbers["scale_as"]),
        tuple((int(i), int(j), float(e)) for i, j, e in numbers["couplings"]),
    )


def _reported(rows: list[Any], arrays: Arrays, k: int, terms: int) -> list[Reported]:
    values, slopes = arrays.take("components", len(rows)), arrays.take("component_slopes", len(rows), k)
    out = []
    for (term, kind, name, bound, apart), value, slope in zip(rows, values, slopes, strict=True):
        if not -1 <= int(term) < terms:
            raise DataError("the saved fit is damaged: a component belongs to no term.")
        out.append(Reported(int(term), str(kind), str(name), float(value), slope, str(bound), bool(apart)))
    return out


def _entries(arrays: Arrays, order: int) -> Entries | None:
    if "equations" not in arrays:
        return None
    values = arrays.take("equations", None)
    rows, cols = (arrays.places(name, len(values), order) for name in ("equation_rows", "equation_cols"))
    return Entries(rows, cols, values)


def _spoken(said: Mapping[str, Any] | None) -> Spoken | None:
    if said is None:
        return None
    texts = [None if said[name] is None else str(said[name]) for name in ("residual", "variance")]
    first = {str(term): str(level) for term, level in said["first_levels"].items()}
    return Spoken(texts[0], texts[1], bool(said["known"]), first)
