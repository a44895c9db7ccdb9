import resource

import numpy as np
import pytest
import pyxdf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from configs.schema import Config, StreamSettings
from realtime.recording.xdf_contents import contents
from realtime.recording.xdf_writer import XdfWriter
from realtime.sources.readers.xdf_chunks import whole_chunks
from realtime.sources.recording import open_recording

INFO = """<info><name>{name}</name><type>EEG</type><channel_count>{channels}</channel_count>
<nominal_srate>{rate}</nominal_srate><channel_format>{format}</channel_format></info>"""
MICROVOLTS = Config(stream=StreamSettings(unit="microvolts"))
TYPES = {"float32": "f4", "double64": "f8", "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8"}


def load(path):
    streams, _ = pyxdf.load_xdf(path, dejitter_timestamps=False, handle_clock_resets=False)
    return {stream["info"]["name"][0]: stream for stream in streams}


@given(data=st.data(), format_=st.sampled_from(sorted(TYPES)), shape=st.tuples(st.integers(1, 40), st.integers(1, 5)))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_of_every_type_come_back_as_they_were(tmp_path, data, format_, shape):
    path = tmp_path / "file.xdf"
    path.unlink(missing_ok=True)
    samples = data.draw(
        hnp.arrays(TYPES[format_], shape, elements={"allow_nan": False} if "f" in TYPES[format_] else None)
    )
    timestamps = np.cumsum(data.draw(hnp.arrays("f8", shape[0], elements=st.floats(0.001, 10))))
    cut = data.draw(st.integers(0, shape[0]))
    writer = XdfWriter(path)
    writer.stream_header(1, INFO.format(name="amp", channels=shape[1], rate=100, format=format_))
    for part in (slice(None, cut), slice(cut, None)):
        if len(timestamps[part]):
            writer.numbers(1, timestamps[part], samples[part])
    writer.stream_footer(1, timestamps[0], timestamps[-1], len(timestamps), [])
    writer.close()
    read = load(path)["amp"]
    assert np.array_equal(read["time_series"], samples)
    assert np.array_equal(read["time_stamps"], timestamps)
    assert read["footer"]["info"]["sample_count"] == [str(len(timestamps))]


@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=20)
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_texts_come_back_as_they_were(tmp_path, texts):
    path = tmp_path / "file.xdf"
    path.unlink(missing_ok=True)
    writer = XdfWriter(path)
    writer.stream_header(7, INFO.format(name="marks", channels=1, rate=0, format="string"))
    writer.texts(7, range(1, len(texts) + 1), [[text] for text in texts])
    writer.close()
    assert [values[0] for values in load(path)["marks"]["time_series"]] == texts


def test_long_texts_and_chunks_use_longer_lengths(tmp_path):
    writer = XdfWriter(tmp_path / "file.xdf")
    writer.stream_header(1, INFO.format(name="marks", channels=1, rate=0, format="string"))
    writer.texts(1, np.arange(1.0, 400.0), [["x" * length] for length in range(1, 400)])
    writer.close()
    assert [len(values[0]) for values in load(tmp_path / "file.xdf")["marks"]["time_series"]] == list(range(1, 400))


def test_clock_offsets_bring_timestamps_to_this_clock(tmp_path):
    writer = XdfWriter(tmp_path / "file.xdf")
    writer.stream_header(1, INFO.format(name="amp", channels=1, rate=10, format="float32"))
    for second in range(0, 30, 5):
        writer.clock_offset(1, 1000.0 + second, 990.0)
    writer.numbers(1, np.arange(10.0, 40.0, 0.1), np.zeros((300, 1), np.float32))
    writer.close()
    assert load(tmp_path / "file.xdf")["amp"]["time_stamps"][[0, -1]] == pytest.approx([1000.0, 1029.9])


def test_cut_anywhere_it_opens_and_holds_all_whole_chunks_before_the_cut(tmp_path):
    path = tmp_path / "file.xdf"
    writer = XdfWriter(path)
    writer.stream_header(1, INFO.format(name="amp", channels=2, rate=10, format="float32"))
    ends = []
    for number in range(9):
        writer.numbers(1, number + np.arange(1.0, 11.0) / 10, np.full((10, 2), number, np.float32))
        writer.clock_offset(1, number + 1.0, 0.0)
        if number % 3 == 2:
            writer.boundary()
        ends.append(path.stat().st_size)
    writer.close()
    whole = path.read_bytes()
    for size in range(ends[2] - 3, ends[-1], 37):
        path.write_bytes(whole[:size])
        before_cut = sum(end <= size for end in ends)
        assert open_recording(path, MICROVOLTS).n_samples in (10 * before_cut, 10 * before_cut + 10)
        path.write_bytes(whole_chunks(whole[:size]).content())
        assert len(load(path)["amp"]["time_stamps"]) in (10 * before_cut, 10 * before_cut + 10)


def test_a_file_is_never_overwritten(tmp_path):
    (tmp_path / "file.xdf").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        XdfWriter(tmp_path / "file.xdf")
    assert (tmp_path / "file.xdf").read_bytes() == b"precious"


def test_a_full_disk_leaves_whole_chunks_and_is_gone_on_with(tmp_path):
    path = tmp_path / "file.xdf"
    writer = XdfWriter(path)
    writer.stream_header(1, INFO.format(name="amp", channels=2, rate=10, format="float32"))
    writer.numbers(1, np.arange(1.0, 11.0), np.zeros((10, 2), np.float32))
    size = path.stat().st_size
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, unlimited[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            writer.numbers(1, np.arange(11.0, 21.0), np.zeros((10, 2), np.float32))
        assert path.stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    writer.numbers(1, np.arange(21.0, 31.0), np.zeros((10, 2), np.float32))
    writer.close()
    assert len(load(path)["amp"]["time_stamps"]) == 20


def test_where_there_is_no_room_for_a_beginning_there_is_no_file(tmp_path):
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, unlimited[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            XdfWriter(tmp_path / "file.xdf")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert not (tmp_path / "file.xdf").exists()


@pytest.mark.parametrize("format_", ["float32", "double64", "int16", "string"])
@pytest.mark.parametrize("footer", [False, True])
def test_what_a_file_holds_is_found_and_gone_on_with(tmp_path, format_, footer):
    path = tmp_path / "file.xdf"
    info = INFO.format(name="amp", channels=2, rate=10, format=format_)
    timestamps = np.arange(1.0, 31.0)
    values = [[f"a{n}", "é" * n] for n in range(30)]
    samples = values if format_ == "string" else np.arange(60).reshape(30, 2).astype(TYPES[format_])

    def write(writer, part):
        put = writer.texts if format_ == "string" else writer.numbers
        put(3, timestamps[part], samples[part])

    writer = XdfWriter(path)
    writer.stream_header(3, info)
    writer.clock_offset(3, 5.0, 0.25)
    for part in (slice(0, 10), slice(10, 20)):
        write(writer, part)
    if footer:
        writer.stream_footer(3, 1.0, 20.0, 20, [])
    writer.close()
    path.write_bytes(path.read_bytes() + b"\x04half")
    with path.open("rb") as file:
        size, streams = contents(file)
    assert [(held.first, held.last, held.count, held.offsets) for held in streams.values()] == [
        (1.0, 20.0, 20, [(5.0, 0.25)])
    ]
    assert (streams[3].stream.name, streams[3].stream.format) == ("amp", format_)
    writer = XdfWriter(path, resume_at=size)
    write(writer, slice(20, 30))
    writer.close()
    read = load(path)["amp"]
    assert len(read["time_stamps"]) == 30
    np.testing.assert_array_equal(read["time_series"], samples)
