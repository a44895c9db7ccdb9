"""How well classes are told apart: the AUC between two, the mean over all pairs of more (Hand & Till 2001).

Comparisons are made within one fold, as in `retrieval`. Intervals and nulls hold where neighbouring trials
depend on one another:

- whole stretches of neighbours are resampled, not single trials;
- where classes were shown in blocks, labels are not shuffled but moved along in time, so that they keep their blocks.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.scores.retrieval import Array, Index
from calibration.statistics import LEVEL, shifts, shuffles
from calibration.statistics import interval as interval_of_draws
from realtime.decoding.gallery import Gallery

_STRETCH, _FEWEST_STRETCHES = 10, 4
_IN_BLOCKS = -2.0
"""From how many standard deviations fewer changes of class than in a random order on classes count as in blocks."""


def pairs(n_classes: int) -> list[tuple[int, int]]:
    """Return all pairs of classes."""
    return list(combinations(range(n_classes), 2))


def pair_evidence(predicted: NDArray[np.floating[Any]], gallery: Gallery) -> Array:
    """Return ``[pairs, trials]``: how much each prediction speaks for a pair's second class over its first.

    The projection on the line between the two, on the gallery's scale. Not a difference of cosines: predictions of a
    two-class map lie on that line, and a cosine would keep their sign and lose their size.
    """
    scale = np.divide(1.0, gallery.std, out=np.zeros(len(gallery.std)), where=gallery.std > 0)
    evidence: Array = ((predicted - gallery.embeddings.mean(axis=0)) * scale @ _lines(gallery, scale)).T
    return evidence


def shares(gallery: Gallery) -> Array:
    """Return ``[classes - 1, pairs]``: what evidence comes to where a map predicts membership in each class.

    Membership in the first class is what is left of 1, and the target a mixture of the classes' embeddings.
    """
    scale = np.divide(1.0, gallery.std, out=np.zeros(len(gallery.std)), where=gallery.std > 0)
    apart: Array = (gallery.embeddings[1:] - gallery.embeddings[0]) * scale @ _lines(gallery, scale)
    return apart


def _lines(gallery: Gallery, scale: Array) -> Array:
    """Return the unit vectors ``[dims, pairs]`` from a pair's first class to its second."""
    lines = np.stack([gallery.embeddings[b] - gallery.embeddings[a] for a, b in pairs(len(gallery.names))]) * scale
    units: Array = (lines / np.maximum(np.linalg.norm(lines, axis=1, keepdims=True), 1e-30)).T
    return units


def auc(evidence: Array, own: Index, folds: Index) -> float:
    """Return the AUC averaged over the pairs of classes that a fold holds both of; NaN where there is none.

    Parameters
    ----------
    evidence
        ``[pairs, trials]``.
    own
        ``[trials]``: each trial's class.
    folds
        ``[trials]``.
    """
    return float(auc_of_each(evidence[None], own[None], folds)[0])


def auc_of_each(evidence: Array, own: Index, folds: Index) -> Array:
    """Return `auc` ``[labellings]`` of each of several labellings; NaN where no fold holds two classes.

    Parameters
    ----------
    evidence
        ``[labellings, pairs, trials]``, or ``[1, pairs, trials]`` for all.
    own
        ``[labellings, trials]``: each trial's class.
    folds
        ``[trials]``: only trials of one fold are compared.
    """
    every = pairs(_number_of_classes(evidence.shape[1]))
    scores = np.stack([_pair_auc(evidence[:, place], own, pair, folds) for place, pair in enumerate(every)])
    known = np.isfinite(scores)
    total = np.where(known, scores, 0.0).sum(axis=0)
    mean: Array = np.divide(total, known.sum(axis=0), out=np.full(len(own), np.nan), where=known.any(axis=0))
    return mean


def _number_of_classes(n_pairs: int) -> int:
    return int((1 + np.sqrt(1 + 8 * n_pairs)) / 2 + 0.5)


def _pair_auc(evidence: Array, own: Index, pair: tuple[int, int], folds: Index) -> Array:
    """Return won over compared pairs of trials of each labelling (Mann-Whitney U within folds), ties half."""
    from scipy.stats import rankdata

    wins, compared = np.zeros(len(own)), np.zeros(len(own))
    for fold in np.unique(folds):
        rows = folds == fold
        second, both = own[:, rows] == pair[1], (own[:, rows] == pair[0]) | (own[:, rows] == pair[1])
        # Trials of other classes rank behind all and do not count.
        ranks = rankdata(np.where(both, evidence[:, rows], np.inf), axis=1)
        ones = second.sum(axis=1).astype(np.float64)
        wins += np.sum(second * ranks, axis=1) - ones * (ones + 1) / 2
        compared += ones * (both.sum(axis=1) - ones)
    share: Array = np.divide(wins, compared, out=np.full(len(own), np.nan), where=compared > 0)
    return share


