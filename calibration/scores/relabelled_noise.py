"""Maps whose noise is made anew for each labelling: what classes differ by is no noise, and is other each time.

Labels change two small matrices, the noise's covariances of channels and of time: from those of trials about the mean
of all, what the means of the classes make of them is taken away. No trial is gone through again: where trials are more
than features, as many rows as features have the same sums of products.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from calibration.model.examples import Layout
from calibration.model.folding import subtract_baseline
from calibration.model.noise import Candidate, features_over_time, mix, shrunk_over_time, steps
from calibration.model.whitening import between, channel_covariance, class_means, shrunk, whitening_matrix

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class RelabelledNoise:
    """The maps of one way to features, for any labelling of the same trials.

    Parameters
    ----------
    samples
        ``[trials, times, channels]``: the training trials.
    unseen
        ``[unseen, times, channels]``: what the maps predict.
    layout
        Where window and baseline lie.
    times_s
        ``[times]``: when the window's samples were taken, in seconds after onset.
    candidate
        The way, of noise in space and time.
    """

    def __init__(
        self,
        samples: NDArray[np.float32],
        unseen: NDArray[np.float32],
        layout: Layout,
        times_s: Array,
        candidate: Candidate,
    ) -> None:
        mean, self._middles = steps(times_s, candidate.step_s)
        averaged = mix(subtract_baseline(samples, layout.baseline, layout.start), mean)
        self._candidate, self._n = candidate, len(averaged)
        self._covariance, self._shrinkage = channel_covariance(averaged)
        level = averaged.mean(axis=0, dtype=np.float64)
        self._trials = averaged - level
        shape = self._trials.shape
        rows = self._trials
        if self._n > shape[1] * shape[2]:
            rows = np.asarray(np.linalg.qr(self._trials.reshape(self._n, -1), mode="r")).reshape(-1, *shape[1:])
        self._unseen = _steps_first(mix(subtract_baseline(unseen, layout.baseline, layout.start), mean) - level)
        self._rows = _steps_first(rows)

    def predict(self, labels: Index, wanted: Array, alpha: float) -> Array:
        """Return predictions ``[unseen, columns]`` of the map for one labelling, without its intercept.

        Parameters
        ----------
        labels, wanted, alpha
            ``[trials]`` from 0; what the map learns, ``[trials, columns]``; the penalty.
        """
        apart = class_means(self._trials, labels)
        channels = whitening_matrix(shrunk(self._covariance - between(apart), self._shrinkage))
        white = self._rows @ channels
        flat = white.reshape(len(white), -1)
        noise = flat @ flat.T / (self._n * len(channels)) - between((apart @ channels).swapaxes(1, 2))
        over_time = features_over_time(shrunk_over_time(noise), self._middles, self._candidate)
        features = _mixed(white, over_time)
        if features.shape[1] > self._n:
            weights = features.T @ _solved(features @ features.T, wanted, alpha)
        else:
            cross = np.tensordot(self._trials, wanted, axes=(0, 0))
            inside = np.einsum("sk,scj,ce->kej", over_time, cross, channels, optimize=True)
            weights = _solved(features.T @ features, inside.reshape(features.shape[1], -1), alpha)
        predicted: Array = _mixed(self._unseen @ channels, over_time) @ weights
        return predicted


def _steps_first(windows: NDArray[np.floating]) -> Array:
    """Return windows ``[n, steps, channels]`` as ``[steps, n, channels]``: over time, all is one product then."""
    return np.ascontiguousarray(windows.swapaxes(0, 1), dtype=np.float64)


def _mixed(white: Array, over_time: Array) -> Array:
    """Return the features ``[n, features × channels]`` of ``[steps, n, channels]``."""
    mixed = (over_time.T @ white.reshape(len(white), -1)).reshape(-1, *white.shape[1:])
    return mixed.swapaxes(0, 1).reshape(white.shape[1], -1)


def _solved(matrix: Array, wanted: Array, alpha: float) -> Array:
    matrix.flat[:: len(matrix) + 1] += alpha
    solved: Array = linalg.solve(matrix, wanted, assume_a="pos", overwrite_a=True, check_finite=False)
    return solved
