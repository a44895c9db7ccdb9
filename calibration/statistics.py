"""Intervals, p-values, and which of several options is surely best: what every score and every map is held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

LEVEL = 0.95


def permutation_p(observed: float, null: Array) -> float:
    """Return the share of scores as good as the observed one, itself among the null (Phipson & Smyth 2010)."""
    return float((1 + np.count_nonzero(null >= observed - 1e-12)) / (1 + len(null)))


def mean_interval(values: Array, units: Index, seed: int, widen: float = 1.0) -> tuple[float, float]:
    """Return the bootstrap interval of a mean of scores, whose units (pictures with all their trials) are drawn whole.

    Parameters
    ----------
    values, units
        ``[trials]``: scores from 0 to 1, and the unit of each.
    seed
        Seed of the thousand resamples.
    widen
        How many times the spread of resamples the true one is, where they cannot show all of it.

    Returns
    -------
    The 2.5 % and 97.5 % quantiles.
    """
    rng = np.random.default_rng(seed)
    _, place = np.unique(units, return_inverse=True)
    sums, sizes = np.bincount(place, weights=values), np.bincount(place)
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=1000)
    mean = sums.sum() / sizes.sum()
    low, high = (mean + widen * (end - mean) for end in interval(drawn @ sums / (drawn @ sizes)))
    return float(max(low, 0.0)), float(min(high, 1.0))


def rounded(value: Any) -> Any:
    """Return `value` with floats cut to six digits, NaN as None, so that it can be written as JSON."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return None if not np.isfinite(value) else float(f"{float(value):.6g}")
    return int(value) if isinstance(value, np.integer) else value


def shuffles(blocks: Index, count: int, seed: int) -> Index:
    """Return orders ``[count, units]`` in which units change places within their block.

    Parameters
    ----------
    blocks
        ``[units]``: the block of each.
    count
        How many orders.
    seed
        Seed of the shuffles.
    """
    rng = np.random.default_rng(seed)
    orders = np.broadcast_to(np.arange(len(blocks)), (count, len(blocks))).copy()
    for block in np.unique(blocks):
        rows = np.flatnonzero(blocks == block)
        orders[:, rows] = rng.permuted(orders[:, rows], axis=1)
    return orders


def shifts(blocks: Index, count: int, seed: int) -> Index:
    """Return orders ``[count, units]`` in which all units move along by as many places in every block, round its end.

    There are no more than the smallest block has places; where more are wanted, each is returned once.

    Parameters
    ----------
    blocks
        ``[units]``: the block of each, in the order in which they came.
    count
        How many orders.
    seed
        Seed of the choice among them.
    """
    least = int(np.unique(blocks, return_counts=True)[1].min())
    moves = np.random.default_rng(seed).permutation(np.arange(1, least))[:count]
    orders = np.empty((len(moves), len(blocks)), dtype=np.int64)
    for block in np.unique(blocks):
        rows = np.flatnonzero(blocks == block)
        orders[:, rows] = rows[(np.arange(len(rows)) + moves[:, None]) % len(rows)]
    return orders


def interval(draws: Array) -> tuple[Array, Array]:
    """Return the 95 % interval over the first axis of draws ``[draws, ...]``: its ends, each ``[...]``."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def choose_each(answers: Array, strata: Index, n_candidates: int) -> tuple[Array, Index]:
    """Return the score ``[options, labellings]`` of every option and the place ``[labellings]`` of the one to take.

    Parameters
    ----------
    answers, strata
        As for `within_two_errors`; options are all alphas of the first candidate, then of the second and so on.
    n_candidates
        How many candidates there are.
    """
    n_alphas, every = len(answers) // n_candidates, np.arange(answers.shape[1])
    from_middle = np.argsort(np.abs(np.arange(n_alphas) - n_alphas // 2), kind="stable")
    values, places = [], []
    for first in range(0, len(answers), n_alphas):
        scores, within = within_two_errors(answers[first : first + n_alphas], strata)
        values.append(scores)
        places.append(first + from_middle[within[from_middle].argmax(axis=0)])
    own = np.stack(places)
    _, within = within_two_errors(answers[own, every], strata)
    return np.concatenate(values), own[within.argmax(axis=0), every]


def within_two_errors(answers: Array, strata: Index) -> tuple[Array, NDArray[np.bool_]]:
    """Return the score ``[options, labellings]`` of every option, and which are within two errors of the best.

    Parameters
    ----------
    answers
        ``[options, labellings, units]``: what each unit (a picture, or a trial of a class) adds to the score. Units of
        each stratum add up to the whole score, so that the mean over strata is the score.
    strata
        ``[labellings, units]``: a number from 0; for two classes a stratum is a class (DeLong et al. 1988), and −1 has
        no part.
    """
    numbers = range(int(strata.max(initial=0)) + 1)
    values: Array = answers.sum(axis=2) / len(numbers)
    best = values.argmax(axis=0)
    difference = answers - answers[best, np.arange(len(best))][None]
    variance = np.zeros(values.shape)
    for number in numbers:
        own = strata == number
        count = np.maximum(own.sum(axis=1), 1)
        total = np.einsum("olu,lu->ol", difference, own)
        variance += np.einsum("olu,lu->ol", difference**2, own) - total**2 / count
    error = np.sqrt(np.maximum(variance, 0.0)) * (1.0 if len(numbers) < 3 else 2 / len(numbers))
    within: NDArray[np.bool_] = values >= values[best, np.arange(len(best))] - 2 * error - 1e-12
    return values, within
