"""Generators whose image prompt is an embedding (IP-Adapter)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from realtime.rendering.diffusion.attention import ImagePrompt, know_text
from realtime.rendering.diffusion.lora import fuse_lora
from realtime.rendering.diffusion.model_loading import Parts, load_adapter
from realtime.rendering.diffusion.weight_files import Weights
from realtime.rendering.generators.latent import LatentGenerator

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from realtime.rendering.diffusion.schedules import SamplerName


class ImagePromptGenerator(LatentGenerator):
    """A UNet that sees the embedding through an IP-Adapter, and takes few steps by its own weights or by a LoRA's."""

    default_adapter: str
    default_lora: str | None = None

    @property
    def extra(self) -> list[Weights]:
        """The adapter and, where there is one, the LoRA."""
        settings = self._settings
        adapter = settings.adapter or self.default_adapter
        wanted = [Weights("IP-Adapter", "render.adapter", adapter, 0.7, "Apache-2.0")]
        if self.lora is not None:
            wanted.append(Weights("few-step LoRA", "render.lora", self.lora, 0.8, "openrail++"))
        return wanted

    @property
    def lora(self) -> str | None:
        """Where the LoRA is; None for none."""
        chosen = self._settings.lora or self.default_lora
        return None if chosen == "none" else chosen

    @property
    def sampler_name(self) -> SamplerName:
        """TCD, which the unified Hyper-SD LoRAs are made for, unless the settings say otherwise."""
        return self._settings.sampler or "tcd"

    @property
    def guidance(self) -> None:
        """None: the network was distilled to need none."""

    def load_extra(self, unet: UNet2DConditionModel, model: Path, paths: list[Path]) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the adapter, and add the LoRA to the network.

        Parameters
        ----------
        unet
            The network; the LoRA's differences are added in place.
        model
            The model's own file or folder, not read here.
        paths
            The adapter's file and, where one is used, the LoRA's.
        """
        adapter, *lora = paths
        if lora:
            fuse_lora(unet, lora[0])
        return load_adapter(adapter)

    def condition(self, parts: Parts) -> ImagePrompt:
        """Shorten the network's attention and put the adapter beside it."""
        batch = self._settings.pictures
        crosses = know_text(parts.unet, parts.prompt["embeddings"], batch)
        scale = self._settings.adapter_scale
        prompt = ImagePrompt(crosses, parts.extra, scale, batch, self.added(parts, batch))
        self.check_dims(prompt.dims, "the IP-Adapter")
        prompt.requires_grad_(False)
        return prompt

    def added(self, parts: Parts, batch: int) -> dict[str, Tensor] | None:  # noqa: ARG002
        """Return further constant conditions of the UNet."""
        return None
