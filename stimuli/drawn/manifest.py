"""The standard set: 1,000 pictures to calibrate with, 200 to test on, and an endless stream to train models on.

The fixed sets are made by code from their seeds, so there are no files to fetch. Within a concept hue, background hue,
brightness and contrast are stratified (each falls once into every equal slice of its range) and shuffled independently
of each other (Latin hypercube sampling; McKay, Beckman and Conover, 1979); textures come equally often. The three
ranges of seeds do not meet, so no shape or pose of one set can appear in another.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL

from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.picture import TRAINING_SEEDS, DrawnPicture, random_picture
from stimuli.drawn.texture import TEXTURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATION_SEEDS = range(1000)
TEST_SEEDS = range(1000, 1200)


@cache
def calibration_pictures() -> tuple[DrawnPicture, ...]:
    """Return the 1,000 calibration pictures: 25 of each concept, concept by concept."""
    return _balanced_pictures(CALIBRATION_SEEDS)


@cache
def test_pictures() -> tuple[DrawnPicture, ...]:
    """Return the 200 test pictures: 5 of each concept, concept by concept."""
    return _balanced_pictures(TEST_SEEDS)


def training_picture(index: int) -> DrawnPicture:
    """Return picture `index` of the training stream; any run of 40 successive pictures shows every concept once.

    Raises
    ------
    IndexError
        If `index` is outside the stream.
    """
    if not 0 <= index < len(TRAINING_SEEDS):
        msg = f"training picture {index} does not exist: choose an index from 0 to {len(TRAINING_SEEDS) - 1}"
        raise IndexError(msg)
    seed = TRAINING_SEEDS[index]
    concept = list(CONCEPTS)[index % len(CONCEPTS)]
    # The second number keeps the attributes' random stream apart from those that `render` draws from the seed.
    return random_picture(np.random.default_rng([seed, 2]), concept, seeds=range(seed, seed + 1))


def picture_hash(image: NDArray[np.uint8]) -> str:
    """Return the SHA-256 (hexadecimal) of an image's shape and pixels.

    Raises
    ------
    TypeError
        If `image` is not uint8.
    """
    if image.dtype != np.uint8:
        msg = f"image has dtype {image.dtype}: convert it to uint8 before hashing"
        raise TypeError(msg)
    return hashlib.sha256(f"{image.shape}".encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def recipe_hash(picture: DrawnPicture) -> str:
    """Return the SHA-256 (hexadecimal) of a picture's parameters and of the code that draws it."""
    return hashlib.sha256(f"{_pens()}{picture!r}".encode()).hexdigest()


@cache
def _pens() -> str:
    """Return what tells this code, with the libraries that it draws with, from any other."""
    code = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    return f"{PIL.__version__} {np.__version__} {hashlib.sha256(code).hexdigest()}"


def _balanced_pictures(seeds: range) -> tuple[DrawnPicture, ...]:
    """Return one picture a seed, equally many of each concept."""
    per_concept = len(seeds) // len(CONCEPTS)
    rng = np.random.default_rng([seeds.start, len(seeds), 3])

    def stratified(low: float, high: float) -> list[float]:
        values = low + (high - low) * (rng.permutation(per_concept) + rng.uniform(0, 1, per_concept)) / per_concept
        return [float(value) for value in values]

    pictures = []
    for position, concept in enumerate(CONCEPTS):
        first = position * per_concept
        textures = rng.permutation([(first + k) % len(TEXTURES) for k in range(per_concept)])
        hues, ground_hues = stratified(0, 360), stratified(0, 360)
        brightnesses, contrasts = stratified(-1, 1), stratified(0.6, 1)
        pictures += [
            DrawnPicture(
                concept=concept,
                hue_deg=hues[k],
                ground_hue_deg=ground_hues[k],
                texture=TEXTURES[textures[k]],
                brightness=brightnesses[k],
                contrast=contrasts[k],
                seed=seeds[first + k],
            )
            for k in range(per_concept)
        ]
    return tuple(pictures)
