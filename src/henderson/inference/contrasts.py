"""Contrasts of estimates: c'l b, with the weights c of a named set (`inference.contrast_sets`) within each family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..design.values import is_number
from .asked import Options
from .back_transform import BackTransform
from .contrast_sets import ContrastSet, contrast_set, label_of
from .estimates import Estimates
from .functions import Functions, cleaned, crossed
from .multiplicity import Family, method_named, require_suitable
from .protocol import LinearEstimates
from .words import level_notes


class Contrasts(Estimates):
    """Contrasts of estimates."""

    _tested = True

    def __init__(
        self,
        fit: LinearEstimates,
        functions: Functions,
        options: Options,
        notes: Sequence[str],
        members: Sequence[tuple[int, ...]],
        pairwise: bool,
        control: bool,
    ):
        self.members = list(members)
        """Places of the estimates that each contrast has weights for."""
        self._pairwise, self._control = pairwise, control
        super().__init__(fit, functions, options, notes)
        require_suitable(options.adjust, [family for _, family in self._families])

    def _family(self, places: np.ndarray, covariance: np.ndarray) -> Family:
        means = len({i for place in places for i in self.members[place]}) if self._pairwise else None
        return Family(len(places), means, self._control, covariance)

    def adjusted(self, adjust: str) -> Contrasts:
        """The same contrasts with another adjustment."""
        options = replace(self.options, adjust=method_named(adjust))
        return Contrasts(
            self.fit, self.functions, options, self._notes, self.members, self._pairwise, self._control
        )


@dataclass
class _Gathered:
    coefficients: list[np.ndarray] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)


def contrasts(
    means: Estimates,
    method: Any,
    adjust: str | None,
    by: tuple[str, ...],
    names: tuple[str, ...],
    reference: Any,
    reverse: bool,
    interaction: bool,
    level: float,
) -> Contrasts:
    functions = means.functions
    back = means.options.back
    found, default, pairwise, control = _Gathered(), "none", False, False
    ratio = back is not None and back.ratio_of is not None
    numbered = _shown_with(functions, names)
    for places in functions.families(by):
        if interaction:
            made = _products(functions, places, names, method, reference, reverse)
        else:
            levels = [label_of([functions.labels[n][i] for n in names], numbered) for i in places]
            control = _place_of(reference, functions, places, names, levels)
            made = contrast_set(method, levels, control, reverse)
        default, pairwise, control = made.adjust, made.pairwise, made.control
        ratio = ratio and bool(np.abs(made.coefficients.sum(axis=1)).max() < 1e-12)
        for row, name in zip(made.coefficients, made.ratios if ratio else made.names, strict=True):
            whole = np.zeros(len(functions.rows))
            whole[places] = row
            found.coefficients.append(whole)
            found.names.append(name)
            found.groups.append(int(places[0]))
    weights = np.array(found.coefficients)
    used = weights != 0.0
    rows = np.array([w[u] @ functions.rows[u] for w, u in zip(weights, used, strict=True)])
    offset = np.array([w[u] @ functions.offset[u] for w, u in zip(weights, used, strict=True)])
    labels: dict[str, list[Any]] = {"contrast": found.names}
    for name in by:
        labels[name if name != "contrast" else "contrast_of"] = [
            functions.labels[name][i] for i in found.groups
        ]
    groups = tuple(name if name != "contrast" else "contrast_of" for name in by)
    empty = np.array([functions.empty[u].any() for u in used])
    made_of = Functions(cleaned(rows, weights, functions.rows), offset, labels, ("contrast",), groups, empty)
    options = replace(
        means.options,
        level=level,
        adjust=method_named(default if adjust is None else adjust),
        back=_ratio_of(back) if ratio and back is not None else None,
        sigma=0.0,
    )
    notes = [note for note in means._notes if not note.startswith(("Estimates are", "Limits: "))]
    if back is not None:
        notes.append(
            f"Estimates are ratios of {back.ratio_of}; tests are of {back.name}."
            if ratio
            else f"Estimates are of {back.name}."
        )
    notes += level_notes(means.fit, options)
    members = [tuple(int(i) for i in np.flatnonzero(u)) for u in used]
    return Contrasts(means.fit, made_of, options, notes, members, pairwise, control)


def _place_of(
    reference: Any, functions: Functions, places: np.ndarray, names: tuple[str, ...], levels: list[str]
) -> Any:
    """The control by its level, where that is not what it is called in a contrast."""
    if reference is None or len(names) > 1 or str(reference) in levels:
        return reference
    values = [str(functions.labels[names[0]][i]) for i in places]
    return levels[values.index(str(reference))] if str(reference) in values else reference


def _shown_with(functions: Functions, names: tuple[str, ...]) -> list[str]:
    """For each variable what its levels are shown with: its name where they are all numbers, else nothing."""
    return [n if all(is_number(v) for v in functions.labels[n]) else "" for n in names]


def _ratio_of(back: BackTransform) -> BackTransform:
    k = float(np.log(back.base))

    def step(x: np.ndarray) -> Any:
        value = np.exp(k * x)
        return value, k * value, k**2 * value, k**3 * value

    return replace(back, steps=(step,))


def _products(
    functions: Functions,
    places: np.ndarray,
    names: tuple[str, ...],
    method: Any,
    reference: Any,
    reverse: bool,
) -> ContrastSet:
    """Contrasts of contrasts: products of the coefficients of one set for each variable."""
    levels = crossed(functions, places, names)
    parts = [
        contrast_set(method, [label_of([value], shown) for value in levels[name]], reference, reverse)
        for name, shown in ((n, _shown_with(functions, (n,))) for n in names)
    ]
    weights: np.ndarray = np.ones((1, 1))
    labels = [""]
    for part in parts:
        weights = np.kron(part.coefficients, weights)
        labels = [f"{old} : {new}" if old else new for new in part.names for old in labels]
    one = len(parts) == 1
    return ContrastSet(
        weights,
        tuple(labels),
        tuple(labels),
        parts[0].adjust if one else "none",
        one and parts[0].pairwise,
        one and parts[0].control,
    )
