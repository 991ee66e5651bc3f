"""Columns -> y, X, random blocks and their names.

`build` is the way in and `rebuild` the way in again with new data; `record` has what leaves the room. Between
them: `rows` (which rows are used), `factors` and `evaluate` (values of names and calls), `transforms`,
`structure`, `contrasts` and `columns` (model matrices of terms), `grouping` (levels), `spec` (what is kept).
"""

from henderson.design.build import build, needed
from henderson.design.rebuild import needed_again, rebuild
from henderson.design.record import Design, ProductLabels, RandomBlock

__all__ = ["Design", "ProductLabels", "RandomBlock", "build", "needed", "needed_again", "rebuild"]
