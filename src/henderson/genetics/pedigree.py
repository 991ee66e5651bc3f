"""`hd.genetics.Pedigree`: who descends from whom, by id, and the relationships that follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ModelError
from .ancestry import Ancestry, IntArray
from .ancestry_loops import SMALL
from .ids import id_text, match
from .pedigree_labels import texts
from .pedigree_reading import Asked, Read, as_texts, read_pedigree
from .relationship import Relationship

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["UNKNOWN", "Pedigree"]

UNKNOWN = ("", "0", "NA", ".")
"""What means an unknown parent, besides a missing value; numbers by their digits."""

_DENSE = 5_000
"""Animals up to which a singular A is given as a dense matrix."""
_SAME = 1e-12
"""A Mendelian variance below this is none: the animal is what its parents make it."""
_BLOCK = 32


class Pedigree:
    """A pedigree of animals or plants, checked and sorted.

    Parameters
    ----------
    table : any table (pandas, polars, pyarrow ...), a dict of arrays, or a path to CSV or Parquet, one row
        for each individual in any order. Parents without a row of their own become founders (`added`).
    animal, sire, dam : the columns of the ids. Ids are text; whole numbers are written by their digits.
        `dam=None` where only sires are known.
    mgs : column of the maternal grandsire, in place of `dam`: a pedigree of bulls for a sire model.
    unknown : what stands for an unknown parent, besides missing values.
    sex : column to check the parents with: those named as sires have one sex, those named as dams another.
    selfing : column with the generations of selfing after the cross (0 none; infinite: a doubled haploid).
        For founders a number between 0 and 1 is the inbreeding itself. It implies `monoecious`.
    clones : column with the id of the genotype of which an individual is a copy, empty for those that are
        none. Copies have no level of their own: `copies` and `genotype_of` say whose they share, by which
        records are to be grouped. What offspring a copy has is its genotype's.
    groups : genetic groups: labels that stand in the columns of parents for unknown ones. Every animal then
        has its share of each group, `genetic_group_fractions`, for the fixed part of a model, and
        `relationship` is that of what remains; or see `group_variance`.
    group_variance : var(group) / var(animal): the groups become random levels of `relationship` beside the
        animals, whose effects then include their groups'.
    monoecious : an individual may be sire here and dam there, and both of one offspring.

    Raises
    ------
    DataError : loops, individuals that are their own parent, ids that occur twice with different entries,
        parents of two sexes, columns or ids that are not there: with ids and rows, and what to write.

    Notes
    -----
    `ids` has the parents before their offspring: the table's order (added parents in front) where that is so
    already, else by generation. Everything else counts in that order.
    """

    def __init__(
        self,
        table: Any,
        animal: str = "animal",
        sire: str = "sire",
        dam: str | None = "dam",
        *,
        mgs: str | None = None,
        unknown: Iterable[Any] = UNKNOWN,
        sex: str | None = None,
        selfing: str | None = None,
        clones: str | None = None,
        groups: Iterable[Any] = (),
        group_variance: float | None = None,
        monoecious: bool = False,
    ):
        if mgs is not None and dam not in (None, "dam"):
            raise DataError(
                f"pedigree: dam={dam!r} and mgs={mgs!r} are two ways to name the dam's side: give one."
            )
        for name, given in (("unknown", unknown), ("groups", groups)):
            if isinstance(given, str):
                raise DataError(f"pedigree: {name}={given!r} is one label; write {name}=({given!r},).")
        if group_variance is not None and not (np.isfinite(group_variance) and group_variance > 0):
            raise DataError(f"pedigree: group_variance={group_variance!r} is a ratio of variances, above 0.")
        asked = Asked(
            animal, sire, dam, mgs, as_texts(unknown), sex, selfing, clones, as_texts(groups), monoecious
        )
        if group_variance is not None and not asked.groups:
            raise DataError("pedigree: group_variance= needs groups=, the labels of the genetic groups.")
        self._set(read_pedigree(table, asked), asked.groups, group_variance)

    def _set(self, read: Read, groups: tuple[str, ...], group_variance: float | None) -> None:
        self._read = read
        self._ancestry = read.ancestry
        self.groups = groups
        self.group_variance = group_variance

    @classmethod
    def from_arrays(cls, sire: Any, dam: Any, ids: Iterable[Any] | None = None) -> Pedigree:
        """Of positions: sire and dam of each animal, (n,) integers, -1 unknown, parents before their
        offspring.

        Parameters
        ----------
        ids : (n,) unique; 1 ... n where none are given.

        Raises
        ------
        DataError : a parent that does not come before its offspring, or ids that are not n.
        """
        first, second = (np.asarray(p) for p in (sire, dam))
        n = first.size
        if (
            first.shape != (n,)
            or second.shape != (n,)
            or n == 0
            or first.dtype.kind + second.dtype.kind not in ("ii", "iu", "ui")
        ):
            raise DataError(
                "pedigree: sire and dam are integer arrays of one length, -1 where the parent is not known."
            )
        for name, parent in (("sire", first), ("dam", second)):
            bad = np.flatnonzero((parent < -1) | (parent >= np.arange(n)))
            if bad.size:
                raise DataError(
                    f"pedigree: the {name} of animal {bad[0]} (the first is 0) is {parent[bad[0]]}: a"
                    " position before its own is wanted, or -1. hd.genetics.Pedigree(table) takes any order."
                )
        if ids is None:
            labels: NDArray = np.arange(1, n + 1)
        else:
            from .ids import read_ids

            labels = read_ids(ids, n, "pedigree")
        out = cls.__new__(cls)
        ancestry = Ancestry(first.astype(np.int32), second.astype(np.int32))
        out._set(Read(ancestry, labels, np.zeros(0, np.int32), 0, None, {}, "pandas"), (), None)
        return out

    def __len__(self) -> int:
        return self._ancestry.n

    def __repr__(self) -> str:
        from .pedigree_text import one_line

        return one_line(self)

    def describe(self) -> str:
        """Animals, founders, parents, generations, inbreeding: a text to print."""
        from .pedigree_text import description

        return description(self)

    @cached_property
    def ids(self) -> NDArray[np.object_]:
        """(n,) text, parents before their offspring."""
        return texts(self._read.labels)

    @property
    def parents(self) -> IntArray:
        """(n, 2) positions in `ids` of sire and dam (or maternal grandsire); -1 where unknown."""
        return np.stack([self._ancestry.first, self._ancestry.second], axis=1)

    @property
    def added(self) -> tuple[str, ...]:
        """Ids of parents that had no row of their own."""
        return tuple(texts(self._read.labels[self._read.added]))

    @property
    def duplicates(self) -> int:
        """Rows that said again what another row said."""
        return self._read.duplicates

    @property
    def copies(self) -> Mapping[str, str]:
        """Clone id -> the id of its genotype."""
        return self._read.copies

    @cached_property
    def generations(self) -> IntArray:
        """(n,) 0 for founders, else one more than the later parent's."""
        return self._ancestry.generations()

    @cached_property
    def _coefficients(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        from .inbreeding import inbreeding

        return inbreeding(self._ancestry)

    @property
    def inbreeding(self) -> NDArray[np.float64]:
        """F, (n,): the diagonal of A less 1."""
        return self._coefficients[0]

    @property
    def mendelian_variances(self) -> NDArray[np.float64]:
        """D, (n,): the variance of each animal that its parents do not explain, relative to that of the
        founders; A = T D T'."""
        return self._coefficients[1]

    @property
    def log_determinant(self) -> float:
        """log|A|, -inf where A is singular."""
        variances = self.mendelian_variances
        return float(np.log(variances).sum()) if (variances > _SAME).all() else -np.inf

    @property
    def table(self) -> Any:
        """animal, sire, dam (or maternal grandsire), generation, inbreeding: a row for each individual, in
        the caller's library."""
        from ..frame import give_back

        parents = self.parents
        ids = np.empty(len(self) + 1, dtype=object)
        ids[:-1] = self.ids
        second = "dam" if self._ancestry.shares[1] == 0.5 else "mgs"
        columns = {"animal": self.ids, "sire": ids[parents[:, 0]], second: ids[parents[:, 1]]}
        columns |= {"generation": self.generations, "inbreeding": self.inbreeding}
        return give_back(columns, self._read.library)

    @cached_property
    def inverse(self) -> sp.csc_matrix:
        """A^-1, (n, n), both triangles, by Henderson's rules with inbreeding.

        Raises
        ------
        ModelError : A is singular: an individual has no Mendelian variance of its own (the offspring of fully
            inbred parents).
        """
        from .ainverse import inverse

        self._refuse_singular("A^-1")
        return inverse(self._ancestry, self.mendelian_variances)

    @cached_property
    def inverse_with_groups(self) -> sp.csc_matrix:
        """A*^-1, (n + groups, n + groups), the animals first: for mixed-model equations with fixed groups, by
        the QP transformation.

        It is singular (rank n): the equations of the groups are solved like those of fixed effects.

        Raises
        ------
        ModelError : no groups, or A is singular.
        """
        from .ainverse import inverse

        groups = self._groups()
        self._refuse_singular("A*^-1")
        return inverse(self._ancestry, self.mendelian_variances, groups, len(self.groups))

    @cached_property
    def relationship(self) -> Relationship:
        """What `vm(animal, A)` takes: A^-1 with its ids, log|A| and diagonal.

        With `group_variance` the groups are levels too, after the animals. Where A is singular it is given as
        a dense matrix.

        Raises
        ------
        ModelError : A is singular and too large to be held.
        """
        if self.groups and self.group_variance is not None:
            return self._with_groups(self.group_variance)
        what = f"a pedigree of {len(self):,} {'animals' if len(self) != 1 else 'animal'}"
        diagonal = 1.0 + self.inbreeding
        if (self.mendelian_variances <= _SAME).any() and len(self) <= _DENSE:
            from .inbreeding import tabular

            return Relationship(self.ids, None, tabular(self._ancestry), np.nan, diagonal, what)
        return Relationship(self.ids, self.inverse, None, self.log_determinant, diagonal, what)

    def _with_groups(self, variance: float) -> Relationship:
        from .groups import fractions, random_groups_precision

        groups, g = self._groups(), len(self.groups)
        self._refuse_singular("A*^-1")
        precision = random_groups_precision(self._ancestry, self.mendelian_variances, groups, g, variance)
        q = fractions(self._ancestry, groups, g)
        diagonal = np.concatenate(
            [1.0 + self.inbreeding + variance * (q * q).sum(axis=1), np.full(g, variance)]
        )
        what = f"a pedigree of {len(self):,} animals and {g} genetic {'groups' if g > 1 else 'group'}"
        ids = np.concatenate([self.ids, np.array(self.groups, dtype=object)])
        log_det = self.log_determinant + g * float(np.log(variance))
        return Relationship(ids, precision, None, log_det, diagonal, what)

    def _groups(self) -> IntArray:
        if self._read.groups is None:
            raise ModelError(
                "this pedigree has no genetic groups: name the labels that stand for unknown parents,"
                " groups=['G1', 'G2']."
            )
        return self._read.groups

    def _refuse_singular(self, what: str) -> None:
        none = np.flatnonzero(self.mendelian_variances <= _SAME)
        if none.size:
            some = ", ".join(f"'{t}'" for t in texts(self._read.labels[none[:5]])) + (
                " ..." if none.size > 5 else ""
            )
            raise ModelError(
                f"{what} does not exist: {none.size} of the {len(self):,} individuals are exactly what their"
                f" fully inbred parents make them ({some}), so that A is singular.\nWhere they are one"
                " genotype with a parent, name it with clones=; else give the lines a finite number of"
                f" generations of selfing (8 leaves 0.4 % of the heterozygosity). Up to {_DENSE:,}"
                " individuals `relationship` holds A itself."
            )

    def genetic_group_fractions(self, ids: Iterable[Any] | None = None) -> Any:
        """The share each animal has of each group, Q: a table (animal, a column for each group) in the
        caller's library.

        Parameters
        ----------
        ids : of the rows wanted, in any order and number (the column of a data table); all animals where none
            are given.

        Raises
        ------
        ModelError : no groups.    DataError : an id that is not in the pedigree.
        """
        from ..frame import give_back
        from .groups import fractions

        q = fractions(self._ancestry, self._groups(), len(self.groups))
        at = np.arange(len(self)) if ids is None else self._places(ids)
        return give_back(
            {"animal": self.ids[at]} | {g: q[at, k] for k, g in enumerate(self.groups)}, self._read.library
        )

    def genotype_of(self, ids: Iterable[Any]) -> NDArray[np.object_]:
        """The id under which each individual stands in `ids`: for a clone its genotype's, for others their
        own. Text, as many as given.

        Raises
        ------
        DataError : an id that is not in the pedigree.
        """
        return self.ids[self._places(ids)]

    def _places(self, ids: Iterable[Any]) -> IntArray:
        asked = [ids] if isinstance(ids, str) else list(ids)
        wanted = [self.copies.get(text, text) for text in map(id_text, asked)]
        found = np.fromiter((self._place.get(text, -1) for text in wanted), np.int32, len(wanted))
        if (found < 0).any():
            match(self.ids, wanted, "the pedigree", "ids")
        return found

    @cached_property
    def _place(self) -> dict[str, int]:
        return dict(zip(self.ids.tolist(), range(len(self)), strict=True))

    def prune(self, ids: Iterable[Any]) -> Pedigree:
        """The pedigree of these individuals and their ancestors.

        Inbreeding and relationships among them are those of the whole pedigree.

        Raises
        ------
        DataError : an id that is not in the pedigree.
        """
        keep = self._ancestry.ancestors(self._places(ids))
        read = self._read
        old = np.zeros(len(self), np.bool_)
        old[read.added] = True
        groups, names = read.groups, self.groups
        if groups is not None:
            groups = groups[keep]
            used = np.unique(groups[groups >= 0])
            renumbered = np.full(len(names) + 1, -1, np.int32)
            renumbered[used] = np.arange(used.size, dtype=np.int32)
            groups, names = renumbered[groups], tuple(names[k] for k in used)
        left = set(texts(read.labels[keep]).tolist()) if read.copies else set()
        copies = {clone: genotype for clone, genotype in read.copies.items() if genotype in left}
        out = Pedigree.__new__(Pedigree)
        added = np.flatnonzero(old[keep]).astype(np.int32)
        out._set(
            Read(self._ancestry.subset(keep), read.labels[keep], added, 0, groups, copies, read.library),
            names,
            self.group_variance if names else None,
        )
        return out

    def relationship_matrix(self, ids: Iterable[Any] | None = None) -> NDArray[np.float64]:
        """A among these individuals (all of them where none are named), dense, in the order given.

        Only their ancestors are looked at; where those are many, column by column (Colleau 2002, Genet. Sel.
        Evol. 34: 409-421).

        Raises
        ------
        DataError : an id that is not in the pedigree.
        """
        at = np.arange(len(self), dtype=np.int32) if ids is None else self._places(ids)
        if len(self) > SMALL and at.size < len(self):
            keep = self._ancestry.ancestors(at)
            part, place = self._ancestry.subset(keep), (np.cumsum(keep) - 1)[at]
        else:
            part, place = self._ancestry, at
        if part.n <= SMALL:
            from .inbreeding import tabular

            return tabular(part)[np.ix_(place, place)]
        variances = self.mendelian_variances if part is self._ancestry else self.mendelian_variances[keep]
        out = np.empty((at.size, at.size))
        for begin in range(0, at.size, _BLOCK):
            some = place[begin : begin + _BLOCK]
            unit = np.zeros((part.n, some.size))
            unit[some, np.arange(some.size)] = 1.0
            out[:, begin : begin + some.size] = part.down(variances[:, None] * part.up(unit))[place]
        return out

    def kinship(self, ids: Iterable[Any] | None = None) -> NDArray[np.float64]:
        """Coefficients of coancestry among these individuals: half of `relationship_matrix`."""
        return self.relationship_matrix(ids) / 2.0

    def times(self, v: Any) -> NDArray[np.float64]:
        """A v, for v (n,) or (n, r) in the order of `ids`, in linear time.

        Raises
        ------
        DataError : v has not a row for each individual.
        """
        x = np.asarray(v, dtype=np.float64)
        if x.ndim not in (1, 2) or len(x) != len(self):
            raise DataError(
                f"pedigree: a vector of {len(self):,} numbers is wanted, one for each individual; it has"
                f" shape {x.shape}."
            )
        d = self.mendelian_variances if x.ndim == 1 else self.mendelian_variances[:, None]
        return self._ancestry.down(d * self._ancestry.up(x))

    def simulate(
        self, variance: Any = 1.0, seed: int | np.random.Generator | None = None
    ) -> NDArray[np.float64]:
        """Breeding values u ~ N(0, A variance), dropped from founders to offspring with Mendelian sampling.

        Parameters
        ----------
        variance : of the founders: one number, or for t traits a covariance matrix (t, t).
        seed : of NumPy's generator, or a generator.

        Returns
        -------
        (n,), or (n, t), in the order of `ids`.

        Raises
        ------
        DataError : a variance below 0, or a matrix that is not symmetric or has an eigenvalue below 0.
        """
        root = _square_root(variance)
        rng = np.random.default_rng(seed)
        own = rng.standard_normal((len(self), root.shape[0])) * np.sqrt(self.mendelian_variances)[:, None]
        u = self._ancestry.down(own @ root.T)
        return u[:, 0] if np.ndim(variance) == 0 else u


def _square_root(variance: Any) -> NDArray[np.float64]:
    """L with L L' = variance, (t, t)."""
    given = np.asarray(variance, dtype=np.float64)
    matrix = given.reshape(1, 1) if given.ndim == 0 else given
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise DataError(
            f"simulate: variance= is a number or a square matrix of numbers; it has shape {given.shape}."
        )
    scale = float(np.abs(matrix).max())
    if np.abs(matrix - matrix.T).max() > 1e-10 * scale:
        raise DataError("simulate: the covariance matrix is not symmetric.")
    values, vectors = np.linalg.eigh(matrix)
    if values[0] < -1e-10 * scale:
        raise DataError(
            f"simulate: a variance below 0: the covariance matrix has the eigenvalue {values[0]:g}."
        )
    return vectors * np.sqrt(np.maximum(values, 0.0))
