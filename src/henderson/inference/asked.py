"""What is asked of marginal means, slopes and joint tests, read and refused: names of variables, weights, degrees of freedom,
how estimates are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError, closest
from ..formula import parse
from . import wald
from .back_transform import BackTransform, back_transform
from .grid import WEIGHTS
from .multiplicity import method_named
from .protocol import LinearEstimates
from .student import require_level

_TYPES = ("link", "response")


@dataclass(frozen=True)
class Options:
    """How estimates are shown.

    Attributes
    ----------
    level : of the limits. df : a method, or a number. adjust : of p-values and limits.
    back : the inverse of the left side where estimates are shown on the scale of the response; sigma, of the errors that
        its mean is taken over (0: none).
    """

    level: float = 0.95
    df: Any = None
    adjust: str = "none"
    back: BackTransform | None = None
    sigma: float = 0.0


def read_specs(specs: Any, by: Any, asked: str = "emmeans") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names before and after the bar of "a * b | c", or of lists; those of `by` after it too.

    Raises
    ------
    ModelError : neither text nor names; a name twice; a left side such as "pairwise ~".
    """
    names, groups = _sides(specs, asked)
    if by is not None:
        groups += _listed(by, f"{asked}: by")
    whole = [*names, *groups]
    twice = next((name for i, name in enumerate(whole) if name in whole[:i]), None)
    if twice is not None:
        where = "both before and after the bar (or in by=)" if twice in names and twice in groups else "twice"
        raise ModelError(f"{asked}: '{twice}' stands {where}; once is enough.")
    return tuple(names), tuple(groups)


def read_groups(by: Any, asked: str) -> tuple[str, ...]:
    """Names of `by` alone: "a", "a * b" or a list.

    Raises
    ------
    ModelError : as `read_specs`.
    """
    return read_specs([], by, asked)[1]


def _sides(specs: Any, asked: str) -> tuple[list[str], list[str]]:
    if not isinstance(specs, str):
        return _listed(specs, asked), []
    text = specs.strip()
    if "~" in text:
        left, text = (part.strip() for part in text.split("~", 1))
        if left:
            raise ModelError(
                f"{asked}: write the names alone, {text!r}, and ask for contrasts with fit.pairs or .contrast({left!r})."
            )
    text, _, bar = (part.strip() for part in text.partition("|"))
    return [] if text == "1" else _split(text), _split(bar)


def _listed(names: Any, asked: str) -> list[str]:
    if isinstance(names, str):
        return _split(names)
    if isinstance(names, Sequence) and all(isinstance(name, str) for name in names):
        return list(names)
    raise ModelError(
        f"{asked}: names of variables are wanted, such as 'a', 'a * b' or ['a', 'b'], not {names!r}."
    )


def _split(text: str) -> list[str]:
    for sign in "*+:":
        text = text.replace(sign, "\n")
    return [name.strip().strip("`") for name in text.split("\n") if name.strip()]


def read_options(
    fit: LinearEstimates,
    level: float,
    df: Any,
    adjust: Any,
    type: str,
    bias_adjust: bool,
    sigma: Any,
    asked: str,
) -> Options:
    """How estimates are to be shown.

    Raises
    ------
    ModelError : a level, df, adjustment, type or sigma that there is not, or that would change nothing.
    """
    require_level(level, asked)
    require_df(fit, df)
    if type not in _TYPES:
        raise ModelError(f"{asked}: type is 'link' or 'response', not {type!r}.")
    back = back_transform(fit.spec) if type == "response" else None
    if type == "response" and back is None:
        name = parse(fit.spec["formula"]).response_name
        if name not in fit.spec["columns"]:
            raise ModelError(f"{asked}: {name} cannot be undone, so there is no type='response'.")
    spread = _spread(fit, back, bias_adjust, sigma, asked)
    return Options(level, df, method_named(adjust), back, spread)


def _spread(
    fit: LinearEstimates, back: BackTransform | None, bias_adjust: bool, sigma: Any, asked: str
) -> float:
    """Standard deviation of the errors that a mean of the response is taken over; 0 for none."""
    if not bias_adjust:
        if sigma is not None:
            raise ModelError(f"{asked}: sigma= is that of bias_adjust=True; without it nothing is averaged.")
        return 0.0
    if back is None:
        raise ModelError(
            f"{asked}: bias_adjust=True is of a transformed response taken back, by type='response'; here nothing is."
        )
    if sigma is None:
        return fit.sigma
    if isinstance(sigma, bool) or not isinstance(sigma, (int, float, np.number)) or not 0 <= sigma < np.inf:
        raise ModelError(f"{asked}: sigma is a standard deviation, a number of 0 or more, not {sigma!r}.")
    return float(sigma)


def require_df(fit: LinearEstimates, df: Any) -> None:
    """Refuse what are no degrees of freedom, and a method that the fit does not have."""
    wald.require_df(df)
    if isinstance(df, str):
        fit.denominator_df(np.zeros((0, fit.columns.rank)), df)


def require_weights(weights: Any) -> None:
    """Refuse what is not in `grid.WEIGHTS`."""
    if weights not in WEIGHTS:
        near = closest(str(weights), WEIGHTS)
        hint = f"The closest is {near!r}." if near else f"There are {', '.join(map(repr, WEIGHTS))}."
        raise ModelError(f"weights={weights!r} is not known. {hint}")
