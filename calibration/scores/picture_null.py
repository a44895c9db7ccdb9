"""The null of a cross-validated identification of pictures: the same maps fitted on pictures that changed places.

Exchanging pictures only after cross-validation gives p-values that are too small, for the reason that
`calibration.scores.permutation_null` names: each two trials of different folds count twice, once from either side.
Here each picture takes another one's embedding before the maps are fitted, with all its trials. Scaling, alpha and
folds stay as they were chosen for the true pictures, and a ridge map is linear in its targets, so a fold's predictions
are one matrix ``[trials, pictures]`` times the embeddings as they were handed out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import HeldOut
from calibration.model.ridge import solve_ridge, threads_for
from calibration.model.scaling import AS_THEY_ARE, scale
from calibration.scores.permutation_null import Null
from calibration.scores.retrieval import centred, retrieve
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery

Index = NDArray[np.int64]

MOST_PERMUTATIONS = 199
"""Permutations that are fitted: a p-value of 0.005 is the smallest that they can give."""


def null_of_pictures(
    examples: Examples, own: Index, gallery: Gallery, layout: Layout, settings: FitSettings, held_out: HeldOut
) -> Null:
    """Return two-way identification of the whole cross-validation with pictures exchanged before it.

    Parameters
    ----------
    examples
        What `calibration.model.linear_model.cross_validate` was given.
    own
        ``[trials]``: each trial's picture, a place in `gallery`.
    gallery
        The pictures.
    layout, settings
        Those of the cross-validation; the null has `permutations` draws, `MOST_PERMUTATIONS` at most.
    held_out
        What the cross-validation gave: its folds, and what was chosen in each.
    """
    rng = np.random.default_rng(settings.seed)
    pictures, place = np.unique(own, return_inverse=True)
    with threads_for(len(examples), examples.samples[0].size):
        answers = centred(_answers(examples, place, layout, settings, held_out), held_out.folds)
        count = min(settings.permutations, MOST_PERMUTATIONS)
        orders = [np.arange(len(pictures)), *(rng.permutation(len(pictures)) for _ in range(count))]
        found = [_score(answers, pictures[order], place, held_out.folds, gallery) for order in orders]
    return Null(found[0], np.array(found[1:]))


def _answers(
    examples: Examples, place: Index, layout: Layout, settings: FitSettings, held_out: HeldOut
) -> NDArray[np.float32]:
    """Return ``[trials, pictures]``: how much of each picture's embedding a trial's prediction holds."""
    answers = np.zeros((len(examples), int(place.max()) + 1), np.float32)
    for number, fold in enumerate(np.unique(held_out.folds)):
        test = held_out.folds == fold
        taught = ~test & examples.teaches
        train, shown = examples.take(taught), place[taught]
        if settings.average_repeats:
            _, first = np.unique(train.members(), return_index=True)
            train, shown = train.averaged(), shown[first]
        option = held_out.choices[number].candidate if held_out.choices else AS_THEY_ARE
        scaling, features = scale(train.samples, layout, settings.whiten, option)
        learned, column = np.unique(shown, return_inverse=True)
        weights, _ = solve_ridge(features, np.eye(len(learned))[column], held_out.alphas[number])
        unseen = scaling.apply(examples.samples[test])
        answers[np.ix_(test, learned)] = unseen @ weights.astype(np.float32)
    return answers


def _score(answers: NDArray[np.float32], handed: Index, place: Index, folds: Index, gallery: Gallery) -> float:
    """Return two-way identification where picture `i` of the trials had the embedding `handed[i]`.

    `answers` are about the mean of their fold.
    """
    given, shown = gallery.embeddings[handed], np.bincount(place, minlength=len(handed)) / len(place)
    level = shown @ given
    spread = np.sqrt(shown @ (given - level) ** 2)
    predicted: NDArray[np.floating[Any]] = answers @ (given - level).astype(np.float32)
    size = predicted.std(axis=0)
    # Every map stretches its predictions to the spread of its targets.
    predicted *= np.divide(spread, size, out=np.zeros_like(size), where=size > 0)
    predicted += level.astype(np.float32)
    found = retrieve(predicted, handed[place], folds, gallery)
    return float(np.nanmean(found.two_way))
