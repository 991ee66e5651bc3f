"""How much a design can tell, before there is a response: criteria, search for exact designs, power.

    M = X'V^-1X / N,     V = Z G Z' + R (mixed models), a given V, or I;     N runs, p coefficients

    D = |M|^(1/p)            geometric mean of the information; larger is better
    A = tr(M^-1) / p         mean variance of the coefficients, times N; smaller is better
    E = least eigenvalue     of M: the information on the worst combination of coefficients; larger is better
    I = mean x'M^-1x         mean variance of the predictions over a region, times N; smaller is better
    G = max x'M^-1x          the largest of them; smaller is better

The door is `hd.design`: `evaluate` (evaluation.py), `search` (exact.py, starts.py), `power` (testing.py, plan.py). A verb reads a formula and a
table (reading.py), forms the information (precision.py), and works on arrays from there. It may use any room, and no room
uses it.

Fedorov (1972) Theory of Optimal Experiments; Atkinson, Donev & Tobias (2007) Optimum Experimental Designs.
"""

from henderson.optimal.evaluation import Evaluation, evaluate
from henderson.optimal.exact import ExactDesign, search
from henderson.optimal.testing import Power, power

__all__ = ["Evaluation", "ExactDesign", "Power", "evaluate", "power", "search"]
