"""What the package costs to import, and what it says when kernels are compiled."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=True,
    )


def test_import_is_light():
    heavy = ["numpy", "scipy", "pandas", "numba", "matplotlib", "formulaic", "rich", "typer"]
    found = run(f"import sys, henderson; print([m for m in {heavy} if m in sys.modules])").stdout
    assert found.strip() == "[]"


def test_a_small_fit_needs_no_compiled_code():
    code = (
        "import sys, henderson as hd\n"
        "hd.lmm('Reaction ~ Days + (Days | Subject)', hd.datasets.load('sleepstudy')).summary()\n"
        "print([m for m in ('numba', 'matplotlib', 'formulaic') if m in sys.modules])"
    )
    assert run(code).stdout.strip() == "[]"


@pytest.mark.parametrize("cached, said", [(False, "compiling its kernels"), (True, "")])
def test_compilation_is_announced_once(cached, said, tmp_path):
    kernel = "from henderson.sparse.blocks import rows_by_level as k; import numpy as np\n"
    use = "k(np.zeros(3, np.int32), 1)\n" if cached else ""
    tell = "from henderson.sparse.announce import announce_compilation as a; a(k); a(k)"
    stderr = run(kernel + use + tell, NUMBA_CACHE_DIR=str(tmp_path)).stderr
    assert stderr.count("henderson:") == (1 if said else 0)
    assert said in stderr
