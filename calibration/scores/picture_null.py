"""The null of a cross-validated identification of pictures: the same maps fitted on pictures that changed places.

Exchanging pictures only after cross-validation gives p-values that are too small, for the reason that
`calibration.scores.permutation_null` names: each two trials of different folds count twice, once from either side.
Here each picture takes another one's embedding before the maps are fitted, with all its trials. What is chosen is
chosen anew for each exchange, as `calibration.scores.exchanged_choices` does: an option is taken because it suited the
training trials by chance, and what suited most of them suits the others, so that a null of maps as they were chosen
once is too narrow. Where trials are too many for that, choices stay as they were; and of very many, some are asked.
A ridge map is linear in its targets, so a fold's predictions are one matrix ``[trials, pictures]`` times the embeddings
as they were handed out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibration.model.choosing import noise_classes, recurring_classes
from calibration.model.examples import Examples, Layout
from calibration.model.folds import grouped_folds
from calibration.model.linear_model import HeldOut
from calibration.model.noise import Candidate
from calibration.model.ridge import influence, threads_for
from calibration.model.scaling import AS_THEY_ARE, scale
from calibration.progress import Part
from calibration.scores.exchanged_choices import can_choose_anew, choices_of_each
from calibration.scores.permutation_null import Null
from calibration.scores.retrieval import retrieve
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery

Index = NDArray[np.int64]

MOST_PERMUTATIONS = 199
"""Permutations that are fitted: a p-value of 0.005 is the smallest that they can give."""
MOST_TRIALS, FEWEST_TRIALS = 4000, 500
"""Trials whose predictions are asked, by the true pictures and by exchanged ones; maps learn from all."""
_MOST_PRODUCTS = 2e12
"""Products of all predictions, of `FEWEST_TRIALS` at least: about three minutes of a core."""


def null_of_pictures(
    examples: Examples,
    own: Index,
    gallery: Gallery,
    layout: Layout,
    settings: FitSettings,
    held_out: HeldOut,
    *,
    anew: bool = True,
    progress: Part | None = None,
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
        What the cross-validation gave: its folds, and what was chosen in each. By what embeddings are compared is
        not chosen anew: it is that of `gallery`.
    anew
        Whether to choose anew for each draw, which a p-value needs and the width of an interval does not.
    progress
        Told how many of the folds are done, and, as one step more, of the draws.
    """
    rng = np.random.default_rng(settings.seed)
    pictures, place = np.unique(own, return_inverse=True)
    count = min(settings.permutations, MOST_PERMUTATIONS)
    orders = np.stack([np.arange(len(pictures)), *(rng.permutation(len(pictures)) for _ in range(count))])
    embeddings = gallery.embeddings[pictures]
    most = int(np.clip(_MOST_PRODUCTS / (len(orders) * embeddings.size), FEWEST_TRIALS, MOST_TRIALS))
    asked = np.zeros(len(own), np.bool_)
    asked[np.random.default_rng(settings.seed).permutation(len(own))[:most]] = True
    numbers = np.unique(held_out.folds)
    anew = anew and can_choose_anew(len(examples), embeddings, len(orders), settings)
    tables = []
    with threads_for(len(examples), examples.samples[0].size):
        for number, fold in enumerate(numbers):
            if progress is not None:
                progress(number, len(numbers) + 1)
            test = held_out.folds == fold
            option = held_out.choices[number].candidate if held_out.choices else AS_THEY_ARE
            chosen = [(option, held_out.alphas[number])] * len(orders)
            train, shown = _train(examples.take(~test), place[~test], settings)
            learned, column = np.unique(shown, return_inverse=True)
            if anew:
                taught = replace(train, targets=np.eye(len(learned), dtype=np.float32)[column])
                chosen = choices_of_each(taught, embeddings, orders[:, learned], layout, settings)
            made = {}
            for each in dict.fromkeys(chosen):
                answers = _answers(train, column, examples.samples[test & asked], layout, settings, each)
                made[each] = np.zeros((len(answers), len(pictures)), np.float32)
                made[each][:, learned] = answers - answers.mean(axis=0)
            tables.append((test[asked], [made[each] for each in chosen]))
        found = []
        for draw, order in enumerate(orders):
            if progress is not None:
                progress(len(numbers) + draw / len(orders), len(numbers) + 1)
            by_fold = [(test, each[draw]) for test, each in tables]
            found.append(_score(by_fold, pictures[order], place[asked], held_out.folds[asked], gallery))
    return Null(found[0], np.array(found[1:]), of_all=bool(asked.all()))


def _train(examples: Examples, place: Index, settings: FitSettings) -> tuple[Examples, Index]:
    """Return the trials that a fold's map learned from, and the picture of each."""
    train, shown = examples.take(examples.teaches), place[examples.teaches]
    if settings.average_repeats:
        _, first = np.unique(train.members(), return_index=True)
        return train.averaged(), shown[first]
    return train, shown


def _answers(
    train: Examples,
    shown: Index,
    unseen: NDArray[np.float32],
    layout: Layout,
    settings: FitSettings,
    chosen: tuple[Candidate, float],
) -> NDArray[np.float32]:
    """Return ``[unseen, pictures]``: how much of each learned picture's embedding a prediction holds.

    `shown` are the pictures of the trials, of which each has one at least.
    """
    option, alpha = chosen
    # Exchanged embeddings leave together what was together.
    folds = grouped_folds(train.split_groups(settings.folds), settings.folds, settings.seed)
    classes = noise_classes(recurring_classes(train.names, folds), option, layout, train.samples.shape)
    scaling, features = scale(train.samples, layout, settings.whiten, option, classes=classes)
    of_trials = influence(features, scaling.apply(unseen), alpha).astype(np.float32)
    order = np.argsort(shown, kind="stable")
    begins = np.searchsorted(shown[order], np.arange(shown.max() + 1))
    answers: NDArray[np.float32] = np.add.reduceat(of_trials[:, order], begins, axis=1)
    return answers


def _score(
    answers: Sequence[tuple[NDArray[np.bool_], NDArray[np.float32]]],
    handed: Index,
    place: Index,
    folds: Index,
    gallery: Gallery,
) -> float:
    """Return two-way identification where picture `i` of the trials had the embedding `handed[i]`.

    `answers` are those of each fold's trials, about their mean.
    """
    given = gallery.embeddings[handed]
    shown = (np.bincount(place, minlength=len(handed)) / len(place)).astype(np.float32)
    level = shown @ given
    apart = given - level
    spread = np.sqrt(np.einsum("p,pd,pd->d", shown, apart, apart))
    predicted = np.empty((len(place), given.shape[1]), np.float32)
    for test, held in answers:
        predicted[test] = held @ apart
    size = predicted.std(axis=0)
    # Every map stretches its predictions to the spread of its targets.
    predicted *= np.divide(spread, size, out=np.zeros_like(size), where=size > 0)
    predicted += level
    return retrieve(predicted, handed[place], folds, gallery).score
