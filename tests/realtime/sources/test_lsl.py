import os
import signal
import threading
import time
import uuid

import numpy as np
import pylsl
import pytest

from configs.schema import MarkerSettings, StreamSettings
from realtime.sources.base import Chunk, Marker, Notice
from realtime.sources.lsl import LslSource, SourceError, find_streams
from realtime.sources.lsl_reader import TWINS_S
from tests.support.lsl_amplifier import Amplifier, eeg_info

pytestmark = pytest.mark.processes


class Reading:
    """What a source yields, kept."""

    def __init__(self, source):
        self.source = source
        self._events = source.events()
        self.numbers, self.timestamps, self.markers, self.notices = [], [], [], []

    def until(self, done, within_s=90.0):
        give_up = time.monotonic() + within_s
        while not done(self):
            assert time.monotonic() < give_up, (len(self.numbers), self.markers[-3:], self.notices)
            event = next(self._events)
            if isinstance(event, Chunk):
                self.numbers += [round(float(value)) for value in event.samples[:, 0]]
                self.timestamps += event.timestamps.tolist()
            elif isinstance(event, Marker):
                self.markers.append(event)
            else:
                assert isinstance(event, Notice)
                self.notices.append(event)
        return self

    def said(self, kind):
        return [notice for notice in self.notices if notice.kind == kind]


@pytest.fixture
def name():
    return f"amp-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def read():
    sources = []

    def start(name, markers=None, **settings):
        sources.append(LslSource(StreamSettings(name=name, **settings), markers))
        return Reading(sources[-1])

    yield start
    for source in sources:
        source.close()


@pytest.mark.parametrize(
    ("format_", "unit", "gain"),
    [("float32", "microvolts", 1.0), ("double64", "V", 1e-6), ("int32", "nanovolts", 1000)],
)
def test_every_sample_comes_once_in_microvolts_whatever_the_format(name, read, format_, unit, gain):
    with Amplifier(name, "id", format=format_, unit=unit, gain=gain, marker_s=None):
        reading = read(name).until(lambda r: len(r.numbers) > 100)
    assert np.diff(reading.numbers).tolist() == [1] * (len(reading.numbers) - 1)
    assert reading.source.spec.channels == ("Fz", "Cz", "Pz"), "a trigger is not EEG"
    assert np.allclose(np.diff(reading.timestamps), 1 / 250, atol=2e-4)


def test_markers_come_with_the_timestamps_of_their_samples(name, read):
    with Amplifier(name, "id"):
        reading = read(name, MarkerSettings(name=f"{name}-markers"), channels=("Trigger", "Fz"))
        reading.until(lambda r: len(r.markers) > 5)
    assert reading.source.spec.channels == ("Trigger", "Fz")
    kinds = [int(marker.kind) for marker in reading.markers]
    assert np.diff(kinds).tolist() == [25] * (len(kinds) - 1)
    spacing = np.diff([marker.timestamp for marker in reading.markers])
    assert np.allclose(spacing, 0.1, atol=1e-3)


def test_markers_may_come_later_and_as_json_numbers_or_columns(name, read):
    with Amplifier(name, "id", marker_s=None):
        reading = read(name, MarkerSettings(type=name, required=False)).until(lambda r: len(r.numbers) > 10)
        text = pylsl.StreamOutlet(pylsl.StreamInfo(f"{name}-text", name, 1, 0, "string", "text"))
        assert_reached(text, reading)
        text.push_sample(['{"schema":1,"kind":"picture","picture":"cat","trial":3}'], 1000.0)
        reading.until(lambda r: r.markers)
        assert reading.markers[0].picture == "cat"
        assert reading.markers[0].extra == {"trial": 3}
        assert reading.markers[0].timestamp == pytest.approx(1000.0, abs=1e-3)
        del text
        reading.until(lambda r: r.said("lost"))
        columns = pylsl.StreamInfo(f"{name}-columns", name, 2, 0, "double64", "columns")
        listed = columns.desc().append_child("channels")
        for label in ("square", "rt"):
            listed.append_child("channel").append_child_value("label", label)
        outlet = pylsl.StreamOutlet(columns)
        assert_reached(outlet, reading)
        outlet.push_sample([0.0, -1.0])
        reading.until(lambda r: len(r.markers) > 1)
        assert reading.said("reconnected")
    assert reading.markers[1].kind == "rt"


