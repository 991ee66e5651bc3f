"""Are the parameters of each covariance structure found again? Sets simulated from a known V, fitted as a user fits them.

python bench/recovery.py [--sets 50] [--only ar1,fa1] [--seed 1]

Each set is drawn from the dense V of the textbook, with no code of henderson's. Columns: the truth, the mean of the estimates, the
distance of the two in simulation standard errors, how many of the 95 % intervals (Wald, on the log scale for variances and ranges, on
Fisher's for correlations) held the truth among those that had a standard error, how many estimates were on the edge of their range, and
how many fits ended "not converged".
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Scenario:
    """One model and one design.

    Attributes
    ----------
    data : columns but for the response. v : (n, n). truth : in the order of `variance_components`.
    links : one letter for each: "v" a variance or range (log), "r" a correlation (Fisher), "l" as it is.
    loadings : (m, k) places among the truth, -1 where there is none: their signs are free.
    """

    formula: str
    data: Mapping[str, Array]
    v: Array
    truth: Array
    links: str
    call: Mapping[str, Any] = field(default_factory=dict)
    loadings: Array | None = None


@dataclass
class Result:
    """Of all sets: estimates and standard errors (sets, parameters), which are on an edge, verdicts, seconds."""

    names: list[str]
    estimates: Array
    errors: Array
    edges: Array
    verdicts: list[str]
    seconds: float


# ------------------------------------------------------------------------------------------------- matrices by the textbook


def powers(at: Array, rho: float) -> Array:
    at = np.asarray(at, float)
    return rho ** np.abs(np.subtract.outer(at, at))


def distances(points: Array) -> Array:
    points = np.asarray(points, float).reshape(len(points), -1)
    return np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))


def heterogeneous(variances: Array, correlation: Array) -> Array:
    sd = np.sqrt(variances)
    return correlation * np.outer(sd, sd)


def banded(correlations: Array, m: int) -> Array:
    lag = np.abs(np.subtract.outer(np.arange(m), np.arange(m)))
    return np.append(1.0, correlations)[lag]


def chain(correlations: Array) -> Array:
    m = len(correlations) + 1
    return np.array([[np.prod(correlations[min(i, j) : max(i, j)]) for i in range(m)] for j in range(m)])


def numerator(sires: Array, dams: Array) -> Array:
    """A by the tabular method; parents before their offspring, -1 unknown."""
    n = len(sires)
    a = np.zeros((n, n))
    for i in range(n):
        known = [p for p in (sires[i], dams[i]) if p >= 0]
        a[i, :i] = a[:i, i] = 0.5 * a[known, :i].sum(axis=0)
        a[i, i] = 1.0 + (0.5 * a[sires[i], dams[i]] if len(known) == 2 else 0.0)
    return a


def spread(k: Array, codes: Array) -> Array:
    """Z K Z' of one level a row."""
    return k[np.ix_(codes, codes)]


# --------------------------------------------------------------------------------------------------------- left of the bar


def _trial(m: int, q: int = 50, reps: int = 2) -> tuple[dict[str, Array], Array, Array]:
    """q genotypes in m environments, `reps` plots each: columns, and codes of both."""
    g, e = (a.ravel() for a in np.meshgrid(np.repeat(np.arange(q), reps), np.arange(m), indexing="ij"))
    points = (
        np.random.default_rng(5).permutation([[i, j] for i in range(4) for j in range(4)])[:m].astype(float)
    )
    data = {
        "g": np.array([f"g{i:03d}" for i in range(q)])[g],
        "env": np.array([f"e{i:02d}" for i in range(m)])[e],
        "time": e + 1.0,
        "px": points[e, 0],
        "py": points[e, 1],
    }
    return data, g, e


def _left(
    words: str, sigma: Array, truth: list[float], links: str, loadings: Array | None = None
) -> Scenario:
    m = len(sigma)
    data, g, e = _trial(m)
    v = np.where(g[:, None] == g, spread(sigma, e), 0.0) + np.eye(len(g))
    return Scenario(f"y ~ env + {words}", data, v, np.array([*truth, 1.0]), links + "v", {}, loadings)


