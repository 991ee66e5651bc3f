"""What is printed and drawn: numbers as R prints them, the summary, the iteration log, the figures."""

from __future__ import annotations

import io
import sys
import time

import numpy as np
import pytest
from test_predict import FORMULA, table

import henderson as hd
from henderson.linear.newton import Step
from henderson.report import progress
from henderson.report.numbers import abbreviate, column, p_values, stars


@pytest.fixture(scope="module")
def sleepfit():
    return hd.lmm("Reaction ~ Days + (Days | Subject)", hd.datasets.load("sleepstudy"))


# -- numbers: each list is what R 4.2.2 prints by format(x, digits = 4), blanks at the front removed ------------


@pytest.mark.parametrize(
    ("values", "printed"),
    [
        ((612.10, 35.0717, 654.94), ["612.10", "35.07", "654.94"]),
        ((24.7407, 5.92214, 25.5918), ["24.741", "5.922", "25.592"]),
        ((0, 1234.5678), ["0", "1235"]),
        ((1e-5, 600), ["1e-05", "6e+02"]),
        ((100, 200), ["100", "200"]),
        ((0.1, 0.25, 1 / 3), ["0.1000", "0.2500", "0.3333"]),
        ((123456789.123, 2), ["123456789", "2"]),
        ((-0.00012345, 5), ["-0.0001234", "5.0000000"]),
        ((0.99999, 10), ["1", "10"]),
        ((1e5, 1e-1), ["1e+05", "1e-01"]),
        ((np.inf, 1.5), ["Inf", "1.5"]),
        ((-0.0,), ["0"]),
    ],
)
def test_columns_of_numbers_are_as_r_prints_them(values, printed):
    assert column(values) == printed


def test_p_values_and_stars():
    # R: format.pval(c(3.26e-6, 0.04212, 1e-20, 0.9, 0.00012345), digits = 3, eps = .Machine$double.eps)
    assert p_values([3.26e-6, 0.04212, 1e-20, 0.9, 0.00012345]) == [
        "3.26e-06", "0.042120", "< 2e-16", "0.900000", "0.000123",
    ]  # fmt: skip
    assert [stars(p) for p in (0.0005, 0.005, 0.05, 0.07, 0.3)] == ["***", "**", "*", ".", ""]


def test_names_are_abbreviated_as_r_does():
    # R: abbreviate(x, minlength = 6)
    names = ["(Intercept)", "Days", "service[T.1]", "MachineB", "nitro:VarietyMarvellous", "temperature"]
    assert [abbreviate(n) for n in names] == ["(Intr)", "Days", "s[T.1]", "MachnB", "ntr:VM", "tmprtr"]


# -- summary -------------------------------------------------------------------------------------------------


SLEEPSTUDY = """\
Linear mixed model fitted by REML; t tests with Satterthwaite's degrees of freedom
Formula: Reaction ~ Days + (Days | Subject)

REML criterion at convergence: 1743.6

Scaled residuals:
    Min      1Q Median     3Q    Max
-3.9536 -0.4634 0.0231 0.4634 5.1793

Random effects:
 Groups   Name        Variance Std.Dev. Corr
 Subject  (Intercept)   612.09   24.740
          Days           35.07    5.922 0.07
 Residual               654.94   25.592
Number of obs: 180, groups:  Subject, 18

Fixed effects:
            Estimate Std. Error    df t value Pr(>|t|)
(Intercept)  251.405      6.825 17.00  36.838  < 2e-16 ***
Days          10.467      1.546 17.00   6.771 3.26e-06 ***
---
Signif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1

Correlation of fixed effects:
     (Intr)
Days -0.138

Status: converged after """


def test_summary_of_sleepstudy(sleepfit):
    # the numbers of lme4 1.1-31 and lmerTest 3.1-3; lme4's default optimiser stops at 612.10, 24.741
    assert sleepfit.summary().startswith(SLEEPSTUDY)


