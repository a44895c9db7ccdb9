"""The order in which the tests themselves are run, seen from a run of small ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
pytestmark = pytest.mark.processes
PLUGINS = ("xdist", "pytest_rerunfailures", "tests.support.tiers", "no:cacheprovider")
WORKERS = ("-n", "2", "--dist", "loadfile")

TIMED = """
import os, time
import pytest

@pytest.fixture(autouse=True)
def logged(request):
    start = time.monotonic()
    yield
    with open("log", "a") as log:
        print(request.path.name, request.node.name, os.getpid(), start, time.monotonic(), file=log)
"""
TESTS = """
import time
import pytest

@pytest.mark.parametrize("n", range(4))
def test_waits(n):
    time.sleep(0.2)

@pytest.mark.realtime
@pytest.mark.parametrize("n", range(2))
def test_measures(n):
    time.sleep(0.1)
"""
FAILS_ONCE = """
import pytest
tried = set()

{marks}
@pytest.mark.parametrize("n", range({n}))
def test_fails_once(n):
    again = n in tried
    tried.add(n)
    assert again
"""
STARTS = """
import multiprocessing
import subprocess
import sys

import pytest

def child():
    started = multiprocessing.get_context("spawn").Process(target=print)
    started.start()
    started.join()

def program():
    subprocess.run([sys.executable, "-c", ""], check=True)

@pytest.mark.parametrize("start", [child, program])
def test_silent(start):
    start()

@pytest.mark.processes
@pytest.mark.parametrize("start", [child, program])
def test_told(start):
    start()

def test_starts_nothing_of_ours():
    subprocess.run(["uname"], check=True)
"""


def run(folder, *arguments, **files):
    """Run pytest on `files` of tests; return its exit code and the last line that it says."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    realtime: r\n    slow: s\n    processes: p\n")
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    plugins = [word for name in PLUGINS for word in ("-p", name)]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, *arguments]
    environment = os.environ | {"PYTHONPATH": str(HOUSE), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip().splitlines()[-1]


def test_tests_of_the_wall_clock_run_last_and_alone_and_files_stay_whole(tmp_path):
    code, said = run(tmp_path, *WORKERS, conftest=TIMED, test_a=TESTS, test_b=TESTS, test_c=TESTS)
    assert code == 0
    assert said.startswith("18 passed")
    rows = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert len(rows) == 18
    others_end = max(float(end) for file, name, _, _, end in rows if "waits" in name)
    measuring = [(pid, float(start)) for file, name, pid, start, _ in rows if "measures" in name]
    assert len({pid for pid, _ in measuring}) == 1
    assert min(start for _, start in measuring) >= others_end
    waiting = {(file, pid) for file, name, pid, _, _ in rows if "waits" in name}
    assert len(waiting) == 3, "each file on one worker"
    assert len({pid for _, pid in waiting}) == 2


def test_a_worker_that_dies_fails_one_test_and_the_others_do_the_rest(tmp_path):
    dies = "import os\ndef test_dies():\n    os._exit(3)\n" + TESTS
    code, said = run(tmp_path, *WORKERS, conftest=TIMED, test_a=dies, test_b=TESTS)
    assert code == 1
    assert said.startswith("1 failed, 12 passed"), said


@pytest.mark.parametrize(
    ("options", "marks", "budget", "n", "outcome"),
    [
        ((), "", 3, 1, (1, "1 failed")),
        ((), "@pytest.mark.realtime", 0, 1, (1, "1 failed")),
        ((), "@pytest.mark.realtime", 3, 3, (0, "3 passed, 3 rerun")),
        (WORKERS, "@pytest.mark.realtime", 3, 4, (1, "1 failed, 3 passed, 3 rerun")),
    ],
)
def test_only_tests_of_the_wall_clock_are_tried_again_and_three_times_in_all(
    tmp_path, options, marks, budget, n, outcome
):
    code, said = run(tmp_path, *options, f"--max-suite-reruns={budget}", test_once=FAILS_ONCE.format(marks=marks, n=n))
    assert (code, said.rsplit(" in ", 1)[0]) == outcome


def test_what_starts_a_process_says_so(tmp_path):
    code, said = run(tmp_path, "-m", "not processes", test_starts=STARTS)
    assert (code, said.rsplit(" in ", 1)[0]) == (1, "2 failed, 1 passed, 2 deselected")
