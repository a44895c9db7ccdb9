"""A session brought to its calibration without labels: EEG by its covariance, embeddings by their mean and size.

Either once, by the first windows, or by following slow changes of the embeddings, such as a drying electrode makes.

Euclidean alignment (He & Wu 2020) makes the mean covariance of every session the identity. Here a session is taken to
its calibration instead, by the symmetric matrix that moves samples least (optimal transport between Gaussians, Olkin &
Pukelsheim 1982), and by no more than its windows show: covariances are compared where the calibration's is white,
shrunk towards a change of size alone, and no direction there is changed by more than `MOST_MIXED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.decoding.linear_decoder import WindowWeights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST_SHIFT = 1.0
"""How far the mean may be moved, in standard deviations of the gallery, in each dimension."""
MOST_SCALE = 2.0
"""By what factor the size of embeddings may be changed at most, either way."""
MOST_MIXED = 4.0
"""By what factor a direction of the EEG may be, where the calibration's are white."""
_BLOCK = 256
_LEAST = 1e-8
"""Share of the largest variance that each direction is taken to have at least, such as that of an average reference."""


@dataclass(frozen=True)
class Calibrated:
    """What a session is compared with.

    Attributes
    ----------
    mean_input, covariance
        ``[times, channels]`` and ``[channels, channels]``: the mean window in microvolts, and the mean of
        `window_covariances`.
    mean, std
        ``[dims]``: of the embeddings, and of an identification head's output where there is one.
    """

    mean_input: NDArray[np.floating[Any]]
    covariance: NDArray[np.floating[Any]]
    mean: NDArray[np.floating[Any]]
    std: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Alignment:
    """What windows without labels say of how a session differs.

    Attributes
    ----------
    mixing
        ``[channels, channels]``: ``samples @ mixing`` vary as the calibration's do.
    gain, offset
        ``[dims]``: ``gain × embedding + offset`` are where the calibration's are.
    shift
        How far embeddings are moved: root mean square over dimensions, in standard deviations.
    scale
        By what factor they are stretched: geometric mean over dimensions.
    eeg
        The same over the directions of the EEG.
    """

    mixing: Array
    gain: Array
    offset: Array
    shift: float
    scale: float
    eeg: float

    def record(self) -> dict[str, float]:
        """Return what is told of it."""
        return {"shift": self.shift, "scale": self.scale, "eeg": self.eeg}

    def folded(self, plain: WindowWeights) -> WindowWeights:
        """Return the weights of the session's samples; columns behind the embedding's keep their size."""
        channels, columns = len(self.mixing), plain.weights.shape[1]
        more = columns - len(self.gain)
        gain, offset = np.pad(self.gain, (0, more), constant_values=1.0), np.pad(self.offset, (0, more))
        mixed = self.mixing.astype(np.float32) @ plain.weights.reshape(-1, channels, columns)
        mixed *= gain.astype(np.float32)
        return WindowWeights(mixed.reshape(-1, columns), (plain.bias * gain + offset).astype(np.float32))


def align(
    windows: NDArray[np.float32], plain: WindowWeights, calibrated: Calibrated, *, eeg: bool, embeddings: bool
) -> Alignment:
    """Return how to bring windows like these to what the map was calibrated on.

    Parameters
    ----------
    windows
        ``[n, times, channels]`` in microvolts, whatever was shown; at least two.
    plain
        The map; what is behind the embedding's columns is not looked at.
    calibrated
        What the map was calibrated on.
    eeg, embeddings
        Which of the two to align; embeddings are those of aligned EEG.
    """
    channels, dims = windows.shape[2], len(calibrated.mean)
    mixing, gain, offset, shift, size = np.eye(channels), np.ones(dims), np.zeros(dims), 0.0, 1.0
    if eeg:
        covariances = window_covariances(windows, calibrated.mean_input)
        mixing, size = mixing_between(covariances, np.asarray(calibrated.covariance, dtype=np.float64))
    if embeddings:
        mixed = (windows @ mixing).astype(np.float32).reshape(len(windows), -1)
        decoded = mixed @ plain.weights[:, :dims] + plain.bias[:dims]
        gain, offset, shift = standardising(decoded, calibrated.mean, calibrated.std)
    return Alignment(mixing, gain, offset, shift, float(np.exp(np.mean(np.log(gain)))), size)


def window_covariances(windows: NDArray[np.floating[Any]], mean_input: NDArray[np.floating[Any]]) -> Array:
    """Return the covariance ``[n, channels, channels]`` of each window's samples about the mean window.

    Each window's own level is taken out: where it lies is what baselines and filters are for.

    Parameters
    ----------
    windows, mean_input
        ``[n, times, channels]`` and ``[times, channels]``, µV.
    """
    noise = windows.astype(np.float64) - mean_input
    noise -= noise.mean(axis=1, keepdims=True)
    found: Array = noise.swapaxes(1, 2) @ noise / windows.shape[1]
    return found


