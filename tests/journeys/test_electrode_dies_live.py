"""An electrode dies in the middle: over real LSL streams and from the recording, the same windows go without it."""

import json

import numpy as np
import pytest

from realtime.recording.xdf_writer import XdfWriter
from tests.support.command import perceptogram

pytestmark = [pytest.mark.processes, pytest.mark.slow]

RATE = 250
NAMES = ("Fz", "Cz", "Pz", "Oz")
CHANNEL = "<channel><label>{}</label><unit>microvolts</unit></channel>"
INFO = """<info><name>Amp</name><type>EEG</type><channel_count>{n}</channel_count><nominal_srate>{rate}</nominal_srate>
<channel_format>float32</channel_format><source_id>amp</source_id><desc><channels>{channels}</channels></desc></info>"""
MARKERS = """<info><name>Stim</name><type>Markers</type><channel_count>1</channel_count>
<nominal_srate>0</nominal_srate><channel_format>string</channel_format><source_id>s</source_id></info>"""
CONFIG = """
markers: {classes: {"1": cat, "2": house}}
filters: {highpass_hz: 1.0, lowpass_hz: 30.0, rate_hz: 125}
window: {start_s: 0.0, stop_s: 0.4}
fit: {permutations: 0, folds: 2, alphas: [1000.0]}
"""
DIES_S, LIVES_S = 8.15, 9.85


def write_xdf(path, seconds, dies=False, columns=(0, 1, 2, 3)):
    rng = np.random.default_rng(int(seconds))
    n = int(seconds * RATE)
    samples = (10 * rng.standard_normal((n, 1)) + 10 * rng.standard_normal((n, 4))).astype(np.float32)
    if dies:
        samples[int(DIES_S * RATE) : int(LIVES_S * RATE), 2] = 187_000.0
    writer = XdfWriter(path)
    kept = "".join(CHANNEL.format(NAMES[column]) for column in columns)
    writer.stream_header(1, INFO.format(n=len(columns), rate=RATE, channels=kept))
    writer.numbers(1, 1000 + np.arange(n) / RATE, samples[:, columns])
    writer.stream_header(2, MARKERS)
    onsets = np.arange(1005.0, 1000 + seconds - 1, 0.3) + 0.0013
    writer.texts(2, onsets.tolist(), [[str(1 + number % 2)] for number in range(len(onsets))])
    writer.close()


def percepts(folder):
    lines = [json.loads(line) for line in (folder / "percepts.jsonl").read_text().splitlines()]
    return {line["trial"]: line for line in lines if "neighbours" in line}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "lab.yaml").write_text(CONFIG)
    write_xdf(folder / "calibration.xdf", 30)
    options = ("--config", "lab.yaml", "--no-report", "--out", "bundle")
    done = perceptogram("fit", "calibration.xdf", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.realtime
def test_live_and_replayed_the_same_windows_go_without_the_electrode(lab):
    write_xdf(lab / "session.xdf", 19, dies=True)
    found = {}
    for way, more in (("replayed", ()), ("live", ("--lsl",))):
        given = ("--bundle", "bundle", "--config", "lab.yaml", "--no-render", "--out", way, *more)
        done = perceptogram("replay", "session.xdf", *given, cwd=lab)
        assert done.returncode == 0, done.stderr
        assert "electrode Pz is flat" in " ".join(done.stderr.split())
        found[way] = percepts(lab / way)
    live, replayed = found["live"], found["replayed"]
    assert live.keys() == replayed.keys()
    without = [trial for trial, percept in replayed.items() if "without Pz" in percept["flags"]]
    assert 4 < len(without) < len(replayed) - 4
    assert any("lost Pz" in percept["flags"] for percept in replayed.values())
    for trial, percept in replayed.items():
        assert live[trial]["flags"] == percept["flags"]
        assert live[trial]["confidence"] == pytest.approx(percept["confidence"], abs=1e-3)
    summary = json.loads((lab / "live" / "summary.json").read_text())
    (absence,) = summary["electrodes_out"]
    assert absence["electrode"] == "Pz"
    assert absence["to"] - absence["from"] == pytest.approx(LIVES_S - DIES_S, abs=6.0)
    assert summary["decoded_without"] == len(without)


def test_a_cap_that_lacks_an_electrode_is_decoded_and_what_to_expect_is_said(lab):
    write_xdf(lab / "smaller.xdf", 12, columns=(0, 1, 3))
    (lab / "strict.yaml").write_text(CONFIG + "stream: {least_of_score: 1.0}\n")
    given = ("replay", "smaller.xdf", "--bundle", "bundle", "--no-render")
    done = perceptogram(*given, "--config", "lab.yaml", "--out", "smaller", cwd=lab)
    assert done.returncode == 0, done.stderr
    assert "another cap: Pz is guessed from the others; expected auc 0." in " ".join(done.stderr.split())
    summary = json.loads((lab / "smaller" / "summary.json").read_text())
    assert summary["n_trials"] == 20
    assert summary["cap"]["guessed"] == ["Pz"]
    scored = perceptogram("evaluate", "bundle", "smaller.xdf", "--config", "lab.yaml", "--json", "scores.json", cwd=lab)
    assert scored.returncode == 0, scored.stderr
    scores = json.loads((lab / "scores.json").read_text())
    assert scores["cap"] == summary["cap"]
    assert scores["auc"] == pytest.approx(summary["auc"], abs=1e-6)
    assert "another cap: Pz is guessed from the others" in scores["notices"][0]
    refused = perceptogram(*given, "--config", "strict.yaml", "--out", "refused", cwd=lab)
    assert refused.returncode == 2
    assert "channels missing: Pz; from 3 electrodes auc" in " ".join(refused.stderr.split())
