"""What readers share: markers from annotations and trigger channels together, and what is told of channels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from realtime.sources.base import Marker
from realtime.sources.metadata import Channel
from stimuli.markers import read_marker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from configs.schema import StreamSettings

MOST_NAMES = 8
"""Names that are told one by one."""
WHOLE = re.compile(r"[+-]?\d+\.0+")


def as_marker(text: str, onset: float, duration_s: float = 0.0) -> Marker:
    """Return the marker that an annotation stands for; what is marked as bad keeps its duration.

    Parameters
    ----------
    text
        The annotation's text.
    onset
        When it begins, in seconds of the recording.
    duration_s
        How long it lasts; kept of what is marked as bad alone.
    """
    marker = read_marker(text.partition(".")[0] if WHOLE.fullmatch(text) else text, onset)
    if duration_s > 0 and marker.kind.casefold().startswith("bad"):
        return Marker(onset, marker.kind, extra={"duration_s": duration_s})
    return marker


def merged(annotations: Iterable[Marker], triggers: Sequence[Marker], apart_s: float) -> tuple[Marker, ...]:
    """Return annotations and triggers together in order; an annotation that repeats a trigger counts once.

    Parameters
    ----------
    annotations
        Markers that somebody or a program wrote.
    triggers
        Markers of the trigger channel, which are the more exact ones.
    apart_s
        How far the two may lie from each other, in seconds, and still be one event.
    """
    known = {(trigger.kind, round(trigger.timestamp / apart_s)) for trigger in triggers}
    own = [
        note
        for note in annotations
        if not known & {(note.kind, round(note.timestamp / apart_s) + near) for near in (-1, 0, 1)}
    ]
    return tuple(sorted([*own, *triggers], key=lambda marker: marker.timestamp))


def left_out(others: Sequence[Channel], odd: Sequence[str], rate_hz: float, settings: StreamSettings) -> list[str]:
    """Return lines that report channels which were not read; none where the settings name channels.

    Parameters
    ----------
    others
        Channels that hold no EEG.
    odd
        Labels of channels of another sampling rate.
    rate_hz
        Sampling rate of the EEG.
    settings
        Which channels were asked for.
    """
    if settings.channels is not None:
        return []
    lines = []
    if others:
        lines.append(f"no EEG and left out: {names([channel.label for channel in others])}")
    if odd:
        lines.append(f"not sampled at {rate_hz:g} Hz as the EEG is and left out: {names(odd)}")
    return lines


def unknown_pauses(timestamps: NDArray[np.float64], pauses: Iterable[int], rate_hz: float) -> list[str]:
    """Return lines that report pauses whose length the file does not give.

    Parameters
    ----------
    timestamps
        float64 ``[n]``: times of the samples in seconds.
    pauses
        Rows before which a pause is marked.
    rate_hz
        Sampling rate.
    """
    rows = [
        row for row in pauses if 0 < row < len(timestamps) and timestamps[row] - timestamps[row - 1] < 1.5 / rate_hz
    ]
    if not rows:
        return []
    where = names([f"{timestamps[row]:.3f} s" for row in rows])
    return [f"paused at {where}, for how long is not told: times go on as if it had not been"]


def names(labels: Sequence[str]) -> str:
    """Return `labels` for people, the last ones as a number where there are many."""
    more = len(labels) - MOST_NAMES
    return ", ".join(labels[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
