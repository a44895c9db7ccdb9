"""A live EEG stream and its markers from LSL, read by a process of its own that is replaced if it dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from configs.schema import MarkerSettings, StreamSettings
from realtime.processes.bell import Bell
from realtime.processes.supervised import Supervised
from realtime.sources.base import WOKEN, Chunk, Marker, Notice, NoticeKind, StreamSpec
from realtime.sources.discovery import find_streams
from realtime.sources.lsl_messages import Begin, Message, ReadingFailed, ReadOutlet, Request, StreamOpened, decode
from realtime.sources.lsl_reader import read_streams
from realtime.sources.metadata import SourceError

__all__ = ["LslSource", "SourceError", "find_streams"]

HUNG_S = 2.0  # silence of the reading process itself after which it is replaced
STARTING_S = 60.0  # the same while it starts: importing takes long on a busy machine
LATE_S = 0.002
WATCH_S = 0.25
MERGE = 64  # chunks that wait together are handed on as one


def _start_reader() -> Supervised:
    return Supervised("reader-spare", read_streams, starting_s=STARTING_S, hung_s=HUNG_S)


class LslSource:
    """A live stream as a source.

    Silence of the amplifier, a lost and a found stream, and a replaced reading process come as notices among the
    events: ``"stalled"``, ``"resumed"``, ``"lost"``, ``"reconnected"``, ``"restarted"``; so does a second stream of the
    same name and source id: ``"twin"``.

    Parameters
    ----------
    stream
        Which stream; a stream that is not there is waited for ``stream.timeout_s``.
    markers
        Which marker stream; None for none. Where it is not required, it may appear at any later time.

    Raises
    ------
    SourceError
        If no stream agrees, several do, or the metadata leave the unit open; one line with the candidates. If onsets
        are to come from a photodiode.

    Attributes
    ----------
    spec
        What the stream is.
    watch
        Asked four times a second, whether samples come or not, for notices to yield among the events: whoever must not
        die unnoticed, such as a recorder, is looked after in this way.
    """

    def __init__(self, stream: StreamSettings, markers: MarkerSettings | None = None) -> None:
        if markers is not None and markers.from_photodiode:
            msg = "markers.from_photodiode is for recordings: a live stream goes by its markers; leave it out"
            raise SourceError(msg)
        self._stream = stream
        self._markers = markers
        self.watch: Callable[[], Sequence[Notice]] = tuple
        self._closed = False
        self._lock = threading.Lock()  # close() may come from another thread while a reader is being replaced
        self._waiting: Message | None = None
        self._early: list[Notice] = []  # told of the markers before the EEG was open
        self._last = float("-inf")
        self._bell = Bell()
        self._reader = _start_reader()
        self._reader.tell(Request(stream, markers))
        self._spare: Supervised | None = None
        try:
            self.spec: StreamSpec = self._wait_open()
        except BaseException:
            self._reader.close()
            raise
        # A replacement that has loaded everything takes no second; it loads now, before there is anything to delay.
        self._spare = _start_reader()

    @property
    def reader_pid(self) -> int:
        """Process id of the reading process at present."""
        return self._reader.pid or 0

    @property
    def uid(self) -> str:
        """Of the outlet that is read at present; another one after the stream was restarted."""
        return self._outlet.uid

    def close(self) -> None:
        """Stop reading; `events` ends. Safe to call twice and from another thread."""
        with self._lock:
            self._closed = True
            for reader in (self._reader, self._spare):
                if reader is not None:
                    reader.kill()  # it holds nothing that could be lost

    def wake(self) -> None:
        """Have `events` yield `WOKEN` as soon as there is no message to yield first; from any thread."""
        self._bell.ring()

    def events(self) -> Iterator[Chunk | Marker | Notice]:
        """Yield chunks, markers and notices as they come, until the source is closed.

        What was sent before the first call is dropped: it would be stale.

        Raises
        ------
        SourceError
            If the reading process cannot go on with what the network offers; one line says why.
        """
        self._reader.tell(Begin())
        yield from self._early
        last_data = last_watch = time.monotonic()
        silent = replaced = False  # silent: it has been said that no data come
        while not self._closed:
            message = self._receive(min(0.1, self._stream.stall_s / 2))
            now = time.monotonic()
            if isinstance(message, Chunk):
                last_data = now
                if silent:
                    silent = False
                    yield self._notice("resumed", "sends again")
                chunk = self._merged(message)
                if chunk.arrived is not None:
                    self._last = chunk.arrived
                yield chunk
            elif isinstance(message, (Marker, Notice)):
                yield message
            elif isinstance(message, StreamOpened):
                self._outlet = message.outlet
                last_data, silent = now, False
                yield (
                    self._notice("restarted", "is read again, by a new process")
                    if replaced
                    else self._notice("reconnected", "was found again")
                )
                replaced = False
            elif isinstance(message, ReadingFailed):
                raise SourceError(message.text)
            elif message is None and not self._closed and (trouble := self._reader.trouble) is not None:
                yield self._notice("lost", f"is not read: the reading process {trouble}; starting another")
                self._replace()
                replaced = True
            if message is None and self._bell.heard():
                yield WOKEN
            if now - last_watch > WATCH_S:
                last_watch = now
                yield from self.watch()
            if not silent and now - last_data > self._stream.stall_s:
                silent = True
                yield self._notice("stalled", f"has sent nothing for {now - last_data:.1f} s")

    def _wait_open(self) -> StreamSpec:
        while True:
            message = self._receive(STARTING_S)
            if isinstance(message, StreamOpened):
                self._outlet = message.outlet
                return message.spec
            if isinstance(message, Notice):
                self._early.append(message)
            if isinstance(message, ReadingFailed):
                raise SourceError(message.text)
            if message is None:
                what = self._reader.trouble or f"said nothing for {STARTING_S:g} s"
                msg = f"the process that reads LSL {what} while it started; run perceptogram doctor"
                raise SourceError(msg)

    def _receive(self, timeout_s: float) -> Message | None:
        """Return the next message; None if none comes within `timeout_s`, the reader has died, or the bell rings."""
        if self._waiting is not None:
            message, self._waiting = self._waiting, None
            return message
        pipe = self._reader.pipe
        try:
            if not self._bell.wait(pipe, timeout_s):
                return None
            data = pipe.recv_bytes()
        except (EOFError, OSError):
            return None
        self._reader.heard()
        return decode(data)

    def _merged(self, chunk: Chunk) -> Chunk:
        """Return `chunk`, where the session is late with those that wait behind it, so that it catches up."""
        import pylsl

        chunks = [chunk]
        while len(chunks) < MERGE and pylsl.local_clock() - chunks[-1].arrived > LATE_S:
            message = self._receive(0.0)
            if not isinstance(message, Chunk):
                self._waiting = message
                break
            chunks.append(message)
        return Chunk.joined(chunks)

    def _replace(self) -> None:
        with self._lock:
            self._reader.close()
            if not self._closed:
                self._reader = self._spare or _start_reader()
                self._reader.be_patient()
                self._reader.tell(Request(self._stream, self._markers, self.spec, self._read()))
                self._reader.tell(Begin())
                self._spare = _start_reader()

    def _read(self) -> ReadOutlet:
        """Return the outlet that is read, as of now."""
        return replace(self._outlet, last=max(self._last, self._outlet.last))

    def _notice(self, kind: NoticeKind, text: str) -> Notice:
        import pylsl

        return Notice(pylsl.local_clock(), kind, f"EEG stream {self.spec.name!r} {text}")
