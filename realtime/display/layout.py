"""What the display shows, as a pure function: the same state and size give the same picture, window or none."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from realtime.decoding.filtered_patterns import HeadPattern
from realtime.display.canvas import (
    ACCENT,
    BACKGROUND,
    BAD,
    FAINT,
    FAIR,
    GOOD,
    LINE,
    MUTED,
    PANEL,
    TEXT,
    WARNING,
    Canvas,
)
from realtime.display.state import DisplayState as DisplayState
from realtime.display.state import Similar as Similar
from realtime.electrodes import head_places, scalp_image

if TYPE_CHECKING:
    from PIL import Image

WIDTH, HEIGHT = 1280, 720
"""The layout's own units; a window of another shape centres it."""

_DELAYS = (
    ("last sample to arrival", "last_sample", "arrived"),
    ("arrival to embedding", "arrived", "embedding"),
    ("embedding to first picture", "embedding", "first_picture"),
    ("embedding to final picture", "embedding", "final_picture"),
    ("final picture to screen", "final_picture", "shown"),
)
KEYS = (("Space", "pause"), ("F", "full screen"), ("S", "snapshot"), ("H", "hide what was shown"), ("Esc Esc", "end"))


def draw(state: DisplayState, size: tuple[int, int], now: float, hide_shown: bool = False) -> Image.Image:
    """Return the display as a picture.

    Parameters
    ----------
    state
        What to say.
    size
        Width and height in pixels.
    now
        LSL clock time, for the age of the data.
    hide_shown
        Whether what was shown stays hidden.
    """
    scale = min(size[0] / WIDTH, size[1] / HEIGHT)
    origin = (size[0] - WIDTH * scale) / 2, (size[1] - HEIGHT * scale) / 2
    canvas = Canvas(size, scale, origin, _still(_Still(state, hide_shown), size, scale, origin))
    _header(canvas, state, now)
    _reconstruction(canvas, state)
    if state.patterns is None:
        _delays(canvas, state)
    return canvas.image


class _Still:
    """A state in so far as it stays the same from one picture of a percept to the next: equal where that is."""

    def __init__(self, state: DisplayState, hide_shown: bool) -> None:
        self.state, self.hide_shown = state, hide_shown
        near = ((id(one.image), one.label, one.similarity) for one in state.nearest)
        # Pictures are the same where they are one object; the key holds the state, and so that object.
        self._says = (
            *(id(state.shown), state.shown_label, hide_shown, tuple(near), state.labels, state.candidates),
            *(state.confidence, state.abstain_below, state.trial is None, state.repeats),
            *(state.two_way, state.pre_stimulus_two_way, tuple(state.quality.items())),
            *(id(state.patterns), state.electrodes),
        )

    def __hash__(self) -> int:
        return hash(self._says)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Still) and self._says == other._says


@lru_cache(maxsize=2)
def _still(still: _Still, size: tuple[int, int], scale: float, origin: tuple[float, float]) -> Image.Image:
    """Draw what a new picture leaves as it is."""
    canvas, state = Canvas(size, scale, origin), still.state
    _shown(canvas, state, still.hide_shown)
    _confidence(canvas, state)
    _nearest(canvas, state)
    _signal(canvas, state)
    if state.patterns is not None:
        _patterns(canvas, state, state.patterns)
    left = 32.0
    for key, action in KEYS:
        canvas.text((left, 700), key, 11.5, MUTED)
        left += canvas.width(key, 11.5) + 6
        canvas.text((left, 700), action, 11.5, FAINT)
        left += canvas.width(action, 11.5) + 20
    return canvas.image


