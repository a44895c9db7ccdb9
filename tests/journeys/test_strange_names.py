"""Names with brackets and apostrophes, from the command line to the recording."""

import pylsl
import pytest

from tests.support.command import perceptogram
from tests.support.lsl_amplifier import Amplifier

ROWS = "".join(f"{1000 + k / 256:.4f},{k % 7},{k % 5},0\n" for k in range(600))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "P01[left].csv").write_text("timestamps,TP9,AF7,Marker0\n" + ROWS)
    return tmp_path


def test_brackets_in_file_names_and_messages_stay(folder):
    assert "replay of P01[left].csv" in perceptogram("replay", "P01[left].csv", "--out", "o", cwd=folder).stdout
    (folder / "w.yaml").write_text("window: {baseline_s: [0.2, 0.1]}\n")
    refused = perceptogram("replay", "P01[left].csv", "--config", "w.yaml", "--out", "o2", cwd=folder)
    assert (refused.returncode, "baseline_s [0.2, 0.1] must be [start, stop] with" in refused.stderr) == (2, True)
    missing = perceptogram("replay", "no[/such].csv", "--out", "o3", cwd=folder)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert "there is no recording no[/such].csv" in missing.stderr
    unknown = perceptogram("[/such]", cwd=folder)
    assert (unknown.returncode, "[/such]" in unknown.stderr) == (2, True)


def test_a_config_without_required_markers_records_the_eeg_alone(folder):
    (folder / "rest.yaml").write_text("markers: {required: false}\nstream: {name: Anna's cap}\n")
    with Amplifier("Anna's cap", "id", marker_s=None):
        done = perceptogram("record", "rest.xdf", "--config", "rest.yaml", "--seconds", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Anna's cap: " in done.stdout


def test_a_stream_with_brackets_in_its_name_is_listed_and_recorded(folder):
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo("Cap [/right]", "Misc", 1, 0, "float32", "cap"))
    assert "Cap [/right]" in perceptogram("streams", cwd=folder).stdout
    recorded = perceptogram("record", "all.xdf", "--seconds", 3, cwd=folder)
    assert recorded.returncode == 0, recorded.stderr
    assert "Cap [/right]: 0 samples" in recorded.stdout
    del outlet
