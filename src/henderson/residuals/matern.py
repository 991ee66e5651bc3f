"""The Matern correlation, f(x) = 2^(1 - nu) / Gamma(nu) x^nu K_nu(x), x = d / range, K_nu the modified Bessel function.

nu = 1/2 is exp(-x), 3/2 is (1 + x) exp(-x), 5/2 is (1 + x + x^2/3) exp(-x); as nu grows with range sqrt(8 nu) held, f tends
to a Gaussian. The derivative in x is exact, f'(x) = -2^(1 - nu) / Gamma(nu) x^nu K_{nu - 1}(x). K_nu has no elementary derivative
in nu: log f is differentiated in log nu by the central difference of five points, whose error (h^4 / 30 times the fifth derivative,
h = 0.004) and rounding (1e-14 / h) both leave about eleven digits.

Source: Stein (1999), Interpolation of Spatial Data, section 2.7; Abramowitz & Stegun (1964), 9.6.
"""

from __future__ import annotations

import numpy as np

from .tabulate import tabulated

Array = np.ndarray
_STEP = 0.004
_CLOSED = (0.5, 1.5, 2.5)


def matern(x: Array, nu: float) -> tuple[Array, Array]:
    """f(x) and -x f'(x), x >= 0 (n,)."""
    if nu in _CLOSED:
        return _closed(x, nu)
    out = tabulated(lambda s: np.stack(_by_bessel(s, nu)), x)
    return out[0], out[1]


def matern_with_nu(x: Array, nu: float) -> tuple[Array, Array, Array]:
    """f(x), -x f'(x) and df / d log nu at x held."""
    out = tabulated(lambda s: np.stack((*_by_bessel(s, nu), _in_log_nu(s, nu))), x)
    return out[0], out[1], out[2]


def gap(x: Array, nu: float) -> Array:
    """1 - f(x); for nu > 1 by its first term, x^2 / (4 (nu - 1)), where that is less than 1e-7."""
    if nu == 0.5:
        return -np.expm1(-x)
    left = 1.0 - matern(x, nu)[0]
    if nu <= 1.5:
        return left
    first = x * x / (4.0 * (nu - 1.0))
    return np.where(first < 1e-8, first, left)


def _closed(x: Array, nu: float) -> tuple[Array, Array]:
    e = np.exp(-x)
    if nu == 0.5:
        return e, x * e
    if nu == 1.5:
        return (1.0 + x) * e, x * x * e
    return (1.0 + x + x * x / 3.0) * e, x * x * (1.0 + x) / 3.0 * e


def _by_bessel(x: Array, nu: float) -> tuple[Array, Array]:
    f = np.exp(_log_f(x, nu))
    with np.errstate(over="ignore"):
        fall = np.exp(_log_bessel_term(x, nu, nu - 1.0) + np.log(np.maximum(x, 1e-300)))
    # Where K_nu is too large to be held, 1 - f is x^2 / (4 (nu - 1)).
    return f, np.where(np.isfinite(fall), fall, x * x / (2.0 * max(nu - 1.0, 1.0)))


def _in_log_nu(x: Array, nu: float) -> Array:
    at = [_log_f(x, nu * np.exp(k * _STEP)) for k in (-2, -1, 1, 2)]
    return np.exp(_log_f(x, nu)) * (at[0] - 8.0 * at[1] + 8.0 * at[2] - at[3]) / (12.0 * _STEP)


def _log_f(x: Array, nu: float) -> Array:
    """log f; 0 at x = 0 and wherever K_nu is too large to be held (there f is 1 to rounding)."""
    out = _log_bessel_term(x, nu, nu)
    return np.where(np.isfinite(out) | (x > 1.0), np.minimum(out, 0.0), 0.0)


def _log_bessel_term(x: Array, nu: float, order: float) -> Array:
    """log(2^(1 - nu) / Gamma(nu) x^nu K_order(x))."""
    from scipy.special import gammaln, kve

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_k = np.log(kve(order, x)) - x
        out = (1.0 - nu) * np.log(2.0) - gammaln(nu) + nu * np.log(x) + log_k
    return np.where(x > 0, np.where(np.isnan(out), -np.inf, out), 0.0 if order == nu else -np.inf)
