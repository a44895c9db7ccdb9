"""How likely each picture makes a decoded embedding.

A painter needs every dimension stretched to the spread of real embeddings, those that the EEG says little about most of
all. Identification is hurt by that: what tells pictures apart are the dimensions that are decoded well, and the noise
that dimensions share tells nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_ARRAYS, _NAMES = ("mean", "response", "precision", "decorrelation"), "likelihood_{}"


@dataclass(frozen=True, eq=False)
class Likelihood:
    """A decoded embedding as a Gaussian about what the picture shown comes to in it.

    Of a single trial; the mean of `n` independent ones has the same expectation and an `n`-th of the covariance, so its
    log-likelihoods are `n` times as large: those of trials add up.

    Attributes
    ----------
    mean
        float32 ``[dims]``: the pictures' mean embedding, about which both are taken.
    response
        float32 ``[dims]``: what a picture's deviation from the mean comes to in the decoded embedding.
    precision
        float32 ``[dims]``: one over the standard deviation of each dimension's noise; 0 for one that is left out.
    decorrelation
        float32 ``[rank, dims]``: what makes noise of standard deviation 1 independent; no rows where it is taken to be.
    """

    mean: NDArray[np.float32]
    response: NDArray[np.float32]
    precision: NDArray[np.float32]
    decorrelation: NDArray[np.float32]

    def whitened(self, embeddings: NDArray[np.floating[Any]]) -> Array:
        """Return decoded embeddings ``[..., dims]`` about the mean, their noise independent and of variance 1."""
        return self._independent(np.asarray(embeddings, dtype=np.float64) - self.mean)

    def expected(self, pictures: NDArray[np.floating[Any]]) -> Array:
        """Return what pictures ``[pictures, dims]`` come to in embeddings that are `whitened`."""
        return self._independent((np.asarray(pictures, dtype=np.float64) - self.mean) * self.response)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return it as `read_likelihood` reads it back."""
        return {_NAMES.format(name): getattr(self, name) for name in _ARRAYS}

    def _independent(self, rows: Array) -> Array:
        scaled: Array = rows * self.precision
        return scaled @ self.decorrelation.T.astype(np.float64) if len(self.decorrelation) else scaled


def read_likelihood(file: Path, rank: int, dims: int) -> Likelihood:
    """Return the likelihood that a bundle's gallery holds.

    Parameters
    ----------
    file
        Of safetensors.
    rank, dims
        What must be the shape of `Likelihood.decorrelation`.

    Raises
    ------
    ValueError
        In one line, if it holds none, or another.
    """
    from realtime.decoding.bundle_record import read_arrays

    shapes: dict[str, tuple[int | None, ...]] = {_NAMES.format(name): (dims,) for name in _ARRAYS}
    shapes[_NAMES.format("decorrelation")] = (rank, dims)
    return Likelihood(*read_arrays(file, shapes).values())
