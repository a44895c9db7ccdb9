"""Stable Diffusion 1.5 with an IP-Adapter, distilled to few steps by a LoRA (Hyper-SD, Ren et al., 2024; or LCM)."""

from __future__ import annotations

from realtime.rendering.diffusion.weight_files import Weights
from realtime.rendering.generators.image_prompt import ImagePromptGenerator
from realtime.rendering.generators.latent import PIPELINE_FILES


class Sd15FewStep(ImagePromptGenerator):
    """The smallest of the large generators: one step of it is half of SDXL's work."""

    family = "sd15"
    default_adapter = "h94/IP-Adapter/models/ip-adapter_sd15.safetensors"
    default_lora = "ByteDance/Hyper-SD/Hyper-SD15-1step-lora.safetensors"

    @property
    def model(self) -> Weights:
        """Stable Diffusion 1.5, or what the settings name."""
        where = self._settings.weights or "stable-diffusion-v1-5/stable-diffusion-v1-5"
        needs = ("unet/config.json", "unet/*.safetensors")
        return Weights(
            "Stable Diffusion 1.5", "render.weights", where, 2.2, "CreativeML OpenRAIL-M", needs, PIPELINE_FILES
        )
