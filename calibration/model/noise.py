"""Noise in space and time, and how smooth a map may be: from epochs to features in which ridge's penalty is right.

Ridge takes the noise of all features to be equal and independent, and every weight to be as likely as any other. EEG is
neither: what neighbouring electrodes and neighbouring samples share is most of an epoch. So steps of a few samples are
averaged, channels and time are whitened by the covariance of their noise, and what the brain answers is expected to be
smooth over time, a Gaussian process. An answer ``a`` in noise of covariance ``S`` is best read by the weights ``S⁻¹a``,
so a prior covariance ``K`` of answers is the prior ``S⁻¹ K S⁻¹`` of weights: ridge on samples times ``S⁻¹ K^½``.

How slow answers are and when they come differs between tasks, and a few hundred weak trials do not tell: of several
priors, the one that looked best was often not. So the prior is a mixture: ``K`` is the sum over all time scales and
windows, and the map what each of them expects, as far as the trials bear it out.

The full covariance of an epoch, shrunk towards this one (the Kronecker product of time and channels), needs no step of
its own: ridge with penalty `alpha` on `n` whitened trials inverts ``S + alpha / n`` there, which in the samples'
coordinates is the sample covariance plus that share of the Kronecker product. With a large `alpha` the map of two
classes is the linear discriminant of the Kronecker covariance.

Ways are compared with the covariance of trials about the mean over all of them, which needs no label. Where a few
classes are told apart, the map of the way that is chosen has that of trials about the mean of their class: what classes
differ by is no noise, and taken for noise it is what a map of few trials looks away from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.model.earlier import Earlier, pooled
from calibration.model.examples import Examples, Layout
from calibration.model.folding import Chain, subtract_baseline
from calibration.model.whitening import between, class_means, noise_covariance, whitening_matrix

Array = NDArray[np.float64]

TIME_SHRINKAGE = 0.3
"""Share of white noise in the covariance over time; without it, what the filters took out would be blown up."""
_LEAST = 1e-4
"""Share of the largest variance that the prior expects, from which a direction in time has a feature."""
_BLOCK = 256
_ENOUGH = 2000


Window = tuple[float, float]


@dataclass(frozen=True)
class Candidate:
    """One way from epochs to features.

    Attributes
    ----------
    step_s
        Length of the steps that are averaged, and whose noise is whitened in space and time; 0 for samples as they are,
        each feature divided by its standard deviation.
    smooth_s
        Time scales of the answers that are expected; 0 for answers that vary over time as the noise does.
    windows
        Where in the window answers are expected, each start and stop in seconds after onset; None for everywhere.
    """

    step_s: float = 0.0
    smooth_s: tuple[float, ...] = (0.0,)
    windows: tuple[Window | None, ...] = (None,)

    def __str__(self) -> str:
        """Say in a few words what is done."""
        if not self.step_s:
            return "samples as they are"
        smooth = " and ".join(
            f"smooth over {1e3 * scale:g} ms" if scale else "like the noise" for scale in self.smooth_s
        )
        said = f"noise in space and time, answers {smooth}"
        parts = [f"{1e3 * window[0]:g} to {1e3 * window[1]:g} ms" for window in self.windows if window is not None]
        if not parts:
            return said
        return f"{said}, {'more' if None in self.windows else 'only'} from {' and '.join(parts)}"


def steps(times_s: Array, step_s: float) -> tuple[Array, Array]:
    """Return what averages samples into steps, ``[times, steps]``, and the steps' middles in seconds.

    Parameters
    ----------
    times_s
        ``[times]``: the samples' times, evenly spaced.
    step_s
        Length of a step, at least a sample; the last is shorter where samples are left over.
    """
    each = max(1, round(step_s * (len(times_s) - 1) / max(float(times_s[-1] - times_s[0]), 1e-6)))
    of_step = np.arange(len(times_s)) // each
    mean: Array = (of_step[:, None] == np.arange(of_step[-1] + 1)).astype(np.float64)
    mean /= mean.sum(axis=0)
    return mean, times_s @ mean


def time_covariance(samples: NDArray[np.floating[Any]], apart: Array | None = None) -> Array:
    """Return the covariance over time ``[times, times]`` of trials about their mean, shrunk towards white noise.

    Parameters
    ----------
    samples
        ``[trials, times, channels]``: the training trials, channels whitened.
    apart
        ``[classes, times, channels]``: what classes differ by and is no noise, channels whitened alike.
    """
    n, times, channels = samples.shape
    evoked = samples.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((times, times))
    for start in range(0, n, _BLOCK):
        noise = (samples[start : start + _BLOCK] - evoked).transpose(1, 0, 2).reshape(times, -1)
        covariance += noise @ noise.T / (n * channels)
    return shrunk_over_time(covariance if apart is None else covariance - between(apart.swapaxes(1, 2)))


def noise_over_time(samples: NDArray[np.floating[Any]]) -> Array:
    """Return the covariance over time ``[times, times]`` of epochs as they are, channels whitened, up to its unit.

    Parameters
    ----------
    samples
        ``[trials, times, channels]`` in microvolts; of very many trials, some evenly spaced ones are enough.
    """
    some = some_of(samples)
    return time_covariance(some @ whitening_matrix(noise_covariance(some)).astype(np.float32))


def some_of(trials: NDArray[Any]) -> NDArray[Any]:
    """Return evenly spaced ones of very many trials, enough for a covariance over time."""
    return trials[:: max(1, len(trials) // _ENOUGH)]


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


def shared_by_channels(
    examples: Examples, layout: Layout, chain: Chain
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return by what a map's missing channels are guessed from the others, and what they are to it.

    Both are of the features that the map reads: what it does not read of a channel need not be guessed.

    Parameters
    ----------
    examples
        What the map was fitted on; trials that do not teach are left out.
    layout
        Where window and baseline lie.
    chain
        The map.

    Returns
    -------
    Two matrices ``[channels, channels]``: the noise covariance, and the one whose elementwise product with a covariance
    of channels sums to the variance of the map's predictions, all dimensions alike.
    """
    window = subtract_baseline(examples.samples[examples.teaches], layout.baseline, layout.start)
    features = window if chain.temporal is None else mix(window, chain.temporal)
    covariance = noise_covariance(features)
    over_time = time_covariance(features @ whitening_matrix(covariance).astype(np.float32))
    read = np.einsum("ce,ted->tcd", chain.whitening, chain.weights_per_unit, optimize=True)
    return covariance.astype(np.float32), _use(read, over_time)


