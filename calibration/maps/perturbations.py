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
from calibration.model.folding import LinearMap
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
    numbers, step_s = np.unique(folds), float(times_s[1] - times_s[0])
    width = min(max(1, round(STRETCH_S / step_s)), examples.samples.shape[1])
    perturbed = _Perturbed(examples, gallery, dict(zip(names, designs, strict=True)), order, width)
    partner = _partners(examples.names, folds, settings.seed)
    for done, fold in enumerate(numbers):
        if progress is not None:
            progress(done, len(numbers))
        train, test = folds != fold, np.flatnonzero(folds == fold)
        perturbed.add(fit_map(examples.take(train), layout, settings).map, train, test, partner[test])
    _, pictures = np.unique(examples.names, return_inverse=True)
    units = pictures if pictures.max() + 1 >= 10 else np.arange(len(examples))
    kind = "auc" if gallery.told_apart else "two_way"
    scores: dict[str, PartialScore] = {}
    for condition, rows in perturbed.seen.items():
        found = main_score(rows * perturbed.scale + gallery.mean, examples.names, folds, gallery, settings.seed)
        if found is not None:
            scores[condition] = PartialScore(condition, 0.0, *found)
    parts = {
        name: {
            condition: _agreement(condition, read[name], design, folds, units, settings.seed)
            for condition, read in perturbed.read.items()
        }
        for name, design in perturbed.designs.items()
    }
    pulls = {name: _pull(moved, perturbed.whole[name], units, settings.seed) for name, moved in perturbed.moved.items()}
    middles = times_s[: len(times_s) - width + 1] + (width - 1) / 2 * step_s
    return (
        Perturbations(kind, scores, parts, pairs, middles, pulls, len(examples), int(pictures.max()) + 1),
        perturbed.saliency(),
    )


class _Perturbed:
    """What maps that never saw a trial say of it as it is and perturbed, filled fold after fold.

    Embeddings are in standard deviations of the gallery, about its mean.

    Parameters
    ----------
    examples, gallery, designs
        The trials, what embeddings are compared with, and the attributes' designs by name.
    order
        Which channel takes the place of each when left and right are exchanged.
    width
        Samples of a stretch that is exchanged with another trial's.

    Attributes
    ----------
    seen, read
        By condition: embeddings ``[trials, dims]``, and each attribute ``[trials, columns]`` that is read from them.
    moved, whole
        By what is read: how far each stretch of another trial moves this one towards that, ``[trials, stretches]``, and
        how far that is ``[trials]``, squared.
    """

    def __init__(
        self, examples: Examples, gallery: Gallery, designs: dict[str, Array], order: list[int], width: int
    ) -> None:
        self.scale = np.where(gallery.std > 0, gallery.std, 1.0).astype(np.float64)
        self.designs = designs
        self._samples, self._mean, self._order, self._width = examples.samples, gallery.mean, order, width
        self._truth = truth = (examples.targets - gallery.mean) / self.scale
        n, shape = len(truth), examples.samples.shape[1:]
        self.seen = {condition: np.empty(truth.shape) for condition in (INTACT, MIRRORED)}
        self.read = {
            condition: {name: np.empty(design.shape) for name, design in designs.items()} for condition in self.seen
        }
        self.moved = {name: np.empty((n, shape[0] - width + 1)) for name in (_EMBEDDING, *designs)}
        self.whole = {name: np.empty(n) for name in self.moved}
        self._squares, self._contribution = np.zeros(shape), np.zeros(shape)

    def add(
        self, linear: LinearMap, train: NDArray[np.bool_], test: NDArray[np.int64], partner: NDArray[np.int64]
    ) -> None:
        """Take in one fold.

        Parameters
        ----------
        linear
            The map that was fitted on `train`.
        train, test
            ``[trials]`` which trials it saw, and the places of those that it did not.
        partner
            Places of other trials of the fold, one for each of `test`.
        """
        truth, samples = self._truth, self._samples[test]
        shape = samples.shape[1:]
        readers = {name: _reader(truth[train], design[train]) for name, design in self.designs.items()}
        for condition, tampered in ((INTACT, samples), (MIRRORED, samples[:, :, self._order])):
            rows = self.seen[condition][test] = (linear.predict(tampered) - self._mean) / self.scale
            for name, reader in readers.items():
                self.read[condition][name][test] = rows @ reader
        weights = (linear.weights.reshape(-1, len(self.scale)) / self.scale).astype(np.float32)
        steps = {_EMBEDDING: truth[partner] - truth[test]}
        self.whole[_EMBEDDING][test] = np.sum(steps[_EMBEDDING] ** 2, axis=1)
        for name, design in self.designs.items():
            step = design[partner] - design[test]
            self.whole[name][test] = np.sum(step**2, axis=1)
            steps[name] = step @ readers[name].T
        other = self._samples[partner] - samples
        for name, step in steps.items():
            each = np.einsum("ntc,tcn->nt", other, _seen_along(weights, step, shape), optimize=True)
            sums = np.concatenate([np.zeros((len(each), 1)), each.cumsum(axis=1)], axis=1)
            self.moved[name][test] = sums[:, self._width :] - sums[:, : -self._width]
        length = np.maximum(np.linalg.norm(truth[test], axis=1, keepdims=True), 1e-30)
        slopes = _seen_along(weights, truth[test] / length, shape)
        self._squares += np.sum(slopes.astype(np.float64) ** 2, axis=2)
        mean = self._samples[train].mean(axis=0, dtype=np.float64)
        self._contribution += np.einsum("ntc,tcn->tc", samples - mean, slopes, optimize=True)

    def saliency(self) -> Saliency:
        """Return which samples the evidence hangs on, once every fold is in."""
        n, spread = len(self._truth), self._samples.std(axis=0, dtype=np.float64)
        gradient, contribution = np.sqrt(self._squares / n) * spread, self._contribution / n
        return Saliency(gradient, contribution, float(contribution.sum()))


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
