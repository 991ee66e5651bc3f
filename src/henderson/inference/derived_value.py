"""Numbers with their slope in the parameters, and the range that they cannot leave: forward differentiation of an expression.

The range is found from the expression, not from the data. A quotient of polynomials P / Q of components is at most c where every
coefficient of c Q - P is positive and every monomial of it is (variances are never negative): a / (a + b) is in [0, 1],
4 s / (s + e) in [0, 4]. Elsewhere it is what the ranges of the operands allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray
Monomial = tuple[int, ...]
Polynomial = dict[Monomial, float]
_MANY = 300
"""Monomials beyond which a quotient is not followed."""
_HIGHEST = 8
FREE = (-np.inf, np.inf)


@dataclass(frozen=True, eq=False)
class Value:
    """A number that depends on the parameters.

    Attributes
    ----------
    value, slope : the number and its derivatives (k + 1,).
    range : what it is never outside of.
    quotient : (P, Q) where it is a quotient of polynomials of the components, whose numbers are the entries of a monomial.
    says : why it is not a number, "" where it is.
    positive : numbers of the components that are never negative.
    """

    value: float
    slope: Array
    range: tuple[float, float] = FREE
    quotient: tuple[Polynomial, Polynomial] | None = None
    says: str = ""
    positive: frozenset[int] = field(default_factory=frozenset)


def constant(number: float, size: int) -> Value:
    """A number that does not depend on anything."""
    polynomial: Polynomial = {(): number} if number else {}
    return Value(number, np.zeros(size), (number, number), (polynomial, {(): 1.0}))


def symbol(value: float, slope: Array, limits: tuple[float, float], number: int) -> Value:
    """A component."""
    positive = frozenset([number]) if limits[0] >= 0.0 else frozenset()
    return Value(value, slope, limits, ({(number,): 1.0}, {(): 1.0}), "", positive)


def undefined(size: int, says: str) -> Value:
    """What has no value, and why."""
    return Value(np.nan, np.full(size, np.nan), FREE, None, says)


def apply(name: str, arguments: tuple[Value, ...], text: str) -> Value:
    """An operator or a function at its arguments."""
    bad = next((a for a in arguments if a.says), None)
    if bad is not None:
        return bad
    size = len(arguments[0].slope)
    positive = frozenset().union(*(a.positive for a in arguments))
    found = _number(name, [a.value for a in arguments], text)
    if isinstance(found, str):
        return undefined(size, found)
    value, partial = found
    if not np.isfinite(value):
        return undefined(size, f"{text} is too large a number")
    slope = np.zeros(size)
    for rate, argument in zip(partial, arguments, strict=True):
        if np.any(argument.slope):
            # A component that does not move has no share in an infinite rate.
            live = argument.slope != 0.0
            slope[live] += rate * argument.slope[live]
    quotient = _quotient(name, arguments)
    limits = _range(name, [a.range for a in arguments], arguments)
    if quotient is not None:
        upper, lower = (
            _most(*quotient, positive),
            -_most(_times(quotient[0], {(): -1.0}), quotient[1], positive),
        )
        limits = max(limits[0], lower), min(limits[1], upper)
    return Value(value, slope, limits, quotient, "", positive)


def _number(name: str, x: list[float], text: str) -> tuple[float, list[float]] | str:
    """The result and its partial derivatives, or why there is none."""
    a, b = x[0], x[-1]
    if name == "+":
        return a + b, [1.0, 1.0]
    if name == "-":
        return a - b, [1.0, -1.0]
    if name == "*":
        return a * b, [b, a]
    if name == "neg":
        return -a, [-1.0]
    if name == "/":
        if b == 0.0:
            return f"{text} divides by zero"
        return a / b, [1.0 / b, -a / b / b]
    if name == "sqrt":
        if a < 0.0:
            return f"{text} is the root of {a:.4g}"
        return a**0.5, [0.5 / a**0.5 if a > 0.0 else np.inf]
    if name == "log":
        if a <= 0.0:
            return f"{text} is the logarithm of {a:.4g}"
        return float(np.log(a)), [1.0 / a]
    if name == "exp":
        if a > 700.0:
            return f"{text} is too large a number"
        return float(np.exp(a)), [float(np.exp(a))]
    return _power(a, b, text)


def _power(a: float, b: float, text: str) -> tuple[float, list[float]] | str:
    if a < 0.0 and b != int(b):
        return f"{text} is a power {b:.4g} of {a:.4g}"
    if a == 0.0 and b < 0.0:
        return f"{text} divides by zero"
    try:
        value = float(a**b)
        rate = (
            b * a ** (b - 1.0) if a != 0.0 else (1.0 if b == 1.0 else 0.0 if b > 1.0 or b == 0.0 else np.inf)
        )
    except OverflowError:
        return f"{text} is too large a number"
    return value, [float(rate), value * float(np.log(a)) if a > 0.0 else np.nan if a < 0.0 else 0.0]


# -- ranges ----------------------------------------------------------------------------------------------------


def _quotient(name: str, arguments: tuple[Value, ...]) -> tuple[Polynomial, Polynomial] | None:
    parts = [a.quotient for a in arguments]
    if parts[0] is None or parts[-1] is None:
        return None
    (p, q), (r, s) = parts[0], parts[-1]
    found: tuple[Polynomial, Polynomial] | None = None
    if name in ("+", "-"):
        sign: Polynomial = {(): 1.0 if name == "+" else -1.0}
        if q == s:
            found = _plus(p, _times(r, sign)), q
        else:
            found = _plus(_times(p, s), _times(_times(r, sign), q)), _times(q, s)
    elif name == "*":
        found = _times(p, r), _times(q, s)
    elif name == "/":
        found = _times(p, s), _times(q, r)
    elif name == "neg":
        found = _times(p, {(): -1.0}), q
    elif name == "^":
        n = arguments[1].value
        if not np.any(arguments[1].slope) and n == int(n) and abs(n) <= _HIGHEST:
            top, bottom = (p, q) if n >= 0 else (q, p)
            found = ({(): 1.0}, {(): 1.0})
            for _ in range(abs(int(n))):
                found = _times(found[0], top), _times(found[1], bottom)
    if found is None or max(map(len, found)) > _MANY:
        return None
    return found


def _plus(p: Polynomial, q: Polynomial) -> Polynomial:
    out = dict(p)
    for monomial, c in q.items():
        total = out.get(monomial, 0.0) + c
        # What is left of a coefficient by rounding alone is none.
        out[monomial] = 0.0 if abs(total) <= 1e-14 * (abs(c) + abs(out.get(monomial, 0.0))) else total
    return {m: c for m, c in out.items() if c}


def _times(p: Polynomial, q: Polynomial) -> Polynomial:
    if len(p) * len(q) > _MANY * _MANY:
        return dict.fromkeys(((i,) for i in range(_MANY + 1)), 1.0)
    out: Polynomial = {}
    for m, c in p.items():
        for n, d in q.items():
            key = tuple(sorted((*m, *n)))
            out[key] = out.get(key, 0.0) + c * d
    return {m: c for m, c in out.items() if c}


def _surely(monomial: Monomial, positive: frozenset[int]) -> bool:
    """Whether a monomial is never negative."""
    return all(i in positive or monomial.count(i) % 2 == 0 for i in set(monomial))


def _most(p: Polynomial, q: Polynomial, positive: frozenset[int]) -> float:
    """The least c with c Q - P never negative, as the coefficients show it; infinite where they show none."""
    if not q or not all(c > 0.0 and _surely(m, positive) for m, c in q.items()):
        return np.inf
    for monomial, c in p.items():
        if monomial not in q and not (c < 0.0 and _surely(monomial, positive)):
            return np.inf
    return max(p.get(m, 0.0) / c for m, c in q.items())


def _range(name: str, limits: list[tuple[float, float]], arguments: tuple[Value, ...]) -> tuple[float, float]:
    """What the ranges of the operands allow."""
    (a, b), (c, d) = limits[0], limits[-1]
    if name == "+":
        return a + c, b + d
    if name == "-":
        return a - d, b - c
    if name == "neg":
        return -b, -a
    if name == "*":
        return _products((a, b), (c, d))
    if name == "/":
        if c > 0.0 or d < 0.0:
            return _products((a, b), (1.0 / d, 1.0 / c))
        if c == 0.0:
            return (0.0 if a >= 0.0 else -np.inf), (0.0 if b <= 0.0 else np.inf)
        return FREE
    if name == "sqrt":
        return max(a, 0.0) ** 0.5, max(b, 0.0) ** 0.5
    if name == "log":
        return (float(np.log(a)) if a > 0.0 else -np.inf), (float(np.log(b)) if b > 0.0 else -np.inf)
    if name == "exp":
        with np.errstate(over="ignore"):
            return float(np.exp(a)), float(np.exp(b))
    return _range_of_power((a, b), arguments[1])


def _products(left: tuple[float, float], right: tuple[float, float]) -> tuple[float, float]:
    ends = [0.0 if 0.0 in (x, y) else x * y for x in left for y in right]
    return min(ends), max(ends)


def _range_of_power(base: tuple[float, float], exponent: Value) -> tuple[float, float]:
    n = exponent.value
    even = n == int(n) and int(n) % 2 == 0
    if np.any(exponent.slope) or base[0] < 0.0:
        return (0.0, np.inf) if base[0] >= 0.0 or even else FREE
    with np.errstate(divide="ignore", over="ignore"):
        ends = sorted(float(np.float64(x) ** n) for x in base)
    return ends[0], ends[1]
