"""A map that starts from earlier ones: a Gaussian prior on its weights, worth as many trials as helps.

What a source remembers joins the sums of products of the new trials, each of its trials with a weight; noise and means
are pooled likewise. Counted as all the trials that it has, a source is pooled with the new ones; counted as none, it
has no part. In between is chosen by how well held-out *new* trials are told apart, so a source that does not help
counts as nothing. What those choices leave open is averaged, not decided: with forty trials the best of several worths
is a matter of luck. Every source and the new trials have an intercept of their own: what moves all responses of a day
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
from calibration.model.moments import AlphaPath, Moments
from calibration.model.noise import Candidate
from calibration.model.ridge import threads_for
from calibration.model.scaling import Scaling, scale
from configs.schema import FitSettings

Array = NDArray[np.float64]
Index = NDArray[np.int64]

WORTHS = (10.0, 30.0, 100.0, 300.0, 1000.0, np.inf)
"""What sources may count as, in trials, before each is held to the trials that it has."""
_ONE_ALONE = (30.0, 300.0)
"""What each of several sources may count as with none of the others."""
_NOTHING = 0.1
"""How far it is believed, before anything is seen, that one's own earlier days are worth nothing."""
_PEOPLE = 4
"""How many other people there are where that they are worth something is as likely as that they are not."""
_LITTLE = 30.0
"""Trials as few as which an earlier day is believed to count only half as much as to count as very many."""
_DOUBT, _DOUBT_OF_OTHERS = 0.15, 0.3
"""Spread of a held-out score beyond which its option loses share, times the root of the trials that it rests on: half
the standard error of a score without information, and all of it where other people are among the sources."""
_TELLING = 0.1
"""Share of the new trials below which a source that counts as so few changes nothing."""
_WINDOW = 1 / 50
"""Share, of the best option's, below which an option has no part (Occam's window, Madigan & Raftery 1994)."""


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

    def telling(self, alphas: Sequence[float]) -> tuple[float, ...]:
        """Return the penalties that change anything: below the largest all ridge maps are of, above all are alike."""
        largest = self._path.largest
        found = [alpha for alpha in alphas if 1e-3 * largest <= alpha <= largest]
        return tuple(found or [min(alphas, key=lambda alpha: abs(np.log(alpha / max(largest, 1e-300))))])

    def held_out(self, folds: Index, alpha: float) -> Array:
        """Return predictions ``[trials, dims]`` of each new trial by the map without its fold."""
        predicted = np.empty(self.targets.shape)
        for rows, residuals, _ in self._path.held_out(self._along, self.targets, folds, alpha):
            predicted[rows] = self.targets[rows] - residuals
        return predicted

    def rotated(self, epochs: NDArray[np.float32]) -> Array:
        """Return epochs ``[n, times, channels]`` in the coordinates of the solutions."""
        return self._path.rotated(self._within(self.scaling.apply(epochs)))

    def deviations(
        self, folds: Index, alpha: float, unseen: Array | None = None, of_fold: Index | None = None
    ) -> Array:
        """Return predictions ``[unseen, dims]`` of trials by maps that have not seen them, without the intercepts.

        Parameters
        ----------
        folds, alpha
            ``[trials]``: what is left out together; the penalty.
        unseen, of_fold
            What to predict, `rotated`, and the fold ``[unseen]`` without which each is; the trials where left out.
        """
        along = self._along if unseen is None else unseen
        of_fold = folds if of_fold is None else of_fold
        predicted = np.empty((len(along), self.targets.shape[1]))
        for rows, _, weights in self._path.held_out(self._along, self.targets, folds, alpha):
            test = of_fold == folds[rows[0]]
            predicted[test] = along[test] @ weights
        return predicted

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
        Every source, with its worth: the mean over what was averaged.
    n_trials
        How many new trials there are.
    share_alone
        Part of the map that is that of the new trials alone.
    score, alone
        Held-out score of the new trials with the sources, and without any: AUC, or two-way identification.
    """

    earlier: tuple[Earlier, ...]
    n_trials: int
    share_alone: float
    score: float
    alone: float

    def record(self) -> dict[str, object]:
        """Return it as it is written into the bundle, without the sources."""
        told: dict[str, object] = {"n_new_trials": self.n_trials, "share_alone": self.share_alone}
        return told | {"score": self.score, "score_alone": self.alone}

    def sources(self) -> list[dict[str, object]]:
        """Return what each source counts as, as it is written into the bundle."""
        return [
            {"name": each.name, "worth_trials": each.worth, "n_trials": each.memory.n_trials} for each in self.earlier
        ]

    @property
    def lines(self) -> tuple[str, ...]:
        """What each source contributed, for people."""
        return tuple(
            f"{each.name}: its {each.memory.n_trials} trials count as {each.worth:.0f}, beside {self.n_trials} new ones"
            if each.worth
            else f"{each.name}: counts as nothing, the {self.n_trials} new trials are told apart as well without it"
            for each in self.earlier
        )


@dataclass(frozen=True)
class Blend:
    """The average of maps that count the sources differently, each brought to predictions of spread 1.

    Attributes
    ----------
    weights, offset
        ``[times, channels, dims]`` for a window in microvolts, and ``[dims]``.
    unseen
        ``[trials, dims]``: predictions of single trials by maps that have not seen them, without the intercepts.
    target_mean, target_std
        ``[dims]``.
    """

    weights: Array
    offset: Array
    unseen: Array
    target_mean: Array
    target_std: Array


@dataclass(frozen=True)
class _Way:
    """A way to make features and to count sources, with the penalties that matter and their shares in the map."""

    candidate: Candidate
    earlier: tuple[Earlier, ...]
    alphas: tuple[float, ...]
    shares: tuple[float, ...] = ()


def weigh(
    taught: Taught, layout: Layout, settings: FitSettings, alone: MapChoice, earlier: Sequence[Earlier]
) -> tuple[Prior, Blend | None]:
    """Return what each source is worth and the map with them; no map where no source is worth anything.

    Parameters
    ----------
    taught
        The new training trials, and no others.
    layout
        Where window and baseline lie.
    settings
        What there is to choose from.
    alone
        What is chosen without sources.
    earlier
        The sources; their worths are not looked at.
    """
    search = _Search(taught, layout, settings)
    first = _Way(alone.candidate, tuple(each.worth_of(0.0) for each in earlier), (alone.alpha,))
    listed = list(dict.fromkeys([*(candidate_of(each) for each in earlier), alone.candidate]))
    ways, scores = [first], [search.scores(search.ridge(first), first.alphas)]
    for counted in _counts(earlier, search.n_trials):
        for candidate in listed:
            way = _Way(candidate, counted, ())
            ridge = search.ridge(way)
            way = replace(way, alphas=ridge.telling(settings.alphas))
            ways.append(way)
            scores.append(search.scores(ridge, way.alphas))
    doubt = _DOUBT if all(each.own for each in earlier) else _DOUBT_OF_OTHERS
    shares = _shares(scores, doubt / np.sqrt(search.n), _beliefs(ways))
    kept = [replace(way, shares=share) for way, share in zip(ways, shares, strict=True) if any(share)]
    worths = [sum(sum(way.shares) * way.earlier[place].worth for way in kept) for place in range(len(earlier))]
    valued = tuple(replace(each, worth=float(worth)) for each, worth in zip(earlier, worths, strict=True))
    if not weighed(valued):
        return Prior(valued, search.n_trials, 1.0, scores[0][0], scores[0][0]), None
    blend, score = search.blended(kept)
    return Prior(valued, search.n_trials, shares[0][0], score, scores[0][0]), blend


@dataclass(frozen=True)
class Taught:
    """New trials to learn from.

    Attributes
    ----------
    examples, folds
        What is learned from, and which of it is held out together, ``[trials]``, where worths are chosen.
    single, spread_folds, of_fold
        Single trials whose predictions' spread is measured, what is left out together for that, ``[trials]``, and the
        fold without which each single trial is predicted.
    """

    examples: Examples
    folds: Index
    single: Examples
    spread_folds: Index
    of_fold: Index


class _Search:
    """Compares ways to count sources on the same held-out trials."""

    def __init__(self, taught: Taught, layout: Layout, settings: FitSettings) -> None:
        self._taught, self._layout, self._settings = taught, layout, settings
        examples, folds = taught.examples, taught.folds
        asked: ClassQuestion | PictureQuestion = question_of(examples, folds, settings.seed)
        # Few trials have few pairs within folds; about their maps' means, predictions of all folds can be compared.
        self._question = replace(asked, folds=np.zeros_like(folds)) if isinstance(asked, ClassQuestion) else asked
        used = asked.strata[asked.strata >= 0]
        self.n, self.n_trials = int(np.bincount(used).min()), len(examples)

    def ridge(self, way: _Way) -> PriorRidge:
        counted, examples = weighed(way.earlier), self._taught.examples
        scaling, features = scale(examples.samples, self._layout, self._settings.whiten, way.candidate, counted)
        with threads_for(*features.shape):
            return PriorRidge(scaling, features, examples.targets, counted)

    def scores(self, ridge: PriorRidge, alphas: Sequence[float]) -> list[float]:
        return [self._score(self._held_out(ridge, alpha)) for alpha in alphas]

    def blended(self, ways: Sequence[_Way]) -> tuple[Blend, float]:
        """Return the average of the ways' maps by their shares, and its held-out score."""
        taught = self._taught
        sums: list[Array] = [np.zeros(())] * 6
        for way in ways:
            ridge = self.ridge(way)
            statistics, single = ridge.target_statistics(), ridge.rotated(taught.single.samples)
            for alpha, share in zip(way.alphas, way.shares, strict=True):
                if not share:
                    continue
                held_out = self._held_out(ridge, alpha)
                spread = held_out.std(axis=0)
                gain = share * np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-12)
                weights = ridge.weights(alpha) * gain
                unseen = ridge.deviations(taught.spread_folds, alpha, single, taught.of_fold)
                parts = (
                    ridge.scaling.unfolded(weights),
                    -ridge.scaling.level(weights),
                    held_out * gain,
                    unseen * gain,
                    share * statistics[0],
                    share * statistics[1],
                )
                sums = [total + part for total, part in zip(sums, parts, strict=True)]
        weights, offset, held_out, unseen, mean, std = sums
        return Blend(weights, offset, unseen, mean, std), self._score(held_out)

    def _held_out(self, ridge: PriorRidge, alpha: float) -> Array:
        return ridge.deviations(self._taught.folds, alpha)

    def _score(self, deviations: Array) -> float:
        rows = self._question.rows
        answers = self._question.answer(deviations[rows] + self._question.level)
        return float(answers.sum()) / (int(self._question.strata.max(initial=0)) + 1)


