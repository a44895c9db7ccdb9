"""The low-level map: from EEG to the layout of a picture, as the latent that painting starts from.

Beside the embedding, Perceptogram (Fei et al., 2024) predicts the latent of Stable Diffusion's autoencoder by a second
linear map and starts painting from it in place of pure noise. A latent has 16,384 values; this map predicts its
coordinates along the principal components of the calibration pictures' latents, so it stays small, and its columns are
summed by the same decoder, sample by sample, as further dimensions of the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from realtime.spaces import LATENT_SPACES, PIXELS_PER_LATENT, LatentSpace

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class LowLevelMap:
    """A linear map from a window to a latent.

    Attributes
    ----------
    weights, bias
        float32 ``[times, channels, rank]`` and ``[rank]``: from a window to coordinates.
    components, mean
        float32 ``[rank, 4, h, w]`` and ``[4, h, w]``: from coordinates to a latent of unit variance.
    space
        Whose latents they are.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    components: NDArray[np.float32]
    mean: NDArray[np.float32]
    space: LatentSpace

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        rank = len(self.bias)
        if self.weights.shape[2] != rank or self.components.shape != (rank, *self.mean.shape):
            msg = f"weights {self.weights.shape}, components {self.components.shape} and mean {self.mean.shape} differ"
            raise ValueError(msg)

    @property
    def rank(self) -> int:
        """Number of coordinates."""
        return len(self.bias)

    @property
    def size(self) -> int:
        """Width and height of the pictures in pixels."""
        return int(self.mean.shape[-1]) * PIXELS_PER_LATENT

    def latent(self, coordinates: NDArray[np.float32]) -> NDArray[np.float16]:
        """Return the latent ``[4, h, w]`` at `coordinates` ``[rank]``; half precision is what generators paint in."""
        latent: NDArray[np.float32] = self.mean + np.tensordot(coordinates, self.components, axes=1)
        return latent.astype(np.float16)

    def misfit(self, generator: str, size: int) -> str | None:
        """Return why pictures of `generator` at `size` pixels cannot start from these latents; None if they can."""
        space = LATENT_SPACES.get(generator)
        if space != self.space:
            return f"the bundle's low-level map predicts latents of {self.space!r}, {generator} paints from {space!r}"
        if size != self.size:
            return f"the bundle's low-level map is for pictures of {self.size} pixels, render.size is {size}"
        return None
