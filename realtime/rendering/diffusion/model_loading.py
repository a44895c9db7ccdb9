"""From the disk to the parts of a generator: network, adapter and decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from realtime.rendering.diffusion.architectures import FULL_DECODERS, Family
from realtime.rendering.diffusion.original_layout import (
    full_autoencoder_of,
    full_kind,
    tiny_autoencoder_of,
    unet_of,
)
from realtime.rendering.diffusion.tensor_files import check_folder, read_tensors, told_of, variant_of
from realtime.rendering.errors import GeneratorError

if TYPE_CHECKING:
    import numpy as np
    from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel, VQModel
    from numpy.typing import NDArray

    Autoencoder: TypeAlias = AutoencoderTiny | AutoencoderKL | VQModel


@dataclass(frozen=True, eq=False)
class Parts:
    """A generator taken apart, all on one device.

    Attributes
    ----------
    unet, autoencoder
        Networks; of the autoencoder only the decoder is used.
    prompt
        The empty prompt: `embeddings` ``[1, 77, channels]`` and, for SDXL, `pooled` ``[1, 1280]``. Of Kandinsky, which
        is told nothing in words: the empty picture's `embeddings` ``[1, 1280]``.
    extra
        What the condition needs: an IP-Adapter's tensors as in its file, or unCLIP's `mean` and `std` of embeddings.
    """

    unet: UNet2DConditionModel
    autoencoder: Autoencoder
    prompt: Mapping[str, Tensor]
    extra: Mapping[str, Tensor]


def load_unet(path: Path, family: Family, dtype: torch.dtype) -> UNet2DConditionModel:
    """Return the UNet in a diffusers folder, or in a single file of a network of `family`.

    Parameters
    ----------
    path
        A diffusers folder, or a file with all of a model or its UNet alone.
    family
        The architecture that the weights must have.
    dtype
        What the weights are converted to; float32 prefers the folder's unshortened files.

    Raises
    ------
    GeneratorError
        If that is not a UNet of that family, or not whole.
    """
    from diffusers import UNet2DConditionModel

    if not path.is_dir():
        return unet_of(path, family, dtype)
    folder = path / "unet"
    check_folder(folder)
    with told_of(folder, f"a UNet of the {family} architecture"):
        unet: UNet2DConditionModel = UNet2DConditionModel.from_pretrained(
            folder, variant=variant_of(folder, half=dtype != torch.float32), torch_dtype=dtype, local_files_only=True
        )
    return unet


def load_autoencoder(
    path: Path, kind: str, family: Family, dtype: torch.dtype, *, encoder: bool = False
) -> Autoencoder:
    """Return the autoencoder in a folder or file: ``"tiny"`` is TAESD, ``"full"`` the one of a pipeline.

    Painting needs no encoder: it is dropped unless asked for.

    Parameters
    ----------
    path
        A folder or file that holds it, alone or in a whole model.
    kind
        ``"tiny"`` or ``"full"``.
    family
        The architecture whose latents are decoded; it fixes the full one's layers.
    dtype
        What the weights are converted to.
    encoder
        Whether to keep the encoder, which only the fit of a low-level map needs.

    Raises
    ------
    GeneratorError
        If there is none, or it is not whole.
    """
    if kind == "tiny":
        return _tiny(path, dtype, encoder=encoder)
    full = _full(path, family, dtype)
    if not encoder:
        full.encoder = full.quant_conv = None
    return full


def _tiny(path: Path, dtype: torch.dtype, *, encoder: bool) -> AutoencoderTiny:
    from diffusers import AutoencoderTiny

    if not path.is_dir():
        return tiny_autoencoder_of(path, dtype, encoder=encoder)
    check_folder(path)
    with told_of(path, "a tiny autoencoder"):
        tiny: AutoencoderTiny = AutoencoderTiny.from_pretrained(path, torch_dtype=dtype, local_files_only=True)
    if not encoder:
        tiny.encoder = None
    return tiny


def _full(path: Path, family: Family, dtype: torch.dtype) -> AutoencoderKL | VQModel:
    kind = full_kind(family)

    def safe(upcast: bool) -> torch.dtype:
        # its activations leave the range of float16, which paints black
        return torch.bfloat16 if upcast and dtype == torch.float16 else dtype

    if not path.is_dir():
        return full_autoencoder_of(path, family, safe(FULL_DECODERS[family].get("force_upcast", False)))
    inner = path / ("movq" if family == "kandinsky22" else "vae")
    folder = inner if inner.is_dir() else path
    check_folder(folder)
    with told_of(folder, "a full autoencoder"):
        wanted = safe(bool(kind.load_config(folder, local_files_only=True).get("force_upcast")))
        variant = variant_of(folder, half=wanted != torch.float32)
        full: AutoencoderKL | VQModel = kind.from_pretrained(
            folder, variant=variant, torch_dtype=wanted, local_files_only=True
        )
    return full


def decoder_of(autoencoder: Autoencoder) -> Callable[[Tensor], Tensor]:
    """Return what turns latents of unit variance ``[n, 4, h, w]`` into images ``[n, 3, 8h, 8w]`` in −1 … 1."""
    scale, dtype = _scale(autoencoder), autoencoder.dtype

    def decode(latents: Tensor) -> Tensor:
        inputs = (latents / scale).to(dtype, memory_format=torch.channels_last)
        if hasattr(autoencoder, "quantize"):
            # what its `decode` does too, less a tensor in host memory that no CUDA graph can record
            image: Tensor = autoencoder.decoder(autoencoder.post_quant_conv(inputs), inputs)
        else:
            image = autoencoder.decode(inputs, return_dict=False)[0]
        return image

    return decode


def _scale(autoencoder: Autoencoder) -> float:
    """Return what latents are multiplied with to have unit variance; MoVQ's are used as they are."""
    return 1.0 if hasattr(autoencoder, "quantize") else float(autoencoder.config.scaling_factor)


def encoder_of(autoencoder: Autoencoder) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return what turns images ``[n, h, w, 3]`` into their likeliest latents of unit variance ``[n, 4, h/8, w/8]``."""
    scale, device = _scale(autoencoder), autoencoder.device

    @torch.inference_mode()
    def encode(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        encoded = autoencoder.encode(pixels)
        latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
        result: NDArray[np.float32] = (latents * scale).cpu().numpy()
        return result

    return encode


def load_adapter(path: Path) -> dict[str, Tensor]:
    """Return the tensors of an IP-Adapter file.

    Raises
    ------
    GeneratorError
        If the file is none.
    """
    adapter = read_tensors(path)
    if not any(name.startswith("ip_adapter.") for name in adapter):
        msg = f"{path} is not an IP-Adapter: it holds no 'ip_adapter.…' weights"
        raise GeneratorError(msg)
    return adapter
