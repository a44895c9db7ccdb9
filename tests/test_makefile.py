"""An older Python is told in one line what is needed, before anything is made."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

HOUSE = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_an_older_python_is_told_what_is_needed(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(HOUSE / name, tmp_path)
    older = tmp_path / "python3.10"
    older.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 10, 12)\n$2"\n')
    older.chmod(0o755)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={older}"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    first = done.stderr.splitlines()[0]
    assert first == (f"Perceptogram Live needs Python 3.11 or newer, and {older} is 3.10: make demo PYTHON=python3.12")
    assert not (tmp_path / ".venv").exists()
