"""Which power of the response would the model fit best? Box and Cox's profile likelihood."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ...errors import DataError, ModelError
from ...frame import give_back
from ..student import require_level
from ..whitened import LeastSquares, row_numbers, whitened

_SIMPLE = (
    (-2.0, "1 / {}**2"),
    (-1.0, "1 / {}"),
    (-0.5, "1 / sqrt({})"),
    (0.0, "log({})"),
    (0.5, "sqrt({})"),
    (1.0, "{} as it is"),
    (2.0, "{}**2"),
)
_NEAR_LOG = 1e-8
_FARTHEST = 64.0


@dataclass(frozen=True)
class BoxCox:
    """The profile of a power of the response.

    Attributes
    ----------
    lambda_ : the power of largest likelihood; 0 is the logarithm.
    conf_low, conf_high : powers whose likelihood is not significantly smaller, at `level`; infinite where the likelihood
        does not fall that far on that side.
    loglik : the log likelihood of the untransformed response at lambda_, the Jacobian in it; `loglik_of(1.0)` is that of
        the fit.
    lambdas, logliks : the profile.
    """

    response: str
    lambda_: float
    conf_low: float
    conf_high: float
    level: float
    loglik: float
    lambdas: np.ndarray = field(repr=False)
    logliks: np.ndarray = field(repr=False)
    library: str = field(repr=False, default="pandas")

    @property
    def simple(self) -> str:
        """The simplest power inside the interval, written out: the response as it is, else its logarithm, else the
        nearest of the usual ones.
        """
        inside = [(abs(p - self.lambda_), p) for p, _ in _SIMPLE if self.conf_low <= p <= self.conf_high]
        usual = {p for _, p in inside}
        power = next((p for p in (1.0, 0.0) if p in usual), min(inside)[1] if inside else None)
        text = f"{{}}**{self.lambda_:.3g}" if power is None else dict(_SIMPLE)[power]
        return text.format(self.response)

    @cached_property
    def profile(self) -> Any:
        """lambda, loglik: the profile as a table."""
        return give_back({"lambda": self.lambdas, "loglik": self.logliks}, self.library)

    def __str__(self) -> str:
        return (
            f"Box-Cox power of {self.response}: {self.lambda_:.4g}, {100 * self.level:g} % interval "
            f"{self.conf_low:.4g} to {self.conf_high:.4g}. The simplest inside it: {self.simple}."
        )


def box_cox(fit: LeastSquares, lambdas: Any = None, level: float = 0.95) -> BoxCox:
    """The power of the response that a linear model with normal errors of one variance fits best.

    z = (y^lambda - 1) / lambda, log y at 0, has the profile log likelihood
    -n/2 (log(2 pi RSS_z / n) + 1) + (lambda - 1) sum log y (+ 1/2 sum log weights) (Box & Cox 1964); R's MASS::boxcox
    gives it up to a constant. Its maximum is found to rounding, whatever the grid; the interval is where it is within
    half the chi-square quantile of the maximum.

    See `Checks.box_cox`.
    """
    from scipy.special import chdtri

    require_level(level, "box_cox")
    loglik = profile(fit)
    best = _maximum(loglik)
    top = loglik(best)
    drop = 0.5 * float(chdtri(1.0, 1.0 - level))
    low, high = (_crossing(lambda p: loglik(p) - top + drop, best, side) for side in (-1.0, 1.0))
    if lambdas is None:
        reach = [b if np.isfinite(b) else best + s for b, s in ((low, -3.0), (high, 3.0))]
        margin = 0.6 * (reach[1] - reach[0])
        grid = np.linspace(reach[0] - margin, reach[1] + margin, 101)
    else:
        grid = np.atleast_1d(np.asarray(lambdas, dtype=np.float64))
        if not np.all(np.isfinite(grid)):
            raise ModelError("box_cox: lambdas are numbers.")
    values = np.array([loglik(p) for p in grid])
    return BoxCox(fit.design.response, best, low, high, level, top, grid, values, fit.library)


def profile(fit: LeastSquares) -> Any:
    """The profile log likelihood as a function of the power; for errors see `box_cox`."""
    y = _positive(fit)
    rows = whitened(fit)
    weights = fit.design.weights
    root = None if weights is None else np.sqrt(weights)
    n = len(y)
    # y over its geometric mean keeps powers of any size in range; the Jacobian is then 1.
    log_y = np.log(y)
    center = float(log_y.mean())
    log_y = log_y - center
    constant = -n * center + (0.0 if weights is None else 0.5 * float(np.log(weights).sum()))

    def loglik(power: float) -> float:
        with np.errstate(over="ignore"):
            z = log_y if abs(power) < _NEAR_LOG else np.expm1(power * log_y) / power
        e = rows.project(z if root is None else z * root)
        rss = float(e @ e)
        if not np.isfinite(rss):
            return -np.inf
        return -0.5 * n * (np.log(2.0 * np.pi * rss / n) + 1.0) + constant if rss > 0 else np.inf

    if not np.isfinite(loglik(1.0)) or not rows.rss:
        raise ModelError("box_cox: the fit is exact, every power of the response is as good.")
    return loglik


def _positive(fit: LeastSquares) -> np.ndarray:
    design = fit.design
    if fit.generalised:
        raise ModelError(
            "box_cox: the profile is that of hd.lm; with gls the covariance would change with the power."
        )
    if design.offset is not None:
        raise ModelError("box_cox: the model has an offset, which is on the scale of the response as it is.")
    assert design.y is not None
    y = design.y
    if y.min() <= 0.0:
        at = int(np.argmin(y))
        shift = _shift(y)
        name = design.response
        raise DataError(
            f"box_cox: powers need a response above 0; '{name}' is {y[at]:g} in row {row_numbers(fit)[at]} (the first"
            f" row is 0){f' and not above 0 in {int(np.sum(y <= 0)) - 1} more' if np.sum(y <= 0) > 1 else ''}.\n"
            f"Shift it, for example by {shift:g}: fit '{name} + {shift:g} ~ ...' and ask again."
        )
    return y


def _shift(y: np.ndarray) -> float:
    """A round number that makes all of y positive, by at least half the smallest step from its minimum."""
    low = float(y.min())
    above = y[y > low]
    gap = 0.5 * float(above.min() - low) if len(above) else 1.0
    wanted = gap - low
    unit = 10.0 ** np.floor(np.log10(wanted))
    return float(np.ceil(wanted / unit * 2.0 - 1e-9) / 2.0 * unit)


def _maximum(loglik: Any) -> float:
    from scipy.optimize import minimize_scalar

    # Bracketed by steps that double, so that no range has to be known.
    left, middle, right, step = -1.0, 0.0, 1.0, 1.0
    while loglik(right) > loglik(middle) and right < _FARTHEST:
        left, middle, step = middle, right, 2.0 * step
        right += step
    while loglik(left) > loglik(middle) and left > -_FARTHEST:
        right, middle, step = middle, left, 2.0 * step
        left -= step
    found = minimize_scalar(
        lambda p: -loglik(p), bounds=(left, right), method="bounded", options={"xatol": 1e-12}
    )
    return float(found.x)


def _crossing(excess: Any, best: float, side: float) -> float:
    """Where the profile has fallen to the bound, from the maximum to one side; infinite where it does not."""
    from scipy.optimize import brentq

    step = 0.25
    inner, outer = best, best + side * step
    while excess(outer) > 0.0:
        if abs(outer) > _FARTHEST:
            return side * np.inf
        step *= 2.0
        inner, outer = outer, outer + side * step
    return float(brentq(excess, *sorted((inner, outer)), xtol=1e-13, rtol=1e-13))
