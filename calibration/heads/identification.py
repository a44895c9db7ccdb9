"""The identification head, from trials: fitted, scored on trials that it never saw, and made ready to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.data.kept import Kept, content_key
from calibration.data.targets import cache_folder
from calibration.heads.choosing import HeadChoice, choose_head
from calibration.heads.contrastive import Index, Problem, Samples, Solution, Training
from calibration.heads.start import ridge_start
from calibration.model.examples import Examples, Layout
from calibration.model.folding import LinearMap
from calibration.model.folds import grouped_folds
from calibration.model.linear_model import HeldOut, Mapping
from calibration.model.noise import Candidate
from calibration.model.scaling import AS_THEY_ARE, Scaling, scale
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery
from realtime.decoding.identification_head import IdentificationHead, Residual

Tell = Callable[[], None]


@dataclass(frozen=True, eq=False)
class HeadTargets:
    """What the head learns, of every picture of a gallery.

    Attributes
    ----------
    gallery
        The pictures.
    layers
        float32 ``[layers, pictures, dims]``.
    said
        What that is, for people.
    """

    gallery: Gallery
    layers: Samples
    said: str


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head as it runs.

    Attributes
    ----------
    map
        From a window in microvolts to the output; its mean over training trials is 0, and its root mean square 1 on
        trials that it has not seen.
    residual
        Corrects the output; None where the map is all.
    embeddings
        float32 ``[pictures, dims]``: what the output of each picture of the gallery should be, root mean square 1.
    choice
        How long it was trained, and what speaks for it.
    """

    map: LinearMap
    residual: Residual | None
    embeddings: Samples
    choice: HeadChoice

    def predict(self, samples: Samples) -> Samples:
        """Return the outputs ``[trials, dims]`` of windows ``[trials, times, channels]``."""
        summed = self.map.predict(samples)
        return summed if self.residual is None else self.residual(summed)


@dataclass(frozen=True, eq=False)
class Judged:
    """Predictions of trials that the predicting maps never saw, and what they are compared with.

    Attributes
    ----------
    predicted
        float32 ``[trials, dims]``.
    names
        ``[trials]``: the entry of `gallery` that was shown.
    folds
        ``[trials]``; only entries of one fold are compared.
    gallery
        What can be the answer: where every fold has learned a projection of its own, an entry a picture and fold.
    pictures
        The picture of each entry.
    """

    predicted: Samples
    names: NDArray[np.str_]
    folds: Index
    gallery: Gallery
    pictures: tuple[str, ...]

    @property
    def own(self) -> Index:
        """``[trials]``: the place in `gallery` of what was shown."""
        return self.gallery.places(self.names)


def fit_head(
    examples: Examples,
    targets: HeadTargets,
    layout: Layout,
    settings: FitSettings,
    candidate: Candidate,
    alpha: float,
    tell: Tell = lambda: None,
) -> FittedHead:
    """Return the head fitted on trials, everything in it chosen on them alone.

    Parameters
    ----------
    examples
        The training trials, and no others; those that do not teach are left out.
    targets
        What the head learns; statistics are of the pictures that these trials show.
    layout
        Where window and baseline lie.
    settings
        Size, penalties, layers' mix, residual, folds, seed.
    candidate, alpha
        How epochs become features, and the penalty of the ridge map that training begins from.
    tell
        Called after each epoch.
    """
    examples = examples.taught()
    if settings.average_repeats:
        examples = examples.averaged()
    scaling, features = scale(examples.samples, layout, settings.whiten, candidate)
    own = targets.gallery.places(examples.names)
    shown = np.unique(own)
    standard = _standardised(targets.layers, shown)
    problem = Problem(features, own, standard, settings.identification_mix == "learnt", settings.residual)
    folds = grouped_folds(examples.names, settings.folds, settings.seed)
    key = content_key((features, own, standard, folds), settings.model_dump(mode="json"), alpha)
    kept = Kept(cache_folder() / "fits" / key)
    embeddings = targets.gallery.embeddings[None]
    others = not np.array_equal(embeddings, targets.layers)
    first = Problem(features, own, _standardised(embeddings, shown)) if others else None
    choice = choose_head(problem, folds, alpha, settings, kept, tell, first)
    solution = train(problem, choice, alpha, settings, kept, tell)
    kept.forget()
    output, embeddings = solution.predict(features), solution.project(standard)
    # the size that unseen trials' outputs have, and the pictures': both are 1 from here on
    size = choice.spread * float(np.sqrt(np.mean(output**2)))
    wanted = float(np.sqrt(np.mean(embeddings[shown] ** 2)))
    residual = solution.residual
    if residual is not None:
        residual = replace(residual, output=residual.output / size, output_bias=residual.output_bias / size)
    return FittedHead(_folded(scaling, solution, size), residual, (embeddings / wanted).astype(np.float32), choice)


