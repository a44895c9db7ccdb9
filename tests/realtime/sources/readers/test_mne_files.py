"""FIF, BrainVision and EEGLAB as people have them: pauses, bad stretches, units, types, MATLAB 7.3; right values."""

import shutil
from collections import Counter

import mne
import numpy as np
import pytest

from configs.schema import ArtefactSettings, Config, FilterSettings, MarkerSettings, StreamSettings
from realtime.epoching.epochs import Closed, Refused
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Chunk
from realtime.sources.recording import SourceError, open_recording
from realtime.timeline.sample_grid import Hole
from tests.support.recording_files import write_brainvision, write_eeglab, write_eeglab_hdf5

CLASSES = dict.fromkeys(("1", "2", "Stimulus/1", "Stimulus/2"), "cat")
CONFIG = Config(
    markers=MarkerSettings(classes=CLASSES),
    filters=FilterSettings(highpass_hz=None, lowpass_hz=None),
    artefacts=ArtefactSettings(peak_to_peak_uv=None, flat_uv=None),
)
EVENTS = ((5.0, "1"), (10.0, "2"), (19.6, "1"), (25.5, "2"), (35.0, "1"))
"""Seconds in the file, which was paused for ten seconds after twenty."""
TRUE_S = np.concatenate([np.arange(5000) / 250, 30 + np.arange(5000) / 250])


def cut(path):
    """Return epochs, refusals and holes of the recording in `path`."""
    recording = open_recording(path, CONFIG)
    pipeline = Pipeline(CONFIG, recording.spec)
    events = [event for item in recording.events() for event in pipeline.push(item)]
    events += pipeline.finish()
    epochs = [event.epoch for event in events if isinstance(event, Closed)]
    return epochs, *([event for event in events if isinstance(event, kind)] for kind in (Refused, Hole))


def samples(recording):
    return np.concatenate([event.samples for event in recording.events() if isinstance(event, Chunk)])


def raw_of(values_uv, names=("Fz",), kinds="eeg"):
    info = mne.create_info(list(names), 250, kinds)
    return mne.io.RawArray(np.atleast_2d(values_uv) * 1e-6, info, verbose="error")


def fif(folder, marks, zeros=0):
    """Write a FIF file with `marks` at 20 s; `zeros` samples stand for the pause."""
    values = np.insert(10 * TRUE_S, 5000, np.zeros(zeros))
    raw = raw_of(values)
    shift = zeros / 250
    onsets = [onset + (shift if onset >= 20 else 0) for onset, _ in EVENTS]
    notes = mne.Annotations(onsets, 0, [label for _, label in EVENTS])
    for name, duration in marks:
        notes.append(20.0, duration, name)
    raw.set_annotations(notes, verbose="error").save(folder / "gap_raw.fif", verbose="error")
    return folder / "gap_raw.fif"


def eeglab(folder, duration, kind=str):
    events = [{"type": kind(label), "latency": onset * 250 + 1, "duration": 1.0} for onset, label in EVENTS]
    boundary = {"type": "boundary" if kind is str else -99.0, "latency": 5000.5}
    events.insert(3, boundary if duration is None else boundary | {"duration": duration})
    return write_eeglab(folder / "gap.set", np.stack([10 * TRUE_S, 10 * TRUE_S]), events)


def brainvision(folder, dates):
    lines = [f"Stimulus,{label},{round(onset * 250) + 1},1,0" for onset, label in EVENTS]
    lines.insert(3, f"New Segment,,5001,1,0{dates[1]}")
    return write_brainvision(folder / "gap.vhdr", (10 * TRUE_S)[:, None], [f"New Segment,,1,1,0{dates[0]}", *lines])


NOON, LATER = ",20260101120000000000", ",20260101120030000000"


@pytest.mark.parametrize(
    ("write", "lost"),
    [
        (lambda folder: fif(folder, [("BAD boundary", 0.0), ("EDGE boundary", 0.0)]), 0),
        (lambda folder: fif(folder, [("BAD_ACQ_SKIP", 10.0)], zeros=2500), 2500),
        (lambda folder: eeglab(folder, 2500.0), 2500),
        (lambda folder: eeglab(folder, 2500.0, float), 2500),
        (lambda folder: eeglab(folder, np.nan), 0),
        (lambda folder: eeglab(folder, None), 0),
        (lambda folder: brainvision(folder, (NOON, LATER)), 2500),
        (lambda folder: brainvision(folder, ("", "")), 0),
        (lambda folder: brainvision(folder, (LATER, NOON)), 0),
    ],
)
def test_a_pause_that_the_file_marks_is_one_hole_and_what_follows_is_cut_where_it_was(tmp_path, write, lost):
    path = write(tmp_path)
    epochs, refused, holes = cut(path)
    assert [hole.lost for hole in holes] == [lost]
    assert [event.marker.timestamp for event in refused] == [19.6]
    later = lost / 250
    assert [epoch.onset for epoch in epochs] == pytest.approx([5.0, 10.0, 25.5 + later, 35.0 + later])
    for epoch, true_s in zip(epochs, (5.0, 10.0, 35.5, 45.0), strict=True):
        assert epoch.samples[[0, -1], 0] == pytest.approx([10 * true_s, 10 * true_s + 7.96], abs=0.02)
    recording = open_recording(path)
    assert recording.n_samples == 10_000
    assert len(recording.markers) == len(EVENTS)
    told = ("paused at 20.000 s, for how long is not told: times go on as if it had not been",)
    assert recording.notices == (() if lost else told)


