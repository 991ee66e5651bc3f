"""The Kalman filter along long series, compiled."""

from __future__ import annotations

import numpy as np

from ..sparse.compiled import plain

_STEADY = 1e-15


@plain
def filter_series(starts, gap_of, powers, stationary, noise, m, out):  # type: ignore[no-untyped-def]
    """Innovations over their standard deviations of each series, into `out` (n, k); returns the sum of their log variances.

    starts : (series + 1,) first row of each series, and n. gap_of : (n,) into powers. powers : (gaps, r, r) transition over each
    gap. stationary : (r, r) variance of the state. noise : variance beside it. All arrays of one type, float64 or complex128.
    """
    k, r = m.shape[1], stationary.shape[0]
    state = np.zeros((r, k), dtype=m.dtype)
    moved = np.zeros((r, k), dtype=m.dtype)
    spread = np.zeros((r, r), dtype=m.dtype)
    half = np.zeros((r, r), dtype=m.dtype)
    gain = np.zeros(r, dtype=m.dtype)
    log_det = noise * 0.0
    size = noise * 0.0
    root = noise * 0.0
    for s in range(len(starts) - 1):
        steady, last_gap = False, -1
        for i in range(starts[s], starts[s + 1]):
            if i == starts[s]:
                state[:] = 0.0
                spread[:] = stationary
            else:
                power = powers[gap_of[i]]
                for a in range(r):
                    for c in range(k):
                        total = noise * 0.0
                        for b in range(r):
                            total += power[a, b] * state[b, c]
                        moved[a, c] = total
                state[:] = moved
                if gap_of[i] != last_gap:
                    steady, last_gap = False, gap_of[i]
                if not steady:
                    for a in range(r):
                        for b in range(r):
                            total = noise * 0.0
                            for c in range(r):
                                total += power[a, c] * (spread[c, b] - stationary[c, b])
                            half[a, b] = total
                    for a in range(r):
                        for b in range(r):
                            total = stationary[a, b]
                            for c in range(r):
                                total += half[a, c] * power[b, c]
                            spread[a, b] = total
            if not steady:
                before = size
                size = spread[0, 0] + noise
                root = np.sqrt(size)
                change = abs(size - before)
                for a in range(r):
                    new = spread[a, 0] / size
                    change = max(change, abs(new - gain[a]))
                    gain[a] = new
                for a in range(r):
                    for b in range(r):
                        half[a, b] = spread[a, b] - gain[a] * spread[0, b]
                spread[:] = half
                steady = i > starts[s] + r and change < _STEADY
            log_det += np.log(size)
            for c in range(k):
                error = m[i, c] - state[0, c]
                out[i, c] = error / root
                for a in range(r):
                    state[a, c] += gain[a] * error
    return log_det
