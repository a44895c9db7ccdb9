"""Single files as their makers publish them and as ComfyUI has them: all of a model in one, under the first names.

What belongs to which network is told by the names alone; the tensors' shapes say how wide it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from realtime.rendering.diffusion.architectures import FULL_DECODERS, UNETS, Family
from realtime.rendering.diffusion.tensor_files import read_tensors, tensor_names, told_of
from realtime.rendering.errors import GeneratorError

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel, VQModel

UNET = "model.diffusion_model."
AUTOENCODER = "first_stage_model."
_FIRST_LAYER = "input_blocks.0.0.weight"
"""First tensor of an original UNet; diffusers' is ``conv_in.weight``."""


def unet_of(path: Path, family: Family, dtype: torch.dtype) -> UNet2DConditionModel:
    """Return the UNet in a file of a whole model, or in a file of nothing else, by its first or by diffusers' names.

    Parameters
    ----------
    path
        A safetensors file, or a pickled checkpoint.
    family
        The architecture that the weights must have.
    dtype
        What the weights are converted to.

    Raises
    ------
    GeneratorError
        If the file holds no UNet, or one of another family.
    """
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    names = tensor_names(path)
    if UNET + _FIRST_LAYER not in names and _FIRST_LAYER not in names and "conv_in.weight" not in names:
        msg = f"{path} holds no UNet: none of '{UNET}{_FIRST_LAYER}', '{_FIRST_LAYER}' and 'conv_in.weight' is in it"
        raise GeneratorError(msg)
    with told_of(path, f"a UNet of the {family} architecture"):
        with torch.device("meta"):
            unet: UNet2DConditionModel = UNet2DConditionModel(**UNETS[family])
        tensors = read_tensors(path, [UNET] if UNET + _FIRST_LAYER in names else [""])
        if _FIRST_LAYER in tensors:
            tensors = {UNET + name: tensor for name, tensor in tensors.items()}
        if UNET + _FIRST_LAYER in tensors:
            tensors = convert_ldm_unet_checkpoint(tensors, config=unet.config)
        _fill(unet, tensors, dtype)
    return unet.eval()


def full_kind(family: Family) -> Any:
    """Return the class of a family's full autoencoder."""
    from diffusers import AutoencoderKL, VQModel

    return VQModel if family == "kandinsky22" else AutoencoderKL


def full_autoencoder_of(path: Path, family: Family, dtype: torch.dtype) -> AutoencoderKL | VQModel:
    """Return the full autoencoder in a file of a whole model, or in a file of nothing else.

    Parameters
    ----------
    path
        A safetensors file, or a pickled checkpoint.
    family
        The architecture that the weights must have.
    dtype
        What the weights are converted to.

    Raises
    ------
    GeneratorError
        If the file holds none.
    """
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    first = "decoder.conv_in.weight"
    names = tensor_names(path)
    if first not in names and AUTOENCODER + first not in names:
        msg = f"{path} holds no full autoencoder: set render.decoder to 'tiny', or render.decoder_weights to one"
        raise GeneratorError(msg)
    with told_of(path, "a full autoencoder"):
        with torch.device("meta"):
            autoencoder: AutoencoderKL | VQModel = full_kind(family)(**FULL_DECODERS[family])
        tensors = read_tensors(
            path, [AUTOENCODER] if AUTOENCODER + first in names else ["encoder", "decoder", "quant", "post"]
        )
        if "decoder.up_blocks.0.resnets.0.conv1.weight" not in tensors:
            tensors = convert_ldm_vae_checkpoint(tensors, autoencoder.config)
        _fill(autoencoder, tensors, dtype)
    return autoencoder.eval()


def tiny_autoencoder_of(path: Path, dtype: torch.dtype, *, encoder: bool) -> AutoencoderTiny:
    """Return TAESD from a file of both its halves, or, where no encoder is wanted, of the decoder alone.

    Parameters
    ----------
    path
        A file of TAESD by its own or by diffusers' names.
    dtype
        What the weights are converted to.
    encoder
        Whether the encoder is needed; a file without it is refused then.

    Raises
    ------
    GeneratorError
        If the file holds none, or one for latents of another kind, or not its encoder.
    """
    from diffusers import AutoencoderTiny

    names = set(tensor_names(path))
    if not {"decoder.layers.0.weight", "1.weight"} & names:
        msg = f"{path} holds no tiny decoder (TAESD): set render.decoder to 'full', or render.decoder_weights to one"
        raise GeneratorError(msg)
    tensors = read_tensors(path)
    if "1.weight" in tensors:
        # the first names: a list of layers, of which the first holds no tensors and is no layer of diffusers'
        tensors = {f"decoder.layers.{int(n) - 1}.{rest}": t for (n, _, rest), t in _split(tensors)}
    if encoder and "encoder.layers.0.weight" not in tensors:
        msg = f"{path} holds the decoder alone; name a TAESD with its encoder (diffusion_pytorch_model.safetensors)"
        raise GeneratorError(msg)
    width, latents = tensors["decoder.layers.0.weight"].shape[:2]
    with told_of(path, f"a tiny decoder of {latents} latent channels"):
        with torch.device("meta"):
            tiny: AutoencoderTiny = AutoencoderTiny(
                encoder_block_out_channels=(width,) * 4, decoder_block_out_channels=(width,) * 4
            )
        if not encoder:
            tiny.encoder = None
        _fill(tiny, {name: tensor for name, tensor in tensors.items() if encoder or name.startswith("decoder")}, dtype)
    return tiny.eval()


def _split(tensors: Mapping[str, Tensor]) -> list[tuple[tuple[str, str, str], Tensor]]:
    return [(name.partition("."), tensor) for name, tensor in tensors.items()]


def _fill(network: Any, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """Put `tensors` in place of a network's, which have no memory yet."""
    network.load_state_dict({name: tensor.to(dtype) for name, tensor in tensors.items()}, assign=True)
