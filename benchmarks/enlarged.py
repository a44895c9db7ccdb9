"""``perceptogram`` with the embedded generator's pictures enlarged to 512 pixels: the traffic of a large generator.

The generator paints as small as ever; behind it, in the renderer's process, every pixel is repeated, so that pipes,
session, display and picture writer carry frames of 786 kB.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from realtime.rendering.generators.base import Generator
from realtime.rendering.generators.make import make_generator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from configs.schema import RenderSettings

SIDE = 512


class Enlarged:
    """A generator whose pictures are enlarged to `SIDE` pixels."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.prepare = generator.prepare
        self.space = generator.space

    def stream(self, embedding: NDArray[np.float32], seed: int, steps: int) -> Iterator[NDArray[np.uint8]]:
        """Yield what the generator paints, large."""
        for image in self._generator.stream(embedding, seed, steps):
            times = -(-SIDE // image.shape[0])
            yield image.repeat(times, axis=0).repeat(times, axis=1)[:SIDE, :SIDE]


def make_enlarged(settings: RenderSettings) -> Any:
    """Return the generator of `settings`, enlarged; called in the renderer's process."""
    return Enlarged(make_generator(settings))


def main() -> None:
    """Run the command line."""
    from benchmarks.enlarged import make_enlarged  # by the name under which the renderer's process finds it
    from perceptogram.__main__ import main as perceptogram
    from perceptogram.live import run as decoding
    from realtime.rendering.worker import RenderWorker

    with patch.object(decoding, "RenderWorker", partial(RenderWorker, make=make_enlarged)):
        perceptogram()


if __name__ == "__main__":
    main()
