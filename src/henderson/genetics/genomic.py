"""Genomic relationships from marker genotypes, summed over blocks of markers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, closest
from ..memory import machine_memory
from ..report.progress import rows_line
from .basis import MarkerBasis
from .coding import ADDITIVE, Coding
from .cross_product import CrossProduct
from .ids import match
from .markers import Markers, as_markers
from .positive import dense_log_determinant
from .relationship import Relationship

Array = np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class GenomicRelationship(Relationship):
    """A `Relationship` made from markers, with the `basis` that says which and how."""

    basis: MarkerBasis | None = None


@dataclass(frozen=True)
class Rules:
    """Which markers count, and at what frequencies.

    Attributes
    ----------
    frequencies : (s,) of the counted alleles, None: the observed ones.
    min_maf : least minor-allele frequency.
    max_missing : greatest share of missing genotypes.
    """

    frequencies: Array | None
    min_maf: float
    max_missing: float


def grm(
    markers: Any,
    method: str = "vanraden1",
    *,
    ids: str | Iterable[Any] | None = None,
    ploidy: int = 2,
    coding: str = "012",
    missing: float | Iterable[float] | None = None,
    frequencies: Any = None,
    min_maf: float = 0.0,
    max_missing: float = 1.0,
) -> GenomicRelationship:
    """The genomic relationship matrix G of n individuals from s markers.

        vanraden1   G = Z Z' / (v sum p q),   Z = X - v p'
        vanraden2   G = mean over the markers of z z' / (v p q)
        centred     G = Z Z' / s

    with X the dosages, p the frequencies of the counted alleles, q = 1 - p and v the ploidy. The markers are taken in blocks, so
    that memory is that of the genotypes as they come and of G. Which of its two alleles a marker counts does not matter.

    Parameters
    ----------
    markers : `Markers`, or the table or array that they are made of, with `ids`, `ploidy`, `coding`, `missing` as `Markers` has
        them.
    frequencies : of the counted alleles, (s,) or a mapping by marker name, such as those of the base population; None: observed
        in these individuals, which makes G singular (its rows sum to 0).
    min_maf : markers whose rarer allele has a lower frequency are left out. Monomorphic ones always are.
    max_missing : markers with a greater share of missing genotypes are left out.

    Missing genotypes count as the mean of their marker. What was left out and filled in is in `.what` and `.basis.counts`.
    With fewer markers than individuals `.root` is W, with G = W W'.

    Raises
    ------
    DataError : genotypes out of range, no marker left, an individual without any genotype, frequencies outside 0 ... 1.

    Source: VanRaden (2008), J. Dairy Sci. 91: 4414-4423; Endelman & Jannink (2012), G3 2: 1405-1413; for polyploids Ashraf et
    al. (2016), Theor. Appl. Genet. 129: 2043-2061.
    """
    how = coding_of(method, ADDITIVE, "grm")
    given = read_markers(markers, ids, ploidy, coding, missing)
    return relationship_of(given, how, read_rules(given, frequencies, min_maf, max_missing))


def read_markers(markers: Any, ids: Any, ploidy: int, coding: str, missing: Any) -> Markers:
    """`Markers` from the arguments that `grm` and `dominance` share."""
    if isinstance(markers, Markers) and (ploidy, coding, missing) != (2, "012", None):
        raise DataError(
            "ploidy=, coding= and missing= belong to a table or an array; these Markers have their own."
        )
    if isinstance(markers, Markers):
        return as_markers(markers, ids)
    return Markers(markers, ids, ploidy=ploidy, coding=coding, missing=missing)


def coding_of(method: str, known: Mapping[str, Coding], of: str) -> Coding:
    if method not in known:
        near = closest(method, known)
        raise DataError(
            f"{of}: no method is called {method!r}."
            + (f" The closest is '{near}'." if near else "")
            + f" There are {', '.join(known)}."
        )
    return known[method]


def read_rules(markers: Markers, frequencies: Any, min_maf: float, max_missing: float) -> Rules:
    """The arguments, checked.

    Raises
    ------
    DataError : a share outside its range, frequencies that are not s numbers in 0 ... 1.
    """
    if not 0 <= min_maf < 0.5:
        raise DataError(f"min_maf is a frequency from 0 to below 0.5, not {min_maf!r}.")
    if not 0 <= max_missing <= 1:
        raise DataError(f"max_missing is a share from 0 to 1, not {max_missing!r}.")
    return Rules(
        None if frequencies is None else _frequencies(markers, frequencies),
        float(min_maf),
        float(max_missing),
    )


def _frequencies(markers: Markers, given: Any) -> Array:
    if hasattr(given, "keys") and hasattr(given, "__getitem__"):
        names = list(given.keys())
        given = np.asarray([given[name] for name in names], dtype=np.float64)[
            match(
                np.array([str(name) for name in names], dtype=object),
                markers.names,
                "frequencies",
                "the markers",
            )
        ]
    try:
        p = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"frequencies: {markers.s} numbers are wanted, not {type(given).__name__}.") from None
    if p.shape != (markers.s,):
        raise DataError(f"frequencies: there are {markers.s} markers and {p.size} frequencies.")
    bad = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if len(bad):
        raise DataError(
            f"frequencies: that of marker '{markers.names[bad[0]]}' is {p[bad[0]]:g}: it lies between 0 and 1."
        )
    return p


def relationship_of(markers: Markers, coding: Coding, rules: Rules) -> GenomicRelationship:
    """K = sum of z z' over the markers that count, over its size."""
    if coding.diploid and markers.ploidy != 2:
        raise DataError(
            f"{coding.label} are defined for diploids; the ploidy is {markers.ploidy}. method='vitezica' takes any."
        )
    n = markers.n
    fits = 8 * n * n <= machine_memory() // 4
    if not fits and markers.s >= n:
        raise DataError(
            f"G of {n} individuals takes {8 * n * n / 2**30:.0f} GiB, more than a quarter of this machine's memory."
        )
    with rows_line(f"{coding.label} of {n:,} individuals, {markers.s:,} markers", "markers") as tick:
        k, basis = _summed(markers, coding, rules, fits, tick)
    if basis.s == 0:
        raise DataError(f"no marker of {markers.s} is left: {basis.said()}.")
    root = basis.columns(markers) if basis.s < n else None
    if k is None:
        assert root is not None
        diagonal = np.square(root).sum(axis=1)
    else:
        diagonal = np.diag(k).copy()
    singular = root is not None or k is None or (rules.frequencies is None and coding in ADDITIVE.values())
    log_det = float("nan") if singular or k is None else dense_log_determinant(k)
    what = f"{coding.label} of {n} individuals from {basis.said()}"
    return GenomicRelationship(markers.ids, None, k, log_det, diagonal, what, root, basis)


