"""The dense twin of a structured mixed model: everything from V = sum_k Z_k (K_k (x) Sigma_k) Z_k' + R, by the textbook.

    y = X beta + sum_k Z_k u_k + e,   Var(u_k) = K_k (x) Sigma_k (levels outside, effects inside),   Var(e) = R

Symbols of Lynch & Walsh: P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1; BLUE (X'V^-1 X)^-1 X'V^-1 y; BLUP G Z'P y;
PEV G - G Z'P Z G. Covariances are absolute (nothing is profiled). K and Sigma may be singular, Sigma need not be positive
semi-definite as long as V is positive definite. Plain NumPy, n x n cost, no knowledge of henderson.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular


@dataclass(frozen=True)
class Term:
    """One random term. `z` (n, q m): column level * m + effect. `sigma` (m, m) among the effects of a level, absolute.
    `k` (q, q) among the levels; None for independent levels."""

    z: np.ndarray
    sigma: np.ndarray
    k: np.ndarray | None = None

    @property
    def m(self) -> int:
        return len(np.atleast_2d(self.sigma))

    def g_times(self, right: np.ndarray) -> np.ndarray:
        """(K (x) Sigma) right, for right (q m, c)."""
        sigma = np.atleast_2d(np.asarray(self.sigma, float))
        m, c = self.m, right.shape[1]
        blocks = right.reshape(-1, m, c)
        blocks = np.einsum("ij,qjc->qic", sigma, blocks)
        if self.k is not None:
            blocks = np.einsum("pq,qic->pic", self.k, blocks, optimize=True)
        return blocks.reshape(-1, c)

    def g(self) -> np.ndarray:
        """K (x) Sigma, dense."""
        q = self.z.shape[1] // self.m
        return np.kron(np.eye(q) if self.k is None else self.k, np.atleast_2d(self.sigma))


@dataclass(frozen=True)
class Twin:
    """Everything at the given covariances. `u[k]` (q, m), `pev[k]` (q, m, m): Var(u^ - u) of each level."""

    deviance: float
    loglik: float
    beta: np.ndarray
    vcov: np.ndarray
    u: list[np.ndarray]
    pev: list[np.ndarray]
    joint: np.ndarray | None
    """Var(beta^, u^ - u), coefficients first, terms in order; None unless asked for."""
    v: np.ndarray
    py: np.ndarray


def covariance(terms: Sequence[Term], r: np.ndarray) -> np.ndarray:
    """V (n, n)."""
    v = np.array(np.diag(r) if np.ndim(r) == 1 else r, float)
    for term in terms:
        v += term.z @ term.g_times(np.asarray(term.z.T, float))
    return v


def criterion(y, x, terms: Sequence[Term], r, reml: bool = True) -> float:
    """-2 log-likelihood, lme4's constant: (n - p) log 2 pi under REML, and log|X'V^-1 X| with X as it is (full rank)."""
    y, x = np.asarray(y, float), np.asarray(x, float)
    n, p = x.shape
    factor = cholesky(covariance(terms, r), lower=True)
    white = solve_triangular(factor, np.column_stack([x, y]), lower=True)
    rx, left = _least_squares(white[:, :p], white[:, p])
    value = 2 * np.log(np.diag(factor)).sum() + left @ left + (n - p if reml else n) * np.log(2 * np.pi)
    return float(value + (2 * np.log(np.abs(np.diag(rx))).sum() if reml and p else 0.0))


def twin(y, x, terms: Sequence[Term], r, reml: bool = True, joint: bool = False) -> Twin:
    """Criterion, BLUE, BLUP and PEV. `r`: (n, n), or (n,) for a diagonal."""
    y, x = np.asarray(y, float), np.asarray(x, float)
    v = covariance(terms, r)
    p = x.shape[1]
    factor = cholesky(v, lower=True)
    vix = cho_solve((factor, True), x)
    vcov = np.linalg.inv(x.T @ vix) if p else np.zeros((0, 0))
    beta = vcov @ (vix.T @ y)
    py = cho_solve((factor, True), y - x @ beta)
    u, pev, gz = [], [], []
    for term in terms:
        zg = term.g_times(np.asarray(term.z.T, float)).T
        gz.append(zg)
        u.append((zg.T @ py).reshape(-1, term.m))
        pev.append(_level_blocks(term, zg, factor, vix, vcov))
    return Twin(
        deviance=(d := criterion(y, x, terms, r, reml)),
        loglik=-d / 2,
        beta=beta,
        vcov=vcov,
        u=u,
        pev=pev,
        joint=_joint(terms, gz, factor, vix, vcov) if joint else None,
        v=v,
        py=py,
    )


def _least_squares(x, y):
    if not x.shape[1]:
        return np.zeros((0, 0)), y
    q, r = np.linalg.qr(x)
    return r, y - q @ (q.T @ y)


def _level_blocks(term, zg, factor, vix, vcov):
    """G - G Z'P Z G on the diagonal blocks."""
    m = term.m
    half = solve_triangular(factor, zg, lower=True)
    xg = zg.T @ vix
    q = zg.shape[1] // m
    kd = np.ones(q) if term.k is None else np.diag(term.k)
    hb, xb = half.T.reshape(q, m, -1), xg.reshape(q, m, -1)
    explained = np.einsum("qin,qjn->qij", hb, hb) - np.einsum("qia,ab,qjb->qij", xb, vcov, xb)
    return kd[:, None, None] * np.atleast_2d(term.sigma) - explained


