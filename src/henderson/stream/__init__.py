"""Tables larger than memory: a Parquet file gone through a few rows at a time.

`batches` reads, `scan` finds out in one pass what the whole table must be known for (levels, means, knots, complete rows),
`rows` gives the rows of a model to least squares as often as it asks.
"""

from henderson.stream.batches import Batches, bytes_of, size_in_memory
from henderson.stream.rows import FileRows
from henderson.stream.scan import Scan, scan

__all__ = ["Batches", "FileRows", "Scan", "bytes_of", "scan", "size_in_memory"]
