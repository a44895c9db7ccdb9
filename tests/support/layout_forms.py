"""Every form in which weights are published, for every generator, against the stock pipeline with the same weights.

The weights are random and narrow, the architectures the true ones: `tiny_models` changes widths and numbers alone.
Files have the names and arithmetic that they are published under.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from configs.schema import RenderSettings
from realtime.rendering.diffusion import architectures
from realtime.rendering.diffusion.model_loading import decoder_of, load_autoencoder
from realtime.rendering.diffusion.weight_files import locate
from realtime.rendering.generators.make import make_generator
from tests.support import published_layouts as published
from tests.support import stock_pipelines, tiny_models
from tests.support.tiny_models import diffusers

FAMILIES = {"sdxl-turbo": "sdxl", "sd15-few-step": "sd15", "unclip": "unclip", "kandinsky22": "kandinsky22"}
WITH_ADAPTER = ("sdxl", "sd15")
STEPS = (2,)
AT_MOST = 5e-4
"""Largest difference of the final latent from the stock pipeline's, over the largest value: on some processors sums of
single precision differ by 2e-4."""
SEED = stock_pipelines.SEED
MODEL_FILES = {"sdxl": "sd_xl_turbo_1.0", "sd15": "v1-5-pruned-emaonly", "unclip": "sd21-unclip-h"}
ADAPTER_FILES = {"sdxl": "ip-adapter_sdxl_vit-h", "sd15": "ip-adapter_sd15"}


@dataclass(eq=False)
class Written:
    """Weights on the disk, and the same as the stock pipeline takes them.

    Attributes
    ----------
    render
        Settings that name the files.
    unet, prompt
        The network and the empty prompt's, or picture's, embeddings.
    same
        Name of these weights and settings: forms of the same name have the same pictures.
    normalizer
        Statistics of unCLIP's embeddings, where the form has them.
    """

    render: dict[str, Any]
    unet: Any
    prompt: Mapping[str, torch.Tensor]
    same: Hashable
    normalizer: Any = None


Form = Callable[[Path, str], Written]


@dataclass(eq=False)
class Workshop:
    """Files that all forms of a generator share, and the stock pipelines' latents, which many forms share too."""

    home: Path
    _latents: dict[Hashable, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tiny_models.make_tiny_decoder(self.home / "taesd")
        for family in WITH_ADAPTER:
            file = tiny_models.make_adapter_file(self.adapter(family), family)
            adapter = {name: tensor.half() for name, tensor in load_file(file).items()}
            save_file(adapter, file)
            nested: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
            for name, tensor in adapter.items():
                group, _, rest = name.partition(".")
                nested[group][rest] = tensor
            torch.save(nested, self.adapter(family, ".bin"))

    def adapter(self, family: str, suffix: str = ".safetensors") -> Path:
        return self.home / f"{ADAPTER_FILES[family]}{suffix}"

    def settings(self, name: str, **render: Any) -> RenderSettings:
        family = FAMILIES[name]
        given: dict[str, Any] = {"size": 64, "steps": 1, "guidance": 3.0, "device": "cpu"}
        if family == "kandinsky22":
            # of 64 pixels one position is left at the bottom, where a norm over two numbers magnifies rounding errors
            given["size"] = 128
        if family != "kandinsky22":
            given["decoder_weights"] = str(self.home / "taesd")
        if family in WITH_ADAPTER:
            given |= {"adapter": str(self.adapter(family)), "lora": "none"}
        return RenderSettings(generator=name, **(given | render))

    def difference(self, name: str, written: Written, steps: tuple[int, ...] = STEPS) -> float:
        """Return the largest relative difference of our final latents from the stock pipeline's."""
        settings = self.settings(name, **written.render)
        generator = make_generator(settings)
        generator.prepare()
        worst = 0.0
        for count in steps:
            for _ in generator.stream(embedding(name), SEED, count):
                pass
            expected = self._expected(settings, written, count)
            ours = generator._sampler._picture.reshape(expected.shape)
            worst = max(worst, float((ours - expected).abs().max() / expected.abs().max()))
        return worst

    def _expected(self, settings: RenderSettings, written: Written, steps: int) -> torch.Tensor:
        name, key = settings.generator, (settings.generator, written.same, steps)
        if key not in self._latents:
            family = FAMILIES[name]
            if family == "kandinsky22":
                vae = tiny_models.full_decoder(family)
            else:
                vae = diffusers.AutoencoderTiny.from_pretrained(self.home / "taesd")
            adapter = str(self.adapter(family)) if family in WITH_ADAPTER else None
            unet = copy.deepcopy(written.unet)
            painted = stock_pipelines.stock_pipeline(
                settings, family, unet, vae, written.prompt, adapter, normalizer=written.normalizer
            )
            self._latents[key] = torch.as_tensor(painted(steps, embedding(name), output="latent"))
            assert self._latents[key].std() > 0.05, "a blank picture shows nothing"
        return self._latents[key]

    def decoder_difference(self, name: str, kind: str, where: Path | None, weights: Path) -> float:
        """Return the largest relative difference of a decoded picture from the stock autoencoder's."""
        family = FAMILIES[name]
        decoder = {"decoder": kind, "decoder_weights": where and str(where)}
        generator = make_generator(self.settings(name, weights=str(weights), **decoder))
        (path,) = locate([generator.decoder])
        ours = load_autoencoder(path, generator._settings.autoencoder, family, torch.float32)
        latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(SEED))
        vae = tiny_models.full_decoder(family)
        if kind == "tiny":
            vae = diffusers.AutoencoderTiny.from_pretrained(self.home / "taesd")
        with torch.no_grad():
            if family == "kandinsky22":
                expected = vae.decode(latent, force_not_quantize=True).sample
            else:
                expected = vae.decode(latent / vae.config.scaling_factor).sample
            assert expected.std() > 0.02, "a blank picture shows nothing"
            return float((decoder_of(ours)(latent) - expected).abs().max() / expected.abs().max())


