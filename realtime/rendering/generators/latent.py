"""What the generators that denoise Stable Diffusion's latents share."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from configs.torchvision_shim import load_torchvision
from realtime.rendering.diffusion.model_loading import Parts, decoder_of, encoder_of, load_autoencoder, load_unet
from realtime.rendering.diffusion.prompt import load_prompt
from realtime.rendering.diffusion.sampler import LATENT_CHANNELS, Condition, LatentSampler
from realtime.rendering.diffusion.schedules import Prediction, SamplerName, make_schedule, signal_fractions
from realtime.rendering.diffusion.weight_files import Weights, locate
from realtime.rendering.errors import GeneratorError
from realtime.rendering.generators.faults import not_finite, out_of_memory
from realtime.spaces import PIXELS_PER_LATENT, EmbeddingSpace

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel
    from numpy.typing import NDArray

    from configs.schema import RenderSettings
    from realtime.rendering.diffusion.architectures import Family

logger = logging.getLogger(__name__)

SPACE = EmbeddingSpace("ViT-H-14", "laion2b_s32b_b79k", 1024)
"""What the IP-Adapters 'ViT-H' and SD 2.1 unCLIP were trained on: projected, not normalised."""
PIPELINE_FILES = ("*.json", "tokenizer*/*", "text_encoder*/*.safetensors", "unet/*.safetensors", "vae/*.safetensors")


class LatentGenerator(ABC):
    """Paints with a UNet in the latent space of an autoencoder; subclasses say with which and how.

    Parameters
    ----------
    settings
        Where the weights are and how to paint.
    """

    space = SPACE
    family: Family
    prediction: Prediction = "epsilon"
    fractions = signal_fractions()
    """Variance left of the picture after each training time, ``[1000]``."""
    tiny_decoder = "madebyollin/taesd"

    def __init__(self, settings: RenderSettings) -> None:
        self._settings = settings
        self._sampler: LatentSampler | None = None
        self._parts: Parts | None = None

    def prepare(self) -> None:
        """Find and load the weights, take the network apart, record the graphs for the configured number of steps.

        Raises
        ------
        GeneratorError
            If weights are absent, do not fit or paint nothing finite, if there is no such device, or too little memory
            on it.
        """
        load_torchvision()
        device, dtype = device_and_dtype(self._settings)
        try:
            with torch.no_grad():
                self._parts = self.load(device, dtype)
                self._sampler = self.make_sampler(self._parts)
            for _ in self.stream(np.zeros(self.space.dims, np.float32), self._settings.seed, self._settings.steps):
                pass
        except torch.OutOfMemoryError as error:
            raise GeneratorError(out_of_memory(self._settings)) from error

    def stream(self, embedding: NDArray[np.float32], seed: int, steps: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the picture after each step, uint8 ``[size, pictures * size, 3]``.

        Parameters
        ----------
        embedding
            float32 ``[dims]``.
        seed
            Seed of the noise; the same one gives the same picture.
        steps
            How many pictures; more is slower and finer.

        Raises
        ------
        GeneratorError
            If a picture is not finite, or if there is too little memory.
        """
        yield from self._paint(embedding, lambda sampler: sampler.stream(embedding, seed, steps))

    def stream_warm(self, embedding: NDArray[np.float32], seed: int, steps: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the pictures after the second half of the steps, started from the last picture.

        Parameters
        ----------
        embedding
            float32 ``[dims]``.
        seed
            Seed of the noise that is added to the last picture.
        steps
            Steps of the whole schedule, of which half are computed.
        """
        yield from self._paint(embedding, lambda sampler: sampler.stream(embedding, seed, steps, first=steps // 2))

    def stream_from(
        self, start: NDArray[np.float16], embedding: NDArray[np.float32], seed: int, steps: int
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the pictures after the steps that are left when painting starts from a latent.

        Parameters
        ----------
        start
            float16 ``[4, h, w]`` of unit variance; noise is added to it.
        embedding
            float32 ``[dims]``.
        seed
            Seed of that noise.
        steps
            Steps of the whole schedule; `first_step` says which of them is the first.

        Raises
        ------
        GeneratorError
            If the latent is of another size than the pictures'.
        """
        side = self._settings.pixels // PIXELS_PER_LATENT
        if start.shape != (LATENT_CHANNELS, side, side):
            msg = f"a latent of shape {list(start.shape)} cannot start a picture of {self._settings.pixels} pixels"
            raise GeneratorError(msg)
        first = self.first_step(steps)
        yield from self._paint(embedding, lambda sampler: sampler.stream(embedding, seed, steps, first, start))

    def first_step(self, steps: int) -> int:
        """Return how many of `steps` a latent to start from stands for."""
        return steps - max(1, round(self._settings.low_level_strength * steps))

    def load_encoder(self) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
        """Return what turns pictures ``[n, size, size, 3]`` into latents ``[n, 4, h, w]`` that painting could end at.

        It is the encoder of the autoencoder that the settings decode with, in single precision.
        """
        load_torchvision()
        device, _ = device_and_dtype(self._settings)
        (path,) = locate([self.decoder], self._settings.download)
        autoencoder = load_autoencoder(path, self._settings.autoencoder, self.family, torch.float32, encoder=True)
        return encoder_of(autoencoder.to(device).eval())

    def _paint(
        self, embedding: NDArray[np.float32], paint: Callable[[LatentSampler], Iterator[NDArray[np.uint8]]]
    ) -> Iterator[NDArray[np.uint8]]:
        if self._sampler is None or self._parts is None:
            msg = f"the {self._settings.generator} generator is not prepared"
            raise GeneratorError(msg)
        try:
            yield from paint(self._sampler)
        except FloatingPointError as error:
            raise GeneratorError(not_finite(self._parts, embedding, self._settings)) from error
        except torch.OutOfMemoryError as error:
            raise GeneratorError(out_of_memory(self._settings)) from error

    @property
    @abstractmethod
    def model(self) -> Weights:
        """The network, its text encoder and its full autoencoder."""

    @property
    def sampler_name(self) -> SamplerName:
        """DPM-Solver++, which needs the fewest steps of a network that was not distilled, or what the settings name."""
        return self._settings.sampler or "dpm++"

    @property
    def guidance(self) -> float | None:
        """Weight of the condition by the settings; None, no guidance, at 1 and less."""
        return self._settings.weight if self._settings.weight > 1 else None

    @abstractmethod
    def condition(self, parts: Parts) -> Condition:
        """Return what tells the network which picture to paint, and shorten the network's attention."""

    def load(self, device: torch.device, dtype: torch.dtype) -> Parts:
        """Return all parts from the disk."""
        model, decoder, *others = locate([self.model, self.decoder, *self.extra], self._settings.download)
        unet = load_unet(model, self.family, dtype)
        extra = self.load_extra(unet, model, others)
        prompt = self.load_prompt(model)
        autoencoder = load_autoencoder(decoder, self._settings.autoencoder, self.family, dtype)
        return place(Parts(unet, autoencoder, prompt, extra), device, dtype)

    def load_prompt(self, model: Path) -> dict[str, Tensor]:
        """Return the embeddings of the empty prompt, beside or made by what is in the model's folder or file."""
        return load_prompt(self._settings.prompt, model)

    @property
    def extra(self) -> list[Weights]:
        """What else is needed."""
        return []

    def load_extra(self, unet: UNet2DConditionModel, model: Path, paths: list[Path]) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the tensors of what `extra` named and of the model's folder that the condition needs; here none.

        Parameters
        ----------
        unet
            The network, which what is loaded may change in place.
        model
            The model's own file or folder.
        paths
            The files that `extra` named, in its order.
        """
        return {}

    @property
    def decoder(self) -> Weights:
        """The autoencoder that the settings ask for."""
        settings = self._settings
        if settings.decoder == "full":
            where = settings.decoder_weights or settings.weights or self.model.where
            setting = "render.decoder_weights"
            needs = () if settings.decoder_weights else ("vae/*.safetensors",)
            return Weights("full autoencoder", setting, where, 0.2, self.model.licence, needs, PIPELINE_FILES)
        where = settings.decoder_weights or self.tiny_decoder
        files = ("*.json", "*.safetensors")
        return Weights("tiny decoder", "render.decoder_weights", where, 0.01, "MIT", files[1:], files)

    def make_sampler(self, parts: Parts) -> LatentSampler:
        """Return the hot loop of loaded `parts`; their network is shortened on the way and of no other use after."""
        parts.unet.requires_grad_(False).eval()
        parts.autoencoder.requires_grad_(False).eval()
        if parts.unet.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # all shapes stay as they are
        sampler = self.loop(parts, self.condition(parts), compiled=self._settings.compile)
        if parts.unet.device.type == "cuda":
            logger.info("attention by %s, the fastest here", sampler.choose_attention())
        return sampler

    def loop(self, parts: Parts, condition: Condition, *, compiled: bool, graphs: bool = True) -> LatentSampler:
        """Return the hot loop of a network that `condition` has shortened.

        Parameters
        ----------
        parts
            Network, decoder and tensors on their device.
        condition
            How an embedding enters the network.
        compiled
            Whether to compile network and decoder, which takes minutes and makes a step faster.
        graphs
            Whether to record steps as CUDA graphs, where there is CUDA.
        """
        settings = self._settings
        network: Callable[..., Any] = parts.unet
        decode = decoder_of(parts.autoencoder)
        if compiled:
            how: dict[str, Any] = {"mode": "max-autotune-no-cudagraphs", "fullgraph": True, "dynamic": False}
            network, decode = torch.compile(parts.unet, **how), torch.compile(decode, **how)
        return LatentSampler(
            network,
            condition,
            decode,
            lambda steps: make_schedule(
                self.sampler_name, steps, self.prediction, settings.eta, settings.timesteps, self.fractions
            ),
            dims=self.space.dims,
            size=settings.pixels,
            pictures=settings.pictures,
            guidance=self.guidance,
            device=parts.unet.device,
            dtype=parts.unet.dtype,
            graphs=graphs,
        )

    def check_dims(self, dims: int, what: str) -> None:
        """Refuse weights that were trained on embeddings of another size than the space's.

        Raises
        ------
        GeneratorError
            With both sizes.
        """
        if dims != self.space.dims:
            msg = f"{what} takes embeddings of {dims} dims, not {self.space}; choose the one made for that space"
            raise GeneratorError(msg)


def place(parts: Parts, device: torch.device, dtype: torch.dtype) -> Parts:
    """Return a generator's parts on a device, networks with their channels last in memory, as convolutions want them.

    Parameters
    ----------
    parts
        Network, decoder and tensors.
    device
        Where they shall be.
    dtype
        What the prompt's tensors are converted to; networks keep theirs.
    """
    channels_last: Any = {"memory_format": torch.channels_last}
    return Parts(
        parts.unet.to(device).to(**channels_last),
        parts.autoencoder.to(device).to(**channels_last),
        {name: tensor.to(device, dtype) for name, tensor in parts.prompt.items()},
        {name: tensor.to(device) for name, tensor in parts.extra.items()},
    )


def device_and_dtype(settings: RenderSettings) -> tuple[torch.device, torch.dtype]:
    """Return where to paint and in which arithmetic.

    Raises
    ------
    GeneratorError
        If a GPU is asked for and there is none.
    """
    cuda = torch.cuda.is_available()
    if settings.device == "cuda" and not cuda:
        msg = "render.device is 'cuda' but torch finds no CUDA GPU; set it to 'auto' or 'cpu'"
        raise GeneratorError(msg)
    name = "cuda" if cuda and settings.device != "cpu" else "cpu"
    if name == "cpu":
        logger.warning("%s paints on the CPU: seconds a picture, where a GPU takes milliseconds", settings.generator)
    precision = ("float16" if name == "cuda" else "float32") if settings.dtype == "auto" else settings.dtype
    return torch.device(name), getattr(torch, precision)
