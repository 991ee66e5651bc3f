"""What the cases of `structured_cases` are made of: the record of a case, its rows, and the parts of dense models."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import structured_twin as tw

HERE = Path(__file__).resolve().parent
WITNESSES = HERE / "reference" / "structured"
SHARED = HERE.parent.parent / "shared" / "reference"

Par = Mapping[str, float]


@dataclass(frozen=True)
class Dense:
    """What the twin needs."""

    y: np.ndarray
    x: np.ndarray
    terms: list[tw.Term]
    r: np.ndarray


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes
    ----------
    data : the file of rows; "hd:Name" is one of henderson.datasets.
    formula, residual, variance, reml, fixed : the call. verb: "lmm", or "gls" where there is no random term.
    par : our parameter -> (group, term) of `variance_components`; the twin takes the same numbers.
    dense : the model as dense matrices, from the frame and the parameters.
    relationships : of the frame's case, by name.
    prepare : what was done to the rows.
    criterion : how far below the best known log-likelihood ours may be.
    components : how far parameters may be from the recomputed optimum, relative to the larger of value and standard error.
    cannot : why henderson cannot write the model; the twin still reads it.
    twin : False where n is too large for dense algebra.
    better : see there. note : what is special.
    """

    data: str
    formula: str
    par: Mapping[str, tuple[str, str]]
    dense: Callable[[pd.DataFrame, Par], Dense] | None
    residual: str | None = None
    variance: str | None = None
    reml: bool = True
    fixed: Mapping[str, float] = field(default_factory=dict)
    verb: str = "lmm"
    relationships: Callable[[], Mapping[str, Any]] | None = None
    prepare: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    criterion: float = 1e-5
    components: float = 2e-4
    cannot: str | None = None
    flat: bool = False
    """The criterion has no isolated maximum: parameters are not compared."""
    better: str = ""
    """Why our likelihood is higher than the program's, where it is: the twin confirms it."""
    note: str = ""


# ---------------------------------------------------------------------------------------------------------- rows


def read(file: str) -> pd.DataFrame:
    """A file as R read it: factors as text categories in R's order."""
    if file.startswith("hd:"):
        import henderson as hd

        return pd.DataFrame(hd.datasets.load(file[3:])).copy()
    own = WITNESSES / file
    if own.exists():
        return pd.read_csv(own)
    levels = _levels().get(file, {})
    frame = pd.read_csv(
        SHARED / "data" / file, dtype=dict.fromkeys(levels, str), keep_default_na=False, na_values=[""]
    )
    for column, how in levels.items():
        frame[column] = pd.Categorical(frame[column], categories=[str(v) for v in how["levels"]])
    return frame


@cache
def _levels() -> dict[str, Any]:
    return json.loads((SHARED / "data" / "levels.json").read_text())


# ------------------------------------------------------------------------------------------------- parts of the models


def design(d: pd.DataFrame, rhs: str) -> np.ndarray:
    """X by formulaic, dependent columns left out from the last."""
    return design_of(d, rhs)[0]


def design_of(d: pd.DataFrame, rhs: str) -> tuple[np.ndarray, list[str]]:
    """X and its names as henderson gives them."""
    from formulaic import model_matrix

    clean = d.copy()
    for column in clean:
        if isinstance(clean[column].dtype, pd.CategoricalDtype):
            clean[column] = clean[column].cat.remove_unused_categories()
    x = model_matrix(rhs, clean)
    values, names = np.asarray(x, float), list(x.columns)
    kept: list[int] = []
    basis = np.zeros((len(values), 0))
    for j in range(values.shape[1]):
        column = values[:, j] / np.linalg.norm(values[:, j])
        left = column - basis @ (basis.T @ column)
        left -= basis @ (basis.T @ left)
        if np.linalg.norm(left) > 1e-9:
            kept.append(j)
            basis = np.column_stack([basis, left / np.linalg.norm(left)])
    names = ["(Intercept)" if n == "Intercept" else n for n in names]
    return values[:, kept], [names[j] for j in kept]


