"""What a fit would have chosen, had other pictures been shown: for a null that makes every choice anew.

A ridge map is linear in its targets. So what maps without a fold's trials make of them is one matrix
``[trials, pictures]`` for each option, times the embeddings as they were handed out, and each option is fitted once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.model.choosing import question_of
from calibration.model.examples import Examples, Layout
from calibration.model.folds import grouped_folds
from calibration.model.noise import Candidate
from calibration.model.ridge import held_out_path, inverse_deviation
from calibration.model.scaling import candidates, scale
from calibration.statistics import choose_each
from configs.schema import FitSettings

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_MOST_PRODUCTS = 2e12
"""Products for which choices are made anew: about a minute."""


def can_choose_anew(n_trials: int, embeddings: NDArray[np.float32], draws: int, settings: FitSettings) -> bool:
    """Return whether choices can be made anew in bearable time.

    Parameters
    ----------
    n_trials, draws
        How many trials and exchanges there are.
    embeddings
        ``[pictures, dims]``: those of all pictures that were shown.
    settings
        Folds, and what there is to choose from.
    """
    n_pictures, dims = embeddings.shape
    options, each = len(settings.alphas), settings.folds * dims
    if settings.choose == "identification":
        options, each = options * (2 + len(settings.windows) * len(settings.smooth_s)), n_trials
    return bool(n_pictures**2 * each * draws * options <= _MOST_PRODUCTS)


def choices_of_each(
    train: Examples, embeddings: NDArray[np.float32], handed: Index, layout: Layout, settings: FitSettings
) -> list[tuple[Candidate, float]]:
    """Return the way to features and the alpha that `fit_map` would choose, for each way to hand out embeddings.

    Parameters
    ----------
    train
        The training trials of a fold, repeats averaged where they are. Their targets are ``[trials, pictures]``: 1 for
        the picture shown, 0 for others.
    embeddings
        ``[pictures, dims]``, from which they are handed out.
    handed
        ``[draws, pictures]``: which of them each picture has in each draw.
    layout, settings
        Those of the cross-validation.
    """
    folds = grouped_folds(train.split_groups(settings.folds), settings.folds, settings.seed)
    alphas = np.array(sorted(settings.alphas, reverse=True))
    options = candidates(layout, settings, train.samples.shape)
    judge = (_Error if settings.choose == "error" else _Question)(train, embeddings, handed, folds, settings.seed)
    answers = []
    for option in options:
        _, features = scale(train.samples, layout, settings.whiten, option)
        for _, predicted in held_out_path(features, train.targets, folds, alphas, judge.rows):
            answers.append(judge.answer(predicted))
    best = judge.best(np.stack(answers), len(options))
    return [(options[number // len(alphas)], float(alphas[number % len(alphas)])) for number in best]


class _Question:
    """Asks held-out memberships ``[rows, pictures]`` what `choose` does, for each way to hand out embeddings."""

    def __init__(
        self, train: Examples, embeddings: NDArray[np.float32], handed: Index, folds: Index, seed: int
    ) -> None:
        self._question = question_of(train, folds, seed)
        self.rows = self._question.rows
        by_name = self._question.ideal.argmax(axis=1)
        # The axes along which predictions are compared, in memberships.
        owns = (embeddings[given].astype(np.float64) for given in handed)
        self._axes = np.stack([(self._question.axes_of(own[by_name]) @ own.T).astype(np.float32) for own in owns])

    def answer(self, predicted: Array) -> Array:
        """Return ``[draws, units]``: what each unit adds to the score."""
        return self._question.told((predicted - self._question.level).astype(np.float32), self._axes)

    def best(self, answers: Array, n_candidates: int) -> Index:
        """Return the place ``[draws]`` of the option to take."""
        strata = np.broadcast_to(self._question.strata, answers.shape[1:])
        return choose_each(answers, strata, n_candidates)[1]


class _Error:
    """Finds the squared error of held-out memberships ``[trials, pictures]``, for each way to hand out embeddings."""

    def __init__(
        self, train: Examples, embeddings: NDArray[np.float32], handed: Index, _folds: Index, _seed: int
    ) -> None:
        self.rows: Index = np.arange(len(train))
        self._members, self._embeddings, self._handed = train.targets, embeddings.astype(np.float64), handed
        place = train.targets.argmax(axis=1)
        self._scales = [inverse_deviation(self._embeddings[given[place]]) for given in handed]

    def answer(self, predicted: Array) -> Array:
        """Return the error ``[draws]``, every dimension in its own standard deviations."""
        residual = self._members - predicted
        alike = residual.T @ residual
        own = (self._embeddings[given] * scale for given, scale in zip(self._handed, self._scales, strict=True))
        return np.array([np.sum((alike @ each) * each) for each in own])

    def best(self, answers: Array, _n_candidates: int) -> Index:
        """Return the place ``[draws]`` of the option to take."""
        best: Index = np.argmin(answers, axis=0)
        return best
