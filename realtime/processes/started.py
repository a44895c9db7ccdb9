"""What runs in a process or thread of its own, from its start to its stop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Started(ABC):
    """Something that is started and stopped: in a ``with`` statement it runs for as long as the block does."""

    @abstractmethod
    def start(self) -> Self:
        """Begin to run."""

    @abstractmethod
    def stop(self) -> None:
        """End. Safe to call twice."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()
