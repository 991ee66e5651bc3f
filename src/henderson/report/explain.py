"""A fitted model in matrix form, with its numbers: `fit.explain()`.

Letters as in the theory: y = X b + Z u + e, Var(u) = G, Var(e) = R, V = Z G Z' + R. Large matrices are abridged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ModelError, closest

if TYPE_CHECKING:
    from ..models.linear_fit import LinearFit
    from ..models.mixed_fit import MixedFit


class Explanation(str):
    """Text that prints as it is, at a prompt and in a notebook."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def explain(fit: LinearFit | MixedFit, parts: tuple[str, ...] = ()) -> Explanation:
    """The model in matrix form, whole or those parts of it.

    Parameters
    ----------
    parts : least squares has "model", "fitted", "V", "equations", "solution", "s2", "variance"; a mixed model "model", "G",
        "V", "equations", "variance". () is all of them.

    Raises
    ------
    ModelError : a part that there is not (the closest is named); a fit without rows.
    """
    from ..models.mixed_fit import MixedFit
    from ..models.structured_fit import StructuredFit
    from .explain_linear import explain_linear
    from .explain_mixed import explain_mixed
    from .explain_structured import explain_structured

    if isinstance(fit, StructuredFit):
        found = explain_structured(fit)
    else:
        found = explain_mixed(fit) if isinstance(fit, MixedFit) else explain_linear(fit)
    known = [name for name in found if name != "title"]
    for part in parts:
        if part not in known:
            near = closest(part, known)
            hint = f" The closest is '{near}'." if near else ""
            raise ModelError(f"explain: there is no part '{part}', but {', '.join(known)}.{hint}")
    lines = found["title"] + [line for part in parts or known for line in found[part]]
    return Explanation("\n".join(lines).rstrip() + "\n")
