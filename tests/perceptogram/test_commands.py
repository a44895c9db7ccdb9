"""The command as a person types it: help, and one clear line with exit code 2 for bad input."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.command import perceptogram


@pytest.mark.processes
def test_help_answers_without_loading_anything_heavy():
    code = (
        "import sys; sys.argv=['perceptogram','--help']\n"
        "import perceptogram.__main__ as m\n"
        "try: m.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch','diffusers','open_clip','mne','pygame','pylsl','matplotlib','scipy','numpy','pydantic'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert len(sys.modules) < 600, len(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


@pytest.mark.processes
def test_importing_the_package_imports_little():
    code = (
        "import sys, importlib.util, pathlib, typing\n"
        "before = len(sys.modules)\n"
        "import perceptogram\n"
        "print(len(sys.modules) - before)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20


@pytest.mark.parametrize(
    "command", ["demo", "fit", "run", "replay", "simulate", "streams", "record", "doctor", "bench", "ledger"]
)
def test_every_command_shows_an_example(command):
    done = perceptogram(command, "--help")
    assert done.returncode == 0
    assert "Example: perceptogram" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fit", "none.csv", "--config", "demo", "--out", "b"), "there is no recording none.csv"),
        (("fit", "none.csv", "--config", "nothing.yaml", "--out", "b"), "cannot read config nothing.yaml"),
        (("replay", "none.xdf", "--out", "o"), "there is no recording none.xdf"),
        (("replay", "none.xdf", "--bundle", "nowhere", "--out", "o"), "no bundle in nowhere"),
        (("replay", "none.xdf", "--speed", "-3", "--out", "o"), "--speed -3: give a number above 0"),
        (("run", "--config", "demo", "--bundle", "nowhere", "--out", "o"), "no bundle in nowhere"),
        (("ledger", "none.jsonl"), "there is no percept log none.jsonl"),
        (("bench", "nothing"), "no benchmark 'nothing'"),
        (("simulate", "--fault", "dorp:n=5"), "--fault: fault 'dorp:n=5': there is no kind 'dorp'"),
        (("simulate", "--fault", "marker-late"), "sends no markers"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = perceptogram(*arguments)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert not list(tmp_path.iterdir())


def test_a_wrong_key_in_a_config_is_named(tmp_path):
    (tmp_path / "lab.yaml").write_text("filters:\n  lowpass: 40\n")
    done = perceptogram("fit", "none.csv", "--config", tmp_path / "lab.yaml", "--out", tmp_path / "b")
    assert done.returncode == 2
    assert "filters.lowpass: unknown key" in done.stderr


def test_unreadable_recordings_are_refused(tmp_path):
    (tmp_path / "broken.xdf").write_bytes(b"not XDF at all")
    done = perceptogram("replay", tmp_path / "broken.xdf", "--out", tmp_path / "o")
    assert done.returncode == 2
    assert "broken.xdf" in done.stderr
    assert not (tmp_path / "o").exists()


def test_the_demo_does_not_touch_a_folder_of_somebody_elses(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = perceptogram("demo", "--headless", "--out", tmp_path)
    assert done.returncode == 2
    assert "thesis.txt" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_the_demo_does_not_take_a_real_session_for_an_earlier_demo(tmp_path):
    (tmp_path / "recording.xdf").write_bytes(b"XDF:")
    done = perceptogram("demo", "--headless", "--out", tmp_path)
    assert done.returncode == 2
    assert "recording.xdf" in done.stderr
    assert (tmp_path / "recording.xdf").exists()


def test_a_stream_that_is_not_there_is_named_with_what_was_found(tmp_path):
    (tmp_path / "lab.yaml").write_text("stream:\n  name: Nobody\n  timeout_s: 1\n")
    done = perceptogram("run", "--config", tmp_path / "lab.yaml", "--bundle", tmp_path, "--out", tmp_path / "o")
    assert done.returncode == 2
    assert "no bundle" in done.stderr


def test_streams_says_so_when_there_are_none(tmp_path):
    done = perceptogram("streams", "--wait", 1, "--json", tmp_path / "streams.json")
    assert done.returncode == 0
    assert "no LSL stream answered" in done.stdout
    assert json.loads((tmp_path / "streams.json").read_text()) == []


@pytest.mark.processes
def test_a_file_that_hides_a_package_is_named(tmp_path):
    (tmp_path / "stimuli.py").write_text("print('mine')\n")
    (tmp_path / "script.py").write_text("import perceptogram\n")
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "stimuli.py: rename that file" in done.stderr


def test_ledger_tells_the_percentiles_and_draws_them(tmp_path):
    stages = {"onset": 1.0, "last_sample": 1.8, "arrived": 1.801, "embedding": 1.8012, "requested": 1.8013}
    late = {"first_picture": 1.85, "final_picture": 1.9}
    records = [{"trial": 0, "ledger": stages | late}, {"trial": 1, "ledger": stages}]
    records += [{"trial": 0, "ledger": {"shown": 1.92}}, {"trial": 2, "refused": "hole"}]
    log = tmp_path / "percepts.jsonl"
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    done = perceptogram("ledger", log, "--json", tmp_path / "stages.json")
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "stages.json").read_text())
    assert told["n_trials"] == 2
    assert told["stages"]["last_sample_to_shown_ms"]["n"] == 1
    assert told["stages"]["last_sample_to_shown_ms"]["p50"] == pytest.approx(120.0)
    assert told["stages"]["last_sample_to_embedding_us"]["p50"] == pytest.approx(200.0)
    assert (tmp_path / "ledger.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.processes
def test_a_terminal_that_has_no_sign_for_a_character_ends_no_command(tmp_path):
    """As where the locale is de_DE or C: Python encodes what is printed as the terminal is said to."""
    log = tmp_path / "percepts.jsonl"
    log.write_text(json.dumps({"trial": 0, "ledger": {"last_sample": 1.0, "arrived": 1.001, "embedding": 1.002}}))
    command = [sys.executable, "-P", "-m", "perceptogram", "ledger", log]
    plain = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=plain, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "?s (n = 1)" in done.stdout
