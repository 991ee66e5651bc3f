"""What a formula says: response, fixed terms and random terms, each with its place in the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from henderson.formula.expression import Call, Name, Node, Span, render

Term = tuple[str, ...]
"""A fixed term: the names of its factors; () is the intercept."""


@dataclass(frozen=True)
class RandomTerm:
    """`structure(effects | levels)`.

    Attributes
    ----------
    structure : "us", "diag", "id", "cs" ...; "spl" and "spl2d" for penalised splines.
    options : constants given with the structure, for example {"k": 2}.
    effects : text of the left side, such as "1 + Days".
    effect_terms : the left side expanded; () is the intercept.
    levels : factors of the right side: `Name` for a grouping column, `Call` for vm(animal, A), ar1(row) ...
    members : of a sum of groupings, us(1 | vm(animal, A) + vm(dam, A)): each of them, `levels` being the first; () otherwise.
    group : name of the right side as lme4 prints it: "g", "a:b", and "b:a" out of a/b; a column called a:b
        is "`a:b`".
    at : names of the sections `at(env):` in front of the term.
    text, span : the term as the user wrote it, and where. Terms that came out of one `a/b` share them.
    """

    structure: str
    effects: str
    effect_terms: tuple[Term, ...]
    levels: tuple[Name | Call, ...]
    group: str
    text: str
    span: Span
    options: dict[str, Any] = field(default_factory=dict)
    at: tuple[str, ...] = ()
    nested: bool = False
    members: tuple[Name | Call, ...] = ()

    @property
    def label(self) -> str:
        """The term as users know it: their own text, or "(1 | b:a)" for a part of "(1 | a/b)"."""
        if not self.nested:
            return self.text
        inside = f"{self.effects} | {self.group}"
        return f"({inside})" if self.structure == "us" else f"{self.structure}({inside})"

    @property
    def plain(self) -> bool:
        """Whether the right side is a grouping column or a product of grouping columns."""
        return not self.members and all(isinstance(level, Name) for level in self.levels)


@dataclass(frozen=True)
class VarianceTerm:
    """One variance function.

    Attributes
    ----------
    kind : "ident", "power", "exp", "const_power".
    columns : the covariate, or the factors whose product `ident` has a parameter for; () for power(fitted).
    strata : factors for whose levels the parameters differ: power(x | sex).
    fitted : whether the covariate is the fitted values.
    places : every column named, with its place in the text.
    text, span : the function as the user wrote it, and where.
    """

    kind: str
    columns: tuple[str, ...]
    text: str
    span: Span
    strata: tuple[str, ...] = ()
    fitted: bool = False
    places: tuple[tuple[str, Span], ...] = ()


@dataclass(frozen=True)
class Formula:
    """A parsed formula.

    Attributes
    ----------
    text : the user's text, on one line.
    response : the left side as a tree; `responses` are its parts when it is cbind(...).
    fixed : text of the fixed part ("1" when there is none).
    terms : the fixed terms, by order of interaction and then as written; () is the intercept. The polynomials of a penalised
        spline are a term of its name.
    factors : every factor of a fixed or random-effects term by its name: a `Name` or a `Call`.
    offsets : expressions inside offset(...).
    random : the random terms in the order written; a/b gives b:a and then a.
    names : every column the formula reads, with the place where it is first named. With several responses `trait` and
        `units`, which `design.traits` makes, are not among them.
    right : every column that is read right of '~', those two as well.
    """

    text: str
    response: Node
    fixed: str
    terms: tuple[Term, ...]
    factors: dict[str, Node]
    offsets: tuple[Node, ...]
    random: tuple[RandomTerm, ...]
    names: dict[str, Span]
    right: frozenset[str] = frozenset()

    @property
    def response_name(self) -> str:
        """The left side as text with canonical blanks; a column alone by its own name."""
        return self.response.name if isinstance(self.response, Name) else render(self.response)

    @property
    def responses(self) -> tuple[Node, ...]:
        """The traits: one, or the arguments of cbind(...)."""
        if isinstance(self.response, Call) and self.response.name == "cbind":
            return self.response.args
        return (self.response,)

    @property
    def intercept(self) -> bool:
        """Whether the fixed part has an intercept."""
        return bool(self.terms) and self.terms[0] == ()
