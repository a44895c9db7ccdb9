"""The streams that a recording process receives, and the last seconds of each that are in no file yet."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import InputError
from realtime.recording.recorder_messages import RecorderNotice, StreamFound
from realtime.sources.discovery import Finder
from realtime.sources.metadata import DTYPES, StreamDescription, describe, legible_xml, parse_info
from realtime.sources.selection import Wanted

if TYPE_CHECKING:
    import pylsl
    from numpy.typing import NDArray

    from realtime.recording.xdf_contents import Held

logger = logging.getLogger(__name__)

OPEN_S = 5.0
CHUNK = 4096
WAIT_S = 0.2
"""Seconds that a stream which sends nothing is waited for at a time."""
TAKE_S = 0.01
"""Seconds between two looks for samples of a stream that sends: what lies in an inlet is lost with it."""
KEPT_S = 30.0
"""Seconds kept while nothing can be written: a process that takes over goes on where the one before ended."""


@dataclass(frozen=True)
class Pulled:
    """Samples as they came: ``[n]`` timestamps in s and ``[n, channels]`` numbers or texts; `at`: by this clock."""

    at: float
    timestamps: NDArray[np.float64]
    values: NDArray[Any] | list[list[str]]

    def after(self, first: int) -> Pulled:
        """Return what follows the first so many samples."""
        return Pulled(self.at, self.timestamps[first:], self.values[first:])


@dataclass
class Track:
    """One outlet that is received, or was: then `inlet` is None, and what waits is still to be written."""

    inlet: pylsl.StreamInlet | None
    stream: StreamDescription
    xml: str
    buffer: NDArray[Any] | None
    waiting: deque[Pulled] = field(default_factory=deque)
    held: Held | None = None
    dropped: int = 0
    _came: queue.SimpleQueue[tuple[Pulled, str | None] | Exception] = field(default_factory=queue.SimpleQueue)
    _ending: bool = False
    _receiver: threading.Thread = field(init=False)

    def start(self) -> None:
        """Take samples soon after they come, singly where they come so, as markers do, in a thread of its own.

        An inlet whose outlet has died gives out none of the samples that were not taken.
        """
        self._receiver = threading.Thread(target=self._receive, name="samples", daemon=True)
        self._receiver.start()

    def pull(self) -> str | None:
        """Take what has come; return a line where some of it was unreadable. Raises pylsl's error if it is lost."""
        fault = None
        taken: list[Pulled] = []
        try:
            while not self._came.empty():
                came = self._came.get()
                if isinstance(came, Exception):
                    raise came
                taken.append(came[0])
                fault = came[1] or fault
        finally:
            self.waiting += [_joined(taken)] if self.stream.rate_hz and taken else taken
        return fault

    def end(self) -> None:
        """Begin to take the last samples: those that have come by now."""
        self._ending = True

    def ended(self) -> None:
        """Wait until they are taken."""
        self._receiver.join(WAIT_S + OPEN_S)

    def _receive(self) -> None:
        most = CHUNK if self.stream.rate_hz else 1
        try:
            while self.inlet is not None and not self._ending:
                if not self._take(0.0, most):
                    self._take(WAIT_S, 1)
                if self.stream.rate_hz:
                    time.sleep(TAKE_S)
            while self._take(0.0, most) == most:
                pass
        except Exception as error:  # it is for `pull` to raise
            self._came.put(error)

    def _take(self, wait_s: float, most: int) -> int:
        """Take up to so many samples that are there, or that come in the time; return how many those were."""
        inlet, into = self.inlet, None if self.buffer is None else self.buffer[:most]
        if inlet is None:
            return 0
        values, timestamps = inlet.pull_chunk(timeout=wait_s, max_samples=most, dest_obj=into, as_numpy=True)
        if len(timestamps):
            kept, fault = (values.copy(), None) if self.buffer is not None else _texts(values, self.stream.name)
            self._came.put((Pulled(time.monotonic(), timestamps.copy(), kept), fault))
        return len(timestamps)

    def forget(self, before: float) -> None:
        """Drop what came before `before` by this clock, and count it."""
        while self.waiting and self.waiting[0].at < before:
            self.dropped += len(self.waiting.popleft().timestamps)


