"""The networks of the generator and of its training, built from their configurations."""

from __future__ import annotations

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn
from torch.nn import functional

PATCH = 8  # pixels: the UNet sees each 8x8 patch of the picture as one position with 192 channels
VECTOR_DIMS = 256
LAYOUT_CHANNELS = 16


def build_unet() -> UNet2DModel:
    """Return the untrained UNet: 16x16 positions of 8x8-pixel patches, condition by scale and shift."""
    return UNet2DModel(
        sample_size=128 // PATCH,
        in_channels=3 * PATCH**2 + LAYOUT_CHANNELS,
        out_channels=3 * PATCH**2,
        block_out_channels=(64, 128, 192),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        attention_head_dim=32,
        norm_num_groups=16,
        attn_norm_num_groups=16,
        resnet_time_scale_shift="scale_shift",
        class_embed_type="identity",
        time_embedding_dim=VECTOR_DIMS,
    )


class Critic(nn.Module):
    """Tells drawn pictures from generated ones, patch by patch, given the embedding.

    It looks through the frozen image tower of the encoder (Sauer et al., "Projected GANs Converge Faster", 2021) and,
    for the fine lines that 64 pixels do not show, at the picture itself. The embedding enters as a projection
    (Miyato and Koyama, "cGANs with Projection Discriminator", 2018).

    Parameters
    ----------
    widths
        Channels of the feature maps that it is shown.
    dims
        Size of the embedding.
    """

    def __init__(self, widths: tuple[int, ...], dims: int, hidden: int = 64) -> None:
        super().__init__()
        self.heads = nn.ModuleList([_head(width, hidden) for width in widths])
        self.fine = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, hidden, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(hidden, 2 * hidden, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * hidden, hidden, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.verdicts = nn.ModuleList([nn.Conv2d(hidden, 1, 1) for _ in range(len(widths) + 1)])
        self.matches = nn.ModuleList([nn.Linear(dims, hidden, bias=False) for _ in range(len(widths) + 1)])

    def forward(self, features: list[Tensor], pictures: Tensor, standard: Tensor) -> list[Tensor]:
        """Return a map of verdicts, positive for drawn, for each feature map and for the picture."""
        maps = [*(head(f) for head, f in zip(self.heads, features, strict=True)), self.fine(pictures)]
        return [
            verdict(m) + (match(standard)[:, :, None, None] * m).mean(1, keepdim=True)
            for m, verdict, match in zip(maps, self.verdicts, self.matches, strict=True)
        ]


def _head(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, hidden, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(hidden, hidden, 3, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
    )


class Viewer(nn.Module):
    """The frozen image tower: feature maps and embedding of generated pictures, with gradients to the pictures."""

    widths: tuple[int, ...]

    def __init__(self, tower: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.tower = tower.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])
        stages = (tower.layer1, tower.layer2, tower.layer3)
        self.widths = (tower.conv3.out_channels, *(stage[-1].conv3.out_channels for stage in stages))

    def forward(self, pictures: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the feature maps and the un-normalised embedding of pictures in [-1, 1] ``[n, 3, side, side]``."""
        small = functional.interpolate(pictures, size=(64, 64), mode="bicubic", antialias=True)
        x = self.tower.stem((small / 2 + 0.5 - self.mean) / self.std)
        first = self.tower.layer1(x)
        second = self.tower.layer2(first)
        third = self.tower.layer3(second)
        return [x, first, second, third], self.tower.attnpool(self.tower.layer4(third))
