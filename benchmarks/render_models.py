"""The true architectures with random-normal weights, and the stock pipelines to compare with."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.render_narrow import narrow
from configs.schema import RenderSettings
from configs.torchvision_shim import load_torchvision
from realtime.rendering.diffusion.architectures import FULL_DECODERS, UNETS, Family
from realtime.rendering.diffusion.model_loading import Parts
from realtime.rendering.generators.latent import SPACE, LatentGenerator
from realtime.rendering.generators.make import make_generator

load_torchvision()
import diffusers  # noqa: E402
from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer  # noqa: E402

ADAPTER_TOKENS, PROMPT_TOKENS = 4, 77
_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def random_parts(family: Family, device: torch.device, dtype: torch.dtype) -> Parts:
    """Return all parts of a generator with weights from a normal distribution: zeros would flatter the clocks."""
    unet = filled(lambda: diffusers.UNet2DConditionModel(**UNETS[family]), device, dtype)
    config = unet.config
    if family == "kandinsky22":
        decoder = filled(lambda: diffusers.VQModel(**FULL_DECODERS[family]), device, dtype)
        decoder.encoder = None
        empty = torch.randn(1, config.encoder_hid_dim, device=device, dtype=dtype)
        return Parts(unet, decoder, {"embeddings": empty}, {})
    decoder = filled(diffusers.AutoencoderTiny, device, dtype)
    decoder.encoder = None
    prompt = {"embeddings": torch.randn(1, PROMPT_TOKENS, config.cross_attention_dim, device=device, dtype=dtype)}
    if family == "sdxl":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        prompt["pooled"] = torch.randn(1, pooled, device=device, dtype=dtype)
    extra = {} if family == "unclip" else _random_adapter(unet, device, dtype)
    return Parts(unet, decoder, prompt, extra)


def make_random(settings: RenderSettings) -> LatentGenerator:
    """Return the generator of `settings` with random weights, for a renderer's process."""
    made: Any = make_generator(settings)
    made.load = lambda device, dtype: random_parts(made.family, device, dtype)
    generator: LatentGenerator = made
    return generator


def make_narrow(settings: RenderSettings) -> LatentGenerator:
    """Return the same with narrow networks."""
    narrow()
    return make_random(settings)


