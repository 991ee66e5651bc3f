"""A mixed model in matrix form: y = X b^ + Z u^ + e^, Var(u) = G, Var(e) = R, V = Z G Z' + R, Henderson's equations.

Only the entries of Z and G that are shown are formed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..design.aliasing import describe
from .explain_page import abridged, legend, offset, response, section, title, wrapped
from .matrices import COLUMNS, ROWS, Matrix, matrix, number, shown, side_by_side

if TYPE_CHECKING:
    from ..models.mixed_fit import MixedFit

_BLOCK = 6
"""Rows among which V is shown where there are more than fit."""


def explain_mixed(fit: MixedFit) -> dict[str, list[str]]:
    """y, X, Z, b^, u^, e^; G, R and V; Henderson's mixed-model equations and their solution; Var(b^)."""
    design, space = fit.design, fit.columns
    y, X = response(fit), design.X[:, space.kept]
    names = [space.names[j] for j in space.kept]
    random = _Random(fit)
    n, q = len(y), random.count
    u = random.effects()
    e = y - X @ fit.coefficients - random.times(fit.solution.u)
    columns = shown(q, COLUMNS)
    rows = shown(n, ROWS)
    z = Matrix("Z", random.columns(columns)[rows], (), abridged(rows, n), abridged(columns, q))

    error = np.sqrt(np.diag(fit.vcov))
    lost = ["", *wrapped(describe(space, design))] if len(space.dropped) else []
    line = (
        *(matrix("y", y), "=", matrix("X", X), matrix("b^", fit.coefficients)),
        *("+", z, matrix("u^", u), "+", matrix("e^", e)),
    )
    return {
        "title": [*title(fit, f"{n} rows, {len(names)} fixed and {q} random effects"), *offset(fit), *lost],
        "model": [
            *section("The model: y = X b^ + Z u^ + e^"),
            *legend("columns of X", names),
            *legend("columns of Z", [random.label(j) for j in columns], q),
            *side_by_side(*line),
        ],
        "G": _random_covariance(fit, random, columns),
        "V": _response_covariance(fit, random),
        "equations": _henderson(fit, random, X, y, names, columns),
        "variance": [
            *section("Var(b^) = (X'V^-1X)^-1, the corner of the inverse of the coefficient matrix"),
            *side_by_side(matrix("Var(b^)", fit.vcov), " ", matrix("std. error", error, names)),
        ],
    }


class _Random:
    """Z, G and R of a mixed model, entry by entry."""

    def __init__(self, fit: MixedFit):
        self.blocks = fit.design.blocks
        self.fit = fit
        sizes = [b.q * b.m for b in self.blocks]
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])
        self.count = int(self.offsets[-1])
        self.values = [np.ones((fit.design.n, 1)) if b.values is None else b.values for b in self.blocks]
        weights = fit.design.weights
        self.residual = fit.sigma**2 * (np.ones(fit.design.n) if weights is None else 1.0 / weights)
        self.sigmas = fit.solution.covariances

    def place(self, j: int) -> tuple[int, int, int]:
        """Term, level and effect of a column of Z: effects run fastest."""
        k = int(np.searchsorted(self.offsets, j, side="right")) - 1
        level, effect = divmod(int(j - self.offsets[k]), self.blocks[k].m)
        return k, level, effect

    def label(self, j: int) -> str:
        k, level, effect = self.place(j)
        block = self.blocks[k]
        end = "" if block.m == 1 and block.effects[0] == "(Intercept)" else f" {block.effects[effect]}"
        return f"{block.group} {block.levels[level]}{end}"

    def columns(self, places: np.ndarray) -> np.ndarray:
        """Columns of Z, (n, k)."""
        out = np.zeros((self.fit.design.n, len(places)))
        for at, j in enumerate(places):
            k, level, effect = self.place(j)
            here = self.blocks[k].codes == level
            out[here, at] = self.values[k][here, effect]
        return out

    def times(self, u: Any) -> np.ndarray:
        """Z u."""
        total = np.zeros(self.fit.design.n)
        for block, values, uk in zip(self.blocks, self.values, u, strict=True):
            total += np.einsum("ij,ij->i", values, uk[block.codes])
        return total

    def effects(self) -> np.ndarray:
        return np.concatenate([uk.ravel() for uk in self.fit.solution.u])

    def within(self, places: np.ndarray, matrices: Any) -> np.ndarray:
        """Entries of blockdiag(I (x) matrices[k]) among some columns of Z: G, or its inverse."""
        where = [self.place(j) for j in places]
        out = np.zeros((len(places), len(places)))
        for i, (k, level, effect) in enumerate(where):
            for j, (k2, level2, effect2) in enumerate(where):
                if k == k2 and level == level2:
                    out[i, j] = matrices[k][effect, effect2]
        return out

    def times_g(self, places: np.ndarray) -> np.ndarray:
        """Columns of Z G, (n, k)."""
        out = np.zeros((self.fit.design.n, len(places)))
        for at, j in enumerate(places):
            k, level, effect = self.place(j)
            here = self.blocks[k].codes == level
            out[here, at] = self.values[k][here] @ self.sigmas[k][:, effect]
        return out

    def v(self, rows: np.ndarray) -> np.ndarray:
        """V = Z G Z' + R among some rows."""
        out = np.diag(self.residual[rows])
        for block, values, sigma in zip(self.blocks, self.values, self.sigmas, strict=True):
            codes, mine = block.codes[rows], values[rows]
            out += (mine @ sigma @ mine.T) * (codes[:, None] == codes[None, :])
        return out


