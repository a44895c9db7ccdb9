import time
from collections import Counter

import numpy as np
import pytest

from configs.schema import Config, MarkerSettings, StreamSettings
from realtime.recording.xdf_writer import XdfWriter
from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.sources.readers.loaded import Loaded
from realtime.sources.recording import Recording, SourceError, open_recording

EEG = """<info><name>{name}</name><type>EEG</type><channel_count>2</channel_count><nominal_srate>100</nominal_srate>
<channel_format>float32</channel_format><source_id>{name}</source_id><desc><channels>
<channel><label>Fz</label><unit>volts</unit></channel><channel><label>Cz</label><unit>volts</unit></channel>
</channels></desc></info>"""
MARKERS = """<info><name>marks</name><type>Markers</type><channel_count>1</channel_count>
<nominal_srate>0</nominal_srate><channel_format>string</channel_format></info>"""
MICROVOLTS = Config(stream=StreamSettings(unit="microvolts"))


def played(recording):
    events = list(recording.events())
    chunks = [event for event in events if isinstance(event, Chunk)]
    return (
        np.concatenate([chunk.timestamps for chunk in chunks]),
        np.concatenate([chunk.samples for chunk in chunks]),
        [event for event in events if isinstance(event, Marker)],
    )


def write_xdf(path, timestamps, names=("amp",)):
    writer = XdfWriter(path)
    for number, name in enumerate(names, start=1):
        samples = np.arange(2 * len(timestamps), dtype=np.float32).reshape(-1, 2) * np.float32(1e-6)
        writer.stream_header(number, EEG.format(name=name))
        writer.clock_offset(number, timestamps[0], 0.0)
        writer.numbers(number, timestamps, samples)
    writer.stream_header(9, MARKERS)
    writer.texts(9, [timestamps[10]], [["go"]])
    writer.close()
    return path


@pytest.mark.parametrize(
    ("file", "config", "rate_hz", "n_samples", "kinds"),
    [
        ("muse_n170/run1.csv", None, 256, 30732, {"1": 108, "2": 89}),
        ("muse_n170/run2.csv", None, 256, 30732, {"1": 93, "2": 102}),
        ("muse_n170/run3.csv", None, 256, 30732, {"1": 104, "2": 91}),
        ("muse_n170/run4.csv", None, 256, 30732, {"1": 95, "2": 99}),
        ("muse_p300/run1.csv", None, 256, 30732, {"1": 165, "2": 32}),
        ("muse_p300/run2.csv", None, 256, 30732, {"1": 163, "2": 28}),
        ("muse_p300/run3.csv", None, 256, 30732, {"1": 155, "2": 38}),
        ("eeglab/eeglab_data.set", None, 128, 30504, {"square": 80, "rt": 74}),
        (
            "xdf/clock_resets.xdf",
            MICROVOLTS,
            100,
            27815,
            {"XXX": 33, "Test": 22, "Blah": 25, "Test-1-2-3": 39, "Marker": 27, "Testtest": 29},
        ),
    ],
)
def test_real_recordings_give_every_sample_and_every_event(shared_data, file, config, rate_hz, n_samples, kinds):
    recording = open_recording(shared_data / file, config)
    timestamps, samples, markers = played(recording)
    assert recording.spec.rate_hz == rate_hz
    assert len(timestamps) == len(samples) == recording.n_samples == n_samples
    assert Counter(marker.kind for marker in markers) == kinds


def test_a_real_session_keeps_its_markers_apart(shared_data):
    file = shared_data / "xdf" / "switch_example.xdf"
    _, samples, everything = played(open_recording(file))
    assert samples.shape == (34320, 16)
    assert len(everything) == 581 + 71
    unity = Config(markers=MarkerSettings(type="LSL_Marker_Strings"))
    assert len(open_recording(file, unity).markers) == 71
    with pytest.raises(SourceError, match=r"no marker stream agrees.*'UnityMarkerStream'.*correct markers\.name"):
        open_recording(file, Config(markers=MarkerSettings(name="absent")))


def test_the_smallest_file_opens_and_a_missing_unit_is_told(shared_data):
    file = shared_data / "xdf" / "minimal.xdf"
    assert len(played(open_recording(file, MICROVOLTS))[0]) == 9
    with pytest.raises(SourceError, match=r"set stream\.unit"):
        open_recording(file)


