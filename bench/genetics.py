"""Breeding models against their peers: animal models, two traits, maternal effects, GBLUP, a field, trials.

    python bench/genetics.py --peers /tmp/peers          sizes that take seconds
    python bench/genetics.py --peers /tmp/peers --full   up to a million animals (about an hour)
    python bench/genetics.py --full --only animal,maternal --programs henderson
    python bench/genetics.py --table                     only the tables of what was measured before

| task | model | sizes |
|---|---|---|
| animal | y ~ sex + (1 | vm(animal, A)) | 500 ... 1,000,000 animals of overlapping generations |
| bivariate | cbind(y1, y2) ~ trait + trait:sex + us(0 + trait | vm(animal, A)), residual us | ... 50,000 |
| maternal | y ~ sex + us(1 | vm(animal, A) + vm(dam, A)) + (1 | dam) | 500 ... 50,000 animals |
| gblup | y ~ 1 + (1 | vm(id, G)) | 500 ... 5,000 individuals, ten times as many markers |
| field | y ~ 1 + (1 | geno), residual AR1 (x) AR1 with a nugget | 400 ... 10,000 plots |
| met | y ~ env + fa(0 + env | vm(geno, G), k=2), residual diag over env | 500 ... 10,000 records |

Every program runs in a process of its own with a time and a memory limit, on both processors unless
--threads 1. Its data are in memory before its clock starts: the records and the pedigree as data frames,
markers and, where it asks for one, a dense K.
- relationship: A-inverse from the pedigree or G from the markers, by the program (nadiv for sommer)
- fit: REML, standard errors, BLUPs and, where it has them, prediction error variances, the first time
- first: import, relationship and fit together
- warm: median of relationship and fit after the first time
- CPU: processor time of the whole process, data reading and repeats included
- peak: the most that was resident from when the data had been read (of a process that failed, all its life)
- above best: -2 log restricted likelihood, from the dense V of the components it reports, minus the lowest of
  the programs, for up to 5,000 records
- x henderson: its first over henderson's
A peer that fails at a size is not tried at larger ones. Data go to build/bench-data/genetics, results gather
in build/genetics.json; one run at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genetics_data import TASKS
from run import BUILD, DATA, THREAD_VARIABLES, seconds

HERE = Path(__file__).resolve().parent
STORE = DATA / "genetics"
RESULTS = BUILD / "genetics.json"
DENSE_UP_TO = 5_000  # values for which the criterion is worked out from V


@dataclass(frozen=True)
class Program:
    """A program and where it is found."""

    name: str
    script: str
    variant: str = ""

    def argv(self, peers: Path | None) -> list[str] | None:
        """The command without the job; None where it is not installed."""
        script = str(HERE / "programs" / self.script)
        if self.name == "henderson":
            return [sys.executable, script]
        if peers is None:
            return None
        if self.script.endswith(".R"):
            r = shutil.which("Rscript")
            return [r, script] if r and (peers / "R").exists() else None
        python = peers / "env" / "bin" / "python"
        return [str(python), script] if python.exists() else None


PROGRAMS = (
    Program("henderson", "genetics_henderson.py"),
    Program("sommer mmer", "genetics_r.R", "mmer"),
    Program("sommer mmec", "genetics_r.R", "mmec"),
    Program("pyreml", "genetics_pyreml.py"),
    Program("torch-openreml", "genetics_openreml.py"),
    Program("LMMsolver", "genetics_r.R", "lmmsolver"),
    Program("pedigreemm", "genetics_r.R", "pedigreemm"),
    Program("rrBLUP", "genetics_r.R", "rrblup"),
)
QUICK = {"animal": 50_000, "bivariate": 2_000, "maternal": 2_000, "gblup": 1_000, "field": 900, "met": 500}


def data(task: str, size: int) -> Path:
    """The folder of one data set, made by a process of its own so that this one stays small."""
    folder = STORE / f"{task}_{size}"
    if not (folder / "about.json").exists():
        print(f"making {task} {size:,} ...", flush=True)
        subprocess.run(
            [sys.executable, str(HERE / "genetics_data.py"), str(STORE), task, str(size)], check=True
        )
    return folder


def measure(program: Program, argv: list[str], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Run one program on one data set: its result, or {"failed": why}."""
    task = folder.name.split("_")[0]
    job = {"task": task, "folder": str(folder), "variant": program.variant}
    job |= {"repeats": args.repeats, "budget_s": args.budget}
    slug = program.name.replace(" ", "_")
    path = STORE / f"job_{slug}.json"
    path.write_text(json.dumps(job))
    environment = {**os.environ, **{v: str(args.threads) for v in THREAD_VARIABLES}}
    environment["HENDERSON_BENCH_R"] = str(args.peers / "R") if args.peers else ""
    ours = program.name == "henderson"
    limit = args.limit_ours if ours else args.limit
    log, errors = STORE / f"log_{slug}.txt", STORE / f"err_{slug}.txt"
    with log.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            [*argv, str(path)],
            stdout=out,
            stderr=err,
            env=environment,
            preexec_fn=_bounded(args.threads, args.memory),
        )
        used, status = _wait(process, limit)
    peak = used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    spent = {"cpu_s": used.ru_utime + used.ru_stime, "peak_mb": peak}
    if status is None:
        return {"failed": f"more than {limit:.0f} s", **spent}
    if status:
        said = errors.read_text(errors="replace").strip().splitlines()
        return {"failed": (said[-1] if said else f"ended by signal {-status}")[:160], **spent}
    return {**spent, **json.loads(log.read_text().strip().splitlines()[-1])}


