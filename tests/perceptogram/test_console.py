"""What is printed is what was said: brackets in names and messages are no markup."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import perceptogram
from perceptogram.console import console, errors, print_rows, progress_bar, styled, teller, waiting

ROOT = Path(perceptogram.__file__).parent
STRANGE = ("P01[left].csv", "Cap [/right]", "[bold]x[/]", "[red", ":smile:", "[link=x]")


@pytest.mark.parametrize("name", STRANGE)
def test_names_stay_as_they_are_wherever_they_are_printed(name):
    with console.capture() as told:
        console.print(name)
        console.print(styled("decoding ", (name, "bold"), "."))
        print_rows(name, {name: name})
    assert told.get().count(name) == 5
    with errors.capture() as told:
        errors.print(styled(("error:", "bold red"), f" {name}"))
    assert told.get() == f"error: {name}\n"
    with waiting(name) as status:
        assert status.renderable.text.plain == name


@pytest.mark.parametrize("name", STRANGE)
def test_a_progress_bars_text_stays_as_it_is(name):
    bar = progress_bar()
    bar.add_task(name, total=1)
    with console.capture() as told:
        console.print(bar.get_renderable())
    assert name in told.get()


def test_the_time_left_is_known_though_a_step_takes_minutes_and_of_each_part_anew():
    bar, now = progress_bar(), [0.0]
    bar.get_time = lambda: now[0]
    tell = teller(bar)
    for done in range(4):
        tell("cross-validate", done + 0.5, 10)
        now[0] += 120.0
    assert bar.tasks[0].time_remaining == pytest.approx(6.5 * 120, abs=1)
    tell("map", 0.0, 1)
    assert (bar.tasks[0].description, bar.tasks[0].time_remaining) == ("map", None)
    for share in (0.2, 0.4):
        now[0] += 60.0
        tell("map", share, 1)
    assert bar.tasks[0].time_remaining == pytest.approx(180, abs=1)


def test_nothing_is_printed_on_another_way():
    for file in ROOT.rglob("*.py"):
        if file == ROOT / "console.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func).rpartition(".")[2]
                assert called not in ("Console", "Status", "TextColumn", "from_markup", "track"), (
                    f"{file}:{node.lineno}"
                )
                assert ast.unparse(node.func) != "console.status", f"{file}:{node.lineno}: use waiting()"


@pytest.mark.processes
def test_a_notice_that_cannot_be_written_ends_nothing(tmp_path):
    script = (
        "import resource, sys\n"
        "from perceptogram import __main__ as program\n"
        "most = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "def told():\n"
        "    for limit, text in ((0, 'first'), (0, 'second'), (most[0], 'third')):\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most[1]))\n"
        "        program.errors.print(text)\n"
        "program.app = told\n"
        "program.main()\n"
        "sys.exit(7)\n"
    )
    with (tmp_path / "log.txt").open("wb") as log:
        ended = subprocess.run([sys.executable, "-c", script], stderr=log, check=False, timeout=120)
    assert ended.returncode == 7
    assert (tmp_path / "log.txt").read_text().endswith("third\n")
