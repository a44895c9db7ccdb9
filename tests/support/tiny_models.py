"""The true architectures, tiny and with random weights, as folders and files like those of the published weights."""

from __future__ import annotations

import copy
import json
from functools import cache

import torch
from safetensors.torch import save_file

from benchmarks.render_narrow import NARROW, NARROW_FULL, WIDTH
from configs.torchvision_shim import load_torchvision

load_torchvision()
import diffusers  # noqa: E402

DIMS = 1024
TOKENS = 7
POOLED = WIDTH
TINY = NARROW
TINY_FULL = NARROW_FULL
SPACES = {"kandinsky22": 1280}
"""Length of the embeddings of the families that do not take `DIMS`."""


def make_unet(family):
    """Return a network of one's own."""
    return copy.deepcopy(shared_unet(family))


@cache
def shared_unet(family):
    """Return the same network to all who only read it: a copy takes longer than what most tests do with it."""
    torch.manual_seed(1)
    unet = diffusers.UNet2DConditionModel(**TINY[family]).eval()
    for name, weight in unet.named_parameters():
        if (".attn2." in name or ".add_" in name) and weight.ndim == 2:
            weight.data *= 3  # so that a picture tells whether the embedding was seen
    return unet


def make_model_folder(folder, family):
    """Write a UNet and the empty prompt's embeddings, or the empty picture's, as a diffusers folder."""
    shared_unet(family).save_pretrained(folder / "unet")
    torch.manual_seed(2)
    if family == "kandinsky22":
        save_file({"embeddings": torch.randn(1, SPACES[family])}, folder / "empty_picture.safetensors")
        return folder
    prompt = {"embeddings": torch.randn(1, TOKENS, TINY[family]["cross_attention_dim"])}
    if family == "sdxl":
        prompt["pooled"] = torch.randn(1, POOLED)
    save_file(prompt, folder / "empty_prompt.safetensors")
    return folder


def make_adapter_file(file, family, dims=DIMS):
    torch.manual_seed(3)
    unet = shared_unet(family)
    channels = unet.config.cross_attention_dim
    adapter = {
        "image_proj.proj.weight": torch.randn(4 * channels, dims) / dims**0.5,
        "image_proj.proj.bias": torch.randn(4 * channels) * 0.1,
        "image_proj.norm.weight": 1 + 0.1 * torch.randn(channels),
        "image_proj.norm.bias": 0.1 * torch.randn(channels),
    }
    crosses = [name for name in unet.attn_processors if "attn2" in name]
    for index, name in enumerate(crosses):
        width = unet.get_submodule(name.removesuffix(".processor")).to_q.out_features
        for kind in ("to_k_ip", "to_v_ip"):
            adapter[f"ip_adapter.{2 * index + 1}.{kind}.weight"] = torch.randn(width, channels) / channels**0.5
    save_file(adapter, file)
    return file


def make_lora_file(file, family):
    """Write low-rank differences of attention, projections and convolutions under the names of the published ones."""
    torch.manual_seed(4)
    lora = {}
    for name, layer in shared_unet(family).named_modules():
        kind = type(layer).__name__
        if kind not in ("Linear", "Conv2d") or not any(part in name for part in ("attn", "ff.net", "proj_", "conv1")):
            continue
        key, shape = "lora_unet_" + name.replace(".", "_"), layer.weight.shape
        lora[f"{key}.lora_down.weight"] = torch.randn(2, *shape[1:]) * 0.1
        lora[f"{key}.lora_up.weight"] = torch.randn(shape[0], 2, *(1 for _ in shape[2:])) * 0.1
        lora[f"{key}.alpha"] = torch.tensor(1.0)
    save_file(lora, file)
    return file


def make_tiny_decoder(folder):
    torch.manual_seed(5)
    channels = (8, 8, 8, 8)
    decoder = diffusers.AutoencoderTiny(encoder_block_out_channels=channels, decoder_block_out_channels=channels)
    last = decoder.decoder.layers[-1]
    last.weight.data *= 6  # so that pictures are neither flat nor all black
    last.bias.data.fill_(0.5)
    decoder.save_pretrained(folder)
    # diffusers writes a derived key that it warns of when it reads it
    config = json.loads((folder / "config.json").read_text())
    config.pop("block_out_channels", None)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def full_decoder(family):
    torch.manual_seed(6)
    kind = diffusers.VQModel if family == "kandinsky22" else diffusers.AutoencoderKL
    autoencoder = kind(**TINY_FULL[family])
    autoencoder.decoder.conv_out.weight.data *= 0.2 if family == "kandinsky22" else 4
    for name, weight in autoencoder.named_parameters():
        if ".conv_y." in name or ".conv_b." in name:  # each layer multiplies by the latent, which must not explode
            weight.data *= 0.02
            weight.data += name.endswith("conv_y.bias")
    return autoencoder.eval()


def make_full_decoder(folder, family):
    full_decoder(family).save_pretrained(folder / ("movq" if family == "kandinsky22" else "vae"))
    return folder
