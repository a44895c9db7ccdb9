"""Image encoders by transformers' names, as they lie beside IP-Adapter and Kandinsky, turned into open_clip's.

Such a file holds the half of CLIP that sees, and often nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from realtime.rendering.diffusion.tensor_files import tensor_names

FILES = ("model.safetensors", "model.fp16.safetensors", "pytorch_model.bin")
"""What such a folder holds, the unshortened first."""
VISION = "vision_model."
_FIRST = f"{VISION}embeddings.class_embedding"
_WHOLE = {
    _FIRST: "class_embedding",
    f"{VISION}embeddings.patch_embedding.weight": "conv1.weight",
    f"{VISION}embeddings.position_embedding.weight": "positional_embedding",
}
_NORMS = {"pre_layrnorm": "ln_pre", "post_layernorm": "ln_post"}
_INSIDE = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def tower_file(path: Path) -> Path | None:
    """Return the file of an image encoder by transformers' names, in a folder or itself; None where it is none.

    Raises
    ------
    GeneratorError
        If the file cannot be read.
    """
    if path.is_dir():
        path = next((path / name for name in FILES if (path / name).is_file()), path)
    return path if path.is_file() and _FIRST in tensor_names(path) else None


def as_open_clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of open_clip's image tower."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.removeprefix(VISION).rpartition(".")
        if name in _WHOLE:
            renamed[_WHOLE[name]] = tensor
        elif name == "visual_projection.weight":
            renamed["proj"] = tensor.T.contiguous()
        elif name.startswith(VISION) and layer in _NORMS:
            renamed[f"{_NORMS[layer]}.{kind}"] = tensor
        elif name.startswith(f"{VISION}encoder.layers."):
            _, _, number, inside = layer.split(".", 3)
            place = f"transformer.resblocks.{number}"
            if inside in _INSIDE:
                renamed[f"{place}.{_INSIDE[inside]}.{kind}"] = tensor
            elif inside == "self_attn.q_proj":
                parts = (tensors[name.replace("q_proj", f"{letter}_proj")] for letter in "qkv")
                renamed[f"{place}.attn.in_proj_{kind}"] = torch.cat(list(parts))
    return renamed
