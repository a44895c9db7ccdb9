"""Embeddings of a new person or day brought to the mean and covariance that the pictures' own have, without labels.

A map that was learned from other people sends a new person's EEG to embeddings that are moved, turned and stretched.
What pictures look like on average does not depend on who sees them: so the cloud of embeddings, whatever was shown, is
laid over that of the pictures' embeddings by the smallest affine change that does so (the optimal transport between two
normal distributions). That takes thousands of windows; what a session can do with its first fifty is
`realtime.decoding.alignment`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LEAST = 1e-6
"""Share of the largest variance below which a direction counts as empty and is left as it is."""


@dataclass(frozen=True)
class Transport:
    """``embedding @ matrix + offset``.

    Attributes
    ----------
    matrix
        float64 ``[dims, dims]``, symmetric.
    offset
        float64 ``[dims]``.
    """

    matrix: Array
    offset: Array

    def apply(self, embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return embeddings ``[..., dims]`` aligned."""
        aligned: NDArray[np.float32] = (embeddings @ self.matrix + self.offset).astype(np.float32)
        return aligned


def transport(mean: Array, covariance: Array, count: int, wanted_mean: Array, wanted_covariance: Array) -> Transport:
    """Return what brings embeddings of a given mean and covariance to those that are wanted.

    With few embeddings their covariance is shrunk towards the wanted one, by as many as there are dimensions, so that
    none at all change nothing but the mean.

    Parameters
    ----------
    mean, covariance
        ``[dims]`` and ``[dims, dims]`` of the embeddings that were seen.
    count
        How many those were.
    wanted_mean, wanted_covariance
        Those of the pictures' own embeddings.
    """
    dims = len(mean)
    # Only the shape is shrunk: predictions are as a whole larger or smaller than what they predict.
    scale = np.trace(covariance) / max(float(np.trace(wanted_covariance)), 1e-30)
    share = dims / (dims + count)
    seen = (1 - share) * covariance + share * scale * wanted_covariance
    root, inverse = _roots(seen)
    middle, _ = _roots(root @ wanted_covariance @ root)
    matrix = inverse @ middle @ inverse
    matrix = (matrix + matrix.T) / 2
    return Transport(matrix, wanted_mean - mean @ matrix)


def _roots(covariance: Array) -> tuple[Array, Array]:
    """Return the symmetric square root of a covariance and its inverse, the latter without empty directions."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    full = values > _LEAST * max(float(values[-1]), 1e-30)
    size = np.sqrt(np.where(full, values, 0.0))
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=full)
    return (vectors * size) @ vectors.T, (vectors * inverse) @ vectors.T
