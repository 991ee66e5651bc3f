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
        ("Reaction ~ Days + (1 | Subjct)", "The closest column is 'Subject'"),
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


# -- least squares, gls, check ---------------------------------------------------------------------------


@pytest.fixture
def pastes(tmp_path):
    path = tmp_path / "pastes.csv"
    hd.datasets.load("Pastes").to_csv(path, index=False)
    return str(path)


def test_a_model_without_random_terms_is_least_squares(run, sleep):
    code, out, err = run("fit", "Reaction ~ Days", sleep)
    assert (code, err) == (0, "")
    assert out == hd.lm("Reaction ~ Days", sleep).summary()


def test_residual_and_variance_make_it_generalised(run, sleep):
    for options in (
        {"residual": "ar1(0 + Days | Subject)"},
        {"variance": "exp(Days)"},
    ):
        (name, text), *_ = options.items()
        code, out, _ = run("fit", "Reaction ~ Days", sleep, f"--{name}", text, "--ml", "--json")
        fit = hd.gls("Reaction ~ Days", sleep, reml=False, **options)
        record = json.loads(out)
        assert code == 0 and record["method"] == "ML"
        assert record["deviance"] == pytest.approx(fit.deviance, abs=1e-8)
        assert len(record["variance_components"]) == 2


def test_record_of_least_squares(run, sleep):
    _, out, _ = run("fit", "Reaction ~ Days", sleep, "--json")
    record, fit = json.loads(out, parse_constant=pytest.fail), hd.lm("Reaction ~ Days", sleep)
    assert record["method"] == "least squares" and record["df_residual"] == 178
    assert record["r_squared"] == fit.r_squared and record["rss"] == fit.rss
    assert record["f_statistic"]["value"] == pytest.approx(fit.f_statistic[0])
    assert [row["term"] for row in record["fixed_effects"]] == ["(Intercept)", "Days"]
    assert "groups" not in record and "null_space" not in record


def test_record_has_the_null_space(run, tmp_path):
    pd.DataFrame({"y": [1.0, 3, 2, 5], "x": [1, 2, 3, 5], "x2": [2, 4, 6, 10]}).to_csv(
        tmp_path / "d.csv", index=False
    )
    _, out, _ = run("fit", "y ~ x + x2", tmp_path / "d.csv", "--json")
    record = json.loads(out)
    assert record["columns_dropped"] == ["x2"]
    np.testing.assert_allclose(record["null_space"], [[0], [-2], [1]], atol=1e-12)


def test_robust_covariance(run, sleep):
    _, out, _ = run("fit", "Reaction ~ Days", sleep, "--vcov", "HC3", "--json")
    fit = hd.lm("Reaction ~ Days", sleep, vcov="HC3")
    np.testing.assert_allclose(json.loads(out)["vcov"], fit.vcov, rtol=1e-12)


@pytest.mark.parametrize(
    ("formula", "options", "said"),
    [
        (MODEL, ["--vcov", "HC3"], "--vcov is for least squares"),
        (
            "Reaction ~ Days",
            ["--residual", "ar1(0 + Days | Subject)", "--vcov", "HC3"],
            "--vcov is for least",
        ),
        ("Reaction ~ Days", ["--ml"], "least squares has no variance parameters"),
        ("Reaction ~ Days", ["--explain", "--json"], "ask for one of them"),
        ("Reaction ~ Days", ["--residual", "ar1(0 + Dayz | Subject)"], "The closest column is 'Days'"),
    ],
)
def test_an_option_that_would_not_be_heeded_is_refused(run, sleep, formula, options, said):
    code, out, err = run("fit", formula, sleep, *options)
    assert (code, out) == (1, "") and said in err


def test_anova_and_marginal_means_follow_the_summary(run, pastes):
    code, out, _ = run("fit", "strength ~ cask", pastes, "--anova", "2", "--emmeans", "cask")
    fit = hd.lm("strength ~ cask", pastes)
    assert code == 0 and out.startswith(fit.summary())
    assert "Tests of the terms, type 2:" in out and "Marginal means of cask:" in out
    _, out, _ = run("fit", "strength ~ cask", pastes, "--anova", "2", "--emmeans", "cask", "--json")
    record = json.loads(out)
    assert record["anova"][0]["term"] == "cask" and len(record["emmeans"]["cask"]) == 3
    assert run("fit", "strength ~ cask", pastes, "--anova", "4")[0] == 2


def test_explain(run, sleep):
    code, out, _ = run("fit", MODEL, sleep, "--explain")
    assert code == 0 and out == hd.lmm(MODEL, sleep).explain()


def test_check(run, sleep, tmp_path):
    code, out, err = run("check", MODEL, sleep)
    assert (code, err) == (0, "") and out == repr(hd.check(MODEL, sleep))
    pd.DataFrame({"y": [1.0, 3, 2, 5], "x": [1, 2, 3, 5], "x2": [2, 4, 6, 10]}).to_csv(
        tmp_path / "d.csv", index=False
    )
    code, out, err = run("check", "y ~ x + x2", tmp_path / "d.csv")
    assert code == 1 and "x2 is 2 * x in every row" in out and err == ""
    code, out, err = run("check", "y ~ z", tmp_path / "d.csv")
    assert (code, out) == (1, "") and "FormulaError" in err
