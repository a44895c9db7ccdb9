"""EDF and BDF as people have them: pauses, units, labels, rates, remarks and codes, with the right values of each."""

from collections import Counter

import numpy as np
import pytest

from configs.schema import ArtefactSettings, Config, FilterSettings, MarkerSettings, StreamSettings
from realtime.epoching.epochs import Closed, Refused
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Chunk
from realtime.sources.recording import SourceError, open_recording
from realtime.timeline.sample_grid import Hole
from tests.support.recording_files import Remarks, Wave, edf_bytes

MICROVOLTS = Config(stream=StreamSettings(unit="microvolts"))
CLASSES = Config(
    markers=MarkerSettings(classes={"1": "cat", "2": "house"}),
    filters=FilterSettings(highpass_hz=None, lowpass_hz=None),
    artefacts=ArtefactSettings(peak_to_peak_uv=None, flat_uv=None),
)
SECONDS = np.arange(20 * 250) / 250


def written(path, *arguments, **options):
    path.write_bytes(edf_bytes(*arguments, **options))
    return path


def samples(recording):
    return np.concatenate([event.samples for event in recording.events() if isinstance(event, Chunk)])


def cut(path, config=CLASSES):
    """Return epochs, refusals and holes of the recording in `path`."""
    recording = open_recording(path, config)
    pipeline = Pipeline(config, recording.spec)
    events = [event for item in recording.events() for event in pipeline.push(item)]
    events += pipeline.finish()
    epochs = [event.epoch for event in events if isinstance(event, Closed)]
    return epochs, *([event for event in events if isinstance(event, kind)] for kind in (Refused, Hole))


def sine(amplitude=20.0):
    return amplitude * np.sin(2 * np.pi * 10 * SECONDS)


def test_edf_whose_records_are_apart_is_cut_at_the_true_times(tmp_path):
    starts = [float(k if k < 10 else k + 10) for k in range(20)]
    true = np.concatenate([start + np.arange(250) / 250 for start in starts])
    notes = [(start, 0.0, label) for start, label in ((5.0, b"1"), (9.6, b"2"), (25.5, b"2"), (28.0, b"1"))]
    path = written(tmp_path / "gap.edf", [Wave("Fz", 10 * true)], Remarks(notes, starts), "EDF+D")
    epochs, refused, holes = cut(path)
    assert [epoch.onset for epoch in epochs] == [5.0, 25.5, 28.0]
    for epoch in epochs:
        assert epoch.samples[[0, -1], 0] == pytest.approx([10 * epoch.onset, 10 * epoch.onset + 7.96], abs=0.06)
    assert [event.marker.timestamp for event in refused] == [9.6]
    assert [(hole.lost, hole.timestamp) for hole in holes] == [(2500, 20.0)]
    path = written(tmp_path / "whole.edf", [Wave("Fz", 10 * true)], Remarks(notes, starts), "EDF+C")
    assert cut(path)[2] == []


def test_records_that_run_back_in_time_are_a_pause_of_unknown_length(tmp_path):
    starts = [float(k if k < 10 else k - 5) for k in range(20)]
    path = written(tmp_path / "back.edf", [Wave("Fz", sine())], Remarks([], starts), "EDF+D")
    recording = open_recording(path)
    assert recording.notices == ("paused at 10.000 s, for how long is not told: times go on as if it had not been",)
    assert [hole.lost for hole in cut(path)[2]] == [0]


def test_the_flag_that_biosemi_sets_after_a_pause_breaks_the_time_axis(tmp_path):
    status = np.zeros(5000, np.int64)
    status[[0, 2500]] = 1 << 16
    for row, code in ((1250, 1), (2400, 2), (3000, 1)):
        status[row : row + 5] |= code
    path = written(tmp_path / "gap.bdf", [Wave("Fz", sine()), Wave("Status", status, "Boolean")], bdf=True)
    epochs, refused, holes = cut(path)
    assert [(epoch.marker.kind, epoch.onset) for epoch in epochs] == [("1", 5.0), ("1", 12.0)]
    assert [event.reason for event in refused] == [
        "pause of unknown length at 10.000 s, in the window or too soon before it"
    ]
    assert [(hole.lost, hole.timestamp) for hole in holes] == [(0, 10.0)]


