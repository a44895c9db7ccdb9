"""When the EEG tells of a picture's pixels, its texture and its embedding: decoding and similarity over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calibration.maps.readout import Readouts, Units, read_out
from calibration.model.whitening import noise_covariance, whitening_matrix
from calibration.statistics import LEVEL, interval, permutation_p
from stimuli.picture_features import spectrum

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

COMPONENTS = 8
MOST_PICTURES = 300
FEWEST_PICTURES = 10
BIN_S = 0.02
_RUN = 2
_SIDE = 8
_OCTAVES = (2.0, 4.0, 8.0, 16.0, 32.0)
_ORIENTATIONS = 4
_BATCH = 20


@dataclass(frozen=True)
class Space:
    """One description of pictures.

    Attributes
    ----------
    name, what
        Short, and in words.
    features
        ``[units, features]``.
    """

    name: str
    what: str
    features: Array

    def design(self) -> Array:
        """Return the leading principal components ``[units, at most 8]`` of the features at a variance of one."""
        u, s, _ = np.linalg.svd(_standard(self.features), full_matrices=False)
        kept = min(COMPONENTS, int(np.count_nonzero(s > 1e-6 * max(float(s[0]), 1e-30))))
        components: Array = u[:, :kept] * s[:kept]
        return components


def picture_spaces(images: Sequence[NDArray[np.uint8]], embeddings: NDArray[np.floating]) -> list[Space]:
    """Return the three descriptions of pictures, from colours by place to what is shown.

    Parameters
    ----------
    images
        One RGB picture ``[side, side, 3]`` a unit, all of one size.
    embeddings
        ``[units, dims]``: the decoder's own targets.
    """
    return [
        Space("pixels", "8 × 8 colours", np.array([coarse_pixels(image) for image in images])),
        Space("texture", "energy by spatial frequency and orientation", np.array([texture_bands(i) for i in images])),
        Space("semantic", "the decoder's embedding (holds colour too)", embeddings.astype(np.float64)),
    ]


def coarse_pixels(image: NDArray[np.uint8]) -> Array:
    """Return a picture ``[side, side, 3]`` as the mean colours of 8 × 8 fields, flat, 0 to 1."""
    rows = np.array_split(np.arange(len(image)), _SIDE)
    columns = np.array_split(np.arange(image.shape[1]), _SIDE)
    fields = [[image[np.ix_(row, column)].mean(axis=(0, 1)) for column in columns] for row in rows]
    flat: Array = np.array(fields).ravel() / 255.0
    return flat


def texture_bands(image: NDArray[np.uint8]) -> Array:
    """Return the logarithm of the luminance's energy in octaves and orientations, whatever lies where in the picture.

    Bands are cut from the spectrum between 2 and 32 cycles a picture; octaves that the picture is too small for are
    left out.
    """
    amplitude, down, across = spectrum(image)
    energy, cycles = amplitude**2, np.hypot(down, across)
    turn = np.floor((np.arctan2(down, across) / np.pi + 0.5 / _ORIENTATIONS) % 1 * _ORIENTATIONS)
    bands = []
    for low, high in pairwise(_OCTAVES):
        if low >= min(image.shape[:2]) / 2:
            break
        ring = (cycles >= low) & (cycles < high)
        bands += [np.log10(energy[ring & (turn == k)].mean() + 1e-6) for k in range(_ORIENTATIONS)]
    return np.array(bands)


@dataclass(frozen=True)
class Course:
    """How a score of one space runs over time.

    Attributes
    ----------
    name
        Name of the space.
    values
        ``[times]``: the score.
    p
        ``[times]``: family-wise over time.
    threshold
        Score above which p is below 0.05.
    onset_s
        First moment of a significant run of at least two; None where there is none.
    peak_s
        Moment of the largest score; None where none is significant.
    low, high, onset_interval_s, peak_interval_s
        95 % intervals over pictures, where they were computed.
    """

    name: str
    values: Array
    p: Array
    threshold: float
    onset_s: float | None
    peak_s: float | None
    low: Array | None = None
    high: Array | None = None
    onset_interval_s: tuple[float, float] | None = None
    peak_interval_s: tuple[float, float] | None = None


def bin_times(times_s: Array, width_s: float = BIN_S) -> Array:
    """Return the middles ``[bins]`` of the stretches that `Units.binned` makes, in seconds."""
    width = max(1, round(width_s / float(times_s[1] - times_s[0])))
    bins = len(times_s) // width
    middles: Array = times_s[: bins * width].reshape(bins, width).mean(axis=1)
    return middles


def decoding_over_time(
    units: Units,
    times_s: Array,
    spaces: Sequence[Space],
    permutations: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Course]:
    """Return how well each space is read from all electrodes in stretches of 20 ms, one after the other.

    Parameters
    ----------
    units
        Pictures or trials, with what came before the onset.
    times_s
        ``[times]`` of their samples after onset, filter delay taken out.
    spaces
        Spaces of the same units.
    permutations, seed
        Number of permutations and seed of the test.
    progress
        Told how many stretches are done and of how many.
    """
    binned = units.binned(1 / float(times_s[1] - times_s[0]), BIN_S)
    white = binned @ whitening_matrix(noise_covariance(binned))  # knows of no label
    designs = [space.design() for space in spaces]
    found = read_out(list(white.transpose(1, 0, 2)), designs, units, permutations, seed, progress=progress)
    middles = bin_times(times_s)
    return [_course(space.name, found, place, middles) for place, space in enumerate(spaces)]


def _course(name: str, found: Readouts, place: int, times_s: Array) -> Course:
    values, threshold = found.r[:, place], float(found.threshold[place])
    draws = found.draws[:, :, place]
    course = _timed(name, values, found.p[:, place], threshold, times_s)
    onsets = [at for row in draws if (at := onset_of(row, threshold)) is not None]
    return replace(
        course,
        low=found.low[:, place],
        high=found.high[:, place],
        onset_interval_s=None if course.onset_s is None or not onsets else _pair(interval(times_s[onsets])),
        peak_interval_s=None if course.peak_s is None else _pair(interval(times_s[draws.argmax(axis=1)])),
    )


def _timed(name: str, values: Array, p: Array, threshold: float, times_s: Array) -> Course:
    """Return a course with its onset and peak, and no intervals."""
    onset = onset_of(values, threshold)
    return Course(
        name,
        values,
        p,
        threshold,
        None if onset is None else float(times_s[onset]),
        float(times_s[values.argmax()]) if (p <= 1 - LEVEL).any() else None,
    )


def _pair(ends: tuple[Array, Array]) -> tuple[float, float]:
    return float(ends[0]), float(ends[1])


def onset_of(values: Array, threshold: float) -> int | None:
    """Return where the first run of at least `_RUN` values above `threshold` begins; None where there is none.

    Parameters
    ----------
    values
        ``[times]``.
    threshold
        Level that a value must exceed; higher finds onsets later and more surely.

    Returns
    -------
    Place in `values`.
    """
    above = values > threshold
    for start in np.flatnonzero(above):
        if above[start : start + _RUN].sum() == _RUN:
            return int(start)
    return None


def similarity_over_time(
    units: Units, times_s: Array, spaces: Sequence[Space], permutations: int = 200, seed: int = 0
) -> dict[str, list[Course]] | None:
    """Return how alike the EEG's and each space's dissimilarities between pictures are (RSA).

    Kriegeskorte, Mur & Bandettini 2008: correlation distances between whitened patterns over electrodes (Guggenmos et
    al. 2018) against correlation distances between features, compared by Spearman's rank correlation. ``"unique"`` is
    the same with what the other spaces tell taken out of a space's ranks. The null exchanges pictures.

    Parameters
    ----------
    units
        Pictures; at most 300 of them are used, drawn by `seed`.
    times_s, spaces, permutations, seed
        As for `decoding_over_time`.

    Returns
    -------
    ``"whole"`` and ``"unique"``; None where there are fewer than ten pictures, as with classes.
    """
    if units.what != "pictures" or len(units) < FEWEST_PICTURES:
        return None
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(units))[:MOST_PICTURES])
    binned = units.binned(1 / float(times_s[1] - times_s[0]), BIN_S)
    white = (binned @ whitening_matrix(noise_covariance(binned)))[chosen]
    upper = np.triu_indices(len(chosen), 1)
    eeg = np.stack([_ranks(_distances(white[:, bin_])[upper]) for bin_ in range(white.shape[1])])
    models = [_distances(_standard(space.features[chosen])) for space in spaces]
    ranked = np.stack([_ranks(model[upper]) for model in models])
    unique = np.stack([_without(ranked, place) for place in range(len(spaces))])
    orders = np.array([rng.permutation(len(chosen)) for _ in range(permutations)]).reshape(permutations, -1)
    middles = bin_times(times_s)
    found = {}
    for kind, vectors in (("whole", ranked), ("unique", unique)):
        values = vectors @ eeg.T
        null = _shuffled(vectors, eeg, upper, orders)
        best = null.max(axis=2) if permutations else np.full((1, len(spaces)), np.inf)
        courses = []
        for place, space in enumerate(spaces):
            threshold = float(np.quantile(best[:, place], LEVEL))
            p = np.array([permutation_p(value, best[:, place]) for value in values[place]])
            courses.append(_timed(space.name, values[place], p, threshold, middles))
        found[kind] = courses
    return found


def _standard(features: Array) -> Array:
    std = features.std(axis=0)
    varies = std > 1e-9 * max(float(std.max()), 1e-30)
    scaled: Array = (features - features.mean(axis=0)) / np.where(varies, std, np.inf)
    return scaled


def _distances(rows: Array) -> Array:
    """Return one minus the correlation between all rows ``[n, features]``, ``[n, n]``."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(length > 0, length, 1.0)
    distances: Array = 1 - unit @ unit.T
    return distances


