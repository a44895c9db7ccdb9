"""A session as a film: each picture as it came, beside what was shown, with its evidence and its chance level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from configs.errors import InputError
from configs.files import whole_file
from perceptogram.live.recorded import RecordedSession
from realtime.display.canvas import ACCENT, FAINT, FAIR, LINE, MUTED, TEXT, Canvas

WIDTH, HEIGHT = 640, 500
PAIR = (16.0, 58.0, 624.0, 396.0)
"""Where the two pictures are, in the layout's units: left, top, right, bottom."""
RATES_HZ = {".mp4": 10.0, ".gif": 6.0}
"""Pictures of a film in a second: of what came between two of them only the last is seen."""
LAST_S = 1.5
"""Seconds for which the last picture stays."""
COLOURS = 64
"""Colours of a picture in a GIF."""


class FilmError(InputError):
    """A film that cannot be made."""

    about = "recorded-sessions"


@dataclass(frozen=True)
class Moment:
    """What is seen from a picture on until the next one.

    Attributes
    ----------
    at_s
        When the picture came, in seconds of the film.
    percept
        The record of its trial.
    picture
        Its file.
    two_way, pre_stimulus
        Mean two-way identification over the pictures so far, and the same before the pictures; None where unknown.
    """

    at_s: float
    percept: Mapping[str, Any]
    picture: Path
    two_way: float | None
    pre_stimulus: float | None


def make_film(session: RecordedSession, out: Path, speed: float = 1.0, most_s: float | None = None) -> float:
    """Write a film of `session` and return how long it is, in seconds.

    Parameters
    ----------
    session
        What a session left behind.
    out
        The file: ``.mp4``, or ``.gif`` in fewer colours and half the size.
    speed
        How much faster than the session it is.
    most_s
        Longest that it may be, in seconds: a longer one is faster still.

    Raises
    ------
    FilmError
        If the session has no pictures, or `out` is neither kind of film, or one that needs what is not installed.
    """
    kind = out.suffix.lower()
    if kind not in RATES_HZ:
        msg = f"--out {out}: a film is .mp4 or .gif"
        raise FilmError(msg)
    if kind == ".mp4" and find_spec("imageio_ffmpeg") is None:
        msg = "an .mp4 needs imageio-ffmpeg: pip install 'perceptogram-live[film]'; a .gif needs nothing"
        raise FilmError(msg)
    moments = _seen(_moments(session, speed, most_s), RATES_HZ[kind])
    if not moments:
        msg = f"{session.name} has no pictures to make a film of"
        raise FilmError(msg)
    length_s = moments[-1].at_s + LAST_S
    with whole_file(out) as part:
        (_write_mp4 if kind == ".mp4" else _write_gif)(session, moments, part)
    return length_s


def frame(session: RecordedSession, moment: Moment, width: int = WIDTH) -> Image.Image:
    """Return what the film shows at a moment.

    Parameters
    ----------
    session
        Whose name, and number of candidates, is shown.
    moment
        What is seen.
    width
        In pixels; the height is 25 to 32 of it.
    """
    scale = width / WIDTH
    canvas = Canvas((width, round(HEIGHT * scale)), scale)
    name = canvas.fitted(session.name, 380, 18)
    canvas.text((20, 38), name, 18)
    if session.details["simulated"]:
        canvas.pill((20 + canvas.width(name, 18) + 14, 22), "simulated EEG", FAIR)
    canvas.text((620, 37), f"trial {moment.percept['trial']}", 14, MUTED, "right")
    with Image.open(moment.picture) as picture:
        box = tuple(round(edge * scale) for edge in PAIR)
        side = min((box[2] - box[0]) / picture.width, (box[3] - box[1]) / picture.height)
        size = round(picture.width * side), round(picture.height * side)
        at = (box[0] + box[2] - size[0]) // 2, box[1]
        canvas.image.paste(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), at)
    _evidence(canvas, session, moment)
    return canvas.image


