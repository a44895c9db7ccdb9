"""A real diffusers UNet with random weights, small enough to paint a step in milliseconds; and generators that fail."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from configs.torchvision_shim import load_torchvision
from realtime.spaces import EmbeddingSpace

SPACE = EmbeddingSpace("tiny", "random", 8)


class TinyGenerator:
    space = SPACE

    def prepare(self):
        import torch

        load_torchvision()
        from diffusers import DDIMScheduler, UNet2DConditionModel

        torch.manual_seed(0)
        self._unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=3,
            out_channels=3,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=4,
            cross_attention_dim=SPACE.dims,
        ).eval()
        self._scheduler = DDIMScheduler(num_train_timesteps=5000, timestep_spacing="trailing", prediction_type="sample")

    def stream(self, embedding, seed, steps):
        import torch

        self._scheduler.set_timesteps(steps)
        latents = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
        condition = torch.from_numpy(embedding)[None, None] * 10
        for noise_level in self._scheduler.timesteps:
            with torch.inference_mode():
                clean = self._unet(latents, noise_level, condition).sample
                latents = self._scheduler.step(clean, noise_level, latents).prev_sample
            yield ((clean[0].permute(1, 2, 0) / 4 + 0.5).clamp(0, 1) * 255).byte().numpy()


def tiny(settings):
    return TinyGenerator()


class Unpreparable:
    space = SPACE

    def prepare(self):
        msg = "weights.safetensors is missing"
        raise FileNotFoundError(msg)


def unpreparable(settings):
    return Unpreparable()


SLOW = 16


class Picky:
    """Raises on seed 13, ends early on 14, kills its process on 15, takes its time on `SLOW`.

    It paints the embedding's first value.
    """

    space = SPACE

    def prepare(self):
        pass

    def stream(self, embedding, seed, steps):
        if seed == 13:
            msg = "out of\nmemory"
            raise MemoryError(msg)
        if seed == 15:
            os.kill(os.getpid(), signal.SIGKILL)
        for _ in range(steps - 1 if seed == 14 else steps):
            time.sleep(0.2 if seed == SLOW else 0)
            yield np.full((8, 8, 3), int(abs(embedding[0]) * 50) % 256, np.uint8)


def picky(settings):
    return Picky()
