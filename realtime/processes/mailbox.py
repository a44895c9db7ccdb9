"""A mailbox between two processes that holds one item: a newer item replaces a waiting one.

The slot is shared memory of fixed size, so it cannot grow; the writer takes no lock, so it cannot wait, not even for a
reader that was stopped or killed in the middle of reading. A digest over number and content tells the reader whether it
saw a whole item; a half-written one counts as "nothing new yet", and the writer wakes the reader when it is whole.
The slot keeps its item: a reader that replaces a dead one finds there what was last asked for.
Neither the memory nor the pipe that wakes the reader has a name: nothing is left of them, however processes end.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import struct
from multiprocessing import connection, get_context
from typing import Any

_HEADER = struct.Struct("<QQ16s")  # number of the item, bytes of content, digest of both
_COUNTS = struct.Struct("<QQ")
_CALLS = 1 << 16  # what a pipe holds


class Mailbox:
    """One slot from one writing thread of one process to one reading process.

    Parameters
    ----------
    capacity
        Largest item in pickled bytes. Give the mailbox to the reading process as an argument.
    """

    def __init__(self, capacity: int) -> None:
        context = get_context("spawn")
        self._capacity = capacity
        self._shared = context.RawArray("B", _HEADER.size + capacity)
        self._woken, self._waking = context.Pipe(duplex=False)
        for end in (self._woken, self._waking):
            os.set_blocking(end.fileno(), False)
        self._number = 0

    def put(self, item: Any) -> int:
        """Leave `item` in the slot, whether or not the one before was read, and return its number (1, 2, 3, ...).

        Raises
        ------
        ValueError
            If the pickled item is larger than the slot; the slot then keeps what it held.
        """
        content = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
        if len(content) > self._capacity:
            msg = f"an item of {len(content)} bytes does not fit the mailbox of {self._capacity} bytes; make it smaller"
            raise ValueError(msg)
        self._number += 1
        counts = _COUNTS.pack(self._number, len(content))
        slot = memoryview(self._shared).cast("B")
        slot[_HEADER.size : _HEADER.size + len(content)] = content
        slot[: _HEADER.size] = counts + _digest(counts, content)
        with contextlib.suppress(BlockingIOError):  # a pipe that is full will wake the reader all the same
            os.write(self._waking.fileno(), b".")
        return self._number

    def newest(self, after: int) -> tuple[int, Any] | None:
        """Return number and content of the item in the slot, or None if it is not newer than number `after`."""
        slot = memoryview(self._shared).cast("B")
        number, length, digest = _HEADER.unpack(slot[: _HEADER.size])
        if number <= after or length > self._capacity:
            return None
        content = bytes(slot[_HEADER.size : _HEADER.size + length])
        if _digest(_COUNTS.pack(number, length), content) != digest:
            return None
        return number, pickle.loads(content)

    def wait(self, after: int, timeout_s: float) -> tuple[int, Any] | None:
        """Return `newest(after)`, waiting up to `timeout_s` for an item where there is none."""
        found = self.newest(after)
        if found is not None:
            return found
        if connection.wait([self._woken], timeout_s):
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken.fileno(), _CALLS)  # one look answers every earlier call
        return self.newest(after)


def _digest(counts: bytes, content: bytes) -> bytes:
    digest = hashlib.blake2b(counts, digest_size=16)
    digest.update(content)
    return digest.digest()
