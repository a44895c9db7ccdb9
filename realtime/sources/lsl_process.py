"""The process that reads LSL: liblsl lives here alone, so that whatever happens to it, the session goes on.

It finds the streams, pulls samples as they come (block for one, then drain: the fastest and cheapest way to read an
inlet), brings them to microvolts and hands them over a pipe. A pipe that is full makes it wait, and liblsl's own
buffer holds what comes meanwhile, so a slow session loses nothing. Stamps carry the clock offset and nothing else:
LSL's own dejitter hides lost samples.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import struct
import threading
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.schema import MarkerSettings, StreamSettings
from realtime.sources.base import Chunk, Notice, StreamSpec
from realtime.sources.metadata import (
    Selection,
    SourceError,
    StreamDescription,
    Wanted,
    choose,
    describe,
    parse_info,
    select,
)
from stimuli.markers import Marker, read_marker

if TYPE_CHECKING:
    import pylsl

logger = logging.getLogger(__name__)

BEAT_S = 0.1  # longest silence of this process while it is well
SETTLE_S = 0.5  # how long to go on looking for a second stream that also matches
SEARCH_AFTER_S = 0.5  # silence after which the stream is looked for under a new outlet
BUFFER_S = 120  # how much liblsl keeps for a session that does not read
CHUNK = 1024
_DTYPES: dict[str, type[np.number[Any]]] = {
    "float32": np.float32,
    "double64": np.float64,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
}
_HEADER = struct.Struct("<cId")


@dataclass(frozen=True)
class Request:
    """What to read; `known` is set when this replaces a process that died, and nothing may be asked of the user."""

    stream: StreamSettings
    markers: MarkerSettings | None
    known: StreamSpec | None = None


@dataclass(frozen=True)
class Opened:
    """The EEG stream is open and flushed; chunks follow."""

    spec: StreamSpec


@dataclass(frozen=True)
class Failed:
    """Nothing can be read; `text` says why in one line."""

    text: str


@dataclass(frozen=True)
class Beat:
    """A sign that the process is well though there is nothing to hand over."""


Message = Chunk | Marker | Notice | Opened | Failed | Beat


def encode(message: Message) -> bytes:
    """Return `message` as it travels on the pipe; chunks as plain bytes, everything else pickled."""
    if isinstance(message, Chunk):
        head = _HEADER.pack(b"C", len(message.stamps), message.arrived)
        return head + message.stamps.tobytes() + message.samples.tobytes()
    return b"P" + pickle.dumps(message)


def decode(data: bytes) -> Message:
    """Return the message that `data` holds."""
    if data[:1] == b"P":
        message: Message = pickle.loads(memoryview(data)[1:])
        return message
    _, n, arrived = _HEADER.unpack_from(data)
    stamps = np.frombuffer(data, np.float64, n, _HEADER.size)
    samples = np.frombuffer(data, np.float32, offset=_HEADER.size + stamps.nbytes)
    return Chunk(stamps, samples.reshape(n, -1), arrived)


def read_streams(pipe: Connection, request: Request) -> None:
    """Read until the other end of `pipe` closes: the body of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the session's to handle
    lock = threading.Lock()

    def send(message: Message) -> None:
        data = encode(message)
        with lock:
            pipe.send_bytes(data)

    try:
        _read(send, request)
    except SourceError as error:
        send(Failed(str(error)))
    except (BrokenPipeError, ConnectionResetError):
        logger.debug("the session has gone")
    os._exit(0)  # without joining the marker thread, which may be inside liblsl


def _read(send: Callable[[Message], None], request: Request) -> None:
    info = marker_info = None
    if request.known is None:
        finder = Finder(send)
        info = finder.first(request.stream.timeout_s, "EEG", "stream", Wanted.by(request.stream))
        if request.markers is not None and request.markers.required:
            marker_info = finder.first(request.stream.timeout_s, "marker", "markers", Wanted.by(request.markers))
    if request.markers is not None:
        arguments = (send, request.markers, marker_info)
        threading.Thread(target=_read_markers, args=arguments, name="markers", daemon=True).start()
    _read_samples(send, request, info)


