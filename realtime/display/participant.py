"""What the participant sees: the picture, large, and never what was shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from realtime.display.canvas import ACCENT, FAINT, FAIR, LINE, MUTED, TEXT, Canvas

if TYPE_CHECKING:
    from PIL import Image

    from realtime.display.state import DisplayState

SIDE = 800
"""The layout's own units: the shorter side of a window."""
FOOT = 84.0
"""Height of the line of confidence."""


def for_participant(state: DisplayState) -> DisplayState:
    """Return `state` without anything that tells what was shown, so that it cannot come onto the screen."""
    return replace(
        state,
        shown=None,
        shown_label="",
        shown_name="",
        nearest=(),
        two_way=None,
        pre_stimulus_two_way=None,
        patterns=None,
    )


def draw_participant(state: DisplayState, size: tuple[int, int], confidence: bool = False) -> Image.Image:
    """Return the participant's view as a picture.

    Parameters
    ----------
    state
        What to say.
    size
        Width and height in pixels.
    confidence
        Whether the confidence stands below the picture, with its chance level.
    """
    scale = min(size) / SIDE
    width, height = size[0] / scale, size[1] / scale
    canvas = Canvas(size, scale)
    foot = FOOT if confidence else 0.0
    side = min(width, height - foot)
    left, top = (width - side) / 2, (height - foot - side) / 2
    middle = width / 2, (height - foot) / 2
    if state.abstains:
        canvas.text(middle, "not enough evidence", 30, MUTED, "centre")
    elif state.picture is not None:
        canvas.picture((left, top, left + side, top + side), state.picture)
    if state.paused:
        canvas.pill((16, 16), "paused", FAIR)
    elif state.simulated:
        canvas.pill((16, 16), "simulated EEG", FAIR)
    if confidence and state.trial is not None:
        _confidence(canvas, state, width, top + side)
    return canvas.image


def _confidence(canvas: Canvas, state: DisplayState, width: float, top: float) -> None:
    left, right = width / 2 - 300, width / 2 + 300
    text = "not calibrated" if state.confidence is None else f"{state.confidence:.0%} sure"
    text += ", the picture glides" if state.gliding else ""
    canvas.text((left, top + 38), text, 24, TEXT)
    canvas.rectangle((left, top + 54, right, top + 62), LINE, 4)
    if state.confidence is not None:
        canvas.rectangle((left, top + 54, left + max(8.0, (right - left) * state.confidence), top + 62), ACCENT, 4)
    if state.candidates:
        mark = left + (right - left) / state.candidates
        canvas.rectangle((mark - 1, top + 49, mark + 1, top + 67), MUTED)
        canvas.text((right, top + 38), f"chance {1 / state.candidates:.0%}", 16, FAINT, "right")
