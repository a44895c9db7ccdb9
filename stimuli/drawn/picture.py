"""A drawn picture: what it shows and how it looks, as numbers; and the code that renders it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from stimuli.drawn import colour
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.pen import OVERSAMPLING, Paint, Pen, Pose
from stimuli.drawn.texture import TEXTURES, paint_texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 256
TRAINING_SEEDS = range(2**20, 2**31)  # lower seeds belong to the fixed sets of `stimuli.drawn.manifest`


@dataclass(frozen=True)
class DrawnPicture:
    """Everything that determines a drawn picture.

    Attributes
    ----------
    concept
        What is shown, a key of `CONCEPTS`.
    hue_deg, ground_hue_deg
        OKLCh hue of the object and of the background in degrees.
    texture
        What the object's surface looks like, one of `TEXTURES`.
    brightness
        -1 (dark) to 1 (bright); 0 leaves the picture as drawn.
    contrast
        0.6 (pale) to 1 (full).
    seed
        Seed of the shape's natural variation and of the pose.

    Raises
    ------
    ValueError
        If a value is not one of those above.
    """

    concept: str
    hue_deg: float
    ground_hue_deg: float
    texture: str
    brightness: float
    contrast: float
    seed: int

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.concept not in CONCEPTS:
            msg = f"unknown concept {self.concept!r}: choose one of {', '.join(CONCEPTS)}"
            raise ValueError(msg)
        if self.texture not in TEXTURES:
            msg = f"unknown texture {self.texture!r}: choose one of {', '.join(TEXTURES)}"
            raise ValueError(msg)
        if not (math.isfinite(self.hue_deg) and math.isfinite(self.ground_hue_deg)):
            msg = f"hues {self.hue_deg} and {self.ground_hue_deg}: both must be finite numbers of degrees"
            raise ValueError(msg)
        if not -1 <= self.brightness <= 1:
            msg = f"brightness {self.brightness}: choose a number from -1 (dark) to 1 (bright)"
            raise ValueError(msg)
        if not 0.6 <= self.contrast <= 1:
            msg = f"contrast {self.contrast}: choose a number from 0.6 (pale) to 1 (full)"
            raise ValueError(msg)
        if self.seed < 0:
            msg = f"seed {self.seed}: choose a whole number from 0 up"
            raise ValueError(msg)

    @property
    def name(self) -> str:
        """The concept and the seed, such as ``cat-0012``: unique within the fixed sets of `stimuli.drawn.manifest`."""
        return f"{self.concept.replace(' ', '-')}-{self.seed:04d}"

    @property
    def superclass(self) -> str:
        """The group of concepts that this one belongs to."""
        return CONCEPTS[self.concept].superclass

    @property
    def hue_name(self) -> str:
        """The plain-English name of the object's hue."""
        return colour.hue_name(self.hue_deg)

    @property
    def brightness_name(self) -> str:
        """``dark``, ``plain`` or ``bright``."""
        return "dark" if self.brightness < -1 / 3 else "bright" if self.brightness > 1 / 3 else "plain"

    @property
    def caption(self) -> str:
        """The picture in plain English."""
        article = "an" if self.hue_name[0] in "aeiou" else "a"
        light = {"dark": "dark ", "bright": "bright ", "plain": ""}[self.brightness_name]
        ground = colour.hue_name(self.ground_hue_deg)
        name = CONCEPTS[self.concept].name
        return f"a {light}drawing of {article} {self.hue_name} {self.texture} {name} on a pale {ground} ground"

    @property
    def pose(self) -> Pose:
        """How the object lies in the picture."""
        return _random_pose(np.random.default_rng(self.seed))

    @property
    def light_marks(self) -> bool:
        """Whether the texture's marks are lighter than the object (else darker)."""
        rng = np.random.default_rng(self.seed)
        _random_pose(rng)
        return _has_light_marks(rng)

    def render(self, size: int = SIZE, variation: int | None = None) -> NDArray[np.uint8]:
        """Return the picture as uint8 RGB ``[size, size, 3]``; the same picture at every size.

        Parameters
        ----------
        size
            Width and height in pixels.
        variation
            Seed of the shape's small variations and of where the texture lies; the picture's own when left out. What
            the attributes and the pose say is the same whatever the variation.
        """
        rng = np.random.default_rng(self.seed)
        pose, light_marks = _random_pose(rng), _has_light_marks(rng)
        if variation is not None:
            rng = np.random.default_rng([variation, 4])
        fills = self._fills(size * OVERSAMPLING, rng, light_marks=light_marks)
        shape = np.random.default_rng([self.seed if variation is None else variation, 1])
        pen = Pen(size, fills, pose, shape)
        CONCEPTS[self.concept].draw(pen)
        return np.asarray(pen.finish().point(self._tone_curve() * 3))

    def _fills(self, fine_size: int, rng: np.random.Generator, *, light_marks: bool) -> dict[Paint, Image.Image]:
        main = colour.rgb(0.66, 0.19, self.hue_deg)
        dark = colour.rgb(0.42, 0.14, self.hue_deg)
        plain = {
            Paint.SHADE: dark,
            Paint.LIGHT: colour.rgb(0.84, 0.09, self.hue_deg),
            Paint.INK: colour.rgb(0.2, 0.02, self.hue_deg),
            Paint.WHITE: (248, 247, 244),
            Paint.GROUND: colour.rgb(0.9, 0.035, self.ground_hue_deg),
        }
        fills = {paint: Image.new("RGB", (fine_size, fine_size), value) for paint, value in plain.items()}
        # Mark colour sits on the far side of the main colour in lightness, so every texture reads at 64 pixels.
        mark = colour.rgb(0.91, 0.08, self.hue_deg) if light_marks else colour.rgb(0.38, 0.13, self.hue_deg)
        fills[Paint.BODY] = paint_texture(self.texture, fine_size, main, mark, rng)
        return fills

    def _tone_curve(self) -> list[int]:
        """Grey value in, grey value out: contrast around the middle, then brightness as a gamma curve."""
        value = np.linspace(0, 1, 256)
        value = 0.5 + (value - 0.5) * self.contrast
        return [int(v) for v in np.rint(255 * value ** (2.0 ** (-1.1 * self.brightness)))]


def _random_pose(rng: np.random.Generator) -> Pose:
    return Pose(
        shift=(rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1)),
        turn_rad=rng.uniform(-0.2, 0.2),
        size=rng.uniform(0.82, 1.05),
        mirrored=bool(rng.integers(2)),
    )


def _has_light_marks(rng: np.random.Generator) -> bool:
    return bool(rng.uniform() < 0.5)


def random_picture(rng: np.random.Generator, concept: str | None = None, seeds: range = TRAINING_SEEDS) -> DrawnPicture:
    """Return a picture with independent, evenly spread attributes and a seed of its own.

    Parameters
    ----------
    rng
        Where the attributes are drawn from.
    concept
        What it shows; drawn as well when left out.
    seeds
        Range that the picture's own seed is drawn from: training and test pictures have ranges of their own.
    """
    names = list(CONCEPTS)
    return DrawnPicture(
        concept=concept if concept is not None else names[int(rng.integers(len(names)))],
        hue_deg=float(rng.uniform(0, 360)),
        ground_hue_deg=float(rng.uniform(0, 360)),
        texture=TEXTURES[int(rng.integers(len(TEXTURES)))],
        brightness=float(rng.uniform(-1, 1)),
        contrast=float(rng.uniform(0.6, 1.0)),
        seed=int(rng.integers(seeds.start, seeds.stop)),
    )
