"""What each electrode knows: how much of an attribute it carries alone, what is lost without it, and when it tells.

An electrode "carries" an attribute when held-out pictures' attribute can be read from it. That is not where the source
is: neighbours carry the same signal, and an attribute that goes with another in the picture set is carried with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.maps.readout import ALPHAS, Index, Units, bootstrap, correlation_of, products, read_out
from calibration.model.whitening import noise_covariance, whitening_matrix
from calibration.statistics import interval

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

LEVEL_P = 0.05
_LATENCY_RESAMPLES = 100


@dataclass(frozen=True)
class Preference:
    """What is known of every electrode and attribute; arrays are ``[channels, attributes]``.

    Attributes
    ----------
    channels, attributes
        Names.
    alone, alone_low, alone_high
        Correlation of held-out predictions from this electrode alone with the truth; its 95 % interval.
    p
        p-value of `alone`, family-wise over electrodes.
    together
        ``[attributes]``: the same correlation from all electrodes.
    loss, loss_low, loss_high
        How much of `together` is lost when this electrode is taken away; below zero where it only brought noise.
    explained
        Share of the electrode's variance over units that the attribute explains at its best moment, less what as many
        columns explain by chance (adjusted R²).
    latency_s, latency_low_s, latency_high_s
        That moment after onset; NaN where `p` is above 0.05.
    n_units, n_trials
        How many pictures (or trials) stand behind it.
    """

    channels: tuple[str, ...]
    attributes: tuple[str, ...]
    alone: Array
    alone_low: Array
    alone_high: Array
    p: Array
    together: Array
    loss: Array
    loss_low: Array
    loss_high: Array
    explained: Array
    latency_s: Array
    latency_low_s: Array
    latency_high_s: Array
    n_units: int
    n_trials: int

    @property
    def preferred(self) -> tuple[str | None, ...]:
        """For each electrode the attribute that explains most of it; None where it carries none for certain.

        Not the one with the largest `alone`: one electrode has few numbers to tell, which is enough for an attribute of
        one dimension and never for one of many levels.
        """
        sure = np.where(self.p <= LEVEL_P, self.explained, -np.inf)
        best = sure.argmax(axis=1)
        return tuple(
            self.attributes[place] if np.isfinite(sure[row, place]) else None for row, place in enumerate(best)
        )


def electrode_preference(
    units: Units,
    times_s: Array,
    channels: Sequence[str],
    names: Sequence[str],
    designs: Sequence[Array],
    permutations: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> Preference:
    """Measure what every electrode carries of every attribute.

    The "presumptive electrode preference" of Fei et al. (arXiv 2404.01250), with held-out pictures, intervals and a
    family-wise test in place of the weights of one fit.

    Parameters
    ----------
    units
        Pictures or trials.
    times_s
        ``[times]``: of the units' samples after onset, filter delay taken out.
    channels
        Names of the electrodes.
    names, designs
        Names and designs of the attributes; each design is ``[units, columns]``.
    permutations, seed
        Number of permutations and seed of the test.
    progress
        Told how many electrodes are done and of how many.
    """
    rate_hz = 1 / float(times_s[1] - times_s[0])
    binned = units.binned(rate_hz)
    found = read_out(list(binned.transpose(2, 0, 1)), designs, units, permutations, seed, progress=progress)
    together, loss, low, high = leave_one_out(binned, designs, units, seed)
    share, latency, early, late = latencies(units.samples, times_s, designs, seed)
    for values in (latency, early, late):
        values[found.p > LEVEL_P] = np.nan
    return Preference(
        tuple(channels), tuple(names), found.r, found.low, found.high, found.p, together, loss, low, high,
        share, latency, early, late, len(units), units.n_trials,
    )  # fmt: skip


def leave_one_out(
    binned: Array, designs: Sequence[Array], units: Units, seed: int
) -> tuple[Array, Array, Array, Array]:
    """Return what all electrodes together read of each design, and what is lost without each of them.

    All electrodes are read after whitening, as the map that runs does. What electrode `e` brings there is what the
    others cannot tell of it, ``X Σ⁻¹[:, e] / √Σ⁻¹[e, e]``: the inverse covariance of the others is the whole inverse
    less that one direction. With ``d = A⁻¹y`` and ``Z = A⁻¹X`` for these `b` features, the map without them is
    ``(A − XXᵀ)⁻¹y = d + Z (1 − XᵀZ)⁻¹ Xᵀd`` (Sherman, Morrison & Woodbury), so no map is fitted twice. The penalty
    stays that of all electrodes.

    Parameters
    ----------
    binned
        ``[units, bins, channels]``.
    designs
        Each ``[units, columns]``.
    units
        Gives the folds.
    seed
        Seed of the bootstrap.

    Returns
    -------
    together ``[designs]``, loss ``[channels, designs]`` and the ends of its 95 % interval.
    """
    n, bins, channels = binned.shape
    folds = units.folds
    whole = [np.empty(design.shape) for design in designs]
    without = [np.empty((channels, *design.shape)) for design in designs]
    for fold in np.unique(folds):
        train = folds != fold
        root = whitening_matrix(noise_covariance(binned[train]))
        white = (binned - binned[train].mean(axis=0)) @ root
        own = (white @ (root / np.linalg.norm(root, axis=0))).transpose(2, 0, 1)  # [channels, units, bins]
        flat = white.reshape(n, -1)
        values, vectors = np.linalg.eigh(flat[train] @ flat[train].T)
        values = np.maximum(values, 0.0)
        turned = vectors.T @ own[:, train].transpose(1, 0, 2).reshape(len(vectors), -1)
        for place, design in enumerate(designs):
            level = design[train].mean(axis=0)
            along = vectors.T @ (design[train] - level)
            inverse = 1.0 / (values + kernel_alpha(values, along, flat.shape[1]))[:, None]
            dual, spread = vectors @ (inverse * along), vectors @ (inverse * turned)
            whole[place][~train] = flat[~train] @ (flat[train].T @ dual) + level
            for channel in range(channels):
                part, wide = own[channel, train], spread[:, channel * bins : (channel + 1) * bins]
                less = dual + wide @ np.linalg.solve(np.eye(bins) - part.T @ wide, part.T @ dual)
                others = flat[~train] @ (flat[train].T @ less) - own[channel, ~train] @ (part.T @ less)
                without[place][channel, ~train] = others + level
    rows = [_losses(*each, folds, seed) for each in zip(whole, without, designs, strict=True)]
    together, loss, low, high = (np.array(values) for values in zip(*rows, strict=True))
    return together, loss.T, low.T, high.T


def kernel_ridge(x: Array, y: Array) -> Array:
    """Return the ridge map ``[features, columns]`` of centred rows, its penalty by `kernel_alpha`.

    No `calibration.model.ridge`: that chooses by folds, and here folds are what is held out.
    """
    values, vectors = np.linalg.eigh(x @ x.T)
    values = np.maximum(values, 0.0)
    along = vectors.T @ y
    weights: Array = x.T @ (vectors @ (along / (values + kernel_alpha(values, along, x.shape[1]))[:, None]))
    return weights


def kernel_alpha(values: Array, along: Array, features: int) -> float:
    """Return the penalty with the least generalised cross-validation error, from a kernel's decomposition.

    Parameters
    ----------
    values
        ``[n]``: eigenvalues of the kernel of centred samples, none below zero.
    along
        ``[n, columns]``: the centred targets in the eigenvectors' directions.
    features
        Penalties are multiples of the kernel's mean eigenvalue at unit variance, which is this number.
    """
    squares = np.sum(along**2, axis=1)
    errors = []
    penalties = [features * alpha for alpha in ALPHAS]
    for alpha in penalties:
        left = alpha / (values + alpha)
        errors.append(np.sum(squares * left**2) / max(float(left.sum()) - 1, 1.0) ** 2)
    return float(penalties[int(np.argmin(errors))])


def _losses(whole: Array, without: Array, design: Array, folds: Index, seed: int) -> tuple[float, Array, Array, Array]:
    """Return `together` and the losses with their intervals; both sides are resampled alike, so they are paired."""
    owners = np.zeros(design.shape[1], np.int64)
    full = products(whole, design, owners, folds)
    together = correlation_of(full.sum(axis=1))
    draws = bootstrap(full, seed)
    parts = np.concatenate([products(one, design, owners, folds) for one in without], axis=2)
    loss = together - correlation_of(parts.sum(axis=1))
    low, high = interval(draws - bootstrap(parts, seed))
    return float(together[0]), loss, low, high


def latencies(samples: Array, times_s: Array, designs: Sequence[Array], seed: int) -> tuple[Array, Array, Array, Array]:
    """Return when each design explains most of each electrode's variance, with the 95 % interval over units.

    Parameters
    ----------
    samples
        ``[units, times, channels]``.
    times_s
        ``[times]``.
    designs
        Each ``[units, columns]``.
    seed
        Seed of the bootstrap.

    Returns
    -------
    Four float64 ``[channels, designs]``: the adjusted share at that moment, the moment in seconds, and its interval.
    """
    n, times, channels = samples.shape
    y = samples.reshape(n, -1)
    y = y - y.mean(axis=0)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_LATENCY_RESAMPLES)
    best, largest = np.empty((1 + len(drawn), channels, len(designs))), np.empty((channels, len(designs)))
    for row, weights in enumerate(np.concatenate([np.ones((1, n)), drawn])):
        for place, share in enumerate(explained(y, designs, weights)):
            course = share.reshape(times, channels)
            best[row, :, place] = times_s[course.argmax(axis=0)]
            if row == 0:
                columns = np.linalg.matrix_rank(designs[place] - designs[place].mean(axis=0))
                largest[:, place] = 1 - (1 - course.max(axis=0)) * (n - 1) / max(n - 1 - columns, 1)
    low, high = interval(best[1:])
    return largest, best[0], low, high


def explained(y: Array, designs: Sequence[Array], weights: Array) -> list[Array]:
    """Return for each design the share of variance ``[samples]`` that a weighted regression on it explains.

    Parameters
    ----------
    y
        ``[units, samples]``, about centred.
    designs
        Each ``[units, columns]``.
    weights
        ``[units]``: how often each unit counts.
    """
    total = weights.sum()
    mean = weights @ y / total
    power = weights @ (y * y) / total - mean**2
    shares = []
    for design in designs:
        x = design - weights @ design / total
        cross = (weights[:, None] * x).T @ y / total
        scatter = (weights[:, None] * x).T @ x / total
        fitted = np.sum(cross * (np.linalg.pinv(scatter, hermitian=True) @ cross), axis=0)
        shares.append(np.divide(fitted, power, out=np.zeros_like(power), where=power > 0))
    return shares
