"""Small random models of `hd.lmm` with structures, and the same models as dense matrices from the numbers that are reported.

A case is three choices: what is left of a bar, what is right of it, and the residual. Each is written twice: as words, and as a
function from reported numbers (variances, correlations, ranges, loadings) to a dense matrix by the textbook. Nothing of the engine's
own coordinates enters the second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import structured_twin as tw
import test_structure_battery as battery

from henderson import formula as formulas
from henderson.mixed.structured.criterion import Problem, evaluate
from henderson.mixed.structured.equations import Equations
from henderson.mixed.structured.natural import user_theta
from henderson.mixed.structured.parameters import Control, layout
from henderson.mixed.structured.solution import Solution
from henderson.models import structured
from henderson.precisions.residual_absolute import Absolute

Array = np.ndarray
M = 5
"""Environments, which are times and places too."""
PLACES = np.array([[0.0, 0.0], [1.0, 0.5], [0.5, 2.0], [2.0, 1.0], [1.5, 2.5]])
NAMES = np.array(list("ABCDE"))


# ------------------------------------------------------------------------------------------------------------- rows


def table(rng: np.random.Generator, q: int = 8, n: int = 60, unbalanced: bool = True) -> dict[str, Array]:
    """Rows of a trial: levels g of which some miss environments, a lattice with holes, series, sections, units of two traits."""
    g = rng.integers(0, q, n) if unbalanced else np.repeat(np.arange(q), -(-n // q))[:n]
    g[:q] = np.arange(q)
    env = rng.integers(0, M, n)
    env[: 2 * M] = np.tile(np.arange(M), 2)
    cells = rng.choice(9 * 9, size=n, replace=False)
    series = rng.integers(0, 6, n)
    time = np.zeros(n)
    for s in range(6):
        mine = np.flatnonzero(series == s)
        time[mine] = rng.choice(np.arange(2 * len(mine)), size=len(mine), replace=False)
    return {
        "y": rng.normal(size=n) * 2.0 + 20.0,
        "x": rng.normal(size=n),
        "g": np.array([f"g{i:02d}" for i in range(q)])[g],
        "env": NAMES[env],
        "time": env + 1.0,
        "px": PLACES[env, 0],
        "py": PLACES[env, 1],
        "row": cells // 9 + 1.0,
        "col": cells % 9 + 1.0,
        "series": np.array(list("stuvwz"))[series],
        "t": time,
        "v": rng.uniform(0.5, 3.0, n),
        "u": rng.choice(0.3 * np.arange(25.0) ** 1.2, size=n),
        "w": rng.uniform(0.5, 2.0, n),
        "sec": np.array(["k", "l"])[(cells // 9 > 4).astype(int)],
        "unit": np.arange(n) // 2,
        "trait": np.array(["a", "b"])[np.arange(n) % 2],
        "h": rng.permutation(np.array(["h1", "h2", "h3", "h4", "h5"])[np.arange(n) % 5]),
    }


# ------------------------------------------------------------------------------------------------------- left of the bar


@dataclass(frozen=True)
class Left:
    """`words` with {} for the right side; `columns` (n, m) of the effects; `sigma` of the reported numbers."""

    words: str
    columns: Callable[[Mapping[str, Array]], Array]
    sigma: Callable[[Array], Array]


def _ones(d):
    return np.ones((len(d["y"]), 1))


def _slopes(d):
    return np.column_stack([np.ones(len(d["y"])), d["x"]])


def _env(d):
    return (d["env"][:, None] == NAMES).astype(float)


def _place(d):
    """Effects of points in the order of their coordinates."""
    order = np.lexsort((PLACES[:, 1], PLACES[:, 0]))
    return _env(d)[:, order]


_SORTED = PLACES[np.lexsort((PLACES[:, 1], PLACES[:, 0]))]


def _formula(dense, coordinates=None, **options):
    return lambda values: dense(np.asarray(values, float), M, coordinates, options)


LEFT: dict[str, Left] = {
    "one": Left("(1 | {})", _ones, lambda v: np.atleast_2d(v[0])),
    "regression": Left("us(1 + x | {})", _slopes, lambda v: battery.us(v, 2, None, {})),
    "us": Left("us(0 + env | {})", _env, _formula(battery.us)),
    "diag": Left("diag(0 + env | {})", _env, _formula(battery.diag)),
    "id": Left("id(0 + env | {})", _env, lambda v: v[0] * np.eye(M)),
    "cs": Left("cs(0 + env | {})", _env, lambda v: battery.equal(v, M, False)),
    "csh": Left("csh(0 + env | {})", _env, lambda v: battery.equal(v, M, True)),
    "cor": Left("cor(0 + env | {})", _env, _formula(battery.correlations)),
    "toep": Left("toep(0 + time | {})", _env, lambda v: battery.toeplitz(v, M, None, False)),
    "toeph": Left("toeph(0 + time | {})", _env, lambda v: battery.toeplitz(v, M, None, True)),
    "ante1": Left("ante1(0 + time | {})", _env, _formula(battery.antedependence)),
    "ar1": Left("ar1(0 + time | {})", _env, lambda v: battery.powers(v, M, None, False)),
    "ar1h": Left("ar1h(0 + time | {})", _env, lambda v: battery.powers(v, M, None, True)),
    "ou": Left("ou(0 + time | {})", _env, _formula(battery.over_distance("ou"), np.arange(M))),
    "exp": Left("exp(0 + px + py | {})", _place, _formula(battery.over_distance("exp"), _SORTED)),
    "gau": Left("gau(0 + px + py | {})", _place, _formula(battery.over_distance("gau"), _SORTED)),
    "sph": Left("sph(0 + px + py | {})", _place, _formula(battery.over_distance("sph"), _SORTED)),
    "mat": Left(
        "mat(0 + px + py | {}, nu=1.5)", _place, _formula(battery.over_distance("mat"), _SORTED, nu=1.5)
    ),
    "fa1": Left("fa(0 + env | {}, k=1)", _env, _formula(battery.factor_analytic, k=1)),
    "fa2": Left("fa(0 + env | {}, k=2)", _env, _formula(battery.factor_analytic, k=2)),
    "rr1": Left("rr(0 + env | {}, k=1)", _env, _formula(battery.factor_analytic, k=1)),
    "rr2": Left("rr(0 + env | {}, k=2)", _env, _formula(battery.factor_analytic, k=2)),
}


# ------------------------------------------------------------------------------------------------------ right of the bar


@dataclass(frozen=True)
class Right:
    """`words`; `levels` of the rows (codes (n,), K's points); `k` of the reported numbers and those points; what vm names."""

    words: str
    levels: Callable[[Mapping[str, Array]], tuple[Array, Any]]
    k: Callable[[Array, Any], Array | None]
    relationships: Callable[[int], Mapping[str, Any]] = lambda q: {}


def _groups(*names):
    return lambda d: tw.groups(*(d[name] for name in names))


IDS = [f"g{i:02d}" for i in range(11)]
"""Three more than have records."""


@cache
def related(kind: str) -> Array:
    """K (11, 11): of a pedigree, dense, or of rank 6."""
    if kind == "pedigree":
        rows = [
            (IDS[i], IDS[(3 * i) % i] if i > 2 else None, IDS[(i - 1) // 2] if i > 4 else None)
            for i in range(11)
        ]
        a, order = tw.numerator(rows)
        return tw.reorder(a, order, IDS)
    b = np.random.default_rng(3).normal(size=(11, 6 if kind == "singular" else 20))
    return b @ b.T / b.shape[1] + (0.0 if kind == "singular" else 0.2) * np.eye(11)


def _vm(kind: str) -> Right:
    k = related(kind)

    def given(q: int) -> Mapping[str, Any]:
        if kind != "pedigree":
            return {"A": (k, IDS)}
        import scipy.sparse as sp

        from henderson.genetics.relationship import Relationship

        inverse = np.linalg.inv(k)
        inverse[np.abs(inverse) < 1e-12] = 0.0
        ids, log_det = np.array(IDS, dtype=object), float(np.linalg.slogdet(k)[1])
        return {
            "A": Relationship(
                ids, sp.csc_matrix(inverse), None, log_det, np.diag(k).copy(), "a pedigree of 11"
            )
        }

    codes = lambda d: (np.array([IDS.index(v) for v in d["g"]]), IDS)  # noqa: E731
    return Right("vm(g, A)", codes, lambda v, points: k, given)


def _powers(at, phi):
    return phi ** np.abs(np.subtract.outer(at, at))


def _line(points):
    return np.array([p[0] for p in points], float)


def _product(values, points):
    rows, cols = (np.array(sorted({p[i] for p in points}), float) for i in range(2))
    return np.kron(_powers(rows, values[0]), _powers(cols, values[1]))


def _cells(d):
    rows, cols = np.unique(d["row"]), np.unique(d["col"])
    codes = np.searchsorted(rows, d["row"]) * len(cols) + np.searchsorted(cols, d["col"])
    return codes, [(a, b) for a in rows for b in cols]


def _field(values, points):
    return np.exp(-tw.distances(*np.array(points, float).T) / values[0])


RIGHT: dict[str, Right] = {
    "free": Right("g", _groups("g"), lambda v, points: None),
    "pedigree": _vm("pedigree"),
    "dense": _vm("dense"),
    "singular": _vm("singular"),
    "ar1": Right("ar1(row)", _groups("row"), lambda v, points: _powers(_line(points), v[0])),
    "ar1:ar1": Right("ar1(row):ar1(col)", _cells, _product),
    "ou": Right("ou(u)", _groups("u"), lambda v, points: _powers(_line(points), v[0])),
    "exp": Right("exp(px, u)", _groups("px", "u"), _field),
    "vm:ar1": Right(
        "vm(g, A):ar1(time)",
        lambda d: (
            np.array([IDS.index(v) for v in d["g"]]) * M + (d["time"] - 1).astype(int),
            None,
        ),
        lambda v, points: np.kron(related("dense"), _powers(np.arange(M), v[0])),
        lambda q: {"A": (related("dense"), IDS)},
    ),
}


# ------------------------------------------------------------------------------------------------------------- residuals


@dataclass(frozen=True)
class Res:
    """`r` (n, n) of the reported numbers in order, those of the Residual group, and the rows."""

    words: str | None
    r: Callable[[Array, Mapping[str, Array]], Array]
    variance: str | None = None
    weights: str | None = None


def _lag(d, name):
    return np.abs(np.subtract.outer(d[name], d[name]))


def _alike(d, *names):
    return np.logical_and.reduce([d[name][:, None] == d[name][None, :] for name in names])


def _traits(v, d):
    sigma = battery.us(v, 2, None, {})
    code = (d["trait"] == "b").astype(int)
    return np.where(_alike(d, "unit"), sigma[np.ix_(code, code)], 0.0)


def _lattice(v, d):
    return v[2] * v[0] ** _lag(d, "row") * v[1] ** _lag(d, "col")


def _sections(v, d):
    out = np.zeros((len(d["y"]),) * 2)
    for section, (s2, a, b) in zip("kl", np.reshape(v, (2, 3)), strict=True):
        at = np.flatnonzero(d["sec"] == section)
        part = {name: d[name][at] for name in ("row", "col")}
        out[np.ix_(at, at)] = s2 * a ** _lag(part, "row") * b ** _lag(part, "col")
    return out


RESIDUAL: dict[str, Res] = {
    "iid": Res(None, lambda v, d: v[-1] * np.eye(len(d["y"]))),
    "weights": Res(None, lambda v, d: v[-1] * np.diag(1.0 / d["w"]), weights="w"),
    "series": Res(
        "ar1(0 + t | series)", lambda v, d: np.where(_alike(d, "series"), v[1] * v[0] ** _lag(d, "t"), 0.0)
    ),
    "lattice": Res("(1 | ar1(row):ar1(col))", _lattice),
    "diag": Res("diag(0 + env | units)", lambda v, d: np.diag(_env(d) @ v)),
    "us": Res("us(0 + trait | unit)", _traits),
    "sections": Res("at(sec):(1 | ar1(row):ar1(col))", _sections),
    "power": Res(None, lambda v, d: v[1] * np.diag(d["v"] ** (2 * v[0])), variance="power(v)"),
    "series power": Res(
        "ar1(0 + t | series)",
        lambda v, d: (
            v[2]
            * np.where(_alike(d, "series"), v[0] ** _lag(d, "t"), 0.0)
            * np.outer(d["v"] ** v[1], d["v"] ** v[1])
        ),
        variance="power(v)",
    ),
}


# ----------------------------------------------------------------------------------------------------------------- a case


@dataclass
class Case:
    """One model on one table: random terms (left, right), a residual, what is fitted."""

    terms: tuple[tuple[str, str], ...]
    residual: str
    data: dict[str, Array]
    reml: bool = True
    method: str | None = None
    fixed: str = "y ~ x + env"
    given: Any = field(init=False)
    problem: Problem = field(init=False)

    def __post_init__(self) -> None:
        self.given = structured.read_input(
            formulas.parse(self.formula),
            self.data,
            residual=RESIDUAL[self.residual].words,
            variance=RESIDUAL[self.residual].variance,
            relationships=self.relationships,
            weights=None
            if RESIDUAL[self.residual].weights is None
            else self.data[RESIDUAL[self.residual].weights],
            offset=None,
            contrasts=None,
        )
        self.problem = problem_of(self.given, self.reml, self.method)

    @property
    def formula(self) -> str:
        return " + ".join(
            [self.fixed, *(LEFT[left].words.format(RIGHT[right].words) for left, right in self.terms)]
        )

    @property
    def relationships(self) -> dict[str, Any] | None:
        out: dict[str, Any] = {}
        for _, right in self.terms:
            out |= RIGHT[right].relationships(0)
        return out or None

    def solution(self, theta: Array) -> Solution:
        return Solution(self.problem, np.asarray(theta, float))

    def random_theta(self, rng: np.random.Generator) -> Array:
        """Inside the boxes, off the middle; the criterion is defined there."""
        part = layout_kinds(self.problem)
        for _ in range(50):
            theta = np.where(part == 2, rng.uniform(0.4, 1.4, len(part)), rng.normal(size=len(part)) * 0.5)
            lower, upper = self.problem.layout.bounds()
            low, high = np.maximum(lower, -1.5), np.minimum(upper, 2.5)
            boxed = np.isfinite(lower) & np.isfinite(upper) & (part == 0)
            theta = np.where(
                boxed & (upper - lower < 8), low + rng.uniform(0.2, 0.8, len(part)) * (high - low), theta
            )
            theta = np.clip(theta, low, high)
            if evaluate(self.problem, theta) is not None:
                return theta
        raise AssertionError("no point at which the criterion is defined")

    # -- from reported numbers to dense matrices ---------------------------------------------------------------------

    def dense(self, values: list[Array]) -> tuple[list[tw.Term], Array]:
        """Terms and R of the reported numbers: for each term those of T, then those of K; the residual's last."""
        rest = iter(values)
        terms = []
        for left, right in self.terms:
            of_t, of_k = next(rest), next(rest)
            codes, points = RIGHT[right].levels(self.data)
            k = RIGHT[right].k(of_k, points)
            q = len(k) if k is not None else int(codes.max()) + 1
            z = tw.incidence(codes, LEFT[left].columns(self.data), q=q)
            terms.append(tw.Term(z, LEFT[left].sigma(of_t), k))
        return terms, RESIDUAL[self.residual].r(next(rest), self.data)

    @property
    def x(self) -> Array:
        return self.given.design.X[:, self.problem.model.coordinates.kept]

    def criterion(self, values: list[Array]) -> float:
        """The dense twin's, at reported numbers."""
        return tw.criterion(self.data["y"], self.x, *self.dense(values), reml=self.reml)

    def twin(self, values: list[Array], **more: Any) -> tw.Twin:
        return tw.twin(self.data["y"], self.x, *self.dense(values), reml=self.reml, **more)


def problem_of(given: Any, reml: bool, method: str | None = None, model: Any = None) -> Problem:
    """As `fit_structured` makes it."""
    model = structured.model_of(given) if model is None else model
    control = Control()
    if isinstance(given.residual, Absolute):
        control.log_s2 = 0.0
    elif getattr(given.residual, "holds_scale", False):
        control.log_s2 = float(-2.0 * np.log(model.coordinates.y_scale))
    return Problem(model, Equations(model, method), layout(model, control), reml)


def layout_kinds(problem: Problem) -> Array:
    """For each entry of theta: 2 a size (a scaling parameter of T, a standard deviation of R), 1 a free one, 0 a boxed one."""
    parts = problem.layout
    lower, upper = parts.bounds()
    out = np.where(np.isfinite(lower) & np.isfinite(upper), 0, 1)
    out[parts.scaling] = 2
    for part in parts.parts:
        if part.kind == "R" and isinstance(problem.model.residual, Absolute):
            out[part.at.start : part.at.start + problem.model.residual.sections] = 2
    return out


def values_of(solution: Solution) -> list[Array]:
    """Reported numbers: for each term those of T and of K; those of the residual, its variance last where it has one of its own."""
    out = []
    for k, term in enumerate(solution.terms):
        out.append(np.asarray(term.structure.natural(user_theta(solution, k)[0])))
        out.append(
            np.zeros(0)
            if term.precision is None
            else term.precision.natural(solution.precision_parameters(k))
        )
    residual = solution.problem.model.residual
    own = np.zeros(0)
    if residual is not None and residual.parameters:
        units = np.array([p.unit for p in residual.parameters])
        own = residual.natural(solution.precision_parameters(-1)) * solution.scale2 ** (0.5 * units)
    if residual is None or not residual.has_variances:
        constant = 0.0 if residual is None else residual.log_scale(solution.precision_parameters(-1))
        own = np.append(own, solution.scale2 * np.exp(-2.0 * constant))
    return [*out, own]


def flat(values: list[Array]) -> Array:
    return np.concatenate(values)


def folded(numbers: Array, like: list[Array]) -> list[Array]:
    """The inverse of `flat`."""
    return np.split(numbers, np.cumsum([len(v) for v in like])[:-1])
