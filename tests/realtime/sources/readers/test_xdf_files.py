"""XDF files as people have them: damaged, with a stream twice or empty, with markers of another clock."""

import logging
import struct

import numpy as np
import pytest

from configs.schema import Config, MarkerSettings, StreamSettings
from realtime.recording.xdf_writer import XdfWriter
from realtime.sources.base import Chunk
from realtime.sources.readers.xdf_chunks import whole_chunks
from realtime.sources.recording import SourceError, open_recording

RATE_HZ = 250
EEG = """<info><name>Amp</name><type>EEG</type><channel_count>{channels}</channel_count>
<nominal_srate>250</nominal_srate><channel_format>float32</channel_format><source_id>{source_id}</source_id>
<desc><channels><channel><label>Fz</label><unit>microvolts</unit></channel>
<channel><label>Cz</label><unit>microvolts</unit></channel></channels></desc></info>"""
MARKERS = """<info><name>Stim{name}</name><type>Markers</type><channel_count>{channels}</channel_count>
<nominal_srate>0</nominal_srate><channel_format>string</channel_format><source_id>s</source_id>{desc}</info>"""
BLOCK_AND_LABEL = (
    "<desc><channels><channel><label>block</label></channel><channel><label>word</label></channel></channels></desc>"
)


def eeg(source_id="amp", channels=2):
    return EEG.format(source_id=source_id, channels=channels)


def marks(channels=1, desc="", name=""):
    return MARKERS.format(channels=channels, desc=desc, name=name)


class File:
    """An XDF file as recorders write it: chunks of 0.2 s, a boundary mark every 10 s."""

    def __init__(self, path, seconds=60):
        self._path = path
        self.timestamps = 1000 + np.arange(seconds * RATE_HZ) / RATE_HZ
        self.samples = np.random.default_rng(0).normal(0, 10, (len(self.timestamps), 2)).astype(np.float32)
        self.at = []
        self.writer = XdfWriter(path)

    @property
    def path(self):
        """The file, finished."""
        self.writer.close()
        return self._path

    def write(self, *streams, boundaries=True, last=None):
        for start in range(0, len(self.timestamps), 50):
            rows = slice(start, min(start + 50, len(self.timestamps) if last is None else last))
            self.at.append(self._path.stat().st_size)
            for stream in streams:
                self.writer.numbers(stream, self.timestamps[rows], self.samples[rows])
            if boundaries and start % 2500 == 2450:
                self.writer.boundary()
        return self

    def mark(self, texts, stream=9, header=None, first=1005.0):
        self.writer.stream_header(stream, header or marks())
        self.writer.texts(stream, first + np.arange(len(texts)), texts)
        return self

    def damaged(self, **bytes_at):
        """Return the path of the file with other bytes at some places."""
        content = bytearray(self.path.read_bytes())
        for place, value in bytes_at.values():
            content[place : place + len(value)] = value
        self.path.write_bytes(content)
        return self.path


@pytest.fixture
def file(tmp_path):
    file = File(tmp_path / "run.xdf")
    file.writer.stream_header(1, eeg())
    return file.mark([["1"]] * 30)


def test_one_wrong_bit_in_a_length_loses_nothing(file):
    file.write(1)
    where = file.at[88]
    (wrong,) = file.path.read_bytes()[where + 3 : where + 4]
    recording = open_recording(file.damaged(bit=(where + 3, bytes([wrong ^ 0x40]))))
    assert (recording.n_samples, len(recording.markers)) == (15000, 30)
    assert any(f"length of the samples at byte {where} was wrong" in told for told in recording.notices)


@pytest.mark.parametrize("offset", [0, 5, 11, 13, 22], ids=["width", "tag", "count", "mark of a timestamp", "within"])
def test_damage_leaves_out_one_chunk_and_reads_on(file, offset):
    file.write(1)
    recording = open_recording(file.damaged(bits=(file.at[88] + offset, b"\xff" * 7)))
    if offset == 22:
        assert recording.n_samples == 15000, "a value may be anything"
        return
    assert recording.n_samples in (14950, 15000 - 600), "the chunk, or all up to the next boundary mark"
    (told,) = recording.notices
    assert f"what lies from byte {file.at[88]} to byte" in told


def test_zeros_over_a_head_are_left_out_up_to_the_next_boundary_and_pyxdf_keeps_quiet(file, caplog):
    file.write(1)
    with caplog.at_level(logging.DEBUG):
        recording = open_recording(file.damaged(zeros=(file.at[88], bytes(16))))
    assert recording.n_samples == 15000 - (2500 * 2 - 88 * 50)
    (told,) = recording.notices
    assert f"from byte {file.at[88]} to byte" in told
    assert [record for record in caplog.records if "xdf" in record.name] == []


