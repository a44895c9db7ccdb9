"""No command deletes what it did not make, whatever ``--out`` names."""

import shutil
import subprocess
import sys

import pytest


def perceptogram(*arguments):
    command = [sys.executable, "-P", "-m", "perceptogram", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("command", ["fit", "calibrate"])
def test_recordings_survive_a_bundle_that_should_be_written_over_them(shared_data, tmp_path, command):
    folder = tmp_path / "bundle"
    folder.mkdir()
    runs = [shutil.copy(shared_data / "muse_n170" / f"run{n}.csv", folder) for n in (1, 2)]
    if command == "fit":
        done = perceptogram("fit", *runs, "--config", "muse_n170", "--out", folder, "--no-report")
    else:
        done = perceptogram("calibrate", "--config", "demo", "--simulate", "--headless", "--out", tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "run1.csv, run2.csv and is no bundle" in " ".join(done.stderr.split())
    assert sorted(path.name for path in folder.iterdir()) == ["run1.csv", "run2.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
