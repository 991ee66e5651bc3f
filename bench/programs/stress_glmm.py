"""Every stress model with glmm's defaults, in one process. Argument: folder of NNN.csv and models.json;
writes glmm.json there."""

import json
import sys
import time
import warnings
from pathlib import Path

import glmm
import pandas as pd

folder = Path(sys.argv[1])
warnings.simplefilter("ignore")
results = {}
for model in json.loads((folder / "models.json").read_text()):
    frame = pd.read_csv(folder / f"{model['number']:03d}.csv")
    start = time.perf_counter()
    try:
        fit = glmm.fit(frame, model["formula"], reml=model["reml"])
        result = {"criterion": -2 * fit.loglik} if fit.converged else {"failed": "said not converged"}
    except Exception as error:
        result = {"failed": f"{type(error).__name__}: {error}"[:200]}
    results[str(model["number"])] = {**result, "seconds": time.perf_counter() - start}
(folder / "glmm.json").write_text(json.dumps(results))