@contextmanager
def narrowed() -> Iterator[None]:
    """Single files are of the tiny weights' widths meanwhile, in place of the true ones."""
    with (
        mock.patch.dict(architectures.UNETS, tiny_models.TINY),
        mock.patch.dict(architectures.FULL_DECODERS, tiny_models.TINY_FULL),
    ):
        yield


def embedding(name: str) -> np.ndarray:
    dims = tiny_models.SPACES.get(FAMILIES[name], tiny_models.DIMS)
    return 1.5 * np.random.default_rng(0).standard_normal(dims).astype(np.float32)


def halved(network: Any) -> Any:
    """Return a network whose weights went through half precision, as a variant's do."""
    return network.half().float()


def folder(at: Path, family: str) -> Written:
    published.write_folder(at, family)
    render, normalizer = {"weights": str(at)} | prior(at, family), None
    if family == "unclip":
        normalizer = published.write_normalizer(at)
        render["noise_level"] = 200
    return Written(render, tiny_models.shared_unet(family), published.stock_prompt(at), "folder", normalizer)


def prior(at: Path, family: str) -> dict[str, Any]:
    """Return the setting of Kandinsky's image encoder, which is published apart."""
    return {"prompt": str(at / "prior")} if family == "kandinsky22" else {}


def half_folder(at: Path, family: str) -> Written:
    published.write_folder(at, family, variant="fp16")
    return Written(
        {"weights": str(at)} | prior(at, family),
        halved(tiny_models.make_unet(family)),
        published.stock_prompt(at),
        "half",
    )


