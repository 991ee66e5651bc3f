"""`fit.save(path)` and `henderson.load(path)`: a fit as a zip of one JSON record and plain arrays, no rows.

    fit.json          what is not an array (below)
    arrays/NAME.npy   NumPy's own format, numbers only: float64, int64 or int32

| in fit.json | content |
|---|---|
| format, version, henderson | "henderson-fit", the number of this format, the version that wrote it |
| labels | formula, response, fixed columns kept and dropped; of each term group, effects, levels, structure |
| spec | the design's record: levels, contrasts and knots that make the columns from a new table |
| library | of the tables to give back |
| status | verdict, predicted_decrease, iterations, notes |
| problem | reml, log_s2, held (which terms have their covariance held) |
| coordinates | n, y_scale, log_weights |
| rows | n_dropped, note, model notes |
| arrays | the names of all arrays |

| array | shape | content |
|---|---|---|
| theta | (k,) | variance parameters, standard coordinates |
| own_K, border_K | (q, m, m), (q, m, p + 1) | cross-products of term K (see `mixed.crossproducts`) |
| pair_I_terms, _rows, _cols, _blocks | (2,), (nb,), (nb,), (nb, m, m') | cross-products of two terms |
| corner | (p + 1, p + 1) | cross-products of X and y |
| r, kept, dropped, projection, back_K | as `mixed.standardise.Coordinates` | the way back to the user's units |
| held_K | (m, m) | factor of a covariance that was held |
| average_information | (k, k) | the optimiser's last, for degrees of freedom where it is used (docs/theory.md) |
| residual_quantiles, aliases | (5,), (p, dropped) | for the summary; to refuse rows that are not estimable |

Everything else is computed from these, so that a loaded fit says the same as the saved one to the last digit.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import DataError
from ..frame import library_here
from ..mixed.criterion import Problem
from ..mixed.crossproducts import CrossProducts, Pair
from ..mixed.solution import Solution
from ..mixed.solver import build_system
from ..mixed.standardise import Coordinates
from ..mixed.verdict import Status
from ..structures import make
from .labels import Labels, TermLabels
from .mixed_fit import MixedFit
from .saved import Saved

FORMAT = "henderson-fit"
VERSION = 1
_SPEC = {"version", "formula", "columns", "state", "structure", "blocks", "weights", "offset", "offset_array"}
_TYPES = {np.dtype(t).str for t in ("<f8", "<i8", "<i4")}


def save(fit: MixedFit, path: str | os.PathLike[str]) -> None:
    """Write the fit; an existing file is replaced only once the new one is complete.

    Raises
    ------
    DataError : the file cannot be written.
    """
    path = _path(path)
    part = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            arrays = _arrays(fit)
            record = _record(fit) | {"arrays": sorted(arrays)}
            archive.writestr("fit.json", json.dumps(record, ensure_ascii=False, indent=1))
            for name, values in arrays.items():
                with archive.open(f"arrays/{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"the fit cannot be written to '{path}': {error.strerror or error}.") from None


def load(path: str | os.PathLike[str]) -> MixedFit:
    """A fit that was saved. It predicts and reports as the original did; it has no rows, hence no fitted
    values. Its tables are pandas' where the library of the original is not installed.

    Raises
    ------
    DataError : no such file, not a saved fit, a newer format, or a record that is damaged. Nothing in the
        file is executed.
    """
    path = _path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            record, arrays = _read_json(archive, path), _read_arrays(archive, path)
    except (
        OSError,
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        EOFError,
        RuntimeError,
        NotImplementedError,
        zlib.error,
    ) as error:
        if isinstance(error, FileNotFoundError):
            raise DataError(f"there is no file '{path}'.") from None
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"'{path}' is not a saved fit, or only a part of one: {reason}.") from None
    try:
        return _fit(record, arrays)
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise DataError(f"'{path}' is damaged: {type(error).__name__}: {error}.") from None


def _path(path: Any) -> Path:
    try:
        return Path(path)
    except TypeError:
        raise DataError(f"a path to a file is wanted, not {path!r}.") from None


# -- writing ---------------------------------------------------------------------------------------------


def _record(fit: MixedFit) -> dict[str, Any]:
    problem, coordinates, labels = fit.solution.problem, fit.solution.coordinates, fit.labels
    return {
        "format": FORMAT,
        "version": VERSION,
        "henderson": __version__,
        "labels": {
            "formula": labels.formula,
            "response": labels.response,
            "fixed": list(labels.fixed),
            "dropped": list(labels.dropped),
            "terms": [
                {
                    "group": term.group,
                    "effects": list(term.effects),
                    "levels": list(term.levels),
                    "structure": term.structure,
                    "text": term.text,
                }
                for term in labels.terms
            ],
        },
        "spec": fit.spec,
        "library": fit.library,
        "status": {
            "verdict": fit.status.verdict,
            "predicted_decrease": fit.status.predicted_decrease,
            "iterations": fit.status.iterations,
            "notes": list(fit.status.notes),
        },
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
        "rows": {"n_dropped": fit.n_dropped, "note": fit.rows_note, "notes": list(fit.model_notes)},
    }


def _arrays(fit: MixedFit) -> dict[str, np.ndarray]:
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


# -- reading ---------------------------------------------------------------------------------------------


def _read_json(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    if "fit.json" not in archive.namelist():
        raise DataError(f"'{path}' is a zip file, but not a saved fit: there is no fit.json in it.")
    try:
        record = json.loads(archive.read("fit.json"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"'{path}' is damaged: fit.json cannot be read ({error}).") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DataError(f"'{path}' is not a saved fit: its fit.json is of another kind.")
    version = record.get("version")
    if not isinstance(version, int) or version < 1:
        raise DataError(f"'{path}' is damaged: {version!r} is no version of the format.")
    if version > VERSION:
        raise DataError(
            f"'{path}' was written by a later version (henderson {record.get('henderson')}, format {version}); "
            f"this one ({__version__}) reads formats up to {VERSION}."
        )
    return record


def _read_arrays(archive: zipfile.ZipFile, path: Path) -> dict[str, np.ndarray]:
    out = {}
    for name in archive.namelist():
        if name.startswith("arrays/") and name.endswith(".npy"):
            try:
                out[name[len("arrays/") : -len(".npy")]] = _array(archive.read(name))
            except (ValueError, OverflowError, zipfile.BadZipFile) as error:
                raise DataError(f"'{path}' is damaged: {name}: {error}.") from None
    return out


def _array(raw: bytes) -> np.ndarray:
    """The numbers of a .npy file. Its header is believed only where the bytes bear it out."""
    file = io.BytesIO(raw)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not of .npy version 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.str not in _TYPES:
        raise ValueError(f"holds {dtype}, where only float64, int64 and int32 are allowed")
    data = raw[file.tell() :]
    count = 1
    for length in shape:
        count *= int(length)
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(data):
        raise ValueError(f"shape {shape} does not agree with its {len(data)} bytes")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C").copy(order="K")


class _Arrays:
    """Arrays by name, each checked for its shape and kind when taken."""

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self._arrays = arrays

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def take(self, name: str, *shape: int | None, kind: str = "f") -> np.ndarray:
        """The array `name` of the given shape; None is any length."""
        if name not in self._arrays:
            raise DataError(f"the saved fit is damaged: the array '{name}' is missing.")
        array = self._arrays[name]
        fits = len(shape) == array.ndim and all(
            want in (None, have) for want, have in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype.kind != kind:
            raise DataError(
                f"the saved fit is damaged: the array '{name}' has shape {array.shape} of {array.dtype}, "
                f"not {tuple('any' if s is None else s for s in shape)}."
            )
        if kind == "f" and not np.isfinite(array).all():
            raise DataError(f"the saved fit is damaged: the array '{name}' has values that are not finite.")
        return array

    def places(self, name: str, length: int | None, below: int) -> np.ndarray:
        """Whole numbers from 0 to below - 1."""
        array = self.take(name, length, kind="i")
        if len(array) and (array.min() < 0 or array.max() >= below):
            raise DataError(f"the saved fit is damaged: the array '{name}' points outside its range.")
        return array


def _fit(record: dict[str, Any], loaded: Mapping[str, np.ndarray]) -> MixedFit:
    if sorted(loaded) != record["arrays"]:
        astray = sorted(set(loaded) ^ set(record["arrays"]))
        raise DataError(f"the saved fit is damaged: the arrays {astray} are missing, or are not its own.")
    arrays = _Arrays(loaded)
    labels = _labels(record["labels"])
    sizes = tuple((len(term.levels), len(term.effects)) for term in labels.terms)
    p = len(labels.fixed)
    products = _products(arrays, sizes, p, int(record["coordinates"]["n"]))
    columns = p + len(labels.dropped)
    y_scale, log_weights = (float(record["coordinates"][name]) for name in ("y_scale", "log_weights"))
    if y_scale <= 0.0 or not np.isfinite([y_scale, log_weights]).all() or products.n <= p:
        raise DataError("the saved fit is damaged: its scales or number of rows cannot be.")
    spec = record["spec"]
    if not isinstance(spec, dict) or not _SPEC.issubset(spec):
        raise DataError("the saved fit is damaged: it does not say how to make the columns of new data.")
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
    status, rows = record["status"], record["rows"]
    return MixedFit(
        labels,
        solution,
        Status(
            str(status["verdict"]),
            float(status["predicted_decrease"]),
            int(status["iterations"]),
            tuple(str(note) for note in status["notes"]),
        ),
        library_here(str(record["library"])),
        saved=Saved(
            spec,
            int(rows["n_dropped"]),
            str(rows["note"]),
            tuple(str(note) for note in rows["notes"]),
            arrays.take("residual_quantiles", 5),
            arrays.take("aliases", p, len(labels.dropped)),
        ),
    )


def _products(arrays: _Arrays, sizes: tuple[tuple[int, int], ...], p: int, n: int) -> CrossProducts:
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


def _labels(record: Mapping[str, Any]) -> Labels:
    return Labels(
        str(record["formula"]),
        str(record["response"]),
        tuple(str(name) for name in record["fixed"]),
        tuple(str(name) for name in record["dropped"]),
        tuple(
            TermLabels(
                str(term["group"]),
                tuple(str(effect) for effect in term["effects"]),
                tuple(term["levels"]),
                str(term["structure"]),
                str(term["text"]),
            )
            for term in record["terms"]
        ),
    )
