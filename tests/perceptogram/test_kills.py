"""A live session whose processes are killed and whose amplifier stops: it says so within a second and goes on."""

import os
import signal
import threading
import uuid

import numpy as np
import pylsl
import pytest
import pyxdf

from perceptogram.live.run import decode
from perceptogram.live.streams import RECORDING, LiveStreams
from realtime.recording.recorder import HUNG_S
from realtime.session import Decoded
from realtime.sources.base import Notice
from stimuli.marker_outlet import MarkerOutlet
from stimuli.markers import Marker
from tests.support.lsl_amplifier import Amplifier
from tests.support.session_parts import CONFIG, SPEC, bundle

pytestmark = [pytest.mark.processes, pytest.mark.realtime]

STOPPED_S = 5.0
EVERY_S = 0.25


class Watcher:
    """Events of a session, to be waited for."""

    def __init__(self):
        self.events = []
        self._news = threading.Condition()

    def __call__(self, event):
        with self._news:
            self.events.append((pylsl.local_clock(), event))
            self._news.notify_all()

    def first(self, wanted, since=0.0, within_s=90.0):
        """Return when the first event that is `wanted` was told after `since`, waiting for it."""
        with self._news:
            assert self._news.wait_for(lambda: self._found(wanted, since), within_s), self.said()
            return self._found(wanted, since)[0]

    def said(self):
        return [event.text for _, event in self.events if isinstance(event, Notice)]

    def _found(self, wanted, since):
        return [at for at, event in self.events if at > since and wanted(event)]


def told(kind, text):
    return lambda event: isinstance(event, Notice) and event.kind == kind and text in event.text


def seen_after(onset):
    """Return whether an event is a percept of a picture shown after `onset`."""
    return lambda event: isinstance(event, Decoded) and event.epoch.onset > onset


@pytest.fixture
def session(tmp_path):
    """A session that runs in a thread, its watcher, streams and amplifier; a picture is shown every quarter second."""
    name = f"kills-{uuid.uuid4().hex[:8]}"
    markers = CONFIG.markers.model_copy(update={"name": f"{name}-markers"})
    stream = CONFIG.stream.model_copy(update={"name": name})
    config = CONFIG.model_copy(update={"name": name, "stream": stream, "markers": markers})
    over, watcher = threading.Event(), Watcher()
    outlet = MarkerOutlet(markers.name, f"{name}-markers")

    def show():
        while not over.wait(EVERY_S):
            outlet.send(Marker(pylsl.local_clock(), "picture", "p0"))

    with Amplifier(name, "id", channels=SPEC.channels, marker_s=None) as amplifier:
        with LiveStreams(config, bundle(), tmp_path) as streams:
            arguments = (streams.source, streams.config, bundle(), tmp_path)
            options = {"render": False, "live": True, "outlets": streams.outlets, "observe": [watcher]}
            session = threading.Thread(target=decode, args=arguments, kwargs=options)
            shower = threading.Thread(target=show)
            session.start()
            shower.start()
            watcher.first(seen_after(0.0))
            try:
                yield watcher, streams, amplifier
            finally:
                streams.source.close()
                session.join()
                over.set()
                shower.join()
        outlet.close()


def recorded(path):
    """Return the amplifier's counter and the timestamps of the markers as pyxdf finds them."""
    streams, _ = pyxdf.load_xdf(path, dejitter_timestamps=False)
    eeg, marks = (next(one for one in streams if one["info"]["type"] == [kind]) for kind in ("EEG", "Markers"))
    return np.round(eeg["time_series"][:, 0]).astype(int), marks["time_stamps"]


def test_whatever_dies_is_told_within_a_second_and_the_session_goes_on(session, tmp_path):
    watcher, streams, amplifier = session
    killed = pylsl.local_clock()
    os.kill(streams.source.reader_pid, signal.SIGKILL)
    assert watcher.first(told("lost", "the reading process died"), killed) - killed < 1.0
    back = watcher.first(told("restarted", "read again"), killed)
    watcher.first(seen_after(back), back)

    watcher.first(lambda _: streams.recorder.spared, back)
    for harm, trouble in ((signal.SIGKILL, "died"), (signal.SIGSTOP, "hangs")):
        dead, harmed = streams.recorder.pid, pylsl.local_clock()
        os.kill(dead, harm)
        noticed = watcher.first(told("lost", f"the recorder {trouble}"), harmed) - harmed
        assert noticed < (1.0 if harm == signal.SIGKILL else HUNG_S + 1.0)
        back = watcher.first(told("restarted", "another recorder goes on"), harmed)
        assert streams.recorder.pid != dead
        watcher.first(seen_after(back), back)
        watcher.first(lambda _: streams.recorder.spared, back)

    stopped = pylsl.local_clock()
    amplifier.pause()
    assert watcher.first(told("stalled", "has sent nothing"), stopped) - stopped < 1.0
    threading.Event().wait(STOPPED_S)
    amplifier.go_on()
    back = watcher.first(told("resumed", "sends again"), stopped)
    watcher.first(seen_after(back), back)
    assert streams.recorder.stop().files == (tmp_path / RECORDING,)
    numbers, marks = recorded(tmp_path / RECORDING)
    assert (np.diff(numbers) == 1).all(), "whatever happened to the reader and to the recorders"
    assert np.diff(marks).max() < 2 * EVERY_S, "no marker is missing"
