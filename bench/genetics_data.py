"""Data for bench/genetics.py: pedigrees, markers, a field, trials in several environments; fixed seeds.

    python bench/genetics_data.py DIRECTORY TASK SIZE

writes one folder, DIRECTORY/TASK_SIZE, that every program reads:

| file | content |
|---|---|
| records.csv | one row a record |
| pedigree.csv | id, sire, dam ("" unknown), parents first |
| markers.bin | (individuals, markers) of allele counts 0, 1, 2, one byte each, row after row |
| k.bin | (q, q) float64, relationship among the q individuals of ids.txt: A of small pedigrees, G |
| ids.txt | names of the individuals of markers.bin and k.bin |
| about.json | numbers of rows and individuals, and the components the data were drawn from |

Breeding values are drawn by dropping the alleles of many unlinked loci through the pedigree, each founder
allele with an effect of its own: given the pedigree their covariance is exactly A, inbreeding included.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from pedigree import overlapping

LOCI = 64
GENERATIONS = {  # animals: generations, animals a generation, sires, dams
    500: (5, 100, 5, 25),
    1_000: (10, 100, 5, 25),
    2_000: (10, 200, 8, 50),
    5_000: (10, 500, 10, 100),
    50_000: (20, 2_500, 25, 500),
    200_000: (20, 10_000, 50, 1_000),
    1_000_000: (20, 50_000, 100, 5_000),
}
DENSE_BELOW = 5_000  # animals up to which A is written for the programs that ask for it
RECORDED = 0.8


def breeding_values(
    parents: np.ndarray, starts: np.ndarray, covariance: np.ndarray, rng: np.random.Generator
):
    """(n, t) values of t traits with covariance A (x) `covariance`, by gene dropping.

    Args:
        parents: (n, 2), -1 unknown, parents before their offspring.
        starts: first animal of each generation, then n; no parent is of its offspring's generation.
        covariance: (t, t) of the founders' values.
    """
    n, t = len(parents), len(covariance)
    root = np.linalg.cholesky(covariance)
    total = np.zeros((n, t))
    alleles = np.empty((n, 2, t), dtype=np.float32)
    founders = np.flatnonzero(parents[:, 0] < 0)
    for _ in range(LOCI):
        effects = rng.standard_normal((len(founders), 2, t)) @ root.T / np.sqrt(2 * LOCI)
        alleles[founders] = effects
        for first, last in itertools.pairwise(starts[1:]):
            passed = rng.integers(0, 2, (last - first, 2), dtype=np.int8)
            for side in (0, 1):
                alleles[first:last, side] = alleles[parents[first:last, side], passed[:, side]]
        total += alleles.sum(axis=1)
    return total


def relationship(parents: np.ndarray) -> np.ndarray:
    """A (n, n) by the tabular method (Emik & Terrill 1949)."""
    n = len(parents)
    a = np.zeros((n, n))
    for i, (s, d) in enumerate(parents):
        row = np.zeros(i)
        for parent in (s, d):
            if parent >= 0:
                row += 0.5 * a[parent, :i]
        a[i, :i] = a[:i, i] = row
        a[i, i] = 1.0 + (0.5 * a[s, d] if s >= 0 and d >= 0 else 0.0)
    return a


def names(n: int, letter: str) -> np.ndarray:
    return np.array([f"{letter}{i + 1}" for i in range(n)])


def population(
    animals: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Parents (n, 2), first animal of each generation, names, sexes."""
    generations, size, sires, dams = GENERATIONS[animals]
    male = rng.random(animals) < 0.5
    parents = overlapping(generations, size, sires, dams, rng, male)
    sex = np.where(male, "m", "f")
    return parents, np.arange(generations + 1) * size, names(animals, "a"), sex


def write_pedigree(folder: Path, parents: np.ndarray, ids: np.ndarray) -> None:
    named = np.append(ids, "")  # -1 is the last
    pd.DataFrame({"id": ids, "sire": named[parents[:, 0]], "dam": named[parents[:, 1]]}).to_csv(
        folder / "pedigree.csv", index=False
    )
    if len(ids) <= DENSE_BELOW:
        write_relationship(folder, relationship(parents), ids)


def write_relationship(folder: Path, k: np.ndarray, ids: np.ndarray) -> None:
    k.tofile(folder / "k.bin")
    (folder / "ids.txt").write_text("\n".join(ids) + "\n")


def animal(folder: Path, animals: int, rng: np.random.Generator) -> dict:
    """y = sex + animal + residual, h2 = 0.4, a record on 80 % of the animals."""
    parents, starts, ids, sex = population(animals, rng)
    value = breeding_values(parents, starts, np.array([[0.4]]), rng)[:, 0]
    y = 10.0 + 0.5 * (sex == "m") + value + np.sqrt(0.6) * rng.standard_normal(animals)
    keep = rng.random(animals) < RECORDED
    pd.DataFrame({"y": y, "sex": sex, "animal": ids})[keep].to_csv(folder / "records.csv", index=False)
    write_pedigree(folder, parents, ids)
    return {"records": int(keep.sum()), "individuals": animals, "animal": 0.4, "residual": 0.6}