def model(d, y: str, rhs: str, terms, r) -> Dense:
    """The parts put together; r a number for equal variances."""
    r = np.full(len(d), float(r)) if np.ndim(r) == 0 else r
    return Dense(d[y].to_numpy(float), design(d, rhs), terms, r)


def vc(d, sigma, *columns: str, effects=None, k=None) -> tw.Term:
    """(effects | columns) with covariance sigma; `k` (ids, matrix) right of the bar."""
    if k is not None:
        ids, matrix = k
        at = {str(i): p for p, i in enumerate(ids)}
        codes = np.array([at[str(v)] for v in d[columns[0]]])
        used, codes = np.unique(codes, return_inverse=True)
        return tw.Term(tw.incidence(codes, effects), np.atleast_2d(sigma), matrix[np.ix_(used, used)])
    codes, _ = tw.groups(*(d[c].astype(str) for c in columns))
    return tw.Term(tw.incidence(codes, effects), np.atleast_2d(sigma))


def dummies(d, column: str) -> np.ndarray:
    """One column for each level."""
    values = d[column]
    levels = (
        list(values.cat.remove_unused_categories().cat.categories)
        if isinstance(values.dtype, pd.CategoricalDtype)
        else sorted(values.unique())
    )
    return np.column_stack([(values == level).to_numpy(float) for level in levels])


def symmetric(p: Par, letter: str, m: int) -> np.ndarray:
    """G11, G21, G22 ... as a matrix."""
    out = np.zeros((m, m))
    for i in range(m):
        for j in range(i + 1):
            out[i, j] = out[j, i] = p[f"{letter}{i + 1}{j + 1}"]
    return out


def along(p: Par, letter: str, m: int) -> np.ndarray:
    """R1, R2 ..., (m,)."""
    return np.array([p[f"{letter}{i + 1}"] for i in range(m)])


def within(d, group, covariance: np.ndarray, position) -> np.ndarray:
    """Rows of one group covary as their positions do."""
    group = np.asarray(d[group].astype(str)) if isinstance(group, str) else np.asarray(group)
    position = np.asarray(position)
    same = group[:, None] == group[None, :]
    return np.where(same, covariance[np.ix_(position, position)], 0.0)


def lattice(d, s, row, rho_row, col, rho_col, nugget=0.0) -> np.ndarray:
    """s ((1 - nugget) AR1(row) AR1(col) + nugget I)."""
    c = tw.ar1(d[row].to_numpy(float), rho_row) * tw.ar1(d[col].to_numpy(float), rho_col)
    return s * ((1 - nugget) * c + nugget * np.eye(len(d)))


def sections(d, column: str, pieces: Mapping[str, np.ndarray]) -> np.ndarray:
    """A covariance for each section, on its own rows."""
    out = np.zeros((len(d), len(d)))
    for level, piece in pieces.items():
        rows = np.flatnonzero((d[column] == level).to_numpy())
        out[np.ix_(rows, rows)] = piece
    return out


def by_level(d, column: str, variances) -> np.ndarray:
    """A variance for each level, by row."""
    return dummies(d, column) @ np.asarray(variances, float)


def order_in(d, column: str) -> np.ndarray:
    """The place of each row within its group, as the rows stand."""
    return d.groupby(column, observed=True, sort=False).cumcount().to_numpy()


