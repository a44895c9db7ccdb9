"""A recording as a source: the same chunks and markers as a live stream, at any speed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from configs.schema import Config
from realtime.sources.base import WOKEN, Chunk, Marker, Notice, StreamSpec
from realtime.sources.metadata import SourceError
from realtime.sources.readers.loaded import Loaded

if TYPE_CHECKING:
    from configs.schema import MarkerSettings, StreamSettings
    from realtime.sources.readers.loaded import Loader

__all__ = ["Recording", "SourceError", "open_recording", "read_recording"]

FAST_S = 0.25  # length of chunks when nothing waits for them
PACED_S = 0.02  # the same when they come in real time
LONGEST_WAIT_S = 5.0  # a step in the recorded clock is not waited for
MNE_SUFFIXES = (".fif", ".fif.gz", ".vhdr", ".set")
EDF_SUFFIXES = (".edf", ".bdf")
SUFFIXES = (".xdf", ".xdfz", ".xdf.gz", ".csv", *MNE_SUFFIXES, *EDF_SUFFIXES)


class Recording:
    """A recording that is played as a source.

    Parameters
    ----------
    loaded
        What the reader made of the file.
    speed
        1 for real time, 2 for twice as fast, ...; None for as fast as it is read.
    """

    def __init__(self, loaded: Loaded, speed: float | None = None) -> None:
        if speed is not None and not speed > 0:
            msg = f"speed must be above 0, not {speed:g}; leave it out to play as fast as possible"
            raise SourceError(msg)
        self._loaded = loaded
        self._speed = speed
        self._closed = False
        self._stirred = threading.Event()

    @property
    def spec(self) -> StreamSpec:
        """The EEG stream."""
        return self._loaded.spec

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return len(self._loaded.timestamps)

    @property
    def markers(self) -> tuple[Marker, ...]:
        """All markers, in order of their timestamps."""
        return self._loaded.markers

    @property
    def notices(self) -> tuple[str, ...]:
        """What people should know of how the file was read, one line each."""
        return self._loaded.notices

    @property
    def first_s(self) -> float:
        """Timestamp of the first sample."""
        return float(self._loaded.timestamps[0])

    def with_markers(self, markers: Sequence[Marker], *notices: str) -> Recording:
        """Return the recording with other markers, in order of their timestamps, and lines that tell why."""
        notices = (*self._loaded.notices, *notices)
        return Recording(replace(self._loaded, markers=tuple(markers), notices=notices), self._speed)

    @property
    def duration_s(self) -> float:
        """Time from the first timestamp to the last."""
        return float(self._loaded.timestamps[-1] - self._loaded.timestamps[0])

    def close(self) -> None:
        """Stop playing; `events` ends."""
        self._closed = True
        self._stirred.set()

    def wake(self) -> None:
        """Have `events` yield `WOKEN` where it waits for the time of the next chunk; from any thread."""
        self._stirred.set()

    def events(self) -> Iterator[Chunk | Marker | Notice]:
        """Yield chunks, and markers before the chunk in whose time they fall, from the first to the last."""
        timestamps, markers = self._loaded.timestamps, iter(self._loaded.markers)
        length = max(1, round((FAST_S if self._speed is None else PACED_S) * self.spec.rate_hz))
        marker = next(markers, None)
        due = time.monotonic()
        pauses = {row for row in self._loaded.pauses if 0 < row < len(timestamps)}
        starts = sorted({*range(0, len(timestamps), length), *pauses})
        for start, stop in pairwise([*starts, len(timestamps)]):
            if self._speed is not None and start > 0:
                due += min(max(float(timestamps[stop - 1] - timestamps[start - 1]), 0.0) / self._speed, LONGEST_WAIT_S)
                while not self._closed and self._stirred.wait(max(0.0, due - time.monotonic())):
                    self._stirred.clear()
                    yield WOKEN
            if self._closed:
                return
            while marker is not None and marker.timestamp <= timestamps[stop - 1]:
                yield marker
                marker = next(markers, None)
            yield Chunk(timestamps[start:stop], self._loaded.read(start, stop), after_pause=start in pauses)
        while marker is not None:
            yield marker
            marker = next(markers, None)


def open_recording(path: str | Path, config: Config | None = None, speed: float | None = None) -> Recording:
    """Return the recording in `path`: XDF, muse-lsl CSV, FIF, BrainVision, EDF, BDF or EEGLAB.

    Parameters
    ----------
    path
        The file; its suffix says the format.
    config
        Which streams and channels to take; the only EEG stream and its EEG channels when left out.
    speed
        1 for real time, 2 for twice as fast, ...; None for as fast as it is read.

    Raises
    ------
    SourceError
        If the file is missing, of another format, broken, or holds nothing that can be used; always one line.
    """
    settings = config or Config()
    return Recording(read_recording(path, settings.markers)(settings.stream), speed)


def read_recording(path: str | Path, markers: MarkerSettings) -> Loader:
    """Read the recording in `path`; what is returned loads, as often as asked, the stream and channels wanted of it.

    Raises
    ------
    SourceError
        As `open_recording` does; what concerns stream and channels on loading.
    """
    file = Path(path)
    if not file.is_file():
        what = f"{file} is a folder" if file.is_dir() else f"there is no recording {file}"
        msg = f"{what}; give a file ending in {', '.join(SUFFIXES)}"
        raise SourceError(msg)
    load = _read(file, markers)
    return partial(_load_of_data_set, file, markers, load) if markers.events == "bids" else load


def _load_of_data_set(file: Path, markers: MarkerSettings, load: Loader, stream: StreamSettings) -> Loaded:
    """Return a recording with the events, channels and unit that the tables of its data set give."""
    from realtime.sources.bids import channel_table, good_channels, read_events

    table, told = channel_table(file), None
    if stream.channels is None:
        channels, told = good_channels([file])
        stream = stream.model_copy(update={"channels": channels})
    try:
        loaded = load(stream)
    except SourceError:
        # A file that does not say what its numbers are is read in the table's unit; one that says so knows best.
        if table is None or table.unit is None or stream.unit is not None:
            raise
        loaded = load(stream.model_copy(update={"unit": table.unit}))
    found = read_events(file, markers, float(loaded.timestamps[0]))
    return replace(loaded, markers=tuple(found), notices=(*loaded.notices, *(() if told is None else (told,))))


def _read(file: Path, markers: MarkerSettings) -> Loader:
    name = file.name.lower()
    if name.endswith((".xdf", ".xdfz", ".xdf.gz")):
        from realtime.sources.readers.xdf import read_xdf

        return read_xdf(file, markers)
    if name.endswith(".csv"):
        from realtime.sources.readers.muse_csv import read_muse_csv

        return read_muse_csv(file, markers)
    if name.endswith(EDF_SUFFIXES):
        from realtime.sources.readers.edf import read_edf

        return read_edf(file)
    if name.endswith(MNE_SUFFIXES):
        from realtime.sources.readers.mne_files import read_mne_file

        return read_mne_file(file)
    msg = f"{file} is of no format that is known; give a file ending in {', '.join(SUFFIXES)}"
    raise SourceError(msg)
