"""Arguments that several verbs take, checked alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelError, NotAvailableError


def require_reml(reml: Any) -> bool:
    """`reml=`.

    Raises
    ------
    ModelError : neither True nor False.
    """
    if not isinstance(reml, bool | np.bool_):
        raise ModelError(f"reml= is True (restricted likelihood) or False (likelihood), not {reml!r}.")
    return bool(reml)


def refuse_relationships(relationships: Any) -> None:
    """`relationships=`, until it is built.

    Raises
    ------
    NotAvailableError : it is given.
    """
    if relationships is not None:
        raise NotAvailableError(
            "relationships= is part of the grammar, but not available yet in this version."
        )