def _evidence(canvas: Canvas, session: RecordedSession, moment: Moment) -> None:
    percept, candidates = moment.percept, session.details.get("candidates")
    confidence, top = percept["confidence"], 412.0
    canvas.text((20, top + 8), "Confidence", 12, FAINT)
    text = "not calibrated" if confidence is None else f"{confidence:.0%}"
    canvas.text((20, top + 40), text, 18 if confidence is None else 28, TEXT)
    left, right = 20.0, 236.0
    canvas.rectangle((left, top + 54, right, top + 60), LINE, 3)
    if confidence is not None:
        canvas.rectangle((left, top + 54, left + max(6.0, (right - left) * confidence), top + 60), ACCENT, 3)
    if candidates:
        mark = left + (right - left) / candidates
        canvas.rectangle((mark - 1, top + 49, mark + 1, top + 65), MUTED)
        canvas.text((right, top + 40), f"chance {1 / candidates:.0%}, 1 of {candidates}", 12, FAINT, "right")
    canvas.text((274, top + 8), "Nearest", 12, FAINT)
    near = percept["neighbours"][0]["label"] if percept["neighbours"] else "n/a"
    canvas.text((274, top + 36), canvas.fitted(near, 130, 18), 18)
    repeats = percept["repeats"]
    canvas.text((274, top + 62), f"{repeats} look{'s' if repeats > 1 else ''}", 13, MUTED)
    if moment.two_way is not None:
        canvas.text((424, top + 8), "Right so far, two-way", 12, FAINT)
        canvas.text((424, top + 40), f"{moment.two_way:.0%}", 28)
        before = "n/a" if moment.pre_stimulus is None else f"{moment.pre_stimulus:.0%}"
        canvas.text((424, top + 62), f"before the picture {before}, chance 50%", 12, MUTED)


def _moments(session: RecordedSession, speed: float, most_s: float | None) -> list[Moment]:
    """Return every picture with what was known when it came."""
    percepts: dict[int, Mapping[str, Any]] = {}
    scores: dict[str, tuple[float | None, float | None]] = {}
    moments: list[Moment] = []
    for entry in session.entries:
        message = entry["message"]
        if message.get("kind") == "percept":
            percepts[message["trial"]] = message
            if message["picture"] is not None:
                scores[message["picture"]] = message["two_way"], message["pre_stimulus_two_way"]
        elif entry["topic"] == "frame":
            true, before = (_mean([pair[k] for pair in scores.values()]) for k in (0, 1))
            trial = message["trial"]
            moments.append(Moment(entry["at"], percepts[trial], session.pictures[trial], true, before))
    if not moments:
        return []
    begun, length_s = moments[0].at_s, moments[-1].at_s - moments[0].at_s
    if most_s is not None:
        speed = max(speed, length_s / max(most_s - LAST_S, 0.1))
    return [Moment((one.at_s - begun) / speed, *_rest(one)) for one in moments]


def _rest(moment: Moment) -> tuple[Mapping[str, Any], Path, float | None, float | None]:
    return moment.percept, moment.picture, moment.two_way, moment.pre_stimulus


def _seen(moments: list[Moment], rate_hz: float) -> list[Moment]:
    """Return the moments that last until the film's next picture, at the time of the picture that shows them."""
    by_number = {round(moment.at_s * rate_hz): moment for moment in moments}
    return [Moment(number / rate_hz, *_rest(moment)) for number, moment in by_number.items()]


def _mean(scores: list[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None


def _lasting(moments: list[Moment]) -> Iterator[tuple[Moment, float]]:
    """Yield each moment with how long it lasts, in seconds."""
    for moment, following in zip(moments, [*moments[1:], None], strict=True):
        yield moment, LAST_S if following is None else following.at_s - moment.at_s


def _write_gif(session: RecordedSession, moments: list[Moment], path: Path) -> None:
    images = [frame(session, moment, WIDTH * 3 // 4).quantize(COLOURS, dither=Image.Dither.NONE) for moment in moments]
    durations = [round(1000 * seconds) for _, seconds in _lasting(moments)]
    images[0].save(path, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True)


def _write_mp4(session: RecordedSession, moments: list[Moment], path: Path) -> None:
    from imageio_ffmpeg import write_frames

    writer = write_frames(
        str(path),
        (2 * WIDTH, 2 * HEIGHT),
        fps=RATES_HZ[".mp4"],
        codec="libx264",
        quality=8,
        macro_block_size=2,
        output_params=["-f", "mp4", "-movflags", "+faststart"],
    )
    writer.send(None)
    try:
        for moment, seconds in _lasting(moments):
            pixels = frame(session, moment, 2 * WIDTH).tobytes()
            for _ in range(round(seconds * RATES_HZ[".mp4"])):
                writer.send(pixels)
    finally:
        writer.close()
