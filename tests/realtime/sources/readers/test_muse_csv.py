"""CSV files of muse-lsl as people have them."""

import numpy as np
import pytest

from configs.schema import Config, MarkerSettings, parse_config
from realtime.sources.recording import SourceError, open_recording

HEAD = "timestamps,TP9,AF7,AF8,TP10"
SAMPLES = np.random.default_rng(0).normal(0, 10, (1300, 4))


def row(number, timestamp):
    return f"{timestamp}," + ",".join(f"{value:.3f}" for value in SAMPLES[number])


def timestamp(number):
    return f"{150000 + number / 256:.3f}"


def mark(number):
    return f",{1 if number % 300 == 299 else 0}"


@pytest.fixture
def write(tmp_path):
    def write(text, encoding="utf-8"):
        (tmp_path / "run.csv").write_bytes(text.encode(encoding))
        return tmp_path / "run.csv"

    return write


def whole(first_mark=0, title=",Marker0"):
    rows = (row(number, timestamp(number)) + (mark(number) if number >= first_mark else "") for number in range(1300))
    return HEAD + title + "\n" + "\n".join(rows) + "\n"


def test_a_marker_column_without_title_that_begins_late_is_read_and_told(write):
    recording = open_recording(write(whole(12, "")))
    assert recording.spec.channels == ("TP9", "AF7", "AF8", "TP10")
    assert [round((marker.timestamp - 150000) * 256) for marker in recording.markers] == [299, 599, 899, 1199]
    (told,) = recording.notices
    assert told.startswith("what stands behind TP10 has no title and is taken for Marker0; rows before 13")


def test_commas_at_the_end_of_every_line_are_no_columns(write):
    recording = open_recording(write("\n".join(f"{line},," for line in whole().splitlines())))
    assert recording.spec.channels == ("TP9", "AF7", "AF8", "TP10")
    assert (len(recording.markers), recording.notices) == (4, ())


def test_timestamps_in_milliseconds_are_taken_for_such_and_told(write):
    rows = (row(number, f"{1527976488650.125 + number * 1000 / 256:.3f}") + mark(number) for number in range(1300))
    recording = open_recording(write(HEAD + ",Marker0\n" + "\n".join(rows)))
    assert recording.spec.rate_hz == 256
    assert recording.duration_s == pytest.approx(1299 / 256, abs=1e-3)
    assert recording.markers[0].timestamp == pytest.approx(1527976488.650125 + 299 / 256, abs=1e-3)
    assert "are taken for milliseconds" in recording.notices[0]


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_of_a_file_cut_off_all_whole_rows_are_read(write, cut):
    text = whole()
    recording = open_recording(write(text[:-cut]))
    n_rows = text[:-cut].count("\n") - 1
    assert recording.n_samples in (n_rows, n_rows + 1)
    assert recording.n_samples == n_rows + 1 or recording.notices == ("the last row is cut off and left out",)


def several(marks):
    head = HEAD + "".join(f",Marker{number}" for number in range(len(marks[0])))
    rows = (
        row(number, timestamp(number)) + "".join(f",{code}" for code in codes) for number, codes in enumerate(marks)
    )
    return head + "\n" + "\n".join(rows) + "\n"


def test_of_several_marker_columns_one_must_be_named(write):
    marks = [[0, 0, 0]] * 40
    marks[10], marks[20] = [1, 1, 45], [2, 1, 90]
    file = write(several(marks))
    with pytest.raises(SourceError, match=r"markers in Marker0, Marker1, Marker2.*one in markers\.column, or all in"):
        open_recording(file)
    named = open_recording(file, parse_config({"markers": {"column": "Marker2"}}, "here"))
    assert [marker.kind for marker in named.markers] == ["45", "90"]
    assert named.notices == ("of the marker columns only Marker2 is read, not Marker0, Marker1",)
    with pytest.raises(SourceError, match=r"no marker column 'x'; it has Marker0, Marker1, Marker2; correct"):
        open_recording(file, Config(markers=MarkerSettings(channel="x")))


