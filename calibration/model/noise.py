"""Noise in space and time, and how smooth a map may be: from epochs to features in which ridge's penalty is right.

Ridge takes the noise of all features to be equal and independent, and every weight to be as likely as any other. EEG is
neither: what neighbouring electrodes and neighbouring samples share is most of an epoch. So steps of a few samples are
averaged, channels and time are whitened by the covariance of their noise, and what the brain answers is expected to be
smooth over time, a Gaussian process. An answer ``a`` in noise of covariance ``S`` is best read by the weights ``S⁻¹a``,
so a prior covariance ``K`` of answers is the prior ``S⁻¹ K S⁻¹`` of weights: ridge on samples times ``S⁻¹ K^½``.

The full covariance of an epoch, shrunk towards this one (the Kronecker product of time and channels), needs no step of
its own: ridge with penalty `alpha` on `n` whitened trials inverts ``S + alpha / n`` there, which in the samples'
coordinates is the sample covariance plus that share of the Kronecker product. With a large `alpha` the map of two
classes is the linear discriminant of the Kronecker covariance.

The covariance is that of trials about the mean over all of them: no label enters, so nothing here needs to be fitted
anew where labels are shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.model.earlier import Earlier, pooled
from calibration.model.whitening import noise_covariance, whitening_matrix

Array = NDArray[np.float64]

TIME_SHRINKAGE = 0.3
"""Share of white noise in the covariance over time; without it, what the filters took out would be blown up."""
_BLOCK = 256


@dataclass(frozen=True)
class Candidate:
    """One way from epochs to features.

    Attributes
    ----------
    window_s
        The part of the window that is used, in seconds after onset; None for all of it.
    step_s
        Length of the steps that are averaged, and whose noise is whitened in space and time; 0 for samples as they are,
        each feature divided by its standard deviation.
    smooth_s
        Time scale of the answers that are expected; 0 for none, and weights that are independent once whitened.
    """

    window_s: tuple[float, float] | None = None
    step_s: float = 0.0
    smooth_s: float = 0.0

    def __str__(self) -> str:
        """Say in a few words what is done."""
        window = "" if self.window_s is None else f", {1e3 * self.window_s[0]:g} to {1e3 * self.window_s[1]:g} ms"
        if not self.step_s:
            return f"samples as they are{window}"
        smooth = f"smooth over {1e3 * self.smooth_s:g} ms" if self.smooth_s else "no prior over time"
        return f"noise in space and time, {smooth}{window}"


def steps(times_s: Array, step_s: float, window_s: tuple[float, float] | None = None) -> tuple[Array, Array]:
    """Return what averages samples into steps, ``[times, steps]``, and the steps' middles in seconds.

    Parameters
    ----------
    times_s
        ``[times]``: the samples' times, evenly spaced.
    step_s
        Length of a step, at least a sample; the last is shorter where samples are left over.
    window_s
        Samples outside have no part in any step.
    """
    margin = 1e-6
    inside = np.ones(len(times_s), dtype=np.bool_)
    if window_s is not None:
        inside = (times_s >= window_s[0] - margin) & (times_s < window_s[1] - margin)
    rows = np.flatnonzero(inside)
    each = max(1, round(step_s * (len(times_s) - 1) / max(float(times_s[-1] - times_s[0]), margin)))
    of_step = np.arange(len(rows)) // each
    mean = np.zeros((len(times_s), int(of_step.max(initial=-1)) + 1))
    mean[rows, of_step] = 1.0
    mean /= mean.sum(axis=0)
    return mean, times_s @ mean


def time_covariance(samples: NDArray[np.floating[Any]]) -> Array:
    """Return the covariance over time ``[times, times]`` of trials about their mean, shrunk towards white noise.

    Parameters
    ----------
    samples
        ``[trials, times, channels]``: the training trials, channels whitened.
    """
    n, times, channels = samples.shape
    evoked = samples.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((times, times))
    for start in range(0, n, _BLOCK):
        noise = (samples[start : start + _BLOCK] - evoked).transpose(1, 0, 2).reshape(times, -1)
        covariance += noise @ noise.T / (n * channels)
    return _shrunk(covariance)


def covariance_of_rows(rows: NDArray[np.floating[Any]], n_trials: int) -> Array:
    """Return the covariance ``[channels, channels]`` of what is remembered of `n_trials` trials.

    Parameters
    ----------
    rows
        ``[rows, times, channels]``, about their mean, as `Memory.window` holds them.
    n_trials
        How many trials the rows stand for.
    """
    flat = rows.reshape(-1, rows.shape[2]).astype(np.float64)
    covariance: Array = flat.T @ flat / (n_trials * rows.shape[1])
    return covariance


def _shrunk(covariance: Array) -> Array:
    """Return the covariance over time shrunk towards white noise."""
    white = float(np.trace(covariance)) / len(covariance) * np.eye(len(covariance))
    shrunk: Array = (1 - TIME_SHRINKAGE) * covariance + TIME_SHRINKAGE * white
    return shrunk


def smooth_root(times_s: Array, scale_s: float) -> Array:
    """Return a root ``[steps, steps]`` of a Gaussian process' covariance with the time scale `scale_s`."""
    covariance = np.exp(-0.5 * (np.subtract.outer(times_s, times_s) / scale_s) ** 2)
    values, vectors = np.linalg.eigh(covariance)
    root: Array = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def whitening_in_space_and_time(
    window: NDArray[np.floating[Any]], times_s: Array, candidate: Candidate, earlier: Sequence[Earlier] = ()
) -> tuple[Array, Array]:
    """Return what turns windows into features: over time ``[times, steps]`` and over channels ``[channels, channels]``.

    Features of the training trials have mean square 1, so that a penalty means the same for every candidate.

    Parameters
    ----------
    window
        ``[trials, times, channels]``: the training trials' windows.
    times_s
        ``[times]`` in seconds after onset.
    candidate
        Steps, window and smoothness.
    earlier
        Sources whose noise is pooled with that of the trials, by their worths.
    """
    mean, middles = steps(times_s, candidate.step_s, candidate.window_s)
    averaged = mix(window, mean)
    rows = [(each, mix(each.memory.window, mean)) for each in earlier]
    covariances = [(each, covariance_of_rows(part, each.memory.n_trials)) for each, part in rows]
    channels = whitening_matrix(pooled(noise_covariance(averaged), len(window), covariances))
    over_times = [
        (each, _shrunk(covariance_of_rows((part @ channels).swapaxes(1, 2), each.memory.n_trials)))
        for each, part in rows
    ]
    covariance = pooled(time_covariance(averaged @ channels), len(window), over_times)
    over_time = whitening_matrix(covariance)
    if candidate.smooth_s:
        over_time = over_time @ over_time @ smooth_root(middles, candidate.smooth_s)
    # The variance of what comes out, from the covariance of what goes in.
    power = float(np.einsum("sk,st,tk->", over_time, _measured(covariance), over_time)) / over_time.shape[1]
    return mean @ over_time / np.sqrt(max(power, 1e-30)), channels


def _measured(covariance: Array) -> Array:
    """Return the covariance over time before it was shrunk."""
    level = float(np.trace(covariance)) / len(covariance)
    plain: Array = (covariance - TIME_SHRINKAGE * level * np.eye(len(covariance))) / (1 - TIME_SHRINKAGE)
    return plain


def mix(window: NDArray[np.floating[Any]], mixing: Array) -> NDArray[np.float32]:
    """Return windows ``[trials, times, channels]`` mixed over time, ``[trials, steps, channels]``."""
    mixed: NDArray[np.float32] = mixing.T.astype(np.float32) @ window
    return mixed
