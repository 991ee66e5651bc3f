"""Where everything is: which scalars of C~ are structurally there, their order, and their places in the factor. Once for a model.

Entries of A = Z'R^-1 Z are kept in blocks: a `Block` holds, for a pair of terms, which entries of A make the (m_k, m_l) blocks of
the pairs of levels that meet, and where the scalars of T_k' A T_l are in the panels of the factor. What the patterns of T, K and R
leave at zero is not stored: of a factor-analytic term the effects behind the specific variances are independent of one another
given the common factors, and the ordering finds that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ... import sparse
from ...sparse import Symbolic
from .model import Term
from .weighted import Weighted

_DENSE_ORDER = 400
_DENSE_SHARE = 0.2
"""Random effects up to which, and share of their square from which, one dense front is taken."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Term k by term l: the entries of A in the blocks of their pairs of levels.

    Attributes
    ----------
    own : whether the two levels are one: the diagonal blocks of a term.
    rows, cols : (nb,) the levels.
    entry, at : (entries,) entries of A, and where each is in blocks (nb, m_k, m_l), flat. A diagonal block has both halves.
    """

    k: int
    l: int
    own: bool
    rows: np.ndarray
    cols: np.ndarray
    entry: np.ndarray
    at: np.ndarray

    def blocks(self, values: np.ndarray, mk: int, ml: int) -> np.ndarray:
        """(nb, m_k, m_l) out of A's entries."""
        if mk == ml == 1:
            return values[self.entry].reshape(-1, 1, 1)
        out = np.zeros(len(self.rows) * mk * ml)
        out[self.at] = values[self.entry]
        return out.reshape(len(self.rows), mk, ml)


@dataclass(frozen=True, eq=False)
class Block:
    """`pairs`, and the scalars of T_k' A T_l: shape (nb, r_k, r_l); present, the flat numbers of those that are not structurally
    zero; places, where these are in the panels."""

    pairs: Pairs
    shape: tuple[int, int, int]
    present: np.ndarray
    places: np.ndarray

    @property
    def whole(self) -> bool:
        """Whether no scalar is structurally zero."""
        return len(self.places) == self.shape[0] * self.shape[1] * self.shape[2]

    def put(self, panels: np.ndarray, scaled: np.ndarray) -> None:
        """Write T_k' A T_l (nb, r_k, r_l) to its places."""
        panels[self.places] = scaled.ravel() if self.whole else scaled.ravel()[self.present]

    def take(self, panels: np.ndarray) -> np.ndarray:
        """(nb, r_k, r_l) out of the panels; structural zeros are 0."""
        if self.whole:
            return panels[self.places].reshape(self.shape)
        out = np.zeros(int(np.prod(self.shape)))
        out[self.present] = panels[self.places]
        return out.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Pattern:
    """The places of C~'s parts in the panels of `symbolic`.

    Attributes
    ----------
    blocks : T'AT by pairs of terms.
    priors : for each term (nnz of K^-1, r) flat, or None where its effects have no distribution.
    within : for each term (q, r, r), -1 where no record of any level couples two columns of T.
    borders : for each term (q, r, p + 1) flat: its rows of [X y].
    corner : of the lower triangle of [X y]'[X y].
    """

    symbolic: Symbolic
    blocks: tuple[Block, ...]
    priors: tuple[np.ndarray | None, ...]
    within: tuple[np.ndarray, ...]
    borders: tuple[np.ndarray, ...]
    corner: np.ndarray

    @property
    def dense(self) -> bool:
        """Whether the factor is one dense front."""
        return self.symbolic.method == "dense"


Equation = tuple[np.ndarray, np.ndarray]
"""Rows and columns of scalars of C~."""


def pattern_of(
    terms: tuple[Term, ...], weighted: Weighted, border: int, method: str | None = None
) -> Pattern:
    """Order and analyse C~ of these terms beside `border` columns of [X y]."""
    offsets = effect_offsets(terms)
    q = int(offsets[-1])
    n, tail = q + border, np.arange(q, q + border)
    pairs = list(level_pairs(terms, weighted))
    scalars = [_scalars(terms, offsets, each) for each in pairs]
    prior = [_prior(term, int(lo)) for term, lo in zip(terms, offsets, strict=False)]
    coupled = [_coupled(k, term, pairs, scalars) for k, term in enumerate(terms)]
    entries = [(r, c) for r, c, _, _ in scalars] + [each for each in prior if each is not None]
    entries += [
        _within(term, int(lo), which) for term, lo, which in zip(terms, offsets, coupled, strict=False)
    ]
    if method is None:
        many = sum(len(r) for r, _ in entries) > _DENSE_SHARE * q**2
        method = "dense" if q <= _DENSE_ORDER or many else "amd"
    if method == "dense":
        coupled = [np.ones((term.r, term.r), dtype=bool) for term in terms]
        entries = []
    entries.append((np.tile(tail, n), np.repeat(np.arange(n), border)))
    rows, cols = (np.concatenate(side) for side in zip(*entries, strict=True))
    symbolic = sparse.analyze(n, rows, cols, tail=border, method=method)
    del rows, cols, entries
    at = symbolic.positions
    return Pattern(
        symbolic,
        tuple(Block(p, s, present, at(r, c)) for p, (r, c, s, present) in zip(pairs, scalars, strict=True)),
        tuple(None if each is None else at(*each) for each in prior),
        tuple(
            _places_within(term, int(lo), which, symbolic)
            for term, lo, which in zip(terms, offsets, coupled, strict=False)
        ),
        tuple(
            at(np.tile(tail, hi - lo), np.repeat(np.arange(lo, hi), border)) for lo, hi in pairwise(offsets)
        ),
        at(*(tail[side] for side in np.tril_indices(border))),
    )


