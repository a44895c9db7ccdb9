"""From trials to the map: the same function fits the map that runs and the maps that are only scored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from calibration.data.kept import Kept
from calibration.model.choosing import MapChoice, choose
from calibration.model.comparing import ANGLE, ComparisonChoice, Form, Learned, choose_form, estimate
from calibration.model.earlier import Earlier, aligned
from calibration.model.examples import Examples, Layout
from calibration.model.folding import Chain, LinearMap
from calibration.model.folds import grouped_folds
from calibration.model.noise import Candidate
from calibration.model.prior import Blend, Prior, Taught, weigh
from calibration.model.ridge import fit_ridge, solve_ridge, threads_for
from calibration.model.scaling import scale
from calibration.progress import Part, Share
from configs.schema import FitSettings
from realtime.processes.blas_threads import one_thread

Array = NDArray[np.float64]

_SPREAD_FOLDS = 20
LARGE = 1 << 28
"""Bytes of samples from which on folds are fitted side by side, and choices are kept until the fit is done."""
_AT_ONCE = 2
"""Folds that are fitted side by side: each takes memory twice that of the samples."""


@dataclass(frozen=True)
class Mapping:
    """A fitted map: as a chain of steps, as it runs, and how its ridge part was chosen.

    Attributes
    ----------
    chain
        The map step by step.
    alpha
        Penalty of the ridge part.
    alphas, errors
        The penalties tried, and for each the held-out squared error as a fraction of the targets' variance.
    choice
        How the rest was chosen; None where alpha alone was, by squared error.
    prior
        What was taken over from earlier calibrations; None where none was given.
    comparison
        By what its embeddings are compared with pictures.
    """

    chain: Chain
    alpha: float
    alphas: Array
    errors: Array
    choice: MapChoice | None
    prior: Prior | None = None
    comparison: ComparisonChoice = ANGLE

    @cached_property
    def map(self) -> LinearMap:
        """The same map as it runs: folded into one matrix."""
        return self.chain.fold()


@dataclass(frozen=True)
class HeldOut:
    """Predictions of trials that the predicting map never saw.

    Attributes
    ----------
    predicted
        float32 ``[trials, dims]``.
    folds
        int64 ``[trials]``.
    alphas
        The alpha chosen in each fold, on its training trials alone.
    choices
        What else was chosen there; empty where nothing else was.
    priors
        What was taken over there from earlier calibrations; empty where none was given.
    comparisons
        By what each fold's embeddings are compared with pictures.
    """

    predicted: NDArray[np.float32]
    folds: NDArray[np.int64]
    alphas: tuple[float, ...]
    choices: tuple[MapChoice, ...] = ()
    priors: tuple[Prior, ...] = ()
    comparisons: tuple[ComparisonChoice, ...] = ()


def fit_map(
    examples: Examples,
    layout: Layout,
    settings: FitSettings,
    earlier: Sequence[Earlier] = (),
    options: Sequence[Candidate] = (),
    tell: Share = lambda _: None,
    kept: Kept | None = None,
) -> Mapping:
    """Return the map from epochs to targets, everything in it estimated from these trials.

    Parameters
    ----------
    examples
        The training trials, and no others; those that do not teach are left out.
    layout
        Where window and baseline lie.
    settings
        What there is to choose from and by what, number of folds, whether to average repeats, seed.
    earlier
        Earlier calibrations to start from, where the choice is by identification; what they are worth is chosen.
    options
        Ways from epochs to features to choose from; those of the settings when left out.
    tell
        Told which share of the options is tried.
    kept
        Where a choice that took long is kept.

    Raises
    ------
    RidgeError
        If the trials do not suffice.
    """
    examples = examples.taught()
    single, members = examples, np.arange(len(examples))
    if settings.average_repeats:
        members, examples = examples.members(), examples.averaged()
    targets = examples.targets
    folds = grouped_folds(examples.split_groups(settings.folds), settings.folds, settings.seed)
    choice: MapChoice | None = None
    prior: Prior | None = None
    if settings.choose == "identification":
        choice, scaling, features = choose(examples, layout, settings, folds, options, tell, kept)
        alpha, alphas, errors = choice.alpha, choice.alphas, choice.errors
        with threads_for(*features.shape):
            weights, intercept = solve_ridge(features, targets, alpha)
    else:
        scaling, features = scale(examples.samples, layout, settings.whiten)
        ridge = fit_ridge(features, targets, folds, settings.alphas)
        weights, intercept, alpha, alphas, errors = (
            ridge.weights, ridge.intercept, ridge.alpha, ridge.alphas, ridge.errors
        )  # fmt: skip
    # What is decoded is a single trial, whose prediction varies more than that of a mean.
    unseen = scaling.apply(single.samples) if settings.average_repeats else features
    spread_folds = _spread_folds(examples, settings.seed)
    learned = Learned(
        features, targets, spread_folds, alpha, unseen, spread_folds[members], single.targets, single.names
    )
    with threads_for(*features.shape):
        compared = settings.compare == "likelihood" and choice is not None
        form, scores = choose_form(learned, settings.seed) if compared else ("angle", {})
    if choice is not None and earlier:
        taught = Taught(examples, folds, single, spread_folds, spread_folds[members])
        prior, blend = weigh(taught, layout, settings, choice, aligned(earlier, examples.samples[:, layout.start :]))
        if blend is not None:
            chain = _chain_of(blend, layout)
            comparison = _compared(form, scores, blend.unseen, chain, single)
            return Mapping(chain, alpha, alphas, errors, choice, prior, comparison)
    with threads_for(*features.shape):
        along = learned.along()
    # Without intercepts: they differ from fold to fold, which is no spread of a map's predictions, and at a large alpha
    # exceeds it many times.
    predicted = unseen.mean(axis=0, dtype=np.float64) @ weights + intercept, along.std(axis=0)
    target = targets.mean(axis=0, dtype=np.float64), targets.std(axis=0, dtype=np.float64)
    chain = scaling.chain(weights, intercept, predicted, target)
    return Mapping(chain, alpha, alphas, errors, choice, prior, _compared(form, scores, along, chain, single))


def _compared(form: Form, scores: dict[Form, float], along: Array, chain: Chain, single: Examples) -> ComparisonChoice:
    """Return the comparison of a form, by trials ``[trials, dims]`` that maps have not seen."""
    if not scores:
        return ANGLE
    decoded = (along - along.mean(axis=0)) * chain.gain
    return ComparisonChoice(form, scores, estimate(decoded, single.targets, chain.target_mean, single.names))


def _chain_of(blend: Blend, layout: Layout) -> Chain:
    """Return the chain of a map that starts from sources: one step, from the window in microvolts."""
    times, channels, dims = blend.weights.shape
    return Chain(
        baseline=layout.baseline,
        start=layout.start,
        temporal=None,
        whitening=np.eye(channels),
        mean=np.zeros((times, channels)),
        std=np.ones((times, channels)),
        weights=blend.weights.reshape(-1, dims),
        intercept=blend.offset,
        predicted_mean=np.zeros(dims),
        predicted_std=blend.unseen.std(axis=0),
        target_mean=blend.target_mean,
        target_std=blend.target_std,
    )


def _spread_folds(examples: Examples, seed: int) -> NDArray[np.int64]:
    """Return twenty folds ``[trials]``, so that their maps are nearly as good as that of all trials.

    A picture is in one fold. Recordings, of which there are few, are cut into stretches: what trials of a class share
    is their target, which is not what is measured here.
    """
    _, place, sizes = np.unique(examples.groups, return_inverse=True, return_counts=True)
    one_picture_each = int(examples.members().max()) + 1 == len(sizes)
    stretches = 1 if one_picture_each else -(-_SPREAD_FOLDS // len(sizes))
    order = np.empty(len(place), dtype=np.int64)
    for group in range(len(sizes)):
        order[place == group] = np.arange(sizes[group]) * stretches // sizes[group]
    return grouped_folds(place * stretches + order, _SPREAD_FOLDS, seed)


def cross_validate(
    examples: Examples,
    layout: Layout,
    settings: FitSettings,
    progress: Part | None = None,
    earlier: Sequence[Earlier] = (),
    each: Callable[[Mapping, NDArray[np.bool_]], None] | None = None,
    kept: Kept | None = None,
) -> HeldOut:
    """Return held-out predictions: each fold by a map fitted, alpha and all, on the other folds.

    Of very many trials, maps of two folds are fitted side by side: on two cores they wait for one another less than
    the parts of one product do.

    Parameters
    ----------
    examples
        Trials with their targets and groups.
    layout
        Where window and baseline lie in an epoch.
    settings
        Alphas, number of folds, seed, and whether repeats are averaged before the fit.
    progress
        Told how many folds are done, those at work by their share, and of how many.
    earlier
        Earlier calibrations to start from; their worths are chosen in each fold, on its training trials alone.
    each
        Called after each fold with its map, and ``[trials]`` which it did not see.
    kept
        Where choices that took long are kept.
    """
    folds = grouped_folds(examples.split_groups(settings.folds), settings.folds, settings.seed)
    predicted = np.empty(examples.targets.shape, dtype=np.float32)
    alphas, choices, priors, comparisons = [], [], [], []
    tests = [folds == number for number in np.unique(folds)]
    shares = [0.0] * len(tests)
    telling = Lock()  # of two folds at work, neither may tell what the other's share was

    def tell(place: int, share: float) -> None:
        with telling:
            shares[place] = share
            if progress is not None:
                progress(sum(shares), len(tests))

    def fitted(place: int) -> Mapping:
        own = None if kept is None else kept.part(f"fold-{place}")
        return fit_map(examples.take(~tests[place]), layout, settings, earlier, (), partial(tell, place), own)

    tell(0, 0.0)
    for place, mapping in enumerate(_in_turn(fitted, len(tests), examples.samples.nbytes)):
        test = tests[place]
        if each is not None:
            each(mapping, test)
        predicted[test] = mapping.map.predict(examples.samples[test])
        alphas.append(mapping.alpha)
        choices += [] if mapping.choice is None else [mapping.choice]
        priors += [] if mapping.prior is None else [mapping.prior]
        comparisons.append(mapping.comparison)
        tell(place, 1.0)
    return HeldOut(predicted, folds, tuple(alphas), tuple(choices), tuple(priors), tuple(comparisons))


def _in_turn(fit: Callable[[int], Mapping], folds: int, size: int) -> Iterator[Mapping]:
    """Yield the map of each fold, in order; of `size` bytes of samples or more than `LARGE`, two are at work."""
    if size < LARGE:
        yield from map(fit, range(folds))
        return
    from joblib import Parallel, delayed

    with one_thread():
        threads = Parallel(min(_AT_ONCE, os.cpu_count() or 1), backend="threading", return_as="generator")
        yield from threads(delayed(fit)(fold) for fold in range(folds))
