"""The linear map, applied while the epoch is still being recorded.

The whole chain (baseline, whitening, scaling, ridge, re-standardisation) is one affine map of the epoch's samples,

    embedding = bias + Σ_t samples[t] @ weights[t]

so it is summed as samples arrive. When the last one is in, a single ``[channels] @ [channels, dims]`` product is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.decoding.bundle import Bundle
    from realtime.decoding.identification_head import Residual
    from realtime.decoding.low_level_map import LowLevelMap


@dataclass(frozen=True, eq=False)
class WindowWeights:
    """All that one window is decoded with, from its first sample to its last.

    Attributes
    ----------
    weights
        float32 ``[times × channels, dims]``, contiguous.
    bias
        float32 ``[dims]``.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def of(cls, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> WindowWeights:
        """Return those of a map with weights ``[times, channels, dims]`` and a bias ``[dims]``.

        Raises
        ------
        ValueError
            If they do not fit each other.
        """
        dims = weights.shape[2]
        if bias.shape != (dims,):
            msg = f"weights {weights.shape} do not fit bias {bias.shape}"
            raise ValueError(msg)
        return cls(np.ascontiguousarray(weights, dtype=np.float32).reshape(-1, dims), bias.astype(np.float32))

    def apply(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what a whole window ``[times, channels]`` comes to, ``[dims]``."""
        whole: NDArray[np.float32] = window.reshape(-1) @ self.weights + self.bias
        return whole


class LinearDecoder:
    """Turns open windows into embeddings, block of samples by block of samples.

    Parameters
    ----------
    weights
        float32 ``[times, channels, dims]``.
    bias
        float32 ``[dims]``.
    residual
        Corrects the last columns of what comes out, as many as it has; None where the sum is all.

    Attributes
    ----------
    whole
        What windows are decoded with unless they are told otherwise.

    Examples
    --------
    The samples of a window come in two blocks:

    >>> rng = np.random.default_rng(0)
    >>> weights = rng.standard_normal((60, 8, 16)).astype(np.float32)
    >>> bias, window = np.zeros(16, np.float32), rng.standard_normal((60, 8)).astype(np.float32)
    >>> decoder = LinearDecoder(weights, bias)
    >>> decoder.open(trial=0)
    >>> decoder.add(0, 0, window[:25])
    >>> decoder.add(0, 25, window[25:])
    >>> np.allclose(decoder.close(0), np.einsum("tc,tcd->d", window, weights) + bias, atol=1e-4)
    True
    """

    def __init__(
        self, weights: NDArray[np.float32], bias: NDArray[np.float32], residual: Residual | None = None
    ) -> None:
        self.whole = WindowWeights.of(weights, bias)
        self.n_times, self.n_channels, self.dims = weights.shape
        self._residual = residual
        self._product = np.empty(self.dims, dtype=np.float32)
        self._nothing = np.zeros(0, dtype=np.float32)
        self._sums: dict[int, NDArray[np.float32]] = {}
        self._seen: dict[int, int] = {}
        self._used: dict[int, WindowWeights] = {}
        self._spare: list[NDArray[np.float32]] = []

    @property
    def open_trials(self) -> tuple[int, ...]:
        """The trials whose windows are open."""
        return tuple(self._sums)

    def open(self, trial: int) -> None:
        """Begin a window for `trial`.

        Raises
        ------
        ValueError
            If the trial's window is open already.
        """
        if trial in self._sums:
            msg = f"trial {trial} is already open"
            raise ValueError(msg)
        total = self._spare.pop() if self._spare else np.empty(self.dims, dtype=np.float32)
        total.fill(0.0)
        self._sums[trial] = total
        self._seen[trial] = 0
        self._used[trial] = self.whole

    def used(self, trial: int) -> WindowWeights:
        """Return what the open window of `trial` is decoded with."""
        return self._used[trial]

    def use(self, trial: int, weights: WindowWeights) -> None:
        """Decode the window of `trial`, none of whose samples has been added, with `weights`.

        Raises
        ------
        ValueError
            If samples were added: a sum of two maps would be silently wrong.
        """
        if self._seen[trial]:
            msg = f"trial {trial}: other weights after {self._seen[trial]} samples"
            raise ValueError(msg)
        self._used[trial] = weights

    def add(self, trial: int, first: int, samples: NDArray[np.float32]) -> None:
        """Add samples that go on where the last ones of their window ended.

        Parameters
        ----------
        trial
            The window, from `open`.
        first
            Place of the first sample in the window.
        samples
            float32 ``[n, channels]``, µV after the filters.

        Raises
        ------
        ValueError
            If the samples do not continue where the last ones ended: a sum with a gap would be silently wrong.
        """
        if first != self._seen[trial]:
            msg = f"trial {trial}: samples begin at {first}, {self._seen[trial]} expected"
            raise ValueError(msg)
        channels = self.n_channels
        last = first + len(samples)
        weights = self._used[trial].weights
        np.matmul(samples.reshape(-1), weights[first * channels : last * channels], out=self._product)
        self._sums[trial] += self._product
        self._seen[trial] = last

    def read_ahead(self, samples: int) -> None:
        """Bring the weights for the next `samples` of every open window into the cache, while nothing is due.

        The map is far larger than any cache, so the last product would otherwise wait for memory. It is made ahead of
        samples that are all zero, which also brings the code of the product.
        """
        channels = self.n_channels
        if len(self._nothing) < samples * channels:
            self._nothing = np.zeros(samples * channels, dtype=np.float32)
        for trial, seen in self._seen.items():
            weights = self._used[trial].weights[seen * channels : (seen + samples) * channels]
            np.matmul(self._nothing[: len(weights)], weights, out=self._product)
            if self._residual is not None and seen + samples >= self.n_times:
                self._residual.read_ahead()

    def close(self, trial: int) -> NDArray[np.float32]:
        """Return the embedding ``[dims]`` of the complete window and forget the trial.

        Raises
        ------
        ValueError
            If the window is not complete.
        """
        if self._seen[trial] != self.n_times:
            msg = f"trial {trial} closed after {self._seen[trial]} of {self.n_times} samples"
            raise ValueError(msg)
        embedding: NDArray[np.float32] = self._sums[trial] + self._used[trial].bias
        self.drop(trial)
        return self.finish(embedding)

    def finish(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """Correct the last columns of a whole sum in place, where there is a residual, and return it."""
        if self._residual is not None:
            own = embedding[-len(self._residual.output_bias) :]
            own[:] = self._residual(own)
        return embedding

    def drop(self, trial: int) -> None:
        """Forget `trial` and its sum; nothing happens when it is not open."""
        total = self._sums.pop(trial, None)
        if total is not None:
            self._spare.append(total)
            del self._seen[trial], self._used[trial]


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
    return columns, LinearDecoder(weights, bias, None if head is None else head.residual)
