"""The hot loop: from an embedding in host memory to pictures in host memory.

Everything that can be known before the embedding comes is computed before it: the schedule's constants, the noise of a
seed, the text's keys and values, and, with guidance, the first step's unconditional prediction. What is left of a step
is one call of the network, a few products and the decoding of what there is, recorded as one CUDA graph; all tensors
between the graphs stay in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from configs.render import TRAINING_STEPS
from realtime.rendering.diffusion.attention_backend import attention_by, fastest
from realtime.rendering.diffusion.cuda_graphs import GraphCapture
from realtime.spaces import PIXELS_PER_LATENT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch.nn.attention import SDPBackend

    from realtime.rendering.diffusion.schedules import Schedule

LATENT_CHANNELS = 4


class Condition(Protocol):
    """What tells the network which picture to paint; it holds its tensors in place."""

    def draw(self, generators: list[torch.Generator]) -> None:
        """Draw what it takes from the noise of each picture, after the latents' noise is drawn."""
        ...

    def write(self, embedding: Tensor) -> None:
        """Take in an embedding ``[dims]``."""
        ...

    def inputs(self, rows: slice) -> dict[str, Any]:
        """Return arguments of the network for these rows of ``[unconditional, conditional]``."""
        ...


@dataclass(eq=False)
class _Program:
    """What belongs to one number of steps: constants, noise ``[steps, pictures, 4, h, w]`` and recorded steps."""

    schedule: Schedule
    times: Tensor
    noise: Tensor
    steps: list[Callable[[], None]] = field(default_factory=list)