def bivariate(folder: Path, animals: int, rng: np.random.Generator) -> dict:
    """Two traits, genetic correlation 0.5, residual correlation 0.2.

    Every animal with a record has both traits up to 2,000 animals, since some programs drop or impute
    incomplete records; above that 30 % of the second trait are missing.
    """
    parents, starts, ids, sex = population(animals, rng)
    genetic = np.array([[0.4, 0.5 * np.sqrt(0.4 * 1.2)], [0.5 * np.sqrt(0.4 * 1.2), 1.2]])
    residual = np.array([[0.6, 0.2 * np.sqrt(0.6 * 2.0)], [0.2 * np.sqrt(0.6 * 2.0), 2.0]])
    value = breeding_values(parents, starts, genetic, rng)
    y = np.array([10.0, 20.0]) + np.outer(sex == "m", [0.5, -1.0]) + value
    y += rng.standard_normal((animals, 2)) @ np.linalg.cholesky(residual).T
    keep = rng.random(animals) < RECORDED
    missing = rng.random(animals) < (0.3 if animals > 2_000 else 0.0)
    table = pd.DataFrame({"y1": y[:, 0], "y2": np.where(missing, np.nan, y[:, 1]), "sex": sex, "animal": ids})
    table[keep].to_csv(folder / "records.csv", index=False)
    write_pedigree(folder, parents, ids)
    return {
        "records": int(keep.sum() + (keep & ~missing).sum()),
        "individuals": animals,
        **_lower("genetic", genetic),
        **_lower("residual", residual),
    }


def maternal(folder: Path, animals: int, rng: np.random.Generator) -> dict:
    """Direct and maternal genetic effects with covariance -0.2, and the dam's permanent environment."""
    parents, starts, ids, sex = population(animals, rng)
    genetic = np.array([[0.8, -0.2], [-0.2, 0.5]])
    value = breeding_values(parents, starts, genetic, rng)
    environment = np.sqrt(0.3) * rng.standard_normal(animals)
    dam = parents[:, 1]
    known = dam >= 0
    y = 10.0 + 0.5 * (sex == "m") + value[:, 0] + np.sqrt(1.2) * rng.standard_normal(animals)
    y[known] += value[dam[known], 1] + environment[dam[known]]
    keep = known & (rng.random(animals) < RECORDED)
    table = pd.DataFrame({"y": y, "sex": sex, "animal": ids, "dam": np.append(ids, "")[dam]})
    table[keep].to_csv(folder / "records.csv", index=False)
    write_pedigree(folder, parents, ids)
    truth = {"direct": 0.8, "covariance": -0.2, "maternal": 0.5, "dam": 0.3, "residual": 1.2}
    return {"records": int(keep.sum()), "individuals": animals, **truth}


def markers(n: int, m: int, rng: np.random.Generator, founders: int = 200, pieces: int = 60) -> np.ndarray:
    """Allele counts (n, m), uint8: each gamete a mosaic of about `pieces` segments of founder haplotypes."""
    frequency = rng.beta(1.5, 1.5, m).clip(0.05, 0.95)
    haplotypes = (rng.random((founders, m)) < frequency).astype(np.uint8)
    counts = np.empty((n, m), dtype=np.uint8)
    column = np.arange(m)
    for i in range(n):
        total = 0
        for _ in range(2):
            segment = np.zeros(m, dtype=np.intp)
            segment[rng.integers(1, m, pieces - 1)] = 1
            total = total + haplotypes[rng.integers(0, founders, pieces)[np.cumsum(segment)], column]
        counts[i] = total
    varies = counts.min(axis=0) < counts.max(axis=0)
    counts[:, ~varies] = counts[:, np.flatnonzero(varies)[0]][:, None]
    return counts


def vanraden(counts: np.ndarray) -> np.ndarray:
    """G (n, n) = W W' / 2 sum p (1 - p), W centred (VanRaden 2008, first method)."""
    p = counts.mean(axis=0, dtype=float) / 2.0
    g = np.zeros((len(counts), len(counts)))
    for first in range(0, counts.shape[1], 5_000):
        w = counts[:, first : first + 5_000] - 2.0 * p[first : first + 5_000]
        g += w @ w.T
    return g / (2.0 * (p * (1.0 - p)).sum())


