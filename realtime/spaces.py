"""Embedding and latent spaces: what a vector means, and how long it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class EmbeddingSpace:
    """Which embedding a vector is; two spaces of the same size are still two spaces."""

    model: str
    pretrained: str
    dims: int
    normalised: bool = False

    def __str__(self) -> str:
        return f"{self.model}/{self.pretrained} ({self.dims}-d, {'' if self.normalised else 'un-'}normalised)"


LatentSpace = Literal["sd", "sdxl"]


LATENT_SPACES: dict[str, LatentSpace] = {"sdxl-turbo": "sdxl", "sd15-few-step": "sd", "unclip": "sd"}
"""Whose autoencoder a generator uses; latents of one are noise to the other."""


PIXELS_PER_LATENT = 8
