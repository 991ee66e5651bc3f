"""Names of structures -> what builds them; and how a user's own is added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import ModelError, closest
from .base import Structure
from .diagonal import Diagonal
from .identity import Identity
from .unstructured import Unstructured

Factory = Callable[[int, Mapping[str, Any], "np.ndarray | None"], Structure]
"""factory(m, options, coordinates (m, d) or None) -> a structure of m >= 2 effects."""

_CLASSES: dict[str, Callable[[int], Structure]] = {"us": Unstructured, "diag": Diagonal, "id": Identity}
_MODULES = {
    "cs": "compound",
    "csh": "compound",
    "ar1": "autoregressive",
    "ar1h": "autoregressive",
    "toep": "toeplitz",
    "toeph": "toeplitz",
    "ante1": "antedependence",
    "cor": "general",
    **dict.fromkeys(("ou", "exp", "gau", "mat", "sph", "ratio", "lin"), "distance"),
    "fa": "factor_analytic",
    "rr": "reduced_rank",
}
"""Structure -> module of this folder with `build(name, m, options, coordinates)`; imported when it is needed."""
_OPTIONS: dict[str, tuple[str, ...]] = {"fa": ("k",), "rr": ("k",), "mat": ("nu",)}
_OWN: dict[str, Factory] = {}


def make(
    name: str,
    m: int,
    options: Mapping[str, Any] | None = None,
    coordinates: np.ndarray | None = None,
) -> Structure:
    """The structure `name` for m effects; one effect has one variance whatever the structure is called.

    Parameters
    ----------
    options : its constants, such as {"k": 2}.
    coordinates : (m,) or (m, d), the places of the effects, for the structures that measure.

    Raises
    ------
    ModelError : no such structure or option (the closest is named); options or coordinates it cannot have.
    """
    options = {} if options is None else options
    if name not in _CLASSES and name not in _MODULES and name not in _OWN:
        near = closest(name, names())
        hint = f"The closest is '{near}'." if near else f"There are {', '.join(names())}."
        raise ModelError(f"there is no covariance structure called '{name}'. {hint}")
    if name not in _OWN:
        for key in options:
            if key not in _OPTIONS.get(name, ()):
                raise ModelError(f"{name} has no option '{key}'.")
    if m == 1:
        return Unstructured(1)
    if name in _OWN:
        return _OWN[name](m, options, coordinates)
    if name in _CLASSES:
        return _CLASSES[name](m)
    structure: Structure = import_module(f".{_MODULES[name]}", __package__).build(
        name, m, options, coordinates
    )
    return structure


def names() -> tuple[str, ...]:
    """Every structure there is, those added too."""
    return (*_CLASSES, *_MODULES, *_OWN)


def register(
    name: str, factory: Factory, options: Mapping[str, str] | None = None, *, measured: bool = False
) -> None:
    """Add a structure of one's own: `name(... | ...)` may then be written in formulas.

    Parameters
    ----------
    name : as formulas have it; not that of a structure there is. Adding one's own again replaces it.
    factory : factory(m, options, coordinates) -> an object with the contract of `base.Structure`, such as a
        `correlated.Correlated`. Called for m >= 2 effects.
    options : the constants it takes in a formula, by name, and their kinds: "count" (a whole number), "number", "flag".
    measured : whether it measures distances: the effects are then the values of one to three numeric columns, name(0 + x + y | g),
        and the factory is given them as coordinates (m, d).

    Raises
    ------
    ModelError : the name is taken, or not a name.
    """
    from ..formula.available import MEASURED, ON_ONE_COLUMN, STRUCTURED
    from ..formula.structures import LEFT

    if not name.isidentifier():
        raise ModelError(
            f"'{name}' cannot be written in a formula: a structure's name is letters, digits and _."
        )
    if name in _CLASSES or name in _MODULES or (name in LEFT and name not in _OWN):
        raise ModelError(f"there is a covariance structure called '{name}' already: choose another name.")
    if not callable(factory):
        raise ModelError(f"the factory of '{name}' is a function of m, options and coordinates.")
    _OWN[name] = factory
    LEFT[name] = dict(options or {})
    STRUCTURED.add(name)
    for kind in (MEASURED, ON_ONE_COLUMN):
        (kind.add if measured else kind.discard)(name)


def unregister(name: str) -> None:
    """Take away what `register` added.

    Raises
    ------
    ModelError : no structure of one's own has that name.
    """
    from ..formula.available import MEASURED, ON_ONE_COLUMN, STRUCTURED
    from ..formula.structures import LEFT

    if name not in _OWN:
        near = closest(name, _OWN)
        raise ModelError(
            f"no structure of your own is called '{name}'." + (f" The closest is '{near}'." if near else "")
        )
    del _OWN[name], LEFT[name]
    for kind in (STRUCTURED, MEASURED, ON_ONE_COLUMN):
        kind.discard(name)
