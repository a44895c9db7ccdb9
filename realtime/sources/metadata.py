"""What a stream says of itself, live or in an XDF file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from configs.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import pylsl

DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "double64": np.dtype("<f8"),
    "int8": np.dtype("<i1"),
    "int16": np.dtype("<i2"),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
}
FORMATS = ("undefined", "float32", "double64", "string", "int32", "int16", "int8", "int64")
"""Names of LSL's sample formats, by their number."""
SIMULATED = "simulated"
"""Reference that a simulated participant's stream names."""
MOST_CHANNELS = 100_000
"""Channels that a stream may claim; more is a mistake, and its description alone would fill the memory."""
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile("&#(x[0-9a-fA-F]+|[0-9]+);")


class SourceError(InputError):
    """A stream or recording that cannot be used; one line says what is wrong and what to do."""

    about = "streams"


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
    def simulated(self) -> bool:
        """Whether a simulated participant sends it."""
        return self.reference == SIMULATED

    @property
    def title(self) -> str:
        """One phrase that tells this stream from others."""
        rate = f"{self.rate_hz:g} Hz" if self.rate_hz else "irregular"
        parts = f"type {self.type!r}, source_id {self.source_id!r}, host {self.host!r}, {len(self.channels)} ch, {rate}"
        return f"{self.name!r} ({parts})"


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
