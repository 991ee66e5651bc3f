"""A mixed model with covariance structures in matrix form: G = K (x) Sigma for each term, K among its levels and Sigma among the effects
of a level, and R, with their names; the rest as in `explain_mixed`.

Only the entries that are shown are formed, but for R^-1 of the mixed-model equations, which small data alone have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..design.aliasing import describe
from .explain_page import abridged, legend, offset, response, section, title, wrapped
from .matrices import COLUMNS, ROWS, Matrix, matrix, number, shown, side_by_side

if TYPE_CHECKING:
    from ..models.structured_fit import StructuredFit

_BLOCK = 6
"""Rows among which V and R are shown where there are more than fit."""
_SMALL = 1000
"""Rows up to which R is inverted for the equations."""
_TERMS = 4
"""Terms whose K and Sigma are shown."""


def explain_structured(fit: StructuredFit) -> dict[str, list[str]]:
    """y, X, Z, b^, u^, e^; K, Sigma and G; R and V; Henderson's mixed-model equations and their solution; Var(b^)."""
    design, space = fit.design, fit.columns
    y, X = response(fit), design.X[:, space.kept]
    names = [space.names[j] for j in space.kept]
    model = Covariances(fit)
    n, q = len(y), model.count
    e = y - X @ fit.coefficients - model.times_z()
    columns, rows = shown(q, COLUMNS), shown(n, ROWS)
    z = Matrix("Z", model.z(columns)[rows], (), abridged(rows, n), abridged(columns, q))
    error = np.sqrt(np.diag(fit.vcov))
    lost = ["", *wrapped(describe(space, design))] if len(space.dropped) else []
    random = [*("+", z, matrix("u^", model.effects()))] if q else []
    line: list[Any] = [
        matrix("y", y),
        "=",
        matrix("X", X),
        matrix("b^", fit.coefficients),
        *random,
        "+",
        matrix("e^", e),
    ]
    said = legend("columns of Z", [model.label(j) for j in columns], q) if q else []
    return {
        "title": [*title(fit, f"{n} rows, {len(names)} fixed and {q} random effects"), *offset(fit), *lost],
        "model": [
            *section("The model: y = X b^ + Z u^ + e^"),
            *legend("columns of X", names),
            *said,
            *side_by_side(*line),
        ],
        "G": _random_covariance(fit, model, columns),
        "V": _response_covariance(fit, model),
        "equations": _henderson(fit, model, X, y, names, columns),
        "variance": [
            *section("Var(b^) = (X'V^-1X)^-1, the corner of the inverse of the coefficient matrix"),
            *side_by_side(matrix("Var(b^)", fit.vcov), " ", matrix("std. error", error, names)),
        ],
    }


