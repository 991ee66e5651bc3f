"""The whole Newton loop compiled, for a model with one random term and its residual: the most common model of all.

The same formulas as `criterion`, `derivatives` and `optimise`, on the same kernels as `bordered`; nothing but the language
between them is left out. It pays where Python's own time would be most of a fit: a refit of a small model, which a bootstrap
does thousands of times, and a single term with very many levels. Needs Numba.

Shapes: own (q, m, m), border (q, m, p + 1), corner (p + 1, p + 1), as `CrossProducts` has them; d (k, m, m) the constant
derivatives of T in its k parameters.
"""

from __future__ import annotations

import numpy as np

from ..sparse.blocks import add_product, left_sided, two_sided
from ..sparse.compiled import kernel
from ..sparse.leading import back_half, eliminate, inverse_own, schur_corner
from .criterion import LOG_2PI
from .rules import (
    ARMIJO,
    CLOSE,
    COLLAPSE,
    CONTRACTION,
    DIFFERENCE,
    EIGENVALUE_FLOOR,
    FAR,
    FLAT,
    LATE,
    NEAR_ZERO,
    RESOLUTION,
    ROUNDING,
    SHORTEN,
    SHORTEST,
    SLOW,
    SMALLEST_PIVOT,
)


@kernel
def _factor_of(d, theta):
    """T at theta, its pivots kept off exactly zero (as `optimise` does)."""
    k, m, _ = d.shape
    t = np.zeros((m, m))
    for a in range(k):
        pivot = False
        for i in range(m):
            pivot = pivot or d[a, i, i] != 0.0
        if pivot and abs(theta[a]) < SMALLEST_PIVOT:
            theta[a] = -SMALLEST_PIVOT if theta[a] < 0.0 else SMALLEST_PIVOT
        for i in range(m):
            for j in range(i + 1):
                t[i, j] += theta[a] * d[a, i, j]
    return t


@kernel
def _cholesky(a):
    """Lower factor of a small matrix in place; False where a pivot is not positive."""
    n = a.shape[0]
    for j in range(n):
        v = a[j, j]
        for k in range(j):
            v -= a[j, k] * a[j, k]
        if not v > 0.0:
            return False
        root = np.sqrt(v)
        a[j, j] = root
        for i in range(j + 1, n):
            v = a[i, j]
            for k in range(j):
                v -= a[i, k] * a[j, k]
            a[i, j] = v / root
    return True


@kernel
def _evaluate(own, border, corner, t, nu, reml):
    """(deviance, pwrss, L, W, factor of the corner); the deviance is infinite where the factor breaks down."""
    q, m, _ = own.shape
    p = corner.shape[0] - 1
    left = two_sided(own, t, t)
    for i in range(q):
        for a in range(m):
            left[i, a, a] += 1.0
    w = left_sided(border, t)
    log_random, bad = eliminate(left, np.zeros(q + 1, np.int64), np.zeros((0, m)), w, 0, q)
    s = corner.copy()
    schur_corner(w, s, 0, q)
    if bad >= 0 or not _cholesky(s):
        return np.inf, 1.0, left, w, s
    pwrss = s[p, p] ** 2
    deviance = log_random + nu * (1.0 + LOG_2PI + np.log(pwrss / nu))
    if reml:
        for j in range(p):
            deviance += 2.0 * np.log(s[j, j])
    return deviance, pwrss, left, w, s