def test_codes_are_read_though_remarks_stand_beside_them_and_no_event_counts_twice(tmp_path):
    status = np.zeros(5000, np.int64)
    for second in range(2, 14):
        status[250 * second : 250 * second + 5] = 1 + second % 2
    notes = [(0.0, 0.0, b"Recording starts"), (5.0, 0.0, b"2"), (7.1, 0.4, b"BAD_blink"), (13.0, 0.0, b"1")]
    waves = [Wave("Fz", sine()), Wave("Status", status, "Boolean")]
    path = written(tmp_path / "remark.bdf", waves, Remarks(notes), "BDF+C", bdf=True)
    recording = open_recording(path)
    kinds = Counter(marker.kind for marker in recording.markers)
    assert kinds == {"Recording starts": 1, "1": 7, "2": 6, "BAD_blink": 1}
    assert [m.timestamp for m in recording.markers if m.kind == "2"] == [3.0, 5.0, 7.0, 9.0, 11.0, 13.0]
    _, refused, _ = cut(path)
    assert [(event.marker.timestamp, event.reason) for event in refused] == [
        (7.0, "BAD_blink marked from 7.100 to 7.500 s")
    ]


@pytest.mark.parametrize(
    ("unit", "amplitude_uv"), [("uV", 20.0), ("UV", 20.0), ("µV", 20.0), ("nV", 0.02), ("mV", 20e3), ("V", 20e6)]
)
def test_units_that_are_known(tmp_path, unit, amplitude_uv):
    path = written(tmp_path / "run.edf", [Wave("Fz", sine(), unit)])
    assert np.ptp(samples(open_recording(path))) / 2 == pytest.approx(amplitude_uv, rel=0.01)


@pytest.mark.parametrize("unit", ["", "counts", ".V", "uV/s", "\xc2\xb5", "??"])
def test_units_that_are_not_known_are_refused_until_they_are_set(tmp_path, unit):
    path = written(tmp_path / "run.edf", [Wave("Fz", sine(), unit)])
    with pytest.raises(SourceError, match=r"channel Fz has (no unit|unit '.*'); set stream\.unit") as refused:
        open_recording(path)
    assert "\n" not in str(refused.value)
    assert np.ptp(samples(open_recording(path, MICROVOLTS))) / 2 == pytest.approx(20.0, rel=0.01)


def test_mu_in_utf8_is_a_unit(tmp_path):
    content = edf_bytes([Wave("Fz", sine(), "uVx")]).replace(b"uVx ", "µV ".encode())
    (tmp_path / "run.edf").write_bytes(content)
    assert np.ptp(samples(open_recording(tmp_path / "run.edf"))) / 2 == pytest.approx(20.0, rel=0.01)


def test_labels_of_a_clinic_tell_what_is_eeg_and_the_rest_is_left_out_and_told(tmp_path):
    trigger = np.where(np.arange(5000) % 500 < 50, 100.0, 0.0)
    waves = [
        Wave("EEG Fz-Ref", sine()),
        Wave("EEG Cz-Ref", sine(10.0)),
        *(Wave(label, sine(), unit) for label, unit in (("ECG ECG1", "uV"), ("Resp belt", ""), ("Temp", "degC"))),
        Wave("DIG DTRIG", trigger),
    ]
    path = written(tmp_path / "clinic.edf", waves, Remarks([(3.0, 0.0, b"1")]), "EDF+C")
    recording = open_recording(path)
    assert recording.spec.channels == ("Fz", "Cz")
    assert recording.spec.reference == "Ref"
    assert recording.notices == ("no EEG and left out: ECG ECG1, Resp belt, Temp, DIG DTRIG",)
    assert [(marker.kind, marker.timestamp) for marker in recording.markers] == [("1", 3.0)]
    named = Config(stream=StreamSettings(channels=("ECG ECG1", "EEG Cz-Ref")))
    recording = open_recording(path, named)
    assert recording.spec.channels == ("ECG ECG1", "EEG Cz-Ref")
    assert recording.notices == ()
    assert np.ptp(samples(recording), axis=0) / 2 == pytest.approx([20.0, 10.0], rel=0.02)


