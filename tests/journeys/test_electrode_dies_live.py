"""An electrode dies in the middle: over real LSL streams and from the recording, the same windows go without it."""

import json

import numpy as np
import pytest

from realtime.recording.xdf_writer import XdfWriter
from tests.support.command import perceptogram

pytestmark = [pytest.mark.processes, pytest.mark.slow]

RATE = 250
NAMES = ("Fz", "Cz", "Pz", "Oz")
CHANNELS = "".join(f"<channel><label>{name}</label><unit>microvolts</unit></channel>" for name in NAMES)
INFO = f"""<info><name>Amp</name><type>EEG</type><channel_count>4</channel_count><nominal_srate>{RATE}</nominal_srate>
<channel_format>float32</channel_format><source_id>amp</source_id><desc><channels>{CHANNELS}</channels></desc></info>"""
MARKERS = """<info><name>Stim</name><type>Markers</type><channel_count>1</channel_count>
<nominal_srate>0</nominal_srate><channel_format>string</channel_format><source_id>s</source_id></info>"""
CONFIG = """
markers: {classes: {"1": cat, "2": house}}
filters: {highpass_hz: 1.0, lowpass_hz: 30.0, rate_hz: 125}
window: {start_s: 0.0, stop_s: 0.4}
fit: {permutations: 0, folds: 2, alphas: [1000.0]}
"""
DIES_S, LIVES_S = 8.15, 9.85


def write_xdf(path, seconds, dies=False):
    rng = np.random.default_rng(int(seconds))
    n = int(seconds * RATE)
    samples = (10 * rng.standard_normal((n, 1)) + 10 * rng.standard_normal((n, 4))).astype(np.float32)
    if dies:
        samples[int(DIES_S * RATE) : int(LIVES_S * RATE), 2] = 187_000.0
    writer = XdfWriter(path)
    writer.stream_header(1, INFO)
    writer.numbers(1, 1000 + np.arange(n) / RATE, samples)
    writer.stream_header(2, MARKERS)
    onsets = np.arange(1005.0, 1000 + seconds - 1, 0.3) + 0.0013
    writer.texts(2, onsets.tolist(), [[str(1 + number % 2)] for number in range(len(onsets))])
    writer.close()


def percepts(folder):
    lines = [json.loads(line) for line in (folder / "percepts.jsonl").read_text().splitlines()]
    return {line["trial"]: line for line in lines if "neighbours" in line}


def test_live_and_replayed_the_same_windows_go_without_the_electrode(tmp_path):
    (tmp_path / "lab.yaml").write_text(CONFIG)
    write_xdf(tmp_path / "calibration.xdf", 30)
    write_xdf(tmp_path / "session.xdf", 19, dies=True)
    options = ("--config", "lab.yaml")
    done = perceptogram("fit", "calibration.xdf", *options, "--no-report", "--out", "bundle", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {}
    for way, more in (("replayed", ()), ("live", ("--lsl",))):
        given = ("--bundle", "bundle", *options, "--no-render", "--out", way, *more)
        done = perceptogram("replay", "session.xdf", *given, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "electrode Pz is flat" in " ".join(done.stderr.split())
        found[way] = percepts(tmp_path / way)
    live, replayed = found["live"], found["replayed"]
    assert live.keys() == replayed.keys()
    without = [trial for trial, percept in replayed.items() if "without Pz" in percept["flags"]]
    assert 4 < len(without) < len(replayed) - 4
    assert any("lost Pz" in percept["flags"] for percept in replayed.values())
    for trial, percept in replayed.items():
        assert live[trial]["flags"] == percept["flags"]
        assert live[trial]["confidence"] == pytest.approx(percept["confidence"], abs=1e-3)
    summary = json.loads((tmp_path / "live" / "summary.json").read_text())
    (absence,) = summary["electrodes_out"]
    assert absence["electrode"] == "Pz"
    assert absence["to"] - absence["from"] == pytest.approx(LIVES_S - DIES_S, abs=6.0)
    assert summary["decoded_without"] == len(without)
