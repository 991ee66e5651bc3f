"""300 random small models fitted by henderson, lme4 and glmm: who stops above the best criterion?

    python bench/stress.py              peers' results are kept in build/stress: the next run is quick
    python bench/stress.py --fresh      fits the peers again

Each program runs with its defaults. A refusal, or a verdict of no convergence, is a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import stress_data
from run import BUILD, HERE, peers

FOLDER = Path(os.environ.get("HENDERSON_STRESS_DATA", BUILD / "stress"))
Results = dict[str, dict[str, Any]]


def write_models(models: list[stress_data.StressModel]) -> None:
    """The rows and formulas, for the peers' processes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for m in models:
        m.frame.to_csv(FOLDER / f"{m.number:03d}.csv", index=False)
    heads = [{"number": m.number, "formula": m.formula, "reml": m.reml} for m in models]
    (FOLDER / "models.json").write_text(json.dumps(heads))


def peer(name: str, argv: list[str] | None) -> Results | None:
    """A peer's results: kept ones, or a fresh run; None where it is not on this machine."""
    kept = FOLDER / f"{name}.json"
    if not kept.exists():
        if argv is None:
            return None
        print(f"Fitting {stress_data.COUNT} models with {name} ...", flush=True)
        subprocess.run([*argv, str(FOLDER)], check=True)
    return json.loads(kept.read_text())


def henderson(models: list[stress_data.StressModel]) -> Results:
    """Our own fits, in this process."""
    import henderson as hd

    results: Results = {}
    for m in models:
        start = time.perf_counter()
        try:
            fit = hd.lmm(m.formula, m.frame, reml=m.reml)
            result: dict[str, Any] = {"criterion": fit.deviance, "iterations": fit.iterations}
            if not fit.status.converged:
                result["failed"] = f"said not converged ({fit.deviance:.6f})"
        except Exception as error:
            result = {"failed": f"{type(error).__name__}: {error}"[:200]}
        results[str(m.number)] = {**result, "seconds": time.perf_counter() - start}
    return results


def report(models: list[stress_data.StressModel], programs: dict[str, Results]) -> str:
    """The table, then every model where henderson is not the best within 1e-4 or failed."""
    best = {}
    for m in models:
        reached = [r[str(m.number)].get("criterion") for r in programs.values()]
        best[m.number] = min((c for c in reached if c is not None), default=float("nan"))
    lines = [
        "| program | models | worse by > 1e-4 | worse by > 1e-2 | worst by | failures | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, results in programs.items():
        above = [
            r["criterion"] - best[m.number] for m in models if "criterion" in (r := results[str(m.number)])
        ]
        failed = sum("failed" in r for r in results.values())
        seconds = sum(r["seconds"] for r in results.values())
        counts = [len(models), sum(a > 1e-4 for a in above), sum(a > 1e-2 for a in above)]
        worst = max(above, default=float("nan"))
        cells = [name, *map(str, counts), f"{worst:.2g}", str(failed), f"{seconds:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    ours = programs.get("henderson", {})
    steps = [r["iterations"] for r in ours.values() if "iterations" in r]
    if steps:
        lines.append(f"\nhenderson's iterations: median {sorted(steps)[len(steps) // 2]}, most {max(steps)}.")
    bad = []
    for m in models:
        r = ours.get(str(m.number), {})
        above = r.get("criterion", best[m.number]) - best[m.number]
        if "failed" in r or above > 1e-4:
            why = r.get("failed", "")
            bad.append(f"  {m.number:3d} {m.formula} reml={m.reml} ({m.note}): +{above:.2g} {why}")
    lines.append(
        "\nWhere henderson is worse by more than 1e-4, or failed: " + (f"{len(bad)}" if bad else "none.")
    )
    return "\n".join(lines + bad)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fresh", action="store_true", help="fit the peers again")
    parser.add_argument(
        "--only", help="comma-separated model numbers: henderson's fits of these, with details"
    )
    args = parser.parse_args()
    if args.fresh and FOLDER.exists():
        shutil.rmtree(FOLDER)
    models = [stress_data.model(k) for k in range(stress_data.COUNT)]
    write_models(models)
    if args.only:
        models = [models[int(k)] for k in args.only.split(",")]
    r = shutil.which("Rscript")
    programs = {
        "lme4": peer("lme4", [r, str(HERE / "programs" / "stress_lme4.R")] if r else None),
        "glmm": peer("glmm", [str(peers()), str(HERE / "programs" / "stress_glmm.py")]),
        "henderson": henderson(models),
    }
    print(report(models, {name: results for name, results in programs.items() if results is not None}))


if __name__ == "__main__":
    main()
