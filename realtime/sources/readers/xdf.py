"""XDF recordings, with their stamps as they were: clock offsets applied, but no dejitter, which would hide holes."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from configs.schema import MarkerSettings
from realtime.sources.base import Marker
from realtime.sources.metadata import SourceError, StreamDescription, Wanted, choose, describe, read_markers, select
from realtime.sources.readers.loaded import Loaded
from realtime.xdf import whole_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import StreamSettings


def read_xdf(path: Path, settings: StreamSettings, markers: MarkerSettings) -> Loaded:
    """Return the recording in `path`.

    Markers come from the streams that agree with `markers`. Where the settings name none and no stream has the usual
    type, every stream of text is read.

    Raises
    ------
    SourceError
        If the file cannot be read, no EEG stream agrees or several do, or a unit is unknown.
    """
    import pyxdf

    try:
        with _open(path) as file:
            if file.read(4) != b"XDF:":
                msg = "it does not begin with XDF:"
                raise ValueError(msg)
            # pyxdf fails on some chunks that a crash has cut short
            size = whole_size(file)
            file.seek(0)
            whole = BytesIO(file.read(size)) if size < path.stat().st_size and path.suffix.lower() == ".xdf" else file
            streams, _header = pyxdf.load_xdf(whole, dejitter_timestamps=False, synchronize_clocks=True)
    except Exception as error:  # pyxdf raises plain Exception, and whatever a broken file leads to
        msg = f"cannot read {path} as XDF: {' '.join(str(error).split()) or type(error).__name__}"
        raise SourceError(msg) from error
    recorded = _joined([_Stream.of(stream) for stream in streams])
    try:
        description = choose([stream.description for stream in recorded], "EEG", "stream", Wanted.by(settings))
        selection = select(description, settings)
    except SourceError as error:
        msg = f"{path}: {error}"
        raise SourceError(msg) from error
    chosen = next(stream for stream in recorded if stream.description is description)
    if not len(chosen.stamps):
        msg = f"{path}: stream {description.title} holds no samples"
        raise SourceError(msg)
    samples = (np.asarray(chosen.values)[:, selection.picks] * selection.scale).astype(np.float32)
    found = _markers([stream for stream in recorded if stream is not chosen], markers)
    return Loaded(selection.spec, chosen.stamps, lambda start, stop: samples[start:stop], found)


@dataclass(frozen=True)
class _Stream:
    """A stream as recorded; `values` is an array, or a list of lists of text."""

    description: StreamDescription
    stamps: NDArray[np.float64]
    values: Any

    @classmethod
    def of(cls, stream: Mapping[str, Any]) -> _Stream:
        stamps = np.asarray(stream["time_stamps"], dtype=np.float64)
        return cls(replace(describe(stream["info"]), uid=""), stamps, stream["time_series"])

    def is_followed_by(self, other: _Stream) -> bool:
        """Return whether `other` is the same stream after its program was started again."""
        return (
            self.description == other.description
            and len(self.stamps) > 0
            and len(other.stamps) > 0
            and self.stamps[-1] < other.stamps[0]
        )

    def followed_by(self, other: _Stream) -> _Stream:
        text = isinstance(self.values, list)
        values = self.values + other.values if text else np.concatenate([self.values, other.values])
        return _Stream(self.description, np.concatenate([self.stamps, other.stamps]), values)


def _joined(streams: list[_Stream]) -> list[_Stream]:
    """Return the streams with those made one that a recorder saw one after the other, for want of a source id."""
    joined: list[_Stream] = []
    for stream in sorted(streams, key=lambda stream: float(stream.stamps[0]) if len(stream.stamps) else 0.0):
        earlier = next((known for known in joined if known.is_followed_by(stream)), None)
        if earlier is None:
            joined.append(stream)
        else:
            joined[[known is earlier for known in joined].index(True)] = earlier.followed_by(stream)
    return joined


def _open(path: Path) -> BinaryIO:
    return path.open("rb") if path.suffix.lower() == ".xdf" else cast("BinaryIO", gzip.open(path))


def _markers(others: list[_Stream], settings: MarkerSettings) -> tuple[Marker, ...]:
    agreeing = [stream for stream in others if Wanted.by(settings).agrees(stream.description)]
    if not agreeing and not settings.model_fields_set & {"name", "type", "source_id"}:
        agreeing = [stream for stream in others if stream.description.format == "string"]
    elif not agreeing and settings.required:
        listed = "; ".join(stream.description.title for stream in others) or "no other stream"
        msg = f"no marker stream agrees with the settings; found {listed}; correct markers.name and markers.type"
        raise SourceError(msg)
    markers = [
        marker
        for stream in agreeing
        for stamp, values in zip(stream.stamps.tolist(), stream.values, strict=True)
        for marker in read_markers(values if isinstance(values, list) else values.tolist(), stamp, stream.description)
    ]
    return tuple(sorted(markers, key=lambda marker: marker.stamp))
