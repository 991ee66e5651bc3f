"""Conditional autoregressions: who is next to whom. car is the proper CAR, leroux that of Leroux, Lei & Breslow.

    car       Q = D - rho W,  -1 < rho < 1        given its neighbours u_i has mean rho sum_j w_ij u_j / d_i, variance 1 / d_i
    leroux    Q = (1 - rho) I + rho (D - W),  0 <= rho < 1

W has the weights of neighbours (1 where not given), D = diag(d), d_i = sum_j w_ij. Both are A + rho B, and

    log|K| = -log|A| - sum_i log(1 + rho m_i),     m the eigenvalues of A^-1/2 B A^-1/2

for some thousands of places; beyond, by a sparse Cholesky of Q, with dlog|K|/drho = -tr(Q^-1 B) from its selected inverse.
At rho = 1 both are the intrinsic CAR, D - W, singular along a constant in each connected part: rho at its bound with an intercept
in the model is nearly that. A convolution (Besag, York & Mollie) is a leroux in one term, or `car(place, W)` beside `(1 | place)`.

Sources: Besag (1974) JRSS B 36, 192-236; Cressie (1993), section 6.6; Leroux, Lei & Breslow (2000); Ord (1975) JASA 70, 120-126.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, ModelError, closest
from .base import At, NotPositiveDefinite, Parameter, Precision
from .lagged import text_of

if TYPE_CHECKING:
    import scipy.sparse as sp

    from ..design.structured import LevelFactor
    from ..sparse import Symbolic

Array = np.ndarray
_BY_EIGENVALUES = 1500
"""Places up to which log|K| is had from eigenvalues."""
_END = 1e-6
"""1 - |rho| at the bounds."""
_OVER = 0.05
"""rho = (1 + _OVER) tanh(t): its slope at rho = 1 is not lost in noise."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Places and the weights of their neighbours.

    Attributes
    ----------
    ids : (q,) object array of str, unique.
    weights : (q, q) sparse CSR, symmetric, not negative, with a zero diagonal.
    what : for messages: "the neighbours of 56 places".
    """

    ids: Array
    weights: sp.csr_matrix
    what: str


def as_neighbours(value: Any, name: str, levels: Sequence[Any] | None = None) -> Neighbours:
    """What the user gives for W in relationships={"W": ...}, as `Neighbours`.

    Parameters
    ----------
    value : {place: [places next to it]} (said once is enough), or {place: {place: weight}}; pairs [(place, place), ...] or
        triples with a weight; (matrix, ids), dense or sparse; a square table with ids in its index and columns.
    name : for messages: "W".
    levels : places of the data, all of which must be among the ids; with a bare square matrix as many, in its order.

    Raises
    ------
    DataError : a place beside itself, negative or unequal weights, a matrix without ids, a level of the data that is missing.
    """
    found = value if isinstance(value, Neighbours) else _read(value, name, levels)
    if levels is not None:
        known = set(found.ids)
        for level in levels:
            if str(level) not in known:
                near = closest(str(level), found.ids)
                raise DataError(
                    f"{name}: place '{level}' of the data is not among {found.what}."
                    + (f" The closest is '{near}'." if near else "")
                )
    return found


def _read(value: Any, name: str, levels: Sequence[Any] | None) -> Neighbours:
    if isinstance(value, Mapping):
        return _from_entries(_of_mapping(value), map(str, value), name)
    if isinstance(value, tuple) and len(value) == 2 and hasattr(value[0], "shape"):
        return _of_matrix(value[0], value[1], name)
    if hasattr(value, "index") and hasattr(value, "columns"):
        if [str(x) for x in value.index] != [str(x) for x in value.columns]:
            raise DataError(
                f"{name}: the rows and columns of the table are not the same places in the same order."
            )
        return _of_matrix(value.to_numpy(), value.index, name)
    if hasattr(value, "shape"):
        if levels is not None and value.shape == (len(levels), len(levels)):
            return _of_matrix(value, levels, name)
        shape = " x ".join(map(str, value.shape))
        raise DataError(
            f"{name}: a {shape} matrix without ids; give ({name}, ids), ids in the order of its rows."
        )
    if isinstance(value, Iterable) and not isinstance(value, str):
        return _from_entries(_of_pairs(value, name), (), name)
    raise DataError(
        f"{name}: a list of neighbours {{place: [places]}}, pairs of places, or (matrix, ids) is wanted, not {type(value).__name__}."
    )


def _of_mapping(value: Mapping[Any, Any]) -> Iterable[tuple[str, str, float]]:
    for place, others in value.items():
        weighted = others.items() if isinstance(others, Mapping) else ((other, 1.0) for other in others)
        for other, weight in weighted:
            yield str(place), str(other), float(weight)


def _of_pairs(value: Iterable[Any], name: str) -> Iterable[tuple[str, str, float]]:
    for k, pair in enumerate(value):
        if isinstance(pair, str) or not 2 <= len(pair) <= 3:
            raise DataError(
                f"{name}: entry {k} (the first is 0) is {pair!r}: (place, place) or (place, place, weight) is wanted."
            )
        yield str(pair[0]), str(pair[1]), float(pair[2]) if len(pair) == 3 else 1.0


def _from_entries(entries: Iterable[tuple[str, str, float]], first: Iterable[str], name: str) -> Neighbours:
    import scipy.sparse as sp

    number: dict[str, int] = {place: k for k, place in enumerate(dict.fromkeys(first))}
    weights: dict[tuple[int, int], float] = {}
    for a, b, weight in entries:
        i, j = (number.setdefault(place, len(number)) for place in (a, b))
        _check(a, b, weight, name)
        if weights.setdefault((i, j), weight) != weight:
            raise DataError(f"{name}: '{a}' and '{b}' have two weights, {weights[i, j]:g} and {weight:g}.")
        if weights.setdefault((j, i), weight) != weight:
            raise DataError(
                f"{name}: '{b}' beside '{a}' weighs {weights[j, i]:g}, and the other way round {weight:g}."
            )
    ids = np.array([*number, None], dtype=object)[:-1]
    q = len(ids)
    where = np.array(list(weights), dtype=np.int64).reshape(-1, 2)
    matrix = sp.csr_matrix((np.fromiter(weights.values(), float, len(weights)), where.T), shape=(q, q))
    matrix.eliminate_zeros()
    return Neighbours(ids, matrix, f"the neighbours of {q} places")


def _check(a: str, b: str, weight: float, name: str) -> None:
    if a == b and weight != 0.0:
        raise DataError(f"{name}: place '{a}' is its own neighbour.")
    if not (weight >= 0.0 and np.isfinite(weight)):
        raise DataError(f"{name}: the weight of '{a}' and '{b}' is {weight:g}; weights are positive numbers.")


def _of_matrix(matrix: Any, ids: Iterable[Any], name: str) -> Neighbours:
    import scipy.sparse as sp

    w = sp.csr_matrix(matrix, dtype=np.float64)
    labels = np.array([*map(str, ids), None], dtype=object)[:-1]
    q = len(labels)
    if w.shape != (q, q):
        raise DataError(f"{name}: the matrix is {w.shape[0]} x {w.shape[1]} and has {q} ids.")
    if len(set(labels)) < q:
        twice = next(x for x in labels if list(labels).count(x) > 1)
        raise DataError(f"{name}: place '{twice}' occurs twice among the ids.")
    w.eliminate_zeros()
    entries = w.tocoo()
    suspicious = np.flatnonzero(
        (entries.row == entries.col) | ~(entries.data > 0) | ~np.isfinite(entries.data)
    )
    for k in suspicious[:1]:
        _check(labels[entries.row[k]], labels[entries.col[k]], float(entries.data[k]), name)
    away = abs(w - w.T).tocoo()
    if away.nnz and away.data.max() > 1e-8 * w.data.max():
        k = int(np.argmax(away.data))
        i, j = int(away.row[k]), int(away.col[k])
        raise DataError(
            f"{name}: '{labels[i]}' beside '{labels[j]}' weighs {w[i, j]:g}, and the other way round {w[j, i]:g}: W must be symmetric. "
            "If its rows were made to sum to 1, give it as it was before."
        )
    return Neighbours(labels, sp.csr_matrix((w + w.T) / 2), f"the neighbours of {q} places")


class Autoregression(Precision):
    """Q = A + rho B over a graph.

    Raises ModelError for a place without neighbours (car).
    """

    def __init__(self, kind: str, neighbours: Neighbours, text: str, parameter: str):
        w = neighbours.weights
        degree = np.asarray(w.sum(axis=1)).ravel()
        self.name, self.text, self.n = kind, text, w.shape[0]
        if kind == "car" and not (degree > 0).all():
            alone = neighbours.ids[degree <= 0]
            shown = ", ".join(f"'{x}'" for x in alone[:3]) + (
                f" and {len(alone) - 3} more" if len(alone) > 3 else ""
            )
            raise ModelError(
                f"{text}: {shown} {'has' if len(alone) == 1 else 'have'} no neighbour, and a variance of 1 / 0 there. "
                "Give them neighbours, leave their rows out, or write leroux, where a place alone has the variance of the term."
            )
        self.parameters = (Parameter(parameter),)
        end = float(np.arctanh((1.0 - _END) / (1.0 + _OVER)))
        self.lower, self.upper = np.array([-end if kind == "car" else 0.0]), np.array([end])
        entries = w.tocoo()
        below = entries.row > entries.col
        own = np.arange(self.n)
        self.rows = np.concatenate([own, entries.row[below]]).astype(np.int64)
        self.cols = np.concatenate([own, entries.col[below]]).astype(np.int64)
        off = -entries.data[below]
        if kind == "car":
            self._a, self._b = np.append(degree, 0.0 * off), np.append(0.0 * degree, off)
        else:
            self._a, self._b = np.append(np.ones(self.n), 0.0 * off), np.append(degree - 1.0, off)
        self._w, self._degree = w, degree

    # -- rho ---------------------------------------------------------------------------------------------

    def natural(self, t: Array) -> Array:
        return (1.0 + _OVER) * np.tanh(t)

    def natural_slopes(self, t: Array) -> Array:
        return np.atleast_2d((1.0 + _OVER) / np.cosh(t) ** 2)

    def coordinates(self, natural: Array) -> Array:
        rho, least = float(natural[0]), -1.0 if self.name == "car" else 0.0
        if not least <= rho < 1.0 or rho == -1.0:
            raise ModelError(f"{self.text}: rho is between {least:g} and 1, not {rho:g}.")
        return np.arctanh(np.array([rho]) / (1.0 + _OVER))

    def starts(self) -> list[Array]:
        return [self.coordinates(np.array([rho])) for rho in (0.8, 0.3, 0.98)]

    def edges(self, t: Array) -> list[tuple[int, str]]:
        for bound, value in ((self.upper, 1), (self.lower, -1 if self.name == "car" else 0)):
            if abs(t[0] - bound[0]) < 1e-9:
                said = ": an intrinsic autoregression" if value == 1 else ""
                return [(0, f"estimated as {value}, on the boundary{said}")]
        return []

    # -- Q and K -----------------------------------------------------------------------------------------

    def at(self, t: Array, slopes: bool = False) -> At:
        rho = float(self.natural(t)[0])
        values = self._a + rho * self._b
        if self.n <= _BY_EIGENVALUES:
            log_det, slope = self._by_eigenvalues(rho)
        else:
            log_det, slope = self._by_factor(values, slopes)
        if not slopes:
            return At(values, log_det)
        change = float(self.natural_slopes(t)[0, 0])
        return At(values, log_det, (change * self._b)[None], np.array([change * slope]))

    @cached_property
    def _eigenvalues(self) -> Array:
        w = self._w.toarray()
        if self.name == "leroux":
            return np.linalg.eigvalsh(np.diag(self._degree - 1.0) - w)
        root = np.sqrt(self._degree)
        return -np.linalg.eigvalsh(w / root / root[:, None])

    def _by_eigenvalues(self, rho: float) -> tuple[float, float]:
        """log|K| and its derivative in rho."""
        m = self._eigenvalues
        left = 1.0 + rho * m
        fixed = float(np.log(self._a[: self.n]).sum())
        return -fixed - float(np.log(left).sum()), -float((m / left).sum())

    @cached_property
    def _symbolic(self) -> tuple[Symbolic, Array]:
        from ..sparse import analyze
        from ..sparse.symbolic import PLAIN_ORDER

        symbolic = analyze(self.n, self.rows, self.cols, method="dense" if self.n <= PLAIN_ORDER else "amd")
        return symbolic, symbolic.positions(self.rows, self.cols)

    def _factor(self, values: Array) -> tuple[Symbolic, Array]:
        from ..sparse import factor

        symbolic, place = self._symbolic
        panels = np.zeros(symbolic.stored)
        panels[place] = values
        if factor(symbolic, panels) >= 0:
            raise NotPositiveDefinite
        return symbolic, panels

    def _by_factor(self, values: Array, slopes: bool) -> tuple[float, float]:
        from ..sparse import diagonal, selected_inverse

        symbolic, panels = self._factor(values)
        log_det = -2.0 * float(np.log(diagonal(symbolic, panels)).sum())
        if not slopes:
            return log_det, 0.0
        inverse = np.zeros(symbolic.stored)
        selected_inverse(symbolic, panels, inverse, drop=0)
        twice = np.where(self.rows == self.cols, 1.0, 2.0)
        return log_det, -float((twice * inverse[self._symbolic[1]]) @ self._b)

    def times(self, t: Array, v: Array) -> Array:
        from ..sparse import solve

        symbolic, panels = self._factor(self._a + float(self.natural(t)[0]) * self._b)
        return solve(symbolic, panels, np.asarray(v, dtype=np.float64), drop=0)

    def diagonal(self, t: Array) -> Array:
        from ..sparse import diagonal, selected_inverse

        symbolic, panels = self._factor(self._a + float(self.natural(t)[0]) * self._b)
        inverse = np.zeros(symbolic.stored)
        selected_inverse(symbolic, panels, inverse, drop=0)
        return diagonal(symbolic, inverse)


def build(factor: LevelFactor) -> Autoregression:
    """car or leroux of a factor; its levels are the places of W (`Neighbours.ids`), W is options["neighbours"].

    Raises
    ------
    ModelError : no W; a place without neighbours.
    DataError : as `as_neighbours`; levels that are not the places of W, in its order.
    """
    text = text_of(factor)
    given = factor.options.get("neighbours")
    if given is None:
        raise ModelError(f"{text}: no neighbours were given for it; give relationships={{...}}.")
    found = as_neighbours(given, text, factor.levels)
    if len(found.ids) != len(factor.levels):
        raise DataError(
            f"{text}: the term has {len(factor.levels)} levels and W {len(found.ids)} places: the levels of a term are W's places."
        )
    return Autoregression(factor.kind, _sorted(found, factor.levels), text, text)


def _sorted(found: Neighbours, levels: Sequence[Any]) -> Neighbours:
    """The places in the order of the levels."""
    if all(str(a) == b for a, b in zip(levels, found.ids, strict=True)):
        return found
    number = {place: k for k, place in enumerate(found.ids)}
    order = np.array([number[str(level)] for level in levels])
    return Neighbours(found.ids[order], found.weights[order][:, order], found.what)