def _beliefs(ways: Sequence[_Way]) -> list[float]:
    """Return how far each way is believed before anything is seen; all together are 1.

    That other people are worth something is believed as a whole, however many ways there are to count them, and the
    more, the more people there are. A day of one's own is believed to be worth much rather than little.
    """
    n_others = sum(not each.own for each in ways[0].earlier)
    believed = n_others / (n_others + _PEOPLE)
    likely, kinds = [], []
    for way in ways:
        days = [each.worth for each in way.earlier if each.own and each.worth]
        strange = any(each.worth and not each.own for each in way.earlier)
        likely.append(float(np.mean(days) / (np.mean(days) + _LITTLE)) if days else 1.0)
        kinds.append("others" if strange else "days" if days else "nothing")
    nothing = _NOTHING if "days" in kinds else 1.0
    beliefs = {"others": believed, "days": (1 - believed) * (1 - nothing), "nothing": (1 - believed) * nothing}
    totals = {kind: np.sum(likely, where=np.array(kinds) == kind) for kind in beliefs}
    return [beliefs[kind] * one / totals[kind] for one, kind in zip(likely, kinds, strict=True)]


def _shares(scores: Sequence[Sequence[float]], doubt: float, beliefs: Sequence[float]) -> list[tuple[float, ...]]:
    """Return each map's part in the average: less, the further its score is below the best, in units of `doubt`."""
    flat = np.concatenate([np.asarray(each, dtype=np.float64) for each in scores])
    weights = np.exp((flat - flat.max()) / doubt)
    # Of a way's penalties none counts more for being one of many.
    weights *= np.concatenate(
        [np.full(len(each), belief / len(each)) for each, belief in zip(scores, beliefs, strict=True)]
    )
    weights[weights < _WINDOW * weights.max()] = 0.0
    weights /= weights.sum()
    ends = np.cumsum([len(each) for each in scores])[:-1]
    return [tuple(part.tolist()) for part in np.split(weights, ends)]


def _counts(earlier: Sequence[Earlier], n_trials: int) -> list[tuple[Earlier, ...]]:
    """Return what sources may count as beside `n_trials`.

    All as much; one's own earlier days as much, and other people nothing; or one of several, and the others nothing.
    """
    every = range(len(earlier))
    days = [place for place in every if earlier[place].own]
    asked = [(every, WORTHS), (days, WORTHS), *(((place,), _ONE_ALONE) for place in every)]
    found = [
        tuple(each.worth_of(worth if place in places else 0.0) for place, each in enumerate(earlier))
        for places, worths in asked
        if places
        for worth in worths
        if worth >= _TELLING * n_trials
    ]
    return list({tuple(each.worth for each in way): way for way in found}.values())


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
