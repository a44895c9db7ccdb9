"""XDF recordings, with timestamps as they were: clock offsets applied, but no dejitter, which would hide holes."""

from __future__ import annotations

import gzip
import logging
import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.schema import MarkerSettings
from realtime.sources.base import Marker
from realtime.sources.marker_streams import MarkerReader
from realtime.sources.metadata import SourceError, StreamDescription, describe
from realtime.sources.readers.loaded import Loaded
from realtime.sources.readers.xdf_chunks import MAGIC, whole_chunks
from realtime.sources.selection import Wanted, choose, select

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import StreamSettings
    from realtime.sources.readers.loaded import Loader

SAME = 0.95
"""Share of the samples of a copy that must be found in the stream that it is a copy of."""
APART_S = 0.05
"""Seconds that the clock offsets of a stream and its copy may lie apart."""
FAR_S = 60.0
"""Seconds from the EEG beyond which markers are of another clock."""
LATEST_S = 1e16
"""The most that a clock may show, in seconds, milliseconds or microseconds since any date."""
PYXDF_TELLS = {
    "truncating extra samples": "samples that came after their stream's clock had gone wrong are left out",
    "cannot be used for synchronization": "a stream's clock offsets cannot be used: timestamps are of its own clock",
}
"""What pyxdf's log has to say that matters to people, and how it is said here."""


def read_xdf(path: Path, markers: MarkerSettings) -> Loader:
    """Loader the recording in `path`; what is returned loads the stream and channels that are wanted of it.

    Markers come from the streams that agree with `markers`. Where the settings name none and no stream has the usual
    type, every stream of text is read.

    Parameters
    ----------
    path
        The XDF file, packed or not.
    markers
        Which streams hold the markers.

    Raises
    ------
    SourceError
        If the file cannot be read; on loading, if no EEG stream agrees or several do, or a unit is unknown.
    """
    recorded, notices = read_streams(path)

    def load(settings: StreamSettings) -> Loaded:
        try:
            asked, rehearsed = _of_rehearsal(recorded, settings)
            chosen, passed_over = choose_stream(recorded, asked)
            selection = select(chosen.description, asked)
            found, told = _markers([stream for stream in recorded if stream is not chosen], markers, chosen.timestamps)
        except SourceError as error:
            msg = f"{path}: {error}"
            raise SourceError(msg) from error
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and spoils its epoch
            samples = (np.asarray(chosen.values)[:, selection.picks] * selection.scale).astype(np.float32)
        lines = (*notices, *rehearsed, *passed_over, *told)
        return Loaded(selection.spec, chosen.timestamps, lambda start, stop: samples[start:stop], found, lines)

    return load


def read_streams(path: Path) -> tuple[list[RecordedStream], list[str]]:
    """Return every stream in the XDF file `path`, copies of one left out, and a line for each thing that was not read.

    Raises
    ------
    SourceError
        If it is no XDF file.
    """
    import pyxdf

    told = _Told()
    try:
        with _opened(path) as data:
            if data[:4] != MAGIC:
                msg = "it does not begin with XDF:"
                raise ValueError(msg)
            whole = whole_chunks(data)
            as_it_is = whole.is_all and path.suffix.lower() == ".xdf"
            file = path if as_it_is else BytesIO(whole.content())
        with told, np.errstate(all="ignore"):
            streams, _header = pyxdf.load_xdf(file, dejitter_timestamps=False, synchronize_clocks=True)
    except Exception as error:  # pyxdf raises plain Exception, and whatever a broken file leads to
        msg = f"cannot read {path} as XDF: {' '.join(str(error).split()) or type(error).__name__}"
        raise SourceError(msg) from error
    timed = [_timed(RecordedStream.of(stream)) for stream in streams]
    recorded, copies = _without_copies(_joined([stream for stream, _ in timed]))
    return recorded, [*whole.notices, *told.lines, *(line for _, lines in timed for line in lines), *copies]


