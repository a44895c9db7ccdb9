"""How good held-out predictions are, against chance.

Every comparison is made within one fold: maps of different folds have different offsets, and a pair that spans two of
them would compare maps, not pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.decoding.gallery import Gallery
from realtime.decoding.likelihood import Likelihood

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_ROWS = 2048


@dataclass(frozen=True)
class FoldGallery(Gallery):
    """A gallery with which embeddings of each fold are compared by what the fold's own map estimated.

    Attributes
    ----------
    by_fold
        One a fold, by its number.
    """

    by_fold: tuple[Likelihood | None, ...] = ()

    @classmethod
    def of(cls, gallery: Gallery, by_fold: Sequence[Likelihood | None]) -> Gallery:
        """Return `gallery` with the likelihoods of folds; unchanged where no fold has one."""
        if not any(by_fold):
            return gallery
        return cls(**{each.name: getattr(gallery, each.name) for each in fields(Gallery)}, by_fold=tuple(by_fold))

    @cached_property
    def galleries(self) -> tuple[Gallery, ...]:
        """The gallery as the map of each fold compares with it."""
        return tuple(replace(self, likelihood=each) for each in self.by_fold)


def of_fold(gallery: Gallery, fold: int) -> Gallery:
    """Return the gallery as the map of a fold compares with it."""
    return gallery.galleries[fold] if isinstance(gallery, FoldGallery) else gallery


@dataclass(frozen=True)
class Retrieval:
    """Which pictures held-out predictions point to.

    Attributes
    ----------
    two_way
        ``[trials]``: share of the fold's pictures with other labels, or of all others where they have one label, that
        the prediction speaks less for than for the one shown. NaN where the fold has one picture.
    rank
        ``[trials]``: how many of the fold's pictures it speaks more for.
    n_way
        ``[trials]``: how many pictures the fold has.
    votes
        For each fold ``[pictures, pictures]``: summed over the trials of the picture of the row, what `two_way`
        would be if the picture of the column had been shown.
    """

    two_way: Array
    rank: Index
    n_way: Index
    votes: tuple[Array, ...]

    @property
    def score(self) -> float:
        """The mean of `two_way` over the trials that have one; NaN where none has."""
        valid = self.two_way[np.isfinite(self.two_way)]
        return float(valid.mean()) if len(valid) else float("nan")


def retrieve(predicted: NDArray[np.floating[Any]], own: Index, folds: Index, gallery: Gallery) -> Retrieval:
    """Compare predictions with the pictures of their fold.

    Parameters
    ----------
    predicted
        ``[trials, dims]``.
    own
        ``[trials]``: the place in the gallery of the picture that was shown.
    folds
        ``[trials]``.
    gallery
        The pictures, their labels, and the scale on which they are compared.
    """
    n = len(predicted)
    two_way = np.full(n, np.nan)
    rank, n_way = np.zeros(n, np.int64), np.zeros(n, np.int64)
    votes = []
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        pictures, place = np.unique(own[rows], return_inverse=True)
        labels, compared = np.array(gallery.labels)[pictures], of_fold(gallery, int(fold))
        if len(set(labels)) == 1:
            labels = np.array(gallery.names)[pictures]
        table = np.zeros((len(pictures), len(pictures)))
        for start in range(0, len(rows), _ROWS):
            part, at = rows[start : start + _ROWS], place[start : start + _ROWS]
            alike = compared.reach(predicted[part], pictures).astype(np.float32)
            better = _share_below(alike, labels)
            each = np.arange(len(part))
            two_way[part] = better[each, at]
            rank[part] = np.sum(alike > alike[each, at][:, None], axis=1)
            n_way[part] = len(pictures)
            np.add.at(table, at, better)
        votes.append(table)
    return Retrieval(two_way, rank, n_way, tuple(votes))


def _share_below(alike: NDArray[np.floating[Any]], labels: NDArray[np.str_]) -> Array:
    """Return for each row and column the share of columns with other labels that are smaller, ties counting half."""
    below = _count_below(alike)
    others = np.full(alike.shape[1], float(alike.shape[1]))
    order = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    for count in np.unique(counts):  # labels of as many pictures at once
        same = order[starts[counts == count][:, None] + np.arange(count)]
        # One's own tie counts half above and is taken out here.
        below[:, same] -= _count_below(alike[:, same])
        others[same] -= count
    share: Array = np.divide(below, others, out=np.full_like(below, np.nan), where=others > 0)
    return share


def _count_below(alike: NDArray[np.floating[Any]]) -> Array:
    """Return for each entry how many along the last axis are smaller, ties counting half, itself included."""
    from scipy.stats import rankdata

    ranks: Array = rankdata(alike, axis=-1) - 0.5
    return ranks


def null_by_pictures(retrieval: Retrieval, permutations: int, seed: int) -> Array:
    """Return mean two-way scores ``[permutations]`` with the pictures of each fold exchanged for one another.

    Parameters
    ----------
    retrieval
        Scores with the votes ``[predictions, pictures]`` of each fold.
    permutations
        Size of the null; the smallest p-value is ``1 / (permutations + 1)``.
    seed
        Seed of the exchanges.
    """
    rng = np.random.default_rng(seed)
    totals = np.zeros(permutations)
    for table in retrieval.votes:
        valid = np.nan_to_num(table)
        rows = np.arange(len(table))
        shuffled = rng.permuted(np.broadcast_to(rows, (permutations, len(rows))), axis=1)
        totals += valid[rows, shuffled].sum(axis=1)
    result: Array = totals / max(int(np.count_nonzero(np.isfinite(retrieval.two_way))), 1)
    return result


def averaged(
    predicted: NDArray[np.floating[Any]], own: Index, folds: Index, repeats: int, seed: int
) -> tuple[NDArray[np.floating[Any]], Index, Index]:
    """Return means of `repeats` predictions of the same picture in the same fold, with their pictures and folds.

    Each prediction is used once; those left over are not used.

    Parameters
    ----------
    predicted
        ``[trials, dims]``.
    own
        ``[trials]``: the place in the gallery of the picture that was shown.
    folds
        ``[trials]``.
    repeats
        How many predictions a mean is made of; 1 returns all as they are.
    seed
        Seed of which repeats are averaged together.

    Returns
    -------
    ``[means, dims]``, and ``[means]`` of pictures and folds.
    """
    if repeats == 1:
        return predicted, own, folds
    order = np.random.default_rng(seed).permutation(len(own))
    order = order[np.lexsort((own[order], folds[order]))]
    keys = np.stack([folds[order], own[order]], axis=1)
    begins = np.flatnonzero(np.r_[True, np.any(keys[1:] != keys[:-1], axis=1)])
    sizes = np.diff(np.r_[begins, len(order)])
    starts = np.concatenate(
        [begin + np.arange(size // repeats) * repeats for begin, size in zip(begins, sizes, strict=True)]
    )
    members = order[starts[:, None].astype(np.int64) + np.arange(repeats)]
    return predicted[members].mean(axis=1), own[members[:, 0]], folds[members[:, 0]]


def centred(values: NDArray[np.floating[Any]], folds: Index) -> NDArray[np.floating[Any]]:
    """Return `values` ``[trials, dims]`` less the mean of their fold, since maps of folds differ in offset."""
    result = values.copy()
    for fold in np.unique(folds):
        result[folds == fold] -= values[folds == fold].mean(axis=0)
    return result


def correlation(predicted: NDArray[np.floating[Any]], targets: NDArray[np.floating[Any]], folds: Index) -> Array:
    """Return the correlation ``[dims]`` of predictions with targets within folds; 0 for dimensions that do not vary.

    Parameters
    ----------
    predicted, targets
        ``[trials, dims]``.
    folds
        ``[trials]``: the mean of each fold is taken out of both.
    """
    a, b = centred(predicted, folds), centred(targets, folds)
    norm = np.sqrt(np.sum(a * a, axis=0) * np.sum(b * b, axis=0))
    r: Array = np.divide(np.sum(a * b, axis=0), norm, out=np.zeros(a.shape[1]), where=norm > 1e-12)
    return r


def reliability(predicted: NDArray[np.floating[Any]], own: Index, folds: Index, seed: int) -> float | None:
    """Return the correlation of one prediction of a picture with another of it, the mean over dimensions.

    `noise_ceiling` is made of it. None where fewer than ten pairs of repeats are in one fold.

    Parameters
    ----------
    predicted
        ``[trials, dims]``.
    own
        ``[trials]``: the place in the gallery of the picture that was shown.
    folds
        ``[trials]``: only repeats in one fold are paired.
    seed
        Seed of the pairs.
    """
    order = np.random.default_rng(seed).permutation(len(own))
    seen: dict[tuple[int, int], int] = {}
    pairs = []
    for index in order:
        key = (int(folds[index]), int(own[index]))
        if key in seen:
            pairs.append((seen.pop(key), int(index)))
        else:
            seen[key] = int(index)
    if len(pairs) < 10:
        return None
    first, second = np.array(pairs).T
    return float(correlation(predicted[first], predicted[second], folds[first]).mean())


def noise_ceiling(reliability: float | None) -> float | None:
    """Return what predictions of that reliability can correlate with a target at most: its square root."""
    return None if reliability is None else float(np.sqrt(max(reliability, 0.0)))


def chance(retrieval: Retrieval, top: int) -> float:
    """Return the top-`top` score of guessing."""
    return float(np.mean(np.minimum(top / np.maximum(retrieval.n_way, 1), 1.0)))
