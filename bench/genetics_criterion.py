"""The restricted likelihood of the variance components that programs report, from the V of the textbook.

    python bench/genetics_criterion.py FOLDER < components.json

reads a list of {name: number} from standard input and writes the list of -2 log restricted likelihoods,
(n - p) log 2 pi + log|V| + log|X'V^-1 X| + y'Py: the one number by which all answers can be compared. It
knows nothing of henderson. V is n x n, so this is for a few thousand records.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.linalg import cho_solve, cholesky, solve_triangular


def incidence(values: pd.Series, levels: list[str]) -> np.ndarray:
    """Z (n, levels) of zeros and ones."""
    place = {level: i for i, level in enumerate(levels)}
    z = np.zeros((len(values), len(levels)))
    z[np.arange(len(values)), [place[v] for v in values]] = 1.0
    return z


def dummies(values: pd.Series) -> np.ndarray:
    return incidence(values, sorted(set(values)))


def matrix(found: dict[str, float], name: str, order: int) -> np.ndarray:
    """The symmetric matrix whose lower triangle is name_11, name_21 ..."""
    gap = "_" if order > 9 else ""
    out = np.empty((order, order))
    for i in range(order):
        for j in range(i + 1):
            out[i, j] = out[j, i] = found[f"{name}_{i + 1}{gap}{j + 1}"]
    return out


class Trial:
    """y, X and V of one data set."""

    def __init__(self, folder: Path) -> None:
        self.task = json.loads((folder / "about.json").read_text())["task"]
        self.rows = pd.read_csv(folder / "records.csv")
        ids = folder / "ids.txt"
        self.ids = ids.read_text().split() if ids.exists() else []
        self.k = np.fromfile(folder / "k.bin").reshape(len(self.ids), -1) if self.ids else None
        rows = self.rows
        self.y = rows["y"].to_numpy() if self.task != "bivariate" else rows[["y1", "y2"]].to_numpy().T.ravel()
        self.x = {
            "met": lambda: dummies(rows["env"]),
            "gblup": lambda: np.ones((len(rows), 1)),
            "field": lambda: np.ones((len(rows), 1)),
            "bivariate": lambda: np.kron(np.eye(2), dummies(rows["sex"])),
        }.get(self.task, lambda: dummies(rows["sex"]))()

    def v(self, c: dict[str, float]) -> np.ndarray:
        """V (n, n) of these components."""
        return getattr(self, f"_{self.task}")(c)

    def _animal(self, c: dict[str, float]) -> np.ndarray:
        z = incidence(self.rows["animal"], self.ids)
        return c["animal"] * z @ self.k @ z.T + c["residual"] * np.eye(len(z))

    def _bivariate(self, c: dict[str, float]) -> np.ndarray:
        z = incidence(self.rows["animal"], self.ids)
        genetic = np.kron(matrix(c, "genetic", 2), z @ self.k @ z.T)
        return genetic + np.kron(matrix(c, "residual", 2), np.eye(len(z)))

    def _maternal(self, c: dict[str, float]) -> np.ndarray:
        z = np.hstack([incidence(self.rows[name], self.ids) for name in ("animal", "dam")])
        g = np.array([[c["direct"], c["covariance"]], [c["covariance"], c["maternal"]]])
        d = dummies(self.rows["dam"])
        return z @ np.kron(g, self.k) @ z.T + c["dam"] * d @ d.T + c["residual"] * np.eye(len(z))

    def _gblup(self, c: dict[str, float]) -> np.ndarray:
        return c["genomic"] * self.k + c["residual"] * np.eye(len(self.y))

    def _field(self, c: dict[str, float]) -> np.ndarray:
        z = dummies(self.rows["geno"])
        v = c["geno"] * z @ z.T + c["nugget"] * np.eye(len(z))
        near = np.full_like(v, c["spatial"])
        for column, rho in (("row", c["rho_row"]), ("col", c["rho_col"])):
            place = self.rows[column].to_numpy()
            near *= rho ** np.abs(np.subtract.outer(place, place))
        return v + near

    def _met(self, c: dict[str, float]) -> np.ndarray:
        where, z = dummies(self.rows["env"]), incidence(self.rows["geno"], self.ids)
        g = where @ matrix(c, "genetic", where.shape[1]) @ where.T
        residual = where @ [c[f"residual_{i + 1}"] for i in range(where.shape[1])]
        return g * (z @ self.k @ z.T) + np.diag(residual)

    def criterion(self, c: dict[str, float]) -> float | None:
        """-2 log restricted likelihood; None where V is not positive definite."""
        try:
            root = cholesky(self.v(c), lower=True)
        except (np.linalg.LinAlgError, ValueError):
            return None
        x = solve_triangular(root, self.x, lower=True)
        y = solve_triangular(root, self.y, lower=True)
        inner = cholesky(x.T @ x, lower=True)
        error = y - x @ cho_solve((inner, True), x.T @ y)
        logs = 2.0 * np.log(np.diag(root)).sum() + 2.0 * np.log(np.diag(inner)).sum()
        return float((len(y) - x.shape[1]) * np.log(2.0 * np.pi) + logs + error @ error)


if __name__ == "__main__":
    trial = Trial(Path(sys.argv[1]))
    print(json.dumps([trial.criterion(c) for c in json.load(sys.stdin)]))
