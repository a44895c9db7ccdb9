"""A bundle knows filters, window and rate: a config need not repeat them, and must not contradict them."""

import json

import numpy as np
import pytest

from realtime.recording.xdf_writer import XdfWriter
from tests.support.command import perceptogram

INFO = """<info><name>Amp</name><type>EEG</type><channel_count>2</channel_count><nominal_srate>{rate}</nominal_srate>
<channel_format>float32</channel_format><source_id>amp</source_id><desc><channels>
<channel><label>Fz</label><unit>microvolts</unit></channel><channel><label>Cz</label><unit>microvolts</unit></channel>
</channels></desc></info>"""
MARKERS = """<info><name>Stim</name><type>Markers</type><channel_count>1</channel_count>
<nominal_srate>0</nominal_srate><channel_format>string</channel_format><source_id>s</source_id></info>"""
FITTED = """
markers: {classes: {"1": cat, "2": house}, offset_s: 0.01}
filters: {highpass_hz: 1.0, lowpass_hz: 30.0, rate_hz: 125}
window: {start_s: 0.05, stop_s: 0.45, baseline_s: [-0.1, 0.0]}
fit: {permutations: 0, folds: 2, group_by: picture, alphas: [1000.0]}
"""


def write_xdf(path, rate, labels=("1", "2")):
    n = 40 * 250
    timestamps = 1000 + np.arange(n) / rate
    samples = np.random.default_rng(0).normal(0, 10, (n, 2)).astype(np.float32)
    writer = XdfWriter(path)
    writer.stream_header(1, INFO.format(rate=rate))
    writer.numbers(1, timestamps, samples)
    writer.stream_header(2, MARKERS)
    writer.texts(2, [1005.0 + number for number in range(30)], [[labels[number % 2]] for number in range(30)])
    writer.close()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "fitted.yaml").write_text(FITTED)
    recordings = [write_xdf(folder / "a.xdf", 250), write_xdf(folder / "b.xdf", 250.0003)]
    done = perceptogram("fit", *recordings, "--config", "fitted.yaml", "--no-report", "--out", "bundle", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def replay(folder, out, config, file="b.xdf"):
    (folder / "now.yaml").write_text(config)
    return perceptogram(
        "replay", file, "--bundle", "bundle", "--config", "now.yaml", "--no-render", "--out", out, cwd=folder
    )


def test_a_config_with_nothing_but_the_streams_name_is_enough(folder):
    done = replay(folder, "named", "stream: {name: Amp}")
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "named" / "summary.json").read_text())["n_trials"] == 30
    whole = replay(folder, "whole", FITTED)
    assert whole.returncode == 0, whole.stderr
    named, known = ((folder / out / "percepts.jsonl").read_text() for out in ("named", "whole"))
    percepts = [[json.loads(line) for line in text.splitlines()] for text in (named, known)]
    assert [one["neighbours"] for one in percepts[0]] == [one["neighbours"] for one in percepts[1]]


def test_evaluate_needs_no_more(folder):
    (folder / "now.yaml").write_text("stream: {name: Amp}")
    done = perceptogram("evaluate", "bundle", "b.xdf", "--config", "now.yaml", "--json", "scores.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "scores.json").read_text())["n_trials"] == 30


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("filters: {highpass_hz: 0.5}", ["filter highpass_hz: 1.0 expected, 0.5 configured"]),
        ("window: {stop_s: 0.6}", ["window: 68 samples from -0.096 s expected, 87 from -0.096 s"]),
        ("filters: {rate_hz: 50, lowpass_hz: 25}", ["lowpass_hz: 30.0 expected, 25.0", "125 Hz expected, 50 Hz"]),
    ],
)
def test_what_is_written_and_differs_is_refused_with_both_numbers(folder, config, told):
    done = replay(folder, "refused", config)
    assert done.returncode == 2
    for line in told:
        assert line in done.stderr, done.stderr


def test_markers_that_are_no_stimulus_are_listed_beside_those_that_are(folder):
    write_xdf(folder / "other.xdf", 250, ("face", "tree"))
    done = replay(folder, "other", "stream: {name: Amp}", "other.xdf")
    assert done.returncode == 0, done.stderr
    assert "no marker is one of markers.classes (1, 2); there are 'face' (6), 'tree' (5)" in done.stderr
    assert "AUC n/a" in done.stdout


def test_pictures_that_could_not_be_saved_after_the_end_are_told(folder, monkeypatch):
    """As on a full disk: a replay paints and saves most of its pictures when all else is over."""
    monkeypatch.setattr("perceptogram.live.folder.file_name", lambda _name: "longer than any file system bears" * 9)
    (folder / "now.yaml").write_text("stream: {name: Amp}")
    options = ("--bundle", "bundle", "--config", "now.yaml", "--out", "unsaved")
    done = perceptogram("replay", "b.xdf", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    notices = json.loads((folder / "unsaved" / "summary.json").read_text())["notices"]
    assert any("pictures were not saved" in told for told in notices)
    assert "pictures were not saved" in " ".join(done.stderr.split())
