"""Which columns of the decoder's product are which output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from realtime.decoding.linear_decoder import LinearDecoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.decoding.bundle import Bundle
    from realtime.decoding.low_level_map import LowLevelMap


@dataclass(frozen=True)
class Columns:
    """The outputs that one product is made of, in this order.

    Attributes
    ----------
    embedding
        How many columns the embedding has that is painted.
    low_level
        How many the low-level map has; 0 without one.
    identification
        How many the output has by which pictures are told apart; 0 where that is the embedding.

    Examples
    --------
    >>> Columns(embedding=2, low_level=1, identification=2).compared(np.arange(5.0))
    array([3., 4.])
    >>> Columns(embedding=2).compared(np.arange(2.0))
    array([0., 1.])
    """

    embedding: int
    low_level: int = 0
    identification: int = 0

    def painted(self, whole: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embedding, a view of a whole product ``[columns]``."""
        return whole[: self.embedding]

    def layout(self, whole: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the low-level map's coordinates, a view."""
        return whole[self.embedding : self.embedding + self.low_level]

    def compared(self, whole: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what is compared with the candidates, a view."""
        return whole[self.embedding + self.low_level :] if self.identification else self.painted(whole)


def make_decoder(bundle: Bundle, low_level: LowLevelMap | None = None) -> tuple[Columns, LinearDecoder]:
    """Return what applies the maps of a bundle in one product, and which of its columns are what.

    Parameters
    ----------
    bundle
        Its embedding comes first, and what identifies, where that is another output, last.
    low_level
        The bundle's low-level map, where pictures are to start from it.
    """
    head = bundle.identification
    behind = [part for part in (low_level, head) if part is not None]
    weights, bias = bundle.weights, bundle.bias
    if behind:
        weights = np.concatenate([weights, *(part.weights for part in behind)], axis=2)
        bias = np.concatenate([bias, *(part.bias for part in behind)])
    columns = Columns(len(bundle.bias), 0 if low_level is None else low_level.rank, 0 if head is None else head.dims)
    return columns, LinearDecoder(weights, bias, bundle.mean_input, None if head is None else head.residual)
