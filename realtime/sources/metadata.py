"""What a stream says of itself, live or in an XDF file, and which of its channels to read in which unit."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from configs.errors import InputError
from realtime.sources.base import StreamSpec

if TYPE_CHECKING:
    from pathlib import Path

    import pylsl
    from numpy.typing import NDArray

    from configs.schema import MarkerSettings, StreamSettings

logger = logging.getLogger(__name__)

DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "double64": np.dtype("<f8"),
    "int8": np.dtype("<i1"),
    "int16": np.dtype("<i2"),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
}
EXPONENTS = {"volts": 0, "millivolts": -3, "microvolts": -6, "nanovolts": -9}
SPELLINGS = {
    **dict.fromkeys(("volts", "volt", "v", "0"), "volts"),
    **dict.fromkeys(("millivolts", "millivolt", "mv", "-3"), "millivolts"),
    **dict.fromkeys(("microvolts", "microvolt", "uv", "µv", "μv", "-6"), "microvolts"),
    **dict.fromkeys(("nanovolts", "nanovolt", "nv", "-9"), "nanovolts"),
}
FORMATS = ("undefined", "float32", "double64", "string", "int32", "int16", "int8", "int64")
"""Names of LSL's sample formats, by their number."""
SETTLING = {"stream": ("name", "type", "source_id", "host"), "markers": ("name", "type", "source_id")}
"""Settings that can choose one of several streams."""
MOST_CHANNELS = 100_000
"""Channels that a stream may claim; more is a mistake, and its description alone would fill the memory."""
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile("&#(x[0-9a-fA-F]+|[0-9]+);")


class SourceError(InputError):
    """A stream or recording that cannot be used; one line says what is wrong and what to do."""

    about = "streams"


EVERY = ("*",)
"""In the place of channels' names: every channel, of whatever type."""


@dataclass(frozen=True)
class Channel:
    """One channel as the metadata describe it; `type` and `unit` are empty where they do not say."""

    label: str
    type: str = ""
    unit: str = ""


@dataclass(frozen=True)
class StreamDescription:
    """A stream as its metadata describe it, before anything is chosen from it."""

    name: str
    type: str
    source_id: str
    host: str
    uid: str
    rate_hz: float
    format: str
    channels: tuple[Channel, ...]
    reference: str | None = None

    @classmethod
    def of_file(
        cls, path: Path, rate_hz: float, channels: Sequence[Channel], reference: str | None = None
    ) -> StreamDescription:
        """Return the description of a file that holds one EEG stream, which is called as the file is.

        Parameters
        ----------
        path
            The file.
        rate_hz
            Sampling rate of the channels.
        channels, reference
            What the file says of them.
        """
        return cls(path.stem, "EEG", "", "", "", rate_hz, "double64", tuple(channels), reference)

    @property
    def title(self) -> str:
        """One phrase that tells this stream from others."""
        rate = f"{self.rate_hz:g} Hz" if self.rate_hz else "irregular"
        parts = f"type {self.type!r}, source_id {self.source_id!r}, host {self.host!r}, {len(self.channels)} ch, {rate}"
        return f"{self.name!r} ({parts})"


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


def legible(text: str) -> str:
    """Return `text` with U+FFFD in place of what neither XML nor a terminal can bear: control characters."""
    return _FORBIDDEN.sub("\ufffd", text)


def legible_xml(xml: str) -> str:
    """Return `xml` with U+FFFD in place of the characters that XML forbids, those written as references too."""

    def character(reference: re.Match[str]) -> str:
        digits = reference[1]
        code = int(digits[1:], 16) if digits[0] == "x" else int(digits)
        return reference[0] if code <= 0x10FFFF and not _FORBIDDEN.match(chr(code)) else "\ufffd"

    return _REFERENCE.sub(character, legible(xml))


def parse_info(xml: str) -> dict[str, list[Any]]:
    """Return a stream's XML as nested mappings of lists, the form in which pyxdf gives the headers of a file.

    Raises
    ------
    SourceError
        If it is no XML even with U+FFFD in place of the characters that XML forbids.
    """

    def content(element: ElementTree.Element) -> Any:
        if len(element) == 0:
            return element.text
        nested: dict[str, list[Any]] = {}
        for child in element:
            nested.setdefault(child.tag, []).append(content(child))
        return nested

    try:
        parsed = content(ElementTree.fromstring(legible_xml(xml)))
    except ElementTree.ParseError as error:
        msg = f"a stream's metadata are not XML: {error}"
        raise SourceError(msg) from error
    return parsed if isinstance(parsed, dict) else {}


