"""The forward model, from embeddings to the EEG they evoke, and what the decoder's view of the EEG looks like.

A decoder's weights are no map of where a signal is: they also hold what must be subtracted. Three views that are maps:

forward model
    Ridge from standardised embeddings to microvolts, judged on pictures that it never saw.
latent-filtered EEG
    EEG → decoder → embedding → forward model → EEG, each step fitted on other pictures (Fei et al., arXiv 2404.01250):
    what is left of the EEG when all goes that the decoder does not read.
patterns of the decoder
    How the EEG varies with what is decoded (Haufe et al. 2014, "On the interpretation of weight vectors of linear
    models in multivariate neuroimaging").

All take and give microvolts at the electrodes: whitening is a step inside the decoder, and is undone with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.model.moments import AlphaPath, Moments
from calibration.model.ridge import fit_ridge, solve_ridge

Array = NDArray[np.float64]
Samples = NDArray[np.floating[Any]]

READING_PENALTY = 0.1
"""Share of a dimension's variance that is added where an attribute is read from embeddings: enough to be stable."""


@dataclass(frozen=True)
class ForwardModel:
    """What embeddings tell of the EEG.

    Attributes
    ----------
    weights
        ``[dims, times, channels]``: microvolts per standard deviation of each dimension, fitted on all units.
    explained
        ``[times, channels]``: share of variance of held-out units that is predicted; below zero where the mean
        would have been better.
    alpha
        Ridge penalty with the smallest held-out error.
    filtered
        ``[units, times, channels]``: latent-filtered EEG in microvolts, about its mean; None without a decoder.
    """

    weights: Array
    explained: Array
    alpha: float
    filtered: NDArray[np.float32] | None


def forward_model(
    embeddings: Samples,
    samples: Samples,
    folds: NDArray[np.int64],
    alphas: Sequence[float],
    decoded: Samples | None = None,
) -> ForwardModel:
    """Fit the EEG as a linear function of embeddings.

    Parameters
    ----------
    embeddings
        ``[units, dims]`` of what was shown.
    samples
        ``[units, times, channels]`` in microvolts.
    folds
        ``[units]``: no picture is in two folds.
    alphas
        Penalties to choose from.
    decoded
        ``[units, dims]``: embeddings decoded from the EEG by maps that never saw the unit's fold.

    Raises
    ------
    RidgeError
        If there are fewer than two folds, or values are not finite.
    """
    shape = samples.shape[1:]
    mean, std = mean_std(embeddings)
    x, y = (embeddings - mean) / std, samples.reshape(len(samples), -1)
    ridge = fit_ridge(x, y, folds, alphas)
    explained = share_explained(y, ridge.held_out, folds).reshape(shape)
    filtered: NDArray[np.float32] | None = None
    if decoded is not None:
        seen = (decoded - mean) / std
        filtered = np.empty(y.shape, np.float32)
        for fold in np.unique(folds):
            test = folds == fold
            weights, _ = AlphaPath(Moments.of(x[~test], y[~test])).solve(ridge.alpha)
            filtered[test] = (seen[test] - seen[test].mean(axis=0)) @ weights
        filtered = filtered.reshape(-1, *shape)
    return ForwardModel(ridge.weights.reshape(-1, *shape), explained, ridge.alpha, filtered)


def mean_std(rows: Samples) -> tuple[Array, Array]:
    """Return mean and standard deviation ``[columns]`` in double precision; the latter is 1 where nothing varies."""
    std = rows.std(axis=0, dtype=np.float64)
    return rows.mean(axis=0, dtype=np.float64), np.where(std > 1e-12, std, 1.0)


def reading(embeddings: Samples, design: Samples) -> Array:
    """Return what reads an attribute ``[rows, columns]`` from standardised embeddings ``[rows, dims]``."""
    return solve_ridge(embeddings, design, READING_PENALTY * len(embeddings))[0]


def share_explained(true: Samples, predicted: Samples, folds: NDArray[np.int64]) -> Array:
    """Return the share of variance ``[columns]`` of held-out rows that is predicted, about the mean of each fold.

    Parameters
    ----------
    true, predicted
        ``[rows, columns]`` in the same unit; `predicted` by models that never saw the row's fold.
    folds
        ``[rows]``: the fold of each row.
    """
    error, power = np.zeros(true.shape[1]), np.zeros(true.shape[1])
    for fold in np.unique(folds):
        rows = folds == fold
        wanted = true[rows].astype(np.float64)
        error += np.sum((wanted - predicted[rows]) ** 2, axis=0)
        power += np.sum((wanted - wanted.mean(axis=0)) ** 2, axis=0)
    share: Array = 1 - np.divide(error, power, out=np.ones_like(error), where=power > 0)
    return share


def patterns(samples: Samples, decoded: Samples) -> Array:
    """Return Haufe's patterns ``Σ_x W Σ_ŝ⁻¹`` of a decoder ``ŝ = x W``, ``[columns, times, channels]``.

    ``Σ_x W`` is the covariance of samples with what is decoded from them, so neither the covariance of all samples nor
    the weights themselves are needed, and the unit is that of the samples.

    Parameters
    ----------
    samples
        ``[units, times, channels]`` in microvolts, not whitened.
    decoded
        ``[units, columns]``: the decoder's output for these samples.
    """
    centred = decoded.astype(np.float64) - decoded.mean(axis=0, dtype=np.float64)
    flat = samples.reshape(len(samples), -1).astype(np.float64)
    found: Array = np.linalg.pinv(centred, rcond=1e-9) @ (flat - flat.mean(axis=0))
    return found.reshape(-1, *samples.shape[1:])


def noise_ceiling(samples: Samples, names: NDArray[Any]) -> Array | None:
    """Return the share of variance of pictures' mean windows that any model can explain, ``[times, channels]``.

    The variance between means holds the noise of a mean too, and that is known from the repeats (one-way analysis of
    variance). None where fewer than ten pictures were repeated.

    Parameters
    ----------
    samples
        ``[trials, times, channels]`` of single trials.
    names
        ``[trials]``: what was shown.
    """
    _, places, counts = np.unique(names, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts > 1)
    if len(repeated) < 10:
        return None
    means, noise = np.empty((len(repeated), *samples.shape[1:])), np.zeros(samples.shape[1:])
    order = np.argsort(places, kind="stable")
    ends = np.cumsum(counts)
    for row, picture in enumerate(repeated):
        trials = samples[order[ends[picture] - counts[picture] : ends[picture]]].astype(np.float64)
        means[row] = trials.mean(axis=0)
        noise += trials.var(axis=0, ddof=1) / len(trials)
    between = means.var(axis=0, ddof=1)
    signal = np.maximum(between - noise / len(repeated), 0.0)
    ceiling: Array = np.divide(signal, between, out=np.zeros_like(signal), where=between > 0)
    return ceiling
