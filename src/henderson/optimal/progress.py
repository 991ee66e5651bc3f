"""A line on the terminal for work that takes more than a second; it goes to standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..report.progress import PATIENCE, is_terminal


class Line:
    """Says how far a loop is; nothing before PATIENCE seconds, nothing where nobody is looking."""

    def __init__(self, what: str, total: int, wanted: bool):
        self._wanted = wanted and is_terminal()
        self._start, self._what, self._total = time.monotonic(), what, total
        self._bar: Any = None
        self._task: Any = None

    def say(self, done: int, text: str = "") -> None:
        """`done` of the total are over."""
        if not self._wanted or time.monotonic() - self._start < PATIENCE:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[says]}"),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total, says="")
        self._bar.update(self._task, completed=done, says=text)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def line(what: str, total: int, wanted: bool) -> Iterator[Line]:
    """A `Line` that is closed at the end, also when the loop is interrupted."""
    shown = Line(what, total, wanted)
    try:
        yield shown
    finally:
        shown.close()
