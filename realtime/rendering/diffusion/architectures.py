"""The networks that the published weights belong to, as diffusers describes them; what is left out is its default.

A single file of weights does not say what it belongs to, and where there are no weights at all, speed is measured on
the true networks.
"""

from __future__ import annotations

from typing import Any, Literal

Family = Literal["sdxl", "sd15", "unclip", "kandinsky22"]

_FOUR_DOWN = ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")
_FOUR_UP = ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D")

UNETS: dict[Family, dict[str, Any]] = {
    "sdxl": {
        "sample_size": 64,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (320, 640, 1280),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    "sd15": {
        "sample_size": 64,
        "down_block_types": _FOUR_DOWN,
        "up_block_types": _FOUR_UP,
        "block_out_channels": (320, 640, 1280, 1280),
        "attention_head_dim": 8,
        "cross_attention_dim": 768,
    },
    "unclip": {
        "sample_size": 96,
        "down_block_types": _FOUR_DOWN,
        "up_block_types": _FOUR_UP,
        "block_out_channels": (320, 640, 1280, 1280),
        "attention_head_dim": (5, 10, 20, 20),
        "cross_attention_dim": 1024,
        "use_linear_projection": True,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": 2048,
    },
    "kandinsky22": {
        "sample_size": 64,
        "out_channels": 8,
        "down_block_types": ("ResnetDownsampleBlock2D", *("SimpleCrossAttnDownBlock2D",) * 3),
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "up_block_types": (*("SimpleCrossAttnUpBlock2D",) * 3, "ResnetUpsampleBlock2D"),
        "block_out_channels": (384, 768, 1152, 1536),
        "layers_per_block": 3,
        "attention_head_dim": 64,
        "cross_attention_dim": 768,
        "encoder_hid_dim": 1280,
        "encoder_hid_dim_type": "image_proj",
        "addition_embed_type": "image",
        "resnet_time_scale_shift": "scale_shift",
    },
}

_KL = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
FULL_DECODERS: dict[Family, dict[str, Any]] = {
    "sdxl": _KL | {"scaling_factor": 0.13025, "force_upcast": True},
    "sd15": _KL | {"scaling_factor": 0.18215},
    "unclip": _KL | {"scaling_factor": 0.18215},
    "kandinsky22": {
        "down_block_types": (*("DownEncoderBlock2D",) * 3, "AttnDownEncoderBlock2D"),
        "up_block_types": ("AttnUpDecoderBlock2D", *("UpDecoderBlock2D",) * 3),
        "block_out_channels": (128, 256, 256, 512),
        "layers_per_block": 2,
        "latent_channels": 4,
        "num_vq_embeddings": 16384,
        "vq_embed_dim": 4,
        "norm_type": "spatial",
    },
}
"""Kandinsky's is of another kind than the others: diffusers' ``VQModel``, theirs are ``AutoencoderKL``."""