def _field_distances(m: int) -> Array:
    data, _, e = _trial(m)
    first = [int(np.flatnonzero(e == i)[0]) for i in range(m)]
    return distances(np.column_stack([data["px"], data["py"]])[first])


def _spherical(d: Array, a: float) -> Array:
    return np.where(d < a, 1 - 1.5 * d / a + 0.5 * (d / a) ** 3, 0.0)


def _factors(words: str, loadings: Array, specific: Array) -> Scenario:
    m, k = loadings.shape
    places = np.full((m, k), -1)
    at, truth = 0, []
    for j in range(k):
        for i in range(j, m):
            places[i, j] = at
            truth.append(loadings[i, j])
            at += 1
    sigma = loadings @ loadings.T + np.diag(specific)
    own = list(specific) if specific.any() else []
    return _left(words, sigma, [*truth, *own], "l" * at + "v" * len(own), places)


_LOADINGS = np.array(
    [[1.4, 0.0], [1.1, 0.8], [0.9, -0.7], [1.2, 0.3], [0.8, 0.9], [1.3, -0.6], [1.0, 0.5], [0.7, -0.8]]
)


def left() -> dict[str, Callable[[], Scenario]]:
    """Structures among the effects of a level."""
    v4, r4 = np.array([1.0, 2.0, 1.5, 3.0]), np.array([0.6, 0.35, 0.2])
    us = np.array([[2.0, 0.8, 0.5], [0.8, 1.5, -0.3], [0.5, -0.3, 1.0]])
    off = [us[1, 0], us[2, 0], us[2, 1]]
    cor = np.array([0.4, 0.2, -0.1])
    correlation = np.eye(3)
    correlation[[1, 2, 2], [0, 0, 1]] = correlation[[0, 0, 1], [1, 2, 2]] = cor
    d = _field_distances(6)
    ends = np.array([0.7, 0.5, 0.3])
    same = lambda m, rho: np.full((m, m), rho) + (1 - rho) * np.eye(m)  # noqa: E731
    return {
        "us": lambda: _left("us(0 + env | g)", us, [*np.diag(us), *off], "vvvlll"),
        "diag": lambda: _left("diag(0 + env | g)", np.diag(v4), list(v4), "vvvv"),
        "id": lambda: _left("id(0 + env | g)", 1.5 * np.eye(4), [1.5] * 4, "vvvv"),
        "cs": lambda: _left("cs(0 + env | g)", 2 * same(5, 0.4), [2.0, 0.4], "vr"),
        "csh": lambda: _left("csh(0 + env | g)", heterogeneous(v4, same(4, 0.5)), [*v4, 0.5], "vvvvr"),
        "cor": lambda: _left("cor(0 + env | g)", 2 * correlation, [2.0, *cor], "vrrr"),
        "ar1": lambda: _left("ar1(0 + time | g)", 2 * powers(np.arange(6), 0.7), [2.0, 0.7], "vr"),
        "ar1h": lambda: _left(
            "ar1h(0 + time | g)", heterogeneous(v4, powers(np.arange(4), 0.6)), [*v4, 0.6], "vvvvr"
        ),
        "toep": lambda: _left("toep(0 + time | g)", 2 * banded(r4, 4), [2.0, *r4], "vrrr"),
        "toeph": lambda: _left(
            "toeph(0 + time | g)", heterogeneous(v4, banded(r4, 4)), [*v4, *r4], "vvvvrrr"
        ),
        "ante1": lambda: _left(
            "ante1(0 + time | g)", heterogeneous(v4, chain(ends)), [*v4, *ends], "vvvvrrr"
        ),
        "ou": lambda: _left("ou(0 + time | g)", 2 * powers(np.arange(6), 0.6), [2.0, 0.6], "vr"),
        "exp": lambda: _left("exp(0 + px + py | g)", 2 * np.exp(-d / 1.5), [2.0, 1.5], "vv"),
        "gau": lambda: _left("gau(0 + px + py | g)", 2 * np.exp(-((d / 1.5) ** 2)), [2.0, 1.5], "vv"),
        "mat": lambda: _left("mat(0 + px + py | g, nu=1.5)", 2 * (1 + d) * np.exp(-d), [2.0, 1.0], "vv"),
        "sph": lambda: _left("sph(0 + px + py | g)", 2 * _spherical(d, 3.0), [2.0, 3.0], "vv"),
        "fa1": lambda: _factors(
            "fa(0 + env | g, k=1)", _LOADINGS[:5, :1], np.array([0.5, 0.8, 1.0, 0.6, 0.7])
        ),
        "fa2": lambda: _factors("fa(0 + env | g, k=2)", _LOADINGS, np.linspace(0.4, 1.1, 8)),
        "rr1": lambda: _factors("rr(0 + env | g, k=1)", _LOADINGS[:5, :1], np.zeros(5)),
        "rr2": lambda: _factors("rr(0 + env | g, k=2)", _LOADINGS[:6], np.zeros(6)),
    }


