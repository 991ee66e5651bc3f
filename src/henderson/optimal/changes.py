"""What a small change of a design does to its criterion: for many changes at once, from the inverse information alone.

The extended information of a design is C = P + sum of z z' over its runs, z = (block part, factor part); P is the precision
of random blocks and zero elsewhere. Its inverse D holds everything: D_ff, the factors' part, is the inverse information on
the factors' coefficients when blocks have been estimated (fixed) or predicted (random: Henderson's equations). A change is

    C -> C + U S U',   U = (u, v):    exchange  v out, u in          S = diag(1, -1)
                                      swap between blocks            S = antidiag(1, 1), u = (c_b - c_c, 0), v = (0, f_k - f_i)

    K = S + U'DU,   |C_new| / |C| = -|K|,   D_new = D - D U K^-1 U'D            (S^-1 = S, |S| = -1)

D:     the ratio of determinants (block sizes are fixed, so that |C| and |M| move together)
A, I:  tr(W D_new) = tr(W D) - tr(K^-1 U'DWDU)
E:     greatest eigenvalue of T D_new T';     G: greatest of r'D_new r over the rows r of the region

Fedorov (1972), ch. 3; Cook & Nachtsheim (1980).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_CHUNK = 4_000_000
NO_GAIN = -np.inf
_SINGULAR = 1e-12


@dataclass(frozen=True)
class Objective:
    """The criterion, on extended vectors of length m.

    Attributes
    ----------
    name : "D", "A", "I", "E" or "G".
    parameters : coefficients the criterion is about.
    weight : W (m, m) of A and I.
    transform : T (p, m) of E: T D T' is the covariance of the user's coefficients.
    region : rows (k, m) of G.
    """

    name: str
    parameters: int
    weight: np.ndarray | None = None
    transform: np.ndarray | None = None
    region: np.ndarray | None = None

    def value(self, D: np.ndarray, log_determinant: float) -> float:
        """What is made small: -log|C| / p, tr(WD), the greatest eigenvalue, or the greatest variance."""
        if self.name == "D":
            return -log_determinant / self.parameters
        if self.weight is not None:
            return float(np.vdot(self.weight, D))
        if self.transform is not None:
            return float(np.linalg.eigvalsh(self.transform @ D @ self.transform.T)[-1])
        assert self.region is not None
        return float(np.einsum("ij,jk,ik->i", self.region, D, self.region).max())

    def better(self, new: float, old: float, tolerance: float = 1e-9) -> bool:
        """Whether one value is smaller than another by more than rounding."""
        return new < old - tolerance * (1.0 if self.name == "D" else abs(old))


@dataclass(frozen=True)
class Forms:
    """K of several changes, by its entries (k,)."""

    k11: np.ndarray
    k12: np.ndarray
    k22: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """|C_new| / |C|."""
        out = self.k12**2
        out -= self.k11 * self.k22
        return out


def exchange_gains(D: np.ndarray, objective: Objective, leave: np.ndarray, enter: np.ndarray) -> np.ndarray:
    """Gain (runs, candidates) of putting a candidate in the place of a run: for D (|C_new| / |C| - 1) / p, else old value
    minus new over the old value, -inf where the design would be singular.

    Parameters
    ----------
    leave, enter : extended rows (runs, m) and (candidates, m).
    """
    if objective.name in "EG":
        return np.array([_one_out(D, objective, row, enter) for row in leave])
    half_in, half_out = enter @ D, leave @ D
    d_in, d_out = np.einsum("ij,ij->i", half_in, enter), np.einsum("ij,ij->i", half_out, leave)
    cross = half_out @ enter.T
    forms = Forms((1.0 + d_in)[None, :], cross, (d_out - 1.0)[:, None])
    if objective.name == "D":
        return _ratio_gain(forms, objective)
    W = objective.weight
    assert W is not None
    weighted_in, weighted_out = half_in @ W, half_out @ W
    b11 = np.einsum("ij,ij->i", weighted_in, half_in)[None, :]
    b22 = np.einsum("ij,ij->i", weighted_out, half_out)[:, None]
    return _trace_gain(forms, b11, weighted_out @ half_in.T, b22, objective.value(D, 0.0))


def swap_gains(D: np.ndarray, objective: Objective, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Gain (k,) of changes C + u v' + v u' for vectors u, v (k, m)."""
    half_u, half_v = u @ D, v @ D
    forms = Forms(
        np.einsum("ij,ij->i", half_u, u),
        1.0 + np.einsum("ij,ij->i", half_u, v),
        np.einsum("ij,ij->i", half_v, v),
    )
    if objective.name == "D":
        return _ratio_gain(forms, objective)
    if objective.weight is None:
        return _largest_gain(forms, D, objective, half_u, half_v)
    W = objective.weight
    b11, b12, b22 = (
        np.einsum("ij,jk,ik->i", a, W, b) for a, b in ((half_u, half_u), (half_u, half_v), (half_v, half_v))
    )
    return _trace_gain(forms, b11, b12, b22, objective.value(D, 0.0))


