"""From the disk to the parts of a generator: network, adapter, decoder and the empty prompt."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from realtime.rendering.architectures import UNETS, Family, single_file_layout
from realtime.rendering.generator import GeneratorError

if TYPE_CHECKING:
    import numpy as np
    from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

PROMPT_FILE = "empty_prompt.safetensors"


@dataclass(frozen=True, eq=False)
class Parts:
    """A generator taken apart, all on one device.

    Attributes
    ----------
    unet, autoencoder
        Networks; of the autoencoder only the decoder is used.
    prompt
        The empty prompt: `embeddings` ``[1, 77, channels]`` and, for SDXL, `pooled` ``[1, 1280]``.
    extra
        What the condition needs: an IP-Adapter's tensors as in its file, or unCLIP's `mean` and `std` of embeddings.
    """

    unet: UNet2DConditionModel
    autoencoder: AutoencoderTiny | AutoencoderKL
    prompt: Mapping[str, Tensor]
    extra: Mapping[str, Tensor]


def load_unet(path: Path, family: Family, dtype: torch.dtype) -> UNet2DConditionModel:
    """Return the UNet in a diffusers folder, or in a single file of a network of `family`.

    Raises
    ------
    GeneratorError
        If the file is not a UNet of that family.
    """
    from diffusers import UNet2DConditionModel

    if path.is_dir():
        variant = _variant(path / "unet", half=dtype != torch.float32)
        unet: UNet2DConditionModel = UNet2DConditionModel.from_pretrained(
            path, subfolder="unet", variant=variant, torch_dtype=dtype, local_files_only=True
        )
        return unet
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, "pt") as file:
        layout = single_file_layout(list(file.keys()))
    try:
        if layout == "original":
            # diffusers converts the names, but takes the architecture from a folder only
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "config.json").write_text(
                    json.dumps({"_class_name": "UNet2DConditionModel"} | UNETS[family]), encoding="utf-8"
                )
                single: UNet2DConditionModel = UNet2DConditionModel.from_single_file(
                    str(path), config=folder, torch_dtype=dtype, local_files_only=True
                )
                return single
        if layout == "diffusers":
            with torch.device("meta"):
                empty = UNet2DConditionModel(**UNETS[family])
            empty.load_state_dict({name: weight.to(dtype) for name, weight in load_file(path).items()}, assign=True)
            filled: UNet2DConditionModel = empty
            return filled
    except (RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        msg = f"{path} does not hold a UNet of the {family} architecture: {reason}"
        raise GeneratorError(msg) from error
    msg = f"{path} holds no UNet: neither 'model.diffusion_model.…' nor 'conv_in.weight' is in it"
    raise GeneratorError(msg)


def load_autoencoder(
    path: Path, kind: str, dtype: torch.dtype, *, encoder: bool = False
) -> AutoencoderTiny | AutoencoderKL:
    """Return the autoencoder in a folder: ``"tiny"`` is TAESD, ``"full"`` the one of a pipeline.

    Painting needs no encoder: it is dropped unless asked for.
    """
    from diffusers import AutoencoderKL, AutoencoderTiny

    if kind == "tiny":
        tiny: AutoencoderTiny = AutoencoderTiny.from_pretrained(path, torch_dtype=dtype, local_files_only=True)
        if not encoder:
            tiny.encoder = None
        return tiny
    folder = path / "vae" if (path / "vae").is_dir() else path
    if dtype == torch.float16 and AutoencoderKL.load_config(folder, local_files_only=True).get("force_upcast"):
        dtype = torch.bfloat16  # its activations leave the range of float16, which paints black
    full: AutoencoderKL = AutoencoderKL.from_pretrained(
        folder, variant=_variant(folder, half=dtype != torch.float32), torch_dtype=dtype, local_files_only=True
    )
    if not encoder:
        full.encoder = full.quant_conv = None
    return full


def decoder_of(autoencoder: AutoencoderTiny | AutoencoderKL) -> Callable[[Tensor], Tensor]:
    """Return what turns latents of unit variance ``[n, 4, h, w]`` into images ``[n, 3, 8h, 8w]`` in −1 … 1."""
    scale, dtype = float(autoencoder.config.scaling_factor), autoencoder.dtype

    def decode(latents: Tensor) -> Tensor:
        inputs = (latents / scale).to(dtype, memory_format=torch.channels_last)
        image: Tensor = autoencoder.decode(inputs, return_dict=False)[0]
        return image

    return decode


def encoder_of(autoencoder: AutoencoderTiny | AutoencoderKL) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return what turns images ``[n, h, w, 3]`` into their likeliest latents of unit variance ``[n, 4, h/8, w/8]``."""
    scale, device = float(autoencoder.config.scaling_factor), autoencoder.device

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
    from safetensors.torch import load_file

    if path.suffix != ".safetensors":
        msg = f"{path} is not a .safetensors file; IP-Adapters of other formats are not read"
        raise GeneratorError(msg)
    adapter = load_file(path)
    if not any(name.startswith("ip_adapter.") for name in adapter):
        msg = f"{path} is not an IP-Adapter: it holds no 'ip_adapter.…' weights"
        raise GeneratorError(msg)
    return adapter


