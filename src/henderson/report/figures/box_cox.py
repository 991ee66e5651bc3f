"""The profile likelihood of a power of the response."""

from __future__ import annotations

from typing import Any

import numpy as np

from .page import BLUE, GRID, INK, RED, SOFT, Page, dress, short


def draw(fit: Any, lambdas: Any = None, level: float = 0.95) -> Page:
    """The profile, its maximum, and the interval."""
    from scipy.special import chdtri

    out = fit.box_cox(lambdas, level)
    order = np.argsort(out.lambdas)
    x, y = out.lambdas[order], out.logliks[order]
    page = Page(6.8, 4.4)
    axes = page.subplots()
    low, high = max(out.conf_low, x[0]), min(out.conf_high, x[-1])
    if high > low:
        axes.axvspan(low, high, color=GRID, linewidth=0, zorder=0)
    axes.plot(x, y, color=BLUE, linewidth=1.8)
    axes.axhline(out.loglik - 0.5 * float(chdtri(1.0, 1.0 - level)), color=SOFT, linewidth=0.9, linestyle=":")
    axes.axvline(out.lambda_, color=RED, linewidth=1.4)
    dress(axes, f"power of {out.response} (0: log)", "profile log likelihood")
    axes.grid(False, axis="x")
    finite = y[np.isfinite(y)]
    reach = out.loglik - min(float(finite.min(initial=out.loglik)), out.loglik - 2.0)
    axes.set_ylim(out.loglik - 1.05 * reach, out.loglik + 0.12 * reach)
    axes.annotate(
        f"{out.lambda_:.3g}",
        (out.lambda_, out.loglik + 0.05 * reach),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=8.5,
        color=RED,
    )
    page.heading(
        "Box-Cox power of the response",
        short(fit.formula),
        f"Grey: {100 * level:g} % interval, {out.conf_low:.3g} to {out.conf_high:.3g}. The simplest inside it: {out.simple}.",
    )
    axes.tick_params(colors=INK)
    return page
