"""The algebra of Wilkinson and Rogers: `a * b` -> a, b, a:b.

A set of terms is an ordered dict: frozenset of factor names -> the factors in the order they were written.
The empty term is the intercept. Rules as in R's `terms.formula` (Chambers & Hastie 1992, section 2.3.1).
"""

from __future__ import annotations

from henderson.errors import FormulaError
from henderson.formula.expression import (
    Call,
    Chain,
    Name,
    Negate,
    Node,
    Number,
    Power,
    render,
    strip,
)
from henderson.formula.functions import check_call

MAX_TERMS = 3000
MAX_ORDER = 8
MAX_POWER = 20

Term = tuple[str, ...]
Terms = dict[frozenset[str], Term]
_EMPTY: frozenset[str] = frozenset()


class Expansion:
    """Expands trees of one formula; `factors` collects every factor's node by its name."""

    def __init__(self, text: str):
        self.text = text
        self.factors: dict[str, Node] = {}

    def additive(self, items: list[tuple[str, Node]], intercept: bool = True) -> tuple[Term, ...]:
        """Terms of `sign node sign node ...`, by order of interaction and then as written, the intercept ()
        first.

        Parameters
        ----------
        items : (sign, node) pairs.
        intercept : whether the intercept is there unless it is taken away.
        """
        terms: Terms = {_EMPTY: ()} if intercept else {}
        for sign, node in items:
            self.add(terms, sign, node)
        return tuple(sorted(terms.values(), key=len))

    def add(self, terms: Terms, sign: str, node: Node) -> None:
        bare = strip(node)
        if isinstance(bare, Negate):
            sign, bare = "-" if sign == "+" else "+", strip(bare.operand)
        if isinstance(bare, Number):
            if bare.value not in (0, 1) or bare.text not in ("0", "1"):
                raise FormulaError(
                    f"'{bare.text}' cannot be a term: only 0 and 1 (no intercept, intercept) can.",
                    self.text,
                    bare.span,
                    "Arithmetic on columns is written inside I(...).",
                )
            if (bare.value == 1) == (sign == "+"):
                terms.setdefault(_EMPTY, ())
            else:
                terms.pop(_EMPTY, None)
            return
        expanded = self.expand(bare)
        if sign == "-":
            for key in expanded:
                terms.pop(key, None)
            return
        for key, term in expanded.items():
            terms.setdefault(key, term)
        if len(terms) > MAX_TERMS:
            self.limit(terms, bare)

    def expand(self, node: Node) -> Terms:
        """The terms of one operand of the algebra."""
        node = strip(node)
        if isinstance(node, Name):
            return self.factor(render(node), node)
        if isinstance(node, Call):
            check_call(node, self.text)
            return self.factor(render(node), node)
        if isinstance(node, Number) and node.text == "1":
            return {_EMPTY: ()}
        if isinstance(node, Power):
            return self.power(node)
        if isinstance(node, Chain):
            if node.operators <= {"+", "-"}:
                terms: Terms = {}
                self.add(terms, "+", node.first)
                for op, operand in node.rest:
                    self.add(terms, op, operand)
                return terms
            terms = self.expand(node.first)
            for op, operand in node.rest:
                terms = self.combine(op, terms, self.expand(operand), node)
            return terms
        raise FormulaError(
            f"'{render(node)}' cannot be a term.",
            self.text,
            node.span,
            "Arithmetic on columns is written inside I(...).",
        )

    def factor(self, name: str, node: Node) -> Terms:
        known = self.factors.get(name)
        if known is None or node.span < known.span:
            self.factors[name] = node
        return {frozenset((name,)): (name,)}

    def combine(self, op: str, left: Terms, right: Terms, node: Node) -> Terms:
        if op in (":", "%in%"):
            return self.cross(left, right, node)
        if op == "*":
            return self.limit({**left, **right, **self.cross(left, right, node)}, node)
        everything: dict[str, None] = {}
        for term in left.values():
            everything.update(dict.fromkeys(term))
        return self.limit(
            {**left, **self.cross({frozenset(everything): tuple(everything)}, right, node)}, node
        )

    def cross(self, left: Terms, right: Terms, node: Node) -> Terms:
        if len(left) * len(right) > 4 * MAX_TERMS:
            self.limit(dict.fromkeys(range(len(left) * len(right))), node)  # type: ignore[arg-type]
        result: Terms = {}
        for a, first in left.items():
            for b, second in right.items():
                result.setdefault(a | b, first + tuple(f for f in second if f not in a))
        return self.limit(result, node)

    def power(self, node: Power) -> Terms:
        exponent = strip(node.exponent)
        if not (
            isinstance(exponent, Number) and exponent.text.isdigit() and 1 <= exponent.value <= MAX_POWER
        ):
            raise FormulaError(
                f"a power of terms is a whole number from 1 to {MAX_POWER}.",
                self.text,
                exponent.span,
                "The power of a column is written inside I(...): I(x^2).",
            )
        base = self.expand(node.base)
        terms = base
        for _ in range(int(exponent.value) - 1):
            longer = {**terms, **self.cross(terms, base, node)}
            if len(longer) == len(terms):
                break
            terms = longer
        return terms

    def limit(self, terms: Terms, node: Node) -> Terms:
        if len(terms) > MAX_TERMS:
            raise FormulaError(f"this expands to more than {MAX_TERMS:,} terms.", self.text, node.span)
        for key in terms:
            if not isinstance(key, int) and len(key) > MAX_ORDER:
                raise FormulaError(
                    f"this expands to an interaction of more than {MAX_ORDER} factors.", self.text, node.span
                )
        return terms
