"""How epochs become features, estimated from training trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.model.earlier import Earlier, pooled
from calibration.model.examples import Layout
from calibration.model.folding import Chain, subtract_baseline
from calibration.model.noise import Candidate, covariance_of_rows, mix, whitening_in_space_and_time
from calibration.model.whitening import noise_covariance, whitening_matrix
from configs.schema import FitSettings

Array = NDArray[np.float64]

AS_THEY_ARE = Candidate()
LARGE = 6000
"""Trials and features up to which every penalty is tried on samples as they are: each fold has a decomposition of that
size, which takes minutes and gigabytes."""
_BLOCK = 1024
"""Trials that are in double precision at a time."""


@dataclass(frozen=True)
class Scaling:
    """How epochs become features.

    Attributes
    ----------
    layout
        Where window and baseline lie.
    temporal
        ``[window times, steps]``; None where samples are used as they are.
    whitening
        ``[channels, channels]``.
    mean, std
        ``[steps, channels]`` of the whitened training window.
    """

    layout: Layout
    temporal: Array | None
    whitening: Array
    mean: Array
    std: Array

    def apply(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features ``[trials, steps × channels]`` of epochs ``[trials, times, channels]``."""
        window = subtract_baseline(samples, self.layout.baseline, self.layout.start)
        return self.standardise(self.mixed(window))

    def rows_of(self, earlier: Earlier) -> Array:
        """Return the features ``[rows, steps × channels]`` of what a source remembers, about its own mean."""
        window = self.mixed(earlier.memory.window) / self.std
        return window.reshape(len(window), -1).astype(np.float64)

    def mixed(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return windows ``[n, times, channels]`` averaged and whitened, ``[n, steps, channels]``."""
        mixed = window if self.temporal is None else mix(window, self.temporal)
        return mixed @ self.whitening.astype(np.float32)

    def unfolded(self, weights: Array) -> Array:
        """Return weights ``[steps × channels, dims]`` of features as those of a window, ``[times, channels, dims]``."""
        scaled = weights.reshape(*self.mean.shape, -1) / self.std[:, :, None]
        window: Array = np.einsum("ce,ted->tcd", self.whitening, scaled, optimize=True)
        return window if self.temporal is None else np.tensordot(self.temporal, window, axes=1)

    def level(self, weights: Array) -> Array:
        """Return what weights of features make of the mean window, ``[dims]``."""
        level: Array = (self.mean / self.std).reshape(-1) @ weights
        return level

    def chain(
        self, weights: Array, intercept: Array, predicted: tuple[Array, Array], target: tuple[Array, Array]
    ) -> Chain:
        """Return the steps from an epoch in microvolts to an embedding.

        Parameters
        ----------
        weights, intercept
            ``[steps × channels, dims]`` and ``[dims]``: the map of the features.
        predicted, target
            Mean and standard deviation ``[dims]`` of single trials' predictions, and what they are to be.
        """
        to_features = self.temporal, self.whitening, self.mean, self.std
        return Chain(self.layout.baseline, self.layout.start, *to_features, weights, intercept, *predicted, *target)

    def standardise(self, whitened: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn whitened windows into their features, in place, and return them as ``[trials, steps × channels]``."""
        for start in range(0, len(whitened), _BLOCK):
            block = whitened[start : start + _BLOCK]
            block[:] = (block - self.mean) / self.std
        return whitened.reshape(len(whitened), -1)


def scale(
    samples: NDArray[np.float32],
    layout: Layout,
    whiten: bool,
    candidate: Candidate = AS_THEY_ARE,
    earlier: Sequence[Earlier] = (),
    classes: NDArray[np.int64] | None = None,
) -> tuple[Scaling, NDArray[np.float32]]:
    """Return the scaling estimated from training epochs, and their features.

    Parameters
    ----------
    samples
        float32 ``[trials, times, channels]`` in microvolts.
    layout
        Where window and baseline lie.
    whiten
        Whether channels are whitened where `candidate` uses samples as they are.
    candidate
        What is done over time, and with it over channels.
    earlier
        Sources whose noise and mean are pooled with those of the epochs, by their worths.
    classes
        ``[trials]``: classes about whose means the noise in space and time is; None for that about the mean of all.
    """
    window = subtract_baseline(samples, layout.baseline, layout.start)
    temporal: Array | None = None
    if candidate.step_s and layout.times_s is not None:
        temporal, whitening = whitening_in_space_and_time(window, layout.times_s, candidate, earlier, classes)
    elif whiten:
        covariances = [(each, covariance_of_rows(each.memory.window, each.memory.n_trials)) for each in earlier]
        whitening = whitening_matrix(pooled(noise_covariance(window), len(window), covariances))
    else:
        whitening = np.eye(window.shape[2])
    plain = Scaling(layout, temporal, whitening, np.zeros(1), np.ones(1))
    rows = [(each, plain.mixed(each.memory.window)) for each in earlier]
    means = [(each, plain.mixed(each.memory.mean_window[None])[0].astype(np.float64)) for each in earlier]
    window = plain.mixed(window)
    variances = [(each, np.einsum("rtc,rtc->tc", part, part) / each.memory.n_trials) for each, part in rows]
    mean = pooled(window.mean(axis=0, dtype=np.float64), len(window), means)
    std = _deviation(window)
    if earlier:
        std = np.sqrt(pooled(std**2, len(window), variances))
    varies = std > 1e-9 * max(float(std.max()), 1e-30)
    # Steps keep their size: what the prior makes small must stay small.
    std = np.where(varies, std, 1.0) if temporal is None else np.ones_like(std)
    scaling = Scaling(layout, temporal, whitening, mean, std)
    return scaling, scaling.standardise(window)


def _deviation(window: NDArray[np.float32]) -> Array:
    """Return the standard deviation over trials ``[steps, channels]``, of which few are in double precision at once."""
    mean, total = window.mean(axis=0, dtype=np.float64), np.zeros(window.shape[1:])
    for start in range(0, len(window), _BLOCK):
        total += np.square(window[start : start + _BLOCK] - mean).sum(axis=0)
    deviation: Array = np.sqrt(total / len(window))
    return deviation


def candidates(layout: Layout, settings: FitSettings, shape: Sequence[int]) -> tuple[Candidate, ...]:
    """Return what there is to choose from, the one that is taken unless another is better first.

    A shorter window has a part where at least two steps of the window lie in it and one outside. Samples as they are
    have no part where trials and features are both more than `LARGE`.

    Parameters
    ----------
    layout
        Where the window lies, and when its samples were taken.
    settings
        Steps, time scales and windows.
    shape
        Trials, times and channels.
    """
    times_s = layout.times_s
    if settings.choose == "error" or times_s is None or times_s[-1] - times_s[0] < 2 * settings.step_s:
        return (AS_THEY_ARE,)
    windows: list[tuple[float, float] | None] = [None]
    for start_s, stop_s in settings.windows:
        inside = np.count_nonzero((times_s >= start_s - 1e-6) & (times_s < stop_s - 1e-6))
        step = settings.step_s * (len(times_s) - 1) / float(times_s[-1] - times_s[0])
        if 2 * step <= inside <= len(times_s) - step:
            windows.append((start_s, stop_s))
    everything = Candidate(settings.step_s, settings.smooth_s, tuple(windows))
    alone = [Candidate(settings.step_s, (scale_s,), (part,)) for part in windows[1:] for scale_s in settings.smooth_s]
    plain = (AS_THEY_ARE,) if min(shape[0], len(times_s) * shape[2]) <= LARGE else ()
    return (everything, *(one for one in alone if any(one.smooth_s)), *plain)
