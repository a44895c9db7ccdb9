"""Which stream to take of those in sight, and which of its channels to read in which unit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from realtime.sources.base import StreamSpec
from realtime.sources.metadata import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import MarkerSettings, StreamSettings
    from realtime.sources.metadata import StreamDescription

logger = logging.getLogger(__name__)

EXPONENTS = {"volts": 0, "millivolts": -3, "microvolts": -6, "nanovolts": -9}
SPELLINGS = {
    **dict.fromkeys(("volts", "volt", "v", "0"), "volts"),
    **dict.fromkeys(("millivolts", "millivolt", "mv", "-3"), "millivolts"),
    **dict.fromkeys(("microvolts", "microvolt", "uv", "µv", "μv", "-6"), "microvolts"),
    **dict.fromkeys(("nanovolts", "nanovolt", "nv", "-9"), "nanovolts"),
}
SETTLING = {"stream": ("name", "type", "source_id", "host"), "markers": ("name", "type", "source_id")}
"""Settings that can choose one of several streams."""
EVERY = ("*",)
"""In the place of channels' names: every channel, of whatever type."""


@dataclass(frozen=True)
class Wanted:
    """What a stream must say of itself to be taken; None where anything will do."""

    name: str | None = None
    type: str | None = None
    source_id: str | None = None
    host: str | None = None
    uid: str | None = None

    @classmethod
    def by(cls, settings: StreamSettings | MarkerSettings) -> Wanted:
        """Return what `settings` ask for."""
        return cls(settings.name, settings.type, settings.source_id, getattr(settings, "host", None))

    def agrees(self, stream: StreamDescription) -> bool:
        """Return whether `stream` is as wanted; case does not count in the type."""
        return (
            self.name in (None, stream.name)
            and (self.type is None or self.type.casefold() == stream.type.casefold())
            and self.source_id in (None, stream.source_id)
            and self.host in (None, stream.host)
            and self.uid in (None, stream.uid)
        )

    def __str__(self) -> str:
        given = {"name": self.name, "type": self.type, "source_id": self.source_id, "host": self.host, "uid": self.uid}
        return ", ".join(f"{key} {value!r}" for key, value in given.items() if value is not None) or "anything"


@dataclass(frozen=True)
class Selection:
    """What to take from a stream.

    Attributes
    ----------
    spec
        The stream as a session sees it.
    picks
        intp ``[channels]``: columns of the stream, in the order of ``spec.channels``.
    scale
        float64 ``[channels]``: factor from the stream's units to microvolts.
    """

    spec: StreamSpec
    picks: NDArray[np.intp]
    scale: NDArray[np.float64]


def unit_name(text: str) -> str | None:
    """Return the unit that `text` spells (``"microvolts"`` for ``"uV"``), or None where it is not a voltage."""
    return SPELLINGS.get(text.strip().casefold())


def microvolts_per(unit: str) -> float:
    """Return how many microvolts one `unit` ("volts", "millivolts", "microvolts" or "nanovolts") is."""
    return float(10.0 ** (EXPONENTS[unit] + 6))