def use_of(weights: NDArray[np.float32], samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what channels are to a map of samples as they are: see the second matrix of `shared_by_channels`.

    Parameters
    ----------
    weights
        ``[times, channels, dims]``.
    samples
        ``[trials, times, channels]`` in microvolts: what the map was fitted on.
    """
    return _use(weights, noise_over_time(samples))


def _use(weights: NDArray[np.floating[Any]], over_time: Array) -> NDArray[np.float32]:
    values, vectors = np.linalg.eigh(over_time)
    summed = (vectors * np.sqrt(np.maximum(values, 0.0))).T @ weights.reshape(len(weights), -1)
    by_channel = summed.reshape(weights.shape).swapaxes(0, 1).reshape(weights.shape[1], -1)
    use: NDArray[np.float32] = (by_channel @ by_channel.T).astype(np.float32)
    return use


def shrunk_over_time(covariance: Array) -> Array:
    """Return the covariance over time shrunk towards white noise."""
    white = float(np.trace(covariance)) / len(covariance) * np.eye(len(covariance))
    shrunk: Array = (1 - TIME_SHRINKAGE) * covariance + TIME_SHRINKAGE * white
    return shrunk


def expected(times_s: Array, noise: Array, candidate: Candidate) -> Array:
    """Return the prior covariance ``[steps, steps]`` of answers: the sum over time scales and windows.

    Parameters
    ----------
    times_s
        ``[steps]``: the steps' middles, in seconds after onset.
    noise
        ``[steps, steps]``: the covariance over time of the noise.
    candidate
        Time scales and windows.
    """
    apart = np.subtract.outer(times_s, times_s)
    scales = np.zeros_like(noise)
    for scale_s in candidate.smooth_s:
        scales += np.exp(-0.5 * (apart / scale_s) ** 2) if scale_s else noise * (len(noise) / np.trace(noise))
    total = np.zeros_like(noise)
    for window in candidate.windows:
        inside = np.ones(len(times_s), dtype=np.bool_)
        if window is not None:
            inside = (times_s >= window[0]) & (times_s < window[1])
        total += np.where(np.outer(inside, inside), scales, 0.0)
    return total


def _root(covariance: Array) -> Array:
    """Return a root ``[steps, rank]``; what is expected next to never takes no features."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _LEAST * values[-1]
    root: Array = vectors[:, kept] * np.sqrt(values[kept])
    return root


def whitening_in_space_and_time(
    window: NDArray[np.floating[Any]],
    times_s: Array,
    candidate: Candidate,
    earlier: Sequence[Earlier] = (),
    classes: NDArray[np.int64] | None = None,
) -> tuple[Array, Array]:
    """Return what makes features of epochs: over time ``[times, features]``, over channels ``[channels, channels]``.

    Features of the training trials have mean square 1, so that a penalty means the same for every candidate.

    Parameters
    ----------
    window
        ``[trials, times, channels]``: the training trials' windows.
    times_s
        ``[times]`` in seconds after onset.
    candidate
        Steps, and the answers that are expected.
    earlier
        Sources whose noise is pooled with that of the trials, by their worths.
    classes
        ``[trials]``: the classes whose differences are no noise; None where there are none.
    """
    mean, middles = steps(times_s, candidate.step_s)
    averaged = mix(window, mean)
    rows = [(each, mix(each.memory.noise(), mean)) for each in earlier]
    covariances = [(each, covariance_of_rows(part, each.memory.n_trials)) for each, part in rows]
    apart = None if classes is None else class_means(averaged, classes)
    channels = whitening_matrix(pooled(noise_covariance(averaged, apart), len(window), covariances))
    over_times = [
        (each, shrunk_over_time(covariance_of_rows((part @ channels).swapaxes(1, 2), each.memory.n_trials)))
        for each, part in rows
    ]
    own = time_covariance(averaged @ channels, None if apart is None else apart @ channels)
    return mean @ features_over_time(pooled(own, len(window), over_times), middles, candidate), channels


def features_over_time(covariance: Array, middles: Array, candidate: Candidate) -> Array:
    """Return what makes features of steps, ``[steps, features]``; those of noise have mean square 1.

    Parameters
    ----------
    covariance
        ``[steps, steps]``: that of the noise, channels whitened, shrunk.
    middles
        ``[steps]``, in seconds after onset.
    candidate
        The answers that are expected.
    """
    white_over_time = whitening_matrix(covariance)
    over_time = white_over_time @ white_over_time @ _root(expected(middles, covariance, candidate))
    # The variance of what comes out, from the covariance of what goes in.
    power = float(np.einsum("sk,st,tk->", over_time, _measured(covariance), over_time)) / over_time.shape[1]
    features: Array = over_time / np.sqrt(max(power, 1e-30))
    return features


def _measured(covariance: Array) -> Array:
    """Return the covariance over time before it was shrunk."""
    level = float(np.trace(covariance)) / len(covariance)
    plain: Array = (covariance - TIME_SHRINKAGE * level * np.eye(len(covariance))) / (1 - TIME_SHRINKAGE)
    return plain


def mix(window: NDArray[np.floating[Any]], mixing: Array) -> NDArray[np.float32]:
    """Return windows ``[trials, times, channels]`` mixed over time, ``[trials, steps, channels]``."""
    mixed: NDArray[np.float32] = mixing.T.astype(np.float32) @ window
    return mixed
