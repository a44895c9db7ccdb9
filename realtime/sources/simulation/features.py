"""What the simulated visual system sees in a picture: its attributes and image statistics, never an embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stimuli.drawn.colour import object_hue
from stimuli.picture_features import image_statistics, luminance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stimuli.picture_set import PictureSet

SIZE = 32  # Enough for these statistics, and drawn in a few milliseconds while the participant looks.
ANIMATE = frozenset({"people", "animals", "animal", "person"})
# Mean and spread over the drawn set, so that each statistic is about standard normal there.
BRIGHTNESS = (0.63, 0.115)
CONTRAST = (0.19, 0.047)
ROUGHNESS = (0.071, 0.0215)
FREQUENCIES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2))  # Half cycles down and across.
SHAPE = (
    np.array([0.003, 0.010, 0.001, 0.074, 0.060, -0.003, -0.002, -0.020]),
    np.array([0.021, 0.034, 0.020, 0.034, 0.032, 0.020, 0.016, 0.023]),
)


@dataclass(frozen=True)
class Features:
    """A picture as the simulated visual system sees it.

    Attributes
    ----------
    brightness, contrast, roughness
        Mean luminance, its spread, and the mean step between neighbouring pixels; about standard normal.
    hue_rad, ground_hue_rad
        Hue of the object and of the ground on the colour circle; None where there is none.
    texture, superclass
        Names, or None where the picture set does not tell.
    concept
        What is shown.
    shape
        Coarse layout of light and dark: low spatial frequencies of the luminance, each about standard normal.
    """

    brightness: float
    contrast: float
    roughness: float
    hue_rad: float
    ground_hue_rad: float | None
    texture: str | None
    superclass: str | None
    concept: str
    shape: tuple[float, ...] = (0.0,) * len(FREQUENCIES)

    @property
    def animate(self) -> float:
        """1 for people and animals, -1 for other things, 0 where the superclass is unknown."""
        return 0.0 if self.superclass is None else 1.0 if self.superclass in ANIMATE else -1.0


def picture_features(pictures: PictureSet, name: str) -> Features:
    """Return what the simulated visual system sees in a picture.

    Raises
    ------
    stimuli.picture_set.PictureError
        If the set has no such picture or its file cannot be read.
    """
    image, known = pictures.image(name, SIZE), pictures.attributes(name)
    brightness, contrast, roughness = image_statistics(image)
    hue = float(known["hue_deg"]) if "hue_deg" in known else object_hue(image)
    ground = known.get("ground_hue_deg")
    return Features(
        brightness=_standard(brightness, BRIGHTNESS),
        contrast=_standard(contrast, CONTRAST),
        roughness=_standard(roughness, ROUGHNESS),
        hue_rad=float(np.deg2rad(hue)),
        ground_hue_rad=None if ground is None else float(np.deg2rad(float(ground))),
        texture=known.get("texture"),
        superclass=known.get("superclass"),
        concept=pictures.label(name),
        shape=coarse_shape(image),
    )


def coarse_shape(image: NDArray[np.uint8]) -> tuple[float, ...]:
    """Return the picture's low spatial frequencies, each scaled to be about standard normal over the drawn set."""
    grey = luminance(image)
    down, across = (_cosines(size) for size in grey.shape)
    spectrum = down @ (grey - grey.mean()) @ across.T / len(grey)
    values = (np.array([spectrum[place] for place in FREQUENCIES]) - SHAPE[0]) / SHAPE[1]
    return tuple(float(value) for value in np.clip(values, -2.5, 2.5))


def _cosines(size: int) -> NDArray[np.float64]:
    """Return the first rows of the orthonormal discrete cosine transform, ``[3, size]``."""
    half_cycles = np.arange(3)[:, None]
    rows: NDArray[np.float64] = np.cos(np.pi * half_cycles * (np.arange(size) + 0.5) / size)
    return rows * np.sqrt(np.where(half_cycles, 2.0, 1.0) / size)


def _standard(value: float, mean_and_spread: tuple[float, float]) -> float:
    mean, scale = mean_and_spread
    return float(np.clip((value - mean) / scale, -2.5, 2.5))
