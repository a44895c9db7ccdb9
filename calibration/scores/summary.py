"""The scores that are written beside every map, each with its chance level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.scores import class_scores, retrieval
from calibration.scores.confidence import REPEATS
from calibration.scores.permutation_null import Null
from calibration.scores.retrieval import Array, Index
from calibration.statistics import mean_interval, permutation_p, rounded
from realtime.decoding.gallery import Gallery

_FEWEST = 10
_CHANCE = 0.5
TWICE = 2.0**0.5
"""Spread of a cross-validated score without information, in spreads of one whose maps do not depend on one another.

The score is a sum over pairs of trials in different folds: how alike their EEG is, times how alike what they show is.
Each pair comes twice, once with either trial among those learned from, which doubles the sum's variance.
"""


def summarise(
    predicted: NDArray[np.floating[Any]],
    names: NDArray[np.str_],
    folds: Index,
    gallery: Gallery,
    permutations: int = 1000,
    seed: int = 0,
    null: Null | None = None,
) -> dict[str, Any]:
    """Return the scores of held-out predictions, ready to be written as JSON.

    Parameters
    ----------
    predicted
        ``[trials, dims]``.
    names
        ``[trials]``: the gallery entry that each trial should point to.
    folds
        ``[trials]``: predictions are compared within a fold; all zero when one map made them all. Trials of a fold
        are in the order in which they were shown.
    gallery
        What can be the answer. Between classes, or two pictures, the score is the AUC, averaged over all pairs of more
        than two; otherwise identification.
    permutations
        Size of the null; 0 leaves the p-value out.
    seed
        Seed of permutations, resampling and the choice of repeats.
    null
        Scores without any information, from `permutation_null` or `picture_null` where `predicted` was
        cross-validated. When left out, labels are exchanged in `predicted`, as is right for one map that was fitted on
        other trials; where there are several folds, what that gives is taken to spread `TWICE` as much.
    """
    own = gallery.places(names)
    arguments = (predicted, own, folds, gallery, permutations, seed)
    found: dict[str, Any] = (_scores_of_classes if gallery.told_apart else _scores_of_pictures)(*arguments, null)
    record: dict[str, Any] = rounded(found)
    return record


def main_score(
    predicted: NDArray[np.floating[Any]], names: NDArray[np.str_], folds: Index, gallery: Gallery, seed: int = 0
) -> tuple[float, float, float] | None:
    """Return the score that `headline` names and the ends of its interval, as `summarise` gives them, alone.

    Parameters
    ----------
    predicted, names, folds, gallery, seed
        As for `summarise`.

    Returns
    -------
    None where nothing can be compared.
    """
    own = gallery.places(names)
    widen = _spread_by_fitting(None, None, folds)
    if gallery.told_apart:
        evidence = class_scores.pair_evidence(predicted, gallery)
        score = class_scores.auc(evidence, own, folds)
        low, high = class_scores.interval(evidence, own, folds, seed, widen)
    else:
        two_way = retrieval.retrieve(predicted, own, folds, gallery).two_way
        valid = np.isfinite(two_way)
        if not valid.any():
            return None
        score = float(two_way[valid].mean())
        low, high = mean_interval(two_way[valid], own[valid], seed, widen)
    return (score, low, high) if np.isfinite(score) else None


def headline(summary: dict[str, Any]) -> tuple[str, float | None]:
    """Return the name and value of the score that stands for a map: its AUC, or its two-way identification."""
    name = "auc" if "auc" in summary else "two_way"
    return name, summary[name]


def _scores_of_classes(
    predicted: NDArray[np.floating[Any]],
    own: Index,
    folds: Index,
    gallery: Gallery,
    permutations: int,
    seed: int,
    null: Null | None,
) -> dict[str, Any]:
    evidence = class_scores.pair_evidence(predicted, gallery)
    observed = class_scores.auc(evidence, own, folds)
    exchanged, widen = _by_chance(
        null, permutations, folds, lambda size: class_scores.null_of_one_map(evidence, own, folds, size, seed)
    )
    found: dict[str, Any] = {
        "auc": observed,
        "auc_interval": class_scores.interval(evidence, own, folds, seed, widen),
        "auc_by_fold": [
            class_scores.auc(evidence[:, folds == fold], own[folds == fold], folds[folds == fold])
            for fold in np.unique(folds)
        ],
        "chance": _CHANCE,
        "classes": list(gallery.names),
        "n_by_class": [int(np.count_nonzero(own == entry)) for entry in range(len(gallery.names))],
    }
    if permutations and np.isfinite(observed) and exchanged is not None:
        found["auc_p"] = _p(observed, exchanged, null, widen)

    def of_means(mean: NDArray[np.floating[Any]], shown: Index, fold: Index) -> float | None:
        if min(np.count_nonzero(shown == entry) for entry in range(len(gallery.names))) < _FEWEST:
            return None
        return class_scores.auc(class_scores.pair_evidence(mean, gallery), shown, fold)

    return found | {"by_repeats": _by_repeats(predicted, own, folds, seed, of_means)}


def _by_chance(
    null: Null | None, permutations: int, folds: Index, exchange: Callable[[int], Array]
) -> tuple[Array | None, float]:
    """Return scores with labels exchanged among predictions, if any are wanted, and by how much intervals are wider."""
    size = permutations if null is None else len(null.draws)
    exchanged = exchange(size) if size else None
    return exchanged, _spread_by_fitting(null, exchanged, folds)


def _by_repeats(
    predicted: NDArray[np.floating[Any]],
    own: Index,
    folds: Index,
    seed: int,
    score: Callable[[NDArray[np.floating[Any]], Index, Index], Any],
) -> dict[str, Any]:
    """Return the score of means of so many predictions each, for as long as `score` has enough of them."""
    found: dict[str, Any] = {}
    for repeats in REPEATS:
        one = score(*retrieval.averaged(predicted, own, folds, repeats, seed))
        if one is None:
            break
        found[str(repeats)] = one
    return found


def _spread_by_fitting(null: Null | None, exchanged: Array | None, folds: Index) -> float:
    """Return how many times more a cross-validated score varies than one of maps that are left as they are.

    Maps of different folds share training trials, and each two trials of different folds count twice, once from either
    side; resampling their predictions does not see that. In a null of some trials few pairs have both.
    """
    if null is None or exchanged is None or not null.of_all:
        return TWICE if len(np.unique(folds)) > 1 else 1.0
    fixed = float(np.nanstd(exchanged))
    return max(1.0, float(np.nanstd(null.draws)) / fixed) if fixed > 0 else 1.0


def _p(observed: float, exchanged: Array, null: Null | None, widen: float) -> float:
    """Return the p-value of a score; where no null is given, it is `exchanged`, `widen` times as wide."""
    if null is not None:
        return permutation_p(null.observed, null.draws)
    middle = float(np.nanmean(exchanged))
    return permutation_p(observed, middle + widen * (exchanged - middle))


def _scores_of_pictures(
    predicted: NDArray[np.floating[Any]],
    own: Index,
    folds: Index,
    gallery: Gallery,
    permutations: int,
    seed: int,
    null: Null | None,
) -> dict[str, Any]:
    found = retrieval.retrieve(predicted, own, folds, gallery)
    valid = np.isfinite(found.two_way)
    if not valid.any():
        return {"two_way": None, "chance": _CHANCE, "n_way": float(found.n_way.mean()), "by_repeats": {}}
    two_way = found.score
    top1, top5 = (found.rank < 1).astype(np.float64), (found.rank < 5).astype(np.float64)
    reliability = retrieval.reliability(predicted, own, folds, seed)
    exchanged, widen = _by_chance(null, permutations, folds, lambda size: retrieval.null_by_pictures(found, size, seed))
    result: dict[str, Any] = {
        "two_way": two_way,
        "two_way_interval": mean_interval(found.two_way[valid], own[valid], seed, widen),
        "chance": _CHANCE,
        "top1": float(top1.mean()),
        "top1_interval": mean_interval(top1, own, seed, widen),
        "chance_top1": retrieval.chance(found, 1),
        "top5": float(top5.mean()),
        "top5_interval": mean_interval(top5, own, seed, widen),
        "chance_top5": retrieval.chance(found, 5),
        "n_way": float(found.n_way.mean()),
        "n_pictures": len(np.unique(own)),
        "correlation": float(retrieval.correlation(predicted, gallery.embeddings[own], folds).mean()),
        "reliability": reliability,
        "noise_ceiling": retrieval.noise_ceiling(reliability),
    }
    if permutations and exchanged is not None:
        result["p"] = _p(two_way, exchanged, null, widen)

    def of_means(mean: NDArray[np.floating[Any]], shown: Index, fold: Index) -> dict[str, Any] | None:
        if len(mean) < _FEWEST:
            return None
        again = retrieval.retrieve(mean, shown, fold, gallery)
        return {
            "two_way": again.score,
            "top1": float(np.mean(again.rank < 1)),
            "top5": float(np.mean(again.rank < 5)),
            "n": len(mean),
            "n_way": float(again.n_way.mean()),
        }

    return result | {"by_repeats": _by_repeats(predicted, own, folds, seed, of_means)}