def test_columns_may_be_fields_of_each_marker_and_the_first_marks_events_where_none_else_does(write):
    marks = [[0, 0, 0]] * 40
    marks[10], marks[20], marks[30] = [1, 1, 45], [2, 1, 0], [2, 1, 22.5]
    file = write(several(marks))
    named = {"Marker1": "contrast", "Marker2": "orientation"}
    recording = open_recording(file, Config(markers=MarkerSettings(fields=named)))
    told = [{"contrast": 1, "orientation": angle} for angle in (45, 0, 22.5)]
    assert [(marker.kind, marker.extra) for marker in recording.markers] == list(zip("122", told, strict=True))
    assert recording.notices == ()
    every = MarkerSettings(fields={"Marker0": "frequency", **named})
    first = open_recording(file, Config(markers=every)).markers[0]
    assert (first.kind, first.extra) == ("1", {"frequency": 1, **told[0]})
    one = {"column": "Marker0", "fields": {"Marker2": "orientation"}}
    recording = open_recording(file, parse_config({"markers": one}, "here"))
    assert recording.notices == ("of the marker columns only Marker0, Marker2 are read, not Marker1",)
    with pytest.raises(SourceError, match=r"no marker column 'x'; it has .*; correct markers\.fields"):
        open_recording(file, Config(markers=MarkerSettings(fields={"x": "y"})))


def test_a_number_that_is_too_large_is_no_warning(write):
    recording = open_recording(write(whole().replace(row(9, timestamp(9)), f"{timestamp(9)},1e300,2,3,4", 1)))
    assert recording.n_samples == 1300


def test_empty_marker_columns_are_no_question(write):
    marks = [[0, 0]] * 40
    marks[10] = [0, 7]
    assert [marker.kind for marker in open_recording(write(several(marks))).markers] == ["7"]


def test_real_recordings_with_three_marker_columns(shared_data):
    file = shared_data / "muse_spatial_freq" / "run1.csv"
    with pytest.raises(SourceError, match=r"name one in markers\.column"):
        open_recording(file)
    recording = open_recording(file, Config(markers=MarkerSettings(channel="Marker0")))
    assert {marker.kind for marker in recording.markers} == {"1", "2", "3", "4"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("timestamps,TP9 [\u00b5V],AF7,Marker0\n1,2,3,0\n2,3,4,0\n", r"run\.csv is not UTF-8 \(byte 16 is 0xb5\)"),
        (HEAD + "\n1,2,3\n2,3,4,5,6\n", r"row 1 has 3 values, at least 5 are needed"),
        (HEAD + "\n1,2,3,4,5\nx,3,4,5,6\n", "could not convert string to float: 'x'"),
        (HEAD + "\n1,2,3,4,5\n,3,4,5,6\n", "row 2 has no timestamp"),
        (HEAD + "\n1,2,3,4,5\n1,2,3,4,5\n", "the timestamps do not advance"),
        (HEAD + "\n" + "1," * 40 + "\n", "a row of 40 values under 5 titles"),
        ("", "its first column is ''"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(write, text, told):
    with pytest.raises(SourceError, match=told) as refused:
        open_recording(write(text, "cp1252"))
    assert "\n" not in str(refused.value)


def test_mutated_files_are_read_or_refused_in_one_line(write):
    text = whole().encode()[:4000]
    rng = np.random.default_rng(3)
    refused, read = [], 0
    for _ in range(300):
        mutated = bytearray(text[: rng.integers(60, 4000)])
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(0, len(mutated)))
            new = b"0123456789" if rng.random() < 0.7 else b',.-\n" \x00\xff'
            mutated[place : place + int(rng.integers(0, 4))] = bytes(rng.choice(list(new), rng.integers(0, 3)))
        try:
            open_recording(write(mutated.decode("latin-1"), "latin-1"))
            read += 1
        except SourceError as error:
            refused.append(str(error))
    assert read > 20
    assert len(refused) > 20
    assert not any("\n" in line for line in refused)
