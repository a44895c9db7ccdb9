"""The process that reads LSL: liblsl lives here alone, so that whatever happens to it, the session goes on.

It finds the streams, pulls samples as they come (block for one, then drain: the fastest and cheapest way to read an
inlet), brings them to microvolts and hands them over a pipe. A pipe that is full makes it wait, and liblsl's own
buffer holds what comes meanwhile, so a slow session loses nothing. Timestamps carry the clock offset and nothing else:
LSL's own dejitter hides lost samples.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from configs.schema import MarkerSettings, StreamSettings
from realtime.processes.priority import run_first
from realtime.processes.signals import call, leave_to_session
from realtime.processes.supervised import Beat, Connection
from realtime.sources.base import Chunk, Notice, StreamSpec
from realtime.sources.discovery import Finder
from realtime.sources.lsl_messages import Message, ReadingFailed, ReadOutlet, Request, StreamOpened, encode
from realtime.sources.marker_streams import MarkerClock, MarkerReader
from realtime.sources.metadata import DTYPES, SourceError, StreamDescription, describe, parse_info
from realtime.sources.selection import Selection, Wanted, select

if TYPE_CHECKING:
    import pylsl

logger = logging.getLogger(__name__)

BEAT_S = 0.1  # longest silence of this process while it is well
SEARCH_AFTER_S = 0.5  # silence after which the stream is looked for under a new outlet
OPEN_S = 5.0  # longest wait for an answer while a stream is opened
FIRST_OPEN_S = 30.0  # the same at the start, where nothing else can be done: a busy machine answers late
BUFFER_S = 120  # how much liblsl keeps for a session that does not read
TWINS_S = 2.0  # how often a second outlet of the same name and source id is looked for
CHUNK = 1024
SETTLE_S = 0.00015  # samples are taken with those that were pushed together, which halves the processor time,
CYCLE_S = 0.001  # and not more often than this


def read_streams(pipe: Connection) -> None:
    """Wait for a request on `pipe`, open the streams, wait for the word to begin, read until its other end closes."""
    import pylsl  # noqa: F401  so that a process that waits as a spare has loaded it

    leave_to_session()
    try:
        request: Request = pipe.recv()
    except (EOFError, OSError):
        return  # never needed
    call("reader")
    run_first(heirs=True)  # liblsl's own threads, which receive the samples, as well
    lock = threading.Lock()

    def send(message: Message) -> None:
        data = encode(message)
        with lock:
            pipe.send_bytes(data)

    go = threading.Event()
    threading.Thread(target=_wait_for_go, args=(pipe, go), name="go", daemon=True).start()
    try:
        _read(send, request, go)
    except SourceError as error:
        send(ReadingFailed(str(error)))
    except (BrokenPipeError, ConnectionResetError):
        logger.debug("the session has gone")
    os._exit(0)  # without joining the marker thread, which may be inside liblsl


def _wait_for_go(pipe: Connection, go: threading.Event) -> None:
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(0)  # the session has gone
    go.set()


def _read(send: Callable[[Message], None], request: Request, go: threading.Event) -> None:
    info = marker_info = None
    if request.known is None:

        def beat() -> None:
            send(Beat())

        finder = Finder()
        info = finder.first(request.stream.timeout_s, "EEG", "stream", Wanted.by(request.stream), beat)
        if request.markers is not None and request.markers.required:
            marker_info = finder.first(request.stream.timeout_s, "marker", "markers", Wanted.by(request.markers), beat)
    if request.markers is not None:
        arguments = (send, request.markers, marker_info, go)
        threading.Thread(target=_read_markers, args=arguments, name="markers", daemon=True).start()
    _read_samples(send, request, info, go)


def _open(
    send: Callable[[Message], None], info: pylsl.StreamInfo, flags: int, patience_s: float = OPEN_S
) -> tuple[pylsl.StreamInlet, StreamDescription, ReadOutlet]:
    """Return an inlet that receives, the stream's full description, and whose it is; RuntimeError if it has gone."""
    import pylsl

    inlet = pylsl.StreamInlet(info, max_buflen=BUFFER_S, max_chunklen=1, recover=False, processing_flags=flags)
    with _beating(send):
        description = describe(parse_info(inlet.info(timeout=patience_s).as_xml()))
        inlet.open_stream(timeout=patience_s)
        ahead_s = inlet.time_correction(timeout=patience_s)
    return inlet, description, ReadOutlet(info.uid(), info.hostname(), ahead_s, pylsl.local_clock())


