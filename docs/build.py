"""Runs the examples of README.md and docs/*.md, and writes or checks what they print.

    python docs/build.py            run everything, refresh the printed output in the files
    python docs/build.py --check    run everything, fail where a file says something else
    python docs/build.py FILE ...   these files only

| block | what is done with it |
|---|---|
| ```python | run, all blocks of a file in order in one namespace; the ```text block right after it is what it prints |
| ```python raises | run; it must raise, and the ```text block holds the error's name and message |
| ```console | each `$ henderson ...` line is run through the command line, in process; the lines under it are what it prints (standard output, then standard error); `$ echo $?` is the exit code of the one before |
| any other | left alone |

The examples run in an empty folder that is removed afterwards. Tables are printed 110 characters wide.
A check allows what another machine's arithmetic may change: one unit in the last digit of a number,
numbers below 1e-9 written with an exponent, and how many iterations a fit took.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(.*)$")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?")
WIDTH = 110
STEPS = re.compile(r"after \d+ iterations")
NOTHING = 1e-9
"""Numbers below this are rounding errors, which differ from machine to machine."""


@dataclass
class Block:
    """A fenced block: its language line, its lines, and where they are in the file (half open, from 0)."""

    language: str
    lines: list[str]
    first: int
    end: int


def blocks(lines: list[str]) -> Iterator[Block]:
    """The fenced blocks of a file."""
    opened: int | None = None
    language = ""
    for at, line in enumerate(lines):
        found = FENCE.match(line)
        if not found:
            continue
        if opened is None:
            opened, language = at + 1, found[1].strip()
        else:
            yield Block(language, lines[opened:at], opened, at)
            opened = None
    if opened is not None:
        raise SystemExit(f"line {opened}: a block is opened and not closed")


def build(path: Path) -> list[str]:
    """The lines of the file with the output its examples have now."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = list(blocks(lines))
    namespace: dict[str, Any] = {"__name__": path.stem}
    out: list[str] = []
    copied = 0
    for i, block in enumerate(found):
        if block.language.split()[:1] == ["python"]:
            printed = run(block, namespace, path)
            follower = found[i + 1] if i + 1 < len(found) else None
            between = [] if follower is None else lines[block.end + 1 : follower.first - 1]
            if follower is not None and follower.language == "text" and not any(map(str.strip, between)):
                out += [*lines[copied : follower.first], *printed]
                copied = follower.end
            elif printed:
                out += [*lines[copied : block.end + 1], "", "```text", *printed, "```"]
                copied = block.end + 1
        elif block.language == "console":
            out += [*lines[copied : block.first], *shell(block)]
            copied = block.end
    return [*out, *lines[copied:]]


def run(block: Block, namespace: dict[str, Any], path: Path) -> list[str]:
    """What a python block prints."""
    source = "\n" * block.first + "\n".join(block.lines)
    code = compile(source, str(path), "exec")
    raises = "raises" in block.language.split()
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        try:
            exec(code, namespace)
        except Exception as error:
            if not raises:
                raise
            print(f"{type(error).__name__}: {error}")
        else:
            if raises:
                raise SystemExit(f"{path.name}, line {block.first + 1}: this should raise, and does not")
    return trimmed(stdout.getvalue())


def shell(block: Block) -> list[str]:
    """A console block with what its commands print now."""
    out: list[str] = []
    code = 0
    for line in block.lines:
        if not line.startswith("$ "):
            continue
        out.append(line)
        command = line[2:]
        if command == "echo $?":
            out.append(str(code))
            continue
        words = shlex.split(command)
        if words[:1] != ["henderson"]:
            raise SystemExit(f"only 'henderson ...' and 'echo $?' are run in console blocks, not: {command}")
        code, printed = command_line(words[1:])
        out += trimmed(printed)
    return out


def command_line(words: list[str]) -> tuple[int, str]:
    """Exit code and output of `henderson words...`."""
    from henderson.cli import main

    stdout, stderr = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            main(words)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
    return code, stdout.getvalue() + stderr.getvalue()


def trimmed(text: str) -> list[str]:
    """Lines without blanks at their ends, and no empty ones first or last."""
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def same(old: str, new: str) -> bool:
    """Whether two lines say the same, but for what a machine's arithmetic may change."""
    old, new = (STEPS.sub("after some iterations", line) for line in (old, new))
    if old == new:
        return True
    if NUMBER.sub("#", old).split() != NUMBER.sub("#", new).split():
        return False
    return all(map(close, NUMBER.findall(old), NUMBER.findall(new)))


def close(old: str, new: str) -> bool:
    """One unit in the last digit, or both nothing."""
    left, right = float(old), float(new)
    if "e" in old and "e" in new and max(abs(left), abs(right)) < NOTHING:
        return True
    digits = old.partition("e")[0]
    unit = 10.0 ** (-len(digits.partition(".")[2]) + int(old.partition("e")[2] or 0))
    whole = "." not in digits and "e" not in old
    return abs(left - right) <= (0.0 if whole else 1.001 * unit)


def differences(path: Path) -> list[str]:
    """Where the file and its examples disagree, one text for each line."""
    old, new = path.read_text(encoding="utf-8").splitlines(), build(path)
    found = [
        f"{path.name}, line {at + 1}:\n  the file says  {left}\n  it is          {right}"
        for at, (left, right) in enumerate(zip(old, new, strict=False))
        if not same(left, right)
    ]
    if len(old) != len(new) and not found:
        found.append(f"{path.name} has {len(old)} lines, and would have {len(new)}")
    return found


def files() -> list[Path]:
    """Every file with examples."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@contextlib.contextmanager
def workshop() -> Iterator[None]:
    """An empty folder to run in, and printing that does not depend on the terminal."""
    import pandas as pd

    before = Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        pd.option_context("display.width", WIDTH, "display.max_columns", 20, "display.max_rows", 20),
    ):
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def main(arguments: list[str]) -> int:
    """Refresh or check; 1 where a check fails."""
    check = "--check" in arguments
    paths = [Path(a).resolve() for a in arguments if a != "--check"] or files()
    wrong: list[str] = []
    with workshop():
        for path in paths:
            if check:
                wrong += differences(path)
                continue
            if differences(path):
                path.write_text("\n".join(build(path)) + "\n", encoding="utf-8")
                print(f"refreshed {path.name}")
    print("\n".join(wrong) if wrong else f"{len(paths)} files checked" if check else "done")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
