"""The command line: what it prints where, its exit codes, what it writes, and how long it takes to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_predict import table

import henderson as hd
from henderson.cli import main

MODEL = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture
def sleep():
    return str(files("henderson.datasets") / "data" / "sleepstudy.csv")


@pytest.fixture
def run(capsys):
    def call(*arguments):
        """Exit code, standard output, standard error."""
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return call


def test_fit_prints_the_summary(run, sleep):
    code, out, err = run("fit", MODEL, sleep)
    assert (code, err) == (0, "")
    assert out == hd.lmm(MODEL, sleep).summary()


def test_json_on_standard_output_alone(run, sleep, tmp_path):
    code, out, err = run("fit", MODEL, sleep, "--json", "--verbose", "--out", tmp_path / "fit.zip")
    record = json.loads(out)
    assert code == 0 and "iteration" in err and "saved: " in err
    fit = hd.lmm(MODEL, sleep)
    assert (
        record["deviance"] == fit.deviance and record["nobs"] == 180 and record["groups"] == {"Subject": 18}
    )
    assert [row["term"] for row in record["fixed_effects"]] == ["(Intercept)", "Days"]
    assert record["fixed_effects"][1]["estimate"] == fit.coefficients[1]
    assert record["variance_components"][-1]["group"] == "Residual"
    assert record["status"]["verdict"] == "converged"


def test_json_has_null_for_what_is_not_a_number(run, tmp_path):
    hd.datasets.load("Dyestuff2").to_csv(tmp_path / "d.csv", index=False)
    code, out, _ = run("fit", "Yield ~ 1 + (1 | Batch)", tmp_path / "d.csv", "--json")
    record = json.loads(out, parse_constant=pytest.fail)
    assert code == 0 and record["variance_components"][0] == {
        "group": "Batch", "term": "(Intercept)", "estimate": 0.0, "std_error": None, "bound": "B",
    }  # fmt: skip


def test_options_reach_the_fit(run, tmp_path):
    data = table()
    path = tmp_path / "d.csv"
    data.to_csv(path, index=False)
    _, out, _ = run("fit", "y ~ x + (1 | g)", path, "--ml", "--weights", "w", "--offset", "o", "--json")
    fit = hd.lmm("y ~ x + (1 | g)", pd.read_csv(path), reml=False, weights="w", offset="o")
    assert json.loads(out)["deviance"] == pytest.approx(fit.deviance, abs=1e-9)
    assert json.loads(out)["method"] == "ML"


def test_saved_fit_and_picture(run, sleep, tmp_path):
    code, out, err = run("fit", MODEL, sleep, "--out", tmp_path / "fit.zip", "--plot", tmp_path / "p.png")
    assert code == 0
    assert hd.load(tmp_path / "fit.zip").summary() == out
    assert (tmp_path / "p.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert err == f"saved: {tmp_path / 'fit.zip'}\ndrawn: {tmp_path / 'p.png'}\n"


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("Reaction ~ Dayz + (1 | Subject)", "The closest column is 'Days'"),
        ("Reaction ~ Days + (1 | Subject", "FormulaError"),
        ("Reaction ~ Days", "no random term"),
        ("Reaction ~ __import__('os').system('x') + (1 | Subject)", "FormulaError"),
        ("Days ~ Days + (1 | Subject)", "fit the response exactly"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(run, sleep, formula, said):
    code, out, err = run("fit", formula, sleep)
    assert (code, out) == (1, "")
    assert said in err and "Traceback" not in err


def test_files_that_are_not_there(run, sleep, tmp_path):
    code, _, err = run("fit", MODEL, tmp_path / "no.csv")
    assert code == 1 and "there is no file" in err
    for option in ("--out", "--plot"):
        code, _, err = run("fit", MODEL, sleep, option, tmp_path / "no" / "x.png")
        assert code == 1 and "no" in err and "Traceback" not in err


def test_a_full_disk_is_said_without_a_traceback(run, sleep, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    for arguments in (["fit", MODEL, sleep, "--plot"], ["datasets", "cake", "--out"]):
        code, _, err = run(*arguments, tmp_path / "p.png")
        assert code == 1 and "p.png' cannot be written: No space left" in err


def test_stopped_by_the_user_is_130(run, sleep, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("henderson.models.lmm.lmm", stop)
    assert run("fit", MODEL, sleep)[0] == 130


def test_a_folder_is_no_file_to_write(run, sleep, tmp_path):
    code, _, err = run("fit", MODEL, sleep, "--out", tmp_path)
    assert code == 1 and "is a folder" in err


def test_a_picture_of_an_unknown_kind_is_refused(run, sleep, tmp_path):
    code, _, err = run("fit", MODEL, sleep, "--plot", tmp_path / "p.xyz")
    assert code == 1 and "DataError" in err and ".png" in err


@pytest.mark.parametrize(
    "arguments", [["fit"], ["fit", MODEL], ["nothing"], ["fit", MODEL, "a.csv", "--what"]]
)
def test_a_wrong_command_line_is_2(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and "Usage" in err


def test_not_converged_is_3(run, sleep, monkeypatch):
    from henderson.mixed import optimise

    monkeypatch.setattr(optimise, "MAX_ITERATIONS", 1)
    monkeypatch.setattr(
        "henderson.models.lmm.optimise", lambda *a, **k: optimise.optimise(*a, **k, max_iterations=1)
    )
    code, out, _ = run("fit", MODEL, sleep)
    assert code == 3 and "not converged" in out


def test_version_and_help(run):
    assert run("--version")[:2] == (0, f"henderson {hd.__version__}\n")
    code, out, _ = run("--help")
    assert code == 0 and "fit" in out and "datasets" in out and "Exit codes" in out
    code, out, _ = run("fit", "--help")
    assert code == 0 and "--weights COL" in out


def test_datasets(run, tmp_path):
    code, out, _ = run("datasets")
    assert code == 0 and [line.split()[0] for line in out.strip().split("\n")] == hd.datasets.names()
    code, out, _ = run("datasets", "Dyestuff")
    assert out.split("\n")[:2] == ["Batch,Yield", "A,1545"]
    run("datasets", "sleepstudy", "--out", tmp_path / "s.csv")
    assert len(pd.read_csv(tmp_path / "s.csv")) == 180
    code, out, err = run("datasets", "sleepstudi")
    assert (code, out) == (1, "") and "The closest is 'sleepstudy'" in err


def test_as_a_program_of_its_own(sleep, tmp_path):
    # a fresh process: nothing heavy is loaded that was not asked for, and a closed pipe is no error
    code = (
        "import sys; from henderson.cli import main\n"
        "try: main()\n"
        "finally: print([m for m in ('numba', 'matplotlib', 'formulaic', 'rich') if m in sys.modules], file=sys.stderr)"
    )
    source = str(Path(hd.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source}
    done = subprocess.run(
        [sys.executable, "-c", code, "fit", MODEL, sleep],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0 and "REML criterion at convergence: 1743.6" in done.stdout
    assert done.stderr == "[]\n"
    module = subprocess.run(
        [sys.executable, "-m", "henderson", "--version"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert module.stdout == f"henderson {hd.__version__}\n"


def test_a_csv_with_text_where_numbers_are_needed(run, tmp_path):
    data = table()
    data["x"] = data.x.map(lambda v: f"{v:.3f}")
    data.loc[7, "x"] = "about 2"
    data.to_csv(tmp_path / "d.csv", index=False)
    code, _, err = run("fit", "y ~ log(x) + (1 | g)", tmp_path / "d.csv")
    assert code == 1 and "about 2" in err and np.all([w not in err for w in ("Traceback", "numpy")])
