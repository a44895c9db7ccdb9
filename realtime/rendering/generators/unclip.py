"""Stable Diffusion 2.1 unCLIP, the published method's own generator (Fei et al., 2024), in few steps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from realtime.rendering.diffusion.attention import know_text
from realtime.rendering.diffusion.model_loading import Parts
from realtime.rendering.diffusion.schedules import cosine_signal_fractions
from realtime.rendering.diffusion.tensor_files import is_plain, read_tensors
from realtime.rendering.diffusion.weight_files import Weights
from realtime.rendering.generators.latent import PIPELINE_FILES, LatentGenerator

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


class EmbeddingLabel:
    """The embedding as a label that is added to the time embedding, with the amount of noise that was put on it.

    Level 0 puts none on: the same embedding then gives the same picture, where diffusers' pipeline adds a little of the
    random numbers. The unconditional label is all zeros, as in training.

    Parameters
    ----------
    dims
        Length of the embedding.
    pictures
        Pictures of each embedding; each has its own noise.
    level
        0 to 999.
    parts
        Where the network is, and the statistics ``[1, dims]`` in whose units the noise is, where the model has them.
    """

    def __init__(self, dims: int, pictures: int, level: int, parts: Parts) -> None:
        from diffusers.models.embeddings import get_timestep_embedding

        device = parts.unet.device
        kept = float(cosine_signal_fractions()[level]) if level else 1.0
        self._signal, self._spread = math.sqrt(kept), math.sqrt(1 - kept)
        self._mean = parts.extra.get("mean", torch.zeros(1, dims, device=device)).float()
        self._std = parts.extra.get("std", torch.ones(1, dims, device=device)).float()
        self._noise = torch.zeros(pictures, dims, device=device)
        self._labels = torch.zeros(2 * pictures, 2 * dims, device=device, dtype=parts.unet.dtype)
        code = get_timestep_embedding(torch.tensor([level]), dims, flip_sin_to_cos=True, downscale_freq_shift=0)
        self._labels[pictures:, dims:] = code.to(device)
        self._pictures, self._dims = pictures, dims

    def draw(self, generators: list[torch.Generator]) -> None:
        """Draw the noise of each picture's embedding."""
        noise = torch.stack([torch.randn(self._dims, generator=generator) for generator in generators])
        self._noise.copy_(noise)

    def write(self, embedding: Tensor) -> None:
        """Put the embedding ``[dims]`` with its noise into the conditional labels."""
        away = self._signal * (embedding[None] - self._mean) + self._spread * self._std * self._noise
        self._labels[self._pictures :, : self._dims] = self._mean + away

    def inputs(self, rows: slice) -> dict[str, Any]:
        """Return these rows of the labels, unconditional ones first."""
        return {"class_labels": self._labels[rows]}


class Unclip(LatentGenerator):
    """SD 2.1 unCLIP with DPM-Solver++ and guidance."""

    family = "unclip"
    prediction = "v"

    @property
    def model(self) -> Weights:
        """SD 2.1 unCLIP, or what the settings name."""
        where = self._settings.weights or "stabilityai/stable-diffusion-2-1-unclip"
        needs = ("unet/config.json", "unet/*.safetensors")
        files = (*PIPELINE_FILES, "image_normalizer/*")
        return Weights(
            "Stable Diffusion 2.1 unCLIP", "render.weights", where, 2.6, "CreativeML OpenRAIL++-M", needs, files
        )

    def condition(self, parts: Parts) -> EmbeddingLabel:
        """Shorten the network's attention; a guided step is a batch of both predictions."""
        pictures = self._settings.pictures
        self.check_dims(parts.unet.config.projection_class_embeddings_input_dim // 2, "the unCLIP network")
        know_text(parts.unet, parts.prompt["embeddings"], 2 * pictures)
        return EmbeddingLabel(self.space.dims, pictures, self._settings.noise_level, parts)

    def load_extra(self, unet: UNet2DConditionModel, model: Path, paths: list[Path]) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the statistics of embeddings, where the model's folder has them.

        Parameters
        ----------
        unet
            The network, left as it is.
        model
            The model's folder, or a file, which has none.
        paths
            Not used: unCLIP needs no other file.
        """
        files = [*model.glob("image_normalizer/*.safetensors")] if model.is_dir() else []
        # those that were not shortened, where both are there
        return read_tensors(max(files, key=lambda file: is_plain(file.name))) if files else {}