def filled(make: Callable[[], Any], device: torch.device, dtype: torch.dtype) -> Any:
    """Return the network that `make` makes, with random-normal weights, without making it on the CPU first."""
    with torch.device("meta"):
        network = make()
    nn.Module.to(network, dtype=dtype)
    nn.Module.to_empty(network, device=device)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1:
                weight.normal_(std=weight[0].numel() ** -0.5)
            else:
                weight.fill_(float(name.endswith("weight")))
    return network.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def _random_adapter(unet: Any, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    channels, dims = unet.config.cross_attention_dim, SPACE.dims
    shapes: dict[str, tuple[int, ...]] = {
        "image_proj.proj.weight": (ADAPTER_TOKENS * channels, dims),
        "image_proj.proj.bias": (ADAPTER_TOKENS * channels,),
        "image_proj.norm.weight": (channels,),
        "image_proj.norm.bias": (channels,),
    }
    crosses = [name.removesuffix(".processor") for name in unet.attn_processors if "attn2" in name]
    for index, name in enumerate(crosses):
        width = unet.get_submodule(name).to_q.out_features
        for kind in ("to_k_ip", "to_v_ip"):
            shapes[f"ip_adapter.{2 * index + 1}.{kind}.weight"] = (width, channels)
    return {
        name: torch.randn(shape, device=device, dtype=dtype) * (shape[-1] ** -0.5 if len(shape) > 1 else 1)
        for name, shape in shapes.items()
    }


class StockUnclip(diffusers.StableUnCLIPImg2ImgPipeline):  # type: ignore[misc]  # diffusers has no types
    """The stock pipeline, given an embedding; as it comes it needs an image encoder in memory all the same."""

    _optional_components = ("feature_extractor", "image_encoder", "tokenizer", "text_encoder")

    def _encode_image(self, *, generator: Any, image_embeds: Tensor, noise_level: Tensor, **_: Any) -> Tensor:
        noised = self.noise_image_embeddings(image_embeds, int(noise_level), generator=generator)
        return torch.cat([torch.zeros_like(noised), noised])


def stock_pipeline(
    family: Family, parts: Parts, settings: RenderSettings, *, full: bool, compiled: bool = False
) -> Callable[[Tensor, int, int], Any]:
    """Return the diffusers pipeline of `family` as people use it, from an embedding ``[dims]``, seed and steps.

    Parameters
    ----------
    parts
        Of its own: a network that our hot loop has shortened is of no use to a pipeline.
    full
        Whether it decodes with the model's full autoencoder, as it comes, or with the tiny one.
    compiled
        Whether network and decoder are compiled, as diffusers' guide to speed says; the first picture takes minutes.
    """
    unet, dtype, size = parts.unet, parts.unet.dtype, settings.pixels
    autoencoder = parts.autoencoder
    if full and family != "kandinsky22":
        autoencoder = filled(lambda: diffusers.AutoencoderKL(**FULL_DECODERS[family]), unet.device, dtype)
    shared: dict[str, Any] = {"vae": autoencoder, "text_encoder": None, "tokenizer": None, "unet": unet}
    text = parts.prompt["embeddings"]
    call: dict[str, Any] = {"height": size, "width": size, "prompt_embeds": text, "output_type": "np"}
    if family == "kandinsky22":
        betas = _BETAS | {"beta_schedule": "linear"}
        scheduler = diffusers.DPMSolverMultistepScheduler(timestep_spacing="trailing", **betas)
        pipe: Any = diffusers.KandinskyV22Pipeline(unet, scheduler, autoencoder)
        call |= {"negative_image_embeds": call.pop("prompt_embeds"), "guidance_scale": settings.weight}
    elif family == "unclip":
        pipe = StockUnclip(
            feature_extractor=None,
            image_encoder=None,
            image_normalizer=StableUnCLIPImageNormalizer(SPACE.dims).to(torch_dtype=dtype),
            image_noising_scheduler=diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
            scheduler=diffusers.DPMSolverMultistepScheduler(
                prediction_type="v_prediction", timestep_spacing="trailing", **_BETAS
            ),
            **shared,
        )
        call |= {"negative_prompt_embeds": text, "guidance_scale": settings.weight}
    else:
        call |= {"guidance_scale": 0.0}
        if family == "sdxl":
            pipe = diffusers.StableDiffusionXLPipeline(
                text_encoder_2=None,
                tokenizer_2=None,
                scheduler=diffusers.EulerAncestralDiscreteScheduler(timestep_spacing="trailing", **_BETAS),
                add_watermarker=False,
                **shared,
            )
            call["pooled_prompt_embeds"] = parts.prompt["pooled"]
        else:
            pipe = diffusers.StableDiffusionPipeline(
                scheduler=diffusers.TCDScheduler(**_BETAS),
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
                **shared,
            )
            call["eta"] = settings.eta
        if unet.encoder_hid_proj is None:
            pipe.load_ip_adapter(_by_group(parts.extra), subfolder="", weight_name="", image_encoder_folder=None)
            pipe.set_ip_adapter_scale(settings.adapter_scale)
    pipe.set_progress_bar_config(disable=True)
    if compiled:
        mode = "max-autotune" if unet.device.type == "cuda" else "default"
        pipe.unet = torch.compile(unet, mode=mode, fullgraph=True, dynamic=False)
        # of its own: the other pipelines go on with the autoencoder as it is
        decoder = copy.copy(autoencoder)
        decoder.decode = torch.compile(autoencoder.decode, mode=mode, fullgraph=True, dynamic=False)
        setattr(pipe, "movq" if family == "kandinsky22" else "vae", decoder)

    def paint(embedding: Tensor, seed: int, steps: int) -> Any:
        given = embedding.to(unet.device, dtype)[None]
        plain = family in ("unclip", "kandinsky22")
        condition = {"image_embeds": given} if plain else {"ip_adapter_image_embeds": [given[None]]}
        generator = torch.Generator().manual_seed(seed)
        return pipe(num_inference_steps=steps, generator=generator, **condition, **call).images[0]

    return paint


def _by_group(adapter: Any) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in adapter.items():
        group, _, rest = name.partition(".")
        groups[group][rest] = tensor
    return groups
