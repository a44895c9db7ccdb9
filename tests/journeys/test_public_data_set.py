"""A public data set through the front door: BIDS in the layout of THINGS-EEG2, written by mne-bids, to scores."""

import json
import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from calibration.data.presentations import cut_run
from calibration.things_eeg2 import bids_people
from realtime.sources.recording import Recording
from tests.support.bids_data import CHANNELS, N_PICTURES, RATE_HZ, write_data_set
from tests.support.command import perceptogram

pytestmark = pytest.mark.slow

DRAWN = ("--model", "perceptogram-drawn", "--pretrained", "builtin")
BAD = "T7"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two people, two sessions of two minutes each; a channel is bad in one run, pictures are told by number."""
    root = tmp_path_factory.mktemp("bids") / "data"
    return root, *write_data_set(root, bad={(1, 2, "train"): (BAD,)}, column="tot_img_number")


@pytest.fixture(scope="module")
def scored(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    done = perceptogram(
        "things-eeg2", "--bids", data[0], *DRAWN, "--out", folder / "out", "--json", folder / "scores.json"
    )
    assert done.returncode == 0, done.stderr
    return done, json.loads((folder / "scores.json").read_text()), folder


def every(scores, kind, name="two_way"):
    return {row["subject"]: row[name] for row in scores["rows"] if row["trained_on"] == kind and row["all"]}


def test_the_whole_protocol_runs_on_a_data_set(scored):
    done, scores, _ = scored
    assert scores["subjects"] == ["01", "02"]
    assert (scores["n_training"], scores["n_test"]) == (N_PICTURES["train"], N_PICTURES["test"])
    for kind in ("own", "others", "others, aligned", "before onset"):
        assert every(scores, kind).keys() == {"01", "02"}
    assert set(every(scores, "own", "channels").values()) == {len(CHANNELS) - 1}
    assert min(every(scores, "own").values()) > 0.8
    assert all(abs(value - 0.5) < 0.2 for value in every(scores, "before onset").values())
    assert f"left out of all; name them in stream.channels to use them: {BAD}" in done.stderr
    assert [row["repeats"] for row in scores["rows"][:4]] == [1, 2, 4, 8]
    assert scores["published"][0]["source"]


def test_the_same_as_arrays_scores_the_same_within_the_filters_difference(data, scored, tmp_path):
    _, shown, runs = data
    keep = [place for place, name in enumerate(CHANNELS) if name != BAD]
    sos = butter(2, [0.1, 40.0], "bandpass", fs=RATE_HZ, output="sos")
    times_s = np.round(np.arange(-0.2, 0.8, 0.01), 3)
    for subject in (1, 2):
        for task, part in (("train", "training"), ("test", "test")):
            trials = [[] for _ in shown.files[task]]
            for session in (1, 2):
                samples, onsets, numbers = runs[subject, session, task]
                filtered = sosfiltfilt(sos, samples[:, keep], axis=0)
                for onset, number in zip(onsets, numbers, strict=True):
                    trials[number - 1].append(filtered[onset + np.round(times_s * RATE_HZ).astype(int)].T)
            content = {
                "preprocessed_eeg_data": np.array(trials),
                "ch_names": [CHANNELS[k] for k in keep],
                "times": times_s,
            }
            folder = tmp_path / f"sub-{subject:02d}"
            folder.mkdir(exist_ok=True)
            (folder / f"preprocessed_eeg_{part}.npy").write_bytes(pickle.dumps(content))
    for task in ("train", "test"):
        np.save(tmp_path / f"{task}.npy", shown.embeddings[task])
    tables = ("--training", tmp_path / "train.npy", "--test", tmp_path / "test.npy")
    done = perceptogram(
        "things-eeg2", "--root", tmp_path, "--subjects", "1-2", *tables, "--json", tmp_path / "scores.json"
    )
    assert done.returncode == 0, done.stderr
    arrays, bids = json.loads((tmp_path / "scores.json").read_text()), scored[1]
    for kind in ("own", "others", "others, aligned"):
        ours, theirs = every(bids, kind), every(arrays, kind)
        assert all(abs(ours[subject] - theirs[subject]) < 0.08 for subject in ours), (kind, ours, theirs)


def test_what_was_cut_and_scored_is_not_done_again(data, scored, monkeypatch):
    _, scores, folder = scored
    kept = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*.*") if path.is_file()}
    done = perceptogram(
        "things-eeg2", "--bids", data[0], *DRAWN, "--out", folder / "out", "--json", folder / "again.json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "again.json").read_text()) == scores
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*.*") if path.is_file()} == kept


def test_the_raw_recording_is_never_all_in_memory(data, tmp_path, monkeypatch):
    people, _ = bids_people(data[0], tmp_path)
    sizes, original = [], Recording.__init__

    def watched(recording, loaded, speed=None):
        def counted(start, stop):
            sizes.append(stop - start)
            return loaded.read(start, stop)

        original(recording, replace(loaded, read=counted), speed)

    monkeypatch.setattr(Recording, "__init__", watched)
    run = people.tested[0].path
    tracemalloc.start()
    try:
        cut_run(run, people.config, tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    raw = sum(sizes) * len(CHANNELS) * 8
    assert sum(sizes) >= 40 * RATE_HZ
    assert max(sizes) <= RATE_HZ
    assert peak < raw  # with all windows, which stay


def test_a_map_is_fitted_on_a_data_set(data, tmp_path):
    (tmp_path / "quick.yaml").write_text(
        "filters: {rate_hz: 100}\nwindow: {stop_s: 0.5}\nfit: {permutations: 0, choose: error, memory: false}\n"
    )
    given = ("fit", "--bids", data[0], "--config", tmp_path / "quick.yaml", "--out", tmp_path / "bundle", "--no-report")
    done = perceptogram(*given, "--task", "train", "--subject", "02", "--session", "01")
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert told["participant"] == "02"
    assert len(told["stream"]["channels"]) == len(CHANNELS)
    assert told["scores"]["two_way"] > 0.6
    for wrong, said in (
        (("--task", "look"), "has no EEG of task look; it has test, train"),
        (("--task", "test", "--picture-column", "shown"), "has no column 'shown'"),
        ((), "give --bids with --task"),
    ):
        done = perceptogram(*given, *wrong)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert said in done.stderr
