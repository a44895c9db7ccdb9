"""Frames that came and were not fetched yet: what a renderer here and one on other machines have in common."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from realtime.rendering.messages import Frame, RendererNotice

T = TypeVar("T")
KEPT_FRAMES = 64
"""Frames, and lines for people, kept for a session that does not fetch them; older ones are dropped first."""


class FrameQueue:
    """From the thread that takes frames in to the thread that shows them; it never grows beyond `KEPT_FRAMES`.

    Attributes
    ----------
    came
        Called, in the thread that takes frames in, when there is something to fetch.
    """

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque(maxlen=KEPT_FRAMES)
        self._told: deque[RendererNotice] = deque(maxlen=KEPT_FRAMES)
        self._arrived = threading.Event()
        self.came: Callable[[], None] = lambda: None

    def frames(self) -> list[Frame]:
        """Return the frames that came since the last call, oldest first, without waiting."""
        self._arrived.clear()
        return _taken(self._frames)

    def told(self) -> list[RendererNotice]:
        """Return what there was to say since the last call, oldest first, without waiting."""
        return _taken(self._told)

    def wait(self, timeout_s: float) -> bool:
        """Wait until `frames` or `told` has something to return, and return whether it has."""
        return self._arrived.wait(timeout_s)

    def _hand_out(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._ring()

    def _tell(self, told: RendererNotice) -> None:
        self._told.append(told)
        self._ring()

    def _ring(self) -> None:
        self._arrived.set()
        self.came()


def _taken(waiting: deque[T]) -> list[T]:
    found = []
    while waiting:
        found.append(waiting.popleft())
    return found
