"""What the decoder makes of EEG that was tampered with, and which samples its evidence hangs on.

The perturbation tests of Fei et al. (arXiv 2404.01250): electrodes mirrored left to right, and a short stretch of one
picture's EEG put into another's. The decoder is linear, so what a stretch does is known exactly from its weights, for
every stretch at once. Every trial is judged by a map that never saw its picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.maps.readout import bootstrap, correlation_of, products
from calibration.model.examples import Examples, Layout
from calibration.model.folds import grouped_folds
from calibration.model.linear_model import fit_map
from calibration.model.ridge import solve_ridge
from calibration.scores.breakdown import PartialScore
from calibration.scores.summary import main_score
from calibration.statistics import interval
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery
from realtime.electrodes import mirrored

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

STRETCH_S = 0.05
INTACT, MIRRORED = "as recorded", "left and right exchanged"
_EMBEDDING = "embedding"


@dataclass(frozen=True)
class Perturbations:
    """What became of the scores.

    Attributes
    ----------
    kind
        Name of the embedding's score: ``"two_way"`` or ``"auc"``; chance is 0.5.
    scores
        For each condition the embedding's score.
    attributes
        For each attribute and condition the correlation of what the decoded embedding tells with the truth.
    exchanged
        Pairs of electrodes that changed places.
    middles_s
        ``[stretches]``: middle of each exchanged stretch after onset.
    pulls
        For the embedding and each attribute ``[3, stretches]``: how far a stretch of another picture's EEG moves
        what is decoded towards that picture, as a share of the whole way, with its 95 % interval over pictures.
    n_trials, n_pictures
        How much stands behind it.
    """

    kind: str
    scores: dict[str, PartialScore]
    attributes: dict[str, dict[str, PartialScore]]
    exchanged: tuple[tuple[str, str], ...]
    middles_s: Array
    pulls: dict[str, Array]
    n_trials: int
    n_pictures: int


@dataclass(frozen=True)
class Saliency:
    """Which samples the evidence for the right picture hangs on.

    Attributes
    ----------
    gradient
        ``[times, channels]``: how much one standard deviation of a sample changes the evidence (root mean square over
        trials).
    contribution
        ``[times, channels]``: what a sample brought to the evidence, in the mean over trials; all of them add up to
        `evidence`.
    evidence
        Mean over trials of how far the embedding reaches towards the right picture, beyond the mean window's reach, in
        standard deviations of the gallery.
    """

    gradient: Array
    contribution: Array
    evidence: float


def perturb(
    examples: Examples,
    layout: Layout,
    times_s: Array,
    channels: Sequence[str],
    gallery: Gallery,
    names: Sequence[str],
    designs: Sequence[Array],
    settings: FitSettings,
    progress: Progress | None = None,
) -> tuple[Perturbations, Saliency]:
    """Fit the decoder fold by fold and see what perturbed test trials do to it.

    Parameters
    ----------
    examples, layout, settings
        As for `calibration.model.linear_model.fit_map`.
    times_s
        ``[times]`` of the epochs after onset, filter delay taken out.
    channels
        Names of the electrodes.
    gallery
        What embeddings are compared with.
    names, designs
        Names and designs of the attributes; each design is ``[trials, columns]``.
    progress
        Told how many folds are done and of how many.
    """
    order, pairs = mirrored(channels)
    folds = grouped_folds(examples.split_groups(settings.folds), settings.folds, settings.seed)
    scale = np.where(gallery.std > 0, gallery.std, 1.0).astype(np.float64)
    truth = (examples.targets - gallery.mean) / scale
    numbers = np.unique(folds)
    partner = _partners(examples.names, folds, settings.seed)
    seen = {condition: np.empty(truth.shape) for condition in (INTACT, MIRRORED)}
    told = {condition: [np.empty(design.shape) for design in designs] for condition in seen}
    shape = examples.samples.shape[1:]
    width = min(max(1, round(STRETCH_S / float(times_s[1] - times_s[0]))), shape[0])
    moved = {name: np.empty((len(truth), shape[0] - width + 1)) for name in (_EMBEDDING, *names)}
    whole = {name: np.empty(len(truth)) for name in moved}
    squares, contribution = np.zeros(shape), np.zeros(shape)
    for done, fold in enumerate(numbers):
        if progress is not None:
            progress(done, len(numbers))
        train, test = folds != fold, np.flatnonzero(folds == fold)
        linear = fit_map(examples.take(train), layout, settings).map
        weights = (linear.weights.reshape(-1, len(scale)) / scale).astype(np.float32)
        readers = [_reader(truth[train], design[train]) for design in designs]
        samples = examples.samples[test]
        for condition, tampered in ((INTACT, samples), (MIRRORED, samples[:, :, order])):
            rows = (linear.predict(tampered) - gallery.mean) / scale
            seen[condition][test] = rows
            for place, reader in enumerate(readers):
                told[condition][place][test] = rows @ reader
        other = examples.samples[partner[test]] - samples
        steps = {_EMBEDDING: truth[partner[test]] - truth[test]}
        whole[_EMBEDDING][test] = np.sum(steps[_EMBEDDING] ** 2, axis=1)
        for name, design, reader in zip(names, designs, readers, strict=True):
            step = design[partner[test]] - design[test]
            whole[name][test] = np.sum(step**2, axis=1)
            steps[name] = step @ reader.T
        for name, step in steps.items():
            each = np.einsum("ntc,tcn->nt", other, _seen_along(weights, step, shape), optimize=True)
            sums = np.concatenate([np.zeros((len(each), 1)), each.cumsum(axis=1)], axis=1)
            moved[name][test] = sums[:, width:] - sums[:, :-width]
        length = np.maximum(np.linalg.norm(truth[test], axis=1, keepdims=True), 1e-30)
        slopes = _seen_along(weights, truth[test] / length, shape)
        squares += np.sum(slopes.astype(np.float64) ** 2, axis=2)
        mean = examples.samples[train].mean(axis=0, dtype=np.float64)
        contribution += np.einsum("ntc,tcn->tc", samples - mean, slopes, optimize=True)
    spread = examples.samples.std(axis=0, dtype=np.float64)
    saliency = Saliency(
        np.sqrt(squares / len(truth)) * spread, contribution / len(truth), float(contribution.sum() / len(truth))
    )
    _, pictures = np.unique(examples.names, return_inverse=True)
    units = pictures if pictures.max() + 1 >= 10 else np.arange(len(truth))
    scores: dict[str, PartialScore] = {}
    kind = "auc" if gallery.told_apart else "two_way"
    for condition, rows in seen.items():
        found = main_score(rows * scale + gallery.mean, examples.names, folds, gallery, settings.seed)
        if found is not None:
            scores[condition] = PartialScore(condition, 0.0, *found)
    parts = {
        name: {
            condition: _agreement(condition, rows[place], designs[place], folds, units, settings.seed)
            for condition, rows in told.items()
        }
        for place, name in enumerate(names)
    }
    pulls = {name: _pull(moved[name], whole[name], units, settings.seed) for name in moved}
    middles = times_s[: len(times_s) - width + 1] + (width - 1) / 2 * float(times_s[1] - times_s[0])
    return (
        Perturbations(kind, scores, parts, pairs, middles, pulls, len(truth), int(pictures.max()) + 1),
        saliency,
    )


def _partners(names: NDArray[np.str_], folds: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return for each trial another of its fold with another picture, or itself where there is none."""
    rng = np.random.default_rng(seed)
    partner = np.arange(len(names))
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        for row in rows:
            others = rows[names[rows] != names[row]]
            if len(others):
                partner[row] = rng.choice(others)
    return partner


