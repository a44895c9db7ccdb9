"""What waits to be sent: bounded lanes, so that a receiver that is gone costs a counted number of items and no time."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

logger = logging.getLogger(__name__)

T = TypeVar("T")
BEAT_S = 0.25
"""How often a process that is well says so."""


class Outbox(Generic[T]):
    """Items by lane; a full lane drops its oldest item for the new one.

    Parameters
    ----------
    capacities
        How many items each lane holds. Earlier lanes are emptied first.
    in_order
        Rather send items in the order in which they came, whatever their lane.
    """

    def __init__(self, capacities: Mapping[str, int], *, in_order: bool = False) -> None:
        self._capacities = dict(capacities)
        self._lanes: dict[str, deque[tuple[int, T]]] = {lane: deque() for lane in capacities}
        self._in_order = in_order
        self._count = 0
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = 0

    def put(self, lane: str, item: T) -> bool:
        """Add `item` to the end of `lane` and return whether that went without dropping one."""
        with self._changed:
            waiting = self._lanes[lane]
            full = len(waiting) >= self._capacities[lane]
            if full:
                waiting.popleft()
                self._dropped += 1
            self._count += 1
            waiting.append((self._count, item))
            self._changed.notify()
        return not full

    def take(self, timeout_s: float = 0.0, until: Callable[[], bool] = lambda: False) -> T | None:
        """Return the next item, waiting up to `timeout_s` for it.

        None where none came, and where `until` holds, which is asked at each `wake`.
        """
        with self._changed:
            self._changed.wait_for(lambda: until() or self._closed or any(self._lanes.values()), timeout_s)
            lanes = [waiting for waiting in self._lanes.values() if waiting]
            if not lanes or until():
                return None
            return (min(lanes, key=lambda waiting: waiting[0][0]) if self._in_order else lanes[0]).popleft()[1]

    def wake(self) -> None:
        """Have who waits for an item look whether it still should."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Say that nothing more is put in."""
        self._closed = True
        self.wake()

    def pour(
        self, pipe: Connection, beat: Callable[[], Any] = lambda: None, until: Callable[[], bool] = lambda: False
    ) -> bool:
        """Send through `pipe` what is put in, until all is sent after `close`; return whether it came to that.

        Parameters
        ----------
        pipe
            Waited for where nobody reads it, hence from a thread that nobody waits for.
        beat
            Asked every `BEAT_S` in which there is nothing to send for what to send instead; None for nothing.
        until
            Ends it early where it holds, as soon as somebody calls `wake`; so does a reader that is gone.
        """
        while not until():
            item = self.take(BEAT_S, until)
            if item is None:
                if self._closed and not len(self):
                    return True
                item = beat()
            try:
                if item is not None:
                    pipe.send(item)
            except OSError:
                self.count_dropped()
                return False
            except Exception:  # it cannot be pickled: that must cost no other item
                logger.exception("what cannot be sent is dropped")
                self.count_dropped()
        return False

    def count_dropped(self, number: int = 1) -> None:
        """Count items that were lost elsewhere on their way."""
        with self._changed:
            self._dropped += number

    @property
    def dropped(self) -> int:
        """How many items were dropped so far."""
        return self._dropped

    def __len__(self) -> int:
        with self._changed:
            return sum(len(waiting) for waiting in self._lanes.values())
