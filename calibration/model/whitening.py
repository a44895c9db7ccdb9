"""Multivariate noise normalisation: channels decorrelated by the covariance of their noise.

Guggenmos, Sterzer & Cichy 2018, "Multivariate pattern analysis for MEG: a comparison of dissimilarity measures".
Shrinkage after Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from realtime.decoding.alignment import symmetric_roots

Array = NDArray[np.float64]

_BLOCK = 256


def noise_covariance(samples: NDArray[np.floating], apart: Array | None = None) -> Array:
    """Return the shrunk channel covariance of trials, the evoked response taken out.

    Parameters
    ----------
    samples
        ``[trials, times, channels]``: the training trials, and no others.
    apart
        ``[classes, times, channels]``: what classes differ by and is no noise, as `class_means` returns it.

    Returns
    -------
    float64 ``[channels, channels]`` in squared microvolts.
    """
    covariance, shrinkage = channel_covariance(samples)
    return shrunk(covariance if apart is None else covariance - between(apart), shrinkage)


def channel_covariance(samples: NDArray[np.floating]) -> tuple[Array, float]:
    """Return the channel covariance of trials ``[trials, times, channels]``, and by how much it is to be shrunk.

    The samples of one trial depend on each other, so trials are what counts as an observation: the shrinkage weighs
    how much the trials' covariances differ. Of trials of one sample each, this is Ledoit and Wolf's estimate itself.
    """
    n, times, channels = samples.shape
    evoked = samples.mean(axis=0, dtype=np.float64)
    covariance, squares = np.zeros((channels, channels)), 0.0
    for start in range(0, n, _BLOCK):
        noise = samples[start : start + _BLOCK] - evoked
        flat = noise.reshape(-1, channels)
        covariance += flat.T @ flat / (n * times)
        # Of a trial's two matrices of products the smaller one has the same sum of squares.
        products = noise.swapaxes(1, 2) @ noise if channels <= times else noise @ noise.swapaxes(1, 2)
        squares += float(np.sum(products**2)) / times**2
    target = np.trace(covariance) / channels * np.eye(channels)
    distance = float(np.sum((covariance - target) ** 2))
    error = max(squares / n - float(np.sum(covariance**2)), 0.0) / n
    return covariance, error / distance if distance > error else 1.0


def shrunk(covariance: Array, shrinkage: float) -> Array:
    """Return a covariance shrunk towards independent channels of equal variance."""
    result: Array = (1 - shrinkage) * covariance
    result.flat[:: len(result) + 1] += shrinkage * np.trace(covariance) / len(covariance)
    return result


def between(apart: Array) -> Array:
    """Return the part of a channel covariance that is due to what classes ``[classes, times, channels]`` differ by."""
    flat = apart.reshape(-1, apart.shape[2])
    part: Array = flat.T @ flat / apart.shape[1]
    return part


def class_means(samples: NDArray[np.floating], classes: NDArray[np.int64]) -> Array:
    """Return what classes differ by, ``[classes, times, channels]``: their means about that of all trials.

    Each is scaled by the root of its share of the trials, so that the products of these sum to the part of the trials'
    covariance that is between classes.

    Parameters
    ----------
    samples
        ``[trials, times, channels]``.
    classes
        ``[trials]``, from 0.
    """
    share = np.bincount(classes) / len(classes)
    member = (classes == np.arange(len(share))[:, None]) / len(classes) - share[:, None] / len(classes)
    level = member.astype(samples.dtype) @ samples.reshape(len(samples), -1)
    apart: Array = level.astype(np.float64) / np.sqrt(np.maximum(share, 1e-300))[:, None]
    return apart.reshape(len(share), *samples.shape[1:])


def whitening_matrix(covariance: Array) -> Array:
    """Return the symmetric ``covariance^(-1/2)``, ``[channels, channels]``; what has no variance is not blown up."""
    return symmetric_roots(covariance)[1]
