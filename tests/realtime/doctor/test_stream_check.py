import re
import uuid

import pylsl
import pytest

from configs.schema import StreamSettings
from realtime.doctor import stream as stream_health
from tests.support.lsl_amplifier import Amplifier, eeg_info

pytestmark = pytest.mark.processes


@pytest.fixture
def name():
    return f"amp-{uuid.uuid4().hex[:8]}"


def test_a_stream_that_is_well_is_told_with_its_loss_jitter_and_clock(name):
    with Amplifier(name, "id", marker_s=None):
        stream, clock = stream_health.check_stream(StreamSettings(name=name), seconds=6.0)
    assert "3 channels at 250 Hz in microvolts" in stream.found
    assert re.search(r", measured 2\d\d\.\d+ Hz, jitter \d+\.\d ms, 0 of 1\d\d\d samples lost in 6 s", stream.found)
    told = re.fullmatch(r"offset ([+-]\d+\.\d\d) ms, drift ([+-]\d+) ppm over [56] s", clock.found)
    assert told is not None, clock
    assert abs(float(told[1])) < 1.0, "one machine has one clock"


def test_a_name_with_an_apostrophe_and_a_type_in_small_letters_are_watched(name):
    outlet = pylsl.StreamOutlet(eeg_info(f'{name}\'s "cap"', "", 100, "float32", "uV", ("Fz",), type_="eeg"))
    stream, clock = stream_health.check_any_stream(seconds=1.0)
    assert stream.found.endswith("sends nothing")
    assert re.match(r"offset [+-]0\.\d\d ms", clock.found), clock
    del outlet


def test_a_stream_that_sends_nothing_is_broken_and_not_waited_for(name):
    outlet = pylsl.StreamOutlet(eeg_info(name, "id", 100, "float32", "uV", ("Fz",)))
    stream, clock = stream_health.check_stream(StreamSettings(name=name), seconds=1.0)
    assert (stream.status, stream.advice) == ("broken", "start the amplifier's acquisition")
    assert "drift n/a in 1 s" in clock.found
    del outlet


def test_a_stream_that_is_not_there_is_broken():
    (absent,) = stream_health.check_stream(StreamSettings(name="absent", timeout_s=0.5))
    assert (absent.status, "no EEG stream agrees" in absent.found) == ("broken", True)


def test_without_a_config_the_only_stream_is_watched_and_a_choice_is_left_to_people(name):
    (none,) = stream_health.check_any_stream()
    assert (none.status, none.found[:3]) == ("ok", "n/a")
    first = pylsl.StreamOutlet(eeg_info(name, "one", 100, "float32", "uV", ("Fz",)))
    assert len(stream_health.check_any_stream(seconds=0.5)) == 2
    second = pylsl.StreamOutlet(eeg_info(f"{name}-too", "two", 100, "float32", "uV", ("Fz",)))
    (choice,) = stream_health.check_any_stream()
    assert (choice.status, "2 are sending" in choice.found) == ("warning", True)
    del first, second