def _bounded(threads: int, memory_gb: float) -> Callable[[], None]:
    """Keeps a process on as many processors as it has threads, and its data within a limit (Linux)."""

    def start() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (int(memory_gb * 2**30),) * 2)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])

    return start


def _wait(process: subprocess.Popen[bytes], limit: float) -> tuple[resource.struct_rusage, int | None]:
    """What a process used and its exit status, None where it was stopped at the limit."""
    deadline = time.monotonic() + limit
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return used, process.returncode
        if time.monotonic() > deadline:
            process.kill()
            _, _, used = os.wait4(process.pid, 0)
            process.returncode = -9
            return used, None
        time.sleep(0.02)


def criteria(folder: Path, results: dict[str, dict[str, Any]]) -> None:
    """Adds the criterion of each program's components where it is not there yet."""
    about = json.loads((folder / "about.json").read_text())
    todo = [r for r in results.values() if "components" in r]
    if not todo or about["records"] > DENSE_UP_TO:
        return
    done = subprocess.run(
        [sys.executable, str(HERE / "genetics_criterion.py"), str(folder)],
        input=json.dumps([r["components"] for r in todo]),
        capture_output=True,
        text=True,
        check=True,
    )
    for r, value in zip(todo, json.loads(done.stdout), strict=True):
        r["from_v"] = value