def assert_reached(outlet, reading):
    """Read on until somebody listens to `outlet`."""
    reading.until(lambda _r: outlet.have_consumers())


def test_markers_of_another_clock_are_told_at_once(name, read):
    with Amplifier(name, "id", marker_s=None):
        outlet = pylsl.StreamOutlet(pylsl.StreamInfo(f"{name}-marks", "Markers", 1, 0, "string", f"{name}-marks"))
        reading = read(name, MarkerSettings(name=f"{name}-marks")).until(lambda r: len(r.numbers) > 20)
        assert_reached(outlet, reading)
        outlet.push_sample(["now"], pylsl.local_clock())
        reading.until(lambda r: r.markers)
        assert not reading.said("foreign-clock")
        outlet.push_sample(["unix"], time.time())
        (told,) = reading.until(lambda r: r.said("foreign-clock")).said("foreign-clock")
    assert f"stream '{name}-marks' lie" in told.text
    assert told.text.endswith("make the sender timestamp with local_clock()")
    assert "s ahead of the LSL clock" in told.text
    del outlet


@pytest.mark.parametrize(("channel", "kinds"), [(None, ["b1", "face"]), ("word", ["face"])])
def test_every_text_channel_is_a_marker_or_the_one_that_is_named(name, read, channel, kinds):
    info = pylsl.StreamInfo(f"{name}-marks", "Markers", 2, 0, "string", f"{name}-marks")
    listed = info.desc().append_child("channels")
    for label in ("block", "word"):
        listed.append_child("channel").append_child_value("label", label)
    outlet = pylsl.StreamOutlet(info)
    with Amplifier(name, "id", marker_s=None):
        reading = read(name, MarkerSettings(name=f"{name}-marks", channel=channel))
        reading.until(lambda r: len(r.numbers) > 20)
        assert_reached(outlet, reading)
        outlet.push_sample(["b1", "face"])
        reading.until(lambda r: len(r.markers) == len(kinds))
        assert [marker.kind for marker in reading.markers] == kinds
        assert bool(reading.said("markers")) == (channel is not None)
    del outlet


def test_two_that_agree_are_refused_and_both_named(name):
    ids = (f"{name}-left", f"{name}-right")
    outlets = [pylsl.StreamOutlet(eeg_info(name, source_id, 100, "float32", "uV", ("Fz",))) for source_id in ids]
    with pytest.raises(SourceError, match=r"2 EEG streams agree") as refused:
        LslSource(StreamSettings(name=name))
    assert all(source_id in str(refused.value) for source_id in ids)
    assert "\n" not in str(refused.value)
    assert len([stream for stream in find_streams() if stream.name == name]) == len(outlets)


def test_nothing_found_lists_what_there_is(name):
    outlet = pylsl.StreamOutlet(eeg_info(name, "id", 100, "float32", "uV", ("Fz",)))
    with pytest.raises(SourceError, match=f"no EEG stream agrees with name 'absent'.*{name}"):
        LslSource(StreamSettings(name="absent", timeout_s=1.0))
    del outlet


def test_a_missing_marker_stream_is_an_error_only_where_it_is_required(name):
    outlet = pylsl.StreamOutlet(eeg_info(name, "id", 100, "float32", "uV", ("Fz",)))
    with pytest.raises(SourceError, match="no marker stream agrees"):
        LslSource(StreamSettings(name=name, timeout_s=1.0), MarkerSettings(name="absent"))
    LslSource(StreamSettings(name=name, timeout_s=2.0), MarkerSettings(name="absent", required=False)).close()
    del outlet