class Inlets:
    """Finds, opens and reads the streams that are wanted; the fault of one stream is no other's."""

    def __init__(self) -> None:
        self._finder = Finder()
        self._opening: set[str] = set()
        self._opened: queue.SimpleQueue[tuple[str, Track | None]] = queue.SimpleQueue()
        self._unfit: set[str] = set()
        self._told: queue.SimpleQueue[RecorderNotice] = queue.SimpleQueue()
        self.tracks: list[Track] = []

    def turn(self, wanted: Sequence[Wanted]) -> list[StreamFound | RecorderNotice]:
        """Look for what is `wanted`, take what has come, and return what there is to say."""
        self._look(wanted)
        said: list[StreamFound | RecorderNotice] = [*self._admit(wanted)]
        for track in self.tracks:
            self._pull(track)
            if track.inlet is not None and not any(one.agrees(track.stream) for one in wanted):
                track.inlet = None
        while not self._told.empty():
            said.append(self._told.get())
        self.tracks = [track for track in self.tracks if track.inlet is not None or track.waiting]
        return said

    def end(self) -> None:
        """Have all that has come taken, for the last turn."""
        receiving = [track for track in self.tracks if track.inlet is not None]
        for track in receiving:
            track.end()
        for track in receiving:
            track.ended()

    def _look(self, wanted: Sequence[Wanted]) -> None:
        """Start opening the streams in sight that are wanted and not yet received."""
        known = self._opening | self._unfit | {track.stream.uid for track in self.tracks if track.inlet is not None}
        for stream, info in self._finder.found():
            if stream.uid not in known and any(one.agrees(stream) for one in wanted):
                self._opening.add(stream.uid)
                # in a thread, since a stream that does not answer must not hold up the others
                threading.Thread(target=self._open, args=(info, stream.uid), daemon=True).start()

    def _open(self, info: pylsl.StreamInfo, uid: str) -> None:
        import pylsl

        track = None
        try:
            # Never recovered by liblsl, which takes any stream of the same name and source id for the one it lost.
            inlet = pylsl.StreamInlet(info, recover=False, processing_flags=pylsl.proc_none)
            xml = legible_xml(inlet.info(timeout=OPEN_S).as_xml())
            stream = describe(parse_info(xml))
            inlet.open_stream(timeout=OPEN_S)
            inlet.time_correction(timeout=OPEN_S)
            dtype = DTYPES.get(stream.format)
            buffer = None if dtype is None else np.empty((CHUNK, len(stream.channels)), dtype)
            track = Track(inlet, stream, xml, buffer)
        except RuntimeError:
            logger.debug("stream %s did not open; it is tried again while it is in sight", uid)
        except (InputError, ValueError, MemoryError) as error:
            self._put_aside(uid, f"stream {info.name()!r} is not recorded: {error}")
        self._opened.put((uid, track))

    def _admit(self, wanted: Sequence[Wanted]) -> list[StreamFound]:
        """Take in the streams that have been opened."""
        admitted = []
        while not self._opened.empty():
            uid, track = self._opened.get()
            self._opening.discard(uid)
            if track is not None:
                track.start()
                self.tracks.append(track)
                agreeing = tuple(one for one in wanted if one.agrees(track.stream))
                admitted.append(StreamFound(agreeing, track.stream))
        return admitted

    def _pull(self, track: Track) -> None:
        import pylsl

        if track.inlet is None:
            return
        name = track.stream.name
        try:
            fault = track.pull()
        except pylsl.util.LostError:
            track.inlet = None
            self._told.put(RecorderNotice("lost", f"stream {name!r} ended; its recording stays"))
        except Exception as error:  # whatever one stream does must cost no other a sample
            logger.exception("stream %r cannot be read", name)
            track.inlet = None
            self._put_aside(track.stream.uid, f"stream {name!r} is no longer recorded: {error}")
        else:
            if fault is not None:
                self._told.put(RecorderNotice("unreadable", fault))

    def _put_aside(self, uid: str, text: str) -> None:
        self._unfit.add(uid)
        self._told.put(RecorderNotice("lost", text))


def _joined(parts: Sequence[Pulled]) -> Pulled:
    """Return what was taken of one stream in succession as one."""
    if len(parts) == 1:
        return parts[0]
    values: NDArray[Any] | list[list[str]]
    if isinstance(parts[0].values, list):
        values = [row for part in parts for row in part.values]
    else:
        values = np.concatenate([part.values for part in parts])
    return Pulled(parts[-1].at, np.concatenate([part.timestamps for part in parts]), values)


def _texts(values: NDArray[Any], name: str) -> tuple[list[list[str]], str | None]:
    """Return samples of bytes as text, and a line where some of them are no text."""
    fault = None
    texts = [[value.decode("utf-8", errors="replace") for value in row] for row in values]
    for given, row in zip(values, texts, strict=True):
        for value, text in zip(given, row, strict=True):
            if text.encode() != value:
                fault = f"a sample of stream {name!r} is not UTF-8 and was recorded as {text!r}"
    return texts, fault