class LatentSampler:
    """Paints pictures of an embedding, all of one size.

    Parameters
    ----------
    network
        The UNet, or what `torch.compile` made of it.
    condition
        What the network is told.
    decode
        From latents ``[pictures, 4, h, w]`` to images ``[pictures, 3, 8h, 8w]`` in −1 … 1.
    schedule
        Constants for a number of steps.
    dims
        Length of an embedding.
    size
        Width and height of a picture in pixels.
    pictures
        Pictures of each embedding, from seeds that follow one another, side by side in one image.
    guidance
        Weight of the conditional prediction over the unconditional one (Ho and Salimans, 2022); None: the first alone.
    device, dtype
        Where the network runs and what it computes in; latents are float32 throughout.
    graphs
        Whether to record CUDA graphs on a CUDA device.
    """

    def __init__(
        self,
        network: Callable[..., Any],
        condition: Condition,
        decode: Callable[[Tensor], Tensor],
        schedule: Callable[[int], Schedule],
        *,
        dims: int,
        size: int,
        pictures: int,
        guidance: float | None,
        device: torch.device,
        dtype: torch.dtype,
        graphs: bool = True,
    ) -> None:
        self._network = network
        self.condition = condition
        self._decode = decode
        self._schedule = schedule
        self._pictures = pictures
        self._guidance = guidance
        self._device = device
        self._dtype = dtype
        self._capture = GraphCapture(device, graphs)
        self._programs: dict[int, _Program] = {}
        side = size // PIXELS_PER_LATENT
        self._shape = (pictures, LATENT_CHANNELS, side, side)
        self._latent, self._picture, self._before, self._unconditional = (
            torch.zeros(self._shape, device=device) for _ in range(4)
        )
        self._drawn: tuple[int, int] | None = None
        self._unconditional_of: tuple[int, int] | None = None
        self._embedding = torch.zeros(dims, device=device)
        image = (size, pictures * size, 3)
        # the last byte says whether all is finite, so that it costs no copy and no wait of its own
        self._sent = torch.zeros(math.prod(image) + 1, dtype=torch.uint8, device=device)
        self._image = self._sent[:-1].view(image)
        self._attention: SDPBackend | None = None
        self.write = self._recorded(self._write)
        self._start_unconditional: Callable[[], None] | None = None

    def stream(
        self,
        embedding: NDArray[np.float32],
        seed: int,
        steps: int,
        first: int = 0,
        start: NDArray[np.float16] | None = None,
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the picture as it is after each step, uint8 ``[size, pictures * size, 3]``.

        Steps before `first` are left out: the latent `start` ``[4, h, w]`` of unit variance, or the last picture where
        there is none, with as much noise as belongs there, stands for them.

        Parameters
        ----------
        embedding
            float32 ``[dims]``.
        seed
            Seed of the noise; the same one gives the same picture.
        steps
            Steps of the whole schedule; more is slower and finer.
        first
            The first step that is computed; later keeps more of what painting starts from.
        start
            Latent ``[4, h, w]`` to start from; the last picture when left out and `first` is above 0.
        """
        program = self.begin(embedding, seed, steps, first, start)
        for step in program.steps[first:]:
            step()
            yield self.fetch()

    @torch.inference_mode()
    def begin(
        self,
        embedding: NDArray[np.float32],
        seed: int,
        steps: int,
        first: int = 0,
        start: NDArray[np.float16] | None = None,
    ) -> _Program:
        """Put latent, noise and embedding in place for the step `first`, and return the schedule's program.

        Parameters
        ----------
        embedding
            float32 ``[dims]``.
        seed
            Seed of the noise.
        steps
            Steps of the whole schedule.
        first
            The first step that will be computed.
        start
            Latent ``[4, h, w]`` to start from; the last picture when left out and `first` is above 0.
        """
        program = self.program(steps)
        if self._drawn != (steps, seed):
            self._draw(program, seed)
            self._drawn = (steps, seed)
        noise = program.noise[0]
        if start is not None:
            self._picture.copy_(torch.from_numpy(start))
        if first or start is not None:
            kept = program.schedule.steps[first].kept
            unit = noise / program.schedule.start
            self._latent.copy_(math.sqrt(kept) * self._picture + math.sqrt(1 - kept) * unit)
            self._before.copy_(self._picture)
        else:
            self._latent.copy_(noise)
        if self._guidance is not None and not first:
            # what is known of a seed's noise does not hold for a latent that the EEG has touched
            self._know_unconditional(program, seed if start is None else None)
        self._embedding.copy_(torch.from_numpy(embedding))
        self.write()
        return program

    def program(self, steps: int) -> _Program:
        """Return what paints in so many steps; made and recorded when it is first asked for."""
        if steps not in self._programs:
            schedule = self._schedule(steps)
            times = torch.tensor([float(step.timestep) for step in schedule.steps], device=self._device)
            rounds = steps if schedule.uses_noise else 1
            program = _Program(schedule, times, torch.zeros((rounds, *self._shape), device=self._device))
            program.steps = [self._recorded(partial(self._advance, program, k)) for k in range(steps)]
            self._programs[steps] = program
        return self._programs[steps]

    def stages(self, steps: int) -> dict[str, Callable[[], None]]:
        """Return what `stream` does piece by piece, to be timed and counted: condition, each step, decode."""
        program = self.program(steps)
        apart = {f"step {k + 1}": self._recorded(partial(self._step, program, k)) for k in range(steps)}
        return {"condition": self.write, **apart, "decode": self._recorded(self._paint)}

    def choose_attention(self) -> SDPBackend | None:
        """Take the attention kernels with which the network is fastest, for steps made from now on; return which."""
        latest = torch.tensor(float(TRAINING_STEPS - 1), device=self._device)
        told = slice(self._pictures, 2 * self._pictures)

        def once() -> None:
            self._unconditional.copy_(self._run(self._latent, latest, told))

        def recorded(backend: SDPBackend) -> Callable[[], None]:
            self._attention = backend
            return self._recorded(once)

        self._attention = fastest(recorded, self._device)
        return self._attention

    def fetch(self) -> NDArray[np.uint8]:
        """Return the image in host memory.

        Raises
        ------
        FloatingPointError
            If the latent or the image holds NaN or infinity.

        Page-locked memory is taken from torch's cache: the block goes back when the picture is dropped, so two blocks
        serve a reader that keeps one picture, and no picture is overwritten while somebody holds it.
        """
        if self._device.type != "cuda":
            host = self._sent.clone()
        else:
            host = torch.empty(self._sent.shape, dtype=torch.uint8, pin_memory=True)
            host.copy_(self._sent, non_blocking=True)
            torch.cuda.current_stream(self._device).synchronize()
        if not host[-1]:
            msg = "the picture is not finite"
            raise FloatingPointError(msg)
        return host[:-1].view(self._image.shape).numpy()

    def _recorded(self, function: Callable[[], None]) -> Callable[[], None]:
        with torch.inference_mode():
            return self._capture.record(torch.inference_mode()(function))

    def _draw(self, program: _Program, seed: int) -> None:
        """Draw the noise of `seed` on the CPU, so that a seed gives the same picture on every device."""
        generators = [torch.Generator().manual_seed(seed + k) for k in range(self._pictures)]
        noise = torch.empty(program.noise.shape)
        for part in noise:
            for k, generator in enumerate(generators):
                part[k] = torch.randn(self._shape[1:], generator=generator)
        noise[0] *= program.schedule.start
        program.noise.copy_(noise)
        self.condition.draw(generators)

    def _know_unconditional(self, program: _Program, seed: int | None) -> None:
        """Predict what the first step says of the latent without a condition; once a seed, where it is pure noise."""
        known = None if seed is None else (seed, program.schedule.steps[0].timestep)
        if known is not None and self._unconditional_of == known:
            return
        if self._start_unconditional is None:
            self._first_time = program.times[:1].clone()
            self._start_unconditional = self._recorded(self._predict_unconditional)
        self._first_time.copy_(program.times[:1])
        self._start_unconditional()
        self._unconditional_of = known

    def _write(self) -> None:
        self.condition.write(self._embedding)

    def _predict_unconditional(self) -> None:
        self._unconditional.copy_(self._run(self._latent, self._first_time[0], slice(0, self._pictures)))

    def _advance(self, program: _Program, index: int) -> None:
        self._step(program, index)
        self._paint()

    def _step(self, program: _Program, index: int) -> None:
        """Move the latent by one step and leave the clean picture's latent."""
        step = program.schedule.steps[index]
        output = self._predict(program.times[index], first=index == 0)
        picture = step.picture_latent * self._latent + step.picture_output * output
        if index < len(program.schedule.steps) - 1:
            latent = step.next_latent * self._latent + step.next_picture * picture
            if step.next_previous:
                latent += step.next_previous * self._picture
            if step.next_before:
                latent += step.next_before * self._before
            if step.next_noise:
                latent += step.next_noise * program.noise[index + 1]
            self._latent.copy_(latent)
        if program.schedule.uses_before:
            self._before.copy_(self._picture)
        self._picture.copy_(picture)

    def _predict(self, time: Tensor, *, first: bool) -> Tensor:
        k = self._pictures
        if self._guidance is None:
            return self._run(self._latent, time, slice(k, 2 * k))
        if first:
            without, told = self._unconditional, self._run(self._latent, time, slice(k, 2 * k))
        else:
            without, told = self._run(torch.cat([self._latent] * 2), time, slice(0, 2 * k)).chunk(2)
        return without + self._guidance * (told - without)

    def _run(self, latent: Tensor, time: Tensor, rows: slice) -> Tensor:
        inputs = self.condition.inputs(rows)
        # where every layer knows its text there are no encoder_hidden_states
        inputs.setdefault("encoder_hidden_states", None)
        latent = latent.to(self._dtype, memory_format=torch.channels_last)
        with attention_by(self._attention):
            output: Tensor = self._network(latent, time, return_dict=False, **inputs)[0]
        # a variance that the network may say too is of no use to these samplers
        return output[:, :LATENT_CHANNELS].float()

    def _paint(self) -> None:
        """Decode the picture's latent to 8 bits, pictures side by side."""
        latent = self._picture.to(self._dtype)
        decoded = self._decode(latent).float()
        levels = ((decoded + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        self._image.copy_(levels.permute(2, 0, 3, 1).reshape(self._image.shape))
        # of the latent too: the tiny decoder squeezes infinity into its range
        self._sent[-1:].copy_((latent.isfinite().all() & decoded.isfinite().all())[None])
