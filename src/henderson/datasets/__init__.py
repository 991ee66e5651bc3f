"""The classic data sets of mixed models: `names()`, `describe(name)`, `load(name)`.

The rows are CSV files in `data/`; `data/index.json` says what each column holds, the order of its levels
and where the data were published.
"""

from henderson.datasets.catalogue import describe, load, names

__all__ = ["describe", "load", "names"]
