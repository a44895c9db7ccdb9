"""The linear map, applied while the epoch is still being recorded.

The whole chain (baseline, whitening, scaling, ridge, re-standardisation) is one affine map of the epoch's samples,

    embedding = bias + Σ_t samples[t] @ weights[t]

so it is summed as samples arrive. When the last one is in, a single ``[channels] @ [channels, dims]`` product is left,
which BLAS adds to the sum by itself. The sum begins with the bias, so that nothing has to be added at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import sgemv

from realtime.decoding.identification_head import Columns

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
    columns
        `weights` transposed, a view: BLAS counts along columns.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    columns: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", self.weights.T)

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


class _RunningSum:
    """An open window: its sum so far, how many of its samples that is of, and what it is decoded with."""

    __slots__ = ("seen", "total", "weights")

    def __init__(self, weights: WindowWeights) -> None:
        self.seen, self.total, self.weights = 0, weights.bias.copy(), weights


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
        self._product = np.zeros(self.dims, dtype=np.float32)
        self._nothing = np.zeros(0, dtype=np.float32)
        self._open: dict[int, _RunningSum] = {}

    @property
    def open_trials(self) -> tuple[int, ...]:
        """The trials whose windows are open."""
        return tuple(self._open)

    def open(self, trial: int) -> None:
        """Begin a window for `trial`.

        Raises
        ------
        ValueError
            If the trial's window is open already.
        """
        if trial in self._open:
            msg = f"trial {trial} is already open"
            raise ValueError(msg)
        self._open[trial] = _RunningSum(self.whole)

    def used(self, trial: int) -> WindowWeights:
        """Return what the open window of `trial` is decoded with."""
        return self._open[trial].weights

    def use(self, trial: int, weights: WindowWeights) -> None:
        """Decode the window of `trial`, none of whose samples has been added, with `weights`.

        Raises
        ------
        ValueError
            If samples were added: a sum of two maps would be silently wrong.
        """
        if seen := self._open[trial].seen:
            msg = f"trial {trial}: other weights after {seen} samples"
            raise ValueError(msg)
        self._open[trial] = _RunningSum(weights)

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
            If the samples do not continue where the last ones ended, or do not fit the window: a sum with a gap would
            be silently wrong.
        """
        window = self._open[trial]
        if first != window.seen:
            msg = f"trial {trial}: samples begin at {first}, {window.seen} expected"
            raise ValueError(msg)
        channels, last, flat = self.n_channels, first + len(samples), samples.reshape(-1)
        columns = window.weights.columns[:, first * channels : last * channels]
        if columns.shape[1] != len(flat):  # BLAS itself would go on with what fits
            msg = f"trial {trial}: samples {samples.shape} at {first} of a window {self.n_times, channels}"
            raise ValueError(msg)
        if len(flat):  # of nothing, BLAS makes nothing
            _add_product(columns, flat, window.total)
            window.seen = last

    def read_ahead(self, samples: int) -> None:
        """Bring the weights for the next `samples` of every open window into the cache, while nothing is due.

        The map is far larger than any cache, so the last product would otherwise wait for memory. It is made ahead of
        samples that are all zero, which also brings the code of the product.
        """
        channels = self.n_channels
        if len(self._nothing) < samples * channels:
            self._nothing = np.zeros(samples * channels, dtype=np.float32)
        for window in self._open.values():
            start = window.seen * channels
            columns = window.weights.columns[:, start : start + samples * channels]
            self._product[:] = window.total
            if columns.shape[1]:
                _add_product(columns, self._nothing[: columns.shape[1]], self._product)
            if self._residual is not None and window.seen + samples >= self.n_times:
                self._residual.read_ahead()

    def close(self, trial: int) -> NDArray[np.float32]:
        """Return the embedding ``[dims]`` of the complete window and forget the trial.

        Raises
        ------
        ValueError
            If the window is not complete.
        """
        window = self._open[trial]
        if window.seen != self.n_times:
            msg = f"trial {trial} closed after {window.seen} of {self.n_times} samples"
            raise ValueError(msg)
        del self._open[trial]
        return self.finish(window.total)

    def finish(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """Correct the last columns of a whole sum in place, where there is a residual, and return it."""
        if self._residual is not None:
            own = embedding[-len(self._residual.output_bias) :]
            own[:] = self._residual(own)
        return embedding

    def drop(self, trial: int) -> None:
        """Forget `trial` and its sum; nothing happens when it is not open."""
        self._open.pop(trial, None)


def _add_product(columns: NDArray[np.float32], flat: NDArray[np.float32], total: NDArray[np.float32]) -> None:
    """Add ``columns @ flat`` to `total`, in place: BLAS's ``y ← alpha A x + beta y``, by position, which is quicker."""
    sgemv(1.0, columns, flat, 1.0, total, 0, 1, 0, 1, 0, 1)


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
