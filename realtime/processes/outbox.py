"""What waits to be sent: bounded lanes, so that a receiver that is gone costs a counted number of items and no time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Outbox(Generic[T]):
    """Items by lane; a full lane drops its oldest item for the new one.

    Parameters
    ----------
    capacities
        How many items each lane holds. Earlier lanes are emptied first.
    """

    def __init__(self, capacities: Mapping[str, int]) -> None:
        self._capacities = dict(capacities)
        self._lanes: dict[str, deque[T]] = {lane: deque() for lane in capacities}
        self._lock = threading.Lock()
        self._dropped = 0

    def put(self, lane: str, item: T) -> bool:
        """Add `item` to the end of `lane` and return whether that went without dropping one."""
        with self._lock:
            waiting = self._lanes[lane]
            full = len(waiting) >= self._capacities[lane]
            if full:
                waiting.popleft()
                self._dropped += 1
            waiting.append(item)
        return not full

    def take(self) -> T | None:
        """Return the oldest item of the first lane that has one, without waiting; None when all are empty."""
        with self._lock:
            for waiting in self._lanes.values():
                if waiting:
                    return waiting.popleft()
        return None

    def count_dropped(self, number: int = 1) -> None:
        """Count items that were lost elsewhere on their way."""
        with self._lock:
            self._dropped += number

    @property
    def dropped(self) -> int:
        """How many items were dropped so far."""
        return self._dropped

    def __len__(self) -> int:
        with self._lock:
            return sum(len(waiting) for waiting in self._lanes.values())