def numeric(*columns: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Columns that hold numbers as text, made numbers."""
    return lambda d: d.assign(**{c: pd.to_numeric(d[c].astype(str)) for c in columns})


def known(file: str) -> tuple[list[str], np.ndarray]:
    """A relationship matrix of ../shared: ids and numbers."""
    table = pd.read_csv(SHARED / "data" / file, index_col=0, dtype={0: str})
    table.index = table.index.astype(str)
    return list(table.index), table.to_numpy(float)


def as_frame(k: tuple[list[str], np.ndarray]) -> pd.DataFrame:
    """A relationship as a user gives it: a square table with ids."""
    return pd.DataFrame(k[1], index=k[0], columns=k[0])


def pedigree_rows(table: pd.DataFrame, animal: str, sire: str, dam: str) -> list[tuple]:
    """Rows (animal, sire, dam) of text or None."""
    clean = lambda v: None if pd.isna(v) else str(int(v)) if isinstance(v, float) else str(v)  # noqa: E731
    return [
        (clean(a), clean(s), clean(d)) for a, s, d in zip(table[animal], table[sire], table[dam], strict=True)
    ]


def pedigree_frame(rows: list[tuple]) -> pd.DataFrame:
    """A pedigree as a user gives it."""
    return pd.DataFrame(rows, columns=["animal", "sire", "dam"])


PARENTS_BY_ROW = ("sommer_P_gryphon.csv",)
"""Files whose parents are numbers of rows, from 1, not ids."""


def _pedigree(file: str, animal: str, sire: str, dam: str) -> list[tuple]:
    table = pd.read_csv(SHARED / "data" / file, dtype=str)
    if file in PARENTS_BY_ROW:
        ids = table[animal].to_numpy()
        for column in (sire, dam):
            table[column] = [v if pd.isna(v) else ids[int(v) - 1] for v in table[column]]
    return pedigree_rows(table, animal, sire, dam)


@lru_cache(maxsize=2)
def numerator(file: str, animal: str = "id", sire: str = "sire", dam: str = "dam"):
    """Ids and A of a pedigree of ../shared."""
    a, ids = tw.numerator(_pedigree(file, animal, sire, dam))
    return ids, a


def from_file(file: str, animal: str = "id", sire: str = "sire", dam: str = "dam"):
    """A pedigree of ../shared for relationships=."""
    return pedigree_frame(_pedigree(file, animal, sire, dam))


@cache
def markers(file: str) -> tuple[list[str], np.ndarray]:
    table = pd.read_csv(SHARED / "data" / file, index_col=0)
    return [str(v) for v in table.index], table.to_numpy(float)


@cache
def vanraden_wheat() -> tuple[list[str], np.ndarray]:
    """VanRaden's first matrix of the -1/1 markers of 599 wheat lines."""
    ids, m = markers("sommer_GT_wheat.csv")
    p = (m + 1).mean(axis=0) / 2
    z = m + 1 - 2 * p
    return ids, z @ z.T / (2 * (p * (1 - p)).sum())


@cache
def centred_wheat() -> tuple[list[str], np.ndarray]:
    """GEMMA's centred relatedness of the same genotypes (0/2), markers of minor frequency 0.01 or more."""
    ids, m = markers("sommer_GT_wheat.csv")
    g = m + 1
    f = g.mean(axis=0) / 2
    g = g[:, np.minimum(f, 1 - f) >= 0.01]
    z = g - g.mean(axis=0)
    return ids, z @ z.T / g.shape[1]


def stacked(d: pd.DataFrame, traits: tuple[str, ...]) -> pd.DataFrame:
    """One row for each trait of each record that has it: the twin's view of cbind(...)."""
    parts = [d.assign(_y=d[t], trait=t, unit=np.arange(len(d))) for t in traits]
    long = pd.concat(parts, ignore_index=True)
    long = long[long["_y"].notna()].reset_index(drop=True)
    long["trait"] = pd.Categorical(long["trait"], categories=list(traits))
    return long


def traits_r(d: pd.DataFrame, sigma: np.ndarray) -> np.ndarray:
    """Var(e) of stacked traits: those of one record covary."""
    return within(d, d["unit"].to_numpy(), sigma, d["trait"].cat.codes.to_numpy())


RES = "Residual"
ONE = "(Intercept)"


def res(*names: str) -> dict[str, tuple[str, str]]:
    """Parameters of the residual under the name of the variance_components table."""
    return {n: (RES, n) for n in names}


def us_names(letter: str, group: str, effects: list[str]) -> dict[str, tuple[str, str]]:
    """G11, G21 ... -> the variance and covariance names."""
    out = {}
    for i, a in enumerate(effects):
        for j, b in enumerate(effects[: i + 1]):
            out[f"{letter}{i + 1}{j + 1}"] = (group, a if i == j else f"cov({b}, {a})")
    return out
