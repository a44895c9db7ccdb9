"""By what decoded embeddings are compared with pictures: the angle, or how likely each picture makes them.

The likelihood needs the reliability of every dimension and the noise of the decoded embedding. Both are estimated from
training trials that were held out, shrunk as far as their number asks for. Of the forms within one standard error of
the one that narrows down held-out training pictures best, the simplest is taken. Of few classes it is never asked,
since what a map decodes of them lies on the lines between them anyway.

How far a picture is narrowed down is counted in bits, the logarithm of its rank: two-way identification hardly sees
what happens among the first few of hundreds, which is what evidence and confidence are about.

What a map decodes of trials that it has not seen lies along the pictures that it learned from. So a likelihood must be
judged by pictures that no map behind it has learned: otherwise their own directions are part of its noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calibration.model.choosing import MOST_CLASSES
from calibration.model.ridge import held_out_along, solve_ridge
from realtime.decoding.gallery import Gallery
from realtime.decoding.likelihood import Likelihood

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Form = Literal["angle", "likelihood", "likelihood with correlated noise"]

_FORMS: tuple[Form, ...] = ("angle", "likelihood", "likelihood with correlated noise")
_PARTS, _INNER_FOLDS = 4, 5
"""Parts of the training trials that are judged, each by what the others gave in so many folds."""
_MOST_TRIALS = 4000
"""Trials that a choice is made on; estimates take all."""
_MOST_RELIABLE = 0.99


@dataclass(frozen=True)
class ComparisonChoice:
    """By what embeddings are compared with pictures, and why.

    Attributes
    ----------
    form
        What was chosen.
    scores
        By how many bits a held-out training trial narrows down the pictures, by each form.
    likelihoods
        Each form's likelihood, estimated on all training trials; None for the angle.
    """

    form: Form
    scores: Mapping[Form, float]
    likelihoods: Mapping[Form, Likelihood | None]

    @property
    def likelihood(self) -> Likelihood | None:
        """The likelihood that was chosen."""
        return self.likelihoods[self.form]

    def __str__(self) -> str:
        """Say what was chosen and why, in one line."""
        others = ", ".join(f"{score:.3f} {form}" for form, score in self.scores.items() if form != self.form)
        return f"{self.form} ({self.scores[self.form]:.3f} bits of a held-out trial; {others})" if others else self.form


ANGLE = ComparisonChoice("angle", {}, {"angle": None})
"""Where there is nothing to choose."""


@dataclass(frozen=True)
class Learned:
    """What a ridge map was fitted on, and single trials that it was held out from.

    Attributes
    ----------
    features, targets, folds
        ``[trials, features]``, ``[trials, dims]`` and ``[trials]``: what is left out together.
    alpha
        The penalty.
    unseen, of_fold
        Single trials ``[unseen, features]``, and the fold ``[unseen]`` of each; the training trials themselves where
        no repeats were averaged.
    shown, names
        ``[unseen, dims]`` and ``[unseen]``: what each showed, and its name.
    """

    features: NDArray[np.floating[Any]]
    targets: NDArray[np.floating[Any]]
    folds: Index
    alpha: float
    unseen: NDArray[np.floating[Any]]
    of_fold: Index
    shown: NDArray[np.floating[Any]]
    names: NDArray[Any]

    def along(self) -> Array:
        """Return what maps without their folds decode of single trials ``[unseen, dims]``, without intercepts."""
        return held_out_along(self.features, self.targets, self.folds, self.alpha, self.unseen, self.of_fold)

    def of(self, folds: NDArray[np.bool_]) -> Learned:
        """Return what belongs to some folds, those of which ``folds[number]`` is true."""
        rows, single = folds[self.folds], folds[self.of_fold]
        return replace(
            self,
            features=self.features[rows],
            targets=self.targets[rows],
            folds=self.folds[rows],
            unseen=self.unseen[single],
            of_fold=self.of_fold[single],
            shown=self.shown[single],
            names=self.names[single],
        )


def choose_form(learned: Learned, seed: int) -> tuple[Form, dict[Form, float]]:
    """Return by what embeddings of such a map are compared, and the score of every form.

    Parameters
    ----------
    learned
        The training trials, and no others.
    seed
        Seed of which folds are left out where trials are very many.
    """
    names = np.unique(learned.names)
    if len(names) <= MOST_CLASSES:
        return "angle", {}
    numbers = np.random.default_rng(seed).permutation(np.unique(learned.folds))
    numbers = numbers[: max(_PARTS, int(len(numbers) * _MOST_TRIALS / max(len(learned.unseen), 1)))]
    bits: list[Array] = []
    shown: list[NDArray[Any]] = []
    for part in np.array_split(numbers, min(_PARTS, len(numbers))):
        judged = np.isin(np.arange(int(learned.folds.max()) + 1), part)
        others = np.isin(np.arange(len(judged)), numbers) & ~judged
        if len(np.unique(learned.names[judged[learned.of_fold]])) < 2 or np.count_nonzero(others) < 2:
            continue
        test = learned.of(judged)
        bits.append(_told(test, learned.of(others)))
        shown.append(test.names)
    if not bits:
        return "angle", {}
    _, unit = np.unique(np.concatenate(shown), return_inverse=True)
    count = np.bincount(unit)
    answers = np.stack([np.bincount(unit, row) / count for row in np.concatenate(bits, axis=1)])
    values = answers.mean(axis=1)
    behind = answers[values.argmax()] - answers
    within = behind.mean(axis=1) <= behind.std(axis=1) / np.sqrt(len(count))
    return _FORMS[int(within.argmax())], dict(zip(_FORMS, values.tolist(), strict=True))


def _told(test: Learned, train: Learned) -> Array:
    """Return ``[forms, trials]``: by how many bits each trial narrows down the pictures of `test`."""
    coarse = np.zeros(int(train.folds.max()) + 1, dtype=np.int64)
    coarse[np.unique(train.folds)] = np.arange(len(np.unique(train.folds))) % _INNER_FOLDS
    along = replace(train, folds=coarse[train.folds], of_fold=coarse[train.of_fold]).along()
    middle, mean = along.mean(axis=0), train.targets.mean(axis=0, dtype=np.float64)
    stretch = train.targets.std(axis=0, dtype=np.float64) / np.maximum(along.std(axis=0), 1e-12)
    weights, _ = solve_ridge(train.features, train.targets, train.alpha)
    decoded = mean + (test.unseen @ weights - middle) * stretch
    names, first, own = np.unique(test.names, return_index=True, return_inverse=True)
    pictures, listed = test.shown[first].astype(np.float32), tuple(map(str, names))
    scale = (train.targets.mean(axis=0).astype(np.float32), train.targets.std(axis=0).astype(np.float32))
    bits = []
    for likelihood in estimate((along - middle) * stretch, train.shown, mean, train.names).values():
        gallery = Gallery(listed, listed, pictures, *scale, likelihood=likelihood)
        reach = gallery.reach(decoded, np.arange(len(names)))
        mine = reach[np.arange(len(own)), own][:, None]
        rank = np.sum(reach > mine, axis=1) + 0.5 * (np.sum(reach == mine, axis=1) + 1)
        bits.append(np.log2(len(names) / rank))
    return np.stack(bits)


def estimate(
    decoded: Array, shown: NDArray[np.floating[Any]], mean: Array, names: NDArray[Any]
) -> dict[Form, Likelihood | None]:
    """Return the likelihood of each form.

    Parameters
    ----------
    decoded
        ``[trials, dims]``: what maps decoded of trials that they have not seen, on the scale of the targets, less
        `mean`.
    shown
        ``[trials, dims]``: the embeddings of what was shown.
    mean
        ``[dims]``: about which maps decode.
    names
        ``[trials]``: what was shown, whose trials may err alike.
    """
    wanted = shown - mean
    power, size = np.mean(wanted**2, axis=0), np.mean(decoded**2, axis=0)
    told = (power > 1e-9 * max(float(power.max()), 1e-30)) & (size > 1e-9 * max(float(size.max()), 1e-30))
    if not told.any():
        return dict.fromkeys(_FORMS)
    z, g, own = decoded[:, told], wanted[:, told], np.unique(names, return_inverse=True)[1]
    spread, unit = np.sqrt(size[told]), np.sqrt(power[told])
    r = _shrunk(np.mean(z * g, axis=0) / (spread * unit), _error(z, g, own))
    noise = spread * np.sqrt(1 - r**2)
    response, precision = np.zeros(len(mean), np.float32), np.zeros(len(mean), np.float32)
    response[told], precision[told] = r * spread / unit, 1 / noise
    root = np.zeros((int(told.sum()), len(mean)), np.float32)
    root[:, told] = _decorrelation((z - g * (r * spread / unit)) / noise)
    alone = Likelihood(mean.astype(np.float32), response, precision, np.zeros((0, len(mean)), np.float32))
    return {
        "angle": None,
        "likelihood": alone,
        "likelihood with correlated noise": replace(alone, decorrelation=root),
    }


def _error(decoded: Array, wanted: Array, own: Index) -> float:
    """Return the variance with which correlations are estimated, the mean over dimensions.

    It is that between pictures (Liang & Zeger 1986), since errors of one picture's trials may be alike.
    """
    power, size = np.sum(wanted**2, axis=0), np.sum(decoded**2, axis=0)
    residual = decoded - wanted * (np.sum(decoded * wanted, axis=0) / power)
    order = np.argsort(own, kind="stable")
    begins = np.flatnonzero(np.r_[True, np.diff(own[order]) > 0])
    by_picture = np.add.reduceat((residual * wanted)[order], begins, axis=0)
    return float(np.mean(np.sum(by_picture**2, axis=0) / (power * size)))


def _shrunk(r: Array, error: float) -> Array:
    """Return correlations shrunk towards their mean, as far as they do not differ by more than their `error`."""
    middle = float(r.mean())
    apart = max(float(r.var()) - error, 0.0)
    shrunk: Array = np.clip(middle + (r - middle) * apart / max(apart + error, 1e-30), 0.0, _MOST_RELIABLE)
    return shrunk


def _decorrelation(residual: Array) -> Array:
    """Return the symmetric root ``[dims, dims]`` of the inverse covariance, shrunk as by Ledoit & Wolf (2004).

    Parameters
    ----------
    residual
        ``[trials, dims]``, of variance about 1.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    shrinkage = float(ledoit_wolf_shrinkage(residual, assume_centered=True))
    values, vectors = np.linalg.eigh(residual.T @ residual / len(residual))
    level = float(values.mean())
    root: Array = (
        vectors / np.sqrt((1 - shrinkage) * np.maximum(values, 0.0) + max(shrinkage, 1e-3) * level)
    ) @ vectors.T
    return root
