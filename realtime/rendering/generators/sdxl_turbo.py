"""SDXL-Turbo with an IP-Adapter: one to four steps without guidance (Sauer et al., 2023; Ye et al., 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from realtime.rendering.diffusion.model_loading import Parts
from realtime.rendering.diffusion.weight_files import Weights
from realtime.rendering.errors import GeneratorError
from realtime.rendering.generators.image_prompt import ImagePromptGenerator
from realtime.rendering.generators.latent import PIPELINE_FILES

if TYPE_CHECKING:
    from realtime.rendering.diffusion.schedules import SamplerName


class SdxlTurbo(ImagePromptGenerator):
    """SDXL-Turbo; with a LoRA such as Hyper-SD's, SDXL itself."""

    family = "sdxl"
    tiny_decoder = "madebyollin/taesdxl"
    default_adapter = "h94/IP-Adapter/sdxl_models/ip-adapter_sdxl_vit-h.safetensors"

    @property
    def model(self) -> Weights:
        """SDXL-Turbo, or what the settings name."""
        where = self._settings.weights or "stabilityai/sdxl-turbo"
        licence = "Stability AI Community Licence, commercial use restricted"
        needs = ("unet/config.json", "unet/*.safetensors")
        return Weights("SDXL-Turbo", "render.weights", where, 7.1, licence, needs, PIPELINE_FILES)

    @property
    def sampler_name(self) -> SamplerName:
        """Ancestral Euler, or what the settings or a LoRA ask for."""
        return self._settings.sampler or ("euler-ancestral" if self.lora is None else "tcd")

    def added(self, parts: Parts, batch: int) -> dict[str, Tensor]:
        """Return the pooled prompt ``[batch, channels]``, and size and crop ``[batch, 6]`` as SDXL was trained with.

        Raises
        ------
        GeneratorError
            If the file of the empty prompt is of another family.
        """
        size = self._settings.pixels
        pooled = parts.prompt.get("pooled")
        if pooled is None:
            msg = "the file of the empty prompt holds no 'pooled' embedding, which SDXL needs; it is of another family"
            raise GeneratorError(msg)
        times = torch.tensor([[size, size, 0, 0, size, size]]).to(pooled)
        return {"text_embeds": pooled.repeat(batch, 1), "time_ids": times.repeat(batch, 1)}