def test_a_bad_stretch_and_trigger_codes_are_read_together(tmp_path):
    codes = np.zeros(5000)
    for second in range(2, 14):
        codes[250 * second : 250 * second + 5] = 1 + second % 2
    raw = raw_of(np.stack([np.sin(np.arange(5000.0)), codes * 1e6]), ("Fz", "STI 014"), ["eeg", "stim"])
    raw.set_annotations(mne.Annotations([3.5], [0.4], ["BAD_blink"])).save(tmp_path / "run_raw.fif", verbose="error")
    assert Counter(marker.kind for marker in open_recording(tmp_path / "run_raw.fif").markers) == {
        "1": 6,
        "2": 6,
        "BAD_blink": 1,
    }
    _, refused, _ = cut(tmp_path / "run_raw.fif")
    assert [(event.marker.timestamp, event.reason) for event in refused] == [
        (3.0, "BAD_blink marked from 3.500 to 3.900 s")
    ]


def test_a_composite_trigger_channel_stands_for_those_of_its_bits(tmp_path):
    codes = np.where(np.arange(5000) % 500 < 5, 3.0, 0.0)
    values = np.stack([np.sin(np.arange(5000.0)), *[(codes > 0) * 5e6] * 2, codes * 1e6])
    raw = raw_of(values, ("Fz", "STI 001", "STI 002", "STI 014"), ["eeg", "stim", "stim", "stim"])
    raw.save(tmp_path / "run_raw.fif", verbose="error")
    assert Counter(marker.kind for marker in open_recording(tmp_path / "run_raw.fif").markers) == {"3": 9}


@pytest.mark.parametrize("number", [np.uint8, np.float64, str])
def test_numeric_event_types_are_the_same_markers_however_they_were_saved(tmp_path, number):
    events = [{"type": number(1 + k % 2), "latency": 250.0 * (k + 2)} for k in range(30)]
    path = write_eeglab(tmp_path / "run.set", np.zeros((2, 10_000)), events)
    assert Counter(marker.kind for marker in open_recording(path).markers) == {"1": 15, "2": 15}


def test_matlab_7_3_is_read_whole_and_refused_where_it_was_cut(tmp_path):
    values = np.stack([10 * TRUE_S, np.cos(np.arange(10_000))])
    events = [{"type": label, "latency": onset * 250 + 1} for onset, label in EVENTS]
    path = write_eeglab_hdf5(tmp_path / "v73.set", values, events)
    recording = open_recording(path)
    assert (recording.spec.channels, recording.spec.rate_hz) == (("Fz", "Cz"), 250.0)
    np.testing.assert_allclose(samples(recording), values.T, rtol=1e-5, atol=1e-4)
    assert [(marker.kind, round(marker.timestamp, 6)) for marker in recording.markers] == [(b, a) for a, b in EVENTS]
    for size in (100, 1032, 20_000):
        (tmp_path / "cut.set").write_bytes(path.read_bytes()[:size])
        with pytest.raises(SourceError, match=r"cannot read .*damaged or incomplete") as refused:
            open_recording(tmp_path / "cut.set")
        assert "\n" not in str(refused.value)


def test_a_real_eeglab_file(shared_data):
    recording = open_recording(shared_data / "eeglab" / "eeglab_data.set")
    assert (recording.spec.rate_hz, len(recording.spec.channels)) == (128.0, 32)
    assert Counter(marker.kind for marker in recording.markers) == {"square": 80, "rt": 74}
    stored = np.fromfile(shared_data / "eeglab" / "eeglab_data.fdt", "<f4").reshape(-1, 32)
    np.testing.assert_allclose(samples(recording), stored, rtol=1e-5, atol=1e-4)


def test_samples_beside_a_set_file_that_are_missing_or_cut_short_are_told(shared_data, tmp_path):
    for name in ("eeglab_data.set", "eeglab_data.fdt"):
        shutil.copyfile(shared_data / "eeglab" / name, tmp_path / name)
    with (tmp_path / "eeglab_data.fdt").open("r+b") as file:
        file.truncate(100_000)
    with pytest.raises(SourceError, match="cannot read"):
        open_recording(tmp_path / "eeglab_data.set")
    (tmp_path / "eeglab_data.fdt").unlink()
    with pytest.raises(SourceError, match=r"eeglab_data\.fdt"):
        open_recording(tmp_path / "eeglab_data.set")