class Finder:
    """Looks for streams, in the background, for as long as it lives."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        import pylsl

        self._resolver = pylsl.ContinuousResolver(forget_after=2.0)
        self._send = send

    def found(self) -> list[tuple[StreamDescription, pylsl.StreamInfo]]:
        """Return the streams in sight, the newest outlet first."""
        infos = sorted(self._resolver.results(), key=lambda info: float(info.created_at()), reverse=True)
        return [(describe(parse_info(info.as_xml())), info) for info in infos]

    def first(self, timeout_s: float, what: str, key: str, wanted: Wanted) -> pylsl.StreamInfo:
        """Return the one stream that agrees with `wanted`, waiting up to `timeout_s` for it.

        Raises
        ------
        SourceError
            If there is none, or more than one.
        """
        give_up = time.monotonic() + timeout_s
        settled = None
        while True:
            found = self.found()
            now = time.monotonic()
            if settled is None and any(wanted.agrees(stream) for stream, _ in found):
                settled = now + SETTLE_S  # a second stream may answer later than the first
            if now >= (give_up if settled is None else settled):
                stream = choose([stream for stream, _ in found], what, key, wanted)
                return next(info for candidate, info in found if candidate.uid == stream.uid)
            self._send(Beat())
            time.sleep(0.02)

    def newest(self, wanted: Wanted, but_not: Container[str]) -> pylsl.StreamInfo | None:
        """Return the newest stream in sight that agrees with `wanted`, leaving out the outlets `but_not`."""
        found = self.found()
        return next((info for stream, info in found if wanted.agrees(stream) and stream.uid not in but_not), None)


def _open(
    info: pylsl.StreamInfo, *, flags: int, recover: bool, fresh: bool
) -> tuple[pylsl.StreamInlet, StreamDescription]:
    """Return an inlet that receives, and the stream's full description; pylsl's RuntimeError if it has gone."""
    import pylsl

    inlet = pylsl.StreamInlet(info, max_buflen=BUFFER_S, max_chunklen=1, recover=recover, processing_flags=flags)
    description = describe(parse_info(inlet.info(timeout=5.0).as_xml()))
    inlet.open_stream(timeout=5.0)
    inlet.time_correction(timeout=5.0)
    if fresh:
        inlet.flush()  # at the start of a session, what was sent before now is stale
    return inlet, description


def _read_samples(send: Callable[[Message], None], request: Request, info: pylsl.StreamInfo | None) -> None:
    """Read the EEG for ever; when the stream is lost, look for it and go on with its successor."""
    import pylsl

    settings, known = request.stream, request.known
    unfit: set[str] = set()
    finder = None
    while True:
        if info is None:
            assert known is not None
            finder = finder or Finder(send)
            info = finder.newest(_same(known, settings), unfit)
            if info is None:
                send(Beat())
                time.sleep(0.05)
                continue
        try:
            inlet, description = _open(info, flags=pylsl.proc_clocksync, recover=False, fresh=known is None)
            selection = select(description, settings)
        except SourceError as error:
            if known is None:
                raise
            unfit.add(info.uid())
            send(Notice(pylsl.local_clock(), "lost", f"the stream came back changed: {error}"))
            info = None
            continue
        except RuntimeError:  # pylsl's lost and timeout errors: it went while it was being opened
            if known is None:
                msg = f"stream {info.name()!r} went away while it was being opened; check the amplifier's program"
                raise SourceError(msg) from None
            info = None
            continue
        send(Opened(selection.spec))
        finder = None
        known = selection.spec
        settings = settings.model_copy(update={"channels": known.channels})
        unfit = {description.uid}
        info = _pull(send, inlet, selection, description, settings)


def _same(spec: StreamSpec, settings: StreamSettings) -> Wanted:
    """Return what stays the same when a stream is restarted: its source id where it has one, and its name and type."""
    return Wanted(spec.name, spec.type, spec.source_id or None, settings.host)


def _pull(
    send: Callable[[Message], None],
    inlet: pylsl.StreamInlet,
    selection: Selection,
    description: StreamDescription,
    settings: StreamSettings,
) -> pylsl.StreamInfo | None:
    """Hand on samples until the stream is lost; returns its successor where that was seen first."""
    import pylsl

    buffer = np.empty((CHUNK, len(description.channels)), _DTYPES[description.format])
    first, rest = buffer[:1], buffer[1:]
    finder = None
    last = time.monotonic()
    try:
        while True:
            _, stamps = inlet.pull_chunk(timeout=BEAT_S, max_samples=1, dest_obj=first)
            if not stamps:
                send(Beat())
                if finder is None and time.monotonic() - last > SEARCH_AFTER_S:
                    finder = Finder(send)  # a broken connection can look like silence for a long time
                successor = finder.newest(_same(selection.spec, settings), {description.uid}) if finder else None
                if successor is not None:
                    return successor
                continue
            _, more = inlet.pull_chunk(timeout=0.0, max_samples=CHUNK - 1, dest_obj=rest)
            arrived = pylsl.local_clock()
            stamps.extend(more)
            samples = buffer[: len(stamps), selection.picks] * selection.scale
            send(Chunk(np.array(stamps), samples.astype(np.float32), arrived))
            last, finder = time.monotonic(), None
    except pylsl.util.LostError:
        send(Notice(pylsl.local_clock(), "lost", f"EEG stream {selection.spec.name!r} was lost; looking for it"))
        return None


def _read_markers(send: Callable[[Message], None], settings: MarkerSettings, info: pylsl.StreamInfo | None) -> None:
    """Read markers for ever; any failure ends the process, which the session then replaces."""
    try:
        while True:
            _pull_markers(send, settings, info)
            info = None
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the session has gone
    except BaseException:
        logger.exception("the marker reader failed")
        os._exit(1)


def _pull_markers(send: Callable[[Message], None], settings: MarkerSettings, info: pylsl.StreamInfo | None) -> None:
    """Hand on markers until the stream is lost, after waiting for it where it is not yet there."""
    import pylsl

    finder = Finder(send) if info is None else None
    while info is None:
        assert finder is not None
        time.sleep(0.1)
        info = finder.newest(Wanted.by(settings), ())
    finder = None
    try:
        inlet, _ = _open(info, flags=pylsl.proc_none, recover=True, fresh=True)
        offset_s = inlet.time_correction(timeout=5.0)
        while True:
            values, stamp = inlet.pull_sample(timeout=1.0)
            with contextlib.suppress(pylsl.util.TimeoutError):
                # liblsl refreshes the offset of a stream only every 51 samples: minutes, for markers
                offset_s = inlet.time_correction(timeout=0.01)
            if values is not None:
                send(read_marker(values[0], stamp + offset_s))
    except RuntimeError:  # pylsl's lost and timeout errors
        send(Notice(pylsl.local_clock(), "lost", f"marker stream {info.name()!r} was lost; looking for it"))
