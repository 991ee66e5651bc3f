"""Least squares against its peers: OLS on long and on wide tables, GLS with AR1 errors, and a file beyond a memory limit.

    python bench/linear.py                    everything, one run (about ten minutes)
    python bench/linear.py --scale 0.01       a hundredth of the rows
    python bench/linear.py --tasks tall,gls --programs henderson,lm

| task | data | model |
|---|---|---|
| tall | 2,000,000 x 20 | y ~ x1 + ... + x20 |
| wide | 200,000 x 200 | y ~ x1 + ... + x200 |
| gls | 100,000 rows in 1,000 series | y ~ x, AR1 within the series, by REML |
| stream | 6,000,000 x 20 in a Parquet file | y ~ x1 + ... + x20, whole and with memory_limit="200MB" |

Every program runs in a process of its own, one thread and one processor each (henderson also with two). The data are in memory, in the
form the program asks for, before its clock starts: a data frame of float64 columns for those with a formula, the matrix
X for numpy and .lm.fit. Every fit gives estimates and standard errors.
- start: the import of the program and a fit of a few hundred rows (of R itself, nothing)
- first: the first fit of all rows
- warm: median of the fits after it
- memory: what the first fit held at most beyond what was there before it, which the data were (Linux)
- peak: what the whole process held at most in the first fit
- difference: of the estimates from those of the first program of the table, in standard errors

Peers are installed and found as bench/run.py does it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from run import DATA, THREAD_VARIABLES, peers, seconds

HERE = Path(__file__).resolve().parent
LIMIT = "200MB"


@dataclass(frozen=True)
class Program:
    """How one row of a table is measured."""

    name: str
    script: str
    job: dict[str, Any] = field(default_factory=dict)
    threads: int = 1

    def argv(self, job: Path) -> list[str] | None:
        script = str(HERE / "programs" / self.script)
        if self.script.endswith(".R"):
            r = shutil.which("Rscript")
            return [r, script, str(job)] if r else None
        ours = self.script == "linear_henderson.py"
        return [sys.executable if ours else str(peers()), script, str(job)]


OLS = (
    Program("henderson", "linear_henderson.py"),
    Program("henderson", "linear_henderson.py", threads=2),
    Program("numpy normal equations", "linear_numpy.py", {"variant": "normal"}),
    Program("numpy lstsq", "linear_numpy.py", {"variant": "lstsq"}),
    Program("R .lm.fit", "linear_r.R", {"variant": "lm.fit"}),
    Program("R lm", "linear_r.R", {"variant": "lm"}),
    Program("glmm", "linear_glmm.py"),
    Program("statsmodels OLS", "linear_statsmodels.py", {"variant": "arrays"}),
    Program("statsmodels formula", "linear_statsmodels.py", {"variant": "formula"}),
    Program("pyfixest", "linear_pyfixest.py"),
)
AR1 = {"verb": "gls", "options": {"residual": "ar1(0 + t | series)"}}
GLS = (
    Program("henderson", "linear_henderson.py", AR1),
    Program("henderson", "linear_henderson.py", AR1, threads=2),
    Program("R nlme::gls", "linear_r.R", {"variant": "gls"}),
)
STREAM = (
    Program("henderson, whole", "linear_henderson.py"),
    Program(f"henderson, {LIMIT}", "linear_henderson.py", {"options": {"memory_limit": LIMIT}}),
    Program("henderson, whole", "linear_henderson.py", threads=2),
    Program(f"henderson, {LIMIT}", "linear_henderson.py", {"options": {"memory_limit": LIMIT}}, threads=2),
)


def formula(p: int) -> str:
    return "y ~ " + " + ".join(f"x{j + 1}" for j in range(p))


def regression(n: int, p: int, seed: int) -> np.ndarray:
    """[y x1 ... xp] (n, p + 1): columns with means, correlated a little, R-squared near one half."""
    rng = np.random.default_rng(seed)
    out = np.empty((p + 1, n))
    common = rng.normal(size=n)
    for j in range(p):
        out[j + 1] = rng.normal(size=n) + 0.5 * common + j % 5
    out[0] = 1.0 + rng.normal(size=p) @ out[1:] + np.sqrt(p) * rng.normal(size=n)
    return out.T


def series(n: int, length: int, seed: int) -> np.ndarray:
    """[y x t series] (n, 4): AR1 errors, correlation 0.6, within series of equal length."""
    rng = np.random.default_rng(seed)
    groups = n // length
    e = rng.normal(size=(groups, length))
    for t in range(1, length):
        e[:, t] = 0.6 * e[:, t - 1] + 0.8 * e[:, t]
    x = rng.normal(size=(groups, length))
    t, g = np.meshgrid(np.arange(length), np.arange(groups))
    return np.column_stack([(2.0 + 0.5 * x + e).ravel(), x.ravel(), t.ravel(), g.ravel()])


def task(name: str, scale: float) -> tuple[dict[str, Any], tuple[Program, ...]]:
    """What every program of a task is told, the data being written where they are not there yet."""
    DATA.mkdir(parents=True, exist_ok=True)
    if name == "gls":
        length = 100
        n = max(int(100_000 * scale) // length, 4) * length
        names = ["y", "x", "t", "series"]
        stored = _stored(f"linear_gls_{n}", lambda: series(n, length, 3))
        return {"bin": str(stored), "columns": names, "labels": ["series"], "formula": "y ~ x"}, GLS
    n, p = {"tall": (2_000_000, 20), "wide": (200_000, 200), "stream": (6_000_000, 20)}[name]
    n = max(int(n * scale), 2 * p)
    names = ["y", *(f"x{j + 1}" for j in range(p))]
    if name == "stream":
        return {"parquet": str(_parquet(n, p, names)), "formula": formula(p)}, STREAM
    stored = _stored(f"linear_{n}_{p}", lambda: regression(n, p, 1))
    return {"bin": str(stored), "columns": names, "formula": formula(p)}, OLS


def _stored(name: str, make: Callable[[], np.ndarray]) -> Path:
    """Columns one after the other, float64."""
    path = DATA / f"{name}.bin"
    if not path.exists():
        part = path.with_suffix(".part")
        with part.open("wb") as out:
            for column in make().T:
                np.ascontiguousarray(column).tofile(out)
        part.rename(path)
    return path


def _parquet(n: int, p: int, names: list[str]) -> Path:
    """The table as a Parquet file, written by parts so that it never has to fit."""
    path = DATA / f"linear_{n}_{p}.parquet"
    if not path.exists():
        import pyarrow as pa
        from pyarrow import parquet

        part, step = path.with_suffix(".part"), 250_000
        schema = pa.schema([(name, pa.float64()) for name in names])
        with parquet.ParquetWriter(part, schema, compression="snappy", use_dictionary=False) as out:
            for k, start in enumerate(range(0, n, step)):
                rows = regression(min(step, n - start), p, 100 + k)
                out.write_table(pa.table(dict(zip(names, rows.T, strict=True)), schema=schema))
        part.rename(path)
    return path


def measure(program: Program, told: dict[str, Any], limit: float) -> dict[str, Any]:
    """Run one program in a process of its own: its result, or {"failed": why}."""
    slug = f"{program.name}_{program.threads}".replace(" ", "_").replace(":", "").replace(",", "")
    job = DATA / f"job_linear_{slug}.json"
    job.write_text(json.dumps({**told, **program.job}))
    argv = program.argv(job)
    if argv is None:
        return {"failed": "Rscript not found"}
    environment = {**os.environ, **{v: str(program.threads) for v in THREAD_VARIABLES}}
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            argv,
            env=environment,
            capture_output=True,
            text=True,
            timeout=limit,
            preexec_fn=_on(program.threads),
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {limit:.0f} s"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        return {"failed": (last[0] if last else f"exit {done.returncode}")[:160]}
    return {**json.loads(done.stdout.strip().splitlines()[-1]), "process_s": time.perf_counter() - begin}


def _on(threads: int) -> Callable[[], None] | None:
    """Keeps a process on as many processors as it has threads, so that none counts as one that is not (Linux)."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    chosen = sorted(os.sched_getaffinity(0))[-threads:]
    return lambda: os.sched_setaffinity(0, chosen)


