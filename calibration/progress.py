"""Telling how far a long computation has come."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

Part = Callable[[float, int], None]
"""Told how many steps of one part are done, the one at work by its share, and of how many."""
Progress = Callable[[str, float, int], None]
"""Told which part is at work, how many of its steps are done, and of how many."""
Share = Callable[[float], None]
"""Told which share of a step is done."""


def part_of(progress: Progress | None, what: str) -> Part | None:
    """Return what the part called `what` tells; None where nobody listens."""
    return None if progress is None else partial(progress, what)
