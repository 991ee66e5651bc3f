"""The rules of the Newton iterations, in one place: `optimise` and the loop compiled in `one_term` follow the same."""

from __future__ import annotations

TOLERANCE = 1e-9
"""Predicted decrease of the criterion, in deviance units, below which there is nothing left to gain."""
RESOLUTION = 1e-7
"""Differences of the criterion below this are its rounding, where variances differ by many orders of magnitude."""
ROUNDING = 1e-13
"""The same elsewhere, as a share of the criterion."""
MAX_ITERATIONS = 100
SMALLEST_PIVOT = 1e-10
"""No pivot of T is smaller: at exactly zero the gradient vanishes by symmetry and says nothing of the way out."""
EIGENVALUE_FLOOR = 1e-8
"""Smallest eigenvalue of the Newton matrix, as a share of the largest, that a step divides by."""
ARMIJO = 1e-4
"""Share of the predicted decrease that a step must gain."""
SHORTEN = 0.4
SHORTEST = 1e-8
COLLAPSE = 0.1
"""Far from the optimum no pivot shrinks below this share of itself in one step."""
FAR = 1.0
"""Predicted decrease above which a point is far from the optimum."""
SLOW = 0.1
"""Ratio of successive predicted decreases above which average information is a poor guide."""
LATE = 5
"""Steps after which it is one even far from the optimum."""
DIFFERENCE = 1e-6
"""Step of the differences that give the observed information, as a share of a parameter."""
CONTRACTION = 1e-3
CLOSE = 1e-4
"""A full step that left no more than this share of the predicted decrease, and less than this, need not be confirmed."""
NEAR_ZERO = 0.02
"""Unless some parameter is smaller than this: then it is always confirmed."""
FLAT = 1e-9
"""Information of a direction, parameters scaled alike, below which it counts as none."""
