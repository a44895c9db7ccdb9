"""Whether a MATLAB 5 file is whole: its reader in scipy trusts every size in it, and ends the process where one lies.

The MathWorks, MAT-File Format: a file is a row of elements, each with its type and size; a matrix is made of elements.
"""

from __future__ import annotations

import math
import mmap
import struct
import zlib
from pathlib import Path

START = 128
MATRIX, COMPRESSED, INT8, INT32, UINT32, UTF8 = 14, 15, 1, 5, 6, 16
SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
"""Bytes of a number of each type."""
CELL, STRUCT, OBJECT, CHAR, SPARSE = range(1, 6)
NUMERIC = range(6, 16)
COMPLEX = 0x800
MOST_BYTES = 1 << 31
"""Bytes of the largest variable that this format allows."""
DEEPEST = 64
Element = tuple[int, int, int, int]
"""Type, first byte and end of the content, and first byte of what follows."""


def check_matlab(path: Path) -> None:
    """Refuse a MATLAB 5 file in which a size or type cannot be; other files pass.

    Raises
    ------
    ValueError
        If it is damaged or incomplete.
    """
    if path.stat().st_size < START:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        _check(content)


def _check(content: bytes | mmap.mmap) -> None:
    if content[126:128] not in (b"IM", b"MI") or content[124:126] not in (b"\0\1", b"\1\0"):
        return
    order = "<" if content[126:128] == b"IM" else ">"
    try:
        at = START
        while at + 8 <= len(content):
            at = _Walk(content, order).variable(at)
    except (struct.error, zlib.error, ValueError) as error:
        msg = "its MATLAB content is damaged or incomplete"
        raise ValueError(msg) from error


class _Walk:
    """A walk through the elements in `content`, which fails where they do not fit."""

    def __init__(self, content: bytes | mmap.mmap, order: str) -> None:
        self._content = content
        self._order = order

    def variable(self, at: int) -> int:
        """Walk through the variable at `at` and return where the next one begins."""
        kind, start, stop, after = self._element(at, len(self._content))
        if kind == COMPRESSED:
            inside = zlib.decompressobj().decompress(self._content[start:stop], MOST_BYTES)
            walk = _Walk(inside, self._order)
            walk.variable(0)
        else:
            _need(kind == MATRIX)
            self._matrix(start, stop, 0)
        return after

    def _element(self, at: int, end: int) -> Element:
        _need(at + 8 <= end)
        kind, size = struct.unpack_from(f"{self._order}II", self._content, at)
        if kind >> 16:  # up to four bytes of content stand in the tag itself
            kind, size = kind & 0xFFFF, kind >> 16
            _need(size <= 4)
            return kind, at + 4, at + 4 + size, at + 8
        stop = at + 8 + size
        _need(stop <= end)
        return kind, at + 8, stop, stop if kind == COMPRESSED else at + 8 + -(-size // 8) * 8

    def _matrix(self, at: int, end: int, depth: int) -> None:
        if at == end:
            return  # an empty field
        _need(depth < DEEPEST)
        kind, start, stop, at = self._element(at, end)
        _need(kind == UINT32 and stop - start == 8)
        flags = struct.unpack_from(f"{self._order}I", self._content, start)[0]
        form = flags & 0xFF
        if form > NUMERIC[-1]:
            return  # functions and opaque objects, which have no dimensions
        kind, start, stop, at = self._element(at, end)
        _need(kind == INT32 and (stop - start) % 4 == 0 and 8 <= stop - start <= 128)
        dims = struct.unpack_from(f"{self._order}{(stop - start) // 4}i", self._content, start)
        _need(min(dims) >= 0)
        count = math.prod(dims)
        kind, _, _, at = self._element(at, end)
        _need(kind == INT8)
        if form == SPARSE:
            for _part in range(4 if flags & COMPLEX else 3):
                kind, start, stop, at = self._element(at, end)
                _need(kind in SIZES and (stop - start) % SIZES[kind] == 0)
        elif form == CHAR or form in NUMERIC:
            for _part in range(2 if flags & COMPLEX else 1):
                kind, start, stop, at = self._element(at, end)
                _need(kind in SIZES and (kind == UTF8 or stop - start == count * SIZES[kind]))
        else:
            at, fields = self._fields(form, at, end)
            _need(count * fields * 8 <= end - at)
            for _part in range(count * fields):
                kind, start, stop, at = self._element(at, end)
                _need(kind == MATRIX)
                self._matrix(start, stop, depth + 1)

    def _fields(self, form: int, at: int, end: int) -> tuple[int, int]:
        """Return where the matrices inside a cell, structure or object begin, and how many there are of each entry."""
        _need(form in (CELL, STRUCT, OBJECT))
        if form == CELL:
            return at, 1
        if form == OBJECT:
            kind, _, _, at = self._element(at, end)
            _need(kind == INT8)
        kind, start, stop, at = self._element(at, end)
        _need(kind == INT32 and stop - start == 4)
        length = struct.unpack_from(f"{self._order}i", self._content, start)[0]
        kind, start, stop, at = self._element(at, end)
        _need(kind == INT8 and length > 0 and (stop - start) % length == 0)
        return at, (stop - start) // length


def _need(fits: bool) -> None:
    if not fits:
        msg = "an element does not fit"
        raise ValueError(msg)
