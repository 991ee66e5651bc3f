"""A slow twin of `hd.gls`: V written out from the textbook definition of each structure, in the parameters that users see."""

from __future__ import annotations

import numpy as np


def arma_autocorrelation(phi, theta, lags):
    """From the moving-average expansion, 4,000 terms long."""
    psi = np.zeros(4000)
    for j in range(len(psi)):
        psi[j] = (1.0 if j == 0 else 0.0) + (theta[j - 1] if 1 <= j <= len(theta) else 0.0)
        psi[j] += sum(phi[i] * psi[j - 1 - i] for i in range(len(phi)) if j - 1 - i >= 0)
    covariance = np.array([psi[: len(psi) - k] @ psi[k:] for k in range(int(lags.max()) + 1)])
    return (covariance / covariance[0])[lags.astype(int)]


def correlation(name, values, time):
    """C of one group at the times (or positions 0, 1, ...) given; `values` by parameter name."""
    d = np.abs(time[:, None] - time[None, :])
    if name == "ar1":
        return np.power(values["phi"], d)
    if name == "ou":
        return values["phi"] ** d
    if name == "exp":
        return np.exp(-d / values["range"])
    if name == "cs":
        return np.where(d == 0, 1.0, values["rho"])
    if name == "arma":
        phi = [v for k, v in values.items() if k.startswith("phi")]
        theta = [v for k, v in values.items() if k.startswith("theta")]
        return arma_autocorrelation(phi, theta, d)
    if name == "toep":
        return np.append(1.0, [v for k, v in values.items() if k.startswith("rho")])[d.astype(int)]
    raise KeyError(name)


def block_correlation(name, values, groups, time):
    """C of all rows: rows of different groups are independent; a nugget takes its share of every correlation."""
    n = len(time)
    c = np.zeros((n, n))
    for g in np.unique(groups):
        at = np.flatnonzero(groups == g)
        c[np.ix_(at, at)] = correlation(name, values, time[at])
    nugget = values.get("nugget", 0.0)
    return (1.0 - nugget) * c + nugget * np.eye(n)


def by_position(v, groups, codes):
    """V of all rows from the matrix (m, m) of the positions."""
    return np.where(groups[:, None] == groups[None, :], v[np.ix_(codes, codes)], 0.0)


def criterion(x, y, v, reml, s2=None):
    """-2 log (restricted) likelihood of y ~ N(Xb, s2 V), b and (unless given) s2 profiled out; b; s2."""
    n, p = x.shape
    vinv = np.linalg.inv(v)
    xvx = x.T @ vinv @ x
    b = np.linalg.solve(xvx, x.T @ vinv @ y)
    e = y - x @ b
    nu = n - p if reml else n
    rss = e @ vinv @ e
    s2 = rss / nu if s2 is None else s2
    d = nu * np.log(2 * np.pi * s2) + np.linalg.slogdet(v)[1] + rss / s2
    return d + (np.linalg.slogdet(xvx)[1] if reml else 0.0), b, s2
