"""Columns -> y, X, random blocks and their names.

`build` is the way in; `rows` says which rows are used, `evaluate` and `transforms` give values to names and calls, `structure`,
`contrasts` and `columns` make model matrices of terms, `grouping` makes levels, `record` has what leaves the room.
"""

from henderson.design.build import build, needed, needed_again, rebuild
from henderson.design.record import Design, ProductLabels, RandomBlock

__all__ = ["Design", "ProductLabels", "RandomBlock", "build", "needed", "needed_again", "rebuild"]
