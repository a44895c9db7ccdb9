"""Weights for windows in which electrodes are missing: what they would show is guessed from the others, and folded in.

The best guess of missing channels given the others is their conditional expectation: their mean window, and how far the
others are from theirs times a matrix of regression. It is linear, so it is multiplied into the map: the window is
decoded by one product as before, and its embedding is the conditional expectation of the one that all channels give.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from realtime.decoding.linear_decoder import WindowWeights
from realtime.electrodes import spline_covariance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from realtime.decoding.bundle import Bundle

    Array = NDArray[np.float64]

KEPT = 2
"""Sets of missing channels whose weights are kept beside the whole map's."""
SPARE = 2
"""Pieces of memory that are kept for the next weights: fresh ones cost as much time as the weights."""
_AT_ONCE = 2
"""Samples of the window whose weights are made at once, and lie in the cache meanwhile."""
_LEAST = 1e-9
"""Share of the largest variance below which a direction of the channels is not regressed on."""


def channel_covariance(bundle: Bundle) -> Array:
    """Return the covariance ``[channels, channels]`` from which a bundle's missing channels are guessed.

    Bundles of before it was kept have it from their memory; those without one from where the electrodes lie, which is
    interpolation by spherical splines.
    """
    if bundle.covariance is not None:
        return bundle.covariance.astype(np.float64)
    if bundle.memory is not None:
        return bundle.memory.covariance()
    return spline_covariance(bundle.spec.channels)


def regression(covariance: Array, missing: NDArray[np.intp], given: NDArray[np.intp]) -> Array:
    """Return how missing channels follow from others, ``[missing, given]``.

    Parameters
    ----------
    covariance
        ``[channels, channels]``: the noise covariance of a calibration's windows.
    missing, given
        Places of the channels.
    """
    if not len(given) or not len(missing):
        return np.zeros((len(missing), len(given)))
    inverse = np.linalg.pinv(covariance[np.ix_(given, given)], rcond=_LEAST, hermitian=True)
    coefficients: Array = covariance[np.ix_(missing, given)] @ inverse
    return coefficients


def filled_in(covariance: Array, missing: NDArray[np.intp]) -> Array:
    """Return what puts the best guess in the place of missing channels, ``[channels, channels]``.

    A window less its mean, times the transpose, has the missing channels' guesses in their places.

    Parameters
    ----------
    covariance
        As for `regression`.
    missing
        Places of the missing channels.
    """
    filling = np.eye(len(covariance))
    filling[missing] = 0.0
    given = np.setdiff1d(np.arange(len(covariance)), missing)
    filling[np.ix_(missing, given)] = regression(covariance, missing, given)
    return filling


def mixed_weights(
    whole: WindowWeights, own_mean: NDArray[np.floating], given_mean: NDArray[np.floating], mixing: Array
) -> WindowWeights:
    """Return the weights of given channels, by which a map's own channels are guessed.

    Parameters
    ----------
    whole
        The map on its own channels.
    own_mean, given_mean
        ``[times, own]`` and ``[times, given]``: mean windows in microvolts.
    mixing
        ``[own, given]``: the guess of the own channels is ``own_mean + (window - given_mean) @ mixing.T``.
    """
    times, own = own_mean.shape
    weights = whole.weights.reshape(times, own, -1)
    found = np.matmul(mixing.T.astype(np.float32), weights)
    # What the guess has beside the window: nothing for a channel that is taken as it is.
    level = own_mean.astype(np.float64) - given_mean.astype(np.float64) @ mixing.T
    offset = np.matmul(level[:, None].astype(np.float32), weights)[:, 0]
    return WindowWeights(found.reshape(-1, found.shape[2]), _moved(whole.bias, offset))


