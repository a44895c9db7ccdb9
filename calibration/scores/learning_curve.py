"""How the score grows with the number of trials, and how many more a goal would take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.errors import RidgeError
from calibration.model.examples import Examples, Layout
from calibration.model.folds import grouped_folds
from calibration.model.linear_model import fit_map
from calibration.scores.retrieval import FoldGallery
from calibration.scores.summary import main_score
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery

SHARES = (0.25, 0.5, 0.75, 1.0)
_FEWEST = 20
_FARTHEST = 20
"""How many times the trials so far an extrapolation may reach."""


@dataclass(frozen=True)
class Point:
    """The score of maps that learned from about `n` trials, with its 95 % interval."""

    n: int
    score: float
    low: float
    high: float


def learning_curve(
    examples: Examples,
    layout: Layout,
    settings: FitSettings,
    gallery: Gallery,
    shares: tuple[float, ...] = SHARES,
    progress: Callable[[int, int], None] | None = None,
) -> list[Point]:
    """Return cross-validated scores of maps that learned from the first part of their training trials alone.

    The trials that are scored are the same for every share, so only the training differs.

    Parameters
    ----------
    examples
        Trials in the order of their recording, with targets and groups.
    layout
        Where window and baseline lie in an epoch.
    settings
        Alphas, folds and seed of the cross-validation.
    gallery
        The pictures or classes to tell apart.
    shares
        Which shares of the training trials to learn from, each a point of the curve.
    progress
        Called before each share with how many are done and of how many.
    """
    folds = grouped_folds(examples.split_groups(settings.folds), settings.folds, settings.seed)
    points = []
    for done, share in enumerate(shares):
        if progress is not None:
            progress(done, len(shares))
        predicted = np.empty(examples.targets.shape, dtype=np.float32)
        used, likelihoods = [], []
        try:
            for fold in np.unique(folds):
                train = np.flatnonzero(folds != fold)
                train = train[: max(_FEWEST, round(share * len(train)))]
                used.append(len(train))
                mapping = fit_map(examples.take(train), layout, settings)
                predicted[folds == fold] = mapping.chain.predict(examples.samples[folds == fold])
                likelihoods.append(mapping.comparison.likelihood)
        except RidgeError:
            continue  # so few trials that all are of one group: no point on the curve
        compared = FoldGallery.of(gallery, likelihoods)
        found = main_score(predicted, examples.names, folds, compared, settings.seed)
        if found is not None:
            points.append(Point(round(float(np.mean(used))), *found))
    return points


def trials_to_reach(points: list[Point], goal: float) -> int | None:
    """Return about how many trials to learn from would reach `goal`; None where the curve does not point there.

    A goal counts as reached by a point only where no later one falls below it again.

    The probit of the score (the signal-to-noise ratio of one comparison) is extrapolated along a line in the logarithm
    of the number of trials, which is how such scores grow once they are above chance.
    """
    from scipy.special import ndtri

    reached = None
    for point in reversed(points):
        if point.score < goal:
            break
        reached = point.n
    if reached is not None:
        return reached
    if len(points) < 2 or not 0.5 < goal < 1 or points[-1].low <= 0.5:
        return None
    heights = ndtri(np.clip([point.score for point in points], 0.01, 0.99))
    slope, offset = np.polyfit(np.log([point.n for point in points]), heights, 1)
    if slope <= 0:
        return None
    latest = points[-1].n
    exponent = float(ndtri(goal) - offset) / float(slope)
    if exponent > np.log(_FARTHEST * latest):
        return None
    # The line may lie above the last point, which all the same is below the goal.
    return max(round(float(np.exp(exponent))), latest + 1)
