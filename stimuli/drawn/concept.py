"""A thing that can be drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stimuli.drawn.pen import Pen


@dataclass(frozen=True)
class Concept:
    """A thing that can be drawn: its name, the group it belongs to, and how the pen draws it."""

    name: str
    superclass: str
    draw: Callable[[Pen], None]
