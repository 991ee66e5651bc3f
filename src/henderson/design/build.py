"""Formula and columns -> `Design`, and the same columns again for new data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.design.columns import INTERCEPT, model_matrix
from henderson.design.evaluate import Evaluator, Labels, Value
from henderson.design.grouping import group, match_levels, regroup, used_labels
from henderson.design.record import Design, ProductLabels, RandomBlock
from henderson.design.rows import complete_rows, given_numbers, positive_weights
from henderson.design.structure import scope
from henderson.design.suspicious import refuse_numbers_as_text
from henderson.errors import DataError, ModelError, closest
from henderson.formula import Formula, RandomTerm, parse
from henderson.formula.expression import Name, Node
from henderson.formula.functions import CONTRASTS, arithmetic_names
from henderson.frame import Frame

Array = NDArray[np.float64]
Rows = NDArray[np.intp] | None
SPEC_VERSION = 1


def needed(formula: Formula, weights: Any = None, offset: Any = None) -> dict[str, tuple[int, int] | None]:
    """Columns that `build` will ask of the frame, with their places in the formula: for `frame.read(data, needed(...), text)`."""
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
    contrasts: Mapping[str, str] | None = None,
) -> Design:
    """y, X and the random blocks.

    Rows with a missing value in any column the model names are left out (and counted). A text or boolean
    column is a factor; an ordered factor has polynomial contrasts, any other treatment contrasts, as in R.

    Parameters
    ----------
    weights, offset : column name, or (n,) numbers for all rows of the table. Weights are precisions: the
        variance of a row is sigma^2 / weight.
    contrasts : column -> "Treatment", "Sum", "Helmert", "Poly", "SAS" or "Diff".

    Raises
    ------
    DataError, ModelError, FormulaError : with the column, the row and the value.
    """
    names = [
        name
        for name in needed(formula, weights, offset)
        if not (isinstance(weights, str) and name == weights)
    ]
    if isinstance(weights, str) and weights in formula.names:
        names.append(weights)
    rows, dropped = complete_rows(frame, names)
    chosen = _contrasts(contrasts, formula)
    state: dict[str, dict[str, Any]] = {}
    evaluator = _evaluator(formula, frame, rows, chosen, state)
    y = evaluator.numeric(formula.response)
    X, x_names, assign, structure = _fixed(formula, evaluator)
    (
        blocks,
        block_structures,
    ) = _random(formula, evaluator, frame, rows)
    _refuse_overlaps(blocks)

    def make_spec() -> dict[str, Any]:
        return {
            "version": SPEC_VERSION,
            "formula": formula.text,
            "columns": {name: _column_record(evaluator, name) for name in _model_columns(formula)},
            "state": state,
            "structure": _plain_structure(structure),
            "x_names": list(x_names),
            "blocks": [_block_record(b, s) for b, s in zip(blocks, block_structures, strict=True)],
            "weights": weights if isinstance(weights, str) else None,
            "offset": offset if isinstance(offset, str) else None,
            "offset_array": offset is not None and not isinstance(offset, str),
        }

    return Design(
        formula=formula,
        y=y,
        X=X,
        x_names=x_names,
        terms=_term_names(formula),
        assign=assign,
        blocks=blocks,
        offset=_offset(formula, evaluator, offset, frame, rows),
        weights=None if weights is None else positive_weights(weights, frame, rows),
        rows=rows,
        n_read=frame.nrow,
        n_dropped=0 if rows is None else frame.nrow - rows.size,
        dropped=dropped,
        response=formula.response_name,
        library=frame.library,
        make_spec=make_spec,
    )


def needed_again(spec: Mapping[str, Any], *, response: bool = False, random: bool = True) -> list[str]:
    """Columns that `rebuild` will ask of the frame of new data."""
    formula = parse(spec["formula"])
    names: dict[str, None] = {}
    for node in _nodes(formula, response, random):
        names.update((n.name, None) for n in arithmetic_names(node))
    if random:
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
    """The columns of a built design for new data: same contrasts, levels, and centres, scales and knots of
    transforms.

    Rows with a missing value in the fixed part or in an effect are left out (see `Design.rows`); a missing
    or unknown level of a grouping column is code -1, listed in `RandomBlock.unknown`.

    Parameters
    ----------
    spec : `Design.spec`, also after a round trip through JSON.
    response : whether y is wanted too.
    random : whether the random blocks are wanted.
    offset : numbers for each row of the new table, where the model had offset= as an array; zero when not
        given.

    Raises
    ------
    DataError : a level of a fixed factor that the model never saw, or a column that has become text or
        numbers.
    """
    formula = parse(spec["formula"])
    wanted = {n.name for node in _nodes(formula, response, random) for n in arithmetic_names(node)}
    given = spec["offset"] if offset is None else offset
    if isinstance(given, str):
        wanted.add(given)
    ordered = [name for name in frame.columns if name in wanted]
    rows, dropped = complete_rows(frame, ordered) if ordered else (None, "")
    nrow = frame.nrow if rows is None else rows.size
    numbers, labels = _known_columns(spec, frame, rows, ordered)
    as_labels = lambda name: _known_labels(spec["columns"][name], frame[name], rows)  # noqa: E731
    state = {call: dict(kept) for call, kept in spec["state"].items()}
    evaluator = Evaluator(formula.text, nrow, numbers, labels, as_labels, state, rows)
    structure = _tuple_structure(spec["structure"])
    X, x_names, assign = _matrix(formula.factors, structure, evaluator, nrow)
    blocks = []
    for term, record in zip(formula.random, spec["blocks"] if random else [], strict=False):
        blocks.append(_rebuild_block(term, record, formula, evaluator, frame, rows))
    return Design(
        formula=formula,
        y=evaluator.numeric(formula.response) if response else None,
        X=X,
        x_names=x_names,
        terms=_term_names(formula),
        assign=assign,
        blocks=tuple(blocks),
        offset=_offset(formula, evaluator, given, frame, rows),
        weights=None,
        rows=rows,
        n_read=frame.nrow,
        n_dropped=0 if rows is None else frame.nrow - rows.size,
        dropped=dropped,
        response=formula.response_name,
        library=frame.library,
        make_spec=lambda: dict(spec),
    )


def _nodes(formula: Formula, response: bool, random: bool) -> list[Node]:
    """Trees whose columns must be complete."""
    used = {name for term in formula.terms for name in term}
    if random:
        used |= {name for term in formula.random for effect in term.effect_terms for name in effect}
    nodes = [node for name, node in formula.factors.items() if name in used]
    return [*([formula.response] if response else []), *nodes, *formula.offsets]


def _model_columns(formula: Formula) -> list[str]:
    names: dict[str, None] = {}
    for node in _nodes(formula, True, True):
        names.update((n.name, None) for n in arithmetic_names(node))
    return list(names)


def _term_names(formula: Formula) -> tuple[str, ...]:
    return tuple(":".join(term) or INTERCEPT for term in formula.terms)


def _evaluator(
    formula: Formula,
    frame: Frame,
    rows: Rows,
    contrasts: dict[str, tuple[str, Any]],
    state: dict[str, dict[str, Any]],
) -> Evaluator:
    numbers: dict[str, Array] = {}
    labels: dict[str, Labels] = {}

    def as_labels(name: str) -> Labels:
        used = used_labels(frame[name], rows)
        if len(used.levels) < 2:
            raise ModelError(
                f"the factor '{name}' has one level only ({used.levels[0]}) in the rows used: it has no contrasts.\n"
                "Leave it out of the formula."
            )
        default = ("poly", None) if frame[name].ordered else ("treatment", None)
        return Labels(used.codes, used.levels, contrasts.get(name, default))

    response = {n.name for n in arithmetic_names(formula.response)}
    fixed = {n.name for node in _nodes(formula, False, True) for n in arithmetic_names(node)}
    bare = {node.name for node in formula.factors.values() if isinstance(node, Name)}
    for name in _model_columns(formula):
        column = frame[name]
        if column.kind == "numeric":
            numbers[name] = column.values if rows is None else column.values[rows]
            if name in contrasts and name not in _as_factors(formula):
                raise DataError(
                    f"contrasts: column '{name}' holds numbers. Write C({name}) in the formula to make a factor of it."
                )
        elif name in fixed:
            if name in bare:
                refuse_numbers_as_text(column)
            labels[name] = as_labels(name)
        else:
            assert name in response
            labels[name] = used_labels(column, rows)
    nrow = frame.nrow if rows is None else rows.size
    return Evaluator(formula.text, nrow, numbers, labels, as_labels, state, rows)


def _as_factors(formula: Formula) -> set[str]:
    return {
        n.name
        for node in formula.factors.values()
        if getattr(node, "name", "") in ("C", "factor")
        for n in arithmetic_names(node)
    }


def _contrasts(contrasts: Mapping[str, str] | None, formula: Formula) -> dict[str, tuple[str, Any]]:
    chosen: dict[str, tuple[str, Any]] = {}
    for column, name in (contrasts or {}).items():
        if column not in formula.names:
            near = closest(str(column), formula.names)
            raise DataError(
                f"contrasts: the formula names no column '{column}'."
                + (f"\nThe closest is '{near}'." if near else "")
            )
        if name not in CONTRASTS:
            near = closest(str(name), CONTRASTS)
            hint = (
                f"The closest is '{near}'."
                if near
                else "There are Treatment, Sum, Helmert, Poly, SAS and Diff."
            )
            raise DataError(f"contrasts: there are no contrasts called '{name}'.\n{hint}")
        chosen[column] = (CONTRASTS[name], None)
    return chosen


def _matrix(factors: dict[str, Node], structure: Any, evaluator: Evaluator, nrow: int, order: str = "F"):
    values = _values(factors, {f for term in structure for scoped in term for f, _ in scoped}, evaluator)
    return model_matrix(nrow, structure, values, order)


def _values(factors: dict[str, Node], wanted: set[str], evaluator: Evaluator) -> dict[str, Value]:
    return {name: evaluator.factor(name, factors[name]) for name in factors if name in wanted}


def _structure(terms: Any, formula: Formula, evaluator: Evaluator) -> Any:
    values = _values(formula.factors, {name for term in terms for name in term}, evaluator)
    return scope(terms, frozenset(name for name, value in values.items() if isinstance(value, Labels)))


def _fixed(formula: Formula, evaluator: Evaluator):
    structure = _structure(formula.terms, formula, evaluator)
    X, names, assign = _matrix(formula.factors, structure, evaluator, evaluator.nrow)
    return X, names, assign, structure


def _random(formula: Formula, evaluator: Evaluator, frame: Frame, rows: Rows):
    blocks, structures = [], []
    known: dict[str, Labels] = {}
    for term in formula.random:
        names = tuple(level.name for level in term.levels)
        for name in names:
            if name not in known:
                known[name] = used_labels(frame[name], rows)
        grouping = group(names, [known[name] for name in names], term.label)
        structure = _structure(term.effect_terms, formula, evaluator)
        effects, values = _effects(structure, formula, evaluator)
        blocks.append(
            RandomBlock(
                group=term.group,
                effects=effects,
                levels=grouping.levels,
                codes=grouping.codes,
                values=values,
                structure=term.structure,
                text=term.label,
                factors=names,
                parts=grouping.parts,
                combinations=grouping.combinations,
            )
        )
        structures.append(structure)
    return tuple(blocks), structures


def _effects(structure: Any, formula: Formula, evaluator: Evaluator) -> tuple[tuple[str, ...], Array | None]:
    if structure == (((),),):
        return (INTERCEPT,), None
    values, names, _ = _matrix(formula.factors, structure, evaluator, evaluator.nrow, "C")
    return names, values


def _refuse_overlaps(blocks: tuple[RandomBlock, ...]) -> None:
    """One effect of one grouping in two terms: only the sum of the two variances could be estimated."""
    seen: dict[tuple[frozenset[str], str], RandomBlock] = {}
    for block in blocks:
        for effect in block.effects:
            first = seen.setdefault((frozenset(block.factors), effect), block)
            if first is not block:
                raise ModelError(
                    f"the effect {effect} of '{block.group}' is in two random terms, {first.text} and {block.text}: "
                    f"their variances cannot be told apart.\nTake it out of one of them"
                    + (", for example (0 + x | g) beside (1 | g)." if effect == INTERCEPT else ".")
                )


def _offset(formula: Formula, evaluator: Evaluator, given: Any, frame: Frame, rows: Rows) -> Array | None:
    total: Array | None = None
    for node in formula.offsets:
        value = evaluator.numeric(node)
        total = value.copy() if total is None else total + value
    if given is not None:
        value = given_numbers("offset", given, frame, rows)
        total = value.copy() if total is None else total + value
    return total


def _column_record(evaluator: Evaluator, name: str) -> dict[str, Any]:
    labels = evaluator.labels.get(name)
    if labels is None and name in evaluator.as_levels:
        labels = evaluator.as_levels[name]
        return {"kind": "numeric", "levels": list(labels.levels), "contrast": list(labels.contrast)}
    if labels is None:
        return {"kind": "numeric"}
    return {"kind": "factor", "levels": list(labels.levels), "contrast": list(labels.contrast)}


def _block_record(block: RandomBlock, structure: Any) -> dict[str, Any]:
    return {
        "group": block.group,
        "effects": list(block.effects),
        "factors": list(block.factors),
        "parts": [list(levels) for levels in block.parts],
        "combinations": None if block.combinations is None else block.combinations.tolist(),
        "structure": _plain_structure(structure),
    }


def _plain_structure(structure: Any) -> list[Any]:
    return [[[[name, reduced] for name, reduced in scoped] for scoped in term] for term in structure]


def _tuple_structure(structure: Any) -> Any:
    return tuple(
        tuple(tuple((name, bool(reduced)) for name, reduced in scoped) for scoped in term)
        for term in structure
    )


def _known_columns(spec: Mapping[str, Any], frame: Frame, rows: Rows, names: list[str]):
    numbers: dict[str, Array] = {}
    labels: dict[str, Labels] = {}
    for name in names:
        column, record = frame[name], spec["columns"].get(name, {"kind": "numeric"})
        if record["kind"] == "numeric":
            if column.kind == "numeric":
                numbers[name] = column.values if rows is None else column.values[rows]
                continue
            if "levels" not in record:
                raise DataError(
                    f"column '{name}' held numbers when the model was fitted; in the new data it holds labels."
                )
        else:
            labels[name] = _known_labels(record, column, rows)
    return numbers, labels


def _known_labels(record: Mapping[str, Any], column: Any, rows: Rows) -> Labels:
    levels = tuple(record["levels"])
    codes = match_levels(column, levels)
    codes = codes if rows is None else codes[rows]
    if codes.size and codes.min() < 0:
        at = int(np.argmin(codes))
        row = at if rows is None else int(rows[at])
        label = column.factor.levels[int(column.factor.values[row])]
        shown = ", ".join(str(v) for v in levels[:8]) + (" ..." if len(levels) > 8 else "")
        raise DataError(
            f"column '{column.name}' has the level '{label}' in row {row} (the first row is 0) of the new data, which the model"
            f" never saw.\nIts levels are {shown}."
        )
    kind, reference = record["contrast"]
    return Labels(codes, levels, (kind, reference))


def _rebuild_block(
    term: RandomTerm,
    record: Mapping[str, Any],
    formula: Formula,
    evaluator: Evaluator,
    frame: Frame,
    rows: Rows,
) -> RandomBlock:
    parts = tuple(tuple(levels) for levels in record["parts"])
    combinations = (
        None if record["combinations"] is None else np.array(record["combinations"], dtype=np.int32)
    )
    codes, unknown = regroup([frame[name] for name in record["factors"]], parts, combinations, rows)
    effects, values = _effects(_tuple_structure(record["structure"]), formula, evaluator)
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
