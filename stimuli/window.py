"""Where a window goes, so that no two of ours lie over each other; and the key that ends a session, pressed twice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

TITLE = 32
"""Pixels above a window for its title bar, and below it for a panel."""
AGAIN_S = 2.0
"""Within which escape must be pressed again to end a session."""


@dataclass(frozen=True)
class Place:
    """A window's place.

    Attributes
    ----------
    screen
        Which screen, from 0.
    size
        Width and height in pixels, never more than the screen has room for.
    position
        Position of its upper left corner; None leaves it to the system, in the middle of one of several screens.
    """

    screen: int
    size: tuple[int, int]
    position: tuple[int, int] | None


def stimulus_place(screens: Sequence[tuple[int, int]], size: tuple[int, int], chosen: int | None) -> Place:
    """Return where the participant's window goes: on the second screen where there is one, else on the left.

    Parameters
    ----------
    screens
        Width and height of each screen in pixels.
    size
        Width and height that are asked for.
    chosen
        Number of the screen, from 1; None leaves the choice.

    Raises
    ------
    ValueError
        If there is no such screen.
    """
    screen = _index(screens, min(2, len(screens)) if chosen is None else chosen, "stimulus.screen")
    return Place(screen, _fitting(size, screens[screen]), (0, TITLE) if len(screens) == 1 else None)


def display_place(
    screens: Sequence[tuple[int, int]], size: tuple[int, int], chosen: int, stimulus: Place | None
) -> Place:
    """Return where the experimenter's window goes: on the right of its screen, beside the participant's window.

    Parameters
    ----------
    screens, size
        As for `stimulus_place`.
    chosen
        Number of the screen, from 1.
    stimulus
        Place of the participant's window; None where there is none, or where it fills its screen.

    Raises
    ------
    ValueError
        If there is no such screen.
    """
    screen = _index(screens, chosen, "display.screen")
    width, height = screens[screen]
    beside = stimulus.size[0] if stimulus is not None and stimulus.screen == screen else 0
    fitting = _fitting(size, (width - beside, height))
    return Place(screen, fitting, (width - fitting[0], TITLE) if len(screens) == 1 else None)


def open_at(position: tuple[int, int] | None) -> None:
    """Have SDL open this process's window there; one that is moved afterwards lies over another for a moment."""
    os.environ.pop("SDL_VIDEO_WINDOW_POS", None)
    if position is not None:
        os.environ["SDL_VIDEO_WINDOW_POS"] = f"{position[0]},{position[1]}"


def _index(screens: Sequence[tuple[int, int]], chosen: int, key: str) -> int:
    if chosen > len(screens):
        sizes = ", ".join(f"{width}×{height}" for width, height in screens)
        msg = f"{key}: {chosen}, but there are {len(screens)} screens here ({sizes})"
        raise ValueError(msg)
    return chosen - 1


def _fitting(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    return min(size[0], room[0]), min(size[1], room[1] - 2 * TITLE)


class Twice:
    """A key that counts only when it is pressed again soon."""

    def __init__(self) -> None:
        self._first: float | None = None

    def press(self, now: float) -> bool:
        """Take in a press at `now`, in seconds; return whether it is the second one."""
        again = self.asks(now)
        self._first = None if again else now
        return again

    def asks(self, now: float) -> bool:
        """Return whether a second press at `now` would count."""
        return self._first is not None and now - self._first <= AGAIN_S
