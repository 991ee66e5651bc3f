"""Examples of Mrode's textbook with their variances given: fixed effects, breeding values and reliabilities to the digits printed."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import structured_breeding as mrode
import structured_twin as tw

import henderson as hd

EXAMPLES = list(mrode.EXAMPLES)


@cache
def example(name: str) -> mrode.Example:
    return mrode.EXAMPLES[name]()


@cache
def fit(name: str):
    e = example(name)
    options = {"residual": e.residual} if e.residual else {}
    return hd.lmm(
        e.formula,
        e.rows,
        relationships=dict(e.relationships),
        fixed_parameters=e.held(),
        **options,
    )


def near(value: float, printed: float, digits: int, units: float = 1.0) -> bool:
    """Within a unit of the last digit: the book's own arithmetic is rounded."""
    return abs(value - printed) <= units * 10.0**-digits


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_dense_equations_give_the_printed_solutions(name):
    e = example(name)
    y, x, terms, r = e.dense
    found = tw.twin(y, x, terms, r)
    order = list(e.fixed.values()) if e.x_order is None else [e.fixed[k] for k in e.x_order]
    for value, printed in zip(found.beta, order, strict=True):
        assert near(value, printed, e.digits, e.units), (value, printed)
    for (group, ids), u in zip(e.levels, found.u, strict=True):
        for level, printed in e.random.get(group, {}).items():
            for value, expected in zip(u[ids.index(level)], printed, strict=True):
                assert near(value, expected, e.digits, e.units), (group, level, value, expected)


@pytest.mark.parametrize("name", EXAMPLES)
def test_fixed_effects(name):
    e, table = example(name), fit(name).fixed_effects_columns()
    ours = dict(zip(table["term"], table["estimate"], strict=True))
    assert set(ours) == set(e.fixed)
    for term, printed in e.fixed.items():
        assert near(ours[term], printed, e.digits, e.units), term


@pytest.mark.parametrize("name", EXAMPLES)
def test_breeding_values(name):
    e, table = example(name), fit(name).random_effects_columns()
    ours: dict = {}
    for g, level, value in zip(table["group"], table["level"], table["estimate"], strict=True):
        ours.setdefault((g, str(level)), []).append(value)
    for group, levels in e.random.items():
        for level, printed in levels.items():
            assert len(ours[group, level]) == len(printed)
            for value, expected in zip(ours[group, level], printed, strict=True):
                assert near(value, expected, e.digits, e.units), (group, level)


@pytest.mark.parametrize("name", EXAMPLES)
def test_prediction_errors_are_those_of_the_dense_equations(name):
    e, table = example(name), fit(name).random_effects_columns()
    y, x, terms, r = e.dense
    found = tw.twin(y, x, terms, r)
    ours: dict = {}
    for g, level, value in zip(table["group"], table["level"], table["std_error"], strict=True):
        ours.setdefault((g, str(level)), []).append(value)
    for (group, ids), pev in zip(e.levels, found.pev, strict=True):
        for i, level in enumerate(ids):
            np.testing.assert_allclose(ours[group, level], np.sqrt(np.diag(pev[i])), rtol=1e-7)


def test_reliabilities_as_printed():
    e, table = example("animal"), fit("animal").random_effects_columns()
    ours = dict(zip(table["level"], table["reliability"], strict=True))
    assert e.reliability is not None
    for level, printed in e.reliability.items():
        assert near(ours[level], printed, 3), level


def test_reliabilities_by_the_dense_equations():
    e = example("animal")
    y, x, terms, r = e.dense
    pev = tw.twin(y, x, terms, r).pev[0].ravel()
    assert e.reliability is not None
    for p, printed in zip(pev, e.reliability.values(), strict=True):
        assert near(1 - p / 20, printed, 3)


def test_the_criterion_is_that_of_the_twin():
    for name in EXAMPLES:
        y, x, terms, r = example(name).dense
        assert fit(name).deviance == pytest.approx(tw.criterion(y, x, terms, r), abs=1e-8), name
