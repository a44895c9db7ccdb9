"""How far an embedding reaches towards each picture becomes a probability, and whether that probability is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.scores.retrieval import averaged, of_fold
from realtime.decoding.evidence import ConfidenceModel
from realtime.decoding.gallery import Gallery

Array = NDArray[np.float64]
Index = NDArray[np.int64]

REPEATS = (1, 2, 4, 8)
BINS = 10
_FEWEST = 20
_MOST = 2000
_GAIN = (1e-6, 1e3)


@dataclass(frozen=True)
class Choices:
    """Held-out predictions of one number of repeats, each beside the pictures of its fold.

    Attributes
    ----------
    repeats
        How many trials stand behind each.
    projections
        For each fold ``[predictions, pictures]``.
    places
        For each fold ``[predictions]``: which of its pictures was shown.
    """

    repeats: int
    projections: tuple[Array, ...]
    places: tuple[Index, ...]

    def __len__(self) -> int:
        return sum(map(len, self.places))


def make_choices(
    predicted: NDArray[np.floating[Any]], own: Index, folds: Index, gallery: Gallery, repeats: int, seed: int
) -> Choices:
    """Return means of `repeats` predictions beside the pictures of their fold; at most two thousand, drawn at random.

    Parameters
    ----------
    predicted
        ``[trials, dims]``.
    own
        ``[trials]``: the place in the gallery of the picture that was shown.
    folds
        ``[trials]``: only pictures of one fold are compared.
    gallery
        The embeddings to compare with, and their scale.
    repeats
        How many predictions of a picture are averaged; pictures with fewer in a fold are left out.
    seed
        Seed of which repeats are averaged and which means are kept.
    """
    mean, shown, fold = averaged(predicted, own, folds, repeats, seed)
    among = {int(one): np.unique(own[folds == one]) for one in np.unique(fold)}
    among = {one: pictures for one, pictures in among.items() if len(pictures) > 1}  # one picture is no choice
    chosen = np.isin(fold, list(among))
    mean, shown, fold = mean[chosen], shown[chosen], fold[chosen]
    if len(mean) > _MOST:
        drawn = np.sort(np.random.default_rng(seed).choice(len(mean), _MOST, replace=False))
        mean, shown, fold = mean[drawn], shown[drawn], fold[drawn]
    projections, places = [], []
    for one, pictures in among.items():
        rows = fold == one
        projections.append(of_fold(gallery, one).reach(mean[rows], pictures))
        places.append(np.searchsorted(pictures, shown[rows]))
    return Choices(repeats, tuple(projections), tuple(places))


def fit_confidence(
    predicted: NDArray[np.floating[Any]], own: Index, folds: Index, gallery: Gallery, seed: int
) -> ConfidenceModel | None:
    """Return the model fitted on held-out predictions, single and averaged over repeats of the same picture.

    The error of a mean of n trials is ``shared + (1 - shared) / n`` times that of one, with part of it common to all
    repeats. Pictures shown once teach nothing about that part; it is then taken to be all of the error.

    Parameters
    ----------
    predicted
        Held-out predictions ``[trials, dims]``.
    own
        ``[trials]``: the place in the gallery of the picture that was shown.
    folds
        ``[trials]``: only pictures of one fold are compared.
    gallery
        The embeddings to compare with, and their scale.
    seed
        Seed of which repeats are averaged.

    Returns
    -------
    None where fewer than twenty predictions stand behind it.
    """
    choices = []
    for count in REPEATS:
        one = make_choices(predicted, own, folds, gallery, count, seed)
        if len(one) < _FEWEST:
            break
        choices.append(one)
    if not choices:
        return None
    gain, shared = fit_logit(choices)
    length = float(np.median([gallery.length(row) for row in predicted]))
    return ConfidenceModel(gain, shared, length)


def fit_logit(choices: list[Choices]) -> tuple[float, float]:
    """Return the gain and the shared part of the error that make the pictures shown most likely.

    Every number of repeats counts the same. The certainty asked for stays below 1 by one doubtful prediction, as Platt
    (1999) does, so that separable data keep a finite gain.
    """
    from scipy.optimize import minimize
    from scipy.special import logsumexp

    def loss(parameters: Array) -> tuple[float, Array]:
        total, slope = 0.0, np.zeros(2)
        for one in choices:
            error = 1 / one.repeats + (1 - 1 / one.repeats) * parameters[1]
            scale = np.exp(parameters[0]) / error
            doubt = 1 / (len(one) + 1)
            for reach, place in zip(one.projections, one.places, strict=True):
                logits = scale * reach
                whole = logsumexp(logits, axis=1)
                wanted = (1 - doubt) * reach[np.arange(len(place)), place] + doubt * reach.mean(axis=1)
                expected = np.sum(np.exp(logits - whole[:, None]) * reach, axis=1)
                total += float(np.sum(whole - scale * wanted)) / len(one)
                by_scale = float(np.sum(expected - wanted)) / len(one)
                slope += by_scale * scale * np.array([1.0, -(1 - 1 / one.repeats) / error])
        return total, slope

    known = len(choices) > 1
    bounds = [(np.log(_GAIN[0]), np.log(_GAIN[1])), (0.0 if known else 1.0, 1.0)]
    start = np.array([np.log(0.1), 0.3 if known else 1.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return float(np.exp(found.x[0])), float(found.x[1])


def said_and_right(model: ConfidenceModel, choices: Choices) -> tuple[Array, NDArray[np.bool_]]:
    """Return for each prediction ``[n]`` the confidence in the nearest picture, and whether it was the one shown."""
    said, right = [], []
    for reach, place in zip(choices.projections, choices.places, strict=True):
        said += [float(model.posterior(row, choices.repeats).max()) for row in reach]
        right.append(reach.argmax(axis=1) == place)
    return np.array(said), np.concatenate(right) if right else np.zeros(0, dtype=np.bool_)


def reliability_curve(
    predicted: NDArray[np.floating[Any]], own: Index, folds: Index, gallery: Gallery, seed: int
) -> list[tuple[float, float, int]]:
    """Return what was said and what was right, in bins of confidence, by models that never saw the fold they judge.

    Parameters
    ----------
    predicted
        Held-out predictions ``[trials, dims]``.
    own
        ``[trials]``: the place in the gallery of the picture that was shown.
    folds
        ``[trials]``: each is judged by a model fitted on the others.
    gallery
        The embeddings to compare with, and their scale.
    seed
        Seed of which repeats are averaged.

    Returns
    -------
    ``[(mean confidence, share right, predictions), ...]``; empty where there is only one fold or too few predictions.
    """
    said, right = [], []
    for fold in np.unique(folds) if len(np.unique(folds)) > 1 else ():
        others = folds != fold
        model = fit_confidence(predicted[others], own[others], folds[others], gallery, seed)
        if model is None:
            return []
        for count in REPEATS:
            one = make_choices(predicted[~others], own[~others], folds[~others], gallery, count, seed)
            told, hit = said_and_right(model, one)
            said.append(told)
            right.append(hit)
    return bins(np.concatenate(said), np.concatenate(right)) if said else []


def bins(said: Array, right: NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    """Return the mean confidence, the share right and the number of predictions in ten bins of equal width."""
    place = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    return [
        (float(said[place == each].mean()), float(right[place == each].mean()), int(np.count_nonzero(place == each)))
        for each in np.unique(place)
    ]


def calibration_error(curve: list[tuple[float, float, int]]) -> float | None:
    """Return the expected calibration error of a reliability curve (Naeini et al. 2015); None for an empty one."""
    n = sum(count for _, _, count in curve)
    return sum(abs(said - right) * count for said, right, count in curve) / n if n else None