def train(
    problem: Problem, choice: HeadChoice, alpha: float, settings: FitSettings, kept: Kept, tell: Tell = lambda: None
) -> Solution:
    """Return the map trained on all trials, for as long as was chosen.

    Parameters
    ----------
    problem, alpha, settings, kept, tell
        As for `choose_head`.
    choice
        Penalty and epochs.
    """
    every = np.arange(len(problem.features))
    start, _ = ridge_start(problem, every, alpha, settings.identification_dims)
    training = Training(problem, every, start, choice.decay, settings.seed)
    began = kept.load("final")
    if began is not None:
        training.restore(began)
    while training.epoch < choice.epochs:
        training.run_epoch()
        if kept.due:
            kept.save("final", training.state())
        tell()
    return training.solution()


def judge(
    examples: Examples,
    targets: HeadTargets,
    layout: Layout,
    settings: FitSettings,
    held_out: HeldOut,
    like: Samples | None = None,
    tell: Tell = lambda: None,
) -> Judged:
    """Return held-out predictions of the head, in the folds of the first head.

    Parameters
    ----------
    examples, targets, layout, settings, tell
        As for `fit_head`; all trials.
    held_out
        The first head's: folds, and how epochs became features in each.
    like
        ``[pictures, dims]``: embeddings that those of every fold are turned towards, which changes no comparison within
        a fold; left out, they stay as they are.
    """
    own = targets.gallery.places(examples.names)
    dims = min(settings.identification_dims, targets.layers.shape[2])
    predicted = np.empty((len(examples), dims), dtype=np.float32)
    names = np.empty(len(examples), dtype=f"U{max(map(len, targets.gallery.names)) + 16}")
    entries: list[tuple[str, str, Samples]] = []
    pictures: list[str] = []
    numbers = np.unique(held_out.folds)
    recur = {int(one) for one in np.unique(own) if len(np.unique(held_out.folds[own == one])) > 1}
    for place, number in enumerate(numbers):
        test = held_out.folds == number
        candidate = held_out.choices[place].candidate if held_out.choices else AS_THEY_ARE
        head = fit_head(examples.take(~test), targets, layout, settings, candidate, held_out.alphas[place], tell)
        turn = np.eye(dims, dtype=np.float32) if like is None else _turn(head.embeddings, like)
        predicted[test] = head.predict(examples.samples[test]) @ turn
        for picture in np.unique(own[test]):
            name = targets.gallery.names[picture]
            entry = f"{name} (fold {place + 1})" if int(picture) in recur else name
            names[test & (own == picture)] = entry
            pictures.append(name)
            entries.append((entry, targets.gallery.labels[picture], head.embeddings[picture] @ turn))
    gallery = Gallery(
        tuple(entry for entry, _, _ in entries),
        tuple(label for _, label, _ in entries),
        np.stack([embedding for _, _, embedding in entries]).astype(np.float32),
        np.zeros(dims, np.float32),
        np.ones(dims, np.float32),
    )
    return Judged(predicted, names, held_out.folds, gallery, tuple(pictures))


def as_runs(head: FittedHead, targets: HeadTargets) -> IdentificationHead:
    """Return the head as a bundle holds it."""
    dims = head.embeddings.shape[1]
    mean, std = np.zeros(dims, np.float32), np.ones(dims, np.float32)
    gallery = replace(targets.gallery, embeddings=head.embeddings, mean=mean, std=std)
    return IdentificationHead(head.map.weights, head.map.bias, gallery, targets.said, head.residual)


def candidate_of(mapping: Mapping) -> Candidate:
    """Return how epochs became features in a map."""
    return AS_THEY_ARE if mapping.choice is None else mapping.choice.candidate


def _standardised(layers: Samples, shown: Index) -> Samples:
    """Return targets about the mean of the pictures shown, in their standard deviations, layer by layer."""
    mean = layers[:, shown].mean(axis=1, keepdims=True, dtype=np.float64)
    std = layers[:, shown].std(axis=1, keepdims=True, dtype=np.float64)
    varies = std > 1e-9 * max(float(std.max()), 1e-30)
    standard: Samples = np.where(varies, (layers - mean) / np.where(varies, std, 1.0), 0.0).astype(np.float32)
    return standard


def _folded(scaling: Scaling, solution: Solution, size: float) -> LinearMap:
    """Return the map from a window in microvolts, its output divided by `size`."""
    weights = solution.weights.astype(np.float64) / size
    as_it_is = np.zeros(weights.shape[1]), np.ones(weights.shape[1])
    return scaling.chain(weights, -solution.mean.astype(np.float64) @ weights, as_it_is, as_it_is).fold()


def _turn(embeddings: Samples, like: Samples) -> Samples:
    """Return the rotation ``[dims, dims]`` that brings embeddings nearest to others (orthogonal Procrustes)."""
    from scipy.linalg import orthogonal_procrustes

    rotation, _ = orthogonal_procrustes(embeddings, like)
    return np.asarray(rotation, dtype=np.float32)