def _first(node: Any, *path: str) -> Any:
    """Return the first entry at `path`, or None where the metadata stop short."""
    for key in path:
        entries = node.get(key) if isinstance(node, Mapping) else None
        if not entries:
            return None
        node = entries[0]
    return node


def _text(node: Any, *path: str) -> str:
    value = _first(node, *path)
    return value.strip() if isinstance(value, str) else ""


def _number(info: Any, name: str, key: str, otherwise: float) -> float:
    """Return the finite number at `key`, or `otherwise` where there is none."""
    text = _text(info, key)
    try:
        value = float(text or otherwise)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        msg = f"stream {name!r} gives {text!r} for {key}; a number is needed"
        raise SourceError(msg)
    return value


def describe_outlet(info: pylsl.StreamInfo) -> StreamDescription:
    """Return what a stream in sight says of itself; its channels' names, units and reference it does not say yet.

    Raises
    ------
    SourceError
        If it claims more than `MOST_CHANNELS` channels.
    """
    name, count = legible(info.name()), info.channel_count()
    _check_count(name, count)
    return StreamDescription(
        name=name.strip(),
        type=legible(info.type()).strip(),
        source_id=legible(info.source_id()).strip(),
        host=legible(info.hostname()).strip(),
        uid=info.uid(),
        rate_hz=float(info.nominal_srate()),
        format=FORMATS[info.channel_format()],
        channels=tuple(Channel(f"ch{position}") for position in range(1, count + 1)),
    )


def _check_count(name: str, count: int) -> None:
    if not 0 <= count <= MOST_CHANNELS:
        msg = f"stream {name!r} claims {count} channels; at most {MOST_CHANNELS} are read"
        raise SourceError(msg)


def describe(info: Mapping[str, list[Any]]) -> StreamDescription:
    """Return what `info`, a stream's metadata as nested mappings of lists, says; missing parts are tolerated.

    Raises
    ------
    SourceError
        If a number in it is none, or it claims more than `MOST_CHANNELS` channels.
    """
    name = _text(info, "name")
    count = int(_number(info, name, "channel_count", 1))
    _check_count(name, count)
    channels_node = _first(info, "desc", "channels")
    entries = channels_node.get("channel", []) if isinstance(channels_node, Mapping) else []
    channels = [
        Channel(_text(entry, "label") or _text(entry, "name"), _text(entry, "type"), _text(entry, "unit"))
        for entry in entries[:count]
    ]
    channels += [Channel("")] * (count - len(channels))
    named = tuple(
        Channel(channel.label or f"ch{position}", channel.type, channel.unit)
        for position, channel in enumerate(channels, start=1)
    )
    reference = _first(info, "desc", "reference")
    labels = reference.get("label", []) if isinstance(reference, Mapping) else [reference]
    return StreamDescription(
        name=name,
        type=_text(info, "type"),
        source_id=_text(info, "source_id"),
        host=_text(info, "hostname"),
        uid=_text(info, "uid"),
        rate_hz=_number(info, name, "nominal_srate", 0),
        format=_text(info, "channel_format"),
        channels=named,
        reference=", ".join(label for label in labels if isinstance(label, str) and label.strip()) or None,
    )


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


def _positions(stream: StreamDescription, settings: StreamSettings) -> list[int]:
    labels = [channel.label for channel in stream.channels]
    if settings.channels == EVERY:
        return [*range(len(labels))]
    if settings.channels is not None:
        missing = [label for label in settings.channels if label not in labels]
        if missing:
            msg = f"stream {stream.title} has no channel {', '.join(missing)}; it has {', '.join(labels)}"
            raise SourceError(msg)
        chosen = [labels.index(label) for label in settings.channels]
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


def choose(found: Sequence[StreamDescription], what: str, key: str, wanted: Wanted) -> StreamDescription:
    """Return the one stream in `found` that is as wanted.

    Parameters
    ----------
    found
        The streams in sight.
    what, key
        How to call the stream ("EEG") and its section of the settings ("stream") in errors.
    wanted
        What the stream must agree with.

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
    msg = f"no {what} stream agrees with {wanted}; found {listed}; start it, or correct {key}.name and {key}.type"
    raise SourceError(msg)