def _header(canvas: Canvas, state: DisplayState, now: float) -> None:
    canvas.text((32, 46), state.title, 22)
    if state.simulated:
        canvas.pill((32 + canvas.width(state.title, 22) + 16, 28), "simulated EEG", FAIR)
    age = None if state.data_timestamp is None else now - state.data_timestamp
    if age is None:
        text, colour = "no data yet", FAINT
    elif age > state.stall_s:
        text, colour = f"no data for {age:.1f} s", BAD
    else:
        text, colour = f"data {max(0.0, age) * 1000:.0f} ms old", GOOD
    right = _status(canvas, 1248, text, colour)
    if state.renderer is not None:
        colours = {"ready": GOOD, "busy": GOOD, "loading": FAIR, "dead": BAD}
        right = _status(canvas, right - 28, f"renderer {state.renderer.kind}", colours[state.renderer.kind])
    if state.paused:
        _status(canvas, right - 28, "paused", FAIR)


def _status(canvas: Canvas, right: float, text: str, colour: str) -> float:
    """Write a dot and a word that end at `right`, and return where they begin."""
    canvas.text((right, 45), text, 14, BAD if colour == BAD else MUTED, "right")
    left = right - canvas.width(text, 14) - 14
    canvas.circle((left, 40), 4, colour)
    return left - 4


def _reconstruction(canvas: Canvas, state: DisplayState) -> None:
    left, top, side = 32, 76, 560
    box = (left, top, left + side, top + side)
    middle = left + side / 2, top + side / 2
    dead = state.renderer is not None and state.renderer.kind in ("dead", "loading")
    if state.abstains or state.picture is None or dead:  # else the picture covers it
        canvas.rectangle(box, PANEL, 14)
    what = "label" if state.labels else "picture"
    if state.abstains:
        canvas.text((middle[0], middle[1] - 4), "not enough evidence", 26, TEXT, "centre")
        canvas.text(
            (middle[0], middle[1] + 26),
            f"confidence {state.confidence:.0%}, a {what} is shown from {state.abstain_below:.0%}",
            14, MUTED, "centre",
        )  # fmt: skip
    elif state.picture is not None:
        canvas.picture(box, state.picture, 14, opacity=0.35 if dead else 1.0)
    elif state.labels and state.nearest:
        canvas.text(middle, canvas.fitted(state.nearest[0].label, side - 48, 64), 64, TEXT, "centre")
    else:
        canvas.text((middle[0], middle[1] + 4), f"waiting for the first {what}", 20, MUTED, "centre")
    corner = left + 12, left + side - 12, top + side - 12
    if state.notice:
        _warning(canvas, *corner, state.notice, BAD)
    elif dead and state.renderer is not None:
        _warning(canvas, *corner, f"Renderer: {state.renderer.text}", BAD if state.renderer.kind == "dead" else FAIR)
    _progress(canvas, state, left, top + side + 14, side)


def _warning(canvas: Canvas, left: float, right: float, bottom: float, text: str, colour: str) -> None:
    rows = canvas.wrapped(text, right - left - 40, 14)
    top = bottom - 24 - 20 * len(rows)
    canvas.rectangle((left, top, right, bottom), WARNING, 8, opacity=0.95)
    canvas.rectangle((left + 12, top + 12, left + 15, bottom - 12), colour, 1.5)
    for row, line in enumerate(rows):
        canvas.text((left + 28, top + 27 + 20 * row), line, 14)


def _progress(canvas: Canvas, state: DisplayState, left: float, top: float, width: float) -> None:
    if state.trial is None or not state.of:
        return
    final = state.step == state.of and not state.preview
    canvas.text((left, top + 14), f"trial {state.trial}", 14, MUTED)
    text = "final picture" if final else f"preview {state.step} of {state.of}"
    if state.at_s is not None:
        text += f" at {1000 * state.at_s:.0f} ms"
    if state.abstains or state.gliding:
        text = "withheld" if state.abstains else "gliding"
    canvas.text((left + width, top + 14), text, 14, TEXT if final else MUTED, "right")
    gap, start, stop = 4.0, left + 90, left + width - 120
    part = (stop - start + gap) / state.of
    for step in range(state.of):
        x = start + step * part
        canvas.rectangle((x, top + 7, x + part - gap, top + 11), ACCENT if step < state.step else LINE, 2)


