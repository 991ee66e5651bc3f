"""What must not leak from one question to the next: threads, forks, interrupts, refits, BLAS threads."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from test_engine import parameters, problem_of
from twin import random_design

import henderson as hd
from henderson.mixed.bordered import BorderedSystem
from henderson.mixed.criterion import evaluate
from henderson.mixed.dense import DenseSystem
from henderson.models.lmm import refit
from henderson.sparse import threads


@pytest.fixture(scope="module")
def crossed():
    rng = np.random.default_rng(5)
    g, h = rng.integers(0, 500, 6000), rng.integers(0, 200, 6000)
    y = rng.normal(size=500)[g] + rng.normal(size=200)[h] + rng.normal(size=6000)
    return hd.lmm("y ~ 1 + (1 | g) + (1 | h)", pd.DataFrame({"g": g, "h": h, "y": y}))


def test_refits_in_threads_equal_refits_in_turn(crossed):
    rng = np.random.default_rng(1)
    responses = [crossed.design.y + rng.normal(size=crossed.nobs) for _ in range(8)]
    serial = [refit(crossed, y).deviance for y in responses]
    with ThreadPoolExecutor(4) as pool:
        together = [fit.deviance for fit in pool.map(lambda y: refit(crossed, y), responses)]
    assert together == serial


def test_one_fit_asked_from_threads_answers_as_asked_in_turn(crossed):
    def questions(fit):
        return [lambda: fit.fixed_effects, lambda: fit.random_effects, lambda: fit.variance_components]

    alone, shared = (refit(crossed, crossed.design.y) for _ in range(2))
    serial = [q() for q in questions(alone)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda q: q(), questions(shared)))
    for ours, theirs in zip(together, serial, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_can_fit(crossed):
    refit(crossed, crossed.design.y)  # starts the pool in the parent
    child = os.fork()
    if child == 0:
        import signal

        signal.alarm(60)
        try:
            ok = refit(crossed, crossed.design.y).deviance == pytest.approx(crossed.deviance, abs=1e-6)
        finally:
            os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("system", [DenseSystem, BorderedSystem])
def test_an_interrupt_leaves_nothing_stale(system, monkeypatch):
    _, _, problem = problem_of(random_design(2, kind="crossed", m=2), system)
    first, second = parameters(problem, 1), parameters(problem, 2)
    expected = evaluate(problem, second).deviance
    evaluate(problem, first)
    with monkeypatch.context() as patch:

        def interrupted(self, factors):
            raise KeyboardInterrupt

        patch.setattr(system, "_factorise", interrupted)
        with pytest.raises(KeyboardInterrupt):
            evaluate(problem, second)
    assert evaluate(problem, second).deviance == expected


def test_blas_threads_are_put_back_by_the_last_to_leave():
    before = threads.get_blas_threads()
    first, second = threads.one_blas_thread(), threads.one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert threads.get_blas_threads() == min(before, 1)
    second.__exit__(None, None, None)
    assert threads.get_blas_threads() == before


def test_refit_from_the_boundary_finds_the_interior():
    base = hd.lmm("Yield ~ 1 + (1 | Batch)", hd.datasets.load("Dyestuff2"))
    assert base.status.verdict == "boundary"
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y = rng.normal(size=30) + rng.normal(0, 0.8, 6)[base.design.blocks[0].codes]
        data = pd.DataFrame({"Yield": y, "Batch": base.design.blocks[0].codes})
        assert refit(base, y).deviance == pytest.approx(
            hd.lmm("Yield ~ 1 + (1 | Batch)", data).deviance, abs=1e-7
        )
