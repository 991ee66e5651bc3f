"""Whitening of a lattice with missing plots or a nugget, line by line: innovations of a Kalman filter whose state is one line.

Along the slow coordinate the lines are a Markov process: with a the correlation over the gap and K the covariance within a line,

    x_next = a x + sqrt(1 - a^2) e,  Var(e) = K,        rows of a line:  y = Z x (+ noise of variance nugget / (1 - nugget))

The innovations of a line given all lines before, divided by the Cholesky factor of their variance, are W M: W is lower
triangular in the order of the rows, W C W' = I. O(lines x (cells of a line)^3). Source: Harvey (1989), section 3.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .base import NotPositiveDefinite

if TYPE_CHECKING:
    from .lattice import Lattice

Array = np.ndarray


def whiten_lines(lattice: Lattice, t: Array, m: Array) -> tuple[Array, float]:
    """W m (n, k) and log|C|."""
    product, axes = lattice.product, lattice.axes
    noise = product.nugget_at(t) / product.nugget_left(t) if product.nugget else 0.0
    scale = product.nugget_left(t) if product.nugget else 1.0
    out, log_det = np.empty(m.shape), lattice._n_rows * float(np.log(scale))
    ends = np.cumsum(axes.shapes.prod(axis=1))
    steps, start = lattice.steps(t), 0
    for g, end in enumerate(map(int, ends)):
        lines = int(axes.shapes[g, axes.slow])
        width = (end - start) // lines
        within = _line_covariance(lattice, t, g)
        gaps = axes.chains[axes.slow].gap_of[start:end:width]
        a, v = steps[axes.slow].a, steps[axes.slow].v
        mean, variance = np.zeros((width, m.shape[1])), within.copy()
        bounds = np.searchsorted(lattice.cell, start + width * np.arange(lines + 1))
        for i in range(lines):
            if i:
                mean = a[gaps[i]] * mean
                variance = a[gaps[i]] ** 2 * variance + v[gaps[i]] * within
            rows = slice(int(bounds[i]), int(bounds[i + 1]))
            if rows.stop > rows.start:
                at = lattice.cell[rows] - (start + width * i)
                out[rows], mean, variance, part = _update(m[rows], at, noise, mean, variance)
                log_det += part
        start = end
    return out / np.sqrt(scale), log_det


def _update(
    m: Array, at: Array, noise: float, mean: Array, variance: Array
) -> tuple[Array, Array, Array, float]:
    """Whitened innovations of rows at some cells of a line, and the line's mean and variance given them."""
    from scipy.linalg.lapack import dpotrf, dtrtrs

    seen = variance[np.ix_(at, at)]
    seen[np.diag_indices(len(at))] += noise
    l, info = dpotrf(seen, lower=1, clean=1)
    if info:
        raise NotPositiveDefinite
    white = dtrtrs(l, m - mean[at], lower=1)[0]
    gain = dtrtrs(l, variance[at], lower=1)[0]
    rest = variance - gain.T @ gain
    if noise == 0.0:
        rest[at] = 0.0
        rest[:, at] = 0.0
    return white, mean + gain.T @ white, rest, 2.0 * float(np.log(np.diagonal(l)).sum())


def _line_covariance(lattice: Lattice, t: Array, g: int) -> Array:
    """Correlation of the cells of one line of group g."""
    axes = lattice.axes
    out: Array = np.ones((1, 1))
    for k, (kernel, part) in enumerate(zip(lattice.product.kernels, lattice.product.split(t), strict=True)):
        if k != axes.slow:
            places = axes.levels[g][k]
            lag = np.abs(places[:, None] - places)
            out = np.kron(out, kernel.at(part, lag.ravel(), False)[0].reshape(lag.shape))
    return out