def interval(
    evidence: Array, own: Index, folds: Index, seed: int, widen: float = 1.0, resamples: int = 1000
) -> tuple[float, float]:
    """Return the bootstrap interval of `auc`; stretches of ten neighbouring trials of a fold are drawn together.

    Parameters
    ----------
    evidence, own, folds
        As for `auc`; trials of a fold in the order in which they were shown.
    seed, resamples
        Seed and number of draws of the bootstrap.
    widen
        How many times the spread of resamples the true one is, where they cannot show all of it.
    """
    from scipy.stats import norm
    from scipy.stats import t as student

    rng = np.random.default_rng(seed)
    every = pairs(_number_of_classes(len(evidence)))
    wins, compared = np.zeros((len(every), resamples)), np.zeros((len(every), resamples))
    n_stretches = 0
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        stretch = np.arange(len(rows)) // max(1, min(_STRETCH, len(rows) // _FEWEST_STRETCHES))
        count = int(stretch.max()) + 1
        n_stretches += count
        times = rng.multinomial(count, np.full(count, 1 / count), size=resamples)[:, stretch].astype(np.float64)
        for place, (a, b) in enumerate(every):
            first, second = own[rows] == a, own[rows] == b
            less, more = evidence[place, rows[first]], evidence[place, rows[second]]
            won = (more[:, None] > less) + 0.5 * (more[:, None] == less)
            wins[place] += np.einsum("bi,bi->b", times[:, second] @ won, times[:, first])
            compared[place] += times[:, second].sum(axis=1) * times[:, first].sum(axis=1)
    known = (compared > 0).sum(axis=0)
    total = np.divide(wins, compared, out=np.zeros_like(wins), where=compared > 0).sum(axis=0)
    observed = auc(evidence, own, folds)
    if not known.any() or not np.isfinite(observed):
        return float("nan"), float("nan")
    low, high = (end - observed for end in interval_of_draws((total / np.maximum(known, 1))[known > 0]))
    n_folds = len(np.unique(folds))
    free = max(n_stretches - n_folds, 1)
    # Resampling n stretches gives (n - 1) / n of the variance, and of few stretches it is itself uncertain.
    reach = widen * np.sqrt(n_stretches / free) * student.ppf((1 + LEVEL) / 2, free) / norm.ppf((1 + LEVEL) / 2)
    return float(max(observed + reach * low, 0.0)), float(min(observed + reach * high, 1.0))


def relabellings(own: Index, blocks: Index, count: int, seed: int, exchange: str = "auto") -> Index:
    """Return classes ``[count, trials]`` as they could have been without any information in the EEG.

    Trials change classes within their block. Where classes were shown in blocks, all of a block's are moved along by
    the same number of trials, round its end: shuffled, they would have no slow part, which drifts of the EEG resemble.
    Where blocks share one order of trials, as `exchange` tells, they are moved along alike in all: shuffled, they would
    not have in common what else depends on the place in that order.

    Parameters
    ----------
    own
        ``[trials]``: classes in the order in which they were shown.
    blocks
        ``[trials]``: such as recordings; nothing is exchanged between them.
    count, seed
        How many labellings, fewer where blocks that are moved alike have fewer places, and the seed.
    exchange
        ``fit.exchange`` of the settings.
    """
    if exchange == "shift":
        return own[shifts(blocks, count, seed)]
    if not in_blocks(own, blocks):
        return own[shuffles(blocks, count, seed)]
    rng = np.random.default_rng(seed)
    moved = np.broadcast_to(own, (count, len(own))).copy()
    for block in np.unique(blocks):
        rows = np.flatnonzero(blocks == block)
        by = rng.integers(0, len(rows), count)
        moved[:, rows] = own[rows[(np.arange(len(rows)) + by[:, None]) % len(rows)]]
    return moved


def in_blocks(own: Index, blocks: Index) -> bool:
    """Return whether neighbouring trials are of one class more often than in a random order."""
    changes, expected, variance = 0.0, 0.0, 0.0
    for block in np.unique(blocks):
        labels = own[blocks == block]
        if len(labels) < 2:
            continue
        counts = np.unique(labels, return_counts=True)[1].astype(np.float64)
        differ = 1 - float(np.sum(counts * (counts - 1))) / (len(labels) * (len(labels) - 1))
        changes += np.count_nonzero(labels[1:] != labels[:-1])
        expected += (len(labels) - 1) * differ
        variance += (len(labels) - 1) * differ * (1 - differ)
    return changes - expected < _IN_BLOCKS * np.sqrt(variance) if variance > 0 else False


def null_of_one_map(evidence: Array, own: Index, folds: Index, permutations: int, seed: int) -> Array:
    """Return `auc` ``[permutations]`` without information, of evidence whose map never saw these labels.

    A cross-validated AUC has the null of `calibration.scores.permutation_null`.

    Parameters
    ----------
    evidence
        ``[pairs, trials]``, as `pair_evidence` gives it.
    own
        ``[trials]``: each trial's class.
    folds
        ``[trials]``: only trials of one fold are compared.
    permutations
        Size of the null; the smallest p-value is ``1 / (permutations + 1)``.
    seed
        Seed of the relabellings.
    """
    return auc_of_each(evidence[None], relabellings(own, folds, permutations, seed), folds)