def test_summary_by_maximum_likelihood_prints_information_criteria():
    fit = hd.lmm("Reaction ~ Days + (Days | Subject)", hd.datasets.load("sleepstudy"), reml=False)
    lines = fit.summary().split("\n")
    at = next(i for i, line in enumerate(lines) if "AIC" in line)
    # lme4: AIC 1763.9, BIC 1783.1, logLik -876.0, deviance 1751.9, df.resid 174
    assert lines[at].split() == ["AIC", "BIC", "logLik", "-2*log(L)", "df.resid"]
    assert lines[at + 1].split() == ["1763.9", "1783.1", "-876.0", "1751.9", "174"]


def test_summary_says_what_is_at_the_boundary_and_what_was_left_out():
    data = table()
    data.loc[[3, 4], "x"] = np.nan
    fit = hd.lmm("y ~ x + x2 + (1 | g)", data.assign(x2=2 * data.x), weights="w")
    text = fit.summary()
    assert "Dropped columns (linear combinations of the others): x2" in text
    assert "2 of 80 rows left out: missing values in x (2), x2 (2)" in text
    assert "weights: w" in text
    dull = hd.lmm("Yield ~ 1 + (1 | Batch)", hd.datasets.load("Dyestuff2"))
    assert "the variance of (1 | Batch) is estimated as 0, on the boundary" in dull.summary()
    assert "Status: boundary" in dull.summary()


def test_correlations_of_many_fixed_effects_are_left_out_unless_asked_for():
    rng = np.random.default_rng(2)
    data = {f"x{i}": rng.normal(size=200) for i in range(13)}
    data |= {"y": rng.normal(size=200), "g": rng.integers(0, 10, 200)}
    fit = hd.lmm("y ~ " + " + ".join(f"x{i}" for i in range(13)) + " + (1 | g)", data)
    assert "Correlations of the 14 fixed effects are not printed" in fit.summary()
    assert "Correlation of fixed effects:" in fit.summary(correlation=True)
    assert "orrelation" not in fit.summary(correlation=False)


def test_summary_without_fixed_effects():
    fit = hd.lmm("y ~ 0 + (1 | g)", table())
    assert "Fixed effects: none" in fit.summary()


def test_correlations_of_three_effects_have_a_column_each():
    fit = hd.lmm("score ~ Machine + (Machine | Worker)", hd.datasets.load("Machines"))
    lines = [line for line in fit.summary().split("\n") if "Machine" in line and "Formula" not in line]
    # lme4 1.1-31: Corr 0.48 / -0.37 0.30
    assert lines[0].split()[-1] == "0.48" and lines[1].split()[-2:] == ["-0.37", "0.30"]


# -- progress ------------------------------------------------------------------------------------------------


def step(iteration, deviance=10.0):
    return Step(iteration, deviance, 0.5, 1.0, np.array([1.0, 2.0]))


def test_nobody_watching_costs_nothing(capsys):
    with progress.watch(False, 10**6, "dense", 0.0) as on_step:
        assert on_step is None
    assert capsys.readouterr() == ("", "")