def sharded_folder(at: Path, family: str) -> Written:
    written = folder(at, family)
    (at / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    written.unet.save_pretrained(at / "unet", max_shard_size="500KB")
    assert len(list((at / "unet").glob("*-of-*.safetensors"))) > 1
    return written


def single_file(at: Path, family: str) -> Written:
    tensors, prompt = published.whole_model(family)
    file = published.write(tensors, at / f"{MODEL_FILES[family]}.safetensors")
    return Written({"weights": str(file)}, tiny_models.shared_unet(family), prompt, "single file")


def half_file(at: Path, family: str) -> Written:
    tensors, _ = published.whole_model(family)
    file = published.write(tensors, at / f"{MODEL_FILES[family]}_fp16.safetensors", torch.float16)
    # the encoders went through half precision too, which the oracle's did not
    render = {"weights": str(file), "prompt": str(at / "prompt.safetensors")}
    return Written(render, halved(tiny_models.make_unet(family)), prompt_file(at, family), "half, own prompt")


def checkpoint(at: Path, family: str) -> Written:
    tensors, prompt = published.whole_model(family)
    file = published.write(tensors, at / f"{MODEL_FILES[family]}.ckpt")
    return Written({"weights": str(file)}, tiny_models.shared_unet(family), prompt, "single file")


def prompt_file(at: Path, family: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    if family == "kandinsky22":
        prompt = {"embeddings": torch.randn(1, tiny_models.SPACES[family])}
    else:
        prompt = {"embeddings": torch.randn(1, 7, tiny_models.TINY[family]["cross_attention_dim"])}
    if family == "sdxl":
        prompt["pooled"] = torch.randn(1, tiny_models.POOLED)
    save_file(prompt, at / "prompt.safetensors")
    return prompt


def network_alone(names: str, suffix: str) -> Form:
    def form(at: Path, family: str) -> Written:
        unet = tiny_models.shared_unet(family)
        tensors = published.original_unet(unet) if names == "original" else unet.state_dict()
        file = published.write(tensors, at / f"diffusion_pytorch_model{suffix}")
        render = {"weights": str(file), "prompt": str(at / "prompt.safetensors")}
        if family == "kandinsky22":
            render["decoder_weights"] = str(tiny_models.make_full_decoder(at, family) / "movq")
        return Written(render, unet, prompt_file(at, family), "own prompt")

    return form


def adapter(suffix: str) -> Form:
    def form(at: Path, family: str) -> Written:
        # beside the house's own files, which the stock pipeline reads
        written = network_alone("diffusers", ".safetensors")(at, family)
        written.render["adapter"] = str(at.parent / f"{ADAPTER_FILES[family]}{suffix}")
        return written

    return form


def lora(names: str) -> Form:
    def form(at: Path, family: str) -> Written:
        written = network_alone("diffusers", ".safetensors")(at, family)
        written.unet = unet = tiny_models.make_unet(family)
        file = tiny_models.make_lora_file(at / f"Hyper-{family.upper()}-1step-lora.safetensors", family)
        kohya = load_file(file)
        layers = {n: layer for n, layer in unet.named_modules() if f"{kohya_name(n)}.alpha" in kohya}
        save_file({n: t.contiguous().half() for n, t in lora_in(names, unet, layers, kohya).items()}, file)
        for n, layer in layers.items():  # the stock pipeline reads LoRAs with a library that is not needed here
            down, up = (kohya[f"{kohya_name(n)}.lora_{part}.weight"].half().float() for part in ("down", "up"))
            gain = kohya[f"{kohya_name(n)}.alpha"] / len(down)
            layer.weight.data += torch.einsum("or,r...->o...", up.flatten(1), down) * gain
        written.render |= {"lora": str(file), "sampler": "lcm"}
        written.same = "LoRA"
        return written

    return form


def kohya_name(layer: str) -> str:
    return "lora_unet_" + layer.replace(".", "_")


def lora_in(names: str, unet: Any, layers: Mapping[str, Any], kohya: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Return a LoRA's tensors, which have kohya's names, under another of the public forms of their names."""
    if names == "kohya":
        text = {"lora_down.weight": torch.ones(2, 4), "lora_up.weight": torch.ones(4, 2), "alpha": torch.tensor(1.0)}
        # a text encoder's, which no generator here has
        return {**kohya, **{f"lora_te_text_model_encoder_layers_0_mlp_fc1.{n}": t for n, t in text.items()}}
    originals = dict(zip(unet.state_dict(), published.original_unet(unet), strict=True))
    renamed, old = {}, names == "diffusers, before PEFT"
    for name in layers:
        parts = ("lora_down.weight", "lora_up.weight", "alpha")
        down, up, alpha = (kohya[f"{kohya_name(name)}.{part}"] for part in parts)
        if names == "kohya, original blocks":
            place = kohya_name(originals[f"{name}.weight"].removesuffix(".weight"))
            renamed |= {f"{place}.{part}": t for part, t in zip(parts, (down, up, alpha), strict=True)}
            continue
        if old and ".attn" in name:
            block, _, projection = name.replace(".to_out.0", ".to_out").rpartition(".")
            place = f"unet.{block}.processor.{projection}_lora"
        else:
            place = f"unet.{name}" + (".lora" if old else "")
        ends = ("down", "up") if old else ("lora_A", "lora_B")
        gain = float(alpha) / len(down)  # the other forms have no alpha
        renamed[f"{place}.{ends[0]}.weight"], renamed[f"{place}.{ends[1]}.weight"] = down, gain * up
    return renamed


NETWORKS: dict[str, Form] = {
    "diffusers folder": folder,
    "diffusers folder, `fp16` variant": half_folder,
    "diffusers folder, in several files": sharded_folder,
    "single file": single_file,
    "single file, half precision": half_file,
    "single file, `.ckpt`": checkpoint,
    "network alone, original names": network_alone("original", ".safetensors"),
    "network alone, diffusers names": network_alone("diffusers", ".safetensors"),
    "network alone, `.bin`": network_alone("diffusers", ".bin"),
}
FOR_KANDINSKY = tuple(form for form in NETWORKS if "single" not in form and "original" not in form)
"""Its makers' own files are read by no library, and hardly used."""
ADAPTERS = {f"IP-Adapter, `{suffix}`": adapter(suffix) for suffix in (".safetensors", ".bin")}
LORA_NAMES = ("kohya", "kohya, original blocks", "diffusers", "diffusers, before PEFT")
LORAS = {f"LoRA, names of {names}": lora(names) for names in LORA_NAMES}
FORMS = NETWORKS | ADAPTERS | LORAS


def forms_of(name: str) -> tuple[str, ...]:
    """Return the forms that a generator's weights come in."""
    family = FAMILIES[name]
    if family == "kandinsky22":
        return FOR_KANDINSKY
    if family == "unclip":
        return tuple(NETWORKS)
    # original blocks have those names only in files for SDXL
    return tuple(form for form in FORMS if family == "sdxl" or "original blocks" not in form)


def tiny_original(at: Path, suffix: str) -> Path:
    tiny = diffusers.AutoencoderTiny.from_pretrained(tiny_models.make_tiny_decoder(at / "taesd"))
    tensors = {name: tensor.contiguous() for name, tensor in published.original_tiny_decoder(tiny).items()}
    file = at / f"taesd_decoder{suffix}"
    if suffix == ".pth":
        torch.save(tensors, file)
    else:
        save_file(tensors, file)
    return file


def full_alone(at: Path, family: str, names: str) -> Path:
    full = tiny_models.full_decoder(family)
    tensors = published.original_autoencoder(full) if names == "original" else full.state_dict()
    return published.write(tensors, at / "vae.safetensors")


DECODERS: dict[str, tuple[str, Callable[[Path, str], Path | None]]] = {
    "TAESD, folder": ("tiny", lambda at, family: tiny_models.make_tiny_decoder(at / "taesd")),
    "TAESD, diffusers names": (
        "tiny",
        lambda at, family: tiny_models.make_tiny_decoder(at / "taesd") / "diffusion_pytorch_model.safetensors",
    ),
    "TAESD, original names": ("tiny", lambda at, family: tiny_original(at, ".safetensors")),
    "TAESD, original names, `.pth`": ("tiny", lambda at, family: tiny_original(at, ".pth")),
    "own decoder, folder": (
        "full",
        lambda at, family: tiny_models.make_full_decoder(at, family) / ("movq" if family == "kandinsky22" else "vae"),
    ),
    "own decoder, within the model": ("full", lambda at, family: None),
    "own decoder, a file, original names": ("full", lambda at, family: full_alone(at, family, "original")),
    "own decoder, a file, diffusers names": ("full", lambda at, family: full_alone(at, family, "diffusers")),
}


def decoders_of(name: str) -> tuple[str, ...]:
    """Return the forms that a generator's decoder comes in."""
    if name != "kandinsky22":
        return tuple(DECODERS)
    return tuple(form for form, (kind, _) in DECODERS.items() if kind == "full" and "original" not in form)


def model_with_decoder(at: Path, family: str) -> Path:
    """Write what of a model is looked at to find its decoder: a single file, or a folder."""
    if family == "kandinsky22":
        tiny_models.make_model_folder(at, family)
        return tiny_models.make_full_decoder(at, family)
    tensors = published.original_autoencoder(tiny_models.full_decoder(family))
    file = at / f"{MODEL_FILES[family]}.safetensors"
    return published.write({f"first_stage_model.{name}": tensor for name, tensor in tensors.items()}, file)