def mean_covariance(windows: NDArray[np.floating[Any]], mean_input: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the mean of `window_covariances`, a block of windows at a time.

    Parameters
    ----------
    windows, mean_input
        ``[n, times, channels]`` and ``[times, channels]``, µV.
    """
    total = np.zeros((windows.shape[2], windows.shape[2]))
    for start in range(0, len(windows), _BLOCK):
        total += window_covariances(windows[start : start + _BLOCK], mean_input).sum(axis=0)
    return (total / len(windows)).astype(np.float32)


def mixing_between(covariances: Array, calibrated: Array) -> tuple[Array, float]:
    """Return ``[channels, channels]`` that gives samples the calibration's covariance, and by what factor it scales.

    It is symmetric, and so is its inverse, which takes the calibration to the session.

    Parameters
    ----------
    covariances
        ``[n, channels, channels]``: those of a session's windows.
    calibrated
        ``[channels, channels]``: the calibration's.
    """
    back, white = symmetric_roots(calibrated)
    each = white @ covariances @ white
    mean = each.mean(axis=0)
    of_one_size = np.trace(mean) / len(mean) * np.eye(len(mean))
    # Ledoit & Wolf 2004: as far as the windows differ among themselves, their mean is not believed.
    error, distance = float(np.sum((each - mean) ** 2)) / len(each) ** 2, float(np.sum((mean - of_one_size) ** 2))
    shrinkage = error / distance if distance > error else 1.0
    spread, turn = np.linalg.eigh((1 - shrinkage) * mean + shrinkage * of_one_size)
    sizes = np.clip(np.sqrt(np.maximum(spread, 1e-30)), 1 / MOST_MIXED, MOST_MIXED)
    # A root of the session's covariance: back in microvolts, where its electrodes lie beside the calibration's.
    root, inverse = symmetric_roots(back @ (turn * sizes**2) @ turn.T @ back)
    mixing: Array = inverse @ symmetric_roots(root @ back @ back @ root)[0] @ inverse
    return mixing, float(np.exp(-np.mean(np.log(sizes))))


def symmetric_roots(covariance: Array) -> tuple[Array, Array]:
    """Return the symmetric square root of a covariance and its inverse; what has no variance is not blown up.

    Symmetric roots turn directions as little as possible, so a whitened channel is still that channel.
    """
    values, vectors = np.linalg.eigh(covariance)
    size = np.sqrt(np.maximum(values, max(float(values[-1]), 1e-30) * _LEAST))
    return (vectors * size) @ vectors.T, (vectors * (1.0 / size)) @ vectors.T


def standardising(
    embeddings: NDArray[np.floating[Any]], mean: NDArray[np.floating[Any]], std: NDArray[np.floating[Any]]
) -> tuple[Array, Array, float]:
    """Return gain and offset ``[dims]`` that bring embeddings to a mean and a spread, and how far they were off.

    Parameters
    ----------
    embeddings
        ``[n, dims]``, whatever was shown; at least two.
    mean, std
        ``[dims]``: where they should be; a dimension that has no spread is left alone.
    """
    varies = std > 0
    inverse = np.divide(1.0, std, out=np.zeros(len(std)), where=varies)
    standardised = (embeddings.astype(np.float64) - mean) * inverse
    shift = np.clip(standardised.mean(axis=0), -MOST_SHIFT, MOST_SHIFT)
    found = np.where(varies, standardised.std(axis=0), 1.0)
    gain = np.clip(1.0 / np.maximum(found, 1e-30), 1 / MOST_SCALE, MOST_SCALE)
    offset: Array = mean - gain * (mean + shift * std)
    return gain, offset, float(np.sqrt(np.mean(shift**2)))


class DriftCorrection:
    """Brings the mean and the size of single-trial embeddings back to what they were at calibration.

    Both are followed by exponential averages and corrected within bounds. It takes the pictures of a session to be
    varied: where one picture is shown over and over, the correction slowly removes what makes it that picture.

    Parameters
    ----------
    mean, std
        ``[dims]``: of the pictures that the map was calibrated on, which is also its predictions' mean.
    length
        Usual length of a standardised embedding at calibration; None to leave the size alone.
    trials
        Memory of the averages, in trials.
    """

    def __init__(
        self, mean: NDArray[np.floating[Any]], std: NDArray[np.floating[Any]], length: float | None, trials: float
    ) -> None:
        self._mean = np.asarray(mean, dtype=np.float64)
        self._std = np.asarray(std, dtype=np.float64)
        self._inverse = np.divide(1.0, self._std, out=np.zeros_like(self._std), where=self._std > 0)
        self._length = length
        self._rate = 1.0 / trials
        self._shift = np.zeros(len(self._mean))
        self._log_scale = 0.0

    @property
    def shift(self) -> float:
        """How far the mean is moved at present: root mean square over dimensions, in standard deviations."""
        return float(np.sqrt(np.mean(self._bounded_shift**2)))

    @property
    def scale(self) -> float:
        """By what factor the size is changed at present."""
        bound = np.log(MOST_SCALE)
        return float(np.exp(np.clip(-self._log_scale, -bound, bound)))

    @property
    def _bounded_shift(self) -> NDArray[np.float64]:
        return np.clip(self._shift, -MOST_SHIFT, MOST_SHIFT)

    def correct(self, embedding: NDArray[np.float32], learn: bool = True) -> NDArray[np.float32]:
        """Return the corrected embedding ``[dims]`` and learn from it, if so told; the first trials change little."""
        standardised = (embedding - self._mean) * self._inverse
        moved = standardised - self._bounded_shift
        corrected = self._mean + moved * self.scale * self._std
        if not learn:
            return corrected.astype(np.float32)
        self._shift += self._rate * (standardised - self._shift)
        length = float(np.linalg.norm(moved))
        if self._length is not None and length > 0:
            self._log_scale += self._rate * (np.log(length / self._length) - self._log_scale)
        return corrected.astype(np.float32)