def _random_covariance(fit: MixedFit, random: _Random, columns: np.ndarray) -> list[str]:
    hidden = abridged(columns, random.count)
    out = section("The random effects: Var(u) = G")
    out += [
        f"{block.text}: {block.q} independent blocks, one for each level of {block.group}"
        for block in random.blocks
    ]
    out += side_by_side(Matrix("G", random.within(columns, random.sigmas), (), hidden, hidden))
    scaled = "I" if fit.design.weights is None else "diag(1 / weights)"
    return [*out, "", f"Var(e) = R = s2 {scaled}, s2 = {number(fit.sigma**2)}"]


def _response_covariance(fit: MixedFit, random: _Random) -> list[str]:
    n = fit.design.n
    out = section("The response: Var(y) = V = Z G Z' + R")
    rows = np.arange(n if n <= ROWS else _BLOCK)
    said = [f"among the first {len(rows)} of {n} rows:"] if len(rows) < n else []
    return [*out, *said, *side_by_side(matrix("V", random.v(rows)))]


def _henderson(
    fit: MixedFit, random: _Random, X: np.ndarray, y: np.ndarray, names: list[str], columns: np.ndarray
) -> list[str]:
    """The mixed-model equations over the columns that are shown, and the whole solution's part of them."""
    Z = random.columns(columns)
    W = np.column_stack([X, Z])
    p = X.shape[1]
    weighted = W / random.residual[:, None]
    left, right = W.T @ weighted, weighted.T @ y
    singular = any(np.linalg.matrix_rank(sigma) < len(sigma) for sigma in random.sigmas)
    if singular:
        left[:, p:] = W.T @ (random.times_g(columns) / random.residual[:, None])
        left[p:, p:] += np.eye(len(columns))
        out = section("Henderson's mixed-model equations, in a form that a singular G allows: u = G v")
        out += [
            "[ X'R^-1X   X'R^-1Z G     ] [ b ]   [ X'R^-1y ]",
            "[ Z'R^-1X   Z'R^-1Z G + I ] [ v ] = [ Z'R^-1y ]",
        ]
    else:
        left[p:, p:] += random.within(columns, [np.linalg.inv(sigma) for sigma in random.sigmas])
        out = section("Henderson's mixed-model equations")
        out += [
            "[ X'R^-1X   X'R^-1Z        ] [ b ]   [ X'R^-1y ]",
            "[ Z'R^-1X   Z'R^-1Z + G^-1 ] [ u ] = [ Z'R^-1y ]",
        ]
    solution = np.concatenate([fit.coefficients, random.effects()[columns]])
    labels = [*names, *(random.label(j) for j in columns)]
    if random.count > len(columns):
        out.append(f"({len(columns)} of the {random.count} random effects are shown)")
    out += ["", *side_by_side(matrix("coefficients", left), " ", matrix("right-hand side", right))]
    return [*out, "", "Their solution, BLUE b^ and BLUP u^:", *side_by_side(matrix("", solution, labels))]