def _ranks(values: Array) -> Array:
    """Return ranks as a unit vector about zero, so that a product of two is Spearman's correlation."""
    from scipy.stats import rankdata

    return _unit(rankdata(values))


def _unit(values: Array) -> Array:
    centred = values - values.mean()
    unit: Array = centred / max(float(np.linalg.norm(centred)), 1e-30)
    return unit


def _without(ranked: Array, place: int) -> Array:
    """Return the ranks of one space less what those of the others tell, as a unit vector."""
    others = np.delete(ranked, place, axis=0).T
    return _unit(ranked[place] - others @ np.linalg.lstsq(others, ranked[place], rcond=None)[0])


def _shuffled(
    vectors: Array, eeg: Array, upper: tuple[NDArray[np.int64], NDArray[np.int64]], orders: NDArray[np.int64]
) -> Array:
    """Return the products ``[permutations, spaces, times]`` with the pictures exchanged."""
    n = int(upper[1].max()) + 1
    square = np.zeros((len(vectors), n, n))
    square[:, upper[0], upper[1]] = vectors
    square += square.transpose(0, 2, 1)
    null = np.empty((len(orders), len(vectors), len(eeg)))
    for first in range(0, len(orders), _BATCH):
        some = orders[first : first + _BATCH]
        moved = square[:, some[:, upper[0]], some[:, upper[1]]]  # [spaces, batch, pairs]
        null[first : first + _BATCH] = (moved @ eeg.T).transpose(1, 0, 2)
    return null
