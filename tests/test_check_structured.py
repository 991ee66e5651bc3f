"""`hd.check` of models with covariance structures: what cannot be told apart is what two fits, at different parameters, show to be
the same covariance of the rows."""

from __future__ import annotations

import numpy as np
import pytest
import test_control as control

import henderson as hd


def check(formula: str, **more):
    data = control.table().assign(copy=control.table()["g"], row=np.arange(control.N).astype(str))
    if "K)" in formula:
        more["relationships"] = {"K": control.RELATIONSHIP}
    return hd.check(formula, data, **more)


@pytest.mark.parametrize(
    ("formula", "more"),
    [
        (control.TWO, {}),
        (control.US, {}),
        ("y ~ x + (1 | g) + us(0 + env | vm(g, K))", {}),
        ("y ~ x + csh(0 + env | g)", {}),
        ("y ~ x + fa(0 + env | g, k=1)", {}),
        ("y ~ x + (1 | ar1(t))", {}),
        ("y ~ x + (1 | g)", {"residual": "diag(0 + env | units)"}),
    ],
)
def test_what_can_be_fitted_is_not_refused(formula, more):
    assert check(formula, **more).ok


@pytest.mark.parametrize(
    ("formula", "named", "others"),
    [
        (
            "y ~ x + (1 | vm(g, K)) + (1 | vm(copy, K)) + (1 | h)",
            "vm(g, K): (Intercept) and vm(copy, K): (Intercept)",
            "h: (Intercept)",
        ),
        ("y ~ x + (1 | row) + (1 | vm(g, K))", "row: (Intercept) and Residual", "vm(g, K): (Intercept)"),
        ("y ~ x + cs(0 + env | g) + (1 | g)", "g: variance, g: rho and g: (Intercept)", "Residual"),
    ],
)
def test_what_cannot_be_told_apart_is_named(formula, named, others):
    found = check(formula)
    assert not found.ok
    (problem,) = found.problems
    assert problem.startswith(named + " cannot be told apart")
    assert others not in problem


def test_the_direction_named_leaves_the_criterion_where_it_is():
    """cs and a variance of its own: what one loses the other gains."""
    data = control.table()
    at = {"cs(0 + env | g): variance": 2.0, "cs(0 + env | g): rho": 0.5, "(1 | g)": 0.3, "Residual": 1.0}
    moved = {
        "cs(0 + env | g): variance": 1.6,
        "cs(0 + env | g): rho": 0.6 / 1.6,
        "(1 | g)": 0.7,
        "Residual": 1.0,
    }
    one, other = (
        hd.lmm("y ~ x + cs(0 + env | g) + (1 | g)", data, fixed_parameters=held).deviance
        for held in (at, moved)
    )
    assert one == pytest.approx(other, abs=1e-8)


def test_levels_without_rows_and_too_many_parameters_are_noted():
    data = control.table()
    some = data[data["g"] < "a05"]
    found = hd.check("y ~ x + us(0 + env | vm(g, K))", some, relationships={"K": control.RELATIONSHIP})
    assert any("5 of 14 levels have rows" in note for note in found.notes)
    assert any("6 parameters for the effects of 5 levels" in note for note in found.notes)
    few = data.iloc[:6]
    found = hd.check("y ~ x + us(0 + env | vm(g, K))", few, relationships={"K": control.RELATIONSHIP})
    assert any("degrees of freedom" in problem for problem in found.problems)


def test_rows_of_levels_are_counted_once_for_each_level_of_a_row():
    data = control.table()
    found = hd.check("y ~ x + (1 | mm(g, other))", data.assign(other=data["g"].to_numpy()[::-1]))
    (grouping,) = found.groupings
    pairs = list(zip(data["g"], data["g"].to_numpy()[::-1], strict=True))
    wanted = {level: sum(level in pair for pair in pairs) for level in sorted(set(data["g"]))}
    assert sorted(grouping.rows.tolist()) == sorted(wanted.values())
