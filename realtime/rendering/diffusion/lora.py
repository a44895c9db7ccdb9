"""Distilled weights as low-rank differences, added to a network before it runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from realtime.rendering.diffusion.tensor_files import read_tensors
from realtime.rendering.errors import GeneratorError

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

_DOWN = re.compile(r"^unet\.(?P<layer>.+?)[._](?:lora\.down|lora_A)\.weight$")


@torch.no_grad()
def fuse_lora(unet: UNet2DConditionModel, path: Path, scale: float = 1.0) -> int:
    """Add the low-rank differences in a file (Hu et al., "LoRA", 2021) to the weights, and return of how many layers.

    ``weight += scale * alpha / rank * up @ down``. Files as kohya, Stability or diffusers name the layers are read.

    Parameters
    ----------
    unet
        The network; its weights are changed in place.
    path
        A safetensors file of low-rank differences.
    scale
        How much of the differences is added; 1 as they were trained.

    Raises
    ------
    GeneratorError
        If the file is no LoRA or was made for another network; the network is then unchanged.
    """
    differences = _differences(unet, path)
    layers = dict(unet.named_modules())
    for name, (down, up, _) in differences.items():
        weight = getattr(layers.get(name), "weight", None)
        if weight is None or (up.shape[0], *down.shape[1:]) != tuple(weight.shape):
            found = "no such layer" if weight is None else f"shape {list(weight.shape)} in the network"
            msg = f"LoRA {path} does not fit the network: {name} ({found}); it was made for another one"
            raise GeneratorError(msg)
    for name, (down, up, alpha) in differences.items():
        weight = layers[name].weight
        product = up.float().flatten(1) @ down.float().flatten(1)
        gain = scale * (1.0 if alpha is None else alpha / down.shape[0])
        weight += (gain * product).view(weight.shape).to(weight)
    return len(differences)


def _differences(unet: UNet2DConditionModel, path: Path) -> dict[str, tuple[Tensor, Tensor, float | None]]:
    """Return the matrices down and up, and alpha, of each layer by its name in the network."""
    from diffusers import StableDiffusionXLPipeline

    tensors = read_tensors(path)
    try:
        weights, alphas = StableDiffusionXLPipeline.lora_state_dict(tensors, unet_config=unet.config)
    except (ValueError, KeyError) as error:
        msg = f"{path} is not a LoRA that can be read: {' '.join(str(error).split())[:200]}"
        raise GeneratorError(msg) from error
    alpha_of = {_layer(name.removesuffix(".alpha")): float(alpha) for name, alpha in (alphas or {}).items()}
    found = {}
    for name, down in weights.items():
        if _DOWN.match(name):
            up = weights[name.replace("lora.down", "lora.up").replace("lora_A", "lora_B")]
            found[_layer(name)] = (down, up, alpha_of.get(_layer(name)))
    if not found:
        msg = f"{path} is not a LoRA of a UNet: it holds no such matrices"
        raise GeneratorError(msg)
    return found


def _layer(name: str) -> str:
    """Return the name in the network of a layer that diffusers' LoRA names call so."""
    match = _DOWN.match(name)
    layer = match["layer"] if match else name.removeprefix("unet.")
    return layer.replace(".processor", "") + (".0" if layer.endswith("to_out") else "")