def test_a_file_cut_off_says_where(file):
    content = file.write(1).path.read_bytes()
    file.path.write_bytes(content[: file.at[88] + 30])
    recording = open_recording(file.path)
    assert recording.n_samples == 4400
    assert recording.notices[0].startswith(f"the file is damaged or cut off: what lies from byte {file.at[88]} to its")


def test_chunks_whose_samples_share_one_timestamp_are_whole(tmp_path):
    values = np.arange(3, dtype="<f4").tobytes()
    for stamped in ((8, 0, 0), (0, 0, 0), (8, 8, 8), (8, 0, 8)):
        writer = XdfWriter(tmp_path / f"{stamped}.xdf")
        writer.stream_header(1, eeg(channels=3))
        rows = b"".join((struct.pack("<Bd", 8, 5.0) if mark else b"\0") + values for mark in stamped)
        writer._samples(1, 3, rows)
        writer.close()
        assert whole_chunks((tmp_path / f"{stamped}.xdf").read_bytes()).is_all


@pytest.mark.parametrize("timestamp", [np.nan, np.inf, -1e300])
def test_a_sample_whose_timestamp_is_no_time_is_left_out_with_a_line(file, timestamp):
    file.write(1)
    recording = open_recording(file.damaged(timestamp=(file.at[88] + 14, struct.pack("<d", timestamp))))
    assert recording.n_samples == 14999
    assert recording.notices == ("1 of 15000 samples of stream 'Amp' have an impossible timestamp and are left out",)


def test_an_empty_stream_of_the_same_name_is_passed_over_with_a_line(tmp_path):
    file = File(tmp_path / "stale.xdf", 20)
    file.writer.stream_header(3, eeg())
    file.writer.stream_header(1, eeg())
    recording = open_recording(file.mark([["1"]]).write(1).path)
    assert recording.n_samples == 5000
    assert any("holds no samples and is passed over" in told for told in recording.notices)


@pytest.mark.parametrize("asked", [{"name": "Muse", "source_id": "m1", "unit": "volts"}, {"name": "Amp"}, {}])
def test_a_rehearsal_is_read_by_the_settings_of_the_laboratory_and_called_simulated(tmp_path, asked):
    file = File(tmp_path / "rehearsal.xdf", 20)
    stand_in = eeg().replace("</desc>", "<reference><label>simulated</label></reference></desc>")
    file.writer.stream_header(1, stand_in)
    recording = open_recording(file.mark([["1"]]).write(1).path, Config(stream=StreamSettings(**asked)))
    assert recording.spec.simulated
    read = next(item for item in recording.events() if isinstance(item, Chunk)).samples
    np.testing.assert_array_equal(read, file.samples[: len(read)])
    assert any("'Amp' of a rehearsal" in told for told in recording.notices) == (asked.get("name") == "Muse")


def test_an_amplifier_that_is_not_the_one_asked_for_is_refused(tmp_path):
    file = File(tmp_path / "run.xdf", 20)
    file.writer.stream_header(1, eeg())
    with pytest.raises(SourceError, match="no EEG stream agrees with name 'Muse'"):
        open_recording(file.mark([["1"]]).write(1).path, Config(stream=StreamSettings(name="Muse")))


def test_a_copy_of_a_stream_is_left_out_with_a_line(tmp_path):
    file = File(tmp_path / "twice.xdf", 20)
    file.writer.stream_header(3, eeg())
    file.writer.stream_header(1, eeg())
    file.writer.clock_offset(3, 1000.0, 0.0)
    file.writer.clock_offset(1, 1000.0, 0.009)  # measured anew through the other network card
    file.mark([["1"], ["2"]]).mark([["1"], ["2"]], stream=8).write(3, last=4000)
    file.write(1)
    recording = open_recording(file.path)
    assert recording.n_samples == 5000, "the longest is taken"
    assert [marker.kind for marker in recording.markers] == ["1", "2"]
    told = " ".join(recording.notices)
    assert "the copy of 4000 samples is left out" in told
    assert "the copy of 2 samples is left out" in told


