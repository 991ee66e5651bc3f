"""The sparse kernel against CHOLMOD (through cvxopt), matrix by matrix, in the same run.

    python bench/kernel.py [--pedigrees] [--only NAME ...] [--repeat 5]

One line per matrix and number of threads: milliseconds (best of the repeats) to order, analyse, factorise and
invert on the pattern; CHOLMOD's numeric factor after its own symbolic analysis; flops and stored entries of ours;
fill of our order over the fill of cvxopt's minimum degree. CHOLMOD uses the BLAS of the cvxopt wheel, with as many
threads as it likes; set OPENBLAS_NUM_THREADS=1 for the one-thread comparison.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from pedigree import inverse_relationship, overlapping, random_mating

from henderson import sparse


def ar1(n: int, rho: float) -> sp.csc_matrix:
    d = np.full(n, 1 + rho * rho)
    d[[0, -1]] = 1.0
    return sp.diags([np.full(n - 1, -rho), d, np.full(n - 1, -rho)], [-1, 0, 1], format="csc") / (
        1 - rho * rho
    )


def field(rows: int, cols: int) -> sp.csc_matrix:
    return sp.csc_matrix(sp.kron(ar1(rows, 0.6), ar1(cols, 0.5)) + sp.identity(rows * cols))


def crossed(q1: int, q2: int, n: int) -> sp.csc_matrix:
    rng = np.random.default_rng(1)
    i = np.arange(n)
    one = np.ones(n)
    z = sp.hstack(
        [
            sp.csc_matrix((one, (i, rng.integers(0, q1, n))), shape=(n, q1)),
            sp.csc_matrix((one, (i, rng.integers(0, q2, n))), shape=(n, q2)),
        ]
    )
    return sp.csc_matrix(z.T @ z + sp.identity(q1 + q2))


def recorded(parents: np.ndarray) -> sp.csc_matrix:
    """Mixed-model equations of an animal model with one record on 80 % of the animals."""
    rng = np.random.default_rng(2)
    return sp.csc_matrix(
        1.5 * inverse_relationship(parents) + sp.diags((rng.random(len(parents)) < 0.8).astype(float))
    )


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


MATRICES: dict[str, Callable[[], sp.csc_matrix]] = {
    "AR1xAR1 40x40": lambda: field(40, 40),
    "AR1xAR1 200x150": lambda: field(200, 150),
    "crossed 2972x1128": lambda: crossed(2972, 1128, 73_421),
    "random mating 20k": lambda: recorded(random_mating(20_000, 200, rng())),
    "crossed 20k x 5k": lambda: crossed(20_000, 5_000, 1_000_000),
}
PEDIGREES: dict[str, Callable[[], sp.csc_matrix]] = {
    "pedigree 20x10k": lambda: recorded(overlapping(20, 10_000, 50, 1_000, rng())),
    "pedigree 10x20k": lambda: recorded(overlapping(10, 20_000, 200, 10_000, rng())),
    "pedigree 20x50k": lambda: recorded(overlapping(20, 50_000, 100, 5_000, rng())),
}


def best(repeat: int, work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """Least time of some calls, in milliseconds; stops early when they are long."""
    times: list[float] = []
    while len(times) < repeat and sum(times) < 6.0:
        before()
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return 1e3 * min(times)


def cholmod(a: sp.coo_matrix, repeat: int) -> tuple[float, int]:
    """(milliseconds of CHOLMOD's numeric factor, entries of L for its minimum-degree order)."""
    from cvxopt import amd, cholmod, matrix, spmatrix

    low = sp.coo_matrix(sp.tril(a))
    m = spmatrix(
        matrix(low.data), matrix(low.row.astype(np.int64)), matrix(low.col.astype(np.int64)), a.shape
    )
    f = cholmod.symbolic(m)
    taken = best(repeat, lambda: cholmod.numeric(m, f))
    order = np.array(amd.order(m)).ravel()
    place = np.argsort(order)
    fill = sparse.analyze(a.shape[0], place[low.row], place[low.col], method="natural").lnz
    return taken, fill


def measure(name: str, a: sp.csc_matrix, threads: int, repeat: int, method: str, reference: tuple) -> str:
    from henderson.sparse import graph, ordering

    low = sp.coo_matrix(sp.tril(a))
    rows, cols = low.row.astype(np.int64), low.col.astype(np.int64)
    n = a.shape[0]
    ptr, idx = graph.adjacency(n, rows, cols)
    order = best(min(repeat, 2), lambda: ordering.amd(n, ptr, idx))
    whole = best(min(repeat, 2), lambda: sparse.analyze(n, rows, cols, method=method))
    symbolic = sparse.analyze(n, rows, cols, method=method)
    place = symbolic.positions(rows, cols)
    panels = np.zeros(symbolic.stored)
    out = np.empty(symbolic.stored)

    def fill() -> None:
        panels[:] = 0.0
        panels[place] = low.data

    def run() -> None:
        if sparse.factor(symbolic, panels, threads) != -1:
            raise SystemExit(f"{name}: not positive definite")

    factor = best(repeat, run, fill)
    inverse = best(repeat, lambda: sparse.selected_inverse(symbolic, panels, out, 0, threads))
    theirs, their_fill = reference
    fill_ratio = symbolic.lnz / their_fill if their_fill else float("nan")
    times = f"{order:>9.1f}{whole - order:>9.1f}{factor:>10.2f}{inverse:>10.2f}{theirs:>10.2f}"
    ratios = f"{factor / theirs:>7.2f}{inverse / factor:>7.2f}"
    sizes = f"{symbolic.flops:>10.2g}{symbolic.stored:>10.2g}{fill_ratio:>6.2f}"
    return f"{name:<20}{n:>9}{threads:>4}" + times + ratios + sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pedigrees", action="store_true", help="the pedigrees of overlapping generations too"
    )
    parser.add_argument("--only", nargs="*", default=None, help="matrices whose name contains one of these")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--method", default="amd")
    parser.add_argument("--alone", action="store_true", help="without CHOLMOD")
    args = parser.parse_args()
    matrices = MATRICES | (PEDIGREES if args.pedigrees or args.only else {})
    heads = ["order", "symbolic"], ["factor", "inverse", "CHOLMOD"], ["f/C", "i/f"], ["flops", "stored"]
    widths = 9, 10, 7, 10
    titles = "".join(f"{h:>{w}}" for group, w in zip(heads, widths, strict=True) for h in group)
    print(f"{'matrix':<20}{'n':>9}{'thr':>4}{titles}{'fill':>6}")
    for name, make in matrices.items():
        if args.only and not any(part in name for part in args.only):
            continue
        a = make()
        reference = (float("nan"), 0) if args.alone else cholmod(sp.coo_matrix(a), args.repeat)
        for threads in args.threads:
            print(measure(name, a, threads, args.repeat, args.method, reference), flush=True)


if __name__ == "__main__":
    main()
