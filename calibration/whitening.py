"""Multivariate noise normalisation: channels decorrelated by the covariance of their noise.

Guggenmos, Sterzer & Cichy 2018, "Multivariate pattern analysis for MEG: a comparison of dissimilarity measures".
Shrinkage after Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_BLOCK = 256


def shrunk_covariance(rows: NDArray[np.floating]) -> Array:
    """Return the Ledoit-Wolf covariances of blocks of observations that have mean zero.

    Parameters
    ----------
    rows
        ``[blocks, observations, channels]``.

    Returns
    -------
    float64 ``[blocks, channels, channels]``.
    """
    rows = rows.astype(np.float64)
    n, channels = rows.shape[1:]
    covariance = rows.swapaxes(1, 2) @ rows / n
    spread = np.einsum("bcc->b", covariance) / channels
    target = spread[:, None, None] * np.eye(channels)
    distance = np.sum((covariance - target) ** 2, axis=(1, 2))
    fourth = np.sum(np.sum(rows**2, axis=2) ** 2, axis=1)
    error = np.maximum(fourth / n - np.sum(covariance**2, axis=(1, 2)), 0.0) / n
    shrinkage = np.divide(error, distance, out=np.ones_like(error), where=distance > error)[:, None, None]
    result: Array = (1 - shrinkage) * covariance + shrinkage * target
    return result


def noise_covariance(samples: NDArray[np.floating]) -> Array:
    """Return the mean over trials of each trial's shrunk channel covariance, the evoked response taken out.

    Parameters
    ----------
    samples
        ``[trials, times, channels]``: the training trials, and no others.

    Returns
    -------
    float64 ``[channels, channels]`` in squared microvolts.
    """
    evoked = samples.mean(axis=0, dtype=np.float64)
    total = np.zeros((samples.shape[2], samples.shape[2]))
    for start in range(0, len(samples), _BLOCK):
        total += shrunk_covariance(samples[start : start + _BLOCK] - evoked).sum(axis=0)
    return total / len(samples)


def whitening_matrix(covariance: Array) -> Array:
    """Return the symmetric ``covariance^(-1/2)``; directions without variance are not blown up.

    The symmetric root turns channels as little as possible, so a whitened channel is still that channel.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = 1.0 / np.sqrt(np.maximum(values, max(float(values[-1]), 1e-30) * 1e-8))
    result: Array = (vectors * root) @ vectors.T
    return result
