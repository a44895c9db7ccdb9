"""Every form in which weights are published, for every generator, against the stock pipeline with the same weights.

The weights are random and narrow, the architectures the true ones: `tiny_models` changes widths and numbers alone.
"""

import copy
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from configs.schema import RenderSettings
from realtime.rendering.diffusion import architectures
from realtime.rendering.generators.make import make_generator
from tests.support import published_layouts as published
from tests.support import stock_pipelines, tiny_models
from tests.support.tiny_models import diffusers

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # in diffusers
    pytest.mark.filterwarnings("ignore:torch.jit:DeprecationWarning"),
]
FAMILIES = {"sdxl-turbo": "sdxl", "sd15-few-step": "sd15", "unclip": "unclip"}
NAMES = tuple(FAMILIES)
WITH_ADAPTER = ("sdxl-turbo", "sd15-few-step")
SEED = stock_pipelines.SEED
AT_MOST = 1e-4
"""Largest difference of the final latent from the stock pipeline's, over the largest value."""


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """The widths of the tiny weights in place of the true ones."""
    for family in tiny_models.TINY:
        monkeypatch.setitem(architectures.UNETS, family, tiny_models.TINY[family])
        monkeypatch.setitem(architectures.FULL_DECODERS, family, tiny_models.TINY_FULL[family])


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Adapters, LoRAs and the tiny decoder, which all layouts of a network share."""
    home = tmp_path_factory.mktemp("published")
    home.chmod(0o755)
    tiny_models.make_tiny_decoder(home / "taesd")
    for family in ("sdxl", "sd15"):
        adapter = load_file(tiny_models.make_adapter_file(home / f"{family}.safetensors", family))
        nested = {"image_proj": {}, "ip_adapter": {}}
        for name, tensor in adapter.items():
            group, _, rest = name.partition(".")
            nested[group][rest] = tensor
        torch.save(nested, home / f"{family}.bin")
    return home


def settings_for(house, name, weights, **more):
    given = {"weights": str(weights), "decoder_weights": str(house / "taesd"), "size": 64, "guidance": 3.0}
    if name in WITH_ADAPTER:
        given |= {"adapter": str(house / f"{FAMILIES[name]}.safetensors"), "lora": "none"}
    return RenderSettings(generator=name, device="cpu", **(given | more))


def embedding():
    return 1.5 * np.random.default_rng(0).standard_normal(1024).astype(np.float32)


def halved(network):
    """Return a network whose weights went through half precision, as a variant's do."""
    return copy.deepcopy(network).half().float()


def difference(house, settings, unet, prompt, steps=(2,)):
    """Return the largest relative difference of the final latents from the stock pipeline's."""
    generator = make_generator(settings)
    generator.prepare()
    vae = diffusers.AutoencoderTiny.from_pretrained(house / "taesd")
    family, worst = FAMILIES[settings.generator], 0.0
    for count in steps:
        for _ in generator.stream(embedding(), SEED, count):
            pass
        ours = generator._sampler._picture
        expected = stock_pipelines.painted(
            settings, family, unet, vae, prompt, settings.adapter, count, embedding(), output="latent"
        )
        expected = torch.as_tensor(expected).reshape(ours.shape)
        assert expected.std() > 0.05, "a blank picture shows nothing"
        worst = max(worst, float((ours - expected).abs().max() / expected.abs().max()))
    return worst


def folder(tmp_path, family):
    published.write_folder(tmp_path, family)
    return tmp_path, tiny_models.make_unet(family), published.stock_prompt(tmp_path), {}


def half_folder(tmp_path, family):
    published.write_folder(tmp_path, family, variant="fp16")
    return tmp_path, halved(tiny_models.make_unet(family)), published.stock_prompt(tmp_path), {}


def single_file(tmp_path, family):
    tensors, prompt = published.whole_model(family)
    file = published.write(tensors, tmp_path / "model.safetensors")
    return file, tiny_models.make_unet(family), prompt, {}


def half_file(tmp_path, family):
    tensors, _ = published.whole_model(family)
    file = published.write(tensors, tmp_path / "model_fp16.safetensors", torch.float16)
    prompt = prompt_file(tmp_path, family)  # the encoders went through half precision too, which the oracle's did not
    return file, halved(tiny_models.make_unet(family)), prompt, {"prompt": tmp_path / "prompt.safetensors"}


