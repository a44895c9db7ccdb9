"""The null of a cross-validated AUC: the same cross-validation with labels that were shuffled before it.

Shuffling labels only after cross-validation gives p-values that are too small. The maps of different folds share
training trials, and each two trials of different folds count twice, once from either side; so without any signal a
cross-validated AUC varies more than one map's does (Ojala & Garriga 2010, "Permutation tests for studying classifier
performance").

Alpha, and what else is chosen, is chosen anew for each labelling, as it is for the true one. Where options are
compared, nothing but ridge itself looks at labels: whitening, scaling and folds are the same for all shuffles, and a
ridge map is linear in its targets, so one decomposition a fold serves them all. The map that is taken may have noise
about the means of classes, which is made anew, too: see `calibration.scores.relabelled_noise`. Re-standardisation moves
all predictions of a fold alike, which no AUC within folds can see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from calibration.model.choosing import noise_classes, pair_answers, products_of_map, recurring_classes
from calibration.model.examples import Examples, Layout
from calibration.model.folds import grouped_folds
from calibration.model.linear_model import cross_validate
from calibration.model.moments import AlphaPath, Moments
from calibration.model.ridge import held_out_path, threads_for
from calibration.model.scaling import candidates, scale
from calibration.scores.class_scores import auc_of_each, pairs, relabellings, shares
from calibration.scores.relabelled_noise import RelabelledNoise
from calibration.statistics import choose_each
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_MOST_ANSWERS = 30_000_000
"""Numbers that are held at once while options are compared for many labellings."""
_MOST_PRODUCTS, _FEWEST_DRAWS = 2e11, 199
"""Products of all maps whose noise is made anew, about half a minute, and how many draws are made even so."""


@dataclass(frozen=True)
class Null:
    """What a cross-validation gives without information.

    Attributes
    ----------
    observed
        Score (AUC, or two-way identification of pictures) with the true labels, found as the null is. With two classes
        it is that of the map itself; where alpha is chosen by squared error and there are more, each class's
        membership has an alpha of its own here.
    draws
        ``[permutations]``: scores with labels exchanged before the fit.
    of_all
        Whether both are of the predictions of all trials, and not of some.
    """

    observed: float
    draws: Array
    of_all: bool = True


def null_of_cross_validation(
    examples: Examples, own: Index, gallery: Gallery, layout: Layout, settings: FitSettings
) -> Null:
    """Return AUCs of the whole cross-validation with labels exchanged before it.

    Trials change labels within their recording (within a fold's stretch, where there is only one recording): how many
    there are of each class, and slow changes from one recording to the next, stay as they are. Where classes were shown
    in blocks they keep them; see `calibration.scores.class_scores.relabellings`.

    Parameters
    ----------
    examples
        What `calibration.model.linear_model.cross_validate` was given; targets are not used.
    own
        ``[trials]``: each trial's class, a place in `gallery`.
    gallery
        The classes.
    layout, settings
        Those of the cross-validation; `permutations` is the size of the null, which has fewer draws, 199 at least,
        where maps are large, and `seed` that of the shuffles.
    """
    blocks = examples.split_groups(settings.folds)
    labels = np.concatenate(
        [own[None], relabellings(own, blocks, _draws(examples, layout, settings), settings.seed, settings.exchange)]
    )
    folds = grouped_folds(blocks, settings.folds, settings.seed)
    evidence = _fitted_anew if settings.average_repeats else held_out_evidence
    with threads_for(len(examples), examples.samples[0].size):
        found = auc_of_each(evidence(examples, labels, shares(gallery), layout, settings), labels, folds)
    return Null(float(found[0]), found[1:])


def _draws(examples: Examples, layout: Layout, settings: FitSettings) -> int:
    """Return how many labellings there are time for."""
    if settings.choose == "error":
        return settings.permutations
    each = settings.folds * products_of_map(layout, settings.step_s, examples.samples.shape)
    return min(settings.permutations, max(_FEWEST_DRAWS, int(_MOST_PRODUCTS / each)))


def held_out_evidence(examples: Examples, labels: Index, shares: Array, layout: Layout, settings: FitSettings) -> Array:
    """Return the held-out evidence ``[labellings, pairs, trials]`` of maps fitted on each of `labels`.

    With two classes the evidence is, within a fold and a labelling, that of `cross_validate` up to an offset and a
    positive factor. Repeats are not averaged.

    Parameters
    ----------
    examples
        What `calibration.model.linear_model.cross_validate` was given; targets are not used.
    labels
        ``[labellings, trials]``: each trial's class.
    shares
        ``[classes - 1, pairs]``, as `class_scores.shares` gives them.
    layout, settings
        Those of the cross-validation.
    """
    folds = grouped_folds(examples.split_groups(settings.folds), settings.folds, settings.seed)
    evidence = np.empty((len(labels), shares.shape[1], len(examples)))
    members = _members(labels, len(shares))
    for fold in np.unique(folds):
        test = folds == fold
        taught = ~test & examples.teaches
        train = examples.take(taught)
        inner = grouped_folds(train.split_groups(settings.folds), settings.folds, settings.seed)
        if settings.choose == "identification":
            seen = (train, examples.samples[test], labels[:, taught], members[:, taught])
            evidence[:, :, test] = _chosen_evidence(*seen, shares, layout, settings, inner)
            continue
        scaling, x = scale(train.samples, layout, settings.whiten)
        unseen = scaling.apply(examples.samples[test])
        wanted = members[:, taught].swapaxes(0, 1).reshape(len(x), -1)
        predicted = predict_each(x, wanted, inner, unseen, settings.alphas).reshape(len(unseen), *members.shape[::2])
        evidence[:, :, test] = (predicted @ shares).transpose(1, 2, 0)
    return evidence


def _chosen_evidence(
    train: Examples,
    unseen: NDArray[np.float32],
    labels: Index,
    members: Array,
    shares: Array,
    layout: Layout,
    settings: FitSettings,
    folds: Index,
) -> Array:
    """Return the evidence ``[labellings, pairs, unseen]`` of the map that `choose` takes for each labelling."""
    alphas = np.array(sorted(settings.alphas, reverse=True))
    options = candidates(layout, settings, train.samples.shape)
    made = [scale(train.samples, layout, settings.whiten, option) for option in options]
    reduced = [_in_span(x, scaling.apply(unseen)) for scaling, x in made]
    every, classes = pairs(len(shares) + 1), recurring_classes(train.names, folds)
    every_trial = np.arange(len(train))
    size = len(made) * len(alphas) * len(every) * len(train)
    evidence = np.empty((len(labels), len(every), len(unseen)))
    for part in np.array_split(np.arange(len(labels)), -(-size * len(labels) // _MOST_ANSWERS)):
        wanted = members[part].swapaxes(0, 1).reshape(len(train), -1)
        strata = np.concatenate(
            [
                np.where(labels[part] == a, 2 * place, np.where(labels[part] == b, 2 * place + 1, -1))
                for place, (a, b) in enumerate(every)
            ],
            axis=1,
        )
        answers = []
        for x, _ in reduced:
            for _, held_out in held_out_path(x, wanted, folds, alphas, every_trial):
                along = (held_out.reshape(len(train), len(part), -1) @ shares).transpose(2, 1, 0)
                told = [pair_answers(along[k], labels[part], pair, folds) for k, pair in enumerate(every)]
                answers.append(np.concatenate(told, axis=1).astype(np.float32))
        _, chosen = choose_each(np.stack(answers), strata, len(made))
        for number, (x, apart) in enumerate(reduced):
            own = np.flatnonzero(chosen // len(alphas) == number)
            about = noise_classes(classes, options[number], layout, train.samples.shape)
            if len(own) and about is not None and layout.times_s is not None:
                noise = RelabelledNoise(train.samples, unseen, layout, layout.times_s, options[number])
                for row in own:
                    which = part[row]
                    predicted = noise.predict(labels[which], members[which], float(alphas[chosen[row] % len(alphas)]))
                    evidence[which] = (predicted @ shares).T
            elif len(own):
                columns = members[part[own]].swapaxes(0, 1).reshape(len(train), -1)
                path = AlphaPath(Moments.of(x, columns))
                each = np.repeat(alphas[chosen[own] % len(alphas)], len(shares))
                predicted = path.deviations(path.rotated(apart), each).reshape(len(unseen), len(own), -1)
                evidence[part[own]] = (predicted @ shares).transpose(1, 2, 0)
    return evidence


def _in_span(x: NDArray[np.floating], unseen: NDArray[np.floating]) -> tuple[Array, Array]:
    """Return trials to learn from and unseen ones about the former's mean, in no more features than there are trials.

    Ridge weights lie in the space that the trials span, so its coordinates are features enough.
    """
    level = x.mean(axis=0, dtype=np.float64)
    centred, apart = x - level, unseen - level
    if x.shape[1] > len(x):
        basis, _ = linalg.qr(centred.T, mode="economic", check_finite=False)
        centred, apart = centred @ basis, apart @ basis
    return centred, apart


def _members(labels: Index, others: int) -> Array:
    """Return ``[labellings, trials, others]``: whether a trial is of the second class, the third and so on."""
    members: Array = (labels[..., None] == np.arange(1, others + 1)).astype(np.float64)
    return members


def predict_each(
    x: NDArray[np.floating], y: Array, folds: Index, unseen: NDArray[np.floating], alphas: Sequence[float]
) -> Array:
    """Return predictions ``[unseen, columns]`` by a ridge map of its own for each column of `y`.

    What `calibration.model.ridge.fit_ridge` gives for each column alone, its alpha included, at the price of a few.

    Parameters
    ----------
    x, unseen
        ``[trials, features]`` to learn from and to predict.
    y
        ``[trials, columns]``.
    folds
        ``[trials]``: on which each column's alpha is chosen.
    alphas
        Penalties to try.
    """
    centred, apart = _in_span(x, unseen)
    path = np.asarray(alphas, dtype=np.float64)
    held_out = held_out_path(centred, y, folds, path, np.arange(len(y)))
    errors = np.array([np.sum((predicted - y) ** 2, axis=0) for _, predicted in held_out])
    whole = AlphaPath(Moments.of(centred, y))
    return whole.predict(whole.rotated(apart), path[errors.argmin(axis=0)])


def _fitted_anew(examples: Examples, labels: Index, shares: Array, layout: Layout, settings: FitSettings) -> Array:
    """Return what `held_out_evidence` does where labels also say which trials are averaged, by fitting every map."""
    evidence = np.empty((len(labels), shares.shape[1], len(examples)))
    for row, (names, members) in enumerate(zip(labels, _members(labels, len(shares)), strict=True)):
        shuffled = replace(examples, names=names, targets=members)
        evidence[row] = (cross_validate(shuffled, layout, settings).predicted @ shares).T
    return evidence