def test_timestamps_of_a_muse_stay_as_recorded(shared_data):
    file = shared_data / "muse_n170" / "run1.csv"
    timestamps, samples, markers = played(open_recording(file))
    table = np.genfromtxt(file, delimiter=",", skip_header=1)
    assert np.array_equal(timestamps, table[:, 0])
    assert np.array_equal(samples, table[:, 1:5].astype(np.float32))
    assert [marker.timestamp for marker in markers] == table[table[:, -1] > 0, 0].tolist()


def test_muse_markers_that_are_held_and_auxiliary_inputs_that_are_blank(tmp_path):
    rows = [f"{10 + k / 256:.4f},{k},{-k},,{(0, 0, 2, 2, 1, 0, 1, 1)[k % 8]}" for k in range(64)]
    file = tmp_path / "run.csv"
    file.write_text("timestamps,TP9,AF7,Right AUX,Marker0\n" + "\n".join(rows))
    recording = open_recording(file)
    assert recording.spec.channels == ("TP9", "AF7")
    assert [marker.kind for marker in recording.markers][:4] == ["2", "1", "1", "2"]
    assert recording.markers[0].timestamp == pytest.approx(10 + 2 / 256, abs=1e-4)
    auxiliary = open_recording(file, Config(stream=StreamSettings(channels=("Right AUX", "TP9"))))
    assert np.isnan(played(auxiliary)[1][:, 0]).all()


def test_a_hole_in_xdf_stays_a_hole_and_volts_become_microvolts(tmp_path):
    timestamps = 50 + np.arange(300) / 100
    timestamps[100:] += 0.1
    times, samples, markers = played(open_recording(write_xdf(tmp_path / "hole.xdf", timestamps)))
    assert np.allclose(times, timestamps, atol=1e-6)
    assert samples[-1, -1] == pytest.approx(599.0, rel=1e-5)
    assert [(marker.kind, marker.timestamp) for marker in markers] == [("go", pytest.approx(timestamps[10]))]


def test_several_eeg_streams_must_be_chosen_from(tmp_path):
    file = write_xdf(tmp_path / "two.xdf", 50 + np.arange(50) / 100, names=("left", "right"))
    with pytest.raises(SourceError, match=r"two\.xdf: 2 EEG streams agree.*'left'.*'right'"):
        open_recording(file)
    assert open_recording(file, Config(stream=StreamSettings(name="right"))).spec.name == "right"


def test_a_stream_without_source_id_that_was_started_again_is_one_stream_with_a_hole(tmp_path):
    writer = XdfWriter(tmp_path / "run.xdf")
    for number, first in ((1, 50.0), (2, 52.5)):
        writer.stream_header(number, EEG.format(name="amp"))
        writer.numbers(number, first + np.arange(100) / 100, np.zeros((100, 2), np.float32))
    writer.close()
    timestamps, samples, _ = played(open_recording(tmp_path / "run.xdf"))
    assert len(timestamps) == len(samples) == 200
    assert np.diff(timestamps).max() == pytest.approx(1.51)


def test_markers_come_before_the_chunk_in_whose_time_they_fall(tmp_path):
    file = write_xdf(tmp_path / "run.xdf", 50 + np.arange(200) / 100)
    seen = 0.0
    for event in open_recording(file).events():
        if isinstance(event, Marker):
            assert seen < event.timestamp
        else:
            seen = event.timestamps[-1]
            assert event.arrived is None


def test_what_the_reader_tells_is_kept_beside_the_samples():
    spec = StreamSpec("amp", "EEG", "", 100.0, ("Fz",))
    told = ("ECG is not EEG and was left out",)
    loaded = Loaded(spec, 7 + np.arange(200) / 100, lambda start, stop: np.zeros((stop - start, 1), "f4"), (), told)
    assert Recording(loaded).notices == told


@pytest.mark.realtime
def test_speed_sets_the_pace_and_close_ends_it(tmp_path):
    file = write_xdf(tmp_path / "run.xdf", 50 + np.arange(200) / 100)
    begun = time.monotonic()
    assert len(played(open_recording(file, speed=8.0))[0]) == 200
    assert 0.2 < time.monotonic() - begun < 2.0
    recording = open_recording(file, speed=0.001)
    events = recording.events()
    next(events)
    recording.close()
    assert list(events) == []
    with pytest.raises(SourceError, match="speed must be above 0"):
        open_recording(file, speed=0.0)