def load_prompt(given: Path | None, beside: Path) -> dict[str, Tensor]:
    """Return the embeddings of the empty prompt; where there are none, make them and keep them beside the model.

    Parameters
    ----------
    given
        File that holds them; by default the one beside the model.
    beside
        The model's folder or single file.

    Raises
    ------
    GeneratorError
        If the file is not there, or if there is neither a file nor a text encoder.
    """
    from safetensors.torch import load_file, save_file

    file = given or (beside if beside.is_dir() else beside.parent) / PROMPT_FILE
    if file.is_file():
        prompt = load_file(file)
        if "embeddings" not in prompt:
            msg = f"{file} holds no 'embeddings' of the empty prompt; remove it to have it made again"
            raise GeneratorError(msg)
        return prompt
    if given is not None:
        msg = f"render.prompt: there is no file {given}"
        raise GeneratorError(msg)
    if not (beside / "text_encoder").is_dir():
        msg = (
            f"no text encoder in {beside} to embed the empty prompt with; set render.prompt to the {PROMPT_FILE} "
            "of a folder of the same family"
        )
        raise GeneratorError(msg)
    prompt = embed_empty_prompt(beside)
    part = file.with_name(file.name + ".part")
    try:
        save_file(prompt, part)
        part.rename(file)
    except OSError as error:
        logger.warning(
            "cannot keep the empty prompt's embeddings in %s (%s); they are made at every start", file, error
        )
    return prompt


@torch.no_grad()
def embed_empty_prompt(folder: Path) -> dict[str, Tensor]:
    """Return the empty prompt as the one text encoder of Stable Diffusion or the two of SDXL in `folder` embed it.

    They are loaded on the CPU, used once and let go: no text encoder is in memory while pictures are painted.
    """
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    def encode(kind: Any, suffix: str, *, hidden: bool) -> Any:
        tokenizer = CLIPTokenizer.from_pretrained(folder / f"tokenizer{suffix}", local_files_only=True)
        place = folder / f"text_encoder{suffix}"
        encoder = kind.from_pretrained(place, variant=_variant(place, half=True), local_files_only=True).float()
        length = tokenizer.model_max_length
        tokens = tokenizer("", padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        return encoder.eval()(tokens.input_ids, output_hidden_states=hidden)

    if not (folder / "text_encoder_2").is_dir():
        return {"embeddings": encode(CLIPTextModel, "", hidden=False).last_hidden_state.contiguous()}
    first = encode(CLIPTextModel, "", hidden=True)
    second = encode(CLIPTextModelWithProjection, "_2", hidden=True)
    # SDXL was trained on the layer before the last of both
    joined = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
    return {"embeddings": joined, "pooled": second.text_embeds.contiguous()}


def _variant(folder: Path, half: bool) -> str | None:
    """Return ``"fp16"`` if that is wanted and there, or all that is there."""
    small = any(folder.glob("*.fp16.safetensors"))
    large = any(file for file in folder.glob("*.safetensors") if ".fp16." not in file.name)
    return "fp16" if small and (half or not large) else None
