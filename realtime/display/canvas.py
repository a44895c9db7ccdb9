"""What the display and the contact sheets are drawn with: colours, text, smooth shapes and framed pictures."""

from __future__ import annotations

import os
import string
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BACKGROUND = "#121417"
PANEL = "#1b1e23"
LINE = "#2e333a"
WARNING = "#241d1b"
TEXT = "#eceef1"
MUTED = "#9ba2ab"
FAINT = "#676e78"
GOOD = "#74c69d"
FAIR = "#e9b872"
BAD = "#e5716a"
ACCENT = "#8ab4f8"

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
Align = Literal["left", "centre", "right"]

_OVERSAMPLING = 4
_HAS_GLYPHS = frozenset(string.printable) | frozenset("·±°“”…")


class Canvas:
    """A picture to draw on, in units of which `scale` pixels make one.

    Parameters
    ----------
    size
        Width and height in pixels.
    scale
        Pixels of one unit.
    origin
        Pixel at which the units begin.
    drawn
        What is there already, of that size; nothing when left out.
    """

    def __init__(
        self,
        size: tuple[int, int],
        scale: float = 1.0,
        origin: tuple[float, float] = (0.0, 0.0),
        drawn: Image.Image | None = None,
    ) -> None:
        self.image = Image.new("RGB", size, BACKGROUND) if drawn is None else drawn.copy()
        self._scale = scale
        self._origin = origin

    def text(
        self, at: tuple[float, float], text: str, size: float = 14, colour: str = TEXT, align: Align = "left"
    ) -> None:
        """Write one line of text.

        Parameters
        ----------
        at
            x and y of its baseline's beginning, middle or end.
        text
            The line; nothing is drawn of an empty one.
        size
            Size of the type.
        colour
            Colour of the type.
        align
            Which point of the baseline lies at `at`.
        """
        if not text:
            return
        mask, left, top = _text(text, size * self._scale)
        x, y = self._pixel(at)
        x -= {"left": 0.0, "centre": 0.5, "right": 1.0}[align] * self.width(text, size) * self._scale
        self.image.paste(colour, (round(x) + left, round(y) + top), mask)

    def width(self, text: str, size: float = 14) -> float:
        """Return how wide `text` would be."""
        font = _font(text, round(size * self._scale * _OVERSAMPLING))
        return float(font.getlength(text)) / _OVERSAMPLING / self._scale

    def fitted(self, text: str, width: float, size: float = 14) -> str:
        """Return a line of text, shortened with an ellipsis where it is too wide.

        Parameters
        ----------
        text
            The line.
        width
            The most that it may measure.
        size
            Size of the type.
        """
        if self.width(text, size) <= width:
            return text
        while text and self.width(text + "…", size) > width:
            text = text[:-1]
        return text.rstrip() + "…"

    def wrapped(self, text: str, width: float, size: float = 14) -> list[str]:
        """Return text in two rows at most that are not too wide; the last is shortened to fit.

        Parameters
        ----------
        text
            Words with spaces between.
        width
            The most that a row may measure.
        size
            Size of the type.
        """
        words, count = text.split(), 1
        while count < len(words) and self.width(" ".join(words[: count + 1]), size) <= width:
            count += 1
        rows = (" ".join(words[:count]), " ".join(words[count:]))
        return [self.fitted(row, width, size) for row in rows if row]

    def rectangle(self, box: Box, colour: str, radius: float = 0.0, opacity: float = 1.0) -> None:
        """Fill a rectangle with round corners.

        Parameters
        ----------
        box
            Left, top, right and bottom.
        colour
            What it is filled with.
        radius
            Radius of the corners; 0 for sharp ones.
        opacity
            0 shows nothing of it, 1 nothing of what lies under it.
        """
        left, top, right, bottom = self._pixels(box)
        mask = _rounded(right - left, bottom - top, round(radius * self._scale))
        if opacity < 1.0:
            mask = mask.point(lambda value: int(value * opacity))
        self.image.paste(colour, (left, top), mask)

    def pill(self, corner: tuple[float, float], text: str, colour: str) -> float:
        """Write a line on a tinted label, and return the label's width.

        Parameters
        ----------
        corner
            x and y of its upper left corner.
        text
            The line.
        colour
            Colour of the type, and paler of the label.
        """
        left, top = corner
        width = self.width(text, 12) + 20
        self.rectangle((left, top, left + width, top + 22), colour, 11, opacity=0.16)
        self.text((left + 10, top + 15.5), text, 12, colour)
        return width

    def circle(self, centre: tuple[float, float], radius: float, colour: str, width: float | None = None) -> None:
        """Fill a circle, or draw its outline.

        Parameters
        ----------
        centre
            x and y.
        radius
            Its radius; one pixel at least.
        colour
            What it is drawn with.
        width
            Width of the outline; filled when left out.
        """
        x, y = self._pixel(centre)
        pixels = max(1.0, radius * self._scale)
        mask = _disc(pixels, None if width is None else max(1.0, width * self._scale))
        self.image.paste(colour, (round(x - mask.width / 2), round(y - mask.height / 2)), mask)

    def lines(self, points: list[tuple[float, float]], colour: str, width: float = 1.0) -> None:
        """Draw a smooth line through some points.

        Parameters
        ----------
        points
            x and y of each.
        colour
            What it is drawn with.
        width
            Its width.
        """
        pixels = [self._pixel(point) for point in points]
        left, top = (int(min(values)) - 4 for values in zip(*pixels, strict=True))
        right, bottom = (int(max(values)) + 5 for values in zip(*pixels, strict=True))
        k = _OVERSAMPLING
        mask = Image.new("L", ((right - left) * k, (bottom - top) * k))
        path = [((x - left) * k, (y - top) * k) for x, y in pixels]
        ImageDraw.Draw(mask).line(path, fill=255, width=max(1, round(width * self._scale * k)), joint="curve")
        self.image.paste(colour, (left, top), mask.resize((right - left, bottom - top), Image.Resampling.BOX))

    def picture(self, box: Box, image: NDArray[np.uint8], radius: float = 0.0, opacity: float = 1.0) -> None:
        """Show a picture, scaled to fill a box.

        Parameters
        ----------
        box
            Left, top, right and bottom.
        image
            uint8 ``[h, w, 3]``.
        radius
            Radius of the corners; 0 for sharp ones.
        opacity
            0 shows nothing of it, 1 nothing of what lies under it.
        """
        left, top, right, bottom = self._pixels(box)
        height, width = image.shape[:2]
        scaled = _scaled(image.tobytes(), (width, height), (right - left, bottom - top))
        mask = _rounded(right - left, bottom - top, round(radius * self._scale))
        if opacity < 1.0:
            mask = mask.point(lambda value: int(value * opacity))
        self.image.paste(scaled, (left, top), mask)

    def array(self) -> NDArray[np.uint8]:
        """Return what was drawn, uint8 ``[height, width, 3]``."""
        import numpy as np

        return np.asarray(self.image)

    def _pixel(self, at: tuple[float, float]) -> tuple[float, float]:
        return self._origin[0] + at[0] * self._scale, self._origin[1] + at[1] * self._scale

    def _pixels(self, box: Box) -> tuple[int, int, int, int]:
        left, top = self._pixel((box[0], box[1]))
        right, bottom = self._pixel((box[2], box[3]))
        return round(left), round(top), max(round(left) + 1, round(right)), max(round(top) + 1, round(bottom))