@kernel
def _score(own, border, corner, t, left, w, s, s2, reml):
    """(dD/dT, b, Z'e): first derivatives by T, (m, m), and the vectors (q, m) the second ones need."""
    q, m, _ = own.shape
    p = corner.shape[0] - 1
    beta = np.empty(p)
    for j in range(p - 1, -1, -1):
        v = s[p, j]
        for k in range(j + 1, p):
            v -= s[k, j] * beta[k]
        beta[j] = v / s[j, j]
    b = np.empty((q, m))
    r = np.empty((q, m))
    u = np.empty(m)
    for i in range(q):
        for j in range(m - 1, -1, -1):
            v = w[i, j, p]
            for c in range(p):
                v -= w[i, j, c] * beta[c]
            for k in range(j + 1, m):
                v -= left[i, k, j] * b[i, k]
            b[i, j] = v / left[i, j, j]
        for a in range(m):
            u[a] = 0.0
            for k in range(a + 1):
                u[a] += t[a, k] * b[i, k]
        for a in range(m):
            v = border[i, a, p]
            for k in range(m):
                v -= own[i, a, k] * u[k]
            for c in range(p):
                v -= border[i, a, c] * beta[c]
            r[i, a] = v
    z_corner = np.zeros((p + 1, p + 1))
    if reml:
        inverse = np.zeros((p, p))
        for j in range(p):
            inverse[j, j] = 1.0 / s[j, j]
            for i in range(j + 1, p):
                v = 0.0
                for k in range(j, i):
                    v -= s[i, k] * inverse[k, j]
                inverse[i, j] = v / s[i, i]
        for a in range(p):
            for c in range(a + 1):
                v = 0.0
                for k in range(a, p):
                    v += inverse[k, a] * inverse[k, c]
                z_corner[a, c] = z_corner[c, a] = v
    back = w.copy()
    none = np.zeros((0, m))
    pointer = np.zeros(q + 1, np.int64)
    back_half(left, pointer, none, back, 0, q)
    z_own = np.empty((q, m, m))
    z_border = np.zeros((q, m, p + 1))
    inverse_own(left, pointer, none, back, z_corner, none, z_border, z_own, 0, q)
    slope = np.zeros((m, m))
    right = np.empty((m, m))
    for i in range(q):
        for a in range(m):
            for h in range(m):
                right[a, h] = 0.0
                for k in range(h, m):
                    right[a, h] += own[i, a, k] * t[k, h]
        for a in range(m):
            for c in range(m):
                v = 0.0
                for h in range(m):
                    v += right[a, h] * z_own[i, h, c]
                for x in range(p):
                    v += border[i, a, x] * z_border[i, c, x]
                slope[a, c] += 2.0 * v - 2.0 / s2 * r[i, a] * b[i, c]
    return slope, b, r


@kernel
def _gradient(d, slope):
    out = np.empty(d.shape[0])
    for a in range(d.shape[0]):
        out[a] = np.sum(d[a] * slope)
    return out


@kernel
def _newton_matrix(own, border, t, d, left, w, s, s2, nu, slope, b, r):
    """(H, average information): as `derivatives.derivatives`."""
    q, m, _ = own.shape
    p = s.shape[0] - 1
    n_par = d.shape[0]
    vectors = np.zeros((q, m, n_par))
    share = np.zeros(n_par)
    turned = np.empty(m)
    for a in range(n_par):
        for i in range(q):
            for k in range(m):
                turned[k] = 0.0
                for h in range(m):
                    turned[k] += d[a, h, k] * r[i, h]
            for j in range(m):
                v = 0.0
                for k in range(m):
                    v += d[a, j, k] * b[i, k]
                for k in range(j + 1):
                    v += t[j, k] * turned[k]
                vectors[i, j, a] = v
                share[a] += v * r[i, j] / s2
    product = np.zeros((q, m, n_par))
    add_product(own, vectors, product)
    average = np.zeros((n_par, n_par))
    fixed = np.zeros((p, n_par))
    for i in range(q):
        for j in range(m):
            for a in range(n_par):
                for c in range(n_par):
                    average[a, c] += vectors[i, j, a] * product[i, j, c]
                for x in range(p):
                    fixed[x, a] += border[i, j, x] * vectors[i, j, a]
    half = left_sided(product, t)
    for i in range(q):
        for j in range(m):
            for a in range(n_par):
                v = half[i, j, a]
                for k in range(j):
                    v -= left[i, j, k] * half[i, k, a]
                half[i, j, a] = v / left[i, j, j]
            for a in range(n_par):
                for c in range(n_par):
                    average[a, c] -= half[i, j, a] * half[i, j, c]
                for x in range(p):
                    fixed[x, a] -= w[i, j, x] * half[i, j, a]
    for x in range(p):
        for a in range(n_par):
            v = fixed[x, a]
            for k in range(x):
                v -= s[x, k] * fixed[k, a]
            fixed[x, a] = v / s[x, x]
    average -= fixed.T @ fixed
    average /= s2
    average -= np.outer(share, share) / nu
    average = 0.5 * (average + average.T)
    g = np.zeros((m, m))
    for j in range(m - 1, -1, -1):
        if t[j, j] != 0.0:
            for i in range(m):
                v = 0.5 * slope[i, j]
                for k in range(j + 1, m):
                    v -= g[i, k] * t[k, j]
                g[i, j] = v / t[j, j]
    g = 0.5 * (g + g.T)
    hessian = average.copy()
    for a in range(n_par):
        turned = d[a].T @ g
        for c in range(n_par):
            hessian[a, c] += 2.0 * np.sum((turned @ d[c]) * np.eye(m))
    return hessian, average