def _summed(
    markers: Markers, coding: Coding, rules: Rules, dense: bool, tick: Callable[[int], None]
) -> tuple[Array | None, MarkerBasis]:
    n, v = markers.n, markers.ploidy
    k = CrossProduct(n) if dense else None
    kept, frequencies, sizes = [], [], []
    counts = dict.fromkeys(("monomorphic", "rare", "gaps", "imputed"), 0)
    seen = np.zeros(n, np.int64)
    for start, stop, x in markers.blocks():
        tick(stop - start)
        absent = np.isnan(x)
        gaps = absent.sum(axis=0)
        given = None if rules.frequencies is None else rules.frequencies[start:stop]
        p = _observed(x, gaps, v) if given is None else given
        keep = _screen(p, gaps / n, rules, counts)
        if not keep.any():
            continue
        if not keep.all():
            x, p, gaps, absent = x[:, keep], p[keep], gaps[keep], absent[:, keep]
        if coding.whole:
            _require_whole(x, markers, start + np.flatnonzero(keep), coding)
        size = coding.size(p, v)
        counts["imputed"] += int(gaps.sum())
        seen += x.shape[1] - absent.sum(axis=1)
        if k is not None:
            _add(k, x, p, v, coding, size, absent if gaps.any() else None)
        kept.append(start + np.flatnonzero(keep))
        frequencies.append(p)
        sizes.append(size)
    at = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    p = np.concatenate(frequencies) if kept else np.zeros(0)
    size = np.concatenate(sizes) if kept else np.zeros(0)
    if len(at) and (seen == 0).any():
        raise DataError(
            f"markers: individual '{markers.ids[int(np.argmin(seen))]}' has no genotype at any marker: leave it out."
        )
    total = len(at) if coding.each else size.sum()
    divisor = np.sqrt(size * total) if coding.each else np.full(len(at), np.sqrt(total))
    basis = MarkerBasis(coding, v, markers.names[at], p, divisor, counts)
    if k is None or not len(at):
        return None, basis
    summed = k.total()
    summed /= total
    return summed, basis


def _add(
    k: CrossProduct, x: Array, p: Array, v: int, coding: Coding, size: Array, absent: Array | None
) -> None:
    """z z' of a block of markers, each over its own size where the coding says so."""
    weighted = coding.each and not (size == 1).all()
    if coding in ADDITIVE.values() and not weighted and absent is None and (x == np.rint(x)).all():
        k.add_whole(x, v * p, v)
        return
    z = coding.columns(x, p, v)
    if absent is not None:
        z[absent] = 0.0
    if weighted:
        z /= np.sqrt(size)
    k.add(z)


def _observed(x: Array, gaps: Array, v: int) -> Array:
    """Frequencies of the counted alleles; NaN where nobody has a genotype."""
    if not gaps.any():
        return x.mean(axis=0) / v
    there = len(x) - gaps
    sums = np.nansum(x, axis=0)
    return np.divide(sums, v * there, out=np.full(len(sums), np.nan), where=there > 0)


def _screen(p: Array, share: Array, rules: Rules, counts: dict[str, int]) -> Array:
    """Which markers of a block count; the others are counted by reason."""
    gaps = (share > rules.max_missing) | (share == 1.0)
    monomorphic = ~gaps & ((p == 0) | (p == 1))
    rare = ~gaps & ~monomorphic & (np.minimum(p, 1 - p) < rules.min_maf)
    for key, left_out in (("gaps", gaps), ("monomorphic", monomorphic), ("rare", rare)):
        counts[key] += int(left_out.sum())
    return ~(gaps | monomorphic | rare)


def _require_whole(x: Array, markers: Markers, columns: Array, coding: Coding) -> None:
    bad = np.argwhere((x != np.rint(x)) & ~np.isnan(x))
    if len(bad):
        i, j = bad[0]
        raise DataError(
            f"{coding.label} are made of genotypes, whole numbers; marker '{markers.names[columns[j]]}' of "
            f"'{markers.ids[i]}' is {x[i, j]:g}."
        )
