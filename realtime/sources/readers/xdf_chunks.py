"""The whole chunks of an XDF file: what is damaged is left out and told, and what lies behind it is read all the same.

pyxdf takes what a chunk says for true: one wrong bit makes it allocate any memory, or drop all that follows. So every
chunk is checked before pyxdf sees it. Behind damage, reading goes on where the next chunk begins, at the latest at the
next boundary mark, which recorders write every ten seconds.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from realtime.sources.metadata import DTYPES, SourceError, describe, legible_xml, parse_info
from realtime.sources.xdf_format import (
    BOUNDARY,
    BOUNDARY_ID,
    CLOCK_OFFSET,
    FILE_HEADER,
    SAMPLES,
    STREAM_FOOTER,
    STREAM_HEADER,
    chunk_bytes,
)

if TYPE_CHECKING:
    import mmap

MAGIC = b"XDF:"
OF_A_STREAM = (SAMPLES, CLOCK_OFFSET, STREAM_FOOTER)
NEEDED = ("name", "channel_count", "nominal_srate", "channel_format")


@dataclass(frozen=True)
class _Chunk:
    tag: int
    start: int
    """Where its content begins, behind the tag."""
    stop: int


@dataclass
class Whole:
    """What of a file can be read.

    Attributes
    ----------
    parts
        The whole chunks, as bytes or as (start, stop) in the file.
    notices
        A line for everything that is left out.
    """

    data: bytes | mmap.mmap
    parts: list[bytes | tuple[int, int]] = field(default_factory=lambda: [(0, len(MAGIC))])
    notices: list[str] = field(default_factory=list)

    @property
    def is_all(self) -> bool:
        """Whether the file can be read as it is."""
        return len(self.parts) == 1 and self.parts[0] == (0, len(self.data))

    def content(self) -> bytes:
        """Return the file without what is left out."""
        return b"".join(part if isinstance(part, bytes) else self.data[slice(*part)] for part in self.parts)

    def keep(self, start: int, stop: int) -> None:
        """Add a part of the file."""
        last = self.parts[-1]
        if isinstance(last, tuple) and last[1] == start:
            self.parts[-1] = (last[0], stop)
        else:
            self.parts.append((start, stop))


def whole_chunks(data: bytes | mmap.mmap) -> Whole:
    """Return the whole chunks of `data`, an XDF file that begins with `MAGIC`."""
    whole = Whole(data)
    rows: dict[int, tuple[int, int]] = {}
    passed_over: set[int] = set()
    position, size = len(MAGIC), len(data)
    while position < size:
        chunk = _chunk_at(data, position)
        stream = -1
        if chunk is not None and chunk.tag in (*OF_A_STREAM, STREAM_HEADER):
            stream = int.from_bytes(data[chunk.start : chunk.start + 4], "little")
        if chunk is not None and stream in passed_over:
            position = chunk.stop
        elif chunk is not None and chunk.tag == STREAM_HEADER and stream not in rows:
            xml = data[chunk.start + 4 : chunk.stop].decode("utf-8", "replace")
            try:
                rows[stream] = _row(xml)
                _keep_header(whole, position, chunk, stream, xml)
            except SourceError as error:
                passed_over.add(stream)
                whole.notices.append(f"a stream is passed over: {error}")
            position = chunk.stop
        elif chunk is not None and _is_whole(data, chunk, rows.get(stream)):
            whole.keep(position, chunk.stop)
            position = chunk.stop
        else:
            position = _leave_out(whole, position, chunk, rows)
    return whole


def _chunk_at(data: bytes | mmap.mmap, position: int) -> _Chunk | None:
    """Return the chunk that begins at `position`; None where none can begin there."""
    width = data[position]
    start = position + 1 + width
    stop = start + int.from_bytes(data[position + 1 : start], "little")
    tag = int.from_bytes(data[start : start + 2], "little")
    if width not in (1, 4, 8) or not start + 2 <= stop <= len(data) or not FILE_HEADER <= tag <= STREAM_FOOTER:
        return None
    shortest = {BOUNDARY: 16, CLOCK_OFFSET: 20, SAMPLES: 6, STREAM_HEADER: 4, STREAM_FOOTER: 4}.get(tag, 0)
    return _Chunk(tag, start + 2, stop) if stop - start - 2 >= shortest else None


def _row(xml: str) -> tuple[int, int]:
    """Return how many channels a stream has and how many bytes each of its values takes; 0 bytes for text.

    Raises
    ------
    SourceError
        If pyxdf could not read such a stream.
    """
    info = parse_info(xml)
    missing = [key for key in NEEDED if key not in info]
    if missing:
        msg = f"its header lacks {', '.join(missing)}"
        raise SourceError(msg)
    stream = describe(info)
    if stream.format != "string" and stream.format not in DTYPES:
        msg = f"stream {stream.name!r} has samples of an unknown format {stream.format!r}"
        raise SourceError(msg)
    if not stream.channels:
        msg = f"stream {stream.name!r} has no channel"
        raise SourceError(msg)
    return len(stream.channels), 0 if stream.format == "string" else DTYPES[stream.format].itemsize


def _keep_header(whole: Whole, position: int, chunk: _Chunk, stream: int, xml: str) -> None:
    legible = legible_xml(xml)
    if legible == xml:
        whole.keep(position, chunk.stop)
    else:
        whole.parts.append(chunk_bytes(STREAM_HEADER, struct.pack("<I", stream) + legible.encode()))


def _is_whole(data: bytes | mmap.mmap, chunk: _Chunk, row: tuple[int, int] | None) -> bool:
    content = data[chunk.start : chunk.stop]
    if chunk.tag == BOUNDARY:
        return content == BOUNDARY_ID
    if chunk.tag == FILE_HEADER:
        return _is_xml(content)
    if row is None:
        return False
    if chunk.tag == STREAM_FOOTER:
        return _is_xml(content[4:])
    if chunk.tag == CLOCK_OFFSET:
        return len(content) == 20 and all(map(math.isfinite, struct.unpack("<dd", content[4:])))
    return chunk.tag == SAMPLES and _samples_end(content, 4, row) == len(content)


def _is_xml(content: bytes) -> bool:
    try:
        text = content.decode()
        parse_info(text)
    except (UnicodeDecodeError, SourceError):
        return False
    return legible_xml(text) == text


def _samples_end(data: bytes | mmap.mmap, position: int, row: tuple[int, int]) -> int | None:
    """Return where the samples end whose count lies at `position`; None where they do not fit into `data`."""
    channels, width = row
    count, position = _integer(data, position)
    if width and count:
        values = channels * width
        for first, rest in ((8, 8), (8, 0), (0, 0)):  # timestamps of all samples, of the first alone, or of none
            second = position + 1 + first + values
            end = second + (count - 1) * (1 + rest + values)
            if end <= len(data) and data[position] == first:
                marks = np.frombuffer(data[second:end], np.uint8)[:: 1 + rest + values]
                if (marks == rest).all():
                    return end
    for _ in range(count):
        if position >= len(data) or data[position] not in (0, 8):
            return None
        position += 1 + data[position] + channels * width
        for _ in range(0 if width else channels):
            length, position = _integer(data, position)
            position += length
    return position if position <= len(data) else None


def _integer(data: bytes | mmap.mmap, position: int) -> tuple[int, int]:
    """Return the variable-length integer at `position` and where it ends; beyond the end of `data` where it is none."""
    width = data[position] if position < len(data) else 0
    if width not in (1, 4, 8):
        return len(data) + 1, len(data)
    return int.from_bytes(data[position + 1 : position + 1 + width], "little"), position + 1 + width


def _leave_out(whole: Whole, position: int, chunk: _Chunk | None, rows: dict[int, tuple[int, int]]) -> int:
    """Say what is left out from `position` on, and return where reading goes on."""
    data, size = whole.data, len(whole.data)
    mended = _samples_of_wrong_length(data, position, rows)
    if mended is not None:
        whole.keep(position, mended)
        whole.notices.append(f"the length of the samples at byte {position} was wrong; they were read all the same")
        return mended
    mark = data.find(BOUNDARY_ID, position)
    resumed = mark + len(BOUNDARY_ID) if mark >= 0 else size
    if chunk is not None and chunk.stop < resumed and _begins(data, chunk.stop, rows):
        resumed = chunk.stop
    where = "to its end" if resumed == size else f"to byte {resumed}"
    what = "the file is damaged or cut off" if resumed == size else "the file is damaged"
    whole.notices.append(f"{what}: what lies from byte {position} {where} ({resumed - position} bytes) is left out")
    return resumed


def _begins(data: bytes | mmap.mmap, position: int, rows: dict[int, tuple[int, int]]) -> bool:
    """Return whether a chunk begins at `position` that can follow what has been read."""
    if position == len(data):
        return True
    chunk = _chunk_at(data, position)
    if chunk is None or chunk.tag not in OF_A_STREAM:
        return chunk is not None
    return int.from_bytes(data[chunk.start : chunk.start + 4], "little") in rows


def _samples_of_wrong_length(data: bytes | mmap.mmap, position: int, rows: dict[int, tuple[int, int]]) -> int | None:
    """Return where the samples at `position` end, where they are whole although their chunk tells a wrong length."""
    start = position + 1 + data[position]
    if int.from_bytes(data[start : start + 2], "little") != SAMPLES:
        return None
    row = rows.get(int.from_bytes(data[start + 2 : start + 6], "little"))
    if row is None or not row[1]:
        return None
    count, _ = _integer(data, start + 6)
    if count > len(data):
        return None
    end = _samples_end(data[start : start + 64 + count * (9 + row[0] * row[1])], 6, row)
    return None if end is None or not _begins(data, start + end, rows) else start + end
