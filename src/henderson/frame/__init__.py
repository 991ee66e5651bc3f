"""Any table -> typed columns, and tables back in the caller's own library.

`read` looks at the columns a model names and nothing else; `column` has the two kinds there are; `convert`
knows each library's types; `files` reads CSV and Parquet; `factorize` turns values into codes without
sorting the rows.
"""

from henderson.frame.column import Column, Frame, Label
from henderson.frame.read import check_columns, give_back, library_here, read

__all__ = ["Column", "Frame", "Label", "check_columns", "give_back", "library_here", "read"]
