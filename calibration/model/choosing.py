"""The choice of alpha, noise and window by what is asked of a map: how well it tells apart what it has not seen.

Squared error is no such question. On weak EEG the map with the least error predicts next to nothing, and all alike;
identification does not care how large a prediction is, only which way it points.

Options are compared on the same held-out trials, by the standard error of the difference, trial by trial, which is far
smaller than that of either score. On a few hundred weak trials the option that looks best seldom is. So the first
candidate, and the alpha in the middle of those tried, give way only to what is better by two standard errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.kept import Kept, State
from calibration.errors import RidgeError
from calibration.model.examples import Examples, Layout
from calibration.model.noise import Candidate, steps
from calibration.model.ridge import held_out_path, threads_for
from calibration.model.scaling import Scaling, candidates, scale
from calibration.progress import Share
from calibration.statistics import choose_each
from configs.schema import FitSettings

Array = NDArray[np.float64]
Index = NDArray[np.int64]

MOST_CLASSES = 20
"""Names that are told apart in pairs (AUC), where they recur from fold to fold; with more, or where each picture is in
one fold alone, each trial is compared with the pictures of its fold."""
_MOST_PRODUCTS = 2e9
"""Products of a fit up to which its noise is about classes: a null makes the noise of each of its maps anew. Where it
could not in bearable time, trials are so many that the mean of all serves as well."""
_MOST_PICTURES = 400
"""Pictures of a fold that are compared: enough for a choice, and few enough for 16,540."""


@dataclass(frozen=True)
class MapChoice:
    """What was chosen, and from what.

    Attributes
    ----------
    candidate, alpha
        How epochs become features, and the penalty.
    score
        Held-out score of the choice: AUC or two-way identification.
    alphas, errors, scores
        The penalties tried with the chosen candidate, and for each the held-out squared error and the score.
    by_candidate
        The best score of each candidate.
    """

    candidate: Candidate
    alpha: float
    score: float
    alphas: Array
    errors: Array
    scores: Array
    by_candidate: tuple[tuple[Candidate, float], ...]

    def __str__(self) -> str:
        """Say what was chosen and why, in one line."""
        others = ", ".join(f"{score:.3f} {name}" for name, score in self.by_candidate if name != self.candidate)
        why = f"{self.score:.3f} on held-out trials; best of the others: {others}" if others else f"{self.score:.3f}"
        return f"{self.candidate}, alpha {self.alpha:g} ({why})"


def choose(
    examples: Examples,
    layout: Layout,
    settings: FitSettings,
    folds: Index,
    options: Sequence[Candidate] = (),
    tell: Share = lambda _: None,
    kept: Kept | None = None,
) -> tuple[MapChoice, Scaling, NDArray[np.float32]]:
    """Return the choice with its scaling and the features of the examples.

    Scores are those of noise about the mean of all trials, which has not seen the labels of the held-out ones.

    Parameters
    ----------
    examples
        The training trials, and no others.
    layout
        Where window and baseline lie.
    settings
        What there is to choose from.
    folds
        ``[trials]``: which trials are held out together.
    options
        Ways to features, in place of those of the settings.
    tell
        Told which share of them is tried.
    kept
        Where a choice that took long is kept.
    """
    question = question_of(examples, folds, settings.seed)
    alphas = np.array(sorted(settings.alphas, reverse=True))
    options = options or candidates(layout, settings, examples.samples.shape)
    made: list[tuple[Scaling, NDArray[np.float32]]] = []

    def make() -> State:
        answers: list[Array] = []
        errors: list[float] = []
        for candidate in options:
            made.append(scale(examples.samples, layout, settings.whiten, candidate))
            features = made[-1][1]
            with threads_for(*features.shape):
                for error, predicted in held_out_path(features, examples.targets, folds, alphas, question.rows):
                    errors.append(error)
                    answers.append(question.answer(predicted))
                    tell(len(answers) / (len(options) * len(alphas)))
        values, chosen = choose_each(np.stack(answers), question.strata[None], len(options))
        return {"scores": values[:, 0].tolist(), "errors": errors, "place": int(chosen[0])}

    found = make() if kept is None else kept.once("choice", make)
    table = np.array(found["scores"]).reshape(len(options), len(alphas))
    number, column = divmod(found["place"], len(alphas))
    classes = noise_classes(recurring_classes(examples.names, folds), options[number], layout, examples.samples.shape)
    if made and classes is None:
        scaling, features = made[number]
    else:
        scaling, features = scale(examples.samples, layout, settings.whiten, options[number], classes=classes)
    choice = MapChoice(
        candidate=options[number],
        alpha=float(alphas[column]),
        score=float(table[number, column]),
        alphas=alphas[::-1],
        errors=np.array(found["errors"]).reshape(table.shape)[number, ::-1],
        scores=table[number, ::-1],
        by_candidate=tuple((option, float(row.max())) for option, row in zip(options, table, strict=True)),
    )
    return choice, scaling, features


def pair_answers(evidence: Array, labels: Index, pair: tuple[int, int], folds: Index) -> Array:
    """Return ``[labellings, trials]``: what each trial adds to the AUC between two classes, within folds.

    Parameters
    ----------
    evidence
        ``[labellings, trials]`` for the pair's second class over its first.
    labels
        ``[labellings, trials]``.
    pair
        The two classes.
    folds
        ``[trials]``.
    """
    wins, compared = np.zeros(evidence.shape), np.zeros(len(evidence))
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        order = np.argsort(evidence[:, rows], axis=1, kind="stable")
        ranked = np.take_along_axis(labels[:, rows], order, axis=1)
        first, second = ranked == pair[0], ranked == pair[1]
        below = np.cumsum(first, axis=1)
        above = second.sum(axis=1, keepdims=True) - np.cumsum(second, axis=1)
        won = np.empty(order.shape)
        np.put_along_axis(won, order, np.where(second, below, np.where(first, above, 0.0)), axis=1)
        wins[:, rows] = won
        compared += first.sum(axis=1) * second.sum(axis=1)
    share: Array = wins / np.maximum(compared, 1)[:, None]
    return share


@dataclass(frozen=True)
class ClassQuestion:
    """Trials of a few classes, told apart in pairs."""

    rows: Index
    strata: Index
    labels: Index
    folds: Index
    pairs: tuple[tuple[int, int], ...]
    level: Array
    ideal: Array

    def answer(self, predicted: Array) -> Array:
        """Return ``[1, units]``: what each trial of a class, pair after pair, adds to the score."""
        return self.told(predicted - self.level, self.axes_of(self.ideal)[None])

    def told(self, along: NDArray[np.floating[Any]], axes: NDArray[np.floating[Any]]) -> Array:
        """Return what `answer` does ``[labellings, units]`` where each has axes ``[labellings, pairs, dims]``.

        `along` are predictions ``[rows, dims]`` less the level.
        """
        labels = np.broadcast_to(self.labels, (len(axes), len(self.labels)))
        parts = [
            pair_answers(axes[:, place] @ along.T, labels, pair, self.folds) for place, pair in enumerate(self.pairs)
        ]
        return np.concatenate(parts, axis=1)

    def axes_of(self, ideal: Array) -> Array:
        """Return ``[pairs, dims]`` along which each pair of targets ``[classes, dims]`` is told apart."""
        weight = _per_variance(ideal)
        return np.stack([(ideal[b] - ideal[a]) * weight for a, b in self.pairs])


@dataclass(frozen=True)
class PictureQuestion:
    """Trials of many pictures, each compared with the pictures of its fold."""

    rows: Index
    strata: Index
    pictures: Index
    unit: Index
    folds: Index
    level: Array
    ideal: Array

    def answer(self, predicted: Array) -> Array:
        """Return ``[1, units]``: what each picture adds to the score."""
        return self.told(predicted - self.level, self.axes_of(self.ideal)[None])

    def told(self, along: NDArray[np.floating[Any]], axes: NDArray[np.floating[Any]]) -> Array:
        """Return what `answer` does ``[labellings, units]`` where each has axes ``[labellings, pictures, dims]``.

        `along` are predictions ``[rows, dims]`` less the level.
        """
        total = np.zeros((len(axes), axes.shape[1]))
        for fold in np.unique(self.folds):
            rows = self.folds == fold
            pictures, own = np.unique(self.unit[rows], return_inverse=True)
            alike = axes[:, pictures] @ along[rows].T
            # 1 for each picture that is less like it, −1 for each that is more: the share below, ties counting half.
            ahead = np.sign(np.take_along_axis(alike, own[None, None], axis=1) - alike).sum(axis=1)
            member = (own[:, None] == np.arange(len(pictures))).astype(np.float64)
            total[:, pictures] += (0.5 + 0.5 * ahead / max(len(pictures) - 1, 1)) @ member
        count = np.bincount(self.unit)
        mean: Array = total / count / len(count)
        return mean

    def axes_of(self, ideal: Array) -> Array:
        """Return unit vectors ``[compared, dims]``, on the scale of targets ``[pictures, dims]``, towards each."""
        weight = np.sqrt(_per_variance(ideal))
        towards = (ideal[self.pictures] - ideal.mean(axis=0)) * weight
        length = np.linalg.norm(towards, axis=1, keepdims=True)
        axes: Array = np.divide(towards, length, out=np.zeros_like(towards), where=length > 0) * weight
        return axes


def question_of(examples: Examples, folds: Index, seed: int) -> ClassQuestion | PictureQuestion:
    """Return what held-out predictions of these examples are asked.

    Predictions are taken about the mean target of the trials that the map of the fold learned from: about any other
    point that mean itself, which is no prediction, would point to some pictures.

    Parameters
    ----------
    examples
        The training trials.
    folds
        ``[trials]``: which trials are held out together.
    seed
        Seed of which pictures are compared, where there are very many.

    Raises
    ------
    RidgeError
        If all show the same.
    """
    targets = examples.targets.astype(np.float64)
    level = np.empty_like(targets)
    for fold in np.unique(folds):
        level[folds == fold] = targets[folds != fold].mean(axis=0)
    names, first, place = np.unique(examples.names, return_index=True, return_inverse=True)
    ideal = targets[first]
    if len(names) < 2:
        msg = f"all {len(place)} trials to learn from show {str(names[0])!r}: nothing can be told apart"
        raise RidgeError(msg)
    if recurring_classes(examples.names, folds) is not None:
        pairs = tuple((a, b) for a in range(len(names)) for b in range(a + 1, len(names)))
        by_pair = [
            np.where(place == a, 2 * number, np.where(place == b, 2 * number + 1, -1))
            for number, (a, b) in enumerate(pairs)
        ]
        return ClassQuestion(np.arange(len(place)), np.concatenate(by_pair), place, folds, pairs, level, ideal)
    rng = np.random.default_rng(seed)
    kept = np.zeros(len(place), dtype=np.bool_)
    for fold in np.unique(folds):
        shown = np.unique(place[folds == fold])
        kept |= (folds == fold) & np.isin(place, rng.permutation(shown)[:_MOST_PICTURES])
    rows = np.flatnonzero(kept)
    pictures, unit = np.unique(place[rows], return_inverse=True)
    strata = np.zeros(len(pictures), np.int64)
    return PictureQuestion(rows, strata, pictures, unit, folds[rows], level[rows], ideal)


def recurring_classes(names: NDArray[np.str_], folds: Index) -> Index | None:
    """Return the class ``[trials]`` of each trial, from 0; None where names are many or none is in two of the folds."""
    found, place = np.unique(names, return_inverse=True)
    recur = len(np.unique(np.stack([place, folds]), axis=1).T) > len(found)
    return place if len(found) <= MOST_CLASSES and recur else None


def noise_classes(classes: Index | None, candidate: Candidate, layout: Layout, shape: Sequence[int]) -> Index | None:
    """Return the classes ``[trials]`` about whose means the noise of a map is; None for that about the mean of all.

    Parameters
    ----------
    classes
        ``[trials]``: those of the map's trials, as `recurring_classes` finds them.
    candidate
        How epochs become features.
    layout
        When the window's samples were taken.
    shape
        Trials, times and channels.
    """
    return classes if candidate.step_s and products_of_map(layout, candidate.step_s, shape) <= _MOST_PRODUCTS else None


def products_of_map(layout: Layout, step_s: float, shape: Sequence[int]) -> float:
    """Return how many products a map of steps takes, whose noise is made anew; without end where times are not known.

    Parameters
    ----------
    layout
        When the window's samples were taken.
    step_s
        Length of the steps.
    shape
        Trials, times and channels.
    """
    if layout.times_s is None:
        return float("inf")
    features = len(steps(layout.times_s, step_s)[1]) * shape[2]
    return float(shape[0]) * features * min(shape[0], features)


def _per_variance(ideal: Array) -> Array:
    """Return one over the variance of each dimension ``[dims]`` of targets, 0 for one without."""
    spread = ideal.std(axis=0)
    weight: Array = np.divide(1.0, spread**2, out=np.zeros_like(spread), where=spread > 1e-9 * max(spread.max(), 1e-30))
    return weight


def said(choices: Sequence[MapChoice]) -> dict[str, int]:
    """Return how often each candidate was chosen, most often first."""
    names = [str(choice.candidate) for choice in choices]
    return dict(sorted({name: names.count(name) for name in names}.items(), key=lambda item: -item[1]))
