"""Numbers as R prints a column of them: one number of decimals, so that the smallest keeps its significant
digits.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

_SMALLEST_P = 2.220446049250313e-16


def column(values: Iterable[float], digits: int = 4) -> list[str]:
    """The values with the same number of decimals, enough for `digits` significant ones of the smallest;
    exponents where that takes more room than they do."""
    numbers = np.asarray(list(values), dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    decimals, exponent_digits = 0, 0
    for value in finite[finite != 0.0]:
        mantissa, power = f"{abs(value):.{digits - 1}e}".split("e")
        significant = len(mantissa.rstrip("0").replace(".", ""))
        decimals = max(decimals, significant - 1 - int(power))
        exponent_digits = max(exponent_digits, significant - 1)
    largest = np.abs(finite).max(initial=0.0)
    fixed_width = max(len(f"{largest:.0f}"), 1) + (decimals + 1 if decimals else 0)
    exponent_width = exponent_digits + (1 if exponent_digits else 0) + 5
    form = f".{decimals}f" if fixed_width <= exponent_width else f".{exponent_digits}e"
    return [_text(value, form) for value in numbers]


def _text(value: float, form: str) -> str:
    if np.isfinite(value):
        return format(value + 0.0, form)
    return "NaN" if np.isnan(value) else "Inf" if value > 0 else "-Inf"


def rounded(values: Iterable[float], decimals: int, digits: int = 4) -> list[str]:
    """`column` of the values rounded to `decimals` places first."""
    return column(np.round(np.asarray(list(values), dtype=np.float64), decimals), digits)


def p_values(values: Iterable[float], digits: int = 3) -> list[str]:
    """Small ones with an exponent, the smallest as "< 2e-16"."""
    numbers = np.asarray(list(values), dtype=np.float64)
    plain = numbers[(numbers >= 1e-4)]
    fixed = iter(column(plain, digits))
    out = []
    for value in numbers:
        if np.isnan(value):
            out.append("NaN")
        elif value < _SMALLEST_P:
            out.append("< 2e-16")
        elif value < 1e-4:
            out.append(f"{value:.{digits - 1}e}")
        else:
            out.append(next(fixed))
    return out


def stars(p: float) -> str:
    """R's codes of significance."""
    for bound, code in ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, ".")):
        if p <= bound:
            return code
    return ""


def abbreviate(name: str, length: int = 6) -> str:
    """A name in few characters: lower-case vowels go first, from the end, then other lower-case letters,
    then the tail.
    """
    for drop in ("aeiou", "abcdefghijklmnopqrstuvwxyz"):
        for at in range(len(name) - 1, 0, -1):
            if len(name) <= length:
                return name
            if name[at] in drop and name[at - 1].isalnum():
                name = name[:at] + name[at + 1 :]
    return name if len(name) <= length else name[:length]


def table(columns: list[list[str]], left: set[int]) -> list[str]:
    """Lines of a table whose columns are lists of texts of equal length; those in `left` are set flush
    left.
    """
    widths = [max(map(len, texts), default=0) for texts in columns]
    return [
        " ".join(
            text.ljust(width) if i in left else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in zip(*columns, strict=True)
    ]
