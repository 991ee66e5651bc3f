"""The model in standard coordinates (see `mixed.standardise`): rows, terms and the residual's precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ModelError
from ...linear.coordinates import Coordinates, basis_with_rows_left, standard_response
from ...precisions.base import Precision
from ...structures.base import Structure

if TYPE_CHECKING:
    import scipy.sparse as sp

    from .rotation import Rotation


@dataclass(frozen=True, eq=False)
class Term:
    """One random term: user's effects are y_scale * (lift (x) B) @ ours.

    Attributes
    ----------
    z : (rows, q m) CSR, column level * m + effect, in our coordinates.
    precision : K^-1 among the q levels; None for independent ones.
    back : B (m, m).
    lift : (levels of the user, q) where K = lift lift' is singular and its null directions are left out; else None.
    alone : (levels of the user,) what a lift leaves of K's diagonal: levels without records, of which the others tell a part only.
    between : (u, u) what it leaves among the u levels where `alone` is positive.
    prior : whether the effects have a distribution. False for the rows of a grid without data, which are integrated out as
        unpenalised effects.
    """

    z: sp.csr_matrix
    q: int
    structure: Structure
    precision: Precision | None
    back: np.ndarray
    lift: np.ndarray | None = None
    alone: np.ndarray | None = None
    prior: bool = True
    between: np.ndarray | None = None

    @property
    def m(self) -> int:
        return self.structure.m

    @property
    def r(self) -> int:
        """Columns of T."""
        return int(self.structure.pattern.shape[1])


@dataclass(frozen=True, eq=False)
class Model:
    """What the equations are formed from. Rows: those of the residual's precision where it has more than the data.

    Attributes
    ----------
    x : (rows, rank), orthonormal; y : (rows,), orthogonal to x, mean square 1 over the data; zero where there are no data.
    places : which row each row of the data is; None when they are the same.
    residual : R^-1, or None for independent rows of one variance.
    n : rows of data.
    rotation : of the rows by the eigenvectors of a dense K (see `rotation`), or None.
    """

    x: np.ndarray
    y: np.ndarray
    terms: tuple[Term, ...]
    residual: Precision | None
    coordinates: Coordinates
    places: np.ndarray | None
    root_weights: np.ndarray | None
    n: int
    rotation: Rotation | None = None
    row_scale: np.ndarray | None = None
    """(rows of data,) what rows were divided by besides (see `residual_absolute.Absolute.scaled_rows`)."""

    @property
    def random(self) -> tuple[Term, ...]:
        """The user's terms, without the rows that are integrated out."""
        return tuple(t for t in self.terms if t.prior)


@dataclass(frozen=True, eq=False)
class RawTerm:
    """A term before it is put in standard coordinates: z as the user has it."""

    z: sp.csr_matrix
    q: int
    structure: Structure
    precision: Precision | None
    text: str
    effects: tuple[str, ...]
    lift: np.ndarray | None = None


class _Free:
    """T = 1: one effect without a parameter."""

    name, m, n_parameters, basis = "free", 1, 0, "scalar"
    pattern = np.ones((1, 1), dtype=bool)
    scaling = np.zeros(0, dtype=bool)
    lower = upper = np.zeros(0)

    def factor(self, theta: np.ndarray) -> np.ndarray:
        return np.ones((1, 1))

    def derivatives(self, theta: np.ndarray) -> np.ndarray:
        return np.zeros((0, 1, 1))


def standardise(
    x: np.ndarray,
    y: np.ndarray,
    offset: np.ndarray | None,
    weights: np.ndarray | None,
    terms: tuple[RawTerm, ...],
    residual: Precision | None,
    row_scale: np.ndarray | None = None,
) -> Model:
    """Change of coordinates: rows times the root of their weights, X orthonormal, y its residual of mean square 1, effects
    of unit mean square."""
    import scipy.sparse as sp

    root = None if weights is None else np.sqrt(weights)
    if row_scale is not None:
        root = (1.0 if root is None else root) / row_scale
    basis = basis_with_rows_left(x if root is None else x * root[:, None])
    standard, projection, y_scale = standard_response(basis.q, y, offset, root)
    made = [_standard_term(term, root) for term in terms]
    n = len(y)
    places = None if residual is None else residual.places
    q = basis.q
    if places is not None and residual is not None:
        total = residual.n
        spread = sp.csr_matrix((np.ones(n), (places, np.arange(n))), shape=(total, n))
        q, standard = np.asarray(spread @ q), np.asarray(spread @ standard)
        made = [_moved(term, spread) for term in made]
        absent = np.setdiff1d(np.arange(total), places)
        if len(absent):
            z = sp.csr_matrix(
                (np.ones(len(absent)), (absent, np.arange(len(absent)))), shape=(total, len(absent))
            )
            made.append(Term(z, len(absent), _Free(), None, np.eye(1), None, prior=False))  # type: ignore[arg-type]
    log_weights = 0.0 if root is None else 2.0 * float(np.sum(np.log(root)))
    back = tuple(t.back for t in made if t.prior)
    coordinates = Coordinates(n, basis.r, basis.kept, basis.dropped, projection, y_scale, log_weights, back)
    return Model(q, standard, tuple(made), residual, coordinates, places, root, n, row_scale=row_scale)


def _moved(term: Term, spread: sp.csr_matrix) -> Term:
    return Term(
        (spread @ term.z).tocsr(),
        term.q,
        term.structure,
        term.precision,
        term.back,
        term.lift,
        prior=term.prior,
    )


def _standard_term(term: RawTerm, root: np.ndarray | None) -> Term:
    import scipy.sparse as sp

    z = term.z
    if root is not None:
        z = sp.diags(root) @ z
    z = z.tocsr()
    m = term.structure.m
    squares = np.bincount(z.indices % m, weights=z.data**2, minlength=m)
    if not np.all(squares > 0):
        effect = term.effects[int(np.argmin(squares))]
        raise ModelError(
            f"The effect '{effect}' of {term.text} is zero in every row: its variance cannot be estimated."
        )
    # An effect's mean square over the rows it has entries in: a column of ones, however rare, is its own unit.
    counts = np.bincount((z.indices % m)[z.data != 0], minlength=m)
    mean_square = squares / counts
    if term.structure.basis == "scalar":
        scale = np.full(m, np.sqrt(squares.sum() / counts.sum()))
    else:
        scale = np.sqrt(mean_square)
    if np.any(scale != 1.0):
        z = sp.csr_matrix((z.data / scale[z.indices % m], z.indices, z.indptr), shape=z.shape)
    return Term(z, term.q, term.structure, term.precision, np.diag(1.0 / scale), term.lift)