def test_a_missing_unit_is_an_error_that_names_the_setting(name, read):
    with Amplifier(name, "id", unit="", marker_s=None):
        with pytest.raises(SourceError, match=r"channel Fz has no unit; set stream\.unit"):
            LslSource(StreamSettings(name=name))
        reading = read(name, unit="millivolts").until(lambda r: len(r.numbers) > 5)
    assert np.diff(reading.numbers)[0] == 1000


@pytest.mark.realtime
def test_a_killed_reader_is_reported_at_once_and_replaced(name, read):
    with Amplifier(name, "id"):
        reading = read(name, MarkerSettings(name=f"{name}-markers")).until(lambda r: len(r.numbers) > 50)
        killed = time.monotonic()
        os.kill(reading.source.reader_pid, signal.SIGKILL)
        reading.until(lambda r: r.said("lost"))
        assert time.monotonic() - killed < 1.0
        reading.until(lambda r: r.said("restarted"))
        before = len(reading.numbers)
        reading.until(lambda r: len(r.numbers) > before + 50 and len(r.markers) > 2)
    steps = np.diff(reading.numbers)
    assert (steps >= 1).all(), "nothing comes twice or out of order"
    assert (steps > 1).sum() <= 1, "one hole"
    true_s = np.array(reading.numbers) / 250
    assert np.ptp(np.array(reading.timestamps) - true_s) < 2e-3, "the timestamps know about the hole"


@pytest.mark.realtime
def test_a_hung_reader_is_replaced(name, read):
    with Amplifier(name, "id"):
        reading = read(name).until(lambda r: len(r.numbers) > 50)
        os.kill(reading.source.reader_pid, signal.SIGSTOP)
        reading.until(lambda r: r.said("stalled"), within_s=1.5)
        reading.until(lambda r: r.said("restarted"))
        before = len(reading.numbers)
        reading.until(lambda r: len(r.numbers) > before + 20)


@pytest.mark.realtime
def test_a_stopped_amplifier_is_reported_within_a_second_and_read_on(name, read):
    with Amplifier(name, "id") as amplifier:
        reading = read(name).until(lambda r: len(r.numbers) > 50)
        amplifier.pause()
        paused = pylsl.local_clock()
        reading.until(lambda r: r.said("stalled"))
        assert reading.said("stalled")[0].timestamp - paused < 1.0
        amplifier.go_on()
        reading.until(lambda r: r.said("resumed"))
        before = len(reading.numbers)
        reading.until(lambda r: len(r.numbers) > before + 50)
    assert np.diff(reading.numbers).max() == 1, "the amplifier lost nothing, so nothing is missing"


@pytest.mark.parametrize("source_id", ["same-id", ""])
def test_a_restarted_amplifier_is_found_again(name, read, source_id):
    first = Amplifier(name, source_id, marker_s=None).start()
    reading = read(name).until(lambda r: len(r.numbers) > 20)
    first.kill()
    reading.until(lambda r: r.said("lost"))
    with Amplifier(name, source_id, marker_s=None, first=100_000):
        reading.until(lambda r: r.said("reconnected"))
        reading.until(lambda r: r.numbers[-1] > 100_020)
    assert (np.diff(reading.numbers) > 1).sum() == 1


def test_a_twin_that_appears_is_told_once_and_not_read(name, read):
    with Amplifier(name, "id", marker_s=None):
        reading = read(name).until(lambda r: len(r.numbers) > 100)
        with Amplifier(name, "id", marker_s=None, first=500_000):
            reading.until(lambda r: r.said("twin"))
            # Long enough to be told again, were it told twice.
            seen = len(reading.numbers)
            reading.until(lambda r: len(r.numbers) > seen + 3 * TWINS_S * 250, within_s=6 * TWINS_S + 20)
    (told,) = reading.said("twin")
    assert f"{name!r}" in told.text
    assert "stop one of them" in told.text
    assert np.diff(reading.numbers).tolist() == [1] * (len(reading.numbers) - 1)


