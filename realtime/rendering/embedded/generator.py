"""The generator that ships with the project: a picture of 128x128 pixels from an embedding, in one to four steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.rendering.embedded.schedule import noise_levels
from realtime.rendering.errors import GeneratorError
from realtime.spaces import EmbeddingSpace

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

WEIGHTS = Path(__file__).resolve().parent / "weights"


class EmbeddedGenerator:
    """Draws pictures from the drawn encoder's embeddings on the CPU.

    Parameters
    ----------
    folder
        Where the pipeline was saved.

    Raises
    ------
    FileNotFoundError
        If `folder` holds no saved pipeline.
    """

    def __init__(self, folder: Path = WEIGHTS) -> None:
        configuration = folder / "conditioner" / "config.json"
        if not configuration.exists():
            msg = f"{folder} holds no generator ({configuration.name} is missing): give a folder saved by the pipeline"
            raise FileNotFoundError(msg)
        settings = json.loads(configuration.read_text(encoding="utf-8"))
        self.space = EmbeddingSpace(settings["model"], settings["pretrained"], settings["dims"])
        self._folder = folder
        self._unet: Any = None
        self._conditioner: Any = None
        self._clean: Tensor | None = None

    def prepare(self) -> None:
        """Load the weights and draw one picture, so that the first one asked for is as fast as the rest."""
        if self._unet is not None:
            return
        from configs.torchvision_shim import load_torchvision

        load_torchvision()
        import torch
        from diffusers import UNet2DModel

        from realtime.rendering.embedded.conditioner import EmbeddingConditioner

        self._conditioner = EmbeddingConditioner.from_pretrained(self._folder / "conditioner").float().eval()
        unet = UNet2DModel.from_pretrained(self._folder / "unet").float().eval()
        self._unet = unet.to(memory_format=torch.channels_last)
        for _ in self.stream(np.zeros(self.space.dims, np.float32), seed=0, steps=1):
            pass

    def noise(self, seed: int, steps: int = 1) -> Tensor:
        """Return the noise of each step, ``[steps, 1, channels, side, side]``; more steps only add to it."""
        import torch

        self.prepare()
        configuration = self._unet.config
        shape = (1, configuration.out_channels, configuration.sample_size, configuration.sample_size)
        source = torch.Generator().manual_seed(seed)
        return torch.stack([torch.randn(shape, generator=source) for _ in range(steps)])

    def stream(self, embedding: NDArray[np.float32], seed: int, steps: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the clean-picture estimate after every step, uint8 ``[128, 128, 3]``; the last is the finished picture.

        Each step's work is done when the next estimate is asked for, so a picture that nobody wants any more is
        abandoned by not asking.

        Parameters
        ----------
        embedding
            Un-normalised embedding ``[dims]``.
        seed
            Seed of the noise; the same seed and embedding give the same picture.
        steps
            How many steps to take, 1 to 4.

        Raises
        ------
        ValueError
            If the embedding has another size or holds a value that is not finite, or `steps` is less than 1.
        """
        self._check(embedding)
        return self._steps(embedding, seed, noise_levels(steps))

    def stream_warm(self, embedding: NDArray[np.float32], seed: int, steps: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the estimates after the second half of the steps, started from the last picture.

        Parameters
        ----------
        embedding
            Un-normalised embedding ``[dims]``.
        seed
            Seed of the noise that is added to the last picture.
        steps
            Steps of the whole schedule, of which half are computed.
        """
        self._check(embedding)
        if self._clean is None:
            return self._steps(embedding, seed, noise_levels(steps))
        return self._steps(embedding, seed, noise_levels(steps), steps // 2, self._clean)

    def _check(self, embedding: NDArray[np.float32]) -> None:
        if embedding.shape != (self.space.dims,):
            msg = f"embedding has shape {list(embedding.shape)}: this generator draws from {self.space}"
            raise ValueError(msg)
        if not np.isfinite(embedding).all():
            msg = f"embedding holds {int((~np.isfinite(embedding)).sum())} values that are not finite: nothing to draw"
            raise ValueError(msg)

    def _steps(
        self,
        embedding: NDArray[np.float32],
        seed: int,
        levels: list[float],
        first: int = 0,
        start: Tensor | None = None,
    ) -> Iterator[NDArray[np.uint8]]:
        import torch
        from torch.nn import functional

        noise = self.noise(seed, len(levels))
        with torch.inference_mode():
            standard = self._conditioner.standardise(torch.from_numpy(embedding.astype(np.float32))[None])
            vector, layout = self._conditioner(standard)
        clean = torch.zeros_like(noise[0]) if start is None else start
        for level, fresh in list(zip(levels, noise, strict=True))[first:]:
            # Consistency sampling (Song et al., 2023, algorithm 1): back to a lower noise level with new noise.
            with torch.inference_mode():
                noisy = torch.cat([(1 - level) * clean + level * fresh, layout], dim=1)
                noisy = noisy.contiguous(memory_format=torch.channels_last)
                clean = self._unet(noisy, torch.tensor([1000.0 * level]), vector, return_dict=False)[0]
                if not clean.isfinite().all():
                    msg = (
                        "the picture is not finite: the weights hold NaN, or the embedding is too large "
                        f"(values up to {np.abs(embedding).max():.3g})"
                    )
                    raise GeneratorError(msg)
                pixels = functional.pixel_shuffle(clean[0], round((len(clean[0]) / 3) ** 0.5))
                self._clean = clean
                picture = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy()
            yield picture
