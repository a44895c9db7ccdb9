"""Classes that are words and no pictures: fitted, scored, mapped and decoded live like the rest, painted by nobody."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from configs.schema import load_config
from realtime.sources.publish import Publisher
from tests.support.command import perceptogram
from tests.support.muse_files import bumps

WORDS = ("rest", "left hand", "right hand")
CONFIG = """
markers: {classes: {"1": rest, "2": left hand, "3": right hand}}
pictures: {set: labels}
fit: {permutations: 20, folds: 2, choose: error}
filters: {lowpass_hz: 30.0}
"""
SILENT = "nothing is painted: the bundle tells labels apart (rest, left hand, right hand), not pictures"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    (folder / "lab.yaml").write_text(CONFIG)
    rng = np.random.default_rng(3)
    runs = [bumps(folder / f"{name}.csv", rng.permutation(np.arange(36) % 3) + 1, i) for i, name in enumerate("abc")]
    done = perceptogram("fit", *runs[:2], "--config", folder / "lab.yaml", "--out", folder / "bundle")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_bundle_of_labels_says_so_and_is_scored_and_mapped(folder, tmp_path):
    record = json.loads((folder / "bundle" / "bundle.json").read_text())
    assert record["space"] == {"model": "labels", "pretrained": "contrasts", "dims": 3, "normalised": False}
    assert record["scores"]["auc"] > 0.8
    assert all(word in (folder / "bundle" / "report.html").read_text() for word in WORDS)
    shared = (folder / "bundle", folder / "c.csv", "--config", folder / "lab.yaml", "--json")
    done = perceptogram("evaluate", *shared, tmp_path / "scores.json")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["auc"] > 0.8
    assert scores["auc_p"] < 0.06
    assert abs(scores["baseline_auc"] - 0.5) < 0.3
    (tmp_path / "shift.yaml").write_text(CONFIG.replace("permutations: 20", "permutations: 1000, exchange: shift"))
    shifted = (folder / "bundle", folder / "c.csv", "--config", tmp_path / "shift.yaml", "--json", tmp_path / "p.json")
    assert perceptogram("evaluate", *shifted).returncode == 0
    told = json.loads((tmp_path / "p.json").read_text())
    assert told["auc_p"] == pytest.approx(1 / 36, abs=1e-4), "36 trials can be moved along to 36 places"
    done = perceptogram("maps", *shared, tmp_path / "maps.json", "--no-figures", "--permutations", 40)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "maps.json").read_text())["class"]
    assert (found["levels"], found["cluster_p"]) == (list(WORDS), 0.025)


def test_a_replay_names_labels_and_leaves_no_picture(folder, tmp_path):
    shared = ("--bundle", folder / "bundle", "--config", folder / "lab.yaml")
    done = perceptogram("replay", folder / "c.csv", *shared, "--out", tmp_path / "o")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines().count(SILENT) == 1
    assert json.loads((tmp_path / "o" / "summary.json").read_text())["auc"] > 0.8
    percepts = [json.loads(line) for line in (tmp_path / "o" / "percepts.jsonl").read_text().splitlines()]
    percepts = [each for each in percepts if "neighbours" in each]
    assert len(percepts) == 36
    assert {each["label"] for each in percepts} == {each["neighbours"][0]["label"] for each in percepts} == set(WORDS)
    assert all(0.3 < each["confidence"] <= 1 and each["file"] is None for each in percepts)
    assert (tmp_path / "o" / "display.png").exists()
    assert list((tmp_path / "o" / "pictures").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "--bundle", "bundle", "--show-pictures", "--headless"), "labels apart, which have no pictures"),
        (("calibrate",), "markers.classes says that another program shows the stimuli"),
        (("calibrate", "--check-timing"), "pictures.set labels has no pictures to show"),
        (("simulate",), "a simulated participant looks at pictures"),
    ],
)
def test_what_would_show_pictures_is_refused_in_one_line(folder, tmp_path, words, told):
    out = ("--out", tmp_path / "o") if words != ("simulate",) else ()
    done = perceptogram(*words, "--config", "lab.yaml", *out, cwd=folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert told in done.stderr


def test_a_configuration_of_labels_has_neither_encoder_nor_generator(folder):
    done = perceptogram("config", "check", "lab.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("none, labels alone") == 2


def test_one_label_is_nothing_to_tell_apart(folder, tmp_path):
    (tmp_path / "one.yaml").write_text("markers: {classes: {'1': rest}}\npictures: {set: labels}\n")
    done = perceptogram("fit", folder / "a.csv", "--config", tmp_path / "one.yaml", "--out", tmp_path / "b")
    assert done.returncode == 2
    assert "name at least two, not 1" in done.stderr


def test_a_contrast_goes_by_a_field_of_the_markers_and_leaves_out_offsets(tmp_path, shared_data):
    gratings = """
markers: {column: Marker0, fields: {Marker2: orientation}, classes: {orientation=0: flat, orientation=90: upright},
  ignore: ["3", "4"]}
pictures: {set: labels}
fit: {permutations: 0, folds: 2, choose: error}
"""
    (tmp_path / "lab.yaml").write_text(gratings)
    files = (shared_data / "muse_spatial_freq" / "run1.csv", "--config", tmp_path / "lab.yaml")
    done = perceptogram("fit", *files, "--out", tmp_path / "bundle", "--no-report")
    assert done.returncode == 0, done.stderr
    assert "of the marker columns only Marker0, Marker2 are read, not Marker1" in done.stderr
    scores = json.loads((tmp_path / "bundle" / "scores.json").read_text())
    assert scores["classes"] == ["flat", "upright"]
    assert scores["n_by_class"] == [20, 20]  # 40 onsets in all, of 80; as many offsets bear the same angles


@pytest.mark.slow
def test_live_percepts_are_told_with_label_and_confidence(folder, tmp_path, make_mosquitto):
    recording = bumps(tmp_path / "live.csv", [1, 2, 3], seed=5)
    broker, config = make_mosquitto(), load_config(folder / "lab.yaml")
    publisher = Publisher(recording, config, name=f"words-{tmp_path.name}")
    try:
        streams = publisher.start()
        live = f"stream: {{name: {streams.name}}}\nmarkers: {{name: {streams.markers_name}}}\nname: words\n"
        (tmp_path / "live.yaml").write_text(live + "pictures: {set: labels}\n")
        ears = broker.hear("perceptogram/v1/words/session/event", 200, "-W", "90")
        command = [sys.executable, "-P", "-m", "perceptogram", "run", "--headless", "--no-record", "--mqtt", broker.url]
        files = ("--config", tmp_path / "live.yaml", "--bundle", folder / "bundle", "--out", tmp_path / "o")
        with subprocess.Popen([*command, *map(str, files)], stderr=subprocess.PIPE, text=True) as session:
            publisher.play()
            played = publisher.wait(30)
            session.send_signal(signal.SIGINT)
            _, told = session.communicate(timeout=60)
    finally:
        publisher.stop()
        ears.terminate()
    assert (session.returncode, played is not None) == (0, True), told
    assert told.splitlines().count(SILENT) == 1
    events = [json.loads(line) for line in ears.communicate()[0].splitlines() if line.startswith("{")]
    percepts = [event for event in events if event["kind"] == "percept"]
    assert len(percepts) == 3
    assert all(event["neighbours"][0]["label"] in WORDS and event["confidence"] > 0.3 for event in percepts)
    notices = [event["data"] for event in events if event["kind"] == "notice"]
    assert {"notice": "unpainted", "text": SILENT} in notices
