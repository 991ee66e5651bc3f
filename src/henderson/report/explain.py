"""A fitted model in matrix form, with its numbers: `fit.explain()`.

Letters as in the theory: y = X b + Z u + e, Var(u) = G, Var(e) = R = s2 V0, V = Z G Z' + R. Large matrices are abridged: only
the entries that are shown are formed.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ..design.aliasing import describe
from ..formula import read_residual
from ..residuals.layout import product_codes
from .matrices import COLUMNS, ROWS, Matrix, matrix, number, shown, side_by_side

if TYPE_CHECKING:
    from ..models.linear_fit import LinearFit
    from ..models.mixed_fit import MixedFit

_WHOLE_V = 12
"""Rows up to which the covariance of the residuals is shown whole."""
_BLOCK = 6
_WIDTH = 105


class Explanation(str):
    """Text that prints as it is, at a prompt and in a notebook."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def explain(fit: LinearFit | MixedFit) -> Explanation:
    """The model in matrix form. See `explain_linear` and `explain_mixed`."""
    from ..models.mixed_fit import MixedFit

    lines = explain_mixed(fit) if isinstance(fit, MixedFit) else explain_linear(fit)
    return Explanation("\n".join(lines).rstrip() + "\n")


# -- least squares -----------------------------------------------------------------------------------------


def explain_linear(fit: LinearFit) -> list[str]:
    """y, X, b^, e^; the covariance of the residuals; the normal equations and their solution; s2; Var(b^)."""
    design, space, solution = fit.design, fit.columns, fit.solution
    X, y = design.X, _response(fit)
    names = space.names
    n, p = X.shape
    beta = np.zeros(p)
    beta[space.kept] = solution.beta
    fitted = X @ beta
    weighted = fit.generalised or design.weights is not None
    white = fit.whiten(X)
    cross, right = white.T @ white, white.T @ fit.whiten(y[:, None])[:, 0]
    inverse = np.zeros((p, p))
    inverse[np.ix_(space.kept, space.kept)] = solution.unscaled
    vi = "V^-1 " if weighted else ""
    xx, xy = (f"X'{vi}X", f"X'{vi}y") if not weighted else ("X'V^-1X", "X'V^-1y")

    out = [*_title(fit, f"{n} rows, {p} columns of X, rank {space.rank}"), *_offset(fit)]
    out += _section("The model: y = X b^ + e^")
    out += _legend("columns of X", names)
    labels = [name if j in set(space.kept.tolist()) else f"{name} (set to 0)" for j, name in enumerate(names)]
    out += side_by_side(
        matrix("y", y), "=", matrix("X", X), matrix("b^", beta, labels), "+", matrix("e^", y - fitted)
    )
    out += _section("Fitted values y^ = X b^, and residuals")
    out += side_by_side(matrix("y", y), "=", matrix("y^", fitted), "+", matrix("e^", y - fitted))
    out += _residual_covariance(fit)
    out += _section(f"The normal equations: {xx} b^ = {xy}")
    out += side_by_side(matrix(xx, cross), matrix("b^", beta), "=", matrix(xy, right))
    out += _inverse(fit, xx, xy, inverse, beta)
    out += _scale(fit, weighted)
    out += _variance_of_coefficients(fit, xx, inverse, names)
    return out


def _response(fit: Any) -> np.ndarray:
    y = fit.design.y
    assert y is not None
    return y if fit.design.offset is None else y - fit.design.offset


def _residual_covariance(fit: LinearFit) -> list[str]:
    design = fit.design
    n = design.n
    if not fit.generalised and design.weights is None:
        return [*_section("The residuals: Var(e) = s2 I"), f"independent, of one variance; I is {n} x {n}"]
    if not fit.generalised:
        assert design.weights is not None
        out = _section("The residuals: Var(e) = s2 V, V = diag(1 / weights)")
        return out + side_by_side(matrix("diagonal of V", 1.0 / design.weights))
    out = _section("The residuals: Var(e) = s2 V")
    components = fit.variance_components_columns()
    out += [
        f"{term} {number(value)}"
        for term, value in zip(components["term"], components["estimate"], strict=True)
    ]
    rows, said = _block_rows(fit)
    chosen = np.zeros((n, len(rows)))
    chosen[rows, np.arange(len(rows))] = 1.0
    half = fit.whiten(chosen)
    return (
        [*out, said, *side_by_side(matrix("V", np.linalg.inv(half.T @ half)))] if len(rows) else [*out, said]
    )


