"""What a fit says while it works: a line for each iteration on request, a moving line when it takes long.

Both go to standard error, so that what a program prints as its result stays apart.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..linear.newton import Step

PATIENCE = 1.0
"""Seconds before the progress line shows."""
SMALL = 2_000
"""Rows below which a fit is over before anybody could read a line."""

OnStep = Callable[["Step"], None]


@contextmanager
def watch(verbose: bool, n: int, description: str, deviance_shift: float) -> Iterator[OnStep | None]:
    """Something to call with each `linear.newton.Step`, or None where nobody is looking.

    Parameters
    ----------
    verbose : print one line for each iteration.
    n : rows of the fit.
    description : the solver, in words.
    deviance_shift : added to `step.deviance` to give the criterion in the user's units.
    """
    if verbose:
        yield _table(n, description, deviance_shift)
        return
    if n < SMALL or not is_terminal():
        yield None
        return
    line = _Line(f"{n:,} rows, first look at the equations")

    def on_step(step: Step) -> None:
        line.say(
            f"{n:,} rows, iteration {step.iteration}: criterion {step.deviance + deviance_shift:.4f}, "
            f"predicted decrease {max(step.predicted_decrease, 0.0):.1g}"
        )

    try:
        yield on_step
    finally:
        line.close()


@contextmanager
def rows_line(what: str, unit: str = "rows") -> Iterator[Callable[[int], None]]:
    """Something to call with the number of rows just done; a line with their sum shows where somebody is looking."""
    if not is_terminal():
        yield lambda rows: None
        return
    line, done = _Line(what), 0

    def tick(rows: int) -> None:
        nonlocal done
        done += rows
        line.say(f"{what}: {done:,} {unit}")

    try:
        yield tick
    finally:
        line.close()


def is_terminal() -> bool:
    """Whether somebody is looking."""
    return sys.stderr is not None and sys.stderr.isatty()


def _table(n: int, description: str, shift: float) -> OnStep:
    """Prints a heading now, and a line for each step given to it."""
    start = time.perf_counter()
    print(f"{n} rows; {description}", file=sys.stderr)
    print(
        f"{'iteration':>9}  {'criterion':>18}  {'step':>8}  {'predicted':>9}  {'seconds':>8}  parameters",
        file=sys.stderr,
    )

    def on_step(step: Step) -> None:
        share = "start" if step.iteration == 0 else f"{step.step:.3g}"
        parameters = " ".join(f"{value:.5g}" for value in step.theta[:8])
        more = f" ... ({len(step.theta)})" if len(step.theta) > 8 else ""
        print(
            f"{step.iteration:>9}  {step.deviance + shift:>18.8f}  {share:>8}  "
            f"{step.predicted_decrease:>9.2g}  {time.perf_counter() - start:>8.3f}  {parameters}{more}",
            file=sys.stderr,
            flush=True,
        )

    return on_step


class _Line:
    """A moving line of rich that appears after PATIENCE seconds, also while the first iteration still
    runs.
    """

    def __init__(self, text: str):
        self._text = text
        self._status: Any = None
        self._lock = threading.Lock()
        self._closed = False
        self._timer = threading.Timer(PATIENCE, self._show)
        self._timer.daemon = True
        self._timer.start()

    def _show(self) -> None:
        from rich.console import Console

        with self._lock:
            if not self._closed:
                self._status = Console(stderr=True).status(self._text)
                self._status.start()

    def say(self, text: str) -> None:
        self._text = text
        with self._lock:
            if self._status is not None:
                self._status.update(self._text)

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._closed = True
            if self._status is not None:
                self._status.stop()
                self._status = None
