"""Embedding and latent spaces: what a vector means, and how long it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LABELS = "labels"


@dataclass(frozen=True)
class EmbeddingSpace:
    """Which embedding a vector is; two spaces of the same size are still two spaces."""

    model: str
    pretrained: str
    dims: int
    normalised: bool = False

    @property
    def is_labels(self) -> bool:
        """Whether a dimension is a label and no picture can be painted."""
        return self.model == LABELS

    def __str__(self) -> str:
        return f"{self.model}/{self.pretrained} ({self.dims}-d, {'' if self.normalised else 'un-'}normalised)"


LatentSpace = Literal["sd", "sdxl", "movq"]


LATENT_SPACES: dict[str, LatentSpace] = {
    "sdxl-turbo": "sdxl",
    "sd15-few-step": "sd",
    "unclip": "sd",
    "kandinsky22": "movq",
}
"""Whose autoencoder a generator uses; latents of one are noise to the other."""


PIXELS_PER_LATENT = 8