def _one_out(D: np.ndarray, objective: Objective, row: np.ndarray, enter: np.ndarray) -> np.ndarray:
    half_in, half_out = enter @ D, row @ D
    forms = Forms(
        1.0 + np.einsum("ij,ij->i", half_in, enter),
        enter @ half_out,
        np.full(len(enter), row @ half_out - 1.0),
    )
    return _largest_gain(forms, D, objective, half_in, np.broadcast_to(half_out, half_in.shape))


def _ratio_gain(forms: Forms, objective: Objective) -> np.ndarray:
    gain = forms.ratio
    gain -= 1.0
    gain /= objective.parameters
    return gain


def _trace_gain(forms: Forms, b11: np.ndarray, b12: np.ndarray, b22: np.ndarray, old: float) -> np.ndarray:
    ratio = forms.ratio
    # tr(K^-1 B), |K| = -ratio
    gain = 2.0 * forms.k12 * b12
    gain -= forms.k22 * b11
    gain -= forms.k11 * b22
    singular = ratio <= _SINGULAR
    ratio[singular] = 1.0
    gain /= ratio
    gain /= old
    gain[singular] = NO_GAIN
    return gain


def _largest_gain(
    forms: Forms, D: np.ndarray, objective: Objective, half_u: np.ndarray, half_v: np.ndarray
) -> np.ndarray:
    """E and G: the largest of several quantities after each change (k,); half_u, half_v (k, m) are U'D."""
    old = objective.value(D, 0.0)
    ratio = forms.ratio
    good = np.flatnonzero(ratio > _SINGULAR)
    out = np.full(len(ratio), NO_GAIN)
    T = objective.transform if objective.transform is not None else objective.region
    assert T is not None
    first = T @ D @ T.T if objective.transform is not None else np.einsum("ij,jk,ik->i", T, D, T)
    size = max(1, _CHUNK // first.size)
    for at in range(0, len(good), size):
        k = good[at : at + size]
        a, b = half_u[k] @ T.T, half_v[k] @ T.T
        k11, k12, k22, r = forms.k11[k], forms.k12[k], forms.k22[k], ratio[k]
        c11, c12, c22 = -k22 / r, k12 / r, -k11 / r
        if objective.transform is None:
            taken = c11[:, None] * a**2 + 2.0 * c12[:, None] * a * b + c22[:, None] * b**2
            new = (first[None, :] - taken).max(axis=1)
        else:
            left = c11[:, None] * a + c12[:, None] * b
            right = c12[:, None] * a + c22[:, None] * b
            taken = left[:, :, None] * a[:, None, :] + right[:, :, None] * b[:, None, :]
            new = np.linalg.eigvalsh(first[None] - 0.5 * (taken + taken.transpose(0, 2, 1)))[:, -1]
        out[k] = (old - new) / old
    return out


def updated(D: np.ndarray, u: np.ndarray, v: np.ndarray, swap: bool) -> np.ndarray:
    """D_new of one change."""
    U = np.stack([u, v], axis=1)
    half = D @ U
    S = np.array([[0.0, 1.0], [1.0, 0.0]]) if swap else np.diag([1.0, -1.0])
    new = D - half @ np.linalg.solve(S + U.T @ half, half.T)
    return 0.5 * (new + new.T)
