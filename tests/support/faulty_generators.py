"""Generators that fail as a GPU's do: no GPU is needed, since they raise torch's own errors where a real one would."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from tests.support.tiny_generator import SPACE

LAST_S = 8.0


class Painted:
    space = SPACE

    def __init__(self, settings):
        self._settings = settings

    def prepare(self):
        pass

    def stream(self, embedding, seed, steps):
        for _ in range(steps):
            yield np.full((self._settings.pixels, self._settings.pixels, 3), 7, np.uint8)


class LosesTheCard(Painted):
    """Answers every call with the same fault from the first picture on; a second process does not."""

    def stream(self, embedding, seed, steps):
        import torch

        once = Path(self._settings.weights)
        self._lost = getattr(self, "_lost", not once.exists())
        once.touch()
        if self._lost:
            msg = "CUDA error: an illegal memory access was encountered"
            raise torch.AcceleratorError(msg)
        yield from super().stream(embedding, seed, steps)


class FitsOnlySmall(Painted):
    def prepare(self):
        import torch

        if self._settings.pictures > 1 or self._settings.decoder == "full" or self._settings.pixels > 256:
            msg = "CUDA out of memory. Tried to allocate 2.00 GiB"
            raise torch.OutOfMemoryError(msg)


class FitsNever(Painted):
    def prepare(self):
        import torch

        msg = "CUDA out of memory. Tried to allocate 2.00 GiB"
        raise torch.OutOfMemoryError(msg)


class Failing(Painted):
    def stream(self, embedding, seed, steps):
        msg = "nothing comes of it"
        raise ValueError(msg)
        yield


class ComputesLong(Painted):
    def prepare(self):
        until = time.monotonic() + LAST_S
        while time.monotonic() < until:
            np.linalg.norm(np.ones(10_000))


class Sleeps(Painted):
    def prepare(self):
        time.sleep(600)
