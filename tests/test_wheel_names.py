"""The wheel's one top-level name: every module imports from where it lies there, beside others' plain words."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("house_setup", HOUSE / "setup.py")
house_setup = importlib.util.module_from_spec(spec)
spec.loader.exec_module(house_setup)
moved, ROOMS = house_setup.moved, house_setup.ROOMS


@pytest.mark.parametrize(
    ("written", "built"),
    [
        ("from realtime.session import x\n", "from perceptogram.realtime.session import x\n"),
        ("from realtime import session as live\n", "from perceptogram.realtime import session as live\n"),
        ("def f():\n    from configs import y\n", "def f():\n    from perceptogram.configs import y\n"),
        ("import calibration.fit as f\n", "import perceptogram.calibration.fit as f\n"),
        ("from perceptogram.live import a\n", "from perceptogram.live import a\n"),
        ("from realtimes import a\n", "from realtimes import a\n"),
        ('"""From what comes\nfrom realtime data.\n"""\n', '"""From what comes\nfrom realtime data.\n"""\n'),
        ('"""\n>>> from stimuli import z\n"""\n', '"""\n>>> from perceptogram.stimuli import z\n"""\n'),
    ],
)
def test_imports_move_and_nothing_else(written, built):
    assert moved(written, "x.py") == built


def test_an_import_that_cannot_be_moved_ends_the_build():
    with pytest.raises(SyntaxError, match=r"x\.py:2: 'import realtime\.session'"):
        moved("\nimport realtime.session\n", "x.py")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What a wheel installs, beside packages of others that have the folders' names."""
    site = tmp_path_factory.mktemp("site")
    for room in ("perceptogram", *ROOMS):
        for path in (HOUSE / room).rglob("*.py"):
            target = site / ("" if room == "perceptogram" else "perceptogram") / path.relative_to(HOUSE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(moved(path.read_text(encoding="utf-8"), str(path)), encoding="utf-8")
    for room in ROOMS:
        (site / room).mkdir()
        (site / room / "__init__.py").write_text("mine = True\n")
    return site


def test_no_module_of_the_wheel_imports_a_plain_word(installed):
    wrong = []
    for path in (installed / "perceptogram").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            wrong += [f"{path.name}: {name}" for name in names if name.split(".")[0] in ROOMS]
    assert not wrong


@pytest.mark.processes
def test_it_works_beside_packages_of_the_same_names(installed):
    program = (
        "import realtime, configs, stimuli, calibration, perceptogram\n"
        "assert realtime.mine and configs.mine and stimuli.mine and calibration.mine\n"
        "from perceptogram.realtime.sources import simulated\n"
        "from perceptogram.stimuli import presenter\n"
        "print(perceptogram.Session.__module__, simulated.MODULE, presenter.MODULE)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"PYTHONPATH": str(installed)},
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = ("perceptogram.session", "perceptogram.realtime.sources.simulated", "perceptogram.stimuli.presenter")
    assert tuple(done.stdout.split()) == told
