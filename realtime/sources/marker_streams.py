"""What the samples of a marker stream mean, and whether they are timestamped by the clock that timestamps the EEG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from realtime.sources.base import Marker
from realtime.sources.metadata import SourceError, StreamDescription
from stimuli.markers import read_marker

AHEAD_S = 0.2
"""Seconds that a marker may be ahead of its arrival, as of a screen's next flip; further ahead is another clock."""
BEHIND_S = 60.0
"""Seconds that a marker may be behind its arrival, as the EEG may; further behind is another clock."""
AGAIN_S = 30.0
"""Seconds for which a marker of another clock is not reported again."""


class MarkerReader:
    """Reads the samples of one marker stream.

    Text, or the number on a single channel, is the marker itself; of several channels of text, each that is not empty.
    Several channels of numbers have one kind of marker each, named by its label and present where the value is not 0
    (so mne-lsl's player sends annotations), unless one of them is named to hold the marker itself.

    Parameters
    ----------
    stream
        The marker stream.
    channel
        Label of the channel that holds the markers; None for the rule above.
    fields
        Labels of channels whose value each marker bears, and under which name; the first of them holds the markers
        where no channel is named.

    Raises
    ------
    SourceError
        If the stream has no such channel.

    Attributes
    ----------
    left_out
        A line where a channel is named and the others are not read.
    """

    def __init__(
        self, stream: StreamDescription, channel: str | None = None, fields: Mapping[str, str] | None = None
    ) -> None:
        labels = [one.label for one in stream.channels]
        fields = fields or {}
        channel = next(iter(fields), None) if channel is None else channel
        for wanted, setting in ((channel, "channel"), *((field, "fields") for field in fields)):
            if wanted is not None and wanted not in labels:
                msg = f"marker stream {stream.name!r} has no channel {wanted!r}, it has {', '.join(labels)}"
                raise SourceError(f"{msg}; correct markers.{setting}")
        read = {channel, *fields}
        others = ", ".join(label for label in labels if channel is not None and label not in read)
        self.left_out = (f"of marker stream {stream.name!r} only channel {channel} is read, not {others}",) * bool(
            others
        )
        self._labels = labels
        self._position = None if channel is None else labels.index(channel)
        self._fields = {name: labels.index(label) for label, name in fields.items()}
        self._is_text = stream.format == "string"

    def read(self, values: Sequence[str | float], timestamp: float) -> list[Marker]:
        """Return the markers that one sample stands for."""
        if self._position is not None or len(values) == 1:
            told = {name: plain(values[position]) for name, position in self._fields.items()}
            return [with_fields(read_marker(values[self._position or 0], timestamp), told)]
        if self._is_text:
            return [read_marker(value, timestamp) for value in values if value]
        return [Marker(timestamp, label) for label, value in zip(self._labels, values, strict=True) if value != 0]


def with_fields(marker: Marker, told: Mapping[str, Any]) -> Marker:
    """Return `marker` with what was told beside it."""
    return replace(marker, extra={**marker.extra, **told}) if told else marker


def plain(value: str | float) -> str | float:
    """Return a field's value as people write it: whole numbers without a point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class MarkerClock:
    """Tells when the markers of a live stream are timestamped by another clock than LSL's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told = -math.inf

    def look(self, timestamp: float, now: float) -> str | None:
        """Return one line where a marker that arrives at `now` on the LSL clock cannot have been timestamped by it."""
        ahead_s = timestamp - now
        if -BEHIND_S <= ahead_s <= AHEAD_S or now < self._told + AGAIN_S:
            return None
        self._told = now
        side = "ahead of" if ahead_s > 0 else "behind"
        return (
            f"markers of stream {self._name!r} lie {abs(ahead_s):.{0 if abs(ahead_s) > 60 else 1}f} s {side} the LSL "
            "clock, and epochs would be cut in the wrong place: make the sender timestamp with local_clock()"
        )