def _shown(canvas: Canvas, state: DisplayState, hidden: bool) -> None:
    left, top, side = 632, 76, 196
    box = (left, top, left + side, top + side)
    canvas.rectangle(box, PANEL, 12)
    if state.shown is not None and not hidden:
        canvas.picture(box, state.shown, 12)
        caption = state.shown_label
    else:
        text = "hidden" if hidden else state.shown_label or "not known"
        canvas.text((left + side / 2, top + side / 2 + 5), text, 14, FAINT, "centre")
        caption = ""
    _label(canvas, left, top + side + 22, "Shown")
    canvas.text((left + side, top + side + 22), canvas.fitted(caption, side - 60, 14), 14, TEXT, "right")


def _label(canvas: Canvas, left: float, baseline: float, text: str) -> None:
    canvas.text((left, baseline), text, 13, FAINT)


def _confidence(canvas: Canvas, state: DisplayState) -> None:
    left, right, top = 868.0, 1248.0, 76.0
    _label(canvas, left, top + 12, "Confidence")
    confidence, colour = state.confidence, FAIR if state.abstains else ACCENT
    if confidence is None:
        canvas.text(
            (left, top + 58),
            "not calibrated" if state.trial is not None else "none yet",
            22,
            MUTED if state.trial is not None else FAINT,
        )
    else:
        canvas.text((left, top + 68), f"{confidence:.0%}", 46, FAIR if state.abstains else TEXT)
        canvas.rectangle((left, top + 90, right, top + 98), LINE, 4)
        canvas.rectangle((left, top + 90, left + max(8.0, (right - left) * confidence), top + 98), colour, 4)
        if state.candidates:
            canvas.text(
                (right, top + 68), f"chance {1 / state.candidates:.0%}, 1 of {state.candidates}", 13, FAINT, "right"
            )
        if state.abstain_below > 0:
            mark = left + (right - left) * state.abstain_below
            canvas.rectangle((mark - 1, top + 84, mark + 1, top + 104), MUTED)
            half = canvas.width("shown from here", 11.5) / 2
            middle = min(max(mark, left + half), right - half)
            canvas.text((middle, top + 120), "shown from here", 11.5, FAINT, "centre")
    if state.repeats:
        _label(canvas, left, top + 152, "Repeats")
        canvas.text((left, top + 186), str(state.repeats), 26)
        for k in range(min(state.repeats, 8)):
            canvas.circle((left + 50 + 13 * k, top + 177), 4, ACCENT)
    if state.two_way is not None:
        _label(canvas, left + 190, top + 152, "Right so far, two-way")
        canvas.text((left + 190, top + 186), f"{state.two_way:.0%}", 26)
        control = "n/a" if state.pre_stimulus_two_way is None else f"{state.pre_stimulus_two_way:.0%}"
        canvas.text((right, top + 174), f"pre-stimulus {control}", 13, MUTED, "right")
        canvas.text((right, top + 191), "chance 50%", 13, FAINT, "right")


def _nearest(canvas: Canvas, state: DisplayState) -> None:
    left, right, top, gap = 632.0, 1248.0, 330.0, 14.0
    _label(canvas, left, top + 12, "Nearest labels" if state.labels else "Nearest pictures")
    side = (right - left - 4 * gap) / 5
    for k in range(5):
        x = left + k * (side + gap)
        box = (x, top + 26, x + side, top + 26 + side)
        canvas.rectangle(box, PANEL, 10)
        if k >= len(state.nearest):
            continue
        near = state.nearest[k]
        if near.image is not None:
            canvas.picture(box, near.image, 10)
        canvas.text((x, top + side + 46), canvas.fitted(near.label, side - 40, 13), 13)
        canvas.text((x + side, top + side + 46), f"{near.similarity:.2f}", 13, MUTED, "right")
        canvas.rectangle((x, top + side + 54, x + side, top + side + 58), LINE, 2)
        filled = side * min(1.0, max(0.0, near.similarity))
        if filled >= 1:
            canvas.rectangle((x, top + side + 54, x + filled, top + side + 58), ACCENT, 2)


