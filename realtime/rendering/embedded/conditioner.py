"""From a raw image embedding to the condition of the UNet."""

# ruff: noqa: E402 - torchvision must be mended before diffusers is imported
from __future__ import annotations

import torch

from configs.torchvision_shim import load_torchvision

load_torchvision()

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn


class EmbeddingConditioner(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Standardises an un-normalised embedding with stored statistics and makes the UNet's two conditions of it.

    The vector joins the time embedding and scales and shifts every feature map; the layout joins the noisy picture as
    further channels and says where things lie.

    As in unCLIP (Ramesh et al., "Hierarchical Text-Conditional Image Generation with CLIP Latents", 2022) the embedding
    was noised while training, here with an amount that the network is not told, so that an imprecise embedding still
    gives a clean picture.

    Parameters
    ----------
    dims
        Size of the embedding.
    hidden
        Width of the layer between.
    vector_dims
        Size of the UNet's time embedding, to which the vector is added.
    layout_channels, layout_side
        Size of the layout, ``[layout_channels, layout_side, layout_side]``.
    model, pretrained
        Name of the embedding space that the generator was trained in.
    """

    mean: Tensor
    std: Tensor

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        dims: int = 256,
        hidden: int = 512,
        vector_dims: int = 256,
        layout_channels: int = 16,
        layout_side: int = 16,
        model: str = "",  # noqa: ARG002 - read from the configuration
        pretrained: str = "",  # noqa: ARG002
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("std", torch.ones(dims))
        self.trunk = nn.Sequential(nn.Linear(dims, hidden), nn.SiLU())
        self.vector = nn.Linear(hidden, vector_dims)
        self.layout = nn.Linear(hidden, layout_channels * layout_side**2)
        self._layout_shape = (layout_channels, layout_side, layout_side)

    def standardise(self, embeddings: Tensor) -> Tensor:
        """Return embeddings ``[n, dims]`` with zero mean and unit deviation over the training pictures."""
        return (embeddings - self.mean) / self.std

    def forward(self, standardised: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors ``[n, vector_dims]`` and layouts ``[n, channels, side, side]`` of standardised embeddings."""
        hidden = self.trunk(standardised)
        return self.vector(hidden), self.layout(hidden).unflatten(1, self._layout_shape)
