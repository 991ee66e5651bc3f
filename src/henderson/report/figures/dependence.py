"""What figures of the dependence among residuals share: panels side by side, one for each kind of residuals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .marks import require_linear
from .page import Page, dress


def kinds_of(fit: Any, kind: str | None, asked: str) -> tuple[str, ...]:
    """Kinds of residuals to show: of a gls fit Pearson residuals and whitened ones, where none is asked for.

    Raises
    ------
    ModelError : a mixed fit.
    """
    require_linear(fit, asked)
    if kind is not None:
        return (kind,)
    return ("pearson", "normalized") if getattr(fit, "generalised", False) else ("pearson",)


def side_by_side(
    kinds: Sequence[str],
    tables: Sequence[dict[str, Any]],
    labels: tuple[str, str],
    panel: Callable[..., None],
) -> tuple[Page, Any]:
    """A page with `panel(axes, table, kind)` for each kind, and its panels.

    labels : of the axes, x and y.
    """
    page = Page(6.6 if len(kinds) == 1 else 9.6, 4.2)
    panels = page.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    for axes, kind, table in zip(panels, kinds, tables, strict=True):
        panel(axes, table, kind)
        dress(axes, labels[0], labels[1] if axes is panels[0] else "", f"{kind.capitalize()} residuals")
    return page, panels


def note(kinds: Sequence[str], tables: Sequence[dict[str, Any]], of_whitened: str) -> str:
    """What the red curve is, and what whitened residuals should show."""
    said = " Red: by the fitted correlation." if any("model" in table for table in tables) else ""
    return said + (f" Normalized ones should {of_whitened}." if len(kinds) > 1 else "")
