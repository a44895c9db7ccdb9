"""Playing a recording as live LSL streams, from a process of its own: a recorded amplifier."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from configs.schema import Config
from realtime.processes.signals import leave_to_session
from realtime.processes.supervised import Connection, Supervised
from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.sources.metadata import SourceError
from realtime.sources.recording import open_recording

if TYPE_CHECKING:
    import pylsl

OPENING_S = 60.0  # reading a long recording takes time
MARKERS_S = 1.0  # how long to wait for a reader of the markers once the EEG has one
PAUSE_S = 1.0  # sent for a pause whose length the recording does not tell: a live stream knows lost samples only
LINGER_S = 1.0  # outlets outlive the last sample, so that readers get it


@dataclass(frozen=True)
class Streams:
    """The live streams: what to set in ``stream.name``, ``markers.source_id`` and so on to read them."""

    name: str
    source_id: str
    markers_name: str
    markers_source_id: str


@dataclass(frozen=True)
class Played:
    """How many samples and markers were sent."""

    samples: int
    markers: int


class Publisher:
    """Plays a recording as a live EEG stream and a live marker stream on this machine's LSL clock.

    Timestamps keep their recorded spacing, so holes and jitter are as they were. At a speed other than 1 the timestamps
    therefore run ahead of the clock, or behind it.

    Parameters
    ----------
    path, config
        As for `open_recording`.
    speed
        1 for real time, 2 for twice as fast, ...
    name, source_id
        Name and source id of the EEG stream; the recording's own name, and one made from the file's name, when left
        out. Those of the marker stream end in ``markers``.
    """

    def __init__(
        self,
        path: Path,
        config: Config | None = None,
        speed: float = 1.0,
        name: str | None = None,
        source_id: str | None = None,
    ) -> None:
        arguments = (path, config or Config(), speed, name, source_id)
        self._process = Supervised("publisher", _publish, arguments)
        self._played: Played | None = None

    def start(self, timeout_s: float = OPENING_S) -> Streams:
        """Return the streams once they can be found; nothing is sent yet.

        Raises
        ------
        SourceError
            If the recording cannot be opened.
        """
        reply = next(self._process.hear(timeout_s), None)
        if isinstance(reply, Streams):
            return reply
        self.stop()
        raise SourceError(reply if isinstance(reply, str) else "the process that plays the recording did not start")

    def play(self, *, when_read: bool = True) -> None:
        """Begin to send: as soon as somebody reads the EEG stream, or at once."""
        self._process.tell(when_read)

    def wait(self, timeout_s: float | None = None) -> Played | None:
        """Return what was played once the end is reached; None if that takes longer than `timeout_s`.

        Raises
        ------
        SourceError
            If the process ended before the recording did.
        """
        if self._played is None:
            reply = next(self._process.hear(timeout_s), None)
            if isinstance(reply, Played):
                self._played = reply
            elif not self._process.alive:
                raise SourceError(reply if isinstance(reply, str) else "the process that plays the recording died")
        return self._played

    def stop(self) -> None:
        """End the streams; safe to call twice."""
        self._process.close()


def _publish(
    pipe: Connection, path: Path, config: Config, speed: float, name: str | None, source_id: str | None
) -> None:
    import pylsl

    leave_to_session()
    try:
        recording = open_recording(path, config, speed)
    except SourceError as error:
        pipe.send(str(error))
        return
    name = name or recording.spec.name
    source_id = source_id or f"recording-{path.stem}"
    streams = Streams(name, source_id, f"{name} markers", f"{source_id}-markers")
    samples_out = pylsl.StreamOutlet(stream_info(recording.spec, streams.name, streams.source_id))
    markers_out = pylsl.StreamOutlet(
        pylsl.StreamInfo(
            streams.markers_name, config.markers.type, 1, pylsl.IRREGULAR_RATE, "string", streams.markers_source_id
        )
    )
    pipe.send(streams)
    try:
        when_read = pipe.recv()
        while when_read and not samples_out.wait_for_consumers(0.1):
            if pipe.poll():
                when_read = pipe.recv()
    except EOFError:
        return  # whoever wanted this has gone
    if when_read:
        markers_out.wait_for_consumers(MARKERS_S)
    shift_s: float | None = None
    last = 0.0
    n_samples = n_markers = 0
    early: list[Marker] = []  # markers before the first sample, whose time on this clock is not yet known
    for event in recording.events():
        if pipe.poll():
            return  # whoever wanted this has gone
        if isinstance(event, Marker):
            early.append(event)
            n_markers += 1
        elif isinstance(event, Chunk):
            if shift_s is None:
                shift_s = pylsl.local_clock() - float(event.timestamps[-1])
            if event.after_pause and event.timestamps[0] - last < 1.5 / recording.spec.rate_hz:
                shift_s += PAUSE_S
            last = float(event.timestamps[-1])
            _push(samples_out, event, shift_s)
            n_samples += len(event.timestamps)
        if shift_s is not None:
            for marker in early:
                markers_out.push_sample([_sent_as(marker)], marker.timestamp + shift_s)
            early.clear()
    time.sleep(LINGER_S)
    pipe.send(Played(n_samples, n_markers))


def stream_info(spec: StreamSpec, name: str, source_id: str) -> pylsl.StreamInfo:
    """Return the LSL metadata of an EEG stream in microvolts, with everything that a reader may ask for.

    Parameters
    ----------
    spec
        Channels, rate and reference of the stream.
    name
        Its name on the network.
    source_id
        By which a reader finds it again when it was restarted.
    """
    import pylsl

    info = pylsl.StreamInfo(name, spec.type or "EEG", len(spec.channels), spec.rate_hz, "float32", source_id)
    channels = info.desc().append_child("channels")
    for label in spec.channels:
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", "microvolts")
        channel.append_child_value("type", "EEG")
    if spec.reference:
        info.desc().append_child("reference").append_child_value("label", spec.reference)
    return info


def _push(outlet: pylsl.StreamOutlet, chunk: Chunk, shift_s: float) -> None:
    outlet.push_chunk(chunk.samples, (chunk.timestamps + shift_s).tolist())


def _sent_as(marker: Marker) -> str:
    """Return the marker as its sender had sent it: foreign labels stay plain."""
    return marker.kind if marker.picture is None and not marker.extra else marker.text()
