"""PLINK's binary genotypes (.bed, .bim, .fam), read through bed-reader as they are needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import DataError, NotAvailableError
from .ids import id_array
from .markers import Markers

_MISSING = -127


def read_plink(path: str | Path, *, count_a1: bool = True, family: bool = False) -> Markers:
    """Markers of a PLINK 1 .bed file, with its .bim and .fam beside it. Genotypes stay in the file and are read in blocks.

    Parameters
    ----------
    path : of the .bed; the ending may be left out.
    count_a1 : dosages count the first allele of the .bim (A1, most often the rarer one), as PLINK does; False: the second.
    family : ids are "family:individual" where individuals of several families share an id; otherwise the second column of
        the .fam alone.

    Raises
    ------
    NotAvailableError : bed-reader is not installed.
    DataError : a file that is missing or no .bed, ids that occur twice.
    """
    try:
        from bed_reader import open_bed
    except ImportError:
        raise NotAvailableError(
            "read_plink reads .bed files through bed-reader, which is not installed: pip install 'henderson[plink]'."
        ) from None
    place = _bed(Path(path).expanduser())
    try:
        bed = open_bed(place, count_A1=count_a1)
        people = [f"{f}:{i}" for f, i in zip(bed.fid, bed.iid, strict=True)] if family else list(bed.iid)
        names = _marker_names(bed.sid, bed.chromosome, bed.bp_position)
        # The header and the length are looked at here, not in the middle of a fit.
        bed.read(index=np.s_[:1, :1], dtype="int8")
    except (OSError, ValueError) as error:
        raise DataError(f"'{place}' cannot be read as PLINK genotypes: {error}") from None
    _require_different(people, place, family)

    def read(start: int, stop: int) -> np.ndarray:
        return bed.read(index=np.s_[:, start:stop], dtype="int8", order="F")

    return Markers.from_reader(read, people, names, missing=(float(_MISSING),))


def _bed(path: Path) -> Path:
    place = path if path.suffix.lower() == ".bed" else path.with_name(path.name + ".bed")
    for ending in (".bed", ".bim", ".fam"):
        if not place.with_suffix(ending).is_file():
            raise DataError(
                f"there is no file '{place.with_suffix(ending)}': PLINK genotypes are a .bed, a .bim and a .fam."
            )
    return place


def _marker_names(names: np.ndarray, chromosome: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Names of the .bim; "chromosome:position" for those without (".")."""
    return id_array(
        f"{c}:{at}" if name == "." else name for name, c, at in zip(names, chromosome, position, strict=True)
    )


def _require_different(people: list[str], place: Path, family: bool) -> None:
    seen: set[str] = set()
    for label in people:
        if label in seen:
            raise DataError(
                f"'{place.with_suffix('.fam')}': individual '{label}' occurs twice."
                + ("" if family else " Where individuals of several families share ids, write family=True.")
            )
        seen.add(label)
