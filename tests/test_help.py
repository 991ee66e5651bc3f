"""What help() says of a public question names every argument, what comes back, and which errors there are."""

import inspect
import re

import pytest

import henderson as hd
from henderson.inference.estimates import Estimates, MarginalMeans
from henderson.models.checks import Checks
from henderson.models.questions import Questions

METHODS = [
    getattr(owner, name)
    for owner in (Questions, Checks, Estimates, MarginalMeans)
    for name, value in vars(owner).items()
    if not name.startswith("_") and inspect.isfunction(value)
]
ASKED = [*METHODS, hd.compare, hd.design.evaluate, hd.design.search, hd.design.power]


@pytest.mark.parametrize("asked", ASKED, ids=lambda f: f.__qualname__)
def test_help_names_every_argument(asked):
    said = inspect.getdoc(asked)
    for name in inspect.signature(asked).parameters:
        if name != "self":
            assert re.search(rf"(?<![\w.]){name}(, \w+)* :|, {name}(, \w+)* :", said), f"{name} in: {said}"


@pytest.mark.parametrize("asked", [hd.compare, *METHODS], ids=lambda f: f.__qualname__)
def test_help_says_what_comes_back(asked):
    if asked not in (Estimates.pairs, MarginalMeans.ascending):
        assert "Returns\n-------" in inspect.getdoc(asked)