# -------------------------------------------------------------------------------------------------------- right of the bar


def _right(
    words: str, k: Array, codes: Array, data: dict[str, Array], truth: list[float], links: str, **call: Any
) -> Scenario:
    v = truth[0] * spread(k, codes) + np.eye(len(codes))
    return Scenario(f"y ~ 1 + {words}", data, v, np.array([*truth, 1.0]), links + "v", call)


def _animals(n: int = 400) -> tuple[dict[str, Array], Array, Array]:
    rng = np.random.default_rng(7)
    born = np.maximum((np.arange(n) - 100) // 100, -1)
    sires, dams = np.full(n, -1), np.full(n, -1)
    for i in range(100, n):
        old = np.flatnonzero(born == born[i] - 1)
        sires[i], dams[i] = rng.choice(old[:25]), rng.choice(old[25:])
    ids = np.array([f"a{i:03d}" for i in range(n)])
    parent = lambda p: np.array([None if i < 0 else ids[i] for i in p], dtype=object)  # noqa: E731
    return {"animal": ids, "sire": parent(sires), "dam": parent(dams)}, numerator(sires, dams), ids


def _pedigree() -> Scenario:
    pedigree, a, ids = _animals()
    return _right(
        "(1 | vm(animal, A))",
        a,
        np.arange(len(ids)),
        {"animal": ids},
        [1.0],
        "v",
        relationships={"A": _frame(pedigree)},
    )


def _frame(columns: Mapping[str, Array]) -> Any:
    import pandas as pd

    return pd.DataFrame(columns)


def _maternal() -> Scenario:
    """Direct and maternal effects of one pedigree, tied by a covariance."""
    pedigree, a, ids = _animals(500)
    at = {name: i for i, name in enumerate(ids)}
    rows = np.array([i for i in range(len(ids)) if pedigree["dam"][i] is not None])
    mother = np.array([at[pedigree["dam"][i]] for i in rows])
    s = np.array([[1.5, -0.3], [-0.3, 0.8]])
    v = s[0, 0] * a[np.ix_(rows, rows)] + s[1, 1] * a[np.ix_(mother, mother)] + np.eye(len(rows))
    v += s[0, 1] * (a[np.ix_(rows, mother)] + a[np.ix_(mother, rows)])
    data = {"animal": ids[rows], "dam": ids[mother]}
    words = "us(1 | vm(animal, A) + vm(dam, A))"
    return Scenario(
        f"y ~ 1 + {words}",
        data,
        v,
        np.array([1.5, 0.8, -0.3, 1.0]),
        "vvlv",
        {"relationships": {"A": _frame(pedigree)}},
    )


def _genomic() -> Scenario:
    rng = np.random.default_rng(8)
    markers = rng.binomial(2, rng.uniform(0.1, 0.5, 400), size=(150, 400)).astype(float)
    centred = markers - markers.mean(axis=0)
    k = centred @ centred.T / (centred**2).sum() * 150 + 0.02 * np.eye(150)
    ids = [f"l{i:03d}" for i in range(150)]
    codes = np.repeat(np.arange(150), 2)
    return _right(
        "(1 | vm(line, G))",
        k,
        codes,
        {"line": np.array(ids)[codes]},
        [2.0],
        "v",
        relationships={"G": (k, ids)},
    )


def _plane(words: str, correlation: Callable[[Array], Array], truth: list[float], links: str) -> Scenario:
    rng = np.random.default_rng(9)
    points = rng.uniform(0, 10, size=(150, 2))
    codes = np.repeat(np.arange(150), 2)
    data = {"px": points[codes, 0], "py": points[codes, 1]}
    return _right(words, correlation(distances(points)), codes, data, truth, links)


def _line(words: str, at: Array, correlation: Array, truth: list[float], links: str) -> Scenario:
    codes = np.repeat(np.arange(len(at)), 2)
    return _right(words, correlation, codes, {"t": at[codes]}, truth, links)


def _neighbours(kind: str, rho: float) -> Scenario:
    side = 12
    at = np.array([(i, j) for i in range(side) for j in range(side)])
    w = (distances(at) == 1).astype(float)
    count = np.diag(w.sum(axis=1))
    precision = count - rho * w if kind == "car" else rho * (count - w) + (1 - rho) * np.eye(len(w))
    ids = [f"p{i:03d}" for i in range(len(w))]
    codes = np.repeat(np.arange(len(w)), 3)
    variance = 4.0 if kind == "car" else 2.0
    data = {"place": np.array(ids)[codes]}
    words = f"(1 | {kind}(place, W))"
    table = {"W": _square(w, ids)}
    return _right(words, np.linalg.inv(precision), codes, data, [variance, rho], "vl", relationships=table)


def _square(w: Array, ids: list[str]) -> Any:
    import pandas as pd

    return pd.DataFrame(w, index=ids, columns=ids)


def right() -> dict[str, Callable[[], Scenario]]:
    """Correlations among levels."""
    uneven = np.cumsum(np.random.default_rng(3).choice([1.0, 2.0, 3.0], 150))
    even = np.arange(150.0)
    return {
        "vm pedigree": _pedigree,
        "vm maternal": _maternal,
        "vm dense": _genomic,
        "right ar1": lambda: _line("(1 | ar1(t))", even, powers(even, 0.7), [2.0, 0.7], "vr"),
        "right ou": lambda: _line("(1 | ou(t))", uneven, powers(uneven, 0.8), [2.0, 0.8], "vr"),
        "right exp": lambda: _plane("(1 | exp(px, py))", lambda d: np.exp(-d / 1.5), [2.0, 1.5], "vv"),
        "right gau": lambda: _plane(
            "(1 | gau(px, py))", lambda d: np.exp(-((d / 1.5) ** 2)), [2.0, 1.5], "vv"
        ),
        "right mat 1.5": lambda: _plane(
            "(1 | mat(px, py, nu=1.5))", lambda d: (1 + d) * np.exp(-d), [2.0, 1.0], "vv"
        ),
        "right mat": lambda: _plane(
            "(1 | mat(px, py))", lambda d: (1 + d) * np.exp(-d), [2.0, 1.0, 1.5], "vvv"
        ),
        "right sph": lambda: _plane("(1 | sph(px, py))", lambda d: _spherical(d, 3.0), [2.0, 3.0], "vv"),
        "right car": lambda: _neighbours("car", 0.8),
        "right leroux": lambda: _neighbours("leroux", 0.7),
    }


# -------------------------------------------------------------------------------------------------------------- residuals


def _subjects(words: str, r: Array, truth: list[float], links: str, **call: Any) -> Scenario:
    """60 subjects of 6 times, and a random effect of a crossed factor."""
    m = len(r)
    s, t = (a.ravel() for a in np.meshgrid(np.arange(60), np.arange(m), indexing="ij"))
    rng = np.random.default_rng(11)
    batch = rng.permutation(np.arange(len(s)) % 24)
    v = np.where(s[:, None] == s, spread(r, t), 0.0) + 1.0 * (batch[:, None] == batch)
    data = {
        "s": np.array([f"s{i:02d}" for i in range(60)])[s],
        "t": t + 1.0,
        "trait": np.array([f"t{i}" for i in range(m)])[t],
        "batch": np.array([f"b{i:02d}" for i in range(24)])[batch],
    }
    return Scenario(
        "y ~ trait + (1 | batch)", data, v, np.array([1.0, *truth]), "v" + links, {"residual": words, **call}
    )


def _field_trial(nugget: bool) -> Scenario:
    """16 x 16 plots, some of them missing, 40 varieties."""
    rng = np.random.default_rng(12)
    row, col = (a.ravel() for a in np.meshgrid(np.arange(16.0), np.arange(16.0), indexing="ij"))
    kept = np.sort(rng.choice(256, 240, replace=False))
    row, col = row[kept], col[kept]
    variety = rng.permutation(np.arange(240) % 40)
    field_part = powers(row, 0.7) * powers(col, 0.5)
    base = 1.0 * (variety[:, None] == variety)
    data = {"row": row, "col": col, "variety": np.array([f"v{i:02d}" for i in range(40)])[variety]}
    formula = "y ~ 1 + (1 | variety)"
    if nugget:
        v = base + 2.0 * field_part + 0.5 * np.eye(240)
        call = {"residual": "(1 | ar1(row):ar1(col)) + (1 | units)"}
        return Scenario(formula, data, v, np.array([1.0, 2.0, 0.7, 0.5, 0.5]), "vvrrv", call)
    return Scenario(
        formula,
        data,
        base + 2.0 * field_part,
        np.array([1.0, 0.7, 0.5, 2.0]),
        "vrrv",
        {"residual": "(1 | ar1(row):ar1(col))"},
    )


def _sections() -> Scenario:
    """Two trials of 12 x 10 plots with correlations and variances of their own."""
    row, col = (np.tile(a.ravel(), 2) for a in np.meshgrid(np.arange(12.0), np.arange(10.0), indexing="ij"))
    site = np.repeat([0, 1], 120)
    variety = np.random.default_rng(13).permutation(np.arange(240) % 40)
    pieces = [1.0 * powers(row, 0.7) * powers(col, 0.3), 3.0 * powers(row, 0.2) * powers(col, 0.6)]
    v = 1.0 * (variety[:, None] == variety)
    for i, piece in enumerate(pieces):
        v += np.where((site[:, None] == i) & (site == i), piece, 0.0)
    data = {
        "row": row,
        "col": col,
        "site": np.array(["A", "B"])[site],
        "variety": np.array([f"v{i:02d}" for i in range(40)])[variety],
    }
    truth = np.array([1.0, 1.0, 0.7, 0.3, 3.0, 0.2, 0.6])
    return Scenario(
        "y ~ site + (1 | variety)",
        data,
        v,
        truth,
        "vvrrvrr",
        {"residual": "at(site):(1 | ar1(row):ar1(col))"},
    )


def _power() -> Scenario:
    rng = np.random.default_rng(14)
    x = rng.uniform(0.5, 4.0, 300)
    g = rng.permutation(np.arange(300) % 30)
    v = 1.0 * (g[:, None] == g) + np.diag(1.5 * x**1.4)
    data = {"x": x, "g": np.array([f"g{i:02d}" for i in range(30)])[g]}
    return Scenario("y ~ x + (1 | g)", data, v, np.array([1.0, 0.7, 1.5]), "vlv", {"variance": "power(x)"})


def residuals() -> dict[str, Callable[[], Scenario]]:
    """Structures of the rows."""
    v3 = np.array([1.0, 2.0, 0.5])
    s = np.array([[2.0, 0.7, 0.3], [0.7, 1.0, -0.2], [0.3, -0.2, 1.5]])
    return {
        "R ar1": lambda: _subjects("ar1(0 + t | s)", 2 * powers(np.arange(6), 0.6), [0.6, 2.0], "rv"),
        "R ou": lambda: _subjects("ou(0 + t | s)", 2 * powers(np.arange(6), 0.6), [0.6, 2.0], "rv"),
        "R cs": lambda: _subjects("cs(0 + trait | s)", 2 * (0.4 + 0.6 * np.eye(4)), [0.4, 2.0], "rv"),
        "R toep": lambda: _subjects(
            "toep(0 + t | s)", 2 * banded(np.array([0.6, 0.3, 0.1]), 4), [0.6, 0.3, 0.1, 2.0], "rrrv"
        ),
        "R diag": lambda: _subjects("diag(0 + trait | units)", np.diag(v3), list(v3), "vvv"),
        "R us": lambda: _subjects("us(0 + trait | s)", s, [*np.diag(s), s[1, 0], s[2, 0], s[2, 1]], "vvvlll"),
        "R field": lambda: _field_trial(False),
        "R field + nugget": lambda: _field_trial(True),
        "R sections": _sections,
        "R power": _power,
    }


def scenarios() -> dict[str, Callable[[], Scenario]]:
    """All, by name."""
    return {**left(), **right(), **residuals()}


# ----------------------------------------------------------------------------------------------------------- simulate and fit


def recover(scenario: Scenario, sets: int, seed: int = 1) -> Result:
    """Fit `sets` simulated responses."""
    import henderson as hd

    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(scenario.v)
    estimates, errors, edges, verdicts, names = [], [], [], [], []
    start = time.perf_counter()
    for _ in range(sets):
        y = 20.0 + root @ rng.normal(size=len(root))
        fit = hd.lmm(scenario.formula, {**scenario.data, "y": y}, **scenario.call)
        found = fit.variance_components_columns()
        names = [f"{g}: {t}" for g, t in zip(found["group"], found["term"], strict=True)]
        value = np.array(found["estimate"])
        estimates.append(_signed(value, scenario))
        errors.append(np.array(found["std_error"]))
        edges.append([b == "B" for b in found["bound"]])
        verdicts.append(fit.status.verdict)
    seconds = time.perf_counter() - start
    return Result(names, np.array(estimates), np.array(errors), np.array(edges), verdicts, seconds)


def _signed(value: Array, scenario: Scenario) -> Array:
    """Columns of loadings turned to the side of the truth."""
    if scenario.loadings is None:
        return value
    value = value.copy()
    for column in scenario.loadings.T:
        at = column[column >= 0]
        if value[at] @ scenario.truth[at] < 0:
            value[at] *= -1
    return value


def intervals_hold(scenario: Scenario, result: Result) -> tuple[Array, Array]:
    """For each parameter how many of the 95 % intervals hold the truth, and how many there are."""
    held, there = [], []
    for j, (truth, link) in enumerate(zip(scenario.truth, scenario.links, strict=True)):
        value, error = result.estimates[:, j], result.errors[:, j]
        usable = np.isfinite(error) & (
            (value > 0) if link == "v" else np.abs(value) < (1 if link == "r" else np.inf)
        )
        value, error = value[usable], error[usable]
        if link == "v":
            off = (np.log(value) - np.log(truth)) / (error / value)
        elif link == "r":
            off = (np.arctanh(value) - np.arctanh(truth)) / (error / (1 - value**2))
        else:
            off = (value - truth) / error
        held.append(int(np.sum(np.abs(off) < 1.959964)))
        there.append(len(value))
    return np.array(held), np.array(there)


def distance(scenario: Scenario, result: Result) -> Array:
    """Mean of the estimates from the truth, in simulation standard errors."""
    error = result.estimates.std(axis=0, ddof=1) / np.sqrt(len(result.estimates))
    return (result.estimates.mean(axis=0) - scenario.truth) / error


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    only = [name for name in given.only.split(",") if name]
    print(
        "| structure | parameter | truth | mean | in simulation errors | intervals that hold | on an edge | not converged | ms a fit |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, make in scenarios().items():
        if only and name not in only:
            continue
        scenario = make()
        result = recover(scenario, given.sets, given.seed + zlib.crc32(name.encode()))
        if len(result.names) != len(scenario.truth):
            print(
                f"{name}: {result.names} has {len(result.names)} numbers, not {len(scenario.truth)}",
                file=sys.stderr,
            )
            continue
        held, there = intervals_hold(scenario, result)
        failed = result.verdicts.count("not converged")
        for j, parameter in enumerate(result.names):
            mean, far = result.estimates[:, j].mean(), distance(scenario, result)[j]
            tail = f"{failed} | {result.seconds / given.sets * 1e3:.0f}" if j == 0 else " | "
            print(
                f"| {name if j == 0 else ''} | {parameter} | {scenario.truth[j]:g} | {mean:.3f} | {far:+.1f} | "
                f"{held[j]}/{there[j]} | {int(result.edges[:, j].sum())} | {tail} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