def select(stream: StreamDescription, settings: StreamSettings) -> Selection:
    """Return which channels of `stream` to read and how to bring them to microvolts.

    Without ``settings.channels`` every channel of type EEG is read, or every channel where no types are given; with
    `EVERY` all are.
    Channels of other types keep their own values where their unit is not a voltage (triggers, photodiodes).

    Raises
    ------
    SourceError
        If the rate is missing, a named channel is absent or doubled, or the unit of an EEG channel is unknown.
    """
    if stream.rate_hz <= 0:
        msg = f"stream {stream.title} has no sampling rate, so it cannot be EEG; choose another by stream.name"
        raise SourceError(msg)
    if stream.format == "string":
        msg = f"stream {stream.title} carries text, not samples; choose another by stream.name or stream.type"
        raise SourceError(msg)
    chosen = _positions(stream, settings)
    labels = tuple(stream.channels[position].label for position in chosen)
    scale, units = [], []
    replaced: dict[str, list[str]] = {}
    for position in chosen:
        channel = stream.channels[position]
        is_eeg = channel.type.casefold() in ("", "eeg")
        told = unit_name(channel.unit)
        if is_eeg and settings.unit is not None:
            if told not in (None, settings.unit):
                replaced.setdefault(told, []).append(channel.label)
            told = settings.unit
        if is_eeg and told is None:
            unit = f"unit {channel.unit!r}" if channel.unit else "no unit"
            advice = "set stream.unit (replay: --unit), such as microvolts"
            msg = f"stream {stream.title}: channel {channel.label} has {unit}; {advice}"
            raise SourceError(msg)
        scale.append(1.0 if told is None else microvolts_per(told))
        if is_eeg and told is not None:
            units.append(told)
    for unit, of in replaced.items():
        more = f" and {len(of) - 1} more" if len(of) > 1 else ""
        logger.warning("stream.unit (%s) replaces %s, told for %s%s", settings.unit, unit, of[0], more)
    spec = StreamSpec(
        name=stream.name,
        type=stream.type,
        source_id=stream.source_id,
        rate_hz=stream.rate_hz,
        channels=labels,
        unit=units[0] if units else "microvolts",
        reference=stream.reference,
    )
    return Selection(spec, np.array(chosen, dtype=np.intp), np.array(scale))


def _at(wanted: str, labels: Sequence[str]) -> int | None:
    """Return where the channel `wanted` is, by its name or, where that is one alone, by its name in another case."""
    if wanted in labels:
        return labels.index(wanted)
    alike = [place for place, label in enumerate(labels) if label.casefold() == wanted.casefold()]
    return alike[0] if len(alike) == 1 else None


def _positions(stream: StreamDescription, settings: StreamSettings) -> list[int]:
    labels = [channel.label for channel in stream.channels]
    if settings.channels == EVERY:
        return [*range(len(labels))]
    if settings.channels is not None:
        at = [_at(label, labels) for label in settings.channels]
        missing = [label for label, place in zip(settings.channels, at, strict=True) if place is None]
        if missing:
            msg = f"stream {stream.title} has no channel {', '.join(missing)}; it has {', '.join(labels)}"
            raise SourceError(msg)
        chosen = [place for place in at if place is not None]
    else:
        types = [channel.type.casefold() for channel in stream.channels]
        chosen = (
            [position for position, type_ in enumerate(types) if type_ == "eeg"] if any(types) else [*range(len(types))]
        )
        if not chosen:
            told = ", ".join(sorted(set(types)))
            msg = f"stream {stream.title} has no channel of type EEG (types: {told}); name some in stream.channels"
            raise SourceError(msg)
    doubled = sorted({labels[position] for position in chosen if labels.count(labels[position]) > 1})
    if doubled:
        msg = f"stream {stream.title} has more than one channel called {', '.join(doubled)}; give each its own label"
        raise SourceError(msg)
    return chosen


def choose(
    found: Sequence[StreamDescription], what: str, key: str, wanted: Wanted, *, recorded: bool = False
) -> StreamDescription:
    """Return the one stream in `found` that is as wanted.

    Parameters
    ----------
    found
        The streams in sight.
    what, key
        How to call the stream ("EEG") and its section of the settings ("stream") in errors.
    wanted
        What the stream must agree with.
    recorded
        Whether the streams are those of a file, where none can be started.

    Raises
    ------
    SourceError
        If none or several agree; the line lists the candidates.
    """
    agreeing = [stream for stream in found if wanted.agrees(stream)]
    if len(agreeing) == 1:
        return agreeing[0]
    if agreeing:
        listed = "; ".join(stream.title for stream in agreeing)
        telling = [
            f"{key}.{name}"
            for name in SETTLING[key]
            if len({getattr(stream, name).casefold() for stream in agreeing}) == len(agreeing)
        ]
        advice = (
            f"set {' or '.join(telling)}" if telling else "no setting tells them apart: stop or take out all but one"
        )
        msg = f"{len(agreeing)} {what} streams agree with {wanted}: {listed}; {advice}"
        raise SourceError(msg)
    listed = "; ".join(stream.title for stream in found) or "no stream at all"
    start = "" if recorded else "start it, or "
    msg = f"no {what} stream agrees with {wanted}; found {listed}; {start}correct {key}.name and {key}.type"
    raise SourceError(msg)