def gblup(folder: Path, individuals: int, rng: np.random.Generator) -> dict:
    """One record on each of n individuals, 10 n markers, of which 500 have effects; h2 = 0.5."""
    m = 10 * individuals
    counts = markers(individuals, m, rng)
    chosen = rng.choice(m, 500, replace=False)
    value = (counts[:, chosen] - 1.0) @ rng.standard_normal(500)
    y = 5.0 + (value - value.mean()) / value.std() + rng.standard_normal(individuals)
    ids = names(individuals, "i")
    pd.DataFrame({"y": y, "id": ids}).to_csv(folder / "records.csv", index=False)
    counts.tofile(folder / "markers.bin")
    write_relationship(folder, vanraden(counts), ids)
    return {"records": individuals, "individuals": individuals, "markers": m, "genomic": 1.0, "residual": 1.0}


def field(folder: Path, plots: int, rng: np.random.Generator) -> dict:
    """A square field: genotypes in five plots each, AR1 (x) AR1 with a nugget."""
    side = round(np.sqrt(plots))
    rho = {"rho_row": 0.9, "rho_col": 0.8}
    roots = [
        np.linalg.cholesky(r ** np.abs(np.subtract.outer(np.arange(side), np.arange(side))))
        for r in rho.values()
    ]
    trend = roots[0] @ rng.standard_normal((side, side)) @ roots[1].T
    genotypes = side * side // 5
    planted = rng.permutation(np.arange(side * side) % genotypes)
    row, col = np.divmod(np.arange(side * side), side)
    value = rng.standard_normal(genotypes)
    y = (
        50.0
        + value[planted]
        + np.sqrt(2.0) * trend[row, col]
        + np.sqrt(0.5) * rng.standard_normal(side * side)
    )
    table = {"y": y, "geno": names(genotypes, "g")[planted], "row": row + 1, "col": col + 1}
    pd.DataFrame(table).to_csv(folder / "records.csv", index=False)
    return {
        "records": side * side,
        "individuals": genotypes,
        "geno": 1.0,
        "spatial": 2.0,
        **rho,
        "nugget": 0.5,
    }


MET = {
    500: (5, 50, 2),
    2_000: (10, 100, 2),
    10_000: (20, 500, 1),
}  # records: environments, genotypes, plots of each


def met(folder: Path, records: int, rng: np.random.Generator) -> dict:
    """Every genotype in every environment: two factors times G, specific and residual variances of each."""
    environments, genotypes, plots = MET[records]
    counts = markers(genotypes, 2_000, rng, founders=60)
    g = vanraden(counts) + 0.01 * np.eye(genotypes)
    loadings = np.column_stack([rng.uniform(0.6, 1.2, environments), rng.normal(0.0, 0.5, environments)])
    sigma = loadings @ loadings.T + np.diag(rng.uniform(0.2, 0.5, environments))
    residual = rng.uniform(0.4, 1.2, environments)
    value = (
        np.linalg.cholesky(g) @ rng.standard_normal((genotypes, environments)) @ np.linalg.cholesky(sigma).T
    )
    y = np.repeat(rng.normal(10.0, 2.0, environments) + value, plots, axis=0)
    y += np.sqrt(residual) * rng.standard_normal(y.shape)
    where = np.array([f"e{j + 1:02d}" for j in range(environments)])
    ids = names(genotypes, "g")
    table = {
        "y": y.T.ravel(),
        "env": np.repeat(where, len(y)),
        "geno": np.tile(np.repeat(ids, plots), environments),
    }
    pd.DataFrame(table).to_csv(folder / "records.csv", index=False)
    write_relationship(folder, g, ids)
    return {
        "records": records,
        "individuals": genotypes,
        **_lower("genetic", sigma),
        **{f"residual_{j + 1}": float(v) for j, v in enumerate(residual)},
    }


def _lower(name: str, matrix: np.ndarray) -> dict[str, float]:
    """{name_11, name_21, name_22 ...} of a symmetric matrix; with ten and more rows, name_10_1."""
    gap = "_" if len(matrix) > 9 else ""
    rows, columns = np.tril_indices(len(matrix))
    return {f"{name}_{i + 1}{gap}{j + 1}": float(matrix[i, j]) for i, j in zip(rows, columns, strict=True)}


TASKS = {
    "animal": (animal, tuple(GENERATIONS)),
    "bivariate": (bivariate, (500, 1_000, 2_000, 50_000)),
    "maternal": (maternal, (500, 1_000, 2_000, 50_000)),
    "gblup": (gblup, (500, 1_000, 2_000, 5_000)),
    "field": (field, (400, 900, 10_000)),
    "met": (met, tuple(MET)),
}


def make(directory: Path, task: str, size: int) -> Path:
    """The folder of one data set, written if it is not there yet."""
    folder = directory / f"{task}_{size}"
    if (folder / "about.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    build, sizes = TASKS[task]
    rng = np.random.default_rng([4, list(TASKS).index(task), sizes.index(size)])
    about = build(folder, size, rng)
    (folder / "about.json").write_text(json.dumps({"task": task, "size": size, **about}))
    return folder


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