def _signal(canvas: Canvas, state: DisplayState) -> None:
    left, top, radius = 632.0, 540.0, 52.0
    _label(canvas, left, top + 12, "Signal")
    x, y = left + 196 - radius - 8, top + 80
    _head(canvas, (x, y), radius)
    counts = {GOOD: 0, FAIR: 0, BAD: 0, FAINT: 0}
    few = len(state.quality) <= 10
    for place, value in zip(head_places(list(state.quality)), state.quality.values(), strict=True):
        colour = _quality_colour(value)
        counts[colour] += 1
        if place is not None:
            at = x + place[0] * radius, y - place[1] * radius
            canvas.circle(at, 4.5 if few else 2.8, colour)
    words = ((GOOD, "good"), (FAIR, "doubtful"), (BAD, "bad"), (FAINT, "unknown"))
    for row, (colour, word) in enumerate((c, w) for c, w in words if counts[c]):
        baseline = top + 40 + 20 * row
        canvas.circle((left + 4, baseline - 4), 3.5, colour)
        canvas.text((left + 14, baseline), f"{counts[colour]} {word}", 12, MUTED)


def _head(canvas: Canvas, middle: tuple[float, float], radius: float) -> None:
    """Draw the outline of a head seen from above, nose up."""
    x, y = middle
    ear, nose = 0.13 * radius, 0.17 * radius
    for side in (-1, 1):
        canvas.circle((x + side * radius, y), ear, LINE, 1.5)
    canvas.lines([(x - nose, y - radius + 2), (x, y - radius - 1.15 * nose), (x + nose, y - radius + 2)], LINE, 1.5)
    canvas.circle(middle, radius, BACKGROUND)
    canvas.circle(middle, radius, LINE, 1.5)


def _quality_colour(value: float | None) -> str:
    if value is None:
        return FAINT
    return GOOD if value >= 0.66 else FAIR if value >= 0.33 else BAD


def _delays(canvas: Canvas, state: DisplayState) -> None:
    left, right, top = 868.0, 1248.0, 540.0
    _label(canvas, left, top + 12, "Delays of this picture")
    for row, (text, start, stop) in enumerate(_DELAYS):
        at = top + 42 + 24 * row
        canvas.text((left, at), text, 13, MUTED)
        if start in state.ledger and stop in state.ledger:
            delay = (state.ledger[stop] - state.ledger[start]) * 1000
            value = f"{delay:.0f} ms" if abs(delay) >= 10 else f"{delay:.2f} ms"
            canvas.text((right, at), value, 13, TEXT, "right")
        else:
            canvas.text((right, at), "-", 13, FAINT, "right")


def _patterns(canvas: Canvas, state: DisplayState, patterns: tuple[HeadPattern, ...]) -> None:
    """Draw one small head for each attribute, and what the percept is of it."""
    left, right, top, side = 868.0, 1248.0, 540.0, 80.0
    _label(canvas, left, top + 12, "Patterns behind the percept")
    if state.abstains or not patterns:
        nothing = "none yet" if state.trial is None else "none in this bundle"
        canvas.text((left, top + 58), "not enough evidence" if state.abstains else nothing, 14, MUTED)
        return
    canvas.text((right, top + 12), "blue below, orange above the mean", 11.5, FAINT, "right")
    step = (right - left) / 4
    for place, pattern in enumerate(patterns[:4]):
        x, y = left + step * place + side / 2, top + 68
        _head(canvas, (x, y), side / 2)
        pixels = round(side) - 4
        image = scalp_image(state.electrodes, pattern.values_uv, pattern.limit_uv, pixels)
        box = (x - pixels / 2, y - pixels / 2, x + pixels / 2, y + pixels / 2)
        canvas.picture(box, image, pixels / 2)
        canvas.text((x, y + 60), canvas.fitted(pattern.says, step - 6, 13), 13, TEXT, "centre")
        canvas.text((x, y + 77), f"{pattern.name} {1000 * pattern.latency_s:.0f} ms", 11, MUTED, "centre")