def difference(result: dict[str, Any], reference: dict[str, Any] | None) -> str:
    """Largest difference of the estimates, in standard errors of the reference."""
    if reference is None or len(result["estimate"]) != len(reference["estimate"]):
        return "-"
    a, b, se = (np.array(r) for r in (result["estimate"], reference["estimate"], reference["std_error"]))
    return f"{np.max(np.abs(a - b) / se):.0e}"


def table(results: list[tuple[str, Program, dict[str, Any]]]) -> str:
    """One Markdown table of everything measured."""
    lines = [
        "| task | program | threads | start | first | warm | memory | peak | difference | loglik |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, program, r in results:
        cells = [name, program.name, str(program.threads)]
        if "failed" in r:
            lines.append("| " + " | ".join([*cells, r["failed"], *[""] * 6]) + " |")
            continue
        reference = next(x for t, _, x in results if t == name and "failed" not in x)
        times = (seconds(r[key]) for key in ("start_s", "first_s", "warm_s"))
        memory = (f"{r[key]:.0f} MB" if key in r else "-" for key in ("beyond_mb", "peak_mb"))
        loglik = f"{r['loglik']:.4f}" if "loglik" in r else ""
        cells += [*times, *memory, difference(r, reference), loglik]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="tall,wide,gls,stream")
    parser.add_argument("--programs", help="only programs whose name contains one of these, comma-separated")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget", type=float, default=30, help="seconds of warm fits for one process")
    parser.add_argument("--limit", type=float, default=600, help="seconds for one process")
    args = parser.parse_args()
    results = []
    for name in args.tasks.split(","):
        told, programs = task(name, args.scale)
        told |= {"repeats": args.repeats, "budget_s": args.budget}
        for program in programs:
            if args.programs and not any(part in program.name for part in args.programs.split(",")):
                continue
            r = measure(program, told, args.limit)
            results.append((name, program, r))
            said = r.get("failed") or f"first {seconds(r['first_s'])} warm {seconds(r['warm_s'])}"
            print(f"{name:7s} {program.name:24s} {program.threads} thread(s): {said}", flush=True)
    print("\n" + table(results))


if __name__ == "__main__":
    main()
