"""How long to train, with which penalty, and whether it pays: chosen on pictures that no training saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calibration.data.kept import Kept, State
from calibration.heads.contrastive import Index, Problem, Samples, Solution, Training
from calibration.heads.start import ridge_start
from configs.schema import FitSettings

Array = NDArray[np.float64]

MOST_EPOCHS = 60
PATIENCE = 6
"""Epochs without a better score on held-out pictures after which training stops."""
HELD_OUT = 2000
"""Held-out trials that are enough to choose by: of many trials fewer folds are trained."""
_MOST_PICTURES = 400
"""Held-out pictures of a fold that are compared."""


@dataclass(frozen=True)
class HeadChoice:
    """What was chosen for the second head, and what speaks for it.

    Attributes
    ----------
    decay, epochs
        The penalty, and how often every trial comes; 0 for the ridge map, in the directions in which it is certain.
    score, start_score, first_score
        Mean reciprocal rank of held-out trials' pictures: by the second head, its epochs and penalty chosen on others
        of them; by the ridge map that training began from; and by the first head's embedding, all of its dimensions
        alike.
    error
        Standard error of the difference between the second head's score and the first's, picture by picture.
    spread
        Root mean square of held-out outputs, in those of the trials learned from.
    """

    decay: float
    epochs: int
    score: float
    start_score: float
    first_score: float
    error: float
    spread: float

    @property
    def pays(self) -> bool:
        """Whether it is better than the first head by two standard errors."""
        return self.score - self.first_score > 2 * self.error

    @property
    def kind(self) -> str:
        """What the second head is: ``contrastive``, or ``ridge`` where training would not have helped."""
        return "contrastive" if self.epochs else "ridge"

    def __str__(self) -> str:
        """Say what was chosen and why, in one line."""
        return (
            f"{self.epochs} epochs, penalty {self.decay:g} (mean reciprocal rank {self.score:.3f} on held-out trials, "
            f"before training {self.start_score:.3f}, first head {self.first_score:.3f}, error {self.error:.3f})"
        )


@dataclass
class Split:
    """Trials that are learned from, and the held-out ones of pictures that are not among them."""

    rows: Index
    held: Index
    pictures: Index
    own: Index = field(repr=False)

    @classmethod
    def of(cls, pictures: Index, held_out: NDArray[np.bool_], seed: int) -> Split:
        """Return the split that holds out some trials, of which those of at most `_MOST_PICTURES` pictures are used.

        Parameters
        ----------
        pictures, held_out
            ``[trials]``: what each shows, and whether it is held out.
        seed
            Seed of which pictures are used.
        """
        shown = np.unique(pictures[held_out])
        kept = np.sort(np.random.default_rng(seed).permutation(shown)[:_MOST_PICTURES])
        held = np.flatnonzero(held_out & np.isin(pictures, kept))
        return cls(np.flatnonzero(~held_out), held, kept, np.searchsorted(kept, pictures[held]))


def choose_head(
    problem: Problem,
    folds: Index,
    alpha: float,
    settings: FitSettings,
    kept: Kept,
    tell: Callable[[], None] = lambda: None,
    first: Problem | None = None,
) -> HeadChoice:
    """Return the penalty and the number of epochs with which held-out pictures are told apart best.

    Parameters
    ----------
    problem
        Trials and targets, of training trials alone.
    folds
        ``[trials]``: which are held out together; with many trials not all of them are.
    alpha
        Penalty of the ridge map that training begins from.
    settings
        The penalties to choose from, size of the output, seed.
    kept
        Where a long training keeps its state.
    tell
        Called after each epoch of all folds.
    first
        The same trials with the first head's targets, where these are others.
    """
    numbers = np.unique(folds)
    enough = min(len(numbers), -(-HELD_OUT * len(numbers) // len(folds)))
    splits = [Split.of(problem.pictures, folds == number, settings.seed) for number in numbers[:enough]]
    dims = settings.identification_dims
    begun = [_start(problem, split, alpha, dims, kept, f"start-{place}") for place, split in enumerate(splits)]
    courses: list[_Course] = []
    for decay in settings.identification_decay:
        trainings = [
            Training(problem, split.rows, start, decay, settings.seed)
            for split, (start, _) in zip(splits, begun, strict=True)
        ]
        courses.append(_course(problem, splits, trainings, kept, f"decay-{decay:g}", tell))
    chosen = int(np.argmax([course.units.mean(axis=1).max() for course in courses]))
    epochs = int(np.argmax(courses[chosen].units.mean(axis=1)))
    of_fold = np.repeat(np.arange(len(splits)), [len(split.pictures) for split in splits])
    if len(splits) == 1:
        of_fold = np.arange(len(of_fold)) % 2
    units, start = _chosen_elsewhere(courses, of_fold), courses[0].units[0]
    if settings.identification == "auto" and units.mean() - start.mean() <= 2 * _error(units - start):
        epochs, units = 0, start
    if first is not None:
        begun = [_start(first, split, alpha, dims, kept, f"first-{place}") for place, split in enumerate(splits)]
    before = np.concatenate([told for _, told in begun])
    return HeadChoice(
        settings.identification_decay[chosen],
        epochs,
        float(units.mean()),
        float(start.mean()),
        float(before.mean()),
        _error(units - before),
        courses[chosen].spreads[epochs],
    )


def _error(differences: Array) -> float:
    """Return the standard error of the mean of differences ``[pictures]``."""
    return float(differences.std(ddof=1) / np.sqrt(len(differences)))


@dataclass(frozen=True, eq=False)
class _Course:
    """How training with one penalty went.

    Attributes
    ----------
    units
        ``[epochs, pictures]``: how well held-out pictures are told apart before each epoch, fold after fold.
    spreads
        ``[epochs]``: root mean square of held-out outputs, in those of the trials learned from.
    """

    units: Array
    spreads: list[float]


def _chosen_elsewhere(courses: Sequence[_Course], groups: Index) -> Array:
    """Return ``[pictures]``: how well each is told apart by what is chosen on the other groups of pictures.

    The best of many epochs looks better than it is on the pictures that it is the best for.
    """
    every = np.concatenate([course.units for course in courses])
    found = np.empty(every.shape[1])
    for group in np.unique(groups):
        own = groups == group
        found[own] = every[every[:, ~own].mean(axis=1).argmax()][own]
    return found


def _start(problem: Problem, split: Split, alpha: float, dims: int, kept: Kept, name: str) -> tuple[Solution, Array]:
    """Return where training begins, and how well the ridge map tells held-out pictures apart as the first head does.

    There all dimensions count alike: each is stretched by the spread of its predictions.
    """
    import torch

    def make() -> State:
        start, weights = ridge_start(problem, split.rows, alpha, dims)
        predicted = problem.features[split.held] @ weights - start.mean @ weights
        spread = predicted.std(axis=0)
        predicted /= np.where(spread > 0, spread, 1.0)
        units = reciprocal_ranks(predicted, problem.targets.mean(axis=0)[split.pictures], split.own)
        arrays = {name: torch.from_numpy(getattr(start, name)) for name in ("mean", "weights", "projection", "mix")}
        return {**arrays, "scale": start.scale, "units": units.tolist()}

    found = kept.once(name, make)
    arrays = {name: found[name].numpy() for name in ("mean", "weights", "projection", "mix")}
    return Solution(**arrays, scale=found["scale"]), np.array(found["units"])


def _course(
    problem: Problem,
    splits: Sequence[Split],
    trainings: Sequence[Training],
    kept: Kept,
    name: str,
    tell: Callable[[], None],
) -> _Course:
    """Train all folds side by side until none of `PATIENCE` epochs was better."""
    units: list[list[float]] = []
    spreads: list[float] = []
    began = kept.load(name)
    if began is not None:
        units, spreads = began["units"], began["spreads"]
        for training, state in zip(trainings, began["trainings"], strict=True):
            training.restore(state)
    while True:
        if len(units) == trainings[0].epoch:
            each = [_held_out(problem, split, one.solution()) for split, one in zip(splits, trainings, strict=True)]
            units.append(np.concatenate([found for found, _ in each]).tolist())
            spreads.append(float(np.mean([spread for _, spread in each])))
        best = int(np.argmax([np.mean(row) for row in units]))
        if trainings[0].epoch == MOST_EPOCHS or trainings[0].epoch - best >= PATIENCE:
            return _Course(np.array(units), spreads)
        for training in trainings:
            training.run_epoch()
        if kept.due:
            states = [training.state() for training in trainings]
            kept.save(name, {"units": units, "spreads": spreads, "trainings": states})
        tell()


def _held_out(problem: Problem, split: Split, found: Solution) -> tuple[Array, float]:
    """Return how well a map tells the held-out pictures apart, and how its output is spread on their trials."""
    output = found.predict(problem.features[split.held])
    taught = found.predict(problem.features[split.rows[: len(split.held)]])
    units = reciprocal_ranks(output, found.project(problem.targets[:, split.pictures]), split.own)
    return units, float(np.sqrt(np.mean(output**2) / np.mean(taught**2)))


def reciprocal_ranks(output: Samples, candidates: Samples, own: Index) -> Array:
    """Return for each candidate ``[pictures]`` the mean over its trials of one over the rank of what was shown.

    Parameters
    ----------
    output
        ``[trials, dims]``.
    candidates
        ``[pictures, dims]``: what outputs are compared with, by the cosine.
    own
        ``[trials]``: the candidate that was shown.
    """
    length = np.linalg.norm(candidates, axis=1, keepdims=True)
    alike = output @ np.divide(candidates, length, out=np.zeros_like(candidates), where=length > 0).T
    mine = alike[np.arange(len(own)), own][:, None]
    rank = 1 + np.sum(alike > mine, axis=1) + 0.5 * (np.sum(alike == mine, axis=1) - 1)
    counts = np.bincount(own, minlength=len(candidates))
    mean: Array = np.bincount(own, 1 / rank, minlength=len(candidates)) / np.maximum(counts, 1)
    return mean