@kernel
def _direction(gradient, hessian):
    values, vectors = np.linalg.eigh(hessian)
    size = np.abs(values)
    floor = max(EIGENVALUE_FLOOR * size.max(), 1e-300)
    return -(vectors @ ((vectors.T @ gradient) / np.maximum(size, floor)))


@kernel
def minimise(own, border, corner, d, start, nu, reml, tolerance, max_iterations):
    """Newton steps from `start` (k,), with the rules of `optimise.optimise`.

    Returns (theta, predicted decrease left, steps taken before the last gradient, average information there, whether some
    direction of it is flat: then `optimise` goes its own way from the start).
    """
    n_par = d.shape[0]
    theta = start.copy()
    pivot = np.zeros(n_par, np.bool_)
    for a in range(n_par):
        for i in range(d.shape[1]):
            pivot[a] = pivot[a] or d[a, i, i] != 0.0
    t = _factor_of(d, theta)
    deviance, pwrss, left, w, s = _evaluate(own, border, corner, t, nu, reml)
    previous = np.inf
    observe = False
    full = False
    steps = 0
    while True:
        s2 = pwrss / nu
        slope, b, r = _score(own, border, corner, t, left, w, s, s2, reml)
        gradient = _gradient(d, slope)
        hessian, average = _newton_matrix(own, border, t, d, left, w, s, s2, nu, slope, b, r)
        step = _direction(gradient, hessian)
        decrease = -(gradient @ step)
        slow = steps > 0 and decrease > SLOW * previous and (decrease < FAR or steps > LATE)
        observe = observe or slow
        if observe and decrease >= tolerance:
            observed = np.empty((n_par, n_par))
            for a in range(n_par):
                near = theta.copy()
                size = DIFFERENCE * max(abs(near[a]), 0.1)
                near[a] += size
                t_near = _factor_of(d, near)
                _, p_near, l_near, w_near, s_near = _evaluate(own, border, corner, t_near, nu, reml)
                slope_near, _, _ = _score(
                    own, border, corner, t_near, l_near, w_near, s_near, p_near / nu, reml
                )
                observed[:, a] = (_gradient(d, slope_near) - gradient) / size
            if np.all(np.isfinite(observed)):
                step = _direction(gradient, 0.5 * (observed + observed.T))
                decrease = -(gradient @ step)
        remaining = decrease
        if (
            full
            and decrease < CONTRACTION * previous
            and decrease < CLOSE
            and np.abs(theta).min() > NEAR_ZERO
        ):
            remaining = decrease * (decrease / previous)
        previous = decrease
        done = remaining < tolerance
        noise = RESOLUTION if decrease < 10 * RESOLUTION else ROUNDING * max(abs(deviance), nu)
        share = 1.0
        moved = False
        while share > SHORTEST:
            trial = theta + share * step
            if decrease > FAR:
                for a in range(n_par):
                    if pivot[a]:
                        sign = -1.0 if theta[a] < 0.0 else 1.0
                        trial[a] = sign * max(sign * trial[a], COLLAPSE * abs(theta[a]))
            t_trial = _factor_of(d, trial)
            found = _evaluate(own, border, corner, t_trial, nu, reml)
            if found[0] <= deviance - ARMIJO * share * decrease + noise:
                moved = True
                break
            share *= SHORTEN
        full = share == 1.0
        if moved:
            theta, t = trial, t_trial
            deviance, pwrss, left, w, s = found
            steps += 0 if done else 1
        if done or not moved or steps > max_iterations:
            size = np.sqrt(np.abs(np.diag(average)) + 1e-300)
            spread = np.abs(np.linalg.eigvalsh(average / np.outer(size, size)))
            blind = size.min() ** 2 <= 1e-14 * max(size.max() ** 2, 1.0) or spread.min() < FLAT * spread.max()
            return theta, remaining, steps, average, blind