def _block_rows(fit: LinearFit) -> tuple[np.ndarray, str]:
    """Rows among which V is shown: all, or those of the first group that rows of no other are correlated with."""
    n = fit.design.n
    if n <= _WHOLE_V:
        return np.arange(n), "among all rows:"
    residual: Any = fit.solution.residual
    text = getattr(residual.covariance.structure, "text", "V=")
    if text != "V=" and fit.frame is not None:
        groups = read_residual(text).groups
        codes, labels = product_codes(groups, fit.frame, fit.design.rows, n)
        rows = np.flatnonzero(codes == codes[0])
        if groups and len(rows) <= 2 * _WHOLE_V:
            said = f"among the rows of {':'.join(groups)} {labels[int(codes[0])]}; rows of different levels are independent:"
            return rows, said
    sd = residual.standard_deviations
    if residual.covariance.structure.name == "independent":
        return np.zeros(0, dtype=np.intp), "\n".join(side_by_side(matrix("diagonal of V", sd**2)))
    return np.zeros(0, dtype=np.intp), (
        f"V is {n} x {n}; its diagonal is "
        + (f"{number(sd[0] ** 2)}." if np.ptp(sd) < 1e-12 * sd[0] else "not constant.")
    )


def _inverse(fit: LinearFit, xx: str, xy: str, inverse: np.ndarray, beta: np.ndarray) -> list[str]:
    space = fit.columns
    if not len(space.dropped):
        out = _section(f"Their solution: b^ = ({xx})^-1 {xy}")
        return out + side_by_side(matrix(f"({xx})^-1", inverse), " ", matrix("b^", beta, space.names))
    out = _section(f"Their solution: b^ = ({xx})^- {xy}, one of many")
    out += [
        f"{xx} is singular: rank {space.rank} of {len(space.names)}. ({xx})^- is a generalised inverse: the inverse over the",
        "columns that have a coefficient, 0 elsewhere. Fitted values are the same whichever is taken.",
    ]
    out += side_by_side(matrix(f"({xx})^-", inverse), " ", matrix("b^", beta, space.names))
    out += _section("The null space: X N = 0")
    out += side_by_side(matrix("N", space.null_space, space.names))
    return [*out, "l'b can be estimated where l'N = 0.", *_wrapped(describe(space, fit.design))]


def _scale(fit: LinearFit, weighted: bool) -> list[str]:
    n, rank = fit.nobs, fit.columns.rank
    sum_of_squares = "e^'V^-1e^" if weighted else "e^'e^"
    s2, rss = fit.sigma**2, fit.rss
    out = _section("The residual variance")
    if fit.solution.scale_known:
        return [*out, f"s2 = {number(s2)}, held; {sum_of_squares} = {number(rss)}"]
    below, said = (n - rank, f"({n} - {rank})") if not fit.generalised or fit.reml else (n, str(n))
    if below == 0:
        return [*out, f"{sum_of_squares} = {number(rss)}; n - rank = 0, so s2 cannot be estimated"]
    how = "(n - rank)" if below != n else "n"
    return [*out, f"s2 = {sum_of_squares} / {how} = {number(rss)} / {said} = {number(s2)}"]


def _variance_of_coefficients(
    fit: LinearFit, xx: str, inverse: np.ndarray, names: tuple[str, ...]
) -> list[str]:
    space = fit.columns
    kept = [names[j] for j in space.kept]
    error = np.sqrt(np.diag(fit.vcov))
    if fit.solution.robust is not None:
        out = _section("Var(b^), robust")
    else:
        out = _section(
            f"Var(b^) = s2 ({xx})^-1" + (" over the columns with a coefficient" if len(space.dropped) else "")
        )
    return out + side_by_side(matrix("Var(b^)", fit.vcov), " ", matrix("std. error", error, kept))


# -- mixed models ------------------------------------------------------------------------------------------


