"""The grammar: what each text means, where errors point, and that its algebra is Wilkinson and Rogers'."""

from __future__ import annotations

import time

import formulaic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from henderson import formula as fm
from henderson.errors import FormulaError, NotAvailableError
from henderson.formula import assemble


def random(text):
    return fm.parse(text).random


def brief(term):
    return (term.structure, term.effect_terms, term.group)


ONE, X = (), ("x",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(1 | g)", [("us", (ONE,), "g")]),
        ("(x | g)", [("us", (ONE, X), "g")]),
        ("(1 + x | g)", [("us", (ONE, X), "g")]),
        ("(0 + x | g)", [("us", (X,), "g")]),
        ("(x - 1 | g)", [("us", (X,), "g")]),
        ("(-1 + x | g)", [("us", (X,), "g")]),
        ("(x || g)", [("diag", (ONE, X), "g")]),
        ("diag(x | g)", [("diag", (ONE, X), "g")]),
        ("us(x | g)", [("us", (ONE, X), "g")]),
        ("id(0 + f | g)", [("id", (("f",),), "g")]),
        ("(1 | a:b)", [("us", (ONE,), "a:b")]),
        ("(1 | (a:b))", [("us", (ONE,), "a:b")]),
        ("(1 | a/b)", [("us", (ONE,), "b:a"), ("us", (ONE,), "a")]),
        ("(x || a/b)", [("diag", (ONE, X), "b:a"), ("diag", (ONE, X), "a")]),
        ("(1 | a/b/c)", [("us", (ONE,), "c:(b:a)"), ("us", (ONE,), "b:a"), ("us", (ONE,), "a")]),
        ("(1 | g) + (0 + x | g)", [("us", (ONE,), "g"), ("us", (X,), "g")]),
        ("(x * z | g)", [("us", (ONE, X, ("z",), ("x", "z")), "g")]),
        ("(poly(x, 2) | g)", [("us", (ONE, ("poly(x, 2)",)), "g")]),
        ("((1 | g))", [("us", (ONE,), "g")]),
        ("us(0 + trait | vm(animal, A))", [("us", (("trait",),), "vm(animal, A)")]),
        ("(1 | ar1(row):ar1(col))", [("us", (ONE,), "ar1(row):ar1(col)")]),
        ("ar1(0 + time | subject)", [("ar1", (("time",),), "subject")]),
        ("(1 | mat(x, y))", [("us", (ONE,), "mat(x, y)")]),
        ("(1 | exp(x, y))", [("us", (ONE,), "exp(x, y)")]),
    ],
)
def test_random_terms(text, expected):
    assert [brief(t) for t in random("y ~ x + " + text)] == expected