def _joint(terms, gz, factor, vix, vcov):
    zg = np.hstack(gz) if gz else np.zeros((len(vix), 0))
    size = [term.z.shape[1] for term in terms]
    g = np.zeros((sum(size), sum(size)))
    at = 0
    for term, s in zip(terms, size, strict=True):
        g[at : at + s, at : at + s] = term.g()
        at += s
    xg = zg.T @ vix
    pev = g - zg.T @ cho_solve((factor, True), zg) + xg @ vcov @ xg.T
    cross = -vcov @ xg.T
    return np.block([[vcov, cross], [cross.T, pev]])


def gradient(function: Callable[[np.ndarray], float], theta, step: float = 1e-3) -> np.ndarray:
    """df/dtheta by central differences of three steps extrapolated (Richardson): error of the order of step^6."""
    theta = np.asarray(theta, float)
    out = np.zeros(len(theta))
    for i in range(len(theta)):
        h = step * max(1.0, abs(theta[i]))
        table = []
        for size in (h, h / 2, h / 4):
            up, down = theta.copy(), theta.copy()
            up[i] += size
            down[i] -= size
            table.append((function(up) - function(down)) / (2 * size))
        first = (4 * table[1] - table[0]) / 3
        second = (4 * table[2] - table[1]) / 3
        out[i] = (16 * second - first) / 15
    return out


