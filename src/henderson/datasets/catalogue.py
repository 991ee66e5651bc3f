"""The shipped data sets: what there is, where each came from, and its rows with the factor levels R has."""

from __future__ import annotations

import gzip
import io
import json
from functools import cache
from importlib.resources import files
from typing import Any

from henderson.errors import DataError, closest
from henderson.frame.files import exact_numbers


@cache
def _index() -> dict[str, dict[str, Any]]:
    return json.loads((files(__package__) / "data" / "index.json").read_text(encoding="utf-8"))


def names() -> list[str]:
    """Names of the data sets, in alphabetical order (upper and lower case alike)."""
    return sorted(_index(), key=str.casefold)


def describe(name: str) -> dict[str, Any]:
    """Title, source (paper), package (where the rows were taken from), rows, file, and columns with what
    each holds.

    Raises
    ------
    DataError : no data set of that name (the closest is named).
    """
    index = _index()
    if not isinstance(name, str) or name not in index:
        near = closest(name, index)
        hint = f"The closest is '{near}'." if near else f"There are {', '.join(names())}."
        raise DataError(f"there is no data set called {name!r}.\n{hint}")
    return json.loads(json.dumps(index[name]))


def load(name: str, library: str | None = None) -> Any:
    """The rows of a data set.

    Parameters
    ----------
    name : one of `names()`; upper and lower case as in R.
    library : "pandas" (default), "polars" or "pyarrow".

    Returns
    -------
    DataFrame. Factors are categorical in R's level order, ordered where R's are.

    Raises
    ------
    DataError : no data set, or no library, of that name.
    """
    record = describe(name)
    if library not in (None, "pandas", "polars", "pyarrow"):
        near = closest(str(library), ("pandas", "polars", "pyarrow"))
        hint = f"The closest is '{near}'." if near else "There are pandas, polars and pyarrow."
        raise DataError(f"tables cannot be given in '{library}'.\n{hint}")
    table = _read(record)
    if library == "polars":
        import polars as pl

        enums = {
            c: pl.Enum(list(table[c].cat.categories))
            for c in table
            if record["columns"][c]["kind"] == "factor"
        }
        plain = {c: table[c].astype(object).tolist() if c in enums else table[c].to_numpy() for c in table}
        return pl.DataFrame(plain, schema_overrides=enums)
    if library == "pyarrow":
        import pyarrow as pa

        return pa.Table.from_pandas(table, preserve_index=False)
    return table


def _read(record: dict[str, Any]) -> Any:
    import pandas as pd

    raw = (files(__package__) / "data" / record["file"]).read_bytes()
    if record["file"].endswith(".gz"):
        raw = gzip.decompress(raw)
    columns = record["columns"]
    types: dict[str, Any] = {"factor": str, "integer": "int64", "number": "float64"}
    table = pd.read_csv(
        io.BytesIO(raw),
        dtype={column: types[about["kind"]] for column, about in columns.items()},
        # A level may be called "None" (Alfalfa).
        keep_default_na=False,
        na_values=[""],
        **exact_numbers(pd),
    )
    for column, about in columns.items():
        if about["kind"] == "factor":
            levels = _levels(table[column], about["levels"])
            table[column] = pd.Categorical(table[column], levels, ordered=about.get("ordered", False))
    return table


def _levels(values: Any, levels: list[str] | str) -> list[str]:
    if isinstance(levels, list):
        return levels
    return sorted(values.unique(), key=float if levels == "by number" else str)