def test_electrodes_with_references_of_their_own_keep_their_names(tmp_path):
    waves = [Wave("EEG Fp1-F3", sine()), Wave("EEG F3-C3", sine()), Wave("EEG 3", sine())]
    recording = open_recording(written(tmp_path / "bipolar.edf", waves))
    assert recording.spec.channels == ("Fp1-F3", "F3-C3", "EEG 3")
    assert recording.spec.reference is None


def test_eeg_is_read_at_its_own_rate_as_written(tmp_path):
    fast = np.arange(20 * 500) % 7
    waves = [Wave("Fz", sine()), Wave("Oz", fast, rate=500), Wave("Cz", sine(3.0)), Wave("ACC", fast, rate=500)]
    path = written(tmp_path / "mixed.edf", waves)
    recording = open_recording(path)
    assert (recording.spec.rate_hz, recording.spec.channels) == (250.0, ("Fz", "Cz"))
    np.testing.assert_allclose(samples(recording), np.stack([sine(), sine(3.0)], axis=1), atol=0.06)
    assert recording.notices == (
        "no EEG and left out: ACC",
        "not sampled at 250 Hz as the EEG is and left out: Oz (500 Hz)",
    )
    recording = open_recording(path, Config(stream=StreamSettings(channels=("Oz",))))
    assert recording.spec.rate_hz == 500.0
    np.testing.assert_allclose(samples(recording)[:, 0], fast, atol=0.06)
    with pytest.raises(SourceError, match=r"Fz is not sampled at 500 Hz as the others are; change stream\.channels"):
        open_recording(path, Config(stream=StreamSettings(channels=("Fz", "Oz"))))


def test_remarks_in_any_encoding(tmp_path):
    notes = [(2.0, 0.0, b"Augen \xf6ffnen"), (3.0, 0.0, "Augen öffnen".encode()), (4.0, 0.0, b"\x81\xfe\xff")]
    recording = open_recording(written(tmp_path / "run.edf", [Wave("Fz", sine())], Remarks(notes), "EDF+C"))
    assert [marker.kind for marker in recording.markers] == ["Augen öffnen", "Augen öffnen", "\x81þÿ"]


def test_a_recorder_that_was_not_stopped_leaves_what_it_wrote(tmp_path):
    content = edf_bytes([Wave("Fz", sine())], records=-1)
    (tmp_path / "open.edf").write_bytes(content)
    recording = open_recording(tmp_path / "open.edf")
    assert (recording.n_samples, recording.notices) == (5000, ())
    (tmp_path / "short.edf").write_bytes(edf_bytes([Wave("Fz", sine())])[:-700])
    recording = open_recording(tmp_path / "short.edf")
    assert recording.n_samples == 18 * 250
    assert recording.notices == ("the header promises 20 records, the file holds 18",)


@pytest.mark.parametrize(
    ("at", "field", "told"),
    [
        (236, b"99999999", None),
        (252, b"9999", "9999 signals, too many for a file"),
        (252, b"-1  ", "-1 signals"),
        (252, b"x   ", "its number of signals is 'x'"),
        (244, b"0       ", "records of 0 s"),
        (244, b"1e-300  ", "records of 1e-300 s"),
        (256 + 216, b"99999999", "99999999 samples in a record, too many"),
        (256 + 104, b"0       ", None),
        (256 + 104, b"nan     ", "channel Fz has no scale"),
        (256 + 112, b"-3276.80", "channel Fz has no scale"),
    ],
)
def test_a_header_that_promises_what_cannot_be_is_refused_before_anything_is_read(tmp_path, at, field, told):
    content = bytearray(edf_bytes([Wave("Fz", sine())]))
    content[at : at + len(field)] = field
    (tmp_path / "run.edf").write_bytes(content)
    if told is None:
        assert open_recording(tmp_path / "run.edf").n_samples == 5000
    else:
        with pytest.raises(SourceError, match=told):
            open_recording(tmp_path / "run.edf")
