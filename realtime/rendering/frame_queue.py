"""Frames that came and were not fetched yet: what a renderer here and one on other machines have in common."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realtime.rendering.frames import Frame

KEPT_FRAMES = 64
"""Frames kept for a session that does not fetch them; older ones are dropped first."""


class FrameQueue:
    """From the thread that takes frames in to the thread that shows them; it never grows beyond `KEPT_FRAMES`."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque(maxlen=KEPT_FRAMES)
        self._arrived = threading.Event()

    def frames(self) -> list[Frame]:
        """Return the frames that came since the last call, oldest first, without waiting."""
        self._arrived.clear()
        found = []
        while self._frames:
            found.append(self._frames.popleft())
        return found

    def wait(self, timeout_s: float) -> bool:
        """Wait until `frames` has something to return, and return whether it has."""
        return self._arrived.wait(timeout_s)

    def _hand_out(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._arrived.set()
