"""PLINK files, written by bed-reader and read in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.errors import DataError, NotAvailableError
from henderson.genetics import markers
from henderson.genetics.genomic import grm
from henderson.genetics.plink import read_plink


@pytest.fixture
def written(tmp_path):
    bed_reader = pytest.importorskip("bed_reader", reason="bed-reader is not installed")
    x = np.random.default_rng(3).integers(0, 3, (11, 23)).astype(float)
    x[2, 5] = x[7, 0] = np.nan
    properties = {
        "fid": ["f1"] * 6 + ["f2"] * 5,
        "iid": [f"i{k}" for k in range(11)],
        "sid": [f"rs{k}" for k in range(22)] + ["."],
        "chromosome": ["3"] * 23,
        "bp_position": list(range(100, 123)),
    }
    path = tmp_path / "some.bed"
    bed_reader.to_bed(path, x, properties=properties)
    return path, x, bed_reader, properties


def test_read(written):
    path, x, _, _ = written
    m = read_plink(path)
    np.testing.assert_array_equal(m.block(0, 23), x)
    np.testing.assert_array_equal(m.block(4, 9), x[:, 4:9])
    assert m.ids[10] == "i10"
    assert list(m.names[[0, 22]]) == ["rs0", "3:122"]
    np.testing.assert_array_equal(read_plink(str(path)[:-4]).block(0, 23), x)
    np.testing.assert_array_equal(read_plink(path, count_a1=False).block(0, 23), 2 - x)


def test_g_of_a_file_is_g_of_its_genotypes(written, monkeypatch):
    path, x, _, _ = written
    monkeypatch.setattr(markers, "BLOCK_BYTES", 8 * 11 * 4)
    np.testing.assert_allclose(grm(read_plink(path)).covariance, grm(x, ids=range(11)).covariance, atol=1e-14)


def test_ids_of_several_families(written):
    path, x, bed_reader, properties = written
    bed_reader.to_bed(path, x, properties=properties | {"iid": [f"i{k}" for k in [*range(6), *range(5)]]})
    with pytest.raises(DataError, match=r"'i0' occurs twice.*family=True"):
        read_plink(path)
    assert list(read_plink(path, family=True).ids[[0, 6]]) == ["f1:i0", "f2:i0"]


def test_files_that_are_not_there_or_no_bed(written):
    path, *_ = written
    with pytest.raises(DataError, match=r"no file '.*none\.bed'"):
        read_plink(path.with_name("none"))
    path.write_bytes(b"not a bed file")
    with pytest.raises(DataError, match="cannot be read as PLINK genotypes"):
        read_plink(path)
    path.with_suffix(".fam").unlink()
    with pytest.raises(DataError, match=r"some\.fam"):
        read_plink(path)


def test_without_bed_reader_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "bed_reader", None)
    with pytest.raises(NotAvailableError, match=r"pip install 'henderson\[plink\]'"):
        read_plink("x.bed")