@pytest.mark.parametrize(
    "name",
    ["us", "diag", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ante1", "ou", "exp", "gau", "mat", "id"],
)
def test_every_structure_is_read(name):
    (term,) = random(f"y ~ 1 + {name}(0 + t | g)")
    assert (term.structure, term.group, term.text) == (name, "g", f"{name}(0 + t | g)")


@pytest.mark.parametrize("name", ["fa", "rr"])
def test_factor_analytic_needs_k(name):
    (term,) = random(f"y ~ 1 + {name}(0 + env | vm(geno, G), k=2)")
    assert term.options == {"k": 2}
    with pytest.raises(FormulaError, match="number of factors"):
        fm.parse(f"y ~ 1 + {name}(0 + env | geno)")


def test_sections_and_splines():
    term, spline, surface = random("y ~ at(env):(1 | ar1(row):ar1(col)) + spl(x) + spl2d(row, col)")
    assert term.at == ("env",)
    assert (spline.structure, surface.structure) == ("spl", "spl2d")


def test_terms_keep_their_place():
    text = "y ~ x + (1 | a/b) + diag(x | g)"
    terms = random(text)
    assert [text[slice(*t.span)] for t in terms] == ["(1 | a/b)", "(1 | a/b)", "diag(x | g)"]
    assert [t.label for t in terms] == ["(1 | b:a)", "(1 | a)", "diag(x | g)"]
    assert [t.text for t in terms] == ["(1 | a/b)", "(1 | a/b)", "diag(x | g)"]


def test_names_have_the_place_where_they_are_first_written():
    f = fm.parse("log(y) ~ a + I(b^2) + offset(log(n)) + (a | g/`my h`) + (1 | vm(animal, A))")
    assert list(f.names) == ["y", "a", "b", "n", "g", "my h", "animal"]
    for name, (start, stop) in f.names.items():
        assert f.text[start:stop].strip("`") == name


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("1", [()]),
        ("0 + x", [("x",)]),
        ("x - 1", [("x",)]),
        ("-1 + x", [("x",)]),
        ("x + 1", [(), ("x",)]),
        ("0", []),
        ("(1 | g)", [()]),
        ("0 + (1 | g)", []),
        ("a * b", [(), ("a",), ("b",), ("a", "b")]),
        ("a * b - a:b", [(), ("a",), ("b",)]),
        ("a / b", [(), ("a",), ("a", "b")]),
        ("(a + b) / c", [(), ("a",), ("b",), ("a", "b", "c")]),
        ("(a + b + c)^2", [(), ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c")]),
        ("(a + b)**2", [(), ("a",), ("b",), ("a", "b")]),
        ("a %in% b", [(), ("a", "b")]),
        ("a:b + a", [(), ("a",), ("a", "b")]),
        ("b:a + a:b", [(), ("b", "a")]),
        ("I(x^2) + log(x)", [(), ("I(x^2)",), ("log(x)",)]),
        ("poly( x,2 )", [(), ("poly(x, 2)",)]),
        ("C(f, Treatment('b'))", [(), ('C(f, Treatment("b"))',)]),
        ("avg.IQ.ver.cen + `my col`", [(), ("avg.IQ.ver.cen",), ("my col",)]),
        ("(x + (1 | g))", [(), ("x",)]),
        ("a + (a - a)", [(), ("a",)]),
        ("x + (z - 1)", [("x",), ("z",)]),
    ],
)
def test_fixed_terms(text, terms):
    assert list(fm.parse("y ~ " + text).terms) == terms


def test_fixed_text_and_response():
    f = fm.parse("log(y + 1) ~ a*b + (1 | g) - a:b + offset(z)")
    assert f.fixed == "a*b - a:b"
    assert f.response_name == "log(y + 1)"
    assert fm.parse("y ~ (1 | g)").fixed == "1"
    assert len(f.offsets) == 1


def test_several_responses():
    f = fm.parse("cbind(y1, log(y2)) ~ trait + trait:sex + us(0 + trait | vm(animal, A))")
    assert len(f.responses) == 2
    assert list(f.names) == ["y1", "y2", "sex", "animal"]


def test_new_lines_are_blanks():
    assert fm.parse("y ~ x +\n\t(1 | g)").terms == fm.parse("y ~ x + (1 | g)").terms


operand = st.sampled_from(["a", "b", "c", "d"])
algebra = st.recursive(
    operand,
    lambda inner: (
        st.builds(
            lambda left, op, right: f"({left} {op} {right})",
            inner,
            st.sampled_from(["+", "*", ":", "-", "/"]),
            inner,
        )
        | st.builds(lambda base, power: f"({base})**{power}", inner, st.integers(1, 3))
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(algebra)
def test_algebra_agrees_with_formulaic(text):
    ours = {frozenset(term) for term in fm.parse(f"y ~ 1 + {text}").terms}
    try:
        formulaic.Formula(f"1 + {text}")
    except TypeError:  # formulaic 1.1 on a/(b - b)
        return
    theirs = {frozenset(str(f) for f in t.factors) - {"1"} for t in formulaic.Formula(f"1 + {text}")}
    assert ours == theirs


@pytest.mark.parametrize(
    ("text", "message", "pointed", "hint"),
    [
        ("y ~ lg(x)", "not a function", "lg", "'log'"),
        ("y ~ x + scal(x)", "not a function", "scal", "'scale'"),
        ("y ~ uss(x | g)", "no covariance structure", "uss", "'us'"),
        ("y ~ (1 | vmm(animal, A))", "no correlation among levels", "vmm", "'vm'"),
        ("y ~ C(f, Tretment)", "no contrasts", "Tretment", "'Treatment'"),
        ("y ~ poly(x, degre=2)", "no argument", "2", "'degree'"),
        ("y ~ poly(x, z)", "a number is wanted", "z", None),
        ("y ~ poly(x, 2, raw=1)", "TRUE or FALSE", "1", None),
        ("y ~ log(x, z)", "no argument after", "log(x, z)", None),
        ("y ~ log()", "nothing between", "log()", None),
        ("y ~ a b", "without an operator", "b", "back quotes"),
        ("y ~ x + 2", "cannot be a term", "2", "I(...)"),
        ("y ~ x + .", "not expanded", ".", None),
        ("y ~ (x | g", "not closed", "(", None),
        ("y ~ x)", "closes nothing", ")", None),
        ("y ~ x | g", "between parentheses", "|", "(effects | group)"),
        ("y ~ z * (x | g)", "only be added", "z * (x | g)", None),
        ("y ~ x - (1 | g)", "not taken away", "(1 | g)", None),
        ("y ~ (1 | g | h)", "one bar", "|", None),
        ("y ~ (1 | a + b)", "not a grouping", "a + b", "(1 | a) + (1 | b)"),
        ("y ~ (1 | a*b)", "not a grouping", "a*b", None),
        ("y ~ (1 | a:a)", "twice", "a:a", None),
        ("y ~ (1 | factor(g))", "not needed", "factor", None),
        ("y ~ (0 | g)", "no effect", "0", None),
        ("y ~ (1 | (x | g))", "inside another", "x | g", None),
        ("y ~ x ~ z", "one '~'", "~", None),
        ("y x ~ z", "without an operator", "x", None),
        ("y ~", "nothing stands", "~", None),
        ("y ~ x +", "stops where", None, None),
        ("~ x", "no response", "~", None),
        ("y", "no '~'", "y", None),
        ("(1 | g) ~ x", "on the right of", "1 | g", None),
        ("1 ~ x", "names no column", "1", None),
        ("y ~ (a + b)^z", "power of terms", "z", "I(x^2)"),
        ("y ~ x^0", "power of terms", "0", None),
        ("y ~ 2x", "neither a number nor a name", "2x", None),
        ("y ~ ``", "no name between", "``", None),
        ("y ~ df$x", "unexpected '$'", "$", None),
        ("y ~ I(x > 3)", "comparisons", ">", None),
        ("y ~ us(x || g) + cs(x || g)", "two answers", "x || g", None),
        ("y ~ fa(x | g, kk=2)", "no option", "2", None),
    ],
)
def test_errors_point_at_the_users_token(text, message, pointed, hint):
    with pytest.raises(FormulaError) as caught:
        fm.parse(text)
    said = str(caught.value)
    assert message in said
    lines = said.split("\n")
    if pointed is not None:
        assert lines[1] == "    " + text
        start = lines[2].index("^")
        stop = start + lines[2].count("^")
        assert lines[1][start:stop] == pointed
    if hint is not None:
        assert hint in lines[-1]


@pytest.mark.parametrize("text", [None, 3, ["y ~ x"], b"y ~ x"])
def test_a_formula_is_text(text):
    with pytest.raises(FormulaError, match="a formula is a text"):
        fm.parse(text)


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_empty(text):
    with pytest.raises(FormulaError, match="empty"):
        fm.parse(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("y ~ 1 + cs(0 + f | g)", "cs(0 + f | g)"),
        ("y ~ 1 + fa(0 + e | g, k=2)", "fa(0 + e | g, k=2)"),
        ("y ~ 1 + (1 | vm(animal, A))", "vm(animal, A)"),
        ("y ~ 1 + (1 | ar1(row):ar1(col))", "ar1(row)"),
        ("y ~ 1 + at(env):(1 | g)", "at(env)"),
        ("y ~ 1 + spl(x)", "spl(x)"),
        ("y ~ 1 + spl2d(r, c)", "spl2d(r, c)"),
        ("cbind(a, b) ~ 1 + (1 | g)", "cbind(a, b)"),
    ],
)
def test_what_is_not_available_yet_is_named(text, named):
    with pytest.raises(NotAvailableError) as caught:
        fm.require_available(fm.parse(text))
    said = str(caught.value)
    assert named in said
    assert "not available yet" in said


def test_what_is_available():
    fm.require_available(fm.parse("y ~ x + (x | g) + (x || h) + diag(f | a) + id(0 + f | b) + (1 | c/d)"))
    fm.require_available(fm.parse("y ~ x"))


def test_residual_and_variance():
    (term,) = fm.parse_residual("ar1(0 + time | subject)")
    assert brief(term) == ("ar1", (("time",),), "subject")
    (term,) = fm.parse_residual("at(env):(1 | ar1(row):ar1(col))")
    assert term.at == ("env",)
    assert [(v.kind, v.columns) for v in fm.parse_variance("ident(sex) * power(x)")] == [
        ("ident", ("sex",)),
        ("power", ("x",)),
    ]
    f = fm.parse("y ~ x")
    with pytest.raises(NotAvailableError, match="residual"):
        fm.require_available(f, residual="us(0 + trait | units)")
    with pytest.raises(NotAvailableError, match="variance"):
        fm.require_available(f, variance="const_power(x)")
    with pytest.raises(FormulaError, match="a residual is a random term"):
        fm.parse_residual("x + (1 | g)")
    with pytest.raises(FormulaError, match="not a variance function"):
        fm.parse_variance("powr(x)")


def test_parsing_is_fast():
    text = "Reaction ~ Days + (Days | Subject)"
    best = min(_seconds(text) for _ in range(30))
    assert best < 0.001  # 0.05 ms on a quiet machine


def _seconds(text):
    start = time.perf_counter()
    assemble._parse.__wrapped__(text)
    return time.perf_counter() - start


def test_thousands_of_columns():
    columns = [f"x{i}" for i in range(2000)]
    assert len(fm.parse("y ~ " + " + ".join(columns)).terms) == 2001
