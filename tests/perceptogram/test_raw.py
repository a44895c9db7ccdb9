"""A recording with holes as MNE's raw: gaps at their places, markers at the samples that the session decodes."""

import mne
import mne_bids
import numpy as np
import pytest

import perceptogram
from configs.schema import ArtefactSettings, Config, FilterSettings, MarkerSettings
from perceptogram.bids import Who, export_bids
from perceptogram.raw import LOST
from realtime.epoching.epochs import Closed, Retracted
from realtime.epoching.pipeline import Pipeline
from realtime.recording.xdf_writer import XdfWriter
from realtime.sources.recording import open_recording
from stimuli.markers import Marker
from tests.perceptogram.test_export_bids import EEG, MARKERS

HOLES = ((5000, 75), (9000, 300), (12_000, 130))
"""First lost sample and how many: three gaps far above the jitter."""
OFFSET_S = 0.012


@pytest.fixture
def recording(tmp_path):
    kept = np.arange(15_000)
    for first, lost in HOLES:
        kept = kept[(kept < first) | (kept >= first + lost)]
    jitter = np.random.default_rng(0).normal(0, 0.0003, len(kept))
    timestamps = 1000 + kept / 250 + jitter
    writer = XdfWriter(tmp_path / "holes.xdf")
    writer.stream_header(1, EEG)
    writer.stream_header(2, MARKERS)
    writer.clock_offset(1, timestamps[0], 0.0)
    for start in range(0, len(timestamps), 50):
        part = slice(start, start + 50)
        writer.numbers(1, timestamps[part], np.stack([kept[part], np.sin(kept[part])], axis=1).astype(np.float32))
    for trial, second in enumerate(np.arange(3.1, 58, 1.37)):
        writer.texts(2, [1000 + second], [[Marker(0.0, "picture", f"p{trial % 3}", {"trial": trial}).text()]])
    writer.close()
    return tmp_path / "holes.xdf"


def config(offset_s=0.0):
    return Config(
        markers=MarkerSettings(offset_s=offset_s),
        filters=FilterSettings(highpass_hz=None, lowpass_hz=None),
        artefacts=ArtefactSettings(peak_to_peak_uv=None),
    )


def test_gaps_stand_at_their_places_to_a_sample(recording):
    raw = perceptogram.read_raw(recording)
    assert isinstance(raw, mne.io.BaseRaw)
    assert raw.n_times == 15_000
    gaps = [note for note in raw.annotations if note["description"] == LOST]
    found = [(round(note["onset"] * 250), round(note["duration"] * 250)) for note in gaps]
    assert found == list(HOLES)
    there = np.ones(15_000, bool)
    for first, lost in HOLES:
        there[first : first + lost] = False
    np.testing.assert_allclose(raw.get_data()[0, there] * 1e6, np.flatnonzero(there), rtol=1e-6)


@pytest.mark.parametrize("offset_s", [0.0, OFFSET_S])
def test_the_samples_at_every_marker_are_those_that_are_decoded(recording, offset_s):
    settings = config(offset_s)
    raw = perceptogram.read_raw(recording, settings)
    source = open_recording(recording, settings)
    pipeline = Pipeline(settings, source.spec)
    epochs = {}
    for item in source.events():
        for event in pipeline.push(item):
            if isinstance(event, Closed):
                epochs[event.trial] = event.epoch
            elif isinstance(event, Retracted):
                del epochs[event.trial]
    onsets = [note["onset"] for note in raw.annotations if note["description"] == "picture"]
    data = raw.get_data()
    assert 30 < len(epochs) < len(onsets) == 41
    for trial, epoch in epochs.items():
        first = round(onsets[trial] * 250)
        window = data[:, first : first + pipeline.n_times].T
        np.testing.assert_array_equal((window * 1e6).astype(np.float32), epoch.samples)


def test_pictures_come_back_from_a_fif_that_mne_has_saved(recording, tmp_path):
    perceptogram.read_raw(recording).save(tmp_path / "saved_raw.fif", verbose="error")
    saved = open_recording(tmp_path / "saved_raw.fif", config()).markers
    sent = [marker for marker in open_recording(recording, config()).markers if marker.picture is not None]
    told = [(marker.picture, dict(marker.extra)) for marker in saved if marker.kind == "picture"]
    assert told == [(marker.picture, dict(marker.extra)) for marker in sent]


def test_what_is_exported_is_the_same(recording, tmp_path):
    settings = config(OFFSET_S)
    raw = perceptogram.read_raw(recording, settings)
    export_bids([recording], tmp_path / "bids", settings, Who("07", None, "pictures"))
    path = mne_bids.BIDSPath(subject="07", task="pictures", run="01", datatype="eeg", root=tmp_path / "bids")
    exported = mne_bids.read_raw_bids(path, verbose="error")
    np.testing.assert_allclose(exported.get_data(), raw.get_data(), rtol=1e-6, atol=1e-10)

    def notes(one):
        return [(str(n["description"]), round(n["onset"], 3), round(n["duration"], 3)) for n in one.annotations]

    assert sorted(notes(exported)) == sorted(notes(raw))
    told = [note["extras"]["picture"] for note in raw.annotations if note["description"] == "picture"]
    assert told[:4] == ["p0", "p1", "p2", "p0"]


def test_no_epoch_of_mne_falls_into_a_gap(recording):
    raw = perceptogram.read_raw(recording)
    events, codes = mne.events_from_annotations(raw, regexp="picture", verbose="error")
    epochs = mne.Epochs(raw, events, codes, 0.0, 0.796, baseline=None, preload=True, verbose="error")
    dropped = [log for log in epochs.drop_log if log]
    assert dropped
    assert {reason for log in dropped for reason in log} == {LOST}
    assert np.all(epochs.get_data()[:, 0].min(axis=1) > 0)