def checkpoint(tmp_path, family):
    tensors, prompt = published.whole_model(family)
    return published.write(tensors, tmp_path / "model.ckpt"), tiny_models.make_unet(family), prompt, {}


def prompt_file(tmp_path, family):
    torch.manual_seed(2)
    prompt = {"embeddings": torch.randn(1, 7, tiny_models.TINY[family]["cross_attention_dim"])}
    if family == "sdxl":
        prompt["pooled"] = torch.randn(1, tiny_models.POOLED)
    save_file(prompt, tmp_path / "prompt.safetensors")
    return prompt


def network_alone(names, suffix):
    def layout(tmp_path, family):
        unet = tiny_models.make_unet(family)
        tensors = published.original_unet(unet) if names == "original" else unet.state_dict()
        file = published.write(tensors, tmp_path / f"unet{suffix}")
        return file, unet, prompt_file(tmp_path, family), {"prompt": tmp_path / "prompt.safetensors"}

    return layout


LAYOUTS = {
    "diffusers folder": folder,
    "diffusers folder, fp16 variant": half_folder,
    "single file": single_file,
    "single file, fp16": half_file,
    "single file, .ckpt": checkpoint,
    "network alone, original names": network_alone("original", ".safetensors"),
    "network alone, diffusers names": network_alone("diffusers", ".safetensors"),
    "network alone, .bin": network_alone("diffusers", ".bin"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NAMES)
def test_network_and_prompt_of_every_layout(house, tmp_path, name, layout):
    weights, unet, prompt, more = LAYOUTS[layout](tmp_path, FAMILIES[name])
    steps = (1, 2, 4) if layout == "single file" else (2,)
    assert difference(house, settings_for(house, name, weights, **more), unet, prompt, steps) <= AT_MOST


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("name", WITH_ADAPTER)
def test_adapter_of_every_layout(house, tmp_path, name, suffix):
    weights, unet, prompt, more = network_alone("diffusers", ".safetensors")(tmp_path, FAMILIES[name])
    adapter = str(house / f"{FAMILIES[name]}{suffix}")
    assert difference(house, settings_for(house, name, weights, adapter=adapter, **more), unet, prompt) <= AT_MOST


def lora_in(form, layers, kohya):
    """Return a LoRA's tensors under another of the public forms of their names."""
    renamed, old = {}, form == "diffusers, before PEFT"
    for name in layers:
        key = "lora_unet_" + name.replace(".", "_")
        down, up, alpha = (kohya[f"{key}.{part}"] for part in ("lora_down.weight", "lora_up.weight", "alpha"))
        gain = float(alpha) / len(down)  # the other forms have no alpha
        if old and ".attn" in name:
            block, _, projection = name.replace(".to_out.0", ".to_out").rpartition(".")
            place = f"unet.{block}.processor.{projection}_lora"
        else:
            place = f"unet.{name}" + (".lora" if old else "")
        ends = ("down", "up") if old else ("lora_A", "lora_B")
        renamed[f"{place}.{ends[0]}.weight"], renamed[f"{place}.{ends[1]}.weight"] = down, gain * up
    return renamed


@pytest.mark.parametrize("form", ["kohya", "diffusers", "diffusers, before PEFT"])
@pytest.mark.parametrize("name", WITH_ADAPTER)
def test_lora_of_every_layout(house, tmp_path, name, form):
    family = FAMILIES[name]
    weights, unet, prompt, more = network_alone("diffusers", ".safetensors")(tmp_path, family)
    file = tiny_models.make_lora_file(tmp_path / "lora.safetensors", family)
    kohya = load_file(file)
    layers = {n: layer for n, layer in unet.named_modules() if f"lora_unet_{n.replace('.', '_')}.alpha" in kohya}
    if form != "kohya":
        save_file({n: t.contiguous() for n, t in lora_in(form, layers, kohya).items()}, file)
    for n, layer in layers.items():  # the stock pipeline reads LoRAs with a library that is not needed here
        key = f"lora_unet_{n.replace('.', '_')}"
        down, up = kohya[f"{key}.lora_down.weight"], kohya[f"{key}.lora_up.weight"]
        layer.weight.data += torch.einsum("or,r...->o...", up.flatten(1), down) * kohya[f"{key}.alpha"] / len(down)
    settings = settings_for(house, name, weights, lora=str(file), sampler="lcm", **more)
    assert difference(house, settings, unet, prompt) <= AT_MOST


DECODERS = {
    "tiny, folder": ("tiny", lambda at, family: tiny_models.make_tiny_decoder(at / "taesd")),
    "tiny, diffusers names": (
        "tiny",
        lambda at, family: tiny_models.make_tiny_decoder(at / "taesd") / "diffusion_pytorch_model.safetensors",
    ),
    "tiny, original names": ("tiny", lambda at, family: tiny_original(at, ".safetensors")),
    "tiny, .pth": ("tiny", lambda at, family: tiny_original(at, ".pth")),
    "full, folder": ("full", lambda at, family: tiny_models.make_full_decoder(at, family) / "vae"),
    "full, within the single file": ("full", lambda at, family: None),
    "full, alone, original names": (
        "full",
        lambda at, family: published.write(
            published.original_autoencoder(tiny_models.full_decoder(family)), at / "vae.safetensors"
        ),
    ),
    "full, alone, diffusers names": (
        "full",
        lambda at, family: published.write(tiny_models.full_decoder(family).state_dict(), at / "vae.safetensors"),
    ),
}


def tiny_original(at, suffix):
    tiny = diffusers.AutoencoderTiny.from_pretrained(tiny_models.make_tiny_decoder(at / "taesd"))
    tensors = {name: tensor.contiguous() for name, tensor in published.original_tiny_decoder(tiny).items()}
    file = at / f"taesd_decoder{suffix}"
    if suffix == ".pth":
        torch.save(tensors, file)
    else:
        save_file(tensors, file)
    return file


@pytest.mark.parametrize("layout", DECODERS)
@pytest.mark.parametrize("name", NAMES)
def test_decoder_of_every_layout(house, tmp_path, name, layout):
    family = FAMILIES[name]
    kind, write = DECODERS[layout]
    where = write(tmp_path, family)
    weights = single_file(tmp_path, family)[0]
    settings = settings_for(house, name, weights, decoder=kind, decoder_weights=where and str(where))
    generator = make_generator(settings)
    generator.prepare()
    *_, picture = generator.stream(embedding(), SEED, 2)
    latent = generator._sampler._picture.clone()
    vae = tiny_models.full_decoder(family)
    if kind == "tiny":
        vae = diffusers.AutoencoderTiny.from_pretrained(house / "taesd")
    with torch.no_grad():
        decoded = vae.decode(latent / vae.config.scaling_factor).sample[0].permute(1, 2, 0).numpy()
    assert decoded.std() > 0.02, "a blank picture shows nothing"
    np.testing.assert_allclose(picture / 127.5 - 1, decoded.clip(-1, 1), atol=1e-3 + 0.5 / 127.5)


@contextmanager
def not_ours_to_write(folder):
    """Make a folder read-only, as a shared one is; root, who may write anywhere, becomes nobody meanwhile."""
    modes = {path: path.stat().st_mode for path in (folder, *folder.parents) if path.stat().st_uid == os.getuid()}
    modes.pop(Path(tempfile.gettempdir()), None)
    modes |= {path: path.stat().st_mode for path in folder.rglob("*")}
    for path, mode in modes.items():
        path.chmod((mode | 0o555) & (0o555 if folder in (path, *path.parents) else 0o777))
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.mark.parametrize("layout", ["diffusers folder", "single file"])
@pytest.mark.parametrize("name", NAMES)
def test_read_only_folder(house, tmp_path, name, layout, caplog):
    shared = tmp_path / "shared"
    shared.mkdir()
    weights, unet, prompt, more = LAYOUTS[layout](shared, FAMILIES[name])
    for path in house.rglob("*"):
        path.chmod(0o755)
    with not_ours_to_write(shared):
        assert difference(house, settings_for(house, name, weights, **more), unet, prompt, steps=(1,)) <= AT_MOST
    assert not list(shared.glob("*empty_prompt*"))
    assert "cannot keep the empty prompt's embeddings" in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_prompt_of_a_single_file_is_kept_beside_it_under_its_name(house, tmp_path, name, monkeypatch):
    weights, unet, prompt, _ = single_file(tmp_path, FAMILIES[name])
    settings = settings_for(house, name, weights)
    difference(house, settings, unet, prompt, steps=(1,))
    (kept,) = tmp_path.glob("*.empty_prompt.safetensors")
    assert kept.name == "model.empty_prompt.safetensors"
    monkeypatch.setattr("realtime.rendering.diffusion.prompt.embed_with_file", lambda _: pytest.fail("embedded again"))
    assert difference(house, settings, unet, load_file(kept), steps=(1,)) <= AT_MOST
