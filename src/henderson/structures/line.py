"""Effects at places along a line or in space: their order, gaps and distances, with what is refused."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError

Array = np.ndarray


class Line:
    """Places (m,) in any order, all different."""

    def __init__(self, places: Array):
        self.order = np.argsort(places, kind="stable")
        self.gaps = np.diff(places[self.order])
        self.lags = np.abs(places[:, None] - places)

    def in_order(self, factor: Array) -> Array:
        """Rows of L (..., m, m) put from the order of the line into that of the effects."""
        out = np.empty_like(factor)
        out[..., self.order, :] = factor
        return out


def points(name: str, m: int, coordinates: Array | None, most: int) -> Array:
    """Coordinates (m, d), d <= most, of m different places.

    Raises
    ------
    ModelError : none given, too many, not numbers, or two effects in one place.
    """
    if coordinates is None:
        raise ModelError(
            f"{name} needs the places of its effects: the levels of a numeric column, as in {name}(0 + time | g)."
        )
    out = np.asarray(coordinates, dtype=np.float64)
    out = out[:, None] if out.ndim == 1 else out
    if out.shape[0] != m:
        raise ModelError(f"{name}: there are {m} effects and {out.shape[0]} places.")
    if out.shape[1] > most:
        wanted = "one coordinate" if most == 1 else f"up to {most} coordinates"
        raise ModelError(f"{name} takes {wanted}, not {out.shape[1]}.")
    if not np.isfinite(out).all():
        raise ModelError(
            f"{name}: the place of effect {int(np.argwhere(~np.isfinite(out))[0, 0]) + 1} is not a number."
        )
    _, first, counts = np.unique(out, axis=0, return_index=True, return_counts=True)
    if counts.max() > 1:
        place = ", ".join(f"{v:g}" for v in out[first[np.argmax(counts)]])
        raise ModelError(f"{name}: two effects are in one place, {place}.")
    return out


def whole_places(name: str, m: int, coordinates: Array | None) -> Array:
    """Whole numbers (m,), counted from the first; 0, 1, ... where no coordinates are given."""
    if coordinates is None:
        return np.arange(float(m))
    places = points(name, m, coordinates, 1)[:, 0]
    broken = np.flatnonzero(places != np.round(places))
    if len(broken):
        other = "ou" if name == "ar1" else "exp"
        raise ModelError(
            f"{name} counts whole steps, and {places[broken[0]]:g} is not whole: write {other} for times of any kind."
        )
    return places - places.min()
