"""Which few electrodes would do: forward selection on training pictures, scored on pictures that it never saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.maps.electrodes import kernel_alpha, kernel_ridge
from calibration.maps.readout import Units
from calibration.model.whitening import noise_covariance
from calibration.scores.breakdown import PartialScore
from calibration.scores.summary import main_score
from realtime.decoding.gallery import Gallery

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

MOST = 12
COMPONENTS = 16
HEADSETS = {
    "4 of a Muse": ("TP9", "AF7", "AF8", "TP10"),
    "8 of a Cyton": ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"),
    "14 of an EPOC": ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"),
}
"""Where common small headsets have their electrodes; looked at where the recording has all of them."""


@dataclass(frozen=True)
class Choice:
    """The selection and its score.

    Attributes
    ----------
    order
        Electrodes as they were chosen on all pictures, the most useful first.
    agreement
        For each size, the mean share of `order` up to there that a fold chose as well.
    curve
        The held-out score at each size; each fold chose its electrodes on its own training pictures.
    everything
        The held-out score of all electrodes; None where there was nothing to compare.
    headsets
        The held-out scores of `HEADSETS` that the recording has.
    kind
        Name of the score: ``"two_way"`` or ``"auc"``; chance is 0.5.
    n_units
        How many pictures (or trials) stand behind it.
    """

    order: tuple[str, ...]
    agreement: tuple[float, ...]
    curve: tuple[PartialScore, ...]
    everything: PartialScore | None
    headsets: tuple[PartialScore, ...]
    kind: str
    n_units: int


def choose_electrodes(
    units: Units,
    rate_hz: float,
    channels: Sequence[str],
    gallery: Gallery,
    seed: int = 0,
    most: int = MOST,
    progress: Progress | None = None,
) -> Choice:
    """Return which electrodes to keep, one more at a time.

    Parameters
    ----------
    units
        Pictures or trials.
    rate_hz
        Rate of the units' samples.
    channels
        Names of the electrodes.
    gallery
        Embeddings of what was shown, and the scale on which they are compared.
    seed
        Seed of the bootstrap.
    most
        How many electrodes to choose at most.
    progress
        Told how many selections are done and of how many.
    """
    binned = units.binned(rate_hz, 0.04)
    places = {name: place for place, name in enumerate(gallery.names)}
    shown = gallery.embeddings[[places[str(name)] for name in units.names]].astype(np.float64)
    scale = np.where(gallery.std > 0, gallery.std, 1.0).astype(np.float64)
    targets = (shown - gallery.mean) / scale
    most = min(most, len(channels))
    headsets = {name: _places(wanted, channels) for name, wanted in HEADSETS.items() if set(wanted) <= set(channels)}
    fixed = {"all": list(range(len(channels))), **headsets}
    sizes = [str(size + 1) for size in range(most)]
    predicted = {key: np.empty(targets.shape) for key in (*sizes, *fixed)}
    orders, numbers = [], np.unique(units.folds)
    for done, fold in enumerate(numbers):
        if progress is not None:
            progress(done, len(numbers) + 1)
        train = units.folds != fold
        order = _select(binned[train], targets[train], most)
        orders.append(order)
        for key, chosen in ({size: order[: int(size)] for size in sizes} | fixed).items():
            predicted[key][~train] = _apply(binned[:, :, chosen], targets, train)
    if progress is not None:
        progress(len(numbers), len(numbers) + 1)
    final = _select(binned, targets, most)
    parts: dict[str, PartialScore] = {}
    for key, rows in predicted.items():
        found = main_score(rows * scale + gallery.mean, units.names, units.folds, gallery, seed)
        if found is not None:
            size = int(key) if key in sizes else len(fixed[key])
            parts[key] = PartialScore(key, float(size), *found)
    return Choice(
        tuple(channels[place] for place in final),
        _agreement(final, orders),
        tuple(parts[key] for key in sizes if key in parts),
        parts.get("all"),
        tuple(parts[key] for key in headsets if key in parts),
        "auc" if gallery.told_apart else "two_way",
        len(units),
    )


def _places(wanted: Sequence[str], channels: Sequence[str]) -> list[int]:
    return [list(channels).index(name) for name in wanted]


def _agreement(final: Sequence[int], orders: Sequence[Sequence[int]]) -> tuple[float, ...]:
    shares = []
    for size in range(1, len(final) + 1):
        seen = Counter(place for order in orders for place in order[:size])
        shares.append(sum(seen[place] for place in final[:size]) / (size * len(orders)))
    return tuple(shares)


def _components(targets: Array) -> tuple[Array, Array]:
    """Return the mean and the leading directions ``[components, dims]`` of the targets."""
    mean = targets.mean(axis=0)
    _, sizes, directions = np.linalg.svd(targets - mean, full_matrices=False)
    kept = sizes > 1e-6 * max(float(sizes[0]), 1e-30)
    return mean, directions[kept][:COMPONENTS]


def _select(binned: Array, targets: Array, most: int) -> list[int]:
    """Return the channels that together leave the least error, found one by one.

    A candidate brings what the chosen electrodes' noise does not tell of its own, ``[n, bins]`` features `R`. With them
    the inverse of the kernel is known from the one before it (Sherman, Morrison & Woodbury), and with its diagonal the
    error of each unit left out, ``d / diag``: no map is fitted to weigh a candidate.
    """
    x = binned - binned.mean(axis=0)
    mean, directions = _components(targets)
    y = (targets - mean) @ directions.T
    covariance = noise_covariance(binned)
    n, bins, channels = x.shape
    chosen: list[int] = []
    kernel = np.zeros((n, n))
    for _ in range(most):
        values, vectors = np.linalg.eigh(kernel)
        values = np.maximum(values, 0.0)
        alpha = kernel_alpha(values, vectors.T @ y, bins * len(chosen)) if chosen else float(bins)
        inverse = (vectors / (values + alpha)) @ vectors.T
        dual, diagonal = inverse @ y, np.diag(inverse)
        errors = np.full(channels, np.inf)
        for channel in set(range(channels)) - set(chosen):
            own = _innovation(x, covariance, chosen, channel)
            wide = inverse @ own
            small = np.linalg.solve(np.eye(bins) + own.T @ wide, np.concatenate([own.T @ dual, wide.T], axis=1))
            less = dual - wide @ small[:, : y.shape[1]]
            rest = diagonal - np.sum(wide * small[:, y.shape[1] :].T, axis=1)
            errors[channel] = np.sum((less / rest[:, None]) ** 2)
        best = int(np.argmin(errors))
        own = _innovation(x, covariance, chosen, best)
        kernel += own @ own.T
        chosen.append(best)
    return chosen


def _innovation(x: Array, covariance: Array, chosen: list[int], channel: int) -> Array:
    """Return a channel ``[n, bins]`` less what the noise of the chosen ones tells of it, at unit noise."""
    share = np.linalg.solve(covariance[np.ix_(chosen, chosen)], covariance[chosen, channel])
    left = covariance[channel, channel] - covariance[chosen, channel] @ share
    own: Array = (x[:, :, channel] - x[:, :, chosen] @ share) / np.sqrt(max(left, 1e-9 * covariance[channel, channel]))
    return own


def _apply(binned: Array, targets: Array, train: NDArray[np.bool_]) -> Array:
    """Return predictions of the units not in `train` from the channels given, whitened on those in it."""
    root = np.linalg.inv(np.linalg.cholesky(noise_covariance(binned[train]))).T
    white = ((binned - binned[train].mean(axis=0)) @ root).reshape(len(binned), -1)
    mean, directions = _components(targets[train])
    y = (targets[train] - mean) @ directions.T
    predicted: Array = white[~train] @ kernel_ridge(white[train], y) @ directions + mean
    return predicted
