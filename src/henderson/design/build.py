"""Formula and columns -> `Design`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from henderson.design.columns import INTERCEPT
from henderson.design.factors import chosen_contrasts, evaluator_of
from henderson.design.matrices import fixed_columns, random_blocks, structure_of, total_offset
from henderson.design.record import Design
from henderson.design.rows import complete_rows, given_numbers, positive_weights
from henderson.design.spec import column_records, make_spec
from henderson.design.structured import learn_terms
from henderson.design.summaries import summaries
from henderson.formula import Formula
from henderson.frame import Frame


def needed(formula: Formula, weights: Any = None, offset: Any = None) -> dict[str, tuple[int, int] | None]:
    """Columns that `build` asks of the frame, with their places in the formula."""
    names: dict[str, tuple[int, int] | None] = dict(formula.names)
    for given in (weights, offset):
        if isinstance(given, str):
            names.setdefault(given, None)
    return names


def build(
    formula: Formula,
    frame: Frame,
    *,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    state: dict[str, dict[str, Any]] | None = None,
    relationships: Mapping[str, Any] | None = None,
    structured: bool = False,
) -> Design:
    """y, X and the random blocks.

    Rows with a missing value in any column the model names are left out (and counted). A text or boolean
    column is a factor; an ordered factor has polynomial contrasts, any other treatment contrasts, as in R.

    Parameters
    ----------
    weights, offset : column name, or (n,) numbers for all rows of the table. Weights are precisions: the
        variance of a row is sigma^2 / weight. A weight must be there for every row used.
    state : what transforms remember, where it is known already (a part of a file is built as the whole).
    contrasts : column -> "Treatment", "Sum", "Helmert", "Poly", "SAS" or "Diff", or contrasts of the user's own (see
        `contrasts.custom`).
    relationships : from `relationships.read_relationships`.
    structured : whether the random terms are wanted as `Design.structured`, whatever their structures; `blocks` are theirs then.

    Raises
    ------
    DataError, ModelError, FormulaError : with the column, the row and the value.
    """
    names = needed(formula, offset=offset)
    rows, dropped = complete_rows(frame, list(names))
    evaluator = evaluator_of(formula, frame, rows, chosen_contrasts(contrasts, formula))
    evaluator.state.update(state or {})
    y = np.array(evaluator.numeric(formula.response))
    structure = structure_of(formula.terms, formula, evaluator)
    x_columns = fixed_columns(structure, formula, evaluator)
    terms, records = None, None
    if structured:
        records, terms = learn_terms(formula, frame, rows, evaluator, relationships)
        blocks, structures = tuple(term.block for term in terms), None
    else:
        blocks, structures = random_blocks(formula, evaluator, frame, rows)
    offsets = total_offset(formula, evaluator, offset, frame, rows)
    # The record is made when it is asked for; until then it must not keep the columns of the table alive.
    columns, state = column_records(formula, evaluator), evaluator.state
    precisions = None if weights is None else positive_weights(weights, frame, rows)
    apart = None if offset is None else given_numbers("offset", offset, frame, rows)
    complete = summaries(formula, evaluator, precisions, offsets, apart)
    named = (weights if isinstance(weights, str) else None, offset if isinstance(offset, str) else None)
    arrays = (offset is not None and named[1] is None, weights is not None and named[0] is None)
    return Design(
        formula=formula,
        y=y,
        columns=x_columns,
        terms=term_names(formula),
        blocks=blocks,
        offset=offsets,
        weights=precisions,
        rows=rows,
        n_read=frame.nrow,
        n_dropped=0 if rows is None else frame.nrow - rows.size,
        dropped=dropped,
        response=formula.response_name,
        library=frame.library,
        make_spec=lambda: (
            make_spec(
                formula,
                columns,
                state,
                structure,
                x_columns.names,
                () if structures is None else blocks,
                structures or (),
                *named,
                *arrays,
            )
            | ({} if records is None else {"blocks": plain_records(records)})
            | complete(columns)
        ),
        structured=terms,
    )


def plain_records(records: Sequence[Any]) -> list[dict[str, Any]]:
    """Records of structured terms for the spec."""
    from henderson.design.structured_record import to_plain

    return [to_plain(record) for record in records]


def term_names(formula: Formula) -> tuple[str, ...]:
    """Names of the fixed terms: "(Intercept)", "x", "a:b"."""
    return tuple(":".join(term) or INTERCEPT for term in formula.terms)