def test_iteration_log(capsys):
    fit = hd.lmm(FORMULA, table(), verbose=True)
    out, err = capsys.readouterr()
    lines = err.strip().split("\n")
    assert out == "" and "80 rows" in lines[0]
    assert lines[1].split() == ["iteration", "criterion", "step", "predicted", "seconds", "parameters"]
    assert len(lines) == 2 + fit.iterations + 1
    assert float(lines[-1].split()[1]) == pytest.approx(fit.deviance, abs=1e-6)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_line_appears_only_on_a_terminal_and_after_its_time(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.watch(False, 100_000, "dense", 5.0) as on_step:
        on_step(step(0))
        assert screen.getvalue() == ""
        time.sleep(0.4)
        on_step(step(1))
        time.sleep(0.3)
    assert "100,000 rows, iteration 1: criterion 15.0000" in screen.getvalue()


def test_progress_line_is_cleared_when_the_user_stops_the_fit(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.02)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with pytest.raises(KeyboardInterrupt), progress.watch(False, 100_000, "dense", 5.0) as on_step:
        on_step(step(0))
        time.sleep(0.2)
        raise KeyboardInterrupt
    assert screen.getvalue().rstrip().endswith("\x1b[?25h\x1b[1A\x1b[2K") or "\x1b[?25h" in screen.getvalue()


# -- figures -------------------------------------------------------------------------------------------------


def drawn(page):
    """The page as pixels, drawn to the end: a figure that cannot be laid out fails here."""
    from matplotlib import image

    pixels = image.imread(io.BytesIO(page._repr_png_()))
    assert pixels[:, :, :3].std() > 0.01
    return pixels


def test_a_panel_for_each_subject_with_its_points_and_its_line(sleepfit):
    page = sleepfit.plot.fit()
    panels = [axes for axes in page.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == [
        str(v) for v in sleepfit.labels.terms[0].levels
    ]
    data = hd.datasets.load("sleepstudy")
    first = panels[0].collections[-1].get_offsets()
    np.testing.assert_allclose(first[:, 1], data.Reaction[data.Subject == "308"])
    line = panels[0].lines[1].get_xydata()
    assert line[0, 1] == pytest.approx(sleepfit.fitted[0], rel=1e-6)
    drawn(page)


@pytest.mark.parametrize(
    ("formula", "name", "panels"),
    [
        ("score ~ Machine + (Machine | Worker)", "Machines", 6),
        ("Yield ~ 1 + (1 | Batch)", "Dyestuff", 1),
        ("Yield ~ 1 + (1 | Batch)", "Dyestuff2", 1),
        ("distance ~ age * Sex + (age | Subject)", "Orthodont", 27),
        ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin", 1),
    ],
)
def test_every_figure_of_every_kind_of_model(formula, name, panels):
    fit = hd.lmm(formula, hd.datasets.load(name))
    page = fit.plot.fit()
    assert sum(axes.get_visible() for axes in page.axes) == panels
    for made in (page, fit.plot.residuals(), fit.plot.qq(), fit.plot.random_effects()):
        drawn(made)


def test_many_rows_are_drawn_as_a_density(tmp_path):
    rng = np.random.default_rng(1)
    g = rng.integers(0, 300, 20_000)
    fit = hd.lmm(
        "y ~ x + (1 | g)",
        {"y": rng.normal(size=20_000) + rng.normal(size=300)[g], "x": rng.normal(size=20_000), "g": g},
    )
    for made in (fit.plot.fit(), fit.plot.residuals(), fit.plot.qq(), fit.plot.random_effects()):
        made.savefig(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size < 1_000_000


def test_figures_leave_out_rows_with_missing_values():
    data = table()
    data.loc[[1, 2], "x"] = np.nan
    fit = hd.lmm("y ~ x + (x | g)", data, offset=data.o.to_numpy(), weights="w")
    for made in (fit.plot.fit(), fit.plot.residuals(), fit.plot.qq(), fit.plot.random_effects()):
        drawn(made)


def test_caterpillar_is_in_order_with_intervals_from_pev(sleepfit):
    axes = sleepfit.plot.random_effects().axes[0]
    values = axes.collections[1].get_offsets()[:, 0]
    effects = sleepfit.random_effects
    intercepts = effects[effects.term == "(Intercept)"].sort_values("estimate")
    np.testing.assert_allclose(values, intercepts.estimate)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(intercepts.level)
    widths = [segment[1, 0] - segment[0, 0] for segment in axes.collections[0].get_segments()]
    np.testing.assert_allclose(widths, 2 * 1.959964 * intercepts.std_error, rtol=1e-6)


def test_drawing_does_not_start_pyplot(sleepfit):
    already = "matplotlib.pyplot" in sys.modules
    sleepfit.plot.residuals()
    assert already or "matplotlib.pyplot" not in sys.modules
