"""Files of other people's amplifiers through the command, from outside: what is said, refused and fitted."""

import json

import numpy as np

from tests.support.command import perceptogram
from tests.support.recording_files import Remarks, Wave, edf_bytes

CONFIG = """markers: {classes: {"1": cat, "2": house}}
fit: {permutations: 20}
window: {stop_s: 0.4}
"""


def clinic(path, seconds=120):
    """Noise with an event every two seconds, beside an input that tells the two kinds of event apart by its level."""
    rng = np.random.default_rng(0)
    n = 250 * seconds
    events = [(3.0 + 2 * k, 0.0, b"%d" % (1 + rng.integers(2))) for k in range(seconds // 2 - 2)]
    trigger = np.zeros(n)
    for onset, _, label in events:
        trigger[round(250 * onset) : round(250 * onset) + 50] = 100 * int(label)
    waves = [
        *(Wave(f"EEG {name}", rng.normal(0, 10, n)) for name in ("Fz", "Cz")),
        Wave("ECG ECG1", rng.normal(0, 100, n)),
        Wave("DIG DTRIG", trigger),
    ]
    path.write_bytes(edf_bytes(waves, Remarks(events), "EDF+C"))
    return path


def test_a_trigger_input_is_no_electrode_and_noise_is_not_told_apart(tmp_path):
    recording = clinic(tmp_path / "clinic.edf")
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    fitted = perceptogram("fit", recording, "--config", config, "--out", tmp_path / "bundle", "--no-report")
    assert fitted.returncode == 0, fitted.stderr
    told = "no EEG and left out: ECG ECG1, DIG DTRIG"
    assert fitted.stderr.splitlines().count(f"clinic.edf: {told}") == 1
    scores = json.loads((tmp_path / "bundle" / "scores.json").read_text())
    assert scores["notices"] == [f"clinic.edf: {told}"]
    assert 0.2 < scores["auc"] < 0.8
    replayed = perceptogram(
        "replay", recording, "--bundle", tmp_path / "bundle", "--out", tmp_path / "out", "--no-render"
    )
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stderr.splitlines().count(told) == 1
    assert told in json.loads((tmp_path / "out" / "summary.json").read_text())["notices"]


def test_a_unit_that_nobody_knows_is_refused_in_one_line_and_decided_by_the_setting(tmp_path):
    path = tmp_path / "counts.edf"
    path.write_bytes(edf_bytes([Wave("Fz", 20 * np.sin(np.arange(5000)), "counts")]))
    refused = perceptogram("replay", path, "--out", tmp_path / "out")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "channel Fz has unit 'counts'; set stream.unit (replay: --unit), such as microvolts" in line
    assert not (tmp_path / "out").exists()
    assert perceptogram("replay", path, "--out", tmp_path / "out", "--unit", "uV").returncode == 0
