"""`make bench`: henderson against its peers, one process per program, data set and thread count.

    python bench/run.py                 everything (about an hour: some peers need minutes)
    python bench/run.py --quick         leaves out the pairs known to take more than ten seconds
    python bench/run.py --sets six,nested --programs henderson,glmm --threads 1
    python bench/run.py --table         only prints the table of what was measured before

Every program runs in a process of its own with a time limit; the data frame is in memory before its clock
starts.
- warm: median of repeated fits after the first; "CPU" is the processor time of the same fits, which other
  work on the machine changes less (with two threads it counts both)
- first: import and first fit of a new process; "CPU of all" is the whole process, reading the
  data included
- peak: maximum resident size of the process
- above best: criterion (-2 restricted log-likelihood; ML for gpboost) minus the lowest any program reached
Results gather in build/bench.json, so a part can be measured again. Peers are installed into build/bench-env
(or $HENDERSON_BENCH_ENV), data go to build/bench-data (or $HENDERSON_BENCH_DATA).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
DATA = Path(os.environ.get("HENDERSON_BENCH_DATA", BUILD / "bench-data"))
PROGRAMS = ("henderson", "glmm", "mixedlm", "lme4", "statsmodels", "gpboost")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "HENDERSON_NUM_THREADS",
)
DENSE = "crossed factors make one dense group of all n rows"
CANNOT = {
    ("statsmodels", "insteval2"): DENSE,
    ("statsmodels", "insteval3"): DENSE,
    ("statsmodels", "crossed"): DENSE,
    **{
        ("gpboost", name): "its random slopes are uncorrelated: another model"
        for name in ("sleepstudy", "machines", "six", "slopes20k", "slopes50k")
    },
}
SLOW = {("lme4", "slopes50k"), ("lme4", "insteval3"), ("gpboost", "insteval3")} | {
    (program, name)
    for program, names in {
        "statsmodels": ("nested", "slopes20k", "slopes50k"),
        "lme4": ("crossed",),
        "glmm": ("crossed",),
        "mixedlm": ("crossed",),
        "gpboost": ("crossed",),
    }.items()
    for name in names
}


def peers() -> Path:
    """The Python with the peers, installed at the first call."""
    env = Path(os.environ.get("HENDERSON_BENCH_ENV", BUILD / "bench-env"))
    python = env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        print(f"Installing the peers into {env} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(env)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "-r", str(HERE / "requirements.txt")], check=True
        )
    return python


def command(program: str, job: Path) -> list[str] | None:
    """How to run one program, or None where it is not on this machine."""
    if program == "lme4":
        r = shutil.which("Rscript")
        return [r, str(HERE / "programs" / "lme4_fit.R"), str(job)] if r else None
    python = sys.executable if program == "henderson" else str(peers())
    return [python, str(HERE / "programs" / f"{program}_fit.py"), str(job)]


def measure(program: str, name: str, job: dict[str, Any], threads: int, limit: float) -> dict[str, Any]:
    """Run one job in a process of its own: its result, or {"failed": why}."""
    path = DATA / f"job_{program}.json"
    path.write_text(json.dumps(job))
    argv = command(program, path)
    if argv is None:
        return {"failed": "Rscript not found"}
    environment = {**os.environ, **{v: str(threads) for v in THREAD_VARIABLES}}
    if program == "lme4" and "HENDERSON_BENCH_R_BLAS" in os.environ:
        environment["LD_PRELOAD"] = os.environ["HENDERSON_BENCH_R_BLAS"]
    log = DATA / f"log_{program}.txt"
    with log.open("wb") as out, (DATA / f"err_{program}.txt").open("wb") as err:
        process = subprocess.Popen(argv, stdout=out, stderr=err, env=environment)
        deadline, status, usage = time.monotonic() + limit, 0, None
        while usage is None:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                usage = used
            elif time.monotonic() > deadline:
                process.kill()
                os.wait4(process.pid, 0)
                process.returncode = -9
                return {"failed": f"more than {limit:.0f} s"}
            else:
                time.sleep(0.02)
        process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    if process.returncode:
        last = (DATA / f"err_{program}.txt").read_text(errors="replace").strip().splitlines()[-1:]
        return {"failed": (last[0] if last else f"exit {process.returncode}")[:160], "peak_mb": peak}
    result = json.loads(log.read_text().strip().splitlines()[-1])
    return {**result, "peak_mb": peak, "cpu_s": usage.ru_utime + usage.ru_stime}


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value < 0.1:
        return f"{value * 1e3:.2f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def table(results: dict[str, dict[str, Any]]) -> str:
    """One Markdown table of everything measured."""
    lines = [
        "| data | program | threads | warm | CPU | new process | all CPU | peak | criterion | above best |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    order = {p: k for k, p in enumerate(PROGRAMS)}
    keys = [k.split("|") for k in results]
    names = list(dict.fromkeys(k[0] for k in keys))
    for name in names:
        mine = {(p, int(t)): results[f"{name}|{p}|{t}"] for n, p, t in keys if n == name}
        for (program, threads), r in sorted(mine.items(), key=lambda i: (i[0][1], order[i[0][0]])):
            if "failed" in r:
                lines.append(f"| {name} | {program} | {threads} | {r['failed']} | | | | | | |")
                continue
            ml = program == "gpboost"
            rivals = [
                v["criterion"] for (p, _), v in mine.items() if "criterion" in v and (p == "gpboost") == ml
            ]
            above = r["criterion"] - min(rivals)
            times = (seconds(r.get(key)) for key in ("warm_s", "warm_cpu_s", "first_s", "cpu_s"))
            cells = [name, program, str(threads), *times, f"{r['peak_mb']:.0f} MB"]
            cells += [f"{r['criterion']:.6f}{' (ML)' if ml else ''}", "-" if ml else f"{above:.1e}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="leave out the pairs known to be slow")
    parser.add_argument("--sets", help="comma-separated data sets")
    parser.add_argument("--programs", default=",".join(PROGRAMS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--limit", type=float, default=300, help="seconds for one process")
    parser.add_argument("--budget", type=float, default=10, help="seconds of warm fits for one process")
    parser.add_argument("--out", type=Path, default=BUILD / "bench.json")
    parser.add_argument("--table", action="store_true", help="print what was measured before, and stop")
    args = parser.parse_args()
    results = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.table:
        print(table(results))
        return
    listing = subprocess.run(
        [sys.executable, str(HERE / "data.py"), "--list"], check=True, capture_output=True, text=True
    )
    sets = json.loads(listing.stdout)
    chosen = args.sets.split(",") if args.sets else list(sets)
    subprocess.run([sys.executable, str(HERE / "data.py"), str(DATA), *chosen], check=True)
    for name in chosen:
        formula, factors = sets[name]
        job = {
            **{kind: str(DATA / f"{name}.{kind}") for kind in ("parquet", "csv")},
            "formula": formula,
            "factors": factors,
            "reml": True,
            "repeats": 15,
            "budget_s": args.budget,
            "one_warm_below_s": 40,
        }
        for threads in (int(t) for t in args.threads.split(",")):
            for program in args.programs.split(","):
                if (program, name) in CANNOT:
                    r = {"failed": f"cannot: {CANNOT[program, name]}"}
                elif args.quick and (program, name) in SLOW:
                    continue
                else:
                    r = measure(program, name, job, threads, args.limit)
                # read again: another run may have added to it
                results = json.loads(args.out.read_text()) if args.out.exists() else {}
                results[f"{name}|{program}|{threads}"] = r
                shown = r.get("failed") or " ".join(
                    (
                        f"warm {seconds(r['warm_s'])}",
                        f"first {seconds(r['first_s'])}",
                        f"peak {r['peak_mb']:.0f} MB",
                    )
                )
                print(f"{name:12s} {program:12s} {threads} thread(s): {shown}", flush=True)
                args.out.parent.mkdir(parents=True, exist_ok=True)
                args.out.write_text(json.dumps(results, indent=1))
    print("\n" + table(results))


if __name__ == "__main__":
    main()