def table(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """One Markdown table of everything measured."""
    columns = ["task", "size", "program", "relationship", "fit", "first", "warm", "CPU", "peak"]
    columns += ["above best", "x henderson"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for name, found in _in_order(results):
        task, size = name.split("_")
        known = [r["from_v"] for r in found.values() if r.get("from_v") is not None]
        ours = _first(found.get("henderson", {}))
        for program, r in found.items():
            cells = [task, f"{int(size):,}", program]
            if "failed" in r:
                lines.append("| " + " | ".join([*cells, r["failed"], *[""] * 7]) + " |")
                continue
            cells += [
                seconds(r["relationship_s"]),
                seconds(r["fit_s"]),
                seconds(_first(r)),
                seconds(r.get("warm_s")),
            ]
            cells += [seconds(r["cpu_s"]), f"{r['peak_mb']:,.0f} MB"]
            above = r.get("from_v")
            cells.append("-" if above is None else f"{max(above - min(known), 0.0):.1e}")
            cells.append("" if ours is None or program == "henderson" else f"{_first(r) / ours:.1f}")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _first(r: dict[str, Any]) -> float | None:
    return r["import_s"] + r["first_s"] if "first_s" in r else None


def components(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """What the programs report for each data set, beside what it was drawn from; models of few components."""
    lines = []
    for name, found in _in_order(results):
        about = json.loads((STORE / name / "about.json").read_text())
        told = [r for r in found.values() if "components" in r]
        if not told or len(told[0]["components"]) > 6:
            continue
        names = list(told[0]["components"])
        lines += [
            "",
            f"| {name.replace('_', ' ')} | " + " | ".join(names) + " |",
            "|---" * (len(names) + 1) + "|",
        ]
        lines.append("| drawn from | " + " | ".join(f"{about[c]:g}" for c in names) + " |")
        for program, r in found.items():
            if "components" in r:
                lines.append(
                    f"| {program} | " + " | ".join(f"{r['components'][c]:.5g}" for c in names) + " |"
                )
    return "\n".join(lines)


def _in_order(results: dict[str, dict[str, dict[str, Any]]]) -> list[tuple[str, dict[str, dict[str, Any]]]]:
    """Results by task, size and program."""
    order = {t: i for i, t in enumerate(TASKS)}
    places = {p.name: i for i, p in enumerate(PROGRAMS)}
    names = sorted(results, key=lambda n: (order[n.split("_")[0]], int(n.split("_")[1])))
    return [(n, dict(sorted(results[n].items(), key=lambda item: places[item[0]]))) for n in names]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="sizes that take seconds (the default)")
    size.add_argument("--full", action="store_true", help="all sizes")
    parser.add_argument("--only", default=",".join(TASKS), help="tasks, comma-separated")
    parser.add_argument("--sizes", help="only these sizes, comma-separated")
    parser.add_argument("--programs", help="only programs whose name contains one of these, comma-separated")
    parser.add_argument(
        "--peers", type=Path, help="where the peers are installed (env/ and R/, see README.md)"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="warm repeats, within the budget")
    parser.add_argument("--budget", type=float, default=20, help="seconds of all fits of one process")
    parser.add_argument("--limit", type=float, default=120, help="seconds for a process of a peer")
    parser.add_argument("--limit-ours", type=float, default=900, help="seconds for a process of henderson")
    parser.add_argument("--memory", type=float, default=12, help="GB of data for one process")
    parser.add_argument("--table", action="store_true", help="only print what was measured before")
    args = parser.parse_args()
    STORE.mkdir(parents=True, exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    wanted = args.programs.lower().split(",") if args.programs else [""]
    for task in [] if args.table else args.only.split(","):
        _one_task(task, [p for p in PROGRAMS if any(w in p.name.lower() for w in wanted)], args, results)
    print("\n" + table(results) + "\n" + components(results))


def _one_task(task: str, programs: list[Program], args: argparse.Namespace, results: dict[str, Any]) -> None:
    """All programs on all sizes of a task; results are kept as they come."""
    sizes = [n for n in TASKS[task][1] if args.full or args.sizes or n <= QUICK[task]]
    if args.sizes:
        sizes = [n for n in sizes if str(n) in args.sizes.split(",")]
    stopped: set[str] = set()
    for n in sizes:
        folder = data(task, n)
        found = results.setdefault(folder.name, {})
        for program in programs:
            argv = program.argv(args.peers)
            if argv is None or program.name in stopped:
                continue
            r = found[program.name] = measure(program, argv, folder, args)
            if "failed" in r and program.name != "henderson":
                stopped.add(program.name)
            said = r.get("failed") or f"first {seconds(_first(r))}, warm {seconds(r.get('warm_s'))}"
            print(f"{task:9s} {n:>9,} {program.name:15s} {said}, {r['peak_mb']:,.0f} MB", flush=True)
            RESULTS.write_text(json.dumps(results, indent=1))
        criteria(folder, found)
        RESULTS.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
