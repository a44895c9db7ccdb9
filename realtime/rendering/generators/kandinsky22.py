"""Kandinsky 2.2 (Razzhigaev et al., 2023): its decoder takes an image embedding as it is, under the Apache licence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from realtime.rendering.diffusion.empty_picture import load_empty_picture
from realtime.rendering.diffusion.joint_attention import ImageTokens
from realtime.rendering.diffusion.model_loading import Parts
from realtime.rendering.diffusion.schedules import linear_signal_fractions
from realtime.rendering.diffusion.weight_files import Weights, locate
from realtime.rendering.generators.latent import LatentGenerator
from realtime.spaces import EmbeddingSpace

if TYPE_CHECKING:
    pass

LICENCE = "Apache-2.0"


class Kandinsky22(LatentGenerator):
    """Kandinsky 2.2 with DPM-Solver++ and guidance; its own autoencoder (MoVQ) decodes, there is no tiny one."""

    family = "kandinsky22"
    space = EmbeddingSpace("ViT-bigG-14", "laion2b_s39b_b160k", 1280)
    fractions = linear_signal_fractions()

    @property
    def model(self) -> Weights:
        """Kandinsky 2.2's decoder, or what the settings name."""
        where = self._settings.weights or "kandinsky-community/kandinsky-2-2-decoder"
        needs = ("unet/config.json", "unet/*.safetensors")
        files = ("*.json", "unet/*.safetensors", "movq/*.safetensors")
        return Weights("Kandinsky 2.2", "render.weights", where, 5.3, LICENCE, needs, files)

    @property
    def decoder(self) -> Weights:
        """MoVQ, in the model's folder unless the settings name it."""
        own, model = self._settings.decoder_weights, self.model
        needs = () if own else ("movq/*.safetensors",)
        return Weights("MoVQ decoder", "render.decoder_weights", own or model.where, 0.3, LICENCE, needs, model.files)

    @property
    def image_encoder(self) -> Weights:
        """What embeds the empty picture, where that is not known yet."""
        where, needs = "kandinsky-community/kandinsky-2-2-prior", ("image_encoder/*.safetensors",)
        files = ("image_encoder/*.json", *needs)
        return Weights("image encoder of Kandinsky 2.2", "render.prompt", where, 3.7, LICENCE, needs, files)

    def condition(self, parts: Parts) -> ImageTokens:
        """Shorten the network's attention; a guided step is a batch of both predictions."""
        tokens = ImageTokens(parts.unet, parts.prompt.get("embeddings"), self._settings.pictures)
        self.check_dims(tokens.dims, "Kandinsky's network")
        return tokens.requires_grad_(False)

    def load_prompt(self, model: Path) -> dict[str, Tensor]:
        """Return the embedding of the empty picture, or nothing where there is no guidance to lead away from it."""
        if self.guidance is None:
            return {}

        def encoder() -> Path:
            (folder,) = locate([self.image_encoder], self._settings.download)
            return folder

        return {"embeddings": load_empty_picture(self._settings.prompt, model, encoder)}