def effect_offsets(terms: tuple[Term, ...]) -> np.ndarray:
    """First equation of each term: q r of them, behind T; and after them of X."""
    return np.concatenate([[0], np.cumsum([t.q * t.r for t in terms])]).astype(np.int64)


def column_offsets(terms: tuple[Term, ...]) -> np.ndarray:
    """First column of Z of each term: q m of them."""
    return np.concatenate([[0], np.cumsum([t.q * t.m for t in terms])]).astype(np.int64)


def level_pairs(terms: tuple[Term, ...], weighted: Weighted) -> Iterator[Pairs]:
    """The entries of A by pair of terms and pair of levels."""
    offsets = column_offsets(terms)
    term_r = np.searchsorted(offsets, weighted.rows, side="right") - 1
    term_c = np.searchsorted(offsets, weighted.cols, side="right") - 1
    code = term_r * len(terms) + term_c
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(len(terms) ** 2 + 1))
    for k in range(len(terms)):
        for l in range(k + 1):
            entry = order[starts[k * len(terms) + l] : starts[k * len(terms) + l + 1]]
            if not len(entry):
                continue
            level_k, e = np.divmod(weighted.rows[entry] - offsets[k], terms[k].m)
            level_l, f = np.divmod(weighted.cols[entry] - offsets[l], terms[l].m)
            same = (level_k == level_l) if k == l else np.zeros(len(entry), dtype=bool)
            if same.any():
                lk, ee, ff, own = level_k[same], e[same], f[same], entry[same]
                off = ee != ff
                lk, own = np.concatenate([lk, lk[off]]), np.concatenate([own, own[off]])
                ee, ff = np.concatenate([ee, ff[off]]), np.concatenate([ff, ee[off]])
                yield _grouped(terms, k, k, True, lk, lk, ee, ff, own)
            if not same.all():
                rest = ~same
                yield _grouped(
                    terms, k, l, False, level_k[rest], level_l[rest], e[rest], f[rest], entry[rest]
                )


def _grouped(terms, k, l, own, level_k, level_l, e, f, entry) -> Pairs:
    mk, ml, ql = terms[k].m, terms[l].m, terms[l].q
    if mk == ml == 1:
        return Pairs(k, l, own, level_k, level_l, entry, np.arange(len(entry)))
    met, index = np.unique(level_k.astype(np.int64) * ql + level_l, return_inverse=True)
    return Pairs(k, l, own, met // ql, met % ql, entry, index * (mk * ml) + e * ml + f)


def _scalars(
    terms: tuple[Term, ...], offsets: np.ndarray, pairs: Pairs
) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int], np.ndarray]:
    """Equations (rows, cols) of the scalars of T_k' A T_l that may differ from zero, the shape of all, and which of them they are."""
    tk, tl = terms[pairs.k], terms[pairs.l]
    shape = (len(pairs.rows), tk.r, tl.r)
    if tk.m == tl.m == tk.r == tl.r == 1:
        first = offsets[pairs.k] + pairs.rows, offsets[pairs.l] + pairs.cols
        return *first, shape, np.arange(len(pairs.rows))
    there = np.zeros(len(pairs.rows) * tk.m * tl.m, dtype=np.float32)
    there[pairs.at] = 1.0
    pk, pl = tk.structure.pattern.astype(np.float32), tl.structure.pattern.astype(np.float32)
    present = np.flatnonzero(pk.T @ there.reshape(len(pairs.rows), tk.m, tl.m) @ pl > 0)
    r = offsets[pairs.k] + pairs.rows[:, None, None] * tk.r + np.arange(tk.r)[:, None]
    c = offsets[pairs.l] + pairs.cols[:, None, None] * tl.r + np.arange(tl.r)
    return (
        np.broadcast_to(r, shape).ravel()[present],
        np.broadcast_to(c, shape).ravel()[present],
        shape,
        present,
    )


def _prior(term: Term, first: int) -> Equation | None:
    """The equations that K^-1 (x) I couples; None where the effects have no distribution."""
    if not term.prior:
        return None
    levels = np.arange(term.q)
    rows, cols = (levels, levels) if term.precision is None else (term.precision.rows, term.precision.cols)
    s = np.arange(term.r)
    return (first + rows[:, None] * term.r + s).ravel(), (first + cols[:, None] * term.r + s).ravel()


def _coupled(k: int, term: Term, pairs: list[Pairs], scalars: list) -> np.ndarray:
    """Which columns of T the records of some level couple, (r, r): their inverse is asked for in every level."""
    out = np.eye(term.r, dtype=bool)
    for each, (_, _, shape, present) in zip(pairs, scalars, strict=True):
        if each.own and each.k == k and term.r > 1:
            there = np.zeros(int(np.prod(shape)), dtype=bool)
            there[present] = True
            out |= there.reshape(shape).any(axis=0)
    return out


def _within(term: Term, first: int, coupled: np.ndarray) -> Equation:
    a, b = np.nonzero(coupled)
    level = first + np.arange(term.q)[:, None] * term.r
    return (level + a).ravel(), (level + b).ravel()


def _places_within(term: Term, first: int, coupled: np.ndarray, symbolic: Symbolic) -> np.ndarray:
    places = np.full((term.q, term.r, term.r), -1, dtype=np.int64)
    a, b = np.nonzero(coupled)
    places[:, a, b] = symbolic.positions(*_within(term, first, coupled)).reshape(term.q, len(a))
    return places
