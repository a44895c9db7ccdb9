"""A recording as a source: the same chunks and markers as a live stream, at any speed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from configs.schema import Config
from realtime.sources.base import WOKEN, Chunk, Marker, Notice, StreamSpec
from realtime.sources.metadata import SourceError
from realtime.sources.readers.loaded import Loaded

__all__ = ["Recording", "SourceError", "open_recording"]

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
        return len(self._loaded.stamps)

    @property
    def markers(self) -> tuple[Marker, ...]:
        """All markers, in order of their stamps."""
        return self._loaded.markers

    @property
    def notices(self) -> tuple[str, ...]:
        """What people should know of how the file was read, one line each."""
        return self._loaded.notices

    @property
    def first_s(self) -> float:
        """Timestamp of the first sample."""
        return float(self._loaded.stamps[0])

    def with_markers(self, markers: Sequence[Marker], *notices: str) -> Recording:
        """Return the recording with other markers, in order of their timestamps, and lines that tell why."""
        notices = (*self._loaded.notices, *notices)
        return Recording(replace(self._loaded, markers=tuple(markers), notices=notices), self._speed)

    @property
    def duration_s(self) -> float:
        """Time from the first stamp to the last."""
        return float(self._loaded.stamps[-1] - self._loaded.stamps[0])

    def close(self) -> None:
        """Stop playing; `events` ends."""
        self._closed = True
        self._stirred.set()

    def wake(self) -> None:
        """Have `events` yield `WOKEN` where it waits for the time of the next chunk; from any thread."""
        self._stirred.set()

    def events(self) -> Iterator[Chunk | Marker | Notice]:
        """Yield chunks, and markers before the chunk in whose time they fall, from the first to the last."""
        stamps, markers = self._loaded.stamps, iter(self._loaded.markers)
        length = max(1, round((FAST_S if self._speed is None else PACED_S) * self.spec.rate_hz))
        marker = next(markers, None)
        due = time.monotonic()
        pauses = {row for row in self._loaded.pauses if 0 < row < len(stamps)}
        starts = sorted({*range(0, len(stamps), length), *pauses})
        for start, stop in pairwise([*starts, len(stamps)]):
            if self._speed is not None and start > 0:
                due += min(max(float(stamps[stop - 1] - stamps[start - 1]), 0.0) / self._speed, LONGEST_WAIT_S)
                while not self._closed and self._stirred.wait(max(0.0, due - time.monotonic())):
                    self._stirred.clear()
                    yield WOKEN
            if self._closed:
                return
            while marker is not None and marker.stamp <= stamps[stop - 1]:
                yield marker
                marker = next(markers, None)
            yield Chunk(stamps[start:stop], self._loaded.read(start, stop), after_pause=start in pauses)
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
    file = Path(path)
    settings = config or Config()
    if not file.is_file():
        msg = f"there is no recording {file}; give a file ending in {', '.join(SUFFIXES)}"
        raise SourceError(msg)
    if settings.markers.events == "bids":
        return _of_data_set(file, settings, speed)
    return _open(file, settings, speed)


def _of_data_set(file: Path, settings: Config, speed: float | None) -> Recording:
    """Return a recording with the events, channels and unit that the tables of its data set give."""
    from realtime.sources.bids import channel_table, good_channels, read_events

    stream, table = settings.stream, channel_table(file)
    told = None
    if stream.channels is None:
        channels, told = good_channels([file])
        stream = stream.model_copy(update={"channels": channels})
    try:
        recording = _open(file, settings.model_copy(update={"stream": stream}), speed)
    except SourceError:
        # A file that does not say what its numbers are is read in the table's unit; one that says so knows best.
        if table is None or table.unit is None or stream.unit is not None:
            raise
        stream = stream.model_copy(update={"unit": table.unit})
        recording = _open(file, settings.model_copy(update={"stream": stream}), speed)
    markers = read_events(file, settings.markers, recording.first_s)
    return recording.with_markers(markers, *(() if told is None else (told,)))


def _open(file: Path, settings: Config, speed: float | None) -> Recording:
    name = file.name.lower()
    if name.endswith((".xdf", ".xdfz", ".xdf.gz")):
        from realtime.sources.readers.xdf import read_xdf

        return Recording(read_xdf(file, settings.stream, settings.markers), speed)
    if name.endswith(".csv"):
        from realtime.sources.readers.muse_csv import read_muse_csv

        return Recording(read_muse_csv(file, settings.stream, settings.markers), speed)
    if name.endswith(EDF_SUFFIXES):
        from realtime.sources.readers.edf import read_edf

        return Recording(read_edf(file, settings.stream), speed)
    if name.endswith(MNE_SUFFIXES):
        from realtime.sources.readers.mne_files import read_mne_file

        return Recording(read_mne_file(file, settings.stream), speed)
    msg = f"{file} is of no format that is known; give a file ending in {', '.join(SUFFIXES)}"
    raise SourceError(msg)
