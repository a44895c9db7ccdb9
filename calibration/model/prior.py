"""A map that starts from earlier ones: a Gaussian prior on its weights, worth as many trials as helps.

What a source remembers joins the sums of products of the new trials, each of its trials with a weight; noise and means
are pooled likewise. Counted as all the trials that it has, a source is pooled with the new ones; counted as none, it
has no part. In between is chosen by how well held-out *new* trials are told apart, so a source that does not help
counts as nothing. Every source and the new trials have an intercept of their own: what moves all responses of a day
alike is no evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from calibration.model.choosing import ClassQuestion, MapChoice, PictureQuestion, question_of
from calibration.model.earlier import Earlier, pooled, weighed
from calibration.model.examples import Examples, Layout
from calibration.model.moments import Moments
from calibration.model.noise import Candidate
from calibration.model.ridge import AlphaPath, threads_for
from calibration.model.scaling import Scaling, scale
from configs.schema import FitSettings

Array = NDArray[np.float64]
Index = NDArray[np.int64]

WORTHS = (10.0, 30.0, 100.0, 300.0, 1000.0, np.inf)
"""What sources may count as, in trials, before each is held to the trials that it has."""


class PriorRidge:
    """Every ridge solution of new trials and of what sources remember, together.

    Parameters
    ----------
    scaling
        How windows become features.
    features
        ``[trials, features]`` of the new trials.
    targets
        ``[trials, dims]``.
    earlier
        The sources, none without worth.
    """

    def __init__(
        self,
        scaling: Scaling,
        features: NDArray[np.floating],
        targets: NDArray[np.floating],
        earlier: Sequence[Earlier],
    ) -> None:
        self.scaling, self.features, self.targets, self.earlier = scaling, features, targets, tuple(earlier)
        rows = [np.sqrt(each.weight) * scaling.rows_of(each) for each in earlier]
        wanted = [np.sqrt(each.weight) * each.memory.targets.astype(np.float64) for each in earlier]
        self._basis = _span(features, rows)
        own = Moments.of(self._within(features), targets)
        gram, cross = own.gram, own.cross
        for part, answer in zip(rows, wanted, strict=True):
            inside = self._within(part)
            gram, cross = gram + inside.T @ inside, cross + inside.T @ answer
        self._path = AlphaPath(replace(own, gram=gram, cross=cross))
        self._along = self._path.rotated(self._within(features))

    def _within(self, features: NDArray[np.floating]) -> Array:
        inside: Array = features.astype(np.float64) if self._basis is None else features @ self._basis
        return inside

    def weights(self, alpha: float) -> Array:
        """Return the weights ``[features, dims]``."""
        found = self._path.solve(alpha)[0]
        return found if self._basis is None else self._basis @ found

    def held_out(self, folds: Index, alpha: float) -> Array:
        """Return predictions ``[trials, dims]`` of each new trial by the map without its fold."""
        predicted = np.empty(self.targets.shape)
        for rows, residuals, _ in self._path.held_out(self._along, self.targets, folds, alpha):
            predicted[rows] = self.targets[rows] - residuals
        return predicted

    def spread(self, folds: Index, alpha: float, unseen: NDArray[np.floating], of_fold: Index) -> Array:
        """Return the standard deviation ``[dims]`` of one map's predictions of trials that it has not seen.

        Parameters
        ----------
        folds, alpha
            ``[trials]``: what is left out together; the penalty.
        unseen, of_fold
            Features of trials to predict, and the fold ``[unseen]`` without which each is.
        """
        along = self._path.rotated(self._within(unseen))
        predicted = np.empty((len(unseen), self.targets.shape[1]))
        for rows, _, weights in self._path.held_out(self._along, self.targets, folds, alpha):
            test = of_fold == folds[rows[0]]
            predicted[test] = along[test] @ weights
        spread: Array = predicted.std(axis=0)
        return spread

    def target_statistics(self) -> tuple[Array, Array]:
        """Return mean and standard deviation ``[dims]`` of all targets, the sources' by their worths."""
        n = len(self.targets)
        memories = [(each, each.memory) for each in self.earlier]
        means = [(each, memory.mean_target.astype(np.float64)) for each, memory in memories]
        variances = [(each, np.sum(memory.targets.astype(np.float64) ** 2, axis=0) / memory.n_trials)
                     for each, memory in memories]  # fmt: skip
        own = self.targets.astype(np.float64)
        return pooled(own.mean(axis=0), n, means), np.sqrt(pooled(own.var(axis=0), n, variances))


@dataclass(frozen=True)
class Prior:
    """What was taken over from earlier calibrations.

    Attributes
    ----------
    earlier
        Every source, with the worth that was chosen for it.
    n_trials
        How many new trials there are.
    score, alone
        Held-out score of the new trials with the sources, and without any: AUC, or two-way identification.
    """

    earlier: tuple[Earlier, ...]
    n_trials: int
    score: float
    alone: float

    def record(self) -> dict[str, object]:
        """Return it as it is written into the bundle."""
        sources = [
            {"name": each.name, "worth_trials": each.worth, "n_trials": each.memory.n_trials} for each in self.earlier
        ]
        return {"sources": sources, "n_new_trials": self.n_trials, "score": self.score, "score_alone": self.alone}

    @property
    def lines(self) -> tuple[str, ...]:
        """What each source contributed, for people."""
        return tuple(
            f"{each.name}: its {each.memory.n_trials} trials count as {each.worth:.0f} of the {self.n_trials} new ones"
            if each.worth
            else f"{each.name}: counts as nothing, the new trials alone are told apart as well"
            for each in self.earlier
        )


