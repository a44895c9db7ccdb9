"""Pictures on their way to another process: pixels wait in shared memory, only where they lie is sent."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLOTS = 8
"""Pictures that may wait; a process that listens fetches each at once."""
_NUMBER = struct.Struct("<Q")


@dataclass(frozen=True)
class InSlot:
    """Where a picture lies.

    Attributes
    ----------
    shape
        Shape of the picture, uint8.
    number
        Number of the picture, from 1; its slot is ``number % SLOTS``.
    """

    shape: tuple[int, ...]
    number: int


class PictureSlots:
    """Shared memory for `SLOTS` pictures between one process that paints and one that fetches.

    The painter takes no lock and never waits: it overwrites the oldest picture. Each slot begins with the number of the
    picture in it, 0 while it is being written, so that a picture that was overwritten meanwhile is known to be lost.
    The memory has no name: nothing is left of it, however processes end.

    Parameters
    ----------
    capacity
        Bytes of the largest picture.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._shared = get_context("spawn").RawArray("B", SLOTS * (_NUMBER.size + capacity))
        self._number = 0

    def put(self, image: NDArray[np.uint8]) -> InSlot | None:
        """Leave a picture in a slot and return which; None where it is too large."""
        if image.nbytes > self._capacity:
            return None
        self._number += 1
        number, pixels = self._slot(self._number)
        number[:] = _NUMBER.pack(0)
        np.frombuffer(pixels, np.uint8, image.size).reshape(image.shape)[:] = image
        number[:] = _NUMBER.pack(self._number)
        return InSlot(image.shape, self._number)

    def fetch(self, at: InSlot) -> NDArray[np.uint8] | None:
        """Return a copy of a picture; None where newer ones have taken its place."""
        number, pixels = self._slot(at.number)
        image: NDArray[np.uint8] = np.frombuffer(pixels, np.uint8, int(np.prod(at.shape))).reshape(at.shape).copy()
        return image if _NUMBER.unpack(number) == (at.number,) else None

    def _slot(self, number: int) -> tuple[memoryview, memoryview]:
        """Return where the picture's number and its pixels lie."""
        start = number % SLOTS * (_NUMBER.size + self._capacity)
        slot = memoryview(self._shared).cast("B")[start : start + _NUMBER.size + self._capacity]
        return slot[: _NUMBER.size], slot[_NUMBER.size :]
