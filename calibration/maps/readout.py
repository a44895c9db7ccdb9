"""Reading an attribute out of a few features of the EEG, held out by picture, against labels that were shuffled.

The null is made by shuffling before the maps are fitted, not by shuffling their predictions afterwards: maps of
different folds share training pictures, so a cross-validated score varies more than its predictions let on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.model.examples import Examples, Layout
from calibration.model.folding import subtract_baseline
from calibration.model.folds import grouped_folds
from calibration.statistics import LEVEL, interval, permutation_p, shifts, shuffles
from configs.schema import FitSettings

Array = NDArray[np.float64]
Index = NDArray[np.int64]

ALPHAS = tuple(10.0**k for k in range(-2, 4))
"""Penalties to choose from, as multiples of the number of units: features have a variance of one."""
MOST_UNITS = 1500
_BATCH = 4096


@dataclass(frozen=True)
class Units:
    """What attributes are read from: the mean window of a picture or, where classes are shown, each trial's.

    Attributes
    ----------
    samples
        float64 ``[units, times, channels]`` in microvolts, less the baseline.
    names
        ``[units]``: what was shown.
    folds
        int64 ``[units]``: no picture (or recording) is in two folds.
    blocks
        int64 ``[units]``: labels are shuffled within a block; one for all pictures, or one a recording.
    n_trials
        How many trials the units were made of.
    in_step
        Whether labels move along alike in all blocks, in place of being shuffled; see ``fit.exchange``.
    """

    samples: Array
    names: NDArray[np.str_]
    folds: Index
    blocks: Index
    n_trials: int
    in_step: bool = False

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def what(self) -> str:
        """What a unit is, in words."""
        return "pictures" if len(np.unique(self.names)) == len(self) else "trials"

    def binned(self, rate_hz: float, width_s: float = 0.02) -> Array:
        """Return the means of successive stretches of `width_s`, ``[units, bins, channels]``."""
        width = max(1, round(width_s * rate_hz))
        bins = self.samples.shape[1] // width
        kept = self.samples[:, : bins * width]
        means: Array = kept.reshape(len(kept), bins, width, -1).mean(axis=2)
        return means


def make_units(examples: Examples, layout: Layout, settings: FitSettings, whole: bool = False) -> Units:
    """Return the units of a calibration; at most `MOST_UNITS`, drawn by the settings' seed.

    Parameters
    ----------
    examples
        Trials with their groups; those that may not be learned from are left out.
    layout
        Where window and baseline lie.
    settings
        Number of folds, and the seed.
    whole
        Whether the stretch before the window is kept, to look at what came before the onset.
    """
    examples = examples.take(examples.teaches)
    n_trials = len(examples)
    pictures = np.array_equal(examples.groups.astype(str), examples.names.astype(str))
    if pictures:
        examples = examples.averaged()
    if len(examples) > MOST_UNITS:
        rng = np.random.default_rng(settings.seed)
        examples = examples.take(np.sort(rng.permutation(len(examples))[:MOST_UNITS]))
    folds = grouped_folds(examples.split_groups(settings.folds), settings.folds, settings.seed)
    samples = examples.samples.astype(np.float64)
    window = subtract_baseline(samples, layout.baseline, 0 if whole else layout.start)
    blocks = np.zeros(len(folds), np.int64) if pictures else folds
    return Units(window, examples.names, folds, blocks, n_trials, settings.exchange == "shift" and not pictures)


def predict(x: Array, y: Array, owners: Index, folds: Index) -> Array:
    """Return held-out ridge predictions ``[units, columns]`` of `y` from `x`.

    Alpha is chosen on the training units for each set of columns by generalised cross-validation (Golub, Heath & Wahba
    1979), which costs nothing once the features' scatter is decomposed, so thousands of shuffled sets are affordable.

    Parameters
    ----------
    x
        ``[units, features]``; scaled to unit variance on the training units.
    y
        ``[units, columns]``.
    owners
        ``[columns]``: columns of one set share an alpha.
    folds
        ``[units]``.
    """
    predicted = np.empty(y.shape)
    for fold in np.unique(folds):
        train = folds != fold
        mean, scale = x[train].mean(axis=0), x[train].std(axis=0)
        scale = np.where(scale > 1e-12 * max(float(scale.max()), 1e-30), scale, 1.0)
        scaled, level = (x[train] - mean) / scale, y[train].mean(axis=0)
        n = len(scaled)
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
        values = np.maximum(values, 0.0)
        along = vectors.T @ (scaled.T @ y[train])  # scaled is centred, so y need not be
        power = np.sum((y[train] - level) ** 2, axis=0)
        penalties = n * np.asarray(ALPHAS)
        shrink = 1.0 / (values + penalties[:, None])  # [alphas, features]
        gain = (values + 2 * penalties[:, None]) * shrink**2
        left = np.maximum(power - gain @ along**2, 0.0)  # [alphas, columns]
        freedom = n - 1 - np.sum(values * shrink, axis=1)
        error = _sums(left, owners) / np.maximum(freedom, 1.0)[:, None] ** 2
        chosen = np.argmin(error, axis=0)[owners]
        predicted[~train] = ((x[~train] - mean) / scale) @ vectors @ (along * shrink[chosen].T) + level
    return predicted


def _sums(values: Array, owners: Index) -> Array:
    """Return for each row the sums ``[rows, sets]`` over the columns of each set; sets are runs of columns."""
    starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
    sums: Array = np.add.reduceat(values, starts, axis=1)
    return sums


def products(predicted: Array, y: Array, owners: Index, folds: Index) -> Array:
    """Return each unit's share in the correlation of every set: ``[3, units, sets]``, for cross and two powers.

    Both sides are centred within their fold, because maps of different folds have different offsets.

    Parameters
    ----------
    predicted, y
        ``[units, columns]``: held-out predictions and what they predict.
    owners
        ``[columns]``: the set that each column belongs to.
    folds
        ``[units]``.
    """
    a, b = predicted.copy(), y.copy()
    for fold in np.unique(folds):
        rows = folds == fold
        a[rows] -= a[rows].mean(axis=0)
        b[rows] -= b[rows].mean(axis=0)
    return np.stack([_sums(a * b, owners), _sums(a * a, owners), _sums(b * b, owners)])


def correlation_of(sums: Array) -> Array:
    """Return the correlation of summed `products` ``[3, ...]``; 0 where a side does not vary."""
    norm = np.sqrt(np.maximum(sums[1] * sums[2], 0.0))
    r: Array = np.divide(sums[0], norm, out=np.zeros_like(norm), where=norm > 1e-12)
    return r


def bootstrap(parts: Array, seed: int, resamples: int = 1000) -> Array:
    """Return correlations ``[resamples, sets]`` with the units of `products` drawn with replacement.

    Parameters
    ----------
    parts
        ``[3, units, sets]``, from `products`.
    seed
        Seed of the draws.
    resamples
        How many draws; more make the interval's ends steadier.
    """
    n = parts.shape[1]
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    return correlation_of(np.stack([drawn @ part for part in parts]))


@dataclass(frozen=True)
class Readouts:
    """How well sets of columns can be read from several groups of features, such as electrodes or moments.

    Attributes
    ----------
    r
        ``[groups, sets]``: correlation of held-out predictions with the truth, over all columns of a set.
    low, high
        ``[groups, sets]``: its 95 % interval, pictures drawn with replacement and the maps left as they are.
    p
        ``[groups, sets]``: share of shuffles whose best group is as good (family-wise; Nichols & Holmes 2002).
    threshold
        ``[sets]``: the 95th percentile of the best group of each shuffle.
    draws
        ``[resamples, groups, sets]``: the resampled correlations.
    """

    r: Array
    low: Array
    high: Array
    p: Array
    threshold: Array
    draws: Array


def read_out(
    groups: Sequence[Array],
    designs: Sequence[Array],
    units: Units,
    permutations: int = 200,
    seed: int = 0,
    resamples: int = 500,
    progress: Callable[[int, int], None] | None = None,
) -> Readouts:
    """Read each design from each group of features alone.

    Parameters
    ----------
    groups
        Each ``[units, features]``.
    designs
        Each ``[units, columns]``: what is to be read.
    units
        Gives folds and blocks.
    permutations
        How often the units' labels change places, in the same ways for all groups.
    seed, resamples
        Seed and number of draws of shuffles and bootstrap.
    progress
        Told how many groups are done and of how many.
    """
    owners = np.repeat(np.arange(len(designs)), [design.shape[1] for design in designs])
    y = np.concatenate(designs, axis=1)
    orders = (shifts if units.in_step else shuffles)(units.blocks, permutations, seed)
    permutations = len(orders)
    r, draws = np.empty((len(groups), len(designs))), np.empty((resamples, len(groups), len(designs)))
    null = np.empty((permutations, len(groups), len(designs)))
    at_once = max(1, _BATCH // y.shape[1])
    for place, x in enumerate(groups):
        if progress is not None:
            progress(place, len(groups))
        parts = products(predict(x, y, owners, units.folds), y, owners, units.folds)
        r[place] = correlation_of(parts.sum(axis=1))
        draws[:, place] = bootstrap(parts, seed, resamples)
        for first in range(0, permutations, at_once):
            some = orders[first : first + at_once]
            shuffled = y[some].transpose(1, 0, 2).reshape(len(y), -1)
            sets = (owners + len(designs) * np.arange(len(some))[:, None]).ravel()
            parts = products(predict(x, shuffled, sets, units.folds), shuffled, sets, units.folds)
            null[first : first + at_once, place] = correlation_of(parts.sum(axis=1)).reshape(len(some), -1)
    best = null.max(axis=1) if permutations else np.full((1, len(designs)), np.inf)
    p = np.array([[permutation_p(r[g, s], best[:, s]) for s in range(len(designs))] for g in range(len(groups))])
    low, high = interval(draws)
    return Readouts(r, low, high, p, np.quantile(best, LEVEL, axis=0), draws)
