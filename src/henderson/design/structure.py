"""Which factors of a term are coded by contrasts and which by all their levels, so that X has no column too
many by structure.

Most models are hierarchical (every margin of an interaction is in the model) and contrasts everywhere are
right. For the others formulaic's algorithm decides, on a table of one row: the answer depends on the terms
and on which factors are categorical alone.
"""

from __future__ import annotations

from functools import lru_cache

Term = tuple[str, ...]
Scoped = tuple[tuple[str, bool], ...]
"""Factors of one product, each with: coded by contrasts?"""


def scope(terms: tuple[Term, ...], categorical: frozenset[str]) -> tuple[tuple[Scoped, ...], ...]:
    """For each term, the products that make its columns; each factor with whether it is coded by contrasts.

    Parameters
    ----------
    terms : () is the intercept.
    categorical : names of the factors that are categorical.
    """
    there = {frozenset(term) for term in terms}
    for term in terms:
        for factor in term:
            if factor in categorical and frozenset(term) - {factor} not in there:
                return _by_formulaic(terms, categorical)
    return tuple((tuple((factor, factor in categorical) for factor in term),) for term in terms)


@lru_cache(maxsize=256)
def _by_formulaic(terms: tuple[Term, ...], categorical: frozenset[str]) -> tuple[tuple[Scoped, ...], ...]:
    if len(terms) == 1 and len(terms[0]) == 1:
        return ((((terms[0][0], False),),),)
    import pandas as pd
    from formulaic import ModelSpec
    from formulaic.formula import SimpleFormula
    from formulaic.materializers.types import FactorValues
    from formulaic.parser.types import Factor
    from formulaic.parser.types import Term as FormulaicTerm

    # Names go in by number: they are looked up, and nothing of the user's text reaches formulaic's own
    # evaluation.
    names = sorted({factor for term in terms for factor in term})
    number = {name: f"v{i}" for i, name in enumerate(names)}
    values = {}
    for name in names:
        if name in categorical:
            column = pd.Series(pd.Categorical(["a", "b"], categories=["a", "b"]))
            values[number[name]] = FactorValues(column, kind="categorical", spans_intercept=True)
        else:
            values[number[name]] = FactorValues(pd.Series([0.0, 1.0]), kind="numerical")
    made = [
        FormulaicTerm(
            [Factor(number[f], eval_method="lookup") for f in term] or [Factor("1", eval_method="literal")]
        )
        for term in terms
    ]
    spec = ModelSpec(formula=SimpleFormula(made, _ordering="none"), materializer="pandas", output="numpy")
    matrix = spec.get_model_matrix(pd.DataFrame(index=range(2)), context=values)
    back = {v: k for k, v in number.items()}
    return tuple(
        tuple(
            tuple((back[f.factor.expr], bool(f.reduced)) for f in scoped.factors)
            for scoped in each.scoped_terms
        )
        for each in matrix.model_spec.structure
    )
