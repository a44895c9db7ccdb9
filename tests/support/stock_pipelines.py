"""Diffusers' own pipelines, given the same weights, seed and embedding: the oracle of our generators."""

from __future__ import annotations

import os

import torch

from configs.torchvision_shim import load_torchvision

load_torchvision()
import diffusers  # noqa: E402

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SEED = 11


class Unencoded(diffusers.StableUnCLIPImg2ImgPipeline):
    """The stock pipeline without its image encoder, which it otherwise asks for even when it is given an embedding."""

    _optional_components = ("feature_extractor", "image_encoder", "tokenizer", "text_encoder")

    def _encode_image(self, *, noise_level, image_embeds, do_classifier_free_guidance, **_):
        noise = torch.zeros_like(image_embeds)
        if int(noise_level):
            torch.randn(1, 4, 8, 8, generator=(later := torch.Generator().manual_seed(SEED)))
            noise = torch.randn(image_embeds.shape, generator=later)
        noised = self.noise_image_embeddings(image_embeds, int(noise_level), noise)
        return torch.cat([torch.zeros_like(noised), noised]) if do_classifier_free_guidance else noised


def stock_pipeline(settings, family, unet, vae, prompt, adapter, *, normalizer=None):
    """Return a function that paints with the stock pipeline: float ``[h, w, 3]`` in 0 … 1, or the final latent.

    It takes the number of steps, an embedding ``[1024]``, and `latents` and `output` as the pipelines take them.

    Parameters
    ----------
    settings
        Of our generator.
    family, unet, vae, prompt, adapter
        Networks and tensors in the forms that diffusers has them; the UNet is changed.
    normalizer
        Statistics of unCLIP's embeddings; none when left out.
    """
    shared = {"vae": vae, "text_encoder": None, "tokenizer": None, "unet": unet}
    call = {"height": settings.pixels, "width": settings.pixels, "prompt_embeds": prompt["embeddings"]}
    if family == "kandinsky22":
        scheduler = diffusers.DPMSolverMultistepScheduler(
            timestep_spacing="trailing", **BETAS | {"beta_schedule": "linear"}
        )
        pipe = diffusers.KandinskyV22Pipeline(unet, scheduler, vae)
        call["guidance_scale"] = settings.weight
        call["negative_image_embeds"] = call.pop("prompt_embeds")
    elif family == "unclip":
        kind = "UniPCMultistep" if settings.sampler == "unipc" else "DPMSolverMultistep"
        scheduler = getattr(diffusers, f"{kind}Scheduler")(
            prediction_type="v_prediction", timestep_spacing="trailing", **BETAS
        )
        pipe = Unencoded(
            feature_extractor=None,
            image_encoder=None,
            image_normalizer=normalizer or diffusers.pipelines.stable_diffusion.StableUnCLIPImageNormalizer(1024),
            image_noising_scheduler=diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
            scheduler=scheduler,
            **shared,
        )
        call |= {"guidance_scale": settings.weight, "noise_level": settings.noise_level}
        call["negative_prompt_embeds"] = prompt["embeddings"]
    else:
        kind = settings.sampler or ("euler-ancestral" if family == "sdxl" else "tcd")
        scheduler = {
            "euler-ancestral": lambda: diffusers.EulerAncestralDiscreteScheduler(timestep_spacing="trailing", **BETAS),
            "lcm": lambda: diffusers.LCMScheduler(steps_offset=1, **BETAS),
            "tcd": lambda: diffusers.TCDScheduler(steps_offset=1, **BETAS),
            "euler": lambda: diffusers.EulerDiscreteScheduler(timestep_spacing="trailing", **BETAS),
        }[kind]()
        call |= {"guidance_scale": 0.0, "eta": settings.eta}
        if family == "sdxl":
            pipe = diffusers.StableDiffusionXLPipeline(
                text_encoder_2=None, tokenizer_2=None, scheduler=scheduler, add_watermarker=False, **shared
            )
            call["pooled_prompt_embeds"] = prompt["pooled"]
        else:
            pipe = diffusers.StableDiffusionPipeline(
                scheduler=scheduler,
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
                **shared,
            )
        if settings.timesteps is not None:
            call["timesteps"] = list(settings.timesteps)
        folder, name = os.path.split(adapter)
        pipe.load_ip_adapter(folder, subfolder="", weight_name=name, image_encoder_folder=None)
        pipe.set_ip_adapter_scale(settings.adapter_scale)
    pipe.set_progress_bar_config(disable=True)

    def painted(steps, condition, *, latents=None, output="np"):
        given = torch.from_numpy(condition)[None]
        embeds = {"ip_adapter_image_embeds": [given[None]]} if family in ("sdxl", "sd15") else {"image_embeds": given}
        noise = torch.Generator().manual_seed(SEED)
        more = {"num_inference_steps": steps, "generator": noise, "latents": latents, "output_type": output}
        return pipe(**call, **embeds, **more).images[0]

    return painted