class Covariances:
    """Z, K, Sigma, G, R and V of a fit, entry by entry."""

    def __init__(self, fit: StructuredFit):
        self.fit, self.solution = fit, fit.solution
        self.terms: list[Any] = [*(fit.design.structured or ()), *fit.fields()]
        self.labels = fit.labels.terms
        self.sizes = [(len(t.levels), len(t.effects)) for t in self.labels]
        self.offsets = np.concatenate([[0], np.cumsum([q * m for q, m in self.sizes])]).astype(np.int64)
        self.count = int(self.offsets[-1])

    def place(self, j: int) -> tuple[int, int, int]:
        """Term, level and effect of a column of Z: effects run fastest."""
        k = int(np.searchsorted(self.offsets, j, side="right")) - 1
        return (k, *divmod(int(j - self.offsets[k]), self.sizes[k][1]))

    def label(self, j: int) -> str:
        k, level, effect = self.place(j)
        term = self.labels[k]
        end = "" if term.effects == ("(Intercept)",) else f" {term.effects[effect]}"
        return f"{term.group} {term.levels[level]}{end}"

    def z(self, places: np.ndarray) -> np.ndarray:
        """Columns of Z, (n, k)."""
        out = np.zeros((self.fit.design.n, len(places)))
        for at, j in enumerate(places):
            k = self.place(j)[0]
            out[:, at] = self.terms[k].z[:, [int(j - self.offsets[k])]].toarray()[:, 0]
        return out

    def times_z(self) -> np.ndarray:
        """Z u^."""
        total = np.zeros(self.fit.design.n)
        for term, u in zip(self.terms, self.solution.u, strict=True):
            total = total + term.z @ u.ravel()
        return total

    def effects(self) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(u.ravel() for u in self.solution.u)])

    def k(self, term: int, levels: np.ndarray) -> np.ndarray:
        """Columns of K, (all levels, len(levels))."""
        engine = self.solution.terms[term]
        count = self.sizes[term][0]
        unit = np.zeros((count, len(levels)))
        unit[levels, np.arange(len(levels))] = 1.0
        if engine.lift is not None:
            alone = 0.0 if engine.alone is None else unit * engine.alone[:, None]
            return np.asarray(engine.lift @ engine.lift[levels].T) + alone
        if engine.precision is None:
            return unit
        return np.asarray(engine.precision.times(self.solution.precision_parameters(term), unit))

    def inverse_k(self, term: int, levels: np.ndarray) -> np.ndarray:
        """Entries of K^-1 among some levels, of a term whose K has one."""
        engine = self.solution.terms[term]
        if engine.precision is None:
            return np.eye(len(levels))
        values = engine.precision.at(self.solution.precision_parameters(term)).values
        where = np.full(engine.q, -1)
        where[levels] = np.arange(len(levels))
        a, b = where[engine.precision.rows], where[engine.precision.cols]
        inside = (a >= 0) & (b >= 0)
        out = np.zeros((len(levels), len(levels)))
        out[a[inside], b[inside]] = out[b[inside], a[inside]] = values[inside]
        return out

    def singular(self) -> bool:
        """Whether some K or Sigma has no inverse, or is not given by one."""
        return any(
            engine.lift is not None or np.linalg.matrix_rank(sigma) < len(sigma)
            for engine, sigma in zip(self.solution.terms, self.solution.covariances, strict=True)
        )

    def g(self, places: np.ndarray, inverse: bool = False) -> np.ndarray:
        """Entries of G, or of its inverse, among some columns of Z."""
        where = [self.place(j) for j in places]
        out = np.zeros((len(places), len(places)))
        for k in {k for k, _, _ in where}:
            mine = np.array([i for i, at in enumerate(where) if at[0] == k])
            level, effect = np.array([where[i][1:] for i in mine]).T
            levels, index = np.unique(level, return_inverse=True)
            sigma = self.solution.covariances[k]
            known = self.inverse_k(k, levels) if inverse else self.k(k, levels)[levels]
            inner = np.linalg.inv(sigma) if inverse else sigma
            out[np.ix_(mine, mine)] = known[np.ix_(index, index)] * inner[np.ix_(effect, effect)]
        return out

    def times_g(self, places: np.ndarray) -> np.ndarray:
        """Columns of Z G, (n, k)."""
        out = np.zeros((self.fit.design.n, len(places)))
        for at, j in enumerate(places):
            k, level, effect = self.place(j)
            column = np.outer(self.k(k, np.array([level]))[:, 0], self.solution.covariances[k][:, effect])
            out[:, at] = self.terms[k].z @ column.ravel()
        return out

    def r(self, rows: np.ndarray) -> np.ndarray:
        """R among some rows."""
        model, weights = self.solution.problem.model, self.fit.design.weights
        scale = np.ones(self.fit.design.n) if weights is None else 1.0 / np.sqrt(weights)
        if model.residual is None:
            out = np.eye(len(rows))
        else:
            at = rows if model.places is None else model.places[rows]
            unit = np.zeros((model.residual.n, len(rows)))
            unit[at, np.arange(len(rows))] = 1.0
            out = np.asarray(model.residual.times(self.solution.precision_parameters(-1), unit))[at]
            if model.row_scale is not None:
                scale = scale * model.row_scale
        return self.solution.scale2 * out * np.outer(scale[rows], scale[rows])

    def v(self, rows: np.ndarray) -> np.ndarray:
        """V = Z G Z' + R among some rows."""
        out = self.r(rows)
        for k, (term, sigma) in enumerate(zip(self.terms, self.solution.covariances, strict=True)):
            m = self.sizes[k][1]
            z = term.z[rows]
            levels = np.unique(z.indices // m)
            wide = z[:, (levels[:, None] * m + np.arange(m)).ravel()].toarray()
            known = self.k(k, levels)[levels]
            out += wide @ np.kron(known, sigma) @ wide.T
        return out


def _random_covariance(fit: StructuredFit, model: Covariances, columns: np.ndarray) -> list[str]:
    out = section("The random effects: Var(u) = G")
    for k, label in enumerate(model.labels[:_TERMS]):
        out += ["", *_one_term(model, k, label)]
    if len(model.labels) > _TERMS:
        out.append(f"and so on for {len(model.labels) - _TERMS} more terms.")
    if model.count:
        hidden = abridged(columns, model.count)
        out += ["", "G is block-diagonal over the terms:"]
        out += side_by_side(Matrix("G", model.g(columns), (), hidden, hidden))
    return out


def _one_term(model: Covariances, k: int, label: Any) -> list[str]:
    """What K and Sigma are, and their numbers."""
    q, m = model.sizes[k]
    engine = model.solution.terms[k]
    sigma = model.solution.covariances[k]
    independent = engine.precision is None and engine.lift is None
    kind = f"{label.structure}, " if m > 1 else ""
    inner = f"Sigma ({kind}{m} x {m})" if m > 1 else f"sigma2 = {number(sigma[0, 0])}"
    if independent:
        out = [f"{label.text}: I (x) {inner}: {q} independent levels of {label.group}"]
        return out + (side_by_side(matrix("Sigma", sigma, label.effects)) if m > 1 else [])
    parameters = [row for row in model.fit._reported if row.term == k and row.kind == "K"]
    said = "".join(f", {row.name} = {number(row.value)}" for row in parameters)
    out = wrapped(
        [f"{label.text}: K (x) {inner}, K among the {q} levels of {label.group}{_known(model, k)}{said}"]
    )
    levels = shown(q, COLUMNS)
    hidden = abridged(levels, q)
    names = [str(label.levels[i]) for i in levels]
    known: list[Any] = [Matrix("K", model.k(k, levels)[levels], names, hidden, hidden)]
    if m > 1:
        known += [" ", matrix("Sigma", sigma, label.effects)]
    return out + side_by_side(*known)


def _known(model: Covariances, k: int) -> str:
    """ " (a pedigree of 8 animals)"."""
    found = [
        each.relationship for each in getattr(model.terms[k], "factors", ()) if each.relationship is not None
    ]
    return f" ({', '.join(each.what for each in found)})" if found else ""


def _response_covariance(fit: StructuredFit, model: Covariances) -> list[str]:
    n = fit.design.n
    rows = np.arange(n if n <= ROWS else _BLOCK)
    among = f"among the first {len(rows)} of {n} rows:" if len(rows) < n else "among all rows:"
    out = section("The residuals: Var(e) = R")
    spoken = fit.spoken
    words = [] if spoken is None else [t for t in (spoken.residual, spoken.variance) if t]
    own = [row for row in fit._reported if row.term < 0]
    scaled = "I" if fit.design.weights is None else "diag(1 / weights)"
    if not words:
        out.append(f"R = s2 {scaled}, s2 = {number(fit.solution.scale2)}")
    else:
        out += wrapped(
            [f"{', '.join(words)}: " + ", ".join(f"{row.name} = {number(row.value)}" for row in own)]
        )
        out += [among, *side_by_side(matrix("R", model.r(rows)))]
    out += section("The response: Var(y) = V = Z G Z' + R")
    return [*out, among, *side_by_side(matrix("V", model.v(rows)))]


def _henderson(
    fit: StructuredFit,
    model: Covariances,
    X: np.ndarray,
    y: np.ndarray,
    names: list[str],
    columns: np.ndarray,
) -> list[str]:
    """The mixed-model equations over the columns that are shown, and the whole solution's part of them."""
    title = "Henderson's mixed-model equations"
    singular = model.singular()
    out = section(f"{title}, in a form that a singular G allows: u = G v" if singular else title)
    if singular:
        out += [
            "[ X'R^-1X   X'R^-1Z G     ] [ b ]   [ X'R^-1y ]",
            "[ Z'R^-1X   Z'R^-1Z G + I ] [ v ] = [ Z'R^-1y ]",
        ]
    else:
        out += [
            "[ X'R^-1X   X'R^-1Z        ] [ b ]   [ X'R^-1y ]",
            "[ Z'R^-1X   Z'R^-1Z + G^-1 ] [ u ] = [ Z'R^-1y ]",
        ]
    labels = [*names, *(model.label(j) for j in columns)]
    solution = np.concatenate([fit.coefficients, model.effects()[columns]])
    if model.count > len(columns):
        out.append(f"({len(columns)} of the {model.count} random effects are shown)")
    if fit.design.n > _SMALL and fit.solution.problem.model.residual is not None:
        out.append(f"(their numbers are shown for up to {_SMALL} rows)")
    else:
        W = np.column_stack([X, model.z(columns)])
        weighted = _over_r(model, W)
        left, right = W.T @ weighted, weighted.T @ y
        p = X.shape[1]
        if singular:
            left[:, p:] = weighted.T @ model.times_g(columns)
            left[p:, p:] += np.eye(len(columns))
        else:
            left[p:, p:] += model.g(columns, inverse=True)
        out += ["", *side_by_side(matrix("coefficients", left), " ", matrix("right-hand side", right))]
    return [*out, "", "Their solution, BLUE b^ and BLUP u^:", *side_by_side(matrix("", solution, labels))]


def _over_r(model: Covariances, w: np.ndarray) -> np.ndarray:
    """R^-1 W."""
    if model.solution.problem.model.residual is None:
        weights = model.fit.design.weights
        return (w if weights is None else w * weights[:, None]) / model.solution.scale2
    return np.linalg.solve(model.r(np.arange(len(w))), w)