def test_formats_of_mne(tmp_path):
    import mne

    rng = np.random.default_rng(0)
    volts = rng.normal(0, 2e-5, (2, 500))
    raw = mne.io.RawArray(
        np.vstack([volts, np.zeros(500)]), mne.create_info(["Fz", "Cz", "STI"], 250, ["eeg", "eeg", "stim"])
    )
    raw.set_annotations(mne.Annotations([0.5, 1.0], [0, 0], ["house", "face"]))
    raw.save(tmp_path / "run_raw.fif", verbose="error")
    timestamps, samples, markers = played(open_recording(tmp_path / "run_raw.fif"))
    assert np.allclose(samples, volts.T * 1e6, atol=1e-3)
    assert np.allclose(timestamps, np.arange(500) / 250)
    assert [(marker.kind, marker.timestamp) for marker in markers] == [("house", 0.5), ("face", 1.0)]

    raw.set_annotations(None)
    raw._data[2, 100:103] = 4
    raw.crop(0.2).save(tmp_path / "cropped_raw.fif", verbose="error")
    markers = open_recording(tmp_path / "cropped_raw.fif").markers
    assert [(marker.kind, round(marker.timestamp, 6)) for marker in markers] == [("4", 0.2)]


def test_brainvision_and_edf(tmp_path):
    digits = np.arange(400, dtype="<i2").reshape(-1, 2)
    (tmp_path / "run.eeg").write_bytes(digits.tobytes())
    (tmp_path / "run.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nDataFile=run.eeg\n"
        "[Marker Infos]\nMk1=Stimulus,S  7,51,1,0\n"
    )
    (tmp_path / "run.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=run.eeg\nMarkerFile=run.vmrk\n"
        "DataFormat=BINARY\nDataOrientation=MULTIPLEXED\nNumberOfChannels=2\nSamplingInterval=4000\n"
        "[Binary Infos]\nBinaryFormat=INT_16\n[Channel Infos]\nCh1=Fz,,0.1,\u00b5V\nCh2=Cz,,0.1,\u00b5V\n",
        encoding="utf-8",
    )
    _, samples, markers = played(open_recording(tmp_path / "run.vhdr"))
    assert np.allclose(samples, digits * 0.1, atol=1e-3)
    assert [(marker.kind, marker.timestamp) for marker in markers] == [("Stimulus/S  7", 0.2)]

    fields = ("0", "", "", "01.01.26", "00.00.00", "512", "", "2", "1", "1")
    widths = (8, 80, 80, 8, 8, 8, 44, 8, 8, 4)
    channel = (("Fz", 16), ("", 80), ("uV", 8), ("-3276.8", 8), ("3276.7", 8), ("-32768", 8), ("32767", 8), ("", 80))
    header = "".join(
        text.ljust(width) for text, width in (*zip(fields, widths, strict=True), *channel, ("200", 8), ("", 32))
    )
    (tmp_path / "run.edf").write_bytes(header.encode() + digits.tobytes())
    _, samples, _ = played(open_recording(tmp_path / "run.edf"))
    assert np.allclose(samples[:, 0], digits.ravel() * 0.1, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("run.txt", b"", "of no format that is known"),
        ("run.csv", b"time,a\n1,2\n", "first column is 'time'"),
        ("run.csv", b"timestamps,TP9,Marker0\n1,2,0\n1,x,0\n", "not a table of numbers"),
        ("run.csv", b"timestamps,TP9,Marker0\n1,2,0\n", "1 rows"),
        ("run.csv", b"timestamps,TP9,Marker0\n1,2,0\n1,2,0\n", "timestamps do not advance"),
        ("run.xdf", b"not XDF", "cannot read .* as XDF"),
        ("run.edf", b"not EDF", "cannot read"),
        ("run_raw.fif", b"not FIF", "cannot read"),
        ("run.set", b"not EEGLAB", "cannot read"),
    ],
)
def test_broken_files_are_refused_in_one_line(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=told) as refused:
        open_recording(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_an_absent_file_is_told(tmp_path):
    with pytest.raises(SourceError, match="there is no recording"):
        open_recording(tmp_path / "absent.xdf")
    with pytest.raises(SourceError, match="is a folder; give a file ending in"):
        open_recording(tmp_path)