def _reader(truth: Array, design: Array) -> Array:
    """Return the ridge map ``[dims, columns]`` from the pictures' own embeddings to an attribute; no EEG is in it."""
    # A light penalty: pictures' embeddings hold no noise, and trials repeat them.
    return solve_ridge(truth, design, 1e-2 * len(truth))[0]


def _seen_along(weights: NDArray[np.float32], directions: Array, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return what each sample adds along each direction ``[trials, dims]``, ``[times, channels, trials]``."""
    along: NDArray[np.float32] = (weights @ directions.T.astype(np.float32)).reshape(*shape, len(directions))
    return along


def _agreement(
    name: str, told: Array, design: Array, folds: NDArray[np.int64], units: NDArray[np.int64], seed: int
) -> PartialScore:
    owners = np.zeros(design.shape[1], np.int64)
    parts = products(told, design, owners, folds)[:, :, 0]
    summed = np.stack([np.bincount(units, weights=part).astype(np.float64) for part in parts])[:, :, None]
    low, high = interval(bootstrap(summed, seed)[:, 0])
    return PartialScore(name, 0.0, float(correlation_of(summed.sum(axis=1))[0]), float(low), float(high))


def _pull(moved: Array, whole: Array, units: NDArray[np.int64], seed: int) -> Array:
    """Return the summed movement over the summed way, with its interval over units, ``[3, stretches]``."""
    n = int(units.max()) + 1
    way = np.bincount(units, weights=whole, minlength=n)
    sums = np.zeros((n, moved.shape[1]))
    np.add.at(sums, units, moved)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=500).astype(np.float64)
    total = max(float(way.sum()), 1e-30)
    low, high = interval((drawn @ sums) / np.maximum(drawn @ way, 1e-30)[:, None])
    return np.stack([sums.sum(axis=0) / total, low, high])
