"""What a recording holds so far, so that another writer can go on in it as if it were the first."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from realtime.sources.metadata import DTYPES, StreamDescription, describe, parse_info
from realtime.sources.xdf_format import CLOCK_OFFSET, SAMPLES, STREAM_FOOTER, STREAM_HEADER

_STAMPED = struct.Struct("<Bd")


@dataclass
class Held:
    """What a file holds of one stream.

    Attributes
    ----------
    number
        The stream's number in the file.
    first, last
        Timestamps of the first and last sample in seconds, NaN while there is none.
    offsets
        Pairs of (measured at, offset) in seconds.
    """

    number: int
    stream: StreamDescription
    first: float = math.nan
    last: float = math.nan
    count: int = 0
    offsets: list[tuple[float, float]] = field(default_factory=list)

    def note(self, first: float, last: float, count: int) -> None:
        """Count samples that have been written.

        Parameters
        ----------
        first, last
            Timestamps of the first and last of them in seconds.
        count
            How many.
        """
        self.first = self.first if self.count else first
        self.last = last
        self.count += count


def contents(file: BinaryIO) -> tuple[int, dict[int, Held]]:
    """Return how many bytes of a file that `XdfWriter` wrote can be gone on from, and its streams by number.

    What follows those bytes is a chunk that was cut off, or the footers with which every file ends.
    """
    size, streams = 4, dict[int, Held]()
    for tag, start, end in _chunks(file):
        if tag == STREAM_FOOTER:
            break
        size = end
        if tag in (STREAM_HEADER, SAMPLES, CLOCK_OFFSET):
            content = file.read(4)
            (number,) = struct.unpack("<I", content)
            if tag == STREAM_HEADER:
                xml = file.read(end - start - 4).decode()
                streams[number] = Held(number, describe(parse_info(xml)))
            elif tag == CLOCK_OFFSET:
                time_s, offset_s = struct.unpack("<dd", file.read(16))
                streams[number].offsets.append((time_s + offset_s, offset_s))
            else:
                _count(streams[number], file, end)
    return size, streams


def _chunks(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Yield the tag of each whole chunk, and where in the file its content starts and ends."""
    size = file.seek(0, os.SEEK_END)
    file.seek(4)
    while head := file.read(1):
        width = head[0]
        length = file.read(width)
        if width not in (1, 4, 8) or len(length) < width:
            return
        start = file.tell()
        end = start + int.from_bytes(length, "little")
        if end > size:
            return
        yield int.from_bytes(file.read(2), "little"), start + 2, end
        file.seek(end)


def _count(held: Held, file: BinaryIO, end: int) -> None:
    """Count the samples of one chunk, which begins behind the stream's number."""
    count = int.from_bytes(file.read(file.read(1)[0]), "little")
    begun = file.tell()
    dtype = DTYPES.get(held.stream.format)
    if dtype is None:
        timestamps = list(_timestamps_of_texts(file.read(end - begun), count, len(held.stream.channels)))
        held.note(timestamps[0], timestamps[-1], count)
        return
    (_, first) = _STAMPED.unpack(file.read(_STAMPED.size))
    row = _STAMPED.size + dtype.itemsize * len(held.stream.channels)
    file.seek(begun + row * (count - 1))
    (_, last) = _STAMPED.unpack(file.read(_STAMPED.size))
    held.note(first, last, count)


def _timestamps_of_texts(content: bytes, count: int, channels: int) -> Iterator[float]:
    at = 0
    for _ in range(count):
        _, timestamp = _STAMPED.unpack_from(content, at)
        yield timestamp
        at += _STAMPED.size
        for _ in range(channels):
            width = content[at]
            at += 1 + width + int.from_bytes(content[at + 1 : at + 1 + width], "little")
