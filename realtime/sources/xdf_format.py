"""The chunks of an XDF file: their tags and how their lengths are written."""

from __future__ import annotations

import struct

FILE_HEADER, STREAM_HEADER, SAMPLES, CLOCK_OFFSET, BOUNDARY, STREAM_FOOTER = range(1, 7)
BOUNDARY_ID = bytes.fromhex("43A546DCCBF5410FB30ED5467383CBE4")


def chunk_bytes(tag: int, content: bytes) -> bytes:
    """Return a chunk as it stands in a file."""
    return length_bytes(len(content) + 2) + struct.pack("<H", tag) + content


def length_bytes(value: int) -> bytes:
    """Return `value` as a variable-length integer: its size in bytes, then itself."""
    if value < 1 << 8:
        return struct.pack("<BB", 1, value)
    if value < 1 << 32:
        return struct.pack("<BI", 4, value)
    return struct.pack("<BQ", 8, value)
