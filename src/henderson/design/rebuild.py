"""The columns of a built design for new data: same contrasts, levels, means and knots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.design.build import term_names
from henderson.design.factors import names_of, nodes_of
from henderson.design.grouping import match_levels, regroup
from henderson.design.matrices import effect_matrix, fixed_columns, total_offset
from henderson.design.record import Design, ProductLabels, RandomBlock
from henderson.design.rows import complete_rows
from henderson.design.spec import VERSION, read_structure
from henderson.design.structured import rebuild_terms
from henderson.design.structured_record import from_plain
from henderson.design.traits import stacked_formula
from henderson.design.values import Evaluator, Labels
from henderson.errors import DataError
from henderson.formula import Formula, RandomTerm, parse
from henderson.frame import Column, Frame

Array = NDArray[np.float64]
Rows = NDArray[np.intp] | None


def needed_again(spec: Mapping[str, Any], *, response: bool = False, random: bool = True) -> list[str]:
    """Columns that `rebuild` asks of the frame of new data."""
    formula = parse(spec["formula"])
    names = dict.fromkeys(names_of(nodes_of(formula, response, random)))
    if random:
        names.update(dict.fromkeys(name for term in formula.random for name in term.at))
        for block in spec["blocks"]:
            names.update(dict.fromkeys(block["factors"]))
    if spec["offset"]:
        names[spec["offset"]] = None
    return list(names)


def rebuild(
    spec: Mapping[str, Any],
    frame: Frame,
    *,
    response: bool = False,
    random: bool = True,
    offset: Any = None,
) -> Design:
    """The columns of a built design for new data.

    Rows with a missing value in the fixed part or in an effect are left out (see `Design.rows`); a missing or
    unknown level of a grouping column is code -1, listed in `RandomBlock.unknown`.

    Parameters
    ----------
    spec : `Design.spec`, also after a round trip through JSON.
    frame : holds the columns `needed_again(spec, ...)`.
    response : whether y is wanted too.
    random : whether the random blocks are wanted.
    offset : numbers for each row of the new table (or a column name) in place of the model's `offset=`.

    Raises
    ------
    DataError : a level of a fixed factor that the model never saw, a column that held numbers and now holds
        labels, or a record of another version.
    """
    if spec.get("version") != VERSION:
        raise DataError(
            f"this design was recorded by another version ({spec.get('version')}, not {VERSION})."
        )
    formula = parse(spec["formula"])
    if len(formula.responses) > 1:
        formula = stacked_formula(formula)
    given = spec["offset"] if offset is None else offset
    names = names_of(nodes_of(formula, response, random))
    rows, dropped = complete_rows(
        frame, [*names, *([given] if isinstance(given, str) else [])], none_allowed=True
    )
    evaluator = evaluator_again(spec, formula, frame, rows, names)
    x_columns = fixed_columns(read_structure(spec["structure"]), formula, evaluator)
    records = spec["blocks"] if random else []
    terms = None
    if any("term" in record for record in records):
        terms = rebuild_terms([from_plain(record) for record in records], formula, evaluator, frame, rows)
        blocks = tuple(term.block for term in terms)
    else:
        blocks = tuple(
            _block(term, record, formula, evaluator, frame, rows)
            for term, record in zip(formula.random, records, strict=random)
        )
    return Design(
        formula=formula,
        y=evaluator.numeric(formula.response) if response else None,
        columns=x_columns,
        terms=term_names(formula),
        blocks=blocks,
        offset=total_offset(formula, evaluator, given, frame, rows),
        weights=None,
        rows=rows,
        n_read=frame.nrow,
        n_dropped=0 if rows is None else frame.nrow - rows.size,
        dropped=dropped,
        response=formula.response_name,
        library=frame.library,
        make_spec=lambda: dict(spec),
        structured=terms,
    )


def evaluator_again(
    spec: Mapping[str, Any], formula: Formula, frame: Frame, rows: Rows, names: list[str]
) -> Evaluator:
    """Values of the named columns of new data as the record of a design has them: levels, contrasts, what transforms
    remember."""
    numbers: dict[str, Array] = {}
    labels: dict[str, Labels] = {}
    for name in names:
        column, record = frame[name], spec["columns"][name]
        if record["kind"] == "factor":
            labels[name] = _known_labels(record, column, rows)
        elif column.kind == "numeric":
            numbers[name] = column.values if rows is None else column.values[rows]
        elif "levels" not in record:
            raise DataError(
                f"column '{name}' held numbers when the model was fitted; in the new data it holds labels."
            )

    def as_labels(name: str) -> Labels:
        return _known_labels(spec["columns"][name], frame[name], rows)

    state = {call: dict(kept) for call, kept in spec["state"].items()}
    nrow = frame.nrow if rows is None else rows.size
    return Evaluator(formula.text, nrow, numbers, labels, as_labels, state, rows)


def _known_labels(record: Mapping[str, Any], column: Column, rows: Rows) -> Labels:
    levels = tuple(record["levels"])
    codes = match_levels(column, levels)
    codes = codes if rows is None else codes[rows]
    if codes.size and codes.min() < 0:
        at = int(np.argmin(codes))
        row = at if rows is None else int(rows[at])
        label = column.factor.levels[int(column.factor.values[row])]
        shown = ", ".join(str(v) for v in levels[:8]) + (" ..." if len(levels) > 8 else "")
        raise DataError(
            f"column '{column.name}' has the level '{label}' in row {row} (the first row is 0) of the new"
            f" data, which the model never saw.\nIts levels are {shown}."
        )
    kind, reference = record["contrast"]
    return Labels(codes, levels, (kind, reference))


def _block(
    term: RandomTerm,
    record: Mapping[str, Any],
    formula: Formula,
    evaluator: Evaluator,
    frame: Frame,
    rows: Rows,
) -> RandomBlock:
    parts = tuple(tuple(levels) for levels in record["parts"])
    combinations = None
    if record["combinations"] is not None:
        combinations = np.array(record["combinations"], dtype=np.int32)
    codes, unknown = regroup([frame[name] for name in record["factors"]], parts, combinations, rows)
    effects, values = effect_matrix(read_structure(record["structure"]), formula, evaluator)
    return RandomBlock(
        group=record["group"],
        effects=effects,
        levels=parts[0] if combinations is None else ProductLabels(parts, combinations),
        codes=codes,
        values=values,
        structure=term.structure,
        text=term.label,
        factors=tuple(record["factors"]),
        parts=parts,
        combinations=combinations,
        unknown=unknown,
    )
