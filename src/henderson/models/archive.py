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
| kind | "mixed" (lmm), "structured" (lmm with structures, relationships or a residual) or "linear" (lm, gls) |
| problem | (mixed) reml, log_s2, held (which terms have their covariance held) |
| coordinates | (mixed) n, y_scale, log_weights |
| rows | n_dropped, note, model notes |
| solution | (linear) n, rss, scale2, deviance, total, reml, scale_known |
| problem | (structured) also parts, couplings, n_free: what is where in phi; dense, absent, s2, deviance, information |
| structures, residual | (structured) of each term q, options, coordinates, parameters of K; parameters of R |
| components, recorded, spoken, places | (structured) rows of variance_components; levels with records; residual= and variance=; of a field |
| residual | (gls) n_parameters and the table of the parameters of the residuals' covariance |
| arrays | the names of all arrays |

| array | shape | content |
|---|---|---|
| theta | (k,) | variance parameters, standard coordinates |
| own_K, border_K | (q, m, m), (q, m, p + 1) | cross-products of term K (see `mixed.crossproducts`) |
| pair_I_terms, _rows, _cols, _blocks | (2,), (nb,), (nb,), (nb, m, m') | cross-products of two terms |
| corner | (p + 1, p + 1) | cross-products of X and y |
| r, kept, dropped, projection, back_K | as `linear.coordinates.Coordinates` | the way back to the user's units |
| held_K | (m, m) | factor of a covariance that was held |
| average_information | (k, k) | the optimiser's last, for degrees of freedom where it is used (docs/theory.md) |
| beta, root, robust | (linear) (p,), (p, p), (p, p): coefficients, R, and a sandwich covariance where asked for |
| vcov_slopes, parameter_covariance | (gls) (r, p, p), (r, r): for degrees of freedom |
| equations, equation_rows, equation_cols | (structured) (e,): entries of C at the estimates, no response; absent where they are too many |
| phi, source, ratio, held, scaling, relative, held_as | (structured) as `mixed.structured.parameters.Layout` |
| b, beta, vcov, u_K, pev_K, prior_K, lift_K, alone_K | (structured) solutions, Var(beta^), BLUPs, PEV, diagonal of K, see `mixed.structured` |
| components, component_slopes, parameter_covariance, vcov_slopes, phi_slopes, regular, flat | (structured) see `mixed.structured.information` |
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
from . import archive_linear, archive_mixed, archive_structured
from .archive_shared import Arrays
from .linear_fit import LinearFit
from .mixed_fit import MixedFit
from .structured_fit import StructuredFit

FORMAT = "henderson-fit"
VERSION = 1
_KINDS: dict[str, Any] = {"mixed": archive_mixed, "linear": archive_linear, "structured": archive_structured}
_TYPES = {np.dtype(t).str for t in ("<f8", "<i8", "<i4")}


def save(fit: MixedFit | LinearFit, path: str | os.PathLike[str]) -> None:
    """Write the fit; an existing file is replaced only once the new one is complete.

    Raises
    ------
    DataError : the file cannot be written.
    """
    path = _path(path)
    part = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            kind = _kind(fit)
            arrays = _KINDS[kind].arrays_of(fit)
            head = {"format": FORMAT, "version": VERSION, "henderson": __version__, "kind": kind}
            record = head | _KINDS[kind].record_of(fit) | {"arrays": sorted(arrays)}
            archive.writestr("fit.json", json.dumps(record, ensure_ascii=False, indent=1))
            for name, values in arrays.items():
                with archive.open(f"arrays/{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"the fit cannot be written to '{path}': {error.strerror or error}.") from None


def _kind(fit: MixedFit | LinearFit) -> str:
    if isinstance(fit, LinearFit):
        return "linear"
    return "structured" if isinstance(fit, StructuredFit) else "mixed"


def load(path: str | os.PathLike[str]) -> MixedFit | LinearFit:
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


def _fit(record: dict[str, Any], loaded: Mapping[str, np.ndarray]) -> MixedFit | LinearFit:
    if sorted(loaded) != record["arrays"]:
        astray = sorted(set(loaded) ^ set(record["arrays"]))
        raise DataError(f"the saved fit is damaged: the arrays {astray} are missing, or are not its own.")
    kind = record.get("kind", "mixed")
    if kind not in _KINDS:
        raise DataError(f"the saved fit is damaged: there is no fit of the kind {kind!r}.")
    return _KINDS[kind].fit_of(record, Arrays(loaded))