def weights_without(
    whole: WindowWeights,
    mean_input: NDArray[np.floating],
    covariance: Array,
    missing: NDArray[np.intp],
    out: NDArray[np.float32],
) -> WindowWeights:
    """Return the weights of a map's channels without the missing ones, whose rows become 0.

    They are those of `mixed_weights` by `filled_in`, in a fraction of its time: what is added to the others' weights
    has no higher rank than there are missing channels, and is added while it is in the cache.

    Parameters
    ----------
    whole
        The map with all its channels.
    mean_input
        ``[times, channels]``: the mean window in microvolts.
    covariance
        As for `regression`.
    missing
        Places of the missing channels.
    out
        float32 ``[times, channels, dims]``: memory for the weights.
    """
    times, channels = mean_input.shape
    weights = whole.weights.reshape(times, channels, -1)
    given = np.setdiff1d(np.arange(channels), missing)
    across = regression(covariance, missing, given)
    added = np.zeros((channels, len(missing)), np.float32)
    added[given], added[missing] = across.T, -np.eye(len(missing))
    mean = mean_input.astype(np.float64)
    level = (mean[:, missing] - mean[:, given] @ across.T).astype(np.float32)
    offset = np.empty((times, weights.shape[2]), np.float32)
    product = np.multiply if len(missing) == 1 else np.matmul  # which is slow where there is nothing to sum
    for start in range(0, times, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        lost = weights[part, missing]
        product(added, lost, out=out[part])
        out[part] += weights[part]
        offset[part] = np.matmul(level[part, None], lost)[:, 0]
    return WindowWeights(out.reshape(-1, out.shape[2]), _moved(whole.bias, offset))


def _moved(bias: NDArray[np.float32], offset: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the bias of a sum that lacks an offset ``[times, dims]`` of each sample."""
    moved: NDArray[np.float32] = (bias + offset.sum(axis=0, dtype=np.float64)).astype(np.float32)
    return moved


class MissingChannels:
    """Makes weights for windows without some channels, in a thread beside the session, and keeps the last ones.

    Parameters
    ----------
    whole
        The map with all its channels.
    mean_input
        ``[times, channels]``: the mean window in microvolts.
    covariance
        ``[channels, channels]``: see `regression`.
    channels
        Their names.
    """

    def __init__(
        self, whole: WindowWeights, mean_input: NDArray[np.float32], covariance: Array, channels: Sequence[str]
    ) -> None:
        self._whole, self._mean, self._covariance = whole, mean_input, covariance
        self._places = {name: place for place, name in enumerate(channels)}
        self._kept: OrderedDict[tuple[str, ...], Future[WindowWeights]] = OrderedDict()
        self._spare: list[NDArray[np.float32]] = []
        self._worker = ThreadPoolExecutor(1, "weights without electrodes")

    def make_room(self) -> None:
        """Begin to make the memory of the first weights, so that these need not wait for it."""
        for _ in range(SPARE):
            self._worker.submit(self._make_spare)

    def prepare(self, missing: tuple[str, ...]) -> None:
        """Begin to make the weights without these channels, if they are not there."""
        if not missing:
            return
        if missing not in self._kept:
            while len(self._kept) >= KEPT:  # first, so that their memory can be used again
                self._kept.popitem(last=False)
            self._kept[missing] = self._worker.submit(self._make, missing)
        self._kept.move_to_end(missing)

    def without(self, missing: tuple[str, ...]) -> WindowWeights:
        """Return the weights without these channels, made now where they were not prepared."""
        if not missing:
            return self._whole
        self.prepare(missing)
        return self._kept[missing].result()

    def close(self) -> None:
        """End the thread. Safe to call twice."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _make_spare(self) -> None:
        times, channels = self._mean.shape
        self._spare.append(np.full((times, channels, self._whole.weights.shape[1]), 0.0, np.float32))

    def _make(self, missing: tuple[str, ...]) -> WindowWeights:
        if not self._spare:
            self._make_spare()
        room = self._spare.pop()
        places = np.array([self._places[name] for name in missing], dtype=np.intp)
        weights = weights_without(self._whole, self._mean, self._covariance, places, room)
        unused = weakref.finalize(weights, self._give_back, room)  # no window is decoded with them any more
        unused.atexit = False
        return weights

    def _give_back(self, room: NDArray[np.float32]) -> None:
        if len(self._spare) < SPARE:
            self._spare.append(room)