@pytest.mark.parametrize(
    ("unit", "factor"), [("µV", 1.0), ("\u03bcV", 1.0), ("uV", 1.0), ("nV", 1e-3), ("mV", 1e3), ("V", 1e6)]
)
def test_units_of_brainvision(tmp_path, unit, factor):
    path = write_brainvision(tmp_path / "run.vhdr", np.sin(np.arange(5000.0))[:, None], (), units=(unit,))
    assert np.ptp(samples(open_recording(path))) / 2 == pytest.approx(factor, rel=1e-3)


def test_units_of_brainvision_that_are_not_known_are_refused_until_they_are_set(tmp_path):
    values = np.stack([np.sin(np.arange(5000.0)), np.full(5000, 36.6)], axis=1)
    path = write_brainvision(tmp_path / "run.vhdr", values, (), units=("counts", "C"), names=("Fz", "Temp"))
    with pytest.raises(SourceError, match=r"channel Fz has unit 'counts'; set stream\.unit"):
        open_recording(path)
    recording = open_recording(path, Config(stream=StreamSettings(unit="microvolts")))
    assert np.ptp(samples(recording)) / 2 == pytest.approx(1.0, rel=1e-3)
    assert (recording.spec.channels, recording.notices) == (("Fz",), ("no EEG and left out: Temp",))


@pytest.mark.parametrize("name", ["run_raw.fif", "run_raw.fif.gz"])
def test_fif_holds_volts_whatever_the_amplifier_sends(tmp_path, name):
    raw_of(np.sin(np.arange(5000.0))).save(tmp_path / name, verbose="error")
    recording = open_recording(tmp_path / name, Config(stream=StreamSettings(unit="microvolts")))
    assert np.ptp(samples(recording)) / 2 == pytest.approx(1.0, rel=1e-3)
    assert "FIF holds volts: stream.unit (microvolts)" in recording.notices[0]
    assert open_recording(tmp_path / name, Config(stream=StreamSettings(unit="volts"))).notices == ()


def test_a_unit_that_is_set_is_obeyed_where_the_format_has_none_of_its_own(tmp_path):
    config = Config(stream=StreamSettings(unit="nanovolts"))
    write_eeglab(tmp_path / "run.set", np.sin(np.arange(10_000.0)).reshape(2, -1), [{"type": "1", "latency": 9.0}])
    write_brainvision(tmp_path / "run.vhdr", np.sin(np.arange(5000.0))[:, None], ())
    for name, stored in (("run.set", 1.0), ("run.vhdr", 1.0)):
        amplitude = np.ptp(samples(open_recording(tmp_path / name, config))[:, 0]) / 2
        assert amplitude == pytest.approx(1e-3 * stored, rel=1e-3), name


def test_channels_marked_as_bad_are_left_out_unless_they_are_named(tmp_path):
    raw = raw_of(np.ones((3, 5000)), ("Fz", "Cz", "Pz"))
    raw.info["bads"] = ["Cz"]
    raw.save(tmp_path / "bad_raw.fif", verbose="error")
    recording = open_recording(tmp_path / "bad_raw.fif")
    assert recording.spec.channels == ("Fz", "Pz")
    assert recording.notices == ("marked as bad and left out: Cz; name them in stream.channels to use them",)
    recording = open_recording(tmp_path / "bad_raw.fif", Config(stream=StreamSettings(channels=("Cz", "Fz"))))
    assert recording.spec.channels == ("Cz", "Fz")
    assert recording.notices == ("marked as bad and used, because stream.channels names them: Cz",)


def test_what_mne_warns_of_is_told_in_other_words(tmp_path, recwarn):
    events = [{"type": "1", "latency": 500.0}, {"type": "2", "latency": np.nan}, {"type": "2", "latency": 99_999.0}]
    path = write_eeglab(tmp_path / "run.set", np.zeros((2, 10_000)), events)
    assert open_recording(path).notices == (
        "1 events have no time and were left out",
        "1 annotations lie outside the recording and were left out",
    )
    assert not recwarn.list


def test_epochs_in_place_of_a_recording_are_refused_in_words_for_people(tmp_path):
    from scipy.io import savemat

    from tests.support.recording_files import eeglab_content

    content = eeglab_content(np.zeros((2, 1000)), [{"type": "1", "latency": 9.0}]) | {"trials": 10.0, "pnts": 100.0}
    savemat(tmp_path / "epochs.set", {"EEG": content}, appendmat=False)
    with pytest.raises(SourceError, match="it holds 10 epochs; give the continuous recording"):
        open_recording(tmp_path / "epochs.set")
