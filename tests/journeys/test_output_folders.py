"""No command mixes its results with what lies in a folder already, nor takes away what it did not make."""

import json
import shutil

import numpy as np
import pytest

from tests.support.command import perceptogram

COMMANDS = {
    "run": ("--config", "demo", "--bundle", "bundle"),
    "replay": ("run1.csv",),
    "demo": ("--headless",),
    "calibrate": ("--config", "demo", "--simulate", "--headless"),
    "calibrate --check-timing": ("--config", "demo", "--headless"),
}


def headband_recording(path, seconds=20):
    """A muse-lsl CSV of noise with an event every two seconds."""
    rng = np.random.default_rng(0)
    n = 256 * seconds
    table = np.column_stack([1.6e9 + np.arange(n) / 256, rng.normal(0, 10, (n, 4)), np.zeros(n)])
    table[512::512, -1] = 1
    np.savetxt(path, table, delimiter=",", header="timestamps,TP9,AF7,AF8,TP10,Marker0", comments="", fmt="%.6f")


def test_recordings_survive_a_bundle_that_should_be_written_over_them(shared_data, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    runs = [shutil.copy(shared_data / "muse_n170" / f"run{n}.csv", folder) for n in (1, 2)]
    done = perceptogram("fit", *runs, "--config", "muse_n170", "--out", folder, "--no-report", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "run1.csv, run2.csv and is no bundle" in " ".join(done.stderr.split())
    assert sorted(path.name for path in folder.iterdir()) == ["run1.csv", "run2.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_somebody_elses_is_refused_untouched(command, overwrite, tmp_path):
    mine = {"percepts.jsonl": "mine\n", "timing.json": "{}", "calibration.xdf": "XDF:", "bundle/raw.xdf": "XDF:"}
    for name, text in mine.items():
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    headband_recording(tmp_path / "run1.csv")
    done = perceptogram(*command.split(), *COMMANDS[command], "--out", "mine", *overwrite, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert f"mine holds bundle, calibration.xdf, percepts.jsonl and was not made by 'perceptogram {command}'" in (
        done.stderr
    )
    found = {
        str(path.relative_to(tmp_path / "mine")): path.read_text()
        for path in (tmp_path / "mine").rglob("*")
        if path.is_file()
    }
    assert found == mine


def test_a_second_replay_needs_overwrite_and_then_leaves_its_own_results_alone(tmp_path):
    headband_recording(tmp_path / "run1.csv")
    headband_recording(tmp_path / "run2.csv", seconds=10)
    assert perceptogram("replay", "run1.csv", "--out", "out", cwd=tmp_path).returncode == 0
    again = perceptogram("replay", "run2.csv", "--out", "out", cwd=tmp_path)
    assert again.returncode == 2
    assert again.stderr.strip() == (
        "error: out holds what 'perceptogram replay' wrote: name another folder, or add --overwrite "
        "(docs/troubleshooting.md#what-was-asked)"
    )
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["recording"] == "run1.csv"
    (tmp_path / "out" / "percepts.jsonl").write_text("of a replay with a bundle\n")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    done = perceptogram("replay", "run2.csv", "--out", "out", "--overwrite", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["recording"] == "run2.csv"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".perceptogram", "notes.txt", "summary.json"]
