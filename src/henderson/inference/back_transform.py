"""The response as the user measured it: log(y), sqrt(y), 1 / y, 2 * log(y + 1) ... undone.

The left side of the formula is a chain of invertible steps on one column. Its inverse h and three derivatives are had by the
chain rule (Faa di Bruno), so that h(eta) has standard error |h'(eta)| se, and, with `sigma`, the mean of h(eta + e) for a
small normal e is h(eta) + h''(eta) sigma^2 / 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..formula import parse
from ..formula.expression import Call, Chain, Group, Name, Negate, Node, Number, Power, render

Jet = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""A function and its first three derivatives at some points."""
_BASES = {"log": np.e, "log2": 2.0, "log10": 10.0}


@dataclass(frozen=True)
class BackTransform:
    """The inverse of the left side of a formula.

    Attributes
    ----------
    name : the left side as it was written; column : what it is a function of.
    steps : the inverses, outermost first.
    ratio_of : what differences of the left side are logarithms of ratios of; None where it is no logarithm. base, of it.
    """

    name: str
    column: str
    steps: tuple[Callable[[np.ndarray], Jet], ...]
    ratio_of: str | None
    base: float

    def __call__(self, eta: np.ndarray, sigma: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Value and slope at eta; of the mean where errors have standard deviation `sigma`."""
        value, first, second, third = self._jet(eta)
        if not sigma:
            return value, first
        half = 0.5 * sigma**2
        return value + half * second, first + half * third

    def _jet(self, eta: np.ndarray) -> Jet:
        eta = np.asarray(eta, dtype=np.float64)
        jet: Jet = (eta, np.ones_like(eta), np.zeros_like(eta), np.zeros_like(eta))
        with np.errstate(all="ignore"):
            for step in self.steps:
                jet = _compose(step, jet)
        return jet


def back_transform(spec: Mapping[str, Any]) -> BackTransform | None:
    """The inverse of the left side of a design's formula; None where it is the column itself or cannot be undone."""
    node = parse(spec["formula"]).response
    steps: list[Callable[[np.ndarray], Jet]] = []
    column = _walk(node, steps, spec)
    if column is None or not steps:
        return None
    outer = node
    while isinstance(outer, Group) or (isinstance(outer, Call) and outer.name == "I"):
        outer = outer.inner if isinstance(outer, Group) else outer.args[0]
    ratio_of, base = None, float(np.e)
    if isinstance(outer, Call) and outer.name in (*_BASES, "log1p"):
        base = _BASES.get(outer.name, base)
        ratio_of = render(outer.args[0]) + (" + 1" if outer.name == "log1p" else "")
    return BackTransform(render(node), column, tuple(steps), ratio_of, base)


def _compose(step: Callable[[np.ndarray], Jet], jet: Jet) -> Jet:
    g, g1, g2, g3 = jet
    f, f1, f2, f3 = step(g)
    return f, f1 * g1, f2 * g1**2 + f1 * g2, f3 * g1**3 + 3.0 * f2 * g1 * g2 + f1 * g3


def _walk(node: Node, steps: list[Callable[[np.ndarray], Jet]], spec: Mapping[str, Any]) -> str | None:
    """Append the inverses of what is done to a column, outermost first; its name, or None where that cannot be undone."""
    if isinstance(node, Name):
        return node.name
    if isinstance(node, Group):
        return _walk(node.inner, steps, spec)
    if isinstance(node, Negate):
        steps.append(_affine(-1.0, 0.0))
        return _walk(node.operand, steps, spec)
    if isinstance(node, Power):
        power = _constant(node.exponent)
        if not power:
            return None
        steps.append(_root(power))
        return _walk(node.base, steps, spec)
    if isinstance(node, Call):
        return _walk_call(node, steps, spec)
    if isinstance(node, Chain):
        return _walk_chain(node, steps, spec)
    return None


def _walk_call(node: Call, steps: list[Callable[[np.ndarray], Jet]], spec: Mapping[str, Any]) -> str | None:
    if node.name in _BASES:
        steps.append(_exponential(_BASES[node.name]))
    elif node.name == "log1p":
        steps += [_exponential(np.e), _affine(1.0, -1.0)]
    elif node.name == "exp":
        steps.append(_logarithm)
    elif node.name == "expm1":
        steps += [_affine(1.0, 1.0), _logarithm]
    elif node.name == "sqrt":
        steps.append(_square)
    elif node.name in ("scale", "center"):
        state = spec["state"].get(render(node))
        if state is None:
            return None
        steps.append(_affine(state.get("scale", 1.0), state["center"]))
    elif node.name != "I":
        return None
    return _walk(node.args[0], steps, spec)


def _walk_chain(node: Chain, steps: list[Callable[[np.ndarray], Jet]], spec: Mapping[str, Any]) -> str | None:
    """One operand that is not constant: "a + y", "y - a", "a * y / b", "a / y"."""
    signs = [("+" if node.operators <= {"+", "-"} else "*", node.first), *node.rest]
    inside = [(op, operand) for op, operand in signs if _constant(operand) is None]
    found = [(op, _constant(operand)) for op, operand in signs]
    constants = [(op, value) for op, value in found if value is not None]
    if len(inside) != 1:
        return None
    op, operand = inside[0]
    if op in "+-":
        added = sum(c if o == "+" else -c for o, c in constants)
        # z = sign * w + added
        steps.append(_affine(1.0, -added) if op == "+" else _affine(-1.0, added))
    elif op in "*/":
        factor = 1.0
        for o, c in constants:
            factor = factor * c if o == "*" else (factor / c if c else 0.0)
        if not factor:
            return None
        steps.append(_affine(1.0 / factor, 0.0))
        if op == "/":
            steps.append(_root(-1.0))
    else:
        return None
    return _walk(operand, steps, spec)


def _constant(node: Node) -> float | None:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Group):
        return _constant(node.inner)
    if isinstance(node, Negate):
        inner = _constant(node.operand)
        return None if inner is None else -inner
    if isinstance(node, Chain):
        value = _constant(node.first)
        for op, operand in node.rest:
            other = _constant(operand)
            if value is None or other is None or op not in "+-*/" or (op == "/" and not other):
                return None
            value = {"+": value + other, "-": value - other, "*": value * other, "/": value / (other or 1.0)}[
                op
            ]
        return value
    return None


