"""From a raw image embedding to the condition of the UNet: first what the embedding says, then where it goes."""

# ruff: noqa: E402 - torchvision must be mended before diffusers is imported
from __future__ import annotations

import math
from typing import NamedTuple

import torch

from configs.torchvision_shim import load_torchvision

load_torchvision()

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

FREQUENCIES = (1.0, 2.0, 4.0)  # waves of the object's own coordinates, in half periods a picture half


class Reading(NamedTuple):
    """What an embedding says of a picture.

    As targets and in the condition the first three are certain; straight from the reader they are logits.

    Attributes
    ----------
    concept, texture
        One of each ``[n, concepts]``, ``[n, textures]``.
    flags
        Light marks, mirrored: 1 for yes, -1 for no ``[n, 2]``.
    hues
        Object and ground, each as cosine and sine ``[n, 4]``.
    tone
        Brightness and contrast, -1 to 1 ``[n, 2]``.
    place
        Shift right and down, turn and size, about -1 to 1 ``[n, 4]``.
    """

    concept: Tensor
    texture: Tensor
    flags: Tensor
    hues: Tensor
    tone: Tensor
    place: Tensor


# What 1 means in `Reading.place`: half widths of the picture, radians, and size beside `MIDDLE_SIZE`.
PLACE_UNITS = (0.1, 0.1, 0.2, 0.115)
MIDDLE_SIZE = 0.935


class EmbeddingConditioner(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Reads from an un-normalised embedding what is shown, and lays it out for the UNet.

    It does what the prior does in unCLIP (Ramesh et al., "Hierarchical Text-Conditional Image Generation with CLIP
    Latents", 2022): an embedding, as imprecise as it may be, becomes a condition like those that the painter was
    trained with. The reader was trained on noised embeddings and commits itself to the likeliest concept and texture,
    so that a vague embedding gives one clean picture rather than a blend of several.

    The vector joins the time embedding and scales and shifts every feature map; the layout joins the noisy picture as
    further channels: a learnt template of the concept, turned and moved as the object lies (Jaderberg et al., "Spatial
    Transformer Networks", 2015), the object's own coordinates, and a learnt template of the texture.

    Parameters
    ----------
    dims
        Size of the embedding.
    concepts, textures
        Their names; the reader tells these apart.
    hidden
        Width of the reader's layers.
    vector_dims
        Size of the UNet's time embedding, to which the vector is added.
    shape_channels, texture_channels
        Channels of the two templates.
    layout_side
        The layout is ``[layout_channels, layout_side, layout_side]``.
    model, pretrained
        Name of the embedding space that the reader was trained in.
    """

    mean: Tensor
    std: Tensor
    grid: Tensor

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        dims: int = 256,
        concepts: tuple[str, ...] = (),
        textures: tuple[str, ...] = (),
        hidden: int = 512,
        vector_dims: int = 256,
        shape_channels: int = 16,
        texture_channels: int = 8,
        layout_side: int = 32,
        model: str = "",  # noqa: ARG002 - read from the configuration
        pretrained: str = "",  # noqa: ARG002
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("std", torch.ones(dims))
        self._sizes = (len(concepts), len(textures), 2, 4, 2, 4)
        self.reader = nn.Sequential(
            nn.Linear(dims, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, sum(self._sizes)),
        )
        self.vector = nn.Sequential(
            nn.Linear(sum(self._sizes), vector_dims), nn.SiLU(), nn.Linear(vector_dims, vector_dims)
        )
        cells = layout_side**2
        self.shapes = nn.Linear(len(concepts), shape_channels * cells, bias=False)
        self.surfaces = nn.Linear(len(textures), texture_channels * cells, bias=False)
        middles = (torch.arange(layout_side) + 0.5) / layout_side * 2 - 1
        rows, columns = torch.meshgrid(middles, middles, indexing="ij")
        self.register_buffer("grid", torch.stack([columns, rows], -1), persistent=False)
        self.layout_channels = shape_channels + texture_channels + 2 + 4 * len(FREQUENCIES)

    def standardise(self, embeddings: Tensor) -> Tensor:
        """Return embeddings ``[n, dims]`` with zero mean and unit deviation over the training pictures."""
        return (embeddings - self.mean) / self.std

    def read(self, standardised: Tensor) -> Reading:
        """Return what the reader makes of standardised embeddings; concept, texture and flags as logits."""
        return Reading(*self.reader(standardised).split(self._sizes, dim=1))

    def commit(self, reading: Reading) -> Reading:
        """Return a reading with the likeliest concept, texture and flags, and hues on their circles."""
        return Reading(
            functional.one_hot(reading.concept.argmax(1), self._sizes[0]).to(reading.concept.dtype),
            functional.one_hot(reading.texture.argmax(1), self._sizes[1]).to(reading.texture.dtype),
            torch.where(reading.flags >= 0, 1.0, -1.0).to(reading.flags.dtype),
            functional.normalize(reading.hues.reshape(-1, 2, 2), dim=2).flatten(1),
            reading.tone.clamp(-1.1, 1.1),
            reading.place.clamp(-1.2, 1.2),
        )

    def lay_out(self, reading: Reading) -> tuple[Tensor, Tensor]:
        """Return vectors ``[n, vector_dims]`` and layouts ``[n, channels, side, side]`` of certain readings."""
        side = self.grid.shape[0]
        own = self._own_coordinates(reading)
        shape = self.shapes(reading.concept).unflatten(1, (-1, side, side))
        # Templates keep a margin, so that a large object still finds all of itself after the turn.
        shape = functional.grid_sample(shape, own / 1.25, align_corners=False)
        surface = self.surfaces(reading.texture).unflatten(1, (-1, side, side))
        angles = [math.pi / 2 * f * own for f in FREQUENCIES]
        waves = torch.cat([own, *[a.sin() for a in angles], *[a.cos() for a in angles]], dim=-1)
        return self.vector(torch.cat(reading, dim=1)), torch.cat([shape, surface, waves.permute(0, 3, 1, 2)], dim=1)

    def forward(self, standardised: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors ``[n, features]`` and layouts ``[n, planes, side, side]`` of embeddings ``[n, dims]``."""
        return self.lay_out(self.commit(self.read(standardised)))

    def _own_coordinates(self, reading: Reading) -> Tensor:
        """Return where each cell of the layout lies on the object in its neutral pose, ``[n, side, side, 2]``."""
        right, down, turn, size = (reading.place * reading.place.new_tensor(PLACE_UNITS)).unbind(1)
        size = (size + MIDDLE_SIZE)[:, None, None]
        flip = -reading.flags[:, 1, None, None]
        cosine, sine = turn.cos()[:, None, None], turn.sin()[:, None, None]
        x, y = self.grid[None, ..., 0] - right[:, None, None], self.grid[None, ..., 1] - down[:, None, None]
        return torch.stack([flip * (cosine * x + sine * y), cosine * y - sine * x], dim=-1) / size[..., None]