def curvature(function: Callable[[np.ndarray], float], theta, step: float = 2e-3) -> np.ndarray:
    """The second derivatives by central differences of two steps extrapolated: error of the order of step^4."""
    theta = np.asarray(theta, float)
    p = len(theta)
    out = np.zeros((p, p))

    def second(i, j, h):
        def at(a, b):
            moved = theta.copy()
            moved[i] += a * h
            moved[j] += b * h
            return function(moved)

        if i == j:
            return (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
        return (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h * h)

    for i in range(p):
        for j in range(i + 1):
            out[i, j] = out[j, i] = (4 * second(i, j, step) - second(i, j, 2 * step)) / 3
    return out


def polish(function: Callable[[np.ndarray], float], theta, rounds: int = 8) -> tuple[np.ndarray, float]:
    """A minimum near theta by Newton's method with finite differences, theta scaled by its own size: for checking an
    optimum, not for finding one."""
    theta = np.array(theta, float)
    scale = np.where(theta == 0, 1.0, np.abs(theta))
    at = lambda z: function(z * scale)  # noqa: E731
    z, value = theta / scale, function(theta)
    for _ in range(rounds):
        g = gradient(at, z)
        values, vectors = np.linalg.eigh(curvature(at, z))
        step = -vectors @ ((vectors.T @ g) / np.maximum(np.abs(values), 1e-8))
        share = 1.0
        while share > 1e-6:
            try:
                tried = at(z + share * step)
            except np.linalg.LinAlgError:
                tried = np.inf
            if tried < value:
                break
            share /= 2
        else:
            break
        z, gain, value = z + share * step, value - tried, tried
        if gain < 1e-10:
            break
    return z * scale, float(value)


# ------------------------------------------------------------------------------------------------ matrices by the book


def incidence(codes, columns=None, q: int | None = None) -> np.ndarray:
    """Z (n, q m): `columns` (n, m) of each row at its level `codes` (n,); m = 1 of ones without columns."""
    codes = np.asarray(codes)
    n = len(codes)
    columns = np.ones((n, 1)) if columns is None else np.asarray(columns, float).reshape(n, -1)
    q = int(codes.max()) + 1 if q is None else q
    z = np.zeros((n, q, columns.shape[1]))
    z[np.arange(n), codes] = columns
    return z.reshape(n, -1)


def groups(*columns) -> tuple[np.ndarray, list]:
    """Codes (n,) and levels of one column, or of the combinations that occur of several."""
    keys = list(zip(*(np.asarray(c).tolist() for c in columns), strict=True))
    levels = sorted(set(keys))
    position = {level: i for i, level in enumerate(levels)}
    return np.array([position[k] for k in keys]), levels


def ar1(n_or_times, rho: float) -> np.ndarray:
    """rho^|lag| of n equal steps, or of whole-number times."""
    t = np.arange(n_or_times) if np.ndim(n_or_times) == 0 else np.asarray(n_or_times, float)
    lag = np.abs(t[:, None] - t[None, :])
    return np.sign(rho) ** np.rint(lag) * np.abs(rho) ** lag if rho < 0 else rho**lag


def distances(*coordinates) -> np.ndarray:
    """Euclidean."""
    c = np.column_stack([np.asarray(v, float) for v in coordinates])
    return np.sqrt(((c[:, None, :] - c[None, :, :]) ** 2).sum(axis=2))


def heterogeneous(correlation, sd) -> np.ndarray:
    """diag(sd) correlation diag(sd)."""
    sd = np.asarray(sd, float)
    return sd[:, None] * np.asarray(correlation, float) * sd[None, :]


def compound(m: int, rho: float) -> np.ndarray:
    """1 on the diagonal, rho elsewhere."""
    return np.full((m, m), float(rho)) + np.eye(m) * (1 - rho)


def banded(m: int, correlations) -> np.ndarray:
    """Toeplitz: 1, then the correlations of lags 1, 2 ..., zero beyond those given."""
    row = np.zeros(m)
    row[0] = 1.0
    row[1 : 1 + len(correlations)] = correlations
    lag = np.abs(np.subtract.outer(np.arange(m), np.arange(m)))
    return row[lag]


def antedependence(sd, correlations) -> np.ndarray:
    """Order 1: Cor(i, j) = the product of the correlations of the steps between them (Gabriel 1962)."""
    m = len(sd)
    c = np.eye(m)
    for i in range(m):
        for j in range(i + 1, m):
            c[i, j] = c[j, i] = np.prod(correlations[i:j])
    return heterogeneous(c, sd)


def factor_analytic(loadings, specific) -> np.ndarray:
    """Lambda Lambda' + diag(psi)."""
    loadings = np.atleast_2d(np.asarray(loadings, float).T).T
    return loadings @ loadings.T + np.diag(specific)


def numerator(pedigree: Sequence[tuple]) -> tuple[np.ndarray, list]:
    """A by the tabular method (Emik & Terrill 1949) of (animal, sire, dam), unknown parents None, in any order; and the ids
    in the order of A. The same animal as both parents is selfing."""
    parents = {a: (s, d) for a, s, d in pedigree}
    for _, s, d in pedigree:
        for parent in (s, d):
            if parent is not None:
                parents.setdefault(parent, (None, None))
    order: list = []
    placed: set = set()
    while len(order) < len(parents):
        ready = [
            a for a, ps in parents.items() if a not in placed and all(p is None or p in placed for p in ps)
        ]
        if not ready:
            raise ValueError("a loop in the pedigree")
        order += ready
        placed.update(ready)
    at = {a: i for i, a in enumerate(order)}
    a = np.zeros((len(order), len(order)))
    for i, animal in enumerate(order):
        s, d = (None if parent is None else at[parent] for parent in parents[animal])
        row = sum((a[p, :i] / 2 for p in (s, d) if p is not None), np.zeros(i))
        a[i, :i] = a[:i, i] = row
        a[i, i] = 1.0 + (a[s, d] / 2 if s is not None and d is not None else 0.0)
    return a, order


def reorder(k: np.ndarray, have: Sequence, want: Sequence) -> np.ndarray:
    """Rows and columns of K (ids `have`) in the order of `want`."""
    at = {a: i for i, a in enumerate(have)}
    index = [at[a] for a in want]
    return k[np.ix_(index, index)]


def legendre(t, order: int) -> np.ndarray:
    """Normalised Legendre polynomials 0..order of t in [-1, 1] (Kirkpatrick et al. 1990): sqrt((2k + 1) / 2) P_k(t)."""
    t = np.asarray(t, float)
    columns = [np.polynomial.legendre.legval(t, np.eye(order + 1)[k]) for k in range(order + 1)]
    return np.column_stack([np.sqrt((2 * k + 1) / 2) * c for k, c in enumerate(columns)])
