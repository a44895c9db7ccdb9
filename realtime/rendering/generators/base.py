"""What paints a picture from an embedding, whatever it is inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from realtime.rendering.errors import GeneratorError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from realtime.spaces import EmbeddingSpace


class Generator(Protocol):
    """A pre-trained image generator that takes an image embedding as its condition."""

    @property
    def space(self) -> EmbeddingSpace:
        """Which embeddings it was trained on; known before `prepare`."""
        ...

    def prepare(self) -> None:
        """Load weights and do everything else that must happen once."""
        ...

    def stream(self, embedding: NDArray[np.float32], seed: int, steps: int) -> Iterator[NDArray[np.uint8]]:
        """Yield exactly `steps` estimates of the clean picture, uint8 ``[h, w, 3]``, the last one final.

        The same embedding ``[dims]``, seed and steps give the same pictures. Nothing is computed ahead of the picture
        that is asked for, so dropping the iterator abandons the rest.

        Parameters
        ----------
        embedding
            float32 ``[dims]``, of the generator's own space.
        seed
            Seed of the noise.
        steps
            How many estimates; more is slower and finer.
        """
        ...


def check_space(bundle_space: EmbeddingSpace, generator_space: EmbeddingSpace) -> None:
    """Refuse a generator that was trained on other embeddings than the bundle's map predicts.

    Raises
    ------
    GeneratorError
        With both spaces in one line. A wrong space of the right size would paint plausible nonsense without any error.
    """
    if bundle_space != generator_space:
        advice = "fit with the generator's embeddings or choose another generator"
        if Path(bundle_space.pretrained).suffix and bundle_space.model == generator_space.model:
            advice = (
                f"if that file is a copy of {generator_space.pretrained}, fit again with fit.pretrained: "
                f"{generator_space.pretrained} and fit.encoder_weights: {bundle_space.pretrained}"
            )
        both = f"the bundle predicts {bundle_space} embeddings but the generator was trained on {generator_space}"
        msg = f"{both}; {advice}"
        raise GeneratorError(msg)
