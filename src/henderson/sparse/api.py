"""The numeric half of the room: factor, selected inverse and solves on a Symbolic. Arguments are checked
here, once.

Numba is imported only when compiled code is used: `method="dense"` does without it up to `symbolic.PLAIN_ORDER`.
"""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from .symbolic import Symbolic

Array = np.ndarray


def _check_panels(symbolic: Symbolic, panels: Array, name: str = "panels") -> None:
    good = isinstance(panels, np.ndarray) and panels.dtype == np.float64 and panels.flags.c_contiguous
    if not good or panels.shape != (symbolic.stored,):
        raise ModelError(f"{name} must be a contiguous float64 array of length {symbolic.stored}.")


def _check_drop(symbolic: Symbolic, drop: int) -> None:
    limit = symbolic.n if symbolic.method == "dense" else symbolic.tail
    if not 0 <= drop <= limit:
        raise ModelError(
            f"drop must lie in 0..{limit}: only variables kept at the end can be left out; it is {drop}."
        )


def _right_hand_sides(symbolic: Symbolic, rhs: Array, drop: int) -> Array:
    b = np.asarray(rhs, dtype=np.float64)
    height = symbolic.n - drop
    if b.ndim not in (1, 2) or b.shape[0] != height:
        raise ModelError(f"The right-hand side must have {height} rows (n - drop); its shape is {b.shape}.")
    return b


def factor(symbolic: Symbolic, panels: Array, threads: int = 2) -> int:
    """Cholesky factor in place: `panels` comes in with the lower triangle of the permuted matrix and leaves
    with L.

    Parameters
    ----------
    panels : (symbolic.stored,) float64; fill it through `symbolic.positions`, everything else 0.
    threads : BLAS threads for large fronts, and threads for disjoint subtrees where that pays.

    Returns -1, or the permuted number of a column whose pivot is not positive (`panels` is then partly
    overwritten).
    """
    _check_panels(symbolic, panels)
    if symbolic.plain:
        from . import dense

        return dense.factor(symbolic.n, panels)
    from . import cholesky

    return cholesky.factor(symbolic, panels, threads)


def selected_inverse(symbolic: Symbolic, panels: Array, out: Array, drop: int = 1, threads: int = 2) -> None:
    """Inverse of the leading (n - drop) block on the pattern of L, written to `out` (same layout as
    `panels`, which hold L).

    Entries in rows and columns of the last `drop` variables, and above the diagonal, are 0. 0 <= drop <=
    tail.
    """
    _check_panels(symbolic, panels)
    _check_panels(symbolic, out, "out")
    _check_drop(symbolic, drop)
    if symbolic.plain:
        from . import dense

        dense.selected_inverse(symbolic.n, panels, out, drop)
        return
    from . import selinv

    selinv.selected_inverse(symbolic, panels, out, drop, threads)


def _half(symbolic: Symbolic, panels: Array, y: Array, transposed: bool) -> Array:
    """L^-1 y or L^-T y; y (n - drop, k) is a copy in the permuted numbering and may be overwritten."""
    if symbolic.plain:
        from . import dense

        return dense.triangular_solve(symbolic.n, panels, y, transposed)
    from . import triangular

    (triangular.backward if transposed else triangular.forward)(symbolic, panels, y)
    return y


def forward(symbolic: Symbolic, panels: Array, rhs: Array, drop: int = 1) -> Array:
    """L^-1 P rhs for the leading block: rhs (n - drop,) or (n - drop, k) in the original numbering, result
    permuted.

    So `(forward(b) ** 2).sum()` is b' C^-1 b.
    """
    _check_panels(symbolic, panels)
    _check_drop(symbolic, drop)
    b = _right_hand_sides(symbolic, rhs, drop)
    y = np.ascontiguousarray(b.reshape(b.shape[0], -1)[symbolic.perm[: b.shape[0]]])
    return _half(symbolic, panels, y, False).reshape(b.shape)


def backward(symbolic: Symbolic, panels: Array, rhs: Array, drop: int = 1) -> Array:
    """P' L^-T rhs for the leading block: rhs (n - drop,) or (n - drop, k) permuted, result in the original
    numbering.

    So `backward(forward(b))` solves C x = b, and `backward(z)` of standard normals z has variance C^-1.
    """
    _check_panels(symbolic, panels)
    _check_drop(symbolic, drop)
    b = _right_hand_sides(symbolic, rhs, drop)
    y = _half(symbolic, panels, np.array(b.reshape(b.shape[0], -1), order="C"), True)
    out = np.empty(y.shape)
    out[symbolic.perm[: b.shape[0]]] = y
    return out.reshape(b.shape)


def solve(symbolic: Symbolic, panels: Array, rhs: Array, drop: int = 1) -> Array:
    """C^-1 rhs for the leading block; rhs (n - drop,) or (n - drop, k), original numbering."""
    return backward(symbolic, panels, forward(symbolic, panels, rhs, drop), drop)


def diagonal(symbolic: Symbolic, panels: Array) -> Array:
    """Diagonal (n,) of what is stored in `panels` (L, or a selected inverse), original numbering."""
    _check_panels(symbolic, panels)
    if symbolic.method == "dense":
        return panels[:: symbolic.n + 1].copy()
    from .lookup import diagonal_positions

    out = np.empty(symbolic.n)
    out[symbolic.perm] = panels[diagonal_positions(symbolic.start, symbolic.row_ptr, symbolic.panel_ptr)]
    return out