@contextlib.contextmanager
def _beating(send: Callable[[Message], None]) -> Iterator[None]:
    """Send signs of life while something waits that has its own time limit."""
    done = threading.Event()

    def beat() -> None:
        with contextlib.suppress(OSError):  # the session has gone, which the next message will show
            while not done.wait(BEAT_S):
                send(Beat())

    thread = threading.Thread(target=beat, name="beats", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _read_samples(
    send: Callable[[Message], None], request: Request, info: pylsl.StreamInfo | None, go: threading.Event
) -> None:
    """Read the EEG for ever; when the stream is lost, look for it and go on with its successor."""
    import pylsl

    settings, known, outlet = request.stream, request.known, request.outlet
    unfit: set[str] = set()
    finder = None
    while True:
        if info is None:
            assert known is not None
            assert outlet is not None
            finder = finder or Finder()
            info = _successor(send, finder, known, settings, outlet, unfit)
            if info is None:
                send(Beat())
                time.sleep(0.05)
                continue
        try:
            patience_s = FIRST_OPEN_S if known is None else OPEN_S
            inlet, description, opened = _open(send, info, pylsl.proc_clocksync, patience_s)
            selection = select(description, settings)
            if known is not None and selection.spec.rate_hz != known.rate_hz:
                msg = f"{selection.spec.rate_hz:g} Hz instead of {known.rate_hz:g}"
                raise SourceError(msg)
        except SourceError as error:
            if known is None:
                raise
            unfit.add(info.uid())
            send(Notice(pylsl.local_clock(), "lost", f"the stream came back changed: {error}"))
            info = None
            continue
        except RuntimeError as error:  # pylsl's lost and timeout errors
            if known is None:
                what = f"stream {info.name()!r} is there but cannot be opened: {error}"
                msg = f"{what} check its program, and that the firewall lets UDP and TCP 16572-16604 through"
                raise SourceError(msg) from None
            info = None
            continue
        send(StreamOpened(selection.spec, opened))
        if known is None:
            go.wait()
            inlet.flush()  # what was sent before anybody listened is stale
        finder, outlet = None, opened
        known = selection.spec
        settings = settings.model_copy(update={"channels": known.channels})
        unfit.add(description.uid)
        info, last = _pull(send, inlet, selection, description, settings, outlet, unfit)
        outlet = replace(outlet, last=last)


def _successor(
    send: Callable[[Message], None],
    finder: Finder,
    known: StreamSpec,
    settings: StreamSettings,
    outlet: ReadOutlet,
    unfit: set[str],
) -> pylsl.StreamInfo | None:
    """Return the stream that goes on for `outlet`, or itself; one that only looks alike becomes `unfit` and is told."""
    import pylsl

    own = finder.newest(Wanted(uid=outlet.uid), unfit)
    if own is not None:
        return own
    while (info := finder.newest(_same(known, settings), unfit)) is not None:
        if outlet.is_followed_by(info):
            return info
        unfit.add(info.uid())
        text = (
            f"the stream {known.name!r} with the same source id on {info.hostname()} is not read: it is another one, "
            f"not the one on {outlet.host} come back; to read it, start the session anew"
        )
        send(Notice(pylsl.local_clock(), "twin", text))
    return None


def _same(spec: StreamSpec, settings: StreamSettings) -> Wanted:
    """Return what stays the same when a stream is restarted: its source id where it has one, and its name and type."""
    return Wanted(spec.name, spec.type, spec.source_id or None, settings.host)


def _pull(
    send: Callable[[Message], None],
    inlet: pylsl.StreamInlet,
    selection: Selection,
    description: StreamDescription,
    settings: StreamSettings,
    outlet: ReadOutlet,
    unfit: set[str],
) -> tuple[pylsl.StreamInfo | None, float]:
    """Hand on samples until the stream is lost.

    Returns its successor, where that was seen first, and when the last sample came, on the LSL clock.
    """
    import pylsl

    buffer = np.empty((CHUNK, len(description.channels)), DTYPES[description.format])
    first, rest = buffer[:1], buffer[1:]
    finder = None
    last, arrived = time.monotonic(), outlet.last
    twins = _Twins(_same(selection.spec, settings), description.name, unfit)
    try:
        while True:
            _, timestamps = inlet.pull_chunk(timeout=BEAT_S, max_samples=1, dest_obj=first)
            if not timestamps:
                send(Beat())
                if finder is None and time.monotonic() - last > SEARCH_AFTER_S:
                    finder = Finder()  # a broken connection can look like silence for a long time
                if finder is not None:
                    before = replace(outlet, last=arrived)
                    successor = _successor(send, finder, selection.spec, settings, before, unfit)
                    if successor is not None:
                        return successor, arrived
                continue
            time.sleep(max(SETTLE_S, last + CYCLE_S - time.monotonic()))
            _, more = inlet.pull_chunk(timeout=0.0, max_samples=CHUNK - 1, dest_obj=rest)
            arrived = pylsl.local_clock()
            timestamps.extend(more)
            samples = buffer[: len(timestamps), selection.picks] * selection.scale
            send(Chunk(np.array(timestamps), samples.astype(np.float32), arrived))
            last, finder = time.monotonic(), None
            if (twin := twins.look(last)) is not None:
                send(Notice(pylsl.local_clock(), "twin", twin))
    except pylsl.util.LostError:
        send(Notice(pylsl.local_clock(), "lost", f"EEG stream {selection.spec.name!r} was lost; looking for it"))
        return None, arrived


class _Twins:
    """Looks for a second outlet that passes for the stream that is read.

    An outlet that was just replaced stays in sight for a moment: one counts that is seen twice in a row while samples
    still come from the first. What is `known` is none; a twin that was told becomes so.
    """

    def __init__(self, wanted: Wanted, name: str, known: set[str]) -> None:
        self._wanted, self._name, self._known = wanted, name, known
        self._finder = Finder()
        self._suspect: str | None = None
        self._next = time.monotonic() + TWINS_S

    def look(self, now: float) -> str | None:
        """Return one line where a twin has appeared; looks no more often than every `TWINS_S`."""
        if now < self._next:
            return None
        self._next = now + TWINS_S
        found = self._finder.newest(self._wanted, self._known)
        before, self._suspect = self._suspect, None if found is None else found.uid()
        if found is None or found.uid() != before:
            return None
        self._known.add(found.uid())
        return (
            f"a second stream {self._name!r} with the same source id has appeared on {found.hostname()}: its samples "
            "are not read; stop one of them, or a restart may find the wrong one"
        )


def _read_markers(
    send: Callable[[Message], None], settings: MarkerSettings, info: pylsl.StreamInfo | None, go: threading.Event
) -> None:
    """Read markers for ever; any failure ends the process, which the session then replaces."""
    import pylsl

    lost = False
    unfit: set[str] = set()
    try:
        while True:
            finder = Finder() if info is None else None
            while finder is not None and info is None:
                time.sleep(0.1)
                info = finder.newest(Wanted.by(settings), unfit)
            finder = None
            assert info is not None
            try:
                inlet, description, _ = _open(send, info, pylsl.proc_none)
                if lost:
                    text = f"marker stream {description.name!r} was found again"
                    send(Notice(pylsl.local_clock(), "reconnected", text))
                    lost = False
                _pull_markers(send, inlet, description, settings, go)
            except SourceError as error:
                unfit.add(info.uid())
                send(Notice(pylsl.local_clock(), "unreadable", f"markers are not read: {error}"))
                info = None
            except RuntimeError:  # pylsl's lost and timeout errors
                if not lost:
                    text = f"marker stream {info.name()!r} was lost; looking for it"
                    send(Notice(pylsl.local_clock(), "lost", text))
                lost, info = True, None
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the session has gone
    except BaseException:
        logger.exception("the marker reader failed")
        os._exit(1)


def _pull_markers(
    send: Callable[[Message], None],
    inlet: pylsl.StreamInlet,
    description: StreamDescription,
    settings: MarkerSettings,
    go: threading.Event,
) -> None:
    """Hand on markers until pylsl's error says that the stream is lost."""
    import pylsl

    reader, clock = MarkerReader(description, settings.channel, settings.fields), MarkerClock(description.name)
    for text in reader.left_out:
        send(Notice(pylsl.local_clock(), "markers", text))
    offset_s = inlet.time_correction(timeout=5.0)
    if not go.is_set():
        go.wait()
        inlet.flush()
    while True:
        try:
            values, timestamp = inlet.pull_sample(timeout=1.0)
        except UnicodeDecodeError as error:
            send(Notice(pylsl.local_clock(), "unreadable", f"a marker is not UTF-8 and was dropped: {error.object!r}"))
            continue
        with contextlib.suppress(pylsl.util.TimeoutError):
            # liblsl refreshes the offset of a stream only every 51 samples: minutes, for markers
            offset_s = inlet.time_correction(timeout=0.01)
        if values is not None:
            now = pylsl.local_clock()
            if (foreign := clock.look(timestamp + offset_s, now)) is not None:
                send(Notice(now, "foreign-clock", foreign))
            for marker in reader.read(values, timestamp + offset_s):
                send(marker)
