"""statsmodels OLS (by pseudo-inverse, its default, and by QR) on the sets of NIST's StRD."""

import json
import sys
import warnings
from pathlib import Path

import pandas as pd
import statsmodels.formula.api as smf

warnings.simplefilter("ignore")
sets, given = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])


def _statistics(formula, data, method):
    fit = smf.ols(formula, data).fit(method=method)
    return {
        "coefficients": list(fit.params),
        "standard_errors": list(fit.bse),
        "sigma": [fit.mse_resid**0.5],
        "r_squared": [fit.rsquared],
        "rss": [fit.ssr],
        "f": [fit.fvalue],
    }


print(
    json.dumps(
        {
            f"statsmodels {method}": {
                name: _statistics(formula, pd.DataFrame(given[name]), method)
                for name, formula in sets.items()
            }
            for method in ("pinv", "qr")
        }
    )
)