def test_marker_streams_that_are_alike_and_say_the_same_at_other_times_are_both_read(tmp_path):
    file = File(tmp_path / "two.xdf", 20)
    file.writer.stream_header(1, eeg())
    file.mark([["1"], ["2"]]).mark([["1"]], stream=8, first=1005.5).write(1)
    recording = open_recording(file.path)
    assert [marker.kind for marker in recording.markers] == ["1", "1", "2"]
    assert recording.notices == ()


def test_streams_that_no_setting_tells_apart_are_refused_without_advice_that_cannot_be_followed(tmp_path):
    file = File(tmp_path / "two.xdf", 20)
    file.writer.stream_header(3, eeg())
    file.writer.stream_header(1, eeg())
    file.write(1)
    file.samples = -file.samples
    file.write(3)
    with pytest.raises(SourceError, match=r"2 EEG streams agree.*no setting tells them apart") as refused:
        open_recording(file.path)
    assert "set stream" not in str(refused.value)


@pytest.mark.parametrize(("first", "told"), [(1.7e9, "1699999000 s after"), (5.0, "995 s before")])
def test_markers_of_another_clock_are_called_that(tmp_path, first, told):
    file = File(tmp_path / "unix.xdf", 20)
    file.writer.stream_header(1, eeg())
    recording = open_recording(file.mark([["1"]] * 5, first=first).write(1).path)
    assert len(recording.markers) == 5
    (line,) = recording.notices
    assert told in line
    assert line.endswith("make the sender timestamp with local_clock()")


def test_markers_shortly_after_the_eeg_are_of_the_same_clock(tmp_path):
    file = File(tmp_path / "late.xdf", 20)
    file.writer.stream_header(1, eeg())
    recording = open_recording(file.mark([["1"]], first=1021.0).write(1).path)
    assert recording.notices == ("no marker of stream 'Stim' lies within the EEG",)


def test_every_text_channel_of_a_marker_stream_is_read_or_the_one_that_is_named(tmp_path):
    file = File(tmp_path / "two.xdf", 20)
    file.writer.stream_header(1, eeg())
    file.mark([["b1", "face"], ["b1", "house"]], header=marks(2, BLOCK_AND_LABEL)).write(1)
    assert [marker.kind for marker in open_recording(file.path).markers] == ["b1", "face", "b1", "house"]
    named = open_recording(file.path, Config(markers=MarkerSettings(channel="word")))
    assert [marker.kind for marker in named.markers] == ["face", "house"]
    assert named.notices == ("of marker stream 'Stim' only channel word is read, not block",)
    with pytest.raises(SourceError, match=r"no channel 'x', it has block, word; correct markers\.channel"):
        open_recording(file.path, Config(markers=MarkerSettings(channel="x")))


def test_a_stream_that_boasts_is_passed_over_and_the_others_are_read(file):
    file.writer.stream_header(5, eeg("boast", 10**9))
    recording = open_recording(file.write(1).path)
    assert recording.n_samples == 15000
    (told,) = recording.notices
    assert told.startswith("a stream is passed over: stream 'Amp' claims 1000000000 channels")


def test_control_characters_in_a_header_are_replaced(tmp_path):
    file = File(tmp_path / "odd.xdf", 20)
    file.writer.stream_header(1, eeg("a\x02&#7;"))
    assert open_recording(file.write(1).path).spec.source_id == "a��"


def test_files_without_clock_offsets_are_read_in_silence(shared_data, caplog):
    for name in ("minimal", "clock_resets"):
        settings = Config.model_validate({"stream": {"unit": "microvolts"}})
        assert open_recording(shared_data / "xdf" / f"{name}.xdf", settings).n_samples
    assert caplog.records == []


def test_mutated_files_are_read_or_refused_in_one_line(file):
    content = file.write(1).path.read_bytes()[:400_000]
    rng = np.random.default_rng(7)
    refused, lines = [], 0
    for _ in range(300):
        mutated = bytearray(content[: rng.integers(3000, 60_000)])
        for _ in range(rng.integers(1, 6)):
            place = int(rng.integers(0, len(mutated) if rng.random() < 0.5 else 1500))
            if (what := rng.integers(3)) == 0:
                mutated[place] ^= 1 << int(rng.integers(8))
            elif what == 1:
                mutated[place : place + int(rng.integers(1, 40))] = rng.bytes(int(rng.integers(0, 40)))
            else:
                mutated[place : place + 8] = b"\xff" * 8
        file.path.write_bytes(mutated)
        try:
            lines = max(lines, len(open_recording(file.path).notices))
        except SourceError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 290, "both happen"
    assert not any("\n" in line for line in refused)
    assert lines < 20
