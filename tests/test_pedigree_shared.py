"""Pedigrees as other programs ship them. They stay out of the repository: these tests skip where they are not at hand."""

from __future__ import annotations

import numpy as np
import pytest
from pedigree_twin import relationships
from reference_cases import SHARED

import henderson as hd
from henderson.errors import DataError

Pedigree = hd.genetics.Pedigree


def shared(name):
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


@pytest.mark.parametrize("name, animals, inbred", [("pedCowsR", 6547, 31), ("pedSires", 352, 29)])
def test_pedigrees_of_pedigreemm(name, animals, inbred):
    p = Pedigree(shared(f"pedigreemm_{name}.csv"), animal="id")
    assert len(p) == animals and int((p.inbreeding > 0).sum()) == inbred
    some = np.flatnonzero(p.inbreeding > 0)
    small = p.prune(p.ids[some])
    a = relationships(*small.parents.T)
    np.testing.assert_allclose(small.inverse.toarray() @ a, np.eye(len(small)), atol=1e-12)
    np.testing.assert_array_equal(small.inbreeding, np.diag(a) - 1)
    np.testing.assert_allclose(
        np.sort(small.inbreeding[small.inbreeding > 0]), np.sort(p.inbreeding[some]), rtol=1e-14
    )


def test_fernando_and_grossman():
    # nadiv::FG90 (Fernando & Grossman 1990, Theor. Appl. Genet. 80: 75-80), with the sexes as 0 and 1.
    p = Pedigree(shared("nadiv_FG90.csv"), animal="id", sex="sex")
    np.testing.assert_allclose(p.relationship_matrix(), relationships(*p.parents.T), rtol=1e-15)
    assert p.inbreeding.max() == 0.28125


def test_warcolak():
    p = Pedigree(shared("nadiv_warcolak.csv"), animal="ID", sire="Sire", dam="Dam", sex="sex")
    assert len(p) == 5400 and not p.inbreeding.any()
    # No inbreeding: log|A| = sum of log 1/2 over those with both parents known.
    assert p.log_determinant == pytest.approx(4800 * np.log(0.5), rel=1e-12)


def test_the_dam_of_247():
    # A pedigree that is passed on with its error: row 570 names the animal as its own dam.
    with pytest.raises(DataError, match=r"'247' \(row 570\) is its own dam"):
        Pedigree(shared("sommer_P_gryphon.csv"), animal="id")