@dataclass(frozen=True)
class RecordedStream:
    """A stream as recorded; `values` is an array, or a list of lists of text."""

    description: StreamDescription
    timestamps: NDArray[np.float64]
    values: Any

    @classmethod
    def of(cls, stream: Mapping[str, Any]) -> RecordedStream:
        """Return what pyxdf makes of one stream."""
        timestamps = np.asarray(stream["time_stamps"], dtype=np.float64)
        return cls(replace(describe(stream["info"]), uid=""), timestamps, stream["time_series"])

    def holds(self, other: RecordedStream) -> bool:
        """Return whether all that is in `other` is in this stream too: the same values at the same times."""
        count = len(other.timestamps)
        if self.description != other.description or not 0 < count <= len(self.timestamps):
            return False
        # the clock offset of a copy was measured anew: its timestamps may differ by some milliseconds
        first, last = np.searchsorted(self.timestamps, other.timestamps[0] + np.array([-APART_S, APART_S]))
        return any(
            _share_same(self.values[start : start + count], other.values) > SAME for start in range(first, last + 1)
        )

    def is_followed_by(self, other: RecordedStream) -> bool:
        """Return whether `other` is the same stream after its program was started again."""
        return (
            self.description == other.description
            and len(self.timestamps) > 0
            and len(other.timestamps) > 0
            and self.timestamps[-1] < other.timestamps[0]
        )

    def followed_by(self, other: RecordedStream) -> RecordedStream:
        """Return both as one."""
        text = isinstance(self.values, list)
        values = self.values + other.values if text else np.concatenate([self.values, other.values])
        return RecordedStream(self.description, np.concatenate([self.timestamps, other.timestamps]), values)


def _share_same(values: Any, others: Any) -> float:
    """Return the share of the samples in `others` that are the same as those at their place in `values`."""
    if isinstance(others, list):
        return float(sum(one == other for one, other in zip(values, others, strict=False)) / len(others))
    told = np.asarray(others)[: len(values)]
    same = (values == told) | (np.isnan(values) & np.isnan(told))
    return float(same.all(axis=1).sum()) / len(others)


def _timed(stream: RecordedStream) -> tuple[RecordedStream, list[str]]:
    """Return a stream without the samples whose timestamp no clock can have shown, and a line where there are some."""
    kept = np.abs(stream.timestamps) < LATEST_S  # false for NaN
    if kept.all():
        return stream, []
    values = list(compress(stream.values, kept)) if isinstance(stream.values, list) else stream.values[kept]
    counts = f"{int((~kept).sum())} of {len(kept)} samples"
    line = f"{counts} of stream {stream.description.name!r} have an impossible timestamp and are left out"
    return RecordedStream(stream.description, stream.timestamps[kept], values), [line]


def _joined(streams: list[RecordedStream]) -> list[RecordedStream]:
    """Return the streams with those made one that a recorder saw one after the other, for want of a source id."""
    joined: list[RecordedStream] = []
    for stream in sorted(streams, key=lambda stream: float(stream.timestamps[0]) if len(stream.timestamps) else 0.0):
        earlier = next((known for known in joined if known.is_followed_by(stream)), None)
        if earlier is None:
            joined.append(stream)
        else:
            joined[[known is earlier for known in joined].index(True)] = earlier.followed_by(stream)
    return joined


def _without_copies(streams: list[RecordedStream]) -> tuple[list[RecordedStream], list[str]]:
    """Return the streams without those that are others once more, as of two network cards; the longest one stays."""
    kept: list[RecordedStream] = []
    notices = []
    for stream in sorted(streams, key=lambda stream: len(stream.timestamps), reverse=True):
        if any(known.holds(stream) for known in kept):
            title = stream.description.title
            notices.append(
                f"stream {title} was recorded twice: the copy of {len(stream.timestamps)} samples is left out"
            )
        else:
            kept.append(stream)
    return [stream for stream in streams if any(stream is known for known in kept)], notices


def _of_rehearsal(recorded: list[RecordedStream], settings: StreamSettings) -> tuple[StreamSettings, list[str]]:
    """Return settings that find the simulated participant who stood in for the stream asked for, and a line of it.

    A rehearsal is conducted by the laboratory's own settings, which name the amplifier.
    """
    wanted = Wanted.by(settings)
    stand_ins = [stream.description for stream in recorded if stream.description.simulated]
    if len(stand_ins) != 1 or any(wanted.agrees(stream.description) for stream in recorded):
        return settings, []
    stand_in = stand_ins[0]
    own = {"name": stand_in.name, "type": stand_in.type, "source_id": None, "host": None, "unit": None}
    line = f"no stream agrees with {wanted}: the simulated participant {stand_in.name!r} of a rehearsal is read"
    return settings.model_copy(update=own), [line]


