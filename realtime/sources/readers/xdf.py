"""XDF recordings, with their stamps as they were: clock offsets applied, but no dejitter, which would hide holes."""

from __future__ import annotations

import gzip
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from configs.schema import MarkerSettings
from realtime.sources.base import Marker
from realtime.sources.metadata import SourceError, Wanted, choose, describe, read_markers, select
from realtime.sources.readers.loaded import Loaded
from realtime.xdf import whole_size

if TYPE_CHECKING:
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
            whole = BytesIO(file.read(size)) if size < path.stat().st_size and path.suffix == ".xdf" else file
            streams, _header = pyxdf.load_xdf(whole, dejitter_timestamps=False, synchronize_clocks=True)
    except Exception as error:  # pyxdf raises plain Exception, and whatever a broken file leads to
        msg = f"cannot read {path} as XDF: {' '.join(str(error).split()) or type(error).__name__}"
        raise SourceError(msg) from error
    described = [(describe(stream["info"]), stream) for stream in streams]
    try:
        chosen = choose([description for description, _ in described], "EEG", "stream", Wanted.by(settings))
    except SourceError as error:
        msg = f"{path}: {error}"
        raise SourceError(msg) from error
    selection = select(chosen, settings)
    stream = next(stream for description, stream in described if description is chosen)
    data = np.asarray(stream["time_series"])
    if len(data) == 0:
        msg = f"{path}: stream {chosen.title} holds no samples"
        raise SourceError(msg)
    samples = (data[:, selection.picks] * selection.scale).astype(np.float32)
    stamps = np.asarray(stream["time_stamps"], dtype=np.float64)
    found = _markers([(d, s) for d, s in described if d is not chosen], markers)
    return Loaded(selection.spec, stamps, lambda start, stop: samples[start:stop], found)


def _open(path: Path) -> BinaryIO:
    return path.open("rb") if path.suffix.lower() == ".xdf" else cast("BinaryIO", gzip.open(path))


def _markers(others: list[tuple[Any, Any]], settings: MarkerSettings) -> tuple[Marker, ...]:
    agreeing = [(s, d) for d, s in others if Wanted.by(settings).agrees(d)]
    if not agreeing and not settings.model_fields_set & {"name", "type", "source_id"}:
        agreeing = [(s, d) for d, s in others if d.format == "string"]
    elif not agreeing and settings.required:
        listed = "; ".join(d.title for d, _ in others) or "no other stream"
        msg = f"no marker stream agrees with the settings; found {listed}; correct markers.name and markers.type"
        raise SourceError(msg)
    markers = [
        marker
        for stream, description in agreeing
        for stamp, values in zip(stream["time_stamps"], stream["time_series"], strict=True)
        for marker in read_markers(values if isinstance(values, list) else values.tolist(), float(stamp), description)
    ]
    return tuple(sorted(markers, key=lambda marker: marker.stamp))
