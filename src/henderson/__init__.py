"""henderson: linear and mixed models, exact and fast, in one grammar.

    import henderson as hd
    fit = hd.lmm("Reaction ~ Days + (Days | Subject)", "sleepstudy.csv")
    print(fit.summary())

Names are loaded when first used, so that `import henderson` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "check": ("henderson.models.check", "check"),
    "gls": ("henderson.models.gls", "gls"),
    "compare": ("henderson.models.compare", "compare"),
    "lm": ("henderson.models.lm", "lm"),
    "lmm": ("henderson.models.lmm", "lmm"),
    "load": ("henderson.models.archive", "load"),
    "plan": ("henderson.models.plan", "plan"),
    "datasets": ("henderson.datasets", None),
    "design": ("henderson.design", None),
    "genetics": ("henderson.genetics", None),
    "LinearFit": ("henderson.models.linear_fit", "LinearFit"),
    "MixedFit": ("henderson.models.mixed_fit", "MixedFit"),
    "HendersonError": ("henderson.errors", "HendersonError"),
    "FormulaError": ("henderson.errors", "FormulaError"),
    "DataError": ("henderson.errors", "DataError"),
    "ModelError": ("henderson.errors", "ModelError"),
    "NotAvailableError": ("henderson.errors", "NotAvailableError"),
}

_PLANNED = ("glm", "glmm", "mixture", "qtl")

__all__ = [
    "DataError",
    "FormulaError",
    "HendersonError",
    "LinearFit",
    "MixedFit",
    "ModelError",
    "NotAvailableError",
    "__version__",
    "check",
    "compare",
    "datasets",
    "design",
    "genetics",
    "gls",
    "lm",
    "lmm",
    "load",
    "plan",
]

if TYPE_CHECKING:
    from . import datasets, design, genetics
    from .errors import DataError, FormulaError, HendersonError, ModelError, NotAvailableError
    from .models.archive import load
    from .models.check import check
    from .models.compare import compare
    from .models.gls import gls
    from .models.linear_fit import LinearFit
    from .models.lm import lm
    from .models.lmm import lmm
    from .models.mixed_fit import MixedFit
    from .models.plan import plan


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _LAZY[name]
    except KeyError:
        if name in _PLANNED:
            raise AttributeError(
                f"henderson.{name} is planned, but not available yet in this version."
            ) from None
        raise AttributeError(f"henderson has no attribute '{name}'; it has {', '.join(__all__)}") from None
    loaded = importlib.import_module(module)
    value = loaded if attribute is None else getattr(loaded, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
