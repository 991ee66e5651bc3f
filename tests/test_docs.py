"""README.md and docs/*.md say what the package does: their examples are run, and must print what is written."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "docs" / "build.py"
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")

if not SCRIPT.exists():
    pytest.skip("docs/ is not in this copy of the project", allow_module_level=True)

_spec = importlib.util.spec_from_file_location("docs_build", SCRIPT)
assert _spec is not None and _spec.loader is not None
build = importlib.util.module_from_spec(_spec)
sys.modules["docs_build"] = build
_spec.loader.exec_module(build)


@pytest.mark.parametrize("path", build.files(), ids=lambda path: path.name)
def test_examples_print_what_is_written(path):
    pytest.importorskip("polars", reason="an example writes a Parquet file with it")
    with build.workshop():
        wrong = build.differences(path)
    assert not wrong, "\n".join([*wrong, "", "(make docs refreshes the files)"])


@pytest.mark.parametrize("path", [*build.files(), ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target, _ in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_a_wrong_digit_is_seen_and_rounding_is_not():
    assert build.same("estimate 251.405 0.07", "estimate 251.405 0.07")
    assert build.same("estimate 251.405", "estimate 251.406")
    assert not build.same("estimate 251.405", "estimate 251.505")
    assert not build.same("180 rows", "181 rows")
    assert not build.same("estimate 251.405", "estimates 251.405")
    assert build.same(
        "(predicted decrease of the deviance 4e-19)", "(predicted decrease of the deviance 2e-13)"
    )
    assert not build.same("deviance 4e-3", "deviance 6e-3")
