"""Identification of pictures that no map has seen: by the number of repeats that are averaged, of people, and of all.

Chance is told beside each score. A person's interval is over pictures, each with all its repeats; that of a mean over
people is over both, since a score is meant for other pictures and for other people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.scores import retrieval
from calibration.statistics import interval, mean_interval, permutation_p
from realtime.decoding.gallery import Gallery

Array = NDArray[np.float64]
Index = NDArray[np.int64]

REPEATS = (1, 2, 4, 8, 20, 40, 80)
SCORES = ("top1", "top5", "two_way")
BY_PICTURE = "by_picture"
"""Key of each score's means by picture, from which means over people are made."""
_RESAMPLES = 1000


def by_repeats(
    predicted: NDArray[np.floating[Any]], own: Index, gallery: Gallery, permutations: int, seed: int
) -> list[dict[str, Any]]:
    """Return a row of scores for each number of repeats, and the last one for all that there are.

    Parameters
    ----------
    predicted
        ``[windows, dims]``: embeddings of single windows; a map is affine, so their mean is that of the mean window.
    own
        ``[windows]``: the place in the gallery of the picture that was shown.
    gallery
        The pictures that are searched.
    permutations, seed
        Size of the null behind p, 0 for none, and the seed of averages, null and intervals.
    """
    sizes = np.bincount(own, minlength=len(gallery.names))
    fewest = int(sizes[sizes > 0].min())
    rows = [
        {"repeats": count, "all": False, **_scores(predicted, own, gallery, count, permutations, seed)}
        for count in REPEATS
        if count < fewest
    ]
    means = np.zeros((len(gallery.names), predicted.shape[1]))
    np.add.at(means, own, predicted)
    shown = np.flatnonzero(sizes)
    every = _scores(means[shown] / sizes[shown, None], shown, gallery, 1, permutations, seed)
    return [*rows, {"repeats": int(np.median(sizes[shown])), "all": True, **every}]


def _scores(
    predicted: NDArray[np.floating[Any]], own: Index, gallery: Gallery, repeats: int, permutations: int, seed: int
) -> dict[str, Any]:
    """Return the scores of means of so many predictions."""
    folds = np.zeros(len(own), np.int64)
    mean, shown, fold = retrieval.averaged(predicted, own, folds, repeats, seed)
    found = retrieval.retrieve(mean, shown, fold, gallery)
    values = {
        "top1": (found.rank < 1).astype(np.float64),
        "top5": (found.rank < 5).astype(np.float64),
        "two_way": found.two_way,
    }
    result: dict[str, Any] = {}
    for name, value in values.items():
        result[name] = float(value.mean())
        result[f"{name}_interval"] = mean_interval(value, shown, seed)
    if permutations:
        result["p"] = permutation_p(result["two_way"], retrieval.null_by_pictures(found, permutations, seed))
    pictures, place = np.unique(shown, return_inverse=True)
    count = np.bincount(place)
    return result | {
        "chance_top1": retrieval.chance(found, 1),
        "chance_top5": retrieval.chance(found, 5),
        "n": len(shown),
        "n_way": len(pictures),
        BY_PICTURE: {
            "pictures": pictures.tolist(),
            **{name: (np.bincount(place, value) / count).tolist() for name, value in values.items()},
        },
    }


def over_people(rows: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Return the mean over people of one row of each, with its interval over people and pictures.

    Parameters
    ----------
    rows
        Rows of the same kind, one a person.
    seed
        Seed of the interval.
    """
    result: dict[str, Any] = {"people": len(rows), "repeats": int(np.median([row["repeats"] for row in rows]))}
    common = set.intersection(*(set(row[BY_PICTURE]["pictures"]) for row in rows))
    for name in SCORES:
        values = [row[name] for row in rows]
        result[name] = float(np.mean(values))
        table = np.array([[*_of(row, name, common)] for row in rows])
        result[f"{name}_interval"] = _crossed(table, seed) if table.size else None
        result[f"{name}_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return result | {name: float(np.mean([row[name] for row in rows])) for name in ("chance_top1", "chance_top5")}


def _of(row: dict[str, Any], name: str, common: set[int]) -> list[float]:
    told = row[BY_PICTURE]
    return [value for picture, value in zip(told["pictures"], told[name], strict=True) if picture in common]


def _crossed(table: Array, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean of ``[people, pictures]``, both drawn with replacement."""
    rng = np.random.default_rng(seed)
    people, pictures = table.shape
    whom = rng.multinomial(people, np.full(people, 1 / people), size=_RESAMPLES)
    what = rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=_RESAMPLES)
    low, high = interval(np.einsum("rs,sp,rp->r", whom, table, what, optimize=True) / (people * pictures))
    return float(low), float(high)
