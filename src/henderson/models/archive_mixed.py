"""A mixed model as a record and arrays, and back. Everything else is computed from these."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataError
from ..frame import library_here
from ..linear.coordinates import Coordinates
from ..mixed.criterion import Problem
from ..mixed.crossproducts import CrossProducts, Pair
from ..mixed.solution import Solution
from ..mixed.solver import build_system
from ..structures import make
from .archive_shared import Arrays, labels_of, saved_of, shared_record, status_of
from .mixed_fit import MixedFit


def record_of(fit: MixedFit) -> dict[str, Any]:
    """The part of fit.json that is not shared_record's."""
    problem, coordinates = fit.solution.problem, fit.solution.coordinates
    return shared_record(fit) | {
        "problem": {
            "reml": problem.reml,
            "log_s2": problem.log_s2,
            "held": [t is not None for t in problem.held],
        },
        "coordinates": {
            "n": coordinates.n,
            "y_scale": coordinates.y_scale,
            "log_weights": coordinates.log_weights,
        },
    }


def arrays_of(fit: MixedFit) -> dict[str, np.ndarray]:
    products, coordinates, problem = fit.solution.products, fit.solution.coordinates, fit.solution.problem
    out = {
        "theta": fit.solution.theta,
        "corner": products.corner,
        "r": coordinates.r,
        "kept": np.asarray(coordinates.kept, dtype=np.int64),
        "dropped": np.asarray(coordinates.dropped, dtype=np.int64),
        "projection": coordinates.projection,
        "residual_quantiles": fit.residual_quantiles,
        "aliases": fit.aliases,
    }
    if fit.solution.average_information is not None:
        out["average_information"] = fit.solution.average_information
    for k, (own, border, back, held) in enumerate(
        zip(products.own, products.border, coordinates.back, problem.held, strict=True)
    ):
        out |= {f"own_{k}": own, f"border_{k}": border, f"back_{k}": back}
        if held is not None:
            out[f"held_{k}"] = held
    for i, pair in enumerate(products.pairs):
        out |= {
            f"pair_{i}_terms": np.array([pair.k, pair.l], dtype=np.int64),
            f"pair_{i}_rows": np.asarray(pair.rows, dtype=np.int64),
            f"pair_{i}_cols": np.asarray(pair.cols, dtype=np.int64),
            f"pair_{i}_blocks": pair.blocks,
        }
    return out


def fit_of(record: dict[str, Any], arrays: Arrays) -> MixedFit:
    """The fit again.

    Raises
    ------
    DataError : a record that cannot be.
    """
    labels = labels_of(record["labels"])
    sizes = tuple((len(term.levels), len(term.effects)) for term in labels.terms)
    p = len(labels.fixed)
    products = _products(arrays, sizes, p, int(record["coordinates"]["n"]))
    columns = p + len(labels.dropped)
    y_scale, log_weights = (float(record["coordinates"][name]) for name in ("y_scale", "log_weights"))
    if y_scale <= 0.0 or not np.isfinite([y_scale, log_weights]).all() or products.n <= p:
        raise DataError("the saved fit is damaged: its scales or number of rows cannot be.")
    saved = saved_of(
        record, arrays.take("residual_quantiles", 5), arrays.take("aliases", p, len(labels.dropped))
    )
    coordinates = Coordinates(
        products.n,
        arrays.take("r", p, p),
        arrays.places("kept", p, columns),
        arrays.places("dropped", len(labels.dropped), columns),
        arrays.take("projection", p),
        y_scale,
        log_weights,
        tuple(arrays.take(f"back_{k}", m, m) for k, (_, m) in enumerate(sizes)),
    )
    held = tuple(
        arrays.take(f"held_{k}", m, m) if is_held else None
        for k, ((_, m), is_held) in enumerate(zip(sizes, record["problem"]["held"], strict=True))
    )
    log_s2 = record["problem"]["log_s2"]
    problem = Problem(
        build_system(products),
        tuple(make(term.structure, len(term.effects)) for term in labels.terms),
        products.n,
        bool(record["problem"]["reml"]),
        held,
        None if log_s2 is None else float(log_s2),
    )
    theta = arrays.take("theta", problem.n_parameters)
    information = (
        arrays.take("average_information", len(theta), len(theta))
        if "average_information" in arrays
        else None
    )
    solution = Solution(problem, products, coordinates, theta, information)
    status = status_of(record["status"])
    return MixedFit(labels, solution, status, library_here(str(record["library"])), saved=saved)


def _products(arrays: Arrays, sizes: tuple[tuple[int, int], ...], p: int, n: int) -> CrossProducts:
    pairs: list[Pair] = []
    while f"pair_{len(pairs)}_terms" in arrays:
        name = f"pair_{len(pairs)}"
        k, other = (int(v) for v in arrays.places(f"{name}_terms", 2, len(sizes)))
        blocks = arrays.take(f"{name}_blocks", None, sizes[k][1], sizes[other][1])
        rows = arrays.places(f"{name}_rows", len(blocks), sizes[k][0])
        cols = arrays.places(f"{name}_cols", len(blocks), sizes[other][0])
        pairs.append(Pair(k, other, rows, cols, blocks))
    return CrossProducts(
        sizes,
        tuple(arrays.take(f"own_{k}", q, m, m) for k, (q, m) in enumerate(sizes)),
        tuple(pairs),
        tuple(arrays.take(f"border_{k}", q, m, p + 1) for k, (q, m) in enumerate(sizes)),
        arrays.take("corner", p + 1, p + 1),
        n,
    )