@lru_cache(maxsize=512)
def _text(text: str, points: float) -> tuple[Image.Image, int, int]:
    """Return the mask of a line of text, and where its corner lies as seen from the beginning of the baseline.

    Drawn large and reduced, so that letters keep their spacing at small sizes instead of snapping to whole pixels.
    """
    k = _OVERSAMPLING
    font = _font(text, round(points * k))
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    left, top, right, bottom = int(left // k), int(top // k), int(right // k) + 1, int(bottom // k) + 1
    mask = Image.new("L", ((right - left) * k, (bottom - top) * k))
    ImageDraw.Draw(mask).text((-left * k, -top * k), text, fill=255, font=font, anchor="ls")
    return mask.reduce(k), left, top


def _font(text: str, points: int) -> Any:
    """Return Pillow's own font, or for letters that it lacks the one that comes with pygame."""
    return _load_font(max(_OVERSAMPLING * 5, points), _HAS_GLYPHS.issuperset(text))


@lru_cache(maxsize=64)
def _load_font(points: int, latin: bool) -> Any:
    pygame = None if latin else find_spec("pygame")
    if pygame is None or pygame.origin is None:
        return ImageFont.load_default(points)
    return ImageFont.truetype(str(Path(pygame.origin).with_name("freesansbold.ttf")), points)


@lru_cache(maxsize=64)
def _rounded(width: int, height: int, radius: int) -> Image.Image:
    if radius <= 0:
        return Image.new("L", (width, height), 255)
    k = _OVERSAMPLING
    mask = Image.new("L", (width * k, height * k))
    box = (0, 0, width * k - 1, height * k - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius * k, fill=255)
    return mask.resize((width, height), Image.Resampling.BOX)


@lru_cache(maxsize=64)
def _disc(radius: float, width: float | None) -> Image.Image:
    k = _OVERSAMPLING
    side = int(2 * radius) + 3
    mask = Image.new("L", (side * k, side * k))
    middle, far = side * k / 2, radius * k
    box = (middle - far, middle - far, middle + far, middle + far)
    if width is None:
        ImageDraw.Draw(mask).ellipse(box, fill=255)
    else:
        ImageDraw.Draw(mask).ellipse(box, outline=255, width=round(width * k))
    return mask.resize((side, side), Image.Resampling.BOX)


@lru_cache(maxsize=24)
def _scaled(pixels: bytes, size: tuple[int, int], wanted: tuple[int, int]) -> Image.Image:
    """Return a picture of another size, linear or averaged over areas: a twentieth of the time that Pillow takes."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    scaled = pygame.transform.smoothscale(pygame.image.frombuffer(pixels, size, "RGB"), wanted)
    return Image.frombytes("RGB", wanted, pygame.image.tobytes(scaled, "RGB"))
