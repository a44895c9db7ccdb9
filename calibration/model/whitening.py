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


def noise_covariance(samples: NDArray[np.floating]) -> Array:
    """Return the shrunk channel covariance of trials, the evoked response taken out.

    The samples of one trial depend on each other, so trials are what counts as an observation: the shrinkage weighs
    how much the trials' covariances differ. Of trials of one sample each, this is Ledoit and Wolf's estimate itself.

    Parameters
    ----------
    samples
        ``[trials, times, channels]``: the training trials, and no others.

    Returns
    -------
    float64 ``[channels, channels]`` in squared microvolts.
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
    shrinkage = error / distance if distance > error else 1.0
    result: Array = (1 - shrinkage) * covariance + shrinkage * target
    return result


def whitening_matrix(covariance: Array) -> Array:
    """Return the symmetric ``covariance^(-1/2)``, ``[channels, channels]``; what has no variance is not blown up."""
    return symmetric_roots(covariance)[1]
