"""The judge: a small classifier of pixels, independent of the encoder, that says what a generated picture shows."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.texture import TEXTURES

WEIGHTS = Path(__file__).resolve().parent / "weights.safetensors"


class Opinion(NamedTuple):
    """What the judge says of n pictures: class indices ``[n]`` and features ``[n, 192]``."""

    concept: NDArray[np.int64]
    texture: NDArray[np.int64]
    features: NDArray[np.float32]


class Judge(nn.Module):
    """Five strided convolutions, one feature vector, and a head each for concept and texture."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128, 192)
        layers: list[nn.Module] = []
        for i, (into, out) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(into, out, 3, stride=1 if i == 0 else 2, padding=1, bias=False), nn.BatchNorm2d(out)]
            layers += [nn.ReLU(inplace=True)]
            if 0 < i < 4:
                layers += [nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        self.trunk = nn.Sequential(*layers)
        self.squeeze = nn.Linear(192, 192)
        self.concept = nn.Linear(192, len(CONCEPTS))
        self.texture = nn.Linear(192, len(TEXTURES))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return concept logits, texture logits and features of pictures ``[n, 3, 64, 64]`` in [-1, 1]."""
        maps = self.trunk(pictures)
        features = torch.relu(self.squeeze(maps.amax((2, 3)) + maps.mean((2, 3))))
        return self.concept(features), self.texture(features), features


def as_input(images: NDArray[np.uint8]) -> Tensor:
    """Return uint8 pictures ``[n, side, side, 3]`` as the judge's input: [-1, 1], reduced to 64 pixels by averaging."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return torch.nn.functional.interpolate(pixels, size=(64, 64), mode="area")


def load_judge(path: Path = WEIGHTS) -> Judge:
    """Return the trained judge, ready to look."""
    judge = Judge()
    judge.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in load_file(path).items()}
    )
    return judge.eval()


@torch.inference_mode()
def look(judge: Judge, images: NDArray[np.uint8]) -> Opinion:
    """Return the judge's opinion of uint8 pictures ``[n, side, side, 3]``."""
    concept, texture, features = judge(as_input(images))
    return Opinion(concept.argmax(1).numpy(), texture.argmax(1).numpy(), features.numpy())
