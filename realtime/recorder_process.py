"""The process that records: every wanted stream, as sent, into one XDF file that is whole at every moment.

Written here and not left to LabRecorder's code, because a session must say exactly which streams to keep, add its own
streams when they appear, know how many samples were kept, and lose at most the last second when it is killed.
"""

from __future__ import annotations

import logging
import math
import queue
import signal
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.sources.metadata import DTYPES, StreamDescription, Wanted, describe, parse_info
from realtime.xdf import XdfWriter

if TYPE_CHECKING:
    import pylsl

logger = logging.getLogger(__name__)

WRITE_S = 0.1
SYNC_S = 0.5
CLOCK_S = 5.0
BOUNDARY_S = 10.0
OPEN_S = 5.0
CHUNK = 4096


@dataclass(frozen=True)
class Stop:
    """Ask to finish the file and end."""


@dataclass(frozen=True)
class Ready:
    """The file is there and streams are looked for."""


@dataclass(frozen=True)
class Recording:
    """`stream` is being recorded from now on, for `wanted`."""

    wanted: tuple[Wanted, ...]
    stream: StreamDescription


@dataclass(frozen=True)
class Ended:
    """`stream` has gone; what was recorded of it stays."""

    stream: StreamDescription


@dataclass(frozen=True)
class Failed:
    """Nothing more can be written; `text` says why in one line."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The file is complete; `samples` counts what it holds, by stream name."""

    samples: dict[str, int]


@dataclass
class _Track:
    """One stream that is being recorded."""

    number: int
    inlet: pylsl.StreamInlet
    stream: StreamDescription
    xml: str
    buffer: np.ndarray[Any, Any] | None
    first: float = math.nan
    last: float = math.nan
    count: int = 0
    offsets: list[tuple[float, float]] = field(default_factory=list)


