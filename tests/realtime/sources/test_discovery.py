"""Streams are found on a machine that is busy, where one that was seen may be slow to answer again."""

import time
import uuid

import pytest

from realtime.sources.discovery import SETTLE_S, Finder, find_streams
from realtime.sources.selection import Wanted
from tests.support.lsl_amplifier import Amplifier

pytestmark = pytest.mark.processes

FORGOTTEN_S = 2.0
"""How long a `Finder` keeps a stream in sight that does not answer."""


def test_a_stream_that_is_out_of_sight_when_it_has_settled_is_waited_for():
    name = f"amp-{uuid.uuid4().hex[:8]}"
    finder = Finder()
    with Amplifier(name, "id", marker_s=None) as amplifier:
        while not finder.found():
            time.sleep(0.005)
        amplifier.pause()  # it answers no more, and is forgotten while a second one is waited for
        seen = time.monotonic()
        time.sleep(FORGOTTEN_S - SETTLE_S / 2)
        paused = True

        def beat():
            nonlocal paused
            if paused and time.monotonic() > seen + FORGOTTEN_S + 1.5 * SETTLE_S:
                amplifier.go_on()
                paused = False

        found = finder.first(60.0, "EEG", "stream", Wanted(name), beat)
    assert found.name() == name
    assert not paused


def test_a_list_waits_for_what_is_needed_and_keeps_what_was_seen():
    name = f"amp-{uuid.uuid4().hex[:8]}"
    with Amplifier(name, "id") as amplifier:
        amplifier.pause()
        begun = time.monotonic()
        assert not [stream for stream in find_streams(0.2, Wanted(type="EEG")) if stream.name == name]
        assert time.monotonic() > begun + 0.6
        amplifier.go_on()
        names = [stream.name for stream in find_streams(wanted=Wanted(name))]
    assert name in names
