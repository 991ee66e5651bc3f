"""What the records of all saved fits have in common: labels, the verdict, checked arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DataError
from ..mixed.verdict import Status
from .labels import Labels, TermLabels
from .saved import Saved

_SPEC = {"version", "formula", "columns", "state", "structure", "blocks", "weights", "offset", "offset_array"}


class Arrays:
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


def shared_record(fit: Any) -> dict[str, Any]:
    """labels, spec, library, status and rows of a fit."""
    labels, status = fit.labels, fit.status
    return {
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
            "verdict": status.verdict,
            "predicted_decrease": status.predicted_decrease,
            "iterations": status.iterations,
            "notes": list(status.notes),
        },
        "rows": {"n_dropped": fit.n_dropped, "note": fit.rows_note, "notes": list(fit.model_notes)},
    }


def labels_of(record: Mapping[str, Any]) -> Labels:
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


def status_of(status: Mapping[str, Any]) -> Status:
    return Status(
        str(status["verdict"]),
        float(status["predicted_decrease"]),
        int(status["iterations"]),
        tuple(str(note) for note in status["notes"]),
    )


def saved_of(record: Mapping[str, Any], quantiles: np.ndarray | None, aliases: np.ndarray) -> Saved:
    """What is known of the rows.

    Raises
    ------
    DataError : the record of the columns is not whole.
    """
    spec, rows = record["spec"], record["rows"]
    if not isinstance(spec, dict) or not _SPEC.issubset(spec):
        raise DataError("the saved fit is damaged: it does not say how to make the columns of new data.")
    notes = tuple(str(note) for note in rows["notes"])
    return Saved(spec, int(rows["n_dropped"]), str(rows["note"]), notes, quantiles, aliases)
