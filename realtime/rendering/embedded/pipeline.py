"""The generator as a diffusers pipeline, for people who know diffusers; the live loop is tested against it."""

# ruff: noqa: E402 - torchvision must be mended before diffusers is imported
from __future__ import annotations

import torch

from configs.torchvision_shim import load_torchvision

load_torchvision()

from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, FlowMatchLCMScheduler, UNet2DModel
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from torch.nn import functional

from realtime.rendering.embedded.conditioner import EmbeddingConditioner


class EmbeddedPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Pictures from image embeddings, in pixels: a UNet over 4x4 patches that predicts the clean picture.

    ``EmbeddedPipeline.from_pretrained(folder)`` loads it.

    Parameters
    ----------
    unet
        Predicts the clean picture's patches from noisy ones.
    conditioner
        Reads from the embedding what is shown and lays it out for the UNet.
    scheduler
        A flow-matching scheduler; its shift sets the noise levels.
    """

    def __init__(
        self,
        unet: UNet2DModel,
        conditioner: EmbeddingConditioner,
        scheduler: FlowMatchLCMScheduler | FlowMatchEulerDiscreteScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, conditioner=conditioner, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        embeddings: Tensor,
        num_inference_steps: int = 4,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """Draw one picture an embedding.

        Parameters
        ----------
        embeddings
            Un-normalised image embeddings ``[n, dims]``.
        num_inference_steps
            1 to 4 is what it was distilled for.
        generator
            Source of the noise.
        noise
            Initial noise ``[n, channels, side, side]`` in place of noise drawn from `generator`.
        output_type
            ``"pil"`` for pictures, ``"pt"`` for a tensor ``[n, 3, height, width]`` in [0, 1].
        """
        unet = self.unet
        vector, layout = self.conditioner(self.conditioner.standardise(embeddings.to(self.device, unet.dtype)))
        side, channels = unet.config.sample_size, unet.config.out_channels
        shape = (len(embeddings), channels, side, side)
        sample = randn_tensor(shape, generator=generator, device=self.device) if noise is None else noise
        even = [1 - k / num_inference_steps for k in range(num_inference_steps)]
        self.scheduler.set_timesteps(num_inference_steps, device=self.device, sigmas=even)
        for timestep in self.progress_bar(self.scheduler.timesteps):
            level = timestep / self.scheduler.config.num_train_timesteps
            clean = unet(torch.cat([sample.to(unet.dtype), layout], dim=1), timestep, vector).sample.float()
            # Flow-matching schedulers step along noise minus picture.
            velocity = (sample - clean) / level
            sample = self.scheduler.step(velocity, timestep, sample, generator=generator).prev_sample
        pixels = functional.pixel_shuffle(sample, round((channels / 3) ** 0.5))
        images = (pixels / 2 + 0.5).clamp(0, 1)
        if output_type == "pt":
            return ImagePipelineOutput(images=images)
        return ImagePipelineOutput(images=self.numpy_to_pil(images.permute(0, 2, 3, 1).cpu().numpy()))