def explain_mixed(fit: MixedFit) -> list[str]:
    """y, X, Z, b^, u^, e^; G, R and V; Henderson's mixed-model equations and their solution; Var(b^)."""
    design, space = fit.design, fit.columns
    y, X = _response(fit), design.X[:, space.kept]
    names = [space.names[j] for j in space.kept]
    random = _Random(fit)
    n, q = len(y), random.count
    u = random.effects()
    e = y - X @ fit.coefficients - random.times(fit.solution.u)
    columns = shown(q, COLUMNS)
    rows = shown(n, ROWS)
    z = Matrix("Z", random.columns(columns)[rows], (), _abridged(rows, n), _abridged(columns, q))

    out = [*_title(fit, f"{n} rows, {len(names)} fixed and {q} random effects"), *_offset(fit)]
    if len(space.dropped):
        out += ["", *_wrapped(describe(space, design))]
    out += _section("The model: y = X b^ + Z u^ + e^")
    out += _legend("columns of X", names) + _legend("columns of Z", [random.label(j) for j in columns], q)
    out += side_by_side(
        matrix("y", y),
        "=",
        matrix("X", X),
        matrix("b^", fit.coefficients),
        "+",
        z,
        matrix("u^", u),
        "+",
        matrix("e^", e),
    )
    out += _covariances(fit, random, columns)
    out += _henderson(fit, random, X, y, names, columns)
    error = np.sqrt(np.diag(fit.vcov))
    out += _section("Var(b^) = (X'V^-1X)^-1, the corner of the inverse of the coefficient matrix")
    return out + side_by_side(matrix("Var(b^)", fit.vcov), " ", matrix("std. error", error, names))


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


def _covariances(fit: MixedFit, random: _Random, columns: np.ndarray) -> list[str]:
    n = fit.design.n
    out = _section("The random effects: Var(u) = G")
    out += [
        f"{block.text}: {block.q} independent blocks, one for each level of {block.group}"
        for block in random.blocks
    ]
    g = Matrix(
        "G",
        random.within(columns, random.sigmas),
        (),
        _abridged(columns, random.count),
        _abridged(columns, random.count),
    )
    out += side_by_side(g)
    if fit.design.weights is None:
        out += ["", f"Var(e) = R = s2 I, s2 = {number(fit.sigma**2)}"]
    else:
        out += ["", f"Var(e) = R = s2 diag(1 / weights), s2 = {number(fit.sigma**2)}"]
    out += _section("The response: Var(y) = V = Z G Z' + R")
    if n <= ROWS:
        return out + side_by_side(matrix("V", random.v(np.arange(n))))
    rows = np.arange(min(_BLOCK, n))
    return [*out, f"among the first {len(rows)} of {n} rows:", *side_by_side(matrix("V", random.v(rows)))]


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
        out = _section("Henderson's mixed-model equations, in a form that a singular G allows: u = G v")
        out += [
            "[ X'R^-1X   X'R^-1Z G     ] [ b ]   [ X'R^-1y ]",
            "[ Z'R^-1X   Z'R^-1Z G + I ] [ v ] = [ Z'R^-1y ]",
        ]
    else:
        left[p:, p:] += random.within(columns, [np.linalg.inv(sigma) for sigma in random.sigmas])
        out = _section("Henderson's mixed-model equations")
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


# -- the page ----------------------------------------------------------------------------------------------


def _abridged(places: np.ndarray, count: int) -> np.ndarray | None:
    return None if len(places) == count else places


def _title(fit: Any, size: str) -> list[str]:
    return [f"{fit.formula}", size + (f"; {fit.rows_note}" if fit.rows_note else "")]


def _offset(fit: Any) -> list[str]:
    return [] if fit.design.offset is None else ["y is the response less its offset."]


def _section(title: str) -> list[str]:
    return ["", title, "-" * len(title)]


def _legend(what: str, names: Any, count: int | None = None) -> list[str]:
    """The names of columns; those that are not shown, of `count`, stand as dots where the columns do."""
    names = list(names)
    count = len(names) if count is None else count
    places = shown(count, COLUMNS)
    if count > len(places):
        names = names if len(names) == len(places) else [names[j] for j in places]
        gap = int(np.flatnonzero(np.diff(places) > 1)[0]) + 1
        names.insert(gap, "...")
    return textwrap.wrap(
        f"{what}: {', '.join(names)}", _WIDTH, subsequent_indent="    ", break_long_words=False
    )


def _wrapped(sentences: list[str]) -> list[str]:
    return [
        line for sentence in sentences for line in textwrap.wrap(sentence, _WIDTH, break_long_words=False)
    ]
