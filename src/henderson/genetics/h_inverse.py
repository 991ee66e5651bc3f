"""Single step: relationships of genotyped and other individuals in one matrix, by its sparse inverse.

    H^-1 = A^-1 + [0 0; 0 tau G^-1 - omega A22^-1]

the genotyped ones standing in block 2 (Aguilar et al. 2010; Christensen & Lund 2010).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from . import positive
from .conditioning import TUNING, _check_weight, tuned_to
from .pedigree_block import Block, block_among
from .relationship import Relationship, as_relationship

if TYPE_CHECKING:
    import scipy.sparse as sp

Array = np.ndarray


def single_step(
    pedigree: Any,
    G: Any,
    tau: float = 1.0,
    omega: float = 1.0,
    *,
    tuning: str | None = "means",
    blend: float = 0.05,
) -> Relationship:
    """H of all individuals of a pedigree, from the genomic relationships of some.

    Parameters
    ----------
    pedigree : a `Pedigree`, or any relationship by its sparse inverse, in which every id of G is found.
    G : genomic relationships: what `grm` gives, `Markers`, a table or (K, ids).
    tau, omega : weights of G^-1 and of A22^-1.
    tuning : how G is brought to the scale of A22, "means" or "average" (see `tune`); None: it is taken as it is.
    blend : weight of A22 in (1 - blend) G + blend A22, done after tuning; 0 for none, where G is positive definite itself.

    Returns
    -------
    Relationship : with the ids of the pedigree in its order; `precision` is H^-1, log|H| and the diagonal of H come with it.

    Raises
    ------
    DataError : genotyped ids that the pedigree does not have, a G that is still singular, tau and omega that make H indefinite.

    Source: Legarra, Aguilar & Misztal (2009), J. Dairy Sci. 92: 4656-4663; Aguilar et al. (2010), J. Dairy Sci. 93: 743-752;
    Christensen & Lund (2010), Genet. Sel. Evol. 42: 2; tau and omega: Misztal et al. (2010), J. Dairy Sci. 93 (E-Suppl. 1): 533.
    """
    _check_numbers(tau, omega, blend, tuning)
    a = as_relationship(pedigree, "the pedigree")
    if a.precision is None:
        raise DataError(
            f"single_step: the pedigree's relationships are wanted by their sparse inverse; this is {a.what}."
        )
    g = as_relationship(G, "G")
    block = block_among(pedigree, g.ids)
    k, steps = g.dense(), []
    if tuning is not None:
        k, said = tuned_to(k, block.covariance, tuning)
        steps.append(said)
    if blend:
        k = (1 - blend) * k + blend * block.covariance
        steps.append(f"blended with {blend:g} of the pedigree")
    inverse = _inverse(k, blend)
    _require_positive(tau * inverse + (1 - omega) * block.inverse, tau, omega)
    h = _with_block(a.precision, tau * inverse - omega * block.inverse, block)
    log_det, diagonal = positive.precision_summary(h, a.ids, "single_step")
    how = f" ({'; '.join(steps)})" if steps else ""
    return Relationship(
        a.ids, h, None, log_det, diagonal, f"single-step relationships of {a.what} and {g.what}{how}"
    )


def _check_numbers(tau: float, omega: float, blend: float, tuning: str | None) -> None:
    if not (np.isfinite(tau) and tau > 0):
        raise DataError(f"single_step: tau is a weight above 0, not {tau!r}.")
    if not (np.isfinite(omega) and omega >= 0):
        raise DataError(f"single_step: omega is a weight, 0 or above, not {omega!r}.")
    _check_weight(blend)
    if tuning is not None and tuning not in TUNING:
        raise DataError(f"single_step: tuning is one of {', '.join(TUNING)} or None, not {tuning!r}.")


def _inverse(g: Array, blend: float) -> Array:
    found = positive.dense_inverse(g)
    if found is None:
        raise DataError(
            "single_step: G is not positive definite"
            + (
                ": blend it with the pedigree, blend=0.05."
                if not blend
                else f" even blended by {blend:g}; bend it first: hd.genetics.bend(G)."
            )
        )
    return found[0]


def _require_positive(schur: Array, tau: float, omega: float) -> None:
    """H is positive definite where its genotyped block is: (tau G^-1 + (1 - omega) A22^-1)^-1."""
    if not np.isfinite(positive.dense_log_determinant(schur)):
        raise DataError(
            f"single_step: with tau={tau:g} and omega={omega:g} H is not positive definite. An omega above 1 takes more of A22^-1 "
            "away than A^-1 has; lower it."
        )


def _with_block(precision: sp.csc_matrix, block: Array, at: Block) -> sp.csc_matrix:
    """A^-1 with a dense block added in the rows and columns of the genotyped individuals."""
    import scipy.sparse as sp

    n, n2 = precision.shape[0], len(at.positions)
    added = sp.coo_matrix(
        (block.ravel(), (np.repeat(at.positions, n2), np.tile(at.positions, n2))), shape=(n, n)
    )
    total = sp.csc_matrix(precision + added)
    total.sort_indices()
    return total