def _affine(a: float, b: float) -> Callable[[np.ndarray], Jet]:
    return lambda x: (a * x + b, np.full_like(x, a), np.zeros_like(x), np.zeros_like(x))


def _exponential(base: float) -> Callable[[np.ndarray], Jet]:
    k = float(np.log(base))

    def step(x: np.ndarray) -> Jet:
        value = np.exp(k * x)
        return value, k * value, k**2 * value, k**3 * value

    return step


def _logarithm(x: np.ndarray) -> Jet:
    x = np.maximum(x, 0.0)
    return np.log(x), 1.0 / x, -1.0 / x**2, 2.0 / x**3


def _square(x: np.ndarray) -> Jet:
    """A root is not negative: limits below 0 are limits at 0."""
    x = np.maximum(x, 0.0)
    return x**2, 2.0 * x, np.full_like(x, 2.0), np.zeros_like(x)


def _root(power: float) -> Callable[[np.ndarray], Jet]:
    """The inverse of y**power: below 0 it is at 0, except for odd whole powers."""
    q = 1.0 / power
    odd = float(power).is_integer() and power % 2 == 1.0

    def step(x: np.ndarray) -> Jet:
        sign = np.sign(x) if odd else np.ones_like(x)
        size = np.abs(x) if odd else np.maximum(x, 0.0)
        return (
            sign * size**q,
            q * size ** (q - 1.0),
            sign * q * (q - 1.0) * size ** (q - 2.0),
            q * (q - 1.0) * (q - 2.0) * size ** (q - 3.0),
        )

    return step
