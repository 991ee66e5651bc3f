"""Factors are known up to their signs: of each the one is taken whose loadings have a positive sum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .criterion import Problem
from .optimise import Optimum
from .start import REDUCED


def signed(problem: Problem, optimum: Optimum) -> Optimum:
    """The same optimum, the loadings of a factor turned where their sum is negative. Loadings that are held or tied stay as they
    are, and so do all of their term."""
    layout = problem.layout
    phi = layout.all(optimum.theta)
    sign = np.ones(len(optimum.theta))
    uses = np.bincount(layout.source[layout.source >= 0], minlength=max(layout.n_free, 1))
    for part in layout.parts:
        structure = problem.model.terms[part.term].structure if part.kind == "T" else None
        source = layout.source[part.at]
        if (
            structure is None
            or structure.name not in REDUCED
            or np.any(source < 0)
            or np.any(uses[source] > 1)
        ):
            continue
        touched = np.any(structure.derivatives(phi[part.at]) != 0, axis=1)
        t = structure.factor(phi[part.at])
        for column in np.flatnonzero((structure.pattern.sum(axis=0) > 1) & (t.sum(axis=0) < 0)):
            sign[source[touched[:, column]]] *= -1.0
    information = optimum.average_information * np.outer(sign, sign)
    return replace(optimum, theta=optimum.theta * sign, average_information=information)
