"""The true architectures, narrow: everything that the large ones do, in milliseconds and on any machine."""

from __future__ import annotations

from typing import Any

from realtime.rendering.diffusion.architectures import FULL_DECODERS, UNETS, Family

WIDTH = 64
"""Channels of a text encoder; SDXL's prompt is two side by side."""
# Widths and numbers alone: whatever else a network is made of must come from the architecture, as with real weights.
NARROW: dict[Family, dict[str, Any]] = {
    "sdxl": UNETS["sdxl"]
    | {
        "block_out_channels": (32, 64, 64),
        "attention_head_dim": (2, 4, 4),
        "transformer_layers_per_block": (1, 1, 2),
        "cross_attention_dim": 2 * WIDTH,
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": WIDTH + 6 * 8,
    },
    "sd15": UNETS["sd15"] | {"block_out_channels": (32, 64, 64, 64), "cross_attention_dim": WIDTH},
    "unclip": UNETS["unclip"]
    | {
        "block_out_channels": (32, 64, 64, 64),
        "attention_head_dim": (2, 4, 4, 4),
        "cross_attention_dim": WIDTH,
    },
    "kandinsky22": UNETS["kandinsky22"]
    | {
        "block_out_channels": (32, 64, 64, 64),
        "layers_per_block": 1,
        "attention_head_dim": 16,
        "cross_attention_dim": WIDTH,
    },
}
NARROW_FULL: dict[Family, dict[str, Any]] = {
    family: config | {"block_out_channels": (32, 32, 32, 32)} for family, config in FULL_DECODERS.items()
}
NARROW_FULL["kandinsky22"] |= {"num_vq_embeddings": 16, "layers_per_block": 1}
assert all(NARROW[family].keys() == UNETS[family].keys() for family in UNETS)


def narrow() -> None:
    """Put the narrow networks in place of the true ones, for the rest of this process."""
    UNETS.update(NARROW)
    FULL_DECODERS.update(NARROW_FULL)
