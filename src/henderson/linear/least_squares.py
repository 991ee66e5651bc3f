"""Least squares over rows that come in blocks: R, b and the residual sum of squares, with Householder's accuracy.

    [X y] = Q [R z; 0 rho],    R b = z,    RSS = rho^2

Rows are never held together: a table in memory gives slices of itself, a file gives its row groups, and the answer is the
same. Few rows go through LAPACK's Householder QR. Many rows take one pass for the cross-product of centred columns; where
the columns are far from dependent its Cholesky factor is as good as Householder's, and where the residuals are no small
part of y nothing more is needed. Otherwise a second pass repeats it on X R^-1 (Yamamoto et al. 2015), and where even that is
not safe the blocks are factorised by Householder one after the other (Demmel et al. 2012, TSQR); last comes one step of
refinement with the residuals themselves (Bjorck 1987, corrected semi-normal equations), which makes b as accurate as QR's,
and the sum of squares of the residuals, not a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from scipy.linalg import lapack, solve_triangular

from ..sparse.parallel import thread_count
from .collinear import cleaned
from .extended import refined

TOLERANCE = 1e-11
"""A column is dropped when what is left of it beside the columns before it is below this share of its length."""

SMALL = 200_000
"""Entries of X up to which all rows are taken at once."""
_WELL = 0.05
"""Smallest pivot of the scaled cross-product (1: orthogonal, 0: dependent) above which its factor needs no second pass."""
_LEFT = 1e-3
"""Share of the sum of squares of y that must be left for that of the residuals to be had from the factor with all its digits."""
_SECOND = 1e-5
"""The same, above which the second pass makes it orthogonal."""
_REFINEMENTS = 3
_ILL = 100.0
"""Condition of X with columns of equal length above which a small problem is refined in doubled precision."""


class Rows(Protocol):
    """The rows of a least-squares problem, multiplied by the square roots of their weights where they have any."""

    @property
    def n(self) -> int: ...
    @property
    def p(self) -> int: ...
    @property
    def intercept(self) -> int | None:
        """0 where the first column is 1 in every row (before weighting), else None."""
        ...

    def segments(self) -> list[Callable[[Centre | None], Iterator[np.ndarray]]]:
        """Parts of the rows that can be gone through at the same time, each as blocks (rows, p + 1) of [X y] in Fortran
        order, with `Centre` taken off before weighting. A block may be written over by the next one."""
        ...


@dataclass(frozen=True)
class Centre:
    """What is taken off the columns [X y] so that their sizes do not hide their spread; 0 for the intercept."""

    shift: np.ndarray
    intercept: int


@dataclass(frozen=True)
class LeastSquares:
    """The solution over the columns that are kept."""

    kept: np.ndarray
    dropped: np.ndarray
    root: np.ndarray
    """R (rank, rank), upper triangular, positive diagonal: R'R = X'X over the kept columns."""
    aliases: np.ndarray
    """(rank, dropped): X[:, dropped] = X[:, kept] @ aliases."""
    beta: np.ndarray
    rss: float
    total: float
    """Sum of squares of y about its (weighted) mean where there is an intercept, about 0 otherwise."""


def least_squares(rows: Rows, tolerance: float = TOLERANCE) -> LeastSquares:
    """Solve min |y - X b|^2 (see the head of this file).

    Parameters
    ----------
    tolerance : share of a column's length below which what is left of it beside the columns before it is dependence.
    """
    p, centre = rows.p, _centre(rows)
    small, orthogonal = rows.n * p <= SMALL, False
    if small:
        triangle = _householder((block for part in rows.segments() for block in part(centre)), p)
    else:
        triangle, orthogonal = _triangle(rows, centre)
    kept, dropped, root, z, aliases = _pivoted(triangle[:p, :p], triangle[:p, p], centre, tolerance)
    beta = solve_triangular(root, z) if len(kept) else z
    rss = float(triangle[p, p] ** 2)
    total = float(
        triangle[int(rows.intercept is not None) :, p] @ triangle[int(rows.intercept is not None) :, p]
    )
    if not (orthogonal and rss > _LEFT * total):
        beta, rss, total = _refine(rows, centre, kept, root, beta)
    if small and len(kept) and _condition(root) > _ILL:
        beta, rss = _refine_extended(rows, centre, kept, beta)
    elif centre is not None:
        beta = _uncentred_coefficients(centre, kept, beta)
    if centre is not None:
        root, aliases = _uncentred(centre, kept, dropped, root, aliases)
    return LeastSquares(kept, dropped, root, cleaned(aliases, root), beta, rss, total)


# -- the triangle ----------------------------------------------------------------------------------------


def _centre(rows: Rows) -> Centre | None:
    """Means of the first block, where there is an intercept to give them back to."""
    if rows.intercept != 0:
        return None
    first = next(iter(rows.segments()[0](None)))
    weight = first[:, rows.intercept]
    with np.errstate(invalid="ignore", over="ignore"):
        shift = (weight @ first) / (weight @ weight)
    shift[rows.intercept] = 0.0
    return Centre(np.where(np.isfinite(shift), shift, 0.0), rows.intercept)


def _triangle(rows: Rows, centre: Centre | None) -> tuple[np.ndarray, bool]:
    """Upper-triangular factor (p + 1, p + 1) of the centred [X y], and whether the columns of X are far from dependent."""
    gram = _accumulate(rows, centre, lambda block: block.T @ block)
    size = np.sqrt(np.diagonal(gram))
    if np.all(np.isfinite(size)) and np.all(size > 1e-140):
        factor, info = lapack.dpotrf(gram / np.outer(size, size), lower=0)
        worst = np.min(np.diagonal(factor)[: rows.p], initial=1.0) if info == 0 else 0.0
        if worst > _WELL:
            return np.triu(factor) * size, True
        if worst > _SECOND:
            first = np.triu(factor) * size
            again = _accumulate(rows, centre, lambda block: _gram_of_basis(block, first))
            second, info = lapack.dpotrf(again, lower=0)
            if info == 0:
                return np.triu(second) @ first, False
    parts = _segmentwise(rows, centre, lambda blocks: _householder(blocks, rows.p))
    return _householder(parts, rows.p), False


def _gram_of_basis(block: np.ndarray, factor: np.ndarray) -> np.ndarray:
    basis = solve_triangular(factor, block.T, trans="T", check_finite=False)
    return basis @ basis.T


def _householder(blocks: Any, p: int) -> np.ndarray:
    """Upper-triangular factor (p + 1, p + 1) of stacked blocks, by Householder reflections, a few blocks at a time."""
    triangle = np.zeros((0, p + 1))
    waiting: list[np.ndarray] = []
    for block in blocks:
        waiting.append(np.array(block))
        if sum(map(len, waiting)) >= 4 * (p + 1):
            triangle, waiting = _r_of(np.vstack([triangle, *waiting])), []
    if waiting:
        triangle = _r_of(np.vstack([triangle, *waiting]))
    out = np.zeros((p + 1, p + 1))
    out[: len(triangle)] = triangle
    return out


def _r_of(x: np.ndarray) -> np.ndarray:
    """R of x = QR, its columns divided by their sizes first."""
    size = np.abs(x).max(axis=0, initial=0.0)
    size = np.where(size > 0, size, 1.0)
    packed, _, _, _ = lapack.dgeqrf(np.asfortranarray(x / size), lwork=64 * x.shape[1])
    return np.triu(packed[: min(x.shape)]) * size


def _pivoted(
    r: np.ndarray, z: np.ndarray, centre: Centre | None, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Drop the columns of R that depend on those before them, as R's limited pivoting does: (kept, dropped, root, z, aliases).

    What is left of a column is measured against its length before centring: a constant is nothing but rounding after it.
    """
    p = len(z)
    whole = r if centre is None else r + np.outer(r[:, centre.intercept], centre.shift[:-1])
    size = _lengths(r)
    share = size / np.maximum(_lengths(whole), 1e-300)
    unit = r / np.where(size > 0, size, 1.0)
    kept, basis = [], np.zeros((p, 0))
    for j in range(p):
        left = unit[:, j] - basis @ (basis.T @ unit[:, j])
        left -= basis @ (basis.T @ left)
        norm = float(np.linalg.norm(left))
        if norm * share[j] > tolerance and norm > tolerance:
            kept.append(j)
            basis = np.column_stack([basis, left / norm])
    at = np.array(kept, dtype=np.intp)
    dropped = np.setdiff1d(np.arange(p), at)
    root = np.triu(basis.T @ r[:, at])
    aliases = solve_triangular(root, basis.T @ r[:, dropped]) if len(at) else np.zeros((0, len(dropped)))
    return at, dropped, root, basis.T @ z, aliases


