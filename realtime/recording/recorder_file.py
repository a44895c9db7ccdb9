"""The file of a recording: what waits is written to it, whoever began it, and whatever is done to it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from realtime.recording.xdf_contents import Held, contents
from realtime.recording.xdf_writer import XdfWriter

if TYPE_CHECKING:
    from realtime.recording.recorder_inlets import Track
    from realtime.sources.metadata import StreamDescription

SYNC_S = 0.5
CLOCK_S = 5.0
BOUNDARY_S = 10.0


class RecordingFile:
    """Writes tracks to an XDF file.

    An error of the system leaves what was written whole, and what was not yet written waits in the tracks.

    Parameters
    ----------
    path
        The file.
    resume
        Go on in it where it exists, with what the tracks have kept behind its last samples.

    Raises
    ------
    OSError
        If it cannot be made.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.path = path
        self._streams: dict[int, Held] = {}
        self._resumed: set[int] = set()  # numbers of streams of which the tracks may keep what is already written
        self._synced = self._clocked = self._bounded = time.monotonic()
        if resume and path.exists():
            with path.open("rb") as file:
                size, self._streams = contents(file)
            self._resumed = set(self._streams)
            self._writer = XdfWriter(path, resume_at=size)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = XdfWriter(path)

    @property
    def samples(self) -> dict[str, int]:
        """Number of samples by stream name."""
        counts: dict[str, int] = {}
        for held in self._streams.values():
            counts[held.stream.name] = counts.get(held.stream.name, 0) + held.count
        return counts

    def write(self, tracks: Sequence[Track]) -> bool:
        """Write what waits; return whether the file had been deleted and was put back, whole.

        Raises
        ------
        OSError
            If it cannot be written now; it may be tried again.
        """
        put_back = self._writer.deleted
        if put_back:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer.save_again(self.path)
        for track in tracks:
            if track.held is None and (track.waiting or track.inlet is not None):
                self._place(track, tracks)
            self._flush(track)
        now = time.monotonic()
        if now - self._clocked >= CLOCK_S:
            self._clocked = now
            for track in tracks:
                self._clock(track)
        if now - self._bounded >= BOUNDARY_S:
            self._writer.boundary()
            self._bounded = now
        if now - self._synced >= SYNC_S:
            self._writer.sync()
            self._synced = now
        return put_back

    def finish(self, tracks: Sequence[Track]) -> None:
        """Write what still waits and the footers, and close the file; OSError where there is no room for them."""
        try:
            self.write(tracks)
            for track in tracks:
                self._clock(track)
            for held in self._streams.values():
                self._writer.stream_footer(held.number, held.first, held.last, held.count, held.offsets)
            self._writer.sync()
        finally:
            self._writer.close()

    def _place(self, track: Track, tracks: Sequence[Track]) -> None:
        """Give a track its stream of the file: one that it goes on after a restart, or a new one."""
        taken = {other.held.number for other in tracks if other.held is not None and other.inlet is not None}
        for held in self._streams.values():
            if held.number not in taken and _identity(held.stream) == _identity(track.stream):
                if held.number in self._resumed:
                    _forget_written(track, held.last)
                break
        else:
            held = Held(len(self._streams) + 1, track.stream)
            self._writer.stream_header(held.number, track.xml)
            self._streams[held.number] = held
        self._resumed.discard(held.number)
        track.held = held
        self._clock(track)

    def _flush(self, track: Track) -> None:
        while track.waiting and track.held is not None:
            pulled = track.waiting[0]
            if isinstance(pulled.values, np.ndarray):
                self._writer.numbers(track.held.number, pulled.timestamps, pulled.values)
            else:
                self._writer.texts(track.held.number, pulled.timestamps, pulled.values)
            track.waiting.popleft()
            track.held.note(float(pulled.timestamps[0]), float(pulled.timestamps[-1]), len(pulled.timestamps))

    def _clock(self, track: Track) -> None:
        import pylsl

        if track.inlet is None or track.held is None:
            return
        try:
            offset_s = track.inlet.time_correction(timeout=0.01)
        except RuntimeError:
            return  # the stream has gone, which the next pull says
        measured_at = pylsl.local_clock()
        self._writer.clock_offset(track.held.number, measured_at, offset_s)
        track.held.offsets.append((measured_at, offset_s))


def _identity(stream: StreamDescription) -> tuple[object, ...]:
    """Return what two outlets share when one is the other after a restart; their uid where they have no source id."""
    shape = (stream.format, len(stream.channels), stream.rate_hz)
    return (stream.name, stream.type, stream.host, stream.source_id or stream.uid, *shape)


def _forget_written(track: Track, last: float) -> None:
    """Drop what a track has kept up to the sample timestamped `last`, which is in the file."""
    timestamps = np.concatenate([*(pulled.timestamps for pulled in track.waiting), [np.inf]])
    (same,) = np.nonzero(timestamps == last)
    written = int(same[-1]) + 1 if len(same) else int(np.argmax(timestamps > last))
    while written and track.waiting:
        pulled = track.waiting.popleft()
        if written < len(pulled.timestamps):
            track.waiting.appendleft(pulled.after(written))
            return
        written -= len(pulled.timestamps)
