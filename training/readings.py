"""What the training pictures show, as the numbers that the generator's conditioner reads from an embedding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from realtime.rendering.embedded.conditioner import MIDDLE_SIZE, PLACE_UNITS, Reading
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.picture import DrawnPicture
from stimuli.drawn.texture import TEXTURES


def true_readings(pictures: Sequence[DrawnPicture]) -> Reading:
    """Return what each picture shows."""
    names = list(CONCEPTS)
    concept = torch.tensor([names.index(p.concept) for p in pictures])
    texture = torch.tensor([TEXTURES.index(p.texture) for p in pictures])
    flags = [(p.light_marks, p.pose.mirrored) for p in pictures]
    hues = np.radians([(p.hue_deg, p.ground_hue_deg) for p in pictures])
    poses = [p.pose for p in pictures]
    place = np.array([(*p.shift, p.turn_rad, p.size - MIDDLE_SIZE) for p in poses]) / PLACE_UNITS
    return Reading(
        functional.one_hot(concept, len(names)).float(),
        functional.one_hot(texture, len(TEXTURES)).float(),
        2 * torch.tensor(flags).float() - 1,
        torch.from_numpy(np.stack([np.cos(hues), np.sin(hues)], axis=2).reshape(len(pictures), 4)).float(),
        torch.tensor([(p.brightness, (p.contrast - 0.8) / 0.2) for p in pictures]).float(),
        torch.from_numpy(place).float(),
    )


def pick(reading: Reading, rows: torch.Tensor) -> Reading:
    """Return the reading of some pictures."""
    return Reading(*(part[rows] for part in reading))