def _lengths(r: np.ndarray) -> np.ndarray:
    """Lengths of the columns, without overflow."""
    peak = np.abs(r).max(axis=0, initial=0.0)
    return peak * np.linalg.norm(r / np.where(peak > 0, peak, 1.0), axis=0)


# -- passes ----------------------------------------------------------------------------------------------


def _segmentwise(
    rows: Rows, centre: Centre | None, of_segment: Callable[[Iterator[np.ndarray]], Any]
) -> list:
    """A function of each segment's blocks, two segments or more at a time; the results in the order of the rows."""
    segments = rows.segments()
    workers = min(len(segments), thread_count())
    if workers < 2:
        return [of_segment(segment(centre)) for segment in segments]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda segment: of_segment(segment(centre)), segments))


def _accumulate(
    rows: Rows, centre: Centre | None, of_block: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The sum of a function of the blocks."""

    def total(blocks: Iterator[np.ndarray]) -> np.ndarray:
        out = None
        for block in blocks:
            part = of_block(block)
            out = part if out is None else out + part
        return out if out is not None else np.zeros(())

    parts = _segmentwise(rows, centre, total)
    return np.sum([part for part in parts if part.ndim], axis=0)


def _refine(
    rows: Rows, centre: Centre | None, kept: np.ndarray, root: np.ndarray, beta: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """b corrected by the residuals, their sum of squares, and the sum of squares of y about its mean."""
    best, rss, total = beta, np.inf, 0.0
    for _ in range(_REFINEMENTS):
        full = np.zeros(rows.p)
        full[kept] = beta
        sums = _accumulate(rows, centre, partial(_residual_sums, beta=full, intercept=rows.intercept))
        gradient, here = sums[: rows.p][kept], float(sums[rows.p])
        total = float(sums[rows.p + 1])
        if rows.intercept is not None:
            total = max(total - float(sums[rows.p + 2]) ** 2 / float(sums[rows.p + 3]), 0.0)
        if not here < rss:
            break
        best, rss = beta, here
        if not len(kept):
            break
        whitened = solve_triangular(root, gradient, trans="T")
        step = solve_triangular(root, whitened)
        beta = beta + step
        # the step changes the sum of squares by its own length squared: below rounding, another pass shows nothing
        if whitened @ whitened <= 1e-18 * max(here, 1e-300):
            return beta, rss, total
    return best, rss, total


def _residual_sums(block: np.ndarray, beta: np.ndarray, intercept: int | None) -> np.ndarray:
    """X'e, e'e, y'y and, where there is an intercept w, w'y and w'w, of one block."""
    x, y = block[:, :-1], block[:, -1]
    error = y - x @ beta
    constant = np.zeros(0)
    if intercept is not None:
        weight = x[:, intercept]
        constant = np.array([weight @ y, weight @ weight])
    return np.concatenate([error @ x, [error @ error, y @ y], constant])


def _condition(root: np.ndarray) -> float:
    """Condition number of X with columns of equal length."""
    values = np.linalg.svd(root / _lengths(root), compute_uv=False)
    return float(values[0] / max(values[-1], 1e-300))


def _refine_extended(
    rows: Rows, centre: Centre | None, kept: np.ndarray, beta: np.ndarray
) -> tuple[np.ndarray, float]:
    """b of the columns as they are, and the residual sum of squares, with residuals in doubled precision.

    The columns and y are divided by powers of two, which rounds nothing.
    """
    whole = np.vstack([np.array(block) for part in rows.segments() for block in part(None)])
    x, y = whole[:, kept], whole[:, -1]
    _, powers = np.frexp(np.abs(x).max(axis=0))
    _, power = np.frexp(np.abs(y).max(initial=0.0) or 1.0)
    x, y, beta = np.ldexp(x, -powers), np.ldexp(y, -power), np.ldexp(beta, powers - power)
    shift, at = np.zeros(len(kept)), 0
    if centre is not None:
        at = int(np.flatnonzero(kept == centre.intercept)[0])
        shift = np.ldexp(centre.shift[kept], powers[at] - powers)
        beta[at] += np.ldexp(centre.shift[-1], powers[at] - power) - shift @ beta
    centred = x - np.outer(x[:, at], shift)
    packed, tau, _, _ = lapack.dgeqrf(np.asfortranarray(centred), lwork=64 * len(kept))
    r = np.triu(packed[: len(kept)])
    q, _, _ = lapack.dorgqr(packed, tau, lwork=64 * len(kept))

    def solve(f: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        g = g - shift * g[at]
        below = solve_triangular(r, g, trans="T")
        along = q.T @ f
        step = solve_triangular(r, along - below)
        step[at] -= shift @ step
        return f - q @ (along - below), step

    beta, rss = refined(x, y, beta, solve)
    return np.ldexp(beta, power - powers), float(np.ldexp(rss, 2 * power))


def _uncentred_coefficients(centre: Centre, kept: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """b of the columns as they are: X = X_centred (I + e_0 shift')."""
    beta = beta.copy()
    beta[kept == centre.intercept] += centre.shift[-1] - centre.shift[kept] @ beta
    return beta


def _uncentred(
    centre: Centre, kept: np.ndarray, dropped: np.ndarray, root: np.ndarray, aliases: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """R and the aliases of the columns as they are."""
    at = int(np.flatnonzero(kept == centre.intercept)[0])
    shift = centre.shift[kept]
    back = root + np.outer(root[:, at], shift)
    aliases = aliases.copy()
    aliases[at] += centre.shift[dropped] - shift @ aliases
    sign = np.where(np.diagonal(back) < 0, -1.0, 1.0)
    return back * sign[:, None], aliases