def record(pipe: Connection, path: Path, wanted: tuple[Wanted, ...]) -> None:
    """Record the `wanted` streams into `path` until `Stop` comes or the other end of `pipe` closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the session's to handle
    try:
        recorder = _Recorder(pipe, path, list(wanted))
        # so does a session end that forgets to stop it: the file is finished all the same
        signal.signal(signal.SIGTERM, lambda *_: recorder.finish())
        samples = recorder.run()
    except OSError as error:
        reply: Finished | Failed = Failed(f"cannot record into {path}: {error.strerror or error}")
    else:
        reply = Finished(samples)
    try:
        pipe.send(reply)
    except OSError:
        logger.debug("the session has gone; the file is complete")


class _Recorder:
    def __init__(self, pipe: Connection, path: Path, wanted: list[Wanted]) -> None:
        import pylsl

        self._pipe = pipe
        self._finishing = False
        self._wanted = wanted
        self._writer = XdfWriter(path)
        self._resolver = pylsl.ContinuousResolver(forget_after=2.0)
        self._opening: dict[str, tuple[str, ...]] = {}
        self._opened: queue.SimpleQueue[tuple[str, _Track | None]] = queue.SimpleQueue()
        self._tracks: list[_Track] = []
        self._all: list[_Track] = []

    def finish(self) -> None:
        """Make `run` finish the file and end."""
        self._finishing = True

    def run(self) -> dict[str, int]:
        """Record until told to stop; returns the number of samples by stream name."""
        self._tell(Ready())
        synced = clocked = bounded = time.monotonic()
        while self._commands():
            self._look()
            self._admit()
            self._write()
            now = time.monotonic()
            if now - synced >= SYNC_S:
                self._writer.sync()
                synced = now
            if now - clocked >= CLOCK_S:
                for track in self._tracks:
                    self._clock(track)
                clocked = now
            if now - bounded >= BOUNDARY_S:
                self._writer.boundary()
                bounded = now
        self._write()
        for track in list(self._tracks):
            self._clock(track)
            self._end(track)
        self._writer.sync()
        self._writer.close()
        counts: dict[str, int] = {}
        for track in self._all:
            counts[track.stream.name] = counts.get(track.stream.name, 0) + track.count
        return counts

    def _commands(self) -> bool:
        """Wait for the time between two writes; returns whether to go on."""
        try:
            if not self._pipe.poll(WRITE_S):
                return not self._finishing
            command = self._pipe.recv()
        except (EOFError, OSError):
            return False  # the session has gone: finish the file
        if isinstance(command, Wanted):
            self._wanted.append(command)
        return not isinstance(command, Stop)

    def _look(self) -> None:
        """Start opening the streams in sight that are wanted and not yet recorded."""
        taken = {_identity(track.stream) for track in self._tracks} | set(self._opening.values())
        for info in self._resolver.results():
            stream = describe(parse_info(info.as_xml()))
            identity = _identity(stream)
            if identity not in taken and any(wanted.agrees(stream) for wanted in self._wanted):
                taken.add(identity)
                self._opening[stream.uid] = identity
                # in a thread, since a stream that does not answer must not hold up the others
                threading.Thread(target=self._open, args=(info, stream.uid), daemon=True).start()

    def _open(self, info: pylsl.StreamInfo, uid: str) -> None:
        import pylsl

        try:
            inlet = pylsl.StreamInlet(info, recover=True, processing_flags=pylsl.proc_none)
            xml = inlet.info(timeout=OPEN_S).as_xml()
            inlet.open_stream(timeout=OPEN_S)
            inlet.time_correction(timeout=OPEN_S)
        except RuntimeError:  # pylsl's lost and timeout errors: it is tried again while it is in sight
            self._opened.put((uid, None))
            return
        stream = describe(parse_info(xml))
        dtype = DTYPES.get(stream.format)
        buffer = None if dtype is None else np.empty((CHUNK, len(stream.channels)), dtype)
        self._opened.put((uid, _Track(0, inlet, stream, xml, buffer)))

    def _admit(self) -> None:
        """Give the streams that have been opened their place in the file."""
        while not self._opened.empty():
            uid, track = self._opened.get()
            del self._opening[uid]
            if track is None:
                continue
            track.number = len(self._all) + 1
            self._tracks.append(track)
            self._all.append(track)
            self._writer.stream_header(track.number, track.xml)
            self._clock(track)
            agreeing = tuple(wanted for wanted in self._wanted if wanted.agrees(track.stream))
            self._tell(Recording(agreeing, track.stream))

    def _write(self) -> None:
        import pylsl

        for track in list(self._tracks):
            try:
                while self._pull(track) == CHUNK:
                    continue
            except pylsl.util.LostError:
                self._end(track)
                self._tell(Ended(track.stream))

    def _pull(self, track: _Track) -> int:
        """Write what has come of one stream; returns how many samples."""
        values, stamps = track.inlet.pull_chunk(timeout=0.0, max_samples=CHUNK, dest_obj=track.buffer)
        if stamps:
            if track.buffer is None:
                self._writer.texts(track.number, stamps, values)
            else:
                self._writer.numbers(track.number, stamps, track.buffer[: len(stamps)])
            track.first = stamps[0] if track.count == 0 else track.first
            track.last = stamps[-1]
            track.count += len(stamps)
        return len(stamps)

    def _clock(self, track: _Track) -> None:
        import pylsl

        try:
            offset_s = track.inlet.time_correction(timeout=0.01)
        except RuntimeError:
            return  # no estimate yet after a reconnection, or the stream has gone
        measured_at = pylsl.local_clock()
        track.offsets.append((measured_at, offset_s))
        self._writer.clock_offset(track.number, measured_at, offset_s)

    def _end(self, track: _Track) -> None:
        self._tracks.remove(track)
        self._writer.stream_footer(track.number, track.first, track.last, track.count, track.offsets)

    def _tell(self, message: Ready | Recording | Ended) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            logger.debug("the session has gone; the file will be finished")


def _identity(stream: StreamDescription) -> tuple[str, ...]:
    """Return what two outlets share when one is the other after a restart; their uid where they have no source id."""
    return (stream.name, stream.type, stream.host, stream.source_id or stream.uid)
