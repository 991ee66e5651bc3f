"""What a search moves on: rows of the factors in steady coordinates, the coding of the blocks, the criterion on both.

Rows x of the candidates become f = x sqrt(k) r^-1, where q r are the k candidates: f'f is k I over them, whatever the units of
the factors. Extended rows are (c_b, f): for fixed blocks c_b codes B blocks by B - 1 columns with sum n_b c_b = 0, so that
(0, f) is a prediction for the average block; for random blocks it is an indicator, with prior precision
Var(e) / Var(block).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from ..linear.qr import Basis
from .changes import Objective


@dataclass(frozen=True, eq=False)
class Board:
    """Arrays of a search that stay as they are.

    Attributes
    ----------
    to_f : (p, p), x @ to_f = f.
    code : (B, b), the block part of a row by block; (1, 0) without blocks.
    prior : (m, m), m = b + p.
    objective : the criterion.
    """

    to_f: np.ndarray
    code: np.ndarray
    prior: np.ndarray
    objective: Objective

    @property
    def m(self) -> int:
        return len(self.prior)

    def extended(self, f: np.ndarray, block: np.ndarray) -> np.ndarray:
        """(c_b, f) of rows f (k, p) in blocks (k,)."""
        return np.hstack([self.code[block], f])

    def on(self, name: str) -> Objective:
        """The D-criterion on the same board, to get out of singular designs."""
        return Objective(name, self.objective.parameters)


def make_board(
    basis: Basis,
    criterion: str,
    region: np.ndarray,
    sizes: tuple[int, ...],
    ratio: float | None,
    intercept: bool,
) -> Board:
    """The board of a search.

    Parameters
    ----------
    basis : of the candidates' X, of full rank p.
    region : rows of X (k, p), for I and G.
    sizes : of the blocks; () without.
    ratio : Var(block) / Var(e) of random blocks; None for fixed ones.
    intercept : whether the first column of X is the intercept, which fixed blocks take over.
    """
    k, p = basis.q.shape
    to_f = np.sqrt(k) * solve_triangular(basis.r, np.eye(p))
    code, prior_blocks = _coding(sizes, ratio)
    b = code.shape[1]
    prior = np.zeros((b + p, b + p))
    prior[:b, :b] = prior_blocks
    lost = int(intercept and b > 0 and ratio is None)
    transform = np.hstack([np.zeros((p - lost, b)), to_f[lost:]])
    rows = np.hstack([np.zeros((len(region), b)), region @ to_f])
    if criterion == "A":
        objective = Objective("A", p - lost, weight=transform.T @ transform)
    elif criterion == "I":
        objective = Objective("I", p - lost, weight=rows.T @ rows / len(rows))
    elif criterion == "E":
        objective = Objective("E", p - lost, transform=transform)
    elif criterion == "G":
        objective = Objective("G", p - lost, region=rows)
    else:
        objective = Objective("D", p - lost)
    return Board(to_f, code, prior, objective)


def _coding(sizes: tuple[int, ...], ratio: float | None) -> tuple[np.ndarray, np.ndarray]:
    count = len(sizes)
    if count < 2:
        return np.zeros((1, 0)), np.zeros((0, 0))
    if ratio is not None:
        if ratio == 0:
            return np.zeros((count, 0)), np.zeros((0, 0))
        return np.eye(count), np.eye(count) / ratio
    code = np.vstack([np.eye(count - 1), -np.array(sizes[:-1])[None, :] / sizes[-1]])
    return code, np.zeros((count - 1, count - 1))
