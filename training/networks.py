"""The networks of the generator, built from their configurations."""

# ruff: noqa: E402 - torchvision must be mended before diffusers is imported
from __future__ import annotations

from configs.torchvision_shim import load_torchvision

load_torchvision()

from diffusers import UNet2DModel
from torch import nn

from calibration.data.embeddings import DRAWN_MODEL, DRAWN_TAG
from realtime.rendering.embedded.conditioner import EmbeddingConditioner
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.texture import TEXTURES

PATCH = 4  # pixels: the UNet sees each 4x4 patch of the picture as one position with 48 channels
VECTOR_DIMS = 256


def build_unet(layout_channels: int) -> UNet2DModel:
    """Return the untrained UNet: 32x32 positions of 4x4-pixel patches, condition by scale and shift."""
    return UNet2DModel(
        sample_size=128 // PATCH,
        in_channels=3 * PATCH**2 + layout_channels,
        out_channels=3 * PATCH**2,
        block_out_channels=(48, 96, 144),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        attention_head_dim=24,
        norm_num_groups=16,
        attn_norm_num_groups=16,
        resnet_time_scale_shift="scale_shift",
        class_embed_type="identity",
        time_embedding_dim=VECTOR_DIMS,
    )


def build_model() -> nn.ModuleList:
    """Return the untrained UNet and conditioner."""
    conditioner = EmbeddingConditioner(
        dims=256,
        concepts=tuple(CONCEPTS),
        textures=TEXTURES,
        vector_dims=VECTOR_DIMS,
        layout_side=128 // PATCH,
        model=DRAWN_MODEL,
        pretrained=DRAWN_TAG,
    )
    return nn.ModuleList([build_unet(conditioner.layout_channels), conditioner])