def test_a_twin_is_taken_neither_for_the_amplifier_whose_reader_died_nor_for_one_that_died(name, read):
    with Amplifier(name, "id", marker_s=None) as first:
        reading = read(name).until(lambda r: len(r.numbers) > 100)
        with Amplifier(name, "id", marker_s=None, first=500_000):
            assert len(pylsl.resolve_byprop("name", name, minimum=2, timeout=60)) == 2
            os.kill(reading.source.reader_pid, signal.SIGKILL)
            reading.until(lambda r: r.said("restarted"))
            seen = len(reading.numbers)
            reading.until(lambda r: len(r.numbers) > seen + 100)
            first.kill()
            told = reading.until(lambda r: r.said("twin")).said("twin")[-1]
            with Amplifier(name, "id", marker_s=None, first=100_000):
                reading.until(lambda r: r.numbers[-1] > 100_020)
    assert f"{name!r} with the same source id" in told.text
    assert max(reading.numbers) < 500_000


def test_an_amplifier_that_comes_back_at_another_rate_is_refused(name, read):
    first = Amplifier(name, "id", marker_s=None).start()
    reading = read(name).until(lambda r: len(r.numbers) > 20)
    first.kill()
    with Amplifier(name, "id", marker_s=None, rate_hz=500.0):
        reading.until(lambda r: any("500 Hz instead of 250" in notice.text for notice in r.said("lost")))
        assert not reading.said("reconnected")


def test_a_restart_is_no_twin(name, read):
    with Amplifier(name, "id", marker_s=None):
        reading = read(name).until(lambda r: len(r.numbers) > 100)
    with Amplifier(name, "id", marker_s=None):
        reading.until(lambda r: r.said("reconnected") or r.said("restarted"))
        seen = len(reading.numbers)
        reading.until(lambda r: len(r.numbers) > seen + 3 * TWINS_S * 250, within_s=6 * TWINS_S + 20)
    assert not reading.said("twin")


def test_an_amplifier_that_comes_back_with_its_channels_in_another_order_is_read_by_name(name, read):
    first = Amplifier(name, "id", marker_s=None).start()
    reading = read(name).until(lambda r: len(r.numbers) > 20)
    first.kill()
    with Amplifier(name, "id", marker_s=None, channels=("Pz", "Cz", "Fz", "Trigger")):
        reading.until(lambda r: r.said("reconnected"))
        before = len(reading.numbers)
        reading.until(lambda r: len(r.numbers) > before + 10)
    assert set(reading.numbers[before + 1 :]) == {0}, "the counter is now in Pz, and Fz is zero"


def test_an_amplifier_that_comes_back_without_a_channel_is_refused(name, read):
    first = Amplifier(name, "id", marker_s=None).start()
    reading = read(name).until(lambda r: len(r.numbers) > 20)
    first.kill()
    with Amplifier(name, "id", marker_s=None, channels=("Fz", "Cz")):
        reading.until(lambda r: any("has no channel Pz" in notice.text for notice in r.said("lost")))
        assert not reading.said("reconnected")


def test_what_was_sent_before_anybody_listened_is_dropped(name, read):
    with Amplifier(name, "id"):
        reading = read(name)
        threading.Event().wait(0.5)
        begun = pylsl.local_clock()
        reading.until(lambda r: len(r.numbers) > 20)
    assert reading.timestamps[0] > begun - 0.05


def test_close_from_another_thread_ends_the_events(name, read):
    with Amplifier(name, "id"):
        reading = read(name).until(lambda r: len(r.numbers) > 5)
        closer = threading.Timer(0.2, reading.source.close)
        closer.start()
        for _ in reading.source.events():
            pass
        closer.join()
        reading.source.close()


def test_a_session_that_pauses_longer_than_the_pipe_holds_loses_nothing(name, read):
    channels = tuple(f"E{number}" for number in range(128))
    with Amplifier(name, "id", rate_hz=1000.0, channels=channels, marker_s=None):
        reading = read(name).until(lambda r: len(r.numbers) > 100)
        threading.Event().wait(2.0)
        before = len(reading.numbers)
        reading.until(lambda r: len(r.numbers) > before + 2500)
    assert np.diff(reading.numbers).tolist() == [1] * (len(reading.numbers) - 1)
    assert reading.notices == []
