"""Writing XDF piece by piece, so that what has been written can be read whatever happens next.

The format is a magic word and a row of chunks that each carry their own length; a reader needs neither an index nor an
end (XDF 1.0 specification, github.com/sccn/xdf/wiki/Specifications). Every chunk reaches the operating system in one
call, so a writer that is killed leaves whole chunks and at most one broken one at the end, which readers skip.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np

from realtime.sources.xdf_format import (
    BOUNDARY,
    BOUNDARY_ID,
    CLOCK_OFFSET,
    FILE_HEADER,
    SAMPLES,
    STREAM_FOOTER,
    STREAM_HEADER,
    chunk_bytes,
    length_bytes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

COPIED = 1 << 20


class XdfWriter:
    """An XDF file that grows.

    Parameters
    ----------
    path
        Must not exist: a recording is never overwritten.
    resume_at
        Go on in a file that exists, behind its first so many bytes; what follows them is cut off.

    Raises
    ------
    FileExistsError
        If there is a file of that name and nothing is to be resumed.
    """

    def __init__(self, path: Path, resume_at: int | None = None) -> None:
        if resume_at is not None:
            self._file = path.open("r+b", buffering=0)
            self._file.truncate(resume_at)
            self._file.seek(resume_at)
            return
        self._file = path.open("x+b", buffering=0)
        try:
            self._write(b"XDF:")
            self._chunk(FILE_HEADER, b'<?xml version="1.0"?><info><version>1.0</version></info>')
        except OSError:
            self._file.close()
            path.unlink()  # a file without a beginning is none
            raise

    def stream_header(self, stream: int, xml: str) -> None:
        """Begin a stream: its number and its metadata as LSL gives them."""
        self._chunk(STREAM_HEADER, struct.pack("<I", stream) + xml.encode())

    def numbers(self, stream: int, timestamps: Sequence[float] | NDArray[np.float64], samples: NDArray[Any]) -> None:
        """Write samples of a stream of numbers, in their own type.

        Parameters
        ----------
        stream
            Number of the stream, as in its header.
        timestamps
            Timestamps ``[n]`` in seconds on the stream's clock.
        samples
            ``[n, channels]``.
        """
        row = np.dtype([("bytes", "u1"), ("stamp", "<f8"), ("values", samples.dtype, (samples.shape[1],))])
        rows = np.empty(len(timestamps), row)
        rows["bytes"], rows["stamp"], rows["values"] = 8, timestamps, samples
        self._samples(stream, len(rows), rows.tobytes())

    def texts(
        self, stream: int, timestamps: Sequence[float] | NDArray[np.float64], samples: Sequence[Sequence[str]]
    ) -> None:
        """Write samples of a stream of text.

        Parameters
        ----------
        stream
            Number of the stream, as in its header.
        timestamps
            Timestamps ``[n]`` in seconds on the stream's clock.
        samples
            ``[n][channels]``.
        """
        parts = []
        for timestamp, values in zip(timestamps, samples, strict=True):
            parts.append(struct.pack("<Bd", 8, timestamp))
            parts += [length_bytes(len(text)) + text for text in (value.encode() for value in values)]
        self._samples(stream, len(timestamps), b"".join(parts))

    def clock_offset(self, stream: int, measured_at: float, offset_s: float) -> None:
        """Write a measurement of how far a stream's clock is from this one.

        Parameters
        ----------
        stream
            Number of the stream, as in its header.
        measured_at
            When it was measured, in seconds on this clock.
        offset_s
            What to add to the stream's timestamps to bring them to this clock, in seconds.
        """
        self._chunk(CLOCK_OFFSET, struct.pack("<Idd", stream, measured_at - offset_s, offset_s))

    def boundary(self) -> None:
        """Write a mark from which a reader can go on behind damage."""
        self._chunk(BOUNDARY, BOUNDARY_ID)

    def stream_footer(
        self, stream: int, first: float, last: float, count: int, offsets: Sequence[tuple[float, float]]
    ) -> None:
        """End a stream with its summary.

        Parameters
        ----------
        stream
            Number of the stream, as in its header.
        first, last
            Timestamps of its first and last sample in seconds.
        count
            Samples written.
        offsets
            Pairs of (measured at, offset) in seconds, as `clock_offset` wrote them.
        """
        listed = "".join(f"<offset><time>{at - off!r}</time><value>{off!r}</value></offset>" for at, off in offsets)
        summary = {"first_timestamp": first, "last_timestamp": last, "sample_count": count}
        told = "".join(f"<{name}>{escape(repr(value))}</{name}>" for name, value in summary.items())
        xml = f'<?xml version="1.0"?><info>{told}<clock_offsets>{listed}</clock_offsets></info>'
        self._chunk(STREAM_FOOTER, struct.pack("<I", stream) + xml.encode())

    def sync(self) -> None:
        """Return once everything is on the disk itself, safe from a power cut."""
        os.fsync(self._file.fileno())

    @property
    def deleted(self) -> bool:
        """Whether the file is in no folder any more."""
        return os.fstat(self._file.fileno()).st_nlink == 0

    def save_again(self, path: Path) -> None:
        """Put a file that was deleted back as `path`, which must not exist, with all that it held, and go on in it."""
        copy = path.open("x+b", buffering=0)
        try:
            self._file.seek(0)
            shutil.copyfileobj(self._file, copy, COPIED)
        except OSError:
            copy.close()
            path.unlink()
            self._file.seek(0, os.SEEK_END)
            raise
        self._file.close()
        self._file = copy

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _samples(self, stream: int, count: int, body: bytes) -> None:
        self._chunk(SAMPLES, struct.pack("<I", stream) + length_bytes(count) + body)

    def _chunk(self, tag: int, content: bytes) -> None:
        self._write(chunk_bytes(tag, content))

    def _write(self, content: bytes) -> None:
        data = memoryview(content)
        begun = self._file.tell()
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            self._file.truncate(begun)  # a full disk must not leave half a chunk
            self._file.seek(begun)
            raise
