"""What a picture starts from: noise, the layout that the low-level map saw, or a picture that was painted before.

That is the trial's own preview, or a picture of nearly this embedding. All but noise are off by default, because
whoever looks must know which EEG made a picture; the frame says what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from realtime.rendering.glide import Glide
from realtime.rendering.messages import Origin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import RenderSettings
    from realtime.rendering.generators.base import Generator
    from realtime.rendering.messages import RenderRequest


@runtime_checkable
class WarmStarting(Protocol):
    """A generator that can start from the last picture it painted."""

    def stream_warm(self, embedding: NDArray[np.float32], seed: int, steps: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the pictures, uint8 ``[h, w, 3]``, after the steps that are left when the last picture is the start.

        Parameters
        ----------
        embedding
            float32 ``[dims]``.
        seed
            Seed of the noise that is added to the last picture.
        steps
            Steps of the whole schedule.
        """
        ...


@runtime_checkable
class Starting(Protocol):
    """A generator that can start from a latent."""

    def stream_from(
        self, start: NDArray[np.float16], embedding: NDArray[np.float32], seed: int, steps: int
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the pictures, uint8 ``[h, w, 3]``, after the steps that are left when painting starts from a latent.

        Parameters
        ----------
        start
            float16 ``[4, h, w]`` of unit variance.
        embedding
            float32 ``[dims]``.
        seed
            Seed of the noise that is added to it.
        steps
            Steps of the whole schedule.
        """
        ...

    def first_step(self, steps: int) -> int:
        """Return how many of `steps` that leaves out."""
        ...


@dataclass(eq=False)
class _Painted:
    """The last picture that was painted to its end."""

    request: RenderRequest
    image: NDArray[np.uint8]


class Economy:
    """Paints with a generator and spares what the settings allow.

    Parameters
    ----------
    settings
        `reuse_above`, `warm_above`.
    generator
        Prepared.
    """

    def __init__(self, settings: RenderSettings, generator: Generator) -> None:
        self._settings = settings
        self._generator = generator
        self._last: _Painted | None = None
        self._warm = False
        self._glide = Glide(generator) if isinstance(generator, WarmStarting) else None

    def paint(self, request: RenderRequest) -> Iterator[tuple[int, NDArray[np.uint8], Origin]]:
        """Yield step, picture uint8 ``[h, w, 3]`` and origin; the last step is the request's number of steps.

        Embeddings are compared with the one that the last picture was painted from, never with one whose picture was
        spared, so that small moves cannot add up unseen.
        """
        if request.flow and self._glide is not None and self._glide.ready:
            self._last = None
            yield from self._glide.paint(request)
            return
        last, alike = self._last, self._likeness(request)
        if last is not None and _reaches(alike, self._settings.reuse_above):
            yield request.steps, last.image, Origin("reused", last.request.trial)
            return
        origin, first = Origin(), 1
        stream = self._generator.stream
        before = None if last is None or not self._warm or request.steps < 2 else last.request
        own = before is not None and before.preview and before.trial == request.trial
        if (
            before is not None
            and isinstance(self._generator, WarmStarting)
            and (own or _reaches(alike, self._settings.warm_above))
        ):
            origin = Origin("preview", before.trial, before.at_s) if own else Origin("warm", before.trial)
            first, stream = 1 + request.steps // 2, self._generator.stream_warm
        elif request.start is not None and isinstance(self._generator, Starting):
            origin, first = Origin("layout"), 1 + self._generator.first_step(request.steps)
            stream = partial(self._generator.stream_from, request.start)
        # an abandoned picture leaves the generator with something else than the last picture
        self._warm = False
        if self._glide is not None:
            self._glide.forget()
        for step, image in enumerate(stream(request.embedding, request.seed, request.steps), start=first):
            if step == request.steps:
                self._last, self._warm = _Painted(request, image), True
                if self._glide is not None:
                    self._glide.begin(request)
            yield step, image, origin

    def _likeness(self, request: RenderRequest) -> float:
        """Return the cosine with the embedding of the last picture; -1 where another seed or length was asked for."""
        last = self._last
        if last is None or (last.request.seed, last.request.steps) != (request.seed, request.steps):
            return -1.0
        before, now = last.request.embedding, request.embedding
        norm = float(np.linalg.norm(before)) * float(np.linalg.norm(now))
        return float(before @ now) / norm if norm > 0 else -1.0


def _reaches(alike: float, threshold: float | None) -> bool:
    return threshold is not None and alike >= threshold
