"""The contract between the criterion and whatever solves the mixed-model equations.

    C~ = W'W + blockdiag(I, 0, 0),   W = [Z Lambda, X, y],   Lambda = blockdiag(I (x) T_k)

A system is built once from the cross-products; `factorise` is paid for every value of the parameters, the rest only
where it is asked for. "Leading block" is C~ without y. Vectors of all random effects are stacked term by term, level by
level; X comes after them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from .crossproducts import CrossProducts


@dataclass(frozen=True)
class Pivots:
    """What the criterion needs of the factor."""

    log_random: float
    """log|C_zz|."""
    log_fixed: float
    """log of the determinant of the Schur complement of X, so that log|C| = log_random + log_fixed."""
    pwrss: float
    """Penalised residual sum of squares: the square of the last pivot."""


class System(Protocol):
    """A solver of the mixed-model equations at given factors T_k."""

    lock: threading.RLock
    """Held over every sequence of calls that must see one factorisation; shared by systems that share arrays."""
    products: CrossProducts
    q: int
    p: int
    offsets: np.ndarray
    """First equation of each term, and after them of X."""
    flops: float
    """Floating-point operations of one factorisation."""
    description: str

    def with_response(self, products: CrossProducts) -> Self:
        """The same system for cross-products that differ in y alone: what was analysed once is kept."""
        ...

    def factorise(self, factors: Sequence[np.ndarray]) -> Pivots | None:
        """Factor C~ at T_1, ..., T_K; None where a pivot is not positive (rounding at extreme parameters).

        Costs nothing where the system is factorised there already.
        """
        ...

    def solution(self) -> tuple[np.ndarray, np.ndarray]:
        """b^ (q,) and beta^ (p,) of the last factorisation: C [b; beta] = W'y."""
        ...

    def invert(self, reml: bool) -> None:
        """Prepare C^-1 (REML) or C_zz^-1 (ML) on the pattern of the factor."""
        ...

    def traces(self) -> list[np.ndarray]:
        """M_k = sum over levels of the (level, level) blocks of A Lambda C^-1, each (m_k, m_k); after `invert`.

        tr(C^-1 dC/dt) = 2 <M_k, dT_k/dt>.
        """
        ...

    def diagonal_blocks(self) -> list[np.ndarray]:
        """The (level, level) blocks of the prepared inverse: (q_k, m_k, m_k) for each term; after `invert`."""
        ...

    def pair_blocks(self) -> list[np.ndarray]:
        """The blocks of the prepared inverse for the pairs of levels that meet, as `CrossProducts.pairs` lists them:
        (nb, m_k, m_l) for each; after `invert`."""
        ...

    def multiply(self, vectors: np.ndarray) -> np.ndarray:
        """[Z X]'[Z X] v for v (q + p, r): the unscaled cross-products, without y."""
        ...

    def border(self) -> np.ndarray:
        """[Z X]'y, (q + p,)."""
        ...

    def half_solve(self, vectors: np.ndarray) -> np.ndarray:
        """F with F'F = v' C^-1 v for v (q + p, r)."""
        ...

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        """C^-1 v for v (q + p, r)."""
        ...


def same_factors(left: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> bool:
    """Whether two lists of T_k are equal to the last bit."""
    return len(left) == len(right) and all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))