def choose_stream(recorded: list[RecordedStream], settings: StreamSettings) -> tuple[RecordedStream, list[str]]:
    """Return the EEG stream that `settings` ask for, and a line for each that is passed over because it is empty.

    Raises
    ------
    SourceError
        If none agrees, several do, or there are no samples.
    """
    wanted = Wanted.by(settings)
    agreeing = [stream for stream in recorded if wanted.agrees(stream.description)]
    empty = [stream for stream in agreeing if not len(stream.timestamps)]
    if agreeing and len(empty) == len(agreeing):
        msg = f"stream {empty[0].description.title} holds no samples"
        raise SourceError(msg)
    others = [stream for stream in recorded if not any(stream is one for one in empty)]
    description = choose([stream.description for stream in others], "EEG", "stream", wanted, recorded=True)
    notices = [f"stream {stream.description.title} holds no samples and is passed over" for stream in empty]
    return next(stream for stream in others if stream.description is description), notices


def _markers(
    others: list[RecordedStream], settings: MarkerSettings, eeg: NDArray[np.float64]
) -> tuple[tuple[Marker, ...], list[str]]:
    """Return the markers in order, and a line for what of them is left out or lies beside the EEG."""
    agreeing = [stream for stream in others if Wanted.by(settings).agrees(stream.description)]
    if not agreeing and not settings.model_fields_set & {"name", "type", "source_id"}:
        agreeing = [stream for stream in others if stream.description.format == "string"]
    elif not agreeing and settings.required:
        listed = "; ".join(stream.description.title for stream in others) or "no other stream"
        msg = f"no marker stream agrees with the settings; found {listed}; correct markers.name and markers.type"
        raise SourceError(msg)
    markers: list[Marker] = []
    notices: list[str] = []
    for stream in agreeing:
        reader = MarkerReader(stream.description, settings.channel, settings.fields)
        notices += reader.left_out
        for timestamp, values in zip(stream.timestamps.tolist(), stream.values, strict=True):
            markers += reader.read(values if isinstance(values, list) else values.tolist(), timestamp)
        if (beside := _beside(stream, eeg)) is not None:
            notices.append(beside)
    return tuple(sorted(markers, key=lambda marker: marker.timestamp)), notices


def _beside(markers: RecordedStream, eeg: NDArray[np.float64]) -> str | None:
    """Return one line where no marker lies within the EEG."""
    timestamps = markers.timestamps
    if not len(timestamps) or ((timestamps >= eeg.min()) & (timestamps <= eeg.max())).any():
        return None
    told = f"no marker of stream {markers.description.name!r} lies within the EEG"
    if min(abs(timestamps.min() - eeg.max()), abs(eeg.min() - timestamps.max())) < FAR_S:
        return told
    apart_s = float(timestamps.min() - eeg.min())
    side = "after" if apart_s > 0 else "before"
    where = f"they begin {abs(apart_s):.0f} s {side} it does, on another clock"
    return f"{told}: {where}: make the sender timestamp with local_clock()"


class _Told(logging.Handler):
    """Keeps from the user what pyxdf logs, in its own terms and of no consequence mostly, but for what it left out."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._logger = logging.getLogger("pyxdf")

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line where it tells of something that matters here."""
        told = record.getMessage()
        self.lines += [line for part, line in PYXDF_TELLS.items() if part in told and line not in self.lines]

    def __enter__(self) -> None:
        self._logger.addHandler(self)
        self._propagated, self._logger.propagate = self._logger.propagate, False

    def __exit__(self, *_: object) -> None:
        self._logger.propagate = self._propagated
        self._logger.removeHandler(self)


@contextmanager
def _opened(path: Path) -> Iterator[bytes | mmap.mmap]:
    """Open an XDF file, compressed or not, as bytes."""
    with path.open("rb") as file:
        if path.suffix.lower() != ".xdf":
            with gzip.open(file) as unpacked:
                yield unpacked.read()
        elif path.stat().st_size == 0:
            yield b""
        else:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                yield mapped
