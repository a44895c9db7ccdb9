"""``perceptogram replay`` without a bundle: every real file opens, and its events are counted."""

import json

import pytest

from tests.support.command import perceptogram

MUSE_P300 = [{"1": 165, "2": 32}, {"1": 163, "2": 28}, {"1": 155, "2": 38}]
MUSE_N170 = [{"1": 108, "2": 89}, {"1": 93, "2": 102}, {"1": 104, "2": 91}, {"1": 95, "2": 99}]
RESETS = {"XXX": 33, "Test": 22, "Blah": 25, "Test-1-2-3": 39, "Marker": 27, "Testtest": 29}


def replay(file, folder, *options):
    return perceptogram("replay", file, "--speed", "max", "--out", folder, *options)


def summary_of(file, folder, *options):
    done = replay(file, folder, *options)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize(
    ("name", "options", "n_events"),
    [
        *((f"muse_n170/run{k}.csv", (), events) for k, events in enumerate(MUSE_N170, start=1)),
        *((f"muse_p300/run{k}.csv", (), events) for k, events in enumerate(MUSE_P300, start=1)),
        ("eeglab/eeglab_data.set", (), {"square": 80, "rt": 74}),
        pytest.param("xdf/clock_resets.xdf", ("--unit", "microvolts"), RESETS, marks=pytest.mark.slow),
        ("xdf/minimal.xdf", ("--unit", "microvolts"), 9),
        ("xdf/switch_example.xdf", (), 652),
    ],
)
def test_every_real_file_is_replayed_without_a_bundle(shared_data, tmp_path, name, options, n_events):
    summary = summary_of(shared_data / name, tmp_path / "out", *options)
    found = summary["n_events"]
    assert (sum(found.values()) if isinstance(n_events, int) else found) == n_events
    assert summary["n_samples"] > 0
    assert summary["lost_samples"] == sum(hole["lost"] for hole in summary["holes"])


@pytest.mark.parametrize("name", ["clock_resets.xdf", "minimal.xdf"])
def test_a_missing_unit_names_the_option(shared_data, tmp_path, name):
    done = replay(shared_data / "xdf" / name, tmp_path / "out")
    assert done.returncode == 2
    assert "no unit; set stream.unit (replay: --unit), such as microvolts" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_unit_is_told(shared_data, tmp_path):
    done = replay(shared_data / "xdf" / "minimal.xdf", tmp_path / "out", "--unit", "furlongs")
    assert done.returncode == 2
    assert "--unit furlongs: give one of volts, millivolts, microvolts, nanovolts" in done.stderr
