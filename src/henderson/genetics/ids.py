"""Ids as text, and levels of the data found among them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..errors import DataError, closest

_SHOWN = 5


def id_text(label: Any) -> str:
    """A label as its id: text as it is, whole numbers by their digits (1.0 and 1 are one id)."""
    if isinstance(label, str):
        return label
    if isinstance(label, (bool, np.bool_)):
        return str(bool(label))
    if isinstance(label, Integral):
        return str(int(label))
    if isinstance(label, Real):
        number = float(label)
        return str(int(number)) if number.is_integer() else repr(number)
    return str(label)


def id_array(labels: Iterable[Any]) -> np.ndarray:
    """(q,) object array of `id_text`."""
    texts = [id_text(label) for label in labels]
    out = np.empty(len(texts), dtype=object)
    out[:] = texts
    return out


def read_ids(labels: Any, q: int, name: str) -> np.ndarray:
    """The ids of a matrix of order q.

    Raises
    ------
    DataError : not q of them, one that is missing, or one that occurs twice.
    """
    if isinstance(labels, (str, bytes)) or not hasattr(labels, "__iter__"):
        raise DataError(f"{name}: the ids are a list of {q} labels, not {labels!r}.")
    given = list(labels)
    if len(given) != q:
        raise DataError(f"{name}: the matrix has {q} rows and there are {len(given)} ids.")
    for place, label in enumerate(given):
        if label is None or label != label or label == "":
            raise DataError(f"{name}: id {place} (the first is 0) is missing.")
    ids = id_array(given)
    refuse_repeats(ids, name)
    return ids


def refuse_repeats(ids: np.ndarray, name: str, what: str = "id", where: str = "rows") -> None:
    """Refuse an id (or a marker, in columns) that occurs twice, naming it and where."""
    seen: dict[str, int] = {}
    for place, label in enumerate(ids):
        if label in seen:
            count = int(np.count_nonzero(ids == label))
            raise DataError(
                f"{name}: {what} '{label}' occurs {count} times ({where} {seen[label]} and {place}; the first is 0). "
                + ("Each individual has one row." if what == "id" else f"Give each {what} a name of its own.")
            )
        seen[label] = place


def match(
    ids: np.ndarray, levels: Sequence[Any] | np.ndarray, name: str = "the relationship", what: str = "data"
) -> np.ndarray:
    """Where each level is among the ids, (len(levels),) int64.

    Parameters
    ----------
    ids : (q,) of a `Relationship`.
    levels : labels of the data, text or numbers (`id_text` says how numbers are written).
    name, what : the relationship and the column of the levels, for the message: "A", "animal".

    Raises
    ------
    DataError : levels that have no id: how many, the first few, and the closest id to the first.
    """
    place = {label: k for k, label in enumerate(ids)}
    wanted = [id_text(level) for level in levels]
    found = np.fromiter((place.get(label, -1) for label in wanted), np.int64, len(wanted))
    missing = np.flatnonzero(found < 0)
    if len(missing):
        raise DataError(_missing_text([wanted[k] for k in missing], len(wanted), ids, name, what))
    return found


def _missing_text(missing: list[str], n_levels: int, ids: np.ndarray, name: str, what: str) -> str:
    shown = ", ".join(f"'{label}'" for label in missing[:_SHOWN]) + (" ..." if len(missing) > _SHOWN else "")
    said = f"{len(missing)} of the {n_levels} levels of {what} are not in {name}: {shown}."
    if len(missing) == 1:
        said = f"level {shown} of {what} is not in {name}."
    some = ", ".join(f"'{label}'" for label in ids[:3]) + (" ..." if len(ids) > 3 else "")
    if 2 * len(missing) > n_levels:
        said += f" Its {len(ids)} ids are {some}: is it the relationship of another column?"
    return said + _hint(missing[0], ids)


def _hint(label: str, ids: np.ndarray) -> str:
    """How the same individual may be written among the ids."""
    known = set(ids)
    for other, why in _other_spellings(label):
        if other in known:
            return f" There is '{other}': {why}."
    loose = {_loosened(other): other for other in ids}
    near = loose.get(_loosened(label)) or closest(label, ids[:20_000])
    return f" The closest id to '{label}' is '{near}'." if near else ""


def _other_spellings(label: str) -> list[tuple[str, str]]:
    found = [(label.strip(), "the level has spaces around it")]
    with contextlib.suppress(ValueError, OverflowError):
        found.append((id_text(float(label)), "the number is written in another way; make the two alike"))
    found.append((f"{label}.0", "the ids are written as decimal numbers; make the two alike"))
    if label.startswith("X"):
        found.append((label[1:], "R puts an X before a name that begins with a digit (check.names = FALSE)"))
    found.append((f"X{label}", "R puts an X before a name that begins with a digit (check.names = FALSE)"))
    return found


def _loosened(label: str) -> str:
    """Without case, spaces, punctuation and leading zeros."""
    return "".join(c for c in label.casefold() if c.isalnum()).lstrip("0")