def weigh(
    examples: Examples,
    layout: Layout,
    settings: FitSettings,
    folds: Index,
    alone: MapChoice,
    earlier: Sequence[Earlier],
) -> tuple[Prior, MapChoice, PriorRidge | None]:
    """Return what each source is worth, the choice with it, and its ridge; no ridge where no source is worth anything.

    Parameters
    ----------
    examples
        The new training trials, and no others.
    layout
        Where window and baseline lie.
    settings
        What there is to choose from.
    folds
        ``[trials]``: which trials are held out together.
    alone
        What is chosen without sources, and what every other choice must beat.
    earlier
        The sources; their worths are not looked at.
    """
    search = _Search(examples, layout, settings, folds)
    nothing = tuple(each.worth_of(0.0) for each in earlier)
    first = search.score(alone.candidate, (), (alone.alpha,))[0]
    best = _Option(first, alone.candidate, alone.alpha, nothing)
    listed = dict.fromkeys([*(candidate_of(each) for each in earlier), alone.candidate])
    tried: set[tuple[float, ...]] = set()
    for worth in WORTHS:
        counted = tuple(each.worth_of(worth) for each in earlier)
        if (worths := tuple(each.worth for each in counted)) in tried:
            continue
        tried.add(worths)
        for candidate in listed:
            best = search.better(best, candidate, counted)
    if len(earlier) > 1:
        for place, each in enumerate(earlier):
            for worth in (0.0, *WORTHS):
                changed = list(best.earlier)
                changed[place] = each.worth_of(worth)
                if changed[place].worth != best.earlier[place].worth and weighed(changed):
                    best = search.better(best, best.candidate, tuple(changed))
    prior = Prior(best.earlier, len(examples), best.score, first)
    if not weighed(best.earlier):
        return prior, alone, None
    choice = replace(alone, candidate=best.candidate, alpha=best.alpha, score=best.score)
    return prior, choice, search.ridge(best.candidate, best.earlier)


@dataclass(frozen=True)
class _Option:
    score: float
    candidate: Candidate
    alpha: float
    earlier: tuple[Earlier, ...]


class _Search:
    """Compares ways to weigh sources on the same held-out trials."""

    def __init__(self, examples: Examples, layout: Layout, settings: FitSettings, folds: Index) -> None:
        self._examples, self._layout, self._settings, self._folds = examples, layout, settings, folds
        asked: ClassQuestion | PictureQuestion = question_of(examples, folds, settings.seed)
        # Few trials have few pairs within folds; about their maps' means, predictions of all folds can be compared.
        self._question = replace(asked, folds=np.zeros_like(folds)) if isinstance(asked, ClassQuestion) else asked

    def ridge(self, candidate: Candidate, earlier: Sequence[Earlier]) -> PriorRidge:
        counted = weighed(earlier)
        scaling, features = scale(self._examples.samples, self._layout, self._settings.whiten, candidate, counted)
        with threads_for(*features.shape):
            return PriorRidge(scaling, features, self._examples.targets, counted)

    def score(self, candidate: Candidate, earlier: Sequence[Earlier], alphas: Sequence[float]) -> list[float]:
        ridge = self.ridge(candidate, earlier)
        found = []
        for alpha in alphas:
            predicted = ridge.held_out(self._folds, alpha)[self._question.rows]
            answers = self._question.answer(predicted)
            found.append(float(answers.sum()) / (int(self._question.strata.max(initial=0)) + 1))
        return found

    def better(self, best: _Option, candidate: Candidate, earlier: tuple[Earlier, ...]) -> _Option:
        """Return the best so far, or the best of these where that scores higher."""
        alphas = sorted(self._settings.alphas, reverse=True)
        scores = self.score(candidate, earlier, alphas)
        place = int(np.argmax(scores))
        if scores[place] <= best.score:
            return best
        return _Option(scores[place], candidate, float(alphas[place]), earlier)


def candidate_of(earlier: Earlier) -> Candidate:
    """Return how epochs became features in a source's own map."""
    memory = earlier.memory
    return Candidate(memory.step_s, memory.smooth_s, memory.windows)


def _span(features: NDArray[np.floating], rows: Sequence[Array]) -> Array | None:
    """Return a basis ``[features, trials + rows]`` of what trials and rows span; None where features are fewer."""
    n = len(features) + sum(map(len, rows))
    if n >= features.shape[1]:
        return None
    centred = features - features.mean(axis=0, dtype=np.float64)
    basis: Array = linalg.qr(np.vstack([centred, *rows]).T, mode="economic", check_finite=False)[0]
    return basis
