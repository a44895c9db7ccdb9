"""The whole chain from microvolts to embedding, and the one matrix it comes to.

Every step is affine in the epoch's samples, so the chain is multiplied out once, after the fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LinearMap:
    """``embedding = bias + Σ_t samples[t] @ weights[t]``.

    Attributes
    ----------
    weights
        float32 ``[times, channels, dims]`` for samples in microvolts.
    bias
        float32 ``[dims]``.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def predict(self, samples: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the embeddings ``[trials, dims]`` of epochs ``[trials, times, channels]``."""
        weights = self.weights.reshape(-1, self.weights.shape[2])
        flat = samples.reshape(len(samples), len(weights)).astype(np.float32, copy=False)
        predicted: NDArray[np.float32] = flat @ weights + self.bias
        return predicted


@dataclass(frozen=True)
class Chain:
    """The steps from an epoch in microvolts to an embedding, in the order in which they are taken.

    Attributes
    ----------
    baseline
        ``[times]``: weights whose sum over the epoch is subtracted from every sample; all zero for none.
    start
        First sample of the decoded window within the epoch; what stands before it serves the baseline alone.
    temporal
        ``[window times, steps]``: what is done over time, see `calibration.model.noise`; None for samples as they are.
    whitening
        ``[channels, channels]``, symmetric.
    mean, std
        ``[steps, channels]`` of the whitened training window; a step is a sample where nothing is done over time.
    weights, intercept
        ``[steps × channels, dims]`` and ``[dims]``: the ridge map.
    predicted_mean, predicted_std
        ``[dims]``: mean and spread of what one map predicts for single trials. Ridge shrinks towards the mean; these
        undo it.
    target_mean, target_std
        ``[dims]``: statistics of the training targets.
    """

    baseline: Array
    start: int
    temporal: Array | None
    whitening: Array
    mean: Array
    std: Array
    weights: Array
    intercept: Array
    predicted_mean: Array
    predicted_std: Array
    target_mean: Array
    target_std: Array

    @property
    def gain(self) -> Array:
        """Return how much each dimension is stretched; one whose held-out predictions never vary stays at its mean."""
        return np.divide(
            self.target_std, self.predicted_std, out=np.zeros_like(self.target_std), where=self.predicted_std > 1e-12
        )

    @property
    def weights_per_unit(self) -> Array:
        """Weights ``[steps, channels, dims]`` of what comes out of whitening, each dimension in its own spread."""
        spread = np.where(self.predicted_std > 1e-12, self.predicted_std, np.inf)
        per_unit: Array = self.weights.reshape(*self.mean.shape, -1) / self.std[:, :, None] / spread
        return per_unit

    def predict(self, samples: NDArray[np.floating]) -> Array:
        """Return the embeddings ``[trials, dims]`` of epochs ``[trials, times, channels]``, step by step."""
        window = subtract_baseline(samples.astype(np.float64), self.baseline, self.start)
        if self.temporal is not None:
            window = self.temporal.T @ window
        scaled = (window @ self.whitening - self.mean) / self.std
        predicted = scaled.reshape(len(scaled), -1) @ self.weights + self.intercept
        embedding: Array = (predicted - self.predicted_mean) * self.gain + self.target_mean
        return embedding

    def fold(self) -> LinearMap:
        """Return the chain as one map."""
        steps, channels = self.mean.shape
        scaled = self.weights.reshape(steps, channels, -1) / self.std[:, :, None] * self.gain
        window = np.einsum("ce,ted->tcd", self.whitening, scaled, optimize=True)
        if self.temporal is not None:
            window = np.tensordot(self.temporal, window, axes=1)
        weights = np.zeros((len(self.baseline), channels, scaled.shape[2]))
        weights[self.start : self.start + len(window)] = window
        weights -= self.baseline[:, None, None] * window.sum(axis=0)
        offset = (self.intercept - self.predicted_mean) * self.gain + self.target_mean
        bias = offset - np.einsum("tc,tcd->d", self.mean, scaled, optimize=True)
        return LinearMap(weights.astype(np.float32), bias.astype(np.float32))


def subtract_baseline(samples: NDArray[Any], baseline: Array, start: int) -> NDArray[Any]:
    """Return the windows of epochs, less each epoch's baseline; a view where there is no baseline.

    Parameters
    ----------
    samples
        Epochs ``[trials, times, channels]``, µV.
    baseline
        ``[times]``: weights of the samples in the baseline's mean; all zero for no baseline.
    start
        Place in the epoch of the window's first sample.

    Returns
    -------
    ``[trials, times - start, channels]``, µV.
    """
    window = samples[:, start:]
    if not baseline.any():
        return window
    level = np.einsum("t,ntc->nc", baseline.astype(samples.dtype), samples)
    centred: NDArray[Any] = window - level[:, None]
    return centred
